"""Classifiers for people who are left out, beside the models that rank stimuli by their embeddings."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.prepared import PreparedStudy
from neurodecode.encoders.linear.class_scores import LinearClassifier, fit_plain_discriminant
from neurodecode.encoders.linear.selection import calibrated_cross_entropy, truth_index
from neurodecode.encoders.linear.separable import SeparableClassifier, fit_separable
from neurodecode.encoders.linear.trials import TrialSet, join
from neurodecode.workflow.bank import TargetBank
from neurodecode.workflow.decoding import Decode
from neurodecode.workflow.items import fold_items, is_across_subjects
from neurodecode.workflow.retrieve import CHOSEN, Retrieval
from neurodecode.workflow.run_folder import RankingTables

PLAIN, SEPARABLE, SHUFFLED_SEPARABLE = "lda", "separable", "shuffled_separable"
#: Stretches a second that windows are averaged in: of the plain discriminant, and of the separable classifier's parts.
PLAIN_RATE, RATES = 8.0, (16.0, 32.0)


def wants_classifiers(prepared: PreparedStudy) -> bool:
    """Tell whether people are left out of a study of EEG or MEG whose single trials show stimuli that others saw."""
    return (
        prepared.info["modality"] in ("eeg", "meg")
        and prepared.info["averaging"] != "stimulus"
        and prepared.split.unit == "subject"
        and is_across_subjects(prepared.split, prepared.subjects)
    )


def with_classifiers(
    retrieval: Retrieval,
    prepared: PreparedStudy,
    *,
    seed: int,
    progress: Callable[[str], None] = lambda text: None,
) -> Retrieval:
    """Add the scores of a plain discriminant and of the separable classifier, and let it be chosen.

    Both are fitted on the trials of everybody else (training and validation people). Nothing of the person who is left
    out enters, labelled or not.

    Parameters
    ----------
    retrieval : Retrieval
        The study, ranked fold by fold.
    prepared : PreparedStudy
        The study; given back as it is unless `wants_classifiers` holds.
    seed : int
        Of the labels that are permuted for the control.
    progress : callable
        Told the subject that begins.

    Returns
    -------
    Retrieval
        With the models `lda`, `separable` and `shuffled_separable`, which was fitted on labels permuted within each
        person. `chosen` is `separable` where its trials that were left out in training, averaged for each person as
        those of the other models are, have the smaller cross-entropy.
    """
    if not wants_classifiers(prepared):
        return retrieval
    tables = retrieval.tables
    candidates = np.array(tables.candidates["candidate"], dtype=np.str_)
    found: dict[tuple[str, str], list[NDArray[np.float32]]] = {}
    chosen, reports = dict(retrieval.chosen), dict(retrieval.reports)
    for number, ((subject, fold), models) in enumerate(retrieval.models.items()):
        progress(subject)
        train = complete_units(join([models.items.train, models.items.validation]))
        recording = prepared.recording(subject, fold=fold)
        seconds = recording.n_times / recording.sensors.sfreq
        bins = [_bins(rate, seconds, recording.n_times) for rate in RATES]
        fitted = fit_separable(train, bins)
        generator = np.random.default_rng([seed, 5, number])
        classifiers = {
            PLAIN: fit_plain_discriminant(train, _bins(PLAIN_RATE, seconds, recording.n_times)),
            SEPARABLE: fitted.classifier,
            SHUFFLED_SEPARABLE: fit_separable(permuted_within_units(train, generator), bins).classifier,
        }
        for name, classifier in classifiers.items():
            scores = _in_order(classifier, models.items.test.signals, candidates)
            found.setdefault((name, subject), []).append(scores)
        key = f"{subject}/{fold}"
        loss = held_out_loss(fitted, train)
        losses = dict(models.suite.report()["cross_entropy"])
        if loss < losses[models.suite.chosen]:
            chosen[key] = SEPARABLE
        found.setdefault((CHOSEN, subject), []).append(
            found[SEPARABLE, subject][-1] if chosen[key] == SEPARABLE else _rows(tables, retrieval, subject, fold)
        )
        report: dict[str, Any] = {**reports[key], "chosen": chosen[key], "cross_entropy": {**losses, SEPARABLE: loss}}
        reports[key] = {**report, SEPARABLE: fitted.report()}
    more = {key: np.concatenate(parts) for key, parts in found.items()}
    # The classifiers first, as the other models of a study; what was chosen and controls last.
    merged = RankingTables(tables.queries, tables.candidates, {**tables.scores, **more})
    return replace(retrieval, tables=merged, chosen=chosen, reports=reports)


def with_distances(retrieval: Retrieval, prepared: PreparedStudy, bank: TargetBank, decode: Decode | None) -> Retrieval:
    """Score the network's predictions by their squared distance from each candidate's embedding.

    Of two candidates, the cosine of centred embeddings is 1 or -1, which says nothing of how sure an answer is; and one
    validating person's averages are too few to choose a rule by. Distances need no fit.

    Parameters
    ----------
    retrieval : Retrieval
        The study, ranked fold by fold.
    prepared : PreparedStudy
        The study; the retrieval is given back as it is unless `wants_classifiers` holds.
    bank : TargetBank
        Targets of all its stimuli.
    decode : Decode, optional
        The network.

    Returns
    -------
    Retrieval
        With other scores of the model `decoder`.
    """
    if decode is None or not wants_classifiers(prepared):
        return retrieval
    tables, reports = retrieval.tables, dict(retrieval.reports)
    candidates = bank.rows([str(name) for name in tables.candidates["candidate"]])
    scores = dict(tables.scores)
    for subject in tables.subjects:
        parts = []
        for fold in dict.fromkeys(tables.queries_of(subject)["fold"].astype(int)):
            signals = fold_items(prepared, subject, fold=fold).test.signals
            parts.append(negative_distances(decode(fold, subject, signals), candidates))
            report = reports[f"{subject}/{fold}"]
            rules = {**report.get("rules", {}), "decoder": "squared distance"}
            reports[f"{subject}/{fold}"] = {**report, "rules": rules}
        scores["decoder", subject] = np.concatenate(parts)
    return replace(retrieval, tables=RankingTables(tables.queries, tables.candidates, scores), reports=reports)


def negative_distances(
    predicted: Mapping[str, NDArray[np.float32]], candidates: Mapping[str, NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Compute minus the squared distance of predictions from candidates, layers weighted by the candidates' spread.

    Examples
    --------
    >>> candidates = np.array([[0.0, 0.0], [2.0, 0.0]], dtype=np.float32)
    >>> scores = negative_distances({"layer": candidates[1:]}, {"layer": candidates})
    >>> (scores[0, 1] - scores[0, 0]).item()
    2.0
    """
    total: Any = 0.0
    for layer, known in candidates.items():
        names = np.asarray(known, dtype=np.float64).reshape(len(known), -1)
        made = np.asarray(predicted[layer], dtype=np.float64).reshape(len(predicted[layer]), -1)
        middle = names.mean(axis=0)
        names, made = names - middle, made - middle
        # What all candidates share is left out: it would only cost digits.
        total = total + (2 * made @ names.T - (names**2).sum(axis=1)) / np.mean((names**2).sum(axis=1)) / 2
    return np.asarray(total, dtype=np.float32)


def held_out_loss(fitted: SeparableClassifier, train: TrialSet) -> float:
    """Compute the calibrated cross-entropy of held-out scores, averaged over the trials of a class and unit.

    The scores are linear in the signals, so that they are those of averaged trials, which the other models' choices
    are made by.
    """
    names = np.array(fitted.classifier.classes)
    cells, inverse = np.unique(np.stack([train.group, train.stimulus], axis=1), axis=0, return_inverse=True)
    sums = np.zeros((len(cells), len(names)))
    np.add.at(sums, inverse.reshape(-1), fitted.held_out)
    means = sums / np.bincount(inverse.reshape(-1))[:, None]
    return calibrated_cross_entropy(means, truth_index(cells[:, 1], names))


def complete_units(trials: TrialSet) -> TrialSet:
    """Keep the people who have trials of every class: what others differ in beside the classes could not be told.

    Examples
    --------
    >>> trials = TrialSet(np.zeros((3, 1, 1)), np.array(["x", "y", "x"]), np.array(["a", "a", "b"]),
    ...                   np.ones(3, dtype=int))
    >>> complete_units(trials).group.tolist()
    ['a', 'a']
    """
    classes = np.unique(trials.stimulus)
    whole = [unit for unit in np.unique(trials.group)
             if len(np.unique(trials.stimulus[trials.group == unit])) == len(classes)]  # fmt: skip
    return trials.select(np.isin(trials.group, whole))


def permuted_within_units(trials: TrialSet, generator: np.random.Generator) -> TrialSet:
    """Permute the labels among the trials of each unit.

    Examples
    --------
    >>> trials = TrialSet(np.zeros((4, 1, 1)), np.array(["x", "y", "z", "z"]), np.array(["a", "a", "b", "b"]),
    ...                   np.ones(4, dtype=int))
    >>> sorted(permuted_within_units(trials, np.random.default_rng(0)).stimulus[:2].tolist())
    ['x', 'y']
    """
    labels = trials.stimulus.copy()
    for unit in np.unique(trials.group):
        rows = np.flatnonzero(trials.group == unit)
        labels[rows] = generator.permutation(labels[rows])
    return TrialSet(trials.signals, labels, trials.group, trials.repetitions)


def _bins(rate: float, seconds: float, n_times: int) -> int:
    return int(np.clip(round(rate * seconds), 1, n_times))


def _in_order(
    classifier: LinearClassifier, signals: NDArray[np.float32], candidates: NDArray[np.str_]
) -> NDArray[np.float32]:
    columns = truth_index(candidates, np.array(classifier.classes))
    scores = classifier.score(signals)[:, columns]
    # Only differences count; single precision would lose them beside a large common part.
    return np.asarray(scores - scores.mean(axis=1, keepdims=True), dtype=np.float32)


def _rows(tables: RankingTables, retrieval: Retrieval, subject: str, fold: int) -> NDArray[np.float32]:
    here = (tables.queries_of(subject)["fold"] == fold).to_numpy()
    return np.asarray(tables.scores[retrieval.chosen[f"{subject}/{fold}"], subject][here], dtype=np.float32)
