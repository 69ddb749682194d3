"""Long continuous recordings, read in pieces: resampled as they come, then filtered a few channels at a time."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.sensors import Sensors
from neurodecode.datasets.preprocessing import (
    RESAMPLING_HALF_LENGTH,
    Preprocessing,
    band_pass,
    resample,
    resampling_factors,
)

# Numbers that are read, and numbers that are filtered, at a time.
PIECE = 4_000_000
FILTERED = 4_000_000
Reader = Callable[[int, int], NDArray[np.floating[Any]]]


def stream_signals(
    read: Reader,
    names: Sequence[str],
    n_samples: int,
    rate: float,
    *,
    sfreq: float | None = None,
    settings: Preprocessing | None = None,
    store: ArrayStore | None = None,
    where: str = "",
    piece: int = PIECE,
) -> NDArray[np.float32]:
    """Read a recording in pieces, resample it and filter it, without ever holding it as a whole.

    Each piece is read with as much on both sides as the resampling filter reaches, so that the pieces join without a
    seam; only the filter's assumption beyond the two ends of the recording depends on the pieces. Filters act on the
    resampled signals.

    Parameters
    ----------
    read : callable
        ``read(start, stop)`` gives ``(n_channels, stop - start)``.
    names : sequence of str
        Names of the channels.
    n_samples : int
        Length of the recording.
    rate : float
        Its sampling rate in Hz.
    sfreq : float, optional
        Wanted rate in Hz; the same by default.
    settings : Preprocessing, optional
        Filters; its reference must be none.
    store : ArrayStore, optional
        Where the signals go.
    where : str
        The file, for messages.
    piece : int
        How many numbers are read at a time.

    Returns
    -------
    ndarray of float32, shape (n_channels, ceil(n_samples * sfreq / rate))
        In the unit of what was read.

    Raises
    ------
    DataError
        If a number is not finite or a channel never changes, naming file, channel and time.

    Examples
    --------
    >>> signals = np.random.default_rng(0).normal(size=(2, 1000))
    >>> stream_signals(lambda start, stop: signals[:, start:stop], ["a", "b"], 1000, 100.0, sfreq=50.0).shape
    (2, 500)
    """
    settings = settings or Preprocessing()
    store = store or ArrayStore()
    wanted = rate if sfreq is None else float(sfreq)
    if n_samples < 1:
        raise DataError(f"{where}: no sample of signal")
    for label, edge in (("high_pass", settings.high_pass), ("low_pass", settings.low_pass)):
        # Said before an hour is read.
        if edge is not None and not 0 < edge < wanted / 2:
            raise ConfigError(f"{label}: got {edge:g} Hz, expected between 0 and {wanted / 2:g} Hz, half of sfreq")
    up, down = resampling_factors(rate, wanted)
    n_samples = int(n_samples)
    signals = store.empty((len(names), -(-n_samples * up // down)))
    reach = 0 if up == down else -(-RESAMPLING_HALF_LENGTH * max(up, down) // up)
    # Pieces begin on samples that both rates share.
    margin = -(-reach // down) * down
    step = max(down, piece // len(names) // down * down)
    low, high = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    for start in range(0, n_samples, step):
        first, last = max(0, start - margin), min(n_samples, start + step + margin)
        block = _checked(read, first, last, names, rate, where)
        low, high = np.minimum(low, block.min(axis=1)), np.maximum(high, block.max(axis=1))
        slow = resample(block, rate, wanted)
        begin = start * up // down
        end = min(begin + step * up // down, signals.shape[1])
        signals[:, begin:end] = slow[:, begin - first * up // down :][:, : end - begin]
    if (low == high).any():
        name = names[int(np.argmax(low == high))]
        raise DataError(f"{where}: channel {name!r} is flat; leave it out with the option drop_channels")
    if settings.high_pass is not None or settings.low_pass is not None:
        group = max(1, FILTERED // signals.shape[1])
        for begin in range(0, len(names), group):
            part = np.array(signals[begin : begin + group])
            signals[begin : begin + group] = band_pass(part, wanted, settings.high_pass, settings.low_pass)
    return signals


def _checked(read: Reader, start: int, stop: int, names: Sequence[str], rate: float, where: str) -> NDArray[np.float32]:
    try:
        # What single precision cannot hold is infinite, and said to be so below.
        with np.errstate(over="ignore"):
            block = np.asarray(read(start, stop), dtype=np.float32)
    except DataError:
        raise
    except Exception as error:  # a cut file ends in whatever exception its reader stumbles on
        raise DataError(f"{where}: the signals end or break before their time ({first_line(error)})") from error
    if block.shape != (len(names), stop - start):
        raise DataError(
            f"{where}: got signals of shape {block.shape} at {start / rate:.3f} s, "
            f"expected {(len(names), stop - start)}"
        )
    finite = np.isfinite(block)
    if not finite.all():
        channel, sample = np.argwhere(~finite)[0]
        raise DataError(f"{where}: channel {names[channel]!r} is not finite at {(start + sample) / rate:.3f} s")
    return block


def stream_raw(
    raw: Any,
    names: Sequence[str],
    sensors: Sensors,
    *,
    sfreq: float | None = None,
    settings: Preprocessing | None = None,
    store: ArrayStore | None = None,
    where: Path,
) -> tuple[NDArray[np.float32], Sensors]:
    """Stream some channels of what MNE has opened; see `stream_signals`.

    Parameters
    ----------
    raw : mne.io.BaseRaw
        Not loaded.
    names : sequence of str
        The channels.
    sensors : Sensors
        Those channels at the recorded rate.
    sfreq, settings, store
        As in `stream_signals`.
    where : Path
        The file.
    """
    rows = [raw.ch_names.index(name) for name in names]
    rate = float(raw.info["sfreq"])
    signals = stream_signals(
        lambda start, stop: raw.get_data(picks=rows, start=start, stop=stop, verbose="error"),
        names,
        raw.n_times,
        rate,
        sfreq=sfreq,
        settings=settings,
        store=store,
        where=str(where),
    )
    return signals, replace(sensors, sfreq=rate if sfreq is None else float(sfreq))


def first_line(error: BaseException) -> str:
    """Give the kind and the first line of an exception."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__
