"""The objective that trains a diffusion prior together with the encoder that it reads."""

import torch
from torch import Tensor

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.brain.diffusion_prior import DiffusionPriorNetwork
from neurodecode.encoders.brain.outputs import EncoderOutput
from neurodecode.training.batches import Batch
from neurodecode.training.inner_objectives import mean_over_rows
from neurodecode.training.objectives import Objective, References, chosen_heads
from neurodecode.training.regression import mixed_target


class DiffusionPrior(Objective):
    """Squared error of cleaning the noised target, given what a head predicts of it.

    The gradient reaches the encoder through the prediction. A task with this objective gives a generator embeddings
    that the prior has drawn, in place of the head's own; candidates are ranked without it.

    Parameters
    ----------
    n_tokens, dim : int
        Shape of the head; a vector is one token.
    head : str
        Which head.
    width, n_layers, n_heads, head_width, n_steps, dropout
        See :class:`neurodecode.encoders.brain.diffusion_prior.DiffusionPriorNetwork`.
    condition_drop : float
        How often the prediction is left out in training.
    scale : float
        Factor of targets and predictions before anything else, best such that a target's numbers vary by about 1, as
        noise does.
    drawn_steps : int
        Steps of the sampler.
    guidance : float
        See :meth:`neurodecode.encoders.brain.diffusion_prior.DiffusionPriorNetwork.draw`.
    seed : int
        Of the sampler's noise.
    name, weight, start, stop
        See :class:`neurodecode.training.objectives.Objective`.

    References
    ----------
    Scotti et al. (2023). Reconstructing the Mind's Eye. NeurIPS. https://doi.org/10.48550/arXiv.2305.18274

    Examples
    --------
    >>> prior = DiffusionPrior(1, 4, head="image", n_layers=1, n_heads=2, head_width=2)
    >>> prior.for_generator(EncoderOutput({"image": torch.zeros(2, 4)}, torch.zeros(2, 1)))["image"].shape
    torch.Size([2, 4])
    """

    def __init__(
        self,
        n_tokens: int,
        dim: int,
        head: str = "image",
        width: int | None = None,
        n_layers: int = 6,
        n_heads: int = 12,
        head_width: int = 64,
        n_steps: int = 100,
        dropout: float = 0.0,
        condition_drop: float = 0.2,
        scale: float = 1.0,
        drawn_steps: int = 20,
        guidance: float = 1.0,
        seed: int = 0,
        name: str = "prior",
        weight: float = 30.0,
        start: float = 0.0,
        stop: float = 1.0,
    ) -> None:
        super().__init__(name, weight, start, stop)
        if not 0 <= condition_drop < 1 or scale <= 0:
            raise ConfigError(
                f"{name!r}: got condition_drop {condition_drop} and scale {scale}, expected 0 to below 1 and above 0"
            )
        if not 1 <= drawn_steps <= n_steps:
            raise ConfigError(f"drawn_steps of {name!r}: got {drawn_steps}, expected 1 to {n_steps}")
        self.head = head
        self.network = DiffusionPriorNetwork(n_tokens, dim, width, n_layers, n_heads, head_width, n_steps, dropout)
        self.condition_drop = condition_drop
        self.scale = scale
        self.drawn_steps = drawn_steps
        self.guidance = guidance
        self.seed = seed

    def _tokens(self, values: Tensor) -> Tensor:
        """Scale a head or its target ``(n, *shape)`` and shape it as the network wants it."""
        if values[0].numel() != self.network.shape[0] * self.network.shape[1]:
            raise ConfigError(
                f"objective {self.name!r}: got head {self.head!r} of shape {tuple(values.shape[1:])}, expected "
                f"{self.network.shape}"
            )
        return self.scale * values.float().reshape(-1, *self.network.shape)

    def forward(self, output: EncoderOutput, references: References, batch: Batch, progress: float) -> Tensor:
        """Return the mean squared error; see :meth:`neurodecode.training.objectives.Objective.forward`.

        Outside of training steps and noise are the same in every pass, so that values can be compared.
        """
        (head,) = chosen_heads([self.head], output, references)
        clean = self._tokens(mixed_target(references[head].float(), batch.mix))
        rows, network = len(clean), self.network
        generator = None if self.training else torch.Generator().manual_seed(self.seed)
        step = torch.randint(network.n_steps, (rows,), generator=generator).to(clean.device)
        noise = torch.randn(clean.shape, generator=generator).to(clean)
        absent = (torch.rand(rows) < self.condition_drop).to(clean.device) if self.training else None
        cleaned = network(network.noised(clean, step, noise), step, self._tokens(output.heads[head]), absent)
        return mean_over_rows(((cleaned - clean) ** 2).flatten(1).mean(dim=1))

    def for_generator(self, output: EncoderOutput) -> dict[str, Tensor]:
        """Return the head as the prior draws it, in the shape and scale of its target."""
        prediction = output.heads[self.head]
        drawn = self.network.draw(
            self._tokens(prediction), n_steps=self.drawn_steps, seed=self.seed, guidance=self.guidance
        )
        return {self.head: drawn.reshape(prediction.shape) / self.scale}
