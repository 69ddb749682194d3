"""Ridge regression from windows of many single words to the words' vectors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from neurodecode.encoders.linear.time_series import Coordinates

Floats = NDArray[np.float64]
Vectors = Mapping[str, NDArray[np.float32]]
SENSOR_COMPONENTS = 48
#: Most values of a window after its times were averaged in bins.
MOST_VALUES = 2000
PENALTIES = tuple(10.0**power for power in range(1, 7))


@dataclass(frozen=True)
class WordRidge:
    """A fitted map.

    Parameters
    ----------
    sensors : Coordinates
        Components of the sensors.
    bins : int
        Number of bins that the times are averaged in.
    mean, spread : ndarray
        Of the values of a window.
    weights : ndarray
        From values to the targets' components, all layers side by side.
    centres : mapping of str to ndarray
        Mean target of the training windows, by layer.
    penalty : float
        That was chosen.
    """

    sensors: Coordinates
    bins: int
    mean: Floats
    spread: Floats
    weights: Floats
    centres: Mapping[str, NDArray[np.float32]]
    penalty: float

    def score(self, signals: NDArray[np.float32], candidates: Vectors) -> Floats:
        """Correlate what is predicted for each window with every candidate, ``(n_windows, n_candidates)``."""
        predicted = (_values(signals, self.sensors, self.bins) - self.mean) / self.spread @ self.weights
        return _unit(predicted) @ _unit(_side_by_side(candidates, self.centres)).T


def fit_word_ridge(
    signals: NDArray[np.float32],
    targets: Vectors,
    validation: NDArray[np.float32],
    merit: Callable[[Floats], float],
    gallery: Vectors,
) -> WordRidge:
    """Fit on training windows; take the penalty with the best merit on validation windows.

    Parameters
    ----------
    signals : ndarray of float32, shape (n_windows, n_channels, n_times)
        Training windows.
    targets : mapping of str to ndarray, shape (n_windows, dim)
        What they are to predict, by layer.
    validation : ndarray of float32
        Windows of other sentences.
    merit : callable
        From their scores ``(n_validation, n_gallery)`` to a number, the larger the better.
    gallery : mapping of str to ndarray, shape (n_gallery, dim)
        The words that validation ranks.

    Returns
    -------
    WordRidge

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> words = generator.normal(size=(6, 3)).astype(np.float32)
    >>> which = generator.integers(6, size=80)
    >>> windows = (words[which] @ generator.normal(size=(3, 20))).reshape(80, 4, 5).astype(np.float32)
    >>> def right(scores: Floats) -> float:
    ...     return float((scores.argmax(axis=1) == which[60:]).mean())
    >>> fitted = fit_word_ridge(windows[:60], {"x": words[which[:60]]}, windows[60:], right, {"x": words})
    >>> right(fitted.score(windows[60:], {"x": words}))
    1.0
    """
    with threadpool_limits(limits=1, user_api="blas"):
        sensors = Coordinates.fit(np.swapaxes(signals, 1, 2), SENSOR_COMPONENTS)
        n_components = sensors.directions.shape[1]
        bins = max(1, min(signals.shape[2], MOST_VALUES // n_components))
        values = _values(signals, sensors, bins)
        mean, spread = values.mean(axis=0), values.std(axis=0)
        spread = np.where(spread > 0, spread, 1.0)
        values = (values - mean) / spread
        centres = {name: np.asarray(rows, dtype=np.float32).mean(axis=0) for name, rows in targets.items()}
        goal = _side_by_side(targets, centres)
        eigenvalues, vectors = np.linalg.eigh(values.T @ values)
        rotated = vectors.T @ (values.T @ goal)
        found: list[tuple[float, WordRidge]] = []
        asked = (_values(validation, sensors, bins) - mean) / spread @ vectors
        sides = _unit(_side_by_side(gallery, centres))
        for penalty in PENALTIES:
            inner = rotated / (np.maximum(eigenvalues, 0.0) + penalty)[:, None]
            reached = merit(_unit(asked @ inner) @ sides.T)
            found.append((reached, WordRidge(sensors, bins, mean, spread, vectors @ inner, centres, penalty)))
    return max(found, key=lambda pair: pair[0])[1]


def _values(signals: NDArray[np.float32], sensors: Coordinates, bins: int) -> Floats:
    """Average components of the sensors over bins of the time, ``(n_windows, bins * n_components)``."""
    edges = np.linspace(0, signals.shape[2], bins + 1).round().astype(int)
    binned = np.stack([signals[:, :, a:b].mean(axis=2) for a, b in pairwise(edges)], axis=1)
    return sensors(binned).reshape(len(signals), -1)


def _side_by_side(vectors: Vectors, centres: Mapping[str, NDArray[np.float32]]) -> Floats:
    return np.concatenate([np.asarray(vectors[name], dtype=np.float64) - centres[name] for name in centres], axis=1)


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), dtype=np.float64)
