"""The responses of BOLD5000: arrays of regions (npy, MATLAB, HDF5), and betas of the whole brain by session."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import DataError
from neurodecode.core.files import open_array
from neurodecode.core.sensors import Sensors
from neurodecode.datasets.beta_maps import ROWS_AT_A_TIME, unplaced_voxels
from neurodecode.datasets.volumes import load_image, load_mask, read_masked, voxel_sensors

REGIONS = ("EarlyVis", "LOC", "OPA", "PPA", "RSC")
SIDES = ("LH", "RH")
KEYS = tuple(f"{side}{region}" for region in REGIONS for side in SIDES)
BETAS = "GLMbetas-TYPED-FITHRF-GLMDENOISE-RR"
PERCENT = "percent signal change"
Z_TOLERANCE = (1e-3, 1e-2)


def region_arrays(folder: Path, subject: int) -> dict[str, NDArray[Any]]:
    """Map the arrays ``(n_trials, n_voxels)`` of each region from ``.npy`` files, by keys such as ``LHPPA``."""
    arrays = {}
    for key in KEYS:
        path = folder / f"CSI{subject}_{BETAS}_allses_{key}.npy"
        if path.is_file():
            arrays[key] = open_array(path)
    if not arrays:
        raise DataError(f"{folder}: no arrays CSI{subject}_{BETAS}_allses_LHEarlyVis.npy and so on")
    return arrays


def first_release_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read the same from ``CSIn_ROIs_TR34.mat`` or ``.h5`` of the first release."""
    try:
        if path.suffix == ".mat":
            from scipy.io import loadmat

            content = loadmat(path, variable_names=KEYS)
        else:
            import h5py

            with h5py.File(path, "r") as file:
                content = {key: np.asarray(file[key]) for key in KEYS if isinstance(file.get(key), h5py.Dataset)}
    except Exception as error:  # scipy, zlib and h5py each have their own exceptions for a broken file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: not readable as arrays of regions ({reason})") from None
    arrays = {key: np.asarray(content[key]) for key in KEYS if key in content}
    if not arrays:
        raise DataError(f"{path}: none of the arrays {', '.join(KEYS)} is there")
    return arrays


def join_regions(
    arrays: dict[str, NDArray[Any]], n_trials: int, where: Path, store: ArrayStore, *, unit: str
) -> tuple[NDArray[np.float32], Sensors]:
    """Put the regions beside each other, voxel by voxel, and name them.

    Parameters
    ----------
    arrays : dict of str to ndarray
        ``(n_trials, n_voxels)`` each.
    n_trials : int
        Number of trials by the lists.
    where : Path
        Where they come from, for messages.
    store : ArrayStore
        Where they go.
    unit : str
        Of the signals.

    Returns
    -------
    signals : ndarray of float32, shape (n_trials, n_voxels, 1)
        Regions in the order of `KEYS`.
    sensors : Sensors
        With regions ``LHPPA``, ``PPA`` and so on.

    Raises
    ------
    DataError
        If an array has another number of trials.
    """
    for key, array in arrays.items():
        if array.ndim != 2 or array.dtype.kind not in "fiu" or len(array) != n_trials:
            raise DataError(
                f"{where}: {key} is {array.dtype} of shape {array.shape}, expected numbers ({n_trials}, voxels), one "
                "row for each trial of the lists"
            )
    counts = [array.shape[1] for array in arrays.values()]
    signals = store.empty((n_trials, sum(counts), 1))
    for start in range(0, n_trials, ROWS_AT_A_TIME):
        piece = slice(start, start + ROWS_AT_A_TIME)
        signals[piece, :, 0] = np.concatenate([array[piece] for array in arrays.values()], axis=1)
    owner = np.repeat(list(arrays), counts)
    regions = {key: owner == key for key in arrays}
    for region in REGIONS:
        regions[region] = np.isin(owner, [f"{side}{region}" for side in SIDES])
    return signals, unplaced_voxels(sum(counts), unit=unit, regions=regions)


def session_betas(folder: Path, subject: int) -> dict[int, Path]:
    """Find the whole-brain betas of each session by their names."""
    found = {}
    for path in folder.glob(f"CSI{subject}_{BETAS}_ses-*.nii.gz"):
        match = re.search(r"_ses-(\d+)\.nii\.gz$", path.name)
        if match:
            found[int(match[1])] = path
    return dict(sorted(found.items()))


def region_masks(folders: list[Path], subject: int) -> dict[str, Path]:
    """Find ``sub-CSIn_mask-LHPPA.nii.gz`` and so on, by keys such as ``LHPPA``."""
    found = {}
    for key in KEYS:
        paths = [folder / f"sub-CSI{subject}_mask-{key}.nii.gz" for folder in folders]
        path = next((path for path in paths if path.is_file()), None)
        if path is not None:
            found[key] = path
    return found


def whole_brain(
    sessions: dict[int, Path],
    n_trials: dict[int, int],
    brain: Path,
    masks: dict[str, Path],
    store: ArrayStore,
    *,
    mask: str,
) -> tuple[NDArray[np.float32], Sensors, int]:
    """Read the betas of all sessions within a mask, session by session.

    Parameters
    ----------
    sessions : dict of int to Path
        ``(x, y, z, trials)`` each, in percent signal change.
    n_trials : dict of int to int
        Trials of each session by the lists.
    brain : Path
        The brain mask.
    masks : dict of str to Path
        Masks of regions on the same grid.
    store : ArrayStore
        Where they go.
    mask : str
        ``rois`` (all regions together) or ``brainmask``.

    Returns
    -------
    signals : ndarray of float32, shape (n_trials, n_voxels, 1)
    sensors : Sensors
        The voxels, with regions.
    left_out : int
        Number of voxels of the mask without a signal in some session; they are left out.

    Raises
    ------
    DataError
        If a session has another number of volumes than trials, or a file is on another grid.
    """
    values, affine = load_image(brain)
    shape = (values.shape[0], values.shape[1], values.shape[2])
    regions = {key: load_mask(path, shape, affine) for key, path in masks.items()}
    for region in REGIONS:
        parts = [regions[f"{side}{region}"] for side in SIDES if f"{side}{region}" in regions]
        if parts:
            regions[region] = np.logical_or.reduce(parts)
    inside = np.logical_or.reduce(list(regions.values())) if mask == "rois" else load_mask(brain, shape, affine)
    signals = store.empty((sum(n_trials.values()), int(inside.sum()), 1))
    good, start = np.ones(int(inside.sum()), dtype=bool), 0
    for session, path in sessions.items():
        found = read_masked(path, inside, affine)
        if len(found) != n_trials[session]:
            raise DataError(
                f"{path}: {len(found)} volumes, expected {n_trials[session]}, one for each trial of session {session}"
            )
        good &= np.isfinite(found).all(axis=0) & (found.min(axis=0) < found.max(axis=0))
        signals[start : start + len(found), :, 0] = found
        start += len(found)
    sensors = voxel_sensors(inside, affine, unit=PERCENT, regions={k: m for k, m in regions.items() if m.any()})
    if good.all():
        return signals, sensors, 0
    kept = store.empty((len(signals), int(good.sum()), 1))
    for start in range(0, len(signals), ROWS_AT_A_TIME):
        piece = slice(start, start + ROWS_AT_A_TIME)
        kept[piece] = signals[piece][:, good]
    names = [name for name, one in zip(sensors.names, good, strict=True) if one]
    return kept, sensors.pick(names), int((~good).sum())


def is_standardised(signals: NDArray[np.float32], groups: NDArray[np.str_]) -> bool:
    """Tell whether every voxel has mean 0 and deviation 1 within every group of trials: somebody z-scored them.

    Parameters
    ----------
    signals : ndarray of float32, shape (n_trials, n_voxels, 1)
        As read.
    groups : ndarray of str, shape (n_trials,)
        The group of each trial, such as its session.

    Returns
    -------
    bool
        False as soon as one voxel is not.

    Examples
    --------
    >>> values = np.array([[-1.0], [1.0], [-1.0], [1.0]], dtype=np.float32)[:, :, None]
    >>> is_standardised(values, np.array(["1", "1", "2", "2"])), is_standardised(values + 1, np.array(["1"] * 4))
    (True, False)
    """
    for group in np.unique(groups):
        values = np.asarray(signals[groups == group, :, 0], dtype=np.float64)
        if np.abs(values.mean(axis=0)).max() > Z_TOLERANCE[0] or np.abs(values.std(axis=0) - 1).max() > Z_TOLERANCE[1]:
            return False
    return True
