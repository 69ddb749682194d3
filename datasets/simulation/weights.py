"""The weights from features to sources, with a part that all subjects share."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neurodecode.datasets.simulation.settings import EVOKED, SUBJECT_SPREAD


def weight_variances(layers: Sequence[str], source_layers: Sequence[str]) -> NDArray[np.float64]:
    """Variance of the weight from every feature to every source.

    A source follows the features of its own layer only, each with variance `1 / n_components`, so that its activation
    has unit variance over unit-variance features. The weight of the evoked response has variance one.

    Parameters
    ----------
    layers : sequence of str
        The layer of each feature.
    source_layers : sequence of str
        The layer that each source follows.

    Returns
    -------
    array of shape (n_features, n_sources), float64
        The variances.

    Examples
    --------
    >>> weight_variances(["a", "a", "b"], ["a", "b"]).tolist()
    [[0.5, 0.0], [0.5, 0.0], [0.0, 1.0]]
    """
    same = np.equal.outer(np.array(layers, dtype=np.str_), np.array(source_layers, dtype=np.str_)).astype(np.float64)
    counts = same.sum(axis=0, keepdims=True)
    variances: NDArray[np.float64] = same / np.maximum(counts, 1.0)
    return variances


def draw_weights(
    variances: NDArray[np.float64],
    source_layers: Sequence[str],
    shared: np.random.Generator,
    own: np.random.Generator,
    spread: float = SUBJECT_SPREAD,
) -> NDArray[np.float64]:
    """Draw one subject's weights: `sqrt(1 - spread) * common + sqrt(spread) * own`, times the standard deviation.

    The evoked response is the same for all subjects up to its own part, and its common part is one, not random, so
    that no subject goes without it.

    Parameters
    ----------
    variances : array of shape (n_features, n_sources)
        From `weight_variances`.
    source_layers : sequence of str
        The layer that each source follows.
    shared : numpy.random.Generator
        In the same state for all subjects of a study.
    own : numpy.random.Generator
        The subject's.
    spread : float
        Share of the variance that is the subject's own.

    Returns
    -------
    array of shape (n_features, n_sources), float64
        The weights.

    Examples
    --------
    >>> variances = np.full((1000, 2), 0.25)
    >>> new = np.random.default_rng
    >>> drawn = [draw_weights(variances, ["a", "a"], new(0), new(number)).ravel() for number in (1, 2)]
    >>> round(float(np.corrcoef(*drawn)[0, 1]), 1)
    0.7
    """
    common = shared.standard_normal(variances.shape)
    common[:, np.array([layer == EVOKED for layer in source_layers], dtype=bool)] = 1.0
    mixed = np.sqrt(1.0 - spread) * common + np.sqrt(spread) * own.standard_normal(variances.shape)
    drawn: NDArray[np.float64] = np.sqrt(variances) * mixed
    return drawn
