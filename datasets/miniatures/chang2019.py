"""Miniatures of BOLD5000: two of four people, the second of whom did not finish; four layouts of the same responses."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.datasets.miniatures.planted import PlantedSignal, picture_of

STUDY = "bold5000"
LAYOUTS = ("roi_betas", "betas", "rois_mat", "rois_h5", "bids")
BETAS = "GLMbetas-TYPED-FITHRF-GLMDENOISE-RR"
GRID = (7, 8, 6)
KEYS = tuple(f"{side}{region}" for region in ("EarlyVis", "LOC", "OPA", "PPA", "RSC") for side in ("LH", "RH"))
VOXELS = {1: 44, 4: 41}
SESSIONS = {1: (2, 2, 2), 4: (2, 2)}
TRIALS = 25
REPEATED = 8
VOLUMES = 2 * 3 + 5 * TRIALS
FOLDERS = {"COCO": "COCO", "n0": "ImageNet"}
NOISE = 0.4


def picture_names(seed: int) -> tuple[list[str], list[str]]:
    """Draw names of files as the three collections have them: repeated pictures, and those shown once."""
    generator = np.random.default_rng([seed, 1])
    names = [f"COCO_train2014_{number:012d}.jpg" for number in generator.choice(500000, 60, replace=False)]
    names += [f"n{number:08d}_{number % 9973}.JPEG" for number in generator.choice(9000000, 60, replace=False)]
    names += [f"{kind}{number}.jpg" for kind in ("airplanecabin", "castle", "bakery") for number in range(1, 21)]
    chosen = generator.permutation(names).tolist()
    return chosen[:REPEATED], chosen[REPEATED:]


@lru_cache(maxsize=4)
def trials(subject: int, seed: int) -> pd.DataFrame:
    """Lay out a subject's trials: session, run, name of the file and whether it is one of the repeated ones."""
    repeated, others = picture_names(seed)
    runs = [(session, run) for session, count in enumerate(SESSIONS[subject], 1) for run in range(1, count + 1)]
    total = len(runs) * TRIALS
    # Four times each, one of them three times; the second person lacks one picture and saw another once.
    times = [4] * (REPEATED - 1) + [3] if subject == 1 else [4] * (REPEATED - 2) + [1, 0]
    names = [name for name, count in zip(repeated, times, strict=True) for _ in range(count)]
    names += others[: total - len(names)]
    order = np.random.default_rng([seed, 2, subject]).permutation(names).tolist()
    rows = [(session, run) for session, run in runs for _ in range(TRIALS)]
    return pd.DataFrame(
        {
            "session": [session for session, _ in rows],
            "run": [run for _, run in rows],
            "name": order,
            "repeated": [name in repeated for name in order],
        }
    )


def stimulus(name: str) -> str:
    """Name a picture as the reader does."""
    return name.rsplit(".", 1)[0]


@lru_cache(maxsize=4)
def responses(subject: int, seed: int) -> NDArray[np.float32]:
    """Give the response of every trial in percent: ``(n_trials, n_voxels)``, voxels in C order of the grid."""
    signal, count = PlantedSignal(seed=seed, noise=NOISE), VOXELS[subject]
    rows = [
        signal.betas(stimulus(name), subject=subject, n_voxels=count) + signal.trial_noise((count,), subject, row)
        for row, name in enumerate(trials(subject, seed)["name"])
    ]
    return np.stack(rows).astype(np.float32)


def places(subject: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """Draw where the voxels are, in C order of the grid, and the region of each."""
    generator = np.random.default_rng([seed, 3, subject])
    flat = np.sort(generator.choice(np.prod(GRID), VOXELS[subject], replace=False))
    owner = generator.permutation(np.resize(np.array(KEYS), VOXELS[subject]))
    return np.stack(np.unravel_index(flat, GRID), axis=1).astype(np.int64), owner


def write(root: Path, *, layout: str, seed: int) -> None:
    """Write one layout with its lists of trials and the pictures."""
    _write_stimuli(root, seed)
    for subject in VOXELS:
        if layout == "bids":
            _write_bids(root, subject, seed)
            continue
        _write_lists(root, subject, seed)
        if layout == "roi_betas":
            _write_arrays(root, subject, seed)
        elif layout == "betas":
            _write_betas(root, subject, seed)
        else:
            _write_first_release(root, subject, seed, layout.removeprefix("rois_"))


def _write_stimuli(root: Path, seed: int) -> None:
    repeated, others = picture_names(seed)
    folder = root / "BOLD5000_Stimuli"
    (folder / "Image_Labels").mkdir(parents=True)
    numbers = sorted({name.split("_")[0] for name in (*repeated, *others) if name.endswith(".JPEG")})
    lines = [f"{number} thing {row}, a thing" for row, number in enumerate(numbers)]
    (folder / "Image_Labels" / "imagenet_final_labels.txt").write_text("\n".join(lines) + "\n")
    (folder / "Scene_Stimuli").mkdir()
    (folder / "Scene_Stimuli" / "repeated_stimuli_113_list.txt").write_text("\n".join(sorted(repeated)) + "\n")
    shown = {name for subject in VOXELS for name in trials(subject, seed)["name"]}
    for name in sorted(shown):
        place = folder / "Scene_Stimuli" / "Presented_Stimuli" / FOLDERS.get(name[:4], FOLDERS.get(name[:2], "Scene"))
        place.mkdir(parents=True, exist_ok=True)
        picture_of(stimulus(name), size=24).save(place / name, format="JPEG", quality=95, subsampling=0)


def _write_lists(root: Path, subject: int, seed: int) -> None:
    for (session, run), rows in trials(subject, seed).groupby(["session", "run"]):
        folder = root / "BOLD5000_Stimuli" / "Stimuli_Presentation_Lists" / f"CSI{subject}"
        place = folder / f"CSI{subject}_sess{session:02d}"
        place.mkdir(parents=True, exist_ok=True)
        names = [f"rep_{name}" if again else name for name, again in zip(rows["name"], rows["repeated"], strict=True)]
        (place / f"CSI_sess{session:02d}_run{run:02d}.txt").write_text("\n".join(names) + "\n")
        # Beside each list lies what the presentation wrote, which no reader may open.
        (place / f"CSI_sess{session:02d}_run{run:02d}.mat").write_bytes(b"not opened")


def _write_arrays(root: Path, subject: int, seed: int) -> None:
    folder = root / "BOLD5000_GLMsingle_ROI_betas" / "py"
    folder.mkdir(parents=True, exist_ok=True)
    values, (_, owner) = responses(subject, seed), places(subject, seed)
    for key in KEYS:
        np.save(folder / f"CSI{subject}_{BETAS}_allses_{key}.npy", values[:, owner == key])


def _write_first_release(root: Path, subject: int, seed: int, form: str) -> None:
    import h5py
    from scipy.io import savemat

    folder = root / "ROIs" / f"CSI{subject}" / form
    folder.mkdir(parents=True)
    values, (_, owner) = responses(subject, seed), places(subject, seed)
    arrays = {key: values[:, owner == key].astype(np.float64) for key in KEYS}
    if form == "mat":
        savemat(folder / f"CSI{subject}_ROIs_TR34.mat", arrays)
    else:
        with h5py.File(folder / f"CSI{subject}_ROIs_TR34.h5", "w") as file:
            for key, array in arrays.items():
                file[key] = array
    lists = root / "ROIs" / "stim_lists"
    lists.mkdir(exist_ok=True)
    table = trials(subject, seed)
    names = [f"rep_{name}" if again else name for name, again in zip(table["name"], table["repeated"], strict=True)]
    (lists / f"CSI{subject:02d}_stim_lists.txt").write_text("\n".join(names) + "\n")


def _save(values: NDArray[np.generic], path: Path, step: float | None = None) -> None:
    import nibabel

    image = nibabel.Nifti1Image(values, np.diag([2.0, 2.0, 2.0, 1.0]))
    if step is not None:
        image.header.set_zooms((2.0, 2.0, 2.0, step))
        image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, path)


def _write_masks(folder: Path, subject: int, seed: int) -> NDArray[np.bool_]:
    folder.mkdir(parents=True, exist_ok=True)
    grid, owner = places(subject, seed)
    brain = np.random.default_rng([seed, 4, subject]).random(GRID) < 0.6
    brain[tuple(grid.T)] = True
    for key in KEYS:
        mask = np.zeros(GRID, dtype=np.uint8)
        mask[tuple(grid[owner == key].T)] = 1
        _save(mask, folder / f"sub-CSI{subject}_mask-{key}.nii.gz")
    return brain


def _write_betas(root: Path, subject: int, seed: int) -> None:
    brain = _write_masks(root / "derivatives" / "spm" / f"sub-CSI{subject}", subject, seed)
    _save(brain.astype(np.uint8), root / f"CSI{subject}_brainmask.nii.gz")
    table, grid = trials(subject, seed), places(subject, seed)[0]
    for session in sorted(set(table["session"])):
        rows = np.flatnonzero(table["session"] == session)
        generator = np.random.default_rng([seed, 5, subject, session])
        volumes = np.where(brain[..., None], generator.normal(size=(*GRID, len(rows))), 0).astype(np.float32)
        volumes[tuple(grid.T)] = responses(subject, seed)[rows].T
        _save(volumes, root / f"CSI{subject}_{BETAS}_ses-{session:02d}.nii.gz")
    # The list of the release has neither sessions nor marks.
    (root / f"CSI{subject}_imgnames.txt").write_text("\n".join(table["name"]) + "\n")


def _write_bids(root: Path, subject: int, seed: int) -> None:
    import json

    name = f"sub-CSI{subject}"
    (root / "dataset_description.json").write_text(json.dumps({"Name": "BOLD5000", "BIDSVersion": "1.0.2"}))
    (root / "task-5000scenes_bold.json").write_text(json.dumps({"RepetitionTime": 2.0, "TaskName": "5000scenes"}))
    brain = _write_masks(root / "derivatives" / "spm" / name, subject, seed)
    table, grid = trials(subject, seed), places(subject, seed)[0]
    for session, run in table[["session", "run"]].drop_duplicates().itertuples(index=False):
        rows = table.query("session == @session and run == @run")
        base = f"{name}_ses-{session:02d}_task-5000scenes_run-{run:02d}"
        generator = np.random.default_rng([seed, 6, subject, session, run])
        # Half of the onsets come some milliseconds before the volume, half after it.
        onsets = 6.0 + 10.0 * np.arange(len(rows)) + np.where(np.arange(len(rows)) % 2, 0.0078, -0.0022)
        onsets[0] = 6.0308
        raw = root / name / f"ses-{session:02d}" / "func"
        raw.mkdir(parents=True, exist_ok=True)
        _events(rows, onsets, session, run, with_file=run > 1).to_csv(
            raw / f"{base}_events.tsv", sep="\t", index=False, na_rep="n/a"
        )
        series = generator.normal(1000, 2, (*GRID, VOLUMES)) + np.linspace(0, 30, VOLUMES)
        volumes = 3 + 5 * np.arange(len(rows)) + 2
        for offset in (0, 1):
            for voxel, (x, y, z) in enumerate(grid.tolist()):
                series[x, y, z, volumes + offset] += 25 * responses(subject, seed)[rows.index, voxel]
        out = root / "derivatives" / "fmriprep" / name / f"ses-{session:02d}" / "func"
        out.mkdir(parents=True, exist_ok=True)
        series[~brain] = 0
        _save(series.astype(np.float32), out / f"{base}_bold_space-T1w_preproc.nii.gz", 2.0)
        _save(brain.astype(np.uint8), out / f"{base}_bold_space-T1w_brainmask.nii.gz")
        motion = pd.DataFrame(generator.normal(0, 0.01, (VOLUMES, 6)), columns=["X", "Y", "Z", "RotX", "RotY", "RotZ"])
        motion.to_csv(out / f"{base}_bold_confounds.tsv", sep="\t", index=False)


def _events(
    rows: pd.DataFrame, onsets: NDArray[np.floating], session: int, run: int, *, with_file: bool
) -> pd.DataFrame:
    """Lay out an events table; one run's lacks the last column, as in the original."""
    kinds = ["coco" if n.startswith("COCO") else "imagenet" if n.endswith(".JPEG") else "scenes" for n in rows["name"]]
    table = pd.DataFrame(
        {
            "onset": onsets.round(4),
            "duration": 1.0008,
            "Subj": 1,
            "Sess": session,
            "Run": run,
            "Trial": np.arange(1, len(rows) + 1),
            "ImgName": rows["name"].to_numpy(),
            "ImgType": [f"rep_{k}" if again else k for k, again in zip(kinds, rows["repeated"], strict=True)],
            "StimOn(s)": onsets.round(4),
            "StimOff(s)": (onsets + 1.0008).round(4),
            "Response": 1,
            "RT": 1.856,
        }
    )
    table.loc[3, ["Response", "RT"]] = np.nan
    return table.assign(stim_file=rows["name"].to_numpy()) if with_file else table
