"""One EEG or MEG recording of a BIDS data set: from the file to clean float32 signals and their sensors."""

import json
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.files import read_json
from neurodecode.core.sensors import Sensors
from neurodecode.datasets.bids_files import Run
from neurodecode.datasets.preprocessing import Preprocessing, preprocess_array
from neurodecode.datasets.regions import scalp_regions, template_name

BadChannels = Literal["drop", "interpolate", "keep"]

# The recording may be this much shorter (s) than its sidecar says before it counts as cut.
DURATION_TOLERANCE = 1.0


def read_run(
    run: Run,
    root: Path,
    datatype: Literal["eeg", "meg"],
    *,
    drop: Collection[str] = (),
    bad_channels: BadChannels = "drop",
    sfreq: float | None = None,
    tmin: float = 0.0,
    settings: Preprocessing | None = None,
) -> tuple[NDArray[np.float32], Sensors]:
    """Read one recording, check it and preprocess it.

    Only EEG electrodes or MEG magnetometers and gradiometers are kept; what the channels table calls `MISC`, `EOG`,
    `TRIG` and so on is dropped.

    Parameters
    ----------
    run : Run
        The files.
    root : Path
        The data set's folder.
    datatype : str
        ``eeg`` or ``meg``.
    drop : collection of str
        Channels to leave out.
    bad_channels : str
        What becomes of the channels that this run's table calls bad: ``drop`` leaves them to `drop`, ``interpolate``
        fills them from their neighbours (MNE's spherical splines), ``keep`` takes them as they are.
    sfreq : float, optional
        Rate to resample to in Hz.
    tmin : float
        Time of a window's first sample relative to its onset in seconds; stored with the sensors.
    settings : Preprocessing, optional
        Filter and reference.

    Returns
    -------
    data : ndarray of float32, shape (n_channels, n_samples)
        In volts, tesla or tesla per metre.
    sensors : Sensors
        Names, kinds, positions in head coordinates and regions.

    Raises
    ------
    DataError
        Naming the file: not readable, cut, not finite, or with a flat channel.
    """
    promised = _promised_duration(run.file)
    raw = _open(run, root, datatype)
    duration = raw.n_times / raw.info["sfreq"]
    # A cut BrainVision file opens without a complaint.
    if promised is not None and duration < promised - DURATION_TOLERANCE:
        raise DataError(
            f"{run.file}: {duration:.1f} s of signal, expected {promised:.1f} s as its .json says; it was cut"
        )
    kinds = raw.get_channel_types()
    wanted = ("eeg",) if datatype == "eeg" else ("mag", "grad")
    names = [name for name, kind in zip(raw.ch_names, kinds, strict=True) if kind in wanted and name not in set(drop)]
    if not names:
        raise DataError(f"{run.file}: no {' or '.join(wanted)} channel left of {len(kinds)}")
    bads = [name for name in raw.info["bads"] if name in names]
    raw.pick(names, verbose="error")
    if bads and bad_channels == "interpolate":
        raw = _interpolate(raw, run)
    rate = float(raw.info["sfreq"])
    data = _load(raw, run)
    _check_signals(run.file, data, names, rate)
    sensors = sensors_of(raw, rate if sfreq is None else float(sfreq), tmin)
    return preprocess_array(data, rate, sfreq, settings=settings), sensors


def _open(run: Run, root: Path, datatype: str) -> Any:
    import mne_bids

    path = mne_bids.get_bids_path_from_fname(run.file, verbose="error").update(root=root, datatype=datatype)
    try:
        with warnings.catch_warnings():
            # What matters of these warnings (channels, length, positions) is checked here and is an error.
            warnings.simplefilter("ignore")
            # The names in the recording count; a table that has them in another order is no error.
            return mne_bids.read_raw_bids(path, on_ch_mismatch="reorder", verbose="error")
    except Exception as error:  # a broken file ends in whatever exception its reader stumbles on
        if "Channel mismatch" in str(error) or "is not in list" in str(error):
            table = run.events.name.replace("_events.tsv", "_channels.tsv")
            raise DataError(f"{run.file}: its channels are not those that {table} names") from error
        raise DataError(f"{run.file}: not readable as a BIDS recording ({_first_line(error)})") from error


def _load(raw: Any, run: Run) -> NDArray[np.float32]:
    try:
        # MNE reads in double precision: in pieces, so that only one of them is held twice.
        step = max(1, 20_000_000 // max(1, len(raw.ch_names)) // 8)
        data = np.empty((len(raw.ch_names), raw.n_times), dtype=np.float32)
        for begin in range(0, raw.n_times, step):
            stop = min(begin + step, raw.n_times)
            data[:, begin:stop] = raw.get_data(start=begin, stop=stop, verbose="error")
    except Exception as error:
        raise DataError(f"{run.file}: the signals end or break before their time ({_first_line(error)})") from error
    return data


def _interpolate(raw: Any, run: Run) -> Any:
    try:
        return raw.load_data(verbose="error").interpolate_bads(reset_bads=True, verbose="error")
    except Exception as error:
        raise DataError(f"{run.file}: bad channels cannot be interpolated ({_first_line(error)})") from error


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__


def _promised_duration(file: Path) -> float | None:
    sidecar = file.with_suffix(".json")
    value = read_json(sidecar).get("RecordingDuration") if sidecar.is_file() else None
    return float(value) if isinstance(value, int | float) else None


def _check_signals(file: Path, data: NDArray[np.float32], names: list[str], sfreq: float) -> None:
    for name, signal in zip(names, data, strict=True):
        finite = np.isfinite(signal)
        if not finite.all():
            when = int(np.argmin(finite)) / sfreq
            raise DataError(f"{file}: channel {name!r} is not finite at {when:.3f} s")
        if signal.min() == signal.max():
            raise DataError(f"{file}: channel {name!r} is flat; if it is known to be bad, say so in the channels table")


def sensors_of(raw: Any, sfreq: float, tmin: float) -> Sensors:
    """Describe the channels of what MNE has read.

    Parameters
    ----------
    raw : mne.io.BaseRaw or mne.BaseEpochs
        With the channels that are kept: electrodes, magnetometers, gradiometers.
    sfreq : float
        Rate of the windows in Hz.
    tmin : float
        Time of a window's first sample relative to its onset in seconds.

    Returns
    -------
    Sensors
        Positions in head coordinates, where there are any.
    """
    names = tuple(raw.ch_names)
    positions = np.array([channel["loc"][:3] for channel in raw.info["chs"]], dtype=np.float64)
    positions[~np.isfinite(positions).all(axis=1) | ~positions.any(axis=1)] = np.nan
    kinds = tuple(raw.get_channel_types())
    if "eeg" not in kinds and raw.info["dev_head_t"] is not None:
        import mne

        positions = mne.transforms.apply_trans(raw.info["dev_head_t"], positions)
    known = bool(np.isfinite(positions).any())
    units = {"eeg": "V", "mag": "T", "grad": "T/m"}
    return Sensors(
        names=names,
        kinds=kinds,
        sfreq=sfreq,
        tmin=tmin,
        unit=", ".join(dict.fromkeys(units[kind] for kind in kinds)),
        positions=positions if known else None,
        regions=scalp_regions(names, positions if known else None),
    )


def template_positions(names: tuple[str, ...]) -> NDArray[np.float64] | None:
    """Look up electrodes in MNE's template of the 10-05 system.

    Parameters
    ----------
    names : tuple of str
        Electrodes.

    Returns
    -------
    ndarray of shape (n_channels, 3) or None
        Head coordinates in metres; None unless every name is in the template.

    Examples
    --------
    >>> template_positions(("Oz", "Cz")).shape
    (2, 3)
    """
    import mne

    montage = mne.channels.make_standard_montage(template_name())
    if set(names) - set(montage.ch_names):
        return None
    info = mne.create_info(list(names), 100.0, "eeg", verbose="error")
    info.set_montage(montage)
    return np.array([channel["loc"][:3] for channel in info["chs"]], dtype=np.float64)


def describe(settings: Preprocessing, bad_channels: BadChannels, window: tuple[float, float]) -> dict[str, Any]:
    """Give the reader's steps as plain values for the cache's fingerprint."""
    steps = {"reader": "bids", "bad_channels": bad_channels, "window": list(window), **settings.describe()}
    return dict(json.loads(json.dumps(steps)))
