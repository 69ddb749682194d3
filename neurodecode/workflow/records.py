"""From ranking tables to records: every number with interval, chance, null and protocol."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.prepared import PreparedStudy
from neurodecode.core.provenance import versions
from neurodecode.core.results import Results
from neurodecode.core.scores import BALANCED, Absent, Score, protocol_label
from neurodecode.datasets.speech_words import OCCURRENCE
from neurodecode.evaluation.answers import Answers
from neurodecode.evaluation.areas import AREA
from neurodecode.evaluation.comparisons import compare_models
from neurodecode.evaluation.report_tables import ASKED
from neurodecode.evaluation.retrieval import AnswerTable, evaluate_retrieval, repetition_curve
from neurodecode.workflow.ceilings import CEILINGS
from neurodecode.workflow.items import fewer_repetitions, is_across_subjects
from neurodecode.workflow.left_out import PLAIN, SEPARABLE, SHUFFLED_SEPARABLE
from neurodecode.workflow.retrieve import CHOSEN, PERMUTED, SHUFFLED, Retrieval
from neurodecode.workflow.run_folder import RankingTables

ALONE = "decoder_without_context"
COMPARED = (
    (SEPARABLE, PLAIN), ("decoder", PLAIN), (CHOSEN, PLAIN),
    ("decoder", "ridge"), ("decoder", ALONE), ("fused", "decoder"), ("fused", "ridge"), ("fused", "encoding"),
)  # fmt: skip
#: Models that hold something of the network.
OF_NETWORK = ("decoder", ALONE, "fused", PERMUTED, CHOSEN)
NOTES = {
    ALONE: "each trial decoded by itself",
    SHUFFLED: "fused ranking by models trained again on shuffled pairs of brain and stimulus",
    PLAIN: "plain discriminant with shrinkage, all people's trials alike",
    SEPARABLE: "discriminant of class means over people, noise separable in space and time",
    SHUFFLED_SEPARABLE: "the separable classifier, fitted on labels permuted within each person",
    PERMUTED: "fused ranking of each item with another item's brain response",
    CHOSEN: "the model that validation chose, for each subject and fold",
}


def answers_of(tables: RankingTables, *, by_unit: bool) -> dict[tuple[str, str], Answers]:
    """Give the tables as the statistics want them.

    Parameters
    ----------
    tables : RankingTables
        Scores of all models.
    by_unit : bool
        Whether rows of one unit (a run, a recording) are resampled and permuted together; else the stimulus is the
        unit.

    Returns
    -------
    dict of (model, subject) to Answers
        In the order of the tables.
    """
    candidates = [str(name) for name in tables.candidates["candidate"]]
    found = {}
    for (model, subject), matrix in tables.scores.items():
        rows = tables.queries_of(subject)
        folds = rows["fold"].astype(str).tolist()
        found[model, subject] = Answers(
            matrix,
            rows["correct"].astype(str).tolist(),
            candidates,
            units=rows["unit"].astype(str).tolist() if by_unit else None,
            folds=folds if len(set(folds)) > 1 else None,
        )
    return found


def averaging_text(tables: RankingTables) -> str:
    """Say what was averaged into a query: ``signals x 20`` or the range."""
    low, high = int(tables.queries["repetitions"].min()), int(tables.queries["repetitions"].max())
    return f"signals x {low}" if low == high else f"signals x {low} to {high}"


def protocols(prepared: PreparedStudy, tables: RankingTables, *, joint: bool, averaged: str) -> dict[str, str]:
    """Build each model's protocol label."""
    found = {}
    # The network of the shuffled control was trained for the subjects that it is scored for, often a single one.
    across = is_across_subjects(prepared.split, prepared.subjects)
    shuffled = joint and sum(model == SHUFFLED for model, _ in tables.scores) > 1
    for model in tables.models:
        together = shuffled if model == SHUFFLED else joint and model in OF_NETWORK
        setting = "joint" if together else "within-subject"
        found[model] = protocol_label(
            "leave-one-subject-out" if across and model not in CEILINGS else setting,
            unit=prepared.split.unit,
            averaged=averaged,
            gallery=f"{len(tables.candidates)} test stimuli",
            weights="known truth" if model in CEILINGS else "best by validation",
        )
    return found


def retrieval_records(
    prepared: PreparedStudy, tables: RankingTables, *, joint: bool, seed: int, absent: Mapping[str, str]
) -> tuple[list[Score], list[Absent], AnswerTable]:
    """Score all models in both directions and compare the main ones in pairs.

    Parameters
    ----------
    prepared : PreparedStudy
        The study.
    tables : RankingTables
        Scores of all models.
    joint : bool
        Whether the network was trained on all subjects together.
    seed : int
        Of bootstrap and permutations.
    absent : mapping of str to str
        Models that cannot exist or were not run, with the reason.

    Returns
    -------
    scores, absent, answers
        Records, records that cannot exist, and the answers they came from.
    """
    answers = answers_of(tables, by_unit=prepared.info["averaging"] != "stimulus")
    averaged = averaging_text(tables)
    labels = protocols(prepared, tables, joint=joint, averaged=averaged)
    of_words = asked_of(prepared.info) == "word"
    found = evaluate_retrieval(
        answers, protocol=labels, averaged=averaged, simulated=prepared.simulated, seed=seed, notes=NOTES,
        balanced=of_words, top=(1, 5, 10) if of_words else (1, 5),
    )  # fmt: skip
    pairs = [pair for pair in COMPARED if all(model in tables.models for model in pair)]
    metrics = ["top1", "top5"] if len(tables.candidates) > 5 else ["top1"]
    if of_words:
        metrics = [f"{BALANCED}{metric}" for metric in metrics]
    if all(question.has_area for table in answers.values() for question in table.questions("image_given_brain")):
        metrics.append(AREA)
    differences = compare_models(
        answers, pairs, metrics=metrics, protocol=labels, averaged=averaged, simulated=prepared.simulated, seed=seed
    )
    missing = [Absent("all", model, "all", reason) for model, reason in absent.items()]
    return [*found.scores, *differences], [*found.absent, *missing], answers


def curve_records(
    prepared: PreparedStudy,
    retrieval: Retrieval,
    *,
    joint: bool,
    seed: int,
    repetitions: Sequence[int] | None = None,
    models: Sequence[str] = ("fused", "decoder", "ridge", "encoding"),
) -> list[Score]:
    """Score the models with fewer repetitions of each test stimulus averaged, drawn without looking at the signals.

    Parameters
    ----------
    prepared, retrieval
        The ranked study with its fitted models.
    joint, seed
        As in `retrieval_records`.
    repetitions : sequence of int, optional
        1, 2, 5, 10 and so on up to what there is.
    models : sequence of str
        Which models.

    Returns
    -------
    list of Score
        Records ``curve_top1`` and ``curve_top5``.
    """
    most = int(retrieval.tables.queries["repetitions"].min())
    wanted = [n for n in (repetitions or (1, 2, 5, 10, 20, 40, 80)) if n < most]
    candidates = [str(name) for name in retrieval.tables.candidates["candidate"]]
    split = prepared.split

    def answer(count: int) -> dict[tuple[str, str], Answers]:
        parts: dict[tuple[str, str], list[tuple[int, list[str], NDArray[np.float32]]]] = {}
        for (subject, fold), fitted in retrieval.models.items():
            test = fewer_repetitions(prepared, split, subject, count, fold=fold, seed=seed)
            names = [str(name) for name in test.stimulus]
            for model, matrix in fitted.score(test, candidates).items():
                if model in models:
                    parts.setdefault((model, subject), []).append((fold, names, matrix))
        found = {}
        for key, rows in parts.items():
            folds = [str(fold) for fold, names, _ in rows for _ in names]
            found[key] = Answers(
                np.concatenate([matrix for _, _, matrix in rows]),
                [name for _, names, _ in rows for name in names],
                candidates,
                folds=folds if len(rows) > 1 else None,
            )
        return found

    def label(averaged: str) -> dict[str, str]:
        return protocols(prepared, retrieval.tables, joint=joint, averaged=averaged)

    if not wanted:
        return []
    top = [k for k in (1, 5) if k < len(candidates)]
    return repetition_curve(answer, wanted, protocol=label, simulated=prepared.simulated, seed=seed, top=top)


def asked_of(info: Mapping[str, Any]) -> str:
    """Say what a study's models look for given the brain.

    Examples
    --------
    >>> asked_of({"kind": "speech", "averaging": "stimulus"}), asked_of({"kind": "word", "averaging": "occurrence"})
    ('segment', 'word')
    """
    if info["kind"] == "word":
        return "word" if info["averaging"] == OCCURRENCE else "category"
    return "segment" if info["kind"] == "speech" else "image"


class Described(Protocol):
    """Targets that say what they are."""

    def describe(self) -> dict[str, Any]:
        """Give plain values for results."""
        ...


def build_results(
    prepared: PreparedStudy,
    bank: Described,
    retrieval: Retrieval | None,
    scores: Sequence[Score],
    absent: Sequence[Absent],
    *,
    seed: int,
    config: Mapping[str, Any],
    trimmed: Sequence[str] = (),
) -> Results:
    """Put everything a run has to say into one object, ready for ``results.json`` and the report.

    Parameters
    ----------
    prepared, bank
        The study and its targets.
    retrieval : Retrieval, optional
        What was ranked; None where nothing was, so that validation chose no model.
    scores, absent
        The records.
    seed : int
        Of the run.
    config : mapping
        Plain values.
    trimmed : sequence of str
        What was left out.

    Returns
    -------
    Results
        Checked.
    """
    info = prepared.info
    first = prepared.recording(prepared.subjects[0], fold=0)
    chosen = {} if retrieval is None else retrieval.chosen
    names, numbers = np.unique(list(chosen.values()), return_counts=True)
    study = {
        "name": prepared.name,
        "description": str(info["description"]),
        "modality": str(info["modality"]),
        ASKED: asked_of(info),
        "subjects": ", ".join(prepared.subjects),
        "channels": str(first.n_channels),
        "times": f"{first.n_times} at {first.sensors.sfreq:g} Hz" if first.n_times > 1 else "one (a map a trial)",
        "split": f"{prepared.split.rule}; {prepared.split.n_folds} fold(s); disjoint unit: {prepared.split.unit}",
        "citation": str(info["citation"]),
        "licence": str(info["licence"]),
    }
    if chosen:
        listed = ", ".join(f"{name} ({count})" for name, count in zip(names, numbers, strict=True))
        study["chosen by validation"] = listed
    kind, clamp = prepared.session_scaling
    if kind != "none":
        clipped = f", clipped at {clamp:g}" if clamp else ""
        study["session scaling"] = f"{kind}, by the training windows of each session{clipped}"
    if first.flags:
        study["flags"] = "; ".join(first.flags)
    return Results(
        list(scores),
        versions(),
        seed,
        prepared.split.hash,
        bank.describe(),
        chosen,
        dict(config),
        list(absent),
        study,
        list(trimmed),
        [],
    )
