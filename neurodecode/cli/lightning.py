"""The commands ``fit``, ``validate``, ``test`` and ``predict``."""

from collections.abc import Sequence


def run_lightning(subcommand: str, arguments: Sequence[str]) -> None:
    """Run one of Lightning's commands; everything heavy is imported here.

    Parameters
    ----------
    subcommand : str
        ``fit``, ``validate``, ``test`` or ``predict``.
    arguments : sequence of str
        What was typed after it.
    """
    from neurodecode.training.command_line import run

    run(subcommand, arguments)
