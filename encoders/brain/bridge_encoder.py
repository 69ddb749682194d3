"""An encoder that also builds signals: every subject's embedding can be turned into any other subject's signal."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from neurodecode.encoders.brain.backbones import Backbone
from neurodecode.encoders.brain.batches import SubjectBatch, check_groups
from neurodecode.encoders.brain.brain_encoder import BrainEncoder, TargetSizes
from neurodecode.encoders.brain.heads import Heads, LinearHeads
from neurodecode.encoders.brain.outputs import EncoderOutput
from neurodecode.encoders.brain.pooled_embedding import PooledEmbedding, SignalBuilder, pool_voxels


class BridgeEncoder(BrainEncoder):
    """MindBridge: pooled voxels, an embedder and a builder for every subject, everything else shared.

    Beside the heads its output holds the ``reconstruction`` of the pooled maps and, among ``inner``: ``pooled``, what
    was to be reconstructed; ``shared``, the embedding; and ``cycled``, the embedding after a trip through another
    subject, whose signal is built from it and embedded as theirs. In training that subject is drawn for every group, in
    evaluation it is the next one; an encoder of one subject goes through that subject.

    Parameters
    ----------
    n_channels, n_times, targets, backbone, heads
        See :class:`neurodecode.encoders.brain.brain_encoder.BrainEncoder`.
    pooled, width, rank, dropout, masking
        See :class:`neurodecode.encoders.brain.pooled_embedding.PooledEmbedding`.

    References
    ----------
    Wang et al. (2024). MindBridge: A Cross-Subject Brain Decoding Framework. CVPR.
    https://doi.org/10.48550/arXiv.2404.07850

    Examples
    --------
    >>> from neurodecode.encoders.brain.residual_mlp import ResidualMLP
    >>> backbone = partial(ResidualMLP, width=8, entry=False, activated=False)
    >>> encoder = BridgeEncoder({"a": 50, "b": 30}, 1, {"x": 5}, backbone, pooled=16, width=8, rank=2)
    >>> output = encoder([SubjectBatch("a", torch.zeros(2, 50, 1))])
    >>> output.reconstruction.shape, output.inner["cycled"].shape
    (torch.Size([2, 16]), torch.Size([2, 8]))
    """

    front_end: PooledEmbedding

    def __init__(
        self,
        n_channels: dict[str, int],
        n_times: int,
        targets: TargetSizes,
        backbone: Callable[[int, int], Backbone],
        pooled: int = 8192,
        width: int = 2048,
        rank: int = 128,
        dropout: float = 0.5,
        heads: Callable[[int, TargetSizes], Heads] = LinearHeads,
        masking: float = 0.0,
    ) -> None:
        front_end = partial(PooledEmbedding, pooled=pooled, width=width, rank=rank, dropout=dropout, masking=masking)
        super().__init__(n_channels, n_times, targets, backbone, front_end, heads)
        self.builders = nn.ModuleList(SignalBuilder(width, pooled, rank) for _ in n_channels)

    def subject_parts(self, subject: str) -> list[nn.Module]:
        """Return the modules that belong to a subject: embedder and builder. All others are shared."""
        number = self.front_end.subject_index(subject)
        return [self.front_end.embedders[number], self.builders[number]]

    def build(self, subject: str, shared: Tensor) -> Tensor:
        """Build a subject's pooled maps ``(n_trials, pooled)`` from embeddings ``(n_trials, width)``."""
        built: Tensor = self.builders[self.front_end.subject_index(subject)](shared)
        return built

    def synthesise(self, group: SubjectBatch, subject: str) -> Tensor:
        """Return what another subject's pooled map would be for the same stimuli.

        Parameters
        ----------
        group : SubjectBatch
            What was measured.
        subject : str
            Whose maps are wanted.

        Returns
        -------
        Tensor of shape (n_trials, pooled)
        """
        return self.build(subject, self.front_end([group]).squeeze(-1))

    def _other(self, subject: str) -> str:
        subjects = self.front_end.subjects
        step = int(torch.randint(1, len(subjects), ())) if self.training and len(subjects) > 1 else 1
        return subjects[(self.front_end.subject_index(subject) + step) % len(subjects)]

    def forward(self, groups: Sequence[SubjectBatch]) -> EncoderOutput:
        """Encode a batch; see :meth:`neurodecode.encoders.brain.brain_encoder.BrainEncoder.forward`."""
        check_groups(groups, self.front_end.n_channels, self.front_end.n_times)
        pooled, shared, built, cycled = [], [], [], []
        for group in groups:
            pooled.append(pool_voxels(group.signal, self.front_end.pooled))
            seen = pool_voxels(self.front_end.masked(group.signal), self.front_end.pooled)
            shared.append(self.front_end.embed(group.subject, seen))
            built.append(self.build(group.subject, shared[-1]))
            other = self._other(group.subject)
            cycled.append(self.front_end.embed(other, self.build(other, shared[-1])))
        embedding = torch.cat(shared)
        latent: Tensor = self.backbone(embedding.unsqueeze(-1))
        inner = {"pooled": torch.cat(pooled), "shared": embedding, "cycled": torch.cat(cycled)}
        return EncoderOutput(self.heads(latent), latent, torch.cat(built), inner)
