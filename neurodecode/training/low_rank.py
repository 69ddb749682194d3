"""Updates of low rank to the linear layers of a network, which are merged into its weights afterwards."""

from collections.abc import Collection

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from neurodecode.core.errors import ConfigError

#: Width of the updates.
RANK = 8


class LowRank(nn.Module):
    """A weight plus a product of two narrow ones, the second of which starts at zero.

    Parameters
    ----------
    n_out, n_in, rank : int
        Shape of the weight, and of the product's middle.

    References
    ----------
    Hu et al. (2022). LoRA: Low-Rank Adaptation of Large Language Models. https://doi.org/10.48550/arXiv.2106.09685

    Examples
    --------
    >>> bool((LowRank(3, 4, 2)(torch.ones(3, 4)) == 1).all())
    True
    """

    def __init__(self, n_out: int, n_in: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.randn(rank, n_in) / n_in**0.5)
        self.up = nn.Parameter(torch.zeros(n_out, rank))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the updated weight."""
        return weight + self.up @ self.down


def add_low_rank(task: nn.Module, own: Collection[str], *, rank: int, seed: int) -> None:
    """Give every linear layer of the encoder that all subjects share a trained update of low rank."""
    layers = [
        module
        for name, module in task.named_modules()
        if isinstance(module, nn.Linear) and name.startswith("encoder.") and f"{name}.weight" not in own
    ]
    if not layers:
        raise ConfigError("lora: the network has no linear layer that all subjects share")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in layers:
            narrow = min(rank, layer.in_features, layer.out_features)
            update = LowRank(layer.out_features, layer.in_features, narrow)
            parametrize.register_parametrization(layer, "weight", update)


def merge_low_rank(task: nn.Module) -> None:
    """Write the updates into the weights, so that the network is again what it was built as."""
    for module in list(task.modules()):
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
