"""One way of running any frozen picture network: prepare, run in batches, catch layers by hook, pool, return arrays."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.encoders.stimulus.base import Features, Preparation, check_pooling, pool, prepare_pictures


class ImageModelEncoder:
    """A frozen picture network with any of its layers as features.

    Parameters
    ----------
    name : str
        Name of the encoder.
    network : torch.nn.Module
        Put into evaluation mode, without gradients.
    layer_modules : mapping of str to torch.nn.Module
        Every layer that can be asked for, shallow to deep; a module's output is the layer's activation. Each module must be run
        exactly once in a forward pass.
    layers : sequence of str
        The layers to return.
    pooling : str or mapping of str to str
        One pooling for all layers (see `neurodecode.encoders.stimulus.base.pool`) or one a layer.
    preparation : Preparation
        The evaluation transform.
    weights : mapping of str to str
        What identifies the weights, for example their SHA-256.
    batch_size : int
        Pictures in one forward pass. It changes speed, and features by rounding errors only.
    device : str
        Where the network runs.
    prefix_tokens : int
        Tokens of a transformer that stand for no place in the picture.
    run : callable, optional
        How to run the network on a batch; calling it by default.
    token_order : {"batch_first", "sequence_first"}
        Order of the axes in the activations of a transformer's layers.

    Raises
    ------
    ConfigError
        If a layer, pooling or batch size does not exist.
    """

    kind: Literal["image"] = "image"

    def __init__(
        self,
        *,
        name: str,
        network: torch.nn.Module,
        layer_modules: Mapping[str, torch.nn.Module],
        layers: Sequence[str],
        pooling: str | Mapping[str, str],
        preparation: Preparation,
        weights: Mapping[str, str],
        batch_size: int = 32,
        device: str = "cpu",
        prefix_tokens: int = 0,
        run: Callable[[torch.Tensor], object] | None = None,
        token_order: Literal["batch_first", "sequence_first"] = "batch_first",
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
        self._weights = dict(weights)
        self._prefix_tokens = prefix_tokens
        self._token_order = token_order
        self.network = network.eval().requires_grad_(False).to(self.device, memory_format=torch.channels_last)
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
        features = {layer: torch.cat(values).numpy() for layer, values in parts.items()}
        for layer, values in features.items():
            if not np.isfinite(values).all():
                raise DataError(f"features: layer {layer!r} of {self.name} has values that are not finite, expected finite ones")
        return features

    def _encode_batch(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        caught: dict[str, torch.Tensor] = {}

        def catcher(layer: str) -> Callable[[torch.nn.Module, object, object], None]:
            def catch(module: torch.nn.Module, inputs: object, output: object) -> None:
                activation = output[0] if isinstance(output, tuple) else output
                if not isinstance(activation, torch.Tensor):
                    raise ConfigError(f"layers: {layer!r} gives {type(activation).__name__}, expected a layer that gives a tensor")
                if activation.ndim == 3 and self._token_order == "sequence_first":
                    activation = activation.transpose(0, 1)
                pooled = pool(activation, self.pooling[layer], prefix_tokens=self._prefix_tokens)
                # A copy: later layers may change their input in place.
                caught[layer] = pooled.to("cpu", torch.float32, copy=True).contiguous()

            return catch

        handles = [module.register_forward_hook(catcher(layer)) for layer, module in self._modules.items()]
        try:
            with torch.inference_mode():
                self._run(batch)
        finally:
            for handle in handles:
                handle.remove()
        missing = [layer for layer in self._layers if layer not in caught]
        if missing:
            raise ConfigError(f"layers: {missing[0]!r} of {self.name} is not run on pictures, expected one that is")
        return caught

    def fingerprint(self) -> dict[str, Any]:
        """Describe all that the features depend on, as plain JSON types."""
        return {
            "model": self.name,
            "weights": dict(self._weights),
            "layers": self.layers(),
            "pooling": dict(self.pooling),
            "preprocessing": self.preparation.description(),
        }


def check_layers(layers: Sequence[str], available: Sequence[str]) -> list[str]:
    """Check the names of the layers asked for.

    Parameters
    ----------
    layers : sequence of str
        At least one name, each once.
    available : sequence of str
        The names there are, shallow to deep.

    Returns
    -------
    list of str
        The names asked for, shallow to deep.

    Raises
    ------
    ConfigError
        If a name is unknown or twice there, or there is none.

    Examples
    --------
    >>> check_layers(["late", "early"], ["early", "middle", "late"])
    ['early', 'late']
    """
    wanted = [layers] if isinstance(layers, str) else list(layers)
    for layer in wanted:
        if layer not in available:
            raise ConfigError(f"layers: got {layer!r}, expected some of {', '.join(available)}")
    if not wanted or len(set(wanted)) != len(wanted):
        raise ConfigError(f"layers: got {wanted}, expected at least one and each once")
    return [layer for layer in available if layer in wanted]


def check_poolings(pooling: str | Mapping[str, str], layers: Sequence[str]) -> dict[str, str]:
    """Give every layer its pooling.

    Parameters
    ----------
    pooling : str or mapping of str to str
        One for all layers, or one for each of them.
    layers : sequence of str
        The layers asked for.

    Returns
    -------
    dict of str to str
        Pooling by layer.

    Raises
    ------
    ConfigError
        If a layer has none, or there is no such pooling.

    Examples
    --------
    >>> check_poolings("mean", ["early", "late"])
    {'early': 'mean', 'late': 'mean'}
    """
    if isinstance(pooling, str):
        return {layer: check_pooling(pooling) for layer in layers}
    missing = [layer for layer in layers if layer not in pooling]
    if missing:
        raise ConfigError(f"pooling: got none for layer {missing[0]!r}, expected one for each of {', '.join(layers)}")
    return {layer: check_pooling(pooling[layer]) for layer in layers}
