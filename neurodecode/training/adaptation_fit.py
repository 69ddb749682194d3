"""Train a network on a new subject's budget, with the epoch chosen by the budget's own validation."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from neurodecode.core.errors import DataError, MismatchError
from neurodecode.training.adaptation import Source, Strategy
from neurodecode.training.adaptation_company import CompanyData, HoldOthers
from neurodecode.training.adaptation_data import BudgetData
from neurodecode.training.adaptation_group import GroupStart
from neurodecode.training.adaptation_start import alone, own_parts, start_task
from neurodecode.training.decode_task import DecodeTask
from neurodecode.training.low_rank import merge_low_rank
from neurodecode.training.quiet import quiet_lightning
from neurodecode.training.warm_start import start_linear_path

EPOCHS, PATIENCE, BATCH_SIZE = 60, 10, 128
MONITOR = "val/mrr"


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
    subject: str | None = None,
    company: Sequence[str] = (),
    group: GroupStart | None = None,
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
    subject : str, optional
        The new subject; by default the one of the study.
    company : sequence of str
        Known subjects, whose training windows the study holds too, for strategies that train beside them.
    group : GroupStart, optional
        Where the linear path of strategies that say so starts.
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
    settings: dict[str, Any] = {"study": str(study), "targets": places, "batch_size": batch_size, "seed": seed}
    if subject is not None:
        settings["subjects"] = [subject, *(company if strategy.company else ())]
    if strategy.company and company:
        data: BudgetData = CompanyData(source, own_targets=fresh, company=company, **settings)
    else:
        data = BudgetData(source, own_targets=fresh, **settings)
    task = start_task(source, data.interface, strategy, seed=seed)
    begun = ""
    if strategy.from_group and group is not None:
        begun = group.put(task.encoder, data, seed=seed)
    rows = [name for name, place in own_parts(source, alone(data.interface)).items() if place is None]
    trained = sum(
        weight[:1].numel() if name in rows else weight.numel()
        for name, weight in task.named_parameters()
        if weight.requires_grad
    )
    task.preparation = data.prepare_fold()
    keeper = BestOfValidation(patience)
    if learning_rate is not None and strategy.trained != "none":
        task._optimizer = lambda weights: torch.optim.AdamW(weights, lr=learning_rate)
    with quiet_lightning(watched=False):
        trainer = Trainer(
            max_epochs=epochs, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
            use_distributed_sampler=False, callbacks=[keeper, HoldOthers(rows)],
        )  # fmt: skip
        if strategy.trained == "none":
            trainer.validate(task, datamodule=data, verbose=False)
        else:
            if task.warm_start != "none":
                with data.first_alone():
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
        "company": list(company) if strategy.company else [],
        "start": begun or strategy.own,
    }
    return task.eval(), report
