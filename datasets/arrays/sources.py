"""Arrays and lists in files of the common kinds, opened by the library made for each, read a part at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import DataError, suggestion
from neurodecode.core.files import open_array, read_table

ENDINGS = (".npy", ".npz", ".mat", ".h5", ".hdf5", ".csv", ".tsv", ".txt")
TABLES = (".csv", ".tsv")
# Where MATLAB keeps what its cells point to.
MATLAB_REFERENCES = "#refs#"


@dataclass(frozen=True)
class OpenedArray:
    """An array whose numbers are read when they are asked for.

    Parameters
    ----------
    place : str
        File and key, for messages.
    shape : tuple of int
        As the program that wrote the file shows it.
    read : callable
        From an axis, a start and a stop to that part of the array.
    dtype : numpy.dtype
        Of the numbers on disk.
    """

    place: str
    shape: tuple[int, ...]
    read: Callable[[int, int, int], NDArray[Any]]
    dtype: np.dtype[Any]

    def whole(self) -> NDArray[Any]:
        """Read everything."""
        return self.read(0, 0, self.shape[0])


def open_source(path: Path, key: str = "") -> OpenedArray:
    """Open an array of numbers or text.

    Parameters
    ----------
    path : Path
        ``.npy`` (memory-mapped), ``.npz``, ``.mat`` (any version), ``.h5``, ``.csv``, ``.tsv`` or ``.txt`` (one entry a
        line).
    key : str
        Which array, or which column of a table; may be left out where there is only one.

    Returns
    -------
    OpenedArray
        The array of a MATLAB file has its dimensions in MATLAB's order, whichever version the file is.

    Raises
    ------
    DataError
        Naming the file: missing, cut, of another kind, or without that key; the keys it has are listed.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise DataError(f"{path}: got a file that ends in {ending or 'nothing'}, expected one of {', '.join(ENDINGS)}")
    if ending in (".npy", ".txt") and key:
        raise DataError(f"{path}: got the key {key!r}, but such a file holds one array without a name")
    if ending == ".npy":
        return _held(str(path), open_array(path))
    if ending == ".txt":
        return _held(str(path), np.array(_lines(path), dtype=np.str_))
    if ending in TABLES:
        return _open_table(path, key)
    if ending == ".npz":
        return _open_npz(path, key)
    return _open_mat(path, key)


def text_values(array: OpenedArray) -> list[str]:
    """Read a list as text: whole numbers without a decimal point, a missing number as an empty string.

    Parameters
    ----------
    array : OpenedArray
        One dimension longer than 1 at most.

    Returns
    -------
    list of str
        In the order of the file.

    Raises
    ------
    DataError
        If the array has two dimensions, or holds bytes that are not UTF-8.
    """
    if sum(size != 1 for size in array.shape) > 1:
        raise DataError(f"{array.place}: shape {array.shape}, expected a list of one entry a trial")
    values = np.asarray(array.whole()).ravel()
    return [as_text(value, f"{array.place}: entry {row}") for row, value in enumerate(values.tolist())]


def read_text_table(path: Path) -> pd.DataFrame:
    """Read a table with every cell as text, so that a name like 001 stays what it is."""
    if path.suffix.lower() not in TABLES:
        raise DataError(f"{path}: expected a table that ends in .csv or .tsv")
    columns = [str(column) for column in read_table(path).columns]
    if len(columns) == 1 and (";" in columns[0] or "\t" in columns[0]):
        raise DataError(f"{path}: got one column {columns[0]!r}, expected commas between columns (tabs in a .tsv)")
    return read_table(path, text=tuple(columns))


def as_text(value: Any, where: str) -> str:
    """Put one entry into text: a whole number without a decimal point, a missing number as nothing.

    Examples
    --------
    >>> as_text(3.0, "here"), as_text(b"cat ", "here"), as_text(float("nan"), "here")
    ('3', 'cat', '')
    """
    while isinstance(value, np.ndarray | list) and np.size(value) == 1:
        value = np.asarray(value).ravel()[0]  # a cell of MATLAB
    if isinstance(value, np.ndarray | list):
        if np.size(value) == 0:
            return ""
        raise DataError(f"{where} holds {np.size(value)} values, expected one name")
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8").strip()
        except UnicodeDecodeError:
            raise DataError(f"{where} is not UTF-8, got {value[:40]!r}") from None
    if isinstance(value, float | np.floating):
        if np.isnan(value):
            return ""
        return str(int(value)) if float(value).is_integer() else repr(float(value))
    return str(value).strip()


def _held(place: str, values: NDArray[Any]) -> OpenedArray:
    """Wrap an array that numpy already holds or maps."""
    if values.ndim == 0:
        values = values.reshape(1)

    def read(axis: int, start: int, stop: int) -> NDArray[Any]:
        return np.asarray(values[(slice(None),) * axis + (slice(start, stop),)])

    return OpenedArray(place, values.shape, read, values.dtype)


def _choose(path: Path, key: str, known: list[str]) -> str:
    if not key and len(known) == 1:
        return known[0]
    shown = ", ".join(known[:20]) + (" ..." if len(known) > 20 else "") or "none"
    if not key:
        raise DataError(f"{path}: got no key, expected one of {shown}; write {{file: {path.name}, key: ...}}")
    if key not in known:
        raise DataError(f"{path}: got the key {key!r}, expected one of {shown}{suggestion(key, known)}")
    return key


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None


def _open_table(path: Path, key: str) -> OpenedArray:
    table = read_text_table(path)
    if key or len(table.columns) == 1:
        name = _choose(path, key, [str(column) for column in table.columns])
        return _held(f"{path}, column {name!r}", table[name].to_numpy().astype(str))
    rows = table.to_numpy().astype(str)
    numbers = pd.to_numeric(pd.Series([*map(str, table.columns)]), errors="coerce")
    if numbers.notna().all():  # no header: its "names" are the first row
        rows = np.vstack([[str(column) for column in table.columns], rows])
    try:
        return _held(str(path), rows.astype(np.float64))
    except ValueError as error:
        raise DataError(f"{path}: expected numbers in every cell ({error})") from None


def _open_npz(path: Path, key: str) -> OpenedArray:
    try:
        # The file is opened here, because numpy leaves it open when the archive is cut.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            name = _choose(path, key, list(archive.files))
            return _held(f"{path}, {name!r}", archive[name])
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{path}: not readable as a whole .npz file ({str(error).splitlines()[0]})") from None


def _open_mat(path: Path, key: str) -> OpenedArray:
    import h5py

    try:
        if h5py.is_hdf5(path):
            return _open_hdf5(path, key, matlab=path.suffix.lower() == ".mat")
        import scipy.io

        name = _choose(path, key, [entry[0] for entry in scipy.io.whosmat(path)])
        values = scipy.io.loadmat(path, variable_names=[name], chars_as_strings=True)[name]
    except DataError:
        raise
    except Exception as error:  # scipy, zlib and h5py each have their own exceptions for a broken file
        reason = " ".join(str(error).split()) or type(error).__name__
        kind = "MATLAB" if path.suffix.lower() == ".mat" else "HDF5"
        raise DataError(f"{path}: not readable as a {kind} file ({reason})") from None
    return _held(f"{path}, {name!r}", np.asarray(values))


def _open_hdf5(path: Path, key: str, *, matlab: bool) -> OpenedArray:
    """Open a data set of an HDF5 file; MATLAB writes its dimensions last first."""
    import h5py

    known: list[str] = []

    def note(name: str, entry: object) -> None:
        if isinstance(entry, h5py.Dataset) and not name.startswith(MATLAB_REFERENCES):
            known.append(name)

    with h5py.File(path, "r") as file:
        file.visititems(note)
        name = _choose(path, key, sorted(known))
        entry = file[name]
        shape, dtype, place = tuple(entry.shape), entry.dtype, f"{path}, {name!r}"
        if h5py.check_ref_dtype(dtype) is not None or entry.attrs.get("MATLAB_class") == b"char":
            return _held(place, _matlab_text(file, entry))
        if h5py.check_string_dtype(dtype) is not None or not shape:
            return _held(place, np.asarray(entry[()]))

    def read(axis: int, start: int, stop: int) -> NDArray[Any]:
        with h5py.File(path, "r") as again:
            place_on_disk = len(shape) - 1 - axis if matlab else axis
            part = again[name][(slice(None),) * place_on_disk + (slice(start, stop),)]
            return np.asarray(part.T if matlab else part)

    return OpenedArray(place, shape[::-1] if matlab else shape, read, dtype)


def _matlab_text(file: Any, entry: Any) -> NDArray[np.str_]:
    """Read a cell array of text, or the rows of a matrix of characters, out of MATLAB's HDF5."""
    if entry.dtype.kind == "O":
        cells = [file[reference] for reference in np.asarray(entry).T.ravel()]
        texts = []
        for cell in cells:
            values = np.asarray(cell)
            if cell.attrs.get("MATLAB_empty", 0):
                texts.append("")
            elif cell.attrs.get("MATLAB_class") == b"char":
                texts.append("".join(chr(code) for code in values.T.ravel()))
            else:
                texts.append(as_text(values, f"{entry.name}: a cell"))
        return np.array(texts, dtype=np.str_)
    rows = np.asarray(entry).T
    return np.array(["".join(chr(code) for code in row).rstrip() for row in np.atleast_2d(rows)], dtype=np.str_)
