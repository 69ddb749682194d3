"""Miniatures of LAION-fMRI: two of five people with different grids, and the lists of the splits."""

import io
import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.datasets.miniatures.planted import PlantedSignal, picture_of

STUDY = "laion_fmri"
LAYOUTS = ("atlases", "rois")
GRIDS = {1: (6, 7, 6), 3: (7, 6, 6)}
VOXELS = {1: 40, 3: 37}
SHARED_12, SHARED_4, ODD, OWN = 20, 10, 8, 60
SESSIONS = 3
AREAS = ("V1v", "V1d", "FFA-1", "laion-ventral")
TYPES = ("shape", "gabor", "illusion-classic", "cropped")
NOISE = 0.5


@lru_cache(maxsize=4)
def picture_names(seed: int) -> tuple[list[str], list[str], dict[int, list[str]]]:
    """Draw names: regular pictures that all saw, those out of the distribution, and each subject's own."""
    generator = np.random.default_rng([seed, 1])
    shared = [f"shared_12rep_LAION_cluster_{n}_i{n % 7}.jpg" for n in generator.choice(4000, SHARED_12, replace=False)]
    shared += [f"shared_4rep_NSD_{n:05d}.jpg" for n in generator.choice(73000, SHARED_4, replace=False)]
    # Some of these are PNG files with transparency.
    odd = [f"shared_4rep_OOD_{TYPES[n % 4]}_{n:02d}.{'png' if n % 4 == 3 else 'jpg'}" for n in range(ODD)]
    drawn = generator.choice(9000, (len(GRIDS), OWN), replace=False)
    own = {
        subject: [f"unique_LAION_initial_cluster_{n}_i{n % 40}_p{subject:02d}.jpg" for n in numbers]
        for subject, numbers in zip(GRIDS, drawn, strict=True)
    }
    return shared, odd, own


@lru_cache(maxsize=4)
def trials(subject: int, seed: int) -> pd.DataFrame:
    """Lay out a subject's trials: session, run, picture."""
    shared, odd, own = picture_names(seed)
    names = [name for name in shared for _ in range(3 if "12rep" in name else 2)]
    names += [name for name in (*odd, *own[subject]) for _ in range(2)]
    order = np.random.default_rng([seed, 2, subject]).permutation(names).tolist()
    sessions = np.array_split(np.arange(len(order)), SESSIONS)
    rows = []
    for session, members in enumerate(sessions, start=1):
        for run, part in enumerate(np.array_split(members, 2), start=1):
            rows += [(session, run, order[row]) for row in part]
    return pd.DataFrame(rows, columns=["session", "run", "label"])


@lru_cache(maxsize=4)
def responses(subject: int, seed: int) -> NDArray[np.float32]:
    """Give the beta of every trial ``(n_trials, n_voxels)``, voxels in C order of the grid."""
    signal, count = PlantedSignal(seed=seed, noise=NOISE), VOXELS[subject]
    rows = [
        signal.betas(name, subject=subject, n_voxels=count) + signal.trial_noise((count,), subject, row)
        for row, name in enumerate(trials(subject, seed)["label"])
    ]
    return np.stack(rows).astype(np.float32)


def places(subject: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """Draw where the voxels are, in C order of the grid, and the area of each."""
    grid = GRIDS[subject]
    generator = np.random.default_rng([seed, 3, subject])
    flat = np.sort(generator.choice(np.prod(grid), VOXELS[subject], replace=False))
    owner = generator.permutation(np.resize(np.array(AREAS), VOXELS[subject]))
    return np.stack(np.unravel_index(flat, grid), axis=1).astype(np.int64), owner


def split_lists(seed: int) -> dict[str, dict[str, tuple[list[str], list[str]]]]:
    """Draw the lists of every pool and split; the subjects' own lists disagree about shared pictures."""
    shared, odd, own = picture_names(seed)
    pools = {"shared": shared, "pooled": [*shared, *(name for names in own.values() for name in names)]}
    pools |= {f"sub-{subject:02d}": [*shared, *names] for subject, names in own.items()}
    made: dict[str, dict[str, tuple[list[str], list[str]]]] = {}
    for number, (pool, names) in enumerate(pools.items()):
        order = np.random.default_rng([seed, 4, number]).permutation(names).tolist()
        folds = [order[fold::5] for fold in range(5)]
        lists = {f"cluster_k5_{fold}": folds[fold] for fold in range(5)} | {"tau": order[: len(order) // 5]}
        if pool != "pooled":
            lists |= {f"random_{fold}": folds[-1 - fold] for fold in range(5)}
        made[pool] = {name: ([one for one in names if one not in set(test)], test) for name, test in lists.items()}
        if pool != "pooled":
            made[pool]["ood"] = (list(names), list(odd))
    return made


def write(root: Path, *, layout: str, seed: int) -> None:
    """Write betas, trials, masks under the older or the newer names, pictures and splits."""
    import nibabel

    _write_stimuli(root, seed)
    for pool, lists in split_lists(seed).items():
        for name, (train, test) in lists.items():
            variants = [{"variant_id": 0, "train_ids": train, "test_ids": test}]
            content = {"name": name, "pool": pool, "splitter": "", "params": {}, "n_train": len(train)}
            path = root / "splits" / pool / f"{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({**content, "n_test": len(test), "variants": variants}))
    for subject, shape in GRIDS.items():
        name = f"sub-{subject:02d}"
        affine = np.diag([1.778, 1.778, 1.778, 1.0])
        grid, owner = places(subject, seed)
        brain = np.random.default_rng([seed, 5, subject]).random(shape) < 0.6
        brain[tuple(grid.T)] = True
        for area in AREAS:
            mask = np.zeros(shape, dtype=np.uint8)
            mask[tuple(grid[owner == area].T)] = 1
            path = root / "derivatives" / "atlases" / name / "rois" / f"{area}.nii.gz"
            if layout == "rois":
                folder = root / "derivatives" / "rois" / name / ("retinotopic" if area[0] == "V" else "other")
                path = folder / f"{name}_space-T1w_res-1pt8_label-{area}_mask.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(mask, affine), path)
        folder = root / "derivatives" / "glmsingle-tedana" / name
        for session in range(1, SESSIONS + 1):
            rows = trials(subject, seed).query("session == @session")
            place = folder / f"ses-{session:02d}" / "func"
            place.mkdir(parents=True)
            stem = f"{name}_ses-{session:02d}_task-images"
            noise = np.random.default_rng([seed, 6, subject, session]).normal(size=(*shape, len(rows)))
            volumes = np.where(brain[..., None], noise, 0).astype(np.float32)
            volumes[tuple(grid.T)] = responses(subject, seed)[rows.index].T
            nibabel.save(
                nibabel.Nifti1Image(volumes, affine),
                place / f"{stem}_space-T1w_stat-effect_desc-SingletrialBetas_statmap.nii.gz",
            )
            table = rows.assign(beta_index=np.arange(len(rows)))[["session", "run", "beta_index", "label"]]
            table.to_csv(place / f"{stem}_desc-SingletrialBetas_trials.tsv", sep="\t", index=False)
        nibabel.save(
            nibabel.Nifti1Image(brain.astype(np.uint8), affine),
            folder / f"{name}_task-images_space-T1w_desc-meanR2gt15mask_mask.nii.gz",
        )


def _write_stimuli(root: Path, seed: int) -> None:
    import h5py

    shared, odd, own = picture_names(seed)
    names = [*shared, *odd, *(name for mine in own.values() for name in mine)]
    # Rows are in no order that could be guessed.
    names = np.random.default_rng([seed, 7]).permutation(names).tolist()
    (root / "stimuli").mkdir()
    with h5py.File(root / "stimuli" / "task-images_stimuli.h5", "w") as file:
        images = file.create_dataset("images", (len(names),), dtype=h5py.vlen_dtype(np.uint8))
        for row, name in enumerate(names):
            buffer = io.BytesIO()
            picture = picture_of(name, size=24)
            if name.endswith(".png"):
                picture.convert("RGBA").save(buffer, format="PNG")
            else:
                picture.save(buffer, format="JPEG", quality=95, subsampling=0)
            images[row] = np.frombuffer(buffer.getvalue(), dtype=np.uint8)
    table = pd.DataFrame(
        {
            "image_name": names,
            "dataset": ["OOD" if "OOD" in name else "NSD" if "NSD" in name else "LAION-natural" for name in names],
            "participant": ["all" if name.startswith("shared") else f"sub-{name[-6:-4]}" for name in names],
            "unique_or_shared": [name.split("_")[0] for name in names],
            "n_reps": [12 if "12rep" in name else 4 for name in names],
        }
    )
    table.to_csv(root / "stimuli" / "task-images_metadata.csv", index=False)
