"""Weighted sums of score matrices, with weights that validation chose."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.optimize
import scipy.special
from numpy.typing import NDArray

from neurodecode.core.errors import MismatchError
from neurodecode.encoders.linear.selection import Indices

Floats = NDArray[np.float64]

# A weak pull towards equal weights: with few validation queries several weightings are equally good.
PULL_TO_EQUAL = 0.02


def standardise(scores: Floats) -> Floats:
    """Z-score each query's scores over its candidates; a query with constant scores becomes zeros.

    Each query is treated on its own, so adding or removing other queries changes nothing.

    Examples
    --------
    >>> standardise(np.array([[1.0, 3.0], [2.0, 2.0]]))
    array([[-1.,  1.],
           [ 0.,  0.]])
    """
    centred = scores - scores.mean(axis=1, keepdims=True)
    spread = centred.std(axis=1, keepdims=True)
    flat = spread <= 1e-12 * np.abs(scores).max(axis=1, keepdims=True)
    return np.asarray(np.where(flat, 0.0, centred / np.where(flat, 1.0, spread)), dtype=np.float64)


@dataclass(frozen=True)
class Fusion:
    """Weights of the members of a fused ranking; all members' scores are standardised over each query's candidates.

    Parameters
    ----------
    weights : dict of str to float
        Non-negative. Their sum is the sharpness of the softmax that fitted validation, and does not affect ranks.
    """

    weights: dict[str, float]

    def apply(self, scores: Mapping[str, Floats]) -> Floats:
        """Fused scores (n_queries, n_candidates).

        Raises
        ------
        MismatchError
            If a member with a weight is missing.
        """
        missing = [name for name in self.weights if name not in scores]
        if missing:
            raise MismatchError(f"scores to fuse: {missing[0]!r} is missing, expected {sorted(self.weights)}")
        return np.asarray(sum(weight * standardise(scores[name]) for name, weight in self.weights.items()))


def fit_fusion(scores: Mapping[str, Floats], truth: Indices) -> Fusion:
    """Find the weights under which a softmax of the fused scores makes the right candidates likeliest.

    Minimises the mean cross-entropy over validation queries (multinomial logistic regression with one non-negative
    coefficient a member), which is convex, plus a weak pull towards equal weights.

    Parameters
    ----------
    scores : mapping of str to array of shape (n_queries, n_candidates)
        Scores of validation queries by each member.
    truth : array of int of shape (n_queries,)
        Index of the right candidate.

    Returns
    -------
    Fusion

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> truth = np.arange(40) % 8
    >>> good = 2 * np.eye(8)[truth] + generator.standard_normal((40, 8))
    >>> weights = fit_fusion({"good": good, "noise": generator.standard_normal((40, 8))}, truth).weights
    >>> weights["good"] > 4 * weights["noise"]
    True
    """
    names = sorted(scores)
    stack = np.stack([standardise(scores[name]) for name in names])
    rows = np.arange(stack.shape[1])

    def loss(weights: Floats) -> tuple[float, Floats]:
        log_probability = scipy.special.log_softmax(np.tensordot(weights, stack, axes=1), axis=1)
        difference = np.exp(log_probability)
        difference[rows, truth] -= 1
        gradient = np.tensordot(stack, difference, axes=([1, 2], [0, 1])) / len(rows)
        uneven = weights - weights.mean()
        value = -log_probability[rows, truth].mean() + PULL_TO_EQUAL / 2 * float(uneven @ uneven)
        return float(value), np.asarray(gradient + PULL_TO_EQUAL * uneven)

    start = np.full(len(names), 1.0 / len(names))
    found = scipy.optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * len(names))
    return Fusion({name: float(weight) for name, weight in zip(names, found.x, strict=True)})
