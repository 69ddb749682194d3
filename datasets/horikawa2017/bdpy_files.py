"""Tables of samples and columns as Brain Decoder Toolbox 2 and bdpy write them: HDF5 of both ages, and MATLAB."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError

# The names of table, metadata and its parts: newer bdpy, and older files.
LAYOUTS = (("dataset", "metadata"), ("dataSet", "metaData"))


@dataclass(frozen=True)
class BrainTable:
    """Samples by columns, and what is known of each column.

    Parameters
    ----------
    path : Path
        The file.
    values : array
        ``(n_samples, n_columns)``; numbers in memory, or a dataset of an open file.
    transposed : bool
        Whether MATLAB wrote an HDF5 file, so that rows and columns are exchanged.
    columns : dict of str to ndarray, shape (n_columns,)
        The rows of the metadata by their key; NaN where one says nothing of a column.
    """

    path: Path
    values: Any
    transposed: bool
    columns: dict[str, NDArray[np.float64]]

    @property
    def n_samples(self) -> int:
        """Give the number of samples."""
        return int(self.values.shape[1 if self.transposed else 0])

    def where(self, key: str) -> NDArray[np.int64]:
        """List the columns that the metadata mark with 1 under a key, or raise a DataError that lists the keys."""
        if key not in self.columns:
            raise DataError(f"{self.path}: the metadata have no key {key!r}, got {', '.join(self.columns)}")
        return np.flatnonzero(self.columns[key] == 1)

    def rows(self, start: int, stop: int, columns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Read some samples of some columns ``(n_samples, n_columns)``."""
        # A range is read at once: HDF5 picks single columns slowly.
        low, high = int(columns.min()), int(columns.max()) + 1
        piece = self.values[low:high, start:stop].T if self.transposed else self.values[start:stop, low:high]
        return np.asarray(piece, dtype=np.float64)[:, columns - low]

    def one(self, *keys: str) -> NDArray[np.float64]:
        """Read the one column that is known under the first of some keys that is there."""
        key = next((key for key in keys if key in self.columns), keys[0])
        found = self.where(key)
        if len(found) != 1:
            raise DataError(f"{self.path}: {len(found)} columns are marked {key!r}, expected one")
        values = self.rows(0, self.n_samples, found)[:, 0]
        if self.values.dtype.itemsize < 8:
            raise DataError(f"{self.path}: the table is {self.values.dtype}, expected float64")
        return values


@contextmanager
def open_table(path: Path) -> Iterator[BrainTable]:
    """Open a table; its values stay in the file where that is HDF5.

    Parameters
    ----------
    path : Path
        ``.h5`` of bdpy, or ``.mat`` of any version of MATLAB.

    Yields
    ------
    BrainTable

    Raises
    ------
    DataError
        Naming what is missing, or which lengths disagree.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if path.suffix == ".mat" and not _is_hdf5(path):
        yield _read_matlab(path)
        return
    import h5py

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise DataError(f"{path}: not readable as HDF5 ({str(error).splitlines()[0]})") from None
    with file:
        try:
            table = _read_hdf5(path, file)
        except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path}: not readable as a table of bdpy ({str(error).splitlines()[0]})") from None
        yield table


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(520)
    return b"\x89HDF\r\n" in start


def _read_hdf5(path: Path, file: Any) -> BrainTable:
    import h5py

    names = next(((data, meta) for data, meta in LAYOUTS if data in file), None)
    if names is None:
        raise DataError(f"{path}: neither 'dataset' nor 'dataSet' is there, got {', '.join(file) or 'none'}")
    data, meta = names
    for part in ("key", "value"):
        if not isinstance(file.get(f"{meta}/{part}"), h5py.Dataset):
            raise DataError(f"{path}: {meta}/{part} is missing")
    keys, values = file[f"{meta}/key"], np.asarray(file[f"{meta}/value"], dtype=np.float64)
    if h5py.check_ref_dtype(keys.dtype) is not None:  # a cell array of MATLAB: references to texts of 16-bit characters
        names_of_keys = ["".join(map(chr, np.asarray(file[key]).ravel())) for key in np.asarray(keys).ravel()]
        return _checked(path, file[data], True, names_of_keys, values.T)
    found = [key.decode("utf-8") if isinstance(key, bytes) else str(key) for key in np.asarray(keys).ravel()]
    return _checked(path, file[data], False, found, values)


def _read_matlab(path: Path) -> BrainTable:
    from scipy.io import loadmat

    try:
        content = loadmat(path, simplify_cells=True, variable_names=("dataSet", "metaData"))
    except Exception as error:  # scipy and zlib each have their own exceptions for a broken file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: not readable as a MATLAB file ({reason})") from None
    missing = [name for name in ("dataSet", "metaData") if name not in content]
    if missing:
        raise DataError(f"{path}: the variable {missing[0]!r} is missing")
    meta = content["metaData"]
    if not isinstance(meta, dict) or not {"key", "value"} <= set(meta):
        raise DataError(f"{path}: metaData has no fields key and value")
    keys = [str(key).strip() for key in np.atleast_1d(meta["key"])]
    return _checked(path, np.asarray(content["dataSet"]), False, keys, np.asarray(meta["value"], dtype=np.float64))


def _checked(path: Path, values: Any, transposed: bool, keys: list[str], meta: NDArray[np.float64]) -> BrainTable:
    n_columns = values.shape[0 if transposed else -1] if values.ndim == 2 else 0
    if values.ndim != 2 or values.dtype.kind != "f" or meta.shape != (len(keys), n_columns):
        raise DataError(
            f"{path}: a table {values.dtype} of shape {values.shape} with {len(keys)} keys and metadata of shape "
            f"{meta.shape}, expected floats and metadata ({len(keys)}, {n_columns})"
        )
    return BrainTable(path, values, transposed, dict(zip(keys, meta, strict=True)))
