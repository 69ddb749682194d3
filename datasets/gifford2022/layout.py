"""Where the files of THINGS-EEG2 lie, and which of its dialects they are."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.datasets.pickled_fields import text_field
from neurodecode.datasets.restricted_pickle import read_pickle

Dialect = Literal["A", "B", "C", "D", "E", "F", "source"]
DIALECTS: tuple[Dialect, ...] = ("A", "B", "C", "D", "E", "F", "source")
METADATA = "image_metadata.npy"
# The first file of a subject by which a dialect is found; A and B share a name and are told apart by content.
MARKS: dict[str, str] = {
    "AB": "preprocessed_eeg_training.npy",
    "C": "train.pt",
    "D": "train.npy",
    "E": "ses-01/raw_eeg_training.npy",
    "F": "ses-01/raw_eeg_training_raw.fif",
    "source": "ses-01/eeg/{subject}_ses-01_task-train_part-01_eeg.vhdr",
}
# What the authors' own derivative has; the one of the NICE authors has all 63 channels at 250 Hz.
CHANNELS_OF_A = 17


@dataclass(frozen=True)
class Place:
    """A folder with subjects of one dialect.

    Parameters
    ----------
    folder : Path
        Holds ``sub-01`` and so on.
    kind : str
        A key of `MARKS`.
    """

    folder: Path
    kind: str

    def subjects(self) -> list[str]:
        """List the subjects, sorted."""
        found = (path.name for path in self.folder.iterdir() if re.fullmatch(r"sub-\d\d", path.name))
        return sorted(name for name in found if (self.folder / name / MARKS[self.kind].format(subject=name)).is_file())


def below(root: Path, depth: int = 2) -> Iterator[Path]:
    """List a folder and the folders below it, nearest first, subjects' and pictures' own folders left out."""
    level = [root]
    for _ in range(depth + 1):
        yield from level
        level = [
            path
            for folder in level
            if folder.is_dir()
            for path in sorted(folder.iterdir())
            if path.is_dir() and not re.match(r"sub-|\.|\d{5}_|ses-", path.name) and not path.name.endswith("_images")
        ]


def find_places(root: Path) -> list[Place]:
    """Find every folder of subjects in a data set's folder, by names alone.

    Parameters
    ----------
    root : Path
        The data set's folder.

    Returns
    -------
    list of Place
        Nearest first.
    """
    if not root.is_dir():
        return []
    places = (Place(folder, kind) for folder in below(root) for kind in MARKS)
    return [place for place in places if place.subjects()]


def find_metadata(root: Path) -> Path | None:
    """Find the list of pictures in a data set's folder."""
    if not root.is_dir():
        return None
    return next((folder / METADATA for folder in below(root) if (folder / METADATA).is_file()), None)


def dialect_of(place: Place) -> Dialect:
    """Tell the dialect of a place; where the names leave it open, by the number of channels in a file.

    Parameters
    ----------
    place : Place
        Where the subjects are.

    Returns
    -------
    str
        One of `DIALECTS`.

    Raises
    ------
    DataError
        If the file does not hold what its name says.
    """
    if place.kind != "AB":
        return next(dialect for dialect in DIALECTS if dialect == place.kind)
    path = place.folder / place.subjects()[0] / MARKS["AB"]
    names = text_field(read_pickle(path), "ch_names", path)
    return "A" if len(names) <= CHANNELS_OF_A else "B"


def choose(root: Path, wanted: Dialect | None) -> tuple[Place, Dialect]:
    """Choose the place that is read.

    Parameters
    ----------
    root : Path
        The data set's folder.
    wanted : str, optional
        The dialect; needed where there are several.

    Returns
    -------
    place : Place
        Where the subjects are.
    dialect : str
        Its dialect.

    Raises
    ------
    ConfigError
        If there are several dialects and none was named, or the named one is not there.
    """
    found = [(place, dialect_of(place)) for place in find_places(root)]
    if not found:
        raise DataError(
            f"{root}: no subject of THINGS-EEG2 found, expected one of sub-01/{', sub-01/'.join(MARKS.values())}"
        )
    listed = ", ".join(f"{dialect} ({place.folder})" for place, dialect in found)
    if wanted is not None:
        found = [pair for pair in found if pair[1] == wanted]
        if not found:
            raise ConfigError(f"dialect: got {wanted!r}, expected one that is there: {listed}")
    if len(found) > 1:
        raise ConfigError(
            f"dialect: there are several, say which one (two of the same in folders of their own): {listed}"
        )
    return found[0]
