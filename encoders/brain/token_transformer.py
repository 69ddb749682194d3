"""A transformer over tokens with learned places, such as the cubes of a volume."""

from typing import Literal

import torch
from torch import Tensor, nn

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.brain.attention import AttentionBlock
from neurodecode.encoders.brain.backbones import Backbone, check_dropout

TokenPooling = Literal["class", "last", "mean", "none"]


class TokenTransformer(Backbone):
    """Embed tokens linearly, add their places, and let them see each other.

    Parameters
    ----------
    n_channels, n_times : int
        Width and number of the tokens that the front end returns.
    width, n_layers, n_heads, hidden, dropout
        Size of the transformer, see :class:`neurodecode.encoders.brain.attention.AttentionBlock`; ``hidden`` None takes
        four times ``width``.
    pooling : str
        ``class``: a token of its own gathers the latent; ``last``: the last token; ``mean`` of all tokens; ``none``
        keeps the tokens.
    causal : bool
        Whether a token sees but itself and those before it. Tokens are then times: windows without a tokenizer are
        tokens of all channels at one time.

    References
    ----------
    Dosovitskiy et al. (2021). An Image is Worth 16x16 Words. ICLR. https://doi.org/10.48550/arXiv.2010.11929

    Examples
    --------
    >>> TokenTransformer(27, 5, width=8, n_layers=1, n_heads=2)(torch.zeros(2, 27, 5)).shape
    torch.Size([2, 8])
    """

    def __init__(
        self,
        n_channels: int,
        n_times: int,
        width: int = 768,
        n_layers: int = 16,
        n_heads: int = 12,
        hidden: int | None = None,
        dropout: float = 0.0,
        pooling: TokenPooling = "class",
        causal: bool = False,
    ) -> None:
        super().__init__(n_channels, n_times)
        check_dropout(dropout=dropout)
        if pooling not in ("class", "last", "mean", "none"):
            raise ConfigError(f"pooling: got {pooling!r}, expected one of class, last, mean, none")
        if causal and pooling == "class":
            raise ConfigError("causal: got a class token, which comes first and sees nothing, expected another pooling")
        self.causal = causal
        self.pooling: TokenPooling = pooling
        self.embedding = nn.Linear(n_channels, width)
        n_extra = int(pooling == "class")
        self.extra = nn.Parameter(0.02 * torch.randn(n_extra, width))
        self.places = nn.Parameter(0.02 * torch.randn(n_times + n_extra, width))
        inner = 4 * width if hidden is None else hidden
        self.blocks = nn.ModuleList(
            AttentionBlock(width, n_heads, hidden=inner, dropout=dropout) for _ in range(n_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.out_features = width
        self.out_times = n_times if pooling == "none" else None

    def extra_repr(self) -> str:
        """Name what shapes alone do not tell."""
        return f"pooling={self.pooling}, causal={self.causal}"

    def tokens(self, signal: Tensor) -> Tensor:
        """Return what every token has become, shape (n_trials, n_tokens, width); the class token comes first."""
        embedded = self.embedding(signal.transpose(1, 2))
        tokens = torch.cat([self.extra.expand(len(embedded), -1, -1), embedded], dim=1) + self.places
        mask = None
        if self.causal:
            count = tokens.shape[1]
            mask = torch.ones(count, count, dtype=torch.bool, device=tokens.device).tril()
        for block in self.blocks:
            tokens = block(tokens, mask=mask)
        normed: Tensor = self.norm(tokens)
        return normed

    def forward(self, signal: Tensor) -> Tensor:
        """Return the latent, shape (n_trials, width), or (n_trials, width, n_tokens) without pooling."""
        normed = self.tokens(signal)
        if self.pooling in ("class", "last"):
            return normed[:, 0 if self.pooling == "class" else -1]
        return normed.mean(dim=1) if self.pooling == "mean" else normed.transpose(1, 2)
