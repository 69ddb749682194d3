"""Maps of any number of voxels, pooled to one length, embedded by each subject's own map, and built again from that."""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.brain.backbones import check_dropout
from neurodecode.encoders.brain.front_ends import FrontEnd


class LowRankAdapter(nn.Module):
    """Add a correction through a narrow layer, which starts at nothing.

    Parameters
    ----------
    width, rank : int
        Number of features, and of those between.

    Examples
    --------
    >>> import torch
    >>> LowRankAdapter(4, 2)(torch.ones(1, 4)).tolist()
    [[1.0, 1.0, 1.0, 1.0]]
    """

    def __init__(self, width: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, rank)
        self.up = nn.Linear(rank, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape."""
        corrected: Tensor = features + self.up(functional.gelu(self.down(features)))
        return corrected


def pool_voxels(signal: Tensor, pooled: int) -> Tensor:
    """Bring windows to one length: the largest of each of ``pooled`` stretches of neighbours.

    Stretches overlap where the length does not divide by their number, and repeat voxels where there are fewer.

    Parameters
    ----------
    signal : Tensor of shape (n_trials, n_channels, n_times)
        Windows; flattened channel by channel.
    pooled : int
        Number of stretches.

    Returns
    -------
    Tensor of shape (n_trials, pooled)

    Examples
    --------
    >>> import torch
    >>> pool_voxels(torch.tensor([1.0, 5.0, 2.0, 3.0]).reshape(1, 4, 1), 2).tolist()
    [[5.0, 3.0]]
    """
    return functional.adaptive_max_pool1d(signal.flatten(1).unsqueeze(1), pooled).squeeze(1)


class PooledEmbedding(FrontEnd):
    """Pool voxels to one length, then embed them with the subject's own adapter and map.

    Parameters
    ----------
    n_channels, n_times, masking
        See :class:`FrontEnd`.
    pooled : int
        Length after pooling.
    width : int
        Width of the embedding.
    rank : int
        Width of the adapter's narrow layer.
    dropout : float
        Dropout of the embedding.

    References
    ----------
    Wang et al. (2024). MindBridge: A Cross-Subject Brain Decoding Framework. CVPR.
    https://doi.org/10.48550/arXiv.2404.07850

    Examples
    --------
    >>> import torch
    >>> from neurodecode.encoders.brain.batches import SubjectBatch
    >>> front_end = PooledEmbedding({"a": 50, "b": 30}, 1, pooled=16, width=8, rank=2)
    >>> front_end([SubjectBatch("a", torch.zeros(2, 50, 1)), SubjectBatch("b", torch.zeros(1, 30, 1))]).shape
    torch.Size([3, 8, 1])
    """

    def __init__(
        self,
        n_channels: Mapping[str, int],
        n_times: int,
        pooled: int = 8192,
        width: int = 2048,
        rank: int = 128,
        dropout: float = 0.5,
        masking: float = 0.0,
    ) -> None:
        super().__init__(n_channels, n_times, masking)
        check_dropout(dropout=dropout)
        if min(pooled, width, rank) < 1:
            raise ConfigError(f"pooled, width, rank: got {pooled}, {width} and {rank}, expected at least 1 each")
        self.pooled = pooled
        self.out_channels = width
        self.out_times = 1
        self.embedders = nn.ModuleList(
            nn.Sequential(
                LowRankAdapter(pooled, rank),
                nn.Linear(pooled, width),
                nn.LayerNorm(width),
                nn.GELU(),
                nn.Dropout(dropout),
            )
            for _ in n_channels
        )

    def embed(self, subject: str, pooled: Tensor) -> Tensor:
        """Embed pooled maps ``(n_trials, pooled)`` as the subject's own, shape (n_trials, width)."""
        embedded: Tensor = self.embedders[self.subject_index(subject)](pooled)
        return embedded

    def adapt(self, subject: str, signal: Tensor) -> Tensor:
        """Pool and embed."""
        return self.embed(subject, pool_voxels(signal, self.pooled)).unsqueeze(-1)


class SignalBuilder(nn.Sequential):
    """From the embedding back to a subject's pooled map.

    Parameters
    ----------
    width, pooled, rank : int
        See :class:`PooledEmbedding`.

    Examples
    --------
    >>> import torch
    >>> SignalBuilder(8, 16, 2)(torch.zeros(3, 8)).shape
    torch.Size([3, 16])
    """

    def __init__(self, width: int, pooled: int, rank: int) -> None:
        super().__init__(nn.Linear(width, pooled), nn.LayerNorm(pooled), nn.GELU(), LowRankAdapter(pooled, rank))
