"""Raw events and what fMRIPrep made of the runs, under the names of its three eras, from one planted response."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.datasets.miniatures.planted import PlantedSignal, picture_of

STUDY = "fmriprep"
LAYOUTS = ("from_20.2", "from_1.2", "up_to_1.1")
GRIDS = {1: (6, 7, 5), 2: (7, 6, 6)}
SESSIONS, RUNS = (1, 2), (1, 2)
STIMULI = tuple(f"thing_{number:02d}" for number in range(40))
PARTS = ("train",) * 30 + ("val",) * 4 + ("test",) * 6
REPETITIONS = 3
REPETITION_TIME, N_VOLUMES = 2.0, 120
FIRST_TRIAL, SPACING, JITTER = 8.0, 6.5, 1.0
BASELINE = 800.0
VERTICES = 24
SIDES = ("Left", "Right")
MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
OLD_MOTION = ("X", "Y", "Z", "RotX", "RotY", "RotZ")


def write(root: Path, *, layout: str, seed: int) -> None:
    """Write two subjects with grids of their own, two sessions of two runs, volumes and both hemispheres."""
    signal = PlantedSignal(seed=seed, noise=0.3)
    derivative = root / "derivatives" / "fmriprep"
    derivative.mkdir(parents=True)
    _description(root, {"Name": "Miniature of a raw data set", "BIDSVersion": "1.8.0"})
    made = {"Name": "fMRIPrep - fMRI PREProcessing workflow", "BIDSVersion": "1.4.0", "DatasetType": "derivative"}
    _description(derivative, {**made, "GeneratedBy": [{"Name": "fMRIPrep", "Version": layout}]})
    (root / "task-things_bold.json").write_text(json.dumps({"RepetitionTime": REPETITION_TIME, "TaskName": "things"}))
    (root / "stimuli").mkdir()
    for name in STIMULI:
        picture_of(name).save(root / "stimuli" / f"{name}.png")
    for subject, grid in GRIDS.items():
        generator = np.random.default_rng([seed, 4, subject])
        shown = generator.permutation(np.repeat(np.arange(len(STIMULI)), REPETITIONS)).reshape(4, -1)
        brain = generator.random(grid) < 0.6
        for number, order in enumerate(shown):
            session, run = SESSIONS[number // 2], RUNS[number % 2]
            base = f"sub-{subject:02d}_ses-{session}_task-things_run-{run}"
            place = Path(f"sub-{subject:02d}") / f"ses-{session}" / "func"
            for top in (root, derivative):
                (top / place).mkdir(parents=True, exist_ok=True)
            events = _events(order, np.random.default_rng([seed, 5, subject, number]))
            events.to_csv(root / place / f"{base}_events.tsv", sep="\t", index=False, na_rep="n/a")
            _write_run(derivative / place, base, layout, signal, subject, number, brain, events)


def _description(folder: Path, values: dict[str, Any]) -> None:
    (folder / "dataset_description.json").write_text(json.dumps(values))


def _events(order: NDArray[np.int64], generator: np.random.Generator) -> pd.DataFrame:
    onsets = FIRST_TRIAL + SPACING * np.arange(len(order)) + generator.uniform(0, JITTER, len(order))
    shown = pd.DataFrame(
        {
            "onset": onsets.round(3),
            "duration": 1.0,
            "trial_type": "image",
            "stim_file": [f"{STIMULI[index]}.png" for index in order],
            "split": [PARTS[index] for index in order],
        }
    )
    rest = pd.DataFrame({"onset": [0.0], "duration": [FIRST_TRIAL], "trial_type": ["rest"]})
    return pd.concat([rest, shown], ignore_index=True)


def haemodynamic_response(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the difference of two gamma functions, peaking at 1, 5 s after the onset; zero before it.

    Examples
    --------
    >>> response = haemodynamic_response(np.arange(0, 30, 0.1))
    >>> round(float(response.max()), 2), round(float(np.argmax(response)) / 10, 1)
    (1.0, 5.0)
    """
    positive = np.clip(times, 0, None)
    rise, fall = (positive**power * np.exp(-positive) / _factorial(power) for power in (5, 15))
    response: NDArray[np.float64] = (rise - fall / 6) / 0.1754
    return response


def _factorial(number: int) -> float:
    return float(np.prod(np.arange(1, number + 1, dtype=np.float64)))


def _series(
    signal: PlantedSignal, subject: int, number: int, n_voxels: int, events: pd.DataFrame, motion: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Compute volumes ``(n_volumes, n_voxels)``: responses, a drift, what motion does, and noise, in scanner units."""
    times = REPETITION_TIME * np.arange(N_VOLUMES, dtype=np.float64)
    percent = signal.trial_noise((N_VOLUMES, n_voxels), subject, number, n_voxels)
    for row in events[events["trial_type"] == "image"].itertuples():
        name = str(row.stim_file).removesuffix(".png")
        course = haemodynamic_response(np.asarray(times - float(str(row.onset)), dtype=np.float64))
        percent += course[:, None] * signal.betas(name, subject=subject, n_voxels=n_voxels)
    weights = np.random.default_rng([7, subject, n_voxels]).normal(size=(motion.shape[1], n_voxels))
    percent += 3 * motion @ weights + 2 * np.cos(np.pi * times / times[-1])[:, None]
    percent[0] += 20  # the magnetisation is not steady yet
    return (BASELINE * (1 + percent / 100)).astype(np.float32)


def _write_run(
    folder: Path,
    base: str,
    layout: str,
    signal: PlantedSignal,
    subject: int,
    number: int,
    brain: NDArray[np.bool_],
    events: pd.DataFrame,
) -> None:
    generator = np.random.default_rng([8, subject, number])
    motion = np.cumsum(generator.normal(size=(N_VOLUMES, 6)), axis=0)
    motion = (motion - motion.mean(axis=0)) / motion.std(axis=0)
    _write_confounds(folder, base, layout, motion)
    _write_volumes(
        folder, base, layout, brain, _series(signal, subject, number, int(brain.sum()), events, motion), number
    )
    sides = _series(signal, subject, number, 2 * VERTICES, events, motion)
    sides[:, 3] = 0  # the medial wall
    for side, values in (("L", sides[:, :VERTICES]), ("R", sides[:, VERTICES:])):
        _write_surface(folder, base, layout, side, values)
    if layout == "from_20.2":
        _write_grayordinates(folder / f"{base}_space-fsLR_den-91k_bold.dtseries.nii", sides)


def _write_confounds(folder: Path, base: str, layout: str, motion: NDArray[np.float64]) -> None:
    old = layout == "up_to_1.1"
    table = pd.DataFrame(motion, columns=list(OLD_MOTION if old else MOTION))
    steps = np.abs(np.diff(motion, axis=0)).sum(axis=1)
    table["FramewiseDisplacement" if old else "framewise_displacement"] = [np.nan, *steps]
    if not old:
        for name in MOTION:
            table[f"{name}_derivative1"] = table[name].diff()
            table[f"{name}_power2"] = table[name] ** 2
            table[f"{name}_derivative1_power2"] = table[name].diff() ** 2
    first = np.zeros(N_VOLUMES)
    first[0] = 1
    table["NonSteadyStateOutlier00" if old else "non_steady_state_outlier00"] = first
    ending = {
        "from_20.2": "desc-confounds_timeseries",
        "from_1.2": "desc-confounds_regressors",
        "up_to_1.1": "bold_confounds",
    }
    table.to_csv(folder / f"{base}_{ending[layout]}.tsv", sep="\t", index=False, na_rep="n/a")


def _write_volumes(
    folder: Path, base: str, layout: str, brain: NDArray[np.bool_], series: NDArray[np.float32], number: int
) -> None:
    """Write volumes and mask; the mask of each run lacks a voxel of its own, and one voxel has no signal in run 1."""
    import nibabel

    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    values = np.zeros((*brain.shape, N_VOLUMES), dtype=np.float32)
    values[brain] = series.T
    voxels = np.argwhere(brain)
    if number == 0:
        values[tuple(voxels[10])] = 0
    mask = brain.copy()
    mask[tuple(voxels[number])] = False
    names = {
        "up_to_1.1": (f"{base}_bold_space-T1w_preproc.nii.gz", f"{base}_bold_space-T1w_brainmask.nii.gz"),
    }
    new = (f"{base}_space-T1w_desc-preproc_bold.nii.gz", f"{base}_space-T1w_desc-brain_mask.nii.gz")
    series_name, mask_name = names.get(layout, new)
    image = nibabel.Nifti1Image(values, affine)
    image.header.set_zooms((3.0, 3.0, 3.0, REPETITION_TIME))
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, folder / series_name)
    nibabel.save(nibabel.Nifti1Image(mask.astype(np.uint8), affine), folder / mask_name)
    if layout == "from_20.2":
        text = json.dumps({"RepetitionTime": REPETITION_TIME, "SkullStripped": False, "StartTime": 0.0})
        (folder / series_name.replace(".nii.gz", ".json")).write_text(text)


def _write_surface(folder: Path, base: str, layout: str, side: str, values: NDArray[np.float32]) -> None:
    import nibabel
    from nibabel.gifti.gifti import GiftiDataArray, GiftiImage

    name = {
        "from_20.2": f"{base}_hemi-{side}_space-fsaverage5_bold.func.gii",
        "from_1.2": f"{base}_space-fsaverage5_hemi-{side}.func.gii",
        "up_to_1.1": f"{base}_bold_space-fsaverage5.{side}.func.gii",
    }[layout]
    arrays = [GiftiDataArray(row, intent="NIFTI_INTENT_TIME_SERIES") for row in values]
    nibabel.save(GiftiImage(darrays=arrays), folder / name)


def _write_grayordinates(path: Path, values: NDArray[np.float32]) -> None:
    import nibabel
    from nibabel.cifti2.cifti2 import Cifti2Image
    from nibabel.cifti2.cifti2_axes import BrainModelAxis, SeriesAxis

    left, right = (BrainModelAxis.from_surface(np.arange(VERTICES), VERTICES, f"Cortex{side}") for side in SIDES)
    series = SeriesAxis(0, REPETITION_TIME, len(values))
    nibabel.save(Cifti2Image(values, header=(series, left + right)), path)
