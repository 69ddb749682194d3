"""One array of an ``.npz`` file mapped where it lies: such files hold gigabytes of pictures."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError


def map_array(path: Path, name: str) -> NDArray[Any]:
    """Map an array of an ``.npz`` file that `numpy.savez` wrote; nothing of it is read before it is asked for.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        Of the array.

    Returns
    -------
    ndarray
        A read-only memory map.

    Raises
    ------
    DataError
        If the file is cut or something else, has no such array, or the array is compressed or holds objects.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "images.npz"
    >>> np.savez(path, train_images=np.ones((2, 4, 4, 3)))
    >>> map_array(path, "train_images").shape
    (2, 4, 4, 3)
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            known = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
            if name not in known:
                raise DataError(f"{path}: no array {name!r}, got {', '.join(known) or 'none'}")
            entry = known[name]
            if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
                raise DataError(f"{path}: the array {name!r} is compressed, expected it stored as numpy.savez does")
            file.seek(entry.header_offset)
            header = file.read(30)
            begin = entry.header_offset + 30 + int.from_bytes(header[26:28], "little")
            file.seek(begin + int.from_bytes(header[28:30], "little"))
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(file)
            if dtype.hasobject:
                raise DataError(f"{path}: the array {name!r} holds objects, expected numbers")
            order = "F" if fortran else "C"
            return np.memmap(path, dtype, "r", file.tell(), shape, order)  # type: ignore[call-overload, no-any-return]
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except DataError:
        raise
    except Exception as error:  # zipfile, struct, numpy and mmap each have their own exceptions for a broken file
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: not readable as a whole .npz file ({reason})") from None
