"""What was computed once and is kept: found again only for the very same inputs, code and libraries."""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.files import atomic_path, fingerprint, load_arrays
from neurodecode.core.provenance import versions

Arrays = dict[str, NDArray[Any]]
#: Names inside a kept file that its arrays cannot have.
KEY, CONTENT = "_key", "_content"


def content_digest(value: object) -> str:
    """Compute a digest of nested values by their content, every element of every array included.

    Parameters
    ----------
    value : object
        Nested mappings and sequences of arrays (not of objects) and what `neurodecode.core.files.fingerprint` takes.

    Returns
    -------
    str
        64 hexadecimal digits. Arrays count with their type and shape, whatever their order in memory.

    Examples
    --------
    >>> first = content_digest({"a": np.zeros(2), "b": [1, "x"]})
    >>> first == content_digest({"b": [1, "x"], "a": np.zeros(2)}), first == content_digest({"a": np.zeros(2)})
    (True, False)
    """
    return fingerprint(_described(value), length=64)


def _described(value: object) -> object:
    """Put an array's digest in its place."""
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise TypeError("content digest: got an array of objects, expected numbers or strings")
        whole = np.ascontiguousarray(value)
        return {"array": sha256(whole.view(np.uint8).data if whole.nbytes else b"").hexdigest(),
                "dtype": value.dtype.str, "shape": list(value.shape)}  # fmt: skip
    if isinstance(value, Mapping):
        return {str(name): _described(entry) for name, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_described(entry) for entry in value]
    return value


@lru_cache(maxsize=16)
def source_digest(*names: str) -> str:
    """Compute a digest of the source of modules and whole packages: it changes with the code.

    Parameters
    ----------
    *names : str
        Such as ``neurodecode.encoders.linear``.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> source_digest("neurodecode.core.kept") == source_digest("neurodecode.core.files")
    False
    """
    found: dict[str, str] = {}
    for name in names:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise ConfigError(f"source: got {name!r}, expected a module or a package")
        root = Path(spec.origin)
        paths = sorted(root.parent.rglob("*.py")) if spec.submodule_search_locations else [root]
        for path in paths:
            found[f"{name}/{path.relative_to(root.parent).as_posix()}"] = sha256(path.read_bytes()).hexdigest()
    return fingerprint(found, length=64)


def computed_by(sources: Sequence[str], packages: Sequence[str] = ("numpy", "scipy")) -> dict[str, Any]:
    """Describe what computes: the digest of our own source and the versions of the libraries, as part of a key.

    Examples
    --------
    >>> sorted(computed_by(["neurodecode.core.kept"], ["numpy"]))
    ['libraries', 'source']
    """
    return {"source": source_digest(*sources), "libraries": versions(packages)}


def kept_arrays(path: Path, key: str, make: Callable[[], Mapping[str, NDArray[Any]]]) -> Arrays:
    """Read arrays that were kept under a key, or make and keep them.

    Parameters
    ----------
    path : Path
        An ``.npz`` file. It is taken only if it is whole, has this key and its content is what was written; anything
        else in its place is replaced.
    key : str
        Digest of all that the arrays depend on.
    make : callable
        Computes them.

    Returns
    -------
    dict of str to ndarray
        The same whether they were read or made.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "sum.npz"
    >>> kept_arrays(path, "one and one", lambda: {"sum": np.array(2)})["sum"].item()
    2
    >>> kept_arrays(path, "one and one", lambda: {"sum": np.array(3)})["sum"].item()
    2
    """
    found = _read(path, key)
    if found is None:
        found = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in make().items()}
        marks = {KEY: np.array(key), CONTENT: np.array(content_digest(found))}
        with atomic_path(path) as temporary:
            np.savez(temporary, allow_pickle=False, **found, **marks)
    return found


def _read(path: Path, key: str) -> Arrays | None:
    """Give the arrays of a file, or None if it is missing, damaged, edited or of another key."""
    if not path.is_file():
        return None
    try:
        arrays = load_arrays(path)
    except DataError:
        return None
    if KEY not in arrays or CONTENT not in arrays or str(arrays.pop(KEY)) != key:
        return None
    return arrays if str(arrays.pop(CONTENT)) == content_digest(arrays) else None
