"""Write a CTF recording (a ``.ds`` folder) as the acquisition software lays it out, for miniatures of MEG data sets.

MNE reads CTF but does not write it. The layout follows MNE's reader (``mne.io.ctf``): big-endian, channel by channel
within each trial, 32-bit integers that two gains turn into tesla.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError

Kind = Literal["meg", "reference", "eeg", "stim", "clock"]
TYPE_OF_KIND = {"reference": 0, "meg": 5, "eeg": 9, "stim": 11, "clock": 17}
CLOCK, TRIGGER = "SCLK01-177", "UPPT001"
# Sensor system's number at the end of channel names.
SUFFIX = "-1609"
# What one step of the stored integers is worth is 1 / (proper gain * q gain): about 1 fT, and 1 nV.
GAINS: dict[str, tuple[float, float]] = {
    "meg": (1e9, 1048576.0),
    "reference": (1e9, 1048576.0),
    "eeg": (1.0, 1e9),
    "stim": (1.0, 1.0),
    "clock": (1.0, 1.0),
}
# Where the list of filters begins, whatever was written before it.
POSITION_OF_FILTERS = 1844
HELMET_RADIUS, GRADIOMETER_BASELINE = 12.0, 5.0
# Fiducials in head coordinates, in cm: x through the nasion, y through the left ear.
FIDUCIALS = {"nasion": (10.0, 0.0, 0.0), "left ear": (0.0, 7.5, 0.0), "right ear": (0.0, -7.5, 0.0)}
# From head to dewar coordinates: an eighth of a turn, and down.
DEWAR_SHIFT = (0.0, 0.0, -24.0)
COILS, COEFFICIENTS = 8, 50


@dataclass(frozen=True)
class CtfChannel:
    """A channel of a CTF recording.

    Parameters
    ----------
    name : str
        Such as ``MLC11-1609``; less than 16 characters.
    kind : str
        ``meg`` (axial gradiometer), ``reference`` (magnetometer), ``eeg``, ``stim`` or ``clock``.
    position : tuple of float
        In head coordinates, in cm; only for MEG.
    """

    name: str
    kind: Kind
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)


def ctf_channels(n_meg: int, *, n_reference: int = 3, suffix: str = SUFFIX) -> list[CtfChannel]:
    """List the channels of a small CTF system: clock, trigger, references and gradiometers, in the usual order.

    Parameters
    ----------
    n_meg : int
        How many of the 275 gradiometers, spread over the helmet; two more that every file has come first.
    n_reference : int
        How many reference magnetometers.
    suffix : str
        Ends the names of the MEG channels.

    Returns
    -------
    list of CtfChannel
        ``n_meg + n_reference + 2`` channels.

    Examples
    --------
    >>> [channel.name for channel in ctf_channels(2, n_reference=1)]
    ['SCLK01-177', 'UPPT001', 'BG1-1609', 'MLC11-1609', 'MZP01-1609']
    """
    import mne

    layout = mne.channels.read_layout("CTF275.lay")
    known = [(name, place) for name, place in zip(layout.names, layout.pos, strict=True) if name.startswith("M")]
    chosen = [known[row] for row in np.linspace(0, len(known) - 1, n_meg).round().astype(int)]
    centre = np.mean([place[:2] for _, place in known], axis=0)
    reach = max(float(np.linalg.norm(place[:2] - centre)) for _, place in known)
    names = ("BG1", "BG2", "BG3", "BP1", "BP2", "BP3", "BR1", "BR2", "BR3")
    references = [
        CtfChannel(name + suffix, "reference", (2.0 * row - 4.0, 1.0, 25.0))
        for row, name in enumerate(names[:n_reference])
    ]
    gradiometers = []
    for name, place in chosen:
        across, up = (place[:2] - centre) / reach
        angle, turn = 1.8 * float(np.hypot(across, up)), float(np.arctan2(-across, up))
        height = HELMET_RADIUS * np.cos(angle) + 4.0
        flat = HELMET_RADIUS * np.sin(angle)
        position = (float(flat * np.cos(turn)), float(flat * np.sin(turn)), float(height))
        gradiometers.append(CtfChannel(name + suffix, "meg", position))
    return [CtfChannel(CLOCK, "clock"), CtfChannel(TRIGGER, "stim"), *references, *gradiometers]


def write_ctf(
    folder: Path,
    signals: NDArray[np.floating[Any]],
    channels: Sequence[CtfChannel],
    sfreq: float,
    *,
    samples_per_trial: int | None = None,
    trials_per_file: int | None = None,
    compensation: int = 0,
    subject: str = "",
) -> Path:
    """Write signals as a CTF folder that ``mne.io.read_raw_ctf`` reads back.

    Parameters
    ----------
    folder : Path
        Must end in ``.ds``; made here.
    signals : ndarray, shape (n_channels, n_samples)
        In tesla, volts or trigger codes; the clock's row is made here and ignored.
    channels : sequence of CtfChannel
        One a row.
    sfreq : float
        In Hz.
    samples_per_trial : int, optional
        Continuous recordings are stored in pieces of this length too; the last one is filled with zeros and the clock
        says where the signal ends. One piece by default.
    trials_per_file : int, optional
        Begin another ``.<n>_meg4`` file after so many pieces, as the format does at 2 GB.
    compensation : int
        Order of the software gradiometer that the signals went through (0 to 3); only marked.
    subject : str
        Written into the header.

    Returns
    -------
    Path
        `folder`.

    Raises
    ------
    ConfigError
        If a number does not fit, or the signals have no clock where it is needed or no reference channel.

    Examples
    --------
    >>> import tempfile, mne
    >>> channels = ctf_channels(4)
    >>> signals = np.random.default_rng(0).normal(0, 1e-13, (len(channels), 600))
    >>> with tempfile.TemporaryDirectory() as place:
    ...     raw = mne.io.read_raw_ctf(write_ctf(Path(place) / "a.ds", signals, channels, 600.0), verbose="error")
    ...     bool(np.abs(raw.get_data()[2:] - signals[2:]).max() < 5e-16)
    True
    """
    if folder.suffix != ".ds":
        raise ConfigError(f"folder: got {folder.name}, expected a name that ends in .ds")
    if signals.ndim != 2 or len(signals) != len(channels):
        raise ConfigError(f"signals: got shape {signals.shape}, expected {len(channels)} rows")
    if not any(channel.kind == "reference" for channel in channels):
        raise ConfigError("channels: got no reference, expected at least 1 for the table of compensations")
    length = signals.shape[1] if samples_per_trial is None else samples_per_trial
    n_trials = -(-signals.shape[1] // length)
    padded = n_trials * length != signals.shape[1]
    if padded and not any(channel.kind == "clock" for channel in channels):
        raise ConfigError(f"samples_per_trial: {signals.shape[1]} samples do not fill pieces of {length} without clock")
    stored = np.zeros((len(channels), n_trials * length), dtype=">i4")
    for row, channel in enumerate(channels):
        proper, q_gain = GAINS[channel.kind]
        values = np.round(np.asarray(signals[row], dtype=np.float64) * proper * q_gain)
        if channel.kind == "clock":
            values = np.arange(1, signals.shape[1] + 1, dtype=np.float64)
        if np.abs(values).max(initial=0.0) >= 2**31:
            raise ConfigError(f"signals: channel {channel.name} exceeds what 32 bits hold")
        stored[row, : signals.shape[1]] = values
    folder.mkdir(parents=True)
    stem = folder.name[:-3]
    per_file = n_trials if trials_per_file is None else trials_per_file
    for number, first in enumerate(range(0, n_trials, per_file)):
        trials = range(first, min(first + per_file, n_trials))
        content = b"".join(stored[:, trial * length : (trial + 1) * length].tobytes() for trial in trials)
        name = f"{stem}.meg4" if number == 0 else f"{stem}.{number}_meg4"
        (folder / name).write_bytes(b"MEG41CP\0" + content)
    header = _header(channels, sfreq, length, n_trials, compensation, subject)
    (folder / f"{stem}.res4").write_bytes(header)
    (folder / f"{stem}.hc").write_text(_head_coils())
    return folder


def _header(
    channels: Sequence[CtfChannel], sfreq: float, length: int, n_trials: int, compensation: int, subject: str
) -> bytes:
    """Put together the ``.res4`` file."""
    out = bytearray(b"MEG41RS\0")
    for text in ("", "", ""):
        out += _text(text, 256)
    out += struct.pack(">h", 0) + _text("11:20", 255) + _text("05-Feb-2013", 255)
    out += struct.pack(">ih", length, len(channels))
    _pad(out, 8)
    out += struct.pack(">ddh", sfreq, length / sfreq, n_trials)
    _pad(out, 4)
    out += struct.pack(">ihh", 0, n_trials, 0)
    _pad(out, 4)
    # Which trials are saved, the triggers' bytes and their mode.
    out += struct.pack(">i", 0) + bytes(10) + struct.pack(">h", 0)
    _pad(out, 4)
    out += struct.pack(">ih", 0, 0)
    _pad(out, 4)
    out += struct.pack(">i", 0)
    _pad(out, 4)
    out += struct.pack(">ii", 0, 0)
    for text, size in (("", 32), ("", 256), ("", 32), ("", 32), (subject, 32), ("", 32)):
        out += _text(text, size)
    out += bytes(60)
    _pad(out, 4)
    out += struct.pack(">i", 0)
    out += bytes(POSITION_OF_FILTERS - len(out))
    out += struct.pack(">h", 0)
    for channel in channels:
        out += _text(channel.name, 32)
    for channel in channels:
        out += _channel(channel, compensation)
    return bytes(out) + _compensations(channels, compensation)


def _channel(channel: CtfChannel, compensation: int) -> bytes:
    proper, q_gain = GAINS[channel.kind]
    order = compensation if channel.kind == "meg" else 0
    n_coils = {"meg": 2, "reference": 1}.get(channel.kind, 0)
    head = struct.pack(">hhi", TYPE_OF_KIND[channel.kind], 0, 0)
    head += struct.pack(">ddddhhi", proper, q_gain, 1.0, 0.0, n_coils, order, 0)
    in_head = np.asarray(channel.position)
    normal = in_head / max(float(np.linalg.norm(in_head)), 1e-9)
    coils = [in_head + index * GRADIOMETER_BASELINE * normal for index in range(n_coils)]
    records = b""
    for dewar in (True, False):
        for index in range(COILS):
            place = coils[index] if index < n_coils else np.zeros(3)
            direction = (-1) ** index * normal if index < n_coils else np.zeros(3)
            if dewar and index < n_coils:
                place, direction = _to_dewar(place), _to_dewar(direction, move=False)
            turns, area = (8, 2.5) if index < n_coils else (0, 0.0)
            # The normals of coil pairs oppose each other.
            records += struct.pack(">3dd3ddhihd", *place, 0.0, *direction, 0.0, turns, 0, 0, area)
    return head + records


def _compensations(channels: Sequence[CtfChannel], compensation: int) -> bytes:
    """Write one row of coefficients a gradiometer: the reader needs at least one, and all must agree."""
    references = [channel.name for channel in channels if channel.kind == "reference"][:COEFFICIENTS]
    rows = [channel.name for channel in channels if channel.kind == "meg"]
    kind = f"G{max(compensation, 1)}BR".encode()
    out = struct.pack(">h", len(rows))
    names = [*references, *[""] * (COEFFICIENTS - len(references))]
    weights = np.zeros(COEFFICIENTS)
    weights[: len(references)] = 0.01
    for row in rows:
        out += _text(row, 32) + kind + struct.pack(">ih", 0, len(references))
        out += b"".join(_text(name, 31) for name in names) + weights.astype(">f8").tobytes()
    return out


def _head_coils() -> str:
    """Describe where the coils on nasion and ears were, in both coordinate frames."""
    blocks = []
    for state, frame in (("standard", "dewar"), ("measured", "dewar"), ("standard", "head"), ("measured", "head")):
        for name, place in FIDUCIALS.items():
            shown = _to_dewar(np.asarray(place)) if frame == "dewar" else place
            lines = [f"\t{axis} = {value:.5f}" for axis, value in zip("xyz", shown, strict=True)]
            blocks.append("\n".join([f"{state} {name} coil position relative to {frame} (cm):", *lines]))
    return "\n".join(blocks) + "\n"


def _to_dewar(vector: NDArray[np.float64], *, move: bool = True) -> NDArray[np.float64]:
    half = np.sqrt(0.5)
    turned = np.array([half * (vector[0] - vector[1]), half * (vector[0] + vector[1]), vector[2]])
    return turned + np.asarray(DEWAR_SHIFT) if move else turned


def _text(text: str, size: int) -> bytes:
    return text.encode("ascii").ljust(size, b"\0")[:size]


def _pad(out: bytearray, step: int) -> None:
    out += bytes(-len(out) % step)
