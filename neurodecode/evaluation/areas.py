"""The area under the receiver operating characteristic, as a mean over queries that can be resampled and permuted."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]
AREA = "auc"


def area_values(margins: NDArray[np.floating], positive: NDArray[np.bool_], folds: NDArray[np.int64]) -> Floats:
    """Compute what each query adds to the area under the curve.

    Parameters
    ----------
    margins : ndarray of shape (n_queries,)
        Score of the second candidate minus that of the first.
    positive : ndarray of bool, shape (n_queries,)
        Whether the second is right.
    folds : ndarray of int, shape (n_queries,)
        Queries are compared within a fold only; each fold holds both kinds.

    Returns
    -------
    ndarray of shape (n_queries,)
        The mean within a fold is its area, ties counting half; the spread within each kind is such that resampling
        queries gives the variance of DeLong et al. A single value may lie outside 0 to 1.

    References
    ----------
    DeLong, DeLong, Clarke-Pearson (1988), doi:10.2307/2531595.

    Examples
    --------
    >>> area_values(np.array([0.1, 0.4, 0.3, 0.9]), np.array([False, False, True, True]), np.zeros(4, int)).tolist()
    [1.25, 0.25, 0.25, 1.25]
    """
    values = np.empty(len(margins))
    for fold in np.unique(folds):
        members = folds == fold
        for kind in (True, False):
            mine, others = members & (positive == kind), members & (positive != kind)
            sign = 1 if kind else -1
            beaten = _share_below(sign * margins[mine], sign * margins[others])
            area = beaten.mean()
            values[mine] = area + (beaten - area) * np.count_nonzero(members) / np.count_nonzero(mine)
    return values


def _share_below(values: NDArray[np.floating], others: NDArray[np.floating]) -> Floats:
    ordered = np.sort(others)
    below, upto = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return np.asarray((below + upto) / (2 * len(others)), dtype=np.float64)


def permuted_areas(margins: NDArray[np.floating], positive: NDArray[np.bool_], folds: NDArray[np.int64]) -> Floats:
    """Compute the area under many labellings, weighting folds by their queries.

    Parameters
    ----------
    margins, folds : ndarray of shape (n_queries,)
        As in `area_values`.
    positive : ndarray of bool, shape (n_draws, n_queries)
        Labellings; a fold that one of them leaves with a single kind counts as chance.

    Returns
    -------
    ndarray of shape (n_draws,)

    Examples
    --------
    >>> permuted_areas(np.array([0.0, 1.0]), np.array([[False, True], [True, False]]), np.zeros(2, int)).tolist()
    [1.0, 0.0]
    """
    total = np.zeros(len(positive))
    for fold in np.unique(folds):
        members = folds == fold
        right = positive[:, members]
        n_right, size = right.sum(axis=1), right.shape[1]
        sums = right @ rankdata(margins[members])
        pairs = np.maximum(n_right * (size - n_right), 1)
        areas = (sums - n_right * (n_right + 1) / 2) / pairs
        total += np.where(n_right * (size - n_right) > 0, areas, 0.5) * size
    return total / len(margins)
