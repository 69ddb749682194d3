"""What every frozen stimulus encoder offers, poolings of layers, and the ban on circular targets."""

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError, DataError, MismatchError

Features = dict[str, NDArray[np.float32]]

# The simulated brain of these studies is driven by a network: a target from the same one would make decoding circular.
SIMULATOR_NETWORKS = {"openmoji": "alexnet", "spoken": "whisper"}


@runtime_checkable
class StimulusEncoder(Protocol):
    """A frozen model that turns stimuli into vectors or tokens.

    Attributes
    ----------
    name : str
        The name that a study's targets are stored under.
    kind : {"image", "text", "speech"}
        What `encode` is given: pictures, texts, or waveforms of one length at 16 kHz.
    """

    name: str

    @property
    def kind(self) -> Literal["image", "text", "speech"]:
        """Say what `encode` is given."""
        ...

    def layers(self) -> list[str]:
        """List the layers that `encode` returns, shallow to deep."""
        ...

    def encode(self, stimuli: Sequence[Any]) -> Features:
        """Compute features, float32 ``(n, dim)``, ``(n, n_tokens, dim)`` or ``(n, n_frames, dim)`` per layer."""
        ...

    def fingerprint(self) -> dict[str, Any]:
        """Describe all that the features depend on, as plain JSON types.

        Returns
        -------
        dict
            ``model``; ``weights``, a SHA-256; ``layers``; ``pooling`` and ``normalised`` (to unit length) by layer;
            ``preprocessing``.
        """
        ...


def forbidden_as_target(encoder_name: str, study_name: str) -> None:
    """Refuse a target that comes from the network which drives a simulated study.

    Parameters
    ----------
    encoder_name : str
        Name of a stimulus encoder.
    study_name : str
        Name of a study.

    Raises
    ------
    MismatchError
        If the study is simulated from that network's layers.

    Examples
    --------
    >>> forbidden_as_target("efficientnet_lite0", "openmoji_eeg")
    """
    for prefix, network in SIMULATOR_NETWORKS.items():
        if study_name.lower().startswith(prefix) and network in encoder_name.lower():
            called = {"alexnet": "AlexNet", "whisper": "Whisper"}[network]
            raise MismatchError(
                f"encoder: got {encoder_name!r} for study {study_name!r}, whose brain is simulated from {called}; "
                "expected another network, or the result would be circular"
            )


def check_finite(features: Features, name: str) -> Features:
    """Give features back if all are finite, or raise a DataError that names the layer and the model."""
    for layer, values in features.items():
        if not np.isfinite(values).all():
            raise DataError(f"features: layer {layer!r} of {name} has values that are not finite")
    return features


def check_pooling(pooling: str) -> str:
    """Check the name of a pooling.

    Parameters
    ----------
    pooling : str
        ``flatten``, ``mean``, ``max``, ``cls``, ``tokens`` or a spatial grid such as ``grid2x2``.

    Returns
    -------
    str
        The same name.

    Raises
    ------
    ConfigError
        If there is no such pooling.

    Examples
    --------
    >>> check_pooling("grid4x4")
    'grid4x4'
    """
    if pooling in ("flatten", "mean", "max", "cls", "tokens") or re.fullmatch(r"grid[1-9]\d*x[1-9]\d*", pooling):
        return pooling
    raise ConfigError(
        f"pooling: got {pooling!r}, expected flatten, mean, max, cls, tokens or rows x columns such as grid2x2"
    )


def pool(activation: torch.Tensor, pooling: str, *, prefix_tokens: int = 0) -> torch.Tensor:
    """Reduce a layer's activation to a vector or to tokens.

    Parameters
    ----------
    activation : torch.Tensor
        ``(n, channels, height, width)`` from a convolution, ``(n, n_tokens, dim)`` from a transformer, or ``(n,
        dim)``. A vector has nothing to reduce: flatten, mean, max and grids leave it as it is.
    pooling : str
        ``flatten``: all values. ``mean`` and ``max``: over space, or over the tokens after the prefix. ``gridRxC``:
        mean within each cell of a spatial grid, channels first. ``cls``: the first token. ``tokens``: kept apart,
        ``(n, n_tokens, dim)``; places of a convolution become tokens.
    prefix_tokens : int
        Number of leading tokens that stand for no place (class and register tokens).

    Returns
    -------
    torch.Tensor
        ``(n, dim)``, or ``(n, n_tokens, dim)`` for ``tokens``.

    Raises
    ------
    ConfigError
        If the pooling does not exist for an activation of this shape.

    Examples
    --------
    >>> pool(torch.ones(5, 3, 8, 8), "grid2x2").shape
    torch.Size([5, 12])
    """
    check_pooling(pooling)
    shape = tuple(activation.shape)
    impossible = ConfigError(f"pooling: got {pooling!r}, which does not exist for an activation of shape {shape}")
    if activation.ndim == 2:
        if pooling in ("cls", "tokens"):
            raise impossible
        return activation
    if activation.ndim == 3:
        return _pool_tokens(activation, pooling, prefix_tokens)
    if activation.ndim != 4 or pooling == "cls":
        raise impossible
    if pooling == "flatten":
        return activation.flatten(1)
    if pooling == "mean":
        return activation.mean(dim=(2, 3))
    if pooling == "max":
        return activation.amax(dim=(2, 3))
    if pooling == "tokens":
        return activation.flatten(2).transpose(1, 2)
    rows, columns = (int(part) for part in pooling.removeprefix("grid").split("x"))
    if rows > activation.shape[2] or columns > activation.shape[3]:
        raise impossible
    return torch.nn.functional.adaptive_avg_pool2d(activation, (rows, columns)).flatten(1)


def _pool_tokens(tokens: torch.Tensor, pooling: str, prefix_tokens: int) -> torch.Tensor:
    if pooling == "tokens":
        return tokens
    if pooling == "flatten":
        return tokens.flatten(1)
    if pooling == "cls":
        if prefix_tokens < 1:
            raise ConfigError(
                "pooling: got 'cls' for a model without a class token, expected mean, max, flatten or tokens"
            )
        return tokens[:, 0]
    places = tokens[:, prefix_tokens:]
    if pooling == "mean":
        return places.mean(dim=1)
    if pooling == "max":
        return places.amax(dim=1)
    side = round(places.shape[1] ** 0.5)
    if side * side != places.shape[1]:
        raise ConfigError(f"pooling: got {pooling!r} for {places.shape[1]} tokens, expected a square number of them")
    return pool(places.transpose(1, 2).unflatten(2, (side, side)), pooling)


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
            # A transformer has hundreds of modules: the nearest names are of more use than all.
            near = list(available) if len(available) <= 16 else difflib.get_close_matches(layer, available, 8, 0.3)
            raise ConfigError(f"layers: got {layer!r}, expected some of {', '.join(near)}")
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
