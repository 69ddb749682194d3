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
        """Open every finished folder of targets under `folder`, in name order."""
        folders = sorted(path.parent for path in folder.glob("*/space.json")) if folder.is_dir() else []
        if not folders:
            raise DataError(f"{folder}: no folder of targets; make them with `neurodecode embed`")
        return cls({path.name: Targets.open(path) for path in folders})

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
