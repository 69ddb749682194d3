"""Praat's TextGrid files, long or short: the tiers and their intervals."""

import re
from pathlib import Path

import pandas as pd

from neurodecode.core.errors import DataError

# Text in quotes, a number that stands alone, or a flag: by Praat's rule all else is decoration.
_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(?<!\S)([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?!\S)|<(exists|absent)>')
LARGEST = 10_000_000


def read_textgrid(path: Path) -> dict[str, pd.DataFrame]:
    """Read the interval tiers of a TextGrid.

    Parameters
    ----------
    path : Path
        UTF-8, or UTF-16 with its mark.

    Returns
    -------
    dict of str to pandas.DataFrame
        By the tier's name: `start`, `stop` (s) and `label`, intervals without a label included.

    Raises
    ------
    DataError
        If the file is no TextGrid, ends early, or an interval ends before it begins.
    """
    try:
        content = path.read_bytes()
        if len(content) > LARGEST:
            raise DataError(f"{path}: {len(content)} bytes, expected less than {LARGEST}")
        wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not readable as text ({error})") from None
    tokens: list[str | float] = []
    for match in _TOKEN.finditer(text):
        if match[2] is not None:
            tokens.append(float(match[2]))
        else:
            tokens.append(match[3] if match[1] is None else match[1].replace('""', '"'))
    if "TextGrid" not in tokens[:2]:
        raise DataError(f"{path}: not a TextGrid")
    try:
        return _tiers(tokens)
    except (IndexError, TypeError, ValueError) as error:
        raise DataError(f"{path}: broken or cut ({error})") from None


def _tiers(tokens: list[str | float]) -> dict[str, pd.DataFrame]:
    """Walk through file type, class, ends, flag, number of tiers; then each tier."""
    at = 5
    found = {}
    for _ in range(_count(tokens[at])):
        kind, name = tokens[at + 1], tokens[at + 2]
        count = _count(tokens[at + 5])
        width = 3 if kind == "IntervalTier" else 2
        if kind not in ("IntervalTier", "TextTier") or not isinstance(name, str):
            raise ValueError(f"expected a tier, got {kind!r}")
        rows = [tokens[at + 6 + width * row : at + 6 + width * (row + 1)] for row in range(count)]
        if rows and len(rows[-1]) < width:
            raise ValueError(f"tier {name!r} has not the {count} rows that it says")
        at += 5 + width * count
        if kind == "TextTier":
            continue
        for start, stop, label in rows:
            if not isinstance(start, float) or not isinstance(stop, float) or not isinstance(label, str):
                raise ValueError(f"tier {name!r}: interval {start!r}, {stop!r}, {label!r}")
            if stop < start:
                raise ValueError(f"tier {name!r}: interval from {start:g} to {stop:g} s")
        found[name] = pd.DataFrame(rows, columns=["start", "stop", "label"])
    return found


def _count(token: str | float) -> int:
    if not isinstance(token, float) or not 0 <= token <= LARGEST or token != int(token):
        raise ValueError(f"expected a count, got {token!r}")
    return int(token)
