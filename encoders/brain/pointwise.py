"""A small network that is the same at every time."""

from torch import nn


class PointwiseMLP(nn.Sequential):
    """Two linear maps at every time, with twice the features and GELU between them.

    Parameters
    ----------
    n_in, n_out : int
        Number of features before and after.

    Examples
    --------
    >>> import torch
    >>> PointwiseMLP(4, 6)(torch.zeros(2, 4, 9)).shape
    torch.Size([2, 6, 9])
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__(nn.Conv1d(n_in, 2 * n_in, 1), nn.GELU(), nn.Conv1d(2 * n_in, n_out, 1))
