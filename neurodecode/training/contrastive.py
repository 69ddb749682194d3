"""Contrastive objectives: tell the right stimulus from the other ones in the batch."""

from math import cos, isfinite, log, pi
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.brain.outputs import EncoderOutput
from neurodecode.training.batches import Batch, draw_mix, mixed
from neurodecode.training.gathering import gather_rows, gathered_sizes, world
from neurodecode.training.inner_objectives import inner_part
from neurodecode.training.objectives import HeadChoice, Objective, References, chosen_heads, side_by_side
from neurodecode.training.pairs import (
    Duplicates,
    Side,
    cross_entropy_of_pairs,
    normalise_sides,
    pair_weights,
    require_several,
    similarities,
)

Temperature = Literal["none", "fixed", "exp", "softplus"]

CLIP_LOG_SCALE = log(1 / 0.07)


class Contrastive(Objective):
    r"""Cross entropy over similarities within the batch (InfoNCE).

    The similarity of row :math:`i` and stimulus :math:`j` is :math:`s \, b_i \cdot v_j`. Every choice that published
    code makes differently is an argument.

    Parameters
    ----------
    heads : list of str or "targets"
        Which heads are compared with their targets, side by side as one vector; ``["retrieval"]`` compares with the
        image side's head.
    normalise : str
        Whose vectors get unit length: ``brain``, ``image``, ``both`` or ``none``.
    temperature : str
        What the scale :math:`s` is: 1 (``none``), ``scale`` (``fixed``), its exponential (``exp``), or
        :math:`\log(1 + e^\mathrm{scale})` (``softplus``).
    scale : float
        Start of the parameter; the default is CLIP's, :math:`\log(1 / 0.07)`.
    learnable : bool
        Whether ``scale`` is trained; only with ``exp`` and ``softplus``.
    max_scale : float
        Upper bound of the resulting :math:`s` with ``exp`` and ``softplus``.
    directions : str
        ``one``: which image does this signal show; ``two``: also which signal belongs to this image, averaged.
    duplicates : str
        See :func:`pair_weights`.
    gather : bool
        Take the negatives of all processes.
    part : str or None
        A part of ``EncoderOutput.inner`` that is compared in place of the heads' predictions, side by side as they are:
        such as what stands behind a reversed gradient, so that the encoder learns to hide the stimulus there.
    name, weight, start, stop
        See :class:`Objective`.

    Raises
    ------
    ConfigError
        If arguments contradict each other.

    References
    ----------
    van den Oord et al. (2018), https://doi.org/10.48550/arXiv.1807.03748; Radford et al. (2021),
    https://doi.org/10.48550/arXiv.2103.00020

    Examples
    --------
    >>> objective = Contrastive(normalise="both", temperature="exp", learnable=False)
    >>> round(float(objective.current_scale()), 3)
    14.286
    """

    def __init__(
        self,
        heads: HeadChoice = "targets",
        normalise: Side = "both",
        temperature: Temperature = "exp",
        scale: float = CLIP_LOG_SCALE,
        learnable: bool = True,
        max_scale: float = 100.0,
        directions: Literal["one", "two"] = "two",
        duplicates: Duplicates = "masked",
        gather: bool = True,
        name: str = "contrastive",
        weight: float = 1.0,
        start: float = 0.0,
        stop: float = 1.0,
        part: str | None = None,
    ) -> None:
        super().__init__(name, weight, start, stop)
        if not isfinite(scale) or (temperature == "fixed" and scale <= 0):
            raise ConfigError(f"scale of {name!r}: got {scale}, expected a finite number, positive if it is fixed")
        self.heads = heads
        self.normalise: Side = normalise
        self.temperature: Temperature = temperature
        self.max_scale = max_scale
        self.directions = directions
        self.duplicates: Duplicates = duplicates
        self.gather = gather
        self.part = part
        trained = learnable and temperature in ("exp", "softplus")
        self.scale = nn.Parameter(torch.tensor(scale), requires_grad=trained)

    def current_scale(self) -> Tensor:
        """Return the factor of the similarities."""
        if self.temperature == "none":
            return torch.ones((), device=self.scale.device)
        if self.temperature == "fixed":
            return self.scale
        factor = self.scale.exp() if self.temperature == "exp" else functional.softplus(self.scale)
        return factor.clamp(max=self.max_scale)

    def _everyone(self, rows: Tensor, sizes: list[int]) -> Tensor:
        return gather_rows(rows, sizes) if self.gather else rows

    def forward(self, output: EncoderOutput, references: References, batch: Batch, progress: float) -> Tensor:
        """Return the mean cross entropy; see :meth:`Objective.forward`."""
        names = chosen_heads(self.heads, output, references)
        brain, image = side_by_side(output.heads, names), side_by_side(references, names)
        if self.part is not None:
            brain = inner_part(output, self.part, self.name).flatten(1).float()
            if brain.shape != image.shape:
                got = f"{self.part} of shape {tuple(brain.shape)}"
                raise ConfigError(f"objective {self.name!r}: got {got}, expected the targets' {tuple(image.shape)}")
        sizes = gathered_sizes(brain) if self.gather else [len(brain)]
        require_several(self, sum(sizes))
        rank, count = world() if self.gather else (0, 1)
        begin = sum(sizes[:rank])
        mine = slice(begin, begin + len(brain))
        partner = keep = None
        if batch.mix is not None:
            partner = self._everyone(batch.mix.partner + begin, sizes)
            keep = self._everyone(batch.mix.keep, sizes)
        right, left_out = pair_weights(self._everyone(batch.candidate_index, sizes), partner, keep, self.duplicates)
        factor = self.current_scale()
        logits = factor * similarities(brain, self._everyone(image, sizes), self.normalise)
        loss = cross_entropy_of_pairs(logits, right[mine], left_out[mine])
        if self.directions == "two":
            if len(sizes) > 1:
                logits = factor * similarities(self._everyone(brain, sizes), image, self.normalise)
            loss = (loss + cross_entropy_of_pairs(logits.T, right.T[mine], left_out.T[mine])) / 2
        # Processes average their losses, so each gives its share of the sum times their number.
        return loss * (count / sum(sizes))


class MixCo(Contrastive):
    """The contrastive objective on signals that were mixed before the encoder, answers mixed alike.

    Signals are mixed with another row of the same subject, so that the encoder must name both stimuli in their shares.
    With two directions this is the BiMixCo of MindEye.

    Parameters
    ----------
    probability : float
        How likely a row is mixed.
    beta : float
        Both parameters of the beta distribution of the share a row keeps.
    heads, normalise, temperature, scale, learnable, max_scale, directions, duplicates, gather
        See :class:`Contrastive`.
    name, weight, start, stop
        See :class:`Objective`.

    References
    ----------
    Kim et al. (2020). MixCo: Mix-up Contrastive Learning for Visual Representation.
    https://doi.org/10.48550/arXiv.2010.06300
    """

    acts_before_encoder = True

    def __init__(
        self,
        probability: float = 0.5,
        beta: float = 0.15,
        heads: HeadChoice = "targets",
        normalise: Side = "both",
        temperature: Temperature = "exp",
        scale: float = CLIP_LOG_SCALE,
        learnable: bool = True,
        max_scale: float = 1000.0,
        directions: Literal["one", "two"] = "two",
        duplicates: Duplicates = "masked",
        gather: bool = True,
        name: str = "mixco",
        weight: float = 1.0,
        start: float = 0.0,
        stop: float = 1.0,
    ) -> None:
        super().__init__(
            heads, normalise, temperature, scale, learnable, max_scale, directions, duplicates, gather, name, weight,
            start, stop,
        )  # fmt: skip
        if not 0 <= probability <= 1 or beta <= 0:
            raise ConfigError(
                f"{name!r}: got probability {probability} and beta {beta}, expected one from 0 to 1 and one above 0"
            )
        self.probability = probability
        self.beta = beta

    def before_encoder(self, batch: Batch) -> Batch:
        """Mix the signals."""
        return mixed(batch, draw_mix(batch, probability=self.probability, beta=self.beta))


class SoftContrastive(Objective):
    r"""Cross entropy against the stimuli's similarity to each other (SoftCLIP).

    The right answer to row :math:`i` is not one stimulus but
    :math:`\mathrm{softmax}_j(v_i \cdot v_j / \tau)`: like stimuli are nearly right.

    Parameters
    ----------
    heads : list of str or "targets"
        See :class:`Contrastive`.
    normalise : str
        See :class:`Contrastive`.
    temperature : float
        :math:`\tau`, for both sides.
    final_temperature : float or None
        Where the temperature has arrived at the objective's end, along half a cosine; None keeps it.
    directions, gather, name, weight, start, stop
        See :class:`Contrastive`.

    References
    ----------
    Gao et al. (2023), https://doi.org/10.48550/arXiv.2303.17561; in the form of Scotti et al. (2023),
    https://doi.org/10.48550/arXiv.2305.18274

    Examples
    --------
    >>> objective = SoftContrastive(temperature=0.004, final_temperature=0.008)
    >>> [round(objective.temperature_at(progress), 4) for progress in (0.0, 0.5, 1.0)]
    [0.004, 0.006, 0.008]
    """

    def __init__(
        self,
        heads: HeadChoice = "targets",
        normalise: Side = "both",
        temperature: float = 0.1,
        final_temperature: float | None = None,
        directions: Literal["one", "two"] = "two",
        gather: bool = True,
        name: str = "soft_contrastive",
        weight: float = 1.0,
        start: float = 0.0,
        stop: float = 1.0,
    ) -> None:
        super().__init__(name, weight, start, stop)
        if temperature <= 0 or (final_temperature is not None and final_temperature <= 0):
            raise ConfigError(f"temperature of {name!r}: got {temperature} to {final_temperature}, expected above 0")
        self.heads = heads
        self.normalise: Side = normalise
        self.temperature = temperature
        self.final_temperature = temperature if final_temperature is None else final_temperature
        self.directions = directions
        self.gather = gather

    def temperature_at(self, progress: float) -> float:
        """Return the temperature at a part of the training."""
        done = min(max((progress - self.start) / (self.stop - self.start), 0.0), 1.0)
        return self.temperature + (self.final_temperature - self.temperature) * (1 - cos(pi * done)) / 2

    def forward(self, output: EncoderOutput, references: References, batch: Batch, progress: float) -> Tensor:
        """Return the mean cross entropy; see :meth:`Objective.forward`."""
        if batch.mix is not None:
            raise ConfigError(f"objective {self.name!r}: got mixed signals, expected an objective that can weigh them")
        names = chosen_heads(self.heads, output, references)
        brain, image = normalise_sides(
            side_by_side(output.heads, names), side_by_side(references, names), self.normalise
        )
        sizes = gathered_sizes(brain) if self.gather else [len(brain)]
        require_several(self, sum(sizes))
        _, count = world() if self.gather else (0, 1)
        all_brain = gather_rows(brain, sizes) if self.gather else brain
        all_image = gather_rows(image, sizes) if self.gather else image
        temperature = self.temperature_at(progress)
        right = (image @ all_image.T / temperature).softmax(dim=1)
        nothing = torch.zeros_like(right, dtype=torch.bool)
        loss = cross_entropy_of_pairs(brain @ all_image.T / temperature, right, nothing)
        if self.directions == "two":
            loss = (loss + cross_entropy_of_pairs(image @ all_brain.T / temperature, right, nothing)) / 2
        return loss * (count / sum(sizes))
