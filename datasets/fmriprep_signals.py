"""Time series of preprocessed runs: voxels of a mask, vertices of both hemispheres, or grayordinates."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.sensors import Sensors
from neurodecode.datasets.fmriprep_files import PreprocessedRun
from neurodecode.datasets.volumes import load_image, load_mask, read_masked, voxel_sensors

SECONDS_OF_UNIT = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}


@dataclass(frozen=True)
class Region:
    """The part of the brain that is read.

    Parameters
    ----------
    inside : ndarray of bool, optional
        Mask on the grid of the volumes; None for surfaces and grayordinates, which are read whole.
    affine : ndarray of shape (4, 4), optional
        Of that grid.
    names : tuple of str
        Names of vertices or grayordinates, where there is no grid.
    regions : dict of str to ndarray of bool
        Masks on the same grid.
    """

    inside: NDArray[np.bool_] | None
    affine: NDArray[np.float64] | None
    names: tuple[str, ...] = ()
    regions: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    def sensors(self, kept: NDArray[np.bool_], *, unit: str) -> Sensors:
        """Describe the voxels that are kept of those inside."""
        if self.inside is None or self.affine is None:
            names = tuple(name for name, keep in zip(self.names, kept, strict=True) if keep)
            sides = np.array([name[0] for name in names])
            regions = {word: sides == side for word, side in (("left", "L"), ("right", "R")) if (sides == side).any()}
            return Sensors(names, ("voxel",) * len(names), 0.0, 0.0, unit, regions=regions)
        chosen = self.inside.copy()
        chosen[self.inside] = kept
        return voxel_sensors(chosen, self.affine, unit=unit, regions=self.regions)


def read_space(runs: Sequence[PreprocessedRun], mask: Path | None, regions: Mapping[str, Path]) -> Region:
    """Find the part of the brain that all runs of a subject have.

    Parameters
    ----------
    runs : sequence of PreprocessedRun
        In one space.
    mask : Path, optional
        A mask instead of the runs' own.
    regions : mapping of str to Path
        Masks of named regions.

    Returns
    -------
    Region
        The mask, or the voxels that are in the brain masks of all runs.

    Raises
    ------
    ConfigError
        If a mask is given for a surface.
    DataError
        If masks are empty, do not overlap or lie on different grids.
    """
    first = runs[0]
    if first.mask is None:
        if mask is not None or regions:
            raise ConfigError(
                f"mask: got {mask or next(iter(regions.values()))}, but {first.space} has no grid of voxels"
            )
        return Region(None, None, _names_of(first.run.file))
    values, affine = load_image(mask or first.mask)
    inside = load_mask(mask or first.mask, values.shape, affine)
    for run in runs[1:] if mask is None else []:
        if run.mask is not None:
            inside = inside & load_mask(run.mask, inside.shape, affine)
    if not inside.any():
        raise DataError(f"{first.mask}: no voxel is in the brain masks of all {len(runs)} runs")
    found = {name: load_mask(path, inside.shape, affine) for name, path in regions.items()}
    return Region(inside, affine, regions=found)


def read_series(run: PreprocessedRun, space: Region) -> tuple[NDArray[np.float32], float | None]:
    """Read the time series of a run.

    Parameters
    ----------
    run : PreprocessedRun
        The run.
    space : Region
        From `read_space`.

    Returns
    -------
    signals : ndarray of float32, shape (n_volumes, n_voxels)
        As fMRIPrep wrote them.
    step : float or None
        Seconds between volumes, if the header says so with its unit.

    Raises
    ------
    DataError
        If the file is cut, on another grid, or not finite.
    """
    path = run.run.file
    if space.inside is not None and space.affine is not None:
        signals, step = read_masked(path, space.inside, space.affine), _step_of(path)
    else:
        signals, step = _read_surface(path)
    if signals.ndim != 2 or len(signals) < 3:
        raise DataError(f"{path}: {len(signals)} volume(s), expected a time series")
    finite = np.isfinite(signals)
    if not finite.all():
        volume, voxel = np.argwhere(~finite)[0]
        raise DataError(f"{path}: voxel {voxel} of those read is not finite in volume {volume}")
    return signals, step


def varying_voxels(runs: Sequence[PreprocessedRun], space: Region) -> NDArray[np.bool_]:
    """Find the voxels that have a signal in every run: one that changes, with a mean above 0."""
    kept: NDArray[np.bool_] | None = None
    for run in runs:
        signals, _ = read_series(run, space)
        mine = (signals.max(axis=0) > signals.min(axis=0)) & (signals.mean(axis=0) > 0)
        kept = mine if kept is None else kept & mine
    if kept is None or not kept.any():
        raise DataError(f"{runs[0].run.file}: no voxel has a signal in all {len(runs)} runs")
    return kept


def other_hemisphere(left: Path) -> Path:
    """Give the right hemisphere's file, under the names of every release.

    Examples
    --------
    >>> other_hemisphere(Path("a_hemi-L_space-fsaverage5_bold.func.gii")).name
    'a_hemi-R_space-fsaverage5_bold.func.gii'
    >>> other_hemisphere(Path("a_bold_space-fsaverage5.L.func.gii")).name
    'a_bold_space-fsaverage5.R.func.gii'
    """
    name = re.sub(r"_hemi-L(?=[_.])", "_hemi-R", left.name)
    return left.with_name(name if name != left.name else left.name.replace(".L.func", ".R.func"))


def _step_of(path: Path) -> float | None:
    import nibabel

    header: Any = nibabel.load(path).header
    scale = SECONDS_OF_UNIT.get(header.get_xyzt_units()[1])
    step = float(header.get_zooms()[3])
    return step * scale if scale is not None and step > 0 else None


def _read_surface(path: Path) -> tuple[NDArray[np.float32], float | None]:
    import nibabel

    try:
        if path.name.endswith(".gii"):
            sides = [_read_gifti(side) for side in (path, other_hemisphere(path))]
            if len(sides[0]) != len(sides[1]):
                raise DataError(f"{path}: {len(sides[0])} volumes, the other hemisphere has {len(sides[1])}")
            return np.concatenate(sides, axis=1), None
        image: Any = nibabel.load(path)
        return np.asarray(image.dataobj, dtype=np.float32), float(image.header.get_axis(0).step)
    except DataError:
        raise
    except Exception as error:  # nibabel, zlib and the XML parser each have their own exceptions
        raise DataError(f"{path}: not readable as a surface ({' '.join(str(error).split())})") from error


def _read_gifti(path: Path) -> NDArray[np.float32]:
    import nibabel

    if not path.is_file():
        raise DataError(f"{path}: no such file")
    image: Any = nibabel.load(path)
    return np.stack([np.asarray(array.data, dtype=np.float32) for array in image.darrays])


def _names_of(path: Path) -> tuple[str, ...]:
    """Name vertices by hemisphere and number, grayordinates by number."""
    import nibabel

    if not path.name.endswith(".gii"):
        image: Any = nibabel.load(path)
        return tuple(f"g{number:05d}" for number in range(image.shape[1]))
    counts = []
    for side in (path, other_hemisphere(path)):
        if not side.is_file():
            raise DataError(f"{side}: no such file; it is the other hemisphere of {path.name}")
        loaded: Any = nibabel.load(side)
        counts.append(len(loaded.darrays[0].data))
    return tuple(f"{side}{number:05d}" for side, count in zip("LR", counts, strict=True) for number in range(count))
