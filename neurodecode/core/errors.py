"""Errors that a user can act on: one line that names what was got and what was expected."""

import errno
import re
from collections.abc import Iterable


class NeurodecodeError(Exception):
    """Base of every error that the command line prints as one line, without a traceback."""


class DataError(NeurodecodeError, ValueError):
    """A file, table or signal is not what its format or its neighbours say it is."""


class ConfigError(NeurodecodeError, ValueError):
    """An argument or a configuration value cannot be used."""


class LeakageError(NeurodecodeError, ValueError):
    """Something that must be disjoint between training and testing is not."""


class MismatchError(NeurodecodeError, ValueError):
    """Two parts that must fit (checkpoint, target space, generator, subject) do not."""


def is_disk_full(error: OSError) -> bool:
    """Tell whether an error means that no space is left, on the disk or in the user's quota.

    Examples
    --------
    >>> is_disk_full(OSError("1000 requested and 24 written"))
    True
    >>> is_disk_full(FileNotFoundError(2, "No such file or directory"))
    False
    """
    # numpy reports a short write in words, without an error number.
    return error.errno in (errno.ENOSPC, errno.EDQUOT) or bool(re.search(r"requested and \d+ written", str(error)))


def suggestion(word: str, known: Iterable[str]) -> str:
    """Compose a hint to the nearest known word.

    Parameters
    ----------
    word : str
        What was typed.
    known : iterable of str
        What could have been meant.

    Returns
    -------
    str
        For example ``"; did you mean 'retrieve'?"``, or an empty string when nothing is near.

    Examples
    --------
    >>> suggestion("retreive", ["retrieve", "report"])
    "; did you mean 'retrieve'?"
    >>> suggestion("xyz", ["retrieve"])
    ''
    """
    import difflib  # only when something was mistyped

    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
