"""MEG serialised as HDF5 by pnpl: opened for reading only, and checked against what it says of itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.sensors import Sensors
from neurodecode.datasets.speech_signals import first_line

KINDS = ("mag", "grad")
TIME_TOLERANCE = 1e-3


@contextmanager
def open_serialised(path: Path) -> Iterator[tuple[Any, Sensors]]:
    """Open a serialised recording for reading, and check what it says of itself.

    Parameters
    ----------
    path : Path
        HDF5 with ``data`` (channels by samples), ``times``, and attributes of the file.

    Yields
    ------
    data : h5py.Dataset
        Not read.
    sensors : Sensors
        With the flat layout of MNE where all names are those of a Neuromag helmet; there are no positions inside.

    Raises
    ------
    DataError
        Naming file and key: missing, of another shape, or at odds with the others.
    """
    import h5py

    try:
        file = h5py.File(path, "r")
    except Exception as error:  # a broken file ends in whatever exception its reader stumbles on
        raise DataError(f"{path}: not readable as HDF5 ({first_line(error)})") from None
    with file:
        for key in ("data", "times"):
            if not isinstance(file.get(key), h5py.Dataset):
                raise DataError(f"{path}: has no data set {key!r}, got {', '.join(file) or 'nothing'}")
        for key in ("sample_frequency", "channel_names", "channel_types"):
            if key not in file.attrs:
                raise DataError(f"{path}: has no attribute {key!r}, got {', '.join(file.attrs) or 'none'}")
        data, times = file["data"], file["times"]
        if data.ndim != 2 or data.dtype.kind != "f":
            raise DataError(
                f"{path}: data is {data.dtype} of shape {data.shape}, expected numbers, channels by samples"
            )
        names = tuple(_listed(file.attrs["channel_names"]))
        kinds = tuple(_listed(file.attrs["channel_types"]))
        if not len(names) == len(kinds) == data.shape[0]:
            raise DataError(
                f"{path}: {len(names)} channel_names and {len(kinds)} channel_types, expected "
                f"{data.shape[0]} as in data"
            )
        unknown = sorted(set(kinds) - set(KINDS))
        if unknown:
            raise DataError(f"{path}: channel_types has {unknown[0]!r}, expected mag or grad")
        if data.compression is None and data.id.get_storage_size() < data.size * data.dtype.itemsize:
            raise DataError(
                f"{path}: data holds {data.id.get_storage_size()} bytes, expected {data.size * data.dtype.itemsize} "
                f"for its shape {data.shape}; it was not written whole"
            )
        rate = float(file.attrs["sample_frequency"])
        _check_times(np.asarray(times[()]).ravel(), data.shape[1], rate, path)
        sensors = Sensors(names, kinds, rate, 0.0, "T, T/m", layout=flat_layout(names))
        yield data, sensors


def _listed(value: Any) -> list[str]:
    text = value.decode() if isinstance(value, bytes) else str(value)
    return [name.strip() for name in text.split(",")]


def _check_times(times: NDArray[np.floating[Any]], n_samples: int, rate: float, path: Path) -> None:
    if len(times) != n_samples:
        raise DataError(f"{path}: times has {len(times)} values, expected {n_samples} as data has samples")
    if not np.isfinite(rate) or rate <= 0:
        raise DataError(f"{path}: sample_frequency is {rate:g}, expected Hz above 0")
    # In single precision a time after an hour is known to a quarter of a millisecond.
    off = np.abs(np.asarray(times, dtype=np.float64) - np.arange(n_samples) / rate)
    if n_samples and not off.max() <= TIME_TOLERANCE:
        row = int(np.argmax(~(off <= TIME_TOLERANCE)))
        raise DataError(f"{path}: times[{row}] is {times[row]:g} s, expected {row / rate:g} s at {rate:g} Hz")


def flat_layout(names: tuple[str, ...]) -> NDArray[np.float64] | None:
    """Look up Neuromag sensors in MNE's flat layout; None unless every name is in it.

    Examples
    --------
    >>> flat_layout(("MEG0111", "MEG 0112")).shape, flat_layout(("Oz",)) is None
    ((2, 2), True)
    """
    import mne

    layout = mne.channels.read_layout("Vectorview-all")
    places = {name.replace(" ", ""): place[:2] for name, place in zip(layout.names, layout.pos, strict=True)}
    wanted = [name.replace(" ", "") for name in names]
    if not set(wanted) <= set(places):
        return None
    return np.array([places[name] for name in wanted], dtype=np.float64)
