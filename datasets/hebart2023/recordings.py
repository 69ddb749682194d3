"""The CTF recordings of THINGS-MEG, made into epochs as published: one run in memory at a time."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.files import read_table
from neurodecode.datasets.bids_files import entities
from neurodecode.datasets.hebart2023.epoched import Source, compare_numbers
from neurodecode.datasets.hebart2023.sensors import DROPPED, sensors_of_info

Onset = Literal["sample", "trigger"]
TRIGGER_CHANNEL, TRIGGER = "UPPT001", 64
BAND = (0.1, 40.0)
EPOCH = (-0.1, 1.3)
SFREQ = 200.0
# Channels that are filtered at a time: an hour's twelfth of all of them would fill a gigabyte.
GROUP = 48
# Signals were lost for 0.2 s in two runs (sorted by name, from 0); the authors put the median there.
DROPOUTS = {("sub-01", "11", 4): 13.4, ("sub-02", "10", 2): 59.8}
DROPOUT_LENGTH = 0.2


def find_recordings(folder: Path) -> list[tuple[str, Path]]:
    """List the recordings of a subject by session and name.

    Parameters
    ----------
    folder : Path
        Such as ``sub-BIGMEG1``.

    Returns
    -------
    list of tuple of str and Path
        Session and ``.ds`` folder.

    Raises
    ------
    DataError
        If there is none, or one lacks its events table.
    """
    found = []
    for session in sorted(folder.glob("ses-*")):
        for path in sorted((session / "meg").glob("sub-*_task-main_*meg.ds")):
            found.append((entities(path.name)["ses"], path))
            if not events_file(path).is_file():
                raise DataError(f"{events_file(path)}: no such file; it says when each picture appeared in {path.name}")
    if not found:
        raise DataError(f"{folder}: no recording called ses-XX/meg/sub-..._task-main_run-XX_meg.ds")
    return found


def events_file(path: Path) -> Path:
    """Give the events table of a recording."""
    return path.with_name(re.sub(r"_meg\.ds$", "_events.tsv", path.name))


def open_recordings(folder: Path, subject: str, trials: pd.DataFrame, attributes: Path, onset: Onset) -> Source:
    """Open the recordings of a subject and prove that their events are the trials of the table.

    Parameters
    ----------
    folder : Path
        Such as ``sub-BIGMEG1``.
    subject : str
        Such as ``sub-01``.
    trials : pandas.DataFrame
        From `read_attributes`.
    attributes : Path
        Where that comes from.
    onset : str
        ``sample``: the optical sensor's times, from the events tables; ``trigger``: the trigger channel's.

    Returns
    -------
    Source
        Catch trials left out; `trials` has the column `onset` in seconds.

    Raises
    ------
    DataError
        Naming the file, row, what was got and what was expected.
    """
    opened: list[tuple[Any, Path, float | None]] = []
    tables: list[pd.DataFrame] = []
    picks: list[str] | None = None
    first: dict[str, int] = {}
    for session, path in find_recordings(folder):
        number = first.get(session, 0)
        first[session] = number + 1
        run = entities(path.name).get("run", "")
        here = (trials["session"] == session) & (trials["run"] == run)
        raw = _open(path)
        kinds = raw.get_channel_types()
        mine = [name for name, kind in zip(raw.ch_names, kinds, strict=True) if kind == "mag" and name not in DROPPED]
        picks = mine if picks is None else picks
        if mine != picks:
            other = next((name for name in picks if name not in mine), f"{len(mine)} channels")
            raise DataError(f"{path}: {other} is missing or in another order than in the runs before")
        table = trials[here].reset_index(drop=True)
        row = int(np.argmax(here)) if here.any() else 0
        samples = _samples(path, raw, table, attributes, row, onset)
        table["onset"] = samples / float(raw.info["sfreq"])
        table["sample"], table["position"] = samples, len(opened)
        tables.append(table[table["part"] != ""])
        opened.append((raw, path, DROPOUTS.get((subject, session, number))))
    kept = pd.concat(tables, ignore_index=True)
    listed = int((trials["part"] != "").sum())
    if len(kept) != listed:
        raise DataError(f"{folder}: {len(opened)} recordings with {len(kept)} trials, {attributes.name} lists {listed}")
    rate = float(opened[0][0].info["sfreq"])
    step = round(rate / SFREQ)
    n_times = (round(EPOCH[1] * rate) - round(EPOCH[0] * rate)) // step + 1
    sensors = sensors_of_info(opened[0][0], picks or [], sfreq=rate / step, tmin=round(EPOCH[0] * rate) / rate)

    def pieces() -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        for position, (raw, path, dropout) in enumerate(opened):
            rows = np.flatnonzero(kept["position"] == position)
            if len(rows):
                yield rows, cut_run(raw, path, kept["sample"].to_numpy()[rows], picks or [], step, dropout)

    return Source(kept.drop(columns=["sample", "position"]), sensors, n_times, pieces())


def _open(path: Path) -> Any:
    import mne

    try:
        return mne.io.read_raw_ctf(path, preload=False, verbose="error")
    except Exception as error:  # a broken recording ends in whatever exception its reader stumbles on
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: not readable as a CTF recording ({type(error).__name__}: {reason})") from None


def _samples(path: Path, raw: Any, trials: pd.DataFrame, attributes: Path, row: int, onset: Onset) -> NDArray[np.int64]:
    """Find when each picture appeared and check which one it was."""
    events = events_file(path)
    table = read_table(events, required=("sample", "value"))
    if len(table) != len(trials):
        raise DataError(f"{events}: {len(table)} events, {attributes.name} lists {len(trials)} trials of this run")
    numbers = pd.to_numeric(table["value"], errors="coerce").fillna(0).to_numpy()
    compare_numbers(numbers, trials, where=f"{events}: row", what="value", attributes=attributes, first=row)
    samples = pd.to_numeric(table["sample"], errors="coerce").to_numpy(dtype=np.float64)
    triggers = _triggers(path, raw)
    if len(triggers) != len(table):
        raise DataError(
            f"{path}: {len(triggers)} triggers ({TRIGGER} in {TRIGGER_CHANNEL}), {events.name} lists {len(table)}"
        )
    if onset == "trigger":
        samples = triggers.astype(np.float64)
    rate = float(raw.info["sfreq"])
    whole = (samples + EPOCH[0] * rate >= 0) & (samples + EPOCH[1] * rate < raw.n_times)
    if not whole.all() or (np.diff(samples) <= 0).any():
        bad = int(np.argmin(whole)) if not whole.all() else int(np.argmax(np.diff(samples) <= 0)) + 1
        raise DataError(
            f"{events}: row {bad}: sample {samples[bad]:g} is out of order or too near the ends of {raw.n_times} "
            "samples"
        )
    return samples.astype(np.int64)


def _triggers(path: Path, raw: Any) -> NDArray[np.int64]:
    if TRIGGER_CHANNEL not in raw.ch_names:
        raise DataError(f"{path}: the trigger channel {TRIGGER_CHANNEL} is not among {len(raw.ch_names)} channels")
    codes = np.round(_read(raw, path, [TRIGGER_CHANNEL])[0]).astype(np.int64)
    rising = (codes != 0) & (np.concatenate([[0], codes[:-1]]) == 0)
    return np.flatnonzero(rising & (codes == TRIGGER))


def _read(raw: Any, path: Path, picks: list[str]) -> NDArray[np.float64]:
    try:
        data: NDArray[np.float64] = raw.get_data(picks=picks, verbose="error")
    except Exception as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: the signals end or break before their time ({reason})") from None
    return data


def cut_run(
    raw: Any, path: Path, samples: NDArray[np.int64], picks: list[str], step: int, dropout: float | None
) -> NDArray[np.float32]:
    """Filter a run, cut its trials, scale each by its baseline and keep every few samples.

    Parameters
    ----------
    raw : mne.io.BaseRaw
        The recording.
    path : Path
        How messages name it.
    samples : ndarray of int, shape (n_trials,)
        Onsets.
    picks : list of str
        Channels.
    step : int
        Every which sample is kept; the filter ends far below half the rate that is left.
    dropout : float, optional
        Where signals were lost, in seconds.

    Returns
    -------
    ndarray of float32, shape (n_trials, n_channels, n_times)
        In deviations of the baseline.

    Raises
    ------
    DataError
        If a channel does not move during a baseline.
    """
    import mne

    rate = float(raw.info["sfreq"])
    begin, stop = round(EPOCH[0] * rate), round(EPOCH[1] * rate) + 1
    output = np.empty((len(samples), len(picks), (stop - begin - 1) // step + 1), dtype=np.float32)
    for first in range(0, len(picks), GROUP):
        names = picks[first : first + GROUP]
        data = _read(raw, path, names)
        if dropout is not None:
            at = round(dropout * rate)
            data[:, at : at + int(DROPOUT_LENGTH * rate)] = np.median(data, axis=1, keepdims=True)
        data = mne.filter.filter_data(data, rate, *BAND, copy=False, verbose="error")
        for row, sample in enumerate(samples):
            epoch = data[:, sample + begin : sample + stop]
            baseline = epoch[:, : 1 - begin]
            deviation = baseline.std(axis=1, keepdims=True)
            if (deviation == 0).any():
                name = names[int(np.argmin(deviation))]
                raise DataError(f"{path}: channel {name!r} is flat in the baseline of trial {row}")
            epoch = (epoch - baseline.mean(axis=1, keepdims=True)) / deviation
            output[row, first : first + len(names)] = epoch[:, ::step]
    return output
