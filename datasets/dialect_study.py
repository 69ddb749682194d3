"""Studies whose files go around in several forms (dialects), told apart by the names of files."""

from pathlib import Path
from typing import ClassVar

from neurodecode.core.errors import DataError
from neurodecode.core.study import Study


class DialectStudy(Study):
    """A study that reads whichever of its dialects lies there; the first one where there are several.

    Parameters
    ----------
    root : Path
        The study's folder.

    Notes
    -----
    A subclass that lets the user choose sets `forced`.
    """

    #: Names of the dialects, the preferred first.
    dialects: ClassVar[tuple[str, ...]]
    #: Folders below the data root where the study may lie.
    places: ClassVar[tuple[str, ...]]
    #: A file or folder by which each dialect is known, to say what was looked for.
    known_by: ClassVar[tuple[str | Path, ...]]
    forced: str | None = None

    @classmethod
    def lying_in(cls, folder: Path) -> list[str]:
        """List the dialects that lie in a folder, by names only."""
        raise NotImplementedError

    @classmethod
    def find(cls, data_root: Path) -> Path | None:
        """Give the first folder that holds a dialect, by names only."""
        for folder in (*(data_root / place for place in cls.places), data_root):
            if cls.lying_in(folder):
                return folder
        return None

    @classmethod
    def looked_for(cls, data_root: Path) -> list[Path]:
        """List the files by which each dialect is known."""
        return [data_root / place / name for place in (*cls.places, ".") for name in cls.known_by]

    @property
    def dialect(self) -> str:
        """Name the dialect that is read."""
        if self.forced is not None:
            return self.forced
        found = self.lying_in(self.root)
        if not found:
            raise DataError(f"{self.root}: none of the dialects {', '.join(self.dialects)} lies there")
        return found[0]
