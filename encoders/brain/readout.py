"""A linear path from every subject's window straight to the targets."""

from collections.abc import Mapping, Sequence
from math import prod

import torch
from torch import Tensor, nn

from neurodecode.core.errors import MismatchError
from neurodecode.encoders.brain.batches import SubjectBatch, check_groups
from neurodecode.encoders.brain.heads import Shape, target_shapes


class SubjectReadout(nn.Module):
    """One linear map a subject from the flattened window to all targets, beside the network.

    It starts at zero. A closed-form solution can be put in with :meth:`set_solution`, so that the network learns only
    what a linear decoder misses.

    Parameters
    ----------
    n_channels : mapping of str to int
        Number of channels of every subject.
    n_times : int
        Number of time points of a window.
    targets : mapping
        See :func:`neurodecode.encoders.brain.heads.target_shapes`.
    dropout : float
        Probability of dropping an input.

    Examples
    --------
    >>> readout = SubjectReadout({"a": 2}, 3, {"layer": 4})
    >>> readout.set_solution("a", "layer", torch.ones(6, 4), torch.zeros(4))
    >>> readout([SubjectBatch("a", torch.ones(1, 2, 3))])["layer"].tolist()
    [[6.0, 6.0, 6.0, 6.0]]
    """

    def __init__(
        self,
        n_channels: Mapping[str, int],
        n_times: int,
        targets: Mapping[str, int | list[int] | Shape],
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.n_channels = dict(n_channels)
        self.n_times = n_times
        self.shapes = target_shapes(targets)
        self.dropout = nn.Dropout(dropout)
        self.sizes = [prod(shape) for shape in self.shapes.values()]
        self.maps = nn.ModuleList(nn.Linear(count * n_times, sum(self.sizes)) for count in n_channels.values())
        for module in self.maps:
            assert isinstance(module, nn.Linear)
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)

    def set_solution(self, subject: str, target: str, weights: Tensor, intercept: Tensor) -> None:
        """Put in a solution found elsewhere.

        Parameters
        ----------
        subject, target : str
            Which map, and which of its outputs.
        weights : Tensor of shape (n_channels * n_times, n_dims)
            Coefficients; features are the window flattened channel by channel.
        intercept : Tensor of shape (n_dims,)
            Prediction for a window of zeros.

        Raises
        ------
        MismatchError
            If subject, target or shapes are not this readout's.
        """
        if subject not in self.n_channels or target not in self.shapes:
            known = f"subjects {', '.join(self.n_channels)} and targets {', '.join(self.shapes)}"
            raise MismatchError(f"readout: got subject {subject!r} and target {target!r}, expected {known}")
        names = list(self.shapes)
        begin = sum(self.sizes[: names.index(target)])
        end = begin + self.sizes[names.index(target)]
        expected = (self.n_channels[subject] * self.n_times, end - begin)
        if tuple(weights.shape) != expected:
            raise MismatchError(f"readout of {target!r}: got weights {tuple(weights.shape)}, expected {expected}")
        module = self.maps[list(self.n_channels).index(subject)]
        assert isinstance(module, nn.Linear)
        with torch.no_grad():
            module.weight[begin:end] = weights.T.to(module.weight)
            module.bias[begin:end] = intercept.to(module.bias)

    def forward(self, groups: Sequence[SubjectBatch]) -> dict[str, Tensor]:
        """Return a prediction of shape ``(n_trials, *shape)`` for every target."""
        check_groups(groups, self.n_channels, self.n_times)
        subjects = list(self.n_channels)
        flat = torch.cat(
            [self.maps[subjects.index(group.subject)](self.dropout(group.signal.flatten(1))) for group in groups]
        )
        return {
            name: part.reshape(-1, *shape)
            for (name, shape), part in zip(self.shapes.items(), torch.split(flat, self.sizes, dim=1), strict=True)
        }
