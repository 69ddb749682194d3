"""A progress bar that keeps quiet where nobody watches it."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import Protocol


class Advance(Protocol):
    """Count some steps as done, and perhaps say anew what is being done."""

    def __call__(self, steps: int = 1, *, description: str | None = None) -> None:
        """Count `steps` as done."""


def is_watched() -> bool:
    """Tell whether standard output is a terminal with somebody in front of it.

    Returns
    -------
    bool
        False for a pipe or a file, in continuous integration (``CI=true``) and on a dumb terminal.
    """
    in_ci = os.environ.get("CI", "").lower() in ("1", "true", "yes")
    return sys.stdout.isatty() and not in_ci and os.environ.get("TERM") != "dumb"


@contextlib.contextmanager
def progress_bar(description: str, total: int | None = None) -> Iterator[Advance]:
    """Show how far a piece of work has come.

    Parameters
    ----------
    description : str
        What is being done.
    total : int, optional
        Number of steps; without it only the time that has passed is shown.

    Yields
    ------
    callable
        ``advance(steps=1)``, to be called after each step. It may be given a new ``description=``. Where
        nobody watches it only counts: one line is printed at the start and one at the end.

    Examples
    --------
    >>> with progress_bar("counting", total=3) as advance:  # doctest: +ELLIPSIS
    ...     for _ in range(3):
    ...         advance()
    counting ...
    counting: 3 of 3 in ... s
    """
    show = _drawn if is_watched() else _plain
    with show(description, total) as advance:
        yield advance


@contextlib.contextmanager
def _plain(description: str, total: int | None) -> Iterator[Advance]:
    start, done = time.monotonic(), 0

    def advance(steps: int = 1, *, description: str | None = None) -> None:
        nonlocal done
        done += steps

    print(f"{description} ...", flush=True)
    finished = False
    try:
        yield advance
        finished = True
    finally:
        count = "" if total is None and not done else f"{done} of {total} in " if total is not None else f"{done} in "
        state = "" if finished else "stopped, "
        print(f"{description}: {state}{count}{time.monotonic() - start:.1f} s", flush=True)


@contextlib.contextmanager
def _drawn(description: str, total: int | None) -> Iterator[Advance]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    counted = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()) if total is not None else ()
    with Progress(TextColumn("{task.description}"), *counted, TimeElapsedColumn()) as bar:
        task = bar.add_task(description, total=total)

        def advance(steps: int = 1, *, description: str | None = None) -> None:
            bar.update(task, advance=steps, description=description)

        yield advance
