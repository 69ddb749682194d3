"""KIT recordings in BIDS: opened with MNE, with markers and digitised points where they are there."""

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.files import read_json, read_table
from neurodecode.datasets.speech_signals import first_line

ELP_POINTS = 8
DURATION_TOLERANCE = 1.0
# The converter has 16 bits.
BYTES_OF_SAMPLE = 2


def open_kit(path: Path) -> tuple[Any, list[str]]:
    """Open a KIT recording, with its markers and digitised points where they are there.

    MNE takes digitised points from ``.pos`` files as numbers only, so they are read here: comments, then x, y and z in
    millimetres.

    Parameters
    ----------
    path : Path
        The ``.con`` file.

    Returns
    -------
    raw : mne.io.BaseRaw
        Not loaded.
    flags : list of str
        That positions are those in the device, if so.

    Raises
    ------
    DataError
        If the file cannot be read, is shorter than its sidecar says, or only a part of markers and points is there.
    """
    import mne

    stem = path.name.removesuffix("_meg.con")
    session = re.sub(r"_task-[A-Za-z0-9]+$", "", stem)
    extra = {
        "mrk": path.with_name(f"{stem}_markers.mrk"),
        "elp": path.with_name(f"{session}_acq-ELP_headshape.pos"),
        "hsp": path.with_name(f"{session}_acq-HSP_headshape.pos"),
    }
    there = [file for file in extra.values() if file.is_file()]
    arguments: Mapping[str, Any] = {}
    if len(there) == len(extra):
        arguments = {
            "mrk": extra["mrk"],
            "elp": read_points(extra["elp"], ELP_POINTS),
            "hsp": read_points(extra["hsp"]),
        }
    elif there:
        missing = next(file for file in extra.values() if not file.is_file())
        raise DataError(f"{missing}: missing, while {there[0].name} is there; the head's place needs all three")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            raw = mne.io.read_raw_kit(path, **arguments, stim=None, verbose="error")
    except Exception as error:  # a broken file ends in whatever exception its reader stumbles on
        raise DataError(f"{path}: not readable as a KIT recording ({first_line(error)})") from error
    _check_length(path, raw)
    return raw, [] if arguments else ["no markers or digitised points: sensor positions are those in the device"]


def _check_length(path: Path, raw: Any) -> None:
    """Compare the length that the header says with the file's size and with its sidecar."""
    needed = raw.n_times * len(raw.ch_names) * BYTES_OF_SAMPLE
    if raw.n_times < 1 or path.stat().st_size < needed:
        raise DataError(
            f"{path}: {path.stat().st_size} bytes, expected {needed} or more for {raw.n_times} samples of "
            f"{len(raw.ch_names)} channels; it was cut"
        )
    sidecar = path.with_suffix(".json")
    promised = read_json(sidecar).get("RecordingDuration") if sidecar.is_file() else None
    duration = raw.n_times / raw.info["sfreq"]
    if isinstance(promised, int | float) and duration < promised - DURATION_TOLERANCE:
        raise DataError(
            f"{path}: {duration:.1f} s of signal, expected {promised:.1f} s as {sidecar.name} says; it was cut"
        )


def read_points(path: Path, count: int | None = None) -> NDArray[np.float64]:
    """Read digitised points in metres: ``(n_points, 3)``.

    Raises
    ------
    DataError
        If the file is no table of three numbers a line, or has another number of points.
    """
    try:
        points = np.loadtxt(path, comments="%", ndmin=2) / 1000
    except (ValueError, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not readable as digitised points ({first_line(error)})") from None
    if points.ndim != 2 or points.shape[1] != 3 or (count is not None and len(points) != count):
        raise DataError(f"{path}: got points of shape {points.shape}, expected ({count or 'any'}, 3)")
    return points


def called_bad(path: Path, names: Sequence[str]) -> list[str]:
    """List what the channels table beside a recording calls bad, and check that it names the recorded channels."""
    table_path = path.with_name(path.name.replace("_meg.con", "_channels.tsv"))
    if not table_path.is_file():
        return []
    table = read_table(table_path, required=("name", "type"), text=("name", "type", "status"))
    said = [str(name) for name in table["name"]]
    for name in names:
        if name not in said:
            raise DataError(
                f"{table_path}: has no channel {name!r}, which {path.name} has ({len(said)} channels named)"
            )
    if [name for name in said if name in set(names)] != list(names):
        raise DataError(f"{table_path}: names the channels in another order than {path.name}")
    if "status" not in table.columns:
        return []
    return [str(name) for name in table.loc[table["status"].str.lower() == "bad", "name"]]
