"""An encoder that parts what all subjects have in common from what tells them apart."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.brain.attention import Attention
from neurodecode.encoders.brain.backbones import Backbone
from neurodecode.encoders.brain.batches import SubjectBatch
from neurodecode.encoders.brain.brain_encoder import TargetSizes
from neurodecode.encoders.brain.front_ends import FrontEnd
from neurodecode.encoders.brain.heads import RETRIEVAL, Heads, LinearHeads
from neurodecode.encoders.brain.outputs import EncoderOutput


class _Reversal(torch.autograd.Function):
    """The identity, whose gradient is turned around."""

    @staticmethod
    def forward(context: Any, features: Tensor, strength: float) -> Tensor:
        context.strength = strength
        return features.view_as(features)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -context.strength * gradient, None


def reverse_gradient(features: Tensor, strength: float = 1.0) -> Tensor:
    """Return the features; what comes before is trained to make worse what comes behind.

    Parameters
    ----------
    features : Tensor
        Of any shape.
    strength : float
        Factor of the gradient.

    References
    ----------
    Ganin et al. (2016). Domain-Adversarial Training of Neural Networks. JMLR 17.
    https://doi.org/10.48550/arXiv.1505.07818

    Examples
    --------
    >>> features = torch.ones(2, requires_grad=True)
    >>> torch.autograd.grad(reverse_gradient(features, 0.5).sum(), features)[0].tolist()
    [-0.5, -0.5]
    """
    reversed_: Tensor = _Reversal.apply(features, strength)  # type: ignore[no-untyped-call]
    return reversed_


class InvariantEncoder(nn.Module):
    """ZEBRA's split: attention takes from the tokens what is common, and what it leaves is the subject's.

    Heads read the mean of the common part. Beside them ``inner`` holds scores of the subjects: ``told_invariant`` from
    the common part, behind a reversed gradient, so that training hides the subject; ``told_specific`` from what is
    left, where the subject should be found; and ``subject``, the right answers. With ``hides_stimulus`` there is also
    ``told_stimulus``, what the heads make of what is left, behind a reversed gradient: the stimulus should not be found
    there. With ``rebuilds`` the output has a ``reconstruction`` of the front end's tokens, to be compared with
    ``whole``, the tokens with nothing masked: behind a front end that masks, a masked autoencoder's task.

    Nothing in it belongs to a subject. Behind a front end without parts of subjects, such as
    :class:`neurodecode.encoders.brain.volume_patches.VolumePatches`, it decodes people it was not trained with.

    Parameters
    ----------
    n_channels, n_times, targets
        See :class:`neurodecode.encoders.brain.brain_encoder.BrainEncoder`.
    backbone : callable
        Builds a backbone that keeps its tokens.
    front_end, heads : callable
        See :class:`neurodecode.encoders.brain.brain_encoder.BrainEncoder`.
    n_heads : int
        Heads of the attention that takes out the common part.
    strength : float
        Factor of the reversed gradient.
    most_subjects : int
        Number of scores of subjects; as many subjects can be trained together.
    hides_stimulus, rebuilds : bool
        See above.

    Raises
    ------
    ConfigError
        If there are more subjects, the backbone keeps no tokens, or there is no head ``retrieval`` to hide it from.

    References
    ----------
    Wang et al. (2025). ZEBRA: Towards Zero-Shot Cross-Subject Generalization for Universal Brain Visual Decoding.
    NeurIPS. https://doi.org/10.48550/arXiv.2510.27128

    Examples
    --------
    >>> from functools import partial
    >>> from neurodecode.encoders.brain.front_ends import Identity
    >>> from neurodecode.encoders.brain.token_transformer import TokenTransformer
    >>> backbone = partial(TokenTransformer, width=8, n_layers=1, n_heads=2, pooling="none")
    >>> encoder = InvariantEncoder({"a": 5}, 6, {"x": 3}, backbone, Identity, n_heads=2)
    >>> encoder([SubjectBatch("a", torch.zeros(2, 5, 6))]).inner["told_invariant"].shape
    torch.Size([2, 16])
    """

    def __init__(
        self,
        n_channels: dict[str, int],
        n_times: int,
        targets: TargetSizes,
        backbone: Callable[[int, int], Backbone],
        front_end: Callable[[dict[str, int], int], FrontEnd],
        heads: Callable[[int, TargetSizes], Heads] = LinearHeads,
        n_heads: int = 8,
        strength: float = 1.0,
        most_subjects: int = 16,
        hides_stimulus: bool = False,
        rebuilds: bool = False,
    ) -> None:
        super().__init__()
        if len(n_channels) > most_subjects:
            raise ConfigError(f"most_subjects: got {most_subjects}, expected at least {len(n_channels)} as there are")
        self.front_end = front_end(n_channels, n_times)
        self.backbone = backbone(self.front_end.out_channels, self.front_end.out_times)
        if self.backbone.out_times is None:
            kind = type(self.backbone).__name__
            raise ConfigError(f"backbone: got {kind} that pools tokens, expected one that keeps tokens")
        width = self.backbone.out_features
        self.norm = nn.LayerNorm(width)
        self.common = Attention(width, n_heads)
        self.heads = heads(width, targets)
        if self.heads.reads_time:
            raise ConfigError(f"heads: got {type(self.heads).__name__}, which read tokens, expected heads of a vector")
        self.discriminator, self.classifier = (
            nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, most_subjects)) for _ in range(2)
        )
        self.strength = strength
        if hides_stimulus and RETRIEVAL not in targets:
            raise ConfigError(f"hides_stimulus: got no head {RETRIEVAL!r}, expected an image_side")
        self.hides_stimulus = hides_stimulus
        self.rebuild = nn.Linear(width, self.front_end.out_channels) if rebuilds else None

    def extra_repr(self) -> str:
        """Name what shapes alone do not tell."""
        return f"strength={self.strength}, hides_stimulus={self.hides_stimulus}"

    def split(self, groups: Sequence[SubjectBatch]) -> tuple[Tensor, Tensor]:
        """Return the common part and what is left, each ``(n_trials, n_tokens, width)``; they add up to the tokens."""
        tokens = self.backbone(self.front_end(groups)).transpose(1, 2)
        common: Tensor = self.common(self.norm(tokens))
        return common, tokens - common

    def forward(self, groups: Sequence[SubjectBatch]) -> EncoderOutput:
        """Encode a batch; see :meth:`neurodecode.encoders.brain.brain_encoder.BrainEncoder.forward`."""
        common, specific = self.split(groups)
        latent = common.mean(dim=1)
        subjects = [self.front_end.subject_index(group.subject) for group in groups for _ in range(len(group))]
        inner = {
            "told_invariant": self.discriminator(reverse_gradient(latent, self.strength)),
            "told_specific": self.classifier(specific.mean(dim=1)),
            "subject": torch.tensor(subjects, device=latent.device),
        }
        if self.hides_stimulus:
            hidden = reverse_gradient(specific.mean(dim=1), self.strength)
            inner["told_stimulus"] = self.heads(hidden)[RETRIEVAL]
        reconstruction = None
        if self.rebuild is not None:
            reconstruction = self.rebuild(common + specific).transpose(1, 2)
            inner["whole"] = self.front_end.unmasked(groups)
        return EncoderOutput(self.heads(latent), latent, reconstruction, inner)
