"""A miniature of The Old Man and the Sea: MATLAB arrays run by run, with words from two sources."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.files import write_json
from neurodecode.datasets.broderick2019 import N_CHANNELS, NATURAL, PRIVATE, SFREQ
from neurodecode.datasets.miniatures.planted import PlantedSignal
from neurodecode.datasets.miniatures.spoken import SpokenWord, brain_signal, length_of, tell, write_sound

STUDY = "broderick2019"
LAYOUTS = ("gentle", "dryad")
# In the order of the book, so that every part of a split occurs; run 15 is the one whose alignment goes astray.
SENTENCES = {"1": 3, "2": 2, "15": 2}
SUBJECTS = (1, 2)
NOISE, UNIT, STEP = 0.3, 4.0, 1 / 32
NOT_PLACED = 7


def stories() -> dict[str, list[SpokenWord]]:
    """Tell what is heard, by number of the run."""
    return tell(SENTENCES)


def signals_of(subject: int, run: str, seed: int) -> NDArray[np.float64]:
    """Simulate one run ``(n_samples, 128)``; recording and sound begin together."""
    story = stories()[run]
    planted = PlantedSignal(seed=seed, noise=NOISE, unit=UNIT)
    n_samples = int((length_of(story) + 3.0) * SFREQ)
    heard = [(word.onset, word.word) for word in story]
    signals = brain_signal(
        planted, heard, subject=subject, n_channels=N_CHANNELS, n_samples=n_samples, rate=SFREQ, key=(int(run),)
    )
    stepped: NDArray[np.float64] = STEP * np.round(signals.T / STEP)
    return stepped


def write(root: Path, *, layout: str, seed: int) -> None:
    """Write two subjects, envelopes, words, and what was made for a later paper."""
    from scipy.io import savemat

    natural = root / NATURAL
    for place in ("Stimuli/Envelopes", "Stimuli/Text"):
        (natural / place).mkdir(parents=True)
    for run, story in stories().items():
        rate = np.array([[SFREQ]])
        envelope = np.abs(np.random.default_rng([seed, int(run)]).normal(size=(int(length_of(story) * SFREQ), 1)))
        savemat(natural / "Stimuli/Envelopes" / f"audio{run}_128Hz.mat", {"env": envelope, "fs": rate})
        _write_words(natural / "Stimuli/Text" / f"Run{run}.mat", story)
        if layout == "gentle":
            _write_private(root / PRIVATE, run, story)
        for subject in SUBJECTS:
            folder = natural / "EEG" / f"Subject{subject}"
            folder.mkdir(parents=True, exist_ok=True)
            signals = signals_of(subject, run, seed)
            mastoids = np.random.default_rng([seed, subject, int(run)]).normal(size=(len(signals), 2))
            content = {"eegData": signals, "mastoids": mastoids, "fs": rate}
            savemat(folder / f"Subject{subject}_Run{run}.mat", content, do_compression=True)


def _write_words(path: Path, story: list[SpokenWord]) -> None:
    from scipy.io import savemat

    words = np.empty((len(story), 1), dtype=object)
    words[:, 0] = [word.word for word in story]
    onset = np.array([[word.onset] for word in story])
    offset = np.array([[word.onset + word.duration] for word in story])
    savemat(path, {"wordVec": words, "onset_time": onset, "offset_time": offset})


def _write_private(folder: Path, run: str, story: list[SpokenWord]) -> None:
    write_sound(folder / f"audio{run}.wav", story)
    entries: list[dict[str, Any]] = []
    text = ""
    for word in story:
        written = word.word.capitalize() if word.position == 0 else word.word
        last = story[-1] is word or story[story.index(word) + 1].sentence != word.sentence
        begin = len(text)
        text += written + (
            '." ' if last and word.sentence == 0 else ". " if last else ", " if word.position == 4 else " "
        )
        phones = [{"phone": f"{name}_I", "duration": round(length, 3)} for name, _, length in word.phonemes()]
        entry = {
            "case": "success",
            "word": written,
            "alignedWord": "<unk>" if word.position == 9 else word.word,
            "start": word.onset,
            "end": round(word.onset + word.duration, 3),
            "startOffset": begin,
            "endOffset": begin + len(written),
            "phones": phones,
        }
        entries.append(entry)
        if word.position == NOT_PLACED:
            entries.append({"case": "not-found-in-audio", "word": "hmm", "startOffset": begin, "endOffset": begin})
    if run == "15":
        entries += [
            {**entries[-1], "word": "astray", "start": 171.0 + index, "end": 171.5 + index} for index in range(3)
        ]
    write_json(folder / f"align{run}.json", {"transcript": text, "words": entries})
    (folder / f"oldman_run{run}.txt").write_text(text, encoding="utf-8")
