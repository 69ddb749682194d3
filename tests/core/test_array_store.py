"""What a store keeps in files is what is read back from the cache, without a second copy."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import DataError
from neurodecode.core.recording import Block, Recording
from neurodecode.core.sensors import Sensors
from neurodecode.core.stored_recording import load_recording, save_recording

SENSORS = Sensors(names=("a", "b"), kinds=("eeg", "eeg"), sfreq=10.0, tmin=0.0, unit="V")


def recording(continuous: np.ndarray, epochs: np.ndarray) -> Recording:
    blocks = {"run-1": Block("run-1", continuous, SENSORS), "run-2": Block("run-2", epochs, SENSORS)}
    rows = [("run-1", 3), ("run-1", 0), ("run-2", 1)]
    windows = pd.DataFrame(
        {"subject": "sub-01", "session": "", "run": "1", "block": [block for block, _ in rows],
         "start": [start for _, start in rows], "length": 5, "stimulus": "s", "repetition": 1, "onset": 0.0}
    )  # fmt: skip
    return Recording("sub-01", "eeg", blocks, windows)


@pytest.mark.parametrize("in_files", [True, False])
def test_stored_and_plain_arrays_give_the_same_cache(tmp_path: Path, in_files: bool) -> None:
    generator = np.random.default_rng(0)
    continuous = generator.normal(size=(2, 40)).astype(np.float32)
    epochs = generator.normal(size=(3, 2, 5)).astype(np.float32)
    plain, kept = tmp_path / "plain", tmp_path / "kept"
    plain.mkdir()
    kept.mkdir()
    save_recording(plain, recording(continuous, epochs))
    store = ArrayStore(kept if in_files else None)
    filled = store.empty((3, 2, 5))
    for row in range(3):
        filled[row] = epochs[row]
    save_recording(kept, recording(store.keep(continuous.astype(np.float64)), filled), store=store)
    assert sorted(path.name for path in plain.iterdir()) == sorted(path.name for path in kept.iterdir())
    for name in ("block-000.npy", "block-001.npy"):
        assert (plain / name).read_bytes() == (kept / name).read_bytes()
    assert np.array_equal(load_recording(kept).read([0, 1, 2]), recording(continuous, epochs).read([0, 1, 2]))


def test_a_view_is_copied_not_renamed(tmp_path: Path) -> None:
    store = ArrayStore(tmp_path)
    whole = store.keep(np.zeros((4, 40), dtype=np.float32))
    assert store.path(whole) is not None
    assert store.path(whole[:2]) is None


@pytest.mark.parametrize("shape", [(3,), (0, 4), (2, 3, 4, 5)])
def test_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="expected 2 or 3 dimensions"):
        ArrayStore().empty(shape)  # type: ignore[arg-type]


def regional(n_channels: int = 4) -> Recording:
    generator = np.random.default_rng(1)
    names = tuple("abcd"[:n_channels])
    regions = {"V1": np.array([True, False, False, True]), "IT": np.array([False, True, False, False]),
               "none": np.zeros(4, dtype=bool)}  # fmt: skip
    sensors = Sensors(names, ("voxel",) * 4, sfreq=0.0, tmin=0.0, unit="", regions=regions)
    blocks = {
        "run-1": Block("run-1", generator.normal(size=(4, 9)).astype(np.float32), sensors),
        "run-2": Block("run-2", generator.normal(size=(3, 4, 5)).astype(np.float32), sensors),
    }
    windows = pd.DataFrame(
        {"subject": "sub-01", "session": "", "run": "1", "block": ["run-1", "run-2"], "start": [2, 1], "length": 5,
         "stimulus": "s", "repetition": 1, "onset": 0.0}
    )  # fmt: skip
    return Recording("sub-01", "fmri", blocks, windows)


@pytest.mark.parametrize("in_files", [True, False])
def test_regions_keep_their_channels_in_order(tmp_path: Path, in_files: bool) -> None:
    whole = regional()
    store = ArrayStore(tmp_path) if in_files else None
    kept = whole.in_regions(["IT", "V1"], store, chunk=2)
    assert kept.sensors.names == ("a", "b", "d")
    assert kept.sensors.regions["V1"].tolist() == [True, False, True]
    assert np.array_equal(kept.read([0, 1]), whole.read([0, 1])[:, [0, 1, 3]])
    if in_files:
        ArrayStore.empty(store, (2, 2))  # what is asked for and not used in the end leaves no file behind
        save_recording(tmp_path, kept, store=store)
        assert not list(tmp_path.glob("store-*"))
        assert np.array_equal(load_recording(tmp_path).read([0, 1]), kept.read([0, 1]))


def test_unknown_and_empty_regions() -> None:
    with pytest.raises(DataError, match="got 'V9', expected one of V1, IT, none"):
        regional().in_regions(["V1", "V9"])
    with pytest.raises(DataError, match="no channel lies in none"):
        regional().in_regions(["none"])
