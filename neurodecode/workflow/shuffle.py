"""The control that keeps everything but the pairing: a prepared study whose training labels are permuted."""

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import LeakageError
from neurodecode.core.files import atomic_folder, read_json, write_json, write_table
from neurodecode.core.prepared import PreparedStudy
from neurodecode.core.recording import group_by_stimulus


def permuted_labels(
    windows: pd.DataFrame, rows: NDArray[np.int64], column: str, generator: np.random.Generator
) -> NDArray[np.str_]:
    """Permute which stimulus belongs to which item, among some rows of a window table.

    Parameters
    ----------
    windows : pandas.DataFrame
        The table.
    rows : ndarray of int
        Positions of the windows that change places; those without a stimulus stay.
    column : str
        Windows with equal values here are one item and keep a common label, such as ``stimulus``.
    generator : numpy.random.Generator
        Source of the permutation.

    Returns
    -------
    ndarray of str, shape (n_windows,)
        The stimulus column with the labels of the items permuted; how often each label occurs among the items is kept.

    Examples
    --------
    >>> table = pd.DataFrame({"stimulus": ["a", "a", "b", "c"]})
    >>> permuted_labels(table, np.arange(4), "stimulus", np.random.default_rng(3)).tolist()
    ['c', 'c', 'b', 'a']
    """
    labels = windows["stimulus"].to_numpy().astype(str).astype(object)
    shown = rows[labels[rows] != ""]
    _, groups = group_by_stimulus(windows, shown, column=column)
    order = generator.permutation(len(groups))
    permuted = labels.copy()
    for group, source in zip(groups, order, strict=True):
        permuted[group] = labels[groups[source][0]]
    return permuted.astype(str)


def shuffled_copy(prepared: PreparedStudy, folder: Path, *, seed: int, fold: int = 0) -> PreparedStudy:
    """Make a prepared study with permuted training and validation labels; signals and the test part are as they were.

    Parameters
    ----------
    prepared : PreparedStudy
        The study.
    folder : Path
        Where the copy goes; signals are linked, not copied. A copy of the same study, seed and fold is opened, any
        other copy is replaced.
    seed : int
        Seed of the permutations; every subject and part has its own.
    fold : int
        The fold whose parts are permuted separately.

    Returns
    -------
    PreparedStudy
        The copy. Its header says ``shuffled`` with the seed.

    Raises
    ------
    LeakageError
        If the folder holds something else, such as a study with its true labels.
    """
    mark = {"key": prepared.header["key"], "seed": seed, "fold": fold, "split": prepared.split.hash}
    mark["session_scaling"] = list(prepared.session_scaling)
    if folder.exists():
        header = read_json(folder / "study.json") if (folder / "study.json").is_file() else {}
        if not header.get("shuffled"):
            raise LeakageError(f"{folder}: holds something other than a shuffled study; choose another folder")
        if header["shuffled"] == mark:
            return PreparedStudy(folder)
        # Moved first: a removal that is stopped halfway must not leave what nobody knows.
        stale = folder.with_name(f".{folder.name}.part")
        shutil.rmtree(stale, ignore_errors=True)
        folder.rename(stale)
        shutil.rmtree(stale)
    averaging = str(prepared.info["averaging"])
    with atomic_folder(folder) as temporary:
        for name in ("stimuli.csv", "split.csv", "split.json", "key.json"):
            shutil.copy2(prepared.folder / name, temporary / name)
        for number, subject in enumerate(prepared.subjects):
            source, goal = prepared.folder / subject, temporary / subject
            goal.mkdir()
            for path in sorted(source.iterdir()):
                if path.name != "windows.csv":
                    _link(path, goal / path.name)
            windows = prepared.recording(subject).windows.copy()
            for position, part in enumerate(("train", "val")):
                rows = prepared.split.rows(subject, part, fold=fold)  # type: ignore[arg-type]
                generator = np.random.default_rng([seed, number, position])
                windows["stimulus"] = permuted_labels(windows, rows, averaging, generator)
            write_table(goal / "windows.csv", windows)
        write_json(temporary / "study.json", {**prepared.header, "shuffled": mark})
    return PreparedStudy(folder)


def _link(source: Path, goal: Path) -> None:
    try:
        os.link(source, goal)
    except OSError:  # another file system
        shutil.copy2(source, goal)
