"""The recordings of the Alice EEG in both versions: FieldTrip structures and BrainVision files."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.sensors import Sensors
from neurodecode.datasets.matlab_files import read_mat, text_list
from neurodecode.datasets.regions import scalp_regions
from neurodecode.datasets.speech_signals import first_line

SFREQ = 500.0
# There is no electrode 29.
ELECTRODES = tuple(str(number) for number in range(1, 62) if number != 29)
OTHERS = ("AUD", "Aux5")
MONTAGE = "easycap-M10"


def read_fieldtrip(path: Path) -> NDArray[np.floating[Any]]:
    """Read a FieldTrip structure, and check what it says of itself: ``(n_channels, n_samples)`` in microvolts.

    Raises
    ------
    DataError
        Naming file, field, what was got and what was expected.
    """
    raw = read_mat(path, "raw")
    try:
        header = raw["hdr"]
        labels, units = text_list(header["label"]), set(text_list(header["chanunit"]))
        signals = np.asarray(raw["trial"])
        time = np.asarray(raw["time"], dtype=np.float64).ravel()
        said = {name: float(header[name]) for name in ("Fs", "nChans", "nSamples", "nSamplesPre", "nTrials")}
        said["fsample"] = float(raw["fsample"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: raw: not a FieldTrip structure ({first_line(error)})") from None
    if signals.ndim != 2 or not np.issubdtype(signals.dtype, np.number):
        raise DataError(f"{path}: raw.trial has shape {signals.shape}, expected channels by samples")
    expected = {
        "Fs": SFREQ,
        "fsample": SFREQ,
        "nChans": float(signals.shape[0]),
        "nSamples": float(signals.shape[1]),
        "nSamplesPre": 0.0,
        "nTrials": 1.0,
    }
    for name, wanted in expected.items():
        if said[name] != wanted:
            raise DataError(f"{path}: raw: {name} is {said[name]:g}, expected {wanted:g}")
    _check_labels(path, labels)
    if units != {"uV"}:
        raise DataError(f"{path}: raw.hdr.chanunit is {', '.join(sorted(units))}, expected uV")
    if len(time) != signals.shape[1] or (len(time) > 1 and np.abs(np.diff(time) - 1 / SFREQ).max() > 1e-5):
        raise DataError(f"{path}: raw.time has {len(time)} values, expected {signals.shape[1]} in steps of 1/500 s")
    return signals


def open_brainvision(path: Path) -> Any:
    """Open a BrainVision recording of the second version."""
    import mne

    try:
        raw = mne.io.read_raw_brainvision(path, verbose="error")
    except Exception as error:  # a broken file ends in whatever exception its reader stumbles on
        raise DataError(f"{path}: not readable as a BrainVision recording ({first_line(error)})") from error
    _check_labels(path, list(raw.ch_names))
    if raw.info["sfreq"] != SFREQ:
        raise DataError(f"{path}: recorded at {raw.info['sfreq']:g} Hz, expected {SFREQ:g}")
    return raw


def _check_labels(path: Path, labels: Sequence[str]) -> None:
    """Prove that the first 60 channels are the electrodes in order; eye and, perhaps, sound follow."""
    wanted = (*ELECTRODES, "VEOG")
    for row, name in enumerate(wanted):
        if row >= len(labels) or labels[row] != name:
            got = repr(labels[row]) if row < len(labels) else "nothing"
            raise DataError(f"{path}: channel {row + 1} is {got}, expected {name!r}")
    for name in labels[len(wanted) :]:
        if name not in OTHERS:
            raise DataError(f"{path}: channel {labels.index(name) + 1} is {name!r}, expected AUD, Aux5 or no more")


def electrodes(names: Sequence[str], sfreq: float, tmin: float) -> Sensors:
    """Describe electrodes of the equidistant cap M10, with the template's positions in metres."""
    import mne

    info = mne.create_info(list(ELECTRODES), SFREQ, "eeg", verbose="error")
    info.set_montage(mne.channels.make_standard_montage(MONTAGE), verbose="error")
    positions = np.array([channel["loc"][:3] for channel in info["chs"]], dtype=np.float64)
    whole = Sensors(
        names=ELECTRODES,
        kinds=("eeg",) * len(ELECTRODES),
        sfreq=sfreq,
        tmin=tmin,
        unit="V",
        positions=positions,
        regions=scalp_regions(ELECTRODES, positions),
    )
    return replace(whole.pick(names), sfreq=sfreq)
