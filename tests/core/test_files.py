"""Files that are whole or absent: under exceptions, under kill -9, and with several processes at once."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodecode.core.errors import DataError
from neurodecode.core.files import (
    atomic_folder,
    atomic_path,
    fingerprint,
    folder_lock,
    open_array,
    read_json,
    read_table,
    sha256_of_file,
    write_json,
    write_table,
)

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(st.text(), PLAIN, min_size=2, max_size=5))
def test_fingerprint_ignores_the_order_of_keys(value: dict[str, object]) -> None:
    turned = dict(reversed(list(value.items())))
    assert fingerprint(value) == fingerprint(turned)


@settings(deadline=None, max_examples=40)
@given(PLAIN, PLAIN)
def test_fingerprint_tells_values_apart(first: object, second: object) -> None:
    import json

    same = json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
    assert (fingerprint(first) == fingerprint(second)) == same


def test_fingerprint_knows_arrays_and_paths_and_refuses_the_rest() -> None:
    assert fingerprint({"a": np.arange(3), "b": Path("x/y")}) == fingerprint({"a": [0, 1, 2], "b": "x/y"})
    assert fingerprint(np.float32(0.5)) == fingerprint(0.5)
    with pytest.raises(TypeError, match="object"):
        fingerprint(object())


def test_sha256_matches_hashlib(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    (tmp_path / "file").write_bytes(content)
    assert sha256_of_file(tmp_path / "file") == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "table.csv"
    target.write_text("old")

    def write() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise error("stop")

    with pytest.raises(error, match="stop"):
        write()
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_a_file_with_the_same_bytes_is_left_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "README"

    def write(text: str) -> tuple[int, int]:
        with atomic_path(target) as temporary:
            temporary.write_text(text)
        assert [path.name for path in tmp_path.iterdir()] == ["README"]
        return target.stat().st_ino, target.stat().st_mtime_ns

    first = write("one")
    assert write("one") == first
    assert write("two") != first
    assert target.read_text() == "two"


def test_an_exception_leaves_no_folder(tmp_path: Path) -> None:
    def write() -> None:
        with atomic_folder(tmp_path / "sub-01") as temporary:
            (temporary / "block.npy").write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert list(tmp_path.iterdir()) == []


def test_the_first_folder_wins(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "sub-01") as mine:
        (mine / "file").write_text("mine")
        with atomic_folder(tmp_path / "sub-01") as theirs:
            (theirs / "file").write_text("theirs")
    assert (tmp_path / "sub-01" / "file").read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["sub-01"]


WRITER = """
import sys, time
from pathlib import Path
from neurodecode.core.files import atomic_folder, atomic_path
target = Path(sys.argv[1])
with (atomic_folder(target) if sys.argv[2] == "folder" else atomic_path(target)) as temporary:
    (temporary / "half" if sys.argv[2] == "folder" else temporary).write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_kill_leaves_the_target_absent(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "target"
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(target), kind], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not target.exists()
    # What is left is hidden, and a second attempt is not disturbed by it.
    assert all(path.name.startswith(".") for path in tmp_path.iterdir())
    with atomic_path(target) as temporary:
        temporary.write_text("whole")
    assert target.read_text() == "whole"


LOCKER = """
import sys
from pathlib import Path
from neurodecode.core.files import folder_lock
with folder_lock(Path(sys.argv[1])):
    counter = Path(sys.argv[2])
    for _ in range(50):
        counter.write_text(str(int(counter.read_text()) + 1))
"""


def test_the_lock_lets_one_process_at_a_time(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    command = [sys.executable, "-c", LOCKER, str(tmp_path / "cache"), str(counter)]
    processes = [subprocess.Popen(command, cwd=tmp_path) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert counter.read_text() == "150"


def test_the_lock_is_free_again_after_a_kill(tmp_path: Path) -> None:
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom neurodecode.core.files import folder_lock\n"
        "with folder_lock(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "cache")], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    process.kill()
    process.wait()
    process.stdout.close()
    begin = time.monotonic()
    with folder_lock(tmp_path / "cache"):
        assert time.monotonic() - begin < 5


def test_json_round_trip_and_refusals(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_json(path, {"a": np.int64(3), "b": [0.5, None, "ü"], "c": np.arange(2)})
    assert read_json(path) == {"a": 3, "b": [0.5, None, "ü"], "c": [0, 1]}
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, float("nan"))
    assert read_json(path)["a"] == 3
    path.write_text('{"a": 1')
    with pytest.raises(DataError, match=r"value\.json: not readable as JSON"):
        read_json(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"value\.json: not readable"):
        read_json(path)
    with pytest.raises(DataError, match=r"none\.json: no such file"):
        read_json(tmp_path / "none.json")


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)


@settings(deadline=None, max_examples=40)
@given(st.lists(NAMES, min_size=1, max_size=6))
def test_text_columns_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    path = tmp_path_factory.mktemp("table") / "names.csv"
    write_table(path, pd.DataFrame({"name": names, "number": np.arange(len(names)) * 0.25}))
    table = read_table(path, required=("name", "number"), text=("name",))
    assert table["name"].tolist() == names
    assert table["number"].tolist() == [0.25 * index for index in range(len(names))]


@pytest.mark.parametrize("name", ["NA", "null", "n/a", "1E10", "2600", "None", "nan", "TRUE"])
def test_a_stimulus_may_be_called_anything(tmp_path: Path, name: str) -> None:
    write_table(tmp_path / "t.csv", pd.DataFrame({"stimulus": [name, ""]}))
    assert read_table(tmp_path / "t.csv", text=("stimulus",))["stimulus"].tolist() == [name, ""]


def test_a_broken_table_is_named(tmp_path: Path) -> None:
    path = tmp_path / "events.tsv"
    with pytest.raises(DataError, match=r"events\.tsv: no such file"):
        read_table(path)
    path.write_bytes("onset\tstim_file\n1\tcaf\xe9.png\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"events\.tsv: not readable as a table"):
        read_table(path, text=("stim_file",))
    path.write_text("onset\n1\n")
    with pytest.raises(DataError, match=r"events\.tsv: column 'duration' is missing, got onset"):
        read_table(path, required=("onset", "duration"))
    path.write_text("")
    with pytest.raises(DataError, match=r"events\.tsv: not readable"):
        read_table(path)
    path.write_text("onset\tvalue\n1\t2\t3\n")
    with pytest.raises(DataError, match=r"events\.tsv: a row has more cells than the 2 of the header"):
        read_table(path)


def test_arrays_are_mapped_and_never_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "block.npy"
    np.save(path, np.arange(1000, dtype=np.float32))
    assert isinstance(open_array(path), np.memmap)
    assert not isinstance(open_array(path, memory_map=False), np.memmap)
    path.write_bytes(path.read_bytes()[:-100])
    for memory_map in (True, False):
        with pytest.raises(DataError, match=r"block\.npy: not readable as a whole"):
            open_array(path, memory_map=memory_map)
    np.save(path, np.array([{"code": 1}], dtype=object), allow_pickle=True)
    for memory_map in (True, False):
        with pytest.raises(DataError, match=r"block\.npy: not readable"):
            open_array(path, memory_map=memory_map)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"block\.npy: not readable"):
        open_array(path)
    with pytest.raises(DataError, match="no such file"):
        open_array(tmp_path / "none.npy")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("writer", [atomic_path, atomic_folder])
def test_a_full_disk_names_the_file_and_leaves_nothing(
    writer: Callable[[Path], AbstractContextManager[Path]], tmp_path: Path
) -> None:
    target = tmp_path / "signals.npy"

    def write() -> None:
        with writer(target), open("/dev/full", "wb", buffering=0) as file:
            file.write(b"more than fits")

    with pytest.raises(OSError, match="No space left") as caught:
        write()
    assert caught.value.filename == str(target)
    assert list(tmp_path.iterdir()) == []
