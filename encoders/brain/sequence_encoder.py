"""Predict the next time of a signal from all before: what a network of sequences is pretrained on."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.brain.batches import SubjectBatch
from neurodecode.encoders.brain.brain_encoder import TargetSizes
from neurodecode.encoders.brain.front_ends import FrontEnd, Identity
from neurodecode.encoders.brain.token_transformer import TokenTransformer


class SequenceEncoder(nn.Module):
    """A causal transformer over times, and a linear map from each time to the next one's signal.

    Front end and backbone have the names they have in
    :class:`neurodecode.encoders.brain.brain_encoder.BrainEncoder`, so that a decoder can start from their weights.

    Parameters
    ----------
    n_channels, n_times
        See :class:`neurodecode.encoders.brain.brain_encoder.BrainEncoder`; at least two times.
    targets : mapping
        Not used: there is nothing to predict but the signal.
    backbone : callable
        Builds a causal :class:`neurodecode.encoders.brain.token_transformer.TokenTransformer`.
    front_end : callable
        Builds a front end without weights: one that learns could make signals easy to predict.

    Raises
    ------
    ConfigError
        If one of these is not so.

    References
    ----------
    Wang et al. (2024). Decoding Visual Experience and Mapping Semantics through Whole-Brain Analysis Using fMRI
    Foundation Models. https://doi.org/10.48550/arXiv.2411.07121

    Examples
    --------
    >>> import torch
    >>> from functools import partial
    >>> backbone = partial(TokenTransformer, width=8, n_layers=1, n_heads=2, causal=True, pooling="last")
    >>> encoder = SequenceEncoder({"a": 5}, 6, {}, backbone)
    >>> predicted, signal = encoder([SubjectBatch("a", torch.zeros(2, 5, 6))])
    >>> predicted.shape, signal.shape
    (torch.Size([2, 5, 5]), torch.Size([2, 5, 6]))
    """

    def __init__(
        self,
        n_channels: dict[str, int],
        n_times: int,
        targets: TargetSizes,
        backbone: Callable[[int, int], TokenTransformer],
        front_end: Callable[[dict[str, int], int], FrontEnd] = Identity,
    ) -> None:
        super().__init__()
        self.front_end = front_end(n_channels, n_times)
        if any(True for _ in self.front_end.parameters()):
            kind = type(self.front_end).__name__
            raise ConfigError(f"front_end: got {kind}, expected one without weights to pretrain")
        if self.front_end.out_times < 2:
            raise ConfigError(f"windows: got {self.front_end.out_times} time, expected two or more to predict the next")
        self.backbone = backbone(self.front_end.out_channels, self.front_end.out_times)
        if not isinstance(self.backbone, TokenTransformer) or not self.backbone.causal:
            raise ConfigError("backbone: got one that sees what is to be predicted, expected a causal TokenTransformer")
        self.following = nn.Linear(self.backbone.out_features, self.front_end.out_channels)

    def forward(self, groups: Sequence[SubjectBatch]) -> tuple[Tensor, Tensor]:
        """Predict every time but the first.

        Parameters
        ----------
        groups : sequence of SubjectBatch
            One group a subject.

        Returns
        -------
        predicted : Tensor of shape (n_trials, n_channels, n_times - 1)
            The second to the last time, each from those before it.
        signal : Tensor of shape (n_trials, n_channels, n_times)
            What was measured, in the layout that all subjects share.
        """
        signal: Tensor = self.front_end(groups)
        tokens = self.backbone.tokens(signal)
        predicted: Tensor = self.following(tokens[:, :-1]).transpose(1, 2)
        return predicted, signal
