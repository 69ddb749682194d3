"""Context: trials that belong together see each other before they are read out."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from neurodecode.core.errors import MismatchError
from neurodecode.encoders.brain.attention import AttentionBlock
from neurodecode.encoders.brain.batches import SubjectBatch


class Context(nn.Module):
    """Base of the parts between backbone and heads that let trials see each other.

    Parameters
    ----------
    width : int
        Width of the latent.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, latent: Tensor, groups: Sequence[SubjectBatch]) -> Tensor:
        """Return a latent of the same shape ``(n_trials, width)``; rows in the order of the groups."""
        raise NotImplementedError


def sequences_of(groups: Sequence[SubjectBatch]) -> tuple[Tensor, Tensor]:
    """Return sequence and position of every row, or say which subject has none.

    Examples
    --------
    >>> group = SubjectBatch("a", torch.zeros(2, 1, 1), torch.tensor([5, 5]), torch.tensor([0, 1]))
    >>> [row.tolist() for row in sequences_of([group])]
    [[5, 5], [0, 1]]
    """
    sequences, positions = [], []
    for group in groups:
        if group.sequence is None or group.position is None:
            raise MismatchError(
                f"context: {group.subject} has trials without a sequence, expected data with `sequence`, such as the "
                "column that names the sentence"
            )
        sequences.append(group.sequence)
        positions.append(group.position)
    return torch.cat(sequences), torch.cat(positions)


class SequenceContext(Context):
    """A transformer over the trials of each sequence, as d'Ascoli et al. have it over the words of a sentence.

    Words attend to those of the same sentence, of the same subject, with rotary positions. With ``alone`` every word
    sees but itself: what is left is what the network reads from single words.

    Parameters
    ----------
    width : int
        Width of the latent.
    n_layers, n_heads : int
        Size of the transformer.
    hidden : int or None
        Width of the network at every word; None takes four times ``width``.
    dropout : float
        See :class:`neurodecode.encoders.brain.attention.AttentionBlock`.
    alone : bool
        Whether every trial sees but itself.

    References
    ----------
    d'Ascoli et al. (2025). Decoding individual words from non-invasive brain recordings. Nature Communications.
    https://doi.org/10.48550/arXiv.2412.17829

    Examples
    --------
    >>> group = SubjectBatch("a", torch.zeros(3, 1, 1), torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0]))
    >>> SequenceContext(8, n_layers=1, n_heads=2)(torch.zeros(3, 8), [group]).shape
    torch.Size([3, 8])
    """

    def __init__(
        self,
        width: int,
        n_layers: int = 16,
        n_heads: int = 16,
        hidden: int | None = None,
        dropout: float = 0.0,
        alone: bool = False,
    ) -> None:
        super().__init__(width)
        inner = 4 * width if hidden is None else hidden
        self.blocks = nn.ModuleList(
            AttentionBlock(width, n_heads, hidden=inner, rotary=True, dropout=dropout) for _ in range(n_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.alone = alone

    def forward(self, latent: Tensor, groups: Sequence[SubjectBatch]) -> Tensor:
        """Return what every trial is in its sequence."""
        sequence, position = sequences_of(groups)
        sizes = torch.tensor([len(group) for group in groups], device=latent.device)
        subject = torch.arange(len(groups), device=latent.device).repeat_interleave(sizes)
        if self.alone:
            mask = torch.eye(len(sequence), dtype=torch.bool, device=latent.device)
        else:
            mask = (sequence[:, None] == sequence) & (subject[:, None] == subject)
        tokens = latent[None]
        for block in self.blocks:
            tokens = block(tokens, mask=mask, positions=position)
        refined: Tensor = self.norm(tokens[0])
        return refined
