"""Preprocessing that sees no split and no label: filters, references, resampling and baselines of a recording.

Every function is linear and, away from the ends, the same at every time, so that a noise model pushed through it
stays a noise model: the simulator computes its ceilings with these very functions.
"""

from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError, DataError

# Half length of the anti-aliasing filter in samples of the coarser rate, and the shape of its Kaiser window.
RESAMPLING_HALF_LENGTH = 10
RESAMPLING_KAISER = 5.0
LARGEST_FACTOR = 1000


@dataclass(frozen=True)
class Preprocessing:
    """What is done to a continuous recording before windows are cut.

    Parameters
    ----------
    high_pass, low_pass : float, optional
        Edges of a zero-phase finite impulse response filter in Hz (MNE's design: Hamming window, transition bands
        chosen from the edges); none means that the side stays as recorded.
    reference : str, optional
        ``average`` subtracts the mean over the electrodes at every sample; None leaves the reference as recorded.
    baseline : tuple of float, optional
        Interval in seconds around the onset whose mean is subtracted from each window and channel.

    Examples
    --------
    >>> Preprocessing(high_pass=0.1).describe()["high_pass"]
    0.1
    """

    high_pass: float | None = None
    low_pass: float | None = None
    reference: Literal["average"] | None = None
    baseline: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.reference not in (None, "average"):
            raise ConfigError(f"reference: got {self.reference!r}, expected average or nothing")
        if self.high_pass is not None and self.low_pass is not None and self.high_pass >= self.low_pass:
            raise ConfigError(
                f"high_pass: got {self.high_pass:g} Hz, expected less than low_pass ({self.low_pass:g} Hz)"
            )
        if self.baseline is not None and self.baseline[0] >= self.baseline[1]:
            raise ConfigError(f"baseline: got {self.baseline[0]:g} to {self.baseline[1]:g} s, expected an interval")

    def describe(self) -> dict[str, Any]:
        """Give plain values for the cache's fingerprint, with what is fixed in this module."""
        return {
            **asdict(self),
            "resampling": f"polyphase, Kaiser {RESAMPLING_KAISER:g}, half length {RESAMPLING_HALF_LENGTH}",
        }


def preprocess_array(
    data: NDArray[np.floating[Any]],
    sfreq_in: float,
    sfreq_out: float | None = None,
    *,
    settings: Preprocessing | None = None,
) -> NDArray[np.float32]:
    """Filter, re-reference and resample one continuous stretch; the baseline of `settings` belongs to windows.

    Parameters
    ----------
    data : ndarray, shape (n_channels, n_samples)
        Continuous signals; all channels share the reference.
    sfreq_in : float
        Sampling rate of `data` in Hz.
    sfreq_out : float, optional
        Wanted rate in Hz; the same by default.
    settings : Preprocessing, optional
        Filter and reference; by default there is neither, and the function only resamples.

    Returns
    -------
    ndarray of float32, shape (n_channels, ceil(n_samples * sfreq_out / sfreq_in))
        In the unit of `data`; sample k lies at ``k / sfreq_out`` seconds from the first sample of `data`.

    Raises
    ------
    ConfigError
        If a filter edge is not below half the sampling rate, or the rates have no common grid.

    Examples
    --------
    >>> time = np.arange(1000) / 250
    >>> slow = preprocess_array(np.sin(2 * np.pi * 3 * time)[None], 250.0, 50.0)
    >>> bool(np.allclose(slow[0, 20:-20], np.sin(2 * np.pi * 3 * np.arange(200) / 50)[20:-20], atol=1e-2))
    True
    """
    settings = settings or Preprocessing()
    if settings.high_pass is not None or settings.low_pass is not None:
        data = band_pass(data, sfreq_in, settings.high_pass, settings.low_pass)
    if settings.reference == "average":
        data = data - data.mean(axis=0, keepdims=True, dtype=np.float64)
    return resample(np.asarray(data, dtype=np.float32), sfreq_in, sfreq_in if sfreq_out is None else sfreq_out)


def band_pass(
    data: NDArray[np.floating[Any]], sfreq: float, high_pass: float | None, low_pass: float | None
) -> NDArray[np.float64]:
    """Filter with MNE's zero-phase finite impulse response filter.

    Parameters
    ----------
    data : ndarray, shape (n_channels, n_samples)
        Continuous signals.
    sfreq : float
        Sampling rate in Hz.
    high_pass, low_pass : float or None
        Edges of the pass band in Hz.

    Returns
    -------
    ndarray of float64, shape (n_channels, n_samples)
        The filtered signals.

    Raises
    ------
    ConfigError
        If an edge does not lie between zero and half the sampling rate.

    Examples
    --------
    >>> band_pass(np.ones((1, 2000)), 100.0, 1.0, 30.0).shape
    (1, 2000)
    """
    import mne

    for name, edge in (("high_pass", high_pass), ("low_pass", low_pass)):
        if edge is not None and not 0 < edge < sfreq / 2:
            raise ConfigError(
                f"{name}: got {edge:g} Hz, expected between 0 and {sfreq / 2:g} Hz, half the sampling rate"
            )
    filtered: NDArray[np.float64] = mne.filter.filter_data(
        np.asarray(data, dtype=np.float64), sfreq, high_pass, low_pass, verbose="error"
    )
    return filtered


def resample(data: NDArray[np.float32], sfreq_in: float, sfreq_out: float) -> NDArray[np.float32]:
    """Resample with a polyphase anti-aliasing filter, in single precision.

    MNE's own resampling needs double precision and takes four to six times as long; this is the SciPy function that
    it wraps. Its filter reaches ``10 / min(rate)`` seconds to each side, so the response stays local.

    Parameters
    ----------
    data : ndarray of float32, shape (n_channels, n_samples)
        Continuous signals.
    sfreq_in, sfreq_out : float
        Rates in Hz; their ratio must be one of integers up to 1000.

    Returns
    -------
    ndarray of float32, shape (n_channels, ceil(n_samples * sfreq_out / sfreq_in))
        The resampled signals; `data` itself when the rates are equal.

    Raises
    ------
    ConfigError
        If a rate is not positive or the ratio is not rational.

    Examples
    --------
    >>> resample(np.ones((2, 500), dtype=np.float32), 250.0, 100.0).shape
    (2, 200)
    """
    up, down = resampling_factors(sfreq_in, sfreq_out)
    if up == down:
        return data
    from scipy.signal import firwin, resample_poly

    factor = max(up, down)
    taps = firwin(2 * RESAMPLING_HALF_LENGTH * factor + 1, 1 / factor, window=("kaiser", RESAMPLING_KAISER))
    # Beyond the ends the line through the first and the last sample goes on, so that an offset makes no step there.
    output: NDArray[np.float32] = resample_poly(
        data, up, down, axis=1, window=taps.astype(np.float32), padtype="line"
    ).astype(np.float32, copy=False)
    return output


def resampling_factors(sfreq_in: float, sfreq_out: float) -> tuple[int, int]:
    """Write the ratio of two sampling rates as two integers.

    Parameters
    ----------
    sfreq_in, sfreq_out : float
        Rates in Hz.

    Returns
    -------
    up, down : int
        ``sfreq_out / sfreq_in = up / down`` in lowest terms.

    Raises
    ------
    ConfigError
        If a rate is not positive or no such integers up to 1000 exist.

    Examples
    --------
    >>> resampling_factors(256.0, 100.0)
    (25, 64)
    """
    for name, rate in (("recorded rate", sfreq_in), ("sfreq", sfreq_out)):
        if not (np.isfinite(rate) and rate > 0):
            raise ConfigError(f"{name}: got {rate:g} Hz, expected more than 0")
    ratio = Fraction(sfreq_out / sfreq_in).limit_denominator(LARGEST_FACTOR)
    if not 0 < ratio.numerator <= LARGEST_FACTOR or abs(float(ratio) * sfreq_in - sfreq_out) > 1e-6 * sfreq_out:
        raise ConfigError(f"sfreq: got {sfreq_out:g} Hz, which has no common grid with the recorded {sfreq_in:g} Hz")
    return ratio.numerator, ratio.denominator


def cut_with_baseline(
    data: NDArray[np.float32], starts: NDArray[np.int64], length: int, baseline: tuple[int, int]
) -> NDArray[np.float32]:
    """Cut windows out of a continuous signal and subtract from each the mean of its baseline.

    Parameters
    ----------
    data : ndarray of float32, shape (n_channels, n_samples)
        Continuous signals.
    starts : ndarray of int, shape (n_windows,)
        First sample of each window.
    length : int
        Samples in a window.
    baseline : tuple of int
        First sample of the baseline and the one after its last, counted from the first sample of the window.

    Returns
    -------
    ndarray of float32, shape (n_windows, n_channels, length)
        The corrected windows.

    Raises
    ------
    ConfigError
        If the baseline is empty.
    DataError
        If a window or its baseline reaches beyond the signal.

    Examples
    --------
    >>> cut_with_baseline(np.array([[1, 3, 5, 6]], dtype=np.float32), np.array([2]), 2, (-2, 0)).tolist()
    [[[3.0, 4.0]]]
    """
    first, last = baseline
    if first >= last:
        raise ConfigError(f"baseline: got {last - first} samples at this sampling rate, expected at least 1")
    outside = (starts + min(first, 0) < 0) | (starts + max(last, length) > data.shape[1])
    if outside.any():
        raise DataError(
            f"window {int(np.argmax(outside))} or its baseline reaches beyond the {data.shape[1]} recorded samples"
        )
    windows = np.empty((len(starts), data.shape[0], length), dtype=np.float32)
    for row, start in enumerate(starts):
        mean = data[:, start + first : start + last].mean(axis=1, keepdims=True, dtype=np.float64)
        windows[row] = data[:, start : start + length] - mean
    return windows
