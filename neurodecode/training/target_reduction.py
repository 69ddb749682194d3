"""What is fitted to targets before training: a centre, a scale, and leading components where they are wanted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError, MismatchError

Vectors = NDArray[np.float32]
TargetForm = Literal["components", "raw", "scaled"]


class TargetMap(Protocol):
    """From targets as they are stored, one flat row a stimulus, to what the encoder predicts, and back."""

    def __call__(self, values: Vectors) -> Vectors:
        """Map rows ``(n, dim)``."""
        ...

    def restore(self, coordinates: Vectors) -> Vectors:
        """Give back rows ``(n, dim)``."""
        ...

    def state(self) -> dict[str, Vectors]:
        """Give all that was fitted, as arrays."""
        ...


@dataclass(frozen=True)
class TargetReduction:
    """Centre a target and keep its leading principal components, as learnt from the training stimuli of a fold.

    Parameters
    ----------
    mean : ndarray of shape (dim,)
        Mean over training stimuli.
    components : ndarray of shape (n_components, dim)
        Orthonormal directions, by falling variance.
    scales : ndarray of shape (n_components,)
        What the coordinates are divided by.

    Examples
    --------
    >>> values = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    >>> reduction = TargetReduction.fit(values, n_components=None, whitening=0.5)
    >>> bool(np.allclose(reduction.restore(reduction(values)), values, atol=1e-4))
    True
    """

    mean: Vectors
    components: Vectors
    scales: Vectors

    @classmethod
    def fit(cls, values: Vectors, *, n_components: int | None, whitening: float = 0.0) -> "TargetReduction":
        """Learn from the training stimuli.

        Parameters
        ----------
        values : ndarray of shape (n_stimuli, dim)
            One row a training stimulus.
        n_components : int or None
            Components kept; None keeps as many as there are dimensions (or stimuli less one).
        whitening : float
            0 divides all components by one number, so that their variances sum to the number of components; 1 divides
            each by its own standard deviation; what is between divides by that to the power ``whitening``.

        Returns
        -------
        TargetReduction
            With a mean square of 1 over training stimuli and components.

        Raises
        ------
        DataError
            If there are fewer than two stimuli, or they do not differ.
        """
        if values.ndim != 2 or len(values) < 2:
            raise DataError(f"target: got training values of shape {values.shape}, expected (at least 2 stimuli, dim)")
        mean = values.mean(axis=0, dtype=np.float64)
        centred = values.astype(np.float64) - mean
        _, singular, directions = np.linalg.svd(centred, full_matrices=False)
        deviations = singular / np.sqrt(len(values) - 1)
        if deviations[0] <= 0:
            raise DataError("target: all training stimuli have the same embedding, expected them to differ")
        count = reduced_size(values.shape[1], len(values), n_components)
        kept = deviations[:count]
        # Directions without variance cannot be divided by their own: they get the smallest one that counts.
        powers = np.maximum(kept, 1e-6 * kept[0]) ** whitening
        scales = powers * np.sqrt(np.mean((kept / powers) ** 2))
        return cls(mean.astype(np.float32), directions[:count].astype(np.float32), scales.astype(np.float32))

    def __call__(self, values: Vectors) -> Vectors:
        """Reduce embeddings ``(n, dim)`` to coordinates ``(n, n_components)``."""
        if values.shape[1:] != self.mean.shape:
            raise MismatchError(f"target: got embeddings of shape {values.shape[1:]}, expected {self.mean.shape}")
        return np.asarray((values - self.mean) @ self.components.T / self.scales, dtype=np.float32)

    def restore(self, coordinates: Vectors) -> Vectors:
        """Give the embeddings ``(n, dim)`` that coordinates ``(n, n_components)`` stand for."""
        return np.asarray(coordinates * self.scales @ self.components + self.mean, dtype=np.float32)

    def state(self) -> dict[str, Vectors]:
        """Give mean, components and scales."""
        return {"mean": self.mean, "components": self.components, "scales": self.scales}


@dataclass(frozen=True)
class TargetScaling:
    """Leave a target's dimensions as they are, but for one centre and one scale of all its numbers.

    Parameters
    ----------
    centre, scale : ndarray of shape (1,)
        What is subtracted from every number, and what it is divided by then.

    Examples
    --------
    >>> scaling = TargetScaling.fit([np.array([[0.0, 2.0], [4.0, 6.0]], dtype=np.float32)])
    >>> float(scaling.centre[0]), round(float(scaling.scale[0]), 3)
    (3.0, 2.236)
    """

    centre: Vectors
    scale: Vectors

    @classmethod
    def fit(cls, chunks: Iterable[Vectors]) -> "TargetScaling":
        """Take mean and deviation of all numbers of the training stimuli, which come a few at a time.

        Raises
        ------
        DataError
            If they do not differ.
        """
        count, total, squares = 0, 0.0, 0.0
        for values in chunks:
            count += values.size
            total += float(values.sum(dtype=np.float64))
            squares += float(np.square(values, dtype=np.float64).sum())
        mean = total / max(count, 1)
        variance = squares / max(count, 1) - mean**2
        if not variance > 1e-12 * max(mean**2, 1e-30):
            raise DataError("target: all numbers of all training stimuli are the same, expected them to differ")
        return cls(np.array([mean], np.float32), np.array([np.sqrt(variance)], np.float32))

    @classmethod
    def identity(cls) -> "TargetScaling":
        """Leave targets as they are."""
        return cls(np.zeros(1, np.float32), np.ones(1, np.float32))

    def __call__(self, values: Vectors) -> Vectors:
        """Scale embeddings of any shape."""
        return np.asarray((values - self.centre) / self.scale, dtype=np.float32)

    def restore(self, coordinates: Vectors) -> Vectors:
        """Give the embeddings that scaled ones stand for."""
        return np.asarray(coordinates * self.scale + self.centre, dtype=np.float32)

    def state(self) -> dict[str, Vectors]:
        """Give centre and scale."""
        return {"centre": self.centre, "scale": self.scale}


def target_map_from_state(state: Mapping[str, Any]) -> TargetMap:
    """Build from what :meth:`TargetMap.state` gave, as tensors.

    Raises
    ------
    KeyError
        If something is missing.
    """
    if "scale" in state:
        return TargetScaling(state["centre"].numpy(), state["scale"].numpy())
    return TargetReduction(*(state[key].numpy() for key in ("mean", "components", "scales")))


def reduced_size(dim: int, n_stimuli: int, n_components: int | None) -> int:
    """Return how many components a target keeps.

    Examples
    --------
    >>> reduced_size(1280, 1100, 200), reduced_size(64, 1100, 200), reduced_size(64, 9, None)
    (200, 64, 8)
    """
    most = min(dim, n_stimuli - 1)
    return most if n_components is None else min(most, n_components)
