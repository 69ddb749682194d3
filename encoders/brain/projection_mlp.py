"""The projection MLP: flatten, Linear, a residual block, LayerNorm."""

from torch import Tensor, nn

from neurodecode.encoders.brain.backbones import Backbone, Projector, check_dropout


class ProjectionMLP(Backbone):
    """Flatten the window and project it with one residual block.

    The simplest network among the published ones and, matched to a good target, the strongest on averaged trials
    (it is UBP's "EEGProject": 5.40 million parameters for 17 channels at 250 samples and width 1024).

    Parameters
    ----------
    n_channels, n_times : int
        Shape of what the front end returns.
    width : int
        Width of the latent.
    dropout : float
        Dropout inside the residual block.
    input_dropout : float
        Probability of dropping an input; the published network has none.

    References
    ----------
    Wu et al. (2025). Bridging the Vision-Brain Gap with an Uncertainty-Aware Blur Prior. CVPR.
    https://doi.org/10.48550/arXiv.2503.04207

    Examples
    --------
    >>> import torch
    >>> ProjectionMLP(17, 250, width=32)(torch.zeros(2, 17, 250)).shape
    torch.Size([2, 32])
    """

    def __init__(
        self, n_channels: int, n_times: int, width: int = 1024, dropout: float = 0.3, input_dropout: float = 0.0
    ) -> None:
        super().__init__(n_channels, n_times)
        check_dropout(dropout=dropout, input_dropout=input_dropout)
        self.input_dropout = nn.Dropout(input_dropout)
        self.projector = Projector(n_channels * n_times, width, dropout)
        self.out_features = width

    def forward(self, signal: Tensor) -> Tensor:
        """Return the projected window."""
        latent: Tensor = self.projector(self.input_dropout(signal.flatten(1)))
        return latent
