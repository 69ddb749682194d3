"""Intervals, permutation nulls and paired comparisons; every draw comes from a seed that the caller names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError

Statistic = Literal["mean", "median"]


class Interval(NamedTuple):
    """A value with the ends of its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Outcomes:
    """What each query of one subject scored, and which queries must be resampled together.

    Parameters
    ----------
    values : NDArray of float, shape (n_queries,)
        One score a query, such as 1 for a right answer.
    units : NDArray, shape (n_queries,)
        What is resampled as a whole, such as the stimulus or the run.

    Examples
    --------
    >>> Outcomes(np.array([1.0, 0.0]), np.array(["a", "b"])).names.tolist()
    ['a', 'b']
    """

    values: NDArray[np.float64]
    units: NDArray[Any]

    def __post_init__(self) -> None:
        if self.values.ndim != 1 or self.values.shape != self.units.shape or not len(self.values):
            raise DataError(
                f"outcomes: values {self.values.shape} and units {self.units.shape}, expected (n,) and (n,)"
            )
        if not np.isfinite(self.values).all():
            raise DataError("outcomes: a value is not finite")

    @property
    def names(self) -> NDArray[Any]:
        """Give the distinct units, sorted."""
        return np.unique(self.units)

    def alone(self) -> "Outcomes":
        """Give what is resampled where no other subject is: single queries, if they are all of one unit.

        Where whole subjects are left out, the unit is the subject: several are resampled as wholes, one cannot be.
        """
        return Outcomes(self.values, np.arange(len(self.values))) if len(self.names) == 1 else self


def resampled_values(outcomes: Outcomes, counts: NDArray[np.int64], statistic: Statistic) -> NDArray[np.float64]:
    """Compute the statistic of resampled queries.

    Parameters
    ----------
    outcomes : Outcomes
        The scores of one subject.
    counts : NDArray of int, shape (n_draws, n_units)
        How often each unit, in the order of `outcomes.names`, was drawn.
    statistic : {"mean", "median"}
        What is computed over queries.

    Returns
    -------
    NDArray of float64, shape (n_draws,)
        One value a draw.

    Examples
    --------
    >>> outcomes = Outcomes(np.array([1.0, 0.0]), np.array(["a", "b"]))
    >>> resampled_values(outcomes, np.array([[2, 0], [1, 1]]), "mean").tolist()
    [1.0, 0.5]
    """
    place = np.searchsorted(outcomes.names, outcomes.units)
    if statistic == "mean":
        sums = np.bincount(place, weights=outcomes.values, minlength=counts.shape[1])
        sizes = np.bincount(place, minlength=counts.shape[1])
        return np.asarray((counts @ sums) / (counts @ sizes), dtype=np.float64)
    order = np.argsort(outcomes.values, kind="stable")
    values = outcomes.values[order]
    reached = np.cumsum(counts[:, place[order]], axis=1)
    total = reached[:, -1:]
    lower = (reached <= (total - 1) // 2).sum(axis=1)
    upper = (reached <= total // 2).sum(axis=1)
    return np.asarray((values[lower] + values[upper]) / 2, dtype=np.float64)


def bootstrap_values(
    by_subject: Sequence[Outcomes], *, seed: int, n_draws: int = 2000, statistic: Statistic = "mean"
) -> NDArray[np.float64]:
    """Resample units, and subjects where there are several, and compute the mean over subjects of each draw.

    Where all subjects met the same units, a draw takes the same units in every subject (people and items are crossed);
    otherwise each subject's units are drawn on their own. One seed gives the same draws for any two models.

    Parameters
    ----------
    by_subject : sequence of Outcomes
        One entry a subject.
    seed : int
        Seed of the draws.
    n_draws : int
        Number of draws.
    statistic : {"mean", "median"}
        What is computed over the queries of a subject.

    Returns
    -------
    NDArray of float64, shape (n_draws,)
        The bootstrap distribution.

    Examples
    --------
    >>> outcomes = Outcomes(np.array([0.0, 1.0]), np.array(["a", "b"]))
    >>> sorted(set(bootstrap_values([outcomes], seed=0, n_draws=50).tolist()))
    [0.0, 0.5, 1.0]
    """
    if not by_subject:
        raise DataError("bootstrap: got no subject")
    names = [outcomes.names for outcomes in by_subject]
    crossed = all(np.array_equal(names[0], other) for other in names)
    columns = []
    for index, outcomes in enumerate(by_subject):
        counts = _draw(len(names[index]), n_draws, (seed, 1, 0 if crossed else index))
        columns.append(resampled_values(outcomes, counts, statistic))
    values = np.stack(columns, axis=1)
    if len(by_subject) == 1:
        return values[:, 0]
    people = _draw(len(by_subject), n_draws, (seed, 2))
    return np.asarray((values * people).sum(axis=1) / len(by_subject), dtype=np.float64)


@lru_cache(maxsize=8)  # every metric of every model asks for the same draws
def _draw(n: int, n_draws: int, seed: tuple[int, ...]) -> NDArray[np.int64]:
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), size=n_draws)
    counts.setflags(write=False)
    return counts


def observed_value(by_subject: Sequence[Outcomes], statistic: Statistic = "mean") -> float:
    """Compute the statistic over each subject's queries, then the mean over subjects.

    Examples
    --------
    >>> observed_value([Outcomes(np.array([1.0, 0.0]), np.array(["a", "b"]))])
    0.5
    """
    reduce = np.mean if statistic == "mean" else np.median
    return float(np.mean([reduce(outcomes.values) for outcomes in by_subject]))


def bootstrap_interval(
    by_subject: Sequence[Outcomes],
    *,
    seed: int,
    n_draws: int = 2000,
    statistic: Statistic = "mean",
    share: bool = False,
    level: float = 0.95,
) -> Interval:
    """Compute a percentile interval for the mean over subjects.

    With two or three subjects the part that comes from people is rough and usually too narrow. A share whose queries
    all scored 0, or all 1, has no bootstrap width; its open end is then the exact binomial bound over the units.

    Parameters
    ----------
    by_subject : sequence of Outcomes
        One entry a subject.
    seed, n_draws, statistic
        See `bootstrap_values`.
    share : bool
        Whether values are shares between 0 and 1.
    level : float
        Coverage aimed at.

    Returns
    -------
    Interval
        Value, low, high; the value is always inside.

    Examples
    --------
    >>> all_right = Outcomes(np.ones(200), np.arange(200))
    >>> [round(end, 3) for end in bootstrap_interval([all_right], seed=0, share=True)]
    [1.0, 0.982, 1.0]
    """
    value = observed_value(by_subject, statistic)
    tail = (1 - level) / 2
    draws = bootstrap_values(by_subject, seed=seed, n_draws=n_draws, statistic=statistic)
    low, high = (float(end) for end in np.quantile(draws, [tail, 1 - tail]))
    everything = np.concatenate([outcomes.values for outcomes in by_subject])
    if share and np.ptp(everything) == 0 and everything[0] in (0.0, 1.0):
        bound = tail ** (1 / min(len(outcomes.names) for outcomes in by_subject))
        low, high = (bound, 1.0) if everything[0] == 1.0 else (0.0, 1 - bound)
    return Interval(value, min(low, value), max(high, value))


class Difference(NamedTuple):
    """A paired difference with its interval and the two-sided p-value of swapping the models."""

    value: float
    low: float
    high: float
    null_95: float
    p_value: float


def paired_difference(
    first: Mapping[str, Outcomes],
    second: Mapping[str, Outcomes],
    *,
    seed: int,
    n_draws: int = 2000,
    statistic: Statistic = "mean",
    level: float = 0.95,
) -> Difference:
    """Compare two models that answered the same queries of the same subjects: first minus second.

    Parameters
    ----------
    first, second : mapping from subject to Outcomes
        The same subjects, units and order of queries in both.
    seed, n_draws, statistic
        See `bootstrap_values`; both models see the same draws.
    level : float
        Coverage of the interval.

    Returns
    -------
    Difference
        The value, its interval, and from swapping the two models unit by unit the 95 % point and the p-value.

    Raises
    ------
    DataError
        If the two do not hold the same queries.

    Examples
    --------
    >>> right, wrong = (Outcomes(np.full(20, value), np.arange(20)) for value in (1.0, 0.0))
    >>> difference = paired_difference({"sub-01": right}, {"sub-01": wrong}, seed=0)
    >>> difference.value, difference.low, difference.p_value < 0.01
    (1.0, 1.0, True)
    """
    if list(first) != list(second):
        raise DataError(f"paired difference: subjects {list(first)} and {list(second)}, expected the same")
    for subject in first:
        if not np.array_equal(first[subject].units, second[subject].units):
            raise DataError(f"paired difference: {subject} has other queries in one model than in the other")
    pairs = [(first[subject], second[subject]) for subject in first]
    draws = [
        bootstrap_values(side, seed=seed, n_draws=n_draws, statistic=statistic) for side in zip(*pairs, strict=True)
    ]
    value = observed_value([a for a, _ in pairs], statistic) - observed_value([b for _, b in pairs], statistic)
    tail = (1 - level) / 2
    low, high = (float(end) for end in np.quantile(draws[0] - draws[1], [tail, 1 - tail]))
    swapped = _swapped_differences(pairs, seed=seed, n_draws=n_draws, statistic=statistic)
    p_value = permutation_p_value(abs(value), np.abs(swapped), lower_is_better=False)
    return Difference(value, min(low, value), max(high, value), float(np.quantile(swapped, 0.95)), p_value)


def _swapped_differences(
    pairs: Sequence[tuple[Outcomes, Outcomes]], *, seed: int, n_draws: int, statistic: Statistic
) -> NDArray[np.float64]:
    """Exchange the two models in whole units, the same units in every subject that met them."""
    names = np.unique(np.concatenate([first.names for first, _ in pairs]))
    swap = np.random.default_rng([seed, 3]).integers(0, 2, size=(n_draws, len(names))).astype(bool)
    reduce = np.mean if statistic == "mean" else np.median
    total = np.zeros(n_draws)
    for first, second in pairs:
        chosen = swap[:, np.searchsorted(names, first.units)]
        mine = np.where(chosen, second.values, first.values)
        other = np.where(chosen, first.values, second.values)
        total += reduce(mine, axis=1) - reduce(other, axis=1)
    return total / len(pairs)


def permutation_p_value(value: float, null: NDArray[np.float64], *, lower_is_better: bool) -> float:
    """Compute the share of the null that does at least as well, the observation itself counted in.

    Examples
    --------
    >>> permutation_p_value(0.9, np.linspace(0, 1, 99), lower_is_better=False)
    0.11
    """
    as_good = null <= value + 1e-12 if lower_is_better else null >= value - 1e-12
    return float((1 + as_good.sum()) / (1 + len(null)))


def null_point(null: NDArray[np.float64], *, lower_is_better: bool) -> float:
    """Find the value that at most 5 % of the null is better than.

    Examples
    --------
    >>> null_point(np.arange(100.0), lower_is_better=False), null_point(np.arange(100.0), lower_is_better=True)
    (95.0, 4.0)
    """
    if lower_is_better:
        return float(np.quantile(null, 0.05, method="lower"))
    return float(np.quantile(null, 0.95, method="higher"))
