"""MEG-MASC (Gwilliams et al. 2022): stories heard in a KIT scanner, with words and phonemes as Python literals."""

import ast
import re
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import DataError
from neurodecode.core.files import read_table
from neurodecode.core.recording import Block
from neurodecode.core.study import StudyInfo
from neurodecode.datasets.bids_files import entities
from neurodecode.datasets.bids_signals import sensors_of
from neurodecode.datasets.kit_files import called_bad, open_kit
from neurodecode.datasets.speech_events import check_samples
from neurodecode.datasets.speech_signals import first_line, stream_raw
from neurodecode.datasets.speech_study import SpeechRun, SpeechStudy

STORIES = ("lw1", "cable_spool_fort", "easy_money", "the_black_willow")
# A description is a flat dictionary of a dozen entries.
LONGEST_DESCRIPTION, MOST_ENTRIES = 2000, 64


class Gwilliams2022(SpeechStudy):
    """Read MEG-MASC: a run is one story of one session.

    A description that says ``pronounced`` 0 was not spoken and is no word here. Word lists stand between the sentences
    and count as sentences of their own; the words' table keeps their condition.

    Parameters
    ----------
    root : Path
        The BIDS folder.
    windows, high_pass, low_pass, drop_channels
        As in `SpeechStudy`.
    """

    info = StudyInfo(
        name="gwilliams2022",
        modality="meg",
        kind="speech",
        description="Twenty-seven people heard four stories, most of them twice; 208 KIT sensors, 56 hours.",
        citation="Gwilliams, Flick, Marantz, Pylkkänen, Poeppel and King 2023, doi:10.1038/s41597-023-02752-5",
        licence="CC0 1.0",
        where="https://osf.io/ag3kj, /h2tzn, /u5327 and /dr4wy, all into one folder",
        size="about 170 GB",
        simulated=False,
        expected={"channels": 208},
    )
    places = ("gwilliams2022", "meg_masc", "MEG-MASC", "osf_ag3kj")

    @classmethod
    def find(cls, data_root: Path) -> Path | None:
        """Give the BIDS folder that holds a KIT recording of a story."""
        for folder in (*(data_root / place for place in cls.places), data_root):
            if (folder / "dataset_description.json").is_file() and any(folder.glob("sub-*/ses-*/meg/*_task-?_meg.con")):
                return folder
        return None

    @classmethod
    def looked_for(cls, data_root: Path) -> list[Path]:
        """List the recordings that `find` tries."""
        return [data_root / place / "sub-*/ses-*/meg/*_task-?_meg.con" for place in (*cls.places, ".")]

    def subjects(self) -> list[str]:
        """List the subjects with a recording or an events table."""
        found = self.root.glob("sub-*/ses-*/meg/*_task-*_*")
        return sorted({path.relative_to(self.root).parts[0] for path in found if _is_half(path)})

    def runs(self, subject: str) -> list[SpeechRun]:
        """Pair recordings and events tables; one without the other is an error, both missing is none."""
        runs = []
        stems = {
            path.name.rsplit("_", 1)[0]: path.parent
            for path in self.root.glob(f"{subject}/ses-*/meg/*")
            if _is_half(path)
        }
        for stem, folder in sorted(stems.items()):
            signals, words = folder / f"{stem}_meg.con", folder / f"{stem}_events.tsv"
            for here, missing in ((signals, words), (words, signals)):
                if not missing.is_file():
                    raise DataError(f"{missing}: missing, while {here.name} is there; get it, or move both away")
            said = entities(words.name)
            runs.append(SpeechRun(stem.removeprefix(f"{subject}_"), said["ses"], said["task"], signals, words))
        return runs

    def words(self, subject: str, run: SpeechRun) -> pd.DataFrame:
        """Read the words of a story."""
        return _with_sentences(read_descriptions(run.words, "word"), run.words)

    def phonemes(self, subject: str, run: SpeechRun) -> pd.DataFrame:
        """Read the phonemes of a story: names of TIMIT with their place in the word (``_B``, ``_I``, ``_E``)."""
        table = read_descriptions(run.words, "phoneme")
        if "phoneme" not in table:
            return super().phonemes(subject, run)
        columns = ["onset", "duration", "phoneme", *(name for name in ("word", "word_index") if name in table)]
        return table[columns]

    def read_block(
        self, subject: str, run: SpeechRun, sfreq: float | None, store: ArrayStore
    ) -> tuple[Block, list[str]]:
        """Read one recording, with the head's place where markers and digitised points are there."""
        raw, flags = open_kit(run.signals)
        kinds = dict(zip(raw.ch_names, raw.get_channel_types(), strict=True))
        names = self.kept([name for name in raw.ch_names if kinds[name] in ("mag", "grad")], run.signals)
        bad = called_bad(run.signals, names)
        if bad:
            flags.append("called bad by the channels table of some run, but kept: " + ", ".join(bad))
        sensors = sensors_of(raw.copy().pick(names, verbose="error"), float(raw.info["sfreq"]), self.window_rule.lag)
        signals, sensors = stream_raw(
            raw, names, sensors, sfreq=sfreq, settings=self.preprocessing, store=store, where=run.signals
        )
        return Block(run.name, signals, sensors), flags


def _is_half(path: Path) -> bool:
    """Tell whether a file is a recording or its events table."""
    return (
        re.fullmatch(r"sub-[A-Za-z0-9]+_ses-[A-Za-z0-9]+_task-[A-Za-z0-9]+_(meg\.con|events\.tsv)", path.name)
        is not None
    )


def parse_description(text: str) -> dict[str, Any]:
    """Read a Python dictionary of plain values, as a literal: nothing is ever executed.

    Parameters
    ----------
    text : str
        What an events table says of an event.

    Returns
    -------
    dict
        Strings, numbers, truth values and None by name.

    Raises
    ------
    ValueError
        If it is too long, no literal, no dictionary, or holds anything but plain values.

    Examples
    --------
    >>> parse_description("{'kind': 'word', 'word': 'moon', 'start': 1.5}")["word"]
    'moon'
    """
    if len(text) > LONGEST_DESCRIPTION:
        raise ValueError(f"{len(text)} characters, expected at most {LONGEST_DESCRIPTION}")
    try:
        with warnings.catch_warnings():
            # A backslash in a text is a warning of the parser.
            warnings.simplefilter("ignore")
            value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(f"no literal ({first_line(error)})") from None
    if not isinstance(value, dict):
        raise ValueError(f"a {type(value).__name__}, expected a dictionary")
    if len(value) > MOST_ENTRIES:
        raise ValueError(f"{len(value)} entries, expected at most {MOST_ENTRIES}")
    for name, item in value.items():
        if not isinstance(name, str) or not isinstance(item, str | int | float | bool | None):
            raise ValueError(f"{name!r} is a {type(item).__name__}, expected text by names and plain values")
    return value


@lru_cache(maxsize=1 << 16)
def _parsed(text: str) -> dict[str, Any]:
    """Read a description once: everybody who heard a story has the same ones."""
    return parse_description(text)


def read_descriptions(path: Path, kind: str) -> pd.DataFrame:
    """Read the events of one kind, in order of time; what stands in the file in which order does not matter.

    Parameters
    ----------
    path : Path
        An events table.
    kind : str
        ``word``, ``phoneme`` or ``sound``.

    Returns
    -------
    pandas.DataFrame
        `onset`, `duration` and what the descriptions say.

    Raises
    ------
    DataError
        Naming the file and the line of a description that cannot be read, or of a sample that is not the onset's.
    """
    table = read_table(path, required=("onset", "duration", "trial_type"), text=("trial_type",))
    for column in ("onset", "duration"):
        times = pd.to_numeric(table[column], errors="coerce")
        if not np.isfinite(times).all():
            row = int(np.argmin(np.isfinite(times)))
            raise DataError(f"{path}: line {row + 2}: {column} is {table[column].iloc[row]!r}, expected seconds")
        table[column] = times
    rows = []
    for line, (text, onset, duration) in enumerate(
        zip(table["trial_type"], table["onset"], table["duration"], strict=True), start=2
    ):
        try:
            said = _parsed(text)
        except ValueError as error:
            raise DataError(f"{path}: line {line}: trial_type is {error}; got {text[:60]!r}") from None
        if said.get("kind") == kind and said.get("pronounced", 1.0) != 0:
            rows.append({**said, "onset": onset, "duration": duration, "line": line})
    found = pd.DataFrame(rows) if rows else pd.DataFrame({"onset": [], "duration": []})
    if "sample" in table.columns:
        check_samples(table, path)
    return found.sort_values("onset", kind="stable").reset_index(drop=True)


def _with_sentences(words: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Name sound file and sentence of each word; a number that comes back later in a file is another sentence."""
    for column in ("word", "sound", "start"):
        if len(words) and (column not in words or words[column].isna().any()):
            line = words["line"].iloc[0] if column not in words else words["line"][words[column].isna()].iloc[0]
            raise DataError(f"{path}: line {line}: trial_type has no {column!r} for a word")
    if words.empty:
        return words
    audio = [sound_file(str(name)) for name in words["sound"]]
    words = words.assign(
        audio=audio, audio_onset=words["start"], condition=words["condition"] if "condition" in words else ""
    )
    words = words.sort_values("onset", kind="stable").reset_index(drop=True)
    label = words["sequence_id"].map(_plain_number) if "sequence_id" in words else pd.Series("0", index=words.index)
    changes = (words["audio"] != words["audio"].shift()) | (label != label.shift())
    begins = words["audio_onset"].where(changes).ffill()
    later = pd.DataFrame({"audio": words["audio"], "label": label, "begin": begins}).drop_duplicates()
    first = later.groupby(["audio", "label"])["begin"].min()
    own = first.loc[pd.MultiIndex.from_arrays([words["audio"], label])].to_numpy()
    names = [
        name if begin == start else f"{name} at {begin:.3f} s"
        for name, begin, start in zip(label, begins, own, strict=True)
    ]
    keep = ["onset", "duration", "word", "audio", "audio_onset", "condition"]
    keep += [name for name in ("story", "word_index", "speech_rate", "voice", "sequence_id") if name in words]
    return words[keep].assign(sentence=names)


def _plain_number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def sound_file(name: str) -> str:
    """Give the file that an events table means by a sound: lower case, and without the ``.0`` before the ending.

    Examples
    --------
    >>> sound_file("stimuli/audio/The_Black_Willow_0.0.wav")
    'stimuli/audio/the_black_willow_0.wav'
    """
    lower = name.strip().lower().replace("\\", "/")
    return re.sub(r"\.0(?=\.wav$)", "", lower)
