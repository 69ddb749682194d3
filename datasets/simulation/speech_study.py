"""Write a simulated study of people who listen to spoken sentences: stories, continuous MEG runs, words, the truth."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import scipy.io.wavfile
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError
from neurodecode.core.files import atomic_folder, atomic_path, folder_lock, load_arrays, read_json, write_json
from neurodecode.datasets.simulation.sensors import meg_info
from neurodecode.datasets.simulation.sentences import draw_sentences
from neurodecode.datasets.simulation.sidecars import recording_description, write_channels, write_positions, write_tsv
from neurodecode.datasets.simulation.speech_sidecars import TASK, write_speech_description
from neurodecode.datasets.simulation.speech_truth import (
    SPEECH_SIMULATOR_VERSION,
    SpeechTruth,
    listener,
    save_speech_truth,
    speech_truth_path,
)
from neurodecode.datasets.simulation.subject import stream, subject_name
from neurodecode.datasets.simulation.voice import SAMPLING_RATE, speak
from neurodecode.datasets.simulation.writer import write_fif

#: Silence between two sentences (s), and before the first and after the last word of a run.
SHORTEST_PAUSE: Final = 0.4
LONGEST_PAUSE: Final = 0.7
LEAD: Final = 1.0
TAIL: Final = 4.0

#: From the stories' waveforms at 16 kHz to the features that drive the sources: the layer of each column, and for each
#: story an array of shape (n_frames, n_features) at `FEATURE_RATE`.
FeaturesOf = Callable[[Sequence[NDArray[np.float32]]], tuple[tuple[str, ...], list[NDArray[np.float32]]]]
FEATURE_RATE: Final = 50.0


@dataclass(frozen=True)
class SpeechSize:
    """How much a simulated study of listening holds.

    Parameters
    ----------
    sentences : int
        In all.
    runs : int
        Continuous runs, each with a story of its own.
    subjects : int
        Everybody hears the same stories.
    sfreq : float
        Sampling rate on disk, a multiple of 50 from 100 Hz on.
    """

    sentences: int = 480
    runs: int = 6
    subjects: int = 3
    sfreq: float = 100.0

    def __post_init__(self) -> None:
        if not 1 <= self.runs <= min(self.sentences, 99):
            raise ConfigError(f"runs: got {self.runs}, expected 1 to {min(self.sentences, 99)}")
        if not 1 <= self.subjects <= 99:
            raise ConfigError(f"subjects: got {self.subjects}, expected 1 to 99")
        if self.sfreq < 100 or self.sfreq % FEATURE_RATE:
            raise ConfigError(f"sfreq: got {self.sfreq:g}, expected a multiple of 50 Hz from 100 Hz on")


def simulate_speech_study(
    folder: Path,
    *,
    features_of: FeaturesOf,
    driven_by: str,
    size: SpeechSize | None = None,
    seed: int = 0,
    progress: Callable[[str], None] = lambda message: None,
) -> Path:
    """Write a BIDS data set of simulated listeners, with its ground truth; what is whole already is kept.

    Parameters
    ----------
    folder : Path
        The data set.
    features_of : callable
        See `FeaturesOf`.
    driven_by : str
        What the features are, for the settings.
    size : SpeechSize, optional
        How much.
    seed : int
        Of everything that is drawn.
    progress : callable
        Told what is being done.

    Returns
    -------
    Path
        `folder`.

    Raises
    ------
    ConfigError
        If the folder holds something else.
    """
    size = SpeechSize() if size is None else size
    settings: dict[str, Any] = {
        "simulator": f"speech {SPEECH_SIMULATOR_VERSION}",
        "modality": "meg",
        "seed": seed,
        "sfreq": size.sfreq,
        "sentences": size.sentences,
        "runs": size.runs,
        "driven_by": driven_by,
    }
    with folder_lock(folder):
        _claim(folder, settings)
        names = [subject_name(number) for number in range(size.subjects)]
        write_speech_description(folder, settings, names)
        write_speech_description(folder / "derivatives" / "simulation", settings, [], pipeline="ground truth")
        if not (folder / "stimuli").is_dir():
            progress("speaking")
            with atomic_folder(folder / "stimuli") as temporary:
                _write_stories(temporary, size, seed)
        path = folder / "derivatives" / "simulation" / "features.npz"
        if not path.is_file():
            progress("features")
            waves = [_read_story(folder, run) for run in range(size.runs)]
            layers, found = features_of(waves)
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                arrays = {f"run_{run + 1:02d}": values.astype(np.float32) for run, values in enumerate(found)}
                np.savez(file, layers=np.array(layers, dtype=np.str_), **arrays)  # type: ignore[arg-type]
        for number, name in enumerate(names):
            if not (folder / name).is_dir():
                progress(name)
                _simulate_listener(folder, number, size, seed)
    return folder


def _write_stories(folder: Path, size: SpeechSize, seed: int) -> None:
    """Read the sentences aloud, a file a run, and write down when which word is spoken."""
    texts = draw_sentences(size.sentences, seed)
    pauses = stream(seed, "pauses")
    for run, numbers in enumerate(np.array_split(np.arange(size.sentences), size.runs)):
        audio = f"story-{run + 1:02d}.wav"
        pieces = [np.zeros(round(LEAD * SAMPLING_RATE), dtype=np.float32)]
        rows: list[pd.DataFrame] = []
        for number in numbers:
            spoken, sentence = speak(texts[number]), f"s{number + 1:04d}"
            begin = sum(map(len, pieces)) / SAMPLING_RATE
            words = spoken.words.assign(trial_type="word", onset=spoken.words["onset"] + begin)
            sounds = spoken.phonemes.assign(trial_type="phoneme", onset=spoken.phonemes["onset"] + begin)
            sounds["word"] = words["word"].to_numpy()[sounds.pop("word_number").to_numpy(dtype=np.int64)]
            together = pd.concat([words, sounds], ignore_index=True).sort_values(["onset", "trial_type"], kind="stable")
            rows.append(together.assign(sentence=sentence, text=texts[number], stim_file=audio))
            pause = round(float(pauses.uniform(SHORTEST_PAUSE, LONGEST_PAUSE)) * SAMPLING_RATE)
            pieces += [spoken.wave, np.zeros(pause, dtype=np.float32)]
        pieces.append(np.zeros(round(TAIL * SAMPLING_RATE), dtype=np.float32))
        wave = np.concatenate(pieces)
        scipy.io.wavfile.write(folder / audio, SAMPLING_RATE, np.round(np.clip(wave, -1, 1) * 32767).astype(np.int16))
        table = pd.concat(rows, ignore_index=True)
        columns = ["onset", "duration", "trial_type", "word", "phoneme", "sentence", "text", "stim_file"]
        write_tsv(folder / f"story-{run + 1:02d}.tsv", table[columns])


def _read_story(folder: Path, run: int) -> NDArray[np.float32]:
    _, samples = scipy.io.wavfile.read(folder / "stimuli" / f"story-{run + 1:02d}.wav")
    return np.asarray(samples / 32768.0, dtype=np.float32)


def run_features(folder: Path, run: int, sfreq: float) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Read the features that drove the sources in a run, interpolated to the sampling rate.

    Parameters
    ----------
    folder : Path
        The study.
    run : int
        From 0.
    sfreq : float
        Hz.

    Returns
    -------
    layers : tuple of str
        The layer of each feature.
    features : array of shape (n_samples, n_features)
    """
    stored = load_arrays(folder / "derivatives" / "simulation" / "features.npz")
    values = np.asarray(stored[f"run_{run + 1:02d}"], dtype=np.float64)
    times = np.arange(round(len(values) / FEATURE_RATE * sfreq)) / sfreq
    frames = np.arange(len(values)) / FEATURE_RATE
    columns = [np.interp(times, frames, column) for column in values.T]
    return tuple(str(name) for name in stored["layers"]), np.column_stack(columns)


def _simulate_listener(folder: Path, number: int, size: SpeechSize, seed: int) -> None:
    layers, _ = run_features(folder, 0, size.sfreq)
    truth = listener(number, layers, seed=seed, sfreq=size.sfreq)
    path = speech_truth_path(folder, truth.subject)
    if path.parent.is_dir():
        shutil.rmtree(path.parent)
    with atomic_folder(path.parent) as temporary:
        save_speech_truth(temporary / path.name, truth)
    # The recordings come last: a subject that is there is whole, and its truth with it.
    with atomic_folder(folder / truth.subject) as temporary:
        place = temporary / "meg"
        place.mkdir()
        info = meg_info(size.sfreq)
        write_positions(place, truth.subject, info)
        for run in range(size.runs):
            _write_run(folder, place, truth, run, info)


def _write_run(folder: Path, place: Path, truth: SpeechTruth, run: int, info: Any) -> None:
    _, features = run_features(folder, run, truth.sfreq)
    signal = truth.response(features) + truth.noise(len(features), run)
    base = f"{truth.subject}_task-{TASK}_run-{run + 1:02d}"
    write_fif(place / f"{base}_meg.fif", signal, info)
    described = recording_description(info, signal.shape[1])
    write_json(
        place / f"{base}_meg.json",
        {**described, "TaskName": TASK, "TaskDescription": "Simulated: listening to sentences."},
    )
    write_channels(place / f"{base}_channels.tsv", info)
    # The recording begins with the story: a word is as late in one as in the other.
    table = pd.read_csv(folder / "stimuli" / f"story-{run + 1:02d}.tsv", sep="\t", keep_default_na=False)
    write_tsv(place / f"{base}_events.tsv", table.assign(stim_onset=table["onset"]))


def _claim(folder: Path, settings: dict[str, Any]) -> None:
    """Make the folder ours: empty, or begun with the same settings; and clear what a killed process left behind."""
    record = folder / "derivatives" / "simulation" / "simulation.json"
    if record.is_file():
        found = read_json(record)
        for key, value in settings.items():
            got = found.get(key) if isinstance(found, dict) else found
            if got != value:
                raise ConfigError(
                    f"{folder}: holds a simulation with {key} {got!r}, expected {value!r}; choose another folder"
                )
    elif folder.is_dir() and any(path for path in folder.iterdir() if not path.name.endswith((".part", ".lock"))):
        others = sorted(path.name for path in folder.iterdir())
        raise ConfigError(f"{folder}: expected a new or empty folder, found {others[0]}")
    else:
        write_json(record, settings)
    for leftover in folder.glob(".*.part"):
        shutil.rmtree(leftover, ignore_errors=True)
