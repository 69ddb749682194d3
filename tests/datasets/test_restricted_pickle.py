"""Pickles are read without trust: what is admitted comes out as it was, everything else is one kind of error."""

import collections
import os
import pickle
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodecode.core.errors import DataError
from neurodecode.datasets.pickle_opcodes import LAZY_BYTES
from neurodecode.datasets.restricted_pickle import container_of, read_pickle

LARGE = np.random.default_rng(0).normal(size=(5, 40, 100))
EXAMPLE: dict[str, Any] = {
    "preprocessed_eeg_data": LARGE,
    "turned": np.asfortranarray(LARGE[0]),
    "half": LARGE.astype(np.float16),
    "big_endian": LARGE[0].astype(">f4"),
    "ch_names": ["Oz", "O2"],
    "times": np.linspace(-0.2, 1, 300),
    "few": np.arange(6).reshape(2, 3),
    "flags": np.array([True, False]),
    "names": np.array(["aardvark", "t-shirt"]),
    "objects": np.array([{"a": 1}, None, ["b"]], dtype=object),
    "number": np.float64(0.5),
    "plain": (1, 2.5, None, True, "Ü", b"raw", 10**20, -3, {4}, frozenset({5}), 1 + 2j, bytearray(b"ab"), b"", set()),
    "ordered": collections.OrderedDict(a=1),
    "empty": np.zeros((0, 3)),
    "scalar_array": np.array(3.5),
}


def same(got: Any, expected: Any) -> None:
    if isinstance(expected, np.ndarray) and expected.dtype != object:
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)
    elif isinstance(expected, np.ndarray):
        assert got.tolist() == expected.tolist()
    elif isinstance(expected, dict):
        assert list(got) == list(expected)
        for key in expected:
            same(got[key], expected[key])
    else:
        assert got == expected


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_all_that_is_admitted_comes_back(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "data.pkl"
    path.write_bytes(pickle.dumps(EXAMPLE, protocol))
    got = read_pickle(path, scratch=tmp_path)
    same(got, EXAMPLE)
    assert isinstance(got["preprocessed_eeg_data"], np.memmap)
    assert not got["preprocessed_eeg_data"].flags.writeable
    assert os.listdir(tmp_path) == ["data.pkl"]


def test_the_same_array_twice_is_one_array(tmp_path: Path) -> None:
    path = tmp_path / "data.pkl"
    path.write_bytes(pickle.dumps([LARGE, LARGE], 4))
    first, second = read_pickle(path)
    assert first is second


def test_containers_are_told_by_content(tmp_path: Path) -> None:
    author, bare, archive = tmp_path / "a.npy", tmp_path / "b.npy", tmp_path / "c.npy"
    np.save(author, np.array(EXAMPLE, dtype=object))
    bare.write_bytes(pickle.dumps(EXAMPLE, 4))
    torch.save(EXAMPLE, archive)
    assert [container_of(path) for path in (author, bare, archive)] == ["npy", "pickle", "zip"]
    for path in (author, bare, archive):
        same(read_pickle(path), EXAMPLE)
    torch.save(EXAMPLE, archive, pickle_protocol=4)
    content = read_pickle(archive)
    same(content, EXAMPLE)
    assert content["preprocessed_eeg_data"].filename == archive, "mapped where it lies in the archive"
    np.save(author, LARGE)
    np.testing.assert_array_equal(read_pickle(author), LARGE)


def test_names_of_old_and_new_numpy(tmp_path: Path) -> None:
    path = tmp_path / "data.pkl"
    new = pickle.dumps(EXAMPLE["few"], 2)
    assert b"numpy._core.multiarray" in new
    path.write_bytes(new.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    np.testing.assert_array_equal(read_pickle(path), EXAMPLE["few"])


class Calls:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.parts = (function, arguments)

    def __reduce__(self) -> Any:
        return self.parts


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Calls(os.system, "touch executed"), "posix.system"),
        (Calls(eval, "1"), "builtins.eval"),
        (Calls(getattr, {}, "keys"), "builtins.getattr"),
        (Calls(np.load, "x"), "numpy.load"),
        (Path("a"), "pathlib.PosixPath"),
        (torch.ones(2), "torch._utils._rebuild_tensor_v2"),
        (np.datetime64("2020-01-01"), "the data type 'M8'"),
        (np.zeros(2, dtype=[("a", "f8")]), "the data type 'V8'"),
        (Calls(bytearray, 10**12), "bytearray made from 'int'"),
        (np.ma.masked_array([1.0], [True]), "numpy.ma"),
        ("x" * LAZY_BYTES, f"a text of {LAZY_BYTES} bytes"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_anything_else_is_refused_by_its_name(tmp_path: Path, value: Any, named: str, protocol: int) -> None:
    path = tmp_path / "data.npy"
    path.write_bytes(pickle.dumps({"eeg": value}, protocol))
    named = named.replace("builtins.", "__builtin__.") if protocol == 2 else named
    with pytest.raises(DataError, match=f"data.npy: holds .*{named}.*; only arrays, numbers, text and plain"):
        read_pickle(path)
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x80\x04cos\nsystem\n.", "os.system"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "os.system"),
        (b"\x80\x02(ios\nsystem\n.", "the opcode INST"),
        (b"\x80\x02\x82\x01.", "the opcode EXT1"),
        (b"\x80\x02K\x01Q.", "the opcode BINPERSID"),
        (b"\x80\x04\xff.", "the opcode 0xff"),
        (b"\x80\x04}K\x01b.", "a state for a 'dict'"),
        (b"\x80\x04K\x01)R.", "a call of 'int'"),
        (b"\x80\x02cnumpy\nndarray\n)R.", "a call of 'str'"),
        (b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00f8\x85R.", "an array without content"),
        (b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.", "the file is cut"),
        (b"\x80\x04B\xff\xff\xff\x7f.", "the file is cut"),
        (b"\x80\x04", "the file is cut"),
        (b"\x80\x04]", "the file is cut"),
        (b"", "neither a pickle"),
        (b"PK\x03\x04", "not readable as a pickle"),
        (b"\x80\x06N.", "neither a pickle"),
        (b"\x93NUMPY\x01\x00\x00\x00", "not readable as a pickle"),
    ],
)
def test_made_up_pickles(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "data.npy"
    path.write_bytes(content)
    with pytest.raises(DataError, match=reason) as caught:
        read_pickle(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_cut_files(tmp_path: Path) -> None:
    path = tmp_path / "data.npy"
    for protocol in (2, 4, 5):
        whole = pickle.dumps(EXAMPLE, protocol)
        for keep in (0.1, 0.5, 0.9, 0.999):
            path.write_bytes(whole[: int(len(whole) * keep)])
            with pytest.raises(DataError, match=r"data\.npy: .*cut"):
                read_pickle(path)


def test_archives_that_are_not_what_torch_writes(tmp_path: Path) -> None:
    path = tmp_path / "train.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train/data.pkl", pickle.dumps(EXAMPLE, 2))
    with pytest.raises(DataError, match=r"train\.pt: member 'train/data\.pkl' is compressed"):
        read_pickle(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train/other", b"")
    with pytest.raises(DataError, match=r"train\.pt: an archive with 0 members called data\.pkl"):
        read_pickle(path)
    torch.save(EXAMPLE, path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"train\.pt: not readable"):
        read_pickle(path)


def only_data_errors(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.npy"
        path.write_bytes(content)
        try:
            read_pickle(path)
        except DataError as error:
            assert str(error).startswith(f"{path}: ")  # noqa: PT017 - what comes out may also be a value


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.sampled_from([b"\x80\x02", b"\x80\x04", b"\x80\x05", b""]), st.binary(max_size=120))
def test_random_bytes(start: bytes, content: bytes) -> None:
    only_data_errors(start + content + b".")


SMALL = {key: value for key, value in EXAMPLE.items() if key not in ("turned", "half", "big_endian")} | {
    "preprocessed_eeg_data": np.zeros((3, 100, 50))
}
WHOLE = [pickle.dumps(SMALL, protocol) for protocol in (2, 4, 5)]
# Away from the zeros of the large array, where a changed byte is a changed number and nothing else.
PLACES = [[i for i in range(len(whole)) if whole[i : i + 8] != bytes(8)] for whole in WHOLE]


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.integers(0, 2), st.lists(st.tuples(st.floats(0, 0.9999), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_bytes(which: int, changes: list[tuple[float, int]]) -> None:
    content = bytearray(WHOLE[which])
    for place, value in changes:
        content[PLACES[which][int(place * len(PLACES[which]))]] = value
    only_data_errors(bytes(content))


def test_text_that_does_not_exist(tmp_path: Path) -> None:
    path = tmp_path / "data.npy"
    names = np.array(["ab", "cd"])
    for protocol in (2, 4, 5):
        whole = pickle.dumps(names, protocol)
        assert whole.count(b"c\0\0\0") == 1
        path.write_bytes(whole.replace(b"c\0\0\0", b"c\0\0\x20"))
        with pytest.raises(DataError, match=r"data\.npy: holds an array of text with characters that do not exist"):
            read_pickle(path)
    path.write_bytes(b"\x80\x04\x8c\x03\xed\xa0\x80.")
    with pytest.raises(DataError, match=r"data\.npy: not readable as a pickle \(UnicodeDecodeError"):
        read_pickle(path)
    large = np.array(["x" * 50] * 4000).reshape(4, 1000)
    path.write_bytes(pickle.dumps(np.asfortranarray(large), 4))
    np.testing.assert_array_equal(read_pickle(path), large)
