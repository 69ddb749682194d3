"""The plain type that the linear models speak: signals with the stimulus, the unit and the count of each row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError

Strings = NDArray[np.str_]


@dataclass(frozen=True)
class TrialSet:
    """Signals of one subject, one row a single trial or an average of trials.

    A voxel is a channel, and a beta map has one time.

    Parameters
    ----------
    signals : array of shape (n, channels, times)
        Any unit, the same for all rows; kept as float32.
    stimulus : array of str of shape (n,)
        What was shown. Rows of one stimulus are repetitions of each other.
    group : array of str of shape (n,)
        The unit that a split keeps whole (stimulus, concept, run, recording). All folds inside the models respect it.
    repetitions : array of int of shape (n,)
        How many trials were averaged into the row; 1 for a single trial.

    Raises
    ------
    DataError
        If shapes disagree, a signal is not finite, or a count is below one.

    Examples
    --------
    >>> trials = TrialSet(np.ones((2, 3, 4)), np.array(["a", "a"]), np.array(["a", "a"]), np.array([1, 1]))
    >>> trials.averaged().repetitions
    array([2])
    """

    signals: NDArray[np.float32]
    stimulus: Strings
    group: Strings
    repetitions: NDArray[np.int64]

    def __post_init__(self) -> None:
        signals = np.asarray(self.signals, dtype=np.float32)
        if signals.ndim != 3:
            raise DataError(f"signals: got shape {signals.shape}, expected (rows, channels, times)")
        if not len(signals):
            raise DataError("signals: got no rows, expected at least one")
        if not np.isfinite(signals).all():
            bad = int(np.flatnonzero(~np.isfinite(signals).all(axis=(1, 2)))[0])
            raise DataError(f"signals: row {bad} is not finite, expected finite numbers")
        object.__setattr__(self, "signals", signals)
        for name, kind in (("stimulus", np.str_), ("group", np.str_), ("repetitions", np.int64)):
            values = np.asarray(getattr(self, name), dtype=kind)
            if values.shape != (len(signals),):
                raise DataError(f"{name}: got shape {values.shape}, expected ({len(signals)},) as the signals have")
            object.__setattr__(self, name, values)
        if self.repetitions.min() < 1:
            raise DataError(f"repetitions: got {self.repetitions.min()}, expected at least 1")

    def __len__(self) -> int:
        """Give the number of rows."""
        return len(self.signals)

    @property
    def shape(self) -> tuple[int, int]:
        """Channels and times of one row."""
        return self.signals.shape[1], self.signals.shape[2]

    def select(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "TrialSet":
        """Return the chosen rows (a mask or indices) as a new set."""
        return TrialSet(self.signals[rows], self.stimulus[rows], self.group[rows], self.repetitions[rows])

    def averaged(self) -> "TrialSet":
        """Average the rows of one stimulus within one unit, weighted by their counts; sorted by unit, then stimulus."""
        cells = np.stack([self.group, self.stimulus], axis=1)
        names, inverse = np.unique(cells, axis=0, return_inverse=True)
        inverse = inverse.reshape(-1)
        totals = np.bincount(inverse, weights=self.repetitions).astype(np.int64)
        means = np.zeros((len(names), *self.shape), dtype=np.float64)
        np.add.at(means, inverse, self.signals * self.repetitions[:, None, None])
        means /= totals[:, None, None]
        return TrialSet(means.astype(np.float32), names[:, 1], names[:, 0], totals)


def join(sets: Sequence[TrialSet]) -> TrialSet:
    """Stack the rows of several sets of one subject.

    Raises
    ------
    DataError
        If their channels or times differ.
    """
    shapes = {trials.shape for trials in sets}
    if len(shapes) != 1:
        raise DataError(f"sets of trials: got shapes {sorted(shapes)}, expected one and the same")
    return TrialSet(
        np.concatenate([trials.signals for trials in sets]),
        np.concatenate([trials.stimulus for trials in sets]),
        np.concatenate([trials.group for trials in sets]),
        np.concatenate([trials.repetitions for trials in sets]),
    )


def grouped_folds(groups: Strings, n_folds: int, seed: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Deal whole units into folds of about equal numbers of rows.

    Parameters
    ----------
    groups : array of str of shape (n,)
        The unit of each row.
    n_folds : int
        Wanted number of folds; with fewer units there are as many folds as units.
    seed : int
        Order in which units are dealt.

    Returns
    -------
    list of (train, held_out)
        Row indices, sorted. No unit is on both sides of a fold, and each row is held out exactly once.

    Raises
    ------
    DataError
        With fewer than two units.

    Examples
    --------
    >>> folds = grouped_folds(np.array(["a", "a", "b", "c"]), 3, seed=0)
    >>> sorted(int(row) for _, held_out in folds for row in held_out)
    [0, 1, 2, 3]
    """
    names, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise DataError(f"groups: got {len(names)} unit, expected at least two to make folds")
    n_folds = min(n_folds, len(names))
    # Largest units first, each to the emptiest fold; the shuffle decides among units of equal size.
    shuffled = np.random.default_rng(seed).permutation(len(names))
    order = shuffled[np.argsort(-counts[shuffled], kind="stable")]
    fold_of_unit = np.empty(len(names), dtype=np.intp)
    filled = np.zeros(n_folds)
    for unit in order:
        fold = int(np.argmin(filled))
        fold_of_unit[unit] = fold
        filled[fold] += counts[unit]
    fold_of_row = fold_of_unit[inverse.reshape(-1)]
    return [(np.flatnonzero(fold_of_row != fold), np.flatnonzero(fold_of_row == fold)) for fold in range(n_folds)]
