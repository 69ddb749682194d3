"""Learned latents that gather what any number of tokens hold."""

import torch
from torch import Tensor, nn

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.brain.attention import AttentionBlock
from neurodecode.encoders.brain.backbones import Backbone, check_dropout


class Perceiver(Backbone):
    """Latents attend to the tokens and to themselves, layer by layer; they are the output.

    Parameters
    ----------
    n_channels, n_times : int
        Width and number of the tokens that the front end returns.
    n_latents, width : int
        Number and width of the latents. Tokens of another width are mapped to it linearly.
    n_layers, n_heads, head_width, hidden
        Size of the layers, see :class:`neurodecode.encoders.brain.attention.AttentionBlock`; ``hidden`` None takes four
        times ``width``.
    dropout : float
        Inside the layers.

    References
    ----------
    Jaegle et al. (2021). Perceiver: General Perception with Iterative Attention. ICML.
    https://doi.org/10.48550/arXiv.2103.03206

    Examples
    --------
    >>> Perceiver(8, 5, n_latents=3, width=8, n_layers=1, n_heads=2, head_width=4)(torch.zeros(2, 8, 5)).shape
    torch.Size([2, 8, 3])
    """

    def __init__(
        self,
        n_channels: int,
        n_times: int,
        n_latents: int = 256,
        width: int = 1024,
        n_layers: int = 6,
        n_heads: int = 16,
        head_width: int = 96,
        hidden: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(n_channels, n_times)
        check_dropout(dropout=dropout)
        if n_latents < 1:
            raise ConfigError(f"n_latents: got {n_latents}, expected at least 1")
        self.entry: nn.Module = nn.Identity() if n_channels == width else nn.Linear(n_channels, width)
        self.latents = nn.Parameter(0.02 * torch.randn(n_latents, width))
        inner = 4 * width if hidden is None else hidden
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(n_layers))
        self.blocks = nn.ModuleList(
            AttentionBlock(width, n_heads, hidden=inner, head_width=head_width, dropout=dropout)
            for _ in range(n_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.out_features = width
        self.out_times = n_latents

    def forward(self, signal: Tensor) -> Tensor:
        """Return the latents, shape (n_trials, width, n_latents)."""
        tokens = self.entry(signal.transpose(1, 2))
        latents = self.latents.expand(len(tokens), -1, -1)
        for norm, block in zip(self.norms, self.blocks, strict=True):
            latents = block(latents, norm(torch.cat([tokens, latents], dim=1)))
        gathered: Tensor = self.norm(latents).transpose(1, 2)
        return gathered
