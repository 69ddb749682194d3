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


def items_of_sequences(
    windows: pd.DataFrame,
    split: Split,
    subject: str,
    part: Part,
    *,
    fold: int,
    sequence: str,
    candidates: dict[str, str] | None,
) -> Items:
    """List one subject's windows in one part of a fold, each an item of its own, by the sequence it belongs to.

    Parameters
    ----------
    windows, split, subject, part, fold, candidates
        See :func:`items_of_subject`.
    sequence : str
        Column of the window table that names the sequence, such as ``sentence``; equal names of different sessions or
        runs are different sequences. Windows without a name are left out.

    Returns
    -------
    Items
        With columns ``sequence`` and ``position`` as well, the place of the window by its onset; sorted by both.

    Raises
    ------
    DataError
        If the column is missing.
    """
    if sequence not in windows.columns:
        raise DataError(f"{subject}: the window table has no column {sequence!r}, which names the sequences")
    rows = split.rows(subject, part, fold=fold)
    named = windows[sequence].fillna("").astype(str).to_numpy()
    rows = rows[(named[rows] != "") & (windows["stimulus"].astype(str).to_numpy()[rows] != "")]
    table = pd.DataFrame(
        {
            "row": rows,
            "subject": subject,
            "item": [f"window {row}" for row in rows],
            "stimulus": windows["stimulus"].astype(str).to_numpy()[rows],
            "unit": split.units(rows, subject).astype(str),
            "repetitions": 1,
            "sequence": [
                "/".join(parts)
                for parts in zip(
                    *(windows[column].astype(str).to_numpy()[rows] for column in ("session", "run")),
                    named[rows],
                    strict=True,
                )
            ],
            "onset": windows["onset"].to_numpy(dtype=float)[rows],
        }
    )
    table["candidate"] = [name if candidates is None else candidates[name] for name in table["stimulus"]]
    table = table.sort_values(["sequence", "onset"], kind="stable", ignore_index=True)
    table["position"] = table.groupby("sequence").cumcount()
    return Items(table.drop(columns=["row", "onset"]), [np.array([row]) for row in table["row"]])


def number_sequences(table: pd.DataFrame) -> NDArray[np.int64]:
    """Give every sequence of every subject a number, in the order of the table.

    Examples
    --------
    >>> number_sequences(pd.DataFrame({"subject": ["a", "a", "b"], "sequence": ["x", "x", "x"]})).tolist()
    [0, 0, 1]
    """
    return np.asarray(table.groupby(["subject", "sequence"], sort=False).ngroup(), dtype=np.int64)


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
    subjects: NDArray[np.str_],
    *,
    batch_size: int,
    shuffle: bool,
    generator: np.random.Generator,
    processes: int = 1,
    sequences: NDArray[np.int64] | None = None,
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
    sequences : ndarray of int, shape (n_items,), optional
        Which items belong together: whole sequences are dealt then, as many to a batch as have ``batch_size`` items on
        average.

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
    if sequences is not None:
        return _plan_sequences(subjects, sequences, batch_size, shuffle, generator, processes)
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


def sequences_at_a_time(sequences: NDArray[np.int64], batch_size: int) -> int:
    """Return how many sequences make a batch of about a size.

    Examples
    --------
    >>> sequences_at_a_time(np.array([0, 0, 0, 1]), 5)
    2
    """
    return max(1, int(batch_size * len(np.unique(sequences)) / max(len(sequences), 1)))


def _plan_sequences(
    subjects: NDArray[np.str_],
    sequences: NDArray[np.int64],
    batch_size: int,
    shuffle: bool,
    generator: np.random.Generator,
    processes: int,
) -> list[list[NDArray[np.int64]]]:
    names, first = np.unique(sequences, return_index=True)
    shares = plan_batches(
        subjects[first],
        batch_size=sequences_at_a_time(sequences, batch_size),
        shuffle=shuffle,
        generator=generator,
        processes=processes,
    )
    order = np.argsort(sequences, kind="stable")
    ends = np.searchsorted(sequences[order], names, side="right")
    members = dict(zip(range(len(names)), np.split(order, ends[:-1]), strict=True))
    return [[np.concatenate([members[int(one)] for one in batch]) for batch in share] for share in shares]
