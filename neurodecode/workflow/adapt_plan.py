"""What an adaptation runs: who is new, which budgets, which strategies."""

from dataclasses import dataclass
from pathlib import Path

from neurodecode.core.budget import ORDERS, Order, parse_budget
from neurodecode.core.errors import ConfigError, suggestion
from neurodecode.encoders.linear.group_prior import GRIDS
from neurodecode.training.adaptation import NETWORK_STRATEGIES
from neurodecode.training.adaptation_fit import EPOCHS
from neurodecode.workflow.adapt_group import Channels, check_channels

#: Training from scratch, which is always run beside the strategies.
SCRATCH = "scratch"
#: All training windows, with which the ceiling of the curve is fitted from scratch.
ALL = "all"
STRATEGIES: tuple[str, ...] = (*(name for name in NETWORK_STRATEGIES if name != SCRATCH), *GRIDS)


@dataclass(frozen=True)
class AdaptationPlan:
    """What is run.

    Parameters
    ----------
    subject : str
        Who is new.
    budgets : tuple of str
        See `neurodecode.core.budget.parse_budget`.
    strategies : tuple of str
        Some of `STRATEGIES`; none for all that the channels allow. Training from scratch is always run beside them.
    order : str
        Of the budgets' windows.
    seed : int
        Of draws, weights and inner folds.
    checkpoint : Path, optional
        Network that was trained on other subjects; needed by the strategies that adapt a network.
    others : tuple of str
        Of whom the group consists; those of the checkpoint, or all but the new subject.
    epochs : int
        Most epochs of a network.
    ceiling : bool
        Whether the subject's own models are also fitted on all of its training and validation windows.
    channels : {"same", "common"}
        Whether all of the group must have the new subject's channels, or those that all have are used.
    """

    subject: str
    budgets: tuple[str, ...]
    strategies: tuple[str, ...]
    order: Order = "chronological"
    seed: int = 0
    checkpoint: Path | None = None
    others: tuple[str, ...] = ()
    epochs: int = EPOCHS
    ceiling: bool = True
    channels: Channels = "same"

    def __post_init__(self) -> None:
        if len(set(self.strategies)) != len(self.strategies):
            raise ConfigError(f"strategies: got {', '.join(self.strategies)}, expected some, each once")
        if not self.budgets:
            raise ConfigError("budgets: got none, expected some")
        texts = [parse_budget(budget).text for budget in self.budgets]
        if len(set(texts)) != len(texts):
            raise ConfigError(f"budgets: got {', '.join(self.budgets)}, expected each once")
        check_channels(self.channels)
        if self.order not in ORDERS:
            raise ConfigError(f"order: got {self.order!r}, expected one of {', '.join(ORDERS)}")
        for name in self.strategies:
            if name not in STRATEGIES:
                raise ConfigError(
                    f"strategies: got {name!r}, expected some of {', '.join(STRATEGIES)}{suggestion(name, STRATEGIES)}"
                )
            if name in NETWORK_STRATEGIES and self.checkpoint is None:
                raise ConfigError(f"strategies: {name} adapts a network, expected --checkpoint")
        if self.epochs < 1:
            raise ConfigError(f"epochs: got {self.epochs}, expected at least 1")
