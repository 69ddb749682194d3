"""The sensors of THINGS-MEG: CTF gradiometers, sorted into regions by their names."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.sensors import Sensors
from neurodecode.datasets.bids_signals import sensors_of

# Broken throughout the study.
DROPPED = ("MRO11-1609",)
REGIONS = {"O": "occipital", "P": "parietal", "T": "temporal", "C": "central", "F": "frontal"}
# Baselines were z-scored trial by trial: the unit is the deviation of the signal before the onset.
UNIT = "z"


def ctf_regions(names: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Sort CTF sensors into regions by the third letter of their names.

    Examples
    --------
    >>> {name: mask.tolist() for name, mask in ctf_regions(["MLO11-1609", "MZC02-1609"]).items()}
    {'occipital': [True, False], 'central': [False, True]}
    """
    letters = [match[1] if (match := re.match(r"M[LRZ]([OPTCF])\d", name)) else "" for name in names]
    masks = {region: np.array([found == letter for found in letters], dtype=bool) for letter, region in REGIONS.items()}
    return {region: mask for region, mask in masks.items() if mask.any()}


def sensors_of_info(instance: Any, picks: Sequence[str], *, sfreq: float, tmin: float) -> Sensors:
    """Describe the picked channels of what MNE has opened, with their positions."""
    import mne

    chosen = mne.pick_info(instance.info, [instance.ch_names.index(name) for name in picks], verbose="error")
    sensors = sensors_of(_Described(chosen), sfreq, tmin)
    return replace(sensors, unit=UNIT, regions=ctf_regions(sensors.names) or sensors.regions)


class _Described:
    """Channels without signals, in the form that `sensors_of` reads."""

    def __init__(self, info: Any) -> None:
        self.info, self.ch_names = info, info["ch_names"]

    def get_channel_types(self) -> list[str]:
        """List the kind of each channel."""
        return list(self.info.get_channel_types())


def named_sensors(names: tuple[str, ...], *, sfreq: float, tmin: float) -> Sensors:
    """Describe channels of which only the names are known."""
    return Sensors(names, ("mag",) * len(names), sfreq, tmin, UNIT, regions=ctf_regions(names))
