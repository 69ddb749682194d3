"""How a picture becomes a network's input: evaluation transforms only, never augmentation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from neurodecode.core.errors import ConfigError, DataError


class Preparation(Protocol):
    """Turns one picture into a network's input and says how."""

    def __call__(self, picture: Image.Image) -> NDArray[np.float32]:
        """Return ``(3, height, width)``, float32."""
        ...

    def description(self) -> dict[str, Any]:
        """Return what is done, as plain JSON types."""
        ...


def to_rgb(picture: Image.Image) -> Image.Image:
    """Turn a picture of any mode into RGB, with transparent parts on white.

    Parameters
    ----------
    picture : PIL.Image.Image
        Any mode.

    Returns
    -------
    PIL.Image.Image
        RGB.

    Raises
    ------
    DataError
        If what was given is not a picture.

    Examples
    --------
    >>> to_rgb(Image.new("RGBA", (2, 2), (0, 0, 0, 0))).getpixel((0, 0))
    (255, 255, 255)
    """
    if not isinstance(picture, Image.Image):
        raise DataError(f"picture: got {type(picture).__name__}, expected a PIL image")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        coloured = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", coloured.size, "white"), coloured)
    return picture.convert("RGB")


@dataclass(frozen=True)
class CentralSquare:
    """Resize with Pillow's antialiased filter, keep the central square, scale colours.

    The shorter side is resized to ``size / crop`` pixels, the central ``size`` x ``size`` pixels are kept, and pixels
    in [0, 1] become ``(pixel - mean) / scale`` for each colour.

    Parameters
    ----------
    size : int
        Side of the network's input, pixels.
    mean, scale : tuple of float
        Per colour (red, green, blue), in units of pixel values in [0, 1].
    interpolation : {"bilinear", "bicubic", "lanczos", "box"}
        Filter of the resize.
    crop : float
        Part of the resized picture's shorter side that is kept, above 0, at most 1.

    Raises
    ------
    ConfigError
        If a value cannot be used.

    Examples
    --------
    >>> plain = CentralSquare(size=2, mean=(0.0, 0.0, 0.0), scale=(1.0, 1.0, 1.0))
    >>> float(plain(Image.new("RGB", (8, 8), (255, 0, 0)))[0, 0, 0])
    1.0
    """

    size: int
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    interpolation: Literal["bilinear", "bicubic", "lanczos", "box"] = "bicubic"
    crop: float = 1.0

    def __post_init__(self) -> None:
        if self.size < 1 or not 0 < self.crop <= 1 or min(self.scale) <= 0:
            raise ConfigError(f"preparation: got {self}, expected size >= 1, 0 < crop <= 1 and positive scales")

    def __call__(self, picture: Image.Image) -> NDArray[np.float32]:
        """Turn one picture into ``(3, size, size)``, float32."""
        picture = to_rgb(picture)
        width, height = picture.size
        factor = round(self.size / self.crop) / min(width, height)
        resized = (max(self.size, round(width * factor)), max(self.size, round(height * factor)))
        if resized != picture.size:
            picture = picture.resize(resized, Image.Resampling[self.interpolation.upper()])
        left, top = (resized[0] - self.size) // 2, (resized[1] - self.size) // 2
        picture = picture.crop((left, top, left + self.size, top + self.size))
        pixels: NDArray[Any] = np.asarray(picture, dtype=np.float32) / np.float32(255)
        pixels = (pixels - np.asarray(self.mean, np.float32)) / np.asarray(self.scale, np.float32)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))

    def description(self) -> dict[str, Any]:
        """Return the values as plain JSON types."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


@dataclass(frozen=True)
class LibraryTransform:
    """The evaluation transform that a model library made for its model.

    Parameters
    ----------
    transform : callable
        From an RGB picture to a tensor ``(3, height, width)``.
    settings : mapping of str to Any
        What it was made from, as plain JSON types.
    """

    transform: Callable[[Image.Image], torch.Tensor]
    settings: Mapping[str, Any]

    def __call__(self, picture: Image.Image) -> NDArray[np.float32]:
        """Turn one picture into ``(3, height, width)``, float32."""
        values: NDArray[np.float32] = self.transform(to_rgb(picture)).numpy().astype(np.float32, copy=False)
        return values

    def description(self) -> dict[str, Any]:
        """Return the settings as plain JSON types."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in self.settings.items()}


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
        ``(n, 3, height, width)``, float32, in the memory order that convolutions on a CPU prefer.
    """
    batch = torch.from_numpy(np.stack([preparation(picture) for picture in pictures]))
    return batch.contiguous(memory_format=torch.channels_last)
