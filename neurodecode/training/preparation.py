"""All that is fitted before training: the transforms of every subject and the reduction of every target."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurodecode.core.errors import ConfigError, DataError, LeakageError, MismatchError, suggestion
from neurodecode.core.sensors import Sensors
from neurodecode.core.targets import TargetSpace
from neurodecode.core.transforms import TRANSFORMS, SelectChannels, Transform, TransformChain
from neurodecode.encoders.brain.layouts import SensorLayout, SubjectSensors
from neurodecode.training.target_reduction import TargetMap, target_map_from_state


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
            raise ConfigError(
                f"transforms: got {name!r}, expected one of {', '.join(TRANSFORMS)}{suggestion(name, TRANSFORMS)}"
            )
        known_settings = list(inspect.signature(TRANSFORMS[name]).parameters)
        for setting in settings:
            if setting not in known_settings:
                raise ConfigError(
                    f"transforms: {name}: unknown setting {setting!r}{suggestion(setting, known_settings)}"
                )
        try:
            transforms.append(TRANSFORMS[name](**settings))
        except TypeError as error:
            raise ConfigError(f"transforms: {name}: {error}") from None
    return TransformChain(transforms)


def transformed_sensors(chain: TransformChain, sensors: Sensors) -> Sensors:
    """Return the sensors that a chain of transforms leaves.

    Examples
    --------
    >>> sensors = Sensors(names=("Oz", "Pz"), kinds=("eeg", "eeg"), sfreq=10.0, tmin=0.0, unit="V")
    >>> transformed_sensors(TransformChain([SelectChannels(np.array([1]), 2)]), sensors).names
    ('Pz',)
    """
    for transform in chain.transforms:
        if isinstance(transform, SelectChannels):
            sensors = sensors.pick([sensors.names[channel] for channel in transform.channels])
    return sensors


def subject_sensors(interface: Mapping[str, Any]) -> SubjectSensors:
    """Return every subject's number of channels and layout, as encoders are built from them.

    Parameters
    ----------
    interface : mapping
        What a data module says of its data. Where it comes from an older checkpoint without layouts, positions and
        voxels count as unknown.

    Examples
    --------
    >>> dict(subject_sensors({"subjects": {"sub-01": {"n_channels": 2, "sfreq": 10.0}}}))
    {'sub-01': 2}
    """
    layouts = {}
    for subject, entry in interface["subjects"].items():
        unnamed = {"channels": [str(number) for number in range(int(entry["n_channels"]))], "sfreq": entry["sfreq"]}
        layouts[subject] = SensorLayout.from_plain(entry.get("sensors", unnamed))
    return SubjectSensors(layouts)


@dataclass
class Preparation:
    """The fitted state that goes with a trained encoder.

    Parameters
    ----------
    interface : dict
        What the encoder was built for, in plain values; see :func:`require_same_interface`.
    transforms : dict of str to TransformChain
        By subject.
    reductions : dict of str to TargetMap
        By target.
    """

    interface: dict[str, Any]
    transforms: dict[str, TransformChain] = field(default_factory=dict)
    reductions: dict[str, TargetMap] = field(default_factory=dict)

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
                name: {key: to_tensor(value) for key, value in reduction.state().items()}
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
            reductions = {name: target_map_from_state(parts) for name, parts in state["reductions"].items()}
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
            names = [list(side.get("channels", [])) for side in (there, here)]
            other = next((pair for pair in zip(*names, strict=False) if pair[0] != pair[1]), None)
            telling = f": {other[0]} there stands where {other[1]} stands in the data" if other else ""
            raise MismatchError(
                f"{what}: {subject} has {there['n_channels']} channels of layout {there['layout']} there, "
                f"but {here['n_channels']} of layout {here['layout']} in the data{telling}"
            )
        if "sensors" in there and "sensors" in here:
            if not SensorLayout.from_plain(there["sensors"]).agrees(SensorLayout.from_plain(here["sensors"])):
                raise MismatchError(
                    f"{what}: the channels of {subject} lie elsewhere there than in the data, expected the same "
                    "positions and voxels"
                )
    if saved.get("n_times") != found.get("n_times"):
        raise MismatchError(
            f"{what}: windows have {saved.get('n_times')} time points there, but {found.get('n_times')} in the data"
        )
    for target, there, here in _pairs(saved, found, "targets", what):
        TargetSpace.from_dict(there["space"]).require(
            TargetSpace.from_dict(here["space"]), what=f"{what}: target {target!r}"
        )
        for key, default in (("size", None), ("form", "components")):
            if there.get(key, default) != here.get(key, default):
                raise MismatchError(
                    f"{what}: target {target!r} has {key} {there.get(key, default)} there, "
                    f"but {here.get(key, default)} in the data"
                )
    first, second = saved.get("transforms"), found.get("transforms")
    if first is not None and second is not None and first != second:
        raise MismatchError(f"{what}: was trained with the transforms {first}, but the data has {second}")
    then, now = (list(side.get("session_scaling", ["none", 0.0])) for side in (saved, found))
    if then != now:
        raise MismatchError(f"{what}: session scaling {then[0]} (clamp {then[1]:g}) there, but {now[0]} here")
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
