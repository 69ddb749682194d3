"""Sound as frozen speech models want it, and their states as series at a chosen rate."""

import re
import struct
import warnings
from collections.abc import Sequence
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io.wavfile
import scipy.signal
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError, DataError

Waveform = NDArray[np.float32]
SAMPLING_RATE = 16000
#: How a layer is named: a state, the mean of the states from one to another, or the mean of the last few.
LAYER_RULE = re.compile(r"state(?P<one>\d+)|mean(?P<first>\d+)to(?P<last>\d+)|last(?P<count>[1-9]\d*)")


def read_audio(path: Path, *, start: float = 0.0, stop: float | None = None) -> Waveform:
    """Read a stretch of a sound file as one channel at 16 kHz.

    Parameters
    ----------
    path : Path
        ``.wav`` through SciPy, any other format through soundfile.
    start, stop : float
        Seconds; the file's end by default. A stretch may end up to 10 ms after the file.

    Returns
    -------
    ndarray of float32, shape (n_samples,)
        Between -1 and 1; channels are averaged.

    Raises
    ------
    DataError
        If the file is missing or broken, or shorter than `stop`.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such sound file")
    rate, samples = _read_wav(path) if path.suffix.lower() == ".wav" else _read_any(path)
    duration = len(samples) / rate
    stop = duration if stop is None else stop
    if not 0 <= start < stop or stop > duration + 0.01:
        raise DataError(f"{path}: {start:g} to {stop:g} s asked for, but it lasts {duration:.3f} s")
    part = samples[round(start * rate) : round(stop * rate)].mean(axis=1, dtype=np.float64)
    if not np.isfinite(part).all():
        raise DataError(f"{path}: holds values that are not finite")
    if rate != SAMPLING_RATE:
        common = gcd(rate, SAMPLING_RATE)
        part = scipy.signal.resample_poly(part, SAMPLING_RATE // common, rate // common)
    return np.asarray(part, dtype=np.float32)


def _read_wav(path: Path) -> tuple[int, NDArray[Any]]:
    try:
        with warnings.catch_warnings():
            # Chunks that are not sound, such as a player's tags, are none of our business.
            warnings.simplefilter("ignore", scipy.io.wavfile.WavFileWarning)
            rate, values = scipy.io.wavfile.read(path, mmap=False)
    except (ValueError, OSError, EOFError, struct.error) as error:
        raise DataError(f"{path}: not readable as a sound file ({error})") from None
    samples = values[:, None] if values.ndim == 1 else values
    if not len(samples):
        raise DataError(f"{path}: holds no sound")
    if samples.dtype == np.uint8:
        return int(rate), (samples.astype(np.float32) - 128.0) / 128.0
    if np.issubdtype(samples.dtype, np.integer):
        return int(rate), samples / np.float32(-float(np.iinfo(samples.dtype).min))
    return int(rate), samples


def _read_any(path: Path) -> tuple[int, NDArray[Any]]:
    try:
        import soundfile
    except ImportError:
        raise DataError(f"{path}: reading {path.suffix} needs the package soundfile (extra 'speech')") from None
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise DataError(f"{path}: not readable as a sound file ({error})") from None
    return int(rate), samples


def check_waveforms(stimuli: Sequence[Any], *, shortest: int) -> list[Waveform]:
    """Check the waveforms of one call: one channel, finite, equally long, long enough for the model.

    Raises
    ------
    DataError
        Naming the first that is not.
    """
    found = []
    for position, stimulus in enumerate(stimuli):
        wave = np.asarray(stimulus, dtype=np.float32)
        if wave.ndim != 1 or len(wave) < shortest or not np.isfinite(wave).all():
            raise DataError(f"sound {position}: shape {wave.shape}, expected at least {shortest} finite samples")
        if len(wave) != len(stimuli[0]):
            raise DataError(
                f"sound {position}: {len(wave)} samples, the first has {len(stimuli[0])}; expected one length"
            )
        found.append(wave)
    if not found:
        raise DataError("sound: got none, expected at least one waveform")
    return found


def n_frames(n_samples: int, rate: float) -> int:
    """Count the frames of a sound at 16 kHz.

    Examples
    --------
    >>> n_frames(48000, 50.0), n_frames(48000, 120.0)
    (150, 360)
    """
    return round(n_samples / SAMPLING_RATE * rate)


def resample_series(
    values: NDArray[np.floating], native_rate: float, rate: float, frames: int, *, first: float = 0.0
) -> NDArray[np.float32]:
    """Bring a series to another rate: linear interpolation upwards, averages over a frame's time downwards.

    Parameters
    ----------
    values : ndarray, shape (n, dim)
        States at ``first + k / native_rate`` seconds.
    native_rate, rate : float
        Frames per second there and here.
    frames : int
        How many frames at ``k / rate`` seconds are wanted; beyond the ends the nearest state counts.
    first : float
        Time of the first state's centre (s).

    Returns
    -------
    ndarray of float32, shape (frames, dim)

    Examples
    --------
    >>> resample_series(np.arange(4.0)[:, None], 50.0, 100.0, 4).ravel().tolist()
    [0.0, 0.5, 1.0, 1.5]
    """
    series = np.asarray(values, dtype=np.float64)
    position = (np.arange(frames) / rate - first) * native_rate
    if rate >= native_rate:
        return _interpolated(series, position).astype(np.float32)
    half = native_rate / rate / 2
    # The integral of the piecewise linear series, so that an average is a difference.
    integral = np.concatenate([np.zeros((1, series.shape[1])), np.cumsum((series[1:] + series[:-1]) / 2, axis=0)])

    def area(at: NDArray[np.float64]) -> NDArray[np.float64]:
        clipped = np.clip(at, 0, len(series) - 1)
        floor = np.minimum(clipped.astype(np.int64), max(len(series) - 2, 0))
        rest = (clipped - floor)[:, None]
        after = series[np.minimum(floor + 1, len(series) - 1)]
        inner = integral[floor] + rest * series[floor] + rest**2 / 2 * (after - series[floor])
        inner += np.minimum(at, 0)[:, None] * series[0] + np.maximum(at - (len(series) - 1), 0)[:, None] * series[-1]
        return np.asarray(inner, dtype=np.float64)

    return np.asarray((area(position + half) - area(position - half)) / (2 * half), dtype=np.float32)


def _interpolated(series: NDArray[np.float64], position: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(position, 0, len(series) - 1)
    floor = np.minimum(clipped.astype(np.int64), max(len(series) - 2, 0))
    rest = (clipped - floor)[:, None]
    return np.asarray((1 - rest) * series[floor] + rest * series[np.minimum(floor + 1, len(series) - 1)])


def check_rate(rate: float) -> float:
    """Check the rate of a series.

    Raises
    ------
    ConfigError
        If it is not between 1 and 200 Hz.

    Examples
    --------
    >>> check_rate(50)
    50.0
    """
    if not 1 <= rate <= 200:
        raise ConfigError(f"rate: got {rate}, expected frames per second from 1 to 200, such as 50 or 120")
    return float(rate)


def layer_states(name: str, n_states: int) -> list[int]:
    """Say which hidden states a layer's name stands for; the target is their mean.

    Parameters
    ----------
    name : str
        ``state6``: one state (0 is the input of the first block); ``mean14to18``: the mean of five, as brainmagick's
        code takes them from wav2vec 2.0; ``last4``: the mean of the last four, as its paper says.
    n_states : int
        Number of states of the network.

    Returns
    -------
    list of int

    Raises
    ------
    ConfigError
        If the name is no such rule, or there is no such state.

    Examples
    --------
    >>> layer_states("mean14to18", 25), layer_states("last2", 5)
    ([14, 15, 16, 17, 18], [3, 4])
    """
    found = LAYER_RULE.fullmatch(name)
    if found is None:
        raise ConfigError(f"layers: got {name!r}, expected state<n>, mean<n>to<m> or last<n>")
    if found["count"]:
        states = list(range(n_states - int(found["count"]), n_states))
    elif found["one"]:
        states = [int(found["one"])]
    else:
        states = list(range(int(found["first"]), int(found["last"]) + 1))
    if not states or states[0] < 0 or states[-1] >= n_states:
        raise ConfigError(f"layers: got {name!r}, but the network has the states 0 to {n_states - 1}")
    return states
