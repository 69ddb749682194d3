"""Features without a network: pixels and Gabor energy. They are real candidates and honest baselines."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.nn import functional

from neurodecode.core.errors import ConfigError
from neurodecode.core.files import fingerprint
from neurodecode.encoders.stimulus.image_model import ImageModelEncoder
from neurodecode.encoders.stimulus.pictures import CentralSquare

GABOR_SIZE = 128
WAVELENGTHS = (4.0, 8.0, 16.0, 32.0)
GABOR_LAYERS = ("wavelength4", "wavelength8", "wavelength16", "wavelength32")
N_ORIENTATIONS = 8
# Bandwidth of the filters: deviation of log frequency, and of orientation in units of the orientations' distance.
LOG_FREQUENCY_WIDTH = 0.55
ORIENTATION_WIDTH = 0.6
# Rec. 601: how bright the colours appear.
LUMINANCE = (0.299, 0.587, 0.114)


class PixelsEncoder(ImageModelEncoder):
    """The picture itself, reduced to a small square of colours: ``(n, 3 * size * size)``.

    Parameters
    ----------
    size : int
        Side in pixels.
    batch_size : int
        Pictures at a time.

    Raises
    ------
    ConfigError
        If the size is below 1.
    """

    def __init__(self, *, size: int = 16, batch_size: int = 64) -> None:
        network = nn.Identity()
        super().__init__(
            name="pixels",
            network=network,
            layer_modules={"pixels": network},
            layers=("pixels",),
            pooling="flatten",
            preparation=CentralSquare(size=size, interpolation="box"),
            weights=fingerprint({"pixels": size}, length=64),
            batch_size=batch_size,
        )


def gabor_bank(size: int, wavelengths: Sequence[float], n_orientations: int) -> torch.Tensor:
    """Compute one-sided log-Gabor filters in the frequency domain.

    A one-sided filter gives a complex response whose real and imaginary part are an even and an odd Gabor filter's; its
    modulus is their energy. The mean of a picture is never passed.

    Parameters
    ----------
    size : int
        Side of the pictures in pixels.
    wavelengths : sequence of float
        In pixels, each at least 2.
    n_orientations : int
        Evenly spread over half a turn, from vertical stripes on.

    Returns
    -------
    torch.Tensor
        ``(n_wavelengths, n_orientations, size, size)``, float32, with the frequency order of `torch.fft.fft2`.

    References
    ----------
    Field, Journal of the Optical Society of America A 4, 1987, https://doi.org/10.1364/JOSAA.4.002379

    Examples
    --------
    >>> gabor_bank(16, (4.0,), 4).shape
    torch.Size([1, 4, 16, 16])
    """
    if n_orientations < 1 or not wavelengths or min(wavelengths) < 2 or max(wavelengths) > size:
        raise ConfigError(
            f"gabor: got {n_orientations} orientations and wavelengths {tuple(wavelengths)}, "
            f"expected at least 1 and wavelengths of 2 to {size} pixels"
        )
    frequency = torch.fft.fftfreq(size, dtype=torch.float64)
    vertical, horizontal = torch.meshgrid(frequency, frequency, indexing="ij")
    radius = torch.hypot(vertical, horizontal)
    angle = torch.atan2(vertical, horizontal)
    radius[0, 0] = 1.0
    filters = []
    for wavelength in wavelengths:
        radial = torch.exp(-((radius * wavelength).log() ** 2) / (2 * LOG_FREQUENCY_WIDTH**2))
        radial[0, 0] = 0.0
        for number in range(n_orientations):
            difference = angle - math.pi * number / n_orientations
            difference = torch.atan2(difference.sin(), difference.cos())
            width = ORIENTATION_WIDTH * math.pi / n_orientations
            # Twice, because only one half of the frequencies is kept.
            filters.append(2 * radial * torch.exp(-(difference**2) / (2 * width**2)))
    bank = torch.stack(filters).reshape(len(wavelengths), n_orientations, size, size)
    return bank.to(torch.float32)


class GaborEnergy(nn.Module):
    """Energy of Gabor filters, one module a wavelength, so that each is a layer."""

    def __init__(self, size: int, wavelengths: Sequence[float], n_orientations: int) -> None:
        super().__init__()
        # The picture is mirrored at its border, because the Fourier transform would join opposite sides.
        self.margin = size // 4
        bank = gabor_bank(size + 2 * self.margin, wavelengths, n_orientations)
        self.scales = nn.ModuleList(_GaborScale(filters, self.margin) for filters in bank)
        self.register_buffer("luminance", torch.tensor(LUMINANCE).view(1, 3, 1, 1))
        self.luminance: torch.Tensor

    def forward(self, pictures: torch.Tensor) -> None:
        """Run every wavelength on ``(n, 3, size, size)`` in [0, 1]; hooks take the layers."""
        brightness = (pictures * self.luminance).sum(dim=1)
        padded = functional.pad(brightness, (self.margin,) * 4, mode="reflect")
        spectrum = torch.fft.fft2(padded)
        for scale in self.scales:
            scale(spectrum)


class _GaborScale(nn.Module):
    def __init__(self, filters: torch.Tensor, margin: int) -> None:
        super().__init__()
        self.margin = margin
        self.register_buffer("filters", filters)
        self.filters: torch.Tensor

    def forward(self, spectrum: torch.Tensor) -> torch.Tensor:
        """Map a spectrum ``(n, side, side)`` to energies ``(n, n_orientations, size, size)``."""
        energy: torch.Tensor = torch.fft.ifft2(spectrum[:, None] * self.filters).abs()
        inner = slice(self.margin, -self.margin)
        return energy[:, :, inner, inner]


class GaborEncoder(ImageModelEncoder):
    """Gabor energy of pictures at several wavelengths and orientations, in cells of a grid.

    Parameters
    ----------
    layers : sequence of str, optional
        Some of `GABOR_LAYERS`, whose wavelengths are in pixels of 128; all by default.
    pooling : str or mapping of str to str
        See `neurodecode.encoders.stimulus.base.pool`.
    batch_size : int
        Pictures at a time.
    device : str
        Where it runs.

    References
    ----------
    Adelson and Bergen, Journal of the Optical Society of America A 2, 1985, https://doi.org/10.1364/JOSAA.2.000284
    Kay et al., Nature 452, 2008, https://doi.org/10.1038/nature06713
    """

    def __init__(
        self,
        layers: Sequence[str] = GABOR_LAYERS,
        pooling: str | Mapping[str, str] = "grid8x8",
        *,
        batch_size: int = 8,
        device: str = "cpu",
    ) -> None:
        network = GaborEnergy(GABOR_SIZE, WAVELENGTHS, N_ORIENTATIONS)
        settings = {
            "size": GABOR_SIZE,
            "wavelengths": WAVELENGTHS,
            "orientations": N_ORIENTATIONS,
            "widths": (LOG_FREQUENCY_WIDTH, ORIENTATION_WIDTH),
            "luminance": LUMINANCE,
        }
        super().__init__(
            name="gabor",
            network=network,
            layer_modules=dict(zip(GABOR_LAYERS, network.scales, strict=True)),
            layers=layers,
            pooling=pooling,
            preparation=CentralSquare(size=GABOR_SIZE),
            weights=fingerprint(settings, length=64),
            batch_size=batch_size,
            device=device,
        )
