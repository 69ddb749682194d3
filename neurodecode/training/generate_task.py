"""The task `generate`: learn to draw a picture from its embedding."""

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from neurodecode.core.errors import ConfigError
from neurodecode.generators.patch_diffusion import PatchDiffusionTransformer
from neurodecode.training.task import OptimizerFactory, Schedule, Task

# Added to the squared noise level before dividing by it, so that nearly clean pictures do not rule the loss.
LEVEL_FLOOR = 0.1


def draw_levels(n: int, generator: torch.Generator | None = None) -> Tensor:
    """Draw noise levels: mostly in the middle, one in eight pure noise, where only the embedding helps.

    Parameters
    ----------
    n : int
        How many.
    generator : torch.Generator, optional
        Source of chance.

    Returns
    -------
    Tensor of shape (n,)
        Between 0 and 1.

    Examples
    --------
    >>> levels = draw_levels(1000, torch.Generator().manual_seed(0))
    >>> bool(levels.min() > 0), float(levels.max())
    (True, 1.0)
    """
    levels = torch.sigmoid(0.3 + 1.2 * torch.randn(n, generator=generator))
    pure = torch.rand(n, generator=generator) < 0.125
    return torch.where(pure, torch.ones(()), levels)


def disturb_embeddings(
    standardised: Tensor, shrink: float, noise: float, generator: torch.Generator | None = None
) -> Tensor:
    """Shrink embeddings towards the mean and add noise, as decoding from a brain does.

    Parameters
    ----------
    standardised : Tensor of shape (n, dim)
        Embeddings with mean 0 and standard deviation 1.
    shrink : float
        Half of the embeddings are multiplied by a number drawn between ``1 - shrink`` and 1.
    noise : float
        Gaussian noise is added whose standard deviation is drawn between 0 and `noise` for each embedding.
    generator : torch.Generator, optional
        Source of chance.

    Returns
    -------
    Tensor of shape (n, dim)
    """
    n = (len(standardised), 1)
    device = standardised.device
    shrunk = torch.rand(n, generator=generator) < 0.5
    factor = torch.where(shrunk, 1 - shrink * torch.rand(n, generator=generator), torch.ones(()))
    spread = noise * torch.rand(n, generator=generator)
    added = spread * torch.randn(standardised.shape, generator=generator)
    return standardised * factor.to(device) + added.to(device)


def fused_adamw(parameters: Iterable[nn.Parameter]) -> Optimizer:
    """Build the optimiser that the shipped generator was trained with.

    Parameters
    ----------
    parameters : iterable of nn.Parameter

    Returns
    -------
    Optimizer
    """
    return AdamW(parameters, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.02, fused=True)


class GenerateTask(Task):
    """Train the built-in generator: predict the clean picture from a noisy one and the embedding.

    The noisy picture is ``(1 - level) * picture + level * noise`` (flow matching on straight lines). The loss is the
    squared error of the predicted clean picture over the squared noise level, which is the error of the velocity.

    Parameters
    ----------
    network : dict, optional
        Arguments of `PatchDiffusionTransformer`.
    drop_condition : float
        Probability of hiding the embedding, which trains the unconditional prediction that guidance needs.
    shrink, noise : float
        See `disturb_embeddings`.
    average : float
        Decay a step of the running average of the weights, which is what is exported.
    optimizer : callable, optional
        Builds the optimiser from the parameters; by default `fused_adamw`.
    schedule, warm_up, seed
        See `neurodecode.training.task.Task`.
    """

    def __init__(
        self,
        network: dict[str, Any] | None = None,
        drop_condition: float = 0.1,
        shrink: float = 0.5,
        noise: float = 0.5,
        average: float = 0.998,
        optimizer: OptimizerFactory | None = None,
        schedule: Schedule = "cosine",
        warm_up: float = 0.05,
        seed: int = 0,
    ) -> None:
        super().__init__(fused_adamw if optimizer is None else optimizer, schedule, warm_up, seed)
        for name, value in (("drop_condition", drop_condition), ("shrink", shrink), ("average", average)):
            if not 0 <= value < 1:
                raise ConfigError(f"{name}: got {value}, expected a number from 0 to below 1")
        if noise < 0:
            raise ConfigError(f"noise: got {noise}, expected a standard deviation of at least 0")
        self.save_hyperparameters(ignore=["optimizer"])
        self.drop_condition = drop_condition
        self.shrink = shrink
        self.noise = noise
        self.average = average
        self.network = PatchDiffusionTransformer(**(network or {}))
        self.averaged = copy.deepcopy(self.network).requires_grad_(False)

    def networks(self) -> dict[str, nn.Module]:
        """Return the network that is trained."""
        return {"generator": self.network}

    def on_fit_start(self) -> None:
        """Take the standardisation of embeddings from the training pairs, unless a checkpoint brought it."""
        super().on_fit_start()
        module = getattr(self.trainer, "datamodule", None)
        if module is None or not hasattr(module, "embedding_statistics"):
            raise ConfigError("data: got a data module without embedding_statistics, expected GenerateDataModule")
        if bool((self.network.input_scale == 1).all()):
            mean, scale = module.embedding_statistics()
            for network in (self.network, self.averaged):
                network.set_standardisation(mean, scale)

    def loss(
        self,
        picture: Tensor,
        embedding: Tensor,
        *,
        network: PatchDiffusionTransformer,
        train: bool,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Compute the weighted squared error.

        Parameters
        ----------
        picture : Tensor of shape (n, 3, size, size)
            In [-1, 1].
        embedding : Tensor of shape (n, dim)
        network : PatchDiffusionTransformer
        train : bool
            Whether to disturb and hide embeddings.
        generator : torch.Generator, optional
            Source of chance.

        Returns
        -------
        Tensor
            A scalar.
        """
        level = draw_levels(len(picture), generator).to(picture.device)
        noise = torch.randn(picture.shape, generator=generator).to(picture.device)
        condition = network.standardise(embedding)
        shown = None
        if train:
            condition = disturb_embeddings(condition, self.shrink, self.noise, generator)
            shown = (torch.rand(len(picture), generator=generator) >= self.drop_condition).to(picture.device)
        wide = level[:, None, None, None]
        predicted = network(torch.lerp(picture, noise, wide), level, condition, shown)
        error = (predicted.float() - picture).square().mean(dim=(1, 2, 3))
        loss: torch.Tensor = (error / (level.square() + LEVEL_FLOOR)).mean()
        return loss

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Compute the loss of one batch of pairs."""
        loss = self.loss(batch["picture"], batch["embedding"], network=self.network, train=True)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Move the averaged weights towards the trained ones."""
        # Early weights are far from where training ends: the average forgets them faster.
        decay = min(self.average, (1 + self.global_step) / (10 + self.global_step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.averaged.parameters()), list(self.network.parameters()), 1 - decay)

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Log the loss of the averaged weights on pictures never seen, under noise that is the same every time."""
        generator = torch.Generator().manual_seed(batch_idx)
        self.averaged.eval()
        losses = [
            self.loss(batch["picture"], batch["embedding"], network=self.averaged, train=False, generator=generator)
            for _ in range(4)
        ]
        self.log("val/loss", torch.stack(losses).mean(), prog_bar=True, batch_size=len(batch["picture"]))


def load_averaged(checkpoint: Path) -> PatchDiffusionTransformer:
    """Read the averaged network from a checkpoint of the task.

    Parameters
    ----------
    checkpoint : Path
        A ``.ckpt`` file that Lightning wrote.

    Returns
    -------
    PatchDiffusionTransformer
        In evaluation mode.
    """
    task = GenerateTask.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True)
    network: PatchDiffusionTransformer = task.averaged.eval()
    return network
