"""Degraded pictures as targets of the training: blurred, noisy or coarse ones, each named in the fingerprint.

The test gallery keeps the pictures that were shown; see ``training_targets`` of the data module.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from neurodecode.core.errors import ConfigError, suggestion
from neurodecode.encoders.stimulus.base import Features, StimulusEncoder
from neurodecode.encoders.stimulus.pictures import to_rgb

#: Shorter side, in pixels, at which strengths are meant; larger pictures are brought to it first.
SIDE = 224


def _at_side(picture: Image.Image) -> Image.Image:
    picture = to_rgb(picture)
    factor = SIDE / min(picture.size)
    size = (max(SIDE, round(picture.width * factor)), max(SIDE, round(picture.height * factor)))
    return picture.resize(size, Image.Resampling.BICUBIC) if size != picture.size else picture


def foveal_blur(picture: Image.Image) -> Image.Image:
    """Blur a picture the more, the farther from its centre.

    The share of the sharp picture falls exponentially with the distance, to 5 % at half the shorter side; the blurred
    one is that of a Gaussian of 8 pixels (a kernel of 51).

    Examples
    --------
    >>> foveal_blur(Image.new("RGB", (448, 448), "red")).size
    (224, 224)
    """
    sharp = _at_side(picture)
    blurred = sharp.filter(ImageFilter.GaussianBlur(8))
    rows = np.arange(sharp.height) - (sharp.height - 1) / 2
    columns = np.arange(sharp.width) - (sharp.width - 1) / 2
    distance = np.hypot(rows[:, None], columns[None]) / (min(sharp.size) / 2)
    share = np.exp(-3.0 * distance)[:, :, None]
    mixed = share * np.asarray(sharp, np.float64) + (1 - share) * np.asarray(blurred, np.float64)
    return Image.fromarray(np.round(mixed).astype(np.uint8))


def gaussian_blur(picture: Image.Image) -> Image.Image:
    """Blur a picture with a Gaussian of 2.6 pixels (a kernel of 15).

    Examples
    --------
    >>> gaussian_blur(Image.new("RGB", (224, 300), "red")).size
    (224, 300)
    """
    return _at_side(picture).filter(ImageFilter.GaussianBlur(2.6))


def noise(picture: Image.Image) -> Image.Image:
    """Add Gaussian noise of 25 levels of 255, which depends on the picture alone.

    Examples
    --------
    >>> shown = Image.new("RGB", (224, 224), "grey")
    >>> noise(shown).tobytes() == noise(shown).tobytes()
    True
    """
    sharp = np.asarray(_at_side(picture), np.float64)
    seed = int.from_bytes(hashlib.sha256(sharp.tobytes()).digest()[:8], "little")
    noisy = sharp + np.random.default_rng(seed).normal(0.0, 25.0, sharp.shape)
    return Image.fromarray(np.clip(np.round(noisy), 0, 255).astype(np.uint8))


def low_resolution(picture: Image.Image) -> Image.Image:
    """Bring a picture to a tenth of its size and back, smoothly.

    Examples
    --------
    >>> low_resolution(Image.new("RGB", (224, 224), "red")).size
    (224, 224)
    """
    sharp = _at_side(picture)
    small = (max(1, round(sharp.width * 0.1)), max(1, round(sharp.height * 0.1)))
    return sharp.resize(small, Image.Resampling.BILINEAR).resize(sharp.size, Image.Resampling.BILINEAR)


def mosaic(picture: Image.Image) -> Image.Image:
    """Replace squares of 5 pixels by their mean colour.

    Examples
    --------
    >>> mosaic(Image.new("RGB", (224, 224), "red")).getpixel((0, 0))
    (255, 0, 0)
    """
    sharp = _at_side(picture)
    small = (max(1, round(sharp.width / 5)), max(1, round(sharp.height / 5)))
    return sharp.resize(small, Image.Resampling.BOX).resize(sharp.size, Image.Resampling.NEAREST)


DEGRADATIONS: dict[str, Callable[[Image.Image], Image.Image]] = {
    function.__name__: function for function in (foveal_blur, gaussian_blur, noise, low_resolution, mosaic)
}


class DegradedEncoder:
    """An encoder of pictures that sees degraded ones; of several degradations, features are averaged.

    Parameters
    ----------
    encoder : StimulusEncoder
        Of pictures.
    degradations : sequence of str
        Names in `DEGRADATIONS`.

    Raises
    ------
    ConfigError
        For an unknown name, none, one given twice, or an encoder of something else than pictures.

    Examples
    --------
    >>> from neurodecode.encoders.stimulus.catalogue import build_stimulus_encoder
    >>> encoder = DegradedEncoder(build_stimulus_encoder("pixels", size=2), ["mosaic"])
    >>> encoder.encode([Image.new("RGB", (8, 8), "white")])["pixels"].shape
    (1, 12)
    """

    def __init__(self, encoder: StimulusEncoder, degradations: Sequence[str]) -> None:
        for name in degradations:
            if name not in DEGRADATIONS:
                raise ConfigError(
                    f"degrade: got {name!r}, expected some of {', '.join(DEGRADATIONS)}{suggestion(name, DEGRADATIONS)}"
                )
        if not degradations or len(set(degradations)) != len(degradations):
            raise ConfigError(f"degrade: got {', '.join(degradations) or 'none'}, expected one or more different ones")
        if encoder.kind != "image":
            raise ConfigError(f"degrade: got {encoder.name}, which encodes {encoder.kind}, expected one of pictures")
        self.encoder = encoder
        self.degradations = list(degradations)
        self.name = encoder.name

    @property
    def kind(self) -> Literal["image", "text", "speech"]:
        """Say what `encode` is given."""
        return self.encoder.kind

    def layers(self) -> list[str]:
        """List the layers that `encode` returns, shallow to deep."""
        return self.encoder.layers()

    def encode(self, stimuli: Sequence[Any]) -> Features:
        """Compute features of the degraded pictures, the mean over degradations."""
        found: Features = {}
        for name in self.degradations:
            features = self.encoder.encode([DEGRADATIONS[name](picture) for picture in stimuli])
            for layer, values in features.items():
                share: NDArray[np.float32] = values / np.float32(len(self.degradations))
                found[layer] = found[layer] + share if layer in found else share
        return found

    def fingerprint(self) -> dict[str, Any]:
        """Describe the encoder, with the degradations in its preprocessing."""
        described = self.encoder.fingerprint()
        return {**described, "preprocessing": {"shown": described["preprocessing"], "degraded": self.degradations}}
