"""Fields of a dictionary that was read without trust: each is what it must be, or an error names it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError


def field_of(content: Any, name: str, path: Path) -> Any:
    """Give a field.

    Parameters
    ----------
    content : object
        What was read, a dictionary if all is well.
    name : str
        The field.
    path : Path
        The file that it comes from.

    Raises
    ------
    DataError
        Naming the file, the field and those that are there.

    Examples
    --------
    >>> field_of({"times": [0.0]}, "times", Path("a.pkl"))
    [0.0]
    """
    if not isinstance(content, Mapping):
        raise DataError(f"{path}: holds a {type(content).__name__}, expected a dictionary with the field {name!r}")
    if name not in content:
        raise DataError(f"{path}: the field {name!r} is missing, got {', '.join(map(str, content))}")
    return content[name]


def text_field(content: Any, name: str, path: Path) -> list[str]:
    """Give a field that is a list of texts.

    Parameters
    ----------
    content : object
        What was read.
    name : str
        The field.
    path : Path
        The file that it comes from.

    Raises
    ------
    DataError
        If it is something else, or a text holds characters that cannot be printed.

    Examples
    --------
    >>> text_field({"ch_names": np.array(["Oz"])}, "ch_names", Path("a.pkl"))
    ['Oz']
    """
    values = field_of(content, name, path)
    flat = np.ndim(values) == 1
    whole = flat and isinstance(values, Iterable) and not isinstance(values, str | Mapping)
    if not whole or not all(isinstance(value, str) and value.isprintable() for value in values):
        # An empty list has no type.
        if not (isinstance(values, list) and not values):
            raise DataError(f"{path}: the field {name!r} is not a list of texts")
    return [str(value) for value in values]


def number_field(content: Any, name: str, path: Path) -> NDArray[np.float64]:
    """Give a field that is an array of numbers, of any shape.

    Parameters
    ----------
    content : object
        What was read.
    name : str
        The field.
    path : Path
        The file that it comes from.

    Raises
    ------
    DataError
        If it is something else.

    Examples
    --------
    >>> number_field({"times": [0.0, 0.5]}, "times", Path("a.pkl")).shape
    (2,)
    """
    array = _array_of(content, name, path)
    if array.dtype.kind not in "iuf":
        raise DataError(f"{path}: the field {name!r} is not an array of numbers")
    return array.astype(np.float64)


def text_array(content: Any, name: str, path: Path) -> NDArray[np.str_]:
    """Give a field that is an array of texts, of any shape.

    Parameters
    ----------
    content : object
        What was read.
    name : str
        The field.
    path : Path
        The file that it comes from.

    Raises
    ------
    DataError
        If it is something else.

    Examples
    --------
    >>> text_array({"img": [["a", "a"], ["b", "b"]]}, "img", Path("a.pt")).shape
    (2, 2)
    """
    array = _array_of(content, name, path)
    if array.dtype.kind != "U":
        raise DataError(f"{path}: the field {name!r} is not an array of texts")
    return array


def _array_of(content: Any, name: str, path: Path) -> NDArray[Any]:
    """Give a field as an array; a ragged one, which is of no use to anybody, as objects."""
    values = field_of(content, name, path)
    try:
        return np.asarray(values)
    except ValueError:
        return np.zeros(0, dtype=object)
