"""The Old Man and the Sea (Broderick et al. 2018): an audio book, MATLAB arrays run by run."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.recording import Block
from neurodecode.core.sensors import Sensors
from neurodecode.core.study import StudyInfo
from neurodecode.datasets.gentle_alignments import read_alignment, sentences_of
from neurodecode.datasets.matlab_files import read_mat, text_list
from neurodecode.datasets.regions import scalp_regions
from neurodecode.datasets.speech_signals import stream_signals
from neurodecode.datasets.speech_study import HIGH_PASS, SpeechRun, SpeechStudy

Dialect = Literal["gentle", "dryad"]
Reference = Literal["none", "mastoids"]
NATURAL, PRIVATE = "Natural Speech", "private"
SFREQ, N_CHANNELS, MONTAGE = 128.0, 128, "biosemi128"
# Where words alone are known, a silence of so many seconds ends a sentence.
SILENCE = 0.4
# The published alignment of this run goes astray near its end (s).
ASTRAY = {15: 165.0}
# Recording and envelope of the sound may differ by so much (s).
LENGTH_TOLERANCE = 5.0


class Broderick2019(SpeechStudy):
    """Read the natural speech of the data set; its other experiments lie beside it and are not read.

    Words come from the alignment that was made for a later paper (``private/``: sentences, phonemes, sound), or from
    the data set alone, where sentences are what lies between silences.

    Parameters
    ----------
    root : Path
        The folder with ``Natural Speech/`` and, if it is there, ``private/``.
    dialect : str, optional
        ``gentle`` or ``dryad``; by default ``gentle`` if there are alignments.
    reference : str
        ``mastoids`` subtracts their mean; ``none`` leaves the signals as they are.
    windows, high_pass, low_pass, drop_channels
        As in `SpeechStudy`.
    """

    info = StudyInfo(
        name="broderick2019",
        modality="eeg",
        kind="speech",
        description="Nineteen people heard an hour of The Old Man and the Sea; 128 electrodes, 20 runs.",
        citation="Broderick, Anderson, Di Liberto, Crosse and Lalor 2018, doi:10.1016/j.cub.2018.01.080",
        licence="CC0 1.0",
        where="https://doi.org/10.5061/dryad.070jc, Natural Speech.zip; sound is not published with it",
        size="about 9 GB",
        simulated=False,
        expected={"channels": N_CHANNELS},
    )
    places = ("broderick2019", "dryad_070jc", "brain/broderick2019")

    def __init__(
        self,
        root: Path,
        *,
        dialect: Dialect | None = None,
        reference: Reference = "none",
        windows: Mapping[str, Any] | str | None = None,
        high_pass: float | None = HIGH_PASS,
        low_pass: float | None = None,
        drop_channels: Sequence[str] = (),
    ) -> None:
        super().__init__(root, windows=windows, high_pass=high_pass, low_pass=low_pass, drop_channels=drop_channels)
        for label, got, known in (
            ("dialect", dialect, get_args(Dialect)),
            ("reference", reference, get_args(Reference)),
        ):
            if got is not None and got not in known:
                raise ConfigError(f"{label}: got {got!r}, expected one of {', '.join(known)}")
        self.dialect = dialect
        self.reference = reference

    @classmethod
    def find(cls, data_root: Path) -> Path | None:
        """Give the folder that holds the natural speech."""
        for folder in (*(data_root / place for place in cls.places), data_root):
            if any((folder / NATURAL / "EEG").glob("Subject*/Subject*_Run*.mat")):
                return folder
        return None

    @classmethod
    def looked_for(cls, data_root: Path) -> list[Path]:
        """List the recordings that `find` tries."""
        return [data_root / place / NATURAL / "EEG/Subject1/Subject1_Run1.mat" for place in (*cls.places, ".")]

    def subjects(self) -> list[str]:
        """List the subjects with a run."""
        found = (self.root / NATURAL / "EEG").glob("Subject*/Subject*_Run*.mat")
        return sorted({f"sub-{int(match[1]):02d}" for path in found if (match := _matched(path.name))})

    def runs(self, subject: str) -> list[SpeechRun]:
        """List a subject's runs, in the order of the book."""
        folder = self.root / NATURAL / "EEG" / f"Subject{int(subject.removeprefix('sub-'))}"
        numbers = sorted(int(match[2]) for path in folder.glob("*.mat") if (match := _matched(path.name)))
        runs = []
        for number in numbers:
            signals, words = folder / f"{folder.name}_Run{number}.mat", self._word_file(number)
            if not words.is_file():
                raise DataError(f"{words}: missing, while {signals.name} is there; get it, or move the recording away")
            runs.append(SpeechRun(f"run-{number}", "", str(number), signals, words))
        return runs

    def annotated(self) -> list[pd.DataFrame]:
        """Give the words of the runs that anybody heard: they are the same for all."""
        runs = {run.run: run for subject in self.subjects() for run in self.runs(subject)}
        return [self.checked_words("", run) for run in runs.values()]

    def words(self, subject: str, run: SpeechRun) -> pd.DataFrame:
        """Give the words of a run; recording and sound begin together."""
        number = int(run.run)
        if self._dialect() == "gentle":
            aligned = read_alignment(run.words)
            aligned = aligned[aligned["onset"] <= ASTRAY.get(number, np.inf)].reset_index(drop=True)
            text = self.root / PRIVATE / f"oldman_run{number}.txt"
            words = aligned.drop(columns="phones").assign(sentence=sentences_of(aligned["word"].tolist(), text))
        else:
            words = read_word_times(run.words)
        return words.assign(audio=f"{PRIVATE}/audio{number}.wav", audio_onset=words["onset"])

    def phonemes(self, subject: str, run: SpeechRun) -> pd.DataFrame:
        """Give the phonemes of a run, where it was aligned."""
        if self._dialect() != "gentle":
            return super().phonemes(subject, run)
        rows = []
        for word in read_alignment(run.words).to_dict("records"):
            if word["onset"] <= ASTRAY.get(int(run.run), np.inf):
                time = word["onset"]
                for name, length in word["phones"]:
                    rows.append({"onset": time, "duration": length, "phoneme": name, "word": word["word"]})
                    time += length
        return pd.DataFrame(rows, columns=["onset", "duration", "phoneme", "word"])

    def read_block(
        self, subject: str, run: SpeechRun, sfreq: float | None, store: ArrayStore
    ) -> tuple[Block, list[str]]:
        """Read one run."""
        signals, mastoids = read_run(run.signals)
        self._check_length(run, signals.shape[0])
        flags = ["electrode positions are those of a template", "the unit of the signals is not stated"]
        if int(run.run) in ASTRAY and self._dialect() == "gentle":
            flags.append(
                f"{run.name}: words after {ASTRAY[int(run.run)]:g} s left out, where the alignment goes astray"
            )
        whole = electrodes(SFREQ, self.window_rule.lag)
        names = self.kept(whole.names, run.signals)
        rows = [whole.names.index(name) for name in names]
        if self.reference == "mastoids":
            signals = signals - mastoids.mean(axis=1, keepdims=True)
        data = stream_signals(
            lambda start, stop: signals[start:stop, rows].T,
            names,
            len(signals),
            SFREQ,
            sfreq=sfreq,
            settings=self.preprocessing,
            store=store,
            where=str(run.signals),
        )
        sensors = replace(whole.pick(names), sfreq=SFREQ if sfreq is None else float(sfreq))
        return Block(run.name, data, sensors), flags

    def audio_needed(self) -> str:
        """Say that sound files are not published with the data."""
        return "not published with the recordings; ask the authors, or see the code of doi:10.1038/s42256-023-00714-5"

    def steps(self) -> dict[str, Any]:
        """Describe the dialect and the reference as well."""
        return {**super().steps(), "dialect": self._dialect(), "reference": self.reference, "silence": SILENCE}

    def _dialect(self) -> Dialect:
        if self.dialect is None:
            self.dialect = "gentle" if any((self.root / PRIVATE).glob("align*.json")) else "dryad"
        return self.dialect

    def _word_file(self, number: int) -> Path:
        if self._dialect() == "gentle":
            return self.root / PRIVATE / f"align{number}.json"
        return self.root / NATURAL / "Stimuli" / "Text" / f"Run{number}.mat"

    def _check_length(self, run: SpeechRun, n_samples: int) -> None:
        """Compare a recording with the envelope of the sound that was played, if it is there."""
        path = self.root / NATURAL / "Stimuli" / "Envelopes" / f"audio{run.run}_128Hz.mat"
        if not path.is_file():
            return
        envelope = np.asarray(read_mat(path, "env")).ravel()
        if abs(len(envelope) - n_samples) > LENGTH_TOLERANCE * SFREQ:
            raise DataError(
                f"{run.signals}: {n_samples / SFREQ:.1f} s of signal, expected about the {len(envelope) / SFREQ:.1f} s "
                f"of {path.name}"
            )


def _matched(name: str) -> re.Match[str] | None:
    return re.fullmatch(r"Subject(\d+)_Run(\d+)\.mat", name)


def read_run(path: Path) -> tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]:
    """Read one recording: signals ``(n_samples, 128)`` and mastoids ``(n_samples, 2)``, in a unit that is not stated.

    Raises
    ------
    DataError
        If an array is missing or has another shape, or the rate is not 128 Hz.
    """
    content = read_mat(path, "eegData", "mastoids", "fs")
    signals, mastoids = (np.asarray(content[name]) for name in ("eegData", "mastoids"))
    for name, array, width in (("eegData", signals, N_CHANNELS), ("mastoids", mastoids, 2)):
        if array.ndim != 2 or array.shape[1] != width or not np.issubdtype(array.dtype, np.floating):
            raise DataError(
                f"{path}: {name} is {array.dtype} of shape {array.shape}, expected numbers (n_samples, {width})"
            )
    if len(mastoids) != len(signals):
        raise DataError(f"{path}: mastoids has {len(mastoids)} samples, expected {len(signals)} as eegData")
    if np.size(content["fs"]) != 1 or float(content["fs"]) != SFREQ:
        raise DataError(f"{path}: fs is {content['fs']!r}, expected {SFREQ:g}")
    return signals, mastoids


def read_word_times(path: Path) -> pd.DataFrame:
    """Read the data set's own table of words; a silence ends a sentence.

    Raises
    ------
    DataError
        If its arrays have different lengths, or a word ends before it begins.
    """
    content = read_mat(path, "wordVec", "onset_time", "offset_time")
    try:
        words = text_list(content["wordVec"])
        onset, offset = (
            np.atleast_1d(np.asarray(content[name], dtype=np.float64)) for name in ("onset_time", "offset_time")
        )
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: expected texts in wordVec and numbers in onset_time, offset_time ({error})") from None
    if not len(words) == len(onset) == len(offset):
        raise DataError(
            f"{path}: {len(words)} words in wordVec, {len(onset)} in onset_time and {len(offset)} in offset_time, "
            f"expected as many"
        )
    wrong = ~(offset >= onset)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(f"{path}: word {row + 1} ({words[row]}) from {onset[row]:g} to {offset[row]:g} s")
    order = np.argsort(onset, kind="stable")
    onset, offset = onset[order], offset[order]
    sentence = np.concatenate([[0], np.cumsum(onset[1:] - offset[:-1] >= SILENCE)])
    return pd.DataFrame(
        {
            "onset": onset,
            "duration": offset - onset,
            "word": [words[row] for row in order],
            "sentence": sentence.astype(str),
        }
    )


def electrodes(sfreq: float, tmin: float) -> Sensors:
    """Describe the 128 BioSemi electrodes: names and order are those of MNE's montage, since none are stored."""
    import mne

    montage = mne.channels.make_standard_montage(MONTAGE)
    names = tuple(montage.ch_names)
    info = mne.create_info(list(names), SFREQ, "eeg", verbose="error")
    info.set_montage(montage)
    positions = np.array([channel["loc"][:3] for channel in info["chs"]], dtype=np.float64)
    # The names A1 to D32 are no names of the 10-10 system, though some look like them.
    regions = scalp_regions(tuple(f"BioSemi {name}" for name in names), positions)
    return Sensors(
        names=names,
        kinds=("eeg",) * len(names),
        sfreq=sfreq,
        tmin=tmin,
        unit="a.u.",
        positions=positions,
        regions=regions,
    )
