"""Which files hold whose signals, and the table of trials of each."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from neurodecode.core.errors import ConfigError, DataError, suggestion
from neurodecode.datasets.arrays.description import COLUMNS, Description, Source
from neurodecode.datasets.arrays.sources import OpenedArray, open_source, read_text_table, text_values
from neurodecode.datasets.bids_events import MISSING, RESERVED

PLACEHOLDERS = ("subject", "session", "run")


@dataclass(frozen=True)
class SignalFile:
    """One file of signals and its trials.

    Parameters
    ----------
    path : Path
        The file.
    found : mapping of str to str
        What its name says: subject, session, run.
    trials : pandas.DataFrame
        One row a trial that showed a stimulus: `position` in the file, the columns that the description names, and
        what else its table has.
    left_out : int
        Trials that showed none.
    sources : tuple of Path
        All files that were opened for it.
    """

    path: Path
    found: Mapping[str, str]
    trials: pd.DataFrame
    left_out: int
    sources: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """Give the file's name, or what tells it from the others."""
        return "_".join(f"{key}-{value}" for key, value in self.found.items()) or self.path.stem


def subject_name(text: str) -> str:
    """Give a subject the form of name that every study uses.

    Examples
    --------
    >>> subject_name("3"), subject_name("sub-03"), subject_name("anna b")
    ('sub-03', 'sub-03', 'sub-annab')
    """
    bare = re.sub(r"[^A-Za-z0-9]", "", text.removeprefix("sub-"))
    if not bare:
        raise DataError(f"subject: got {text!r}, expected a number or a name of letters and digits")
    return f"sub-{int(bare):02d}" if bare.isdigit() else f"sub-{bare}"


def matching_files(root: Path, pattern: str) -> list[tuple[Path, dict[str, str]]]:
    """Find the files that a pattern with placeholders names.

    Parameters
    ----------
    root : Path
        What the pattern is relative to.
    pattern : str
        May hold ``{subject}``, ``{session}`` and ``{run}``; the same placeholder twice stands for the same text.

    Returns
    -------
    list of (Path, dict of str to str)
        Sorted by path, each with the text of its placeholders.

    Raises
    ------
    ConfigError
        If a placeholder is unknown.
    DataError
        If there is no such file.
    """
    names = re.findall(r"\{(.*?)\}", pattern)
    unknown = [name for name in names if name not in PLACEHOLDERS]
    if unknown:
        expected = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        raise ConfigError(
            f"signals: got {{{unknown[0]}}} in {pattern!r}, expected some of {expected}"
            f"{suggestion(unknown[0], PLACEHOLDERS)}"
        )
    if not names:
        return [(root / pattern, {})]
    expression, seen = "", set()
    for piece in re.split(r"(\{.*?\})", pattern):
        name = piece[1:-1]
        if not piece.startswith("{"):
            expression += re.escape(piece)
        else:
            expression += f"(?P={name})" if name in seen else f"(?P<{name}>[A-Za-z0-9]+)"
            seen.add(name)
    found = []
    base = Path(pattern).anchor or "."
    for path in sorted((root / base).glob(re.sub(r"\{.*?\}", "*", pattern).removeprefix(Path(pattern).anchor))):
        text = path.as_posix() if Path(pattern).is_absolute() else path.relative_to(root).as_posix()
        if match := re.fullmatch(expression, text):
            found.append((path, match.groupdict()))
    if not found:
        raise DataError(f"{root}: no file is called like the signals {pattern!r}")
    return found


def signal_files(root: Path, described: Description) -> list[SignalFile]:
    """Find all files of signals and read the table of trials of each; the signals are not read.

    Parameters
    ----------
    root : Path
        The data folder.
    described : Description
        Its description.

    Returns
    -------
    list of SignalFile
        In the order of their names.

    Raises
    ------
    DataError
        If a file is missing, a column is not there, or a list has not one entry a trial.
    """
    found, tables = [], {}
    for path, placed in matching_files(root, described.signals.file):
        array = open_source(path, described.signals.key)
        check_order(array, described)
        table, sources = None, [path]
        if described.trials:
            table_path = root / _filled(described.trials, placed)
            if table_path not in tables:
                tables[table_path] = read_text_table(table_path)
            table = _rows_of(tables[table_path], described, placed, table_path)
            sources.append(table_path)
        columns = [getattr(described, name) for name in COLUMNS]
        sources += [root / _filled(column.file, placed) for column in columns if isinstance(column, Source)]
        trials = _trials(root, described, placed, table, array)
        shown = ~trials["stimulus"].isin(MISSING)
        found.append(
            SignalFile(path, placed, trials[shown].reset_index(drop=True), int((~shown).sum()), tuple(sources))
        )
    return found


def check_order(array: OpenedArray, described: Description) -> None:
    """Check that an array has the dimensions that the description names, and holds numbers."""
    if len(array.shape) != len(described.order):
        raise DataError(
            f"{array.place}: shape {array.shape} has {len(array.shape)} dimensions, but `order` names "
            f"{len(described.order)}: {', '.join(described.order)}"
        )
    if array.dtype.kind not in "fiu":
        raise DataError(f"{array.place}: holds {array.dtype}, expected real numbers")


def _filled(pattern: str, placed: Mapping[str, str]) -> str:
    missing = [name for name in re.findall(r"\{(.*?)\}", pattern) if name not in placed]
    if missing:
        raise ConfigError(f"{pattern}: {{{missing[0]}}} is not in the name of the signals, so nothing fills it")
    return pattern.format(**placed)


def _rows_of(table: pd.DataFrame, described: Description, placed: Mapping[str, str], path: Path) -> pd.DataFrame:
    """Keep the rows of one file of signals, where one table serves several files and names them in columns."""
    for name, value in placed.items():
        column = getattr(described, name)
        if f"{{{name}}}" in described.trials or not isinstance(column, str):
            continue
        _require(column, table, path)
        mine = table[column].map(lambda text, value=value: _same(text, value))
        if not mine.any():
            raise DataError(f"{path}: no row has {value!r} in the column {column!r}, though signals of it are there")
        table = table[mine]
    return table.reset_index(drop=True)


def _same(left: str, right: str) -> bool:
    left, right = (re.sub(r"^(sub|ses|run)-", "", text) for text in (left, right))
    return left == right or (left.isdigit() and right.isdigit() and int(left) == int(right))


def _require(column: str, table: pd.DataFrame, path: Path | str) -> None:
    if column not in table.columns:
        known = [str(name) for name in table.columns]
        raise DataError(f"{path}: column {column!r} is missing, got {', '.join(known)}{suggestion(column, known)}")


def _trials(
    root: Path,
    described: Description,
    placed: Mapping[str, str],
    table: pd.DataFrame | None,
    array: OpenedArray,
) -> pd.DataFrame:
    """Collect what is known of the trials of one file."""
    if not described.continuous:
        n_trials = array.shape[described.order.index("trial")]
    elif table is not None:
        n_trials = len(table)
    else:
        onsets = cast(Source, described.onset)  # a string would need a table
        n_trials = len(text_values(open_source(root / _filled(onsets.file, placed), onsets.key)))
    trials = pd.DataFrame({"position": np.arange(n_trials)})
    if table is not None:
        place = str(root / _filled(described.trials, placed))
        _check_count(len(table), n_trials, place, array, described)
    used = set()
    for name in COLUMNS:
        column = getattr(described, name)
        if isinstance(column, Source):
            source = open_source(root / _filled(column.file, placed), column.key)
            values = text_values(source)
            _check_count(len(values), n_trials, source.place, array, described)
            trials[name] = values
        elif column is not None and table is not None:
            _require(column, table, place)
            trials[name] = table[column].str.strip()
            used.add(column)
        elif name in placed:
            trials[name] = placed[name]
    if table is not None:
        for column in table.columns:
            # A column of the same name as one of ours, but not named in the description, means something else.
            if column not in used and column not in (*trials.columns, *RESERVED, "unit of the split"):
                trials[str(column)] = _numbers_if_all(table[column])
    return trials


def _check_count(count: int, n_trials: int, place: str, array: OpenedArray, described: Description) -> None:
    if count == n_trials:
        return
    if described.continuous:
        raise DataError(f"{place}: {count} entries, expected {n_trials} as the other lists of the trials have")
    axis = described.order.index("trial")
    others = [index for index, size in enumerate(array.shape) if size == count]
    hint = f"; dimension {others[0] + 1} has {count}: is `order` right?" if others else ""
    raise DataError(f"{place}: {count} entries, but dimension {axis + 1} (trial) of {array.place} has {n_trials}{hint}")


def _numbers_if_all(values: "pd.Series[str]") -> "pd.Series[Any]":
    numbers = pd.to_numeric(values, errors="coerce")
    return numbers if bool(numbers.notna().all()) else values
