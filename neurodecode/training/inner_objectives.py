"""Objectives on what an encoder holds beside its heads: reconstructions, cycles, and who the signal came from."""

from torch import Tensor
from torch.nn import functional

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.brain.outputs import EncoderOutput
from neurodecode.training.batches import Batch
from neurodecode.training.gathering import gathered_sizes, world
from neurodecode.training.objectives import Objective, References

RECONSTRUCTION = "reconstruction"


def inner_part(output: EncoderOutput, part: str, who: str) -> Tensor:
    """Return a named part of an encoder's output, or say what it has.

    Raises
    ------
    ConfigError
        If the encoder has no such part.

    Examples
    --------
    >>> import torch
    >>> inner_part(EncoderOutput({}, torch.zeros(1), inner={"shared": torch.ones(2)}), "shared", "cycle").tolist()
    [1.0, 1.0]
    """
    parts = dict(output.inner)
    if output.reconstruction is not None:
        parts[RECONSTRUCTION] = output.reconstruction
    if part not in parts:
        known = ", ".join(parts) or "none"
        raise ConfigError(f"objective {who!r}: got the part {part!r}, expected one the encoder gives ({known})")
    return parts[part]


def mean_over_rows(losses: Tensor) -> Tensor:
    """Average a loss a row, so that the mean over processes is that of the whole batch.

    Examples
    --------
    >>> import torch
    >>> mean_over_rows(torch.tensor([1.0, 3.0])).item()
    2.0
    """
    _, count = world()
    return losses.sum() * (count / sum(gathered_sizes(losses)))


class Agreement(Objective):
    """Squared difference of two parts of the encoder's output, averaged over rows and dimensions.

    Parameters
    ----------
    part, reference : str
        Which parts: names of ``EncoderOutput.inner``, or ``reconstruction``.
    name, weight, start, stop
        See :class:`neurodecode.training.objectives.Objective`.

    Examples
    --------
    >>> import torch
    >>> from neurodecode.encoders.brain.batches import SubjectBatch
    >>> batch = Batch([SubjectBatch("a", torch.zeros(1, 1, 1))], {}, ["p"], *[torch.zeros(1).long()] * 3)
    >>> output = EncoderOutput({}, torch.zeros(1, 2), inner={"x": torch.zeros(1, 2), "y": torch.full((1, 2), 3.0)})
    >>> Agreement("x", "y")(output, {}, batch, 0.0).item()
    9.0
    """

    def __init__(
        self,
        part: str,
        reference: str,
        name: str = "agreement",
        weight: float = 1.0,
        start: float = 0.0,
        stop: float = 1.0,
    ) -> None:
        super().__init__(name, weight, start, stop)
        self.part = part
        self.reference = reference

    def forward(self, output: EncoderOutput, references: References, batch: Batch, progress: float) -> Tensor:
        """Return the mean squared difference; see :meth:`Objective.forward`."""
        part = inner_part(output, self.part, self.name).float()
        reference = inner_part(output, self.reference, self.name).float()
        if part.shape != reference.shape:
            raise ConfigError(
                f"objective {self.name!r}: got {self.part} of shape {tuple(part.shape)} and {self.reference} of shape "
                f"{tuple(reference.shape)}, expected the same"
            )
        return mean_over_rows(((part - reference) ** 2).flatten(1).mean(dim=1))


class SubjectClassification(Objective):
    """Cross entropy of telling from which subject a row came.

    Where the encoder turns gradients around before these scores, training makes the subject hard to tell.

    Parameters
    ----------
    part : str
        Scores of the subjects, a name of ``EncoderOutput.inner``, shape (n_rows, n_subjects).
    name, weight, start, stop
        See :class:`neurodecode.training.objectives.Objective`.

    Notes
    -----
    The encoder gives the number of every row's subject as ``subject`` among ``inner``.
    """

    def __init__(
        self,
        part: str,
        name: str = "subject",
        weight: float = 1.0,
        start: float = 0.0,
        stop: float = 1.0,
    ) -> None:
        super().__init__(name, weight, start, stop)
        self.part = part

    def forward(self, output: EncoderOutput, references: References, batch: Batch, progress: float) -> Tensor:
        """Return the mean cross entropy; see :meth:`Objective.forward`."""
        scores = inner_part(output, self.part, self.name).float()
        subject = inner_part(output, "subject", self.name)
        return mean_over_rows(functional.cross_entropy(scores, subject, reduction="none"))
