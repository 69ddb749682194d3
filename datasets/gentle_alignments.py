"""What the aligner Gentle says of a sound: when its words and phonemes were spoken, and their sentences in the text."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import pandas as pd

from neurodecode.core.errors import DataError
from neurodecode.core.files import read_json
from neurodecode.datasets.speech_signals import first_line

# Share of the aligned words that must be found in the text, in order.
FEWEST_MATCHES = 0.8


def read_alignment(path: Path) -> pd.DataFrame:
    """Read what the aligner Gentle found: only words that it placed.

    Returns
    -------
    pandas.DataFrame
        `onset`, `duration` (s), `word`, `phones` (a list of name and duration).

    Raises
    ------
    DataError
        If a placed word has no times, or ends before it begins.
    """
    content = read_json(path)
    entries = content.get("words") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise DataError(f"{path}: expected an object with a list 'words'")
    rows = []
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict) or entry.get("case") != "success":
            continue
        try:
            start, end, word = float(entry["start"]), float(entry["end"]), str(entry["word"])
            phones = [(str(phone["phone"]), float(phone["duration"])) for phone in entry.get("phones", [])]
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}: word {number}: expected word, start and end ({first_line(error)})") from None
        if not 0 <= start <= end < np.inf:
            raise DataError(f"{path}: word {number} ({word}) from {start:g} to {end:g} s")
        rows.append({"onset": start, "duration": end - start, "word": word, "phones": phones})
    if not rows:
        raise DataError(f"{path}: no word of the case 'success' among {len(entries)}")
    return pd.DataFrame(rows).sort_values("onset", kind="stable").reset_index(drop=True)


def sentences_of(words: Sequence[str], path: Path) -> list[str]:
    """Find the sentence of each aligned word in the text; a word that is not found goes with the one before.

    Parameters
    ----------
    words : sequence of str
        In the order in which they were spoken.
    path : Path
        The text; sentences end with a full stop, a question mark or an exclamation mark.

    Raises
    ------
    DataError
        If the file is not there or not UTF-8, or less than four fifths of the words are found in order.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not readable as text ({first_line(error)})") from None
    pieces = re.split(r"(?<=[.!?])[\"'\u201d\u2019)]*\s+", text)
    written = [
        (_bare(word), str(number)) for number, piece in enumerate(pieces) for word in piece.split() if _bare(word)
    ]
    spoken = [_bare(word) for word in words]
    matcher = SequenceMatcher(None, spoken, [word for word, _ in written], autojunk=False)
    found = [""] * len(spoken)
    for block in matcher.get_matching_blocks():
        for step in range(block.size):
            found[block.a + step] = written[block.b + step][1]
    count = sum(name != "" for name in found)
    if count < FEWEST_MATCHES * len(spoken):
        raise DataError(f"{path}: {count} of {len(spoken)} aligned words found in order, expected at least four fifths")
    series = pd.Series(found).replace("", None).ffill().bfill()
    return [str(name) for name in series]


def _bare(word: str) -> str:
    return re.sub(r"[\W_]+", "", word).lower()
