"""Regression objectives: predict the target itself."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.brain.outputs import EncoderOutput
from neurodecode.training.batches import Batch, Mix
from neurodecode.training.gathering import gathered_sizes, world
from neurodecode.training.objectives import HeadChoice, Objective, References, chosen_heads

Kind = Literal["mse", "cosine", "smooth_l1"]


def mixed_target(target: Tensor, mix: Mix | None) -> Tensor:
    """Return targets mixed in the shares of their signals.

    Examples
    --------
    >>> mixed_target(torch.tensor([[0.0], [4.0]]), Mix(torch.tensor([1, 0]), torch.tensor([0.75, 1.0]))).flatten()
    tensor([1., 4.])
    """
    if mix is None:
        return target
    keep = mix.keep.to(target).reshape(-1, *[1] * (target.ndim - 1))
    return keep * target + (1 - keep) * target[mix.partner]


class Regression(Objective):
    """Distance between a head's prediction and its target, averaged over rows, dimensions and heads.

    Parameters
    ----------
    kind : str
        ``mse``, ``cosine`` (1 minus the cosine over the last axis) or ``smooth_l1`` (Huber with threshold 1).
    heads : list of str or "targets"
        Which heads are compared with their targets.
    head_weights : dict of str to float or None
        Weight of a head in the mean over heads; heads that are not named weigh 1.
    normalise : bool
        Scale prediction and target to unit length over the last axis first.
    flatten : bool
        Take all numbers of a row as one vector before that, so that tokens share one length.
    name, weight, start, stop
        See :class:`Objective`.

    Raises
    ------
    ConfigError
        If a weight is negative.
    """

    def __init__(
        self,
        kind: Kind = "mse",
        heads: HeadChoice = "targets",
        head_weights: dict[str, float] | None = None,
        normalise: bool = False,
        flatten: bool = False,
        name: str = "regression",
        weight: float = 1.0,
        start: float = 0.0,
        stop: float = 1.0,
    ) -> None:
        super().__init__(name, weight, start, stop)
        self.kind: Kind = kind
        self.heads = heads
        self.head_weights = dict(head_weights or {})
        self.normalise = normalise
        self.flatten = flatten
        for head, factor in self.head_weights.items():
            if factor < 0:
                raise ConfigError(f"head_weights of {name!r}: got {factor} for {head!r}, expected 0 or more")

    def _distance(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the sum over rows of the mean distance within a row."""
        if self.flatten:
            prediction, target = prediction.flatten(1), target.flatten(1)
        if self.normalise:
            prediction, target = functional.normalize(prediction, dim=-1), functional.normalize(target, dim=-1)
        if self.kind == "cosine":
            values = 1 - functional.cosine_similarity(prediction, target, dim=-1)
        elif self.kind == "mse":
            values = (prediction - target) ** 2
        else:
            values = functional.smooth_l1_loss(prediction, target, reduction="none")
        return values.reshape(len(values), -1).mean(dim=1).sum()

    def forward(self, output: EncoderOutput, references: References, batch: Batch, progress: float) -> Tensor:
        """Return the mean distance; see :meth:`Objective.forward`."""
        names = chosen_heads(self.heads, output, references)
        factors = [self.head_weights.get(name, 1.0) for name in names]
        if sum(factors) == 0:
            raise ConfigError(f"head_weights of {self.name!r}: got 0 for every head, expected one above 0")
        losses = torch.stack(
            [
                factor * self._distance(output.heads[name].float(), mixed_target(references[name].float(), batch.mix))
                for name, factor in zip(names, factors, strict=True)
            ]
        )
        _, count = world()
        return losses.sum() / sum(factors) * (count / sum(gathered_sizes(losses.new_empty(len(batch)))))
