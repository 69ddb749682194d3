"""A miniature of Haxby et al. 2001 whole: the first and the fifth subject, whose eighth run has no labels."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurodecode.datasets.miniatures.planted import PlantedSignal

STUDY = "haxby2001"
LAYOUTS = ("nilearn",)
SUBJECTS = (1, 5)
GRID = (6, 7, 6)
CATEGORIES = ("bottle", "cat", "chair", "face", "house", "scissors", "scrambledpix", "shoe")
RUNS, PAUSE, SHOWN = 12, 2, 4
UNLABELLED = {5: 7}
VENTRAL, BRAIN = 30, 70
NOISE = 0.3


def labels_of(subject: int, seed: int) -> tuple[list[str], list[int]]:
    """Lay out category and run of every volume."""
    labels: list[str] = []
    runs: list[int] = []
    for run in range(RUNS):
        order = np.random.default_rng([seed, 1, subject, run]).permutation(CATEGORIES).tolist()
        for category in order:
            shown = "rest" if UNLABELLED.get(subject) == run else str(category)
            labels += ["rest"] * PAUSE + [shown] * SHOWN
        labels += ["rest"] * PAUSE
        runs += [run] * (len(labels) - len(runs))
    return labels, runs


def places(subject: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Draw the voxels of the brain in C order of the grid, and which of them are ventral temporal."""
    generator = np.random.default_rng([seed, 2])
    flat = np.sort(generator.choice(np.prod(GRID), BRAIN, replace=False))
    ventral = np.isin(np.arange(BRAIN), np.random.default_rng([seed, 3, subject]).choice(BRAIN, VENTRAL, replace=False))
    return np.stack(np.unravel_index(flat, GRID), axis=1).astype(np.int64), ventral


def write(root: Path, *, layout: str, seed: int) -> None:
    """Write the folders as nilearn's fetcher leaves them."""
    import nibabel

    affine = np.diag([-3.5, 3.75, 3.75, 1.0])
    signal = PlantedSignal(seed=seed, noise=NOISE)

    def save(values: NDArray[np.generic], path: Path) -> None:
        nibabel.save(nibabel.Nifti1Image(values, affine), path)

    brain = np.zeros(GRID, dtype=np.uint8)
    brain[tuple(places(1, seed)[0].T)] = 1
    save(brain, root / "mask.nii.gz")
    (root / "MD5SUMS").write_text("".join(f"{n:032d}  subj{n}-2010.01.14.tar.gz\n" for n in range(1, 7)))
    for subject in SUBJECTS:
        folder = root / f"subj{subject}"
        folder.mkdir()
        labels, runs = labels_of(subject, seed)
        lines = [f"{label} {run}" for label, run in zip(labels, runs, strict=True)]
        (folder / "labels.txt").write_text("\n".join(["labels chunks", *lines]) + "\n")
        grid, ventral = places(subject, seed)
        voxels = signal.trial_noise((len(labels), BRAIN), subject)
        for row, label in enumerate(labels):
            if label != "rest":
                voxels[row, ventral] += signal.betas(label, subject=subject, n_voxels=VENTRAL)
        series = np.zeros((*GRID, len(labels)), dtype=np.int16)
        series[tuple(grid.T)] = np.rint(1000 + 100 * voxels + 0.05 * np.arange(len(labels))[:, None]).T
        save(series, folder / "bold.nii.gz")
        save(np.ones(GRID, dtype=np.int16), folder / "anat.nii.gz")
        for number, name in enumerate(
            ("mask4_vt", "mask8_face_vt", "mask8_house_vt", "mask8b_face_vt", "mask8b_house_vt")
        ):
            chosen = ventral if number == 0 else ventral & (np.arange(BRAIN) % 4 == number - 1)
            mask = np.zeros(GRID, dtype=np.uint8)
            mask[tuple(grid[chosen].T)] = 1
            save(mask, folder / f"{name}.nii.gz")
