"""The cache: parity with what was read, resuming, staleness, interruption, and two processes at once."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.core.recording import Block, Recording
from neurodecode.core.sensors import Sensors
from neurodecode.core.split import Split, published_split
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.stored_recording import load_recording, save_recording
from neurodecode.core.study import Study, StudyInfo

NAMES = ("0001", "NA", "1E10", "cat")


class Toy(Study):
    """Two subjects whose signals are drawn from a seed in a file."""

    info = StudyInfo("toy", "eeg", "image", "", "", "", "", "", True, expected={"stimuli": 4})
    needed = ("seed.txt",)
    loads: ClassVar[list[str]] = []
    channels: ClassVar[dict[str, tuple[str, ...]]] = {}

    def subjects(self) -> list[str]:
        return ["sub-01", "sub-02"]

    def stimuli(self) -> Stimuli:
        table = pd.DataFrame({"stimulus": NAMES, "kind": "image", "path": "", "concept": NAMES, "text": "x"})
        return Stimuli(table, self.root)

    def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
        self.loads.append(subject)
        seed = int((self.root / "seed.txt").read_text())
        generator = np.random.default_rng([seed, int(subject[-2:])])
        names = self.channels.get(subject, ("Fz", "Oz"))
        sensors = Sensors(names, ("eeg",) * len(names), sfreq or 100.0, 0.0, "V")
        blocks = {
            "run-1": Block("run-1", generator.normal(size=(len(names), 80)).astype(np.float32), sensors),
            "run-2": Block("run-2", generator.normal(size=(4, len(names), 5)).astype(np.float32), sensors),
        }
        table = pd.DataFrame(
            {
                "subject": subject,
                "session": "",
                "run": ["01"] * 4 + ["02"] * 4,
                "block": ["run-1"] * 4 + ["run-2"] * 4,
                "start": [3, 20, 40, 60, 0, 1, 2, 3],
                "length": 5,
                "stimulus": NAMES * 2,
                "repetition": [1] * 4 + [2] * 4,
                "onset": 0.5,
                "code": ["0010", "0020", "0030", "0040"] * 2,
            }
        )
        return Recording(subject, "eeg", blocks, table, True, ("made up",))

    def split(self, windows: Mapping[str, pd.DataFrame]) -> Split:
        parts = dict(zip(NAMES, ("train", "train", "val", "test"), strict=True))
        return published_split(windows, parts, column="stimulus", unit="stimulus", rule="toy")

    def steps(self) -> dict[str, Any]:
        return {"reader": "toy"}


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    Toy.loads.clear()
    Toy.channels.clear()
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "seed.txt").write_text("3")
    return Toy(tmp_path / "source")


def test_the_cache_holds_what_was_read(toy: Toy, tmp_path: Path) -> None:
    told: list[str] = []
    prepared = prepare_study(toy, tmp_path / "cache", progress=told.append)
    assert told == prepared.subjects == ["sub-01", "sub-02"]
    assert prepared.simulated
    assert prepared.stimuli.names == list(NAMES)
    for subject in prepared.subjects:
        read, cached = toy.load(subject), prepared.recording(subject)
        rows = np.array([7, 0, 3, 3, 4])
        np.testing.assert_array_equal(cached.read(rows), read.read(rows))
        assert isinstance(cached.blocks["run-1"].data, np.memmap)
        assert cached.windows.equals(read.windows.astype(cached.windows.dtypes.to_dict()))
        assert cached.windows["code"].tolist() == ["0010", "0020", "0030", "0040"] * 2
        assert cached.flags == ("made up",)
    proof = prepared.header["proof"]["sub-01"]
    assert (proof["windows"], proof["stimuli"], proof["runs"], proof["channels"]) == (8, 4, 2, 2)
    assert proof["split"] == {"train": 4, "val": 2, "test": 2}
    assert prepared.split.rows("sub-02", "test").tolist() == [3, 7]


def test_a_window_is_one_piece_of_the_file(toy: Toy, tmp_path: Path) -> None:
    prepared = prepare_study(toy, tmp_path / "cache", subjects=["sub-01"])
    data = prepared.recording("sub-01").blocks["run-1"].data
    assert data[:, 3:8].T.flags.c_contiguous


def test_finished_subjects_are_kept(toy: Toy, tmp_path: Path) -> None:
    prepare_study(toy, tmp_path / "cache", subjects=["sub-02"])
    assert toy.loads == ["sub-02"]
    assert prepare_study(toy, tmp_path / "cache").subjects == ["sub-01", "sub-02"]
    prepare_study(toy, tmp_path / "cache")
    assert toy.loads == ["sub-02", "sub-01"]


def test_a_changed_source_rate_or_step_is_read_again(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    first = prepare_study(toy, cache).recording("sub-01").read([0])
    (toy.root / "seed.txt").write_text("44")
    second = prepare_study(toy, cache).recording("sub-01").read([0])
    assert not np.array_equal(first, second)
    assert len(toy.loads) == 4
    prepare_study(toy, cache, sfreq=50.0)
    assert len(toy.loads) == 6
    monkeypatch.setattr(Toy, "steps", lambda self: {"reader": "toy", "high_pass": 0.1})
    prepare_study(toy, cache, sfreq=50.0)
    assert len(toy.loads) == 8


def test_a_foreign_folder_is_not_touched(toy: Toy, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    with pytest.raises(DataError, match=r"thesis: holds 'chapter\.tex', which is not of a prepared study"):
        prepare_study(toy, tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "years of work"


def test_bad_requests(toy: Toy, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"subject 'sub-09' is not in .* which has sub-01, sub-02"):
        prepare_study(toy, tmp_path / "cache", subjects=["sub-09"])
    with pytest.raises(ConfigError, match="jobs: got 0"):
        prepare_study(toy, tmp_path / "cache", jobs=0)
    prepared = prepare_study(toy, tmp_path / "cache", subjects=["sub-01"])
    with pytest.raises(DataError, match="subject 'sub-02' is not in toy, which has sub-01"):
        prepared.recording("sub-02")
    with pytest.raises(DataError, match="not a prepared study"):
        PreparedStudy(tmp_path / "none")


def test_a_study_that_fails_leaves_nothing_to_trust(toy: Toy, tmp_path: Path) -> None:
    Toy.channels["sub-02"] = ("Fz", "Pz")
    with pytest.raises(DataError, match="sub-02: lacks the channel 'Oz' that sub-01 has"):
        prepare_study(toy, tmp_path / "cache")
    with pytest.raises(DataError, match="not a prepared study"):
        PreparedStudy(tmp_path / "cache")


def test_wrong_counts_are_refused(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Toy, "info", StudyInfo("toy", "eeg", "image", "", "", "", "", "", True, {"windows": 9}))
    with pytest.raises(DataError, match="toy, sub-01: 8 windows, expected 9"):
        prepare_study(toy, tmp_path / "cache")


def damage_array(folder: Path) -> None:
    path = folder / "block-000.npy"
    path.write_bytes(path.read_bytes()[:-8])


def damage_shape(folder: Path) -> None:
    np.save(folder / "block-000.npy", np.zeros((2, 79), dtype=np.float32))


def damage_type(folder: Path) -> None:
    np.save(folder / "block-000.npy", np.zeros((2, 80)))


def damage_windows(folder: Path) -> None:
    path = folder / "windows.csv"
    path.write_text(path.read_text()[: path.read_text().rindex("sub-01")])


def damage_sensors(folder: Path) -> None:
    path = folder / "sensors-000.npz"
    path.write_bytes(path.read_bytes()[:40])


def damage_header(folder: Path) -> None:
    (folder / "recording.json").write_text("{")


def damage_format(folder: Path) -> None:
    header = json.loads((folder / "recording.json").read_text())
    (folder / "recording.json").write_text(json.dumps({**header, "format": 0}))


def remove_block(folder: Path) -> None:
    (folder / "block-001.npy").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_array, r"block-000\.npy: not readable as a whole"),
        (damage_shape, r"block-000\.npy: float32 of shape \(2, 79\), expected float32 \(2, 80\)"),
        (damage_type, r"block-000\.npy: float64 of shape"),
        (damage_windows, r"windows\.csv: 7 rows, expected 8"),
        (damage_sensors, r"sensors-000\.npz: not readable"),
        (damage_header, r"recording\.json: not readable as JSON"),
        (damage_format, r"recording\.json: format 0, expected \d+; prepare again"),
        (remove_block, r"block-001\.npy: no such file"),
    ],
)
def test_a_damaged_cache_is_named(toy: Toy, tmp_path: Path, damage: Any, message: str) -> None:
    prepare_study(toy, tmp_path / "cache")
    damage(tmp_path / "cache" / "sub-01")
    with pytest.raises(DataError, match=message):
        PreparedStudy(tmp_path / "cache").recording("sub-01")


def test_an_edited_split_is_noticed(toy: Toy, tmp_path: Path) -> None:
    prepared = prepare_study(toy, tmp_path / "cache")
    path = tmp_path / "cache" / "split.csv"
    path.write_text(path.read_text().replace(",val", ",train"))
    with pytest.raises(DataError, match=r"split\.csv: hash .* edited or cut"):
        _ = prepared.split


def test_stored_recordings_refuse_a_full_disk(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **keywords: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match="No space left"):
        prepare_study(toy, tmp_path / "cache")
    monkeypatch.undo()
    assert not list((tmp_path / "cache").glob("*sub-0*"))
    prepare_study(toy, tmp_path / "cache")


def test_a_recording_alone(toy: Toy, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    save_recording(tmp_path / "one", toy.load("sub-01"))
    np.testing.assert_array_equal(load_recording(tmp_path / "one").read([1]), toy.load("sub-01").read([1]))


SLOW = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from toy_study import Toy
from neurodecode.core.prepared import prepare_study
class Slow(Toy):
    def load(self, subject, *, sfreq=None, store=None):
        if subject == sys.argv[4]:
            print("loading", flush=True)
            time.sleep(float(sys.argv[5]))
        with open(sys.argv[1] + "/loads.txt", "a") as file:
            file.write(subject + "\\n")
        return super().load(subject, sfreq=sfreq, store=store)
prepared = prepare_study(Slow(Path(sys.argv[2])), Path(sys.argv[3]))
print(prepared.split.hash, prepared.recording("sub-02").read([0]).sum(), flush=True)
"""


def start(tmp_path: Path, toy: Toy, wait_at: str, seconds: float) -> "subprocess.Popen[str]":
    source = Path(__file__).read_text()
    (tmp_path / "toy_study.py").write_text(source[: source.index("@pytest.fixture")])
    (tmp_path / "slow.py").write_text(textwrap.dedent(SLOW))
    command = [sys.executable, "slow.py", ".", str(toy.root), str(tmp_path / "cache"), wait_at, str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path)


def test_after_kill_the_work_goes_on_where_it_was(toy: Toy, tmp_path: Path) -> None:
    process = start(tmp_path, toy, "sub-02", 60)
    assert process.stdout is not None
    assert process.stdout.readline() == "loading\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with pytest.raises(DataError, match="not a prepared study"):
        PreparedStudy(tmp_path / "cache")
    (tmp_path / "cache" / ".sub-02.abc.part").mkdir()  # what a kill in the middle of writing leaves
    prepared = prepare_study(toy, tmp_path / "cache")
    assert toy.loads == ["sub-02"]
    np.testing.assert_array_equal(prepared.recording("sub-01").read([2]), toy.load("sub-01").read([2]))
    assert not list((tmp_path / "cache").glob(".*.part"))


def test_two_processes_share_the_work(toy: Toy, tmp_path: Path) -> None:
    processes = [start(tmp_path, toy, "sub-01", 0.5) for _ in range(2)]
    outputs = [process.communicate()[0].splitlines()[-1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert outputs[0] == outputs[1]
    assert sorted((tmp_path / "loads.txt").read_text().split()) == ["sub-01", "sub-02"]


def test_a_fold_reads_windows_scaled_within_their_session(toy: Toy, tmp_path: Path) -> None:
    plain = prepare_study(toy, tmp_path / "cache")
    before = plain.recording("sub-01").read(np.arange(8))
    assert np.array_equal(plain.recording("sub-01", fold=0).read(np.arange(8)), before)
    prepared = prepare_study(toy, tmp_path / "cache", session_scaling="zscore", session_clamp=20.0)
    assert np.array_equal(prepared.recording("sub-01").read(np.arange(8)), before)
    own = before[plain.split.rows("sub-01", "train")].astype(np.float64)
    expected = (before - own.mean((0, 2))[:, None]) / own.std((0, 2))[:, None]
    assert np.allclose(prepared.recording("sub-01", fold=0).read(np.arange(8)), expected, atol=1e-4)
    assert PreparedStudy(tmp_path / "cache").session_scaling == ("zscore", 20.0)


def test_session_scaling_and_split_are_checked_before_anything_is_read(toy: Toy, tmp_path: Path) -> None:
    toy.loads.clear()
    with pytest.raises(ConfigError, match=r"got 'zscores', expected one of none, .* mean 'zscore'"):
        prepare_study(toy, tmp_path / "cache", session_scaling="zscores")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="session_clamp: got 5, expected 0 or, with session_scaling, more"):
        prepare_study(toy, tmp_path / "cache", session_clamp=5.0)
    with pytest.raises(ConfigError, match=r"split: got 'runs', expected one of published, .* mean 'run'"):
        prepare_study(toy, tmp_path / "cache", split="runs")
    assert not toy.loads


def test_regions_that_the_sensors_lack(toy: Toy, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="regions: got 'V1', expected none: the sensors have no regions"):
        prepare_study(toy, tmp_path / "cache", regions=["V1"])
