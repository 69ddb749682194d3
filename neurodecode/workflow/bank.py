"""The bank of targets that all models of a run share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.files import fingerprint
from neurodecode.core.targets import Targets, TargetSpace
from neurodecode.encoders.linear.token_basis import TokenBasis
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
        Vectors or tokens of each layer, named by the user or by the layer.
    """

    layers: Mapping[str, Targets]
    _bases: dict[tuple[str, tuple[str, ...]], TokenBasis] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if not self.layers:
            raise DataError("targets: the bank has no layer")
        for name, targets in self.layers.items():
            if targets.space.kind == "series":
                raise DataError(f"targets {name!r}: kind {targets.space.kind!r}, a bank needs vectors or tokens")

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

    def rows(self, stimuli: Sequence[str], layers: Sequence[str] | None = None) -> dict[str, NDArray[np.float32]]:
        """Read layers for some stimuli, all by default: ``(n_stimuli, dim)`` each, or tokens as they are stored."""
        return {name: self.layers[name].get(stimuli) for name in layers or self.layers}

    def fold(self, known: Sequence[str]) -> "FoldBank":
        """See the bank as the models of a fold do, which may know some stimuli and no others.

        Parameters
        ----------
        known : sequence of str
            Stimuli of training and validation.

        Returns
        -------
        FoldBank
            Layers of tokens are placed among the known stimuli, once for the same ones.
        """
        names = tuple(known)
        wide = [name for name, targets in self.layers.items() if targets.space.kind == "tokens"]
        for layer in wide:
            if (layer, names) not in self._bases:
                # One subject's stimuli at a time: a basis holds numbers for all pairs of them.
                for stale in [key for key in self._bases if key[0] == layer]:
                    del self._bases[stale]
                self._bases[layer, names] = TokenBasis.fit(self.layers[layer].get, names)
        return FoldBank(self, {layer: self._bases[layer, names] for layer in wide})

    def spaces(self) -> dict[str, TargetSpace]:
        """List the spaces by layer."""
        return {name: targets.space for name, targets in self.layers.items()}

    def describe(self) -> dict[str, Any]:
        """Give plain values for results and checkpoints."""
        spaces = {name: space.to_dict() for name, space in self.spaces().items()}
        return {"digest": fingerprint(spaces), "layers": spaces}


@dataclass(frozen=True)
class FoldBank:
    """A bank whose tokens are coordinates among the stimuli that a fold's models may know; vectors stay as they are.

    Parameters
    ----------
    bank : TargetBank
        All layers.
    bases : mapping of str to TokenBasis
        Of every layer of tokens.
    """

    bank: TargetBank
    bases: Mapping[str, TokenBasis]
    _last: dict[str, tuple[list[str], NDArray[np.float32]]] = field(default_factory=dict, init=False, repr=False)

    def rows(self, stimuli: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Read all layers for some stimuli: ``(n_stimuli, dim)`` each."""
        return {
            name: self._coordinates(name, stimuli) if name in self.bases else targets.get(stimuli)
            for name, targets in self.bank.layers.items()
        }

    def _coordinates(self, layer: str, stimuli: Sequence[str]) -> NDArray[np.float32]:
        """Place stimuli; a gallery is asked for again and again, and each time all known tokens would be read."""
        if layer not in self._last or self._last[layer][0] != list(stimuli):
            self._last[layer] = list(stimuli), self.bases[layer].of(stimuli)
        return self._last[layer][1]

    def place(self, predicted: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """Place what a network predicted as the stimuli are."""
        return {
            name: self.bases[name].coordinates(values) if name in self.bases else values
            for name, values in predicted.items()
        }

    def restore(self, layer: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give a layer's embeddings in their own shape."""
        return self.bases[layer].restore(values) if layer in self.bases else values
