"""Fixed-length windows of continuous speech: rows into a recording, one id a segment of sound, whoever hears it."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.stimuli import Stimuli
from neurodecode.datasets.speech_events import presentations
from neurodecode.datasets.speech_passages import WindowRule

STIMULUS_COLUMNS = ("path", "onset", "duration", "text", "split_text", "passage_start", "passage_stop", "word")


def segment_name(audio: str, milliseconds: int) -> str:
    """Name a segment by its audio file's stem and its start, the same whoever hears it and however often.

    Examples
    --------
    >>> segment_name("audio/lw1_0.wav", 12340)
    'lw1_0_00012340'
    """
    return f"{PurePosixPath(audio).stem}_{milliseconds:08d}"


def speech_windows(
    words: pd.DataFrame,
    passages: pd.DataFrame,
    rule: WindowRule,
    *,
    subject: str,
    block: str,
    sfreq: float,
    n_samples: int,
    session: str = "",
    run: str = "",
    where: str = "",
) -> tuple[pd.DataFrame, int]:
    """Make the window table of one continuous run.

    A window belongs to one passage wholly: what would cross into the next, which may be on another side of the split,
    is not made. Windows at words and at evenly spaced anchors of the passage are rows of one table; where both begin in
    the same millisecond the word's row is kept.

    Parameters
    ----------
    words : pandas.DataFrame
        What `check_words` gave for this run.
    passages : pandas.DataFrame
        What `find_passages` gave for the study.
    rule : WindowRule
        Lengths, anchors and lag.
    subject, block, session, run : str
        As in the window table of a `Recording`; `block` is the continuous block that the run is stored in.
    sfreq : float
        Of the block (Hz).
    n_samples : int
        Of the block.
    where : str
        The file, for messages.

    Returns
    -------
    windows : pandas.DataFrame
        Columns of `Recording.windows` (`onset` is that of the sound, `start` is later by the lag) and `anchor`
        (``word`` or ``grid``), `word`, `text`, `split_text`, `audio`, `audio_onset`, `passage_start`, `passage_stop`,
        `duration`.
        `repetition` counts within the run; `join_windows` counts within a subject.
    left_out : int
        Windows that the recording does not hold whole.

    Raises
    ------
    DataError
        If the audio file's clock and the recording's part by more than the tolerance between two words.
    """
    length = round(rule.duration * sfreq)
    if length < 1:
        raise ConfigError(f"duration: {rule.duration:g} s holds no sample at {sfreq:g} Hz")
    belongs = {
        (str(row.audio), name): position
        for position, row in enumerate(passages.itertuples())
        for name in row.sentences  # type: ignore[union-attr]
    }
    rows: list[dict[str, Any]] = []
    for heard in presentations(words, rule, where or f"{subject} {block}"):
        audio = str(heard["audio"].iloc[0])
        which = np.array([belongs.get((audio, str(name)), -1) for name in heard["sentence"]])
        if (which < 0).any():
            name = heard["sentence"].iloc[int(np.argmax(which < 0))]
            raise DataError(f"{where or subject}: sentence {name!r} of {audio} is not among the study's passages")
        for position in dict.fromkeys(which.tolist()):
            rows += _windows_of_passage(heard[which == position], passages.iloc[position], rule)
    columns = ["sound", "anchor", "word", "text", "split_text", "audio", "audio_onset", "passage_start", "passage_stop"]
    table = pd.DataFrame(rows, columns=["stimulus", *columns])
    start = np.round((table["sound"].to_numpy(dtype=np.float64) + rule.lag) * sfreq).astype(np.int64)
    table.insert(0, "subject", subject)
    for name, value in (("session", session), ("run", run), ("block", block)):
        table[name] = value
    table["start"], table["length"], table["onset"] = start, length, table.pop("sound")
    table["duration"] = rule.duration
    whole = (start >= 0) & (start + length <= n_samples)
    table = table[whole].reset_index(drop=True)
    table["repetition"] = table.groupby("stimulus").cumcount() + 1
    return table, int((~whole).sum())


def _windows_of_passage(heard: pd.DataFrame, passage: "pd.Series[Any]", rule: WindowRule) -> list[dict[str, Any]]:
    """Place the anchors of one presentation of one passage: in the audio's time, then in the recording's."""
    audio, start = str(passage["audio"]), float(passage["start"])
    times = heard["audio_onset"].to_numpy(dtype=np.float64)
    delays = heard["onset"].to_numpy(dtype=np.float64) - times
    first = float(times[0])
    # Of a passage that was not played to its end only what was heard counts.
    stop = min(float(passage["stop"]), float((times + heard["duration"].to_numpy(dtype=np.float64)).max()) + rule.pause)
    anchors: dict[int, tuple[str, str]] = {}
    if rule.words:
        anchors |= {round(time * 1000): ("word", str(word)) for time, word in zip(times, heard["word"], strict=True)}
    for time in _grid(start, stop - rule.duration, rule.stride):
        anchors.setdefault(round(time * 1000), ("grid", ""))
    rows = []
    for milliseconds in sorted(anchors):
        time = milliseconds / 1000
        if time + rule.duration > stop + 5e-4 or time < first - 5e-4:
            continue
        delay = float(delays[max(0, int(np.searchsorted(times, time + 5e-4)) - 1)])
        rows.append(
            {
                "stimulus": segment_name(audio, milliseconds),
                "sound": time + delay,
                "anchor": anchors[milliseconds][0],
                "word": anchors[milliseconds][1],
                "text": str(passage["text"]),
                "split_text": str(passage["split_text"]),
                "audio": audio,
                "audio_onset": time,
                "passage_start": start,
                "passage_stop": float(passage["stop"]),
            }
        )
    return rows


def _grid(first: float, last: float, step: float) -> NDArray[np.float64]:
    if step == 0 or last < first:
        return np.empty(0)
    return np.asarray(first + step * np.arange(int((last - first) / step + 1e-9) + 1), dtype=np.float64)


def join_windows(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join the window tables of a subject's runs and count how often each segment has been heard.

    Examples
    --------
    >>> join_windows([pd.DataFrame({"stimulus": ["a_00000000"]})] * 2)["repetition"].tolist()
    [1, 2]
    """
    windows = pd.concat(tables, ignore_index=True)
    windows["repetition"] = windows.groupby("stimulus").cumcount() + 1
    return windows


def speech_stimuli(windows: Sequence[pd.DataFrame], root: Path | None = None) -> Stimuli:
    """List the segments of a study, each once.

    Parameters
    ----------
    windows : sequence of pandas.DataFrame
        Window tables of all subjects.
    root : Path, optional
        The folder that the audio files' names are relative to.

    Returns
    -------
    Stimuli
        Kind ``speech``; `path` the audio file, `onset` and `duration` (s) the place in it, `text` the sentence or
        joined sentences, `split_text`, `passage_start`, `passage_stop`, and the `word` that the segment begins with, if
        any.

    Raises
    ------
    DataError
        If there is no window, or two subjects' segments of one name belong to different passages.
    """
    together = pd.concat(windows, ignore_index=True) if len(windows) else pd.DataFrame({"stimulus": []})
    if together.empty:
        raise DataError("windows: got none, expected passages at least as long as a window; join sentences by `merge`")
    sides = together.groupby("stimulus")["split_text"].nunique()
    if (sides > 1).any():
        raise DataError(f"segment {sides.index[int(np.argmax(sides > 1))]!r} belongs to two passages, expected one")
    # A segment that begins with a word for one subject does so for all; the anchor's row has no word to tell.
    rows = together.sort_values(["stimulus", "word"], ascending=[True, False], kind="stable")
    rows = rows.drop_duplicates("stimulus").reset_index(drop=True)
    table = rows.assign(kind="speech", concept="", path=rows["audio"], onset=rows["audio_onset"])
    return Stimuli(table[["stimulus", "kind", "concept", *STIMULUS_COLUMNS]], root)
