"""Transforms fitted on the training windows of a fold, saved with what was trained on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError, DataError

Signals = NDArray[np.float32]


class Transform(Protocol):
    """What every transform offers; `fit` sees training windows only."""

    name: ClassVar[str]

    def fit(self, signals: Signals, stimuli: NDArray[np.str_]) -> Self:
        """Learn from training signals ``(n, n_channels, n_times)`` and their stimuli ``(n,)``."""
        ...

    def __call__(self, signals: Signals) -> Signals:
        """Transform signals ``(n, n_channels, n_times)``."""
        ...

    def state(self) -> dict[str, NDArray[Any]]:
        """Give everything that was learnt or set, as arrays."""
        ...

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[Any]]) -> Self:
        """Build a fitted transform from `state`."""
        ...


def _checked(signals: Signals, expected: int | None, name: str) -> Signals:
    if signals.ndim != 3:
        raise DataError(f"{name}: expected signals (n, n_channels, n_times), got shape {signals.shape}")
    if expected is not None and signals.shape[1] != expected:
        raise DataError(f"{name}: fitted on {expected} channels, got {signals.shape[1]}")
    return signals


@dataclass
class Standardize:
    """Subtract each channel's training mean and divide by its training standard deviation.

    Parameters
    ----------
    per_time : bool
        Whether each time has its own mean and deviation (the usual choice for beta maps is the same thing).
    clamp : float
        Values beyond this many deviations are clipped; 0 means no clipping.
    robust : bool
        Take median and interquartile range / 1.349 instead.

    Examples
    --------
    >>> signals = np.random.default_rng(0).normal(3, 2, (50, 2, 5)).astype(np.float32)
    >>> scaled = Standardize().fit(signals, np.zeros(50, dtype=str))(signals)
    >>> bool(abs(scaled.mean()) < 1e-5)
    True
    """

    name: ClassVar[str] = "standardize"
    per_time: bool = False
    clamp: float = 0.0
    robust: bool = False
    centre: NDArray[np.float32] | None = None
    scale: NDArray[np.float32] | None = None

    def fit(self, signals: Signals, stimuli: NDArray[np.str_]) -> "Standardize":
        """Learn centre and scale; a constant channel is a DataError that names its index."""
        _checked(signals, None, self.name)
        axes: tuple[int, ...] = (0,) if self.per_time else (0, 2)
        if self.robust:
            low, middle, high = np.quantile(signals, [0.25, 0.5, 0.75], axis=axes, keepdims=True)
            centre, scale = middle, (high - low) / 1.349
        else:
            centre = signals.mean(axis=axes, keepdims=True, dtype=np.float64)
            scale = signals.std(axis=axes, keepdims=True, dtype=np.float64)
        if not np.isfinite(centre).all():
            raise DataError(f"{self.name}: the training signals are not finite")
        if (scale <= 0).any():
            channel = int(np.argwhere(scale <= 0)[0][1])
            raise DataError(f"{self.name}: channel {channel} is constant in the training windows")
        self.centre, self.scale = centre[0].astype(np.float32), scale[0].astype(np.float32)
        return self

    def __call__(self, signals: Signals) -> Signals:
        """Apply the learnt centre and scale."""
        if self.centre is None or self.scale is None:
            raise ConfigError(f"{self.name}: not fitted yet")
        scaled = (_checked(signals, len(self.centre), self.name) - self.centre) / self.scale
        return np.clip(scaled, -self.clamp, self.clamp) if self.clamp > 0 else scaled

    def state(self) -> dict[str, NDArray[Any]]:
        """Give settings, centre and scale."""
        if self.centre is None or self.scale is None:
            raise ConfigError(f"{self.name}: not fitted yet")
        return {
            "settings": np.array([self.per_time, self.clamp, self.robust], dtype=np.float64),
            "centre": self.centre,
            "scale": self.scale,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[Any]]) -> "Standardize":
        """Build from `state`."""
        per_time, clamp, robust = state["settings"]
        return cls(bool(per_time), float(clamp), bool(robust), state["centre"], state["scale"])


@dataclass
class NoiseWhitener:
    """Multivariate noise normalisation: make the noise between repetitions white over channels.

    The covariance of the residuals around each stimulus' mean, over training windows, is shrunk (Ledoit and Wolf) and
    its inverse square root multiplies the channels [1]_.

    Parameters
    ----------
    shrinkage : float
        0 to 1, or -1 for the analytic choice of Ledoit and Wolf.
    filters : ndarray of shape (n_channels, n_channels), optional
        The fitted matrix.

    References
    ----------
    .. [1] Guggenmos, Sterzer, Cichy (2018), doi:10.1016/j.neuroimage.2018.02.044.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> signals = (rng.normal(size=(200, 2, 4)) * np.array([[1.0], [5.0]])).astype(np.float32)
    >>> white = NoiseWhitener().fit(signals, np.repeat(np.arange(50), 4).astype(str))(signals)
    >>> bool(abs(white[:, 0].std() / white[:, 1].std() - 1) < 0.1)
    True
    """

    name: ClassVar[str] = "noise_whitener"
    shrinkage: float = -1.0
    filters: NDArray[np.float32] | None = None

    def fit(self, signals: Signals, stimuli: NDArray[np.str_]) -> "NoiseWhitener":
        """Learn from training windows; stimuli without a repetition do not count."""
        from sklearn.covariance import ledoit_wolf

        _checked(signals, None, self.name)
        names, inverse, counts = np.unique(stimuli, return_inverse=True, return_counts=True)
        repeated = counts[inverse] > 1
        if not repeated.any():
            raise DataError(f"{self.name}: no stimulus is repeated in the training windows ({len(names)} stimuli)")
        order = np.argsort(inverse[repeated], kind="stable")
        values = signals[repeated][order].astype(np.float64)
        kept = counts[counts > 1]
        edges = np.concatenate([[0], np.cumsum(kept)[:-1]])
        means = np.add.reduceat(values, edges, axis=0) / kept[:, None, None]
        residuals = values - np.repeat(means, kept, axis=0)
        residuals *= np.repeat(np.sqrt(kept / (kept - 1)), kept)[:, None, None]
        samples = residuals.transpose(0, 2, 1).reshape(-1, signals.shape[1])
        if self.shrinkage < 0:
            covariance, _ = ledoit_wolf(samples, assume_centered=True)
        else:
            empirical = samples.T @ samples / len(samples)
            target = np.trace(empirical) / len(empirical) * np.eye(len(empirical))
            covariance = (1 - self.shrinkage) * empirical + self.shrinkage * target
        values_of, vectors = np.linalg.eigh(covariance)
        # An average reference leaves one direction without variance; it is dropped rather than blown up.
        safe = values_of > values_of[-1] * 1e-10
        inverse_root = np.where(safe, 1 / np.sqrt(np.where(safe, values_of, 1.0)), 0.0)
        self.filters = ((vectors * inverse_root) @ vectors.T).astype(np.float32)
        return self

    def __call__(self, signals: Signals) -> Signals:
        """Multiply the channels by the fitted matrix."""
        if self.filters is None:
            raise ConfigError(f"{self.name}: not fitted yet")
        _checked(signals, len(self.filters), self.name)
        whitened: Signals = np.matmul(self.filters, signals)
        return whitened

    def state(self) -> dict[str, NDArray[Any]]:
        """Give setting and matrix."""
        if self.filters is None:
            raise ConfigError(f"{self.name}: not fitted yet")
        return {"settings": np.array([self.shrinkage]), "filters": self.filters}

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[Any]]) -> "NoiseWhitener":
        """Build from `state`."""
        return cls(float(state["settings"][0]), state["filters"])


@dataclass
class SelectChannels:
    """Keep a fixed subset of channels, by position.

    Parameters
    ----------
    channels : ndarray of int
        Positions kept.
    total : int
        Number of channels expected at the input.
    """

    name: ClassVar[str] = "select_channels"
    channels: NDArray[np.int64]
    total: int

    def fit(self, signals: Signals, stimuli: NDArray[np.str_]) -> "SelectChannels":
        """Learn nothing, but check the number of channels."""
        _checked(signals, self.total, self.name)
        return self

    def __call__(self, signals: Signals) -> Signals:
        """Keep the channels."""
        return _checked(signals, self.total, self.name)[:, self.channels]

    def state(self) -> dict[str, NDArray[Any]]:
        """Give the positions and the expected number."""
        return {"channels": self.channels, "total": np.array(self.total)}

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[Any]]) -> "SelectChannels":
        """Build from `state`."""
        return cls(state["channels"].astype(np.int64), int(state["total"]))


TRANSFORMS: dict[str, type[Standardize] | type[NoiseWhitener] | type[SelectChannels]] = {
    kind.name: kind for kind in (Standardize, NoiseWhitener, SelectChannels)
}


class TransformChain:
    """Several transforms, one after the other; each is fitted on the output of those before it.

    Parameters
    ----------
    transforms : sequence of Transform
        In order of application.

    Examples
    --------
    >>> signals = np.random.default_rng(0).normal(size=(8, 2, 5)).astype(np.float32)
    >>> chain = TransformChain([Standardize()]).fit(signals, np.arange(8).astype(str))
    >>> again = TransformChain.from_state(chain.state())
    >>> bool((again(signals) == chain(signals)).all())
    True
    """

    name: ClassVar[str] = "chain"

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = list(transforms)

    def fit(self, signals: Signals, stimuli: NDArray[np.str_]) -> "TransformChain":
        """Fit each on what the ones before it give."""
        for transform in self.transforms:
            signals = transform.fit(signals, stimuli)(signals)
        return self

    def __call__(self, signals: Signals) -> Signals:
        """Apply all."""
        for transform in self.transforms:
            signals = transform(signals)
        return np.ascontiguousarray(signals, dtype=np.float32)

    def state(self) -> dict[str, NDArray[Any]]:
        """Give everything as a flat dictionary of arrays, keys ``0:standardize:centre`` and so on."""
        return {
            f"{position}:{transform.name}:{key}": value
            for position, transform in enumerate(self.transforms)
            for key, value in transform.state().items()
        }

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[Any]]) -> "TransformChain":
        """Build from `state`; an unknown transform is a DataError."""
        parts: dict[int, tuple[str, dict[str, NDArray[Any]]]] = {}
        for key, value in state.items():
            position, name, field = key.split(":", 2)
            if name not in TRANSFORMS:
                raise DataError(f"transforms: {name!r} is not one of {', '.join(TRANSFORMS)}")
            parts.setdefault(int(position), (name, {}))[1][field] = value
        return cls([TRANSFORMS[name].from_state(fields) for _, (name, fields) in sorted(parts.items())])
