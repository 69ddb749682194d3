"""Which voxels are read, the regions they belong to, and how much of their signal repeats."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.files import read_text
from neurodecode.core.sensors import Sensors
from neurodecode.datasets.volumes import load_image, voxel_sensors

UNIT = "percent signal change"
GENERAL = "nsdgeneral"
BRAIN = "brainmask"
# The labels that are known where no colour table lies beside the volumes.
KNOWN_LABELS = {
    "prf-visualrois": {1: "V1v", 2: "V1d", 3: "V2v", 4: "V2d", 5: "V3v", 6: "V3d", 7: "hV4"},
}
AREAS = {"V1": ("V1v", "V1d"), "V2": ("V2v", "V2d"), "V3": ("V3v", "V3d")}


def read_labels(path: Path) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Read a volume of whole numbers.

    Parameters
    ----------
    path : Path
        A NIfTI file with three dimensions.

    Returns
    -------
    labels : ndarray of int, shape (n_x, n_y, n_z)
        As stored.
    affine : ndarray of shape (4, 4)
        From voxel indices to millimetres.

    Raises
    ------
    DataError
        If the file is broken, has another number of dimensions or holds fractions.
    """
    values, affine = load_image(path)
    if values.ndim != 3:
        raise DataError(f"{path}: shape {values.shape}, expected three dimensions")
    labels = np.rint(values)
    if not np.array_equal(labels, values):
        raise DataError(f"{path}: holds {values[labels != values].flat[0]:g}, expected whole numbers")
    return labels.astype(np.int64), affine


def mask_of_labels(labels: NDArray[np.int64], name: str, path: Path) -> NDArray[np.bool_]:
    """Choose the voxels of a mask.

    In ``nsdgeneral`` 1 is inside, 0 is other cortex and -1 is outside the cortex; others have several labels above 0.

    Examples
    --------
    >>> mask_of_labels(np.array([[[-1, 0, 1]]]), "nsdgeneral", Path("roi")).tolist()
    [[[False, False, True]]]
    """
    if name == GENERAL:
        unknown = sorted(set(np.unique(labels).tolist()) - {-1, 0, 1})
        if unknown:
            raise DataError(
                f"{path}: holds {unknown[0]}, expected -1 (outside cortex), 0 (other cortex) and 1 (inside)"
            )
    inside = np.asarray(labels > 0)
    if not inside.any():
        raise DataError(f"{path}: the mask is empty")
    return inside


def read_colour_table(path: Path) -> dict[int, str]:
    """Read the names of labels: a number, a name and perhaps colours in each line, separated by spaces.

    Raises
    ------
    DataError
        Naming the line that is none of that.
    """
    names = {}
    lines = read_text(path).splitlines()
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) < 2 or not re.fullmatch(r"-?\d+", words[0]):
            raise DataError(f"{path}: line {number}: got {line!r}, expected a number and a name")
        names[int(words[0])] = words[1]
    return names


def read_sensors(folder: Path, labels: Path, mask: str, *, unit: str = UNIT) -> tuple[NDArray[np.bool_], Sensors]:
    """Read the mask and describe its voxels as channels, with all regions that lie beside it.

    Parameters
    ----------
    folder : Path
        ``nsddata/ppdata/subjAA/<space>``.
    labels : Path
        ``nsddata/freesurfer/subjAA/label``, where the colour tables are; it may be missing.
    mask : str
        Name of a volume in ``roi``, or ``brainmask``.
    unit : str
        Of the signals.

    Returns
    -------
    inside : ndarray of bool, shape (n_x, n_y, n_z)
        The mask.
    sensors : Sensors
        Its voxels in C order; regions are named by their label (``V1v``, ``FFA-1``) and by their volume
        (``floc-faces``); ventral and dorsal parts are also joined (``V1``).

    Raises
    ------
    DataError
        If the mask is missing or a region lies on another grid.
    """
    rois = folder / "roi"
    path = folder / "brainmask.nii.gz" if mask == BRAIN else rois / f"{mask}.nii.gz"
    if not path.is_file():
        there = sorted(file.name.removesuffix(".nii.gz") for file in rois.glob("*.nii.gz"))
        raise DataError(f"{path}: no such mask, there are {', '.join(there) or 'none'}")
    values, affine = read_labels(path)
    inside = mask_of_labels(values, mask, path)
    regions: dict[str, NDArray[np.bool_]] = {}
    for file in sorted(rois.glob("*.nii.gz")):
        name = file.name.removesuffix(".nii.gz")
        # The volumes of one hemisphere are parts of those without a prefix.
        if name.startswith(("lh.", "rh.")):
            continue
        found, _ = load_image(file)
        if found.shape != inside.shape:
            raise DataError(f"{file}: grid {found.shape}, expected {inside.shape} as in {path.name}")
        # Statistics may lie beside the labels; they are no regions.
        if not np.array_equal(np.rint(found), found):
            continue
        table = labels / f"{name}.mgz.ctab"
        names = read_colour_table(table) if table.is_file() else KNOWN_LABELS.get(name, {})
        regions |= regions_of_labels(name, found.astype(np.int64), inside, names, taken=set(regions))
    for area, parts in AREAS.items():
        if all(part in regions for part in parts):
            # An atlas may have an area of the same name.
            regions[f"prf-visualrois-{area}" if area in regions else area] = np.logical_or.reduce(
                [regions[part] for part in parts]
            )
    return inside, voxel_sensors(inside, affine, unit=unit, regions=regions)


def regions_of_labels(
    name: str, found: NDArray[np.int64], inside: NDArray[np.bool_], names: Mapping[int, str], *, taken: set[str]
) -> dict[str, NDArray[np.bool_]]:
    """Turn one volume of labels into masks: all above 0, and each label where there are several.

    Parameters
    ----------
    name : str
        Of the volume.
    found : ndarray of int
        Its labels.
    inside : ndarray of bool
        The mask; regions without a voxel in it are left out.
    names : mapping of int to str
        Of the labels; others are numbered.
    taken : set of str
        Names that are regions already; a label of such a name is called after its volume too.

    Returns
    -------
    dict of str to ndarray of bool
        Of the shape of `found`.

    Examples
    --------
    >>> found = regions_of_labels("streams", np.array([0, 1, 5]), np.ones(3, dtype=bool), {1: "early"}, taken=set())
    >>> {name: mask.tolist() for name, mask in found.items()}["early"], list(found)
    ([False, True, False], ['streams', 'early', 'streams-5'])
    """
    regions = {name: found > 0}
    values = np.unique(found[inside & (found > 0)]).tolist()
    if name != GENERAL and len(np.unique(found[found > 0])) > 1:
        for value in values:
            label = names.get(value, f"{name}-{value}")
            regions[f"{name}-{label}" if label in taken or label in regions else label] = found == value
    return {label: mask for label, mask in regions.items() if (mask & inside).any()}


def noise_ceiling(ncsnr: NDArray[np.floating], repetitions: NDArray[np.int64] | int = 3) -> NDArray[np.float64]:
    """Compute the share of variance, in percent, that an ideal model could explain.

    That is ``100 s^2 / (s^2 + mean(1 / r))`` for a noise-ceiling signal-to-noise ratio ``s`` and responses averaged
    over ``r`` repetitions [1]_.

    Parameters
    ----------
    ncsnr : ndarray of floating
        The ratio of each voxel.
    repetitions : ndarray of int or int
        How many trials of each picture were averaged.

    Returns
    -------
    ndarray of float64
        0 to 100.

    References
    ----------
    .. [1] Allen et al. (2022), doi:10.1038/s41593-021-00962-x.

    Examples
    --------
    >>> noise_ceiling(np.array([0.0, 1.0]), 3).tolist()
    [0.0, 75.0]
    """
    power = np.asarray(ncsnr, dtype=np.float64) ** 2
    ceiling: NDArray[np.float64] = 100 * power / (power + np.mean(1 / np.asarray(repetitions, dtype=np.float64)))
    return ceiling
