"""Files that are either whole or absent: atomic writes, locks, fingerprints, strict readers."""

import contextlib
import errno
import fcntl
import filecmp
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import DataError, is_disk_full


def fingerprint(value: object, *, length: int = 16) -> str:
    """Compute a stable hexadecimal digest of a JSON-like value.

    Parameters
    ----------
    value : object
        Nested mappings, sequences, strings, numbers, booleans, None or paths. Mappings are sorted by key.
    length : int
        Number of hexadecimal digits kept (of 64).

    Returns
    -------
    str
        The first `length` digits of the SHA-256 of the canonical JSON text.

    Raises
    ------
    TypeError
        If `value` holds something that JSON cannot express.

    Examples
    --------
    >>> fingerprint({"b": 1, "a": 2}) == fingerprint({"a": 2, "b": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Path):
        return value.as_posix()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"cannot take a fingerprint of {type(value).__name__}")


def sha256_of_file(path: Path) -> str:
    """Compute the SHA-256 of a file's bytes, read in pieces.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "empty"
    >>> path.write_bytes(b"")
    0
    >>> sha256_of_file(path)[:8]
    'e3b0c442'
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` that replaces it only when the block ends without an error.

    Parameters
    ----------
    path : Path
        The file to write. Its folder is made if missing. The temporary name keeps the suffix.

    Yields
    ------
    Path
        Where to write. On an exception, Ctrl-C included, it is removed and `path` stays as it was. It also stays as it
        was if it holds the very same bytes already: caches look at the time of a source's last change.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> target = pathlib.Path(tempfile.mkdtemp()) / "notes.txt"
    >>> with atomic_path(target) as temporary:
    ...     _ = temporary.write_text("whole")
    >>> target.read_text()
    'whole'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=f".part{path.suffix}", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        if not (path.is_file() and filecmp.cmp(temporary, path, shallow=False)):
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
    except OSError as error:
        if is_disk_full(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside `path` that takes its name only when the block ends without an error.

    Parameters
    ----------
    path : Path
        The folder to make. If another process made it meanwhile, its work is kept and ours is dropped.

    Yields
    ------
    Path
        An empty folder. On an exception, Ctrl-C included, it is removed with all it holds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    try:
        yield temporary
        os.chmod(temporary, 0o755)
        try:
            os.rename(temporary, path)
        except OSError:
            if not path.is_dir():
                raise
    except OSError as error:
        if is_disk_full(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(path)) from error
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def folder_lock(path: Path) -> Iterator[None]:
    """Let one process at a time work on `path`; the others wait.

    Parameters
    ----------
    path : Path
        The folder or file to guard. The lock is a file beside it, released by the system if the process dies.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / f".{path.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, or raise a DataError that names it."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not readable as text ({' '.join(str(error).split())})") from None


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON, atomically; not-a-number and infinity are refused."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, default=_plain, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file, or raise a DataError that names it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path}: not readable as JSON ({error})") from None


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, atomically, without its index."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n", float_format="%.9g")


def read_table(path: Path, *, required: tuple[str, ...] = (), text: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read a CSV or TSV table, or raise a DataError that names the file and the missing column.

    Parameters
    ----------
    path : Path
        The file; a `.tsv` suffix means tab-separated.
    required : tuple of str
        Columns that must be there.
    text : tuple of str
        Columns read as strings, an empty cell as an empty string.

    Returns
    -------
    pandas.DataFrame
        The table.
    """
    separator = "\t" if path.suffix == ".tsv" else ","
    try:
        columns = list(pd.read_csv(path, sep=separator, nrows=0, encoding="utf-8").columns)
        # A stimulus may be called "null" or "NA": only the other columns know missing values.
        missing_values = {column: ["", "n/a", "NaN", "nan", "NA"] for column in columns if column not in text}
        table = pd.read_csv(
            path,
            sep=separator,
            dtype=dict.fromkeys(text, str),
            keep_default_na=False,
            na_values=missing_values,
            encoding="utf-8",
        )
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: not readable as a table ({reason})") from None
    if not isinstance(table.index, pd.RangeIndex):
        # The reader takes what is too much for names of the rows, and every column for its neighbour.
        raise DataError(f"{path}: a row has more cells than the {len(columns)} of the header")
    missing = [column for column in required if column not in table.columns]
    if missing:
        raise DataError(f"{path}: column {missing[0]!r} is missing, got {', '.join(map(str, table.columns))}")
    for column in text:
        if column in table.columns:
            table[column] = table[column].fillna("")
    return table


def open_array(path: Path, *, memory_map: bool = True) -> NDArray[Any]:
    """Open a `.npy` array without pickles, memory-mapped by default, or raise a DataError that names it."""
    try:
        # Not np.load, which looks into the file for its kind, and leaves it open if it then cannot read it.
        if memory_map:
            return np.lib.format.open_memmap(path, mode="r")
        with path.open("rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: not readable as a whole .npy array ({str(error).splitlines()[0]})") from None


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read every array of an ``.npz`` file without pickles, or raise a DataError that names it."""
    try:
        # The file is opened here, because numpy leaves it open when the archive is cut.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except Exception as error:
        raise DataError(f"{path}: not readable as a whole .npz file ({str(error).splitlines()[0]})") from None
