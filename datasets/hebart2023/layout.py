"""Where the files of THINGS-MEG lie, and which of its forms they are."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from neurodecode.core.errors import ConfigError, DataError

Dialect = Literal["fif", "bids", "atm", "ubp", "neurobridge"]
DIALECTS: tuple[Dialect, ...] = ("fif", "bids", "atm", "ubp", "neurobridge")
ATTRIBUTES = re.compile(r"sample_attributes_P(\d)\.csv")
# The first file of a subject by which a form is found; the CTF recordings are folders.
MARKS: dict[Dialect, str] = {
    "fif": "preprocessed_P{number}-epo.fif",
    "bids": "sub-BIGMEG{number}/ses-01/meg",
    "atm": "sub-{number:02d}/preprocessed_meg_training.pkl",
    "ubp": "sub-{number:02d}/train.pt",
    "neurobridge": "sub-{number:02d}/train.npy",
}
PEOPLE = range(1, 10)


@dataclass(frozen=True)
class Place:
    """A folder with subjects of one form.

    Parameters
    ----------
    folder : Path
        The subjects' files are in it.
    dialect : str
        Their form.
    """

    folder: Path
    dialect: Dialect

    def subjects(self) -> list[str]:
        """List the subjects, sorted: ``sub-01`` is participant 1."""
        return [f"sub-{number:02d}" for number in PEOPLE if self.file(f"sub-{number:02d}").exists()]

    def file(self, subject: str) -> Path:
        """Give the file or folder that marks a subject."""
        return self.folder / MARKS[self.dialect].format(number=int(subject.removeprefix("sub-")))


def below(root: Path, depth: int = 2) -> Iterator[Path]:
    """List a folder and the folders below it, nearest first, without those of subjects and of pictures."""
    level = [root]
    for _ in range(depth + 1):
        yield from level
        level = [
            path
            for folder in level
            if folder.is_dir()
            for path in sorted(folder.iterdir())
            if path.is_dir() and not re.match(r"sub-|ses-|\.|\d{5}_", path.name) and "images" not in path.name.lower()
        ]


def find_places(root: Path) -> list[Place]:
    """Find every folder of subjects in a data set's folder, by names alone, nearest first."""
    if not root.is_dir():
        return []
    return [place for folder in below(root) for dialect in DIALECTS if (place := Place(folder, dialect)).subjects()]


def find_attributes(root: Path) -> dict[str, Path]:
    """Find the table of trials of each subject, ``sample_attributes_P1.csv`` and so on."""
    found: dict[str, Path] = {}
    for folder in below(root) if root.is_dir() else ():
        for path in sorted(folder.glob("sample_attributes_P*.csv")):
            match = ATTRIBUTES.fullmatch(path.name)
            if match:
                found.setdefault(f"sub-{int(match[1]):02d}", path)
    return found


def choose(root: Path, wanted: Dialect | None) -> Place:
    """Choose the form that is read; the recordings and the epochs made of them come in one download: the epochs then.

    Parameters
    ----------
    root : Path
        The data set's folder.
    wanted : str, optional
        The form; needed where there are several.

    Raises
    ------
    ConfigError
        If there are several forms and none was named, or the named one is not there.
    DataError
        If there is none.
    """
    found = find_places(root)
    if not found:
        expected = ", ".join(mark.format(number=1) for mark in MARKS.values())
        raise DataError(f"{root}: no subject of THINGS-MEG found, expected one of {expected}")
    listed = ", ".join(f"{place.dialect} ({place.folder})" for place in found)
    if wanted is not None:
        found = [place for place in found if place.dialect == wanted]
        if not found:
            raise ConfigError(f"dialect: got {wanted!r}, expected one that is there: {listed}")
    elif {place.dialect for place in found} == {"fif", "bids"}:
        found = [place for place in found if place.dialect == "fif"]
    if len(found) > 1:
        raise ConfigError(
            f"dialect: there are several, say which one (two of the same in folders of their own): {listed}"
        )
    return found[0]
