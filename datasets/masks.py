"""Masks of regions that may lie on another grid than the volumes."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.datasets.volumes import AFFINE_TOLERANCE, load_image


def mask_on_grid(path: Path, shape: tuple[int, int, int], affine: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Read a mask; if it lies on another grid, bring it to that of the volumes by the nearest voxel, with nilearn.

    Parameters
    ----------
    path : Path
        A NIfTI file; voxels above zero belong to it.
    shape : tuple of int
        The three sizes of the volumes' grid.
    affine : ndarray of shape (4, 4)
        Its affine in millimetres.

    Returns
    -------
    ndarray of bool, shape `shape`
        May be empty where the mask does not reach into the volumes.

    Raises
    ------
    DataError
        If the file is not readable or has not three dimensions.
    """
    import nibabel
    from nilearn.image import resample_img
    from nilearn.image.resampling import BoundingBoxError

    values, own = load_image(path)
    if values.ndim != 3:
        raise DataError(f"{path}: shape {values.shape}, expected three dimensions")
    if values.shape != shape or np.abs(own - affine).max() > AFFINE_TOLERANCE:
        image = nibabel.Nifti1Image((values > 0).astype(np.uint8), own)
        try:
            image = resample_img(image, affine, shape, interpolation="nearest", force_resample=True, copy_header=True)
        except BoundingBoxError:
            return np.zeros(shape, dtype=bool)
        values = np.asarray(image.dataobj)
    inside: NDArray[np.bool_] = np.asarray(values > 0)
    return inside


def grid_of(path: Path) -> tuple[tuple[int, int, int], NDArray[np.float64], int]:
    """Read shape, affine and number of volumes off the header of a series.

    Raises
    ------
    DataError
        If the file is missing, broken or no series.
    """
    import nibabel

    image: Any
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        image = nibabel.load(path)
        shape, affine = tuple(int(size) for size in image.shape), np.asarray(image.affine, dtype=np.float64)
    except Exception as error:  # nibabel and gzip each have their own exceptions for a broken file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: not readable as a NIfTI image ({reason})") from None
    if len(shape) != 4:
        raise DataError(f"{path}: shape {shape}, expected four dimensions, the last one volumes")
    return (shape[0], shape[1], shape[2]), affine, shape[3]
