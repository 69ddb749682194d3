"""What happened in a MOUS recording: sounds in the log, triggers in the recording, sentences in the list."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.files import read_table, read_text
from neurodecode.datasets.speech_passages import normal_text

TRIGGERS = "UPPT001"
CONTEXT, FIXATION = 10, 20
CONDITIONS = {"ZINNEN": "sentence", "WOORDEN": "word_list"}
# Some trials lack their last word, so a sentence is recognised by its beginning.
BEGINNING = 45
# Samples of the events table and of the trigger channel may be this far apart.
SAMPLES_APART = 2


def beginning_of(text: str) -> str:
    """Give the first letters of a text without case and punctuation, by which it is found in the list."""
    return normal_text(text)[:BEGINNING]


def read_sentences(path: Path) -> dict[str, str]:
    """Read the list of sentences: a number and the sentence a line.

    Returns
    -------
    dict of str to str
        Sentences by what `beginning_of` gives.

    Raises
    ------
    DataError
        If a line has no number, or two sentences begin alike, naming the line.
    """
    lines = read_text(path).splitlines()
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        match = re.fullmatch(r"\s*(\d+)\s+(\S.*?)\s*", line)
        if match is None:
            raise DataError(f"{path}: line {number}: got {line[:60]!r}, expected a number and a sentence")
        key = beginning_of(match[2])
        if found.setdefault(key, match[2]) != match[2]:
            raise DataError(f"{path}: line {number}: begins like another sentence, {found[key][:60]!r}")
    return found


def played_sounds(log: pd.DataFrame, path: Path) -> pd.DataFrame:
    """List the sounds that a log says were played.

    Parameters
    ----------
    log : pandas.DataFrame
        What `read_log` gave.
    path : Path
        The log, for messages.

    Returns
    -------
    pandas.DataFrame
        `sound` (number of the file), `time` (s of the log's clock, of the row after it that says that the sound began),
        `condition` (``sentence``, ``word_list``) and `line`.

    Raises
    ------
    DataError
        If a sound is not named by a number, or the row after it does not say that it began.
    """
    condition = ""
    rows = []
    codes = log["code"].tolist()
    for row, (event, code, line) in enumerate(zip(log["event"], codes, log["line"], strict=True)):
        condition = next((name for word, name in CONDITIONS.items() if word in code), condition)
        if event != "Sound":
            continue
        match = re.fullmatch(r"\d+ Start File (\d+)\.wav", code)
        if match is None:
            raise DataError(f"{path}: line {line}: a sound is called {code!r}, expected '<n> Start File <number>.wav'")
        if row + 1 == len(log) or not codes[row + 1].endswith("Audio onset"):
            got = repr(codes[row + 1]) if row + 1 < len(log) else "the end"
            raise DataError(f"{path}: line {line}: sound {code!r} is followed by {got}, expected 'Audio onset'")
        time = float(log["time"].iloc[row + 1])
        rows.append({"sound": int(match[1]), "time": time, "condition": condition, "line": line})
    if not rows:
        raise DataError(f"{path}: no sound was played")
    return pd.DataFrame(rows)


def marked_events(log: pd.DataFrame) -> pd.DataFrame:
    """List what a trigger was sent for: the beginning of a block (10), a fixation cross (20); `time` and `kind`."""
    kinds = [
        CONTEXT if any(word in code for word in CONDITIONS) else FIXATION if code.startswith("FIX") else 0
        for code in log["code"]
    ]
    return log.assign(kind=kinds)[np.array(kinds) > 0].reset_index(drop=True)


def read_triggers(raw: Any, path: Path) -> NDArray[np.int64]:
    """Read the triggers of a recording: sample (from its first) and value, ``(n_triggers, 2)``."""
    import mne

    if TRIGGERS not in raw.ch_names:
        raise DataError(f"{path}: has no channel {TRIGGERS!r}")
    events = mne.find_events(raw, stim_channel=TRIGGERS, shortest_event=1, verbose="error")
    pairs: NDArray[np.int64] = np.stack([events[:, 0] - raw.first_samp, events[:, 2]], axis=1).astype(np.int64)
    return pairs


def check_events_table(path: Path, triggers: NDArray[np.int64]) -> None:
    """Prove that the events table tells of the triggers in the recording; without a table there is nothing to prove."""
    if not path.is_file():
        return
    table = read_table(path, required=("onset", "sample", "type", "value"), text=("type", "value"))
    mine = table[(table["type"] == TRIGGERS) & ~table["value"].isin(["", "n/a"])]
    samples = pd.to_numeric(mine["sample"], errors="coerce").to_numpy(dtype=np.float64)
    values = pd.to_numeric(mine["value"], errors="coerce").to_numpy(dtype=np.float64)
    for row, (sample, value) in enumerate(zip(samples, values, strict=True)):
        near = np.abs(triggers[:, 0] - sample) <= SAMPLES_APART
        if not (triggers[near, 1] == value).any():
            line = int(mine.index[row]) + 2
            got = ", ".join(str(other) for other in triggers[near, 1]) or "none"
            raise DataError(
                f"{path}: line {line}: trigger {value:g} at sample {sample:.0f}, the recording has there: {got}"
            )
