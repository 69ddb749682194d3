"""The trials of THINGS-MEG: who saw what when, and which pictures the zero-shot split tests."""

from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from neurodecode.core.errors import DataError
from neurodecode.core.files import read_table
from neurodecode.core.stimuli import Stimuli
from neurodecode.datasets.hebart2023.layout import below

KINDS = {"exp": "train", "test": "test", "catch": ""}
COLUMNS = ("session_nr", "run_nr", "trial_type", "image_path", "things_image_nr")
# The rule of the zero-shot split: a test picture is one that was shown exactly so often.
REPETITIONS = 12
CATCH = 999999
# Where pictures lie: by concept, or in folders of their parts with a running number before the concept.
PICTURE_FOLDERS = ("object_images", "THINGS-images", "images_meg", "images_test_meg")
PART_FOLDERS = ("train_images", "training_images", "test_images")


def read_attributes(path: Path) -> pd.DataFrame:
    """Read the table of trials of one subject and check it against the rules of the study.

    Parameters
    ----------
    path : Path
        ``sample_attributes_P1.csv`` or another's.

    Returns
    -------
    pandas.DataFrame
        One row a trial in the order of the recording: `session, run, part (train, test, or empty for a catch trial),
        number (of the picture in THINGS, 999999 for a catch trial), stimulus, concept, repetition, zero_shot`. The last
        is False for training trials whose concept is among those tested.

    Raises
    ------
    DataError
        Naming the file and the first row that is not as expected.
    """
    table = read_table(path, required=COLUMNS, text=("trial_type", "image_path"))
    if not isinstance(table.index, pd.RangeIndex):
        raise DataError(f"{path}: its lines have more fields than its header")
    unknown = ~table["trial_type"].isin(list(KINDS))
    if unknown.any():
        row = int(np.argmax(unknown))
        raise DataError(f"{path}: row {row}: trial_type {table['trial_type'][row]!r}, expected {', '.join(KINDS)}")
    catch = (table["trial_type"] == "catch").to_numpy()
    numbers = pd.to_numeric(table["things_image_nr"], errors="coerce")
    wrong = (numbers.isna() | (numbers < 1) | (numbers != numbers.round())).to_numpy() & ~catch
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(f"{path}: row {row}: things_image_nr {table['things_image_nr'][row]}, expected a number from 1")
    paths = [PurePosixPath(text) for text in table["image_path"]]
    trials = pd.DataFrame(
        {
            "session": _two_digits(path, table, "session_nr"),
            "run": _two_digits(path, table, "run_nr"),
            "part": table["trial_type"].map(KINDS),
            "number": np.where(catch, CATCH, numbers.fillna(CATCH)).astype(np.int64),
            "stimulus": ["" if left else name.stem for name, left in zip(paths, catch, strict=True)],
        }
    )
    trials["concept"] = trials["stimulus"].str.rpartition("_")[0]
    for row, (name, kind) in enumerate(zip(paths, table["trial_type"], strict=True)):
        if kind == "exp" and name.parent.name != trials["concept"][row]:
            raise DataError(f"{path}: row {row}: {str(name)!r} is not in the folder of its concept")
    shown = trials[~catch]
    _check_one_to_one(path, shown)
    _check_repetitions(path, shown)
    trials["repetition"] = trials.groupby("stimulus").cumcount() + 1
    tested = set(shown.loc[shown["part"] == "test", "concept"])
    trials["zero_shot"] = (trials["part"] == "test") | ((trials["part"] == "train") & ~trials["concept"].isin(tested))
    return trials


def _two_digits(path: Path, table: pd.DataFrame, column: str) -> list[str]:
    numbers = pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=np.float64)
    wrong = ~np.isin(numbers, np.arange(1, 100))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(f"{path}: row {row}: {column} {table[column][row]}, expected a number from 1 to 99")
    return [f"{int(number):02d}" for number in numbers]


def _check_one_to_one(path: Path, shown: pd.DataFrame) -> None:
    for one, other in (("number", "stimulus"), ("stimulus", "number")):
        counts = shown.groupby(one)[other].nunique()
        if (counts > 1).any():
            name = counts.index[int(np.argmax(counts > 1))]
            found = sorted(set(shown.loc[shown[one] == name, other].astype(str)))
            raise DataError(f"{path}: the {one} {name!r} goes with {found[0]!r} and with {found[1]!r}")


def _check_repetitions(path: Path, shown: pd.DataFrame) -> None:
    """Verify the rule of the zero-shot split: pictures of the test part were shown 12 times, all others once."""
    counts = shown.groupby("number").agg(count=("part", "size"), parts=("part", "nunique"), part=("part", "first"))
    expected = counts["part"].map({"test": REPETITIONS, "train": 1})
    wrong = (counts["count"] != expected) | (counts["parts"] > 1)
    if wrong.any():
        number = counts.index[int(np.argmax(wrong))]
        kind = counts.loc[number, "part"]
        raise DataError(
            f"{path}: picture {number} ({kind} part) was shown {counts.loc[number, 'count']} times, expected "
            f"{expected.loc[number]}"
        )
    concepts = shown[shown["part"] == "test"].groupby("concept")["number"].nunique()
    if (concepts > 1).any():
        name = concepts.index[int(np.argmax(concepts > 1))]
        raise DataError(f"{path}: the test concept {name!r} has {concepts[name]} pictures, expected 1")


def zero_shot_rows(trials: pd.DataFrame) -> pd.DataFrame:
    """List the trials that the derivatives keep in their order: training pictures, then test, by number and repetition.

    Parameters
    ----------
    trials : pandas.DataFrame
        From `read_attributes`.

    Returns
    -------
    pandas.DataFrame
        The same columns.
    """
    kept = trials[trials["zero_shot"]]
    parts = [kept[kept["part"] == part].sort_values(["number", "repetition"]) for part in ("train", "test")]
    return pd.concat(parts, ignore_index=True)


def find_pictures(root: Path, names: list[tuple[str, str]]) -> dict[str, str]:
    """Find the pictures in any of the folders in which they are kept.

    Parameters
    ----------
    root : Path
        The data set's folder.
    names : list of tuple of str
        Concept and stimulus.

    Returns
    -------
    dict of str to str
        Path of each stimulus relative to `root`; empty if there are no pictures at all.

    Raises
    ------
    DataError
        Naming the first picture that is missing where others are there.
    """
    listed: dict[tuple[str, str], Path] = {}
    folders = [place / name for place in below(root) for name in (*PICTURE_FOLDERS, *PART_FOLDERS)]
    found = [folder for folder in folders if folder.is_dir()]
    for folder in found:
        for path in (*folder.glob("*.jpg"), *folder.glob("*/*.jpg")):
            listed.setdefault((path.stem.rpartition("_")[0], path.stem), path)
    if not found:
        return {}
    missing = [pair for pair in names if pair not in listed]
    if missing:
        raise DataError(
            f"{found[0]}: the picture {'/'.join(missing[0])!r} is missing ({len(missing)} of {len(names)} are); the "
            "pictures of THINGS-EEG2 are others"
        )
    return {pair[1]: listed[pair].relative_to(root).as_posix() for pair in names}


def stimulus_table(root: Path, subjects: dict[str, pd.DataFrame]) -> Stimuli:
    """Make the table of stimuli from the trials of all subjects, who saw the same pictures.

    Parameters
    ----------
    root : Path
        The data set's folder.
    subjects : dict of str to pandas.DataFrame
        Trials of each subject.
    """
    shown = pd.concat(list(subjects.values()), ignore_index=True)
    shown = shown[shown["stimulus"] != ""]
    for one, other in (("stimulus", "number"), ("stimulus", "part")):
        counts = shown.groupby(one)[other].nunique()
        if (counts > 1).any():
            name = counts.index[int(np.argmax(counts > 1))]
            raise DataError(f"{root}: the tables of trials of the subjects disagree on the {other} of {name!r}")
    table = shown.drop_duplicates("stimulus").sort_values("number", ignore_index=True)
    paths = find_pictures(root, list(zip(table["concept"], table["stimulus"], strict=True)))
    return Stimuli(
        pd.DataFrame(
            {
                "stimulus": table["stimulus"],
                "kind": "image",
                "path": [paths.get(name, "") for name in table["stimulus"]],
                "concept": table["concept"],
                "text": table["concept"].str.replace(r"(?<=[a-z])\d+$", "", regex=True).str.replace("_", " "),
                "part": table["part"],
                "number": table["number"],
            }
        ),
        root,
    )
