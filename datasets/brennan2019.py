"""Alice in Wonderland (Brennan and Hale 2019): a chapter heard, as FieldTrip structures or BrainVision files."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.files import read_table
from neurodecode.core.recording import Block
from neurodecode.core.study import StudyInfo
from neurodecode.datasets.alice_recordings import ELECTRODES, SFREQ, electrodes, open_brainvision, read_fieldtrip
from neurodecode.datasets.matlab_files import read_mat, text_list
from neurodecode.datasets.speech_signals import first_line, stream_signals
from neurodecode.datasets.speech_study import HIGH_PASS, SpeechRun, SpeechStudy

Dialect = Literal["mat", "brainvision"]
WordTimes = Literal["event", "trial_start"]
ENDINGS: dict[str, str] = {"mat": ".mat", "brainvision": ".vhdr"}
WORDS = "AliceChapterOne-EEG.csv"
SOUND = "audio/DownTheRabbitHoleFinal_SoundFile{}.wav"
MICROVOLT = 1e-6
# Too few trials, or a table of trials that does not belong to the recording.
LEFT_OUT = ("sub-02", "sub-24", "sub-26", "sub-27", "sub-30", "sub-32", "sub-34", "sub-35", "sub-36")


class Brennan2019(SpeechStudy):
    """Read the recordings, the authors' table of trials and the table of words, which are joined by segment and number.

    Parameters
    ----------
    root : Path
        The folder with ``AliceChapterOne-EEG.csv``, ``S01.mat`` ..., ``proc/`` and, if it is there, ``audio/``.
    dialect : str, optional
        ``mat`` (first version) or ``brainvision`` (second); needed where both are there.
    word_times : str
        ``event``: a word begins where FieldTrip says, at the first sample of its trial minus the trial's offset.
        ``trial_start``: at the first sample of its trial, as published decoders read it, too early by the time before
        the event.
    every_subject : bool
        Also read the nine recordings that published analyses leave out.
    windows, high_pass, low_pass, drop_channels
        As in `SpeechStudy`.
    """

    info = StudyInfo(
        name="brennan2019",
        modality="eeg",
        kind="speech",
        description="Thirty-three people heard the first chapter of Alice in Wonderland; 60 electrodes, 6.7 hours.",
        citation="Brennan and Hale 2019, doi:10.1371/journal.pone.0207741",
        licence="CC BY 4.0",
        where="https://deepblue.lib.umich.edu/data/concern/data_sets/bg257f92t (.mat) or bn999738r (BrainVision)",
        size="9 GB",
        simulated=False,
        expected={"channels": 60},
    )
    places = ("brennan2019", "alice_eeg", "brain/brennan2019")
    needed = (WORDS,)

    def __init__(
        self,
        root: Path,
        *,
        dialect: Dialect | None = None,
        word_times: WordTimes = "event",
        every_subject: bool = False,
        windows: Mapping[str, Any] | str | None = None,
        high_pass: float | None = HIGH_PASS,
        low_pass: float | None = None,
        drop_channels: Sequence[str] = (),
    ) -> None:
        super().__init__(root, windows=windows, high_pass=high_pass, low_pass=low_pass, drop_channels=drop_channels)
        for label, got, known in (
            ("dialect", dialect, get_args(Dialect)),
            ("word_times", word_times, get_args(WordTimes)),
        ):
            if got is not None and got not in known:
                raise ConfigError(f"{label}: got {got!r}, expected one of {', '.join(known)}")
        if not isinstance(every_subject, bool):
            raise ConfigError(f"every_subject: got {every_subject!r}, expected true or false")
        self.dialect = dialect
        self.word_times = word_times
        self.every_subject = every_subject
        self._story: pd.DataFrame | None = None

    def subjects(self) -> list[str]:
        """List who has both a recording and a table of trials: for seven recordings none was published."""
        ending = ENDINGS[self._dialect()]
        names = {path.stem for path in self.root.glob(f"S??{ending}")}
        trials = {path.stem for path in (self.root / "proc").glob("S??.mat")}
        if names and not trials:
            raise DataError(f"{self.root / 'proc'}: no table of trials (S01.mat ...), expected what proc.zip holds")
        found = [f"sub-{name[1:]}" for name in sorted(names & trials) if re.fullmatch(r"S\d\d", name)]
        return [name for name in found if self.every_subject or name not in LEFT_OUT]

    def runs(self, subject: str) -> list[SpeechRun]:
        """Give the one recording of a subject."""
        name = f"S{subject.removeprefix('sub-')}"
        signals = self.root / f"{name}{ENDINGS[self._dialect()]}"
        return [SpeechRun("alice", "", "1", signals, self.root / "proc" / f"{name}.mat")]

    def annotated(self) -> list[pd.DataFrame]:
        """Give the words of the chapter, which are the same for all."""
        return [self._chapter().assign(duration=self._chapter()["offset"] - self._chapter()["audio_onset"])]

    def words(self, subject: str, run: SpeechRun) -> pd.DataFrame:
        """Give the time of every word that the subject's table of trials names."""
        trials, _ = read_trials(run.words)
        story = self._chapter()
        for column in ("Order", "segment"):
            if column not in trials:
                raise DataError(f"{run.words}: trl has no column {column!r}, got {', '.join(trials.columns)}")
        numbers = pd.MultiIndex.from_frame(trials[["segment", "Order"]])
        places = pd.MultiIndex.from_frame(story[["segment", "order"]]).get_indexer(numbers)
        wrong, what = places < 0, f"is not among the words of {WORDS}"
        if not wrong.any():
            wrong, what = numbers.duplicated(), "occurs a second time"
        if wrong.any():
            row = int(np.argmax(wrong))
            segment, order = numbers[row]
            raise DataError(f"{run.words}: trial {row + 1}: segment {segment:g}, Order {order:g} {what}")
        sample = trials["start_sample"] - (trials["offset"] if self.word_times == "event" else 0)
        words = story.iloc[places].reset_index(drop=True)
        # MATLAB counts samples from 1.
        words["onset"] = (sample.to_numpy() - 1) / SFREQ
        words["duration"] = words["offset"] - words["audio_onset"]
        return words.drop(columns="offset")

    def read_block(
        self, subject: str, run: SpeechRun, sfreq: float | None, store: ArrayStore
    ) -> tuple[Block, list[str]]:
        """Read one recording, without eye and sound channels."""
        _, bad = read_trials(run.words)
        flags = ["electrode positions are those of a template"]
        if bad:
            flags.append(f"{subject}: called bad by the authors, but kept: {', '.join(bad)}")
        names = self.kept(ELECTRODES, run.signals)
        rows = [ELECTRODES.index(name) for name in names]
        if self._dialect() == "mat":
            signals = read_fieldtrip(run.signals)

            def read(start: int, stop: int) -> NDArray[np.floating[Any]]:
                return MICROVOLT * signals[rows, start:stop]

            n_samples = signals.shape[1]
        else:
            raw = open_brainvision(run.signals)

            def read(start: int, stop: int) -> NDArray[np.floating[Any]]:
                piece: NDArray[np.float64] = raw.get_data(picks=rows, start=start, stop=stop, verbose="error")
                return piece

            n_samples = raw.n_times
        data = stream_signals(
            read,
            names,
            n_samples,
            SFREQ,
            sfreq=sfreq,
            settings=self.preprocessing,
            store=store,
            where=str(run.signals),
        )
        sensors = electrodes(names, SFREQ if sfreq is None else float(sfreq), self.window_rule.lag)
        return Block(run.name, data, sensors), flags

    def steps(self) -> dict[str, Any]:
        """Describe the dialect and when words begin as well."""
        return {**super().steps(), "dialect": self._dialect(), "word_times": self.word_times}

    def _dialect(self) -> Dialect:
        """Look which form is there."""
        if self.dialect is None:
            found: list[Dialect] = [name for name in get_args(Dialect) if any(self.root.glob(f"S??{ENDINGS[name]}"))]
            if len(found) != 1:
                expected = "S01.mat ... or S01.vhdr ..." if not found else "one of them, or the option dialect"
                raise DataError(f"{self.root}: recordings as {' and '.join(found) or 'nothing'}, expected {expected}")
            self.dialect = found[0]
        return self.dialect

    def _chapter(self) -> pd.DataFrame:
        if self._story is None:
            self._story = read_chapter(self.root / WORDS)
        return self._story


def read_chapter(path: Path) -> pd.DataFrame:
    """Read the table of the chapter's words.

    Returns
    -------
    pandas.DataFrame
        `word`, `segment`, `order`, `sentence`, `audio`, `audio_onset`, `offset` (its end in the sound file, s).

    Raises
    ------
    DataError
        If a column is missing, times run backwards within a segment, or words are not numbered one by one.
    """
    required = ("Word", "Segment", "onset", "offset", "Order", "Sentence")
    table = read_table(path, required=required, text=("Word",))
    for column in required[1:]:
        values = pd.to_numeric(table[column], errors="coerce")
        if not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values)))
            raise DataError(f"{path}: line {row + 2}: {column} is {table[column].iloc[row]!r}, expected a number")
        table[column] = values
    wrong = (table["offset"] <= table["onset"]) | (
        (table["onset"].diff() < 0) & (table["Segment"] == table["Segment"].shift())
    )
    # Numbered through the chapter or through its segment.
    wrong |= (table["Order"].diff() != 1) & (table["Segment"] == table["Segment"].shift())
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise DataError(
            f"{path}: line {row + 2}: word {table['Word'].iloc[row]!r} from {table['onset'].iloc[row]:g} to "
            f"{table['offset'].iloc[row]:g} s with Order {table['Order'].iloc[row]:g}, expected words one after another"
        )
    return pd.DataFrame(
        {
            "word": table["Word"],
            "segment": table["Segment"].astype(int),
            "order": table["Order"].astype(int),
            "sentence": table["Sentence"].astype(int).astype(str),
            "audio": [SOUND.format(int(segment)) for segment in table["Segment"]],
            "audio_onset": table["onset"].astype(np.float64),
            "offset": table["offset"].astype(np.float64),
        }
    )


def read_trials(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Read a subject's table of trials, and the channels that the authors call bad.

    Parameters
    ----------
    path : Path
        ``proc/S01.mat``: the names of the table's columns may lack the first three.

    Returns
    -------
    trials : pandas.DataFrame
        `start_sample`, `stop_sample`, `offset` (samples, negative before the event), and the named columns.
    bad : list of str
        Channels.

    Raises
    ------
    DataError
        If the table has not as many rows, or as many columns, as the file says.
    """
    proc = read_mat(path, "proc")
    try:
        table = np.atleast_2d(np.asarray(proc["trl"], dtype=np.float64))
        names = text_list(proc["varnames"])
        count, channels = int(proc["tot_trials"]), int(proc["tot_chans"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: proc: expected trl, varnames, tot_trials and tot_chans ({first_line(error)})"
        ) from None
    if len(names) == table.shape[1] - 3:
        names = ["start_sample", "stop_sample", "offset", *names]
    if len(names) != table.shape[1]:
        raise DataError(f"{path}: trl has {table.shape[1]} columns, expected 3 and {len(names)} named ones")
    if count != len(table):
        raise DataError(f"{path}: trl has {len(table)} rows, expected {count} as tot_trials says")
    if channels != len(ELECTRODES) + 1:
        raise DataError(f"{path}: tot_chans is {channels}, expected {len(ELECTRODES) + 1}")
    names = ["start_sample", "stop_sample", "offset", *names[3:]]
    bad: list[str] = []
    for group, field in (("impedence", "bads"), ("rejections", "badchans")):
        inner = proc.get(group)
        if isinstance(inner, dict) and field in inner:
            bad += text_list(inner[field])
    return pd.DataFrame(table, columns=names), list(dict.fromkeys(bad))
