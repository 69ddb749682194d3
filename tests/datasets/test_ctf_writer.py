"""What is written as CTF is read back by MNE: signals, triggers, kinds, positions, cut pieces and compensation."""

from pathlib import Path

import mne
import numpy as np
import pytest

from neurodecode.core.errors import ConfigError
from neurodecode.datasets.miniatures.ctf_writer import CtfChannel, ctf_channels, write_ctf

CHANNELS = ctf_channels(20)
STEP = 1 / (1e9 * 1048576)


def make_signals(n_samples: int = 2500) -> np.ndarray:
    signals = np.random.default_rng(0).normal(0, 1e-13, (len(CHANNELS), n_samples))
    signals[1] = 0
    signals[1, 100:105] = 10
    signals[1, 2000:2005] = 255
    return signals


@pytest.mark.parametrize(
    "options",
    [{}, {"samples_per_trial": 1000}, {"samples_per_trial": 500, "trials_per_file": 2}, {"compensation": 3}],
    ids=["one piece", "padded pieces", "several files", "compensated"],
)
def test_mne_reads_it_back(tmp_path: Path, options: dict[str, int]) -> None:
    signals = make_signals()
    folder = write_ctf(tmp_path / "sub-01_task-a_meg.ds", signals, CHANNELS, 1200.0, subject="A2002", **options)
    raw = mne.io.read_raw_ctf(folder, verbose="error")
    data = raw.get_data()
    assert data.shape == signals.shape
    assert raw.info["sfreq"] == 1200.0
    assert raw.ch_names == [channel.name for channel in CHANNELS]
    assert np.abs(data[2:] - signals[2:]).max() <= 0.51 * STEP
    np.testing.assert_array_equal(data[1], signals[1])
    events = mne.find_events(raw, "UPPT001", verbose="error")
    assert events[:, [0, 2]].tolist() == [[100, 10], [2000, 255]]
    assert raw.get_channel_types() == ["misc", "stim"] + ["ref_meg"] * 3 + ["mag"] * 20
    assert raw.compensation_grade == options.get("compensation", 0)
    assert raw.info["subject_info"]["his_id"] == "A2002"


def test_sensors_are_where_they_were_put(tmp_path: Path) -> None:
    raw = mne.io.read_raw_ctf(write_ctf(tmp_path / "a.ds", make_signals(10), CHANNELS, 1200.0), verbose="error")
    wanted = np.array([channel.position for channel in CHANNELS if channel.kind == "meg"]) / 100
    places = np.array([channel["loc"][:3] for channel in raw.info["chs"][5:]])
    in_head = mne.transforms.apply_trans(raw.info["dev_head_t"], places)
    # CTF's head frame points to the nasion, MNE's to the right ear.
    np.testing.assert_allclose(in_head, np.stack([-wanted[:, 1], wanted[:, 0], wanted[:, 2]], axis=1), atol=1e-6)


def test_a_full_size_system_has_its_channels() -> None:
    channels = ctf_channels(273, n_reference=9)
    assert len({channel.name for channel in channels}) == 273 + 9 + 2
    positions = np.array([channel.position for channel in channels if channel.kind == "meg"])
    assert len(np.unique(positions.round(3), axis=0)) == 273


def test_an_eeg_channel_is_in_volts(tmp_path: Path) -> None:
    channels = [*CHANNELS, CtfChannel("EEG057-1609", "eeg")]
    signals = np.concatenate([make_signals(50), np.full((1, 50), 12.3e-6)])
    raw = mne.io.read_raw_ctf(write_ctf(tmp_path / "a.ds", signals, channels, 1200.0), verbose="error")
    assert raw.get_channel_types()[-1] == "eeg"
    np.testing.assert_allclose(raw.get_data()[-1], 12.3e-6, atol=1e-9)


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    signals = make_signals(50)
    with pytest.raises(ConfigError, match=r"folder: got a\.fif, expected a name that ends in \.ds"):
        write_ctf(tmp_path / "a.fif", signals, CHANNELS, 1200.0)
    with pytest.raises(ConfigError, match=r"signals: got shape \(24, 50\), expected 25 rows"):
        write_ctf(tmp_path / "a.ds", signals[1:], CHANNELS, 1200.0)
    with pytest.raises(ConfigError, match="signals: channel MLC11-1609 exceeds what 32 bits hold"):
        write_ctf(tmp_path / "a.ds", signals + 1e-5 * (np.arange(25) == 5)[:, None], CHANNELS, 1200.0)
    with pytest.raises(ConfigError, match="channels: got no reference, expected at least 1"):
        write_ctf(tmp_path / "a.ds", signals[5:], CHANNELS[5:], 1200.0)
    with pytest.raises(ConfigError, match="50 samples do not fill pieces of 40 without clock"):
        write_ctf(tmp_path / "a.ds", signals[1:], CHANNELS[1:], 1200.0, samples_per_trial=40)
