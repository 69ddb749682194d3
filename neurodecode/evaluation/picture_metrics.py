"""Picture metrics on every pair of a made and a true picture, so that a permutation null costs nothing more."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError

FeatureFunction = Callable[[NDArray[np.uint8]], NDArray[Any]]
Way = Literal["true_given_made", "made_given_true", "both"]

_LUMA = np.array([0.2125, 0.7154, 0.0721])  # weights of red, green and blue in grey (ITU-R BT.709)
_SIGMA, _RADIUS = 1.5, 5
_C1, _C2 = 0.01**2, 0.03**2  # for values between 0 and 1


def pearson_pairs(made: NDArray[Any], true: NDArray[Any]) -> NDArray[np.float64]:
    """Compute Pearson's correlation of every row of `made` with every row of `true`.

    Parameters
    ----------
    made, true : NDArray, shapes (n, dim) and (m, dim)
        Flattened pictures or features.

    Returns
    -------
    NDArray of float64, shape (n, m)
        Correlations. A row without variance says nothing and correlates 0 with everything.

    Raises
    ------
    DataError
        If shapes do not fit or a value is not finite.

    Examples
    --------
    >>> pearson_pairs(np.array([[0.0, 1.0]]), np.array([[1.0, 3.0], [3.0, 1.0]])).round(6).tolist()
    [[1.0, -1.0]]
    """
    if made.ndim != 2 or true.ndim != 2 or made.shape[1] != true.shape[1]:
        raise DataError(f"correlation: shapes {made.shape} and {true.shape}, expected (n, dim) and (m, dim)")
    return unit_correlations(unit_rows(made), unit_rows(true))


def unit_rows(values: NDArray[Any]) -> NDArray[np.float64]:
    """Centre every row and bring it to unit length; a row without variance becomes zero.

    Raises
    ------
    DataError
        If a value is not finite.

    Examples
    --------
    >>> unit_rows(np.array([[1.0, 3.0], [2.0, 2.0]])).round(3).tolist()
    [[-0.707, 0.707], [0.0, 0.0]]
    """
    moved = values.astype(np.float64) - values.mean(axis=1, keepdims=True, dtype=np.float64)
    if not np.isfinite(moved).all():
        raise DataError("correlation: a value is not finite")
    norms = np.linalg.norm(moved, axis=1, keepdims=True)
    flat = norms < 1e-9 * np.maximum(1.0, np.abs(values).max(axis=1, keepdims=True))  # rounding is no variance
    return np.asarray(np.where(flat, 0.0, moved / np.where(flat, 1.0, norms)), dtype=np.float64)


def unit_correlations(made: NDArray[np.float64], true: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute Pearson's correlation of all pairs of rows that `unit_rows` gave, shape (n, m).

    Examples
    --------
    >>> unit_correlations(unit_rows(np.array([[0.0, 1.0]])), unit_rows(np.array([[5.0, 7.0]]))).round(6).tolist()
    [[1.0]]
    """
    return np.asarray(np.clip(made @ true.T, -1.0, 1.0), dtype=np.float64)


def pixcorr_pairs(made: NDArray[np.uint8], true: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Compute the correlation of all red, green and blue values for every pair of pictures.

    Parameters
    ----------
    made, true : NDArray of uint8, shapes (n, height, width, 3) and (m, height, width, 3)
        Pictures at their own size; nothing is resized.

    Returns
    -------
    NDArray of float64, shape (n, m)
        Correlations; 0 for a picture of one flat value.

    Examples
    --------
    >>> pictures = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    >>> pixcorr_pairs(pictures, 255 - pictures).round(6).tolist()
    [[-1.0, -1.0], [-1.0, -1.0]]
    """
    _check_pictures(made, true)
    return pearson_pairs(made.reshape(len(made), -1), true.reshape(len(true), -1))


def ssim_pairs(made: NDArray[np.uint8], true: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Compute the structural similarity of every pair of pictures.

    Grey pictures (BT.709) between 0 and 1 at their own size, Gaussian window with sigma 1.5 cut at 11 x 11, population
    covariance, K1 = 0.01 and K2 = 0.03, mean over all windows that fit inside the picture. These are the settings of
    Wang 2004 (doi:10.1109/TIP.2003.819861) that the field's scripts use; they first enlarge to 425 x 425, which is not
    done here.

    Parameters
    ----------
    made, true : NDArray of uint8, shapes (n, height, width, 3) and (m, height, width, 3)
        Pictures of at least 11 x 11. The cost grows as n x m x height x width x (height + width).

    Returns
    -------
    NDArray of float64, shape (n, m)
        Similarities between -1 and 1.

    Examples
    --------
    >>> picture = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)
    >>> ssim_pairs(picture, picture).round(9).tolist()
    [[1.0]]
    """
    _check_pictures(made, true)
    height, width = made.shape[1:3]
    if min(height, width) < 2 * _RADIUS + 1:
        raise DataError(f"SSIM: pictures of {height} x {width}, expected at least 11 x 11")
    down, across = _window_matrix(height), _window_matrix(width)

    def smooth(grey: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(down @ grey @ across.T)

    first, second = (pictures @ (_LUMA / 255.0) for pictures in (made, true))
    mean_first, mean_second = smooth(first), smooth(second)
    spread_first = smooth(first**2) - mean_first**2
    spread_second = smooth(second**2) - mean_second**2
    result = np.empty((len(first), len(second)))
    for index, grey in enumerate(first):
        product = mean_first[index] * mean_second
        shared = smooth(grey * second) - product
        upper = (2 * product + _C1) * (2 * shared + _C2)
        lower = (mean_first[index] ** 2 + mean_second**2 + _C1) * (spread_first[index] + spread_second + _C2)
        result[index] = (upper / lower).mean(axis=(1, 2))
    return result


def two_way_pairs(similarities: NDArray[np.float64], way: Way = "true_given_made") -> NDArray[np.float64]:
    """Compute two-way identification for every possible pairing of made and true pictures.

    Cell (i, j) is the score of made picture `i` if true picture `j` were its right one: the share of the other true
    pictures that are less similar to it than `j`, a tie counting half. Its diagonal is the usual score, as in the
    scripts that descend from MindEye. ``made_given_true`` asks the other way round (for true picture `j`, the share of
    the other made pictures that are less similar than `i`); ``both`` is the mean of the two.

    Parameters
    ----------
    similarities : NDArray of float64, shape (n, n)
        Made pictures in rows, true pictures in columns.
    way : {"true_given_made", "made_given_true", "both"}
        Which question is asked.

    Returns
    -------
    NDArray of float64, shape (n, n)
        Shares between 0 and 1; guessing gives 0.5.

    Examples
    --------
    >>> two_way_pairs(np.array([[0.9, 0.1], [0.9, 0.2]])).diagonal().tolist()
    [1.0, 0.0]
    """
    n = len(similarities)
    if similarities.shape != (n, n) or n < 2:
        raise DataError(f"two-way identification: shape {similarities.shape}, expected (n, n) with n of at least 2")
    if way == "both":
        both = (two_way_pairs(similarities, "true_given_made"), two_way_pairs(similarities, "made_given_true"))
        return np.asarray((both[0] + both[1]) / 2)
    if way not in ("true_given_made", "made_given_true"):
        raise DataError(f"two-way identification: way {way!r}, expected true_given_made, made_given_true or both")
    table = similarities if way == "true_given_made" else similarities.T
    shares = np.empty_like(table)
    for index, row in enumerate(table):
        ordered = np.sort(row)
        lower = np.searchsorted(ordered, row, side="left")
        tied = np.searchsorted(ordered, row, side="right") - lower - 1
        shares[index] = (lower + 0.5 * tied) / (n - 1)
    return shares if way == "true_given_made" else shares.T


def feature_rows(pictures: NDArray[np.uint8], features: FeatureFunction, name: str) -> NDArray[np.float64]:
    """Compute features of pictures, one flat row each, and check them.

    Raises
    ------
    DataError
        If the function does not give one finite row a picture; the message names the features.
    """
    rows = np.asarray(features(pictures))
    if len(rows) != len(pictures) or rows.ndim < 2:
        raise DataError(f"features {name}: gave shape {rows.shape} for {len(pictures)} pictures, expected one row each")
    rows = rows.reshape(len(rows), -1).astype(np.float64)
    if not np.isfinite(rows).all():
        raise DataError(f"features {name}: a value is not finite")
    return rows


def _window_matrix(size: int) -> NDArray[np.float64]:
    offset = np.arange(-_RADIUS, _RADIUS + 1)
    window = np.exp(-0.5 * (offset / _SIGMA) ** 2)
    window /= window.sum()
    matrix = np.zeros((size - 2 * _RADIUS, size))
    for row in range(len(matrix)):
        matrix[row, row : row + len(window)] = window
    return matrix


def _check_pictures(made: NDArray[np.uint8], true: NDArray[np.uint8]) -> None:
    for name, pictures in (("made", made), ("true", true)):
        if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[-1] != 3:
            raise DataError(f"pictures {name}: {pictures.dtype} {pictures.shape}, expected uint8 (n, height, width, 3)")
    if made.shape[1:] != true.shape[1:]:
        raise DataError(f"pictures: made are {made.shape[1:3]} and true are {true.shape[1:3]}, expected one size")
