"""Rows of all processes, with gradients, so that a contrastive loss does not depend on how many there are."""

import torch
from torch import Tensor, distributed
from torch.autograd import Function


def world() -> tuple[int, int]:
    """Return this process's rank and the number of processes; (0, 1) without a process group.

    Examples
    --------
    >>> world()
    (0, 1)
    """
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


class _GatherRows(Function):
    """All-gather whose backward pass adds up what every process says about this one's rows."""

    @staticmethod
    def forward(context: torch.autograd.function.FunctionCtx, rows: Tensor, sizes: list[int]) -> Tensor:
        """Gather rows padded to the longest, and cut the padding away."""
        rank, count = world()
        padded = rows.new_zeros((max(sizes), *rows.shape[1:]))
        padded[: sizes[rank]] = rows
        gathered = [torch.empty_like(padded) for _ in range(count)]
        distributed.all_gather(gathered, padded)
        context.sizes = sizes  # type: ignore[attr-defined]
        return torch.cat([part[:size] for part, size in zip(gathered, sizes, strict=True)])

    @staticmethod
    def backward(context: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        """Sum the gradients over processes and keep this one's rows."""
        rank, _ = world()
        sizes: list[int] = context.sizes  # type: ignore[attr-defined]
        total = gradient.contiguous().clone()
        distributed.all_reduce(total)
        begin = sum(sizes[:rank])
        return total[begin : begin + sizes[rank]], None


def gathered_sizes(rows: Tensor) -> list[int]:
    """Return how many rows every process has."""
    rank, count = world()
    if count == 1:
        return [len(rows)]
    sizes = torch.zeros(count, dtype=torch.int64, device=rows.device)
    sizes[rank] = len(rows)
    distributed.all_reduce(sizes)
    return [int(size) for size in sizes]


def gather_rows(rows: Tensor, sizes: list[int]) -> Tensor:
    """Return the rows of all processes in the order of ranks.

    Parameters
    ----------
    rows : Tensor of shape (n_local, ...)
        This process's rows.
    sizes : list of int
        What :func:`gathered_sizes` returned.

    Returns
    -------
    Tensor of shape (sum(sizes), ...)
        Differentiable. With one process, the same rows.

    Examples
    --------
    >>> gather_rows(torch.arange(3), [3])
    tensor([0, 1, 2])
    """
    if world()[1] == 1:
        return rows
    gathered: Tensor = _GatherRows.apply(rows, sizes)  # type: ignore[no-untyped-call]
    return gathered
