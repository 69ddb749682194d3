"""Epochs as MNE-Python saves them: with metadata, with named events only, or run by run."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neurodecode.datasets.miniatures.planted import PlantedSignal

STUDY = "epochs"
LAYOUTS = ("metadata", "event_names", "runs", "one_file")
CHANNELS = ("Fz", "Cz", "Pz", "PO7", "PO8", "O1", "Oz", "O2", "EOG1")
SFREQ, TMIN, N_TIMES = 50.0, -0.1, 25
SUBJECTS = (1, 2)
STIMULI = tuple(f"thing_{number:02d}" for number in range(48))
CATEGORIES = ("animal", "tool", "plant", "house")
REPETITIONS, RUNS = 4, 2


def write(root: Path, *, layout: str, seed: int) -> None:
    """Write the epochs of two subjects; an eye channel is among the electrodes."""
    signal = PlantedSignal(seed=seed, noise=0.5, unit=1e-6)
    whole = {subject: _epochs(signal, subject, _trials(seed, subject)) for subject in SUBJECTS}
    if layout == "one_file":
        import mne

        for subject, epochs in whole.items():
            epochs.metadata = epochs.metadata.assign(participant=subject)
        _save(mne.concatenate_epochs(list(whole.values()), verbose="error"), root / "all-epo.fif")
        return
    for subject, epochs in whole.items():
        if layout == "runs":
            folder = root / f"sub-{subject:02d}" / "eeg"
            folder.mkdir(parents=True)
            for run in range(1, RUNS + 1):
                part = epochs[epochs.metadata["block"].to_numpy() == run]
                _save(part, folder / f"sub-{subject:02d}_task-things_run-{run}_epo.fif")
            continue
        if layout == "event_names":
            epochs.metadata = None
        _save(epochs, root / f"subject{subject:02d}-epo.fif")


def _save(epochs: Any, path: Path) -> None:
    epochs.save(path, overwrite=True, verbose="error")


def _trials(seed: int, subject: int) -> pd.DataFrame:
    generator = np.random.default_rng([seed, 2, subject])
    runs = [generator.permutation(np.repeat(STIMULI, REPETITIONS // RUNS)) for _ in range(RUNS)]
    names = np.concatenate(runs)
    categories = [CATEGORIES[STIMULI.index(name) % len(CATEGORIES)] for name in names]
    return pd.DataFrame({"stimulus": names, "category": categories, "block": np.repeat(np.arange(1, RUNS + 1), 96)})


def _epochs(signal: PlantedSignal, subject: int, table: pd.DataFrame) -> Any:
    import mne

    times = TMIN + np.arange(N_TIMES) / SFREQ
    shape = (len(CHANNELS), N_TIMES)
    trials = [
        signal.response(name, subject=subject, n_channels=shape[0], times=times)
        + signal.trial_noise(shape, subject, number)
        for number, name in enumerate(table["stimulus"])
    ]
    info = mne.create_info(list(CHANNELS), SFREQ, ["eeg"] * 8 + ["eog"], verbose="error")
    info.set_montage(mne.channels.make_standard_montage("biosemi64"), on_missing="ignore", verbose="error")
    codes = {name: number + 1 for number, name in enumerate(STIMULI)}
    samples = 100 + 60 * np.arange(len(table))
    events = np.column_stack([samples, np.zeros(len(table), int), [codes[name] for name in table["stimulus"]]])
    return mne.EpochsArray(
        np.stack(trials), info, events, tmin=TMIN, event_id=codes, metadata=table, baseline=None, verbose="error"
    )
