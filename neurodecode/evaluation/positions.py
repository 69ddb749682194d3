"""Scores that follow exactly from where the right candidates stand, ties and chance included."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

from neurodecode.core.errors import DataError


@dataclass(frozen=True)
class Ranks:
    """Where the right candidates of each query stand; one row for every pair of a query and a right candidate.

    Parameters
    ----------
    query : NDArray of int, shape (n_pairs,)
        The query of each pair, ascending.
    above : NDArray of int, shape (n_pairs,)
        How many wrong candidates score above the right one.
    tied_wrong : NDArray of int, shape (n_pairs,)
        How many wrong candidates score the same as the right one.
    tied_right : NDArray of int, shape (n_pairs,)
        How many right candidates of the query score the same, itself included.
    n_queries, n_candidates : int
        Sizes of the question.

    Examples
    --------
    >>> none = np.zeros(2, dtype=np.int64)
    >>> Ranks(np.arange(2), np.array([0, 3]), none, none + 1, 2, 10).expected_rank().tolist()
    [1.0, 4.0]
    """

    query: NDArray[np.int64]
    above: NDArray[np.int64]
    tied_wrong: NDArray[np.int64]
    tied_right: NDArray[np.int64]
    n_queries: int
    n_candidates: int

    @property
    def n_right(self) -> NDArray[np.int64]:
        """Count the right candidates of each query."""
        return np.bincount(self.query, minlength=self.n_queries)

    def first(self) -> NDArray[np.int64]:
        """Find the pair that holds the best right candidate of each query, shape (n_queries,)."""
        if len(self.query) == self.n_queries:
            return np.arange(self.n_queries)
        order = np.lexsort((self.tied_wrong, self.above, self.query))
        return order[np.searchsorted(self.query[order], np.arange(self.n_queries))]

    def expected_rank(self) -> NDArray[np.float64]:
        """Compute the position of the first right candidate, averaged over the orders of what is tied.

        Returns
        -------
        NDArray of float64, shape (n_queries,)
            1 is best. A constant predictor with one right candidate gets ``(n_candidates + 1) / 2``.
        """
        best = self.first()
        return self.above[best] + 1 + self.tied_wrong[best] / (self.tied_right[best] + 1)

    def top_k(self, k: int) -> NDArray[np.float64]:
        """Compute the chance that a right candidate is among the first `k`, over the orders of what is tied.

        Returns
        -------
        NDArray of float64, shape (n_queries,)
            0 or 1 where nothing is tied.
        """
        if not 1 <= k < self.n_candidates:
            raise DataError(f"top-k: k is {k}, expected 1 to {self.n_candidates - 1} (below the number of candidates)")
        best = self.first()
        above, wrong, right = self.above[best], self.tied_wrong[best], self.tied_right[best]
        seats = np.clip(k - above, 0, wrong + right)
        miss = np.exp(log_choose(wrong, seats) - log_choose(wrong + right, seats))
        return np.where(seats > 0, 1.0 - miss, 0.0)

    def k_way(self, k: int) -> NDArray[np.float64]:
        """Compute the exact share of games won against ``k - 1`` wrong candidates drawn without replacement.

        Each right candidate plays on its own, and a query's games are averaged; a tie of `n` is won one time in `n`.

        Returns
        -------
        NDArray of float64, shape (n_queries,)
            Between 0 and 1; guessing gives ``1 / k``.
        """
        wrong = self.n_candidates - self.n_right[self.query]
        if k < 2 or (wrong < k - 1).any():
            raise DataError(f"k-way: k is {k}, expected 2 to {int(wrong.min()) + 1} (one right, the others wrong)")
        total = log_choose(wrong, k - 1)
        below = wrong - self.above - self.tied_wrong
        won = np.zeros(len(self.query))
        for tied in range(min(k - 1, int(self.tied_wrong.max())) + 1):
            log_share = log_choose(self.tied_wrong, tied) + log_choose(below, k - 1 - tied) - total
            won += np.exp(log_share) / (tied + 1)
        return np.bincount(self.query, weights=won, minlength=self.n_queries) / self.n_right

    def reciprocal_rank(self) -> NDArray[np.float64]:
        """Compute one over the position of the first right candidate, averaged over the orders of what is tied.

        Returns
        -------
        NDArray of float64, shape (n_queries,)
            Between 0 and 1.
        """
        best = self.first()
        above, wrong, right = self.above[best], self.tied_wrong[best], self.tied_right[best]
        value = 1.0 / (above + 1)
        for index in np.flatnonzero(wrong):
            share = first_position_shares(int(right[index]), int(wrong[index] + right[index]))
            value[index] = (share / (above[index] + np.arange(1, len(share) + 1))).sum()
        return value


def log_choose(n: ArrayLike, k: ArrayLike) -> NDArray[np.float64]:
    """Compute the logarithm of the binomial coefficient of whole numbers, minus infinity where it is zero.

    Examples
    --------
    >>> np.exp(log_choose([4, 2], [2, 3])).round(6).tolist()
    [6.0, 0.0]
    """
    size, drawn = np.broadcast_arrays(np.asarray(n, dtype=np.int64), np.asarray(k, dtype=np.int64))
    possible = (drawn >= 0) & (drawn <= size)
    safe_size, safe = np.where(possible, size, 0), np.where(possible, drawn, 0)
    table = _log_factorials(int(safe_size.max(initial=0)).bit_length())
    value = table[safe_size] - table[safe] - table[safe_size - safe]
    return np.asarray(np.where(possible, value, -np.inf), dtype=np.float64)


@lru_cache(maxsize=32)
def _log_factorials(bits: int) -> NDArray[np.float64]:
    """Compute the logarithms of the factorials of all numbers of so many binary digits, once."""
    return np.asarray(gammaln(np.arange(2**bits) + 1.0))


def first_position_shares(n_right: int, n_total: int) -> NDArray[np.float64]:
    """Compute how often the first right candidate stands at each position when the order is random.

    Returns
    -------
    NDArray of float64, shape (n_total - n_right + 1,)
        The shares of positions 1, 2 and so on; they sum to 1.

    Examples
    --------
    >>> first_position_shares(1, 4).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    position = np.arange(1, n_total - n_right + 2)
    shares = np.exp(log_choose(n_total - position, n_right - 1) - log_choose(n_total, n_right))
    return np.asarray(shares / shares.sum())


def chance_top_k(n_right: ArrayLike, n_candidates: int, k: int) -> NDArray[np.float64]:
    """Compute the chance that guessing puts a right candidate among the first `k`.

    Parameters
    ----------
    n_right : int or array
        Number of right candidates.
    n_candidates, k : int
        Size of the gallery and of the answer.

    Returns
    -------
    NDArray of float64
        Probability, of the shape of `n_right`.

    Examples
    --------
    >>> float(chance_top_k(1, 200, 5))
    0.025
    """
    right = np.asarray(n_right)
    several = 1.0 - np.exp(log_choose(n_candidates - right, k) - log_choose(n_candidates, k))
    return np.asarray(np.where(right == 1, k / n_candidates, several))


def chance_reciprocal_rank(n_right: int, n_candidates: int) -> float:
    """Compute the mean reciprocal rank of guessing.

    Examples
    --------
    >>> chance_reciprocal_rank(1, 2)
    0.75
    """
    shares = first_position_shares(n_right, n_candidates)
    return float((shares / np.arange(1, len(shares) + 1)).sum())


def chance_median_rank(n_right: int, n_candidates: int) -> float:
    """Compute the median position of the first right candidate under guessing.

    Examples
    --------
    >>> chance_median_rank(1, 200), chance_median_rank(1, 9)
    (100.5, 5.0)
    """
    reached = np.cumsum(first_position_shares(n_right, n_candidates))
    lower = int(np.searchsorted(reached, 0.5 - 1e-12)) + 1
    upper = int(np.searchsorted(reached, 0.5 + 1e-12)) + 1
    return (lower + upper) / 2
