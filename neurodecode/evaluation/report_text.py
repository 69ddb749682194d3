"""Headline cards and sentences of the report, drawn from the records alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from neurodecode.core.results import Results
from neurodecode.core.scores import Score
from neurodecode.evaluation.report_tables import chance_number, is_picture_metric, main_metric, number, pair_name
from neurodecode.evaluation.style import in_order, look_of, metric_name


@dataclass(frozen=True)
class Card:
    """One headline number with its scale."""

    name: str
    colour: str
    chosen: bool
    value: str
    interval: str
    share: float
    low: float
    high: float
    chance: float
    null_95: float
    ceiling: float | None


def cards(results: Results) -> list[Card]:
    """Compose the headline cards: every model that is neither ceiling nor control, against the ideal learner."""
    metric = main_metric(results)
    mean = {s.model: s for s in results.select(metric=metric, direction="image_given_brain", subject="mean")}
    ceiling = next((mean[name].value for name in ("ideal_learner", "oracle") if name in mean), None)
    made = []
    for model in in_order([name for name in mean if look_of(name).role == "model"]):
        score = mean[model]
        made.append(
            Card(
                name=look_of(model).name,
                colour=look_of(model).colour,
                chosen=results.chosen_model == model,
                value=number(score.value),
                interval=f"{number(score.low)} to {number(score.high)}",
                share=score.value,
                low=score.low,
                high=score.high,
                chance=score.chance,
                null_95=score.null_95,
                ceiling=ceiling,
            )
        )
    return made


def findings(results: Results) -> list[str]:
    """Say in sentences what the headline records show; nothing is said that a record does not hold."""
    metric = main_metric(results)
    mean = {s.model: s for s in results.select(metric=metric, direction="image_given_brain", subject="mean")}
    said = []
    if mean:
        any_score = next(iter(mean.values()))
        chance = chance_number(any_score.chance)
        said.append(f"Chance for {metric_name(metric)} among {any_score.n_candidates} candidates is {chance}.")
    ideal = mean.get("ideal_learner")
    if ideal and "fused" in mean:
        share = mean["fused"].value / ideal.value
        said.append(
            f"The fused ranking reaches {number(mean['fused'].value)}, that is {100 * share:.0f} % of the ideal "
            f"learner's {number(ideal.value)}. The ideal learner is a reference, not a bound."
        )
    ceilings = [name for name in in_order(list(mean)) if look_of(name).role == "ceiling" and name != "ideal_learner"]
    if ceilings:
        said.append("Ceilings: " + ", ".join(f"{look_of(n).name} {number(mean[n].value)}" for n in ceilings) + ".")
    for score in results.select(metric=f"difference_{metric}", direction="image_given_brain", subject="mean"):
        verdict = "the interval excludes zero" if score.low > 0 or score.high < 0 else "the interval includes zero"
        text = f"{score.value:+.3f} ({score.low:+.3f} to {score.high:+.3f}), {verdict}"
        said.append(f"{_opening(pair_name(score.model))}: {text}.")
    for name in in_order([name for name in mean if look_of(name).role == "control"]):
        score = mean[name]
        said.append(f"{_opening(look_of(name).name)} scores {number(score.value)}: {_control_verdict(score)}.")
    return said


def _opening(text: str) -> str:
    """Begin a sentence, and leave capitals within it as they are."""
    return text[:1].upper() + text[1:]


def _control_verdict(score: Score) -> str:
    if score.low <= score.chance <= score.high or not score.above_null:
        return "at chance within its interval, as it must be"
    return "above chance, which happens by luck in one run of twenty; otherwise something leaks"


def protocols(results: Results) -> list[tuple[str, list[str]]]:
    """List the distinct protocol labels with the models they hold for."""
    found: dict[str, list[str]] = {}
    for score in results.scores:
        if not score.metric.startswith(("curve_", "difference_")):
            found.setdefault(score.protocol, []).append(look_of(score.model).name)
    return [(label, list(dict.fromkeys(models))) for label, models in found.items()]


def limits(results: Results) -> list[str]:
    """Say what these results do not show: what follows from the records, then what the run itself adds."""
    said = []
    if results.simulated:
        said.append(
            "The brain is simulated. Nothing here says how well a real person's recording can be decoded; it says "
            "whether the programs find what was put there."
        )
    subjects = {score.subject for score in results.scores} - {"mean"}
    if 0 < len(subjects) < 10:
        people = "There is one subject" if len(subjects) == 1 else f"There are {len(subjects)} subjects"
        said.append(f"{people}. Intervals of the mean say little about other people.")
    sizes = {
        s.n_candidates for s in results.scores if s.direction == "image_given_brain" and not is_picture_metric(s.metric)
    }
    if sizes:
        said.append(
            f"The gallery holds {min(sizes)} candidates, and the right one is always among them. A gallery that is "
            "larger, or made of other stimuli, gives other scores; the intervals do not cover that."
        )
    if any(_repetitions(s.averaged) > 1 for s in results.scores if s.metric == main_metric(results)):
        said.append("Responses were averaged over repetitions before decoding. A single look gives less.")
    if any(is_picture_metric(score.metric) for score in results.scores):
        said.append(
            "A made picture can score well because the generator draws plausible pictures, not because the brain told "
            "it what to draw. Read every picture score against its controls and its ceiling."
        )
    return [*said, *results.limits]


def _repetitions(averaged: str) -> int:
    number_text = averaged.split(";")[0].rsplit(" x ", 1)[-1]
    return int(number_text) if number_text.isdigit() else 1


def provenance(results: Results) -> list[tuple[str, str]]:
    """List what is needed to make the results again, versions apart."""
    chosen = results.chosen_model
    return [
        ("Seed", str(results.seed)),
        ("Split", results.split_hash),
        ("Target space", _flat(results.target_space)),
        ("Model chosen on validation", _flat(chosen)),
    ]


def config_text(results: Results) -> str:
    """Write the resolved configuration as indented text."""
    return json.dumps(dict(results.config), indent=2, default=str, ensure_ascii=False)


def _flat(value: Mapping[str, Any] | str) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {part}" for name, part in value.items())
    return str(value)
