"""Regions of the scalp: from the name of an electrode of the 10-10 system, or from where a sensor lies."""

import re
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

# The letters of the 10-20, 10-10 and 10-05 systems.
LETTERS_OF_REGION = {
    "occipital": ("O", "PO", "POO", "OI", "I"),
    "parietal": ("P", "CP", "CPP", "PPO"),
    "temporal": ("T", "TP", "TTP", "TPP", "FT", "FTT"),
    "central": ("C", "FC", "FCC", "CCP"),
    "frontal": ("F", "Fp", "AF", "AFp", "AFF", "FFC", "FFT", "N", "NFp"),
}
REGIONS = tuple(LETTERS_OF_REGION)
_REGION_OF = {letters.lower(): region for region, group in LETTERS_OF_REGION.items() for letters in group}


def region_of_electrode(name: str) -> str:
    """Give the region of an electrode by its 10-10 name, or an empty string if it is not such a name.

    Parameters
    ----------
    name : str
        Such as ``PO7``; upper and lower case do not matter.

    Returns
    -------
    str
        ``occipital``, ``parietal``, ``temporal``, ``central``, ``frontal`` or nothing.

    Examples
    --------
    >>> region_of_electrode("PO7"), region_of_electrode("CPz"), region_of_electrode("EEG 001")
    ('occipital', 'parietal', '')
    """
    match = re.fullmatch(r"([A-Za-z]+?)(z|\d{1,2}h?)", name.strip(), re.IGNORECASE)
    return _REGION_OF.get(match[1].lower(), "") if match else ""


@lru_cache(maxsize=1)
def _template() -> tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.float64]]:
    """Names, directions from the centre of the head, and that centre, of the template's named electrodes."""
    import mne

    montage = mne.channels.make_standard_montage(template_name())
    # T3 to T6 are older names of T7, T8, P7 and P8.
    names = [name for name in montage.ch_names if region_of_electrode(name) and name not in ("T3", "T4", "T5", "T6")]
    info = mne.create_info(names, 100.0, "eeg", verbose="error")
    info.set_montage(montage)
    points = np.array([channel["loc"][:3] for channel in info["chs"]])
    # |p|^2 = 2 p.c + constant, the sphere through the electrodes in the least-squares sense.
    solution = np.linalg.lstsq(np.column_stack([2 * points, np.ones(len(points))]), (points**2).sum(axis=1), rcond=None)
    centre = solution[0][:3]
    return tuple(names), _unit(points - centre), centre


def template_name() -> str:
    """Give the name under which the installed MNE knows the 10-05 template; it was renamed in MNE 1.12."""
    import mne

    known = mne.channels.get_builtin_montages()
    return "colin27_1005" if "colin27_1005" in known else "standard_1005"


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions: NDArray[np.float64] = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return directions


def scalp_regions(names: tuple[str, ...], positions: NDArray[np.float64] | None) -> dict[str, NDArray[np.bool_]]:
    """Sort sensors into regions, by a name of the 10-10 system or else by the nearest electrode that has one.

    Parameters
    ----------
    names : tuple of str
        Names of electrodes, magnetometers or gradiometers.
    positions : ndarray of shape (n_channels, 3), optional
        Positions in head coordinates in metres, NaN where unknown.

    Returns
    -------
    dict of str to ndarray of bool, shape (n_channels,)
        The regions that have a sensor. A sensor with neither a known name nor a position is in none.

    Examples
    --------
    >>> {name: mask.tolist() for name, mask in scalp_regions(("Oz", "Fz"), None).items()}
    {'occipital': [True, False], 'frontal': [False, True]}
    """
    found = [region_of_electrode(name) for name in names]
    unnamed = [index for index, region in enumerate(found) if not region]
    if unnamed and positions is not None:
        electrodes, directions, centre = _template()
        for index in unnamed:
            if np.isfinite(positions[index]).all() and np.any(positions[index]):
                nearest = int(np.argmax(directions @ _unit((positions[index] - centre)[None])[0]))
                found[index] = region_of_electrode(electrodes[nearest])
    masks = {region: np.array([one == region for one in found], dtype=bool) for region in REGIONS}
    return {region: mask for region, mask in masks.items() if mask.any()}
