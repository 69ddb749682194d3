"""The split that comes with somebody's arrays: a column of the trials, or lists of units."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import DataError, LeakageError
from neurodecode.core.split import Split, published_split
from neurodecode.core.split_rules import LEFT_OUT, VALIDATION_SHARE, units_of
from neurodecode.core.stimuli import Stimuli
from neurodecode.datasets.arrays.description import PARTS, ListedSplit, Source
from neurodecode.datasets.arrays.sources import open_source, text_values

SEED = 0


def described_split(
    given: ListedSplit, windows: Mapping[str, pd.DataFrame], stimuli: Stimuli, root: Path, *, seed: int = SEED
) -> Split:
    """Make the split that a description gives.

    Parameters
    ----------
    given : ListedSplit
        A column, or lists.
    windows : mapping of str to pandas.DataFrame
        Each subject's window table.
    stimuli : Stimuli
        Gives concept, text and cluster of each stimulus where the windows do not.
    root : Path
        What files of lists are relative to.
    seed : int
        Of the tenth of the training units that validates, where no validation part is given.

    Returns
    -------
    Split
        One fold.

    Raises
    ------
    DataError
        If a part is called something else, a list names an unknown unit, or nothing is left to train on.
    LeakageError
        If a unit is on two sides.

    Examples
    --------
    >>> table = pd.DataFrame({"stimulus": ["a", "b", "c"], "side": ["train", "val", "test"]})
    >>> names = pd.DataFrame({"stimulus": list("abc"), "kind": "word", "path": "", "concept": "", "text": ""})
    >>> split = described_split(ListedSplit(column="side"), {"sub-01": table}, Stimuli(names), Path())
    >>> split.rows("sub-01", "val").tolist()
    [1]
    """
    units = {subject: window_units(given.unit, subject, table, stimuli) for subject, table in windows.items()}
    if given.column:
        parts, rule = _from_column(given, windows, units), f"the column {given.column!r} of the trials"
    else:
        parts, rule = _from_lists(given, units, root), "the lists of the description"
    if "val" not in parts.values():
        training = sorted(unit for unit, part in parts.items() if part == "train")
        if len(training) < 2:
            raise DataError(f"split: {len(training)} units ({given.unit}) train, expected at least two")
        held_out = np.random.default_rng(seed).permutation(training)
        parts |= dict.fromkeys(map(str, held_out[: max(1, round(len(training) * VALIDATION_SHARE))]), "val")
        rule += f"; a tenth of its training side validates, drawn with seed {seed}"
    lacking = [part for part in PARTS if part not in parts.values()]
    if lacking:
        raise DataError(f"split: no unit ({given.unit}) is in the part {lacking[0]!r}")
    tables = {subject: table.assign(**{"unit of the split": units[subject]}) for subject, table in windows.items()}
    return published_split(tables, parts, column="unit of the split", unit=given.unit, rule=rule, seed=seed)


def window_units(unit: str, subject: str, table: pd.DataFrame, stimuli: Stimuli) -> NDArray[np.str_]:
    """Name the unit of each window; runs and sessions of different subjects are different units."""
    if unit == "subject":
        return np.full(len(table), subject, dtype=np.str_)
    if unit in LEFT_OUT:
        names = pd.Series(subject, index=table.index)
        for column in LEFT_OUT[unit]:
            names = names + "/" + table[column].astype(str)
        return names.to_numpy().astype(str)
    return units_of(unit, table, stimuli)


def _from_column(
    given: ListedSplit, windows: Mapping[str, pd.DataFrame], units: Mapping[str, NDArray[np.str_]]
) -> dict[str, str]:
    parts: dict[str, str] = {}
    for subject, table in windows.items():
        if given.column not in table:
            raise DataError(
                f"split: the trials have no column {given.column!r}, got {', '.join(map(str, table.columns))}"
            )
        for row, (unit, part) in enumerate(zip(units[subject], table[given.column].astype(str), strict=True)):
            if part not in (*PARTS, ""):
                raise DataError(
                    f"split: {subject}, trial {row}: the column {given.column!r} has {part!r}, expected train, val "
                    "or test"
                )
            if part and parts.setdefault(str(unit), part) != part:
                raise LeakageError(
                    f"split: {subject}, trial {row}: the {given.unit} {str(unit)!r} is in {part} here and in "
                    f"{parts[str(unit)]} before; if another unit is kept apart, name it with `unit`"
                )
    return parts


def _from_lists(given: ListedSplit, units: Mapping[str, NDArray[np.str_]], root: Path) -> dict[str, str]:
    known = {str(unit) for names in units.values() for unit in names} - {""}
    short: dict[str, list[str]] = {}
    for name in known:  # a run may be named without its subject and session
        short.setdefault(name.rsplit("/", 1)[-1], []).append(name)
    parts: dict[str, str] = {}
    for part in PARTS:
        listed = getattr(given, part)
        if listed is None:
            continue
        names = text_values(open_source(root / listed.file, listed.key)) if isinstance(listed, Source) else listed
        for name in names:
            meant = [name] if name in known else short.get(name, []) if given.unit in LEFT_OUT else []
            if not meant:
                raise DataError(f"split: the list {part!r} names the {given.unit} {name!r}, which no trial has")
            for unit in meant:
                if parts.setdefault(unit, part) != part:
                    raise LeakageError(f"split: the {given.unit} {unit!r} is in the lists {parts[unit]!r} and {part!r}")
    if given.train is None:
        parts |= {name: "train" for name in known if name not in parts}
    return parts
