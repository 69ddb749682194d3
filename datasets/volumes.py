"""NIfTI images, masks and regions: from volumes on disk to voxels as channels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.sensors import Sensors

# Two affines are the same grid when they differ by less than this (mm).
AFFINE_TOLERANCE = 1e-3


def load_image(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Read a NIfTI image whole.

    Parameters
    ----------
    path : Path
        ``.nii`` or ``.nii.gz``.

    Returns
    -------
    values : ndarray of float32
        Three or four dimensions, scaled as the header says.
    affine : ndarray of shape (4, 4)
        From voxel indices to millimetres.

    Raises
    ------
    DataError
        If the file is missing, cut or something else.
    """
    import nibabel

    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        image: Any = nibabel.load(path)
        values = image.get_fdata(dtype=np.float32, caching="unchanged")
        return values, np.asarray(image.affine, dtype=np.float64)
    except Exception as error:  # nibabel, gzip and zlib each have their own exceptions for a broken file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: not readable as a NIfTI image ({reason})") from error


def load_mask(path: Path, shape: tuple[int, ...], affine: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Read a mask and check that it lies on a given grid.

    Parameters
    ----------
    path : Path
        The mask; voxels above zero belong to it.
    shape : tuple of int
        The three sizes of the grid.
    affine : ndarray of shape (4, 4)
        Its affine in millimetres.

    Returns
    -------
    ndarray of bool
        Of `shape`.

    Raises
    ------
    DataError
        If the grid is another one, or the mask is empty.
    """
    values, own = load_image(path)
    if values.shape != tuple(shape):
        raise DataError(f"{path}: grid {values.shape}, expected {tuple(shape)}")
    if np.abs(own - affine).max() > AFFINE_TOLERANCE:
        raise DataError(f"{path}: its affine is not that of the signals")
    inside = np.asarray(values > 0)
    if not inside.any():
        raise DataError(f"{path}: the mask is empty")
    return inside


def voxel_sensors(
    inside: NDArray[np.bool_],
    affine: NDArray[np.float64],
    *,
    unit: str,
    regions: Mapping[str, NDArray[np.bool_]] | None = None,
) -> Sensors:
    """Describe the voxels of a mask as channels, in C order of the grid, which is that of ``values[inside]``.

    Parameters
    ----------
    inside : ndarray of bool, shape (n_x, n_y, n_z)
        The mask.
    affine : ndarray of shape (4, 4)
        From voxel indices to millimetres.
    unit : str
        Unit of the signals.
    regions : mapping of str to ndarray of bool, optional
        Masks on the same grid.

    Returns
    -------
    Sensors
        With grid indices, positions in metres and regions.

    Examples
    --------
    >>> sensors = voxel_sensors(np.eye(2, dtype=bool)[:, :, None], np.diag([2.0, 2.0, 2.0, 1.0]), unit="percent")
    >>> sensors.names, sensors.positions.tolist()
    (('v00_00_00', 'v01_01_00'), [[0.0, 0.0, 0.0], [0.002, 0.002, 0.0]])
    """
    grid = np.argwhere(inside)
    return Sensors(
        names=tuple("v{:02d}_{:02d}_{:02d}".format(*index) for index in grid.tolist()),
        kinds=("voxel",) * len(grid),
        sfreq=0.0,
        tmin=0.0,
        unit=unit,
        positions=(grid @ affine[:3, :3].T + affine[:3, 3]) / 1000,
        regions={name: np.asarray(mask[inside]) for name, mask in (regions or {}).items()},
        grid=grid,
        affine=affine,
        volume=(inside.shape[0], inside.shape[1], inside.shape[2]),
    )


def read_masked(
    path: Path, inside: NDArray[np.bool_], affine: NDArray[np.float64], *, chunk: int = 20
) -> NDArray[np.float32]:
    """Read the voxels of a mask out of a series of volumes, a few volumes at a time.

    Parameters
    ----------
    path : Path
        ``.nii`` or ``.nii.gz`` with four dimensions.
    inside : ndarray of bool, shape (n_x, n_y, n_z)
        The mask.
    affine : ndarray of shape (4, 4)
        Of the mask's grid; that of the volumes must be the same.
    chunk : int
        Volumes that are in memory at a time.

    Returns
    -------
    ndarray of float32, shape (n_volumes, n_voxels)
        Voxels in C order of the grid.

    Raises
    ------
    DataError
        If the file is missing, cut, no series, or on another grid.
    """
    import nibabel

    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        # Kept open, so that a compressed file is read once from front to back.
        image: Any = nibabel.load(path, keep_file_open=True)
        shape, own = tuple(image.shape), np.asarray(image.affine, dtype=np.float64)
    except Exception as error:
        raise DataError(f"{path}: not readable as a NIfTI image ({_reason(error)})") from error
    if len(shape) != 4 or shape[:3] != inside.shape:
        raise DataError(f"{path}: shape {shape}, expected volumes on the mask's grid {inside.shape}")
    if np.abs(own - affine).max() > AFFINE_TOLERANCE:
        raise DataError(f"{path}: its affine is not that of the mask")
    values = np.empty((shape[3], int(inside.sum())), dtype=np.float32)
    try:
        for begin in range(0, shape[3], chunk):
            piece = np.asarray(image.dataobj[..., begin : begin + chunk], dtype=np.float32)
            values[begin : begin + chunk] = piece[inside].T
    except Exception as error:
        raise DataError(f"{path}: not readable as a whole NIfTI image ({_reason(error)})") from error
    finally:
        image.uncache()
    return values


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
