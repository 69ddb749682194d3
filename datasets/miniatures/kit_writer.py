"""Write a KIT recording (``.con``), its marker coils (``.mrk``) and its digitised head (``.pos``), for miniatures.

MNE reads KIT but does not write it. The layout follows MNE's reader (``mne.io.kit``): little-endian, a table of
directories, 16-bit integers sample by sample, and a gain for each sensor.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError

TYPES = {"meg": 2, "reference": 0x101, "trigger": -1, "misc": -4, "null": 0}
# New York University Abu Dhabi since 2012, with the electronics that its files name.
SYSTEM, SYSTEM_NAME = 441, "New York University Abu Dhabi"
FLUX_LOCKED_LOOP = 120
ENTRIES, ENTRY_SIZE, CHANNEL_SIZE = 32, 16, 96
ADC_RANGE, ADC_BITS = 10.0, 16
VOLTS_PER_STEP = ADC_RANGE / 2**ADC_BITS
LARGEST_STEP = 2 ** (ADC_BITS - 1) - 1
HELMET_RADIUS = 0.12
N_COILS = 5


@dataclass(frozen=True)
class KitLayout:
    """Which channels a KIT system has, in the order of the file.

    Parameters
    ----------
    meg, reference, trigger, misc, null : int
        Number of axial gradiometers, reference magnetometers, trigger lines, other inputs and unused places.
    """

    meg: int = 208
    reference: int = 16
    trigger: int = 8
    misc: int = 24
    null: int = 0

    @property
    def kinds(self) -> list[str]:
        """List the kind of each channel."""
        return [kind for kind in TYPES for _ in range(int(getattr(self, kind)))]

    def positions(self) -> NDArray[np.float64]:
        """Spread the sensors over a helmet, in metres and in the device's coordinates: ``(meg, 3)``."""
        index = np.arange(self.meg)
        height = 1 - 1.2 * (index + 0.5) / self.meg
        turn = np.pi * (1 + 5**0.5) * index
        flat = np.sqrt(1 - height**2)
        return HELMET_RADIUS * np.stack([flat * np.cos(turn), flat * np.sin(turn), height], axis=1)


def write_kit(path: Path, signals: NDArray[np.floating[Any]], layout: KitLayout, sfreq: float) -> Path:
    """Write signals as a continuous KIT file that ``mne.io.read_raw_kit`` reads back.

    Parameters
    ----------
    path : Path
        Must end in ``.con`` or ``.sqd``.
    signals : ndarray, shape (n_channels, n_samples)
        In tesla for sensors and references, in volts (less than 5) for the others. Each sensor keeps 15 bits of its
        own range.
    layout : KitLayout
        The kinds of the rows.
    sfreq : float
        In Hz.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    ConfigError
        If the rows are not those of the layout, or an input exceeds the converter's range.

    Examples
    --------
    >>> import tempfile, mne
    >>> layout = KitLayout(meg=4, reference=1, trigger=1, misc=0)
    >>> signals = np.random.default_rng(0).normal(0, 1e-13, (6, 300))
    >>> with tempfile.TemporaryDirectory() as place:
    ...     path = write_kit(Path(place) / "a.con", signals, layout, 1000.0)
    ...     raw = mne.io.read_raw_kit(path, stim=None, verbose="error")
    ...     bool(np.abs(raw.get_data()[:5] - signals[:5]).max() < 1e-17)
    True
    """
    kinds = layout.kinds
    if path.suffix not in (".con", ".sqd"):
        raise ConfigError(f"path: got {path.name}, expected a name that ends in .con or .sqd")
    if signals.ndim != 2 or len(signals) != len(kinds):
        raise ConfigError(f"signals: got shape {signals.shape}, expected {len(kinds)} rows")
    sensor = np.array([kind in ("meg", "reference") for kind in kinds])
    largest = np.abs(signals).max(axis=1, initial=0.0)
    gains = np.where(sensor & (largest > 0), largest / (LARGEST_STEP * VOLTS_PER_STEP), 1.0)
    steps = np.round(signals / (gains[:, None] * VOLTS_PER_STEP))
    outside = np.abs(steps).max(axis=1, initial=0.0) > LARGEST_STEP
    if outside.any():
        row = int(np.argmax(outside))
        raise ConfigError(f"signals: channel {row} ({kinds[row]}) reaches {largest[row]:g} V, expected less than 5")
    calibration = np.stack([np.zeros(len(kinds)), gains], axis=1).astype("<f8").tobytes()
    acquisition = struct.pack("<idii", 1, sfreq, 0, signals.shape[1])
    parts = {
        1: (_system(len(kinds)), 1),
        4: (_channels(layout), len(kinds)),
        5: (calibration, len(kinds)),
        7: (struct.pack("<i", 0), 1),
        8: (acquisition, 1),
        9: (np.ascontiguousarray(steps.T, dtype="<i2").tobytes(), signals.shape[1]),
    }
    path.write_bytes(_with_table(parts, sizes={4: CHANNEL_SIZE}))
    return path


def write_markers(path: Path, coils: NDArray[np.float64]) -> Path:
    """Write where the marker coils were, as ``.mrk``.

    Parameters
    ----------
    path : Path
        The file.
    coils : ndarray, shape (5, 3)
        In metres, in the device's coordinates.
    """
    content = struct.pack("<i", 1) + np.zeros(32, dtype="<f8").tobytes() + struct.pack("<i", len(coils))
    for coil in np.asarray(coils, dtype=np.float64):
        content += struct.pack("<4i", 0, 0, 0, 1) + struct.pack("<3d3d", 0.0, 0.0, 0.0, *coil)
    path.write_bytes(_with_table({12: (content + bytes(256), 1)}))
    return path


def write_points(path: Path, points: NDArray[np.float64], title: str) -> Path:
    """Write digitised points as ``.pos``: comments that begin with ``%``, then x, y and z in millimetres.

    Parameters
    ----------
    path : Path
        The file.
    points : ndarray, shape (n_points, 3)
        In metres.
    title : str
        First line.
    """
    lines = [f"% {title}", f"% {len(points)} points, in mm"]
    lines += ["\t".join(f"{value:.3f}" for value in point) for point in np.asarray(points) * 1000]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    return path


def digitised_head() -> dict[str, NDArray[np.float64]]:
    """Give the points of a made-up head, in metres: ``elp`` (nasion, left and right ear, five coils), ``hsp``, ``mrk``.

    The head lies straight in the device, 4 cm below its origin; ``mrk`` are the coils as the sensors saw them.

    Examples
    --------
    >>> {name: points.shape for name, points in digitised_head().items()}
    {'elp': (8, 3), 'hsp': (60, 3), 'mrk': (5, 3)}
    """
    fiducials = np.array([[0.1, 0, 0], [0, 0.075, 0], [0, -0.075, 0]])
    coils = np.array(
        [[0.09, 0, 0.05], [0.08, 0.04, 0.04], [0.08, -0.04, 0.04], [0.01, 0.072, 0.02], [0.01, -0.072, 0.02]]
    )
    turn = np.linspace(0, 6 * np.pi, 60)
    height = np.linspace(0.02, 0.1, 60)
    flat = np.sqrt(0.1101**2 - height**2)
    shape = np.stack([0.8 * flat * np.cos(turn), 0.68 * flat * np.sin(turn), height], axis=1)
    return {"elp": np.concatenate([fiducials, coils]), "hsp": shape, "mrk": coils - np.array([0, 0, 0.04])}


def _system(n_channels: int) -> bytes:
    out = struct.pack("<3i", 2, 4, SYSTEM) + _text(SYSTEM_NAME, 128) + _text("", 128)
    out += struct.pack("<i", n_channels) + _text("", 256) + struct.pack("<2i", 1341990000, 1341990000)
    # Style of the dewar, electronics, kind of trigger and of converter, each after twelve reserved bytes.
    for value in (0, FLUX_LOCKED_LOOP, 0, 0):
        out += bytes(12) + struct.pack("<i", value)
    return out + bytes(116) + struct.pack("<d3i", ADC_RANGE, 1, ADC_BITS, ADC_BITS)


def _channels(layout: KitLayout) -> bytes:
    positions = layout.positions()
    out, numbers = b"", {"trigger": 0, "misc": 0, "reference": 0, "null": 0, "meg": 0}
    for kind in layout.kinds:
        record = struct.pack("<i", TYPES[kind])
        number = numbers[kind]
        numbers[kind] += 1
        if kind == "meg":
            x, y, z = positions[number]
            theta, phi = np.degrees(np.arccos(z / HELMET_RADIUS)), np.degrees(np.arctan2(y, x))
            record += struct.pack("<5d", x, y, z, theta, phi)
        elif kind == "reference":
            record += struct.pack("<5d", 0.02 * number, 0.0, 0.25, 0.0, 0.0)
        elif kind != "null":
            record += struct.pack("<i", number + 1)
        out += record.ljust(CHANNEL_SIZE, b"\0")
    return out


def _with_table(parts: Mapping[int, tuple[bytes, int]], *, sizes: Mapping[int, int] | None = None) -> bytes:
    """Put the table of directories before the parts: offset, size, room and count of each."""
    table, content = [], b""
    for entry in range(ENTRIES):
        part, count = parts.get(entry, (b"", 0))
        if entry == 0:
            table.append(struct.pack("<Iiii", 0, ENTRY_SIZE, ENTRIES, ENTRIES))
            continue
        size = (sizes or {}).get(entry, len(part) // max(count, 1))
        table.append(struct.pack("<Iiii", ENTRIES * ENTRY_SIZE + len(content), size, count, count))
        content += part
    return b"".join(table) + content


def _text(text: str, size: int) -> bytes:
    return text.encode("ascii").ljust(size, b"\0")[:size]
