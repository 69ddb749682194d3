"""What is written as KIT is read back by MNE and mne-bids: signals, kinds, triggers, markers and head."""

import warnings
from pathlib import Path

import mne
import mne_bids
import numpy as np
import pytest

from neurodecode.core.errors import ConfigError
from neurodecode.datasets.miniatures.kit_writer import (
    KitLayout,
    digitised_head,
    write_kit,
    write_markers,
    write_points,
)

LAYOUT = KitLayout(meg=16, reference=2, trigger=2, misc=1, null=1)


def make_signals(n_samples: int = 2000) -> np.ndarray:
    signals = np.random.default_rng(0).normal(0, 1e-12, (len(LAYOUT.kinds), n_samples))
    signals[18:] = 5 * (0.99 - 1e-3)
    signals[18, 500:510] = 0
    signals[21] = 0
    return signals


def test_mne_reads_it_back(tmp_path: Path) -> None:
    signals = make_signals()
    path = write_kit(tmp_path / "a.con", signals, LAYOUT, 1000.0)
    raw = mne.io.read_raw_kit(path, stim=[18, 19], verbose="error")
    data = raw.get_data()
    assert raw.info["sfreq"] == 1000.0
    assert raw.info["kit_system_id"] == 441
    assert data.shape == (23, 2000)
    scale = np.abs(signals[:18]).max(axis=1, keepdims=True)
    assert (np.abs(data[:18] - signals[:18]) / scale).max() <= 0.51 / 32767
    np.testing.assert_allclose(data[18:22], signals[18:22], atol=1e-4)
    assert raw.get_channel_types() == ["mag"] * 16 + ["ref_meg"] * 2 + ["misc"] * 4 + ["stim"]
    assert mne.find_events(raw, verbose="error")[:, [0, 2]].tolist() == [[500, 1]]


def test_sensors_and_head_are_where_they_were_put(tmp_path: Path) -> None:
    head = digitised_head()
    path = write_kit(tmp_path / "a.con", make_signals(50), LAYOUT, 1000.0)
    markers = write_markers(tmp_path / "a.mrk", head["mrk"])
    np.testing.assert_array_equal(mne.io.kit.read_mrk(markers), head["mrk"])
    points = {
        name: np.loadtxt(write_points(tmp_path / f"{name}.pos", head[name], "Digitizer file"), comments="%") / 1000
        for name in ("elp", "hsp")
    }
    np.testing.assert_allclose(points["elp"], head["elp"], atol=1e-6)
    raw = mne.io.read_raw_kit(path, mrk=str(markers), elp=points["elp"], hsp=points["hsp"], verbose="error")
    in_head = mne.transforms.apply_trans(
        raw.info["dev_head_t"], np.array([channel["loc"][:3] for channel in raw.info["chs"][:16]])
    )
    wanted = LAYOUT.positions() + np.array([0, 0, 0.04])
    # KIT's device frame points to the front, MNE's head frame to the right.
    np.testing.assert_allclose(in_head, np.stack([-wanted[:, 1], wanted[:, 0], wanted[:, 2]], axis=1), atol=2e-6)


def test_mne_bids_reads_it_back(tmp_path: Path) -> None:
    folder = tmp_path / "sub-01" / "ses-0" / "meg"
    folder.mkdir(parents=True)
    write_kit(folder / "sub-01_ses-0_task-0_meg.con", make_signals(), LAYOUT, 1000.0)
    place = mne_bids.BIDSPath(
        subject="01", session="0", task="0", datatype="meg", suffix="meg", extension=".con", root=tmp_path
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw = mne_bids.read_raw_bids(place, verbose="error")
    assert raw.n_times == 2000
    np.testing.assert_allclose(raw.get_data(picks=[0])[0], make_signals()[0], atol=1e-15)


def test_a_full_size_system_has_its_channels() -> None:
    layout = KitLayout()
    assert len(layout.kinds) == 256
    positions = layout.positions()
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=2) + np.eye(208)
    assert distances.min() > 0.005
    np.testing.assert_allclose(np.linalg.norm(positions, axis=1), 0.12)


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"path: got a\.fif, expected a name that ends in \.con or \.sqd"):
        write_kit(tmp_path / "a.fif", make_signals(), LAYOUT, 1000.0)
    with pytest.raises(ConfigError, match=r"signals: got shape \(21, 2000\), expected 22 rows"):
        write_kit(tmp_path / "a.con", make_signals()[1:], LAYOUT, 1000.0)
    loud = make_signals()
    loud[20, 7] = 6
    with pytest.raises(ConfigError, match=r"signals: channel 20 \(misc\) reaches 6 V, expected less than 5"):
        write_kit(tmp_path / "a.con", loud, LAYOUT, 1000.0)
