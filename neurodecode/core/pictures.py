"""Pictures by reference: a file of its own, or a place within an HDF5 or npz file, a tensor of torch or a tar archive.

``set/cat.png`` is a file, ``stimuli.hdf5#imgBrick/12`` is the thirteenth entry of a dataset, ``images.npz#train/12``
that of an array, ``stimuli.pt#12`` that of a tensor, and ``shard.tar#cat.jpg`` is a member of an archive. Data sets
with tens of thousands of pictures come in such containers, and copying them out would take the same space again.
"""

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.files import sha256_of_file
from neurodecode.core.npz_arrays import map_array
from neurodecode.core.tar_files import index_tar
from neurodecode.core.tensors import open_tensor

if TYPE_CHECKING:
    from PIL import Image

HDF5 = (".hdf5", ".h5")
TAR = (".tar",)
TORCH = (".pt",)
NPZ = (".npz",)


def split_reference(reference: str) -> tuple[str, str]:
    """Separate the file of a picture from the place within it.

    Parameters
    ----------
    reference : str
        A path, or a path to an HDF5 or npz file, tensor or tar archive, ``#`` and a place.

    Returns
    -------
    path : str
        The file.
    place : str
        Empty for a file of its own.

    Examples
    --------
    >>> split_reference("nsd_stimuli.hdf5#imgBrick/12")
    ('nsd_stimuli.hdf5', 'imgBrick/12')
    >>> split_reference("set/cat#2.png")
    ('set/cat#2.png', '')
    """
    path, mark, place = reference.partition("#")
    return (path, place) if mark and path.lower().endswith((*HDF5, *TAR, *TORCH, *NPZ)) else (reference, "")


def read_picture(root: Path, reference: str) -> "Image.Image":
    """Read a picture whole.

    Parameters
    ----------
    root : Path
        The folder that the reference is relative to.
    reference : str
        See `split_reference`. A dataset or tensor holds pictures as uint8 ``(n, height, width, 3)`` or
        ``(n, 3, height, width)``, or as numbers from 0 to 1 of the second shape; or whole files (JPEG, PNG) as bytes of
        any length ``(n,)``.

    Returns
    -------
    PIL.Image.Image
        RGB, or what the picture's file says.

    Raises
    ------
    DataError
        If the file or the place is missing, or is not a picture.
    """
    name, place = split_reference(reference)
    path = root / name
    if not place:
        return load_picture(path)
    if name.lower().endswith(TAR):
        return _decode(io.BytesIO(_member(path, place)), f"{path}: member {place!r}")
    from PIL import Image

    values, where = _entry(path, place), f"{path}: {place}"
    return (
        _decode(io.BytesIO(values.tobytes()), where)
        if values.ndim == 1
        else Image.fromarray(as_pixels(values, where=where))
    )


def digest_of_picture(root: Path, reference: str) -> str:
    """Compute the SHA-256 of what a reference names: a file, a member, or the values of an entry."""
    name, place = split_reference(reference)
    path = root / name
    if not place:
        return sha256_of_file(path)
    if name.lower().endswith(TAR):
        return hashlib.sha256(_member(path, place)).hexdigest()
    return hashlib.sha256(np.ascontiguousarray(_entry(path, place)).tobytes()).hexdigest()


def load_picture(path: Path) -> "Image.Image":
    """Read a picture that is a file of its own, or raise a DataError that names it."""
    try:
        with path.open("rb") as file:
            return _decode(io.BytesIO(file.read()), str(path))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: not readable as a picture ({error.strerror})") from None


def _decode(file: io.BytesIO, where: str) -> "Image.Image":
    from PIL import Image

    try:
        with Image.open(file) as picture:
            picture.load()
            return picture
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{where}: not readable as a picture ({str(error).splitlines()[0][:120]})") from None


def as_pixels(values: NDArray[Any], *, where: str) -> NDArray[np.uint8]:
    """Turn a stored picture into pixels.

    Parameters
    ----------
    values : ndarray
        uint8 ``(height, width, 3)`` or ``(3, height, width)``; floating ``(3, height, width)`` from 0 to 1, or
        ``(height, width, 3)`` from 0 to 255.
    where : str
        How messages name it.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        Rounded to the nearest.

    Raises
    ------
    DataError
        If it is neither.

    Examples
    --------
    >>> as_pixels(np.ones((3, 1, 2), dtype=np.float16), where="x").tolist()
    [[[255, 255, 255], [255, 255, 255]]]
    """
    if values.dtype == np.uint8 and values.ndim == 3 and values.shape[2] == 3:
        return values
    if values.dtype == np.uint8 and values.ndim == 3 and values.shape[0] == 3:
        return np.ascontiguousarray(values.transpose(1, 2, 0))
    if values.dtype.kind == "f" and values.ndim == 3 and values.shape[0] == 3:
        low, high = float(values.min()), float(values.max())
        if 0 <= low and high <= 1:  # false for NaN
            pixels: NDArray[np.uint8] = np.rint(values.astype(np.float32) * 255).astype(np.uint8).transpose(1, 2, 0)
            return np.ascontiguousarray(pixels)
        raise DataError(f"{where}: values from {low:g} to {high:g}, expected 0 to 1")
    if values.dtype.kind == "f" and values.ndim == 3 and values.shape[2] == 3:
        low, high = float(values.min()), float(values.max())
        if 0 <= low and 1 < high <= 255:  # up to 1 it could be either scale
            rounded: NDArray[np.uint8] = np.rint(values).astype(np.uint8)
            return rounded
        raise DataError(f"{where}: values from {low:g} to {high:g}, expected 0 to 255")
    raise DataError(
        f"{where}: {values.dtype} of shape {values.shape}, expected uint8 (height, width, 3) or floats (3, ...)"
    )


def _member(path: Path, name: str) -> bytes:
    members = index_tar(path)
    if name not in members:
        raise DataError(f"{path}: no member {name!r} among {len(members)}")
    return members[name].read()


def _entry(path: Path, place: str) -> NDArray[Any]:
    if path.name.lower().endswith(NPZ):
        return _array(path, place)
    return _tensor(path, place) if path.name.lower().endswith(TORCH) else _dataset(path, place)


def _array(path: Path, place: str) -> NDArray[Any]:
    name, _, index = place.rpartition("/")
    content = map_array(path, name)
    if content.ndim != 4 or not index.isdecimal() or int(index) >= len(content):
        raise DataError(f"{path}: no picture {index} in {name!r} of shape {content.shape}")
    return np.asarray(content[int(index)])


def _tensor(path: Path, index: str) -> NDArray[Any]:
    content = open_tensor(path)
    if content.ndim != 4 or not index.isdecimal() or int(index) >= len(content):
        raise DataError(f"{path}: no picture {index} in a tensor of shape {tuple(content.shape)}")
    values: NDArray[Any] = content[int(index)].numpy()
    return values


def _dataset(path: Path, place: str) -> NDArray[Any]:
    import h5py

    name, _, index = place.rpartition("/")
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        with h5py.File(path, "r") as file:
            if not isinstance(file.get(name), h5py.Dataset):
                raise DataError(f"{path}: no dataset {name!r}, it has {', '.join(file) or 'none'}")
            dataset = file[name]
            files = dataset.ndim == 1 and h5py.check_vlen_dtype(dataset.dtype) == np.uint8
            if not index.isdecimal() or not (dataset.ndim == 4 or files) or int(index) >= len(dataset):
                raise DataError(f"{path}: no picture {index} in {name!r} of shape {dataset.shape}")
            values: NDArray[Any] = dataset[int(index)]
            return values
    except DataError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise DataError(f"{path}: not readable as a whole HDF5 file ({str(error).splitlines()[0]})") from None
