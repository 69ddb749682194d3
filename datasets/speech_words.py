"""Windows that are words: one row for every word that was heard, with the sentence that it belongs to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, Literal

import numpy as np
import pandas as pd

from neurodecode.core.errors import ConfigError, suggestion
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.study import StudyInfo
from neurodecode.datasets.speech_events import presentations
from neurodecode.datasets.speech_passages import WindowRule, normal_text

Unit = Literal["segments", "words"]
UNITS: tuple[Unit, ...] = ("segments", "words")
#: Column of the window table whose values are all different: repeated words are not averaged.
OCCURRENCE = "occurrence"


@dataclass(frozen=True)
class WordRule(WindowRule):
    """How continuous speech is cut into windows of words: one window a word, all of one length.

    A window reaches from `lag` after the word's onset (before it, if negative) over `duration` seconds. So windows of
    neighbouring words overlap, also across the ends of sentences, as in the published decoders of words.

    Parameters
    ----------
    duration, lag : float
        Seconds; by default three seconds from half a second before the word.
    merge : float
        Must be 0: the sentence is the unit of the split.
    stride, words, pause, tolerance, binding
        As in `WindowRule`; there are no anchors beside the words.

    References
    ----------
    d'Ascoli et al. (2025), https://doi.org/10.48550/arXiv.2412.17829

    Examples
    --------
    >>> WordRule().duration, WordRule().lag
    (3.0, -0.5)
    """

    stride: float = 0.0
    lag: float = -0.5

    def __post_init__(self) -> None:
        if not np.isfinite(self.lag) or self.lag <= -self.duration:
            raise ConfigError(
                f"lag: got {self.lag}, expected seconds, more than minus the duration ({self.duration:g})"
            )
        replaced = {name: getattr(self, name) for name in WindowRule.__dataclass_fields__} | {"lag": abs(self.lag)}
        WindowRule(**replaced)
        for name, expected in (("merge", 0.0), ("stride", 0.0), ("words", True)):
            if getattr(self, name) != expected:
                raise ConfigError(f"{name}: got {getattr(self, name)} with windows at words, expected {expected}")

    def describe(self) -> dict[str, Any]:
        """Give plain values for a study's steps."""
        return {"unit": "words", **super().describe()}


def window_rule(own: WindowRule, windows: Mapping[str, Any] | str | None) -> WindowRule:
    """Read the option `windows` of a study of speech.

    Parameters
    ----------
    own : WindowRule
        The study's own rule for segments.
    windows : mapping or str, optional
        ``words`` or ``segments``, or a mapping with any values of the rule and, under ``unit``, one of the two.

    Returns
    -------
    WindowRule
        A `WordRule` for words.

    Raises
    ------
    ConfigError
        If a name is not known or a value out of range.

    Examples
    --------
    >>> window_rule(WindowRule(), "words").lag, window_rule(WindowRule(), {"lag": 0}).lag
    (-0.5, 0)
    """
    given = {"unit": windows} if isinstance(windows, str) else dict(windows or {})
    unit = given.pop("unit", "segments")
    if unit not in UNITS:
        raise ConfigError(f"windows: got {unit!r}, expected one of {', '.join(UNITS)}{suggestion(str(unit), UNITS)}")
    known = WindowRule.__dataclass_fields__
    for name, value in given.items():
        if name not in known:
            listed = (*known, "unit")
            raise ConfigError(f"windows: got {name!r}, expected one of {', '.join(listed)}{suggestion(name, listed)}")
        if isinstance(value, str) or (name == "words") != isinstance(value, bool):
            raise ConfigError(
                f"windows: {name}: got {value!r}, expected {'true or false' if name == 'words' else 'a number'}"
            )
    return replace(WordRule(binding=own.binding, pause=own.pause) if unit == "words" else own, **given)


def word_info(info: StudyInfo) -> StudyInfo:
    """Say what a study of speech is when its windows are words: single trials, repeated words being right answers."""
    return replace(info, kind="word", averaging=OCCURRENCE)


def word_windows(
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
    """Make the window table of one continuous run, a row a word.

    Parameters
    ----------
    words, passages, rule, subject, block, sfreq, n_samples, session, run, where
        As in `neurodecode.datasets.speech_windows.speech_windows`; a passage is a sentence.

    Returns
    -------
    windows : pandas.DataFrame
        `stimulus` is the word in lower case without punctuation, `sentence` names the sentence as it was heard this
        time, `text` is what it says and `split_text` what the split hashes; `occurrence` is different in every row.
    left_out : int
        Windows that reach beyond the recording.

    Raises
    ------
    DataError
        If a sentence is not among the passages, or the clocks of recording and sound part.

    Examples
    --------
    >>> heard = pd.DataFrame({"onset": [1.0, 1.5], "duration": 0.2, "word": ["Good", "day"], "sentence": "1",
    ...                       "audio": "a.wav", "audio_onset": [0.0, 0.5]})
    >>> texts = {"text": "Good day", "split_text": "good day"}
    >>> sentences = pd.DataFrame({"audio": ["a.wav"], "sentences": [("1",)], **texts})
    >>> table, _ = word_windows(heard, sentences, WordRule(), subject="sub-01", block="r", sfreq=100.0, n_samples=900)
    >>> table[["stimulus", "start", "length"]].values.tolist()
    [['good', 50, 300], ['day', 100, 300]]
    """
    length = round(rule.duration * sfreq)
    if length < 1:
        raise ConfigError(f"duration: {rule.duration:g} s holds no sample at {sfreq:g} Hz")
    texts = {
        (str(row.audio), str(name)): (str(row.text), str(row.split_text))
        for row in passages.itertuples()
        for name in row.sentences  # type: ignore[union-attr]
    }
    rows: list[dict[str, Any]] = []
    for number, heard in enumerate(presentations(words, rule, where or f"{subject} {block}")):
        audio = str(heard["audio"].iloc[0])
        stem = PurePosixPath(audio).stem
        for word in heard.itertuples():
            stimulus = normal_text(str(word.word))
            if not stimulus:  # a dash is heard by nobody
                continue
            text, split_text = texts[audio, str(word.sentence)]
            rows.append(
                {
                    "stimulus": stimulus,
                    "word": str(word.word),
                    # Heard twice in a run, a sentence is two sentences.
                    "sentence": f"{stem}_{word.sentence}_{number}",
                    "text": text,
                    "split_text": split_text,
                    "onset": float(word.onset),  # type: ignore[arg-type]
                    "audio": audio,
                    "audio_onset": float(word.audio_onset),  # type: ignore[arg-type]
                }
            )
    columns = ["stimulus", "word", "sentence", "text", "split_text", "onset", "audio", "audio_onset"]
    table = pd.DataFrame(rows, columns=columns)
    start = np.round((table["onset"].to_numpy(dtype=np.float64) + rule.lag) * sfreq).astype(np.int64)
    for name, value in (("subject", subject), ("session", session), ("run", run), ("block", block)):
        table[name] = value
    table["start"], table["length"], table["duration"] = start, length, rule.duration
    table[OCCURRENCE] = [f"{block}/{row}" for row in range(len(table))]
    whole = (start >= 0) & (start + length <= n_samples)
    table = table[whole].reset_index(drop=True)
    table["repetition"] = table.groupby("stimulus").cumcount() + 1
    return table, int((~whole).sum())


def word_stimuli(windows: Sequence[pd.DataFrame]) -> Stimuli:
    """List the words of a study, each once; what a text encoder embeds is the word in isolation.

    Examples
    --------
    >>> word_stimuli([pd.DataFrame({"stimulus": ["day", "day"]})]).names
    ['day']
    """
    names = sorted({str(name) for table in windows for name in table["stimulus"]})
    return Stimuli(pd.DataFrame({"stimulus": names, "kind": "word", "path": "", "concept": "", "text": names}))
