"""A prepared study cut down to a budget: nothing of the new subject but the budget and the test part is in it."""

import os
import shutil
from pathlib import Path
from typing import Any

from neurodecode.core.budget import Budget, Order, budget_split, budget_windows
from neurodecode.core.errors import LeakageError
from neurodecode.core.files import atomic_folder, read_json, write_json
from neurodecode.core.prepared import PreparedStudy


def budget_study(
    prepared: PreparedStudy, subject: str, budget: Budget, folder: Path, *, order: Order, seed: int, fold: int = 0
) -> PreparedStudy:
    """Make a prepared study of one subject whose training and validation windows are those of a budget.

    Parameters
    ----------
    prepared : PreparedStudy
        The whole study.
    subject : str
        The new subject.
    budget : Budget
        How much of its training windows.
    folder : Path
        Where it goes; signals are linked, not copied. One that was made from the same is opened, others are replaced.
    order, seed
        See `neurodecode.core.budget.budget_windows`.
    fold : int
        Of the study's split.

    Returns
    -------
    PreparedStudy
        One fold. Its header says ``budget``; sessions without a window of the budget are scaled by all windows of the
        budget, so that nothing outside of it enters.

    Raises
    ------
    LeakageError
        If the folder holds something else.
    """
    recording = prepared.recording(subject)
    rows = budget_windows(
        budget,
        recording.windows,
        prepared.split.rows(subject, "train", fold=fold),
        order=order,
        seed=seed,
        sfreq=recording.sensors.sfreq,
    )
    split = budget_split(prepared.split, subject, rows, budget, fold=fold, seed=seed)
    mark: dict[str, Any] = {
        "key": prepared.header["key"],
        "subject": subject,
        "budget": budget.text,
        "order": order,
        "seed": seed,
        "fold": fold,
        "windows": len(rows),
        "split": prepared.split.hash,
        "split_of_budget": split.hash,
        "session_scaling": list(prepared.session_scaling),
        "shuffled": prepared.header.get("shuffled"),
    }
    if folder.exists():
        header = read_json(folder / "study.json") if (folder / "study.json").is_file() else {}
        if not header.get("budget"):
            raise LeakageError(f"{folder}: holds something other than a study of a budget; choose another folder")
        if header["budget"] == mark:
            return PreparedStudy(folder)
        stale = folder.with_name(f".{folder.name}.part")
        shutil.rmtree(stale, ignore_errors=True)
        folder.rename(stale)
        shutil.rmtree(stale)
    with atomic_folder(folder) as temporary:
        for name in ("stimuli.csv", "key.json"):
            shutil.copy2(prepared.folder / name, temporary / name)
        split.save(temporary)
        goal = temporary / subject
        goal.mkdir()
        for path in sorted((prepared.folder / subject).iterdir()):
            _link(path, goal / path.name)
        write_json(temporary / "study.json", {**prepared.header, "subjects": [subject], "budget": mark})
    return PreparedStudy(folder)


def _link(source: Path, goal: Path) -> None:
    try:
        os.link(source, goal)
    except OSError:  # another file system
        shutil.copy2(source, goal)
