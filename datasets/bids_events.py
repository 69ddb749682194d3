"""Events tables of a BIDS data set: which rows show a stimulus, and the windows they make."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.files import read_table
from neurodecode.core.stimuli import Stimuli
from neurodecode.datasets.bids_files import Run

MISSING = ("", "n/a")
EVENT_TEXT = ("trial_type", "stim_file", "stimulus", "split", "concept")
# What an events table may hold but a window table has no use for, or means something else by.
RESERVED = ("duration", "stim_file", "line", "sample", "subject", "session", "run", "block", "start", "length")
EVENT_NUMBERS = ("onset", "duration", "repetition")
KIND_OF_SUFFIX = {
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif"), "image"),
    **dict.fromkeys((".wav", ".flac", ".mp3", ".ogg"), "speech"),
    **dict.fromkeys((".mp4", ".avi", ".mov", ".mkv", ".webm"), "video"),
}


def read_events(
    path: Path,
    root: Path,
    *,
    column: str | None = None,
    concept: str | None = None,
    only: Mapping[str, Sequence[str]] | None = None,
) -> pd.DataFrame:
    """Read an events table and keep the rows that show a stimulus.

    Parameters
    ----------
    path : Path
        The table; ``onset`` and ``duration`` are needed, and ``stimulus``, ``stim_file`` or `column`.
    root : Path
        The data set's folder; files of stimuli are relative to its folder ``stimuli``.
    column : str, optional
        The column that names the stimulus, such as ``trial_type`` or ``value``; it may name files of stimuli.
    concept : str, optional
        The column that names the concept; by default ``concept`` where there is one.
    only : mapping of str to sequence of str, optional
        Only rows that have one of these values in these columns.

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
    named = [name for name in (column, concept, *(only or {})) if name is not None]
    text = tuple(dict.fromkeys((*EVENT_TEXT, *named)))
    table = read_table(path, required=("onset", "duration", *named), text=text)
    if column is None and "stim_file" not in table.columns and "stimulus" not in table.columns:
        raise DataError(
            f"{path}: column 'stim_file' is missing, got {', '.join(map(str, table.columns))}; the option "
            "stimulus_column names another"
        )
    table["line"] = np.arange(len(table)) + 2
    for name in text:
        if name in table.columns:
            table[name] = table[name].where(~table[name].isin(MISSING), "")
    if column is not None and column != "stim_file":
        table["stimulus"] = table[column]
        several = "stim_file" in table and (table.groupby("stimulus")["stim_file"].nunique() > 1).any()
        if "stim_file" not in table or several:  # many pictures of one category: none of them stands for it
            table["stim_file"] = [name if name and _is_file(root / "stimuli", name) else "" for name in table[column]]
    elif column == "stim_file":
        table = table.drop(columns="stimulus", errors="ignore")
    if concept is not None:
        table["concept"] = table[concept]
    for name, values in (only or {}).items():
        if not table[name].isin(values).any():
            raise DataError(f"{path}: no row has {' or '.join(map(repr, values))} in the column {name!r}")
        table.loc[~table[name].isin(values), "stimulus" if "stimulus" in table else "stim_file"] = ""
    if "stim_file" not in table.columns:
        table["stim_file"] = ""
    if "stimulus" not in table.columns:
        table["stimulus"] = [str(PurePosixPath(name).with_suffix("")) if name else "" for name in table["stim_file"]]
    n_rows = len(table)
    table = table[table["stimulus"] != ""].reset_index(drop=True)
    table.attrs["rows"] = n_rows
    for name in EVENT_NUMBERS:
        if name in table.columns:
            table[name] = _as_numbers(path, table, name)
    _check_files(path, table, root / "stimuli")
    return table


def _is_file(folder: Path, name: str) -> bool:
    relative = PurePosixPath(name)
    return not relative.is_absolute() and ".." not in relative.parts and (folder / relative).is_file()


def _as_numbers(path: Path, table: pd.DataFrame, column: str) -> "pd.Series[float]":
    numbers = pd.to_numeric(table[column], errors="coerce")
    bad = numbers.isna() | ~np.isfinite(numbers) if column != "duration" else numbers.isna() & table[column].notna()
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(f"{path}: line {table['line'].iloc[row]}: {column} {table[column].iloc[row]!r} is not a number")
    return numbers


def _check_files(path: Path, table: pd.DataFrame, folder: Path) -> None:
    """Check that every picture named is a file below the folder of stimuli, where the data set has that folder."""
    for name, rows in table[table["stim_file"] != ""].groupby("stim_file", sort=False):
        relative = PurePosixPath(str(name))
        line = rows["line"].iloc[0]
        if relative.is_absolute() or ".." in relative.parts:
            raise DataError(f"{path}: line {line}: stim_file {name!r} leaves the folder {folder}")
        if folder.is_dir() and not (folder / relative).is_file():
            raise DataError(f"{path}: line {line}: stim_file {name!r} is not in {folder}")
    counts = table[table["stim_file"] != ""].groupby("stimulus")["stim_file"].nunique()
    if (counts > 1).any():
        raise DataError(
            f"{path}: the stimulus {counts.index[int(np.argmax(counts > 1))]!r} has more than one stim_file"
        )


def shown_stimuli(tables: Sequence[pd.DataFrame], root: Path) -> Stimuli:
    """Collect the stimuli that events tables name.

    Parameters
    ----------
    tables : sequence of pandas.DataFrame
        From `read_events`.
    root : Path
        The data set's folder. Many data sets name pictures that they may not hand on: without its folder ``stimuli``
        they have no path.

    Returns
    -------
    Stimuli
        Sorted by name.
    """
    shown = pd.concat(tables, ignore_index=True).drop_duplicates("stimulus").sort_values("stimulus")
    concepts = shown["concept"].fillna("") if "concept" in shown else pd.Series("", index=shown.index)
    rows = pd.DataFrame(
        {
            "stimulus": shown["stimulus"],
            "kind": [_kind(name) for name in shown["stim_file"]],
            "path": shown["stim_file"] if (root / "stimuli").is_dir() else "",
            "concept": concepts.where(concepts != "", shown["stimulus"]),
            # Where there is no picture, the name itself is what was shown.
            "text": concepts.where((concepts != "") | (shown["stim_file"] != ""), shown["stimulus"]),
        }
    )
    return Stimuli(rows.reset_index(drop=True), root / "stimuli")


def _kind(name: str) -> str:
    return KIND_OF_SUFFIX.get(PurePosixPath(name).suffix.lower(), "image") if name else "word"


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
