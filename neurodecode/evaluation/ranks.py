"""Ranking of right candidates, tile by tile, so that no gallery is too large."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurodecode.core.errors import DataError
from neurodecode.evaluation.positions import Ranks

Similarity = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[Any]]
Columns = slice | NDArray[np.int64]
Block = Callable[[slice, Columns], NDArray[Any]]


def label_codes(queries: Sequence[Any], candidates: Sequence[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give each label a number, so that a candidate is right for a query where the numbers agree.

    Parameters
    ----------
    queries, candidates : sequence
        Labels, such as stimulus names.

    Returns
    -------
    tuple of NDArray of int64
        Codes of queries and of candidates; candidates count from 0 in the order they first appear.

    Raises
    ------
    DataError
        If a query has no right candidate, or there are fewer than two candidates.

    Examples
    --------
    >>> [codes.tolist() for codes in label_codes(["b", "a"], ["a", "b", "b"])]
    [[1, 0], [0, 1, 1]]
    """
    codes: dict[Any, int] = {}
    coded = np.array([codes.setdefault(label, len(codes)) for label in candidates], dtype=np.int64)
    missing = [label for label in queries if label not in codes]
    if missing:
        raise DataError(f"query labels: {missing[0]!r} is not among the candidate labels")
    if len(coded) < 2 or len(queries) < 1:
        raise DataError(f"ranking: got {len(queries)} queries and {len(coded)} candidates, expected at least 1 and 2")
    return np.array([codes[label] for label in queries], dtype=np.int64), coded


def ranks_from_scores(
    scores: ArrayLike, query_labels: Sequence[Any], candidate_labels: Sequence[Any], *, tolerance: float = 0.0
) -> Ranks:
    """Rank the right candidates of each query in a matrix of scores.

    Parameters
    ----------
    scores : array, shape (n_queries, n_candidates)
        Larger is better. Only comparisons within a row matter.
    query_labels, candidate_labels : sequence
        A candidate is right for a query where the labels are equal; there may be several.
    tolerance : float
        Scores that differ by no more than this are tied.

    Returns
    -------
    Ranks
        Counts from which every rank score follows.

    Raises
    ------
    DataError
        If sizes do not fit, a score is not finite or a query has no right candidate.

    Examples
    --------
    >>> ranks_from_scores([[1.0, 1.0, 1.0]], ["a"], ["a", "b", "c"]).expected_rank().tolist()
    [2.0]
    """
    matrix = np.asarray(scores)
    if matrix.shape != (len(query_labels), len(candidate_labels)):
        raise DataError(f"scores: shape {matrix.shape}, expected {(len(query_labels), len(candidate_labels))}")
    matrix = matrix if matrix.dtype.kind == "f" else matrix.astype(np.float64)
    return _rank(lambda rows, columns: matrix[rows][:, columns], query_labels, candidate_labels, tolerance, 1024, 8192)


def ranks(
    queries: NDArray[Any],
    gallery: NDArray[Any],
    query_labels: Sequence[Any],
    candidate_labels: Sequence[Any],
    *,
    similarity: str | Similarity = "cosine",
    tolerance: float | None = None,
    query_tile: int = 1024,
    gallery_tile: int = 8192,
) -> Ranks:
    """Rank the right candidates of each query without ever holding the whole matrix of scores.

    Parameters
    ----------
    queries, gallery : NDArray, shapes (n_queries, dim) and (n_candidates, dim)
        Vectors, memory maps included; a tile at a time is read and made float32.
    query_labels, candidate_labels : sequence
        A candidate is right for a query where the labels are equal; there may be several.
    similarity : str or callable
        ``cosine``, ``correlation``, ``dot``, ``euclidean``, or a function of two float32 tiles that gives the scores
        ``(n_query_tile, n_gallery_tile)``, larger is better.
    tolerance : float, optional
        Scores that differ by no more than this are tied. The default covers the rounding of float32 for the named
        similarities (a millionth of the largest score possible) and is 0 for a callable.
    query_tile, gallery_tile : int
        Tile sizes. Beside the inputs, about 9 bytes for each cell of a tile are held.

    Returns
    -------
    Ranks
        Counts from which every rank score follows.

    Raises
    ------
    DataError
        If sizes do not fit, a score is not finite or a query has no right candidate.

    Examples
    --------
    >>> vectors = np.eye(3)
    >>> ranks(vectors, vectors, "abc", "abc").top_k(1).tolist()
    [1.0, 1.0, 1.0]
    """
    if queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1]:
        raise DataError(f"ranks: queries {queries.shape} and gallery {gallery.shape}, expected (n, dim) with one dim")
    counted = (len(query_labels), len(candidate_labels))
    if (len(queries), len(gallery)) != counted:
        raise DataError(f"ranks: {counted} labels for {len(queries)} queries and {len(gallery)} candidates")
    if callable(similarity):
        compare, slack = similarity, 0.0
    else:
        compare, slack = _named(similarity), _rounding(similarity, queries, gallery)

    def block(rows: slice, columns: Columns) -> NDArray[Any]:
        first = np.asarray(queries[rows], dtype=np.float32)
        second = np.asarray(gallery[columns], dtype=np.float32)
        scores = compare(first, second)
        if scores.shape != (len(first), len(second)):
            raise DataError(f"similarity: gave shape {scores.shape}, expected {(len(first), len(second))}")
        return scores

    tolerance = slack if tolerance is None else tolerance
    return _rank(block, query_labels, candidate_labels, tolerance, query_tile, gallery_tile)


def _rank(
    block: Block,
    query_labels: Sequence[Any],
    candidate_labels: Sequence[Any],
    tolerance: float,
    query_tile: int,
    gallery_tile: int,
) -> Ranks:
    wanted, offered = label_codes(query_labels, candidate_labels)
    by_label = np.argsort(offered, kind="stable")
    starts = np.searchsorted(offered[by_label], np.arange(offered.max() + 2))
    parts = []
    for start in range(0, len(wanted), query_tile):
        rows = slice(start, min(start + query_tile, len(wanted)))
        codes = wanted[rows]
        lengths = starts[codes + 1] - starts[codes]
        row = np.repeat(np.arange(len(codes)), lengths)
        offset = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        column = by_label[starts[codes][row] + offset]
        own = _own_scores(block, rows, row, column, gallery_tile)
        above, tied_wrong = _count(block, rows, row, column, own, len(offered), tolerance, gallery_tile)
        parts.append((row + start, above, tied_wrong, _tied_right(row, own, tolerance)))
    query, above, tied_wrong, tied_right = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Ranks(query, above, tied_wrong, tied_right, len(wanted), len(offered))


def _own_scores(
    block: Block, rows: slice, row: NDArray[np.int64], column: NDArray[np.int64], gallery_tile: int
) -> NDArray[np.float64]:
    """Look up the score of each pair of a query and a right candidate."""
    needed, place = np.unique(column, return_inverse=True)
    own = np.empty(len(row), dtype=np.float64)
    for start in range(0, len(needed), gallery_tile):
        scores = _finite(block(rows, needed[start : start + gallery_tile]))
        inside = (place >= start) & (place < start + gallery_tile)
        own[inside] = scores[row[inside], place[inside] - start]
    return own


def _tied_right(row: NDArray[np.int64], own: NDArray[np.float64], tolerance: float) -> NDArray[np.int64]:
    first, last = np.searchsorted(row, row, side="left"), np.searchsorted(row, row, side="right")
    if (last - first == 1).all():
        return np.ones(len(row), dtype=np.int64)
    near = [np.sum(np.abs(own[a:b] - o) <= tolerance) for a, b, o in zip(first, last, own, strict=True)]
    return np.array(near, dtype=np.int64)


def _count(
    block: Block,
    rows: slice,
    row: NDArray[np.int64],
    column: NDArray[np.int64],
    own: NDArray[np.float64],
    n_candidates: int,
    tolerance: float,
    gallery_tile: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count, for each pair, the wrong candidates that score above the right one, and the same."""
    above, reached = np.zeros(len(row), dtype=np.int64), np.zeros(len(row), dtype=np.int64)
    n_rows = rows.stop - rows.start
    for start in range(0, n_candidates, gallery_tile):
        scores = _finite(block(rows, slice(start, start + gallery_tile)))
        if not (scores.flags.owndata and scores.flags.writeable):
            scores = scores.copy()  # it may be a view of the caller's matrix
        inside = (column >= start) & (column < start + gallery_tile)
        scores[row[inside], column[inside] - start] = -np.inf  # right candidates never count against each other
        for first in range(0, len(row), n_rows):  # a query with several right ones is compared several times
            pairs = slice(first, first + n_rows)
            lines = scores if np.array_equal(row[pairs], np.arange(n_rows)) else scores[row[pairs]]
            above[pairs] += np.count_nonzero(lines > (own[pairs] + tolerance).astype(lines.dtype)[:, None], axis=1)
            reached[pairs] += np.count_nonzero(lines >= (own[pairs] - tolerance).astype(lines.dtype)[:, None], axis=1)
    return above, reached - above


def _finite(scores: NDArray[Any]) -> NDArray[Any]:
    if not (np.isfinite(scores.max()) and np.isfinite(scores.min())):  # cheaper than a look at every score
        raise DataError("ranking: a score is not finite; check the vectors for NaN and infinity")
    return scores


def _unit(vectors: NDArray[np.float32], *, centred: bool) -> NDArray[np.float32]:
    moved = vectors - vectors.mean(axis=1, keepdims=True) if centred else vectors
    norms = np.linalg.norm(moved, axis=1, keepdims=True)
    norms[norms == 0] = 1.0  # a zero vector is equally far from everything: all tied
    return np.asarray(moved / norms)


def _cosine(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    return _unit(first, centred=False) @ _unit(second, centred=False).T


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    return _unit(first, centred=True) @ _unit(second, centred=True).T


def _dot(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    return first @ second.T


def _euclidean(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute minus half the squared distance, without the query's own norm, which its whole row shares."""
    products = first @ second.T
    products -= np.float32(0.5) * np.einsum("ij,ij->i", second, second)
    return products


def _named(similarity: str) -> Similarity:
    known = {"cosine": _cosine, "correlation": _correlation, "dot": _dot, "euclidean": _euclidean}
    if similarity not in known:
        raise DataError(f"similarity: got {similarity!r}, expected one of {', '.join(known)} or a function")
    return known[similarity]


def _rounding(similarity: str, queries: NDArray[Any], gallery: NDArray[Any]) -> float:
    """Bound the rounding of float32 scores, so that equal candidates tie whatever tile they stand in."""
    if similarity in ("cosine", "correlation"):
        return 1e-6
    asked, offered = _longest(queries), _longest(gallery)
    return 1e-6 * max(asked * offered, offered**2 if similarity == "euclidean" else 0.0)


def _longest(vectors: NDArray[Any]) -> float:
    tiles = (vectors[start : start + 8192] for start in range(0, len(vectors), 8192))
    return max(float(np.linalg.norm(np.asarray(tile, dtype=np.float32), axis=1).max()) for tile in tiles)
