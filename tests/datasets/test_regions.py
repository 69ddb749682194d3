"""Regions of the scalp by name and by place."""

import mne
import numpy as np
import pytest

from neurodecode.datasets.bids_signals import template_positions
from neurodecode.datasets.regions import region_of_electrode, scalp_regions, template_name

NAMES = {
    "occipital": ("O1", "Oz", "O2", "PO7", "POz", "Iz", "oz", "POO9h"),
    "parietal": ("Pz", "P7", "CP5", "CPz", "PPO1h"),
    "temporal": ("T7", "T8", "TP9", "FT10", "T3"),
    "central": ("Cz", "C3", "FC5", "FCz", "CCP1h"),
    "frontal": ("Fp1", "FPz", "AF7", "F8", "Fz", "AFz"),
    "": ("EEG 001", "MEG0111", "OPM001", "E12", "A1", "Status", "", "O123"),
}


@pytest.mark.parametrize(("region", "name"), [(region, name) for region, names in NAMES.items() for name in names])
def test_names(region: str, name: str) -> None:
    assert region_of_electrode(name) == region


def test_positions_agree_with_names() -> None:
    montage = mne.channels.make_standard_montage(template_name())
    names = tuple(name for name in montage.ch_names if region_of_electrode(name) and name not in ("T5", "T6"))
    assert len(names) > 60
    positions = template_positions(names)
    assert positions is not None
    anonymous = tuple(f"E{index}" for index in range(len(names)))
    by_place, by_name = scalp_regions(anonymous, positions), scalp_regions(names, None)
    for region, mask in by_name.items():
        np.testing.assert_array_equal(by_place[region], mask)


def test_sensors_without_name_or_place_are_in_no_region() -> None:
    positions = np.array([[np.nan] * 3, [0.0, -0.09, 0.05]])
    regions = scalp_regions(("X", "Y"), positions)
    assert {region: mask.tolist() for region, mask in regions.items()} == {"occipital": [False, True]}
    assert scalp_regions(("X",), None) == {}


def test_template() -> None:
    assert template_positions(("Oz", "nowhere")) is None
    positions = template_positions(("Oz", "Fz"))
    assert positions is not None
    assert positions[0, 1] < 0 < positions[1, 1]
    assert template_name() in mne.channels.get_builtin_montages()
