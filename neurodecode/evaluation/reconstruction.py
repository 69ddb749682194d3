"""Reconstruction records: every condition in one table, every sample scored, with chance, null and interval."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.scores import Absent, Score, is_share
from neurodecode.evaluation.picture_metrics import (
    FeatureFunction,
    Way,
    feature_rows,
    pixcorr_pairs,
    ssim_pairs,
    two_way_pairs,
    unit_correlations,
    unit_rows,
)
from neurodecode.evaluation.pictures import CONDITIONS, Pictures
from neurodecode.evaluation.retrieval import Evaluation, PerModel, of_model
from neurodecode.evaluation.statistics import Outcomes, bootstrap_interval, null_point

#: From a subject, a condition, the pictures made and the pictures seen to the tables of pairs.
Compare = Callable[[str, str, NDArray[np.uint8], NDArray[np.uint8]], Mapping[str, NDArray[np.float64]]]


def pair_tables(
    made: NDArray[np.uint8],
    true: NDArray[np.uint8],
    features: Mapping[str, FeatureFunction],
    *,
    way: Way = "true_given_made",
    true_features: Mapping[str, NDArray[np.float64]] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Compute every metric for every pair of a made and a true picture, averaged over the samples.

    Parameters
    ----------
    made : NDArray of uint8, shape (n, n_samples, height, width, 3)
        What was made; all samples count, none is chosen.
    true : NDArray of uint8, shape (n, height, width, 3)
        What was seen.
    features : mapping from name to callable
        Each takes uint8 pictures ``(n, height, width, 3)`` and gives one row a picture.
    way : {"true_given_made", "made_given_true", "both"}
        See `two_way_pairs`.
    true_features : mapping from name to NDArray, optional
        Features of the true pictures as `neurodecode.evaluation.picture_metrics.unit_rows` gives them, if they are
        known already.

    Returns
    -------
    dict
        ``pixcorr``, ``ssim`` and ``two_way_<name>``, each ``(n, n)``: made in rows, true in columns.

    Examples
    --------
    >>> true = np.random.default_rng(0).integers(0, 256, (4, 12, 12, 3), dtype=np.uint8)
    >>> tables = pair_tables(true[:, None], true, {"pixels": lambda pictures: pictures.reshape(len(pictures), -1)})
    >>> tables["two_way_pixels"].diagonal().tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    known = true_features or _unit_features(true, features)
    tables: dict[str, NDArray[np.float64]] = {}
    for sample in range(made.shape[1]):
        pictures = made[:, sample]
        mine = {"pixcorr": pixcorr_pairs(pictures, true), "ssim": ssim_pairs(pictures, true)}
        for name, function in features.items():
            similarities = unit_correlations(unit_rows(feature_rows(pictures, function, name)), known[name])
            mine[f"two_way_{name}"] = two_way_pairs(similarities, way)
        for name, table in mine.items():
            tables[name] = tables.get(name, 0.0) + table / made.shape[1]
    return tables


def _unit_features(
    pictures: NDArray[np.uint8], features: Mapping[str, FeatureFunction]
) -> dict[str, NDArray[np.float64]]:
    return {name: unit_rows(feature_rows(pictures, function, name)) for name, function in features.items()}


def comparing(features: Mapping[str, FeatureFunction], way: Way = "true_given_made") -> Compare:
    """Give the function that computes `pair_tables` and remembers the features of each subject's true pictures.

    Parameters
    ----------
    features : mapping from name to callable
        Each takes uint8 pictures ``(n, height, width, 3)`` and gives one row a picture.
    way : {"true_given_made", "made_given_true", "both"}
        See `two_way_pairs`.
    """
    known: dict[str, tuple[NDArray[np.uint8], dict[str, NDArray[np.float64]]]] = {}

    def compare(
        subject: str, condition: str, made: NDArray[np.uint8], true: NDArray[np.uint8]
    ) -> dict[str, NDArray[np.float64]]:
        if subject not in known or known[subject][0] is not true:
            known[subject] = true, _unit_features(true, features)
        return pair_tables(made, true, features, way=way, true_features=known[subject][1])

    return compare


def evaluate_reconstruction(
    pictures: Sequence[Pictures],
    features: Mapping[str, FeatureFunction],
    *,
    protocol: PerModel,
    simulated: bool,
    seed: int,
    averaged: str = "",
    way: Way = "true_given_made",
    absent: Mapping[str, str] | None = None,
    compare: Compare | None = None,
    n_bootstrap: int = 2000,
    n_permutations: int = 2000,
) -> Evaluation:
    """Score all conditions of all subjects in one table.

    Chance is 0.5 for two-way identification and, for the others, the mean over all pairs of a made picture with another
    true one. The null pairs made and true pictures at random.

    Parameters
    ----------
    pictures : sequence of Pictures
        One entry a subject; every subject has the same conditions.
    features : mapping from name to callable
        Each takes uint8 pictures ``(n, height, width, 3)`` and gives one row a picture.
    protocol : str or mapping from condition to str
        The protocol label.
    simulated : bool
        Whether the recordings come from the simulator.
    seed : int
        Seed of bootstrap and permutations.
    averaged : str
        What was averaged in the brain data, such as ``signals x 20``; the samples drawn are added to it.
    way : {"true_given_made", "made_given_true", "both"}
        See `two_way_pairs`; written in the note.
    absent : mapping from condition to str, optional
        Conditions that were not made, with the reason. A condition that is neither made nor explained is an error.
    compare : callable, optional
        Computes the tables of pairs in place of ``comparing(features, way)``: one that keeps what it computed.
    n_bootstrap, n_permutations : int
        Number of draws.

    Returns
    -------
    Evaluation
        Scores with `model` naming the condition, and absent records.

    Raises
    ------
    DataError
        If a condition is missing without a reason, or subjects have different ones.
    """
    if not pictures:
        raise DataError("reconstruction: got no pictures")
    reasons = dict(absent or {})
    made = list(pictures[0].conditions)
    for entry in pictures:
        if set(entry.conditions) != set(made):
            raise DataError(f"reconstruction: {entry.subject} has other conditions than {pictures[0].subject}")
        if len(entry.stimuli) < 2:
            raise DataError(f"reconstruction: {entry.subject} has {len(entry.stimuli)} pictures, expected at least 2")
    missing = [name for name in CONDITIONS if name not in made and name not in reasons]
    if missing:
        raise DataError(f"reconstruction: condition {missing[0]!r} was not made and no reason says why")
    scores: list[Score] = []
    compared = comparing(features, way) if compare is None else compare
    for condition in [name for name in CONDITIONS if name in made]:
        tables = {
            entry.subject: compared(entry.subject, condition, entry.conditions[condition], entry.true)
            for entry in pictures
        }
        samples = {entry.conditions[condition].shape[1] for entry in pictures}
        text = f"scores x {min(samples)}" if len(samples) == 1 else f"scores x {min(samples)} to {max(samples)}"
        text = f"{averaged}; {text} samples" if averaged else f"{text} samples"
        for metric in tables[pictures[0].subject]:
            for subject in [*tables, "mean"]:
                members = [entry for entry in pictures if subject in (entry.subject, "mean")]
                found = _summary(
                    [tables[entry.subject][metric] for entry in members],
                    members,
                    metric,
                    seed,
                    n_bootstrap,
                    n_permutations,
                )
                scores.append(
                    Score(
                        metric=metric,
                        direction="image_given_brain" if is_share(metric) else "none",
                        **found,
                        n_queries=min(len(entry.stimuli) for entry in members),
                        n_candidates=min(len(entry.stimuli) for entry in members),
                        averaged=text,
                        subject=subject,
                        model=condition,
                        protocol=of_model(protocol, condition, "protocol"),
                        simulated=simulated,
                        note=CONDITIONS[condition] + (f"; {way}" if is_share(metric) else ""),
                    )
                )
    return Evaluation(
        scores, [Absent("all", name, "all", reason) for name, reason in reasons.items() if name not in made]
    )


def _summary(
    tables: Sequence[NDArray[np.float64]],
    members: Sequence[Pictures],
    metric: str,
    seed: int,
    n_bootstrap: int,
    n_permutations: int,
) -> dict[str, float]:
    """Compute value, interval, chance and null of one metric from its tables of pairs, one a subject."""
    outcomes = [
        Outcomes(table.diagonal().copy(), np.array(list(entry.stimuli)))
        for table, entry in zip(tables, members, strict=True)
    ]
    interval = bootstrap_interval(outcomes, seed=seed, n_draws=n_bootstrap, share=is_share(metric))
    nulls, chances = [], []
    for table in tables:
        n = len(table)
        order = np.random.default_rng([seed, 6]).permuted(np.tile(np.arange(n), (n_permutations, 1)), axis=1)
        nulls.append(table[np.arange(n), order].mean(axis=1))
        chances.append(0.5 if is_share(metric) else (table.sum() - np.trace(table)) / (n * (n - 1)))
    return {
        "value": interval.value,
        "low": interval.low,
        "high": interval.high,
        "chance": float(np.mean(chances)),
        "null_95": null_point(np.mean(nulls, axis=0), lower_is_better=False),
    }
