"""Lightning without its advertisements, and without warnings that do not concern the user."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

# Each with the reason why it does not concern the user of this program.
IGNORED_WARNINGS = (
    ".*does not have many workers.*",  # batches are read from memory maps in a few milliseconds
    ".*number of training batches.*smaller than the logging interval.*",  # everything is logged by the epoch
    ".*isinstance.treespec, LeafSpec.*is deprecated.*",  # between Lightning and torch
    ".*Checkpoint directory .* exists and is not empty.*",  # a run that is repeated or resumed
    ".*Experiment logs directory .* exists and is not empty.*",
    ".*LightningCLI's args parameter is intended to run from within Python.*",  # which is what we do
    "The dirpath has changed from.*",  # a checkpoint is scored somewhere else than where it was trained
    ".*to be unpickled.*weights_only.*",
    ".*TF32.*",
    ".*lr_scheduler.step\\(\\).*before.*optimizer.step\\(\\).*",  # the first epoch of a resumed run
)


class NoTips(logging.Filter):
    """Drop the tips that advertise other products, and the list of accelerators that are not there."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is worth printing."""
        text = record.getMessage()
        advertises = "Tip:" in text or "litlogger" in text
        return not (advertises or text.startswith(("GPU available", "TPU available", "HPU available")))


LOGGERS = ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.seed")


@contextmanager
def quiet_lightning(*, watched: bool) -> Iterator[None]:
    """Silence what does not concern the user while the block runs.

    Parameters
    ----------
    watched : bool
        Whether somebody sits at a terminal; otherwise Lightning's own messages below warnings are dropped as well.

    Examples
    --------
    >>> with quiet_lightning(watched=False):
    ...     logging.getLogger("lightning.pytorch").info("Tip: buy something")
    """
    only = NoTips()
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addFilter(only)
        if not watched:
            logger.setLevel(logging.WARNING)
    try:
        # jsonargparse warns about how Lightning calls it, on every name once.
        with warnings.catch_warnings(), mock.patch.dict(os.environ, {"JSONARGPARSE_DEPRECATION_WARNINGS": "off"}):
            for pattern in IGNORED_WARNINGS:
                warnings.filterwarnings("ignore", message=pattern)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeFilter(only)
            logger.setLevel(level)
