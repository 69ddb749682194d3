"""One way of running any frozen speech network: pieces of sound in, hidden states out, layers by a named rule."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.stimulus.audio import (
    SAMPLING_RATE,
    check_rate,
    check_waveforms,
    layer_states,
    n_frames,
    resample_series,
)
from neurodecode.encoders.stimulus.base import Features, check_finite

#: Seconds that a network is given at once; longer sounds are cut into pieces of equal length.
LONGEST = 30.0


class SpeechModelEncoder:
    """A frozen speech network with any of its states as series.

    Parameters
    ----------
    name : str
        Name of the encoder.
    network : torch.nn.Module
        Put into evaluation mode, without gradients.
    run : callable
        From one waveform at 16 kHz ``(n_samples,)`` to the list of all hidden states, each ``(n_states, dim)``.
    n_layers : int
        How many hidden states there are, the input of the first block included.
    native_rate : float
        States per second.
    first : float
        Time of the first state's centre in seconds.
    layers : sequence of str
        Rules that `layer_states` reads, such as ``state4``, ``mean14to18`` or ``last4``. Each gives one target.
    rate : float
        Frames per second of the series.
    weights : str
        SHA-256 of the weights.
    preprocessing : mapping of str to Any
        How sound becomes the network's input, as plain JSON types.
    shortest : int
        Fewest samples that the network takes.
    device : str
        Where the network runs.

    Raises
    ------
    ConfigError
        If a layer or the rate does not exist, or a layer is named twice.
    """

    kind: Literal["speech"] = "speech"

    def __init__(
        self,
        *,
        name: str,
        network: nn.Module,
        run: Callable[[torch.Tensor], list[torch.Tensor]],
        n_layers: int,
        native_rate: float,
        first: float,
        layers: Sequence[str],
        rate: float,
        weights: str,
        preprocessing: Mapping[str, Any],
        shortest: int = 400,
        device: str = "cpu",
    ) -> None:
        wanted = [layers] if isinstance(layers, str) else list(layers)
        if not wanted or len(set(wanted)) != len(wanted):
            raise ConfigError(f"layers: got {wanted}, expected at least one and each once")
        self.name = name
        self.rate = check_rate(rate)
        self.device = torch.device(device)
        self.network = network.eval().requires_grad_(False).to(self.device)
        self._states = {layer: layer_states(layer, n_layers) for layer in wanted}
        self._run = run
        self._native_rate, self._first, self._shortest = native_rate, first, shortest
        self._weights = weights
        self._preprocessing = dict(preprocessing)

    def layers(self) -> list[str]:
        """List the layers asked for, shallow to deep."""
        return sorted(self._states, key=lambda layer: (float(np.mean(self._states[layer])), layer))

    def encode(self, stimuli: Sequence[Any]) -> Features:
        """Compute the series of waveforms of one length at 16 kHz: ``(n, n_frames, dim)`` a layer."""
        rows = [self._series(wave) for wave in check_waveforms(stimuli, shortest=self._shortest)]
        return check_finite({layer: np.stack([row[layer] for row in rows]) for layer in self.layers()}, self.name)

    def _series(self, wave: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        parts: dict[str, list[NDArray[np.float32]]] = {layer: [] for layer in self._states}
        # Cut where a frame of the series begins, so that the pieces' frames follow each other evenly.
        total = n_frames(len(wave), self.rate)
        count = max(1, int(np.ceil(len(wave) / SAMPLING_RATE / LONGEST)))
        edges = [total * piece // count for piece in range(count + 1)]
        for begin, end in pairwise(edges):
            last = len(wave) if end == total else round(end / self.rate * SAMPLING_RATE)
            piece = wave[round(begin / self.rate * SAMPLING_RATE) : last]
            with torch.inference_mode():
                states = self._run(torch.from_numpy(np.ascontiguousarray(piece)).to(self.device))
            for layer, numbers in self._states.items():
                mean = torch.stack([states[number] for number in numbers]).mean(dim=0).float().cpu().numpy()
                parts[layer].append(resample_series(mean, self._native_rate, self.rate, end - begin, first=self._first))
        return {layer: np.concatenate(values) for layer, values in parts.items()}

    def fingerprint(self) -> dict[str, Any]:
        """Describe all that the series depend on."""
        return {
            "model": self.name,
            "weights": self._weights,
            "layers": self.layers(),
            "pooling": dict.fromkeys(self._states, "series"),
            "normalised": dict.fromkeys(self._states, False),
            "preprocessing": {**self._preprocessing, "rate": self.rate, "longest": LONGEST},
        }
