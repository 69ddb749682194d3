"""BIDS data sets in the formats that MNE-BIDS reads, all with one planted signal and one trial table."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.datasets.miniatures.ctf_writer import ctf_channels, write_ctf
from neurodecode.datasets.miniatures.eeg_writers import write_edf, write_set
from neurodecode.datasets.miniatures.kit_writer import KitLayout, write_kit
from neurodecode.datasets.miniatures.planted import PlantedSignal, picture_of

STUDY = "bids"
LAYOUTS = ("brainvision", "edf", "bdf", "set", "fif", "ctf", "kit")
EEG = ("Fz", "Cz", "Pz", "PO7", "PO8", "O1", "Oz", "O2", "EOG1")
SFREQ, SECONDS = 100, 64
SUBJECTS, RUNS = (1, 2), (1, 2)
STIMULI = tuple(f"thing_{number:02d}" for number in range(30))
PARTS = ("train",) * 20 + ("val",) * 4 + ("test",) * 6
# A picture every second; the second before holds a button press.
FIRST, SPACING = 2.0, 1.0
MEG_UNIT = 1e-12


def write(root: Path, *, layout: str, seed: int) -> None:
    """Write two subjects, two runs of a picture task and a run of rest each."""
    meg = layout in ("fif", "ctf", "kit")
    datatype, suffix = ("meg", "meg") if meg else ("eeg", "eeg")
    signal = PlantedSignal(seed=seed, noise=0.5, unit=MEG_UNIT if meg else 1e-6)
    description = {"Name": f"Miniature in {layout}", "BIDSVersion": "1.8.0", "License": "CC0"}
    (root / "dataset_description.json").write_text(json.dumps(description))
    (root / "task-things_events.json").write_text(json.dumps({"category": {"Description": "made up"}}))
    (root / "stimuli").mkdir()
    for name in STIMULI:
        picture_of(name).save(root / "stimuli" / f"{name}.png")
    for subject in SUBJECTS:
        folder = root / f"sub-{subject:02d}" / datatype
        folder.mkdir(parents=True)
        for run in (*RUNS, 0):
            task = f"task-things_run-{run:02d}" if run else "task-rest"
            base = f"sub-{subject:02d}_{task}"
            table = _events(seed, subject, run)
            values = _signals(signal, subject, run, table)
            _write_recording(folder / f"{base}_{suffix}", layout, values, subject)
            if run:
                table.to_csv(folder / f"{base}_events.tsv", sep="\t", index=False, na_rep="n/a")


def _events(seed: int, subject: int, run: int) -> pd.DataFrame:
    order = np.random.default_rng([seed, 3, subject, run]).permutation(np.tile(np.arange(len(STIMULI)), 2))
    shown = pd.DataFrame(
        {
            "onset": FIRST + SPACING * np.arange(len(order)),
            "duration": 0.2,
            "trial_type": "picture",
            "value": order + 1,
            "stim_file": [f"{STIMULI[index]}.png" for index in order],
            "category": [("animal", "tool", "plant")[index % 3] for index in order],
            "split": [PARTS[index] for index in order],
        }
    )
    press = {"onset": [1.0], "duration": [0.0], "trial_type": ["button"], "value": [99]}
    return pd.concat([pd.DataFrame(press), shown], ignore_index=True)


def _signals(signal: PlantedSignal, subject: int, run: int, table: pd.DataFrame) -> NDArray[np.float64]:
    values = signal.trial_noise((len(EEG), SFREQ * SECONDS), subject, run)
    times = np.arange(round(0.8 * SFREQ)) / SFREQ
    for row in table[table["trial_type"] == "picture"].itertuples():
        start = round(float(str(row.onset)) * SFREQ)
        name = str(row.stim_file).removesuffix(".png")
        answer = signal.response(name, subject=subject, n_channels=len(EEG), times=times)
        values[:, start : start + len(times)] += answer if run else 0
    return values


def _write_recording(base: Path, layout: str, values: NDArray[np.float64], subject: int) -> None:
    """Write one recording with its sidecars; `base` is the path without an ending."""
    writers = {
        "edf": _edf,
        "bdf": _bdf,
        "set": _set,
        "brainvision": _brainvision,
        "fif": _fif,
        "ctf": _ctf,
        "kit": _kit,
    }
    names, kinds = writers[layout](base, values, subject)
    units = ["T" if kind.startswith("MEG") else "V" for kind in kinds]
    channels = pd.DataFrame({"name": names, "type": kinds, "units": units})
    stem = base.name.rsplit("_", 1)[0]
    channels.to_csv(base.with_name(f"{stem}_channels.tsv"), sep="\t", index=False)
    sidecar = {"TaskName": "things", "SamplingFrequency": SFREQ, "PowerLineFrequency": 50, "RecordingDuration": SECONDS}
    base.with_name(f"{base.name}.json").write_text(json.dumps({**sidecar, "EEGReference": "Cz"}))


Written = tuple[Sequence[str], Sequence[str]]
EEG_KINDS = ("EEG",) * 8 + ("EOG",)


def _edf(base: Path, values: NDArray[np.float64], subject: int) -> Written:
    write_edf(base.with_name(f"{base.name}.edf"), values, EEG, SFREQ)
    return EEG, EEG_KINDS


def _bdf(base: Path, values: NDArray[np.float64], subject: int) -> Written:
    write_edf(base.with_name(f"{base.name}.bdf"), values, EEG, SFREQ)
    return EEG, EEG_KINDS


def _set(base: Path, values: NDArray[np.float64], subject: int) -> Written:
    write_set(base.with_name(f"{base.name}.set"), values, EEG, SFREQ)
    return EEG, EEG_KINDS


def _brainvision(base: Path, values: NDArray[np.float64], subject: int) -> Written:
    import pybv

    pybv.write_brainvision(
        data=values, sfreq=SFREQ, ch_names=list(EEG), fname_base=base.name, folder_out=str(base.parent), events=None
    )
    return EEG, EEG_KINDS


def _fif(base: Path, values: NDArray[np.float64], subject: int) -> Written:
    """Write magnetometers at the places of the CTF system below, and a trigger channel."""
    import mne

    wanted = [channel for channel in ctf_channels(len(EEG) - 1) if channel.kind == "meg"][: len(EEG)]
    names = [f"MEG{number:04d}" for number in range(1, len(EEG) + 1)]
    info = mne.create_info([*names, "STI101"], SFREQ, ["mag"] * len(names) + ["stim"], verbose="error")
    for entry, channel in zip(info["chs"], wanted, strict=False):
        entry["loc"][:3] = np.asarray(channel.position) / 100
    with info._unlock():
        info["dev_head_t"] = mne.Transform("meg", "head", np.eye(4))
    raw = mne.io.RawArray(np.vstack([values, np.zeros(values.shape[1])]), info, verbose="error")
    raw.save(base.with_name(f"{base.name}.fif"), verbose="error")
    return [*names, "STI101"], ["MEGMAG"] * len(names) + ["TRIG"]


def _ctf(base: Path, values: NDArray[np.float64], subject: int) -> Written:
    """Write a CTF folder: clock, trigger and references beside the gradiometers."""
    channels = ctf_channels(len(EEG))
    signals = np.zeros((len(channels), values.shape[1]))
    rows = [row for row, channel in enumerate(channels) if channel.kind == "meg"]
    signals[rows[: len(EEG)]] = values
    signals[rows[len(EEG) :]] = values[: len(rows) - len(EEG)][::-1]
    references = [row for row, channel in enumerate(channels) if channel.kind == "reference"]
    signals[references] = values[: len(references)] * 0.1
    write_ctf(base.with_name(f"{base.name}.ds"), signals, channels, float(SFREQ), subject=f"{subject:02d}")
    kinds = {"meg": "MEGGRADAXIAL", "reference": "MEGREFMAG", "stim": "TRIG", "clock": "SYSCLOCK", "eeg": "EEG"}
    return [channel.name for channel in channels], [kinds[channel.kind] for channel in channels]


def _kit(base: Path, values: NDArray[np.float64], subject: int) -> Written:
    """Write a KIT recording without digitised points; MNE names its channels by their number."""
    layout = KitLayout(meg=len(EEG), reference=2, trigger=1, misc=1)
    rest = np.vstack([values[:2] * 0.1, np.zeros((2, values.shape[1]))])
    write_kit(base.with_name(f"{base.name}.con"), np.vstack([values, rest]), layout, float(SFREQ))
    names = [f"MEG {number:03d}" for number in range(1, len(EEG) + 3)] + ["TRIGGER 001", "MISC 001"]
    # MNE adds the channel that it makes of the triggers, and MNE-BIDS writes it into such tables.
    return [*names, "STI 014"], ["MEGGRADAXIAL"] * len(EEG) + ["MEGREFMAG"] * 2 + ["MISC", "MISC", "TRIG"]
