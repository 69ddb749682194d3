"""A miniature of MOUS: CTF recordings, logs of Presentation with two tables (one written twice), aligned TextGrids."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neurodecode.core.files import write_json
from neurodecode.datasets.miniatures.ctf_writer import ctf_channels, write_ctf
from neurodecode.datasets.miniatures.planted import PlantedSignal
from neurodecode.datasets.miniatures.spoken import SpokenWord, brain_signal, length_of, tell, write_sound
from neurodecode.datasets.schoffelen2019 import ALIGNED, SOUND

STUDY = "schoffelen2019"
LAYOUTS = ("radboud",)
SOUNDS = (14, 22, 57, 186, 200, 301, 333)
WORDS = 12
# Subjects, and the order in which each hears the sounds: sentences first, then lists.
ORDERS = {"A2002": (0, 1, 2, 3, 4, 5, 6), "A2005": (2, 6, 0, 4, 1, 3, 5)}
SENTENCES = 4
SFREQ, N_SENSORS = 1200.0, 10
UNIT, NOISE = 1e-13, 0.3
# The second person's system lacks this sensor. Then what the log's clock shows at the recording's first sample (s), and
# its rate: the second one runs faster than the recording's.
LACKING, CLOCK = 3, {"A2002": (2.5, 1.0), "A2005": (-71.3, 1.0 + 2e-5)}
HEADER_1 = (
    "Subject\tTrial\tEvent Type\tCode\tTime\tTTime\tUncertainty\tDuration\tUncertainty\tReqTime\tReqDur\t"
    "Stim Type\tPair Index"
)
HEADER_2 = (
    "Event Type\tCode\tType\tResponse\tRT\tRT Uncertainty\tTime\tUncertainty\tDuration\tUncertainty\tReqTime\tReqDur"
)


def stories() -> dict[str, list[SpokenWord]]:
    """Tell what is heard, by number of the sound."""
    return tell({str(number): 1 for number in SOUNDS}, n_words=WORDS)


def schedule(person: str) -> list[tuple[float, str, str]]:
    """List what happens to a person: second of the recording, type of the event, and its code."""
    told = stories()
    generator = np.random.default_rng(int(person[1:]))
    time, events = 0.8, [(0.3, "Picture", "PULSE MODE")]
    for place, index in enumerate(ORDERS[person]):
        if place in (0, SENTENCES):
            events.append((time, "Picture", "ZINNEN" if place == 0 else "WOORDEN"))
            time += 0.7 + round(float(generator.uniform(0, 0.3)), 4)
        number = SOUNDS[index]
        events.append((time, "Picture", f"FIX {3500 + number}"))
        time += 0.5 + round(float(generator.uniform(0, 0.4)), 4)
        events.append((time, "Sound", f"14 Start File {number}.wav"))
        events.append((time + 0.0213, "Nothing", "1 Audio onset"))
        events.append((time + 2.5, "Nothing", "2 target"))
        time += 0.0213 + length_of(told[str(number)])
        events.append((time, "Nothing", "15 End of file"))
        events.append((time + 0.05, "Picture", "ISI"))
        time += 0.3
        if place == 2:
            events.append((time, "Picture", "QUESTION"))
            events.append((time + 0.4, "Response", "1"))
            time += 0.6
    return [*events, (time, "Picture", "blank")]


def heard_by(person: str) -> list[tuple[float, str]]:
    """List onset (s of the recording) and word."""
    told = stories()
    heard: list[tuple[float, str]] = []
    number = ""
    for time, _, code in schedule(person):
        if "Start File" in code:
            number = code.split()[-1].removesuffix(".wav")
        if code == "1 Audio onset":
            heard += [(time + word.onset, word.word) for word in told[number]]
    return heard


def write(root: Path, *, layout: str, seed: int) -> None:
    """Write two subjects, logs, sounds, sentences and TextGrids."""
    told = stories()
    write_json(root / "dataset_description.json", {"Name": "MOUS miniature", "BIDSVersion": "1.2.0"})
    lines = []
    for number in SOUNDS:
        story = told[str(number)]
        write_sound(root / SOUND.format(number), story)
        _write_textgrid(root / ALIGNED.format(number), story)
        lines.append(f"{number + 1000} {' '.join(word.word for word in story).capitalize()}.")
    (root / "stimuli" / "stimuli.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (root / "sourcedata" / "meg_task").mkdir(parents=True)
    for person in ORDERS:
        _write_recording(root, person, seed)
        text = log_text(person)
        # One of the logs holds everything twice.
        copies = 2 if person == "A2005" else 1
        path = root / "sourcedata" / "meg_task" / f"7{person[1:]}-MEG-MOUS-Aud{person}.log"
        path.write_bytes((text * copies).encode())


def _write_recording(root: Path, person: str, seed: int) -> None:
    events = schedule(person)
    n_samples = int((events[-1][0] + 1.0) * SFREQ)
    channels = ctf_channels(N_SENSORS, n_reference=2)
    planted = PlantedSignal(seed=seed, noise=NOISE, unit=UNIT)
    signals = np.zeros((len(channels), n_samples))
    signals[2:4] = 1e-12 * np.random.default_rng([seed, int(person[1:])]).normal(size=(2, n_samples))
    signals[4:] = brain_signal(
        planted, heard_by(person), subject=int(person[1:]), n_channels=N_SENSORS, n_samples=n_samples, rate=SFREQ
    )
    triggers: list[tuple[int, int]] = []
    for time, _, code in events:
        value = {"ZINNEN": 10, "WOORDEN": 10, "1 Audio onset": 1, "15 End of file": 15}.get(code)
        value = 20 if code.startswith("FIX") else value
        # One fixation of the first person left no trigger.
        if value is not None and not (person == "A2002" and code == "FIX 3686"):
            triggers.append((round(time * SFREQ), value))
    for sample, value in triggers:
        signals[1, sample : sample + 6] = value
    if person == "A2005":
        keep = [row for row in range(len(channels)) if row != 4 + LACKING]
        signals, channels = signals[keep], [channels[row] for row in keep]
    folder = root / f"sub-{person}" / "meg"
    stem = f"sub-{person}_task-auditory"
    write_ctf(
        folder / f"{stem}_meg.ds", signals, channels, SFREQ, samples_per_trial=12000, compensation=3, subject=person
    )
    rows: list[dict[str, Any]] = [{"onset": 0.0, "duration": 10.0, "sample": 1, "type": "trial", "value": "n/a"}]
    rows += [
        {"onset": round(sample / SFREQ, 4), "duration": "n/a", "sample": sample, "type": "UPPT001", "value": value}
        for sample, value in triggers
    ]
    rows.append({"onset": 1.2, "duration": "n/a", "sample": "n/a", "type": "Picture", "value": "ZINNEN"})
    pd.DataFrame(rows).to_csv(folder / f"{stem}_events.tsv", sep="\t", index=False)


def log_text(person: str) -> str:
    """Write what Presentation would have written, with the line ends of Windows."""
    delay, rate = CLOCK[person]
    lines = ["Scenario - MEG-MOUS-Aud", "Logfile written - 02/05/2013 11:20:31", "", HEADER_1, ""]
    second = ["", "", HEADER_2, ""]
    for trial, (time, kind, code) in enumerate(schedule(person), start=1):
        ticks = round((time * rate + delay) * 1e4)
        first = [person, str(trial), kind, code, str(ticks), "0", "1", "", "", "0", "", "", ""]
        if kind == "Picture":
            first[7:12] = ["8000", "2", "0", "next", "other"]
        lines.append("\t".join(first))
        if kind != "Response":
            second.append("\t".join([kind, code, "", "", "", "", str(ticks), "1", "8000", "2", "0", "next"]))
    lines.append("\t".join([person, str(trial + 1), "Quit", "", str(ticks + 9000), "0", "1"]))
    return "\r\n".join([*lines, *second, "", ""])


def _write_textgrid(path: Path, story: list[SpokenWord]) -> None:
    """Write the three tiers of an aligned sound in Praat's long format, pauses included."""
    length = length_of(story)
    words: list[tuple[float, float, str]] = []
    sounds: list[tuple[float, float, str]] = []
    time = 0.0
    for word in story:
        if word.onset > time:
            words.append((time, word.onset, ""))
            sounds.append((time, word.onset, "<p:>"))
        words.append((word.onset, round(word.onset + word.duration, 6), word.word))
        sounds += [(onset, onset + long, letter) for letter, onset, long in word.phonemes()]
        time = round(word.onset + word.duration, 6)
    words.append((time, length, ""))
    sounds.append((time, length, "<p:>"))
    tiers = {"ORT-MAU": words, "KAN-MAU": words, "MAU": sounds}
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {length}"]
    lines += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, (name, intervals) in enumerate(tiers.items(), start=1):
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f'        name = "{name}"']
        lines += ["        xmin = 0", f"        xmax = {length}", f"        intervals: size = {len(intervals)}"]
        for count, (start, stop, label) in enumerate(intervals, start=1):
            lines += [f"        intervals [{count}]:", f"            xmin = {start}", f"            xmax = {stop}"]
            lines.append(f'            text = "{label}"')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
