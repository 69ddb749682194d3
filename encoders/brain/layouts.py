"""Where every subject's channels were measured, as encoders see it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.sensors import Sensors

#: Middle of the head, in metres, in head coordinates (between the ears, a little above them).
HEAD_CENTRE = (0.0, 0.0, 0.04)
AGREEMENT = 1e-3


@dataclass(frozen=True)
class SensorLayout:
    """The channels of one subject that reach the encoder, after the transforms have chosen among them.

    Parameters
    ----------
    names : tuple of str
        One a channel.
    sfreq : float
        Sampling rate in Hz; 0 for maps.
    positions : ndarray of shape (n_channels, 2), optional
        Flat positions, NaN where unknown; any unit.
    grid : ndarray of int, shape (n_channels, 3), optional
        Voxel indices in the volume.
    volume : tuple of int, optional
        Shape of the volume that `grid` indexes.
    regions : dict of str to ndarray of bool, shape (n_channels,)
        Named subsets, such as ``V1``; they may overlap.

    Raises
    ------
    DataError
        If a table has another number of rows than there are names.

    Examples
    --------
    >>> layout = SensorLayout(("Oz", "Pz"), 250.0, positions=np.array([[0.0, -0.1], [0.0, np.nan]]))
    >>> SensorLayout.from_plain(layout.to_plain()).agrees(layout)
    True
    """

    names: tuple[str, ...]
    sfreq: float
    positions: NDArray[np.float64] | None = None
    grid: NDArray[np.int64] | None = None
    volume: tuple[int, int, int] | None = None
    regions: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for label, table, width in (("positions", self.positions, 2), ("grid", self.grid, 3)):
            if table is not None and table.shape != (len(self.names), width):
                raise DataError(f"layout: {label} has shape {table.shape}, expected {(len(self.names), width)}")

    @classmethod
    def of(cls, sensors: Sensors) -> "SensorLayout":
        """Take what encoders need from the sensors of a recording."""
        positions = flat_positions(sensors)
        return cls(sensors.names, float(sensors.sfreq), positions, sensors.grid, sensors.volume, dict(sensors.regions))

    def to_plain(self) -> dict[str, Any]:
        """Give plain values, each table as one short text, for checkpoints and configurations."""
        return {
            "channels": list(self.names),
            "sfreq": self.sfreq,
            "positions": None if self.positions is None else _to_text(np.round(self.positions, 5)),
            "grid": None if self.grid is None else _to_text(self.grid),
            "volume": None if self.volume is None else list(self.volume),
            "regions": {name: _runs(mask) for name, mask in self.regions.items()},
        }

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> "SensorLayout":
        """Build from :meth:`to_plain`, other entries aside; tables that are not there count as unknown."""
        positions, grid, volume = (values.get(key) for key in ("positions", "grid", "volume"))
        count = len(values["channels"])
        return cls(
            tuple(str(name) for name in values["channels"]),
            float(values["sfreq"]),
            None if positions is None else _from_text(positions),
            None if grid is None else _from_text(grid).astype(np.int64),
            None if volume is None else (int(volume[0]), int(volume[1]), int(volume[2])),
            {str(name): _from_runs(text, count) for name, text in (values.get("regions") or {}).items()},
        )

    def agrees(self, other: "SensorLayout") -> bool:
        """Tell whether positions and voxels are the same, as far as both know them."""
        pairs = ((self.positions, other.positions), (self.grid, other.grid))
        return all(
            mine is None
            or theirs is None
            or (mine.shape == theirs.shape and bool(np.allclose(mine, theirs, atol=AGREEMENT, equal_nan=True)))
            for mine, theirs in pairs
        ) and (None in (self.volume, other.volume) or self.volume == other.volume)


class SubjectSensors(dict[str, int]):
    """Number of channels of every subject, which also knows their layouts.

    Encoders and front ends are built from a mapping of subjects to channel counts. Those that need more ask
    :func:`layouts_of`.

    Parameters
    ----------
    layouts : mapping of str to SensorLayout
        By subject.

    Examples
    --------
    >>> sensors = SubjectSensors({"sub-01": SensorLayout(("Oz", "Pz"), 250.0)})
    >>> dict(sensors)
    {'sub-01': 2}
    """

    def __init__(self, layouts: Mapping[str, SensorLayout]) -> None:
        super().__init__({subject: len(layout.names) for subject, layout in layouts.items()})
        self.layouts = dict(layouts)


def layouts_of(n_channels: Mapping[str, int], *, who: str, needs: str) -> dict[str, SensorLayout]:
    """Return the layouts of all subjects, or say who lacks what.

    Parameters
    ----------
    n_channels : mapping
        What an encoder or front end was built from.
    who : str
        Name of the part that asks, for messages.
    needs : str
        ``positions`` or ``grid``.

    Raises
    ------
    ConfigError
        If layouts were not given, or one lacks what is needed.

    Examples
    --------
    >>> layouts_of({"sub-01": 2}, who="FourierAttention", needs="positions")
    Traceback (most recent call last):
    ...
    neurodecode.core.errors.ConfigError: FourierAttention: got channel counts alone, expected sensor layouts as well
    """
    if not isinstance(n_channels, SubjectSensors):
        raise ConfigError(f"{who}: got channel counts alone, expected sensor layouts as well")
    for subject, layout in n_channels.layouts.items():
        table = layout.positions if needs == "positions" else layout.grid
        if table is None or not np.isfinite(table).all(axis=1).any():
            raise ConfigError(f"{who}: {subject} has no {needs} of its channels, expected them in the study's sensors")
    return n_channels.layouts


def flat_positions(sensors: Sensors) -> NDArray[np.float64] | None:
    """Return a flat layout of the sensors: the given one, or a view from above.

    Positions in space are projected around the middle of the head, keeping angles from the vertex as distances.

    Parameters
    ----------
    sensors : Sensors
        With `layout`, `positions` (metres), or neither.

    Returns
    -------
    ndarray of shape (n_channels, 2), or None
        x to the right, y to the front; NaN where unknown. None where nothing is known, and for voxels and parcels.

    Examples
    --------
    >>> above = Sensors(("Cz",), ("eeg",), 100.0, 0.0, "V", positions=np.array([[0.0, 0.0, 0.13]]))
    >>> flat_positions(above)
    array([[0., 0.]])
    """
    if sensors.layout is not None:
        return np.asarray(sensors.layout, dtype=np.float64)
    if sensors.positions is None or set(sensors.kinds) <= {"voxel", "parcel"}:
        return None
    x, y, z = (np.asarray(sensors.positions, dtype=np.float64) - HEAD_CENTRE).T
    across = np.hypot(x, y)
    angle = np.arctan2(across, z)
    scale = np.divide(angle, across, out=np.zeros_like(angle), where=across > 0)
    flat = np.stack([x * scale, y * scale], axis=1)
    flat[~np.isfinite(sensors.positions).all(axis=1)] = np.nan
    return flat


def _to_text(table: NDArray[Any]) -> str:
    return "; ".join(" ".join(f"{value:g}" for value in row) for row in table)


def _from_text(text: str) -> NDArray[np.float64]:
    rows = [[float(value) for value in row.split()] for row in text.split(";")] if text else []
    return np.array(rows, dtype=np.float64)


def _runs(mask: NDArray[np.bool_]) -> str:
    """Write a mask as the lengths of its runs, beginning with one of False."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    return " ".join(str(length) for length in np.diff(edges, prepend=0))


def _from_runs(text: str, count: int) -> NDArray[np.bool_]:
    lengths = [int(length) for length in text.split()]
    mask = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return np.concatenate([mask, np.zeros(count - len(mask), dtype=bool)])
