"""MATLAB files up to version 7, read whole with SciPy; nothing in them is executed."""

from pathlib import Path
from typing import Any

import numpy as np

from neurodecode.core.errors import DataError


def read_mat(path: Path, *names: str) -> Any:
    """Read variables of a ``.mat`` file as plain dictionaries, arrays and texts.

    Parameters
    ----------
    path : Path
        The file.
    *names : str
        The variables.

    Returns
    -------
    object
        The variable if there is one name, otherwise a dictionary of them. Cells and structures of one element are that
        element.

    Raises
    ------
    DataError
        If the file is missing, cut, of version 7.3, or has no such variable.
    """
    from scipy.io import loadmat

    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        content = loadmat(path, variable_names=list(names), squeeze_me=True, chars_as_strings=True, simplify_cells=True)
    except NotImplementedError:
        raise DataError(f"{path}: saved as MATLAB 7.3, expected an older version") from None
    except Exception as error:  # a broken file ends in whatever exception its reader stumbles on
        text = str(error).strip() or type(error).__name__
        raise DataError(f"{path}: not readable as a MATLAB file ({text.splitlines()[0]})") from None
    for name in names:
        if name not in content:
            raise DataError(f"{path}: has no variable {name!r}")
    return content[names[0]] if len(names) == 1 else {name: content[name] for name in names}


def text_list(value: Any) -> list[str]:
    """Read a cell array of texts, of any length; one text is a list of one, and nothing is an empty list.

    Raises
    ------
    ValueError
        If it holds anything but texts.

    Examples
    --------
    >>> text_list(np.array(["a", "b"], dtype=object)), text_list("a"), text_list(np.array([]))
    (['a', 'b'], ['a'], [])
    """
    if isinstance(value, str):
        return [value.strip()] if value.strip() else []
    items = np.atleast_1d(np.asarray(value, dtype=object)).ravel().tolist()
    if not all(isinstance(item, str) for item in items):
        raise ValueError(f"{next(item for item in items if not isinstance(item, str))!r} is no text")
    return [item.strip() for item in items]
