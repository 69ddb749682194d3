"""A miniature of the ten hours of Sherlock Holmes: CTF sessions, events with quoted words."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neurodecode.core.files import write_json
from neurodecode.datasets.armeni2022 import SOUNDS, STEM
from neurodecode.datasets.miniatures.ctf_writer import ctf_channels, write_ctf
from neurodecode.datasets.miniatures.planted import PlantedSignal
from neurodecode.datasets.miniatures.spoken import SpokenWord, brain_signal, length_of, tell, write_sound

STUDY = "armeni2022"
LAYOUTS = ("radboud",)
# Sounds by session and part; everybody hears the same.
SENTENCES = {"ses-001_run-01": 2, "ses-001_run-02": 2, "ses-002_run-01": 3}
SUBJECTS = (1, 2)
SFREQ, N_SENSORS = 1200.0, 10
UNIT, NOISE = 1e-13, 0.3
LEAD, GAP = 1.7, 1.1
# The second person's sensor that failed, and how far its events' times are off at most (s).
LACKING, JITTER = 5, 0.001


def stories() -> dict[str, list[SpokenWord]]:
    """Tell what is heard, by the stem of the sound file."""
    return tell(SENTENCES)


def heard_in(subject: int, session: int) -> list[tuple[float, str, SpokenWord]]:
    """List second of the recording, sound and word."""
    heard, start = [], LEAD + 0.0713 * subject
    for name, story in stories().items():
        if name.startswith(f"ses-{session:03d}"):
            heard += [(start + word.onset, name, word) for word in story]
            start += length_of(story) + GAP
    return heard


def write(root: Path, *, layout: str, seed: int) -> None:
    """Write two subjects with two sessions each, and the sounds."""
    write_json(root / "dataset_description.json", {"Name": "Sherlock miniature", "BIDSVersion": "1.6.0"})
    for name, story in stories().items():
        write_sound(root / SOUNDS / f"{name}.wav", story)
    for subject in SUBJECTS:
        for session in (1, 2):
            _write_session(root, subject, session, seed)


def _write_session(root: Path, subject: int, session: int, seed: int) -> None:
    heard = heard_in(subject, session)
    n_samples = int((heard[-1][0] + 4.0) * SFREQ)
    channels = ctf_channels(N_SENSORS, n_reference=1)
    planted = PlantedSignal(seed=seed, noise=NOISE, unit=UNIT)
    signals = np.zeros((len(channels), n_samples))
    signals[2] = 1e-12 * np.random.default_rng([seed, subject, session]).normal(size=n_samples)
    signals[3:] = brain_signal(
        planted,
        [(onset, word.word) for onset, _, word in heard],
        subject=subject,
        n_channels=N_SENSORS,
        n_samples=n_samples,
        rate=SFREQ,
        key=(session,),
    )
    if subject == 2 and session == 2:
        keep = [row for row in range(len(channels)) if row != 3 + LACKING]
        signals, channels = signals[keep], [channels[row] for row in keep]
    stem = STEM.format(subject=subject, session=session)
    folder = root / f"sub-{subject:03d}" / f"ses-{session:03d}" / "meg"
    # A long recording goes on in further files.
    write_ctf(
        folder / f"{stem}_meg.ds",
        signals,
        channels,
        SFREQ,
        samples_per_trial=6000,
        trials_per_file=3 if session == 1 else None,
        compensation=3,
    )
    _events(subject, session, heard).to_csv(folder / f"{stem}_events.tsv", sep="\t", index=False, quoting=0)


def _events(subject: int, session: int, heard: list[tuple[float, str, SpokenWord]]) -> pd.DataFrame:
    generator = np.random.default_rng([subject, session])
    rows: list[tuple[float, float, str, str]] = [(-0.25, 0.05, "phoneme_onset_01", "AE0"), (0.0, 0.0, "trial", "n/a")]
    parts = list(dict.fromkeys(name for _, name, _ in heard))
    for name in parts:
        part = f"{parts.index(name) + 1:02d}"
        mine = [(onset, word) for onset, other, word in heard if other == name]
        rows.append((mine[0][0] - mine[0][1].onset, 0.0, "wav_onset", part))
        for number, (onset, word) in enumerate(mine):
            time = onset + float(generator.uniform(-JITTER, JITTER)) * (subject == 2)
            rows.append((time, word.duration, f"word_onset_{part}", word.word.upper()))
            for letter, begin, length in word.phonemes():
                name_of = f"{letter.upper()}H0" if letter in "aeiou" else letter.upper()
                rows.append((time + begin - word.onset, length, f"phoneme_onset_{part}", name_of))
            if number + 1 < len(mine) and mine[number + 1][1].sentence != word.sentence:
                rows.append((time + word.duration, 0.4, f"word_onset_{part}", "sp"))
                rows.append((time + word.duration, 0.4, f"phoneme_onset_{part}", "sp"))
    rows.sort(key=lambda row: row[0])
    table: list[dict[str, Any]] = [
        {
            "onset": round(onset, 4),
            "duration": round(duration, 4),
            "sample": round(onset * SFREQ) + 1,
            "type": kind,
            "value": value if value == "n/a" else f'"{value}"',
        }
        for onset, duration, kind, value in rows
    ]
    return pd.DataFrame(table)
