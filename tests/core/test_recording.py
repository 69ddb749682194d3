"""Recordings: reading against plain slicing, averages, and what does not fit together."""

import pickle
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodecode.core.errors import DataError
from neurodecode.core.recording import Block, Recording, group_by_stimulus
from neurodecode.core.sensors import Sensors

CHANNELS = ("Fz", "Cz", "Oz")


def sensors(names: tuple[str, ...] = CHANNELS) -> Sensors:
    return Sensors(names, ("eeg",) * len(names), 100.0, 0.0, "V")


def windows(blocks: list[str], starts: list[int], length: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "subject": "sub-01",
            "session": "",
            "run": blocks,
            "block": blocks,
            "start": starts,
            "length": length,
            "stimulus": [f"s{index % 3}" for index in range(len(starts))],
            "repetition": 1,
            "onset": 0.0,
        }
    )


def continuous(order: str = "C") -> tuple[Recording, np.ndarray]:
    generator = np.random.default_rng(0)
    data = {name: generator.normal(size=(3, 50)).astype(np.float32) for name in ("a", "b")}
    blocks = {name: Block(name, np.asarray(values, order=order), sensors()) for name, values in data.items()}  # type: ignore[call-overload]
    table = windows(["a", "b", "a", "b", "a"], [0, 10, 44, 3, 2], 6)
    expected = np.stack(
        [data[block][:, start : start + 6] for block, start in zip(table["block"], table["start"], strict=True)]
    )
    return Recording("sub-01", "eeg", blocks, table), expected


@pytest.mark.parametrize("order", ["C", "F"])
@settings(deadline=None, max_examples=40)
@given(rows=st.lists(st.integers(0, 4), min_size=1, max_size=12))
def test_read_equals_slicing(order: str, rows: list[int]) -> None:
    recording, expected = continuous(order)
    np.testing.assert_array_equal(recording.read(rows), expected[rows])


def test_read_gives_a_copy() -> None:
    recording, expected = continuous("F")
    recording.read([0])[:] = 0
    np.testing.assert_array_equal(recording.read([0])[0], expected[0])


def test_overlapping_windows_are_rows() -> None:
    data = np.arange(20, dtype=np.float32)[None].repeat(3, axis=0)
    recording = Recording("s", "eeg", {"a": Block("a", data, sensors())}, windows(["a"] * 3, [0, 1, 2], 4))
    assert recording.read([0, 1, 2])[:, 0, 0].tolist() == [0, 1, 2]


def test_epoched_blocks_and_beta_maps() -> None:
    data = np.random.default_rng(1).normal(size=(4, 3, 1)).astype(np.float32)
    recording = Recording("s", "fmri", {"a": Block("a", data, sensors())}, windows(["a"] * 4, [3, 2, 1, 0], 1))
    assert recording.n_times == 1
    assert next(iter(recording.blocks.values())).epoched
    np.testing.assert_array_equal(recording.read([0, 3]), data[[3, 0]])


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_averages_equal_the_mean(chunk: int) -> None:
    recording, expected = continuous()
    groups = [np.array([0, 3]), np.array([1, 4, 2]), np.array([2])]
    averaged = recording.read_averaged(groups, chunk=chunk)
    np.testing.assert_allclose(averaged, [expected[group].mean(axis=0) for group in groups], rtol=1e-5, atol=1e-6)
    with pytest.raises(DataError, match="group 1 of windows to average is empty"):
        recording.read_averaged([np.array([0]), np.array([], dtype=int)], chunk=chunk)


def test_a_recording_travels_to_another_process() -> None:
    recording, expected = continuous()
    recording.read([0])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(recording)).read([1]), expected[[1]])


def _short(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns="onset")


def _outside(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(start=[0, 10, 45, 3, 2])


def _negative(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(start=[0, 10, -1, 3, 2])


def _unknown(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(block=["a", "b", "c", "b", "a"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_short, "lacks the column 'onset'"),
        (_outside, r"window 2 \(start 45, length 6\) does not fit block 'a' of shape \(3, 50\)"),
        (_negative, r"window 2 \(start -1, length 6\)"),
        (_unknown, "names the block 'c', which does not exist"),
    ],
)
def test_windows_that_do_not_fit_are_refused(change: Callable[[pd.DataFrame], pd.DataFrame], message: str) -> None:
    recording, _ = continuous()
    with pytest.raises(DataError, match=message):
        Recording("sub-01", "eeg", recording.blocks, change(recording.windows))


def test_blocks_with_other_channels_are_refused() -> None:
    data = np.zeros((3, 50), dtype=np.float32)
    table = windows(["a"], [0], 6)
    blocks = {"a": Block("a", data, sensors()), "b": Block("b", data, sensors(("Fz", "Pz", "Oz")))}
    with pytest.raises(DataError, match="block 'b' has 'Pz' where block 'a' has 'Cz'"):
        Recording("sub-01", "eeg", blocks, table)
    blocks["b"] = Block("b", data[:2], sensors(("Fz", "Cz")))
    with pytest.raises(DataError, match="block 'b' has '2 channels' where block 'a' has '3 channels'"):
        Recording("sub-01", "eeg", blocks, table)
    with pytest.raises(DataError, match="no block of signal"):
        Recording("sub-01", "eeg", {}, table)
    with pytest.raises(DataError, match="2 channels of data but 3 sensors"):
        Block("a", data[:2], sensors())
    with pytest.raises(DataError, match="expected 2 or 3 dimensions"):
        Block("a", data[0], sensors())


def test_windows_of_different_lengths_have_no_common_length() -> None:
    recording, _ = continuous()
    mixed = Recording("s", "eeg", recording.blocks, recording.windows.assign(length=[6, 6, 5, 6, 6]))
    with pytest.raises(DataError, match="2 different lengths"):
        mixed.read([0])


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(["", "a", "b", "c"]), min_size=1, max_size=12), st.data())
def test_groups_cover_the_rows_once(names: list[str], data: st.DataObject) -> None:
    table = pd.DataFrame({"stimulus": names})
    rows = np.array(data.draw(st.lists(st.integers(0, len(names) - 1), unique=True)), dtype=np.int64)
    found, groups = group_by_stimulus(table, rows)
    assert found == sorted({names[row] for row in rows} - {""})
    for name, group in zip(found, groups, strict=True):
        assert group.tolist() == sorted(row for row in rows if names[row] == name)
