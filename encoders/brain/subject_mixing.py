"""One square matrix a subject that mixes channels: the subject layer."""

import torch
from torch import Tensor, nn


class SubjectMixing(nn.Module):
    """A matrix over channels for every subject, without bias.

    Parameters
    ----------
    n_subjects, n_channels : int
        How many matrices, and of what size.
    identity : bool
        Start as the identity, so that training departs from a model common to all; otherwise from random numbers of
        variance one over the number of channels, as the published code does.

    Examples
    --------
    >>> SubjectMixing(3, 4, identity=True).of(2).trace().item()
    4.0
    """

    def __init__(self, n_subjects: int, n_channels: int, *, identity: bool) -> None:
        super().__init__()
        start = torch.eye(n_channels).repeat(n_subjects, 1, 1)
        if not identity:
            start = torch.randn(n_subjects, n_channels, n_channels) / n_channels**0.5
        self.matrices = nn.Parameter(start)

    def of(self, subject: int) -> Tensor:
        """Return the matrix of a subject, by number, outputs in rows."""
        return self.matrices[subject]

    def forward(self, subject: int, signal: Tensor) -> Tensor:
        """Mix the channels of signals ``(n_trials, n_channels, n_times)``."""
        return torch.matmul(self.of(subject), signal)
