"""MATLAB files."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError


def load_mat(path: Path, names: tuple[str, ...], *, squeeze_me: bool = False) -> dict[str, NDArray[Any]]:
    """Read variables of a MATLAB file (version 4 to 7).

    Parameters
    ----------
    path : Path
        The file.
    names : tuple of str
        Variables that must be there.
    squeeze_me : bool
        Drop dimensions of length 1, and take texts and cells out of their wrapping.

    Returns
    -------
    dict of str to ndarray
        By name.

    Raises
    ------
    DataError
        Naming the file and the variable that is missing.
    """
    from scipy.io import loadmat

    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        content: dict[str, Any] = loadmat(path, squeeze_me=squeeze_me)
    except Exception as error:  # scipy has many exceptions for a broken file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: not readable as a MATLAB file ({reason})") from None
    for name in names:
        if name not in content:
            known = ", ".join(key for key in content if not key.startswith("__"))
            raise DataError(f"{path}: variable {name!r} is missing, got {known or 'none'}")
    return {name: np.asarray(content[name]) for name in names}
