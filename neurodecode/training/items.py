"""The items of a fold: which windows are averaged into one row, and which of them a pass takes."""

from dataclasses import dataclass
from math import ceil
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.recording import group_by_stimulus
from neurodecode.core.split import Part, Split

Averaging = int | Literal["all", "random"]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Items:
    """What can be one row of a batch: repetitions of one thing by one subject.

    Parameters
    ----------
    table : pandas.DataFrame
        One row an item: `subject`, `item` (what was averaged over), `stimulus`, `candidate`, `unit`, `repetitions`
        (windows there are).
    windows : list of ndarray of int
        Positions of its windows in the subject's window table.
    """

    table: pd.DataFrame
    windows: list[Rows]

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.windows)


def items_of_subject(
    windows: pd.DataFrame,
    split: Split,
    subject: str,
    part: Part,
    *,
    fold: int,
    averaging: str,
    candidates: dict[str, str] | None,
) -> Items:
    """List one subject's items in one part of a fold.

    Parameters
    ----------
    windows : pandas.DataFrame
        The subject's window table.
    split : Split
        The split.
    subject : str
        The subject.
    part : str
        ``train``, ``val`` or ``test``.
    fold : int
        The fold.
    averaging : str
        Column of the window table whose equal values are repetitions, such as ``stimulus``.
    candidates : dict of str to str or None
        What a stimulus is to be recognised as; None takes the stimulus itself.

    Returns
    -------
    Items
        Sorted by the averaging column's value.

    Raises
    ------
    DataError
        If the column is missing, or windows of one item show different candidates.
    """
    if averaging not in windows.columns:
        raise DataError(f"{subject}: the window table has no column {averaging!r}, by which windows are averaged")
    names, groups = group_by_stimulus(windows, split.rows(subject, part, fold=fold), column=averaging)
    shown = windows["stimulus"].to_numpy().astype(str)
    rows = []
    for name, group in zip(names, groups, strict=True):
        stimuli = list(dict.fromkeys(shown[group]))
        labels = sorted({stimulus if candidates is None else candidates[stimulus] for stimulus in stimuli})
        if len(labels) != 1:
            raise DataError(f"{subject}: windows of {averaging} {name!r} show {' and '.join(labels)}, expected one")
        unit = str(split.units(group[:1], subject)[0])
        rows.append((subject, name, stimuli[0], labels[0], unit, len(group)))
    columns = ["subject", "item", "stimulus", "candidate", "unit", "repetitions"]
    return Items(pd.DataFrame(rows, columns=columns), groups)


def join_items(parts: list[Items]) -> Items:
    """Put the items of several subjects one after the other."""
    return Items(
        pd.concat([part.table for part in parts], ignore_index=True),
        [windows for part in parts for windows in part.windows],
    )


def draw_repetitions(windows: Rows, averaging: Averaging, generator: np.random.Generator) -> Rows:
    """Choose which windows of an item are averaged now.

    Parameters
    ----------
    windows : ndarray of int
        All windows of the item.
    averaging : int or str
        ``all``; a number of them, drawn without replacement (all, if there are fewer); or ``random``, a random number
        of them, from 1 to all.
    generator : numpy.random.Generator
        Source of the draw.

    Returns
    -------
    ndarray of int
        In the order of the window table.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> len(draw_repetitions(np.arange(4), 2, generator)), len(draw_repetitions(np.arange(4), "all", generator))
    (2, 4)
    """
    if averaging == "all":
        return windows
    count = int(generator.integers(1, len(windows) + 1)) if averaging == "random" else int(averaging)
    if count >= len(windows):
        return windows
    return np.sort(generator.choice(windows, count, replace=False))


def check_averaging(name: str, averaging: Averaging) -> None:
    """Refuse a way of averaging that does not exist.

    Examples
    --------
    >>> check_averaging("average_training", "random")
    """
    if averaging in ("all", "random") or (isinstance(averaging, int) and averaging >= 1):
        return
    raise ConfigError(f"{name}: got {averaging!r}, expected a number of repetitions from 1, all or random")


def plan_batches(
    subjects: NDArray[np.str_], *, batch_size: int, shuffle: bool, generator: np.random.Generator, processes: int = 1
) -> list[list[NDArray[np.int64]]]:
    """Deal items into batches, of all subjects together, a share for every process.

    Parameters
    ----------
    subjects : ndarray of str, shape (n_items,)
        Subject of every item. Within a batch, items are sorted by subject, so that groups are contiguous.
    batch_size : int
        Most items in a batch of one process.
    shuffle : bool
        Whether the order is drawn.
    generator : numpy.random.Generator
        Source of the order; the same in all processes.
    processes : int
        Number of processes.

    Returns
    -------
    list of list of ndarray of int
        For every process its batches, equally many. Every item is dealt once; where their number does not divide by
        that of processes, the first items are dealt twice.

    Examples
    --------
    >>> subjects = np.array(["a", "b", "a"])
    >>> batches = plan_batches(subjects, batch_size=2, shuffle=False, generator=np.random.default_rng(0))
    >>> [batch.tolist() for batch in batches[0]]
    [[0, 1], [2]]
    """
    order = generator.permutation(len(subjects)) if shuffle else np.arange(len(subjects))
    missing = -len(order) % processes
    order = np.concatenate([order, order[:missing]])
    shares = []
    for rank in range(processes):
        mine = order[rank::processes]
        # Batches of about equal size: a last one of a single row would have nothing to contrast with.
        parts = np.array_split(mine, ceil(len(mine) / batch_size)) if len(mine) else []
        shares.append([part[np.argsort(subjects[part], kind="stable")] for part in parts])
    return shares
