"""A prepared study cut down to a budget: nothing of the new subject but the budget and the test part is in it."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from neurodecode.core.budget import Budget, Order, budget_split, budget_windows
from neurodecode.core.errors import LeakageError
from neurodecode.core.files import atomic_folder, read_json, write_json
from neurodecode.core.prepared import PreparedStudy
from neurodecode.core.split import Split


def budget_study(
    prepared: PreparedStudy,
    subject: str,
    budget: Budget,
    folder: Path,
    *,
    order: Order,
    seed: int,
    fold: int = 0,
    company: Sequence[str] = (),
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
    company : sequence of str
        Known subjects, whose training windows are in it as well, but for units that validate the budget; none of them
        validates or is tested.

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
    shown = recording.windows["stimulus"].to_numpy().astype(str)[rows]
    split = budget_split(prepared.split, subject, rows, budget, stimuli=shown, fold=fold, seed=seed)
    split = _with_company(split, prepared.split, company, fold)
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
        "company": list(company),
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
        people = [subject, *company]
        for person in people:
            goal = temporary / person
            goal.mkdir()
            for path in sorted((prepared.folder / person).iterdir()):
                _link(path, goal / path.name)
        write_json(temporary / "study.json", {**prepared.header, "subjects": people, "budget": mark})
    return PreparedStudy(folder)


def _with_company(split: Split, whole: Split, company: Sequence[str], fold: int) -> Split:
    """Add the training windows of known subjects to a budget's split."""
    if not company:
        return split
    # What validates the budget is shown to nobody in training.
    held = set(split.table.loc[split.table["fold_0"] == "val", "unit"])
    theirs = whole.table[whole.table["subject"].isin(list(company))]
    trained = (theirs[f"fold_{fold}"] == "train") & ~theirs["unit"].isin(held)
    parts = trained.map({True: "train", False: ""})
    table = pd.concat([split.table, theirs[["subject", "window", "unit"]].assign(fold_0=parts)], ignore_index=True)
    return replace(split, table=table, rule=f"{split.rule}; training windows of {', '.join(company)} beside it")


def _link(source: Path, goal: Path) -> None:
    try:
        os.link(source, goal)
    except OSError:  # another file system
        shutil.copy2(source, goal)
