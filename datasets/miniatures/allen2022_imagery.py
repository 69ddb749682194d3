"""Miniatures of NSD-Imagery: two subjects, the runs and masks of the original, few voxels.

What is imagined is half as strong as what is seen. The signal is that of the miniatures of `nsd`, so a decoder of one
is a decoder of the other.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from neurodecode.datasets.miniatures.allen2022 import save_betas, write_masks
from neurodecode.datasets.miniatures.allen2022_plan import SESSIONS, VOXELS, Plan, make_plan
from neurodecode.datasets.miniatures.planted import picture_of

STUDY = "nsd_imagery"
LAYOUTS = ("hdf5", "nifti", "mirage")
BETAS = "nsdimagerybetas_fithrf_GLMdenoise_RR"
RUNS = ("visA", "attA", "imgA_1", "visB", "attB", "imgB_1", "visC", "attC", "imgC_1", "imgA_2", "imgB_2", "imgC_2")
CODES = {"A": "ABCDEF", "B": "GHIJKL", "C": "MNOPQR"}
CONCEPTS = ("banana", "bridge", "candle", "dolphin", "engine", "forest")
N_TRIALS = 48
STRENGTH = {"vis": 1.0, "att": 0.3, "img": 0.5}


def write(root: Path, *, layout: str, seed: int) -> None:
    """Write one layout; both are planted from the same signal.

    Parameters
    ----------
    root : Path
        An empty folder.
    layout : str
        One of `LAYOUTS`.
    seed : int
        Of order, masks, signal and noise.
    """
    plan = make_plan(seed)
    order = draw_order(seed)
    if layout == "mirage":
        _write_mirage(root, plan, order)
        return
    write_targets(root / "nsddata" / "experiments" / "nsdimagery", order)
    for subject in SESSIONS:
        write_masks(root, plan, subject)
        folder = root / "nsddata_betas" / "ppdata" / f"subj{subject:02d}" / "func1pt8mm" / BETAS
        folder.mkdir(parents=True)
        suffix = ".hdf5" if layout == "hdf5" else ".nii.gz"
        betas = imagery_betas(plan, order, subject)
        save_betas(folder / f"betas_nsdimagery{suffix}", plan.volumes(subject, betas, 99))
        place = root / "nsddata" / "bdata" / "nsdimagery"
        place.mkdir(parents=True, exist_ok=True)
        for run in RUNS:
            behaviour(order, run, subject).to_csv(
                place / f"nsdimagery_subj{subject:02d}_{run}.tsv", sep="\t", index=False
            )


def _write_mirage(root: Path, plan: Plan, order: dict[str, NDArray[np.int64]]) -> None:
    """Write the pickle of conditions, z-scored betas and pictures, the last two as tensors."""
    import pickle

    import torch

    stimuli = root / "nsddata_stimuli" / "stimuli"
    stimuli.mkdir(parents=True)
    repeats = [2 if run.startswith("att") else 1 for run in RUNS]
    letters = [np.repeat(np.array(list(CODES[run[3]]))[order[run]], n) for run, n in zip(RUNS, repeats, strict=True)]
    pictures = np.stack([np.asarray(picture_of(f"imagery-{name}{i + 1}")) for name in "ABC" for i in range(6)])
    conditions = {
        "exps": np.repeat(RUNS, [N_TRIALS * n for n in repeats]),
        "cues": np.concatenate(letters),
        "image_map": {letter: number for number, letter in enumerate("".join(CODES.values()))},
        "image_data": pictures,
    }
    with (stimuli / "nsdimagery_stimuli.pkl3").open("wb") as file:
        pickle.dump(conditions, file, protocol=4)
    large = np.repeat(np.repeat(pictures, 9, axis=1), 9, axis=2)[:, :425, :425].transpose(0, 3, 1, 2) / np.float32(255)
    torch.save(torch.from_numpy(np.ascontiguousarray(large, dtype=np.float32)), stimuli / "imagery_stimuli_18.pt")
    for subject in SESSIONS:
        betas = imagery_betas(plan, order, subject) / np.float32(300)
        for run in RUNS:
            rows = conditions["exps"] == run
            betas[rows] = (betas[rows] - betas[rows].mean(axis=0)) / (betas[rows].std(axis=0, ddof=1) + 1e-6)
        folder = root / "preprocessed_data" / f"subject{subject}"
        folder.mkdir(parents=True)
        torch.save(torch.from_numpy(betas), folder / "nsd_imagery.pt")


def stimulus(run: str, target: int) -> str:
    """Name the target (0 to 5) of a run as the reader does."""
    return f"imagery-{run[3]}{target + 1}"


def draw_order(seed: int) -> dict[str, NDArray[np.int64]]:
    """Draw the targets of each run's trials, eight times each; they are the same for all subjects."""
    generator = np.random.default_rng([seed, 11])
    return {run: generator.permutation(np.repeat(np.arange(6), N_TRIALS // 6)) for run in RUNS}


def target_names(set_name: str) -> list[str]:
    """Name the pictures of a set, or its concepts."""
    if set_name == "C":
        return list(CONCEPTS)
    if set_name == "A":
        return [f"bar_{30 * index:03d}.png" for index in range(6)]
    return [f"shared{100 + index:04d}_nsd{7000 + 11 * index:05d}.png" for index in range(6)]


def write_targets(folder: Path, order: dict[str, NDArray[np.int64]]) -> None:
    """Write the lists of targets, their pictures and the design of the model."""
    from scipy.io import savemat

    folder.mkdir(parents=True)
    for set_name, codes in CODES.items():
        pairs = np.empty((6, 3), dtype=object)
        for index, (name, code) in enumerate(zip(target_names(set_name), codes, strict=True)):
            pairs[index] = [index + 1, name, code]
            if set_name != "C":
                path = folder / "rawtargetimages" / f"set{set_name}" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                drawn = picture_of(f"imagery-{set_name}{index + 1}")
                drawn.resize((425, 425), Image.Resampling.NEAREST).save(path)
        savemat(folder / f"{set_name}_pair_list.mat", {"pair_list": pairs})
    runs = np.empty((1, len(RUNS)), dtype=object)
    for place, run in enumerate(RUNS):
        attention = run.startswith("att")
        matrix = np.zeros((480 if attention else 240, 12 if attention else 6))
        for trial, target in enumerate(order[run].tolist()):
            # Blank trials: three at the beginning, one after every tenth.
            step = (8 if attention else 4) * (3 + trial + trial // 10)
            matrix[step, target] = 1
            if attention:
                matrix[step + 4, 6 + target] = 1
        runs[0, place] = matrix
    savemat(folder / "designmatrixGLMsingle.mat", {"stimulus": runs})


def behaviour(order: dict[str, NDArray[np.int64]], run: str, subject: int) -> pd.DataFrame:
    """Lay out the responses of a run: in half of the trials of vision the cue is another one than the picture."""
    codes = np.array(list(CODES[run[3]]))
    targets = order[run]
    generator = np.random.default_rng([12, subject, RUNS.index(run)])
    shift = np.where(generator.random(N_TRIALS) < 0.5, 0, generator.integers(1, 6, N_TRIALS))
    other = codes[(targets + shift) % 6]
    vision = run.startswith("vis")
    return pd.DataFrame(
        {
            "SUBJECT": subject,
            "RUN": RUNS.index(run) + 1,
            "TRIAL": np.arange(1, N_TRIALS + 1),
            "CONDITION": codes[targets] if vision else other,
            "CUE": other if vision else codes[targets],
            "RT": generator.uniform(400, 1500, N_TRIALS).round(3),
            "BUTTON": generator.integers(1, 3, N_TRIALS),
        }
    )


def imagery_betas(plan: Plan, order: dict[str, NDArray[np.int64]], subject: int) -> NDArray[np.int16]:
    """Give 300 times the percent signal change of the 720 betas: ``(n_betas, n_voxels)``."""
    rows: list[NDArray[np.float64]] = []
    for run in RUNS:
        for target in order[run].tolist():
            clean = plan.signal.betas(stimulus(run, target), subject=subject, n_voxels=VOXELS[subject])
            # Attention has a beta for the cue and one for what follows.
            for _ in range(2 if run.startswith("att") else 1):
                noise = plan.signal.trial_noise((VOXELS[subject],), subject, 10**6 + len(rows))
                rows.append(STRENGTH[run[:3]] * clean + noise)
    return np.rint(300 * np.stack(rows)).astype(np.int16)
