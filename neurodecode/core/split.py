"""Which windows train, validate and test, made once and checked by every command."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError, DataError, LeakageError
from neurodecode.core.files import fingerprint, read_json, read_table, write_json, write_table

Part = Literal["train", "val", "test"]
PARTS = ("train", "val", "test", "")
UNITS = ("stimulus", "concept", "text", "run", "session", "subject", "cluster", "published")


@dataclass(frozen=True)
class Split:
    """A table over windows with one column a fold.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns `subject`, `window` (position in the subject's window table), `unit` and ``fold_0``, ``fold_1`` ...
        with ``train``, ``val``, ``test`` or an empty string for windows that a fold leaves out.
    unit : str
        What must be on one side only: one of `UNITS`.
    rule : str
        How the split was made, in words.
    seed : int
        Seed of its random choices.

    Raises
    ------
    LeakageError
        If a unit is on two sides of a fold.
    """

    table: pd.DataFrame
    unit: str
    rule: str
    seed: int

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ConfigError(f"split: unit {self.unit!r} is not one of {', '.join(UNITS)}")
        for column in ("subject", "window", "unit", "fold_0"):
            if column not in self.table.columns:
                raise DataError(f"split: column {column!r} is missing")
        for fold in range(self.n_folds):
            self._check_fold(fold)

    def _check_fold(self, fold: int) -> None:
        column = self.table[f"fold_{fold}"]
        unknown = sorted(set(column) - set(PARTS))
        if unknown:
            raise DataError(f"split: fold {fold} holds {unknown[0]!r}, expected train, val, test or nothing")
        used = self.table[column != ""]
        sides = used.groupby("unit")[f"fold_{fold}"].nunique()
        if (sides > 1).any():
            unit = str(sides.index[int(np.argmax(sides.to_numpy() > 1))])
            found = sorted(set(used.loc[used["unit"] == unit, f"fold_{fold}"]))
            raise LeakageError(f"split: the {self.unit} {unit!r} is in {' and '.join(found)} of fold {fold}")

    @property
    def n_folds(self) -> int:
        """Give the number of folds."""
        return sum(1 for column in self.table.columns if str(column).startswith("fold_"))

    @property
    def hash(self) -> str:
        """Compute the digest that results and checkpoints carry."""
        return fingerprint(
            {"unit": self.unit, "rule": self.rule, "seed": self.seed, "table": self.table.to_csv(index=False)}
        )

    def rows(self, subject: str, part: Part, *, fold: int = 0) -> NDArray[np.int64]:
        """List the positions of one subject's windows in one part of a fold."""
        if not 0 <= fold < self.n_folds:
            raise ConfigError(f"fold: got {fold}, expected 0 to {self.n_folds - 1}")
        chosen = self.table[(self.table["subject"] == subject) & (self.table[f"fold_{fold}"] == part)]
        return chosen["window"].to_numpy(dtype=np.int64)

    def units(self, rows: NDArray[np.int64], subject: str) -> NDArray[np.str_]:
        """Give the unit of each of a subject's windows."""
        mine = self.table[self.table["subject"] == subject].set_index("window")["unit"]
        return mine.loc[pd.Index(rows)].to_numpy().astype(str)

    def save(self, folder: Path) -> None:
        """Write ``split.csv`` and ``split.json`` (rule and hash)."""
        write_table(folder / "split.csv", self.table)
        write_json(folder / "split.json", {"unit": self.unit, "rule": self.rule, "seed": self.seed, "hash": self.hash})

    @classmethod
    def load(cls, folder: Path) -> "Split":
        """Read what `save` wrote, and check its hash and that no unit is on two sides."""
        header = read_json(folder / "split.json")
        required = ("subject", "window", "unit", "fold_0")
        table = read_table(folder / "split.csv", required=required, text=("subject", "unit"))
        for column in table.columns:
            if str(column).startswith("fold_"):
                table[column] = table[column].fillna("").astype(str)
        split = cls(table, str(header["unit"]), str(header["rule"]), int(header["seed"]))
        if split.hash != header["hash"]:
            path = folder / "split.csv"
            raise DataError(f"{path}: hash {split.hash}, expected {header['hash']}; it was edited or cut")
        return split


def published_split(
    windows: Mapping[str, pd.DataFrame], parts: Mapping[str, str], *, column: str, unit: str, rule: str, seed: int = 0
) -> Split:
    """Make a one-fold split from a published list of units.

    Parameters
    ----------
    windows : mapping of str to pandas.DataFrame
        Each subject's window table.
    parts : mapping of str to str
        ``train``, ``val`` or ``test`` for each value of `column`; other windows are left out.
    column : str
        Column of the window tables that holds the unit.
    unit : str
        The kind of unit.
    rule : str
        Where the list comes from.
    seed : int
        Seed that made the list, if any.

    Returns
    -------
    Split
        One fold.
    """
    tables = []
    for subject, table in windows.items():
        values = table[column].astype(str).to_numpy()
        tables.append(
            pd.DataFrame(
                {
                    "subject": subject,
                    "window": np.arange(len(table)),
                    "unit": values,
                    "fold_0": [parts.get(value, "") for value in values],
                }
            )
        )
    return Split(pd.concat(tables, ignore_index=True), unit, rule, seed)


def leave_one_out_split(
    windows: Mapping[str, pd.DataFrame],
    *,
    columns: Sequence[str] = ("session", "run"),
    unit: str = "run",
    validation_units: int = 1,
    seed: int = 0,
    keep: str = "stimulus",
) -> Split:
    """Make one fold a unit: each is the test once, the next ones in a seeded order validate, the others train.

    Parameters
    ----------
    windows : mapping of str to pandas.DataFrame
        Each subject's window table. Units of different subjects are different, unless `unit` is ``subject``.
    columns : sequence of str
        Columns that together name the unit within a subject.
    unit : str
        The kind of unit.
    validation_units : int
        How many of the remaining units validate.
    seed : int
        Seed of the order in which units validate.
    keep : str
        Windows with an empty value in this column belong to no part.

    Returns
    -------
    Split
        As many folds as the subject with most units has; a subject with fewer units is left out of the surplus folds.

    Examples
    --------
    >>> table = pd.DataFrame({"session": "", "run": ["1", "2", "3"], "stimulus": "face"})
    >>> split = leave_one_out_split({"sub-01": table})
    >>> split.n_folds, split.rows("sub-01", "test", fold=1).tolist()
    (3, [1])
    """
    tables, orders = [], {}
    generator = np.random.default_rng(seed)
    for subject, table in windows.items():
        parts = [table[column].astype(str) for column in columns]
        names = parts[0]
        for other in parts[1:]:
            names = names + "/" + other
        if unit != "subject":
            names = subject + "/" + names
        used = (table[keep].astype(str) != "").to_numpy() if keep else np.ones(len(table), dtype=bool)
        tables.append(
            pd.DataFrame({"subject": subject, "window": np.arange(len(table)), "unit": names.to_numpy()})[used]
        )
        orders[subject] = list(dict.fromkeys(names[used]))
    table = pd.concat(tables, ignore_index=True)
    if unit == "subject":
        everyone = list(dict.fromkeys(name for order in orders.values() for name in order))
        orders = dict.fromkeys(orders, everyone)
    n_folds = max(len(order) for order in orders.values())
    if min(len(order) for order in orders.values()) < validation_units + 2:
        raise ConfigError(f"split: leaving one {unit} out with {validation_units} to validate needs more {unit}s")
    columns_of_folds = {f"fold_{fold}": np.full(len(table), "", dtype=object) for fold in range(n_folds)}
    units = table["unit"].to_numpy().astype(str)
    shuffled: list[str] = []
    for subject, order in orders.items():
        mine = (table["subject"] == subject).to_numpy()
        # Subjects that are units themselves share one order, so that all rows agree on who validates.
        if unit != "subject" or not shuffled:
            shuffled = [order[index] for index in generator.permutation(len(order))]
        for fold, test in enumerate(order):
            at = shuffled.index(test)
            validation = {shuffled[(at + step) % len(shuffled)] for step in range(1, validation_units + 1)}
            column = columns_of_folds[f"fold_{fold}"]
            column[mine] = "train"
            column[mine & np.isin(units, sorted(validation))] = "val"
            column[mine & (units == test)] = "test"
    for name, column in columns_of_folds.items():
        table[name] = column
    rule = f"leave one {unit} out, {validation_units} of the others validate(s)"
    return Split(table, unit, rule, seed)
