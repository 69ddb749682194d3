"""What a training step receives: subject groups, their targets, and who is who."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurodecode.core.errors import DataError
from neurodecode.encoders.brain.batches import SubjectBatch


@dataclass
class Mix:
    """How the signals of a batch were mixed with one another.

    Parameters
    ----------
    partner : Tensor of int64, shape (n_trials,)
        Row that was mixed into each row, of the same subject.
    keep : Tensor of float32, shape (n_trials,)
        Share of its own signal that a row kept; 1 where nothing was mixed.
    """

    partner: Tensor
    keep: Tensor


@dataclass
class Batch:
    """A batch: rows are averaged trials, ordered by subject group.

    Parameters
    ----------
    groups : list of SubjectBatch
        Signals, one group a subject.
    targets : dict of str to Tensor of shape (n_trials, ...)
        Target of every row in every space; empty when nothing but predictions are wanted.
    candidates : list of str
        What each row is to be recognised as (a stimulus, or a category where a study ranks those).
    candidate_index : Tensor of int64, shape (n_trials,)
        The same as a number, equal for equal candidates in all processes: duplicates are found by it.
    repetitions : Tensor of int64, shape (n_trials,)
        How many trials each row is the average of.
    items : Tensor of int64, shape (n_trials,)
        Row in the data module's table of items.
    mix : Mix or None
        Set by an objective that mixes signals.
    """

    groups: list[SubjectBatch]
    targets: dict[str, Tensor]
    candidates: list[str]
    candidate_index: Tensor
    repetitions: Tensor
    items: Tensor
    mix: Mix | None = None

    def __post_init__(self) -> None:
        count = sum(len(group) for group in self.groups)
        lengths = {
            "candidates": len(self.candidates),
            "candidate_index": len(self.candidate_index),
            "repetitions": len(self.repetitions),
            "items": len(self.items),
            **{f"targets of {name!r}": len(values) for name, values in self.targets.items()},
        }
        for name, length in lengths.items():
            if length != count:
                raise DataError(f"batch: got {length} rows of {name}, expected {count} as there are signals")

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.candidates)

    @property
    def subjects(self) -> list[str]:
        """Subject of every row."""
        return [group.subject for group in self.groups for _ in range(len(group))]


def mixed(batch: Batch, mix: Mix) -> Batch:
    """Return the batch with its signals mixed.

    Parameters
    ----------
    batch : Batch
        Left as it is.
    mix : Mix
        Partners must be of the same subject, since layouts differ between subjects.

    Returns
    -------
    Batch
        With new groups and ``mix`` set; targets are not touched, objectives weigh them.

    Raises
    ------
    DataError
        If a partner belongs to another subject.

    Examples
    --------
    >>> group = SubjectBatch("a", torch.tensor([0.0, 4.0]).reshape(2, 1, 1))
    >>> batch = Batch([group], {}, ["x", "y"], torch.arange(2), torch.ones(2), torch.arange(2))
    >>> mixed(batch, Mix(torch.tensor([1, 0]), torch.tensor([0.75, 1.0]))).groups[0].signal.flatten()
    tensor([1., 4.])
    """
    groups = []
    begin = 0
    for group in batch.groups:
        end = begin + len(group)
        partner = mix.partner[begin:end] - begin
        if len(group) and (int(partner.min()) < 0 or int(partner.max()) >= len(group)):
            raise DataError(f"mix: a partner of subject {group.subject!r} belongs to another subject")
        keep = mix.keep[begin:end].to(group.signal).reshape(-1, 1, 1)
        groups.append(replace(group, signal=keep * group.signal + (1 - keep) * group.signal[partner]))
        begin = end
    return replace(batch, groups=groups, mix=mix)


def draw_mix(batch: Batch, *, probability: float, beta: float) -> Mix:
    """Draw partners within every subject, and shares from a symmetric beta distribution.

    Parameters
    ----------
    batch : Batch
        Whose rows are to be mixed.
    probability : float
        How likely a row is mixed at all.
    beta : float
        Both parameters of the distribution of the share a row keeps.

    Returns
    -------
    Mix
        Drawn from torch's generator, which the task seeds at every step.
    """
    device = batch.candidate_index.device
    partners = []
    begin = 0
    for group in batch.groups:
        partners.append(begin + torch.randperm(len(group)))
        begin += len(group)
    keep = torch.distributions.Beta(beta, beta).sample((begin,))
    keep = torch.where(torch.rand(begin) < probability, keep, torch.ones(()))
    return Mix(torch.cat(partners).to(device), keep.to(device))


def alone(groups: Sequence[SubjectBatch]) -> list[SubjectBatch]:
    """Return the groups with every trial a sequence of its own.

    Examples
    --------
    >>> alone([SubjectBatch("a", torch.zeros(2, 1, 1))])[0].sequence
    tensor([0, 1])
    """
    parted, begin = [], 0
    for group in groups:
        rows = torch.arange(begin, begin + len(group), device=group.signal.device)
        parted.append(replace(group, sequence=rows, position=torch.zeros_like(rows)))
        begin += len(group)
    return parted


def whole_sequences(numbers: NDArray[np.int64], batch_size: int) -> list[NDArray[np.int64]]:
    """Deal rows into batches of about a size that hold whole sequences.

    Examples
    --------
    >>> [rows.tolist() for rows in whole_sequences(np.array([3, 3, 1, 2]), 2)]
    [[2, 3], [0, 1]]
    """
    order = np.argsort(numbers, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(numbers[order])) + 1, len(order))
    found, begin, last = [], 0, 0
    for end in ends:
        if end - begin > batch_size and last > begin:
            found.append(order[begin:last])
            begin = last
        last = int(end)
    return [*found, order[begin:]]


def rows_of(
    subject: str, batch: Batch, predicted: Sequence[Tensor]
) -> list[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]]:
    """Return the predicted and measured signals of a subject's groups, and how many windows each row averages."""
    repetitions = batch.repetitions.split([len(group) for group in batch.groups])
    return [
        (prediction.float().cpu().numpy(), group.signal.float().cpu().numpy(), counts.cpu().numpy())
        for group, prediction, counts in zip(batch.groups, predicted, repetitions, strict=True)
        if group.subject == subject
    ]
