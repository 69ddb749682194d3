"""Targets: shards, resuming after an interruption, and spaces that do not match."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodecode.core.errors import DataError, MismatchError
from neurodecode.core.targets import Targets, TargetSpace, TargetWriter

VECTOR = TargetSpace("net", "00ff", "last", "mean", "224", False, "vector", (4,))
TOKENS = replace(VECTOR, kind="tokens", shape=(3, 4))
SERIES = replace(VECTOR, kind="series", shape=(4,), rate=50.0)


def vector(name: str) -> np.ndarray:
    return np.random.default_rng(sum(map(ord, name))).normal(size=4).astype(np.float32)


@settings(deadline=None, max_examples=20)
@given(
    st.lists(st.text("abc01", min_size=1, max_size=4), min_size=1, max_size=20, unique=True),
    st.integers(1, 7),
    st.data(),
)
def test_interrupted_and_resumed_equals_at_once(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], shard_size: int, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("targets") / "net"
    stop = data.draw(st.integers(0, len(names)))
    writer = TargetWriter(folder, VECTOR, shard_size=shard_size)
    for name in names[:stop]:
        writer.add(name, vector(name))
    del writer  # the process dies: what was pending is lost, what was flushed is not
    with pytest.raises(DataError, match="was not finished"):
        Targets.open(folder)
    second = TargetWriter(folder, VECTOR, shard_size=shard_size)
    assert len(second.done) == stop - stop % shard_size
    for name in names:
        if name not in second.done:
            second.add(name, vector(name))
    targets = second.close()
    assert sorted(targets.stimuli) == sorted(names)
    np.testing.assert_array_equal(targets.get(names), [vector(name) for name in names])


def test_a_shard_without_an_index_entry_is_written_again(tmp_path: Path) -> None:
    writer = TargetWriter(tmp_path, VECTOR, shard_size=1)
    writer.add("a", vector("a"))
    index = (tmp_path / "index.csv").read_bytes()
    writer.add("b", vector("x"))
    (tmp_path / "index.csv").write_bytes(index)  # killed between the shard and the index
    resumed = TargetWriter(tmp_path, VECTOR, shard_size=1)
    assert resumed.done == {"a"}
    resumed.add("b", vector("b"))
    np.testing.assert_array_equal(resumed.close().get(["b", "a"]), [vector("b"), vector("a")])


def test_what_is_added_is_checked(tmp_path: Path) -> None:
    writer = TargetWriter(tmp_path, VECTOR)
    writer.add("a", vector("a"))
    with pytest.raises(DataError, match="'a': added twice"):
        writer.add("a", vector("a"))
    with pytest.raises(DataError, match=r"'b': shape \(5,\), expected \(4,\)"):
        writer.add("b", np.zeros(5, dtype=np.float32))
    with pytest.raises(DataError, match="'b': not finite"):
        writer.add("b", np.full(4, np.nan, dtype=np.float32))


def test_another_space_cannot_resume(tmp_path: Path) -> None:
    TargetWriter(tmp_path, VECTOR)
    with pytest.raises(MismatchError, match=r"net/last/mean .* they differ in weights"):
        TargetWriter(tmp_path, replace(VECTOR, weights="11"))


def test_cut_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder of targets"):
        Targets.open(tmp_path / "none")
    writer = TargetWriter(tmp_path, VECTOR, shard_size=2)
    for name in "abcd":
        writer.add(name, vector(name))
    writer.close()
    shard = tmp_path / "shard-00001.npy"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-4])
    with pytest.raises(DataError, match=r"shard-00001\.npy: not readable as a whole"):
        Targets.open(tmp_path)
    np.save(shard, np.zeros((1, 4), dtype=np.float32))
    with pytest.raises(DataError, match=r"shard 1 has shape \(1, 4\), the index expects \(2, 4\)"):
        Targets.open(tmp_path)
    shard.unlink()
    with pytest.raises(DataError, match=r"shard-00001\.npy: no such file"):
        Targets.open(tmp_path)


def test_tokens_and_series(tmp_path: Path) -> None:
    writer = TargetWriter(tmp_path / "tokens", TOKENS)
    tokens = np.arange(12, dtype=np.float32).reshape(3, 4)
    writer.add("a", tokens)
    np.testing.assert_array_equal(writer.close().get(["a", "a"]), [tokens, tokens])
    series = TargetWriter(tmp_path / "series", SERIES)
    frames = {"x": np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32), "y": np.ones((10, 4), np.float32)}
    for name, values in frames.items():
        series.add(name, values)
    targets = series.close()
    np.testing.assert_array_equal(targets.slice("x", 0.5, 1.0), frames["x"][25:75])
    with pytest.raises(DataError, match=r"'y': 0 s \+ 1 s is outside its 0.2 s"):
        targets.slice("y", 0.0, 1.0)
    with pytest.raises(DataError, match="are time series"):
        targets.get(["x"])
    with pytest.raises(DataError, match="are no time series"):
        Targets.from_arrays(VECTOR, ["a"], np.zeros((1, 4), np.float32)).slice("a", 0, 1)


def test_targets_in_memory() -> None:
    targets = Targets.from_arrays(VECTOR, ["a", "b"], np.arange(8, dtype=np.float32).reshape(2, 4))
    assert targets.get(["b", "a", "b"])[:, 0].tolist() == [4, 0, 4]
    assert "a" in targets
    assert "c" not in targets
    with pytest.raises(DataError, match="'c' has no target in net/last/mean"):
        targets.get(["c"])
    with pytest.raises(DataError, match=r"shape \(2, 3\), expected \(2, 4\)"):
        Targets.from_arrays(VECTOR, ["a", "b"], np.zeros((2, 3), np.float32))


def test_spaces_check_themselves() -> None:
    assert TargetSpace.from_dict(SERIES.to_dict()) == SERIES
    assert len({VECTOR.digest, TOKENS.digest, SERIES.digest, replace(VECTOR, normalised=True).digest}) == 4
    with pytest.raises(DataError, match="does not fit kind"):
        replace(VECTOR, shape=(2, 3))
    with pytest.raises(DataError, match="a rate is for series"):
        replace(VECTOR, rate=50.0)
    with pytest.raises(DataError, match="kind 'cloud' is not one of"):
        replace(VECTOR, kind="cloud")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="target space"):
        TargetSpace.from_dict({"model": "net"})
    with pytest.raises(MismatchError, match=r"generator: expects .* they differ in kind, shape"):
        VECTOR.require(TOKENS, what="generator")
