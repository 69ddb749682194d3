"""A map of voxels as tokens: every voxel's number opened up, all voxels summed up with weights of the subject's own."""

from collections.abc import Mapping

from torch import Tensor, nn

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.brain.front_ends import FrontEnd


class VoxelTokens(FrontEnd):
    """One linear map from a voxel's number to ``n_tokens`` numbers, one from all voxels to the tokens' width.

    Both belong to the subject, as in UMBRAE's tokenizer. One after the other they give tokens
    ``a_k W x + b_k W 1 + c``, which is how they are computed here: all voxels opened up at once would take ``n_tokens``
    times the memory of the signal.

    Parameters
    ----------
    n_channels, n_times, masking
        See :class:`FrontEnd`; a window is flattened channel by channel.
    n_tokens, width : int
        Number of tokens and of their features.

    References
    ----------
    Xia et al. (2024). UMBRAE: Unified Multimodal Brain Decoding. ECCV. https://doi.org/10.48550/arXiv.2404.07202

    Examples
    --------
    >>> import torch
    >>> from neurodecode.encoders.brain.batches import SubjectBatch
    >>> VoxelTokens({"a": 50}, 1, n_tokens=4, width=8)([SubjectBatch("a", torch.zeros(2, 50, 1))]).shape
    torch.Size([2, 8, 4])
    """

    def __init__(
        self,
        n_channels: Mapping[str, int],
        n_times: int,
        n_tokens: int = 256,
        width: int = 1024,
        masking: float = 0.0,
    ) -> None:
        super().__init__(n_channels, n_times, masking)
        if min(n_tokens, width) < 1:
            raise ConfigError(f"n_tokens, width: got {n_tokens} and {width}, expected at least 1 each")
        self.out_channels = width
        self.out_times = n_tokens
        self.openers = nn.ModuleList(nn.Linear(1, n_tokens) for _ in n_channels)
        self.summers = nn.ModuleList(nn.Linear(count * n_times, width) for count in n_channels.values())

    def adapt(self, subject: str, signal: Tensor) -> Tensor:
        """Return the tokens, shape (n_trials, width, n_tokens)."""
        number = self.subject_index(subject)
        opener, summer = self.openers[number], self.summers[number]
        assert isinstance(opener, nn.Linear)
        assert isinstance(summer, nn.Linear)
        summed = signal.flatten(1) @ summer.weight.T
        constant = summer.weight.sum(dim=1)
        tokens: Tensor = (
            summed[:, :, None] * opener.weight[:, 0] + constant[:, None] * opener.bias + summer.bias[:, None]
        )
        return tokens
