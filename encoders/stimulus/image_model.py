"""One way of running any frozen picture network: prepare, run in batches, catch layers by hook, pool, return arrays."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from PIL import Image
from torch import nn

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.encoders.stimulus.base import Features, check_finite, check_layers, check_poolings, pool
from neurodecode.encoders.stimulus.pictures import Preparation, prepare_pictures


class ImageModelEncoder:
    """A frozen picture network with any of its layers as features.

    Parameters
    ----------
    name : str
        Name of the encoder.
    network : torch.nn.Module
        Put into evaluation mode, without gradients.
    layer_modules : mapping of str to torch.nn.Module
        Every layer that can be asked for, shallow to deep; a module's output is the layer's activation.
    layers : sequence of str
        The layers to return. Each must be run exactly once in a forward pass.
    pooling : str or mapping of str to str
        One pooling for all layers (see `neurodecode.encoders.stimulus.base.pool`) or one for each.
    preparation : Preparation
        The evaluation transform.
    weights : str
        SHA-256 of the weights.
    batch_size : int
        Pictures in one forward pass. It changes speed, and features by rounding errors only. On a CPU small ones are
        the fastest, because their activations stay in its caches.
    device : str
        Where the network runs.
    prefix_tokens : int
        Tokens of a transformer that stand for no place in the picture.
    run : callable, optional
        How to run the network on a batch; calling it by default.
    sequence_first : bool
        Whether a transformer's activations are ``(n_tokens, n, dim)``.
    normalised : collection of str
        Layers whose vectors are scaled to unit length.

    Raises
    ------
    ConfigError
        If a layer, pooling or batch size does not exist.
    """

    kind: Literal["image", "text"] = "image"

    def __init__(
        self,
        *,
        name: str,
        network: nn.Module,
        layer_modules: Mapping[str, nn.Module],
        layers: Sequence[str],
        pooling: str | Mapping[str, str],
        preparation: Preparation,
        weights: str,
        batch_size: int = 8,
        device: str = "cpu",
        prefix_tokens: int = 0,
        run: Callable[[torch.Tensor], object] | None = None,
        sequence_first: bool = False,
        normalised: Sequence[str] = (),
    ) -> None:
        if batch_size < 1:
            raise ConfigError(f"batch_size: got {batch_size}, expected at least 1")
        self.name = name
        self.preparation = preparation
        self.batch_size = batch_size
        self.device = torch.device(device)
        self.available_layers = list(layer_modules)
        self._layers = check_layers(layers, self.available_layers)
        self.pooling = check_poolings(pooling, self._layers)
        self._modules = {layer: layer_modules[layer] for layer in self._layers}
        self._weights = weights
        self._prefix_tokens = prefix_tokens
        self._sequence_first = sequence_first
        self._normalised = {layer: layer in normalised for layer in self._layers}
        self.network = network.eval().requires_grad_(False)
        self.network.to(device=self.device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._run: Callable[[torch.Tensor], object] = run if run is not None else self.network

    def layers(self) -> list[str]:
        """List the layers that `encode` returns, shallow to deep."""
        return list(self._layers)

    def encode(self, stimuli: Sequence[Image.Image]) -> Features:
        """Compute the features of pictures.

        Parameters
        ----------
        stimuli : sequence of PIL.Image.Image
            At least one picture.

        Returns
        -------
        dict of str to numpy.ndarray
            For each layer float32 ``(n, dim)``, or ``(n, n_tokens, dim)`` with the pooling ``tokens``.

        Raises
        ------
        DataError
            If there are no pictures, or a feature is not finite.
        """
        if len(stimuli) == 0:
            raise DataError("pictures: got none, expected at least one")
        parts: dict[str, list[torch.Tensor]] = {layer: [] for layer in self._layers}
        for start in range(0, len(stimuli), self.batch_size):
            batch = prepare_pictures(stimuli[start : start + self.batch_size], self.preparation).to(self.device)
            for layer, values in self._encode_batch(batch).items():
                parts[layer].append(values)
        return check_finite({layer: torch.cat(values).numpy() for layer, values in parts.items()}, self.name)

    def _encode_batch(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        activations: dict[str, torch.Tensor] = {}
        handles = [
            module.register_forward_hook(_Catcher(layer, self._pool, activations))
            for layer, module in self._modules.items()
        ]
        try:
            with torch.inference_mode():
                self._run(batch)
        finally:
            for handle in handles:
                handle.remove()
        for layer in self._layers:
            if layer not in activations:
                raise ConfigError(f"layers: {layer!r} of {self.name} is not run on pictures, expected one that is")
        return activations

    def _pool(self, layer: str, activation: torch.Tensor) -> torch.Tensor:
        if activation.ndim == 3 and self._sequence_first:
            activation = activation.transpose(0, 1)
        pooled = pool(activation, self.pooling[layer], prefix_tokens=self._prefix_tokens)
        if self._normalised[layer]:
            pooled = nn.functional.normalize(pooled, dim=-1)
        # A copy, because later layers may change their input in place.
        return pooled.to("cpu", torch.float32, copy=True).contiguous()

    def fingerprint(self) -> dict[str, Any]:
        """Describe all that the features depend on, as plain JSON types."""
        return {
            "model": self.name,
            "weights": self._weights,
            "layers": self.layers(),
            "pooling": dict(self.pooling),
            "normalised": dict(self._normalised),
            "preprocessing": self.preparation.description(),
        }


class _Catcher:
    """A forward hook that pools a layer's output at once, so that only the pooled values of a batch are held."""

    def __init__(
        self, layer: str, pool_layer: Callable[[str, torch.Tensor], torch.Tensor], caught: dict[str, torch.Tensor]
    ) -> None:
        self.layer = layer
        self.pool_layer = pool_layer
        self.caught = caught

    def __call__(self, module: nn.Module, inputs: object, output: object) -> None:
        activation = output[0] if isinstance(output, tuple) else output
        if not isinstance(activation, torch.Tensor):
            raise ConfigError(
                f"layers: {self.layer!r} gives {type(activation).__name__}, expected one that gives a tensor"
            )
        if self.layer in self.caught:
            raise ConfigError(
                f"layers: {self.layer!r} is run more than once on a picture, expected one that is run once"
            )
        self.caught[self.layer] = self.pool_layer(self.layer, activation)
