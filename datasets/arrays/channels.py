"""Names and places of the channels of arrays."""

from pathlib import Path

import numpy as np

from neurodecode.core.errors import DataError, suggestion
from neurodecode.core.sensors import Sensors
from neurodecode.datasets.arrays.description import Description, Source
from neurodecode.datasets.arrays.sources import open_source, text_values
from neurodecode.datasets.bids_signals import template_positions
from neurodecode.datasets.regions import scalp_regions

KIND_OF_MODALITY = {"eeg": "eeg", "meg": "mag", "fmri": "voxel"}
TEMPLATE_FLAG = "electrode positions are those of a template"


def channel_names(root: Path, described: Description, count: int, place: str) -> tuple[tuple[str, ...], str]:
    """Give the channels their names.

    Parameters
    ----------
    root : Path
        The data folder.
    described : Description
        Names them in a list, a file, or by a standard montage of MNE such as ``biosemi64``; without it they are
        numbered.
    count : int
        How many channels the signals have.
    place : str
        Of the signals, for the message.

    Returns
    -------
    names : tuple of str
        One a channel.
    montage : str
        The standard montage that they come from, or nothing.

    Raises
    ------
    DataError
        If there are not as many names as channels, or neither a file nor a montage is called so.
    """
    kind = described.channel_kind or KIND_OF_MODALITY[described.modality]
    wanted, montage = described.channels, ""
    if wanted is None:
        return tuple(f"{kind[0]}{index:0{max(3, len(str(count - 1)))}d}" for index in range(count)), ""
    if isinstance(wanted, Source):
        path = root / wanted.file
        if path.is_file() or wanted.key or path.suffix:
            names = text_values(open_source(path, wanted.key))
        else:
            montage = wanted.file
            names = _montage_names(montage, root)
    else:
        names = list(wanted)
    if len(names) != count:
        axis = described.order.index("channel") + 1
        raise DataError(f"channels: {len(names)} names, but dimension {axis} (channel) of {place} has {count}")
    return tuple(names), montage


def _montage_names(montage: str, root: Path) -> list[str]:
    import mne

    known = mne.channels.get_builtin_montages()
    if montage not in known:
        raise DataError(
            f"channels: got {montage!r}, which is neither a file in {root} nor a standard montage: "
            f"{', '.join(known)}{suggestion(montage, known)}"
        )
    return [str(name) for name in mne.channels.make_standard_montage(montage).ch_names]


def array_sensors(
    names: tuple[str, ...], montage: str, described: Description, sfreq: float, *, tmin: float
) -> tuple[Sensors, list[str]]:
    """Describe the channels; electrodes of the 10-05 system get the places of a template.

    Parameters
    ----------
    names : tuple of str
        From `channel_names`.
    montage : str
        Standard montage, or nothing.
    described : Description
        Gives kind and unit.
    sfreq : float
        Rate of the windows in Hz, 0 for one time.
    tmin : float
        Time of the first sample in seconds.

    Returns
    -------
    sensors : Sensors
        The channels.
    flags : list of str
        What is to be known of them.
    """
    kind = described.channel_kind or KIND_OF_MODALITY[described.modality]
    positions, regions, flags = None, {}, []
    if kind == "eeg":
        positions = template_positions(names) if not montage else _montage_positions(names, montage)
        flags = [TEMPLATE_FLAG] if positions is not None else []
        regions = scalp_regions(names, positions)
    return Sensors(names, (kind,) * len(names), sfreq, tmin, described.unit, positions, regions=regions), flags


def _montage_positions(names: tuple[str, ...], montage: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    import mne

    info = mne.create_info(list(names), 100.0, "eeg", verbose="error")
    info.set_montage(montage, verbose="error")
    return np.array([channel["loc"][:3] for channel in info["chs"]], dtype=np.float64)
