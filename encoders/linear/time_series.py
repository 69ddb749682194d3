"""Linear maps between time series with lags: backward from brain to features, forward from features to brain."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from neurodecode.core.errors import DataError

Floats = NDArray[np.float64]
Series = NDArray[np.floating]
#: Tried on validation, in units of the mean eigenvalue of the inputs' second moment.
PENALTIES = tuple(float(value) for value in np.logspace(-5, 3, 17))
CHUNK = 64


def lagged(series: Series, lags: Sequence[int], *, before: int = 0, n_times: int | None = None) -> Floats:
    """Put samples at several lags side by side.

    Parameters
    ----------
    series : array of shape (n, n_samples, dim)
        Its sample `before` is time 0 of the output.
    lags : sequence of int
        In samples: output time ``t`` gets the samples ``t + lag``. What lies outside is zero.
    before : int
        How many samples of context precede time 0.
    n_times : int, optional
        Length of the output; as many as follow `before` by default.

    Returns
    -------
    array of shape (n, n_times, len(lags) * dim), float64

    Examples
    --------
    >>> lagged(np.arange(4.0).reshape(1, 4, 1), [0, -1])[0].tolist()
    [[0.0, 0.0], [1.0, 0.0], [2.0, 1.0], [3.0, 2.0]]
    """
    n, n_samples, dim = series.shape
    length = n_samples - before if n_times is None else n_times
    output = np.zeros((n, length, len(lags), dim))
    for place, lag in enumerate(lags):
        first, last = before + lag, before + lag + length
        inner = slice(max(first, 0), min(last, n_samples))
        if inner.stop > inner.start:
            output[:, inner.start - first : inner.stop - first, place] = series[:, inner]
    return output.reshape(n, length, len(lags) * dim)


@dataclass(frozen=True)
class Coordinates:
    """Leading principal components of unit variance, as learnt from training samples.

    Parameters
    ----------
    mean : array of shape (dim,)
    directions : array of shape (dim, n_components)
        Divided by the standard deviations.

    Examples
    --------
    >>> values = np.random.default_rng(0).normal(size=(50, 20, 3)) * [3.0, 1.0, 0.1]
    >>> Coordinates.fit(values, 2)(values).std(axis=(0, 1)).round(2).tolist()
    [1.0, 1.0]
    """

    mean: Floats
    directions: Floats

    @classmethod
    def fit(cls, values: Series, n_components: int, *, whiten: float = 1.0, scale: bool = False) -> "Coordinates":
        """Learn from samples ``(n, n_times, dim)``.

        Parameters
        ----------
        values : array
            Training samples.
        n_components : int
            At most so many; directions without variance are left out.
        whiten : float
            1 gives all components unit variance, 0 leaves their variances as they are.
        scale : bool
            Whether every dimension is brought to unit variance first.
        """
        flat = np.asarray(values, dtype=np.float64).reshape(-1, values.shape[-1])
        mean = flat.mean(axis=0)
        spread = flat.std(axis=0) if scale else np.ones(len(mean))
        spread = np.where(spread > 0, spread, 1.0)
        covariance = np.cov(((flat - mean) / spread).T, bias=True).reshape(len(mean), len(mean))
        variances, vectors = np.linalg.eigh(covariance)
        order = np.argsort(variances)[::-1][:n_components]
        order = order[variances[order] > 1e-10 * variances[order[0]]]
        if not len(order) or variances[order[0]] <= 0:
            raise DataError("time series: the training samples do not vary")
        powers = np.sqrt(variances[order]) ** whiten
        return cls(mean, vectors[:, order] / powers / spread[:, None])

    def __call__(self, values: Series) -> Floats:
        """Give the coordinates of samples ``(n, n_times, dim)``."""
        return np.asarray((np.asarray(values, dtype=np.float64) - self.mean) @ self.directions)


@dataclass(frozen=True)
class LaggedRidge:
    """A ridge regression from lagged inputs to outputs, the same at every time.

    Parameters
    ----------
    lags : tuple of int
        See `lagged`.
    before : int
        Samples of context in front of the inputs.
    weights : array of shape (n_inputs, n_outputs)
    input_mean : array of shape (n_inputs,)
    output_mean : array of shape (n_outputs,)
    penalty : float
        In units of the mean eigenvalue.
    """

    lags: tuple[int, ...]
    before: int
    weights: Floats
    input_mean: Floats
    output_mean: Floats
    penalty: float

    def predict(self, inputs: Series, n_times: int) -> Floats:
        """Predict outputs ``(n, n_times, n_outputs)`` from inputs ``(n, before + n_times + after, dim)``."""
        parts = [
            (part - self.input_mean) @ self.weights + self.output_mean
            for part in _parts(inputs, self.lags, self.before, n_times)
        ]
        return np.concatenate(parts)


def fit_lagged_ridge(
    inputs: Series,
    outputs: Series,
    validation: tuple[Series, Series],
    *,
    lags: Sequence[int],
    before: int = 0,
    penalties: Sequence[float] = PENALTIES,
) -> LaggedRidge:
    """Fit on training windows; the penalty is that with the smallest squared error on validation windows.

    Only sums of products are kept, so the lagged inputs of a long recording are never held as a whole; himalaya's
    solvers would need them.

    Parameters
    ----------
    inputs : array of shape (n, before + n_times + after, dim)
        Training windows with their context.
    outputs : array of shape (n, n_times, n_outputs)
        What is predicted.
    validation : tuple of two arrays
        Inputs and outputs of validation windows.
    lags : sequence of int
        See `lagged`.
    before : int
        Samples of context before time 0 of the outputs.
    penalties : sequence of float
        Tried in units of the mean eigenvalue.

    Returns
    -------
    LaggedRidge

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> signal = generator.normal(size=(40, 30, 2))
    >>> delayed = lagged(signal, [-2])
    >>> model = fit_lagged_ridge(signal[:30], delayed[:30], (signal[30:], delayed[30:]), lags=[0, -1, -2])
    >>> np.abs(model.weights).round(1)[:, 0].tolist()
    [0.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    """
    n_times = outputs.shape[1]
    moments = _Moments(inputs, outputs, tuple(lags), before)
    check = _Moments(*validation, tuple(lags), before)
    gram, cross = moments.centred()
    values, vectors = scipy.linalg.eigh(gram)
    values = np.maximum(values, 0.0)
    unit = float(values.mean())
    if unit <= 0:
        raise DataError("time series: the training inputs do not vary")
    rotated = vectors.T @ cross
    best: tuple[float, float, Floats] | None = None
    for penalty in penalties:
        weights = vectors @ (rotated / (values + penalty * unit)[:, None])
        error = check.error(weights, moments.input_mean, moments.output_mean)
        if best is None or error < best[0]:
            best = error, penalty, weights
    if best is None:
        raise DataError("penalties: got none, expected at least one")
    if n_times != outputs.shape[1]:
        raise DataError("time series: training and validation windows differ in length")
    return LaggedRidge(tuple(lags), before, best[2], moments.input_mean, moments.output_mean, best[1])


class _Moments:
    """Sums of products of lagged inputs and outputs, collected some windows at a time."""

    def __init__(self, inputs: Series, outputs: Series, lags: tuple[int, ...], before: int) -> None:
        if len(inputs) != len(outputs) or not len(inputs):
            raise DataError(f"time series: {len(inputs)} windows of input, {len(outputs)} of output")
        size, n_outputs = len(lags) * inputs.shape[2], outputs.shape[2]
        self.gram, self.cross = np.zeros((size, size)), np.zeros((size, n_outputs))
        self.square = np.zeros(n_outputs)
        total, outcome, count = np.zeros(size), np.zeros(n_outputs), 0
        start = 0
        for part in _parts(inputs, lags, before, outputs.shape[1]):
            rows = part.reshape(-1, size)
            goal = np.asarray(outputs[start : start + len(part)], dtype=np.float64).reshape(-1, n_outputs)
            start += len(part)
            self.gram += rows.T @ rows
            self.cross += rows.T @ goal
            self.square += (goal**2).sum(axis=0)
            total += rows.sum(axis=0)
            outcome += goal.sum(axis=0)
            count += len(rows)
        self.count = count
        self.input_mean, self.output_mean = total / count, outcome / count

    def centred(self) -> tuple[Floats, Floats]:
        """Give second moments about the means, per sample."""
        gram = self.gram / self.count - np.outer(self.input_mean, self.input_mean)
        return gram, self.cross / self.count - np.outer(self.input_mean, self.output_mean)

    def error(self, weights: Floats, input_mean: Floats, output_mean: Floats) -> float:
        """Compute the mean squared error of a model here, relative to each output's variance, from the sums alone."""
        offset = output_mean - input_mean @ weights
        mean_square = self.square / self.count
        explained = np.einsum("io,io->o", weights, self.gram @ weights) / self.count
        shared = np.einsum("io,io->o", weights, self.cross) / self.count
        drift = self.input_mean @ weights
        error = mean_square - 2 * shared + explained + offset**2 + 2 * offset * (drift - self.output_mean)
        variance = np.maximum(mean_square - self.output_mean**2, 1e-12)
        return float((error / variance).mean())


def _parts(inputs: Series, lags: Sequence[int], before: int, n_times: int) -> Iterator[Floats]:
    for start in range(0, len(inputs), CHUNK):
        yield lagged(inputs[start : start + CHUNK], lags, before=before, n_times=n_times)
