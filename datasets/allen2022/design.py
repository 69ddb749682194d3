"""Which picture each trial showed: the design, the table of pictures and the responses, held against each other."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.files import read_table
from neurodecode.datasets.allen2022.matlab import load_mat

REPETITIONS = 3
# Seconds from one slot of a run to the next; some slots are blank.
SLOT = 4.0
STIMULUS_COLUMNS = ("cocoId", "nsdId", "shared1000")
RESPONSE_COLUMNS = ("SESSION", "RUN", "TRIAL", "73KID", "10KID")


@dataclass(frozen=True)
class Design:
    """The order of the experiment, the same for every subject but for the pictures themselves.

    Parameters
    ----------
    path : Path
        The file it was read from.
    order : ndarray of int, shape (n_trials,)
        Which of a subject's pictures each trial shows, counted from 0.
    pictures : ndarray of int, shape (n_subjects, n_pictures)
        The ``nsdId``, counted from 0, of each of a subject's pictures.
    n_shared : int
        So many of the first pictures are the same for all subjects.
    slots : ndarray of bool, shape (n_sessions, n_runs, n_slots)
        Where trials are; the other slots are blank.
    """

    path: Path
    order: NDArray[np.int64]
    pictures: NDArray[np.int64]
    n_shared: int
    slots: NDArray[np.bool_]

    @property
    def n_sessions(self) -> int:
        """Give the number of sessions that were planned."""
        return len(self.slots)

    @property
    def trials_per_session(self) -> int:
        """Give the number of trials in each session."""
        return len(self.order) // self.n_sessions

    def shown(self, subject: int) -> NDArray[np.int64]:
        """Give the ``nsdId`` of every trial of a subject (1 to 8)."""
        shown: NDArray[np.int64] = self.pictures[subject - 1, self.order]
        return shown

    def trials(self) -> pd.DataFrame:
        """Describe the planned trials: session, run and trial in its run from 1, onset in s, shared, repetition."""
        session, run, slot = np.nonzero(self.slots)
        table = pd.DataFrame({"session": session + 1, "run": run + 1, "onset": slot * SLOT})
        table["trial_in_run"] = table.groupby(["session", "run"]).cumcount() + 1
        table["shared1000"] = (self.order < self.n_shared).astype(np.int64)
        table["repetition"] = table.groupby(self.order).cumcount() + 1
        return table


def read_design(path: Path) -> Design:
    """Read ``nsd_expdesign.mat`` and check that it is whole and counts from 1.

    Parameters
    ----------
    path : Path
        The file: `masterordering` ``(1, n_trials)``, `subjectim` ``(n_subjects, n_pictures)``, `sharedix` and
        `stimpattern` ``(n_sessions, n_runs, n_slots)``.

    Returns
    -------
    Design
        Counted from 0.

    Raises
    ------
    DataError
        Naming file, variable, what was got and what was expected.
    """
    variables = _read_mat(path, ("masterordering", "subjectim", "sharedix", "stimpattern"))
    order = variables["masterordering"].ravel()
    pictures, shared = variables["subjectim"], variables["sharedix"].ravel()
    pattern = variables["stimpattern"]
    if pictures.ndim != 2 or pattern.ndim != 3 or not order.size:
        raise DataError(
            f"{path}: subjectim {pictures.shape}, stimpattern {pattern.shape}, expected two and three dimensions"
        )
    if order.min() != 1 or order.max() != pictures.shape[1]:
        raise DataError(
            f"{path}: masterordering runs from {order.min()} to {order.max()}, expected 1 to {pictures.shape[1]}"
        )
    if pictures.min() < 1:
        row = int(np.argmin(pictures.min(axis=1)))
        raise DataError(f"{path}: subjectim holds {pictures.min()} for subject {row + 1}, expected numbers from 1")
    counts = np.bincount(order - 1)
    if counts.max() != counts.min():
        picture = int(np.argmin(counts))
        raise DataError(
            f"{path}: masterordering shows picture {picture + 1} {counts[picture]} times, others {counts.max()} times"
        )
    for row, own in enumerate(pictures, start=1):
        if len(np.unique(own)) != len(own):
            raise DataError(
                f"{path}: subjectim has {len(np.unique(own))} different pictures for subject {row} of {len(own)}"
            )
        unshared = np.flatnonzero(~np.isin(own[: len(shared)], shared))
        if len(unshared):
            place = int(unshared[0])
            raise DataError(
                f"{path}: subjectim of subject {row} has picture {own[place]} in place {place + 1}, expected one "
                f"of the {len(shared)} in sharedix"
            )
    slots = np.asarray(pattern != 0)
    totals = slots.sum(axis=(1, 2))
    if (totals * len(totals) != len(order)).any():
        session = int(np.argmax(totals * len(totals) != len(order)))
        raise DataError(
            f"{path}: stimpattern has {totals[session]} trials in session {session + 1}, expected "
            f"{len(order) / len(totals):g} ({len(order)} in masterordering over {len(totals)} sessions)"
        )
    return Design(path, order - 1, pictures - 1, len(shared), slots)


def _read_mat(path: Path, names: tuple[str, ...]) -> dict[str, NDArray[np.int64]]:
    found = {}
    for name, values in load_mat(path, names).items():
        # A damaged number may be whole and far too large for an integer, or infinite.
        numbers = values.astype(np.float64) if values.dtype.kind in "iufb" else np.array([np.nan])
        if not (np.abs(numbers) < 2**53).all() or not np.array_equal(numbers, np.rint(numbers)):
            raise DataError(f"{path}: variable {name!r} is {values.dtype}, expected whole numbers")
        found[name] = values.astype(np.int64)
    return found


def read_pictures(path: Path, subjects: tuple[int, ...]) -> pd.DataFrame:
    """Read ``nsd_stim_info_merged.csv``, one row a picture, with the trials in which the subjects saw it.

    Parameters
    ----------
    path : Path
        The table. The same table as a pickle is never opened.
    subjects : tuple of int
        Whose trial numbers must be there.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``nsdId``.

    Raises
    ------
    DataError
        If a column is missing or an ``nsdId`` repeats.
    """
    trials = tuple(column for subject in subjects for column in repetition_columns(subject))
    table = read_table(path, required=(*STIMULUS_COLUMNS, *trials))
    if table["nsdId"].duplicated().any():
        raise DataError(f"{path}: nsdId {table['nsdId'][table['nsdId'].duplicated()].iloc[0]} occurs more than once")
    return table.set_index("nsdId", drop=False)


def repetition_columns(subject: int) -> tuple[str, ...]:
    """Name the columns with the trials, counted from 1, in which a subject saw a picture."""
    return tuple(f"subject{subject}_rep{repetition}" for repetition in range(REPETITIONS))


def prove_pictures(
    design: Design, table: pd.DataFrame, path: Path, subject: int, sessions: Collection[int] | None = None
) -> None:
    """Prove that the design and the table of pictures show a subject the same picture in every trial.

    Parameters
    ----------
    design : Design
        The design.
    table : pandas.DataFrame
        What `read_pictures` gave.
    path : Path
        Its file.
    subject : int
        From 1.
    sessions : collection of int, optional
        Only the trials of these; all by default.

    Raises
    ------
    DataError
        Naming both files and the first trial that differs.
    """
    shown = design.shown(subject)
    listed = np.full(len(shown), -1, dtype=np.int64)
    for column in repetition_columns(subject):
        trials = table[column].to_numpy(dtype=np.int64)
        bad = (trials < 0) | (trials > len(shown))
        if bad.any():
            number = table.index[int(np.argmax(bad))]
            raise DataError(
                f"{path}: nsdId {number} has trial {trials[bad][0]} in {column}, expected 0 to {len(shown)}"
            )
        listed[trials[trials > 0] - 1] = table.index.to_numpy(dtype=np.int64)[trials > 0]
    session = np.arange(len(shown)) // design.trials_per_session + 1
    wanted = np.ones(len(shown), dtype=bool) if sessions is None else np.isin(session, list(sessions))
    differs = (listed != shown) & wanted
    if differs.any():
        trial = int(np.argmax(differs))
        got = f"nsdId {listed[trial]}" if listed[trial] >= 0 else "no picture"
        raise DataError(
            f"{path}: subject {subject}, trial {trial + 1} (session {session[trial]}): got "
            f"{got}, expected nsdId {shown[trial]} as in {design.path.name}; {int(differs.sum())} of "
            f"{int(wanted.sum())} trials differ"
        )
    shared = set(table.index[table["shared1000"].astype(bool)].tolist())
    expected = set(design.pictures[subject - 1, : design.n_shared].tolist())
    if shared != expected:
        number = min(shared ^ expected)
        raise DataError(
            f"{path}: shared1000 of nsdId {number} is {number in shared}, expected {number in expected} as in "
            f"sharedix of {design.path.name}"
        )


def prove_responses(design: Design, path: Path, subject: int) -> int:
    """Prove that a subject's responses name the same picture as the design in every trial.

    Parameters
    ----------
    design : Design
        The design.
    path : Path
        ``responses.tsv``; its identifiers count from 1, its sessions may be fewer than planned.
    subject : int
        From 1.

    Returns
    -------
    int
        Number of trials that were compared.

    Raises
    ------
    DataError
        Naming the first line and column that differ.
    """
    table = read_table(path, required=RESPONSE_COLUMNS)
    expected = design.trials()
    if len(table) > len(expected) or len(table) % design.trials_per_session:
        raise DataError(
            f"{path}: {len(table)} trials, expected at most {len(expected)} in sessions of {design.trials_per_session}"
        )
    rows = slice(0, len(table))
    columns = {
        "SESSION": expected["session"].to_numpy()[rows],
        "RUN": expected["run"].to_numpy()[rows],
        "TRIAL": expected["trial_in_run"].to_numpy()[rows],
        "73KID": design.shown(subject)[rows] + 1,
        "10KID": design.order[rows] + 1,
    }
    for name, values in columns.items():
        got = pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=np.float64)
        differs = got != values
        if differs.any():
            row = int(np.argmax(differs))
            raise DataError(
                f"{path}: line {row + 2}: {name} is {got[row]:g}, expected {values[row]} as in {design.path.name} "
                f"({int(differs.sum())} of {len(table)} lines differ)"
            )
    return len(table)
