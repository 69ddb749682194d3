"""Figures of merit by which validation chooses: smooth ones, since a small gallery saturates top-k.

All take a score matrix (n_queries, n_candidates), larger is better, and the index of the right candidate of each query.
"""

import numpy as np
import scipy.optimize
import scipy.special
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.encoders.linear.trials import Strings

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


def truth_index(stimulus: Strings, candidates: Strings) -> Indices:
    """Position of each query's stimulus among the candidates' names.

    Raises
    ------
    DataError
        If a stimulus is not a candidate, or a candidate is named twice.

    Examples
    --------
    >>> truth_index(np.array(["b", "a"]), np.array(["a", "b"]))
    array([1, 0])
    """
    names, first = np.unique(candidates, return_index=True)
    if len(names) != len(candidates):
        raise DataError(f"candidates: got {len(candidates)} rows with {len(names)} names, expected unique names")
    place = np.minimum(np.searchsorted(names, stimulus), len(names) - 1)
    missing = names[place] != stimulus
    if missing.any():
        raise DataError(f"stimulus {stimulus[missing][0]!r} is not among the {len(candidates)} candidates")
    return first[place].astype(np.intp)


def ranks(scores: Floats, truth: Indices) -> Floats:
    """Rank of the right candidate, 1 the best; ties get their mean rank, so a constant scores chance.

    Examples
    --------
    >>> ranks(np.array([[0.1, 0.9], [0.5, 0.5]]), np.array([1, 0]))
    array([1. , 1.5])
    """
    right = scores[np.arange(len(scores)), truth][:, None]
    return np.asarray(1 + (scores > right).sum(axis=1) + ((scores == right).sum(axis=1) - 1) / 2, dtype=np.float64)


def mean_reciprocal_rank(scores: Floats, truth: Indices) -> float:
    """Mean over queries of one over the rank of the right candidate."""
    return float((1 / ranks(scores, truth)).mean())


def top_k(scores: Floats, truth: Indices, k: int) -> float:
    """Compute the share of queries whose right candidate is among the best k, ties broken at random.

    Raises
    ------
    DataError
        If k is not below the number of candidates.

    Examples
    --------
    >>> top_k(np.zeros((5, 4)), np.arange(4).repeat(2)[:5], 1)
    0.25
    """
    if not 1 <= k < scores.shape[1]:
        raise DataError(f"k: got {k}, expected at least 1 and below the {scores.shape[1]} candidates")
    right = scores[np.arange(len(scores)), truth][:, None]
    better = (scores > right).sum(axis=1)
    tied = (scores == right).sum(axis=1)
    return float(np.clip((k - better) / tied, 0, 1).mean())


def per_query_cross_entropy(scores: Floats, truth: Indices) -> Floats:
    """Minus the log of the softmax probability of the right candidate, for each query, in nats."""
    return np.asarray(-scipy.special.log_softmax(scores, axis=1)[np.arange(len(scores)), truth], dtype=np.float64)


def best_temperature(scores: Floats, truth: Indices) -> float:
    """Factor on the scores that minimises the cross-entropy; 0 when the scores say nothing (chance)."""
    spread = float(np.std(scores - scores.mean(axis=1, keepdims=True)))
    if spread == 0 or not np.isfinite(spread):
        return 0.0

    def loss(log_factor: float) -> float:
        return float(per_query_cross_entropy(scores * (np.exp(log_factor) / spread), truth).mean())

    found = scipy.optimize.minimize_scalar(loss, bounds=(-6.0, 6.0), method="bounded")
    if found.fun >= np.log(scores.shape[1]):
        return 0.0
    return float(np.exp(found.x) / spread)


def calibrated_cross_entropy(scores: Floats, truth: Indices) -> float:
    """Cross-entropy in nats after the best temperature; at most the log of the number of candidates.

    A monotone measure of how well the right candidate is separated, comparable between rules of different scales.

    Examples
    --------
    >>> scores = np.random.default_rng(0).standard_normal((50, 10)) + 5 * np.eye(10)[np.arange(50) % 10]
    >>> calibrated_cross_entropy(scores, np.arange(50) % 10) < 0.3
    True
    """
    return float(per_query_cross_entropy(scores * best_temperature(scores, truth), truth).mean())


def summary(scores: Floats, truth: Indices) -> dict[str, float]:
    """Cross-entropy, mean reciprocal rank and the top-k that the number of candidates allows."""
    found = {
        "cross_entropy": calibrated_cross_entropy(scores, truth),
        "mean_reciprocal_rank": mean_reciprocal_rank(scores, truth),
    }
    for k in (1, 5):
        if k < scores.shape[1]:
            found[f"top{k}"] = top_k(scores, truth, k)
    return found
