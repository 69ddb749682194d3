"""One way of running any frozen text network: tokenise, run in batches, catch layers by hook, pool, return arrays."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import nn

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.encoders.stimulus.base import Features, check_finite, check_layers, check_poolings

Tokens = tuple[torch.Tensor, torch.Tensor]


def pool_text(activation: torch.Tensor, mask: torch.Tensor, pooling: str, *, class_token: bool) -> torch.Tensor:
    """Reduce a text layer's activation to a vector or to tokens.

    Parameters
    ----------
    activation : torch.Tensor
        ``(n, n_tokens, dim)``.
    mask : torch.Tensor
        ``(n, n_tokens)``, true for tokens of the text, false for padding.
    pooling : str
        ``mean`` or ``max`` over the text's tokens, ``cls`` (the first one), or ``tokens``.
    class_token : bool
        Whether the first token stands for the whole text.

    Returns
    -------
    torch.Tensor
        ``(n, dim)``, or ``(n, n_tokens, dim)`` for ``tokens``, where padding is zero.

    Raises
    ------
    ConfigError
        If the pooling does not exist for texts.

    Examples
    --------
    >>> mask = torch.tensor([[True, False]])
    >>> pool_text(torch.tensor([[[1.0], [9.0]]]), mask, "mean", class_token=False).item()
    1.0
    """
    kept = mask.unsqueeze(-1)
    if pooling == "mean":
        return (activation * kept).sum(dim=1) / kept.sum(dim=1).clamp(min=1)
    if pooling == "max":
        return activation.masked_fill(~kept, float("-inf")).amax(dim=1)
    if pooling == "cls" and class_token:
        return activation[:, 0]
    if pooling == "tokens":
        return activation * kept
    raise ConfigError(f"pooling: got {pooling!r}, which does not exist for this text model, expected mean or max")


class TextModelEncoder:
    """A frozen text network with any of its layers as features.

    Parameters
    ----------
    name : str
        Name of the encoder.
    network : torch.nn.Module
        Put into evaluation mode, without gradients.
    tokenise : callable
        From texts to token numbers ``(n, n_tokens)`` and the mask of those that are text.
    run : callable
        From token numbers and mask to the network's own vector ``(n, dim)``, which is the layer `final`.
    layer_modules : mapping of str to torch.nn.Module
        The other layers that can be asked for, shallow to deep, with activations ``(n, n_tokens, dim)``.
    final : str
        Name of the network's own vector.
    layers : sequence of str
        The layers to return.
    pooling : str or mapping of str to str
        See `pool_text`; nothing is left to pool in the layer `final`.
    preprocessing : mapping of str to Any
        How texts become tokens, as plain JSON types.
    weights : str
        SHA-256 of the weights.
    normalised : bool
        Whether the layer `final` has unit length.
    class_token : bool
        Whether the first token stands for the whole text.
    fixed_length : bool
        Whether every text has the same number of tokens, so that ``tokens`` can be stored.
    sequence_first : bool
        Whether activations are ``(n_tokens, n, dim)``.
    batch_size : int
        Texts in one forward pass.
    device : str
        Where the network runs.

    Raises
    ------
    ConfigError
        If a layer, pooling or batch size does not exist.
    """

    kind: Literal["image", "text"] = "text"

    def __init__(
        self,
        *,
        name: str,
        network: nn.Module,
        tokenise: Callable[[list[str]], Tokens],
        run: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        layer_modules: Mapping[str, nn.Module],
        final: str,
        layers: Sequence[str],
        pooling: str | Mapping[str, str],
        preprocessing: Mapping[str, Any],
        weights: str,
        normalised: bool,
        class_token: bool,
        fixed_length: bool,
        sequence_first: bool = False,
        batch_size: int = 32,
        device: str = "cpu",
    ) -> None:
        if batch_size < 1:
            raise ConfigError(f"batch_size: got {batch_size}, expected at least 1")
        self.name = name
        self.batch_size = batch_size
        self.device = torch.device(device)
        self.available_layers = [*layer_modules, final]
        self._final = final
        self._layers = check_layers(layers, self.available_layers)
        self.pooling = check_poolings(pooling, self._layers)
        if "tokens" in self.pooling.values() and not fixed_length:
            raise ConfigError(
                f"pooling: got 'tokens' for {name}, whose texts differ in length, expected mean, max or cls"
            )
        self._modules = {layer: layer_modules[layer] for layer in self._layers if layer != final}
        self._preprocessing = dict(preprocessing)
        self._weights = weights
        self._normalised = normalised
        self._class_token = class_token
        self._sequence_first = sequence_first
        self._tokenise = tokenise
        self._run = run
        self.network = network.eval().requires_grad_(False)
        self.network.to(device=self.device)

    def layers(self) -> list[str]:
        """List the layers that `encode` returns, shallow to deep."""
        return list(self._layers)

    def encode(self, stimuli: Sequence[str]) -> Features:
        """Compute the features of texts.

        Parameters
        ----------
        stimuli : sequence of str
            At least one text, none of them empty.

        Returns
        -------
        dict of str to numpy.ndarray
            For each layer float32 ``(n, dim)``, or ``(n, n_tokens, dim)`` with the pooling ``tokens``.

        Raises
        ------
        DataError
            If there are no texts, one is empty or is no text, or a feature is not finite.
        """
        if len(stimuli) == 0:
            raise DataError("texts: got none, expected at least one")
        for position, text in enumerate(stimuli):
            if not isinstance(text, str) or not text.strip():
                raise DataError(f"texts: number {position} is {text!r}, expected words")
        parts: dict[str, list[torch.Tensor]] = {layer: [] for layer in self._layers}
        for start in range(0, len(stimuli), self.batch_size):
            for layer, values in self._encode_batch(list(stimuli[start : start + self.batch_size])).items():
                parts[layer].append(values)
        return check_finite({layer: torch.cat(values).numpy() for layer, values in parts.items()}, self.name)

    def _encode_batch(self, texts: list[str]) -> dict[str, torch.Tensor]:
        numbers, mask = (part.to(self.device) for part in self._tokenise(texts))
        caught: dict[str, torch.Tensor] = {}
        handles = [module.register_forward_hook(_Keeper(layer, caught)) for layer, module in self._modules.items()]
        try:
            with torch.inference_mode():
                final = self._run(numbers, mask)
                pooled = {layer: self._pool(layer, activation, mask) for layer, activation in caught.items()}
        finally:
            for handle in handles:
                handle.remove()
        if self._final in self._layers:
            pooled[self._final] = final
        return {layer: values.to("cpu", torch.float32) for layer, values in pooled.items()}

    def _pool(self, layer: str, activation: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if self._sequence_first:
            activation = activation.transpose(0, 1)
        return pool_text(activation, mask, self.pooling[layer], class_token=self._class_token)

    def fingerprint(self) -> dict[str, Any]:
        """Describe all that the features depend on, as plain JSON types."""
        return {
            "model": self.name,
            "weights": self._weights,
            "layers": self.layers(),
            "pooling": dict(self.pooling),
            "normalised": {layer: self._normalised and layer == self._final for layer in self._layers},
            "preprocessing": dict(self._preprocessing),
        }


class _Keeper:
    """A forward hook that keeps a layer's output."""

    def __init__(self, layer: str, caught: dict[str, torch.Tensor]) -> None:
        self.layer = layer
        self.caught = caught

    def __call__(self, module: nn.Module, inputs: object, output: object) -> None:
        activation = output[0] if isinstance(output, tuple) else output
        if not isinstance(activation, torch.Tensor) or activation.ndim != 3:
            raise ConfigError(f"layers: {self.layer!r} does not give a vector for each token, expected one that does")
        self.caught[self.layer] = activation
