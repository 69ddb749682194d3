"""Miniatures of the Natural Scenes Dataset: two of eight subjects, four sessions of 60 trials, 80 pictures each.

Released betas as NIfTI or HDF5, MindEye1's archives, what MindBridge unpacks from them, and MindEye2's files.
"""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from neurodecode.datasets.miniatures.allen2022_plan import (
    GRIDS,
    N_SESSIONS,
    N_SHARED,
    SESSIONS,
    TRIALS,
    VOXELS,
    Plan,
    behaviour,
    hdf5_of_pictures,
    make_plan,
    picture,
    picture_table,
    responses,
)

STUDY = "nsd"
LAYOUTS = ("hdf5", "nifti", "mgh", "mindeye2", "mindeye1", "mindbridge")
BETAS = "betas_fithrf_GLMdenoise_RR"


def write(root: Path, *, layout: str, seed: int) -> None:
    """Write one layout; all are planted from the same signal.

    Parameters
    ----------
    root : Path
        An empty folder.
    layout : str
        One of `LAYOUTS`.
    seed : int
        Of order, pictures, masks, signal and noise.
    """
    plan = make_plan(seed)
    if layout in ("hdf5", "nifti"):
        write_experiment(root, plan)
        for subject in SESSIONS:
            write_masks(root, plan, subject)
            _write_sessions(root, plan, subject, layout)
    elif layout == "mgh":
        write_experiment(root, plan)
        _write_surface(root, plan)
    elif layout == "mindeye2":
        _write_mindeye2(root, plan)
    else:
        _write_mindeye1(root, plan, packed=layout == "mindeye1")


def write_experiment(root: Path, plan: Plan) -> None:
    """Write design, table of pictures, responses and pictures."""
    from scipy.io import savemat

    folder = root / "nsddata" / "experiments" / "nsd"
    folder.mkdir(parents=True)
    variables = {
        "basiccnt": np.bincount(np.bincount(plan.order), minlength=4)[1:],
        "masterordering": plan.order[None] + 1,
        "sharedix": plan.pictures[:1, :N_SHARED] + 1,
        "stimpattern": plan.slots,
        "subjectim": plan.pictures + 1,
    }
    savemat(
        folder / "nsd_expdesign.mat", {name: np.asarray(value, dtype=np.float64) for name, value in variables.items()}
    )
    picture_table(plan).to_csv(folder / "nsd_stim_info_merged.csv")
    # The same table goes around as a pickle; no reader may open it.
    (folder / "nsd_stim_info_merged.pkl").write_bytes(b"a pickle that must never be opened")
    for subject, sessions in SESSIONS.items():
        place = root / "nsddata" / "ppdata" / f"subj{subject:02d}" / "behav"
        place.mkdir(parents=True)
        responses(plan, subject).head(sessions * TRIALS).to_csv(place / "responses.tsv", sep="\t", index=False)
    stimuli = root / "nsddata_stimuli" / "stimuli" / "nsd"
    stimuli.mkdir(parents=True)
    hdf5_of_pictures(stimuli / "nsd_stimuli.hdf5", plan, "imgBrick", 425, np.uint8)


def write_masks(root: Path, plan: Plan, subject: int) -> None:
    """Write brain mask, regions with their colour tables, and the noise ceiling."""
    grid = GRIDS[subject]
    place = root / "nsddata" / "ppdata" / f"subj{subject:02d}" / "func1pt8mm"
    labels = root / "nsddata" / "freesurfer" / f"subj{subject:02d}" / "label"
    betas = root / "nsddata_betas" / "ppdata" / f"subj{subject:02d}" / "func1pt8mm" / BETAS
    for folder in (place / "roi", labels, betas):
        folder.mkdir(parents=True)
    brain, general = plan.brain(subject), plan.general(subject)
    cortex = general | (np.random.default_rng([9, subject]).random(grid) < 0.5)
    where = np.argwhere(general)
    visual, faces = np.full(grid, -1), np.full(grid, -1)
    visual[cortex], faces[cortex] = 0, 0
    for row, (x, y, z) in enumerate(where[:28].tolist()):
        visual[x, y, z] = 1 + row // 4
    for row, (x, y, z) in enumerate(where[40:48].tolist()):
        faces[x, y, z] = 1 + row // 4
    volumes = {
        "roi/nsdgeneral": np.where(general, 1, np.where(cortex, 0, -1)),
        "roi/lh.nsdgeneral": np.where(general & (np.arange(grid[0]) < 4)[:, None, None], 1, -1),
        "roi/prf-visualrois": visual,
        "roi/floc-faces": faces,
        "brainmask": brain,
    }
    for name, values in volumes.items():
        save_nifti(place / f"{name}.nii.gz", values.astype(np.int16))
    names = ("Unknown", "V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4")
    (labels / "prf-visualrois.mgz.ctab").write_text("".join(f"{n} {name}\n" for n, name in enumerate(names)))
    (labels / "floc-faces.mgz.ctab").write_text("0 Unknown\n1 OFA\n2 FFA-1\n")
    ncsnr = np.where(brain, np.random.default_rng([8, subject]).uniform(0, 1, grid), 0)
    save_nifti(betas / "ncsnr.nii.gz", ncsnr.astype(np.float32))


def save_nifti(path: Path, values: NDArray[Any]) -> None:
    """Write a NIfTI file at 1.8 mm whose header does not scale."""
    import nibabel

    image = nibabel.Nifti1Image(values, np.diag([1.8, 1.8, 1.8, 1.0]))
    nibabel.save(image, path)


def save_betas(path: Path, volumes: NDArray[np.int16]) -> None:
    """Write ``(x, y, z, trials)`` as NIfTI, or as MATLAB writes HDF5: reversed for everyone else, a voxel a chunk."""
    import h5py

    if path.name.endswith(".nii.gz"):
        save_nifti(path, volumes)
        return
    with h5py.File(path, "w") as file:
        file.create_dataset("betas", data=volumes.T, chunks=(volumes.shape[3], 1, 1, 1))


def _write_sessions(root: Path, plan: Plan, subject: int, layout: str) -> None:
    folder = root / "nsddata_betas" / "ppdata" / f"subj{subject:02d}" / "func1pt8mm" / BETAS
    suffix = ".hdf5" if layout == "hdf5" else ".nii.gz"
    betas = plan.betas(subject)
    for session in range(SESSIONS[subject]):
        values = betas[session * TRIALS : (session + 1) * TRIALS]
        save_betas(folder / f"betas_session{session + 1:02d}{suffix}", plan.volumes(subject, values, session))


def _write_surface(root: Path, plan: Plan) -> None:
    """Write betas on an average brain of few vertices, as many in each hemisphere; those of the mask are planted."""
    labels = root / "nsddata" / "freesurfer" / "fsaverage" / "label"
    labels.mkdir(parents=True)
    # Every second vertex is in the mask, whose voxels are those of the first subject.
    inside = np.tile([False, True], max(VOXELS.values()))
    halves = np.split(np.arange(len(inside)), 2)
    for hemisphere, vertices in zip(("lh", "rh"), halves, strict=True):
        _save_mgh(labels / f"{hemisphere}.nsdgeneral.mgz", inside[vertices].astype(np.int32))
        streams = np.where(inside, 1 + np.arange(len(inside)) // 30, 0)[vertices]
        _save_mgh(labels / f"{hemisphere}.streams.mgz", streams.astype(np.int32))
    (labels / "streams.mgz.ctab").write_text("0 Unknown\n1 early\n2 midventral\n3 midlateral\n4 midparietal\n")
    for subject in SESSIONS:
        folder = root / "nsddata_betas" / "ppdata" / f"subj{subject:02d}" / "fsaverage" / BETAS
        folder.mkdir(parents=True)
        values = plan.betas(subject, max(VOXELS.values())) / np.float32(300)
        for session in range(SESSIONS[subject]):
            surface = np.zeros((len(inside), TRIALS), dtype=np.float32)
            surface[inside] = values[session * TRIALS : (session + 1) * TRIALS].T
            for hemisphere, vertices in zip(("lh", "rh"), halves, strict=True):
                name = f"{hemisphere}.betas_session{session + 1:02d}.mgh"
                _save_mgh(folder / name, surface[vertices])
        ratio = np.random.default_rng([8, subject]).uniform(0, 1, len(inside)).astype(np.float32)
        for hemisphere, vertices in zip(("lh", "rh"), halves, strict=True):
            _save_mgh(folder / f"{hemisphere}.ncsnr.mgh", ratio[vertices])


def _save_mgh(path: Path, values: NDArray[Any]) -> None:
    """Write numbers of vertices as ``(vertices, 1, 1)`` or ``(vertices, 1, 1, trials)``."""
    import nibabel

    shaped = values.reshape(values.shape[0], 1, 1, *values.shape[1:])
    nibabel.save(nibabel.MGHImage(shaped, np.eye(4, dtype=np.float32)), path)


def _write_mindeye1(root: Path, plan: Plan, *, packed: bool) -> None:
    base = root / "webdataset_avg_split"
    for subject in SESSIONS:
        shown, scaled = plan.shown(subject), plan.z_scored(subject)
        seen = shown[: len(scaled)]
        shared = set(plan.pictures[0, :N_SHARED].tolist())
        own = [int(number) for number in np.unique(seen) if int(number) not in shared]
        parts = {
            "val": own[3::12],
            "train": [number for index, number in enumerate(own) if index % 12 != 3],
            "test": sorted(shared & set(seen.tolist())),
        }
        keys = iter(np.random.default_rng([7, subject]).permutation(10**4).tolist())
        for part, numbers in parts.items():
            samples: dict[str, dict[str, bytes]] = {}
            for number in np.random.default_rng([6, subject]).permutation(numbers).tolist():
                rows = np.flatnonzero(seen == number)
                filled = np.resize(rows, 3)
                volume = np.zeros((3, *GRIDS[subject]), dtype=np.float16)
                volume[:, plan.general(subject)] = scaled[filled]
                files = {
                    "jpg": _jpeg(number),
                    "nsdgeneral.npy": _npy(scaled[filled].astype(np.float16)),
                    "coco73k.npy": _npy(np.array(number)),
                }
                if packed:
                    files |= {
                        "num_uniques.npy": _npy(np.array(len(rows))),
                        "trial.npy": _npy(np.array(rows[0])),
                        "wholebrain_3d.npy": _npy(volume),
                    }
                samples[f"sample{next(keys):09d}"] = files
            _write_samples(base / part, part, subject, samples, packed=packed)
        totals = {part: len(numbers) for part, numbers in parts.items()}
        (base / f"metadata_subj{subject:02d}.json").write_text(json.dumps({"totals": totals}))


def _write_samples(
    folder: Path, part: str, subject: int, samples: Mapping[str, Mapping[str, bytes]], *, packed: bool
) -> None:
    if packed:
        folder.mkdir(parents=True, exist_ok=True)
        count = {"train": 3, "val": 1, "test": 2}[part]
        keys = list(samples)
        for shard in range(count):
            chosen = {key: samples[key] for key in keys[shard::count]}
            write_tar(folder / f"{part}_subj{subject:02d}_{shard}.tar", chosen)
        return
    place = folder / f"subj{subject:02d}"
    place.mkdir(parents=True)
    for key, files in samples.items():
        for kind, content in files.items():
            (place / f"{key}.{kind}").write_bytes(content)


def _write_mindeye2(root: Path, plan: Plan) -> None:
    import h5py

    hdf5_of_pictures(root / "coco_images_224_float16.hdf5", plan, "images", 224, np.float16)
    for subject in SESSIONS:
        scaled = plan.z_scored(subject).astype(np.float32)
        with h5py.File(root / f"betas_all_subj{subject:02d}_fp32_renorm.hdf5", "w") as file:
            file["betas"] = scaled
        rows = behaviour(plan, subject)
        samples: dict[str, dict[int, dict[str, bytes]]] = {}
        for trial in range(len(scaled)):
            files = _behaviour_files(rows, trial)
            session = trial // TRIALS
            if rows[trial, 16]:
                samples.setdefault("new_test/0", {})[trial] = files
                # What was public before the last session was released.
                if session < N_SESSIONS - 1:
                    samples.setdefault("test/0", {})[trial] = files
            else:
                samples.setdefault(f"train/{session}", {})[trial] = files
        for name, found in samples.items():
            path = root / "wds" / f"subj{subject:02d}" / f"{name}.tar"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_tar(path, {f"sample{trial:09d}": files for trial, files in found.items()})


def _behaviour_files(rows: NDArray[np.float64], trial: int) -> dict[str, bytes]:
    """Give a trial's own behaviour, 15 trials before and after, and up to three earlier ones of the picture."""
    missing = np.full((15, rows.shape[1]), -1.0)
    past, future, olds = missing.copy(), missing.copy(), missing[:3].copy()
    before, after = rows[max(0, trial - 15) : trial][::-1], rows[trial + 1 : trial + 16]
    past[: len(before)], future[: len(after)] = before, after
    same = rows[:trial][rows[:trial, 0] == rows[trial, 0]]
    olds[: len(same)] = same
    values = {"behav": rows[trial : trial + 1], "past_behav": past, "future_behav": future, "olds_behav": olds}
    return {f"{name}.npy": _npy(value) for name, value in values.items()}


def write_tar(path: Path, samples: Mapping[str, Mapping[str, bytes]]) -> None:
    """Write samples into an archive, the files of a key after each other."""
    with tarfile.open(path, "w") as archive:
        for key, files in samples.items():
            for kind, content in files.items():
                info = tarfile.TarInfo(f"{key}.{kind}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))


def _npy(values: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    return file.getvalue()


def _jpeg(number: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture(number, 425)).save(file, "jpeg", quality=90)
    return file.getvalue()
