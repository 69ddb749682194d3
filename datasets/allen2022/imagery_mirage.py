"""NSD-Imagery as MIRAGE and its relatives hold it: a pickle of conditions, tensors of betas and of pictures."""

import re
from collections import Counter
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import DataError
from neurodecode.core.tensors import open_tensor
from neurodecode.datasets.allen2022.imagery_trials import BETAS_A_TRIAL, RUNS, SETS, task_of
from neurodecode.datasets.restricted_pickle import read_pickle

CONDITIONS = Path("nsddata_stimuli/stimuli/nsdimagery_stimuli.pkl3")
PICTURES = Path("nsddata_stimuli/stimuli/imagery_stimuli_18.pt")
Z_SCORED = "each voxel was z-scored within each run over all its trials before the files were made"
TARGETS_A_SET = 6
REPETITIONS = {"vision": 8, "imagery": 16}
ROWS_AT_A_TIME = 128


def betas_of(root: Path, subject: int) -> Path:
    """Give the file of a subject's betas: a tensor ``(720, n_voxels)``, z-scored, voxels in C order of the mask."""
    return root / "preprocessed_data" / f"subject{subject}" / "nsd_imagery.pt"


def find_subjects(root: Path) -> list[int]:
    """List the subjects with such a file, by names only."""
    names = [path.parent.name for path in root.glob("preprocessed_data/subject*/nsd_imagery.pt")]
    return sorted(int(match[1]) for name in names if (match := re.fullmatch(r"subject(\d+)", name)))


def read_conditions(path: Path) -> tuple[list[str], list[str], dict[str, int]]:
    """Read the conditions of all betas, through a reader that executes nothing.

    Parameters
    ----------
    path : Path
        A pickle of a dictionary: `exps` (the run of each beta), `cues` (the letter of its target) and `image_map` (the
        number of each letter's target: 0 to 5 simple, 6 to 11 complex, 12 to 17 concepts).

    Returns
    -------
    runs, letters : list of str
        One of each a beta.
    targets : dict of str to int
        By letter.

    Raises
    ------
    DataError
        Naming the file, the entry, what was got and what was expected.
    """
    content = read_pickle(path)
    if not isinstance(content, Mapping):
        raise DataError(f"{path}: holds {type(content).__name__}, expected a dictionary")
    for name in ("exps", "cues", "image_map"):
        if name not in content:
            raise DataError(f"{path}: {name!r} is missing, got {', '.join(map(str, content))}")
    runs, letters = _texts(content["exps"], "exps", path), _texts(content["cues"], "cues", path)
    if len(runs) != len(letters):
        raise DataError(f"{path}: {len(letters)} cues, expected {len(runs)} as in exps")
    numbers = content["image_map"]
    count = TARGETS_A_SET * len(SETS)
    if not isinstance(numbers, Mapping) or sorted(map(str, numbers.values())) != sorted(map(str, range(count))):
        raise DataError(f"{path}: image_map is no dictionary from letters to the numbers 0 to {count - 1}, each once")
    return runs, letters, {str(letter): int(number) for letter, number in numbers.items()}


def _texts(values: Any, name: str, path: Path) -> list[str]:
    array = np.asarray(values)
    if array.ndim != 1 or not all(isinstance(value, str) for value in array.tolist()):
        raise DataError(f"{path}: {name} is {array.dtype} of shape {array.shape}, expected a list of texts")
    return [str(value) for value in array.tolist()]


def stimulus_of(number: int) -> str:
    """Name a target by its number among all 18, as the other dialect does.

    Examples
    --------
    >>> stimulus_of(0), stimulus_of(17)
    ('imagery-A1', 'imagery-C6')
    """
    return f"imagery-{'ABC'[number // TARGETS_A_SET]}{number % TARGETS_A_SET + 1}"


def mirage_stimuli(root: Path, sets: str) -> pd.DataFrame:
    """List the targets of some sets as a table of stimuli; concepts have no picture, and their names were not kept.

    Parameters
    ----------
    root : Path
        The study's folder.
    sets : str
        Some of the letters ``A``, ``B`` and ``C``.

    Raises
    ------
    DataError
        If the tensor of pictures is missing.
    """
    targets = read_conditions(root / CONDITIONS)[2]
    if not (root / PICTURES).is_file():
        raise DataError(f"{root / PICTURES}: the pictures of the targets are missing")
    rows = []
    for code, number in sorted(targets.items(), key=lambda item: item[1]):
        stimulus = stimulus_of(number)
        letter = stimulus[-2]
        if letter in sets:
            pictured = letter != "C"
            path = f"{PICTURES.as_posix()}#{number}" if pictured else ""
            rows.append((stimulus, "image" if pictured else "word", path, "", "", SETS[letter], code, -1))
    return pd.DataFrame(rows, columns=["stimulus", "kind", "path", "concept", "text", "set", "code", "nsd"])


def mirage_trials(path: Path) -> pd.DataFrame:
    """List the trials of vision and imagery with their betas, and check runs, sets and repetitions.

    Parameters
    ----------
    path : Path
        See `read_conditions`.

    Returns
    -------
    pandas.DataFrame
        As `neurodecode.datasets.allen2022.imagery_trials.trial_table` makes it; what a trial of vision cued and when it
        began are not known.

    Raises
    ------
    DataError
        Naming the first beta that does not fit the experiment.
    """
    runs, letters, targets = read_conditions(path)
    found = [name for name, _ in groupby(runs)]
    if found != list(RUNS):
        at = next((i for i, pair in enumerate(zip(found, RUNS, strict=False)) if pair[0] != pair[1]), len(RUNS))
        got = found[at] if at < len(found) else "nothing"
        raise DataError(
            f"{path}: run {at + 1} in exps is {got!r}, expected {RUNS[at] if at < len(RUNS) else 'no more'!r}"
        )
    rows, beta = [], 0
    for run, members in groupby(zip(runs, letters, strict=True), key=lambda pair: pair[0]):
        codes = [letter for _, letter in members]
        task = task_of(run)
        if BETAS_A_TRIAL[task] == 1:
            for place, letter in enumerate(codes):
                if letter not in targets or "ABC"[targets[letter] // TARGETS_A_SET] != run[3]:
                    raise DataError(
                        f"{path}: beta {beta + place} of {run} is of {letter!r}, which is no target of set {run[3]}"
                    )
                rows.append((beta + place, run, task, SETS[run[3]], place + 1, stimulus_of(targets[letter]), letter))
        beta += len(codes)
    table = pd.DataFrame(rows, columns=["beta", "run", "task", "set", "trial_in_run", "stimulus", "cue"])
    table["cue"] = table["cue"].where(table["task"] == "imagery", "")
    table["onset"] = 0.0
    table["repetition"] = table.groupby(["task", "stimulus"]).cumcount() + 1
    for (task, stimulus), count in Counter(zip(table["task"], table["stimulus"], strict=True)).items():
        if count != REPETITIONS[task]:
            raise DataError(f"{path}: {count} trials of {task} with {stimulus}, expected {REPETITIONS[task]}")
    table.attrs["n_betas"] = beta
    return table


def compare_trials(mine: pd.DataFrame, path: Path, other: pd.DataFrame) -> None:
    """Prove that the pickle and the released behaviour name the same target in every trial.

    Raises
    ------
    DataError
        Naming the file and the first beta that differs.
    """
    both = mine.merge(other, on="beta", suffixes=("", " of the behaviour"))
    differs = (both["stimulus"] != both["stimulus of the behaviour"]).to_numpy()
    if len(both) != len(mine) or differs.any():
        row = both.iloc[int(np.argmax(differs))]
        raise DataError(
            f"{path}: beta {row['beta']} ({row['run']}) is {row['stimulus']}, expected "
            f"{row['stimulus of the behaviour']} as in the released behaviour; "
            f"{int(differs.sum())} of {len(mine)} differ"
        )


def read_mirage_betas(path: Path, n_betas: int, store: ArrayStore) -> NDArray[np.float32]:
    """Copy the betas piece by piece into an array ``(n_betas, n_voxels, 1)``.

    Parameters
    ----------
    path : Path
        What ``torch.save`` wrote of a tensor ``(n_betas, n_voxels)``; nothing is executed.
    n_betas : int
        How many there must be.
    store : ArrayStore
        Where they go.

    Raises
    ------
    DataError
        If it is another thing, or not finite.
    """
    values = open_tensor(path)
    if values.ndim != 2 or not values.is_floating_point() or len(values) != n_betas:
        raise DataError(
            f"{path}: holds {values.dtype} of shape {tuple(values.shape)}, expected floats ({n_betas}, voxels)"
        )
    signals = store.empty((n_betas, values.shape[1], 1))
    for start in range(0, n_betas, ROWS_AT_A_TIME):
        piece = values[start : start + ROWS_AT_A_TIME].float().numpy()
        finite = np.isfinite(piece).all(axis=1)
        if not finite.all():
            raise DataError(f"{path}: beta {start + int(np.argmin(finite))} is not finite")
        signals[start : start + len(piece), :, 0] = piece
    return signals
