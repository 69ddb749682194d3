"""What every frozen stimulus encoder offers, and the steps they share: preparing pictures, pooling, the ban on circular targets."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from neurodecode.core.errors import ConfigError, DataError, MismatchError

Features = dict[str, NDArray[np.float32]]

# The simulated brain of these studies is driven by AlexNet: a target from the same network would make decoding circular.
SIMULATED_STUDY_PREFIX = "openmoji"
SIMULATOR_NETWORK = "alexnet"


@runtime_checkable
class StimulusEncoder(Protocol):
    """A frozen model that turns stimuli into vectors or tokens.

    Attributes
    ----------
    name : str
        The name that a study's targets are stored under.
    kind : {"image", "text"}
        What `encode` is given.
    """

    name: str
    kind: Literal["image", "text"]

    def layers(self) -> list[str]:
        """List the layers that `encode` returns, shallow to deep."""
        ...

    def encode(self, stimuli: Sequence[Any]) -> Features:
        """Compute features, a float32 array ``(n, dim)`` or ``(n, n_tokens, dim)`` per layer."""
        ...

    def fingerprint(self) -> dict[str, Any]:
        """Describe all that the features depend on: model, weights' SHA-256, layers, poolings, preprocessing."""
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
    if study_name.lower().startswith(SIMULATED_STUDY_PREFIX) and SIMULATOR_NETWORK in encoder_name.lower():
        raise MismatchError(
            f"encoder: got {encoder_name!r} for study {study_name!r}, whose brain is simulated from AlexNet; "
            "expected another network, or the result would be circular"
        )


@dataclass(frozen=True)
class Preparation:
    """How a picture becomes a network's input: the evaluation transform, never augmentation.

    The shorter side is resized to ``size / crop`` with Pillow's antialiased filter, the central square of ``size`` pixels is
    kept, and pixels in [0, 1] become ``(pixel - mean) / scale`` for each colour.

    Attributes
    ----------
    size : int
        Side of the network's input, pixels.
    mean, scale : tuple of float
        Per colour (red, green, blue), in units of pixel values in [0, 1].
    interpolation : {"bilinear", "bicubic", "lanczos"}
        Filter of the resize.
    crop : float
        Part of the resized picture's shorter side that is kept, (0, 1].
    """

    size: int
    mean: tuple[float, float, float]
    scale: tuple[float, float, float]
    interpolation: Literal["bilinear", "bicubic", "lanczos"] = "bicubic"
    crop: float = 1.0

    def __post_init__(self) -> None:
        """Check the values."""
        if self.size < 1 or not 0 < self.crop <= 1 or min(self.scale) <= 0:
            raise ConfigError(f"preparation: got {self}, expected size >= 1, 0 < crop <= 1 and positive scales")

    def description(self) -> dict[str, Any]:
        """Return the values as plain JSON types."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def prepare_picture(picture: Image.Image, preparation: Preparation) -> NDArray[np.float32]:
    """Turn one picture into a network's input.

    Parameters
    ----------
    picture : PIL.Image.Image
        Any mode; transparent parts are put on white.
    preparation : Preparation
        The network's evaluation transform.

    Returns
    -------
    numpy.ndarray
        ``(3, size, size)``, float32.

    Raises
    ------
    DataError
        If what was given is not a picture.

    Examples
    --------
    >>> plain = Preparation(size=2, mean=(0.0, 0.0, 0.0), scale=(1.0, 1.0, 1.0))
    >>> float(prepare_picture(Image.new("RGB", (8, 8), (255, 0, 0)), plain)[0, 0, 0])
    1.0
    """
    if not isinstance(picture, Image.Image):
        raise DataError(f"picture: got {type(picture).__name__}, expected a PIL image")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        coloured = picture.convert("RGBA")
        background = Image.new("RGBA", coloured.size, "white")
        picture = Image.alpha_composite(background, coloured)
    picture = picture.convert("RGB")
    width, height = picture.size
    shorter = round(preparation.size / preparation.crop)
    factor = shorter / min(width, height)
    resized = (max(preparation.size, round(width * factor)), max(preparation.size, round(height * factor)))
    if resized != picture.size:
        picture = picture.resize(resized, Image.Resampling[preparation.interpolation.upper()])
    left = (resized[0] - preparation.size) // 2
    top = (resized[1] - preparation.size) // 2
    picture = picture.crop((left, top, left + preparation.size, top + preparation.size))
    pixels = np.asarray(picture, dtype=np.float32) / np.float32(255)
    pixels = (pixels - np.asarray(preparation.mean, np.float32)) / np.asarray(preparation.scale, np.float32)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def prepare_pictures(pictures: Sequence[Image.Image], preparation: Preparation) -> torch.Tensor:
    """Turn pictures into one batch of a network's input.

    Parameters
    ----------
    pictures : sequence of PIL.Image.Image
        At least one.
    preparation : Preparation
        The network's evaluation transform.

    Returns
    -------
    torch.Tensor
        ``(n, 3, size, size)``, float32, in the memory order that convolutions on a CPU prefer.
    """
    batch = torch.from_numpy(np.stack([prepare_picture(picture, preparation) for picture in pictures]))
    return batch.contiguous(memory_format=torch.channels_last)


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
        f"pooling: got {pooling!r}, expected flatten, mean, max, cls, tokens or a grid of rows x columns such as grid2x2"
    )


def pool(activation: torch.Tensor, pooling: str, *, prefix_tokens: int = 0) -> torch.Tensor:
    """Reduce a layer's activation to a vector or to tokens.

    Parameters
    ----------
    activation : torch.Tensor
        ``(n, channels, height, width)`` from a convolution, ``(n, n_tokens, dim)`` from a transformer, or ``(n, dim)``. A vector
        has nothing to reduce: flatten, mean, max and grids leave it as it is.
    pooling : str
        ``flatten``: all values. ``mean`` and ``max``: over space, or over the tokens after the prefix. ``gridRxC``: mean within each
        cell of a spatial grid, channels first. ``cls``: the first token. ``tokens``: kept apart, ``(n, n_tokens, dim)``; places of
        a convolution become tokens.
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
    impossible = ConfigError(f"pooling: got {pooling!r} for an activation of shape {tuple(activation.shape)}, expected another")
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
            raise ConfigError("pooling: got 'cls' for a model without a class token, expected mean, max, flatten or tokens")
        return tokens[:, 0]
    places = tokens[:, prefix_tokens:]
    if pooling == "mean":
        return places.mean(dim=1)
    if pooling == "max":
        return places.amax(dim=1)
    side = round(places.shape[1] ** 0.5)
    if side * side != places.shape[1]:
        raise ConfigError(f"pooling: got {pooling!r} for {places.shape[1]} tokens, expected a square number of places for a grid")
    return pool(places.transpose(1, 2).unflatten(2, (side, side)), pooling)
