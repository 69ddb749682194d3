"""The sigmoid pair loss: each pair of signal and stimulus is judged by itself."""

from math import log

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.brain.outputs import EncoderOutput
from neurodecode.training.batches import Batch
from neurodecode.training.gathering import gather_rows, gathered_sizes, world
from neurodecode.training.objectives import HeadChoice, Objective, References, chosen_heads, side_by_side
from neurodecode.training.pairs import require_several


def same_stimulus(image: Tensor, everyone: Tensor, threshold: float) -> Tensor:
    """Tell which stimuli are the same to the target: those whose vectors of unit length agree.

    Parameters
    ----------
    image : Tensor of shape (n, dim)
        Of unit length.
    everyone : Tensor of shape (m, dim)
        Of unit length.
    threshold : float
        Smallest cosine of equal ones.

    Returns
    -------
    Tensor of bool, shape (n, m)

    Examples
    --------
    >>> same_stimulus(torch.eye(2), torch.eye(2), 0.999)
    tensor([[ True, False],
            [False,  True]])
    """
    return image @ everyone.T >= threshold


class SigmoidPairs(Objective):
    r"""Decide for every pair of a signal and a stimulus in the batch whether they belong together (SigLIP).

    A pair counts :math:`-\log \sigma(y (t \, b_i \cdot v_j + c))` with :math:`y = 1` for right pairs, else -1; both
    sides have unit length. A word that occurs more than once in a batch is right wherever it occurs (D-SigLIP): its
    row's right pairs share the weight of one, so that frequent words do not outweigh the others.

    Parameters
    ----------
    heads : list of str or "targets"
        Which heads are compared with their targets, side by side as one vector.
    log_scale, offset : float
        Start of :math:`\log t` and of :math:`c`; both are learned.
    repeats : bool
        Whether repeated stimuli are right pairs; otherwise only a row's own stimulus is.
    threshold : float
        Cosine from which two stimuli are the same.
    gather : bool
        Take the stimuli of all processes.
    name, weight, start, stop
        See :class:`neurodecode.training.objectives.Objective`.

    Raises
    ------
    ConfigError
        If the threshold is no cosine.

    References
    ----------
    Zhai et al. (2023). Sigmoid Loss for Language Image Pre-Training. https://doi.org/10.48550/arXiv.2303.15343;
    d'Ascoli et al. (2025). Decoding individual words from non-invasive brain recordings.
    https://doi.org/10.48550/arXiv.2412.17829

    Examples
    --------
    >>> round(SigmoidPairs().log_scale.exp().item(), 3)
    10.0
    """

    def __init__(
        self,
        heads: HeadChoice = "targets",
        log_scale: float = log(10),
        offset: float = -10.0,
        repeats: bool = True,
        threshold: float = 0.999,
        gather: bool = True,
        name: str = "sigmoid_pairs",
        weight: float = 1.0,
        start: float = 0.0,
        stop: float = 1.0,
    ) -> None:
        super().__init__(name, weight, start, stop)
        if not 0 < threshold <= 1:
            raise ConfigError(f"threshold of {name!r}: got {threshold:g}, expected above 0 and at most 1")
        self.heads = heads
        self.log_scale = nn.Parameter(torch.tensor(log_scale))
        self.offset = nn.Parameter(torch.tensor(offset))
        self.repeats = repeats
        self.threshold = threshold
        self.gather = gather

    def forward(self, output: EncoderOutput, references: References, batch: Batch, progress: float) -> Tensor:
        """Return the sum over pairs, divided by the number of rows; see :meth:`Objective.forward`."""
        if batch.mix is not None:
            raise ConfigError(f"objective {self.name!r}: got mixed signals, expected an objective that can weigh them")
        names = chosen_heads(self.heads, output, references)
        brain = functional.normalize(side_by_side(output.heads, names), dim=1)
        image = functional.normalize(side_by_side(references, names), dim=1)
        sizes = gathered_sizes(brain) if self.gather else [len(brain)]
        require_several(self, sum(sizes))
        rank, count = world() if self.gather else (0, 1)
        everyone = gather_rows(image, sizes) if self.gather else image
        begin = sum(sizes[:rank])
        own = torch.zeros(len(brain), len(everyone), dtype=torch.bool, device=brain.device)
        own[torch.arange(len(brain)), begin + torch.arange(len(brain))] = True
        # A vector's cosine with itself may fall short of one by rounding.
        right = own | same_stimulus(image.detach(), everyone.detach(), self.threshold) if self.repeats else own
        weights = torch.where(right, 1 / right.sum(dim=1, keepdim=True), torch.ones_like(brain[:, :1]))
        logits = self.log_scale.exp() * brain @ everyone.T + self.offset
        loss = (weights * functional.softplus(torch.where(right, -logits, logits))).sum()
        # Processes average their losses, so each gives its share of the sum times their number.
        return loss * (count / sum(sizes))
