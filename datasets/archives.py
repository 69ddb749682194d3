"""Archives read member by member, without writing anything to disk."""

import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from neurodecode.core.errors import DataError
from neurodecode.core.tar_files import LARGEST_MEMBER, checked_members


def read_tar(path: Path, *, suffix: str, largest: int = LARGEST_MEMBER) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Read the files of a tar archive one after the other; nothing is extracted to disk and nothing is executed.

    Parameters
    ----------
    path : Path
        A tar archive, compressed or not.
    suffix : str
        Only members with this ending are read.
    largest : int
        Most bytes that one member may have.

    Yields
    ------
    name : PurePosixPath
        The member's path within the archive.
    content : bytes
        What it holds.

    Raises
    ------
    DataError
        If the archive is missing or cut, or a member is a link, a device, too large, or has a path that leaves the
        archive.
    """
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in checked_members(archive, path, largest=largest):
                name = PurePosixPath(member.name)
                if name.suffix == suffix:
                    file = archive.extractfile(member)
                    content = b"" if file is None else file.read()
                    if len(content) != member.size:
                        raise DataError(f"{path}: member {member.name!r} is cut")
                    yield name, content
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not readable as a whole archive ({' '.join(str(error).split())})") from error
