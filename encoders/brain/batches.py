"""What goes into a brain encoder: signals grouped by subject."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neurodecode.core.errors import MismatchError


@dataclass
class SubjectBatch:
    """Signals of one subject, a part of a batch.

    Subjects differ in their number of channels, so a batch is a list of such groups. The groups keep their order,
    and everything that is concatenated (targets, latents) follows it.

    Parameters
    ----------
    subject : str
        The subject's name, as in the study's tables.
    signal : Tensor of shape (n_trials, n_channels, n_times)
        float32, in the unit that the fold's transforms leave.
    sequence : Tensor of int64, shape (n_trials,), optional
        Which trials belong together, as the words of a sentence do: equal numbers are one sequence, in all groups.
    position : Tensor of int64, shape (n_trials,), optional
        Place of a trial within its sequence.
    """

    subject: str
    signal: Tensor
    sequence: Tensor | None = None
    position: Tensor | None = None

    def __len__(self) -> int:
        """Return the number of trials."""
        return int(self.signal.shape[0])


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Concatenate the rows of groups; one group alone is not copied.

    Examples
    --------
    >>> joined([torch.zeros(2, 3), torch.zeros(1, 3)]).shape
    torch.Size([3, 3])
    """
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def check_groups(groups: Sequence[SubjectBatch], n_channels: Mapping[str, int], n_times: int) -> None:
    """Refuse subjects and shapes that an encoder was not built for.

    Parameters
    ----------
    groups : sequence of SubjectBatch
        The batch.
    n_channels : mapping
        Number of channels of every subject the encoder knows.
    n_times : int
        Number of time points of a window.

    Raises
    ------
    MismatchError
        If there is no group, a subject is unknown, or a signal has another shape.

    Examples
    --------
    >>> import torch
    >>> check_groups([SubjectBatch("sub-01", torch.zeros(2, 3, 4))], {"sub-01": 3}, 4)
    """
    if not groups:
        raise MismatchError("batch: got no subject group, expected at least one")
    for group in groups:
        if group.subject not in n_channels:
            known = ", ".join(sorted(n_channels))
            raise MismatchError(f"subject: got {group.subject!r}, expected one the encoder was built for ({known})")
        expected = (n_channels[group.subject], n_times)
        if group.signal.ndim != 3 or tuple(group.signal.shape[1:]) != expected:
            raise MismatchError(
                f"signal of {group.subject}: got shape {tuple(group.signal.shape)}, "
                f"expected (n_trials, {expected[0]}, {expected[1]})"
            )
