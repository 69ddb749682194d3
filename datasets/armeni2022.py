"""Ten hours of Sherlock Holmes (Armeni et al. 2022): three people, ten sessions each, in a CTF scanner."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import DataError
from neurodecode.core.files import read_table
from neurodecode.core.recording import Block
from neurodecode.core.study import StudyInfo
from neurodecode.datasets.bids_signals import sensors_of
from neurodecode.datasets.ctf_files import open_ctf, sensor_names, shared_sensors
from neurodecode.datasets.speech_events import check_samples, snapped
from neurodecode.datasets.speech_signals import stream_raw
from neurodecode.datasets.speech_study import SpeechRun, SpeechStudy

STEM = "sub-{subject:03d}_ses-{session:03d}_task-compr"
# Short pauses have a row of their own, among words and among phonemes.
PAUSE = "sp"
# Sentences are not marked: so long a silence (s) ends one.
SILENCE = 0.35
SOUNDS = "stimuli"


class Armeni2022(SpeechStudy):
    """Read sessions, each one recording in which several sound files were played.

    Words have a time in the recording only; their place in the sound is counted from the event at which it began, and
    taken from the first person who heard it, so that segments are the same for all. Sentences are what lies between
    silences, because none are marked.

    Parameters
    ----------
    root : Path
        The BIDS folder.
    windows, high_pass, low_pass, drop_channels
        As in `SpeechStudy`.
    """

    info = StudyInfo(
        name="armeni2022",
        modality="meg",
        kind="speech",
        description="Three people heard ten hours of Sherlock Holmes each; 269 to 273 CTF sensors, thirty sessions.",
        citation="Armeni, Güçlü, van Gerven and Schoffelen 2022, doi:10.1038/s41597-022-01382-7",
        licence="on request: data use agreement of the Donders Repository",
        where="https://data.ru.nl, DSC_3011085.05_995_v1",
        size="about 240 GB",
        simulated=False,
    )
    places = ("armeni2022", "DSC_3011085.05_995_v1", "meg_sherlock")

    _shared: tuple[list[str], list[str]] | None = None
    _reference: dict[str, pd.DataFrame] | None = None

    @classmethod
    def find(cls, data_root: Path) -> Path | None:
        """Give the folder that holds a session."""
        for folder in (*(data_root / place for place in cls.places), data_root):
            if any(folder.glob("sub-00?/ses-0??/meg/sub-00?_ses-0??_task-compr_meg.ds")):
                return folder
        return None

    @classmethod
    def looked_for(cls, data_root: Path) -> list[Path]:
        """List the recordings that `find` tries."""
        name = "sub-001/ses-001/meg/sub-001_ses-001_task-compr_meg.ds"
        return [data_root / place / name for place in (*cls.places, ".")]

    def subjects(self) -> list[str]:
        """List the people of whom a session is on disk."""
        return sorted({f"sub-{subject:02d}" for subject, _ in self._sessions()})

    def runs(self, subject: str) -> list[SpeechRun]:
        """Pair recordings and events tables; one without the other is an error, both missing is none."""
        runs = []
        for number, session in self._sessions():
            if f"sub-{number:02d}" != subject:
                continue
            stem = STEM.format(subject=number, session=session)
            folder = self.root / f"sub-{number:03d}" / f"ses-{session:03d}" / "meg"
            signals, words = folder / f"{stem}_meg.ds", folder / f"{stem}_events.tsv"
            for here, missing in ((signals, words), (words, signals)):
                if not missing.exists():
                    raise DataError(f"{missing}: missing, while {here.name} is there; get it, or move both away")
            runs.append(SpeechRun(f"ses-{session:03d}", f"{session:03d}", "1", signals, words))
        return runs

    def annotated(self) -> list[pd.DataFrame]:
        """Give the words of every sound, from the first person who heard it."""
        return list(self._references().values())

    def words(self, subject: str, run: SpeechRun) -> pd.DataFrame:
        """Read the words of a session."""
        parts = []
        for audio, words in read_session(run.words, run.session).items():
            parts.append(snapped(words, self._references()[audio], f"{run.words}: {audio}"))
        return pd.concat(parts, ignore_index=True)

    def phonemes(self, subject: str, run: SpeechRun) -> pd.DataFrame:
        """Read the phonemes of a session: ARPABET with stress, without pauses."""
        table = read_onsets(run.words, "phoneme_onset")
        return table[["onset", "duration", "value"]].rename(columns={"value": "phoneme"})

    def read_block(
        self, subject: str, run: SpeechRun, sfreq: float | None, store: ArrayStore
    ) -> tuple[Block, list[str]]:
        """Read one session: the gradiometers that every session of everybody has."""
        if self._shared is None:
            self._shared = shared_sensors(found.signals for other in self.subjects() for found in self.runs(other))
        shared, missing = self._shared
        raw = open_ctf(run.signals)
        names = self.kept([name for name in sensor_names(raw) if name in set(shared)], run.signals)
        sensors = sensors_of(raw.copy().pick(names, verbose="error"), float(raw.info["sfreq"]), self.window_rule.lag)
        signals, sensors = stream_raw(
            raw, names, sensors, sfreq=sfreq, settings=self.preprocessing, store=store, where=run.signals
        )
        left_out = [f"sensors that some recording lacks, left out: {', '.join(missing)}"] if missing else []
        return Block(run.name, signals, sensors), left_out

    def _sessions(self) -> list[tuple[int, int]]:
        """List subject and session of all that is there by half or whole."""
        found = set()
        for path in self.root.glob("sub-00?/ses-0??/meg/sub-00?_ses-0??_task-compr_*"):
            match = re.fullmatch(r"sub-(\d{3})_ses-(\d{3})_task-compr_(meg\.ds|events\.tsv)", path.name)
            if match:
                found.add((int(match[1]), int(match[2])))
        return sorted(found)

    def _references(self) -> dict[str, pd.DataFrame]:
        """Read every sound once, from the first person who heard it, and end sentences where there is silence."""
        if self._reference is None:
            found: dict[str, pd.DataFrame] = {}
            for subject in self.subjects():
                for run in self.runs(subject):
                    for audio, words in read_session(run.words, run.session).items():
                        if audio not in found:
                            found[audio] = words.assign(sentence=between_silences(words))
            self._reference = found
        return self._reference


def read_onsets(path: Path, kind: str) -> pd.DataFrame:
    """Read the rows of words or of phonemes, in order of time, without pauses and what began before the recording.

    Parameters
    ----------
    path : Path
        An events table.
    kind : str
        ``word_onset`` or ``phoneme_onset``; a number follows, which counts the sounds of a session.

    Returns
    -------
    pandas.DataFrame
        `onset`, `duration` (s), `value` (without its quotes), `part` (the number) and `line`.

    Raises
    ------
    DataError
        If a time is no number, or a sample is not its onset's, naming the line.
    """
    table = read_events(path)
    mine = table[table["type"].str.fullmatch(rf"{kind}_\d+")].copy()
    for column in ("onset", "duration"):
        values = pd.to_numeric(mine[column], errors="coerce")
        if not np.isfinite(values).all():
            row = mine.index[int(np.argmin(np.isfinite(values)))]
            raise DataError(f"{path}: line {row + 2}: {column} is {mine.loc[row, column]!r}, expected seconds")
        mine[column] = values
    if "sample" in mine.columns:
        check_samples(mine, path)
    mine["part"] = mine["type"].str.rsplit("_", n=1).str[1].astype(int)
    mine["line"] = mine.index + 2
    mine = mine[(mine["onset"] > 0) & (mine["value"] != PAUSE)]
    empty = mine["value"] == ""
    if empty.any():
        raise DataError(f"{path}: line {mine['line'][empty].iloc[0]}: a {kind.split('_')[0]} has no value")
    return mine.sort_values("onset", kind="stable")[["onset", "duration", "value", "part", "line"]].reset_index(
        drop=True
    )


def read_events(path: Path) -> pd.DataFrame:
    """Read an events table; values are texts in quotes, and a word may be called ``NA`` or ``null``."""
    table = read_table(path, required=("onset", "duration", "type", "value"), text=("type", "value"))
    return table.assign(value=table["value"].str.strip().str.strip("\"'").str.strip())


def read_session(path: Path, session: str) -> dict[str, pd.DataFrame]:
    """Read the words of a session, by sound file.

    Parameters
    ----------
    path : Path
        The events table.
    session : str
        Its number, for sounds that the table does not name.

    Returns
    -------
    dict of str to pandas.DataFrame
        `onset`, `duration`, `word`, `audio`, `audio_onset` of each sound, in order.

    Raises
    ------
    DataError
        If no event says when a sound began, or there is no word.
    """
    table = read_events(path)
    begins = table[table["type"] == "wav_onset"]
    times = pd.to_numeric(begins["onset"], errors="coerce").to_numpy(dtype=np.float64)
    words = read_onsets(path, "word_onset")
    if words.empty:
        raise DataError(f"{path}: no word found")
    found = {}
    for part, mine in words.groupby("part", sort=True):
        first = float(mine["onset"].iloc[0])
        before = np.flatnonzero(times <= first)
        if not len(before):
            line = int(mine["line"].iloc[0])
            raise DataError(f"{path}: line {line}: no wav_onset before the first word of part {part}")
        at = before[int(np.argmax(times[before]))]
        named = str(begins["value"].iloc[at])
        # The table names its sounds, or does not; then they are counted.
        name = named if named.lower().endswith(".wav") else f"ses-{session}_run-{int(str(part)):02d}.wav"
        audio = f"{SOUNDS}/{name}"
        if audio in found:
            raise DataError(f"{path}: {name} is the sound of two parts, expected one each")
        found[audio] = pd.DataFrame(
            {
                "onset": mine["onset"].to_numpy(),
                "duration": mine["duration"].to_numpy(),
                "word": mine["value"].to_numpy(),
                "audio": audio,
                "audio_onset": np.round(mine["onset"].to_numpy(dtype=np.float64) - times[at], 3),
            }
        )
    return found


def between_silences(words: pd.DataFrame) -> list[str]:
    """Give each word the number of its stretch between silences.

    Examples
    --------
    >>> between_silences(pd.DataFrame({"audio_onset": [0.0, 0.4, 1.5], "duration": [0.3, 0.3, 0.3]}))
    ['0', '0', '1']
    """
    onset = words["audio_onset"].to_numpy(dtype=np.float64)
    end = onset + words["duration"].to_numpy(dtype=np.float64)
    return [str(number) for number in np.concatenate([[0], np.cumsum(onset[1:] - end[:-1] >= SILENCE)])]
