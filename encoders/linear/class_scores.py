"""Linear classifiers of windows: what they score, the plain discriminant, and the area under the curve."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from neurodecode.core.errors import DataError, MismatchError
from neurodecode.encoders.linear.trials import TrialSet

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LinearClassifier:
    """Weights of every class.

    Parameters
    ----------
    classes : tuple of str
        Names, in the order of the weights.
    weights : ndarray of shape (n_classes, n_channels, n_bins)
        Of the means of equal stretches of a window.
    offsets : ndarray of shape (n_classes,)
        Added to the scores.
    """

    classes: tuple[str, ...]
    weights: Floats
    offsets: Floats

    def score(self, signals: NDArray[np.floating]) -> Floats:
        """Score every class for each window ``(n, n_channels, n_times)``, each on its own; larger is more likely.

        Raises
        ------
        MismatchError
            If windows have another number of channels.
        """
        if signals.ndim != 3 or signals.shape[1] != self.weights.shape[1]:
            raise MismatchError(f"signals: got shape {signals.shape}, expected (n, {self.weights.shape[1]}, n_times)")
        rows = binned(signals, self.weights.shape[2])
        return np.asarray(np.einsum("nct,kct->nk", rows, self.weights, optimize=True) + self.offsets)


def binned(signals: NDArray[np.floating], n_bins: int) -> Floats:
    """Average a window's samples in `n_bins` stretches of equal length (to within a sample).

    Examples
    --------
    >>> binned(np.arange(4.0).reshape(1, 1, 4), 2).tolist()
    [[[0.5, 2.5]]]
    """
    n_times = signals.shape[2]
    if not 1 <= n_bins <= n_times:
        raise MismatchError(f"n_bins: got {n_bins}, expected 1 to the {n_times} times of a window")
    edges = np.round(np.linspace(0, n_times, n_bins + 1)).astype(int)
    sums = np.add.reduceat(np.asarray(signals, dtype=np.float64), edges[:-1], axis=2)
    return np.asarray(sums / np.diff(edges), dtype=np.float64)


def fit_plain_discriminant(train: TrialSet, n_bins: int) -> LinearClassifier:
    """Fit scikit-learn's linear discriminant analysis with Ledoit and Wolf's shrinkage on all trials alike.

    Parameters
    ----------
    train : TrialSet
        Single trials.
    n_bins : int
        Stretches that a window is averaged in.

    Returns
    -------
    LinearClassifier
        For the stimuli of `train`, sorted.

    Examples
    --------
    >>> signals = np.random.default_rng(0).standard_normal((40, 2, 4)) + np.tile([0, 2], 20)[:, None, None]
    >>> label = np.tile(["left", "right"], 20)
    >>> fitted = fit_plain_discriminant(TrialSet(signals, label, label, np.ones(40, dtype=int)), 2)
    >>> fitted.score(signals[:2]).argmax(axis=1).tolist()
    [0, 1]
    """
    rows = binned(train.signals, n_bins)
    # Volts and teslas are tiny numbers, which the solver's tolerance would take for none.
    level = float(rows.std()) or 1.0
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    model.fit(rows.reshape(len(rows), -1) / level, train.stimulus)
    weights, offsets = np.asarray(model.coef_) / level, np.asarray(model.intercept_)
    if len(weights) == 1:  # two classes: one contrast
        weights, offsets = np.concatenate([-weights, weights]) / 2, np.concatenate([-offsets, offsets]) / 2
    return LinearClassifier(tuple(map(str, model.classes_)), weights.reshape(-1, *rows.shape[1:]), offsets)


def pairwise_auc(scores: Floats, truth: NDArray[np.intp]) -> float:
    """Compute the area under the receiver operating characteristic, averaged over pairs of classes.

    Parameters
    ----------
    scores : ndarray of shape (n, n_classes)
        Larger is more likely.
    truth : ndarray of int, shape (n,)
        The right class of each row.

    Returns
    -------
    float
        For each pair of classes that occur, how often the difference of their scores puts a row of one above a row of
        the other; ties count half.

    References
    ----------
    Hand and Till (2001), doi:10.1023/A:1010920819831.

    Examples
    --------
    >>> pairwise_auc(np.array([[0.0, 1.0], [0.0, 3.0], [0.0, 2.0]]), np.array([0, 1, 1]))
    1.0
    """
    areas = []
    for first, second in combinations(np.unique(truth), 2):
        rows = np.isin(truth, (first, second))
        margin, right = scores[rows, second] - scores[rows, first], truth[rows] == second
        places = rankdata(margin)[right]
        areas.append((places.mean() - (len(places) + 1) / 2) / np.count_nonzero(~right))
    if not areas:
        raise DataError("area under the curve: got one class, expected at least two")
    return float(np.mean(areas))
