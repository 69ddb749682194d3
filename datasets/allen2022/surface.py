"""Betas, masks and noise ceilings on the surface of the average brain, a hemisphere a file."""

import contextlib
import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.sensors import Sensors
from neurodecode.datasets.allen2022.betas import VOLUMES_AT_A_TIME
from neurodecode.datasets.allen2022.release import DESIGN, Release
from neurodecode.datasets.allen2022.voxels import UNIT, mask_of_labels, read_colour_table, regions_of_labels

SPACE = "fsaverage"
HEMISPHERES = ("lh", "rh")


@contextlib.contextmanager
def open_surface(path: Path) -> Iterator[Any]:
    """Open an MGH file of one hemisphere: ``(vertices, 1, 1)`` or ``(vertices, 1, 1, trials)``.

    Parameters
    ----------
    path : Path
        ``.mgh``, or ``.mgz``, which is compressed.

    Yields
    ------
    nibabel.MGHImage
        To be read within the block; whatever goes wrong there is a DataError that names the file.

    Raises
    ------
    DataError
        If the file is missing, cut, something else, or has other dimensions.
    """
    import nibabel

    if not path.is_file():
        raise DataError(f"{path}: no such file")
    # nibabel leaves such files open when it opens them itself.
    opened = gzip.open if path.suffix == ".mgz" else open
    try:
        with opened(path, "rb") as file:
            image: Any = nibabel.MGHImage.from_file_map(nibabel.MGHImage.make_file_map({"image": file}), mmap=False)
            if len(image.shape) not in (3, 4) or image.shape[1:3] != (1, 1):
                raise DataError(f"{path}: shape {tuple(map(int, image.shape))}, expected (vertices, 1, 1[, trials])")
            yield image
    except DataError:
        raise
    except Exception as error:  # nibabel, gzip and zlib each have their own exceptions for a broken file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: not readable as a whole MGH file ({reason})") from None


def read_values(path: Path) -> NDArray[np.float64]:
    """Read one number a vertex, or raise a DataError that names the file."""
    with open_surface(path) as image:
        if len(image.shape) != 3:
            raise DataError(f"{path}: shape {tuple(map(int, image.shape))}, expected (vertices, 1, 1)")
        values: NDArray[np.float64] = np.asarray(image.dataobj, dtype=np.float64)[:, 0, 0]
        return values


def read_surface_sensors(folder: Path, mask: str) -> tuple[NDArray[np.bool_], Sensors]:
    """Read a mask of both hemispheres and describe its vertices as channels, left ones first.

    Parameters
    ----------
    folder : Path
        ``nsddata/freesurfer/fsaverage/label``, with ``lh.<name>.mgz``, ``rh.<name>.mgz`` and ``<name>.mgz.ctab``.
    mask : str
        One of those names.

    Returns
    -------
    inside : ndarray of bool, shape (2 * n_vertices,)
        The mask, left hemisphere first.
    sensors : Sensors
        With the regions ``lh`` and ``rh`` and those of all other labels in the folder.

    Raises
    ------
    DataError
        If a hemisphere of the mask is missing or a file has another number of vertices.
    """
    names = sorted(path.name[3:].removesuffix(".mgz") for path in folder.glob("lh.*.mgz"))
    paths = [folder / f"{hemisphere}.{mask}.mgz" for hemisphere in HEMISPHERES]
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path}: no such mask, there are {', '.join(names) or 'none'}")
    values = _both(paths)
    if not np.array_equal(np.rint(values), values):
        raise DataError(f"{paths[0]}: holds {values[np.rint(values) != values][0]:g}, expected whole numbers")
    inside = mask_of_labels(values.astype(np.int64), mask, paths[0])
    regions: dict[str, NDArray[np.bool_]] = {}
    for name in names:
        parts = [folder / f"{hemisphere}.{name}.mgz" for hemisphere in HEMISPHERES]
        found = _both(parts)
        if found.shape != inside.shape:
            raise DataError(
                f"{parts[0]}: {len(found) // 2} vertices, expected {len(inside) // 2} as in {paths[0].name}"
            )
        # Statistics may lie beside the labels; they are no regions.
        if not np.array_equal(np.rint(found), found):
            continue
        table = folder / f"{name}.mgz.ctab"
        labels = read_colour_table(table) if table.is_file() else {}
        regions |= regions_of_labels(name, found.astype(np.int64), inside, labels, taken=set(regions))
    half = len(inside) // 2
    vertices = np.flatnonzero(inside)
    left = vertices < half
    sensors = Sensors(
        names=tuple(f"{'lh' if vertex < half else 'rh'}{vertex % half:06d}" for vertex in vertices.tolist()),
        kinds=("voxel",) * len(vertices),
        sfreq=0.0,
        tmin=0.0,
        unit=UNIT,
        regions={"lh": left, "rh": ~left, **{name: found[inside] for name, found in regions.items()}},
    )
    return inside, sensors


def read_surface_betas(path: Path, inside: NDArray[np.bool_], out: NDArray[np.float32]) -> None:
    """Read the betas of one session, which are percent signal change in 32-bit floats.

    Parameters
    ----------
    path : Path
        ``lh.betas_sessionNN.mgh``; that of the right hemisphere lies beside it.
    inside : ndarray of bool, shape (2 * n_vertices,)
        Which vertices, left ones first.
    out : ndarray of float32, shape (n_trials, n_chosen, 1)
        Filled.

    Raises
    ------
    DataError
        Naming the file, what was got and what was expected.
    """
    expected, first = (len(inside) // 2, 1, 1, len(out)), 0
    for hemisphere, mask in zip(HEMISPHERES, np.split(inside, 2), strict=True):
        file = path.with_name(f"{hemisphere}{path.name[2:]}")
        last = first + int(mask.sum())
        with open_surface(file) as image:
            if image.shape != expected or image.get_data_dtype().kind != "f":
                raise DataError(
                    f"{file}: {image.get_data_dtype().name} of shape {tuple(map(int, image.shape))}, expected float32 "
                    f"{expected} (vertices, 1, 1, trials)"
                )
            for start in range(0, len(out), VOLUMES_AT_A_TIME):
                values = np.asarray(image.dataobj[..., start : start + VOLUMES_AT_A_TIME], dtype=np.float32)
                out[start : start + VOLUMES_AT_A_TIME, first:last, 0] = values[mask, 0, 0].T
        first = last


class SurfaceRelease(Release):
    """Read the released betas on the surface of the average brain; masks are the same for all subjects."""

    @staticmethod
    def there(root: Path, kind: str = "mgh") -> bool:
        """Tell whether such betas lie under a folder, by names only."""
        places = root.glob(f"nsddata_betas/ppdata/subj*/{SPACE}/betas_*/lh.betas_session*.{kind}")
        return (root / DESIGN).is_file() and next(places, None) is not None

    def sessions(self, subject: int) -> dict[int, Path]:
        """Find the sessions that are read, by their left hemisphere."""
        paths = {
            path: re.fullmatch(r"lh\.betas_session(\d+)\.mgh", path.name) for path in self.folder(subject).glob("lh.*")
        }
        found = sorted((int(match[1]), path) for path, match in paths.items() if match)
        last = self.options.sessions
        return {number: path for number, path in found if last is None or number <= last}

    def mask(self, subject: int) -> tuple[NDArray[np.bool_], Sensors]:
        """Read the mask of the average brain and describe its vertices."""
        return read_surface_sensors(self.root / "nsddata" / "freesurfer" / SPACE / "label", self.options.mask)

    def read(self, path: Path, inside: NDArray[np.bool_], out: NDArray[np.float32]) -> None:
        """Read one session into an array ``(n_trials, n_vertices, 1)``."""
        read_surface_betas(path, inside, out)

    def ratios(self, subject: int) -> tuple[Path, NDArray[np.floating]]:
        """Read the noise-ceiling signal-to-noise ratio of every vertex, left ones first."""
        paths = [self.folder(subject) / f"{hemisphere}.ncsnr.mgh" for hemisphere in HEMISPHERES]
        return paths[0], _both(paths)


def _both(paths: list[Path]) -> NDArray[np.float64]:
    """Read one number a vertex of both hemispheres, which have equally many."""
    values = [read_values(path) for path in paths]
    if len(values[0]) != len(values[1]):
        raise DataError(f"{paths[1]}: {len(values[1])} vertices, expected {len(values[0])} as in {paths[0].name}")
    return np.concatenate(values)
