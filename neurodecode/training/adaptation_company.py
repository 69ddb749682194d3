"""Known subjects that keep a new one company: every batch holds rows of the new subject and of one of them, in turn."""

from collections.abc import Iterator, Sequence
from math import ceil
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from neurodecode.core.errors import ConfigError
from neurodecode.training.adaptation import Source
from neurodecode.training.adaptation_data import BudgetData
from neurodecode.training.batches import Batch
from neurodecode.training.loading import BatchRequest, as_it_is
from neurodecode.training.preparation import Preparation


class RotatingSampler(Sampler[BatchRequest]):
    """Yield batches of which one half is the new subject's and the other half a known one's, the known taking turns.

    Parameters
    ----------
    subjects : ndarray of str
        Subject of every item.
    new : str
        All of whose items are visited once an epoch.
    batch_size : int
        Most rows in a batch.
    seed : int
        Of the order, and of the known subjects' rows that are drawn.

    Raises
    ------
    ConfigError
        If a batch has no room for two, or there is nobody but the new subject.

    Examples
    --------
    >>> sampler = RotatingSampler(np.array(["new"] * 2 + ["a"] * 3 + ["b"] * 3), "new", batch_size=2, seed=0)
    >>> [sorted(sampler.subjects[request.rows].tolist()) for request in sampler]
    [['a', 'new'], ['b', 'new']]
    """

    def __init__(self, subjects: NDArray[np.str_], new: str, *, batch_size: int, seed: int) -> None:
        self.subjects, self.new, self.seed, self.epoch = subjects, new, seed, 0
        self.known = [name for name in dict.fromkeys(subjects.tolist()) if name != new]
        if batch_size < 2 or not self.known:
            raise ConfigError(
                f"batch_size: got {batch_size} with {len(self.known)} known subjects, expected two and one"
            )
        self.share = batch_size // 2

    def __len__(self) -> int:
        """Give the number of batches."""
        return ceil(int((self.subjects == self.new).sum()) / self.share)

    def set_epoch(self, epoch: int) -> None:
        """Take note of the epoch; the trainer calls it."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[BatchRequest]:
        """Yield the requests of an epoch."""
        generator = np.random.default_rng([self.seed, self.epoch])
        order = generator.permutation(np.flatnonzero(self.subjects == self.new))
        for number, mine in enumerate(np.array_split(order, len(self))):
            turn = self.known[(self.epoch * len(self) + number) % len(self.known)]
            theirs = np.flatnonzero(self.subjects == turn)
            drawn = generator.choice(theirs, min(len(mine), len(theirs)), replace=False)
            yield BatchRequest(np.concatenate([mine, np.sort(drawn)]), (self.seed, self.epoch, 0, number))


class CompanyData(BudgetData):
    """A budget's batches with rows of known subjects, as their checkpoint transforms them; nobody else validates.

    Parameters
    ----------
    source, own_targets
        See `BudgetData`.
    company : sequence of str
        Known subjects whose training windows the study holds.
    **settings : Any
        Of `BudgetData`; the new subject is the first of the study.
    """

    def __init__(self, source: Source, *, own_targets: bool, company: Sequence[str], **settings: Any) -> None:
        self.company = list(company)
        super().__init__(source, own_targets=own_targets, **settings)

    def prepare_fold(self) -> Preparation:
        """Fit the new subject's transforms on the budget, and take those of the others from the checkpoint."""
        if not self._fitted:
            with self.first_alone():
                super().prepare_fold()
            known = self._source.preparation.transforms
            self.preparation.transforms |= {person: known[person] for person in self.company}
        return self.preparation

    def train_dataloader(self) -> "DataLoader[Batch]":
        """Return batches of the new subject and one known one."""
        dataset = self.dataset("train", self.average_training)
        sampler = RotatingSampler(dataset.subjects, self.subjects[0], batch_size=self.batch_size, seed=self.seed)
        return DataLoader(dataset, batch_size=None, sampler=sampler, collate_fn=as_it_is)


class HoldOthers(Callback):
    """Keep the rows of known subjects where all subjects are rows of one array that is trained.

    Parameters
    ----------
    names : sequence of str
        Such parameters; the new subject is the first row.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self.kept: dict[str, Tensor] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember them."""
        weights = dict(pl_module.named_parameters())
        self.kept = {name: weights[name].detach()[1:].clone() for name in self.names if name in weights}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Put them back, whatever the optimiser did to them."""
        weights = dict(pl_module.named_parameters())
        with torch.no_grad():
            for name, rows in self.kept.items():
                weights[name][1:] = rows
