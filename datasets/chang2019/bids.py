"""The BIDS data set of BOLD5000: responses averaged over the volumes 4 to 8 s after each picture."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import DataError
from neurodecode.core.files import read_table
from neurodecode.core.sensors import Sensors
from neurodecode.datasets.chang2019.responses import REGIONS, SIDES
from neurodecode.datasets.chang2019.trials import TASK
from neurodecode.datasets.fmriprep_files import PreprocessedRun, derivative_runs, sidecar_value
from neurodecode.datasets.fmriprep_responses import clean_run, read_confounds
from neurodecode.datasets.fmriprep_signals import Region, read_series, read_space, varying_voxels

DERIVATIVE = Path("derivatives") / "fmriprep"
REPETITION_TIME = 2.0
# Pictures were shown on the scanner's beat; what the events add to it is the delay of the display.
LARGEST_DELAY = 0.2
# The third and fourth volume of each trial, as in the first release.
FIRST_VOLUME, N_VOLUMES = 2, 2
HIGH_PASS = 0.008


def volume_of(onsets: NDArray[np.float64], where: object) -> NDArray[np.int64]:
    """Give the volume with which each picture appeared.

    Onsets are some milliseconds before or after the volume; looking for the next volume after them would take one
    too late for half of the trials.

    Parameters
    ----------
    onsets : ndarray of float64, shape (n_trials,)
        Seconds from the first volume.
    where : object
        The events table, for messages.

    Returns
    -------
    ndarray of int, shape (n_trials,)
        Counted from 0.

    Raises
    ------
    DataError
        If an onset is not near a volume.

    Examples
    --------
    >>> volume_of(np.array([6.0308, 16.0062, 25.9978]), "events").tolist()
    [3, 8, 13]
    """
    volumes = np.rint(onsets / REPETITION_TIME)
    delays = np.abs(onsets - volumes * REPETITION_TIME)
    bad = ~(delays <= LARGEST_DELAY)  # also true for NaN
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"{where}: line {row + 2}: onset {onsets[row]:g}, expected one within {LARGEST_DELAY:g} s of a volume "
            f"(every {REPETITION_TIME:g} s)"
        )
    return volumes.astype(np.int64)


def averaged_responses(
    root: Path, subject: int, trials: pd.DataFrame, masks: dict[str, Path], store: ArrayStore, *, mask: str
) -> tuple[NDArray[np.float32], Sensors, NDArray[np.float64], int]:
    """Clean each run and average the volumes 4 to 8 s after each picture.

    Parameters
    ----------
    root : Path
        The data set, with fMRIPrep's derivative in ``derivatives/fmriprep``.
    subject : int
        From 1.
    trials : pandas.DataFrame
        The subject's trials by the lists.
    masks : dict of str to Path
        Masks of regions on the same grid.
    store : ArrayStore
        Where they go.
    mask : str
        ``rois`` or ``brainmask``.

    Returns
    -------
    signals : ndarray of float32, shape (n_trials, n_voxels, 1)
        In standard deviations of each voxel within its run.
    sensors : Sensors
        The voxels.
    onsets : ndarray of float64, shape (n_trials,)
        Seconds from the run's first volume.
    left_out : int
        Number of voxels without a signal in some run; they are left out.

    Raises
    ------
    DataError
        If runs, trials and events do not fit.
    """
    name = f"sub-CSI{subject}"
    runs = derivative_runs(root / DERIVATIVE, name, space="T1w", tasks=(TASK,), raw=root)
    places = [f"{int(run.run.session):02d}/{int(run.run.run):02d}" for run in runs]
    listed = (trials["session"] + "/" + trials["run"]).tolist()
    missing = [place for place in dict.fromkeys(listed) if place not in places]
    if missing or set(places) - set(listed):
        place = missing[0] if missing else sorted(set(places) - set(listed))[0]
        what = "no preprocessed run" if missing else "no trials in the lists"
        raise DataError(f"{root / DERIVATIVE / name}: session/run {place} of the task {TASK} has {what}")
    space = read_space(runs, None, masks)
    if mask == "rois":
        space = Region(np.logical_or.reduce(list(space.regions.values())), space.affine, (), space.regions)
    for region in REGIONS:
        parts = [space.regions[f"{side}{region}"] for side in SIDES if f"{side}{region}" in space.regions]
        if parts:
            space.regions[region] = np.logical_or.reduce(parts)
    kept = varying_voxels(runs, space)
    signals = store.empty((len(trials), int(kept.sum()), 1))
    onsets = np.empty(len(trials))
    for run, place in zip(runs, places, strict=True):
        rows = np.flatnonzero(np.array(listed) == place)
        signals[rows, :, 0], onsets[rows] = _one_run(root, name, run, space, kept, len(rows))
    return signals, space.sensors(kept, unit="z"), onsets, int((~kept).sum())


def _one_run(
    root: Path, name: str, run: PreprocessedRun, space: Region, kept: NDArray[np.bool_], n_trials: int
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Give the responses and onsets of one run."""
    series, step = read_series(run, space)
    said = sidecar_value(run, root, name, "RepetitionTime")
    for source, value in (("its header", step), ("a sidecar", said)):
        if isinstance(value, int | float) and abs(value - REPETITION_TIME) > 1e-3:
            raise DataError(f"{run.run.file}: {value:g} s between volumes by {source}, expected {REPETITION_TIME:g}")
    table = read_table(run.run.events, required=("onset",))
    onsets = pd.to_numeric(table["onset"], errors="coerce").to_numpy(dtype=np.float64)
    if len(onsets) != n_trials:
        raise DataError(f"{run.run.events}: {len(onsets)} trials, expected {n_trials} as by the lists")
    first = volume_of(onsets, run.run.events) + FIRST_VOLUME
    beyond = (first < 0) | (first + N_VOLUMES > len(series))
    if beyond.any():
        row = int(np.argmax(beyond))
        raise DataError(
            f"{run.run.events}: line {row + 2}: the window of the picture at {onsets[row]:g} s reaches beyond the "
            f"{len(series)} volumes of {run.run.file.name}"
        )
    confounds = read_confounds(run.confounds, "motion", len(series))
    cleaned = clean_run(series[:, kept], confounds, REPETITION_TIME, HIGH_PASS)
    return np.stack([cleaned[start : start + N_VOLUMES].mean(axis=0) for start in first]), onsets
