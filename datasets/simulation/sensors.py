"""The sensor arrays of the simulator: 63 electrodes of the 10-10 system and an on-scalp magnetometer array."""

from typing import Final

import mne
import numpy as np
from mne.io.constants import FIFF
from numpy.typing import NDArray

EEG_CHANNELS: Final = tuple(
    "Fp1 F3 F7 FT9 FC5 FC1 C3 T7 TP9 CP5 CP1 Pz P3 P7 O1 Oz O2 P4 P8 TP10 CP6 CP2 Cz C4 T8 FT10 FC6 FC2 F4 F8 Fp2 AF7 "
    "AF3 AFz F1 F5 FT7 FC3 FCz C1 C5 TP7 CP3 P1 P5 PO7 PO3 POz PO4 PO8 P6 P2 CPz CP4 TP8 C6 C2 FC4 FT8 F6 F2 AF4 "
    "AF8".split()
)
N_MAGNETOMETERS: Final = 112

#: Distance (m) of a magnetometer's cell from the scalp, and the lowest height of the array over the sphere's centre as
#: a fraction of its radius.
STANDOFF: Final = 0.0065
LOWEST: Final = -0.35


def montage() -> mne.channels.DigMontage:
    """Load the 10-05 template positions under whichever name the installed MNE gives them.

    Returns
    -------
    mne.channels.DigMontage
        The template.

    Examples
    --------
    >>> "Oz" in montage().ch_names
    True
    """
    known = mne.channels.get_builtin_montages()
    # The file was renamed in MNE 1.12; the older name warns there.
    name = "colin27_1005" if "colin27_1005" in known else "standard_1005"
    return mne.channels.make_standard_montage(name)


def eeg_info(sfreq: float, channels: tuple[str, ...] = EEG_CHANNELS) -> mne.Info:
    """Build the measurement information of an EEG recording with template positions.

    Parameters
    ----------
    sfreq : float
        Sampling rate (Hz).
    channels : tuple of str
        Names of the 10-05 system.

    Returns
    -------
    mne.Info
        With positions in head coordinates (m).

    Examples
    --------
    >>> len(eeg_info(250.0).ch_names)
    63
    """
    info = mne.create_info(list(channels), sfreq, "eeg")
    info.set_montage(montage())
    info["line_freq"] = 50.0
    return info


def meg_info(sfreq: float, n_sensors: int = N_MAGNETOMETERS) -> mne.Info:
    """Build the measurement information of an on-scalp array of optically pumped magnetometers.

    The sensors use MNE's definition of the QuSpin zero-field magnetometer. They lie on a Fibonacci lattice around the
    head sphere of the EEG template, 6.5 mm above the scalp, and measure the radial component of the field.

    Parameters
    ----------
    sfreq : float
        Sampling rate (Hz).
    n_sensors : int
        How many sensors.

    Returns
    -------
    mne.Info
        With coil positions in head coordinates (m); the device and head frames coincide.

    Examples
    --------
    >>> len(meg_info(250.0).ch_names)
    112
    """
    template = eeg_info(sfreq)
    centre, radius = head_sphere(template)
    directions = _lattice(n_sensors)
    names = [f"OPM{number:03d}" for number in range(1, n_sensors + 1)]
    info = mne.create_info(names, sfreq, "mag")
    for channel, direction in zip(info["chs"], directions, strict=True):
        # The coil frame's third axis is the direction that the sensor measures.
        helper = np.array([1.0, 0.0, 0.0]) if abs(direction[0]) < 0.9 else np.array([0.0, 1.0, 0.0])
        first = np.cross(helper, direction)
        first /= np.linalg.norm(first)
        position = centre + (radius + STANDOFF) * direction
        channel["loc"] = np.concatenate([position, first, np.cross(direction, first), direction])
        channel["coil_type"] = FIFF.FIFFV_COIL_QUSPIN_ZFOPM_MAG
    digitised = template.get_montage()
    with info._unlock():
        info["dev_head_t"] = mne.Transform("meg", "head", np.eye(4))
        info["dig"] = mne.channels.make_dig_montage(
            nasion=digitised.get_positions()["nasion"],
            lpa=digitised.get_positions()["lpa"],
            rpa=digitised.get_positions()["rpa"],
            hsp=np.array(list(digitised.get_positions()["ch_pos"].values())),
            coord_frame="head",
        ).dig
    info["line_freq"] = 50.0
    return info


def head_sphere(info: mne.Info) -> tuple[NDArray[np.float64], float]:
    """Fit the head sphere to the electrodes of an EEG montage.

    Parameters
    ----------
    info : mne.Info
        With electrode positions.

    Returns
    -------
    centre : array of shape (3,), float64
        In head coordinates (m).
    radius : float
        In metres.

    Examples
    --------
    >>> centre, radius = head_sphere(eeg_info(250.0))
    >>> bool(0.08 < radius < 0.11)
    True
    """
    points = np.array([channel["loc"][:3] for channel in info["chs"]])
    # |p|^2 = 2 p.c + (r^2 - |c|^2) is linear in the centre and in one constant.
    design = np.column_stack([2 * points, np.ones(len(points))])
    solution = np.linalg.lstsq(design, (points**2).sum(axis=1), rcond=None)[0]
    return solution[:3], float(np.sqrt(solution[3] + solution[:3] @ solution[:3]))


def _lattice(n_points: int) -> NDArray[np.float64]:
    """Give unit vectors spread evenly over the part of the sphere that a helmet covers."""
    height = 1.0 - (np.arange(n_points) + 0.5) / n_points * (1.0 - LOWEST)
    azimuth = np.arange(n_points) * np.pi * (3.0 - np.sqrt(5.0))
    ring = np.sqrt(1.0 - height**2)
    return np.column_stack([ring * np.cos(azimuth), ring * np.sin(azimuth), height])
