"""MindEye2's files: one HDF5 file of all trials a subject, and archives that say what each trial was."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import DataError
from neurodecode.core.recording import Recording
from neurodecode.datasets.allen2022.common import (
    DENOISED,
    FITTED,
    N_PICTURES,
    Z_SCORED,
    check_voxels,
    one_block,
    subject_name,
    unplaced_sensors,
    window_table,
)
from neurodecode.datasets.allen2022.design import read_design
from neurodecode.datasets.allen2022.release import DESIGN
from neurodecode.datasets.allen2022.samples import Sample, read_samples, shards

BETAS = "betas_all_subj{:02d}_fp32_renorm.hdf5"
STIMULI = "coco_images_224_float16.hdf5"
BEHAVIOUR = "behav.npy"
N_COLUMNS = 17
# Columns of the behaviour that are read: picture and row of the betas count from 0, the others from 1.
COLUMNS = {"nsd": 0, "subject": 1, "session": 2, "run": 3, "row": 5, "shared1000": 16}
TRIALS_AT_A_TIME = 256


class MindEye2:
    """Read ``betas_all_subj0X_fp32_renorm.hdf5`` with the archives in ``wds``.

    Parameters
    ----------
    root : Path
        Folder of those files.
    sessions : int, optional
        The last session that is read.
    """

    def __init__(self, root: Path, sessions: int | None) -> None:
        self.root, self.sessions = root, sessions
        self._tables: dict[int, pd.DataFrame] = {}

    @staticmethod
    def there(root: Path) -> bool:
        """Tell whether the files lie in a folder, by names only."""
        return (root / "wds").is_dir() and next(root.glob("betas_all_subj0*_fp32_renorm.hdf5"), None) is not None

    def subjects(self) -> list[int]:
        """List the subjects with betas and archives."""
        names = [path.name for path in self.root.glob("betas_all_subj0*_fp32_renorm.hdf5")]
        numbers = [int(match[1]) for name in names if (match := re.search(r"subj(\d\d)_", name))]
        return sorted(number for number in numbers if (self.root / "wds" / f"subj{number:02d}").is_dir())

    def trials(self, subject: int) -> pd.DataFrame:
        """List a subject's trials by their row in the betas, proven to agree with each other and with the design.

        Columns are those of `COLUMNS`, `part`, `where`, and `repetition`.
        """
        if subject in self._tables:
            return self._tables[subject]
        folder = self.root / "wds" / f"subj{subject:02d}"
        # What was public before August 2023 is in `test`, all of it in `new_test`.
        test = next((name for name in ("new_test", "test") if (folder / name).is_dir()), "new_test")
        found: dict[int, dict[str, Any]] = {}
        for part, name in (("train", "train"), ("test", test)):
            archives = shards(folder / name, r"(\d+)\.tar")
            if not archives:
                raise DataError(f"{folder / name}: no archives, expected 0.tar and so on")
            for sample in read_samples(archives, part):
                trial: dict[str, Any] = {**read_behaviour(sample), "part": part, "where": sample.where}
                self._check(trial, subject, found)
                found[trial["row"]] = trial
        table = pd.DataFrame([found[row] for row in sorted(found)])
        sides = table.groupby("nsd")["part"].transform("nunique")
        if (sides > 1).any():
            at = int(np.argmax(sides.to_numpy() > 1))
            raise DataError(f"{table['where'].iloc[at]}: picture {table['nsd'].iloc[at]} both trains and tests")
        self._check_design(table, subject)
        if self.sessions is not None:
            table = table[table["session"] <= self.sessions].reset_index(drop=True)
        table["repetition"] = table.groupby("nsd").cumcount() + 1
        self._tables[subject] = table
        return table

    @staticmethod
    def _check(trial: Mapping[str, Any], subject: int, found: Mapping[int, Mapping[str, Any]]) -> None:
        where = trial["where"]
        if trial["subject"] != subject:
            raise DataError(f"{where}: subject {trial['subject']} in {BEHAVIOUR}, expected {subject}")
        if trial["part"] == "test" and not trial["shared1000"]:
            raise DataError(f"{where}: shared1000 is 0 for picture {trial['nsd']} in the test, expected 1")
        other = found.get(trial["row"])
        if other is not None and any(other[name] != trial[name] for name in COLUMNS):
            raise DataError(
                f"{where}: trial {trial['row']} shows picture {trial['nsd']}, {other['nsd']} in {other['where']}"
            )

    def _check_design(self, table: pd.DataFrame, subject: int) -> None:
        """Prove that sessions rise with the trials, and that the pictures are the design's where it is on disk."""
        order = table["session"].to_numpy() * 1000 + table["run"].to_numpy()
        if (np.diff(order) < 0).any():
            at = int(np.argmax(np.diff(order) < 0)) + 1
            raise DataError(
                f"{table['where'].iloc[at]}: trial {table['row'].iloc[at]} is in session {table['session'].iloc[at]}, "
                f"run {table['run'].iloc[at]}, expected session {table['session'].iloc[at - 1]}, run "
                f"{table['run'].iloc[at - 1]} on"
            )
        if not (self.root / DESIGN).is_file():
            return
        design = read_design(self.root / DESIGN)
        rows = table["row"].to_numpy()
        shown = design.shown(subject)
        beyond = rows >= len(shown)
        differs = beyond | (shown[np.where(beyond, 0, rows)] != table["nsd"].to_numpy())
        if differs.any():
            at = int(np.argmax(differs))
            expected = "no such trial" if beyond[at] else f"{shown[rows[at]]}"
            raise DataError(
                f"{table['where'].iloc[at]}: trial {rows[at]} shows picture {table['nsd'].iloc[at]}, expected "
                f"{expected} as in {DESIGN.name}; {int(differs.sum())} of {len(rows)} differ"
            )

    def pictures(self) -> pd.DataFrame:
        """List the pictures that the subjects saw."""
        together = pd.concat([self.trials(subject)[["nsd", "shared1000"]] for subject in self.subjects()])
        table = together.drop_duplicates().sort_values("nsd", ignore_index=True)
        if table["nsd"].duplicated().any():
            number = table["nsd"][table["nsd"].duplicated()].iloc[0]
            raise DataError(f"{self.root / 'wds'}: picture {number} is shared1000 for one subject, not for another")
        paths = [f"{STIMULI}#images/{number}" for number in table["nsd"]]
        return table.assign(path=paths)[["nsd", "path", "shared1000"]]

    def load(self, subject: int, store: ArrayStore, expected: Mapping[str, int]) -> Recording:
        """Copy the trials piece by piece."""
        trials = self.trials(subject)
        path = self.root / BETAS.format(subject)
        signals = read_rows(path, trials["row"].to_numpy(), store)
        check_voxels(signals.shape[1], subject, expected, path)
        self._check_shared(trials, subject, expected)
        windows = window_table(
            subject,
            trials["nsd"].to_numpy(),
            np.arange(len(trials)),
            session=[f"{number:02d}" for number in trials["session"]],
            run=[f"{number:02d}" for number in trials["run"]],
            repetition=trials["repetition"],
            onset=0.0,
            trial=trials["row"] + 1,
            shared1000=trials["shared1000"],
            part=trials["part"],
        )
        flags = [FITTED, DENOISED, Z_SCORED]
        mixed = int(((trials["part"] == "train") & (trials["shared1000"] == 1)).sum())
        if mixed:
            flags.append(f"{mixed} trials of shared pictures lie in the archives for training")
        return one_block(subject, signals, unplaced_sensors(signals.shape[1]), windows, flags)

    def _check_shared(self, trials: pd.DataFrame, subject: int, expected: Mapping[str, int]) -> None:
        name = subject_name(subject)
        if f"shared_{name}" not in expected or trials["session"].max() != expected[f"sessions_{name}"]:
            return
        count = int(trials["nsd"][trials["shared1000"] == 1].nunique())
        if count != expected[f"shared_{name}"]:
            place = self.root / "wds" / f"subj{subject:02d}"
            raise DataError(f"{place}: {count} test pictures, expected {expected[f'shared_{name}']} for {name}")


def read_behaviour(sample: Sample) -> dict[str, int]:
    """Read what a trial was.

    Parameters
    ----------
    sample : Sample
        With ``behav.npy`` of shape ``(1, 17)``.

    Returns
    -------
    dict of str to int
        The columns of `COLUMNS`.

    Raises
    ------
    DataError
        If the shape differs or a value is missing, fractional or out of range.
    """
    values = sample.array(BEHAVIOUR)
    if values.size != N_COLUMNS or values.dtype.kind not in "iuf":
        raise DataError(
            f"{sample.where}: {BEHAVIOUR} is {values.dtype} of shape {values.shape}, expected numbers (1, {N_COLUMNS})"
        )
    row = values.ravel()
    ranges = {"nsd": (0, N_PICTURES - 1), "row": (0, 10**6), "shared1000": (0, 1)}
    found = {}
    for name, column in COLUMNS.items():
        value = float(row[column])
        low, high = ranges.get(name, (1, 999))
        if not (value == np.rint(value) and low <= value <= high):  # also true for NaN
            raise DataError(
                f"{sample.where}: column {column} of {BEHAVIOUR} ({name}) is {value:g}, expected {low} to {high}"
            )
        found[name] = int(value)
    return found


def read_rows(path: Path, rows: NDArray[np.int64], store: ArrayStore) -> NDArray[np.float32]:
    """Copy some trials of an HDF5 file piece by piece.

    Parameters
    ----------
    path : Path
        With the dataset `betas` ``(trials, voxels)``.
    rows : ndarray of int
        Which trials, rising.
    store : ArrayStore
        Where they go.

    Returns
    -------
    ndarray of float32, shape (n_rows, n_voxels, 1)

    Raises
    ------
    DataError
        If the dataset is missing, too short, cut or not finite.
    """
    import h5py

    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        with h5py.File(path, "r") as file:
            if not isinstance(file.get("betas"), h5py.Dataset):
                raise DataError(f"{path}: dataset 'betas' is missing, got {', '.join(file) or 'none'}")
            betas = file["betas"]
            if betas.ndim != 2 or betas.dtype.kind != "f" or len(betas) <= rows.max():
                raise DataError(
                    f"{path}: betas is {betas.dtype} of shape {betas.shape}, expected floats (trials, voxels) with at "
                    f"least {rows.max() + 1} trials"
                )
            signals = store.empty((len(rows), betas.shape[1], 1))
            for start in range(0, len(rows), TRIALS_AT_A_TIME):
                piece = rows[start : start + TRIALS_AT_A_TIME]
                values = betas[int(piece[0]) : int(piece[-1]) + 1][piece - piece[0]]
                finite = np.isfinite(values).all(axis=1)
                if not finite.all():
                    raise DataError(f"{path}: trial {piece[int(np.argmin(finite))]} is not finite")
                signals[start : start + len(piece), :, 0] = values
    except DataError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise DataError(f"{path}: not readable as a whole HDF5 file ({str(error).splitlines()[0]})") from None
    return signals
