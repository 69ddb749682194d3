"""VGG-16 (shift-tolerant, thirteen convolutions) with the weights of the `stlpips-pytorch` wheel."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import nn

from neurodecode.encoders.stimulus.image_model import ImageModelEncoder
from neurodecode.encoders.stimulus.shift_tolerant import PREPARATION, BlurredDownsample, load_trunk
from neurodecode.encoders.stimulus.weights import fill

WEIGHTS_SHA256 = "44597da68f49c1837c100ff52299050f274d102eb102e5837178c79be6f0e250"

# Channels of the convolutions of each block.
BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
LAYERS = tuple(
    f"conv{block}_{number}" for block, widths in enumerate(BLOCKS, start=1) for number in range(1, len(widths) + 1)
)
LAST_OF_BLOCK = ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3")


class VGG16(nn.Module):
    """Five blocks of 3 x 3 convolutions, with positions that are those of the published weights."""

    def __init__(self) -> None:
        super().__init__()
        modules: list[nn.Module] = []
        self.ends: list[int] = []
        channels = 3
        for block, widths in enumerate(BLOCKS):
            if block > 0:
                modules += [nn.MaxPool2d(kernel_size=2, stride=1), BlurredDownsample(channels)]
            for width in widths:
                modules += [nn.Conv2d(channels, width, kernel_size=3, padding=1), nn.ReLU()]
                self.ends.append(len(modules) - 1)
                channels = width
        self.trunk = nn.Sequential(*modules)

    def layer_modules(self) -> dict[str, nn.Module]:
        """Return the module whose output is each of `LAYERS`."""
        return {layer: self.trunk[end] for layer, end in zip(LAYERS, self.ends, strict=True)}

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Map ``(n, 3, height, width)`` to the last convolution's map ``(n, 512, ...)``."""
        output: torch.Tensor = self.trunk(pictures)
        return output


def load_vgg16() -> tuple[VGG16, str]:
    """Build the network with the checked weights of the wheel.

    Returns
    -------
    network : VGG16
        In evaluation mode.
    digest : str
        SHA-256 of the weights.

    Raises
    ------
    DataError
        If the wheel is missing or its weights are not the known ones.
    """
    state, digest, path = load_trunk("vgg_shift_tolerant.pth", WEIGHTS_SHA256)
    network = VGG16()
    fill(network.trunk, state, path)
    return network.eval(), digest


class VGG16Encoder(ImageModelEncoder):
    """VGG-16 features of pictures, from the offline weights.

    Parameters
    ----------
    layers : sequence of str
        Some of `LAYERS`; the last of each block by default.
    pooling : str or mapping of str to str
        See `neurodecode.encoders.stimulus.base.pool`.
    size : int
        Side in pixels at which the network sees a picture.
    batch_size : int
        Pictures in one forward pass.
    device : str
        Where the network runs.

    Raises
    ------
    DataError
        If the wheel is missing or its weights are not the known ones.

    References
    ----------
    Simonyan and Zisserman, Very deep convolutional networks, 2015, https://doi.org/10.48550/arXiv.1409.1556
    Ghildyal and Liu, Shift-tolerant perceptual similarity metric, 2022, https://doi.org/10.1007/978-3-031-19797-0_6
    """

    def __init__(
        self,
        layers: Sequence[str] = LAST_OF_BLOCK,
        pooling: str | Mapping[str, str] = "grid2x2",
        *,
        size: int = PREPARATION.size,
        batch_size: int = 4,
        device: str = "cpu",
    ) -> None:
        network, digest = load_vgg16()
        super().__init__(
            name="vgg16",
            network=network,
            layer_modules=network.layer_modules(),
            layers=layers,
            pooling=pooling,
            preparation=replace(PREPARATION, size=size),
            weights=digest,
            batch_size=batch_size,
            device=device,
        )
