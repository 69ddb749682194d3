"""The electrodes of THINGS-EEG2 and their order."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.sensors import Sensors
from neurodecode.datasets.bids_signals import template_positions
from neurodecode.datasets.regions import scalp_regions

# The order that derivatives of others use; Fz is the reference and is not there.
CHANNELS = tuple(
    (
        "Fp1 Fp2 AF7 AF3 AFz AF4 AF8 F7 F5 F3 F1 F2 F4 F6 F8 FT9 FT7 FC5 FC3 FC1 FCz FC2 FC4 FC6 FT8 FT10 T7 C5 C3 C1 "
        "Cz C2 C4 C6 T8 TP9 TP7 CP5 CP3 CP1 CPz CP2 CP4 CP6 TP8 TP10 P7 P5 P3 P1 Pz P2 P4 P6 P8 PO7 PO3 POz PO4 PO8 "
        "O1 Oz O2"
    ).split()
)
# The electrodes of the authors' own derivative, which most decoders take.
POSTERIOR = CHANNELS[-17:]


def channel_rows(names: Sequence[str], n_channels: int, *, where: str) -> NDArray[np.int64]:
    """Find the rows of the electrodes in the order of `CHANNELS`, by name.

    Parameters
    ----------
    names : sequence of str
        Names of the file's rows.
    n_channels : int
        Rows of the signals.
    where : str
        How messages name the file.

    Returns
    -------
    ndarray of int
        63 rows, or 17 where the file has the posterior electrodes only. Other channels are left out.

    Raises
    ------
    DataError
        If there are more or fewer names than rows, a name occurs twice or electrodes are missing.

    Examples
    --------
    >>> channel_rows(list(reversed(POSTERIOR)), 17, where="file")[:3].tolist()
    [16, 15, 14]
    """
    if len(names) != n_channels:
        raise DataError(f"{where}: {n_channels} channels of signals but {len(names)} names in 'ch_names'")
    index = {str(name): row for row, name in enumerate(names)}
    if len(index) != len(names):
        raise DataError(f"{where}: 'ch_names' names a channel twice")
    wanted = CHANNELS if len(names) > len(POSTERIOR) else POSTERIOR
    missing = [name for name in wanted if name not in index]
    if missing:
        raise DataError(f"{where}: electrode {missing[0]!r} is not among the {len(names)} channels in 'ch_names'")
    return np.array([index[name] for name in wanted], dtype=np.int64)


def sensors_of(n_channels: int, *, sfreq: float, tmin: float, unit: str) -> Sensors:
    """Describe the electrodes that `channel_rows` gives, with positions of the 10-05 template."""
    names = CHANNELS[-n_channels:]
    positions = template_positions(names)
    regions = scalp_regions(names, positions)
    regions["posterior_17"] = np.isin(names, POSTERIOR)
    return Sensors(names, ("eeg",) * len(names), sfreq, tmin, unit, positions=positions, regions=regions)
