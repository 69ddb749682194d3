"""The signals of arrays: trials copied a piece at a time, or windows cut out of whole recordings."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.recording import Block
from neurodecode.datasets.arrays.channels import array_sensors, channel_names
from neurodecode.datasets.arrays.description import Description
from neurodecode.datasets.arrays.files import SignalFile, check_order
from neurodecode.datasets.arrays.sources import OpenedArray, open_source
from neurodecode.datasets.preprocessing import Preprocessing, cut_with_baseline, preprocess_array, resample

# Signals are read in pieces of about so many bytes.
PIECE = 16_000_000
Made = tuple[Block, pd.DataFrame, list[str]]


def epoched_block(
    file: SignalFile, rows: pd.DataFrame, described: Description, root: Path, sfreq: float | None, store: ArrayStore
) -> Made:
    """Copy the trials of one subject out of one file.

    Parameters
    ----------
    file : SignalFile
        The file.
    rows : pandas.DataFrame
        Those of its trials that are the subject's.
    described : Description
        The description.
    root : Path
        The data folder.
    sfreq : float, optional
        Rate to resample to in Hz. Trials are resampled one by one, so their first and last samples suffer from the
        edges.
    store : ArrayStore
        Where the signals go.

    Returns
    -------
    block : Block
        Float32 ``(n_trials, n_channels, n_times)``.
    windows : pandas.DataFrame
        One row a trial, without the subject.
    flags : list of str
        What is to be known of them.

    Raises
    ------
    DataError
        Naming the file, the trial and the channel that is not finite, or a list that does not fit.
    ConfigError
        If the baseline is no part of the trials.
    """
    array = open_source(file.path, described.signals.key)
    check_order(array, described)
    order = described.order
    names, montage = channel_names(root, described, array.shape[order.index("channel")], array.place)
    n_times = array.shape[order.index("time")] if "time" in order else 1
    recorded = described.sfreq or 0.0
    rate = recorded if sfreq is None or n_times == 1 else float(sfreq)
    length = n_times if rate == recorded else resample(np.zeros((1, n_times), np.float32), recorded, rate).shape[1]
    sensors, flags = array_sensors(names, montage, described, rate, tmin=described.tmin)
    signals = store.empty((len(rows), len(names), length))
    positions = rows["position"].to_numpy(dtype=np.int64)
    for done, piece in _pieces(array, order, positions):
        if not np.isfinite(piece).all():
            trial, channel = np.argwhere(~np.isfinite(piece))[0][:2]
            raise DataError(
                f"{array.place}: trial {positions[done[trial]]}, channel {names[channel]!r} is not finite; leave the "
                "trial out by leaving its stimulus empty"
            )
        piece = _corrected(piece, described)
        if rate != recorded:
            piece = resample(piece.reshape(-1, n_times), recorded, rate).reshape(len(piece), len(names), length)
        signals[done] = piece
    # Where nobody says when a trial was, this is where it lies in the block.
    place = np.arange(len(rows)) * (length / rate if rate else 1.0)
    onset = _numbers(rows, "onset", file) if "onset" in rows else place
    table = _window_table(file, rows, np.arange(len(rows)), length, onset)
    return Block(file.name, signals, sensors), table, flags


def continuous_block(
    file: SignalFile, rows: pd.DataFrame, described: Description, root: Path, sfreq: float | None, store: ArrayStore
) -> Made:
    """Read one whole recording, filter and resample it, and place windows at the onsets of one subject's trials.

    Parameters and errors are those of `epoched_block`; the recording is in memory as float32 while it is filtered.

    Returns
    -------
    block : Block
        Float32 ``(n_channels, n_samples)``, or epochs where there is a baseline.
    windows : pandas.DataFrame
        One row a trial whose window lies within the recording, without the subject.
    flags : list of str
        How many do not, and what else is to be known.
    """
    array = open_source(file.path, described.signals.key)
    check_order(array, described)
    order, recorded = described.order, float(described.sfreq or 0.0)
    if described.window is None:
        raise ConfigError("window is missing")
    first_time, last_time = described.window
    axis = order.index("time")
    names, montage = channel_names(root, described, array.shape[order.index("channel")], array.place)
    data = np.empty((len(names), array.shape[axis]), dtype=np.float32)
    step = max(1, PIECE // max(1, len(names) * array.dtype.itemsize))
    for begin in range(0, data.shape[1], step):
        piece = array.read(axis, begin, min(begin + step, data.shape[1]))
        data[:, begin : begin + step] = piece if axis == 1 else piece.T
    finite = np.isfinite(data)
    if not finite.all():
        channel, sample = np.argwhere(~finite)[0]
        raise DataError(f"{array.place}: channel {names[channel]!r} is not finite at {sample / recorded:.3f} s")
    rate = recorded if sfreq is None else float(sfreq)
    data = preprocess_array(data, recorded, rate, settings=described.preprocessing or Preprocessing())
    onsets = _numbers(rows, "onset", file)
    beyond = (onsets < 0) | (onsets * rate >= data.shape[1])
    if beyond.any():
        row = int(np.argmax(beyond))
        raise DataError(
            f"{array.place}: trial {rows['position'].iloc[row]} has the onset {onsets[row]:g} s, outside the "
            f"{data.shape[1] / rate:.1f} s recorded; onsets are in seconds from the first sample"
        )
    starts = np.round((onsets + first_time) * rate).astype(np.int64)
    length = round((last_time - first_time) * rate)
    edges = [round((edge - first_time) * rate) for edge in described.baseline or (first_time, first_time)]
    whole = (starts + min(edges[0], 0) >= 0) & (starts + max(edges[1], length) <= data.shape[1])
    if length < 1 or not whole.any():
        raise DataError(f"{array.place}: no window of {first_time:g} to {last_time:g} s lies within the recording")
    sensors, flags = array_sensors(names, montage, described, rate, tmin=first_time)
    if not whole.all():
        flags.append(f"{file.path.name}: {int((~whole).sum())} window(s) that reach beyond the recording left out")
    rows, starts = rows[whole], starts[whole]
    if described.baseline is not None:
        data = cut_with_baseline(data, starts, length, (edges[0], edges[1]))
        starts = np.arange(len(starts))
    table = _window_table(file, rows, starts, length, onsets[whole])
    return Block(file.name, store.keep(data), sensors), table, flags


def _corrected(piece: NDArray[np.float32], described: Description) -> NDArray[np.float32]:
    """Subtract the baseline of each trial and channel."""
    if described.baseline is None or described.sfreq is None:
        return piece
    first, last = (round((edge - described.tmin) * described.sfreq) for edge in described.baseline)
    if first < 0 or last > piece.shape[2] or first >= last:
        end = described.tmin + piece.shape[2] / described.sfreq
        raise ConfigError(
            f"baseline: got {described.baseline[0]:g} to {described.baseline[1]:g} s, expected a part of the trials, "
            f"which last from {described.tmin:g} to {end:g} s"
        )
    mean = piece[:, :, first:last].mean(axis=2, keepdims=True, dtype=np.float64)
    corrected: NDArray[np.float32] = (piece - mean).astype(np.float32)
    return corrected


def _numbers(rows: pd.DataFrame, column: str, file: SignalFile) -> NDArray[np.float64]:
    numbers = pd.to_numeric(rows[column], errors="coerce").to_numpy(dtype=np.float64)
    bad = ~np.isfinite(numbers)
    if bad.any():
        row = int(np.argmax(bad))
        position, got = rows["position"].iloc[row], rows[column].iloc[row]
        raise DataError(f"{column}: trial {position} of {file.path} has {got!r}, expected a number")
    return numbers


def _window_table(
    file: SignalFile, rows: pd.DataFrame, starts: NDArray[np.int64], length: int, onset: NDArray[np.float64]
) -> pd.DataFrame:
    """Make the window table of one file, without the subject."""
    table = rows.drop(columns=["file", "position"]).reset_index(drop=True)
    for column in ("session", "run"):
        table[column] = table[column].astype(str) if column in table else ""
    if "repetition" in table:
        table["repetition"] = _numbers(rows, "repetition", file).astype(np.int64)
    trial = [f"{file.name}_{index:06d}" for index in rows["position"]]
    return table.assign(block=file.name, start=starts, length=length, onset=onset, trial=trial)


def _pieces(
    array: OpenedArray, order: tuple[str, ...], positions: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Read some trials piece by piece: which of `positions`, and their signals ``(n, n_channels, n_times)``."""
    axis = order.index("trial")
    from_disk = [order.index(name) for name in ("trial", "channel", "time") if name in order]
    count = array.shape[axis]
    step = max(1, PIECE * count // max(1, int(np.prod(array.shape)) * array.dtype.itemsize))
    for begin in range(0, count, step):
        stop = min(begin + step, count)
        wanted = np.flatnonzero((positions >= begin) & (positions < stop))
        if not len(wanted):
            continue
        piece = array.read(axis, begin, stop).transpose(from_disk)[positions[wanted] - begin]
        yield wanted, np.asarray(piece if piece.ndim == 3 else piece[:, :, None], dtype=np.float32)
