"""The base of tasks that train on a prepared study: they keep what was fitted to it."""

from typing import Any

from neurodecode.core.errors import ConfigError
from neurodecode.training.preparation import Preparation, require_same_interface
from neurodecode.training.task import OptimizerFactory, Schedule, Task


class PreparedTask(Task):
    """A task whose checkpoints hold the transforms and target reductions of the fold.

    Parameters
    ----------
    interface : dict
        What the data is like; linked from the data module.
    optimizer, schedule, warm_up, seed
        See :class:`neurodecode.training.task.Task`.
    """

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
