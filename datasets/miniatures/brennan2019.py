"""A miniature of the Alice EEG: FieldTrip structures and BrainVision files with one table of trials."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.files import write_table
from neurodecode.datasets.alice_recordings import ELECTRODES, SFREQ
from neurodecode.datasets.brennan2019 import SOUND, WORDS
from neurodecode.datasets.miniatures.planted import PlantedSignal
from neurodecode.datasets.miniatures.spoken import SpokenWord, brain_signal, length_of, tell, write_sound

STUDY = "brennan2019"
LAYOUTS = ("mat", "brainvision")
SENTENCES = {"1": 3, "2": 2, "3": 2}
SUBJECTS = (1, 3)
UNIT, NOISE = 4.0, 0.3
LEAD, GAP, BEFORE = 1.2, 0.8, 150
# The amplifier's step, in microvolts.
STEP = 0.1


def stories() -> dict[str, list[SpokenWord]]:
    """Tell what is heard, by number of the segment."""
    return tell(SENTENCES)


def heard_by(subject: int) -> list[tuple[float, str]]:
    """List onset (s of the recording) and word."""
    heard, start = [], LEAD + 0.062 * subject
    for story in stories().values():
        heard += [(start + word.onset, word.word) for word in story]
        start += length_of(story) + GAP
    return heard


def signals_of(subject: int, seed: int) -> NDArray[np.float32]:
    """Simulate the 60 electrodes, in microvolts and in the amplifier's steps."""
    heard = heard_by(subject)
    planted = PlantedSignal(seed=seed, noise=NOISE, unit=UNIT)
    n_samples = int((heard[-1][0] + 4.5) * SFREQ)
    signals = brain_signal(planted, heard, subject=subject, n_channels=60, n_samples=n_samples, rate=SFREQ)
    return (STEP * np.round(signals / STEP)).astype(np.float32)


def write(root: Path, *, layout: str, seed: int) -> None:
    """Write two subjects, the table of words and the sounds."""
    told = stories()
    write_table(root / WORDS, chapter(told))
    for segment, story in told.items():
        write_sound(root / SOUND.format(segment), story)
    (root / "proc").mkdir()
    for subject in SUBJECTS:
        signals = signals_of(subject, seed)
        # The first one has no channel for the sound, and names all columns of its trials.
        others = ["VEOG"] if subject == 1 else ["VEOG", "Aux5"]
        noise = 20 * np.random.default_rng([seed, subject]).normal(size=(len(others), signals.shape[1]))
        data = np.concatenate([signals, np.round(noise).astype(np.float32)])
        labels = [*ELECTRODES, *others]
        _write_trials(root / "proc" / f"S{subject:02d}.mat", subject, told)
        if layout == "mat":
            _write_fieldtrip(root / f"S{subject:02d}.mat", data, labels)
        else:
            _write_brainvision(root, f"S{subject:02d}", data, labels)


def chapter(told: dict[str, list[SpokenWord]]) -> pd.DataFrame:
    """Make the table of words."""
    rows: list[dict[str, Any]] = []
    sentences = 0
    for segment, story in told.items():
        for word in story:
            rows.append(
                {
                    "Word": word.word,
                    "Segment": int(segment),
                    "onset": word.onset,
                    "offset": round(word.onset + word.duration, 3),
                    "Order": len(rows) + 1,
                    "LogFreq": 8.5,
                    "LogFreq_Prev": 8.1,
                    "LogFreq_Next": 7.9,
                    "SndPower": 0.001,
                    "Length": word.duration,
                    "Position": word.position + 1,
                    "Sentence": sentences + word.sentence + 1,
                    "IsLexical": 1,
                    "NGRAM": 7.1,
                    "RNN": 6.6,
                    "CFG": 5.2,
                }
            )
        sentences += story[-1].sentence + 1
    return pd.DataFrame(rows)


def cell(values: list[Any]) -> NDArray[np.object_]:
    """Make a column of MATLAB cells."""
    out = np.empty((len(values), 1), dtype=object)
    for row, value in enumerate(values):
        out[row, 0] = value
    return out


def _write_trials(path: Path, subject: int, told: dict[str, list[SpokenWord]]) -> None:
    from scipy.io import savemat

    table = chapter(told)
    # The event is the word; its trial begins 300 ms before, and MATLAB counts from 1.
    event = np.round([onset * SFREQ for onset, _ in heard_by(subject)]).astype(int) + 1
    columns = [
        event - BEFORE,
        event + 500,
        np.full(len(event), -BEFORE),
        table["Segment"],
        table["onset"],
        table["Order"],
    ]
    names = ["segment", "tmin", "Order"]
    if subject == 1:
        names = ["begsample", "endsample", "offset", *names]
    proc = {
        "subject": f"S{subject:02d}",
        "trl": np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1),
        "varnames": cell(names).T,
        "tot_trials": float(len(event)),
        "tot_chans": 61.0,
        "impedence": {"bads": cell(["14"]) if subject == 1 else np.zeros((0, 0))},
        "rejections": {"badchans": cell(["14", "7"]) if subject == 1 else np.zeros((0, 0))},
    }
    savemat(path, {"proc": proc})


def _write_fieldtrip(path: Path, data: NDArray[np.float32], labels: list[str]) -> None:
    from scipy.io import savemat

    n_channels, n_samples = data.shape
    header = {
        "Fs": SFREQ,
        "nChans": float(n_channels),
        "nSamples": float(n_samples),
        "nSamplesPre": 0.0,
        "nTrials": 1.0,
        "label": cell(labels),
        "chantype": cell(["eeg"] * n_channels),
        "chanunit": cell(["uV"] * n_channels),
    }
    raw = {
        "hdr": header,
        "label": cell(labels),
        "time": cell([np.arange(n_samples)[None] / SFREQ]),
        "trial": cell([data]),
        "fsample": SFREQ,
        "sampleinfo": np.array([[1.0, float(n_samples)]]),
    }
    savemat(path, {"raw": raw}, do_compression=True)


def _write_brainvision(root: Path, name: str, data: NDArray[np.float32], labels: list[str]) -> None:
    import pybv

    pybv.write_brainvision(
        # The writer cuts towards zero instead of rounding.
        data=(data + 0.2 * STEP * np.sign(data)) * 1e-6,
        sfreq=SFREQ,
        ch_names=labels,
        fname_base=name,
        folder_out=str(root),
        resolution=STEP,
        unit="µV",
        fmt="binary_int16",
        events=np.array([[0, 1, 1]]),
        overwrite=False,
    )
