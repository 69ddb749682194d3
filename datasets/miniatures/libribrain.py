"""A miniature of LibriBrain: serialised chapters, and events tables of words and phonemes."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.datasets.libribrain import EVENTS, SERIALISED, SOUNDS
from neurodecode.datasets.miniatures.planted import PlantedSignal
from neurodecode.datasets.miniatures.spoken import SpokenWord, brain_signal, length_of, tell, write_sound

STUDY = "libribrain"
LAYOUTS = ("serialised",)
PROCESSING = "bads+headpos+sss+notch+bp+ds"
# Sentences by book, chapter and run; the second and the third are the published validation and test.
CHAPTERS = {
    ("Sherlock1", "1", "1"): 3,
    ("Sherlock1", "11", "2"): 2,
    ("Sherlock1", "12", "2"): 2,
    ("Sherlock2", "1", "1"): 3,
}
#: Of the large miniature, in plain English: words occur again.
MORE_SENTENCES = (150, 24, 40, 150)
SFREQ, LEAD, TRIPLETS = 250.0, 2.2, 10
NOISE, UNITS = 0.3, {"mag": 1e-13, "grad": 3e-12}
CHUNK = 50


def stories(*, large: bool = False) -> dict[str, list[SpokenWord]]:
    """Tell what is heard, by book and chapter."""
    counts = MORE_SENTENCES if large else CHAPTERS.values()
    names = [f"{task}_{session}" for task, session, _ in CHAPTERS]
    return tell(dict(zip(names, counts, strict=True)), english=large)


def channels() -> tuple[list[str], list[str]]:
    """List names and kinds: three sensors in a place, a magnetometer and two gradiometers."""
    names = [f"MEG{place:03d}{sensor}" for place in range(11, 11 + 10 * TRIPLETS, 10) for sensor in (1, 2, 3)]
    return names, ["mag", "grad", "grad"] * TRIPLETS


def signals_of(task: str, session: str, seed: int, *, large: bool = False) -> NDArray[np.float32]:
    """Simulate one chapter ``(n_channels, n_samples)``, in the unit of each sensor."""
    story = stories(large=large)[f"{task}_{session}"]
    names, kinds = channels()
    planted = PlantedSignal(seed=seed, noise=NOISE)
    n_samples = int((LEAD + length_of(story) + 3.0) * SFREQ)
    signals = brain_signal(
        planted,
        [(LEAD + word.onset, word.word) for word in story],
        subject=0,
        n_channels=len(names),
        n_samples=n_samples,
        rate=SFREQ,
        key=(int(task[-1]), int(session)),
    )
    scale = np.array([UNITS[kind] for kind in kinds])[:, None]
    return (scale * signals).astype(np.float32)


def sound_of_chapter(task: str, session: str) -> str:
    """Give the name that the events table has for a chapter's sound."""
    return f"audio/{task.lower()}_chapter_{int(session):02d}.wav"


def write_large(root: Path, *, layout: str, seed: int) -> None:
    """Write the same with 364 sentences of plain English."""
    write(root, layout=layout, seed=seed, large=True)


def write(root: Path, *, layout: str, seed: int, large: bool = False) -> None:
    """Write one subject with four chapters, and the sounds."""
    import h5py

    names, kinds = channels()
    for task, session, run in CHAPTERS:
        story = stories(large=large)[f"{task}_{session}"]
        stem = f"sub-0_ses-{session}_task-{task}_run-{run}"
        data = signals_of(task, session, seed, large=large)
        path = root / task / SERIALISED / f"{stem}_proc-{PROCESSING}_meg.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            file.create_dataset("data", data=data, chunks=(len(data), CHUNK))
            file.create_dataset("times", data=(np.arange(data.shape[1]) / SFREQ).astype(np.float32))
            file.attrs["sample_frequency"] = SFREQ
            file.attrs["highpass_cutoff"] = 0.1
            file.attrs["lowpass_cutoff"] = 125.0
            file.attrs["channel_names"] = ", ".join(names)
            file.attrs["channel_types"] = ", ".join(kinds)
            if session == "1":
                # Another program keeps its means in the file.
                file["data"].attrs["channel_means"] = data.mean(axis=1)
        events = root / task / EVENTS / f"{stem}_events.tsv"
        events.parent.mkdir(parents=True, exist_ok=True)
        _events(story, task, session).to_csv(events, sep="\t", index=False)
        stem_of_sound = Path(sound_of_chapter(task, session)).stem
        write_sound(root / SOUNDS / f"{task}_{stem_of_sound}.wav", story)


def _events(story: list[SpokenWord], task: str, session: str) -> pd.DataFrame:
    wav = sound_of_chapter(task, session)
    begins = {word.sentence: word.onset for word in reversed(story)}
    rows: list[dict[str, Any]] = []

    def add(
        kind: str, segment: str, word: SpokenWord, time: float, duration: float, phoneme: object, *, lost: bool = False
    ) -> None:
        rows.append(
            {
                "wavfile": wav,
                "kind": kind,
                "segment": segment,
                "sentenceidx": float(word.sentence),
                "wordidx": float(word.position),
                "phonemeidx": phoneme,
                "timemeg": np.nan if lost else round(LEAD + time, 4),
                "timeds": np.nan if lost else round(LEAD + time, 4),
                "timechapter": round(time, 4),
                "timesentence": round(time - begins[word.sentence], 4),
                "duration": round(duration, 4),
            }
        )

    add("silence", "", story[0], 0.0, story[0].onset, np.nan)
    for word in story:
        add("word", word.word, word, word.onset, word.duration, np.nan)
        sounds = word.phonemes()
        for index, (letter, onset, length) in enumerate(sounds):
            place = "B" if index == 0 else "E" if index == len(sounds) - 1 else "I"
            add("phoneme", f"{letter}_{place}", word, onset, length, float(index))
        if word.position == 3:
            add("phoneme", "oov_S", word, word.onset, 0.05, 9.0)
            add("word", "unrecorded", word, word.onset + 0.01, 0.1, np.nan, lost=True)
    table = pd.DataFrame(rows)
    table.insert(0, "idx", np.arange(len(table)))
    return table
