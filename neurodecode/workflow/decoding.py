"""What ranking asks of a trained network, whatever it is: vectors for signals."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Sequences:
    """Which trials belong together, such as the words of a sentence.

    Parameters
    ----------
    number, position : ndarray of int, shape (n_trials,)
        The sequence of each trial, and its place there from 0.
    """

    number: NDArray[np.int64]
    position: NDArray[np.int64]


def in_sequences(sequences: Sequences | None) -> dict[str, Any]:
    """Give the arguments of `DecodeTask.decode`.

    Examples
    --------
    >>> in_sequences(None)
    {}
    """
    return {} if sequences is None else {"sequence": sequences.number, "position": sequences.position}


class Decode(Protocol):
    """From a fold, a subject and signals ``(n, n_channels, n_times)`` to predicted vectors of every layer.

    With sequences, a network that lets the trials of a sequence see each other does so; without, each stands alone.
    """

    def __call__(
        self, fold: int, subject: str, signals: NDArray[np.float32], sequences: Sequences | None = None, /
    ) -> Vectors:
        """Decode signals."""
        ...
