"""What each trial of NSD-Imagery was: twelve runs, their behaviour, their targets and the design of their model."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.files import read_table
from neurodecode.datasets.allen2022.matlab import load_mat

# In the order of the scanner, which is that of the betas.
RUNS = ("visA", "attA", "imgA_1", "visB", "attB", "imgB_1", "visC", "attC", "imgC_1", "imgA_2", "imgB_2", "imgC_2")
TASKS = {"vis": "vision", "att": "attention", "img": "imagery"}
SETS = {"A": "simple", "B": "complex", "C": "concept"}
# An attention trial has a beta for its cue and one for its stream of pictures.
BETAS_A_TRIAL = {"vision": 1, "imagery": 1, "attention": 2}
# The models were laid out in steps of a second.
STEP = 1.0
COLUMNS = ("TRIAL", "CONDITION", "CUE")


@dataclass(frozen=True)
class Target:
    """Something to see or to imagine.

    Parameters
    ----------
    set_name : str
        ``A``, ``B`` or ``C``.
    number : int
        1 to 6 within the set.
    name : str
        File name of its picture, or the concept.
    code : str
        The letter that cues it.
    """

    set_name: str
    number: int
    name: str
    code: str

    @property
    def stimulus(self) -> str:
        """Name the stimulus, such as ``imagery-B3``."""
        return f"imagery-{self.set_name}{self.number}"

    @property
    def nsd(self) -> int:
        """Give the ``nsdId``, counted from 0, of a picture that is also one of the main experiment; -1 for others."""
        match = re.search(r"_nsd(\d+)", self.name)
        return int(match[1]) - 1 if match else -1


def task_of(run: str) -> str:
    """Name the task of a run."""
    return TASKS[run[:3]]


def read_targets(folder: Path, set_name: str) -> dict[str, Target]:
    """Read the targets of a set from ``X_pair_list.mat``: rows of a number, a name and a code.

    Parameters
    ----------
    folder : Path
        ``nsddata/experiments/nsdimagery``.
    set_name : str
        ``A``, ``B`` or ``C``.

    Returns
    -------
    dict of str to Target
        By code, in the order of their numbers.

    Raises
    ------
    DataError
        If the file is not such a table or a number or code repeats.
    """
    path = folder / f"{set_name}_pair_list.mat"
    pairs = load_mat(path, ("pair_list",), squeeze_me=True)["pair_list"]
    if pairs.ndim != 2 or pairs.shape[1] != 3:
        raise DataError(f"{path}: pair_list has shape {pairs.shape}, expected rows of a number, a name and a code")
    targets = []
    for row, (number, name, code) in enumerate(pairs.tolist()):
        if not isinstance(number, int | float) or number != round(number):
            raise DataError(f"{path}: row {row + 1}: number {number!r}, expected a whole number")
        targets.append(Target(set_name, int(number), str(name).strip(), str(code).strip()))
    targets.sort(key=lambda target: target.number)
    if [target.number for target in targets] != list(range(1, len(targets) + 1)):
        raise DataError(
            f"{path}: numbers {', '.join(str(target.number) for target in targets)}, expected 1, 2 and so on"
        )
    found = {target.code: target for target in targets}
    if len(found) != len(targets) or "" in found:
        raise DataError(f"{path}: {len(targets)} targets with the codes {', '.join(found)}, expected one each")
    return found


def read_events(path: Path) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Read step and column of every event of each run from ``designmatrixGLMsingle.mat``.

    Parameters
    ----------
    path : Path
        With the variable `stimulus`: one matrix (steps, columns) a run.

    Returns
    -------
    list of (ndarray of int, ndarray of int)
        Steps and columns in the order of time, one pair a run.

    Raises
    ------
    DataError
        If there are not twelve runs, or two events in one step.
    """
    runs = np.atleast_1d(load_mat(path, ("stimulus",), squeeze_me=True)["stimulus"])
    if len(runs) != len(RUNS) or runs.dtype != object:
        raise DataError(f"{path}: stimulus has {len(runs)} runs, expected {len(RUNS)} matrices")
    events = []
    for name, run in zip(RUNS, runs, strict=True):
        matrix: Any = run.toarray() if hasattr(run, "toarray") else run
        if getattr(matrix, "ndim", 0) != 2 or matrix.dtype.kind not in "iufb":
            raise DataError(f"{path}: {name} is no matrix of numbers (steps, columns)")
        steps, columns = np.nonzero(matrix)
        if len(np.unique(steps)) != len(steps):
            raise DataError(f"{path}: {name} has two events in step {steps[:-1][np.diff(steps) == 0][0]}")
        events.append((steps, columns))
    return events


def read_run(path: Path) -> pd.DataFrame:
    """Read the behaviour of a run: `TRIAL` from 1 on, `CONDITION` (what was shown) and `CUE`.

    Raises
    ------
    DataError
        If a column is missing or trials do not count up from 1.
    """
    table = read_table(path, required=COLUMNS, text=("CONDITION", "CUE"))
    trials = pd.to_numeric(table["TRIAL"], errors="coerce").to_numpy(dtype=np.float64)
    wrong = trials != np.arange(1, len(table) + 1)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(f"{path}: line {row + 2}: TRIAL is {trials[row]:g}, expected {row + 1}")
    return table


def trial_table(root: Path, subject: int) -> pd.DataFrame:
    """List the trials of vision and imagery with their betas, proven against the design of the model.

    Parameters
    ----------
    root : Path
        The folder with ``nsddata``.
    subject : int
        From 1.

    Returns
    -------
    pandas.DataFrame
        Columns `beta` (from 0), `run`, `task`, `set`, `trial_in_run`, `stimulus`, `cue`, `onset` and `repetition`. What
        was seen is named by ``CONDITION``, what was imagined by ``CUE``.

    Raises
    ------
    DataError
        Naming the file and the first row that differs.
    """
    experiment = root / "nsddata" / "experiments" / "nsdimagery"
    design = experiment / "designmatrixGLMsingle.mat"
    events = read_events(design)
    targets = {set_name: read_targets(experiment, set_name) for set_name in SETS}
    tables, beta = [], 0
    for name, (steps, columns) in zip(RUNS, events, strict=True):
        task, set_name = task_of(name), name[3]
        path = root / "nsddata" / "bdata" / "nsdimagery" / f"nsdimagery_subj{subject:02d}_{name}.tsv"
        table = read_run(path)
        if len(steps) != len(table) * BETAS_A_TRIAL[task]:
            raise DataError(
                f"{path}: {len(table)} trials, expected {len(steps) / BETAS_A_TRIAL[task]:g} ({len(steps)} events of "
                f"{name} in {design.name})"
            )
        if task != "attention":
            codes = table["CONDITION" if task == "vision" else "CUE"]
            unknown = ~codes.isin(list(targets[set_name]))
            if unknown.any():
                row = int(np.argmax(unknown.to_numpy()))
                raise DataError(
                    f"{path}: line {row + 2}: {codes.name} is {codes.iloc[row]!r}, expected one of "
                    f"{', '.join(targets[set_name])} as in {set_name}_pair_list.mat"
                )
            _prove_order(path, codes, columns, design)
            tables.append(
                pd.DataFrame(
                    {
                        "beta": beta + np.arange(len(table)),
                        "run": name,
                        "task": task,
                        "set": SETS[set_name],
                        "trial_in_run": np.arange(1, len(table) + 1),
                        "stimulus": [targets[set_name][code].stimulus for code in codes],
                        "cue": table["CUE"].to_numpy(),
                        "onset": steps * STEP,
                    }
                )
            )
        beta += len(steps)
    together = pd.concat(tables, ignore_index=True)
    together["repetition"] = together.groupby(["task", "stimulus"]).cumcount() + 1
    together.attrs["n_betas"] = beta
    return together


def _prove_order(path: Path, codes: "pd.Series[str]", columns: NDArray[np.int64], design: Path) -> None:
    """Prove that rows and events are in one order: each code has one column of the design, and each column one code."""
    code_of: dict[int, str] = {}
    column_of: dict[str, int] = {}
    for row, (code, column) in enumerate(zip(codes, columns.tolist(), strict=True)):
        known, place = code_of.setdefault(column, code), column_of.setdefault(code, column)
        if known != code or place != column:
            raise DataError(
                f"{path}: line {row + 2}: {codes.name} is {code!r}, expected {known!r}, the code of column "
                f"{column + 1} of {design.name} in the rows before"
            )
