"""LibriBrain (Özdogan et al. 2025): Sherlock Holmes, heard by one person, serialised as HDF5."""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.files import read_table
from neurodecode.core.recording import Block
from neurodecode.core.sensors import Sensors
from neurodecode.core.split import Split, published_split
from neurodecode.core.study import StudyInfo
from neurodecode.datasets.serialised_meg import open_serialised
from neurodecode.datasets.speech_signals import stream_signals
from neurodecode.datasets.speech_study import SpeechRun, SpeechStudy

SERIALISED, EVENTS = "derivatives/serialised", "derivatives/events"
# Other corpora that came later (TIMIT, stories) have rules of their own and are not read.
TASK = re.compile(r"Sherlock\d+")
# The published parts, whoever hears them: chapter 11 of the first book validates, chapter 12 tests.
VALIDATION, TEST = ("Sherlock1", "11"), ("Sherlock1", "12")
SOUNDS = "stimuli"
SILENT_PHONEMES = ("oov_S", "sil")
COLUMNS = ("kind", "segment", "sentenceidx", "timemeg", "timechapter", "duration")


class LibriBrain(SpeechStudy):
    """Read the serialised recordings chapter by chapter; the files are opened for reading only and never changed.

    What was done before: bad channels and head position, signal space separation, notch at 50 and 100 Hz, 0.1 to
    125 Hz, 250 Hz. Magnetometers and gradiometers have different units, so scale each channel.

    Parameters
    ----------
    root : Path
        The folder with ``Sherlock1/derivatives/...`` and further books.
    windows, high_pass, low_pass, drop_channels
        As in `SpeechStudy`; by default there is no further filter.
    """

    info = StudyInfo(
        name="libribrain",
        modality="meg",
        kind="speech",
        description="One person heard more than 50 hours of Sherlock Holmes, others two chapters; 306 sensors.",
        citation="Özdogan, Landau, Elvers et al. 2025, doi:10.48550/arXiv.2506.02098",
        licence="as the cards of the two repositories say",
        where="https://huggingface.co/datasets/pnpl/LibriBrain and pnpl/LibriBrain2, into one folder",
        size="about 60 GB",
        simulated=False,
        expected={"channels": 306},
    )
    places = ("libribrain", "LibriBrain", "LibriBrain2")
    own_splits: ClassVar[tuple[str, ...]] = ("published", "sentences")

    def __init__(
        self,
        root: Path,
        *,
        windows: Mapping[str, Any] | str | None = None,
        high_pass: float | None = None,
        low_pass: float | None = None,
        drop_channels: tuple[str, ...] | list[str] = (),
    ) -> None:
        super().__init__(root, windows=windows, high_pass=high_pass, low_pass=low_pass, drop_channels=drop_channels)

    @classmethod
    def find(cls, data_root: Path) -> Path | None:
        """Give the folder that holds a serialised chapter."""
        for folder in (*(data_root / place for place in cls.places), data_root):
            if any(folder.glob(f"Sherlock*/{SERIALISED}/sub-*_meg.h5")):
                return folder
        return None

    @classmethod
    def looked_for(cls, data_root: Path) -> list[Path]:
        """List the recordings that `find` tries."""
        return [data_root / place / f"Sherlock*/{SERIALISED}/sub-*_meg.h5" for place in (*cls.places, ".")]

    def subjects(self) -> list[str]:
        """List the people of whom a chapter is on disk."""
        return sorted({f"sub-{int(key[0]):02d}" for key in self._keys()})

    def runs(self, subject: str) -> list[SpeechRun]:
        """Pair recordings and events tables; one without the other is an error, both missing is none."""
        runs = []
        for (number, task, session, run), (signals, words) in sorted(self._keys().items(), key=_in_order):
            if f"sub-{int(number):02d}" != subject:
                continue
            stem = f"sub-{number}_ses-{session}_task-{task}_run-{run}"
            if not signals or not words:
                missing = (
                    self.root
                    / task
                    / (f"{SERIALISED}/{stem}_proc-..._meg.h5" if not signals else f"{EVENTS}/{stem}_events.tsv")
                )
                here = (signals or words)[0].name
                raise DataError(f"{missing}: missing, while {here} is there; get it, or move it away")
            if len(signals) > 1:
                names = " and ".join(path.name for path in signals)
                raise DataError(f"{signals[0].parent}: {names} are one recording, expected one form of it")
            name = f"{task}_ses-{session}_run-{run}"
            runs.append(SpeechRun(name, f"{task}_{session}", run, signals[0], words[0]))
        return runs

    def words(self, subject: str, run: SpeechRun) -> pd.DataFrame:
        """Read the words of a chapter that were recorded."""
        table = read_chapter(run.words, "word")
        task = run.session.rsplit("_", 1)[0]
        stems = [PurePosixPath(str(name).replace("\\", "/")).stem for name in table["wavfile"]]
        return pd.DataFrame(
            {
                "onset": table["timemeg"],
                "duration": table["duration"],
                "word": table["segment"],
                "sentence": table["sentenceidx"].map("{:g}".format),
                "audio": [f"{SOUNDS}/{task}_{stem}.wav" for stem in stems],
                "audio_onset": table["timechapter"].round(4),
            }
        )

    def phonemes(self, subject: str, run: SpeechRun) -> pd.DataFrame:
        """Read the phonemes of a chapter with their place in the word (``aa_B``), without silence and unknown ones."""
        table = read_chapter(run.words, "phoneme")
        table = table[~table["segment"].isin(SILENT_PHONEMES)]
        return pd.DataFrame({"onset": table["timemeg"], "duration": table["duration"], "phoneme": table["segment"]})

    def read_block(
        self, subject: str, run: SpeechRun, sfreq: float | None, store: ArrayStore
    ) -> tuple[Block, list[str]]:
        """Read one chapter, in pieces of the file's own chunks."""
        with open_serialised(run.signals) as (data, sensors):
            names = self.kept(sensors.names, run.signals)
            rows = np.array([sensors.names.index(name) for name in names])
            signals = stream_signals(
                lambda start, stop: data[:, start:stop][rows],
                names,
                data.shape[1],
                sensors.sfreq,
                sfreq=sfreq,
                settings=self.preprocessing,
                store=store,
                where=str(run.signals),
            )
        kept = sensors.pick(names)
        rate = sensors.sfreq if sfreq is None else float(sfreq)
        kept = Sensors(kept.names, kept.kinds, rate, self.window_rule.lag, kept.unit, layout=kept.layout)
        return Block(run.name, signals, kept), ["scaled by nobody: magnetometers in T, gradiometers in T/m"]

    def split(self, windows: Mapping[str, pd.DataFrame]) -> Split:
        """Take the published parts: chapter 11 of the first book validates, chapter 12 tests, the others train."""
        chapters = {f"{VALIDATION[0]}_{VALIDATION[1]}": "val", f"{TEST[0]}_{TEST[1]}": "test"}
        sessions = pd.concat([table["session"].astype(str) for table in windows.values()])
        for chapter, part in chapters.items():
            if not (sessions == chapter).any():
                raise DataError(
                    f"split: chapter {chapter} ({part} of the published split) is not there; get it, or choose another "
                    f"split such as sentences"
                )
        parts = {str(name): chapters.get(str(name), "train") for name in sessions.unique()}
        rule = "chapter 11 of the first book validates, chapter 12 tests, all others train, as published"
        return published_split(windows, parts, column="session", unit="published", rule=rule)

    def named_split(self, rule: str, windows: Mapping[str, pd.DataFrame]) -> Split:
        """Make the published split, or that by the hash of the sentences' text."""
        if rule == "sentences":
            return super().split(windows)
        if rule == "published":
            return self.split(windows)
        raise ConfigError(f"split: got {rule!r}, expected one of {', '.join(self.own_splits)}")

    def audio_needed(self) -> str:
        """Say where the readings come from."""
        return "the chapters as LibriVox reads them, as <book>_<name in the events table>.wav"

    def _keys(self) -> dict[tuple[str, str, str, str], tuple[list[Path], list[Path]]]:
        """Find recordings and events tables by subject, book, chapter and run."""
        found: dict[tuple[str, str, str, str], tuple[list[Path], list[Path]]] = {}
        pattern = re.compile(r"sub-(\d+)_ses-(\d+)_task-(Sherlock\d+)_run-(\d+)(_proc-[^_]+)?_(meg\.h5|events\.tsv)")
        for book in sorted(path for path in self.root.glob("Sherlock*") if TASK.fullmatch(path.name)):
            for place, folder in enumerate((SERIALISED, EVENTS)):
                for path in sorted((book / folder).glob("sub-*")):
                    match = pattern.fullmatch(path.name)
                    if match is None or match[3] != book.name or (match[6] == "meg.h5") != (place == 0):
                        continue
                    key = (match[1], match[3], match[2], match[4])
                    found.setdefault(key, ([], []))[place].append(path)
        return found


def _in_order(item: tuple[tuple[str, str, str, str], object]) -> tuple[int, str, int, int]:
    number, task, session, run = item[0]
    return int(number), task, int(session), int(run)


def read_chapter(path: Path, kind: str) -> pd.DataFrame:
    """Read the rows of one kind, in order of time; what has no time in the recording was not recorded.

    Parameters
    ----------
    path : Path
        An events table.
    kind : str
        ``word`` or ``phoneme``.

    Returns
    -------
    pandas.DataFrame
        `segment`, `sentenceidx`, `timemeg`, `timechapter`, `duration`, `wavfile`.

    Raises
    ------
    DataError
        If a column is missing, or a recorded word has no text, sentence or place in the chapter, naming the line.
    """
    table = read_table(path, required=COLUMNS, text=("kind", "segment", "wavfile", "wavile"))
    # A later release spells the column differently.
    named = next((name for name in ("wavfile", "wavile") if name in table.columns), None)
    if named is None:
        raise DataError(f"{path}: column 'wavfile' is missing, got {', '.join(table.columns)}")
    table = table.rename(columns={named: "wavfile"})
    table["line"] = np.arange(2, len(table) + 2)
    mine = table[table["kind"] == kind].copy()
    for column in ("timemeg", "timechapter", "duration", "sentenceidx"):
        numbers = pd.to_numeric(mine[column], errors="coerce")
        wrong = (numbers.isna() & mine[column].notna()).to_numpy()
        if wrong.any():
            row = int(np.argmax(wrong))
            raise DataError(
                f"{path}: line {mine['line'].iloc[row]}: {column} is {mine[column].iloc[row]!r}, expected a number"
            )
        mine[column] = numbers
    mine = mine[mine["timemeg"].notna()]
    needed = (
        ["segment", "wavfile", "sentenceidx", "timechapter", "duration"] if kind == "word" else ["segment", "duration"]
    )
    for column in needed:
        empty = (mine[column].isna() | (mine[column].astype(str).str.strip() == "")).to_numpy()
        if empty.any():
            row = int(np.argmax(empty))
            raise DataError(f"{path}: line {mine['line'].iloc[row]}: a {kind} has no {column}")
    mine["segment"] = mine["segment"].str.strip()
    return mine.sort_values("timemeg", kind="stable").reset_index(drop=True)
