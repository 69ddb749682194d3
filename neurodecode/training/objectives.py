"""The base of all objectives, and their weighted sum."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from neurodecode.core.errors import ConfigError, MismatchError
from neurodecode.encoders.brain.heads import RETRIEVAL
from neurodecode.encoders.brain.outputs import EncoderOutput
from neurodecode.training.batches import Batch

References = Mapping[str, Tensor]
HeadChoice = list[str] | Literal["targets"]


class Objective(nn.Module):
    """One term of a loss.

    Parameters
    ----------
    name : str
        Under which it is logged, unique within a sum.
    weight : float
        Factor in the sum.
    start, stop : float
        Part of the training, from 0 to 1, in which it counts: ``start <= progress < stop``; a stop of 1 includes the
        end.

    Raises
    ------
    ConfigError
        If the weight is negative or the part is empty.
    """

    acts_before_encoder = False

    def __init__(self, name: str, weight: float = 1.0, start: float = 0.0, stop: float = 1.0) -> None:
        super().__init__()
        if weight < 0:
            raise ConfigError(f"weight of objective {name!r}: got {weight}, expected 0 or more")
        if not 0 <= start < stop <= 1:
            raise ConfigError(f"objective {name!r}: got start {start} and stop {stop}, expected 0 <= start < stop <= 1")
        self.name = name
        self.weight = weight
        self.start = start
        self.stop = stop

    def active(self, progress: float) -> bool:
        """Tell whether the objective counts at this part of the training."""
        return self.start <= progress and (progress < self.stop or self.stop == 1)

    def before_encoder(self, batch: Batch) -> Batch:
        """Return the batch that the encoder is to see; only objectives that act before it change anything."""
        return batch

    def for_generator(self, output: EncoderOutput) -> dict[str, Tensor]:
        """Return heads that a generator is to be given in place of the encoder's own; none but of a prior."""
        return {}

    def forward(self, output: EncoderOutput, references: References, batch: Batch, progress: float) -> Tensor:
        """Return the unweighted loss.

        Parameters
        ----------
        output : EncoderOutput
            What the encoder made of the batch.
        references : mapping of str to Tensor
            The targets, and what the image side made of them under ``retrieval`` where there is one.
        batch : Batch
            The batch.
        progress : float
            Part of the training that is over, from 0 to 1.

        Returns
        -------
        Tensor
            A scalar. Its mean over processes is the loss of the whole batch.
        """
        raise NotImplementedError


class ObjectiveSum(nn.Module):
    """The weighted sum of objectives.

    Parameters
    ----------
    objectives : sequence of Objective
        The terms.

    Raises
    ------
    ConfigError
        If there is none, two share a name, or two would mix the same signals.

    Examples
    --------
    >>> from neurodecode.training.regression import Regression
    >>> from neurodecode.encoders.brain.batches import SubjectBatch
    >>> batch = Batch([SubjectBatch("a", torch.zeros(2, 1, 1))], {"x": torch.ones(2, 3)}, ["p", "q"],
    ...               torch.arange(2), torch.ones(2), torch.arange(2))
    >>> output = EncoderOutput({"x": torch.zeros(2, 3)}, torch.zeros(2, 1))
    >>> total, parts = ObjectiveSum([Regression(weight=2.0)])(output, batch.targets, batch, 0.0)
    >>> float(total), {name: float(part) for name, part in parts.items()}
    (2.0, {'regression': 1.0})
    """

    def __init__(self, objectives: Sequence[Objective]) -> None:
        super().__init__()
        if not objectives:
            raise ConfigError("objectives: got none, expected at least one")
        names = [objective.name for objective in objectives]
        repeated = [name for name in names if names.count(name) > 1]
        if repeated:
            raise ConfigError(f"objectives: the name {repeated[0]!r} occurs more than once, expected different names")
        self.objectives = nn.ModuleList(objectives)
        acting = [objective for objective in objectives if objective.acts_before_encoder]
        for first, second in pairwise(acting):
            if first.stop > second.start and second.stop > first.start:
                raise ConfigError(
                    f"objectives: {first.name!r} and {second.name!r} both mix signals at the same time, expected one"
                )

    def _terms(self) -> list[Objective]:
        return [term for term in self.objectives if isinstance(term, Objective)]

    def for_generator(self, output: EncoderOutput) -> dict[str, Tensor]:
        """Return the heads that a generator is to be given in place of the encoder's own."""
        return {name: head for term in self._terms() for name, head in term.for_generator(output).items()}

    def before_encoder(self, batch: Batch, progress: float) -> Batch:
        """Let the active objectives act on the batch."""
        for term in self._terms():
            if term.active(progress):
                batch = term.before_encoder(batch)
        return batch

    def forward(
        self, output: EncoderOutput, references: References, batch: Batch, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the sum and its unweighted parts.

        Returns
        -------
        total : Tensor
            The weighted sum of the active terms.
        parts : dict of str to Tensor
            Detached values, by name.

        Raises
        ------
        ConfigError
            If no term is active now.
        """
        parts: dict[str, Tensor] = {}
        total: Tensor | None = None
        for term in self._terms():
            if term.active(progress):
                loss: Tensor = term(output, references, batch, progress)
                parts[term.name] = loss.detach()
                total = term.weight * loss if total is None else total + term.weight * loss
        if total is None:
            raise ConfigError(f"objectives: none is active at {progress:.2f} of the training, expected at least one")
        return total, parts


def chosen_heads(heads: HeadChoice, output: EncoderOutput, references: References) -> list[str]:
    """Resolve and check which heads an objective reads.

    Parameters
    ----------
    heads : list of str or "targets"
        Names, or every head except the learned retrieval space.
    output, references
        Both must have every chosen head.

    Returns
    -------
    list of str
        In a fixed order.

    Raises
    ------
    MismatchError
        If a head has no reference or is not predicted, or the shapes differ.
    """
    names = [name for name in references if name != RETRIEVAL] if heads == "targets" else list(heads)
    if not names:
        raise MismatchError("heads: got none, expected at least one head with a target")
    for name in names:
        if name not in output.heads or name not in references:
            raise MismatchError(
                f"heads: got {name!r}, expected one that the encoder predicts ({', '.join(output.heads)}) "
                f"and that has a target ({', '.join(references)})"
            )
        if output.heads[name].shape[1:] != references[name].shape[1:]:
            raise MismatchError(
                f"head {name!r}: got shape {tuple(output.heads[name].shape[1:])}, "
                f"expected the target's {tuple(references[name].shape[1:])}"
            )
    return names


def side_by_side(values: Mapping[str, Tensor], names: Sequence[str]) -> Tensor:
    """Return several heads as one float32 matrix, flattened and side by side.

    Examples
    --------
    >>> side_by_side({"x": torch.zeros(2, 3), "y": torch.zeros(2, 2, 2)}, ["x", "y"]).shape
    torch.Size([2, 7])
    """
    parts = [values[name].flatten(1).float() for name in names]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
