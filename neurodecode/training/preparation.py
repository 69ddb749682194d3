"""All that is fitted before training: the transforms of every subject and the reduction of every target."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurodecode.core.errors import ConfigError, DataError, LeakageError, MismatchError
from neurodecode.core.sensors import Sensors
from neurodecode.core.targets import TargetSpace
from neurodecode.core.transforms import TRANSFORMS, SelectChannels, Transform, TransformChain

Vectors = NDArray[np.float32]


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


def reduced_size(dim: int, n_stimuli: int, n_components: int | None) -> int:
    """Return how many components a target keeps.

    Examples
    --------
    >>> reduced_size(1280, 1100, 200), reduced_size(64, 1100, 200), reduced_size(64, 9, None)
    (200, 64, 8)
    """
    most = min(dim, n_stimuli - 1)
    return most if n_components is None else min(most, n_components)


def build_transforms(specifications: list[dict[str, Any]], sensors: Sensors) -> TransformChain:
    """Build transforms, not fitted yet, from their names and settings.

    Parameters
    ----------
    specifications : list of dict
        Each has ``name`` and the settings of that transform; ``select_channels`` takes ``region``, a region of the
        sensors.
    sensors : Sensors
        Sensors of the subject.

    Raises
    ------
    ConfigError
        For an unknown name, setting or region.

    Examples
    --------
    >>> sensors = Sensors(names=("Oz",), kinds=("eeg",), sfreq=10.0, tmin=0.0, unit="V")
    >>> build_transforms([{"name": "standardize", "robust": True}], sensors).transforms[0].name
    'standardize'
    """
    transforms: list[Transform] = []
    for specification in specifications:
        settings = dict(specification)
        name = str(settings.pop("name", ""))
        if name == "select_channels":
            region = settings.pop("region", None)
            if region not in sensors.regions:
                known = ", ".join(sensors.regions) or "none"
                raise ConfigError(f"transforms: got region {region!r}, expected one the sensors have ({known})")
            settings = {**settings, "channels": np.flatnonzero(sensors.regions[region]), "total": len(sensors)}
        if name not in TRANSFORMS:
            raise ConfigError(f"transforms: got {name!r}, expected one of {', '.join(TRANSFORMS)}")
        try:
            transforms.append(TRANSFORMS[name](**settings))
        except TypeError as error:
            raise ConfigError(f"transforms: {name}: {error}") from None
    return TransformChain(transforms)


def transformed_channels(chain: TransformChain, n_channels: int) -> int:
    """Return how many channels a chain of transforms leaves.

    Examples
    --------
    >>> transformed_channels(TransformChain([SelectChannels(np.array([0, 2]), 3)]), 3)
    2
    """
    for transform in chain.transforms:
        if isinstance(transform, SelectChannels):
            n_channels = len(transform.channels)
    return n_channels


@dataclass
class Preparation:
    """The fitted state that goes with a trained encoder.

    Parameters
    ----------
    interface : dict
        What the encoder was built for, in plain values; see :func:`require_same_interface`.
    transforms : dict of str to TransformChain
        By subject.
    reductions : dict of str to TargetReduction
        By target.
    """

    interface: dict[str, Any]
    transforms: dict[str, TransformChain] = field(default_factory=dict)
    reductions: dict[str, TargetReduction] = field(default_factory=dict)

    def apply(self, subject: str, signals: NDArray[np.float32]) -> NDArray[np.float32]:
        """Transform signals ``(n, n_channels, n_times)`` of a subject as in training.

        Raises
        ------
        MismatchError
            If the subject is not one of the training's.
        """
        if subject not in self.transforms:
            raise MismatchError(f"subject: got {subject!r}, expected one of {', '.join(sorted(self.transforms))}")
        return self.transforms[subject](signals)

    def space(self, target: str) -> TargetSpace:
        """Return the space of a target."""
        return TargetSpace.from_dict(self.interface["targets"][target]["space"])

    def state(self) -> dict[str, Any]:
        """Return plain values and tensors, which a checkpoint holds without pickled classes."""
        return {
            "interface": self.interface,
            "transforms": {
                subject: {key: to_tensor(value) for key, value in chain.state().items()}
                for subject, chain in self.transforms.items()
            },
            "reductions": {
                name: {
                    "mean": to_tensor(reduction.mean),
                    "components": to_tensor(reduction.components),
                    "scales": to_tensor(reduction.scales),
                }
                for name, reduction in self.reductions.items()
            },
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Preparation":
        """Build from :meth:`state`.

        Raises
        ------
        DataError
            If something is missing.
        """
        try:
            transforms = {
                subject: TransformChain.from_state({key: value.numpy() for key, value in chain.items()})
                for subject, chain in state["transforms"].items()
            }
            reductions = {
                name: TargetReduction(*(parts[key].numpy() for key in ("mean", "components", "scales")))
                for name, parts in state["reductions"].items()
            }
            return cls(dict(state["interface"]), transforms, reductions)
        except (KeyError, AttributeError, TypeError) as error:
            raise DataError(f"checkpoint: the fitted transforms are not readable ({error!r})") from None


def to_tensor(array: NDArray[Any]) -> Tensor:
    """Return a tensor that owns its memory.

    Examples
    --------
    >>> to_tensor(np.zeros(2, dtype=np.float32))
    tensor([0., 0.])
    """
    return torch.from_numpy(np.array(array))


def require_same_interface(saved: Mapping[str, Any], found: Mapping[str, Any], *, what: str) -> None:
    """Refuse to join a checkpoint with data it was not made for.

    Parameters
    ----------
    saved : mapping
        Interface in the checkpoint.
    found : mapping
        Interface of the data.
    what : str
        Name of the checkpoint in messages.

    Raises
    ------
    MismatchError
        If subjects, channels, times or target spaces differ.
    LeakageError
        If the split or the fold differs: what is a test window here may have been a training window there.

    Examples
    --------
    >>> require_same_interface({"n_times": 40}, {"n_times": 40}, what="last.ckpt")
    """
    for subject, there, here in _pairs(saved, found, "subjects", what):
        if there["layout"] != here["layout"] or there["n_channels"] != here["n_channels"]:
            raise MismatchError(
                f"{what}: {subject} has {there['n_channels']} channels of layout {there['layout']} there, "
                f"but {here['n_channels']} of layout {here['layout']} in the data"
            )
    if saved.get("n_times") != found.get("n_times"):
        raise MismatchError(
            f"{what}: windows have {saved.get('n_times')} time points there, but {found.get('n_times')} in the data"
        )
    for target, there, here in _pairs(saved, found, "targets", what):
        TargetSpace.from_dict(there["space"]).require(
            TargetSpace.from_dict(here["space"]), what=f"{what}: target {target!r}"
        )
        if there["size"] != here["size"]:
            raise MismatchError(
                f"{what}: target {target!r} has {there['size']} components there, but {here['size']} in the data"
            )
    there, here = (list(side.get("session_scaling", ["none", 0.0])) for side in (saved, found))
    if there != here:
        raise MismatchError(f"{what}: session scaling {there[0]} (clamp {there[1]:g}) there, but {here[0]} here")
    for key in ("split", "fold"):
        if saved.get(key) != found.get(key):
            raise LeakageError(
                f"{what}: was trained with {key} {saved.get(key)}, but the data has {found.get(key)}; "
                "its test windows may have been trained on"
            )


def _pairs(
    saved: Mapping[str, Any], found: Mapping[str, Any], key: str, what: str
) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Return name and both sides of every entry, or say which names differ."""
    there, here = saved.get(key, {}), found.get(key, {})
    if list(there) != list(here):
        raise MismatchError(f"{what}: has the {key} {', '.join(there)}, but the data has {', '.join(here)}")
    return [(name, there[name], here[name]) for name in there]
