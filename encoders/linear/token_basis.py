"""Coordinates of targets too wide for memory, such as picture tokens: inner products, taken a few stimuli at a time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from neurodecode.core.errors import DataError, MismatchError

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]
Read = Callable[[Sequence[str]], Vectors]

MOST = 1000  # coordinates kept; as many as there are stimuli less one, where those are fewer
BLOCK_BYTES = 64 * 2**20  # of targets read at a time
# Below this share of the largest variance a direction is rounding error of 32-bit products.
NEGLIGIBLE = 1e-7


@dataclass(frozen=True)
class TokenBasis:
    """Principal coordinates of the known stimuli, in which distances between them are those of the whole targets.

    The directions themselves are never formed: they are sums of the known stimuli's targets, which are read again when
    something new is to be placed among them.

    Parameters
    ----------
    read : callable
        Gives a copy of the targets ``(n, *shape)`` of some stimuli, float32.
    names : tuple of str
        The known stimuli: those a model may be fitted to.
    mean : ndarray of shape (dim,)
        Of the known stimuli, flattened.
    own : ndarray of shape (n_known, n_coordinates)
        Coordinates of the known stimuli.
    dual : ndarray of shape (n_known, n_coordinates)
        Weight of each known stimulus in each direction.
    block : int
        Stimuli read at a time.

    Examples
    --------
    >>> tokens = np.random.default_rng(0).normal(size=(6, 3, 4)).astype(np.float32)
    >>> names = [str(number) for number in range(6)]
    >>> basis = TokenBasis.fit(lambda wanted: tokens[[int(name) for name in wanted]], names)
    >>> basis.own.shape
    (6, 5)
    >>> bool(np.allclose(basis.restore(basis.coordinates(tokens)), tokens, atol=1e-4))
    True
    """

    read: Read
    names: tuple[str, ...]
    mean: Vectors
    own: Floats
    dual: Floats
    block: int

    @classmethod
    def fit(cls, read: Read, names: Sequence[str], *, most: int = MOST, block_bytes: int = BLOCK_BYTES) -> "TokenBasis":
        """Learn from the known stimuli.

        Parameters
        ----------
        read, names
            See the class.
        most : int
            Coordinates kept, those of most variance.
        block_bytes : int
            Memory for a block of targets, of which two to three are held at a time.

        Returns
        -------
        TokenBasis
            Beside the blocks, fitting takes two numbers for each pair of known stimuli.

        Raises
        ------
        DataError
            If there are fewer than two stimuli, they do not differ, or a value is not finite.
        """
        if len(names) < 2:
            raise DataError(f"target: got {len(names)} known stimuli, expected at least 2")
        dim = int(read(names[:1]).size)
        block = max(1, block_bytes // (4 * dim))
        total = np.zeros(dim)
        for _, values in _blocks(read, names, block):
            total += values.sum(axis=0, dtype=np.float64)
        mean = (total / len(names)).astype(np.float32)
        products = np.empty((len(names), len(names)))
        for rows, left in _blocks(read, names, block):
            left -= mean
            products[rows, rows] = left @ left.T
            rest = range(rows.stop, len(names))
            for columns, right in _blocks(read, [names[place] for place in rest], block):
                shifted = slice(rows.stop + columns.start, rows.stop + columns.stop)
                right -= mean
                products[rows, shifted] = left @ right.T
                products[shifted, rows] = products[rows, shifted].T
        n_kept = min(most, len(names) - 1)
        variances, directions = scipy.linalg.eigh(
            products, subset_by_index=[len(names) - n_kept, len(names) - 1], overwrite_a=True, check_finite=False
        )
        variances, directions = variances[::-1], directions[:, ::-1]
        if not variances[0] > 0:
            raise DataError("target: all known stimuli have the same embedding, expected them to differ")
        counted = variances > NEGLIGIBLE * variances[0]
        lengths = np.sqrt(variances[counted])
        directions = directions[:, counted]
        return cls(read, tuple(names), mean, directions * lengths, directions / lengths, block)

    def coordinates(self, values: Vectors) -> Vectors:
        """Place targets among the known stimuli.

        Parameters
        ----------
        values : ndarray of shape (n, *shape)
            Of stimuli known or not, or what a network predicted.

        Returns
        -------
        ndarray of float32, shape (n, n_coordinates)
            What no known stimulus has is left out.
        """
        flat = values.reshape(len(values), -1)
        if flat.shape[1] != len(self.mean):
            raise MismatchError(f"target: got values of {flat.shape[1]} numbers, expected {len(self.mean)}")
        products = np.empty((len(flat), len(self.names)))
        centred = flat - self.mean
        for rows, known in _blocks(self.read, self.names, self.block):
            known -= self.mean
            products[:, rows] = centred @ known.T
        return np.asarray(products @ self.dual, dtype=np.float32)

    def of(self, names: Sequence[str]) -> Vectors:
        """Give the coordinates of stimuli, read a block at a time."""
        place = {name: row for row, name in enumerate(self.names)}
        found = np.empty((len(names), self.own.shape[1]), dtype=np.float32)
        new = [row for row, name in enumerate(names) if name not in place]
        for begin in range(0, len(new), self.block):
            rows = new[begin : begin + self.block]
            found[rows] = self.coordinates(self.read([names[row] for row in rows]))
        known = [row for row, name in enumerate(names) if name in place]
        found[known] = self.own[[place[names[row]] for row in known]]
        return found

    def restore(self, coordinates: NDArray[np.floating]) -> Vectors:
        """Give the targets ``(n, *shape)`` that coordinates stand for."""
        weights = np.asarray(coordinates, dtype=np.float64) @ self.dual.T
        shape = self.read(self.names[:1]).shape[1:]
        restored = np.tile(self.mean, (len(weights), 1))
        for rows, known in _blocks(self.read, self.names, self.block):
            known -= self.mean
            restored += weights[:, rows].astype(np.float32) @ known
        return restored.reshape(-1, *shape)


def _blocks(read: Read, names: Sequence[str], block: int) -> Iterator[tuple[slice, Vectors]]:
    """Read flattened targets a block at a time."""
    for begin in range(0, len(names), block):
        values = read(names[begin : begin + block])
        flat = values.reshape(len(values), -1)
        if not np.isfinite(flat).all():
            bad = names[begin + int(np.flatnonzero(~np.isfinite(flat).all(axis=1))[0])]
            raise DataError(f"target of {bad!r}: holds values that are not finite")
        yield slice(begin, begin + len(values)), flat
