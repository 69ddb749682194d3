"""Channels as tokens: a transformer over sensors, with a token for the subject."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from neurodecode.encoders.brain.attention import AttentionBlock, Norm
from neurodecode.encoders.brain.backbones import check_dropout
from neurodecode.encoders.brain.front_ends import FrontEnd, common_channel_count


class ChannelTokens(FrontEnd):
    """Let channels attend to each other and to a token that stands for the subject.

    Every channel's window is a token; the same linear map embeds all of them. The subject's token is the only part that
    belongs to a subject. It is taken away again behind the transformer, so that the channels keep their places.

    Parameters
    ----------
    n_channels, n_times
        See :class:`FrontEnd`; all subjects share one layout.
    n_layers, n_heads : int
        Size of the transformer.
    head_width : int or None
        Width of a head; None takes the whole part of ``n_times / n_heads``.
    hidden : int
        Width of the network at every token.
    dropout : float
        Dropout of the embedded tokens and inside the transformer.
    norm : str
        See :class:`neurodecode.encoders.brain.attention.AttentionBlock`.

    References
    ----------
    Li et al. (2024). Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion. NeurIPS.
    https://doi.org/10.48550/arXiv.2403.07721

    Examples
    --------
    >>> from neurodecode.encoders.brain.batches import SubjectBatch
    >>> ChannelTokens({"a": 5}, 10)([SubjectBatch("a", torch.zeros(2, 5, 10))]).shape
    torch.Size([2, 5, 10])
    """

    def __init__(
        self,
        n_channels: Mapping[str, int],
        n_times: int,
        n_layers: int = 1,
        n_heads: int = 4,
        head_width: int | None = None,
        hidden: int = 256,
        dropout: float = 0.25,
        norm: Norm = "after",
    ) -> None:
        super().__init__(n_channels, n_times)
        check_dropout(dropout=dropout)
        self.out_channels = common_channel_count(n_channels, "ChannelTokens")
        self.out_times = n_times
        self.embedding = nn.Linear(n_times, n_times)
        self.subject_tokens = nn.Parameter(0.02 * torch.randn(len(n_channels), n_times))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            AttentionBlock(
                n_times,
                n_heads,
                hidden=hidden,
                norm=norm,
                head_width=max(n_times // n_heads, 1) if head_width is None else head_width,
                dropout=dropout,
            )
            for _ in range(n_layers)
        )
        self.norm = nn.LayerNorm(n_times)

    def adapt(self, subject: str, signal: Tensor) -> Tensor:
        """Return the channels as the transformer sees them."""
        own = self.subject_tokens[self.subject_index(subject)].expand(len(signal), 1, -1)
        tokens = self.dropout(torch.cat([own, self.embedding(signal)], dim=1))
        for block in self.blocks:
            tokens = block(tokens)
        channels: Tensor = self.norm(tokens)[:, 1:]
        return channels
