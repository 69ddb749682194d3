"""Choosing a scoring rule for one model from held-out queries, with the plainest defence against luck."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurodecode.encoders.linear.selection import (
    Indices,
    best_temperature,
    per_query_cross_entropy,
    summary,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Choice:
    """The rule that was taken and what all rules reached.

    Parameters
    ----------
    name : str
        Chosen rule.
    table : dict of str to dict of str to float
        Figures of merit of every rule on the queries that chose.
    """

    name: str
    table: dict[str, dict[str, float]]


def choose(scores: Mapping[str, Floats], truth: Indices, preference: Sequence[str]) -> Choice:
    """Take the first rule in order of preference whose cross-entropy is within one standard error of the best.

    The cross-entropy is that of a softmax with the best temperature; the standard error is that of the paired
    difference over queries. With many queries this is the best rule, with few it is the preferred one unless another is
    clearly better.

    Parameters
    ----------
    scores : mapping of str to array of shape (n_queries, n_candidates)
    truth : array of int of shape (n_queries,)
    preference : sequence of str
        All names, most trusted first.

    Returns
    -------
    Choice

    Examples
    --------
    >>> truth = np.arange(30) % 6
    >>> right = 3 * np.eye(6)[truth] + np.random.default_rng(0).standard_normal((30, 6))
    >>> choose({"poor": np.zeros((30, 6)), "good": right}, truth, ["poor", "good"]).name
    'good'
    """
    losses = {
        name: per_query_cross_entropy(matrix * best_temperature(matrix, truth), truth)
        for name, matrix in scores.items()
    }
    best = min(losses, key=lambda name: float(losses[name].mean()))
    chosen = best
    for name in preference:
        difference = losses[name] - losses[best]
        error = float(difference.std()) / np.sqrt(max(len(difference) - 1, 1))
        if float(difference.mean()) <= error:
            chosen = name
            break
    return Choice(chosen, {name: summary(matrix, truth) for name, matrix in scores.items()})
