"""The Mother Of Unification Studies (Schoffelen et al. 2019): Dutch sentences and word lists heard in a CTF scanner."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.recording import Block
from neurodecode.core.study import StudyInfo
from neurodecode.datasets.bids_signals import sensors_of
from neurodecode.datasets.ctf_files import open_ctf, sensor_names, shared_sensors
from neurodecode.datasets.mous_events import (
    CONTEXT,
    FIXATION,
    beginning_of,
    check_events_table,
    marked_events,
    played_sounds,
    read_sentences,
    read_triggers,
)
from neurodecode.datasets.presentation_logs import match_clocks, read_log, to_recording
from neurodecode.datasets.speech_passages import WindowRule
from neurodecode.datasets.speech_signals import stream_raw
from neurodecode.datasets.speech_study import HIGH_PASS, SpeechRun, SpeechStudy
from neurodecode.datasets.textgrids import read_textgrid

# Two recordings, or numbers that are none.
LEFT_OUT = ("sub-A2011", "sub-A2036", "sub-A2062", "sub-A2063", "sub-A2076", "sub-A2084")
SOUND = "stimuli/audio_files/EQ_Ramp_Int2_Int1LPF{:03d}.wav"
ALIGNED = "derivatives/phonemes/EQ_Ramp_Int2_Int1LPF{:03d}.TextGrid"
WORD_TIER, PHONEME_TIER = "ORT-MAU", "MAU"
SILENT = ("", "<p:>")


class Schoffelen2019(SpeechStudy):
    """Read those who listened: the task ``auditory``; each sound file is a sentence or a list of its words.

    When a sound began is known from the log of the program that played it. The log's clock is matched with the
    triggers in the recording, event by event, and the match is proven; when a word began within the sound is known
    from the aligned TextGrids.

    Parameters
    ----------
    root : Path
        The folder with ``sub-A2002`` ..., ``sourcedata/``, ``stimuli/`` and ``derivatives/``.
    every_subject : bool
        Also read the six people that published analyses leave out.
    windows, high_pass, low_pass, drop_channels
        As in `SpeechStudy`.
    """

    info = StudyInfo(
        name="schoffelen2019",
        modality="meg",
        kind="speech",
        description="Ninety-six people heard Dutch sentences and word lists; up to 273 CTF sensors, 81 hours.",
        citation="Schoffelen, Oostenveld, Lam, Uddén, Hultén and Hagoort 2019, doi:10.1038/s41597-019-0020-y",
        licence="on request: data use agreement of the Donders Repository",
        where="https://data.ru.nl, DSC_3011020.09_236_v1; TextGrids: code of doi:10.1038/s42256-023-00714-5",
        size="about 500 GB (those who listened)",
        simulated=False,
    )
    places = ("schoffelen2019", "mous", "MOUS", "DSC_3011020.09_236_v1")
    rule: ClassVar[WindowRule] = WindowRule(merge=0.0)

    def __init__(
        self,
        root: Path,
        *,
        every_subject: bool = False,
        windows: Mapping[str, Any] | str | None = None,
        high_pass: float | None = HIGH_PASS,
        low_pass: float | None = None,
        drop_channels: Sequence[str] = (),
    ) -> None:
        super().__init__(root, windows=windows, high_pass=high_pass, low_pass=low_pass, drop_channels=drop_channels)
        if not isinstance(every_subject, bool):
            raise ConfigError(f"every_subject: got {every_subject!r}, expected true or false")
        self.every_subject = every_subject
        self._shared: tuple[list[str], list[str]] | None = None
        self._texts: dict[str, str] | None = None

    @classmethod
    def find(cls, data_root: Path) -> Path | None:
        """Give the folder that holds a recording of somebody who listened."""
        for folder in (*(data_root / place for place in cls.places), data_root):
            if any(folder.glob("sub-A2???/meg/sub-A2???_task-auditory*_meg.ds")):
                return folder
        return None

    @classmethod
    def looked_for(cls, data_root: Path) -> list[Path]:
        """List the recordings that `find` tries."""
        return [data_root / place / "sub-A2???/meg/sub-A2???_task-auditory_meg.ds" for place in (*cls.places, ".")]

    def subjects(self) -> list[str]:
        """List who listened and is on disk, with a recording or with a log."""
        names = {path.parts[-3] for path in self.root.glob("sub-A2???/meg/sub-A2???_task-auditory*_meg.ds")}
        return [name for name in sorted(names) if self.every_subject or name not in LEFT_OUT]

    def runs(self, subject: str) -> list[SpeechRun]:
        """Pair the recording with its log."""
        folder = self.root / subject / "meg"
        recordings = sorted(folder.glob(f"{subject}_task-auditory*_meg.ds"))
        if len(recordings) != 1:
            raise DataError(f"{folder}: {len(recordings)} recordings of the task auditory, expected 1")
        code = subject.removeprefix("sub-")
        place = self.root / "sourcedata" / "meg_task"
        logs = sorted(place.glob(f"*MEG-MOUS-Aud{code}.log"))
        if len(logs) != 1:
            what = f"*MEG-MOUS-Aud{code}.log"
            raise DataError(f"{place / what}: {len(logs)} logs, expected 1, while {recordings[0].name} is there")
        return [SpeechRun("auditory", "", "1", recordings[0], logs[0])]

    def annotated(self) -> list[pd.DataFrame]:
        """Give the words of every sound that anybody heard, without looking at a recording."""
        heard: set[int] = set()
        for subject in self.subjects():
            for run in self.runs(subject):
                heard |= set(played_sounds(read_log(run.words), run.words)["sound"])
        return [self._sound_words(number) for number in sorted(heard)]

    def words(self, subject: str, run: SpeechRun) -> pd.DataFrame:
        """Give the time of every word in the recording."""
        sounds = self._sounds(run)
        tables = []
        for sound in sounds.to_dict("records"):
            words = self._sound_words(int(sound["sound"]))
            tables.append(
                words.assign(
                    onset=sound["onset"] + words["audio_onset"], condition=sound["condition"], line=sound["line"]
                )
            )
        return pd.concat(tables, ignore_index=True)

    def phonemes(self, subject: str, run: SpeechRun) -> pd.DataFrame:
        """Give the time of every phoneme in the recording."""
        tables = []
        for sound in self._sounds(run).to_dict("records"):
            tier = self._tier(int(sound["sound"]), PHONEME_TIER)
            tables.append(
                pd.DataFrame(
                    {
                        "onset": sound["onset"] + tier["start"],
                        "duration": tier["stop"] - tier["start"],
                        "phoneme": tier["label"],
                    }
                )
            )
        return pd.concat(tables, ignore_index=True)

    def read_block(
        self, subject: str, run: SpeechRun, sfreq: float | None, store: ArrayStore
    ) -> tuple[Block, list[str]]:
        """Read one recording: the gradiometers that every recording has."""
        if self._shared is None:
            paths = [found.signals for other in self.subjects() for found in self.runs(other)]
            self._shared = shared_sensors(paths)
        shared, missing = self._shared
        raw = open_ctf(run.signals)
        names = self.kept([name for name in sensor_names(raw) if name in set(shared)], run.signals)
        sensors = sensors_of(raw.copy().pick(names, verbose="error"), float(raw.info["sfreq"]), self.window_rule.lag)
        signals, sensors = stream_raw(
            raw, names, sensors, sfreq=sfreq, settings=self.preprocessing, store=store, where=run.signals
        )
        left_out = [f"sensors that some recording lacks, left out: {', '.join(missing)}"] if missing else []
        return Block(run.name, signals, sensors), left_out

    def _sounds(self, run: SpeechRun) -> pd.DataFrame:
        """Give the sounds that a log says were played, with `onset` in seconds of the recording."""
        log = read_log(run.words)
        sounds = played_sounds(log, run.words)
        marks = marked_events(log)
        raw = open_ctf(run.signals)
        triggers = read_triggers(raw, run.signals)
        rate = float(raw.info["sfreq"])
        check_events_table(run.signals.with_name(run.signals.name.replace("_meg.ds", "_events.tsv")), triggers)
        told = np.isin(triggers[:, 1], (CONTEXT, FIXATION))
        times = triggers[told, 0] / rate
        log_rows, trigger_rows = match_clocks(
            marks["time"].to_numpy(dtype=np.float64),
            marks["kind"].to_numpy(dtype=np.int64),
            times,
            triggers[told, 1],
            where=f"{run.words}: against {run.signals.name}",
        )
        matched = marks["time"].to_numpy(dtype=np.float64)[log_rows]
        onset = to_recording(sounds["time"].to_numpy(dtype=np.float64), matched, times[trigger_rows])
        inside = (onset >= 0) & (onset < float(raw.n_times) / rate)
        heard: pd.DataFrame = sounds.assign(onset=onset)[inside]
        return heard.reset_index(drop=True)

    def _tier(self, number: int, name: str) -> pd.DataFrame:
        path = self.root / ALIGNED.format(number)
        if not path.is_file():
            raise DataError(f"{path}: missing; when words began within the sounds is known from these files only")
        tiers = read_textgrid(path)
        if name not in tiers:
            raise DataError(f"{path}: has no tier {name!r}, got {', '.join(tiers)}")
        tier = tiers[name]
        return tier[~tier["label"].str.strip().isin(SILENT)].reset_index(drop=True)

    def _sound_words(self, number: int) -> pd.DataFrame:
        """Give the words of a sound file, with the sentence as it was written where it is listed."""
        tier = self._tier(number, WORD_TIER)
        if tier.empty:
            raise DataError(f"{self.root / ALIGNED.format(number)}: no word in the tier {WORD_TIER!r}")
        words = tier["label"].str.strip()
        written = self._written().get(beginning_of(" ".join(words)), "")
        return pd.DataFrame(
            {
                "duration": tier["stop"] - tier["start"],
                "word": words,
                "sentence": f"{number:03d}",
                "text": written,
                "audio": SOUND.format(number),
                "audio_onset": tier["start"],
            }
        )

    def _written(self) -> dict[str, str]:
        """Read the list of all sentences, by how they begin."""
        if self._texts is None:
            path = self.root / "stimuli" / "stimuli.txt"
            self._texts = read_sentences(path) if path.is_file() else {}
        return self._texts
