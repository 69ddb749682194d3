"""Names of the pictures of Generic Object Decoding, and the numbers that stand for them."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError

TASKS = ("train", "perception", "imagery")
# What a number may be off after it was written as text with six decimals.
TOLERANCE = 2e-7


def name_of(number: float, where: object, row: int) -> str:
    """Turn a number into the name of a picture, or of a category where it is whole.

    The integer part is the WordNet number, the six decimals are the number of the picture.

    Parameters
    ----------
    number : float
        Such as 1443537.022563.
    where, row : object, int
        For messages.

    Returns
    -------
    str
        Such as ``n01443537_22563``, or ``n01443537``.

    Raises
    ------
    DataError
        If the number cannot be one, for instance because it was stored with too few digits.

    Examples
    --------
    >>> name_of(1443537.022563, "here", 0), name_of(3767745.000109, "here", 0), name_of(1621127.0, "here", 0)
    ('n01443537_22563', 'n03767745_109', 'n01621127')
    """
    if not np.isfinite(number) or not 10**6 <= number < 10**8:
        raise DataError(f"{where}: row {row}: {number:g} is no stimulus, expected a number such as 1443537.022563")
    category = int(np.floor(number + TOLERANCE))
    decimals = (number - category) * 1e6
    if abs(decimals - round(decimals)) > TOLERANCE * 1e6:
        raise DataError(
            f"{where}: row {row}: {number!r} has more than six decimals, expected one such as 1443537.022563"
        )
    picture = round(decimals)
    return f"n{category:08d}_{picture}" if picture else f"n{category:08d}"


def names_of(numbers: NDArray[np.float64], where: object) -> list[str]:
    """Turn a column of numbers of pictures into names.

    Raises
    ------
    DataError
        If one is that of a category: single precision rounds all of them to whole numbers, which loses the picture.

    Examples
    --------
    >>> names_of(np.array([1443537.022563]), "here")
    ['n01443537_22563']
    """
    names = [name_of(float(number), where, row) for row, number in enumerate(numbers)]
    for row, name in enumerate(names):
        if "_" not in name:
            raise DataError(
                f"{where}: row {row}: {numbers[row]:g} names no picture, expected a number with decimals such as "
                "1443537.022563 (single precision loses them)"
            )
    return names


def check_name(name: str, where: object) -> str:
    """Give a name without its ending, or raise a DataError if it is not that of a picture or category.

    Examples
    --------
    >>> check_name("n01443537_22563.JPEG", "here")
    'n01443537_22563'
    """
    match = re.fullmatch(r"(n\d{8}(?:_\d+)?)(?:\.JPEG)?", name)
    if match is None:
        raise DataError(f"{where}: got the stimulus {name!r}, expected one such as n01443537_22563")
    return match[1]


def concept_of(name: str) -> str:
    """Give the WordNet number of a picture.

    Examples
    --------
    >>> concept_of("n01443537_22563")
    'n01443537'
    """
    return name.split("_")[0]


def find_pictures(root: Path) -> dict[str, Path]:
    """Find pictures ``n01443537_22563.JPEG`` in ``images`` and the folders below it, by name."""
    found: dict[str, Path] = {}
    for path in sorted((root / "images").rglob("n*")) if (root / "images").is_dir() else []:
        match = re.fullmatch(r"(n\d{8}_\d+)\.(?:jpe?g|png|tiff?)", path.name, re.IGNORECASE)
        if match:
            if match[1] in found:
                raise DataError(f"{path}: {found[match[1]]} has the same name, expected one file of each picture")
            found[match[1]] = path
    return found
