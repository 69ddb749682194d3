"""Miniatures of Generic Object Decoding: two people, six layouts of the same blocks."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.datasets.miniatures.planted import PlantedSignal, code_of, picture_of

STUDY = "god"
LAYOUTS = ("bdpy", "bdpy_old", "mat", "mat73", "npz", "bids")
SUBJECTS = (1, 3)
CATEGORIES, PICTURES = 40, 2
TESTED, REPETITIONS, IMAGINED = 8, 6, 2
RUNS = {"train": 4, "perception": 6, "imagery": 2}
SESSIONS = {"train": "perceptionTraining01", "perception": "perceptionTest01", "imagery": "imageryTest01"}
ROIS = ("VC", "LVC", "HVC", "V1", "V2", "V3", "V4", "LOC", "FFA", "PPA")
AREAS = ("V1d", "V1v", "V2d", "V2v", "V3d", "V4", "LOC", "FFA", "PPA")
VOXELS = {1: 39, 3: 36}
GRID = (6, 7, 5)
STEP = 3.0
NOISE = 0.4


@lru_cache(maxsize=4)
def picture_names(seed: int) -> tuple[list[str], list[str]]:
    """Draw the names of the training and the test pictures; one has a number with few digits, one with eight."""
    generator = np.random.default_rng([seed, 1])
    numbers = np.sort(generator.choice(np.arange(1_443_537, 4_600_000), CATEGORIES + TESTED - 1, replace=False))
    categories = generator.permutation([*numbers.tolist(), 13_111_881])
    training = [
        f"n{int(category):08d}_{int(picture)}"
        for category in categories[:CATEGORIES]
        for picture in generator.choice(60_000, PICTURES, replace=False) + 1
    ]
    test = [f"n{int(category):08d}_{int(generator.integers(1, 60_000))}" for category in categories[CATEGORIES:]]
    test[0] = f"{test[0].split('_')[0]}_109"
    return training, sorted(test)


def number_of(name: str) -> float:
    """Give the number of a picture or category as the authors do."""
    category, _, picture = name[1:].partition("_")
    return float(f"{int(category)}.{int(picture or 0):06d}")


@lru_cache(maxsize=4)
def blocks(subject: int, seed: int) -> pd.DataFrame:
    """Lay out the blocks of a subject in the order of the runs: task, run within the task, stimulus."""
    training, test = picture_names(seed)
    generator = np.random.default_rng([seed, 2, subject])
    rows = []
    shown = {
        "train": np.array_split(generator.permutation(training), RUNS["train"]),
        "perception": [generator.permutation(test) for _ in range(RUNS["perception"])],
        "imagery": [generator.permutation([name.split("_")[0] for name in test]) for _ in range(RUNS["imagery"])],
    }
    for task, runs in shown.items():
        rows += [(task, run, str(name)) for run, names in enumerate(runs, start=1) for name in names]
    return pd.DataFrame(rows, columns=["task", "run", "stimulus"])


@lru_cache(maxsize=4)
def responses(subject: int, seed: int) -> NDArray[np.float64]:
    """Give the response of every block ``(n_blocks, n_voxels)``: imagined pictures answer half as strongly."""
    signal, count = PlantedSignal(seed=seed, noise=NOISE), VOXELS[subject]
    seen = {name.split("_")[0]: name for name in picture_names(seed)[1]}
    patterns = signal.patterns(subject, count)[0]
    rows = []
    for row, (task, name) in enumerate(blocks(subject, seed)[["task", "stimulus"]].itertuples(index=False)):
        strength = 0.5 if task == "imagery" else 1.0
        rows.append(strength * patterns @ code_of(seen.get(name, name)) + signal.trial_noise((count,), subject, row))
    return np.stack(rows)


def areas(subject: int) -> NDArray[np.str_]:
    """Give the area of each voxel."""
    return np.random.default_rng([3, subject]).permutation(np.resize(np.array(AREAS), VOXELS[subject]))


def regions(subject: int) -> dict[str, NDArray[np.bool_]]:
    """Give the masks that the authors' tables have."""
    owner = areas(subject)
    masks = {roi: np.array([area.rstrip("dv") == roi or area == roi for area in owner]) for roi in ROIS[3:]}
    masks["LVC"] = masks["V1"] | masks["V2"] | masks["V3"]
    masks["HVC"] = masks["LOC"] | masks["FFA"] | masks["PPA"]
    masks["VC"] = np.ones(len(owner), dtype=bool)
    return {roi: masks[roi] for roi in ROIS}


def write(root: Path, *, layout: str, seed: int) -> None:
    """Write one layout; pictures beside all but the npz files, which hold their own."""
    if layout != "npz":
        _write_pictures(root, seed)
    for subject in SUBJECTS:
        if layout == "bids":
            _write_bids(root, subject, seed)
        elif layout == "npz":
            _write_npz(root, subject, seed)
        else:
            _write_table(root / f"Subject{subject}", layout, *_table(subject, seed))
    if layout in ("bdpy", "mat"):
        _write_features(root, layout, seed)
    if layout == "npz":
        _write_lists(root, seed)


def _write_pictures(root: Path, seed: int) -> None:
    training, test = picture_names(seed)
    for part, names in (("training", training), ("test", test)):
        folder = root / "images" / part
        folder.mkdir(parents=True)
        for name in names:
            picture_of(name, size=24).save(folder / f"{name}.JPEG", quality=95, subsampling=0)


def _table(subject: int, seed: int) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """Lay out samples by columns, and the metadata; what is no voxel lies on both sides of the voxels."""
    table, values = blocks(subject, seed), responses(subject, seed)
    kinds = table["task"].map({"train": 1.0, "perception": 2.0, "imagery": 3.0}).to_numpy()
    numbers = np.array([number_of(name) for name in table["stimulus"]])
    left = np.stack([kinds, table["run"].to_numpy(dtype=float)], axis=1)
    data = np.concatenate([left, values, numbers[:, None]], axis=1)
    count = data.shape[1]

    def row(columns: slice, marks: NDArray[np.float64] | float = 1.0) -> NDArray[np.float64]:
        made = np.full(count, np.nan)
        made[columns] = marks
        return made

    voxels = slice(2, count - 1)
    meta = {"DataType": row(slice(0, 1)), "Run": row(slice(1, 2)), "VoxelData": row(voxels)}
    meta["voxel_x"] = row(voxels, 3.0 * np.arange(count - 3))
    for roi, mask in regions(subject).items():
        meta[f"ROI_{roi}"] = row(voxels, np.where(mask, 1.0, 0.0))
    meta["stimulus_id"] = row(slice(count - 1, count))
    return data, meta


def _write_table(stem: Path, layout: str, data: NDArray[np.float64], meta: dict[str, NDArray[np.float64]]) -> None:
    """Write a table as newer and older bdpy, or MATLAB before and after version 7.3, do."""
    import h5py
    from scipy.io import savemat

    keys, value = list(meta), np.stack(list(meta.values()))
    if layout == "bdpy":
        with h5py.File(stem.with_suffix(".h5"), "w") as file:
            file["dataset"] = data
            file["metadata/key"] = [key.encode() for key in keys]
            file["metadata/description"] = [f"1 = {key}".encode() for key in keys]
            file["metadata/value"] = value
            file["header/ctime"] = b"2018-11-01"
            file.create_group("vmap")
        return
    # Older files call the number of the stimulus its label.
    keys = ["Label" if key == "stimulus_id" else key for key in keys]
    if layout == "bdpy_old":
        with h5py.File(stem.with_suffix(".h5"), "w") as file:
            file["dataSet"] = data
            file["metaData/key"] = keys
            file["metaData/description"] = [f"1 = {key}" for key in keys]
            file["metaData/value"] = value
        return
    if layout == "mat":
        fields = {"key": np.array(keys, dtype=object), "description": np.array(keys, dtype=object), "value": value}
        savemat(stem.with_suffix(".mat"), {"dataSet": data, "metaData": fields, "subject": stem.name})
        return
    with h5py.File(stem.with_suffix(".mat"), "w", userblock_size=512) as file:
        file["dataSet"] = data.T
        file["metaData/value"] = value.T
        for part in ("key", "description"):
            references = np.empty((len(keys), 1), dtype=h5py.ref_dtype)
            for index, key in enumerate(keys):
                text = file.create_dataset(f"#refs#/{part}{index}", data=np.array([[ord(c)] for c in key], np.uint16))
                references[index, 0] = text.ref
            file.create_dataset(f"metaData/{part}", data=references, dtype=h5py.ref_dtype)
    with stem.with_suffix(".mat").open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + b" " * 8 + b"\x00\x02IM")


def _write_features(root: Path, layout: str, seed: int) -> None:
    """Write vectors of the pictures, and the averages of categories that have no picture's number."""
    training, test = picture_names(seed)
    names = [*training, *test]
    kinds = [1.0] * len(training) + [2.0] * len(test) + [3.0] * len(test)
    categories = [number_of(name.split("_")[0]) for name in (*names, *test)]
    pictures = [number_of(name) for name in names] + [np.nan] * len(test)
    codes = np.stack([code_of(name) for name in (*names, *test)])
    data = np.concatenate([np.stack([kinds, categories, pictures], axis=1), codes, codes[:, :5] ** 2], axis=1)
    meta, start = {}, 0
    for key, width in (("FeatureType", 1), ("CatID", 1), ("ImageID", 1), ("cnn1", codes.shape[1]), ("gist", 5)):
        meta[key] = np.full(data.shape[1], np.nan)
        meta[key][start : start + width] = 1
        start += width
    _write_table(root / "ImageFeatures", layout, data, meta)


def _write_npz(root: Path, subject: int, seed: int) -> None:
    table, values = blocks(subject, seed), responses(subject, seed)
    training, test = picture_names(seed)
    seen = (table["task"] == "perception").to_numpy()
    averages = np.stack([values[seen & (table["stimulus"] == name).to_numpy()].mean(axis=0) for name in test])
    shown = table["stimulus"][table["task"] == "train"]
    index = np.array([training.index(name) for name in shown])
    train = (table["task"] == "train").to_numpy()
    arrays: dict[str, Any] = {"arr_0": values[train], "arr_1": values[seen], "arr_2": averages, "arr_3": index}
    arrays |= regions(subject)
    np.savez(root / f"sbj_{subject}.npz", **arrays)


def _write_lists(root: Path, seed: int) -> None:
    training, test = picture_names(seed)
    for part, names in (("training", training), ("testing", test)):
        lines = [f'{number_of(name):.6f},"{name}.JPEG"' for name in names]
        (root / f"imagenet_{part}_label.csv").write_text("\n".join(lines) + "\n")
    pictures: dict[str, Any] = {
        f"{part}_images": np.stack([np.asarray(picture_of(name, size=24), dtype=np.float64) for name in names])
        for part, names in (("train", training), ("test", test))
    }
    np.savez(root / "images_256.npz", **pictures)
    index = {str(row): [name.split("_")[0], f"thing_{row}"] for row, name in enumerate(test)}
    (root / "imagenet_class_index.json").write_text(json.dumps(index))


def _write_bids(root: Path, subject: int, seed: int) -> None:
    import nibabel

    name = f"sub-{subject:02d}"
    (root / "dataset_description.json").write_text(json.dumps({"Name": "GOD", "BIDSVersion": "1.0.2"}))
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    flat = np.sort(np.random.default_rng([seed, 4, subject]).choice(np.prod(GRID), VOXELS[subject], replace=False))
    grid, owner = np.stack(np.unravel_index(flat, GRID), axis=1), areas(subject)
    folder = root / "sourcedata" / name / "anat"
    folder.mkdir(parents=True)
    for area in AREAS:
        for side, half in (("LH", grid[:, 0] < 3), ("RH", grid[:, 0] >= 3)):
            mask = np.zeros(GRID, dtype=np.uint8)
            mask[tuple(grid[(owner == area) & half].T)] = 1
            nibabel.save(nibabel.Nifti1Image(mask, affine), folder / f"{name}_mask_{side}_{area}.nii.gz")
    table = blocks(subject, seed)
    for task, run in table[["task", "run"]].drop_duplicates().itertuples(index=False):
        rows = table.query("task == @task and run == @run")
        session = SESSIONS[task]
        base = f"{name}_ses-{session}_task-{'imagery' if task == 'imagery' else 'perception'}_run-{run:02d}"
        events, spans = _events(rows["stimulus"].tolist(), task)
        raw = root / name / f"ses-{session}" / "func"
        raw.mkdir(parents=True, exist_ok=True)
        events.to_csv(raw / f"{base}_events.tsv", sep="\t", index=False, na_rep="n/a")
        volumes = round((events["onset"].iloc[-1] + events["duration"].iloc[-1]) / STEP)
        series = np.random.default_rng([seed, 5, subject, run, len(task)]).normal(900, 1, (*GRID, volumes))
        series += np.linspace(0, 20, volumes)
        for block, (first, last) in zip(rows.index, spans, strict=True):
            # One volume later than it was shown.
            for voxel, (x, y, z) in enumerate(grid.tolist()):
                series[x, y, z, first + 1 : last + 1] += 25 * responses(subject, seed)[block, voxel]
        out = root / "derivatives" / "preproc-spm" / "output" / name / f"ses-{session}" / "func"
        out.mkdir(parents=True, exist_ok=True)
        image = nibabel.Nifti1Image(series.astype(np.float32), affine)
        image.header.set_zooms((3.0, 3.0, 3.0, STEP))
        nibabel.save(image, out / f"{base}_bold_preproc.nii.gz")


def _events(names: list[str], task: str) -> tuple[pd.DataFrame, list[tuple[int, int]]]:
    """Lay out the events of a run; the third picture is shown twice in a row, and the answer is a button."""
    rest = {"trial_no": 1, "event_type": "rest"}
    rows, spans, onset = [{"onset": 0, "duration": 33, **rest}], [], 33
    for trial, name in enumerate(names, start=2):
        if task == "imagery":
            what = {"category_id": number_of(name), "category_name": name, "trial_no": trial}
            parts = [("cue", 3), ("imagery", 15), ("evaluation", 3), ("inter_rest", 3)]
        else:
            what = {"stimulus_id": f"{number_of(name):.6f}", "stimulus_name": name, "trial_no": trial}
            parts = [("stimulus", 9)] * (2 if trial == 4 else 1)
        for index, (kind, duration) in enumerate(parts):
            if kind == "imagery" or (kind == "stimulus" and index == 0):
                spans.append((round(onset / STEP), round((onset + duration) / STEP)))
            rows.append({"onset": onset, "duration": duration, "event_type": kind, **what})
            onset += duration
    rows.append({"onset": onset, "duration": 6, **rest, "trial_no": len(names) + 2})
    return pd.DataFrame(rows), spans
