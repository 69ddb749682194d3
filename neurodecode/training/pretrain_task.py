"""The task ``pretrain``: the brain alone, every time from those before it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from neurodecode.core.errors import ConfigError, LeakageError, MismatchError
from neurodecode.training.batches import Batch
from neurodecode.training.checkpoints import read_checkpoint
from neurodecode.training.inner_objectives import mean_over_rows
from neurodecode.training.preparation import Preparation
from neurodecode.training.prepared_task import EncoderFactory, PreparedTask
from neurodecode.training.task import RECORD, OptimizerFactory, Schedule

SHARED = ("encoder.front_end.", "encoder.backbone.")
#: Learned places of times, of which a shorter window takes the first.
PLACES = "encoder.backbone.places"


class PretrainTask(PreparedTask):
    """Train an encoder to predict the next time of signals; no stimulus is looked at.

    Parameters
    ----------
    encoder : callable
        Builds the encoder; see :class:`neurodecode.encoders.brain.sequence_encoder.SequenceEncoder`.
    interface : dict
        What the data is like; linked from the data module.
    optimizer, schedule, warm_up, seed
        See :class:`neurodecode.training.task.Task`.

    Notes
    -----
    Logged are ``loss``, the squared error averaged over rows, channels and times, and ``persistence``, that of taking
    each time for the next one: a network that is no better has learned nothing of use.
    """

    shown: ClassVar[tuple[str, ...]] = ("loss", "persistence")

    def __init__(
        self,
        encoder: EncoderFactory,
        interface: dict[str, Any],
        optimizer: OptimizerFactory | None = None,
        schedule: Schedule = "constant",
        warm_up: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__(interface, optimizer, schedule, warm_up, seed)
        self.save_hyperparameters()
        self.encoder = self.build_encoder(encoder)

    def _errors(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the squared error a row, of the prediction and of persistence."""
        predicted, signal = self.encoder(batch.groups)
        following = signal[:, :, 1:]
        own, same = (
            ((guess.float() - following) ** 2).flatten(1).mean(dim=1) for guess in (predicted, signal[:, :, :-1])
        )
        return own, same

    def _step(self, part: str, batch: Batch) -> Tensor:
        own, same = self._errors(batch)
        loss = mean_over_rows(own)
        self.require_finite(loss)
        self.log_means(part, {"loss": own.detach().mean(), "persistence": same.mean()}, len(batch))
        return loss

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the mean squared error."""
        return self._step("train", batch)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the errors on validation windows."""
        self._step("val", batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the errors on test windows."""
        self._step("test", batch)


def start_from_pretraining(encoder: nn.Module, path: Path | str, interface: Mapping[str, Any]) -> list[str]:
    """Put pretrained weights of front end and backbone into an encoder.

    Parameters
    ----------
    encoder : nn.Module
        With parts ``front_end`` and ``backbone`` as the pretrained one has them. Windows may be shorter.
    path : Path or str
        A checkpoint of :class:`PretrainTask`.
    interface : mapping
        What the encoder's data is like.

    Returns
    -------
    list of str
        Names of the weights that were taken over.

    Raises
    ------
    ConfigError
        If the checkpoint is of another task.
    MismatchError
        If channels, transforms or weights differ.
    LeakageError
        If it was pretrained on the same study with another split or fold: on windows, then, that are tested here.
    """
    checkpoint = read_checkpoint(path)
    saved = checkpoint.get(RECORD)
    own = f"{PretrainTask.__module__}.{PretrainTask.__qualname__}"
    if not isinstance(saved, dict) or saved.get("task") != own:
        found = saved.get("task") if isinstance(saved, dict) else "none of ours"
        raise ConfigError(f"pretrained: got a checkpoint of the task {found}, expected {own}")
    there = Preparation.from_state(saved["record"]).interface
    _require_fitting(there, interface, what=str(path))
    state = encoder.state_dict()
    taken = {}
    for name, weight in checkpoint["state_dict"].items():
        if not name.startswith(SHARED):
            continue
        short = name.removeprefix("encoder.")
        if short not in state:
            raise MismatchError(f"{path}: has the weight {short}, expected those of {type(encoder).__name__}")
        wanted = state[short].shape
        if name == PLACES and weight.ndim == 2 and len(weight) > wanted[0]:
            weight = weight[: wanted[0]]
        if weight.shape != wanted:
            raise MismatchError(f"{path}: weight {short} is {tuple(weight.shape)} there, but {tuple(wanted)} here")
        taken[short] = weight
    missing = [name for name in state if name.startswith(("front_end.", "backbone.")) and name not in taken]
    if missing:
        raise MismatchError(f"{path}: has no weight {missing[0]}, expected all of front end and backbone")
    encoder.load_state_dict({**state, **taken})
    return sorted(taken)


def _require_fitting(there: Mapping[str, Any], here: Mapping[str, Any], *, what: str) -> None:
    """Refuse other channels, other transforms, and windows of the same study from another split."""
    sides = [next(iter(side["subjects"].values())) for side in (there, here)]
    first, second = (list(side.get("sensors", side)["channels"]) for side in sides)
    if first != second:
        raise MismatchError(f"{what}: has {len(first)} other channels than the data's {len(second)}, expected the same")
    if there["transforms"] != here["transforms"]:
        raise MismatchError(f"{what}: has the transforms {there['transforms']}, but the data {here['transforms']}")
    if there["study"] == here["study"] and (there["split"], there["fold"]) != (here["split"], here["fold"]):
        raise LeakageError(
            f"{what}: was pretrained on {there['study']} with split {there['split']}, fold {there['fold']}, but the "
            f"data has {here['split']}, fold {here['fold']}; its test windows may have been trained on"
        )
