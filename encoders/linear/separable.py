"""A linear classifier for people it never met: class means over people, noise that is separable in space and time."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from neurodecode.core.errors import DataError, MismatchError
from neurodecode.encoders.linear.class_scores import LinearClassifier, binned, pairwise_auc
from neurodecode.encoders.linear.selection import truth_index
from neurodecode.encoders.linear.trials import TrialSet

Floats = NDArray[np.float64]

#: Shares of the identity that space and time are shrunk to; what they give is averaged.
SPATIAL, TEMPORAL = (0.1, 0.3, 0.6), (0.1, 0.3, 0.5)
#: Within a person, space is whitened before time is looked at.
OWN_SHRINKAGE = 0.3


@dataclass(frozen=True)
class SeparableClassifier:
    """A fitted classifier, with how its parts did on units that were left out.

    Parameters
    ----------
    classifier : LinearClassifier
        The mean of all parts, fitted on all units.
    held_out : ndarray of shape (n, n_classes)
        Scores of the training rows by the same mean, fitted without the row's unit.
    auc : float
        Area under the curve of these, averaged over units.
    table : list of dict
        The parts: bins and shrinkages, each with its area under the curve on units that were left out.
    """

    classifier: LinearClassifier
    held_out: Floats
    auc: float
    table: list[dict[str, Any]] = field(default_factory=list)

    def report(self) -> dict[str, Any]:
        """Describe the parts, as plain JSON."""
        return {"auc_of_units_left_out": self.auc, "averaged": self.table}


@dataclass(frozen=True)
class _Moments:
    """What a fit needs of the rows, by unit: means of the classes, and residuals' covariances."""

    means: Floats
    middle: Floats
    spatial: Floats
    temporal: Floats

    def without(self, unit: int) -> "_Moments":
        kept = np.arange(len(self.means)) != unit
        return _Moments(self.means[kept], self.middle[kept], self.spatial[kept], self.temporal[kept])


def fit_separable(train: TrialSet, n_bins: Sequence[int]) -> SeparableClassifier:
    """Fit the classifier: the mean over numbers of bins and shrinkages, each at the same scale.

    The noise covariance is the product of one in space and one in time, both of what is left of the trials after the
    mean of their person and class is taken off. With few trials of many people this is a far better guess of a
    covariance of some thousand features than shrinking their sample covariance to its diagonal. Class means are means
    over people of each person's distance from the middle of its own classes, so that what people differ in beside the
    classes counts for nothing. Nothing is asked of the new person: neither labels nor statistics.

    Bins and shrinkages are not chosen, for people differ so much that a few dozen of them choose badly; all are used,
    each divided by the spread of its scores within units that were left out.

    Parameters
    ----------
    train : TrialSet
        Single trials; ``group`` is the person (or run) that is left out as a whole.
    n_bins : sequence of int
        Numbers of equal stretches that a window is averaged in.

    Returns
    -------
    SeparableClassifier
        For the stimuli of `train`, sorted.

    Raises
    ------
    DataError
        If there are fewer than two units or classes, or a unit lacks a class.

    References
    ----------
    Dutilleul (1999), doi:10.1080/00949659908811970, on the product of two covariances; Blankertz et al. (2011),
    doi:10.1016/j.neuroimage.2010.06.048, on shrunk discriminants of event-related potentials.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> person, label = np.repeat(["a", "b", "c", "d"], 20), np.tile(["left", "right"], 40)
    >>> signals = generator.standard_normal((80, 3, 8)) + (label == "right")[:, None, None]
    >>> fitted = fit_separable(TrialSet(signals, label, person, np.ones(80, dtype=int)), [4])
    >>> fitted.classifier.score(signals[:2]).argmax(axis=1).tolist()
    [0, 1]
    """
    classes, units = np.unique(train.stimulus), np.unique(train.group)
    _check(train, classes, units)
    truth = truth_index(train.stimulus, classes)
    member = [train.group == unit for unit in units]
    table: list[dict[str, Any]] = []
    n_times = train.shape[1]
    held_out, offsets = np.zeros((len(train), len(classes))), np.zeros(len(classes))
    weights = np.zeros((len(classes), train.shape[0], n_times))
    for count in dict.fromkeys(n_bins):
        known = _moments(train, count, classes, units)
        rows, shares = binned(train.signals, count), binned(np.eye(n_times)[None], count)[0].T
        scores = {pair: np.empty_like(held_out) for pair in product(SPATIAL, TEMPORAL)}
        for number, mask in enumerate(member):
            for pair, (part, offset) in _solutions(known.without(number)).items():
                scores[pair][mask] = np.einsum("nct,kct->nk", rows[mask], part, optimize=True) + offset
        for pair, (part, offset) in _solutions(known).items():
            own = scores[pair]
            scale = 1 / max(_spread_within(own, member), np.finfo(float).tiny)
            held_out += scale * own
            weights += scale * part @ shares
            offsets += scale * offset
            area = _mean_area(own, truth, member)
            table.append({"n_bins": count, "spatial": pair[0], "temporal": pair[1], "auc": area})
    if not table:
        raise DataError("n_bins: got none, expected at least one number")
    held_out, weights, offsets = (values / len(table) for values in (held_out, weights, offsets))
    classifier = LinearClassifier(tuple(map(str, classes)), weights, offsets)
    return SeparableClassifier(classifier, held_out, _mean_area(held_out, truth, member), table)


def _spread_within(scores: Floats, member: Sequence[NDArray[np.bool_]]) -> float:
    """Compute the root mean square of what tells classes apart, about each unit's mean."""
    contrast = scores - scores.mean(axis=1, keepdims=True)
    return float(
        np.sqrt(np.mean(np.concatenate([contrast[mask] - contrast[mask].mean(axis=0) for mask in member]) ** 2))
    )


def _mean_area(scores: Floats, truth: NDArray[np.int64], member: Sequence[NDArray[np.bool_]]) -> float:
    return float(np.mean([pairwise_auc(scores[mask], truth[mask]) for mask in member]))


def _check(train: TrialSet, classes: NDArray[np.str_], units: NDArray[np.str_]) -> None:
    if len(classes) < 2 or len(units) < 2:
        raise DataError(f"classifier: got {len(classes)} classes and {len(units)} units, expected two or more of both")
    for unit in units:
        missing = np.setdiff1d(classes, train.stimulus[train.group == unit])
        if len(missing):
            raise DataError(
                f"classifier: {unit} has no trial of {str(missing[0])!r}, expected all classes of everybody"
            )


def _moments(train: TrialSet, n_bins: int, classes: NDArray[np.str_], units: NDArray[np.str_]) -> _Moments:
    if not 1 <= n_bins <= train.shape[1]:
        raise MismatchError(f"n_bins: got {n_bins}, expected 1 to the {train.shape[1]} times of a window")
    rows = binned(train.signals, n_bins)
    means, spatial, temporal = [], [], []
    for unit in units:
        mine = train.group == unit
        own, labels = rows[mine], train.stimulus[mine]
        of_class = np.stack([own[labels == name].mean(axis=0) for name in classes])
        rest = own - of_class[np.searchsorted(classes, labels)]
        freedom = max(len(own) - len(classes), 1)
        space = np.einsum("nct,ndt->cd", rest, rest, optimize=True) / (freedom * n_bins)
        white = np.einsum("cd,ndt->nct", np.linalg.inv(_shrunk(space, OWN_SHRINKAGE)), rest, optimize=True)
        time = np.einsum("nct,ncu->tu", rest, white, optimize=True)
        means.append(of_class)
        spatial.append(space)
        temporal.append(time / max(float(np.trace(time)), np.finfo(float).tiny) * n_bins)
    stacked = np.stack(means)
    return _Moments(stacked, stacked.mean(axis=1), np.stack(spatial), np.stack(temporal))


def _shrunk(covariance: Floats, share: float) -> Floats:
    size = len(covariance)
    level = max(float(np.trace(covariance)) / size, np.finfo(float).tiny)
    return np.asarray((1 - share) * covariance + share * level * np.eye(size), dtype=np.float64)


def _solutions(moments: _Moments) -> dict[tuple[float, float], tuple[Floats, Floats]]:
    """Solve for the weights of every pair of shrinkages; one eigendecomposition serves all shares of a covariance."""
    middle = moments.middle.mean(axis=0)
    contrast = (moments.means - moments.middle[:, None]).mean(axis=0)
    values, vectors = {}, {}
    for name, parts in (("space", moments.spatial), ("time", moments.temporal)):
        values[name], vectors[name] = scipy.linalg.eigh(parts.mean(axis=0))
    turned = np.einsum("ci,kct,tj->kij", vectors["space"], contrast, vectors["time"], optimize=True)
    found = {}
    for pair in product(SPATIAL, TEMPORAL):
        space, time = (
            (1 - share) * values[name] + share * max(float(values[name].mean()), np.finfo(float).tiny)
            for name, share in zip(("space", "time"), pair, strict=True)
        )
        shaped = turned / np.outer(space, time)
        weights = np.einsum("ci,kij,tj->kct", vectors["space"], shaped, vectors["time"], optimize=True)
        offsets = -np.einsum("kct,kct->k", weights, middle + contrast / 2)
        found[pair] = weights, offsets
    return found
