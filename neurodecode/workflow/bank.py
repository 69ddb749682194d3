"""The bank of targets that all models of a run share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.files import fingerprint
from neurodecode.core.targets import Targets, TargetSpace
from neurodecode.training.targets_extraction import listed_layers


def layer_names(folder: Path) -> list[str]:
    """List the finished layers in a folder of targets, in the order that `TargetBank.open` gives them.

    Raises
    ------
    DataError
        If there is none.
    """
    found = {path.parent.name for path in folder.glob("*/space.json")} if folder.is_dir() else set()
    if not found:
        raise DataError(f"{folder}: no folder of targets; make them with `neurodecode embed`")
    listed = [name for name in listed_layers(folder) if name in found]
    return [*listed, *sorted(found - set(listed))]


@dataclass(frozen=True)
class TargetBank:
    """Several layers' embeddings of the same stimuli.

    Parameters
    ----------
    layers : mapping of str to Targets
        Vectors of each layer, named by the user or by the layer.
    """

    layers: Mapping[str, Targets]

    def __post_init__(self) -> None:
        if not self.layers:
            raise DataError("targets: the bank has no layer")
        for name, targets in self.layers.items():
            if targets.space.kind != "vector":
                raise DataError(f"targets {name!r}: kind {targets.space.kind!r}, a bank needs vectors")

    @classmethod
    def open(cls, folder: Path) -> "TargetBank":
        """Open every finished folder of targets under `folder`.

        Parameters
        ----------
        folder : Path
            One subfolder a layer.

        Returns
        -------
        TargetBank
            Layers in the order of depth that ``encoder.json`` lists; those it does not list follow by name.
        """
        return cls({name: Targets.open(folder / name) for name in layer_names(folder)})

    def rows(self, stimuli: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Read all layers for some stimuli: ``(n_stimuli, dim)`` each."""
        return {name: targets.get(stimuli) for name, targets in self.layers.items()}

    def spaces(self) -> dict[str, TargetSpace]:
        """List the spaces by layer."""
        return {name: targets.space for name, targets in self.layers.items()}

    def describe(self) -> dict[str, Any]:
        """Give plain values for results and checkpoints."""
        spaces = {name: space.to_dict() for name, space in self.spaces().items()}
        return {"digest": fingerprint(spaces), "layers": spaces}
