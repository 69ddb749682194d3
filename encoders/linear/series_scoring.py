"""How well a predicted time series fits each candidate: correlation, likelihood, density ratio, as validation says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from neurodecode.core.errors import DataError

Floats = NDArray[np.float64]
Rule = Literal["correlation", "space", "space_time"]
RULES: tuple[Rule, ...] = ("correlation", "space", "space_time")
#: Pull of a temporal covariance towards independent samples, so that its inverse is tame.
TEMPORAL_RIDGE = 0.01


@dataclass(frozen=True)
class SeriesNoise:
    """Gaussian noise of a time series whose covariance is a product of one over dimensions and one over time.

    Parameters
    ----------
    space : array of shape (dim, dim)
        Whitens over dimensions: ``series @ space``.
    time : array of shape (n_times, n_times)
        Whitens over time: ``time @ series``.
    """

    space: Floats
    time: Floats

    @classmethod
    def fit(cls, residuals: Floats, *, temporal: bool) -> "SeriesNoise":
        """Estimate from residuals ``(n, n_times, dim)``; the mean is taken to be zero.

        Parameters
        ----------
        residuals : array
            Of windows that the model was not fitted on.
        temporal : bool
            Whether samples may depend on each other: their autocovariance, averaged over whitened dimensions, is then
            taken as stationary.

        Examples
        --------
        >>> noise = np.random.default_rng(0).normal(size=(100, 20, 2)) * [2.0, 1.0]
        >>> SeriesNoise.fit(noise, temporal=False)(noise).std(axis=(0, 1)).round(1).tolist()
        [1.0, 1.0]
        """
        _, n_times, dim = residuals.shape
        flat = residuals.reshape(-1, dim)
        covariance = flat.T @ flat / len(flat)
        covariance += 1e-3 * np.trace(covariance) / dim * np.eye(dim)
        space = scipy.linalg.inv(scipy.linalg.cholesky(covariance, lower=True)).T
        if not temporal:
            return cls(space, np.eye(n_times))
        white = residuals @ space
        # Through the spectrum of the padded series: all lags at once.
        spectrum = np.abs(np.fft.rfft(white, 2 * n_times, axis=1)) ** 2
        sums = np.fft.irfft(spectrum.mean(axis=(0, 2)), 2 * n_times)[:n_times]
        # Divided by the number of samples and not of pairs: such an estimate is never indefinite.
        autocovariance = sums / n_times
        autocovariance[0] *= 1 + TEMPORAL_RIDGE
        toeplitz = scipy.linalg.toeplitz(autocovariance)
        time = scipy.linalg.inv(scipy.linalg.cholesky(toeplitz, lower=True))
        return cls(space, time)

    def __call__(self, series: Floats) -> Floats:
        """Whiten series ``(n, n_times, dim)``."""
        return np.asarray(self.time @ (series @ self.space))


def correlation_scores(answers: Floats, candidates: Floats) -> Floats:
    """Correlate each answer with each candidate over times and dimensions together.

    Parameters
    ----------
    answers : array of shape (n, n_times, dim)
    candidates : array of shape (m, n_times, dim)
        Each series is centred over time first, so that a constant level counts for nothing.

    Returns
    -------
    array of shape (n, m)
    """
    return np.asarray(_unit(answers) @ _unit(candidates).T)


def _unit(series: Floats) -> Floats:
    flat = (series - series.mean(axis=1, keepdims=True)).reshape(len(series), -1)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-300))


def likelihood_scores(measured: Floats, predicted: Floats, noise: SeriesNoise) -> Floats:
    """Log likelihood ratio of each measured series under each candidate's prediction, against none at all.

    Parameters
    ----------
    measured : array of shape (n, n_times, dim)
    predicted : array of shape (m, n_times, dim)
    noise : SeriesNoise
        Of what the prediction leaves.

    Returns
    -------
    array of shape (n, m)
        Comparable along both axes.
    """
    left, right = (noise(values).reshape(len(values), -1) for values in (measured, predicted))
    return np.asarray(left @ right.T - 0.5 * (right**2).sum(axis=1))


def density_ratio_scores(predicted: Floats, candidates: Floats, residual: SeriesNoise, prior: SeriesNoise) -> Floats:
    """Log ratio of a candidate's density given the prediction to its density among all stimuli.

    Parameters
    ----------
    predicted : array of shape (n, n_times, dim)
        What was decoded.
    candidates : array of shape (m, n_times, dim)
        The candidates' own series, centred on the mean of the training stimuli.
    residual : SeriesNoise
        Of candidates around their predictions.
    prior : SeriesNoise
        Of stimuli.

    Returns
    -------
    array of shape (n, m)
    """
    left, right = (residual(values).reshape(len(values), -1) for values in (predicted, candidates))
    free = prior(candidates).reshape(len(candidates), -1)
    distance = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2 * left @ right.T
    return np.asarray(0.5 * (free**2).sum(axis=1) - 0.5 * distance)


def mean_reciprocal_rank(scores: Floats) -> float:
    """Compute the mean reciprocal rank of the diagonal; ties share their mean rank.

    Examples
    --------
    >>> mean_reciprocal_rank(np.eye(3))
    1.0
    """
    right = np.diag(scores)[:, None]
    ranks = 1 + (scores > right).sum(axis=1) + 0.5 * ((scores == right).sum(axis=1) - 1)
    return float((1 / ranks).mean())


#: From windows to fit noise on, windows to score and a rule to scores of the second part's queries.
Scorer = Callable[[NDArray[np.int64], NDArray[np.int64], Rule], Floats]


def choose_rule(score: Scorer, units: NDArray[np.str_]) -> tuple[Rule, dict[str, float]]:
    """Choose the scoring rule on validation windows, noise being estimated on one half and scores on the other.

    Parameters
    ----------
    score : callable
        See `Scorer`; gives scores ``(n_queries, n_queries)`` of the second part among themselves.
    units : array of str, shape (n_windows,)
        What may not be in both halves.

    Returns
    -------
    rule : str
        One of `RULES`.
    found : dict of str to float
        Mean reciprocal rank of each.
    """
    halves = split_halves(units)
    found: dict[str, float] = {
        rule: float(np.mean([mean_reciprocal_rank(score(halves[1 - side], halves[side], rule)) for side in (0, 1)]))
        for rule in RULES
    }
    return max(RULES, key=lambda rule: found[rule]), found


def split_halves(units: NDArray[np.str_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Deal windows into two halves that share no unit.

    Examples
    --------
    >>> [half.tolist() for half in split_halves(np.array(["a", "b", "a", "c"]))]
    [[0, 2, 3], [1]]
    """
    names, codes = np.unique(units, return_inverse=True)
    if len(names) < 2:
        raise DataError(f"validation: {len(names)} unit, expected at least two")
    return np.flatnonzero(codes % 2 == 0), np.flatnonzero(codes % 2 == 1)


def best_member(scores: Mapping[str, Floats]) -> str:
    """Name the model with the highest mean reciprocal rank on validation scores; the first of equals."""
    return max(scores, key=lambda name: mean_reciprocal_rank(scores[name]))
