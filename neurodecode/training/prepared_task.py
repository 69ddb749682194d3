"""The base of tasks that train on a prepared study: they keep what was fitted to it."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from neurodecode.core.errors import ConfigError
from neurodecode.training.preparation import Preparation, require_same_interface, subject_sensors
from neurodecode.training.task import OptimizerFactory, Schedule, Task

#: Builds an encoder from the subjects' numbers of channels, the number of time points and the sizes of the targets.
EncoderFactory = Callable[[dict[str, int], int, dict[str, int | list[int]]], nn.Module]


class PreparedTask(Task):
    """A task with an encoder, whose checkpoints hold the transforms and target reductions of the fold.

    Parameters
    ----------
    interface : dict
        What the data is like; linked from the data module.
    optimizer, schedule, warm_up, seed
        See :class:`neurodecode.training.task.Task`.
    """

    encoder: nn.Module
    #: Logged values that the progress bar shows.
    shown: ClassVar[tuple[str, ...]] = ("loss",)

    def __init__(
        self,
        interface: dict[str, Any],
        optimizer: OptimizerFactory | None = None,
        schedule: Schedule = "constant",
        warm_up: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__(optimizer, schedule, warm_up, seed)
        self.interface = interface
        self.preparation: Preparation | None = None

    def build_encoder(self, encoder: EncoderFactory, sizes: dict[str, int | list[int]] | None = None) -> nn.Module:
        """Build the encoder for the data.

        Parameters
        ----------
        encoder : callable
            Builds it.
        sizes : dict, optional
            Sizes of its heads; those of the targets by default.

        Raises
        ------
        ConfigError
            If what it builds is no network.
        """
        heads = self.target_sizes if sizes is None else sizes
        network = encoder(subject_sensors(self.interface), int(self.interface["n_times"]), heads)
        if not isinstance(network, nn.Module):
            raise ConfigError(f"encoder: got a {type(network).__name__}, expected an nn.Module")
        return network

    def networks(self) -> dict[str, nn.Module]:
        """Return the encoder."""
        return {"encoder": self.encoder}

    def require_finite(self, loss: Tensor) -> None:
        """Stop a training that has run away.

        Raises
        ------
        ConfigError
            Naming the step and what helps.
        """
        if not torch.isfinite(loss):
            raise ConfigError(
                f"loss: got {float(loss.detach())} at step {self.global_step}, expected a finite number; "
                "lower the learning rate or clip gradients"
            )

    def log_means(self, part: str, values: Mapping[str, Tensor | float], n_rows: int) -> None:
        """Log values that are means over a batch's rows, as their mean over the epoch."""
        for name, value in values.items():
            self.log(
                f"{part}/{name}",
                value,
                on_step=False,
                on_epoch=True,
                prog_bar=name in self.shown,
                batch_size=n_rows,
                sync_dist=True,
            )

    @property
    def target_sizes(self) -> dict[str, int | list[int]]:
        """Size or shape of every target, in plain numbers."""
        return {
            name: int(target["size"]) if isinstance(target["size"], int) else [int(size) for size in target["size"]]
            for name, target in self.interface["targets"].items()
        }

    def record(self) -> dict[str, Any]:
        """Return the fitted transforms and target reductions."""
        preparation = self._found_preparation()
        if preparation is None:
            raise ConfigError("data: got a data module that fits no transforms, expected BrainDataModule or the like")
        return preparation.state()

    def take_record(self, record: dict[str, Any], *, what: str) -> None:
        """Compare subjects, channels, targets and fold with the data; take the fitted state."""
        preparation = Preparation.from_state(record)
        require_same_interface(preparation.interface, self.interface, what=what)
        self.preparation = preparation
        use = getattr(getattr(self._trainer, "datamodule", None), "use", None)
        if callable(use):
            use(preparation)

    def _found_preparation(self) -> Preparation | None:
        if self.preparation is None and self._trainer is not None:
            prepare = getattr(getattr(self._trainer, "datamodule", None), "prepare_fold", None)
            self.preparation = prepare() if callable(prepare) else None
        return self.preparation
