"""What studies of continuous speech share: a subclass says where runs and words are, and how signals are read."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.recording import Block, Recording
from neurodecode.core.split import Split
from neurodecode.core.split_rules import split_by_rule
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.study import Study
from neurodecode.datasets.preprocessing import Preprocessing
from neurodecode.datasets.speech_passages import WindowRule, check_words, find_passages, normal_text
from neurodecode.datasets.speech_windows import join_windows, speech_stimuli, speech_windows
from neurodecode.datasets.speech_words import WordRule, window_rule, word_info, word_stimuli, word_windows

HIGH_PASS = 0.1
# Rate and length of a recording that holds whatever was played, in which the segments are listed.
LISTING_RATE, LISTING_SAMPLES = 1000.0, 2**62
LISTED = ("audio", "audio_onset", "duration", "sentence", "word")


@dataclass(frozen=True)
class SpeechRun:
    """One continuous recording.

    Parameters
    ----------
    name : str
        Unique within the subject; the name of its block.
    session, run : str
        As in the window table.
    signals, words : Path
        The recording, and the file that says when which word was heard.
    """

    name: str
    session: str
    run: str
    signals: Path
    words: Path


class SpeechStudy(Study):
    """A study in which people heard minutes of speech.

    Each run is one continuous block; windows of one length begin at words and at evenly spaced anchors, as rows. The
    split is by the hash of the sentences' text.

    Parameters
    ----------
    root : Path
        The study's folder.
    windows : mapping or str, optional
        Any of the values of `WindowRule`, such as ``{"lag": 0}``; the others are the study's own. With ``words``, or
        ``{"unit": "words", ...}``, every word is a window, see `neurodecode.datasets.speech_words.WordRule`.
    high_pass, low_pass : float, optional
        Edges of a filter in Hz; by default 0.1 Hz against drift, and nothing above.
    drop_channels : sequence of str
        Channels to leave out for everyone.

    Raises
    ------
    ConfigError
        If an option is not known or out of range.
    """

    own_splits: ClassVar[tuple[str, ...]] = ("sentences",)
    rule: ClassVar[WindowRule] = WindowRule(merge=6.0)

    def __init__(
        self,
        root: Path,
        *,
        windows: Mapping[str, Any] | str | None = None,
        high_pass: float | None = HIGH_PASS,
        low_pass: float | None = None,
        drop_channels: Sequence[str] = (),
    ) -> None:
        super().__init__(root)
        self.window_rule = window_rule(self.rule, windows)
        if self.of_words:
            self.info = word_info(self.info)
        for label, edge in (("high_pass", high_pass), ("low_pass", low_pass)):
            if edge is not None and (isinstance(edge, bool) or not isinstance(edge, int | float) or not edge > 0):
                raise ConfigError(f"{label}: got {edge!r}, expected Hz above 0 or nothing")
        if isinstance(drop_channels, str):
            raise ConfigError(f"drop_channels: got {drop_channels!r}, expected a list of names")
        self.preprocessing = Preprocessing(high_pass=high_pass, low_pass=low_pass)
        self.drop_channels = tuple(drop_channels)
        self._passages: pd.DataFrame | None = None
        self._stimuli: Stimuli | None = None
        self._missing: list[str] = []

    @property
    def of_words(self) -> bool:
        """Tell whether windows are words, not segments of speech."""
        return isinstance(self.window_rule, WordRule)

    @abstractmethod
    def runs(self, subject: str) -> list[SpeechRun]:
        """List a subject's recordings, each with its words, or raise a DataError if half of one is missing."""

    @abstractmethod
    def words(self, subject: str, run: SpeechRun) -> pd.DataFrame:
        """Read when which word was heard in a run: the columns that `check_words` asks for, and what there is."""

    @abstractmethod
    def read_block(
        self, subject: str, run: SpeechRun, sfreq: float | None, store: ArrayStore
    ) -> tuple[Block, list[str]]:
        """Read a run's signals, and what is worth knowing of them (flags)."""

    def phonemes(self, subject: str, run: SpeechRun) -> pd.DataFrame:
        """Read when which phoneme was heard in a run: columns `onset`, `duration`, `phoneme`; empty if unknown."""
        return pd.DataFrame({"onset": [], "duration": [], "phoneme": []})

    def annotated(self) -> list[pd.DataFrame]:
        """Read the words of all that anybody heard: only the columns `LISTED`, and `text` if there is one, are used."""
        return [self.checked_words(subject, run) for subject in self.subjects() for run in self.runs(subject)]

    def audio_needed(self) -> str:
        """Say where the sound files come from, for those who do not have them."""
        return self.info.where

    def checked_words(self, subject: str, run: SpeechRun) -> pd.DataFrame:
        """Read and check the words of a run."""
        words = self.words(subject, run)
        if words.empty:
            raise DataError(f"{run.words}: no word found")
        return check_words(words, str(run.words))

    def passages(self) -> pd.DataFrame:
        """Find the passages of all that anybody heard: the same for every subject."""
        if self._passages is None:
            self._list_segments()
        assert self._passages is not None
        return self._passages

    def stimuli(self) -> Stimuli:
        """List all segments; a recording's flags say which sound files are not on disk."""
        if self._stimuli is None:
            self._list_segments()
        assert self._stimuli is not None
        return self._stimuli

    def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
        """Read one subject run by run; see `stream_signals` for how, and `speech_windows` for the windows."""
        if subject not in self.subjects():
            raise DataError(f"subject: got {subject!r}, expected one of {', '.join(self.subjects())} ({self.root})")
        store = store or ArrayStore()
        blocks, tables, flags = {}, [], dict.fromkeys(self._audio_flags())
        for run in self.runs(subject):
            words = self.checked_words(subject, run)
            block, said = self.read_block(subject, run, sfreq, store)
            blocks[block.name] = block
            table, left_out = (word_windows if self.of_words else speech_windows)(
                words,
                self.passages(),
                self.window_rule,
                subject=subject,
                block=block.name,
                session=run.session,
                run=run.run,
                sfreq=block.sensors.sfreq,
                n_samples=block.data.shape[1],
                where=str(run.words),
            )
            flags |= dict.fromkeys(said)
            if left_out:
                flags[f"{run.name}: {left_out} window(s) that reach beyond the recording left out"] = None
            tables.append(table)
        windows = join_windows(tables)
        if windows.empty:
            raise DataError(f"{self.root}: {subject}: no passage is as long as a window; join sentences by `merge`")
        return Recording(subject, self.info.modality, blocks, windows, self.info.simulated, tuple(flags))

    def annotations(self, subject: str) -> dict[str, pd.DataFrame]:
        """Read words, sentences and, where they are known, phonemes of all runs."""
        tables: dict[str, list[pd.DataFrame]] = {"words": [], "sentences": [], "phonemes": []}
        for run in self.runs(subject):
            words = self.checked_words(subject, run)
            for name, table in (
                ("words", words),
                ("sentences", sentence_table(words)),
                ("phonemes", self.phonemes(subject, run)),
            ):
                tables[name].append(table.assign(session=run.session, run=run.run, block=run.name))
        joined = {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()}
        return {name: table for name, table in joined.items() if len(table)}

    def split(self, windows: Mapping[str, pd.DataFrame]) -> Split:
        """Split by the hash of the sentences' text, with a fixed seed: a tenth tests, a tenth validates."""
        return split_by_rule("text", windows, seed=0)

    def steps(self) -> dict[str, Any]:
        """Describe windows, filters, resampling and the channels left out."""
        return {
            "reader": self.info.name,
            "windows": self.window_rule.describe(),
            **self.preprocessing.describe(),
            "drop_channels": list(self.drop_channels),
        }

    def kept(self, names: Sequence[str], where: Path) -> list[str]:
        """Leave out `drop_channels`; none of the names left is an error."""
        left = [name for name in names if name not in self.drop_channels]
        if not left:
            raise DataError(f"{where}: no channel left of {len(names)}")
        return left

    def _list_segments(self) -> None:
        """List all passages and segments once, from what was heard and not from who heard it."""
        union = _union(self.annotated())
        self._passages = find_passages([union], self.window_rule)
        if self.of_words:
            heard = (normal_text(str(word)) for word in union["word"])
            self._stimuli = word_stimuli([pd.DataFrame({"stimulus": [word for word in heard if word]})])
            return
        offsets = union.groupby("audio", sort=False)["audio_onset"].max().cumsum().shift(fill_value=0.0)
        listed = union.assign(onset=union["audio_onset"] + union["audio"].map(offsets))
        table, _ = speech_windows(
            listed,
            self._passages,
            self.window_rule,
            subject="",
            block="",
            sfreq=LISTING_RATE,
            n_samples=LISTING_SAMPLES,
            where=str(self.root),
        )
        stimuli = speech_stimuli([table], self.root)
        self._missing = self._missing_audio(stimuli)
        self._stimuli = stimuli

    def _missing_audio(self, stimuli: Stimuli) -> list[str]:
        """List the sound files that are not on disk: none or all, or the study is half there."""
        names = sorted(set(stimuli.table["path"]))
        missing = [name for name in names if not (self.root / name).is_file()]
        if missing and len(missing) < len(names):
            raise DataError(
                f"{self.root / missing[0]}: missing, while {len(names) - len(missing)} of {len(names)} sound files are "
                f"there; get the others, or move these away to work without sound"
            )
        return missing

    def _audio_flags(self) -> list[str]:
        self.stimuli()
        if not self._missing:
            return []
        return [
            f"no sound on disk: windows, words and text are here; embedding sound needs {len(self._missing)} file(s) "
            f"such as {self._missing[0]} in {self.root} ({self.audio_needed()})"
        ]


def _union(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join what runs heard, every word of an audio file once, in order of audio file and time."""
    if not tables:
        raise DataError("words: got none, expected at least one run with words")
    heard = pd.concat(
        [table[[*LISTED, *(["text"] if "text" in table else [])]].drop_duplicates() for table in tables],
        ignore_index=True,
    )
    if "text" in heard:
        heard["text"] = heard["text"].fillna("")
    heard["millisecond"] = np.round(heard["audio_onset"] * 1000).astype(np.int64)
    heard = heard.drop_duplicates(["audio", "millisecond", "word"])
    return heard.sort_values(["audio", "audio_onset"], kind="stable").drop(columns="millisecond").reset_index(drop=True)


def sentence_table(words: pd.DataFrame) -> pd.DataFrame:
    """List the sentences of a run: first onset, duration to the end of the last word, and text.

    Examples
    --------
    >>> words = pd.DataFrame({"onset": [1.0, 1.5], "duration": 0.25, "word": ["Good", "day"], "sentence": "s1",
    ...                       "audio": "a.wav", "audio_onset": [0.0, 0.5]})
    >>> sentence_table(words).to_dict("records")
    [{'onset': 1.0, 'duration': 0.75, 'text': 'Good day', 'sentence': 's1', 'audio': 'a.wav', 'audio_onset': 0.0}]
    """
    changes = (words[["audio", "sentence"]] != words[["audio", "sentence"]].shift()).any(axis=1).cumsum()
    rows = []
    for _, part in words.groupby(changes, sort=False):
        given = str(part["text"].iloc[0] or "") if "text" in part else ""
        rows.append(
            {
                "onset": float(part["onset"].iloc[0]),
                "duration": float((part["onset"] + part["duration"]).max() - part["onset"].iloc[0]),
                "text": given or " ".join(part["word"]),
                "sentence": part["sentence"].iloc[0],
                "audio": part["audio"].iloc[0],
                "audio_onset": float(part["audio_onset"].iloc[0]),
            }
        )
    return pd.DataFrame(rows)
