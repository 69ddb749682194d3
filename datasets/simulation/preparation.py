"""What a linear preprocessing does to the known responses and to the known noise.

Filtering and resampling act on time alone and are the same for every channel; a common reference acts on the channels
alone. So a prepared epoch is `space @ epoch @ time.T`, and the noise keeps its structure space x time. Both matrices
are found by pushing unit vectors through the very functions that prepare the data.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.datasets.preprocessing import Preprocessing, preprocess_array
from neurodecode.datasets.simulation.noise import autocovariance
from neurodecode.datasets.simulation.settings import WINDOW_DURATION, WINDOW_START
from neurodecode.datasets.simulation.truth import Truth

#: A continuous array (n_channels, n_samples) at a rate (Hz) becomes another at another rate.
Temporal = Callable[[NDArray[np.float64], float], tuple[NDArray[np.float64], float]]

#: Directions of the noise with less than this share of the greatest variance are dropped: rounding rules them.
RANK_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Prepared:
    """Responses and noise of one subject as they are after preprocessing.

    Attributes
    ----------
    topographies : array of shape (n_channels, n_sources), float64
        After the spatial step.
    timecourses : array of shape (n_sources, n_times), float64
        After the temporal step, cut to the window.
    noise_space : array of shape (n_channels, n_channels), float64
        Covariance of one trial over the channels.
    noise_time : array of shape (n_times, n_times), float64
        Covariance over time; the covariance of an epoch is the product of the two.
    """

    topographies: NDArray[np.float64]
    timecourses: NDArray[np.float64]
    noise_space: NDArray[np.float64]
    noise_time: NDArray[np.float64]

    def pick(self, rows: NDArray[np.int64]) -> "Prepared":
        """Keep some channels."""
        return replace(self, topographies=self.topographies[rows], noise_space=self.noise_space[np.ix_(rows, rows)])


def prepare(
    truth: Truth,
    temporal: Temporal | None = None,
    space: NDArray[np.float64] | None = None,
    *,
    start: float = WINDOW_START,
    duration: float = WINDOW_DURATION,
    baseline: tuple[float, float] | None = None,
    margin: float = 3.0,
) -> Prepared:
    """Push the known responses and the known noise through a preprocessing.

    Parameters
    ----------
    truth : Truth
        One subject.
    temporal : callable, optional
        Maps `(array of shape (n_channels, n_samples), rate)` to the same at another rate. It must be linear, treat all
        channels alike, be independent of the position in the run (up to the output grid), and keep the first sample in
        place. None: nothing is done.
    space : array of shape (n_channels_out, n_channels), optional
        The spatial step, such as `average_reference(n_channels)`. None: nothing is done.
    start, duration : float
        The window from the onset (s).
    baseline : tuple of float, optional
        Interval (s from the onset) whose mean is subtracted from each window. None: nothing is subtracted.
    margin : float
        Seconds of signal on either side of the window that may enter it through the filter.

    Returns
    -------
    Prepared
        Responses and noise.

    Raises
    ------
    DataError
        If the function is not linear.
    """
    topographies, noise_space = truth.topographies, truth.noise_space
    if space is not None:
        topographies, noise_space = space @ topographies, space @ noise_space @ space.T
    if truth.spectrum is None:
        return Prepared(topographies, truth.timecourses, noise_space, np.ones((1, 1)))
    operator, first = _time_operator(truth.sfreq, temporal, (start, duration), baseline, margin)
    n_samples = operator.shape[1]
    courses = np.zeros((len(truth.timecourses), n_samples))
    courses[:, -first : -first + truth.timecourses.shape[1]] = truth.timecourses[:, : n_samples + first]
    covariance = scipy.linalg.toeplitz(autocovariance(n_samples, truth.sfreq, truth.spectrum))
    return Prepared(topographies, courses @ operator.T, noise_space, operator @ covariance @ operator.T)


def _time_operator(
    sfreq: float,
    temporal: Temporal | None,
    window: tuple[float, float],
    baseline: tuple[float, float] | None,
    margin: float,
) -> tuple[NDArray[np.float64], int]:
    """Build the matrix from samples around an onset to the window, and say where its first column lies (samples)."""
    start, duration = window
    earliest = min(start, 0.0, 0.0 if baseline is None else baseline[0])
    # A whole number of seconds before the onset keeps the onset on the output grid, as it is in the data.
    before = int(np.ceil(margin - earliest)) * round(sfreq)
    after = round((start + duration + margin) * sfreq)
    n_samples = before + after
    identity = np.eye(n_samples)
    if temporal is None:
        prepared, rate = identity, sfreq
    else:
        prepared, rate = temporal(identity, sfreq)
        generator = np.random.default_rng(0)
        mixture = generator.standard_normal((1, n_samples))
        direct = temporal(mixture, sfreq)[0]
        if not np.allclose(direct, mixture @ prepared, atol=1e-4 * float(np.abs(direct).max())):
            raise DataError("temporal: expected a linear function that treats all channels alike")
    begin = round((before / sfreq + start) * rate)
    operator = np.asarray(prepared[:, begin : begin + round(duration * rate)].T, dtype=np.float64)
    if baseline is not None:
        first, last = (begin + round((edge - start) * rate) for edge in baseline)
        operator = operator - prepared[:, first:last].T.mean(axis=0)
    return operator, -before


def prepare_as(
    truth: Truth, settings: Preprocessing, sfreq: float | None, window: tuple[float, float] = (0.0, WINDOW_DURATION)
) -> Prepared:
    """Push the known responses and noise through the steps that a study's reader takes.

    Parameters
    ----------
    truth : Truth
        One subject.
    settings : Preprocessing
        The reader's filter, reference and baseline.
    sfreq : float or None
        Rate (Hz) that the reader resamples to; None if it does not.
    window : tuple of float
        First time and end of a window (s from the onset).

    Returns
    -------
    Prepared
        Responses and noise. Beta maps (fMRI) pass as they are.
    """
    if truth.spectrum is None:
        return prepare(truth)
    target = truth.sfreq if sfreq is None else sfreq
    reference = settings.reference
    only_time = replace(settings, reference=None)

    def temporal(signals: NDArray[np.float64], rate: float) -> tuple[NDArray[np.float64], float]:
        return preprocess_array(signals, rate, target, settings=only_time).astype(np.float64), target

    return prepare(
        truth,
        temporal,
        average_reference(len(truth.channels)) if reference == "average" else None,
        start=window[0],
        duration=window[1] - window[0],
        baseline=settings.baseline,
        # The filter that reaches farthest is a high-pass at 0.1 Hz: 3.3 periods long, to either side by half of that.
        margin=3.0 if settings.high_pass is None else 3.0 + 2.0 / settings.high_pass,
    )


def average_reference(n_channels: int) -> NDArray[np.float64]:
    """Build the matrix that subtracts the mean over the channels.

    Parameters
    ----------
    n_channels : int
        How many channels.

    Returns
    -------
    array of shape (n_channels, n_channels), float64
        The projector.

    Examples
    --------
    >>> average_reference(2).tolist()
    [[0.5, -0.5], [-0.5, 0.5]]
    """
    return np.eye(n_channels) - 1.0 / n_channels


def inverse_root(covariance: NDArray[np.float64], tolerance: float = RANK_TOLERANCE) -> NDArray[np.float64]:
    """Symmetric inverse square root of a covariance; directions without variance are projected out.

    Parameters
    ----------
    covariance : array of shape (n, n)
        Symmetric, positive semidefinite.
    tolerance : float
        Eigenvalues below this share of the greatest count as zero.

    Returns
    -------
    array of shape (n, n), float64
        The pseudo-inverse of the square root.

    Examples
    --------
    >>> inverse_root(np.diag([4.0, 0.0])).tolist()
    [[0.5, 0.0], [0.0, 0.0]]
    """
    values, vectors = np.linalg.eigh(covariance)
    kept = values > tolerance * values[-1]
    root: NDArray[np.float64] = (vectors[:, kept] / np.sqrt(values[kept])) @ vectors[:, kept].T
    return root


def both_sides(
    space: NDArray[np.float64], epochs: NDArray[np.float64], time: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Multiply every epoch by a matrix over channels and a symmetric one over times.

    Parameters
    ----------
    space : array of shape (n_channels_out, n_channels)
        Over the channels.
    epochs : array of shape (n_epochs, n_channels, n_times)
        Signals.
    time : array of shape (n_times, n_times)
        Over the times.

    Returns
    -------
    array of shape (n_epochs, n_channels_out, n_times), float64
        `space @ epoch @ time`.

    Examples
    --------
    >>> both_sides(2 * np.eye(2), np.ones((3, 2, 1)), np.ones((1, 1))).shape
    (3, 2, 1)
    """
    # One large product over the channels, not a small one an epoch: volumes have thousands of channels and one time.
    mixed = np.tensordot(epochs @ time, space, axes=(1, 1))
    swapped: NDArray[np.float64] = np.ascontiguousarray(mixed.transpose(0, 2, 1))
    return swapped


@dataclass(frozen=True, eq=False)
class Whitened:
    """The known responses in units of the noise, and the way to bring data there.

    Attributes
    ----------
    basis : array of shape (n_sources, n_outputs), float64
        The response of each source at activation one, flattened over channel and time.
    noise_variance : array of shape (n_outputs,), float64
        Variance of one trial's noise; one unless the preprocessing lowers the rank.
    space, time : arrays of shape (n_channels, n_channels) and (n_times, n_times), float64
        The whitening matrices.
    """

    basis: NDArray[np.float64]
    noise_variance: NDArray[np.float64]
    space: NDArray[np.float64]
    time: NDArray[np.float64]

    def apply(self, epochs: NDArray[np.floating]) -> NDArray[np.float64]:
        """Whiten epochs.

        Parameters
        ----------
        epochs : array of shape (n_epochs, n_channels, n_times)
            Prepared signals in the units of the truth.

        Returns
        -------
        array of shape (n_epochs, n_channels * n_times), float64
            The same in units of the noise.

        Raises
        ------
        DataError
            If channels or times do not fit the truth.
        """
        expected = (len(self.space), len(self.time))
        if epochs.ndim != 3 or epochs.shape[1:] != expected:
            raise DataError(f"epochs: expected (n_epochs, {expected[0]}, {expected[1]}), got {epochs.shape}")
        return both_sides(self.space, np.asarray(epochs, dtype=np.float64), self.time).reshape(len(epochs), -1)


def whiten(prepared: Prepared) -> Whitened:
    """Whiten responses by the true covariance of the noise.

    Parameters
    ----------
    prepared : Prepared
        Responses and noise after preprocessing.

    Returns
    -------
    Whitened
        Responses in units of the noise.

    Examples
    --------
    >>> prepared = Prepared(np.array([[2.0]]), np.array([[1.0, 3.0]]), np.array([[4.0]]), np.eye(2))
    >>> whiten(prepared).basis.tolist()
    [[1.0, 3.0]]
    """
    space, time = inverse_root(prepared.noise_space), inverse_root(prepared.noise_time)
    basis = np.einsum("cs,st->sct", space @ prepared.topographies, prepared.timecourses @ time)
    # With full rank the whitened noise has unit variance; without, its covariance is a projector.
    over_channels = ((space @ prepared.noise_space) * space).sum(axis=1)
    over_times = ((time @ prepared.noise_time) * time).sum(axis=1)
    return Whitened(basis.reshape(len(basis), -1), np.outer(over_channels, over_times).ravel(), space, time)
