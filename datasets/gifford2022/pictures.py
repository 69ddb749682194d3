"""The pictures of THINGS-EEG2: which number is which picture, proven against the folders."""

import re
from pathlib import Path

import pandas as pd

from neurodecode.core.errors import DataError
from neurodecode.core.stimuli import Stimuli
from neurodecode.datasets.gifford2022.layout import METADATA, below, find_metadata
from neurodecode.datasets.pickled_fields import text_field
from neurodecode.datasets.restricted_pickle import read_pickle

# How the folders of the two parts are called by the authors, and by others.
FOLDERS = {"train": ("training_images", "train_images"), "test": ("test_images",)}
SUFFIXES = (".jpg", ".jpeg", ".png")


def concept_of(folder: str) -> str:
    """Take the running number off the name of a concept's folder.

    Parameters
    ----------
    folder : str
        Such as ``00001_aardvark``.

    Returns
    -------
    str
        Concept; names may hold digits, underscores and hyphens.

    Examples
    --------
    >>> concept_of("00093_baton4"), concept_of("01400_t-shirt"), concept_of("00001_aircraft_carrier")
    ('baton4', 't-shirt', 'aircraft_carrier')
    """
    return re.sub(r"^\d{5}_", "", folder)


def text_of(concept: str) -> str:
    """Write a concept as words: ``baton4`` is the fourth meaning of baton.

    Examples
    --------
    >>> text_of("baton4"), text_of("aircraft_carrier")
    ('baton', 'aircraft carrier')
    """
    return re.sub(r"(?<=[a-z])\d+$", "", concept).replace("_", " ")


def read_metadata(root: Path) -> pd.DataFrame:
    """Read the list of pictures.

    Parameters
    ----------
    root : Path
        The data set's folder; ``image_metadata.npy`` is in it or not far below.

    Returns
    -------
    pandas.DataFrame
        Columns `stimulus, part (train | test), number (event code, from 1 in each part), folder, file, concept,
        things_concept (number in THINGS)`, training part first.

    Raises
    ------
    DataError
        Naming the file, the field and the first row that is not as expected.
    """
    path = find_metadata(root)
    if path is None:
        raise DataError(
            f"{root / METADATA}: no such file, here or in folders below; it says which number is which picture"
        )
    content = read_pickle(path)
    tables = []
    for part in FOLDERS:
        fields = {
            name: text_field(content, f"{part}_img_{name}", path) for name in ("concepts", "concepts_THINGS", "files")
        }
        counts = {name: len(values) for name, values in fields.items()}
        if len(set(counts.values())) != 1:
            shown = ", ".join(f"{count} {part}_img_{name}" for name, count in counts.items())
            raise DataError(f"{path}: {shown}; expected as many of each")
        for row, (folder, original, file) in enumerate(zip(*fields.values(), strict=True)):
            concept = concept_of(folder)
            if concept_of(original) != concept or not file.startswith(f"{concept}_"):
                raise DataError(
                    f"{path}: row {row} of the {part} part: folder {folder!r}, THINGS concept {original!r} and file "
                    f"{file!r} are not of one concept"
                )
        tables.append(
            pd.DataFrame(
                {
                    "stimulus": [Path(file).stem for file in fields["files"]],
                    "part": part,
                    "number": range(1, counts["files"] + 1),
                    "folder": fields["concepts"],
                    "file": fields["files"],
                    "concept": [concept_of(folder) for folder in fields["concepts"]],
                    "things_concept": [_number(original) for original in fields["concepts_THINGS"]],
                }
            )
        )
    both = sorted(set(tables[0]["concept"]) & set(tables[1]["concept"]))
    if both:
        raise DataError(f"{path}: the concept {both[0]!r} is in the training part and in the test part")
    return pd.concat(tables, ignore_index=True)


def _number(folder: str) -> int:
    found = re.match(r"\d{5}(?=_)", folder)
    return int(found[0]) if found else 0


def find_pictures(root: Path, metadata: pd.DataFrame) -> dict[str, str]:
    """Find the picture of each stimulus and prove that the folders are those of the list.

    Parameters
    ----------
    root : Path
        The data set's folder.
    metadata : pandas.DataFrame
        From `read_metadata`.

    Returns
    -------
    dict of str to str
        Path of each stimulus relative to `root`; empty for a part whose pictures are not on disk.

    Raises
    ------
    DataError
        Naming the folder and the first picture that is missing, or that is not in the list.
    """
    found: dict[str, str] = {}
    for part, names in FOLDERS.items():
        rows = metadata[metadata["part"] == part]
        folder = next((place / name for place in below(root) for name in names if (place / name).is_dir()), None)
        if folder is None:
            continue
        listed = {(path.parent.name, path.stem): path for path in folder.glob("*/*") if path.suffix.lower() in SUFFIXES}
        expected = list(zip(rows["folder"], rows["stimulus"], strict=True))
        for row, pair in enumerate(expected):
            if pair not in listed:
                raise DataError(
                    f"{folder}: the picture {'/'.join(pair)!r} of row {row} of {METADATA} is missing ({len(listed)} "
                    f"pictures, expected {len(expected)})"
                )
        surplus = sorted(set(listed) - set(expected))
        if surplus:
            raise DataError(f"{folder}: the picture {'/'.join(surplus[0])!r} is not in {METADATA}")
        found |= {pair[1]: listed[pair].relative_to(root).as_posix() for pair in expected}
    return found


def stimulus_table(root: Path, metadata: pd.DataFrame) -> Stimuli:
    """Make the table of stimuli: one row a picture, paths where there are pictures.

    Parameters
    ----------
    root : Path
        The data set's folder.
    metadata : pandas.DataFrame
        From `read_metadata`.
    """
    paths = find_pictures(root, metadata)
    table = pd.DataFrame(
        {
            "stimulus": metadata["stimulus"],
            "kind": "image",
            "path": [paths.get(name, "") for name in metadata["stimulus"]],
            "concept": metadata["concept"],
            "text": [text_of(concept) for concept in metadata["concept"]],
            "part": metadata["part"],
            "number": metadata["number"],
            "things_concept": metadata["things_concept"],
        }
    )
    return Stimuli(table, root)
