"""CTF recordings: opened with MNE, with names that are the same whatever the sensor system's number."""

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from neurodecode.core.errors import DataError
from neurodecode.datasets.speech_signals import first_line


def open_ctf(path: Path) -> Any:
    """Open a CTF folder; sensors are called ``MLC11``, without the number that ends their names.

    Parameters
    ----------
    path : Path
        The ``.ds`` folder. Where the clock says that the signal ends early, it ends there; further files of a long
        recording are opened with it.

    Returns
    -------
    mne.io.BaseRaw
        Not loaded.

    Raises
    ------
    DataError
        If it is not there or cannot be read, naming it.
    """
    import mne

    if not path.is_dir():
        raise DataError(f"{path}: no such folder")
    try:
        with warnings.catch_warnings():
            # What matters of these warnings (channels, positions) is checked by those who call.
            warnings.simplefilter("ignore")
            return mne.io.read_raw_ctf(path, clean_names=True, verbose="error")
    except Exception as error:  # a broken file ends in whatever exception its reader stumbles on
        raise DataError(f"{path}: not readable as a CTF recording ({first_line(error)})") from error


def sensor_names(raw: Any) -> list[str]:
    """List the gradiometers of a recording, in its order; references are none of them."""
    kinds = raw.get_channel_types()
    return [name for name, kind in zip(raw.ch_names, kinds, strict=True) if kind in ("mag", "grad")]


def shared_sensors(paths: Iterable[Path]) -> tuple[list[str], list[str]]:
    """Find the sensors that every recording has.

    Parameters
    ----------
    paths : iterable of Path
        The recordings; only their headers are read.

    Returns
    -------
    shared, missing : list of str
        In the order of the first recording; and those that some lack.
    """
    found = [sensor_names(open_ctf(path)) for path in paths]
    every = set.intersection(*map(set, found)) if found else set()
    shared = [name for name in found[0] if name in every] if found else []
    missing = sorted(set().union(*map(set, found)) - every)
    return shared, missing
