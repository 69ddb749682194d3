"""A miniature of Miyawaki et al. 2008: all runs of the original, with fewer blocks and voxels."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

STUDY = "miyawaki2008"
LAYOUTS = ("nilearn",)
GRID = (7, 6, 5)
VOXELS = 70
RUNS = {"figure": 12, "random": 20}
BLOCKS = {"figure": 4, "random": 8}
FIGURES = 8
SHOWN, PAUSE = {"figure": 6, "random": 3}, 3
AREAS = ("V1d", "V1v", "V2d", "V2v", "V3", "VP", "V3A", "V4v")
LAGS = tuple(f"lag{n}to{n + 1}" for n in range(11))
NOISE = 0.4


@lru_cache(maxsize=4)
def blocks(seed: int) -> dict[tuple[str, int], NDArray[np.int8]]:
    """Draw the patterns of each run: random ones are never shown again, figures several times."""
    generator = np.random.default_rng([seed, 1])
    figures = (generator.random((FIGURES, 100)) < 0.3).astype(np.int8)
    drawn = {}
    for session, count in RUNS.items():
        for run in range(1, count + 1):
            if session == "figure":
                # Each figure in every second run.
                chosen = generator.permutation(FIGURES // 2) + (FIGURES // 2) * (run % 2)
                drawn[session, run] = figures[chosen[: BLOCKS[session]]]
            else:
                drawn[session, run] = (generator.random((BLOCKS[session], 100)) < 0.5).astype(np.int8)
    return drawn


def response(pattern: NDArray[np.int8], seed: int) -> NDArray[np.float64]:
    """Give the answer of the voxels to a pattern: a linear map of its patches."""
    weights = np.random.default_rng([seed, 2]).normal(0, 0.2, (VOXELS, 100))
    answer: NDArray[np.float64] = weights @ (2.0 * pattern - 1)
    return answer


def places(seed: int) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """Draw where the voxels are, in C order of the grid, and the area of each."""
    generator = np.random.default_rng([seed, 3])
    flat = np.sort(generator.choice(np.prod(GRID), VOXELS, replace=False))
    owner = generator.permutation(np.resize(np.array(AREAS), VOXELS))
    return np.stack(np.unravel_index(flat, GRID), axis=1).astype(np.int64), owner


def write(root: Path, *, layout: str, seed: int) -> None:
    """Write the folders as nilearn's fetcher leaves them."""
    import nibabel

    affine = np.diag([-3.0, 3.0, 3.0, 1.0])
    grid, owner = places(seed)
    for folder in ("func", "label", "mask"):
        (root / folder).mkdir()
    for (session, run), patterns in blocks(seed).items():
        length = PAUSE + len(patterns) * (SHOWN[session] + PAUSE)
        labels = np.full((length, 100), -1)
        generator = np.random.default_rng([seed, 4, run, len(session)])
        # Already masked: outside the visual cortex all is 0.
        series = np.zeros((*GRID, length), dtype=np.float32)
        voxels = generator.normal(0, NOISE, (VOXELS, length)) + 500 + np.linspace(0, 5, length)
        for index, pattern in enumerate(patterns):
            first = PAUSE + index * (SHOWN[session] + PAUSE)
            labels[first : first + SHOWN[session]] = pattern
            voxels[:, first + 2 : first + 2 + SHOWN[session]] += response(pattern, seed)[:, None]
        series[tuple(grid.T)] = voxels
        nibabel.save(nibabel.Nifti1Image(series, affine), root / "func" / f"data_{session}_run{run:02d}.nii.gz")
        np.savetxt(root / "label" / f"data_{session}_run{run:02d}_label.csv", labels, fmt="%d", delimiter=",")
    masks = {"mask": np.ones(VOXELS, dtype=bool)}
    for side, half in (("LH", grid[:, 0] < 3), ("RH", grid[:, 0] >= 3)):
        masks |= {f"{side}{area}": half & (owner == area) for area in AREAS}
        masks |= {f"{side}{lag}": half & (np.arange(VOXELS) % len(LAGS) == n) for n, lag in enumerate(LAGS)}
    for name, chosen in masks.items():
        values = np.zeros(GRID, dtype=np.uint8)
        values[tuple(grid[chosen].T)] = 1
        nibabel.save(nibabel.Nifti1Image(values, affine), root / "mask" / f"{name}.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.ones(GRID, dtype=np.float32), affine), root / "bg.nii.gz")
