"""Where the numbers of a recording were measured."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.files import atomic_path, fingerprint, load_arrays

KINDS = ("eeg", "mag", "grad", "voxel", "parcel", "misc")


@dataclass(frozen=True)
class Sensors:
    """The channels of one block: an electrode, a coil, a voxel or a parcel each.

    Parameters
    ----------
    names : tuple of str
        One unique name a channel.
    kinds : tuple of str
        One of ``eeg, mag, grad, voxel, parcel, misc`` a channel.
    sfreq : float
        Sampling rate in Hz; 0 for arrays with a single time (beta maps).
    tmin : float
        Time of the first sample of a window relative to its onset, in seconds.
    unit : str
        Unit of the signals, such as ``V``, ``T`` or ``a.u.``.
    positions : ndarray of shape (n_channels, 3), optional
        Positions in metres (head or scanner coordinates), NaN where unknown.
    layout : ndarray of shape (n_channels, 2), optional
        Flat layout for plots.
    regions : dict of str to ndarray of bool, shape (n_channels,)
        Named subsets, such as ``occipital`` or ``V1``.
    grid : ndarray of int, shape (n_channels, 3), optional
        Voxel indices in the volume.
    affine : ndarray of shape (4, 4), optional
        From voxel indices to millimetres.
    volume : tuple of int, optional
        Shape of the volume that `grid` indexes.

    Raises
    ------
    DataError
        If lengths differ, names repeat or a kind is unknown.

    Examples
    --------
    >>> sensors = Sensors(names=("Oz", "Pz"), kinds=("eeg", "eeg"), sfreq=250.0, tmin=0.0, unit="V")
    >>> sensors.pick(["Pz"]).names
    ('Pz',)
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    sfreq: float
    tmin: float
    unit: str
    positions: NDArray[np.float64] | None = None
    layout: NDArray[np.float64] | None = None
    regions: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    grid: NDArray[np.int64] | None = None
    affine: NDArray[np.float64] | None = None
    volume: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        count = len(self.names)
        if len(self.kinds) != count:
            raise DataError(f"sensors: {count} names but {len(self.kinds)} kinds")
        if len(set(self.names)) != count:
            repeated = next(name for name in self.names if self.names.count(name) > 1)
            raise DataError(f"sensors: the name {repeated!r} occurs more than once")
        unknown = sorted(set(self.kinds) - set(KINDS))
        if unknown:
            raise DataError(f"sensors: kind {unknown[0]!r} is not one of {', '.join(KINDS)}")
        tables = (("positions", self.positions, 3), ("layout", self.layout, 2), ("grid", self.grid, 3))
        for label, array, width in tables:
            if array is not None and array.shape != (count, width):
                raise DataError(f"sensors: {label} has shape {array.shape}, expected {(count, width)}")
        for name, mask in self.regions.items():
            if mask.shape != (count,) or mask.dtype != np.bool_:
                raise DataError(f"sensors: region {name!r} is not a boolean mask over {count} channels")

    def __len__(self) -> int:
        """Give the number of channels."""
        return len(self.names)

    def pick(self, names: Iterable[str]) -> "Sensors":
        """Keep the named channels, in the order given."""
        wanted = list(names)
        index = {name: position for position, name in enumerate(self.names)}
        missing = [name for name in wanted if name not in index]
        if missing:
            raise DataError(f"channels: {missing[0]!r} is not among the {len(self)} recorded channels")
        rows = np.array([index[name] for name in wanted], dtype=np.int64)
        return replace(
            self,
            names=tuple(wanted),
            kinds=tuple(self.kinds[row] for row in rows),
            positions=None if self.positions is None else self.positions[rows],
            layout=None if self.layout is None else self.layout[rows],
            grid=None if self.grid is None else self.grid[rows],
            regions={name: mask[rows] for name, mask in self.regions.items()},
        )

    def layout_fingerprint(self) -> str:
        """Compute a digest of what an encoder depends on: names, kinds and sampling rate, in order."""
        return fingerprint({"names": self.names, "kinds": self.kinds, "sfreq": self.sfreq})

    def save(self, path: Path) -> None:
        """Write everything to one `.npz` file without pickles, atomically."""
        arrays: dict[str, NDArray[Any]] = {
            "names": np.array(self.names, dtype=np.str_),
            "kinds": np.array(self.kinds, dtype=np.str_),
            "sfreq": np.array(self.sfreq),
            "tmin": np.array(self.tmin),
            "unit": np.array(self.unit),
        }
        for name in ("positions", "layout", "grid", "affine"):
            value = getattr(self, name)
            if value is not None:
                arrays[name] = value
        if self.volume is not None:
            arrays["volume"] = np.array(self.volume)
        for name, mask in self.regions.items():
            arrays[f"region:{name}"] = mask
        with atomic_path(path) as temporary:
            np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> "Sensors":
        """Read what `save` wrote."""
        arrays = load_arrays(path)
        try:
            return cls(
                names=tuple(str(name) for name in arrays["names"]),
                kinds=tuple(str(kind) for kind in arrays["kinds"]),
                sfreq=float(arrays["sfreq"]),
                tmin=float(arrays["tmin"]),
                unit=str(arrays["unit"]),
                positions=arrays.get("positions"),
                layout=arrays.get("layout"),
                grid=arrays.get("grid"),
                affine=arrays.get("affine"),
                volume=_volume(arrays),
                regions={name[7:]: mask for name, mask in arrays.items() if name.startswith("region:")},
            )
        except DataError:
            raise
        except Exception as error:
            raise DataError(f"{path}: not readable as a sensor file ({error})") from None


def _volume(arrays: dict[str, NDArray[Any]]) -> tuple[int, int, int] | None:
    if "volume" not in arrays:
        return None
    x, y, z = (int(size) for size in arrays["volume"])
    return x, y, z
