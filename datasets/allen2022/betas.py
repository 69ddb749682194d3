"""Single-trial betas of one session, read a few trials or voxels at a time."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError

# Stored as int16 of 300 times the percent signal change.
SCALE = 300.0
VOLUMES_AT_A_TIME = 25
KINDS = {"hdf5": ".hdf5", "nifti": ".nii.gz"}


def session_files(folder: Path, kinds: tuple[str, ...] = ("hdf5", "nifti")) -> dict[int, Path]:
    """Find the betas of each session by their names.

    Parameters
    ----------
    folder : Path
        Where ``betas_sessionNN.hdf5`` or ``betas_sessionNN.nii.gz`` lie.
    kinds : tuple of str
        Which of `KINDS`; where a session has several, the first.

    Returns
    -------
    dict of int to Path
        By session number, in order.
    """
    found: dict[int, Path] = {}
    for kind in reversed(kinds):
        for path in folder.glob(f"betas_session*{KINDS[kind]}"):
            match = re.fullmatch(rf"betas_session(\d+){re.escape(KINDS[kind])}", path.name)
            if match:
                found[int(match[1])] = path
    return dict(sorted(found.items()))


def read_betas(path: Path, inside: NDArray[np.bool_], out: NDArray[np.float32]) -> None:
    """Read the betas of one session in percent signal change.

    Parameters
    ----------
    path : Path
        ``.nii`` or ``.nii.gz`` of shape (x, y, z, trials), or HDF5 with the dataset `betas`, which MATLAB wrote with
        the same shape and h5py shows reversed: (trials, z, y, x). Both are int16 of 300 times the value.
    inside : ndarray of bool, shape (n_x, n_y, n_z)
        Which voxels.
    out : ndarray of float32, shape (n_trials, n_voxels, 1)
        Filled; voxels in C order of `inside`.

    Raises
    ------
    DataError
        Naming file and field, what was got and what was expected.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if path.name.endswith((".hdf5", ".h5")):
        _read_hdf5(path, inside, out)
    else:
        _read_nifti(path, inside, out)


def _read_nifti(path: Path, inside: NDArray[np.bool_], out: NDArray[np.float32]) -> None:
    import nibabel

    expected = (*inside.shape, len(out))
    try:
        # One open file, read from front to back: a compressed one cannot be entered in the middle.
        image: Any = nibabel.load(path, mmap=False, keep_file_open=True)
        if image.shape != expected:
            raise DataError(f"{path}: shape {tuple(image.shape)}, expected {expected} (grid of the mask, trials)")
        slope, intercept = image.dataobj.slope, image.dataobj.inter
        if image.get_data_dtype() != np.int16 or slope != 1 or intercept != 0:
            raise DataError(
                f"{path}: {image.get_data_dtype()} scaled by {slope:g} and {intercept:+g}, expected unscaled int16 of "
                "300 times the percent signal change"
            )
        for start in range(0, len(out), VOLUMES_AT_A_TIME):
            stop = min(start + VOLUMES_AT_A_TIME, len(out))
            volumes = np.asanyarray(image.dataobj[..., start:stop])
            out[start:stop, :, 0] = volumes[inside].T / np.float32(SCALE)
    except DataError:
        raise
    except Exception as error:  # nibabel, gzip and zlib each have their own exceptions for a broken file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: not readable as a whole NIfTI image ({reason})") from None


def _read_hdf5(path: Path, inside: NDArray[np.bool_], out: NDArray[np.float32]) -> None:
    import h5py

    expected = (len(out), *inside.shape[::-1])
    position = np.full(inside.shape, -1, dtype=np.int64)
    position[inside] = np.arange(int(inside.sum()))
    try:
        with h5py.File(path, "r") as file:
            if not isinstance(file.get("betas"), h5py.Dataset):
                raise DataError(f"{path}: dataset 'betas' is missing, got {', '.join(file) or 'none'}")
            betas = file["betas"]
            if betas.shape != expected:
                raise DataError(f"{path}: betas has shape {betas.shape}, expected {expected} (trials, z, y, x)")
            if betas.dtype != np.int16:
                raise DataError(
                    f"{path}: betas is {betas.dtype}, expected int16 of 300 times the percent signal change"
                )
            whole = np.empty((len(out), out.shape[1]), dtype=np.int16)
            # The file is cut into single voxels, so that only the rows that the mask touches are read.
            for y, z in np.argwhere(inside.any(axis=0)).tolist():
                x = np.flatnonzero(inside[:, y, z])
                row = betas[:, z, y, int(x[0]) : int(x[-1]) + 1]
                whole[:, position[x, y, z]] = row[:, x - x[0]]
    except DataError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise DataError(f"{path}: not readable as a whole HDF5 file ({str(error).splitlines()[0]})") from None
    for start in range(0, len(out), VOLUMES_AT_A_TIME):
        stop = start + VOLUMES_AT_A_TIME
        out[start:stop, :, 0] = whole[start:stop] / np.float32(SCALE)
