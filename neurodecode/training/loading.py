"""Reading batches: which items now, and their signals and targets."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from neurodecode.core.prepared import PreparedStudy
from neurodecode.encoders.brain.batches import SubjectBatch
from neurodecode.training.batches import Batch
from neurodecode.training.gathering import world
from neurodecode.training.items import (
    Averaging,
    Items,
    draw_repetitions,
    number_sequences,
    plan_batches,
    sequences_at_a_time,
)
from neurodecode.training.preparation import Preparation
from neurodecode.training.target_reading import StoredTargets


@dataclass(frozen=True)
class BatchRequest:
    """Which items a batch holds, and the seed of its draws.

    Parameters
    ----------
    rows : ndarray of int
        Positions in the table of items, sorted by subject.
    seed : tuple of int
        Different for every epoch, process and batch.
    """

    rows: NDArray[np.int64]
    seed: tuple[int, ...]


class RequestSampler(Sampler[BatchRequest]):
    """Yield a request a batch, in an order that depends on the seed and the epoch alone.

    Parameters
    ----------
    subjects : ndarray of str
        Subject of every item.
    batch_size : int
        Most items in a batch of one process.
    shuffle : bool
        Whether the order is drawn anew in every epoch.
    seed : int
        Seed.
    share : bool
        Deal the batches to the processes; otherwise each process gets all of them.
    sequences : ndarray of int, optional
        Items that are dealt together; see :func:`neurodecode.training.items.plan_batches`.
    """

    def __init__(
        self,
        subjects: NDArray[np.str_],
        *,
        batch_size: int,
        shuffle: bool,
        seed: int,
        share: bool = True,
        sequences: NDArray[np.int64] | None = None,
    ) -> None:
        self.subjects = subjects
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.share = share
        self.sequences = sequences
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Take note of the epoch; the trainer calls it."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[BatchRequest]:
        """Yield this process's requests."""
        rank, processes = world() if self.share else (0, 1)
        shares = plan_batches(
            self.subjects,
            batch_size=self.batch_size,
            shuffle=self.shuffle,
            generator=np.random.default_rng([self.seed, self.epoch]),
            processes=processes,
            sequences=self.sequences,
        )
        for position, rows in enumerate(shares[rank]):
            yield BatchRequest(rows, (self.seed, self.epoch, rank, position))

    def __len__(self) -> int:
        """Return the number of batches of one process."""
        processes = world()[1] if self.share else 1
        count, size = len(self.subjects), self.batch_size
        if self.sequences is not None:
            count, size = len(np.unique(self.sequences)), sequences_at_a_time(self.sequences, self.batch_size)
        return ceil(ceil(count / processes) / size)


class ItemDataset(Dataset[Batch]):
    """Read whole batches from memory maps.

    Parameters
    ----------
    study : PreparedStudy
        Opened lazily, in every worker anew.
    items : Items
        What can be asked for.
    preparation : Preparation
        Fitted transforms.
    targets : dict of str to Tensor or StoredTargets of shape (n_candidates, ...)
        Reduced targets by name, one row a candidate; empty for none.
    candidates : list of str
        Names of the rows of the targets.
    averaging : int or str
        See :func:`neurodecode.training.items.draw_repetitions`.
    fold : int
        Whose training windows scale each session, where the study was so prepared.
    """

    def __init__(
        self,
        study: PreparedStudy,
        items: Items,
        preparation: Preparation,
        targets: Mapping[str, torch.Tensor | StoredTargets],
        candidates: list[str],
        averaging: Averaging,
        *,
        fold: int,
    ) -> None:
        self.study = study
        self.items = items
        self.preparation = preparation
        self.targets = dict(targets)
        self.averaging: Averaging = averaging
        self.fold = fold
        place = {name: position for position, name in enumerate(candidates)}
        self.names = items.table["candidate"].astype(str).tolist()
        self.candidate_index = np.array([place[name] for name in self.names], dtype=np.int64)
        self.subjects = items.table["subject"].to_numpy().astype(str)
        in_sequences = "sequence" in items.table
        self.sequences = number_sequences(items.table) if in_sequences else None
        self.positions = items.table["position"].to_numpy(dtype=np.int64) if in_sequences else None

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.items)

    def __getitem__(self, request: BatchRequest) -> Batch:
        """Read a batch: average the drawn repetitions of every item, then transform."""
        generator = np.random.default_rng(request.seed)
        drawn = [draw_repetitions(self.items.windows[row], self.averaging, generator) for row in request.rows]
        subjects = self.subjects[request.rows]
        groups = []
        for subject in dict.fromkeys(subjects):
            members = np.flatnonzero(subjects == subject)
            signals = self.study.recording(str(subject), fold=self.fold).read_averaged(
                [drawn[member] for member in members]
            )
            group = SubjectBatch(str(subject), torch.from_numpy(self.preparation.apply(str(subject), signals)))
            if self.sequences is not None and self.positions is not None:
                group.sequence = torch.from_numpy(self.sequences[request.rows[members]])
                group.position = torch.from_numpy(self.positions[request.rows[members]])
            groups.append(group)
        index = torch.from_numpy(self.candidate_index[request.rows])
        return Batch(
            groups=groups,
            targets={name: values[index] for name, values in self.targets.items()},
            candidates=[self.names[row] for row in request.rows],
            candidate_index=index,
            repetitions=torch.tensor([len(windows) for windows in drawn], dtype=torch.int64),
            items=torch.from_numpy(request.rows),
        )


def as_it_is(batch: Any) -> Any:
    """Return the batch: the data set has put it together already."""
    return batch


def load_batches(
    dataset: ItemDataset, batch_size: int, *, shuffle: bool, seed: int, share: bool, workers: int = 0
) -> "DataLoader[Batch]":
    """Return the batches of a data set.

    Parameters
    ----------
    dataset : ItemDataset
        What is read.
    batch_size, shuffle, seed, share
        See `RequestSampler`.
    workers : int
        Processes that read ahead.
    """
    sampler = RequestSampler(
        dataset.subjects,
        batch_size=batch_size,
        shuffle=shuffle,
        seed=seed,
        share=share,
        sequences=dataset.sequences,
    )
    return DataLoader(
        dataset,
        batch_size=None,
        sampler=sampler,
        collate_fn=as_it_is,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
