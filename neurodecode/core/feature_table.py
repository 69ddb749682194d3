"""Ready vectors of stimuli, made by whoever made the data."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError


@dataclass(frozen=True)
class FeatureTable:
    """One vector a stimulus.

    Parameters
    ----------
    place : str
        Where it comes from, for messages.
    names : tuple of str
        Stimuli, each once.
    vectors : ndarray of float32, shape (n_stimuli, n_numbers)
        Row i belongs to name i.

    Raises
    ------
    DataError
        If shapes disagree, a name repeats, or a number is not finite.

    Examples
    --------
    >>> FeatureTable("here", ("a", "b"), np.eye(2, dtype=np.float32)).of(["b"]).tolist()
    [[0.0, 1.0]]
    """

    place: str
    names: tuple[str, ...]
    vectors: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or 0 in self.vectors.shape:
            raise DataError(f"{self.place}: shape {self.vectors.shape}, expected one row of numbers a stimulus")
        if len(self.names) != len(self.vectors):
            raise DataError(f"{self.place}: {len(self.vectors)} rows, but {len(self.names)} names of stimuli")
        if len(set(self.names)) != len(self.names):
            seen: set[str] = set()
            twice = next(name for name in self.names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
            raise DataError(f"{self.place}: the stimulus {twice!r} has more than one row")
        finite = np.isfinite(self.vectors).all(axis=1)
        if not finite.all():
            raise DataError(f"{self.place}: the row of stimulus {self.names[int(np.argmin(finite))]!r} is not finite")

    @property
    def normalised(self) -> bool:
        """Tell whether every vector has unit length."""
        return bool(np.allclose(np.linalg.norm(self.vectors, axis=1), 1, atol=1e-4))

    def digest(self) -> str:
        """Compute the SHA-256 of names and numbers."""
        digest = hashlib.sha256("\n".join(self.names).encode())
        digest.update(np.ascontiguousarray(self.vectors, dtype="<f4").tobytes())
        return digest.hexdigest()

    def of(self, stimuli: Sequence[str]) -> NDArray[np.float32]:
        """Read the vectors of some stimuli, or raise a DataError that names the first without one."""
        rows = {name: row for row, name in enumerate(self.names)}
        missing = [name for name in stimuli if name not in rows]
        if missing:
            raise DataError(
                f"{self.place}: stimulus {missing[0]!r} has no row ({len(missing)} of {len(stimuli)} stimuli have none)"
                f"{numbering_hint(self.names, stimuli, what='the rows')}"
            )
        return self.vectors[[rows[name] for name in stimuli]]


def numbering_hint(names: Sequence[str], wanted: Sequence[str], *, what: str) -> str:
    """Say so if two lists of names are numbers that would agree if one of them were counted from another start.

    Parameters
    ----------
    names : sequence of str
        What there is.
    wanted : sequence of str
        What is asked for, of which something is missing.
    what : str
        What `names` are names of.

    Returns
    -------
    str
        A part of a message, empty unless all of `wanted` are among `names` after a shift by one.

    Examples
    --------
    >>> numbering_hint(["0", "1"], ["1", "2"], what="the rows")
    '; the rows are numbered from 0, the stimuli from 1: off by one'
    """
    if not all(name.isdigit() for name in (*names, *wanted)):
        return ""
    there, asked = {int(name) for name in names}, {int(name) for name in wanted}
    for shift in (1, -1):
        if {number - shift for number in asked} <= there:
            return f"; {what} are numbered from {min(there)}, the stimuli from {min(asked)}: off by one"
    return ""
