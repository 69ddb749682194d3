"""What lies in a BIDS folder: subjects, recordings, events tables and the files of the stimuli."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.files import read_table

EXTENSIONS = {
    "eeg": (".vhdr", ".edf", ".bdf", ".set"),
    "meg": (".fif",),
}
MISSING = ("", "n/a")
EVENT_TEXT = ("trial_type", "stim_file", "stimulus", "split", "concept")
# What an events table may hold but a window table has no use for, or means something else by.
RESERVED = ("duration", "stim_file", "line", "sample", "subject", "session", "run", "block", "start", "length")
EVENT_NUMBERS = ("onset", "duration", "repetition")


@dataclass(frozen=True)
class Run:
    """One recording file of a subject and the events table beside it.

    Parameters
    ----------
    file : Path
        The file that MNE opens.
    events : Path
        The events table.
    session, run : str
        Entities of the file name without their keys, empty where there are none.
    name : str
        File name without subject and suffix: unique within the subject.
    """

    file: Path
    events: Path
    session: str
    run: str
    name: str


def bids_subjects(root: Path) -> list[str]:
    """List the subject folders of a data set, or raise a DataError if it is not a BIDS folder.

    Parameters
    ----------
    root : Path
        The data set's folder.

    Returns
    -------
    list of str
        Such as ``sub-01``, sorted.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    if not (root / "dataset_description.json").is_file():
        raise DataError(f"{root}: not a BIDS data set (dataset_description.json is missing)")
    return sorted(
        path.name for path in root.iterdir() if path.is_dir() and re.fullmatch(r"sub-[A-Za-z0-9]+", path.name)
    )


def entities(name: str) -> dict[str, str]:
    """Read the entities of a BIDS file name.

    Parameters
    ----------
    name : str
        File name.

    Returns
    -------
    dict of str to str
        Values by key.

    Examples
    --------
    >>> entities("sub-01_ses-02_task-images_run-03_eeg.vhdr")
    {'sub': '01', 'ses': '02', 'task': 'images', 'run': '03'}
    """
    return dict(re.findall(r"(?:^|_)([a-zA-Z]+)-([a-zA-Z0-9]+)(?=_)", name))


def find_runs(root: Path, subject: str, datatype: str) -> list[Run]:
    """Find a subject's recordings, each with its events table.

    Parameters
    ----------
    root : Path
        The data set's folder.
    subject : str
        Such as ``sub-01``.
    datatype : str
        ``eeg`` or ``meg``.

    Returns
    -------
    list of Run
        Sorted by file name.

    Raises
    ------
    DataError
        If there is no recording, an events table without a recording, or a recording without an events table.
    """
    folder = root / subject
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    runs, tables = [], set()
    for place in sorted(path for path in (folder / datatype, *folder.glob(f"ses-*/{datatype}")) if path.is_dir()):
        files = sorted(
            path
            for path in place.iterdir()
            if path.suffix in EXTENSIONS[datatype] and path.stem.endswith(f"_{datatype}") and path.name[0] != "."
        )
        for file in files:
            found = entities(file.name)
            if int(found.get("split", "1")) > 1:
                continue  # MNE opens the later parts of a long file by itself
            base = re.sub(r"_split-\d+", "", file.stem).removesuffix(f"_{datatype}")
            events = place / f"{base}_events.tsv"
            if not events.is_file():
                raise DataError(f"{file}: its events table {events.name} is missing")
            name = base.removeprefix(f"{subject}_")
            runs.append(Run(file, events, found.get("ses", ""), found.get("run", ""), name))
        tables |= set(place.glob("*_events.tsv"))
    orphans = sorted(tables - {run.events for run in runs})
    if orphans:
        endings = ", ".join(f"_{datatype}{extension}" for extension in EXTENSIONS[datatype])
        raise DataError(f"{orphans[0]}: no recording of the same name beside it (expected one that ends in {endings})")
    if not runs:
        raise DataError(f"{folder}: no {datatype} recording found")
    return runs


def read_events(path: Path, root: Path) -> pd.DataFrame:
    """Read an events table and keep the rows that show a stimulus.

    Parameters
    ----------
    path : Path
        The table; ``onset`` and ``duration`` are needed, and ``stim_file`` or ``stimulus``.
    root : Path
        The data set's folder; files of stimuli are relative to its folder ``stimuli``.

    Returns
    -------
    pandas.DataFrame
        Columns `onset` (s, from the first sample), `duration`, `stimulus` (by default the file's path without its
        ending), `stim_file` (may be empty), `line` (of the file, the header is 1) and the others of the file, text or
        numbers.

    Raises
    ------
    DataError
        Naming file, line and what is wrong: an onset that is not a number, a picture that is not there.
    """
    table = read_table(path, required=("onset", "duration"), text=EVENT_TEXT)
    if "stim_file" not in table.columns and "stimulus" not in table.columns:
        raise DataError(f"{path}: column 'stim_file' is missing, got {', '.join(map(str, table.columns))}")
    table["line"] = np.arange(len(table)) + 2
    for column in EVENT_TEXT:
        if column in table.columns:
            table[column] = table[column].where(~table[column].isin(MISSING), "")
    if "stim_file" not in table.columns:
        table["stim_file"] = ""
    if "stimulus" not in table.columns:
        table["stimulus"] = [str(PurePosixPath(name).with_suffix("")) if name else "" for name in table["stim_file"]]
    n_rows = len(table)
    table = table[table["stimulus"] != ""].reset_index(drop=True)
    table.attrs["rows"] = n_rows
    for column in EVENT_NUMBERS:
        if column in table.columns:
            table[column] = _as_numbers(path, table, column)
    _check_files(path, table, root / "stimuli")
    return table


def _as_numbers(path: Path, table: pd.DataFrame, column: str) -> "pd.Series[float]":
    numbers = pd.to_numeric(table[column], errors="coerce")
    bad = numbers.isna() | ~np.isfinite(numbers) if column != "duration" else numbers.isna() & table[column].notna()
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(f"{path}: line {table['line'].iloc[row]}: {column} {table[column].iloc[row]!r} is not a number")
    return numbers


def _check_files(path: Path, table: pd.DataFrame, folder: Path) -> None:
    """Check that every picture named is a file below the folder of stimuli."""
    for name, rows in table[table["stim_file"] != ""].groupby("stim_file", sort=False):
        relative = PurePosixPath(str(name))
        line = rows["line"].iloc[0]
        if relative.is_absolute() or ".." in relative.parts:
            raise DataError(f"{path}: line {line}: stim_file {name!r} leaves the folder {folder}")
        if not (folder / relative).is_file():
            raise DataError(f"{path}: line {line}: stim_file {name!r} is not in {folder}")
    counts = table[table["stim_file"] != ""].groupby("stimulus")["stim_file"].nunique()
    if (counts > 1).any():
        raise DataError(
            f"{path}: the stimulus {counts.index[int(np.argmax(counts > 1))]!r} has more than one stim_file"
        )


def window_table(subject: str, run: Run, events: pd.DataFrame, starts: NDArray[np.int64], length: int) -> pd.DataFrame:
    """Turn the events of a run into rows of a recording's window table.

    Parameters
    ----------
    subject : str
        Such as ``sub-01``.
    run : Run
        Gives session, run and the block's name.
    events : pandas.DataFrame
        From `read_events`.
    starts : ndarray of int, shape (n_events,)
        First sample, or epoch, of each window.
    length : int
        Samples in a window.

    Returns
    -------
    pandas.DataFrame
        The columns that a recording needs, `repetition` only if the events have it, and what else the events have.
    """
    table = pd.DataFrame(
        {
            "subject": subject,
            "session": run.session,
            "run": run.run,
            "block": run.name,
            "start": starts,
            "length": length,
            "stimulus": events["stimulus"],
            "onset": events["onset"],
        }
    )
    for column in events.columns:
        if column == "repetition":
            table[column] = events[column].astype(np.int64)
        elif column not in table.columns and column not in RESERVED:
            table[column] = events[column]
    return table


def bad_channels(runs: Sequence[Run], datatype: str) -> dict[str, list[str]]:
    """List the channels that the channels tables call bad.

    Parameters
    ----------
    runs : sequence of Run
        One subject's recordings.
    datatype : str
        ``eeg`` or ``meg``.

    Returns
    -------
    dict of str to list of str
        For each channel that is bad in at least one run, the names of those runs.
    """
    found: dict[str, list[str]] = {}
    for run in runs:
        path = run.events.with_name(run.events.name.replace("_events.tsv", "_channels.tsv"))
        if not path.is_file():
            continue
        table = read_table(path, required=("name", "type"), text=("name", "type", "status"))
        if "status" in table.columns:
            for name in table.loc[table["status"].str.lower() == "bad", "name"]:
                found.setdefault(str(name), []).append(run.name)
    return found
