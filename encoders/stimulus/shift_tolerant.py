"""What the AlexNet and the VGG-16 of the `stlpips-pytorch` wheel share: blurred downsampling, reading the weights.

Both blur before they drop rows and columns, so that a small shift of the picture changes their features little.
"""

import re
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from neurodecode.core.errors import DataError
from neurodecode.encoders.stimulus.pictures import CentralSquare
from neurodecode.encoders.stimulus.weights import check_sha256, load_state, wheel_file

# ImageNet's mean and deviation of colours.
PREPARATION = CentralSquare(
    size=224, mean=(0.485, 0.456, 0.406), scale=(0.229, 0.224, 0.225), interpolation="bicubic", crop=1.0
)
TRUNK_KEY = re.compile(r"net\.slice\d+\.(\d+\..+)")


class BlurredDownsample(nn.Module):
    """Mirror the border, blur with a binomial 3 x 3 filter, keep every second row and column.

    Parameters
    ----------
    channels : int
        Channels of the input.

    Examples
    --------
    >>> BlurredDownsample(2)(torch.ones(1, 2, 7, 7)).shape
    torch.Size([1, 2, 5, 5])
    """

    MARGIN = 2

    filt: torch.Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        row = torch.tensor([0.25, 0.5, 0.25])
        self.channels = channels
        self.register_buffer("filt", torch.outer(row, row).repeat(channels, 1, 1, 1))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Map ``(n, channels, height, width)`` to about half the height and width."""
        padded = functional.pad(inputs, (self.MARGIN,) * 4, mode="reflect")
        return functional.conv2d(padded, self.filt, stride=2, groups=self.channels)


def load_trunk(file_name: str, expected_sha256: str) -> tuple[dict[str, torch.Tensor], str, Path]:
    """Read the trunk of one of the wheel's two networks.

    Parameters
    ----------
    file_name : str
        Name of the weight file in the wheel.
    expected_sha256 : str
        Its SHA-256.

    Returns
    -------
    state : dict of str to torch.Tensor
        Tensors named ``<position>.weight``, ``<position>.bias`` or ``<position>.filt`` in the sequence of modules.
    digest : str
        The SHA-256.
    path : Path
        The file.

    Raises
    ------
    DataError
        If the wheel is missing or the file is not the known one.
    """
    path = wheel_file("stlpips_pytorch", f"weights/vST0.0/{file_name}", distribution="stlpips-pytorch")
    digest = check_sha256(path, expected_sha256)
    state = {match[1]: tensor for key, tensor in load_state(path).items() if (match := TRUNK_KEY.fullmatch(key))}
    if not state:
        raise DataError(f"weights: {path} holds no trunk, expected names such as net.slice1.0.weight")
    return state, digest, path
