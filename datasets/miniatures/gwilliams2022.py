"""A miniature of MEG-MASC: KIT recordings, descriptions that are Python literals, sounds named unlike their files."""

from pathlib import Path

import numpy as np
import pandas as pd

from neurodecode.core.files import write_json, write_table
from neurodecode.datasets.miniatures.kit_writer import KitLayout, digitised_head, write_kit, write_markers, write_points
from neurodecode.datasets.miniatures.planted import PlantedSignal
from neurodecode.datasets.miniatures.spoken import SpokenWord, brain_signal, length_of, tell, write_sound

STUDY = "gwilliams2022"
LAYOUTS = ("bids",)
LAYOUT = KitLayout(meg=12, reference=1, trigger=1, misc=1)
SFREQ, LEAD, GAP = 1000.0, 3.0, 1.5
UNIT, NOISE = 1e-12, 0.3
# Sounds of each task, and sentences of each sound.
TASKS = {"0": ("lw1_0", "lw1_1"), "3": ("the_black_willow_0",)}
SENTENCES = {"lw1_0": 4, "lw1_1": 4, "the_black_willow_0": 5}
#: Of the large miniature, in plain English: words occur again.
MORE_SENTENCES = {"lw1_0": 40, "lw1_1": 40, "the_black_willow_0": 60}
# The second person has no first session, and the first person's second session is short.
SESSIONS: dict[int, dict[str, tuple[str, ...]]] = {1: {"0": ("0", "3"), "1": ("3",)}, 2: {"1": ("0", "3")}}
# What the events table calls the sounds of a task.
SPELLING = {"0": "stimuli/audio/lw1_{}.0.wav", "3": "stimuli/audio/The_Black_Willow_{}.0.wav"}
STORY = {"0": "lw1", "3": "the_black_willow"}
PLACE = {0: "_B", 1: "_I"}


def stories(*, large: bool = False) -> dict[str, list[SpokenWord]]:
    """Tell what is heard, by the stem of the sound file."""
    return tell(MORE_SENTENCES, english=True) if large else tell(SENTENCES)


def write_large(root: Path, *, layout: str, seed: int) -> None:
    """Write the same with 140 sentences of plain English."""
    write(root, layout=layout, seed=seed, large=True)


def write(root: Path, *, layout: str, seed: int, large: bool = False) -> None:
    """Write two subjects, the sounds and what belongs to them."""
    told = stories(large=large)
    write_json(root / "dataset_description.json", {"Name": "MEG-MASC miniature", "BIDSVersion": "1.7.0"})
    participants = pd.DataFrame({"participant_id": [f"sub-{subject:02d}" for subject in SESSIONS], "age": "n/a"})
    participants.to_csv(root / "participants.tsv", sep="\t", index=False)
    for name, story in told.items():
        write_sound(root / "stimuli" / "audio" / f"{name}.wav", story)
    (root / "stimuli" / "text").mkdir()
    for task, names in TASKS.items():
        words = " ".join(word.word for name in names for word in told[name])
        (root / "stimuli" / "text" / f"{STORY[task]}.txt").write_text(words + "\n")
    write_table(root / "stimuli" / "phoneme_info.csv", pd.DataFrame({"phoneme": ["b", "a"], "phonation": ["v", "v"]}))
    for subject, sessions in SESSIONS.items():
        for session, tasks in sessions.items():
            folder = root / f"sub-{subject:02d}" / f"ses-{session}" / "meg"
            folder.mkdir(parents=True)
            _write_head(folder, f"sub-{subject:02d}_ses-{session}")
            for task in tasks:
                _write_run(folder, subject, session, task, told, seed)


def _write_head(folder: Path, stem: str) -> None:
    head = digitised_head()
    write_points(folder / f"{stem}_acq-ELP_headshape.pos", head["elp"], "Digitizer file created for ELP")
    write_points(folder / f"{stem}_acq-HSP_headshape.pos", head["hsp"], "Digitizer file created for HSP")
    write_json(folder / f"{stem}_coordsystem.json", {"MEGCoordinateSystem": "KitYokogawa", "MEGCoordinateUnits": "m"})


def _write_run(
    folder: Path, subject: int, session: str, task: str, told: dict[str, list[SpokenWord]], seed: int
) -> None:
    stem = f"sub-{subject:02d}_ses-{session}_task-{task}"
    heard: list[tuple[float, str]] = []
    rows: list[tuple[float, float, dict[str, object]]] = []
    start, sequence = LEAD + 0.137 * subject, 0
    for number, name in enumerate(TASKS[task]):
        sound = SPELLING[task].format(number)
        common = {"story": STORY[task], "story_uid": float(task), "sound_id": float(number), "sound": sound}
        rows.append((start, length_of(told[name]), {**common, "kind": "sound", "start": 0.0}))
        for word in told[name]:
            rows += _events_of_word(word, start, {**common, "sequence_id": float(sequence + word.sentence)})
            heard.append((start + word.onset, word.word))
        sequence += told[name][-1].sentence + 1
        start += length_of(told[name]) + GAP
    n_samples = int((start + 1.0) * SFREQ)
    signals = np.zeros((len(LAYOUT.kinds), n_samples))
    planted = PlantedSignal(seed=seed, noise=NOISE, unit=UNIT)
    signals[:12] = brain_signal(
        planted, heard, subject=subject, n_channels=12, n_samples=n_samples, rate=SFREQ, key=(int(session), int(task))
    )
    signals[12] = 1e-12 * np.random.default_rng([seed, subject]).normal(size=n_samples)
    write_kit(folder / f"{stem}_meg.con", signals, LAYOUT, SFREQ)
    write_markers(folder / f"{stem}_markers.mrk", digitised_head()["mrk"])
    _write_sidecars(folder, stem, n_samples)
    # Sorted by time only, as the published tables: of a word and its first phoneme either may come first.
    order = sorted(range(len(rows)), key=lambda row: (round(rows[row][0], 3), rows[row][1]))
    table = pd.DataFrame(
        {
            "onset": [round(rows[row][0], 3) for row in order],
            "duration": [round(rows[row][1], 3) for row in order],
            "trial_type": [repr(rows[row][2]) for row in order],
            "value": 1,
            "sample": [round(round(rows[row][0], 3) * SFREQ) for row in order],
        }
    )
    table.to_csv(folder / f"{stem}_events.tsv", sep="\t", index=False)


def _events_of_word(
    word: SpokenWord, start: float, common: dict[str, object]
) -> list[tuple[float, float, dict[str, object]]]:
    """List a word, its phonemes, and, once a sentence, a word that was in the list but not spoken."""
    said = {
        **common,
        "kind": "word",
        "start": word.onset,
        "word": word.word,
        "word_index": float(word.position),
        "pronounced": 1.0,
        "condition": "sentence",
        "speech_rate": 145.0,
        "voice": "Allison",
    }
    rows = [(start + word.onset, word.duration, said)]
    for index, (letter, onset, length) in enumerate(word.phonemes()):
        place = PLACE.get(index, "_E" if index == len(word.word) - 1 else "_I")
        rows.append(
            (
                start + onset,
                length,
                {**said, "kind": "phoneme", "start": round(onset, 3), "phoneme": letter + place},
            )
        )
    if word.position == 6:
        rows.append((start + word.onset + 0.01, 0.2, {**said, "word": "unsaid", "pronounced": 0.0}))
    return rows


def _write_sidecars(folder: Path, stem: str, n_samples: int) -> None:
    write_json(
        folder / f"{stem}_meg.json",
        {"TaskName": stem[-1], "SamplingFrequency": SFREQ, "RecordingDuration": n_samples / SFREQ},
    )
    names = [f"MEG {row + 1:03d}" for row in range(13)] + ["TRIGGER 001", "MISC 001"]
    types = ["MEGGRADAXIAL"] * 12 + ["MEGREFMAG"] + ["TRIG", "MISC"]
    table = pd.DataFrame({"name": names, "type": types, "units": ["T"] * 13 + ["V"] * 2, "status": "good"})
    table.to_csv(folder / f"{stem}_channels.tsv", sep="\t", index=False)
