"""Pickles read without trust: arrays, numbers, text and plain containers come out, and nothing is ever executed.

Large arrays are not read at all but mapped where they lie in the file. Three containers are known: a bare pickle
(whatever its name ends in), an ``.npy`` file that holds one object, and the archive that ``torch.save`` writes.
"""

import os
import zipfile
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from neurodecode.core.errors import DataError
from neurodecode.datasets.pickle_opcodes import LAZY_BYTES, PickleReader, Source
from neurodecode.datasets.pickled_arrays import Refused

Container = Literal["npy", "pickle", "zip", ""]
_ADMITTED = "only arrays, numbers, text and plain containers are admitted"


def container_of(path: Path) -> Container:
    """Tell a container by its first bytes, whatever the name of the file ends in.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    str
        ``npy``, ``pickle``, ``zip`` or nothing.

    Raises
    ------
    DataError
        If the file cannot be read.

    Examples
    --------
    >>> import pickle, tempfile
    >>> path = Path(tempfile.mkdtemp()) / "preprocessed_eeg_training.npy"
    >>> _ = path.write_bytes(pickle.dumps({"times": [0.0]}))
    >>> container_of(path)
    'pickle'
    """
    try:
        with path.open("rb") as file:
            start = file.read(6)
    except OSError as error:
        raise DataError(f"{path}: not readable ({error.strerror})") from None
    if start == b"\x93NUMPY":
        return "npy"
    if start[:4] == b"PK\x03\x04":
        return "zip"
    return "pickle" if len(start) > 1 and start[0] == 0x80 and 2 <= start[1] <= 5 else ""


def read_pickle(path: Path, *, scratch: Path | None = None) -> Any:
    """Read a pickle of protocol 2 to 5 that holds arrays, numbers, text and plain containers, and nothing else.

    Parameters
    ----------
    path : Path
        A bare pickle, an ``.npy`` file of one object, or an archive of ``torch.save``; an ``.npy`` file of numbers is
        mapped as it is.
    scratch : Path, optional
        Existing folder for large arrays that protocol 2 wrote as text, which cannot be mapped where they lie; the
        system's temporary folder by default. Nothing is left there.

    Returns
    -------
    object
        What was pickled. Arrays of 64 KiB and more are read-only memory maps; other strings of that length are an
        error. Ordered dictionaries come back as dictionaries.

    Raises
    ------
    DataError
        Naming the file and what is not admitted, or that it is cut.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "data.npy"
    >>> np.save(path, np.array({"eeg": np.zeros((300, 100)), "sfreq": 1000}, dtype=object))
    >>> content = read_pickle(path)
    >>> type(content["eeg"]).__name__, content["eeg"].shape, content["sfreq"]
    ('memmap', (300, 100), 1000)
    """
    container = container_of(path)
    if not container:
        raise DataError(f"{path}: neither a pickle (protocol 2 to 5) nor an .npy file nor an archive of torch")
    try:
        with path.open("rb") as file:
            begin, end = 0, os.fstat(file.fileno()).st_size
            if container == "zip":
                begin, end = _member(path, file, end)
            elif container == "npy":
                if not _holds_object(file):
                    return np.lib.format.open_memmap(path, mode="r")
                begin = file.tell()
            file.seek(begin)
            reader = PickleReader(Source(file, end), path, scratch)
            value = reader.load()
            if reader.blanks:
                raise Refused("an array without content")
            if reader.unread:
                raise Refused(f"a text of {LAZY_BYTES} bytes or more that is no array")
    except DataError:
        raise
    except Refused as error:
        raise DataError(f"{path}: holds {error}; {_ADMITTED}") from None
    except EOFError:
        raise DataError(f"{path}: ends in the middle of a value; the file is cut") from None
    except Exception as error:  # a damaged pickle ends in whatever exception it stumbles on
        reason = " ".join(str(error).split()) or "no reason given"
        raise DataError(f"{path}: not readable as a pickle ({type(error).__name__}: {reason})") from None
    return value.item() if isinstance(value, np.ndarray) and value.dtype == object and value.ndim == 0 else value


def _holds_object(file: IO[bytes]) -> bool:
    """Read the header of an ``.npy`` file up to its content and tell whether that is a pickled object."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return bool(read(file)[2].hasobject)


def _member(path: Path, file: IO[bytes], size: int) -> tuple[int, int]:
    """Find where the pickle of an archive of torch begins and ends; it must be stored as it is."""
    with zipfile.ZipFile(file) as archive:
        found = [entry for entry in archive.infolist() if entry.filename.rpartition("/")[2] == "data.pkl"]
    if len(found) != 1:
        raise DataError(f"{path}: an archive with {len(found)} members called data.pkl, expected one")
    entry = found[0]
    if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
        raise DataError(f"{path}: member {entry.filename!r} is compressed or encrypted, expected it stored as it is")
    file.seek(entry.header_offset)
    header = file.read(30)
    if len(header) != 30 or header[:4] != b"PK\x03\x04":
        raise DataError(f"{path}: member {entry.filename!r} does not begin where the archive says; the file is damaged")
    begin = entry.header_offset + 30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    if begin + entry.file_size > size:
        raise DataError(f"{path}: member {entry.filename!r} reaches beyond the end; the file is cut")
    return begin, begin + entry.file_size
