"""The assembled brain encoder: front end, backbone, heads."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.brain.backbones import Backbone
from neurodecode.encoders.brain.batches import SubjectBatch
from neurodecode.encoders.brain.context import Context
from neurodecode.encoders.brain.front_ends import FrontEnd, Identity
from neurodecode.encoders.brain.heads import Heads, LinearHeads
from neurodecode.encoders.brain.outputs import EncoderOutput
from neurodecode.encoders.brain.readout import SubjectReadout

TargetSizes = dict[str, int | list[int]]


class BrainEncoder(nn.Module):
    """A front end that adapts to the subject, a backbone that all share, and a head a target.

    Any other ``nn.Module`` may take its place in a config, if it is built from the same first three arguments and its
    call takes a list of :class:`SubjectBatch` and returns an :class:`EncoderOutput`.

    Parameters
    ----------
    n_channels : dict of str to int
        Number of channels of every subject; known from the data.
    n_times : int
        Number of time points of a window; known from the data.
    targets : dict of str to int or list of int
        Size or shape of every head; known from the data.
    backbone : callable
        Builds the backbone from the front end's number of channels and time points.
    front_end : callable
        Builds the front end from ``n_channels`` and ``n_times``.
    heads : callable
        Builds the heads from the backbone's width and ``targets``.
    context : callable or None
        Builds, from the backbone's width, a module that lets the trials of a sequence (the words of a sentence) see
        each other before the heads; see :class:`neurodecode.encoders.brain.sequence_context.SequenceContext`.
    linear_path : bool
        Add a linear map a subject from the window to every target. The network's own heads then start at zero, and
        training can start from a closed-form linear solution.
    linear_dropout : float
        Dropout of the inputs of the linear path.

    Examples
    --------
    >>> import torch
    >>> from neurodecode.encoders.brain.projection_mlp import ProjectionMLP
    >>> encoder = BrainEncoder({"sub-01": 8}, 10, {"layer": 5}, backbone=ProjectionMLP)
    >>> encoder([SubjectBatch("sub-01", torch.zeros(2, 8, 10))]).heads["layer"].shape
    torch.Size([2, 5])
    """

    def __init__(
        self,
        n_channels: dict[str, int],
        n_times: int,
        targets: TargetSizes,
        backbone: Callable[[int, int], Backbone],
        front_end: Callable[[dict[str, int], int], FrontEnd] = Identity,
        heads: Callable[[int, TargetSizes], Heads] = LinearHeads,
        context: Callable[[int], Context] | None = None,
        linear_path: bool = False,
        linear_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if linear_dropout and not linear_path:
            raise ConfigError(f"linear_dropout: got {linear_dropout} without linear_path, expected 0")
        self.front_end = front_end(n_channels, n_times)
        self.backbone = backbone(self.front_end.out_channels, self.front_end.out_times)
        self.heads = heads(self.backbone.out_features, targets)
        keeps_time = self.backbone.out_times is not None
        if keeps_time != self.heads.reads_time:
            expected = "TimeHeads" if keeps_time else "heads that read no time"
            raise ConfigError(
                f"heads: got {type(self.heads).__name__} behind a backbone that "
                f"{'keeps' if keeps_time else 'does not keep'} time, expected {expected}"
            )
        self.context = None if context is None else context(self.backbone.out_features)
        self.linear_path = SubjectReadout(n_channels, n_times, targets, linear_dropout) if linear_path else None
        if linear_path:
            for module in self.heads.maps:
                last = module if isinstance(module, nn.Linear) else list(module.modules())[-1]
                if not isinstance(last, nn.Linear):
                    raise ConfigError("heads: got heads that do not end in a linear map, expected it with linear_path")
                nn.init.zeros_(last.weight)
                nn.init.zeros_(last.bias)

    def forward(self, groups: Sequence[SubjectBatch]) -> EncoderOutput:
        """Encode a batch.

        Parameters
        ----------
        groups : sequence of SubjectBatch
            One group a subject.

        Returns
        -------
        EncoderOutput
            Rows in the order of the groups.

        Raises
        ------
        MismatchError
            For a subject or a shape the encoder was not built for.
        """
        latent: Tensor = self.backbone(self.front_end(groups))
        if self.context is not None:
            latent = self.context(latent, groups)
        predictions: dict[str, Tensor] = self.heads(latent)
        if self.linear_path is not None:
            linear: dict[str, Tensor] = self.linear_path(groups)
            predictions = {name: linear[name] + prediction for name, prediction in predictions.items()}
        return EncoderOutput(heads=predictions, latent=latent)
