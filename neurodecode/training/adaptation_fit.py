"""Train a network on a new subject's budget, with the epoch chosen by the budget's own validation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from neurodecode.core.errors import DataError, MismatchError
from neurodecode.training.adaptation import Source, Strategy, require_new, start_task
from neurodecode.training.data_module import BrainDataModule
from neurodecode.training.decode_task import DecodeTask
from neurodecode.training.low_rank import merge_low_rank
from neurodecode.training.preparation import Preparation
from neurodecode.training.quiet import quiet_lightning
from neurodecode.training.warm_start import start_linear_path

EPOCHS, PATIENCE, BATCH_SIZE = 60, 10, 128
MONITOR = "val/mrr"


class BudgetData(BrainDataModule):
    """A budget's batches, with the targets as a checkpoint reduces them; all else is fitted on the budget.

    Parameters
    ----------
    source : Source
        Of whom transforms (their names) and, unless `own_targets`, the fitted reductions of the targets are taken. They
        know stimuli, not brains, and none that is tested.
    own_targets : bool
        Fit the reductions on the budget's stimuli instead.
    **settings : Any
        Of `BrainDataModule`.
    """

    def __init__(self, source: Source, *, own_targets: bool, **settings: Any) -> None:
        self._source = source
        self._own_targets = own_targets
        targets = source.interface["targets"]
        forms = {str(target.get("form", "components")) for target in targets.values()}
        if len(forms) != 1:
            raise MismatchError(f"{source.path}: has targets of the forms {', '.join(sorted(forms))}, expected one")
        form = forms.pop()
        if form == "components":
            settings["components"] = {name: int(target["size"]) for name, target in targets.items()}
        super().__init__(transforms=source.interface["transforms"], target_form=form, **settings)  # type: ignore[arg-type]

    def _describe(self) -> dict[str, Any]:
        found = super()._describe()
        require_new(self._source, self.subjects[0], found)
        if not self._own_targets:
            for name, target in self._source.interface["targets"].items():
                found["targets"][name] = dict(target)
        return found

    def prepare_fold(self) -> Preparation:
        """Fit the transforms on the budget; see the base."""
        if not self._fitted:
            super().prepare_fold()
            if not self._own_targets:
                self.preparation.reductions = dict(self._source.preparation.reductions)
        return self.preparation


class BestOfValidation(Callback):
    """Keep the weights of the epoch that validated best in memory, the start included; stop when none is better."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.best, self.epoch, self.checks = -float("inf"), -1, 0
        self.weights: dict[str, Tensor] = {}

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Let normalisations whose weights stay keep their statistics as well."""
        hold_statistics(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare with the best so far."""
        value = trainer.callback_metrics.get(MONITOR)
        if value is None:
            raise DataError("budget: its validation shows one stimulus, by which no epoch can be chosen; expected more")
        if float(value) > self.best:
            self.best, self.epoch = float(value), self.checks
            self.weights = {name: weight.detach().clone() for name, weight in pl_module.state_dict().items()}
        elif self.checks - self.epoch >= self.patience:
            trainer.should_stop = True
        self.checks += 1


def hold_statistics(module: nn.Module) -> None:
    """Put batch normalisations that are not trained into evaluation mode, so that they do not follow the new data.

    Examples
    --------
    >>> norm = nn.BatchNorm1d(2).requires_grad_(False)
    >>> hold_statistics(nn.Sequential(norm))
    >>> norm.training
    False
    """
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            weights = list(part.parameters())
            if weights and not any(weight.requires_grad for weight in weights):
                part.eval()


def adapt_network(
    source: Source,
    study: Path,
    targets: Mapping[str, Path],
    strategy: Strategy,
    *,
    seed: int,
    epochs: int = EPOCHS,
    patience: int = PATIENCE,
    batch_size: int = BATCH_SIZE,
    learning_rate: float | None = None,
) -> tuple[DecodeTask, dict[str, Any]]:
    """Adapt a network to the one subject of a budget's study.

    Parameters
    ----------
    source : Source
        Trained on others.
    study : Path
        Folder that `neurodecode.workflow.budget_study.budget_study` made.
    targets : mapping of str to Path
        Folder of targets of each head.
    strategy : Strategy
        What is fresh, trained and kept.
    seed : int
        Of fresh weights, order and dropout.
    epochs, patience : int
        Most epochs, and after how many without a better validation it stops. The start counts as an epoch, so that
        what is worse than the start is not taken.
    batch_size : int
        Most rows in a batch.
    learning_rate : float, optional
        Instead of the checkpoint's.

    Returns
    -------
    task : DecodeTask
        With the weights of the best epoch, in evaluation mode, on the processor.
    report : dict
        Which epoch, what it reached, how many weights were trained.

    Raises
    ------
    ConfigError, DataError, LeakageError, MismatchError
        If checkpoint, budget and strategy do not fit together.
    """
    places = {name: str(targets[name]) for name in source.interface["targets"] if name in targets}
    missing = [name for name in source.interface["targets"] if name not in targets]
    if missing:
        raise MismatchError(f"{source.path}: has the target {missing[0]!r}, but the targets are {', '.join(targets)}")
    fresh = strategy.shared == "fresh"
    data = BudgetData(source, own_targets=fresh, study=str(study), targets=places, batch_size=batch_size, seed=seed)
    task = start_task(source, data.interface, strategy, seed=seed)
    trained = sum(weight.numel() for weight in task.parameters() if weight.requires_grad)
    task.preparation = data.prepare_fold()
    keeper = BestOfValidation(patience)
    if learning_rate is not None and strategy.trained != "none":
        task._optimizer = lambda weights: torch.optim.AdamW(weights, lr=learning_rate)
    with quiet_lightning(watched=False):
        trainer = Trainer(
            max_epochs=epochs, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, callbacks=[keeper],
            use_distributed_sampler=False,
        )  # fmt: skip
        if strategy.trained == "none":
            trainer.validate(task, datamodule=data, verbose=False)
        else:
            if task.warm_start != "none":
                start_linear_path(task.encoder, data, task.warm_start, seed=seed)
                task.warm_start = "none"
            trainer.validate(task, datamodule=data, verbose=False)
            trainer.fit(task, datamodule=data)
            task.load_state_dict(keeper.weights)
    merge_low_rank(task)
    report = {
        "epoch": keeper.epoch,
        "epochs": keeper.checks - 1,
        "val_mrr": keeper.best,
        "trained": trained if strategy.trained != "none" else 0,
    }
    return task.eval(), report
