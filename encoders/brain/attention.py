"""Attention over tokens: one block for every transformer of this package."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.brain.backbones import check_dropout

Norm = Literal["before", "after"]


def rotate(features: Tensor, positions: Tensor) -> Tensor:
    """Turn pairs of features by angles that grow with the position (rotary position embedding).

    Parameters
    ----------
    features : Tensor of shape (..., n_tokens, width)
        Queries or keys; the width is even.
    positions : Tensor of shape (n_tokens,) or (..., n_tokens)
        Place of every token.

    Returns
    -------
    Tensor of the same shape
        Inner products of two rotated tokens depend on the difference of their positions alone.

    References
    ----------
    Su et al. (2021). RoFormer. https://doi.org/10.48550/arXiv.2104.09864

    Examples
    --------
    >>> rotate(torch.ones(1, 4), torch.zeros(1)).tolist()
    [[1.0, 1.0, 1.0, 1.0]]
    """
    half = features.shape[-1] // 2
    steps = torch.arange(half, device=features.device, dtype=torch.float32) / half
    angle = positions[..., None].float() * 10000.0**-steps
    cosine, sine = angle.cos().to(features), angle.sin().to(features)
    first, second = features[..., :half], features[..., half:]
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)


class Attention(nn.Module):
    """Multi-head attention of tokens to each other, or to a context.

    Parameters
    ----------
    width : int
        Width of the tokens.
    n_heads : int
        Number of heads.
    head_width : int or None
        Width of a head; None takes ``width / n_heads``, which must be whole.
    context_width : int or None
        Width of the context's tokens; None: that of the tokens.
    rotary : bool
        Rotate queries and keys by their positions.
    dropout : float
        Dropout of the attention's weights.

    Examples
    --------
    >>> Attention(8, 2)(torch.zeros(3, 5, 8)).shape
    torch.Size([3, 5, 8])
    """

    def __init__(
        self,
        width: int,
        n_heads: int,
        *,
        head_width: int | None = None,
        context_width: int | None = None,
        rotary: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_dropout(dropout=dropout)
        if head_width is None and width % n_heads:
            raise ConfigError(f"n_heads: got {n_heads} for a width of {width}, expected a divisor, or head_width")
        self.n_heads = n_heads
        self.head_width = width // n_heads if head_width is None else head_width
        if rotary and self.head_width % 2:
            raise ConfigError(f"head_width: got {self.head_width}, expected an even one to be rotated")
        inner, context = n_heads * self.head_width, width if context_width is None else context_width
        self.query = nn.Linear(width, inner)
        self.key = nn.Linear(context, inner)
        self.value = nn.Linear(context, inner)
        self.output = nn.Linear(inner, width)
        self.rotary = rotary
        self.dropout = dropout

    def extra_repr(self) -> str:
        """Name what shapes alone do not tell."""
        return f"n_heads={self.n_heads}, rotary={self.rotary}, dropout={self.dropout}"

    def _split(self, features: Tensor) -> Tensor:
        heads: Tensor = features.unflatten(-1, (self.n_heads, self.head_width)).transpose(-3, -2)
        return heads

    def projected(
        self, tokens: Tensor, context: Tensor | None = None, positions: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values, each ``(n, n_heads, n_tokens, head_width)``."""
        source = tokens if context is None else context
        query, key = self._split(self.query(tokens)), self._split(self.key(source))
        if self.rotary:
            if positions is None or context is not None:
                raise ConfigError("rotary: got tokens without positions or with a context, expected positions alone")
            query, key = rotate(query, positions), rotate(key, positions)
        return query, key, self._split(self.value(source))

    def forward(
        self,
        tokens: Tensor,
        context: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        """Return what every token gathered.

        Parameters
        ----------
        tokens : Tensor of shape (n, n_tokens, width)
            Who asks.
        context : Tensor of shape (n, n_context, context_width), optional
            Who is asked; the tokens themselves by default.
        mask : Tensor, shape broadcastable to (n, n_heads, n_tokens, n_context), optional
            True where a token may look; or numbers, which are added to the logits.
        positions : Tensor of shape (n_tokens,), optional
            For rotary attention.

        Returns
        -------
        Tensor of shape (n, n_tokens, width)
        """
        query, key, value = self.projected(tokens, context, positions)
        dropout = self.dropout if self.training else 0.0
        gathered = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
        output: Tensor = self.output(gathered.transpose(-3, -2).flatten(-2))
        return output

    def weights(
        self,
        tokens: Tensor,
        context: Tensor | None = None,
        *,
        added: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        """Return the attention maps, shape (n, n_heads, n_tokens, n_context); rows sum to 1.

        ``added`` are numbers that :meth:`forward` was given as its mask.
        """
        query, key, _ = self.projected(tokens, context, positions)
        logits = query @ key.transpose(-2, -1) / self.head_width**0.5
        maps: Tensor = (logits if added is None else logits + added).softmax(dim=-1)
        return maps


class AttentionBlock(nn.Module):
    """Attention, then a network at every token, each with a residual path and LayerNorm before or after it.

    Parameters
    ----------
    width, n_heads, head_width, context_width, rotary
        See :class:`Attention`.
    hidden : int
        Width of the network at every token.
    norm : str
        ``before`` each part, as is usual now, or ``after`` it, as in the first transformers.
    dropout : float
        Dropout of weights, hidden features and outputs.

    Examples
    --------
    >>> AttentionBlock(8, 2, hidden=16)(torch.zeros(3, 5, 8)).shape
    torch.Size([3, 5, 8])
    """

    def __init__(
        self,
        width: int,
        n_heads: int,
        *,
        hidden: int,
        norm: Norm = "before",
        head_width: int | None = None,
        context_width: int | None = None,
        rotary: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if norm not in ("before", "after"):
            raise ConfigError(f"norm: got {norm!r}, expected before or after")
        self.norm: Norm = norm
        self.attention = Attention(
            width, n_heads, head_width=head_width, context_width=context_width, rotary=rotary, dropout=dropout
        )
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.network = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, width))
        self.dropout = nn.Dropout(dropout)

    def extra_repr(self) -> str:
        """Name what shapes alone do not tell."""
        return f"norm={self.norm}"

    def forward(
        self,
        tokens: Tensor,
        context: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        """Return tokens of the same shape; see :meth:`Attention.forward`."""
        first, second = self.norms
        if self.norm == "before":
            tokens = tokens + self.dropout(self.attention(first(tokens), context, mask=mask, positions=positions))
            refined: Tensor = tokens + self.dropout(self.network(second(tokens)))
            return refined
        tokens = first(tokens + self.dropout(self.attention(tokens, context, mask=mask, positions=positions)))
        normed: Tensor = second(tokens + self.dropout(self.network(tokens)))
        return normed
