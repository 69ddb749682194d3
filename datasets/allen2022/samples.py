"""Samples of a web dataset: the files of one key, within tar archives or unpacked into a folder."""

import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.tar_files import Member, index_tar


@dataclass
class Sample:
    """The files of one key.

    Parameters
    ----------
    key : str
        What their names begin with, such as ``sample000000349``.
    part : str
        ``train``, ``val`` or ``test``.
    files : dict of str to Member
        By what follows the first dot of the name, such as ``nsdgeneral.npy``.
    packed : bool
        Whether the files lie within an archive.
    """

    key: str
    part: str
    files: dict[str, Member] = field(default_factory=dict)
    packed: bool = True

    @property
    def where(self) -> str:
        """Name archive and key for messages."""
        place = next(iter(self.files.values())).path
        return f"{place if self.packed else place.parent}: {self.key}"

    def array(self, kind: str) -> NDArray[Any]:
        """Read one ``.npy`` file without pickles, or raise a DataError that names archive, key and file."""
        if kind not in self.files:
            raise DataError(f"{self.where}: no {kind}, it has {', '.join(sorted(self.files))}")
        try:
            values: NDArray[Any] = np.load(io.BytesIO(self.files[kind].read()), allow_pickle=False)
        except DataError:
            raise
        except (OSError, ValueError, EOFError, SyntaxError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(f"{self.where}: {kind} is not readable as a whole .npy array ({reason})") from None
        return values

    def number(self, kind: str, *, low: int, high: int) -> int:
        """Read a ``.npy`` file that holds one whole number within a range, both ends included."""
        values = self.array(kind)
        value = float(values.ravel()[0]) if values.size == 1 and values.dtype.kind in "iuf" else np.nan
        if not (value == np.rint(value) and low <= value <= high):  # also true for NaN
            got = f"{value:g}" if values.size == 1 else f"{values.dtype} of shape {values.shape}"
            raise DataError(f"{self.where}: {kind} holds {got}, expected one whole number from {low} to {high}")
        return int(value)

    def reference(self, kind: str, root: Path) -> str:
        """Give the place of a file as a table of stimuli names it."""
        member = self.files[kind]
        path = member.path.relative_to(root).as_posix()
        return f"{path}#{member.name}" if self.packed else path


def shards(folder: Path, pattern: str) -> list[Path]:
    """Find numbered archives, by number.

    Parameters
    ----------
    folder : Path
        Where they lie.
    pattern : str
        Regular expression of the whole name; its first group is the number.
    """
    found = [(int(match[1]), path) for path in folder.glob("*.tar") if (match := re.fullmatch(pattern, path.name))]
    return [path for _, path in sorted(found)]


def read_samples(archives: Iterable[Path], part: str) -> list[Sample]:
    """Index the samples of some archives, in their order; nothing is extracted.

    Raises
    ------
    DataError
        If a key lies in two archives or a member's name has no dot.
    """
    found: dict[str, Sample] = {}
    for archive in archives:
        for name, member in index_tar(archive).items():
            key, dot, kind = PurePosixPath(name).name.partition(".")
            if not dot or not key:
                raise DataError(f"{archive}: member {name!r}, expected a key, a dot and a kind such as coco73k.npy")
            sample = found.setdefault(key, Sample(key, part))
            if kind in sample.files:
                raise DataError(f"{archive}: {key}.{kind} lies in {sample.files[kind].path.name} already")
            sample.files[kind] = member
    return list(found.values())


def read_unpacked(folder: Path, part: str) -> list[Sample]:
    """Index the samples whose files lie in a folder, by name."""
    found: dict[str, Sample] = {}
    for path in sorted(folder.iterdir()):
        key, dot, kind = path.name.partition(".")
        if dot and key and path.is_file():
            sample = found.setdefault(key, Sample(key, part, packed=False))
            sample.files[kind] = Member(path, path.name, 0, path.stat().st_size)
    return list(found.values())
