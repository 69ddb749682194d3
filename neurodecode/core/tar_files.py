"""Tar archives read in place: an index of their plain files, none of which is ever written to disk."""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from neurodecode.core.errors import DataError

# A member that unpacks to more than this is refused: a small archive may hold a disk full of zeros.
LARGEST_MEMBER = 256 * 2**20


@dataclass(frozen=True)
class Member:
    """Where a plain file lies within an archive that is not compressed.

    Parameters
    ----------
    path : Path
        The archive.
    name : str
        The member's path within the archive.
    offset : int
        Its first byte in the archive.
    size : int
        Its length in bytes.
    """

    path: Path
    name: str
    offset: int
    size: int

    def read(self) -> bytes:
        """Read the whole file, or raise a DataError that names archive and member."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                content = file.read(self.size)
        except OSError as error:
            raise DataError(f"{self.path}: not readable ({error.strerror})") from None
        if len(content) != self.size:
            raise DataError(f"{self.path}: member {self.name!r} is cut, {len(content)} of {self.size} bytes")
        return content


def checked_members(
    archive: tarfile.TarFile, path: Path, *, largest: int = LARGEST_MEMBER
) -> Iterator[tarfile.TarInfo]:
    """Walk through the plain files of an open archive.

    Parameters
    ----------
    archive : tarfile.TarFile
        Open for reading.
    path : Path
        How messages name it.
    largest : int
        Most bytes that one member may have.

    Yields
    ------
    tarfile.TarInfo
        Folders are left out.

    Raises
    ------
    DataError
        If a member is a link, a device, too large, or has a path that leaves the archive's folder.
    """
    for member in archive:
        name = PurePosixPath(member.name)
        if name.is_absolute() or ".." in name.parts:
            raise DataError(f"{path}: member {member.name!r} leaves the archive's folder")
        if member.isdir():
            continue
        if not member.isfile() or member.issparse():
            raise DataError(f"{path}: member {member.name!r} is a link or a device, expected a plain file")
        if member.size > largest:
            raise DataError(f"{path}: member {member.name!r} has {member.size} bytes, expected at most {largest}")
        yield member


def index_tar(path: Path, *, largest: int = LARGEST_MEMBER) -> dict[str, Member]:
    """Find the plain files of an archive that is not compressed, without reading what they hold.

    Parameters
    ----------
    path : Path
        The archive. What was found is remembered until the file changes.
    largest : int
        Most bytes that one member may have.

    Returns
    -------
    dict of str to Member
        By the member's path within the archive, in its order.

    Raises
    ------
    DataError
        If the archive is missing, cut, compressed, or holds a member that `checked_members` refuses or holds one twice.
    """
    try:
        status = path.stat()
    except OSError:
        raise DataError(f"{path}: no such file") from None
    return _index(path, status.st_size, status.st_mtime_ns, largest)


@lru_cache(maxsize=256)
def _index(path: Path, size: int, changed: int, largest: int) -> dict[str, Member]:
    found: dict[str, Member] = {}
    try:
        with tarfile.open(path, "r:") as archive:
            for member in checked_members(archive, path, largest=largest):
                if member.name in found:
                    raise DataError(f"{path}: member {member.name!r} occurs twice")
                if member.offset_data + member.size > size:
                    raise DataError(f"{path}: cut within member {member.name!r}")
                found[member.name] = Member(path, member.name, member.offset_data, member.size)
    except (tarfile.TarError, OSError, EOFError, ValueError, OverflowError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: not readable as a whole tar archive ({' '.join(str(error).split())})") from None
    return found
