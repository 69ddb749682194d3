"""Retrieval records: both directions, exact rank scores, intervals, nulls, subjects and mean, repetition curves."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from neurodecode.core.errors import DataError
from neurodecode.core.scores import BALANCED, Absent, Score, is_share, lower_is_better
from neurodecode.evaluation.answers import Answers, statistic_of
from neurodecode.evaluation.areas import AREA
from neurodecode.evaluation.statistics import Interval, bootstrap_interval, null_point

AnswerTable = Mapping[tuple[str, str], Answers]
PerModel = str | Mapping[str, str]
BOTH_DIRECTIONS = ("image_given_brain", "brain_given_image")


class Evaluation(NamedTuple):
    """Records that exist and records that cannot."""

    scores: list[Score]
    absent: list[Absent]


def evaluate_retrieval(
    answers: AnswerTable,
    *,
    protocol: PerModel,
    averaged: PerModel,
    simulated: bool,
    seed: int,
    directions: Sequence[str] = BOTH_DIRECTIONS,
    top: Sequence[int] = (1, 5),
    ways: Sequence[int] = (2, 10, 50, 100),
    notes: Mapping[str, str] | None = None,
    n_bootstrap: int = 2000,
    n_permutations: int = 2000,
    prefix: str = "",
    balanced: bool = False,
) -> Evaluation:
    """Score what models answered: every metric, both directions, each subject and the mean.

    Parameters
    ----------
    answers : mapping from (model, subject) to Answers
        All models should answer the same queries; subjects are named ``sub-01`` and so on.
    protocol, averaged : str or mapping from model to str
        Fields of the records; see `neurodecode.core.scores.Score`.
    simulated : bool
        Whether the recordings come from the simulator.
    seed : int
        Seed of the bootstrap and of the permutations.
    directions : sequence of str
        Which way round to ask.
    top, ways : sequence of int
        k of top-k and of k-way; k-way is left out where k is not below the number of candidates, top-k is then absent
        with the reason.
    notes : mapping from model to str, optional
        A note for every record of a model.
    n_bootstrap, n_permutations : int
        Number of draws.
    prefix : str
        Put before each metric's name, such as ``curve_``.
    balanced : bool
        Whether ``balanced_top<k>`` are scored too, given brain responses: the mean over labels of each one's share of
        right answers. Where some labels are asked for much oftener than others (words), a model that always names those
        is far above chance in ``top<k>``, but not in these.

    Returns
    -------
    Evaluation
        Scores and absent records.

    Raises
    ------
    DataError
        If there is nothing to score or answers do not fit together.

    Examples
    --------
    >>> names = ["a", "b", "c", "d"]
    >>> table = {("oracle", "sub-01"): Answers(np.eye(4), names, names)}
    >>> scores, absent = evaluate_retrieval(table, protocol="joint", averaged="signals x 20", simulated=True, seed=0)
    >>> [(s.value, s.chance) for s in scores if s.metric == "top1" and s.direction == "image_given_brain"]
    [(1.0, 0.25), (1.0, 0.25)]
    >>> absent[0].reason
    'top-5 needs more than 5 candidates, there are 4'
    """
    if not answers:
        raise DataError("retrieval: got no answers")
    scores: list[Score] = []
    absent: list[Absent] = []
    for model in dict.fromkeys(model for model, _ in answers):
        mine = {subject: table for (name, subject), table in answers.items() if name == model}
        for direction in directions:
            reason = "" if direction == "image_given_brain" else _one_way(mine)
            if reason:
                absent.append(Absent(f"all ({direction})", model, "all", reason))
                continue
            metrics, missing = _metrics(mine, direction, top, ways)
            if balanced and direction == "image_given_brain":
                metrics = [*(f"{BALANCED}{metric}" for metric in metrics if metric.startswith("top")), *metrics]
            absent.extend(Absent(f"{prefix}{name} ({direction})", model, "all", text) for name, text in missing)
            for metric in metrics:
                made = _records(mine, metric, direction, seed, n_bootstrap, n_permutations)
                scores.extend(
                    Score(
                        metric=prefix + metric,
                        direction=direction,
                        averaged=of_model(averaged, model, "averaged"),
                        model=model,
                        protocol=of_model(protocol, model, "protocol"),
                        simulated=simulated,
                        note="; ".join(filter(None, [(notes or {}).get(model, ""), _width_note(record)])),
                        **record._asdict(),
                    )
                    for record in made
                )
    return Evaluation(scores, absent)


class _Record(NamedTuple):
    subject: str
    value: float
    low: float
    high: float
    chance: float
    null_95: float
    n_queries: int
    n_candidates: int


def _width_note(record: _Record) -> str:
    """Say why an interval has no width: the bootstrap knows nothing beyond what it saw."""
    return "every query scored the same: the interval has no width" if record.low == record.high else ""


def _records(
    mine: Mapping[str, Answers], metric: str, direction: str, seed: int, n_bootstrap: int, n_permutations: int
) -> list[_Record]:
    """Score one metric for each subject and for their mean."""
    outcomes = {subject: table.outcomes(metric, direction) for subject, table in mine.items()}
    nulls = {
        subject: table.null(metric, direction, seed=seed, n_draws=n_permutations) for subject, table in mine.items()
    }
    chances, sizes = {}, {}
    for subject, table in mine.items():
        asked = table.questions(direction)
        chances[subject] = float(
            np.average([q.chance(metric) for q in asked], weights=[len(q.query_labels) for q in asked])
        )
        sizes[subject] = (sum(len(question.query_labels) for question in asked), asked[0].n_candidates)
    records = []
    for subject, members in [*((name, [name]) for name in mine), ("mean", list(mine))]:
        interval = bootstrap_interval(
            [outcomes[name] for name in members] if len(members) > 1 else [outcomes[members[0]].alone()],
            seed=seed,
            n_draws=n_bootstrap,
            statistic=statistic_of(metric),
            share=is_share(metric),
        )
        # A balanced share's weights are those of all queries, not of the drawn ones; single queries of an area lie
        # outside 0 to 1, so resampled ones may.
        if is_share(metric):
            interval = Interval(*(min(max(end, 0.0), 1.0) for end in interval))
        null = np.mean([nulls[name] for name in members], axis=0)
        records.append(
            _Record(
                subject,
                *interval,
                chance=float(np.mean([chances[name] for name in members])),
                null_95=null_point(
                    np.minimum(null, 1.0) if is_share(metric) else null, lower_is_better=lower_is_better(metric)
                ),
                n_queries=min(sizes[name][0] for name in members),
                n_candidates=min(sizes[name][1] for name in members),
            )
        )
    return records


def _metrics(
    mine: Mapping[str, Answers], direction: str, top: Sequence[int], ways: Sequence[int]
) -> tuple[list[str], list[tuple[str, str]]]:
    asked = [question for table in mine.values() for question in table.questions(direction)]
    candidates = min(question.n_candidates for question in asked)
    wrong = min(question.n_candidates - int(question.n_right.max()) for question in asked)
    if wrong < 1:
        raise DataError(f"retrieval {direction}: every candidate is right, expected at least one wrong one")
    metrics = [f"top{k}" for k in top if k < candidates]
    missing = [(f"top{k}", f"top-{k} needs more than {k} candidates, there are {candidates}") for k in top]
    missing = [(name, text) for name, text in missing if name not in metrics]
    metrics += [f"way{k}" for k in ways if k < candidates and k - 1 <= wrong]
    if direction == "image_given_brain" and all(question.has_area for question in asked):
        metrics.append(AREA)
    return [*metrics, "mean_rank", "median_rank", "mrr"], missing


def _one_way(mine: Mapping[str, Answers]) -> str:
    """Say why the direction brain_given_image cannot be scored, or nothing if it can."""
    for table in mine.values():
        if table.one_way:
            return table.one_way
        sizes = {question.n_candidates for question in table.questions("brain_given_image")}
        if len(sizes) > 1:
            return f"folds hold {min(sizes)} to {max(sizes)} brain responses, so their galleries differ in size"
        if any(len(question.names) < 2 for question in table.questions("brain_given_image")):
            return "all brain responses of a fold belong to one stimulus, so nothing could be wrong"
    return ""


def of_model(field: PerModel, model: str, name: str) -> str:
    """Give the text that holds for a model, from one text for all or a mapping; `name` is for the error message."""
    if isinstance(field, str):
        return field
    if model not in field:
        raise DataError(f"retrieval: {name} says nothing for the model {model!r}")
    return field[model]


def repetition_curve(
    answer: Callable[[int], AnswerTable],
    repetitions: Sequence[int],
    *,
    protocol: Callable[[str], PerModel],
    simulated: bool,
    seed: int,
    averaged: str = "signals",
    top: Sequence[int] = (1, 5),
    n_bootstrap: int = 1000,
    n_permutations: int = 1000,
) -> list[Score]:
    """Score the same models with fewer repetitions averaged.

    Parameters
    ----------
    answer : callable
        Gives the answers when `n` repetitions of each test stimulus are averaged; which ones must not depend on how
        well they do.
    repetitions : sequence of int
        The numbers of repetitions.
    protocol : callable
        Gives the protocol label (or one per model) for what was averaged, such as ``signals x 4``.
    simulated, seed
        As in `evaluate_retrieval`.
    averaged : str
        What is averaged: ``signals``, ``predictions`` or ``scores``.
    top : sequence of int
        k of top-k.
    n_bootstrap, n_permutations : int
        Number of draws.

    Returns
    -------
    list of Score
        Records ``curve_top1`` and so on, direction ``image_given_brain``, `averaged` saying how many.

    Examples
    --------
    >>> names = ["a", "b", "c"]
    >>> curve = repetition_curve(lambda n: {("fused", "sub-01"): Answers(n * np.eye(3), names, names)}, [1, 4],
    ...                          protocol=lambda averaged: f"joint | {averaged}", simulated=True, seed=0, top=[1])
    >>> [(score.metric, score.averaged) for score in curve if score.subject == "mean"]
    [('curve_top1', 'signals x 1'), ('curve_top1', 'signals x 4')]
    """
    scores: list[Score] = []
    for n in repetitions:
        found = evaluate_retrieval(
            answer(n),
            protocol=protocol(f"{averaged} x {n}"),
            averaged=f"{averaged} x {n}",
            simulated=simulated,
            seed=seed,
            directions=("image_given_brain",),
            top=top,
            ways=(),
            n_bootstrap=n_bootstrap,
            n_permutations=n_permutations,
            prefix="curve_",
        )
        scores.extend(score for score in found.scores if score.metric in [f"curve_top{k}" for k in top])
    return scores
