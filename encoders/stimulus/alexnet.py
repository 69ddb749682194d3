"""AlexNet (shift-tolerant, five convolutions) with the weights of the `stlpips-pytorch` wheel.

The simulated brain of the built-in study is driven by this network, so it can be no target there
(`neurodecode.encoders.stimulus.base.forbidden_as_target`); it serves the simulator and scores of pictures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import nn

from neurodecode.encoders.stimulus.image_model import ImageModelEncoder
from neurodecode.encoders.stimulus.shift_tolerant import PREPARATION, BlurredDownsample, load_trunk
from neurodecode.encoders.stimulus.weights import fill

WEIGHTS_SHA256 = "b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee"
LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5")


class AlexNet(nn.Module):
    """The five convolutions, each followed by a rectifier, with positions that are those of the published weights."""

    ENDS: Mapping[str, int] = {"conv1": 2, "conv2": 6, "conv3": 10, "conv4": 12, "conv5": 14}

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(3, 64, kernel_size=11, padding=2),
            BlurredDownsample(64),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=1),
            BlurredDownsample(64),
            nn.Conv2d(64, 192, kernel_size=5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=1),
            BlurredDownsample(192),
            nn.Conv2d(192, 384, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, kernel_size=3, padding=1),
            nn.ReLU(),
        )

    def layer_modules(self) -> dict[str, nn.Module]:
        """Return the module whose output is each of `LAYERS`."""
        return {layer: self.trunk[end] for layer, end in self.ENDS.items()}

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Map ``(n, 3, height, width)`` to the fifth convolution's map ``(n, 256, ...)``."""
        output: torch.Tensor = self.trunk(pictures)
        return output


def load_alexnet() -> tuple[AlexNet, str]:
    """Build the network with the checked weights of the wheel.

    Returns
    -------
    network : AlexNet
        In evaluation mode.
    digest : str
        SHA-256 of the weights.

    Raises
    ------
    DataError
        If the wheel is missing or its weights are not the known ones.
    """
    state, digest, path = load_trunk("alex_shift_tolerant.pth", WEIGHTS_SHA256)
    network = AlexNet()
    fill(network.trunk, state, path)
    return network.eval(), digest


class AlexNetEncoder(ImageModelEncoder):
    """AlexNet features of pictures, from the offline weights.

    Parameters
    ----------
    layers : sequence of str
        Some of `LAYERS`; all by default.
    pooling : str or mapping of str to str
        See `neurodecode.encoders.stimulus.base.pool`.
    size : int
        Side of the network's input in pixels; half of it takes a quarter of the time.
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
    Krizhevsky, Sutskever and Hinton, ImageNet classification, 2012, https://doi.org/10.1145/3065386
    Ghildyal and Liu, Shift-tolerant perceptual similarity metric, 2022, https://doi.org/10.1007/978-3-031-19797-0_6
    """

    def __init__(
        self,
        layers: Sequence[str] = LAYERS,
        pooling: str | Mapping[str, str] = "grid4x4",
        *,
        size: int = PREPARATION.size,
        batch_size: int = 8,
        device: str = "cpu",
    ) -> None:
        network, digest = load_alexnet()
        super().__init__(
            name="alexnet",
            network=network,
            layer_modules=network.layer_modules(),
            layers=layers,
            pooling=pooling,
            preparation=replace(PREPARATION, size=size),
            weights=digest,
            batch_size=batch_size,
            device=device,
        )
