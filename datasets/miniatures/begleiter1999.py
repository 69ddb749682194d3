"""A miniature of the pairs of pictures: three people, the arrays, names and types of the file."""

from pathlib import Path

import numpy as np

from neurodecode.datasets.miniatures.planted import PlantedSignal

STUDY = "smni_visual"
LAYOUTS = ("npz",)
CODES = ("co2a0000364", "co2a0000365", "co2c0000337")
CONDITIONS = ("S1 obj", "S2 match", "S2 nomatch")
TRIALS = 6
# As the file has them, with the two electrodes at the eyes and one that touched no scalp.
CHANNELS = (
    "FP1 FP2 F7 F8 AF1 AF2 FZ F4 F3 FC6 FC5 FC2 FC1 T8 T7 CZ C3 C4 CP5 CP6 CP1 CP2 P3 P4 PZ P8 P7 PO2 PO1 O2 O1 X "
    "AF7 AF8 F5 F6 FT7 FT8 FPZ FC4 FC3 C6 C5 F2 F1 TP8 TP7 AFZ CP3 CP4 P5 P6 C1 C2 PO7 PO8 FCZ POZ OZ P2 P1 CPZ nd Y"
).split()


def write(root: Path, *, layout: str, seed: int) -> None:
    """Write ``smni_train.npz``: signals in microvolts, conditions mixed in time."""
    signal = PlantedSignal(seed=seed, noise=2.0)
    times = np.arange(256) / 256
    order = np.random.default_rng(seed)
    signals, conditions, subjects = [], [], []
    for person, code in enumerate(CODES):
        for trial, condition in enumerate(order.permutation(np.repeat(CONDITIONS, TRIALS))):
            response = signal.response(str(condition), subject=person, n_channels=len(CHANNELS), times=times)
            signals.append(4 * response + signal.trial_noise(response.shape, person, trial))
            conditions.append(str(condition))
            subjects.append(code)
    np.savez_compressed(
        root / "smni_train.npz",
        X=np.array(signals, dtype=np.float32),
        cond=np.array(conditions, dtype="<U10"),
        subject=np.array(subjects, dtype="<U11"),
        ch=np.array(CHANNELS, dtype="<U3"),
        sfreq=np.array(256),
    )
