"""What a model answered for one subject, and how well it would have done under any pairing of labels."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from neurodecode.core.errors import DataError
from neurodecode.core.scores import BALANCED, plain_metric
from neurodecode.evaluation.areas import AREA, area_values, permuted_areas
from neurodecode.evaluation.positions import (
    Ranks,
    chance_median_rank,
    chance_reciprocal_rank,
    chance_top_k,
)
from neurodecode.evaluation.ranks import label_codes
from neurodecode.evaluation.statistics import Outcomes, Statistic


@dataclass(frozen=True, eq=False)
class Answers:
    """The scores that one model gave to every candidate, for every query of one subject.

    Parameters
    ----------
    scores : NDArray, shape (n_queries, n_candidates)
        Larger is better. Rows are brain responses, columns are candidate stimuli.
    queries : sequence of str
        The stimulus (or category) of each row.
    candidates : sequence of str
        The stimulus (or category) of each column; right where it equals the row's.
    units : sequence of str, optional
        What belongs together: rows of one unit (a run, a recording, a concept) are resampled as a whole; without it the
        stimulus is the unit. Where units hold several labels, the null permutes labels within units; where every unit
        holds one label only (or there are no units), it permutes whole labels.
    folds : sequence of str, optional
        The fold of each row, where scores come from several trained models: an image is then looked for only among the
        brain responses of one fold, since scores of different models cannot be compared.
    one_way : str
        Why images cannot be looked up the other way round (scores that cannot be compared down a column); empty if
        they can.

    Raises
    ------
    DataError
        If sizes do not fit, a score is not finite or a query has no right candidate.

    Examples
    --------
    >>> answers = Answers(np.eye(3), ["a", "b", "c"], ["a", "b", "c"])
    >>> answers.outcomes("top1").values.tolist()
    [1.0, 1.0, 1.0]
    """

    scores: NDArray[Any]
    queries: Sequence[str]
    candidates: Sequence[str]
    units: Sequence[str] | None = None
    folds: Sequence[str] | None = None
    one_way: str = ""
    _asked: dict[str, list["Question"]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        expected = (len(self.queries), len(self.candidates))
        if self.scores.shape != expected:
            raise DataError(f"answers: scores have shape {self.scores.shape}, expected {expected}")
        if not np.isfinite(self.scores).all():
            raise DataError("answers: a score is not finite")
        for name, values in (("units", self.units), ("folds", self.folds)):
            if values is not None and len(values) != len(self.queries):
                raise DataError(f"answers: {len(values)} {name} for {len(self.queries)} queries")
        label_codes(self.queries, self.candidates)

    def questions(self, direction: str) -> list["Question"]:
        """Give the questions of one direction: one, or one a fold.

        Parameters
        ----------
        direction : str
            ``image_given_brain`` or ``brain_given_image``.
        """
        if direction not in self._asked:
            self._asked[direction] = self._ask(direction)
        return self._asked[direction]

    def _ask(self, direction: str) -> list["Question"]:
        queries, candidates = np.asarray(self.queries), np.asarray(self.candidates)
        units = None if self.units is None else np.asarray(self.units)
        if direction == "image_given_brain":
            return [Question(self.scores, queries, candidates, units, self.folds)]
        if direction != "brain_given_image":
            raise DataError(f"direction: got {direction!r}, expected image_given_brain or brain_given_image")
        if self.one_way:
            raise DataError(f"direction brain_given_image: {self.one_way}")
        folds = np.zeros(len(queries), dtype=int) if self.folds is None else np.asarray(self.folds)
        asked = []
        for fold in np.unique(folds):
            rows = np.flatnonzero(folds == fold)
            columns = np.flatnonzero(np.isin(candidates, queries[rows]))
            unit = None if self.folds is None else np.full(len(columns), fold)
            scores = self.scores[np.ix_(rows, columns)].T
            asked.append(Question(scores, candidates[columns], queries[rows], unit))
        return asked

    def outcomes(self, metric: str, direction: str = "image_given_brain") -> Outcomes:
        """Compute what each query scored."""
        asked = self.questions(direction)
        values = np.concatenate([question.right_values(metric) for question in asked])
        return Outcomes(values, np.concatenate([question.bootstrap_units for question in asked]))

    def ranks(self, direction: str = "image_given_brain") -> NDArray[np.float64]:
        """Compute the position of the first right candidate of each query, ties averaged."""
        return self.outcomes("mean_rank", direction).values

    def null(self, metric: str, direction: str, *, seed: int, n_draws: int) -> NDArray[np.float64]:
        """Compute the metric under permuted labels, shape (n_draws,); one seed permutes every subject alike."""
        asked = self.questions(direction)
        drawn = [
            question.permuted_values(metric, seed=seed + index, n_draws=n_draws) for index, question in enumerate(asked)
        ]
        reduce = np.median if statistic_of(metric) == "median" else np.mean
        return np.asarray(reduce(np.concatenate(drawn, axis=1), axis=1), dtype=np.float64)


def statistic_of(metric: str) -> Statistic:
    """Tell how a metric is computed from its queries.

    Examples
    --------
    >>> statistic_of("median_rank"), statistic_of("top1")
    ('median', 'mean')
    """
    return "median" if plain_metric(metric) == "median_rank" else "mean"


class Question:
    """One matrix of scores with labels, and what every query would score if any label were the right one.

    Parameters
    ----------
    scores : NDArray, shape (n_queries, n_candidates)
        Larger is better.
    queries, candidates : NDArray of str
        Labels.
    units : NDArray or None
        See `Answers`.
    folds : sequence of str or None
        The fold of each query: `auc` compares scores of different queries, which only those of one model allow.
    """

    def __init__(
        self,
        scores: NDArray[Any],
        queries: NDArray[Any],
        candidates: NDArray[Any],
        units: NDArray[Any] | None,
        folds: Sequence[str] | None = None,
    ) -> None:
        self.query_labels, self.units = queries, units
        self.names, codes = np.unique(candidates, return_inverse=True)
        self.codes = np.searchsorted(self.names, queries)
        self.n_right = np.bincount(codes)
        self.n_candidates = len(candidates)
        # Labels that never meet another one within their unit could not be permuted there.
        self.within_units = units is not None and any(
            len(np.unique(self.codes[units == unit])) > 1 for unit in np.unique(units)
        )
        self._drawn: dict[tuple[int, int], NDArray[np.int64]] = {}
        self._values: tuple[str, NDArray[np.float64]] | None = None
        self._ranks = _ranks_of_every_label(scores, codes, len(self.names))
        self._folds = np.unique(np.zeros(len(queries)) if folds is None else np.asarray(folds), return_inverse=True)[1]
        self._margins: NDArray[Any] | None = None
        if self.n_candidates == len(self.names) == 2:
            first, second = np.argsort(codes)
            self._margins = scores[:, second] - scores[:, first]

    @property
    def has_area(self) -> bool:
        """Whether there is an area under the curve: two candidates, and both are right somewhere in every fold."""
        here = [np.ptp(self.codes[self._folds == fold]) for fold in np.unique(self._folds)]
        return self._margins is not None and min(here) > 0

    def _area_margins(self) -> NDArray[Any]:
        if self._margins is None or not self.has_area:
            raise DataError("metric: got auc, which needs two candidates and, in every fold, queries of both")
        return self._margins

    @property
    def bootstrap_units(self) -> NDArray[Any]:
        """Give what each query is resampled with."""
        return self.query_labels if self.units is None else self.units

    def values(self, metric: str) -> NDArray[np.float64]:
        """Compute the outcome of every query under every label, shape (n_queries, n_labels)."""
        name = plain_metric(metric)
        if name.startswith(BALANCED):
            # Every label asked for weighs the same: the mean over queries is then the mean over labels.
            counts = np.bincount(self.codes, minlength=len(self.names))
            weights = len(self.codes) / (np.count_nonzero(counts) * np.maximum(counts, 1))
            return self.values(name.removeprefix(BALANCED)) * weights
        if self._values is not None and self._values[0] == name:  # the score and its null ask one after the other
            return self._values[1]
        if name.startswith("top"):
            flat = self._ranks.top_k(int(name[3:]))
        elif name.startswith("way"):
            flat = self._ranks.k_way(int(name[3:]))
        elif name in ("mean_rank", "median_rank"):
            flat = self._ranks.expected_rank()
        elif name == "mrr":
            flat = self._ranks.reciprocal_rank()
        else:
            raise DataError(
                f"metric: got {metric!r}, expected (balanced_)top<k>, way<k>, mean_rank, median_rank, mrr or auc"
            )
        self._values = name, flat.reshape(len(self.query_labels), len(self.names))
        return self._values[1]

    def right_values(self, metric: str) -> NDArray[np.float64]:
        """Compute the outcome of every query under its own label, shape (n_queries,)."""
        if plain_metric(metric) == AREA:
            return area_values(self._area_margins(), self.codes == 1, self._folds)
        return self.values(metric)[np.arange(len(self.codes)), self.codes]

    def permuted_values(self, metric: str, *, seed: int, n_draws: int) -> NDArray[np.float64]:
        """Compute the outcome of every query under permuted labels, shape (n_draws, n_queries)."""
        drawn = self._permuted_codes(seed, n_draws)
        if not self.within_units:  # whole labels change places
            drawn = drawn[:, np.unique(self.codes, return_inverse=True)[1]]
        if plain_metric(metric) == AREA:
            areas = permuted_areas(self._area_margins(), drawn == 1, self._folds)
            return np.repeat(areas[:, None], len(self.codes), axis=1)
        return np.asarray(self.values(metric)[np.arange(len(self.codes)), drawn], dtype=np.float64)

    def _permuted_codes(self, seed: int, n_draws: int) -> NDArray[np.int64]:
        """Draw new codes for the distinct labels or, where units hold several, for the queries within each unit."""
        if (seed, n_draws) not in self._drawn:
            generator = np.random.default_rng([seed, 4])
            if self.units is None or not self.within_units:
                drawn = generator.permuted(np.tile(np.unique(self.codes), (n_draws, 1)), axis=1)
            else:
                drawn = np.empty((n_draws, len(self.codes)), dtype=np.int64)
                for unit in np.unique(self.units):
                    rows = np.flatnonzero(self.units == unit)
                    drawn[:, rows] = generator.permuted(np.tile(self.codes[rows], (n_draws, 1)), axis=1)
            self._drawn = {(seed, n_draws): drawn}  # the last one only: all metrics ask for the same
        return self._drawn[seed, n_draws]

    def chance(self, metric: str) -> float:
        """Compute what guessing scores, exactly."""
        name, codes = plain_metric(metric), self.codes
        if name.startswith(BALANCED):
            name, codes = name.removeprefix(BALANCED), np.unique(codes)
        right = self.n_right[codes]
        if name == AREA:
            return 0.5
        if name.startswith("top"):
            return float(chance_top_k(right, self.n_candidates, int(name[3:])).mean())
        if name.startswith("way"):
            return 1 / int(name[3:])
        if name == "mean_rank":
            return float(((self.n_candidates + 1) / (right + 1)).mean())
        each = chance_median_rank if name == "median_rank" else chance_reciprocal_rank
        sizes, counts = np.unique(right, return_counts=True)
        return float(np.average([each(int(size), self.n_candidates) for size in sizes], weights=counts))


def _ranks_of_every_label(scores: NDArray[Any], codes: NDArray[np.int64], n_labels: int) -> Ranks:
    """Treat each pair of a query and a label as a query of its own, whose right candidates carry that label."""
    above = rankdata(-scores, method="min", axis=1) - 1
    tied = rankdata(-scores, method="max", axis=1) - above
    right_above, right_tied = np.zeros_like(above), np.ones_like(tied)
    for label in np.flatnonzero(np.bincount(codes) > 1):
        columns = np.flatnonzero(codes == label)
        mine = -scores[:, columns]
        right_above[:, columns] = rankdata(mine, method="min", axis=1) - 1
        right_tied[:, columns] = rankdata(mine, method="max", axis=1) - right_above[:, columns]
    query = (np.arange(len(scores))[:, None] * n_labels + codes[None, :]).ravel()
    order = np.argsort(query, kind="stable")
    parts = (query, above - right_above, tied - right_tied, right_tied)
    whole = [part.ravel()[order].astype(np.int64) for part in parts]
    return Ranks(whole[0], whole[1], whole[2], whole[3], len(scores) * n_labels, len(codes))
