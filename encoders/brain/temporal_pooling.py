"""What becomes of time: kept, averaged, weighed by learned weights, or by attention."""

from typing import Literal

from torch import Tensor, nn

from neurodecode.core.errors import ConfigError

Pooling = Literal["none", "mean", "linear", "attention"]


class MeanPooling(nn.Module):
    """Average over time.

    Examples
    --------
    >>> import torch
    >>> MeanPooling()(torch.ones(2, 4, 9)).shape
    torch.Size([2, 4])
    """

    def forward(self, signal: Tensor) -> Tensor:
        """Return features without time."""
        return signal.mean(dim=2)


class LinearPooling(nn.Module):
    """A learned weight for every time, the same for all features.

    Parameters
    ----------
    n_times : int
        Number of time points.

    Examples
    --------
    >>> import torch
    >>> LinearPooling(9)(torch.ones(2, 4, 9)).shape
    torch.Size([2, 4])
    """

    def __init__(self, n_times: int) -> None:
        super().__init__()
        self.weights = nn.Linear(n_times, 1)

    def forward(self, signal: Tensor) -> Tensor:
        """Return features without time."""
        pooled: Tensor = self.weights(signal).squeeze(2)
        return pooled


class AttentionPooling(nn.Module):
    """Additive attention: the weight of a time follows from the features at that time.

    Parameters
    ----------
    width : int
        Number of features.
    hidden : int
        Width of the layer that makes the weights.

    References
    ----------
    Bahdanau et al. (2015). Neural Machine Translation by Jointly Learning to Align and Translate. ICLR.
    https://doi.org/10.48550/arXiv.1409.0473

    Examples
    --------
    >>> import torch
    >>> AttentionPooling(4, 3)(torch.ones(2, 4, 9)).mean().item()
    1.0
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Conv1d(width, hidden, 1), nn.Tanh(), nn.Conv1d(hidden, 1, 1, bias=False))

    def forward(self, signal: Tensor) -> Tensor:
        """Return features without time."""
        pooled: Tensor = (signal * self.score(signal).softmax(dim=2)).sum(dim=2)
        return pooled


def build_pooling(kind: Pooling, width: int, n_times: int) -> nn.Module:
    """Build one of the ways to pool over time.

    Parameters
    ----------
    kind : str
        ``none`` keeps time; ``mean``; ``linear``, a learned weight a time; ``attention``, weights from the features.
    width, n_times : int
        Shape of what is pooled.

    Raises
    ------
    ConfigError
        For another kind.

    Examples
    --------
    >>> type(build_pooling("linear", 4, 9)).__name__
    'LinearPooling'
    """
    if kind == "none":
        return nn.Identity()
    if kind == "mean":
        return MeanPooling()
    if kind == "linear":
        return LinearPooling(n_times)
    if kind == "attention":
        return AttentionPooling(width, width)
    raise ConfigError(f"pooling: got {kind!r}, expected one of none, mean, linear, attention")
