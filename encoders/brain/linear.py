"""The linear backbone: nothing between the signal and the heads but an optional bottleneck."""

from torch import Tensor, nn

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.brain.backbones import Backbone, check_dropout


class Linear(Backbone):
    """Flatten the window; with ``width``, map it linearly to that many features.

    Behind a linear head this is a linear decoder, or one of reduced rank where ``width`` is given.

    Parameters
    ----------
    n_channels, n_times : int
        Shape of what the front end returns.
    width : int or None
        Rank of the decoder; None keeps every channel and time point.
    dropout : float
        Probability of dropping an input.

    Examples
    --------
    >>> import torch
    >>> Linear(63, 40)(torch.zeros(2, 63, 40)).shape
    torch.Size([2, 2520])
    """

    def __init__(self, n_channels: int, n_times: int, width: int | None = None, dropout: float = 0.0) -> None:
        super().__init__(n_channels, n_times)
        check_dropout(dropout=dropout)
        if width is not None and width < 1:
            raise ConfigError(f"width: got {width}, expected at least 1 or null")
        self.dropout = nn.Dropout(dropout)
        self.reduction: nn.Module = nn.Identity() if width is None else nn.Linear(n_channels * n_times, width)
        self.out_features = n_channels * n_times if width is None else width

    def forward(self, signal: Tensor) -> Tensor:
        """Return the flattened (and reduced) window."""
        latent: Tensor = self.reduction(self.dropout(signal.flatten(1)))
        return latent
