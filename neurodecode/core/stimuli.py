"""What was shown or played: one row a stimulus."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from neurodecode.core.errors import DataError
from neurodecode.core.files import read_table, write_table
from neurodecode.core.pictures import digest_of_picture, read_picture, split_reference

if TYPE_CHECKING:
    from PIL import Image

STIMULUS_COLUMNS = ("stimulus", "kind", "path", "concept", "text")
#: Further columns of segments of speech that are texts.
SPEECH_COLUMNS = ("word", "split_text", "series")
STIMULUS_KINDS = ("image", "speech", "word", "video")


@dataclass(frozen=True)
class Stimuli:
    """A table of stimuli with unique identifiers.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns `STIMULUS_COLUMNS` and what the study adds; all five are strings, empty where unknown. `path` is
        relative to `root`; it may name a place within an HDF5 file or a tar archive, as `neurodecode.core.pictures`
        reads it.
    root : Path, optional
        The folder that paths are relative to.

    Raises
    ------
    DataError
        If a column is missing, an identifier is empty or repeats, or a kind is unknown.

    Examples
    --------
    >>> table = pd.DataFrame({"stimulus": ["cat"], "kind": "word", "path": "", "concept": "cat", "text": "cat"})
    >>> Stimuli(table).get("cat")["text"]
    'cat'
    """

    table: pd.DataFrame
    root: Path | None = None

    def __post_init__(self) -> None:
        missing = [column for column in STIMULUS_COLUMNS if column not in self.table.columns]
        if missing:
            raise DataError(f"stimuli: column {missing[0]!r} is missing, got {', '.join(self.table.columns)}")
        names = self.table["stimulus"]
        if (names == "").any() or names.isna().any():
            raise DataError(f"stimuli: row {int((names.isna() | (names == '')).to_numpy().argmax())} has no identifier")
        if names.duplicated().any():
            raise DataError(f"stimuli: the identifier {names[names.duplicated()].iloc[0]!r} occurs more than once")
        unknown = sorted(set(self.table["kind"]) - set(STIMULUS_KINDS))
        if unknown:
            raise DataError(f"stimuli: kind {unknown[0]!r} is not one of {', '.join(STIMULUS_KINDS)}")

    def __len__(self) -> int:
        """Give the number of stimuli."""
        return len(self.table)

    @property
    def names(self) -> list[str]:
        """List the identifiers, in table order."""
        return [str(name) for name in self.table["stimulus"]]

    @cached_property
    def _positions(self) -> dict[str, int]:
        """The row of each identifier: tables have tens of thousands of rows."""
        return {name: position for position, name in enumerate(self.names)}

    def get(self, stimulus: str) -> "pd.Series[str]":
        """Give one stimulus' row, or raise a DataError that names it."""
        if stimulus not in self._positions:
            raise DataError(f"stimulus {stimulus!r} is not among the {len(self)} stimuli of the study")
        return self.table.iloc[self._positions[stimulus]]

    def file(self, stimulus: str) -> Path:
        """Give the file that holds a stimulus, or raise a DataError that names the stimulus where there is none."""
        root, reference = self._reference(stimulus)
        path = root / split_reference(reference)[0]
        if not path.is_file():
            raise DataError(f"{path}: the file of stimulus {stimulus!r} is missing")
        return path

    def picture(self, stimulus: str) -> "Image.Image":
        """Read the picture of a stimulus, or raise a DataError that names it."""
        self.file(stimulus)
        return read_picture(*self._reference(stimulus))

    def content(self, stimulus: str) -> str:
        """Compute the SHA-256 of what is stored of a stimulus: its file, or its place in the file that holds it."""
        self.file(stimulus)
        return digest_of_picture(*self._reference(stimulus))

    def _reference(self, stimulus: str) -> tuple[Path, str]:
        reference = str(self.get(stimulus)["path"])
        if not reference or self.root is None:
            raise DataError(f"stimulus {stimulus!r} has no file")
        return self.root, reference

    def save(self, path: Path) -> None:
        """Write the table as CSV, atomically."""
        write_table(path, self.table)

    @classmethod
    def load(cls, path: Path, *, root: Path | None = None) -> "Stimuli":
        """Read what `save` wrote."""
        return cls(read_table(path, required=STIMULUS_COLUMNS, text=(*STIMULUS_COLUMNS, *SPEECH_COLUMNS)), root)
