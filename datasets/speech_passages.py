"""From the words of recordings to sentences and passages: the units that a split of continuous speech keeps whole."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from neurodecode.core.errors import ConfigError, DataError

WORD_COLUMNS = ("onset", "duration", "word", "sentence", "audio", "audio_onset")
TEXT_COLUMNS = ("word", "sentence", "audio")
CURLY_APOSTROPHE = "\u2019"


@dataclass(frozen=True)
class WindowRule:
    """How continuous speech is cut into windows.

    All windows have one length: where lengths differ, a decoder can tell segments by their duration from any signal,
    noise included (doi:10.48550/arXiv.2605.24524).

    Parameters
    ----------
    duration : float
        Length of a window in seconds.
    stride : float
        Step between evenly spaced anchors in seconds; 0 for none.
    words : bool
        Whether a window begins at every word.
    lag : float
        How much later than the sound the brain window begins, in seconds.
    merge : float
        Consecutive sentences of an audio file are joined until they last at least this long (s); 0 joins none. The
        joined sentences are one unit of the split.
    pause : float
        A passage ends this long (s) after its last word, or where the next one begins.
    tolerance : float
        How much the delay between recording and audio file may change from one word to the next (s).
    binding : int
        Joined passages that share a sentence of at least so many words are on one side of the split. Shorter ones
        (``Yes.``) occur everywhere in a book and would bind much of it together; whole passages that are alike always
        are on one side.

    Raises
    ------
    ConfigError
        If a number is out of range, or there are no anchors at all.

    Examples
    --------
    >>> WindowRule(stride=0.0).words
    True
    """

    duration: float = 3.0
    stride: float = 0.5
    words: bool = True
    lag: float = 0.15
    merge: float = 0.0
    pause: float = 1.0
    tolerance: float = 0.1
    binding: int = 5

    def __post_init__(self) -> None:
        for name in ("duration", "stride", "lag", "merge", "pause", "tolerance"):
            value = getattr(self, name)
            if not np.isfinite(value) or value < 0 or (name == "duration" and value == 0):
                raise ConfigError(f"{name}: got {value}, expected seconds, not negative")
        if isinstance(self.binding, bool) or self.binding != int(self.binding) or self.binding < 1:
            raise ConfigError(f"binding: got {self.binding}, expected a number of words, at least 1")
        if not self.words and self.stride == 0:
            raise ConfigError("stride: got 0 without windows at words, expected one or the other")

    def describe(self) -> dict[str, Any]:
        """Give plain values for a study's steps."""
        return asdict(self)


def check_words(words: pd.DataFrame, where: str) -> pd.DataFrame:
    """Check the words of one run and put them in order of time.

    Parameters
    ----------
    words : pandas.DataFrame
        One row a word: `onset` and `duration` in seconds of the recording, `word`, `sentence` (a name that no other
        sentence of the audio file has), `audio` (the file, relative to the study's folder of stimuli), `audio_onset`
        (seconds in that file), and `text` of the sentence where it is known otherwise than by its words.
    where : str
        The file, for messages.

    Returns
    -------
    pandas.DataFrame
        A copy, sorted by onset.

    Raises
    ------
    DataError
        If a column is missing, a time is not finite or negative, or a text is empty.

    Examples
    --------
    >>> table = pd.DataFrame({"onset": [1.0], "duration": 0.2, "word": "yes", "sentence": "1", "audio": "a.wav",
    ...                       "audio_onset": 0.5})
    >>> len(check_words(table, "events.tsv"))
    1
    """
    missing = [column for column in WORD_COLUMNS if column not in words]
    if missing:
        raise DataError(f"{where}: column {missing[0]!r} is missing, got {', '.join(map(str, words.columns))}")
    table = words.copy()
    for column in ("onset", "duration", "audio_onset"):
        table[column] = pd.to_numeric(table[column], errors="coerce").astype(np.float64)
        bad = ~np.isfinite(table[column].to_numpy()) | (table[column].to_numpy() < 0)
        if bad.any():
            row = int(np.argmax(bad))
            raise DataError(f"{where}: {column} of word {row} is {words[column].iloc[row]!r}, expected seconds from 0")
    for column in TEXT_COLUMNS:
        table[column] = table[column].fillna("").astype(str)
        if (table[column].str.strip() == "").any():
            row = int((table[column].str.strip() == "").to_numpy().argmax())
            raise DataError(f"{where}: {column} of word {row} is empty")
    return table.sort_values("onset", kind="stable").reset_index(drop=True)


def normal_text(text: str) -> str:
    """Reduce a text to its lower-case words, so that punctuation does not make two texts of one.

    Examples
    --------
    >>> normal_text("The cat, of course,  SLEPT.")
    'the cat of course slept'
    """
    return " ".join(re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.casefold().replace(CURLY_APOSTROPHE, "'")))


def find_passages(tables: Sequence[pd.DataFrame], rule: WindowRule) -> pd.DataFrame:
    """Find the sentences of every audio file, join short ones, and say which belong together in a split.

    Give it the words of all runs of all subjects (or of the annotated audio files): what is found is then the same
    whoever heard it, in whatever order.

    Parameters
    ----------
    tables : sequence of pandas.DataFrame
        What `check_words` gave.
    rule : WindowRule
        Its `merge` and `pause` are used.

    Returns
    -------
    pandas.DataFrame
        One row a passage, by audio file and time: `audio`, `start`, `stop` (s in the file), `text`, `split_text`,
        `sentences` (a tuple of names). Passages that share a sentence's text have one `split_text`: a split by its hash
        never has one text on two sides (sentences shorter than `rule.binding` words excepted). `stop` equals the next
        `start` unless a pause of `rule.pause` lies between.

    Raises
    ------
    DataError
        If two audio files have one stem, or the words of a sentence are not together.
    """
    columns = ["audio", "audio_onset", "sentence", "word", "duration"]
    texts = any("text" in table for table in tables)
    parts = [table.assign(text=table["text"] if "text" in table else "")[[*columns, "text"]] for table in tables]
    if not parts or not sum(map(len, parts)):
        raise DataError("words: got none, expected at least one run with words")
    words = pd.concat(parts, ignore_index=True)
    words["millisecond"] = np.round(words["audio_onset"] * 1000).astype(np.int64)
    words = words.drop_duplicates(["audio", "millisecond", "word"]).sort_values(["audio", "audio_onset"], kind="stable")
    _check_stems(sorted(set(words["audio"])))
    rows: list[dict[str, Any]] = []
    for audio, heard in words.groupby("audio", sort=True):
        rows += _passages_of_audio(str(audio), _sentences(str(audio), heard, texts), rule)
    passages = pd.DataFrame(rows)
    passages["split_text"] = _shared_texts(passages["texts"].tolist(), rule.binding)
    return passages.drop(columns="texts")


def _check_stems(names: Sequence[str]) -> None:
    stems: dict[str, str] = {}
    for name in names:
        other = stems.setdefault(PurePosixPath(name).stem, name)
        if other != name:
            raise DataError(f"audio: {other!r} and {name!r} have one stem, expected names that tell segments apart")


def _sentences(audio: str, words: pd.DataFrame, texts: bool) -> list[dict[str, Any]]:
    """List the sentences of an audio file in order of time."""
    names = words["sentence"].to_numpy().astype(str)
    begins = np.flatnonzero(np.concatenate([[True], names[1:] != names[:-1]]))
    first: dict[str, int] = {}
    found = []
    for begin, end in zip(begins, [*begins[1:], len(words)], strict=True):
        name = str(names[begin])
        if name in first:
            raise DataError(f"{audio}: sentence {name!r} begins again at word {begin}, expected its words together")
        first[name] = int(begin)
        mine = words.iloc[begin:end]
        given = str(mine["text"].iloc[0] or "") if texts else ""
        found.append(
            {
                "sentence": name,
                "start": float(mine["audio_onset"].iloc[0]),
                "end": float((mine["audio_onset"] + mine["duration"]).max()),
                "text": given or " ".join(mine["word"].astype(str)),
            }
        )
    return found


def _passages_of_audio(audio: str, sentences: list[dict[str, Any]], rule: WindowRule) -> list[dict[str, Any]]:
    """Join consecutive sentences until they are long enough; what is left at the end joins the last passage."""
    groups: list[list[dict[str, Any]]] = [[]]
    for sentence in sentences:
        if groups[-1] and groups[-1][-1]["end"] - groups[-1][0]["start"] >= rule.merge:
            groups.append([])
        groups[-1].append(sentence)
    if len(groups) > 1 and groups[-1][-1]["end"] - groups[-1][0]["start"] < rule.merge:
        last = groups.pop()
        groups[-1] += last
    rows = []
    for position, group in enumerate(groups):
        end = max(sentence["end"] for sentence in group) + rule.pause
        following = groups[position + 1][0]["start"] if position + 1 < len(groups) else np.inf
        rows.append(
            {
                "audio": audio,
                "start": group[0]["start"],
                "stop": min(end, following),
                "text": " ".join(sentence["text"] for sentence in group),
                "sentences": tuple(sentence["sentence"] for sentence in group),
                "texts": tuple(normal_text(sentence["text"]) or sentence["text"] for sentence in group),
            }
        )
    return rows


def _shared_texts(texts: list[tuple[str, ...]], binding: int) -> list[str]:
    """Name the connected component of each passage, passages being neighbours if they share a long sentence, or all."""
    parent = list(range(len(texts)))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    seen: dict[str, int] = {}
    for position, group in enumerate(texts):
        for text in {" ".join(group), *(text for text in group if len(text.split()) >= binding)}:
            parent[root(position)] = root(seen.setdefault(text, position))
    names: dict[int, str] = {}
    for position, group in enumerate(texts):
        own = " ".join(group)
        at = root(position)
        names[at] = min(names.get(at, own), own)
    return [names[root(position)] for position in range(len(texts))]
