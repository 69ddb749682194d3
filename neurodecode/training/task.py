"""The base of all tasks: optimiser, schedule, seeds, and what a checkpoint must not be mixed up with."""

from collections.abc import Callable, Iterable
from math import cos, pi
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from neurodecode.core.errors import ConfigError
from neurodecode.core.provenance import versions
from neurodecode.training.checkpoints import read_checkpoint, require_trusted
from neurodecode.training.fingerprints import network_fingerprint, require_same_network
from neurodecode.training.gathering import world
from neurodecode.training.quiet import quiet_lightning
from neurodecode.training.short_names import import_built_ins

Schedule = Literal["constant", "cosine"]
OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]

RECORD = "neurodecode"


def schedule_factor(progress: float, schedule: Schedule, warm_up: float) -> float:
    """Return the factor of the learning rate at a part of the training.

    Parameters
    ----------
    progress : float
        Part of all steps that is over, from 0 to 1.
    schedule : str
        ``constant``, or ``cosine`` down to 0 at the end.
    warm_up : float
        Part of the training in which the rate rises linearly from nothing.

    Examples
    --------
    >>> [round(schedule_factor(progress, "cosine", 0.2), 2) for progress in (0.1, 0.2, 0.6, 1.0)]
    [0.5, 1.0, 0.5, 0.0]
    """
    if progress < warm_up:
        return progress / warm_up
    if schedule == "constant":
        return 1.0
    done = min((progress - warm_up) / max(1 - warm_up, 1e-9), 1.0)
    return (1 + cos(pi * done)) / 2


def refuse_test_monitor(trainer: Trainer) -> None:
    """Refuse a callback or a scheduler that would let test data choose anything.

    Raises
    ------
    ConfigError
        Naming who monitors what.
    """
    watchers: list[tuple[str, object]] = [
        (type(callback).__name__, getattr(callback, "monitor", None)) for callback in getattr(trainer, "callbacks", [])
    ]
    watchers += [
        (type(config.scheduler).__name__, config.monitor) for config in getattr(trainer, "lr_scheduler_configs", [])
    ]
    for name, monitor in watchers:
        if isinstance(monitor, str) and monitor.lower().replace("_", "/").split("/")[0] == "test":
            raise ConfigError(f"monitor of {name}: got {monitor!r}, expected a validation or training metric")


class Task(LightningModule):
    """Base of the tasks.

    Parameters
    ----------
    optimizer : callable or None
        Builds the optimiser from the parameters; None takes AdamW with its defaults.
    schedule : str
        See :func:`schedule_factor`; the rate is set at every step.
    warm_up : float
        See :func:`schedule_factor`.
    seed : int
        Seeds torch at every step, so that a resumed training draws as an uninterrupted one does.
    """

    def __init__(
        self,
        optimizer: OptimizerFactory | None = None,
        schedule: Schedule = "constant",
        warm_up: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 0 <= warm_up < 1:
            raise ConfigError(f"warm_up: got {warm_up}, expected a part of the training from 0 to below 1")
        self._optimizer = optimizer
        self._schedule: Schedule = schedule
        self._warm_up = warm_up
        self._seed = seed

    #: Packages whose classes a checkpoint may name; what it names is imported when it is loaded.
    trusted_packages: ClassVar[tuple[str, ...]] = ("lightning", "neurodecode", "torch")

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls,
        checkpoint_path: Path | str,
        map_location: Any = None,
        hparams_file: str | None = None,
        strict: bool | None = None,
        weights_only: bool | None = True,
        **settings: Any,
    ) -> Self:
        """Build a task as it was trained, with its weights.

        Parameters
        ----------
        checkpoint_path : Path or str
            A checkpoint that ``fit`` wrote.
        map_location : Any
            Where the weights go, such as ``cpu``.
        hparams_file, strict
            See Lightning.
        weights_only : bool
            Nothing is ever unpickled but tensors and plain values; False is refused.
        **settings : Any
            Arguments of the task that are to differ from those of the training.

        Returns
        -------
        Task
            In evaluation mode.

        Raises
        ------
        ConfigError, DataError, MismatchError
            If the file is no whole checkpoint of this task, or names code of packages that are not trusted.
        """
        if weights_only is False:
            raise ConfigError("weights_only: got False, expected True; checkpoints are never unpickled")
        checkpoint = read_checkpoint(checkpoint_path)
        require_trusted(checkpoint, cls.trusted_packages, what=str(checkpoint_path))
        saved = checkpoint.get(RECORD)
        own = f"{cls.__module__}.{cls.__qualname__}"
        if not isinstance(saved, dict) or saved.get("task") != own:
            found = saved.get("task") if isinstance(saved, dict) else "none of ours"
            raise ConfigError(f"{checkpoint_path}: got a checkpoint of the task {found}, expected {own}")
        import_built_ins()
        with quiet_lightning(watched=False):
            task: Self = super().load_from_checkpoint(
                checkpoint_path,
                map_location=map_location,
                hparams_file=hparams_file,
                strict=strict,
                weights_only=True,
                **settings,
            )
        task.eval()
        return task

    # -- what a checkpoint records ----------------------------------------------------------------------------

    def networks(self) -> dict[str, nn.Module]:
        """Return the networks whose kind a checkpoint must agree with, by their role."""
        raise NotImplementedError

    def record(self) -> dict[str, Any]:
        """Return what else a checkpoint keeps, in plain values and tensors."""
        return {}

    def take_record(self, record: dict[str, Any], *, what: str) -> None:
        """Compare or take over what :meth:`record` returned then."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add fingerprints, versions and the task's own record."""
        checkpoint[RECORD] = {
            "task": f"{type(self).__module__}.{type(self).__qualname__}",
            "networks": {role: network_fingerprint(network) for role, network in self.networks().items()},
            "versions": versions(),
            "record": self.record(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Let the task compare its own record, such as the data, with the checkpoint's; refuse another network.

        Raises
        ------
        ConfigError
            If the checkpoint was not made by a task of ours.
        MismatchError
            If it belongs to another network.
        """
        saved = checkpoint.get(RECORD)
        if not isinstance(saved, dict):
            raise ConfigError("ckpt_path: got a checkpoint without a record of its encoder, expected one made by fit")
        networks = self.networks()
        if sorted(saved["networks"]) != sorted(networks):
            raise ConfigError(
                f"ckpt_path: got a checkpoint with the networks {', '.join(sorted(saved['networks']))}, "
                f"expected {', '.join(sorted(networks))}"
            )
        # Of other data the network is another one, too: the data says more about why.
        self.take_record(saved["record"], what="checkpoint")
        then = checkpoint.get("hyper_parameters", {})
        for role, network in networks.items():
            configs = then.get(role), self.hparams.get(role)
            require_same_network(saved["networks"][role], network, what="checkpoint", role=role, configs=configs)

    # -- training ---------------------------------------------------------------------------------------------

    @property
    def progress(self) -> float:
        """Part of the training that is over, from 0 to 1; 0 outside of training."""
        trainer = self._trainer
        if trainer is None or not trainer.training:
            return 0.0
        total = trainer.estimated_stepping_batches
        return min(self.global_step / total, 1.0) if 0 < total < float("inf") else 0.0

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimiser and the schedule."""
        parameters = [parameter for parameter in self.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(parameters) if self._optimizer is None else self._optimizer(parameters)
        if self._schedule == "constant" and self._warm_up == 0:
            return optimizer
        total = self.trainer.estimated_stepping_batches
        if total == float("inf"):
            raise ConfigError("schedule: got a training without an end, expected max_epochs or max_steps")

        def factor(step: int) -> float:
            return schedule_factor((step + 1) / (total + 1), self._schedule, self._warm_up)

        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": LambdaLR(optimizer, factor), "interval": "step"},
        }

    def on_fit_start(self) -> None:
        """Check that nothing of the test set can steer the training."""
        refuse_test_monitor(self.trainer)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed this step's draws (dropout, mixing): a function of seed, step and process alone."""
        rank, _ = world()
        torch.manual_seed(step_seed(self._seed, self.global_step, rank))


def step_seed(seed: int, step: int, rank: int) -> int:
    """Mix a seed, a step and a process into one number.

    Examples
    --------
    >>> step_seed(0, 1, 0) != step_seed(1, 0, 0)
    True
    """
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> np.uint64(1))
