"""LibriBrain: chapters are read in pieces and never changed; the published parts; every key is checked."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.files import sha256_of_file
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.datasets.catalogue import open_study
from neurodecode.datasets.libribrain import LibriBrain
from neurodecode.datasets.miniatures.catalogue import write_miniature
from neurodecode.datasets.miniatures.libribrain import CHAPTERS, LEAD, signals_of, stories
from neurodecode.datasets.miniatures.spoken import word_retrieval
from neurodecode.datasets.serialised_meg import flat_layout

RECORDING = "Sherlock1/derivatives/serialised/sub-0_ses-1_task-Sherlock1_run-1_proc-bads+headpos+sss+notch+bp+ds_meg.h5"
EVENTS = "Sherlock1/derivatives/events/sub-0_ses-1_task-Sherlock1_run-1_events.tsv"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_miniature("libribrain", tmp_path_factory.mktemp("libri") / "libribrain")


@pytest.fixture(scope="module")
def prepared(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> PreparedStudy:
    return prepare_study(open_study("libribrain", pristine), tmp_path_factory.mktemp("cache") / "c", sfreq=50.0)


@pytest.fixture
def copy(pristine: Path, tmp_path: Path) -> Path:
    """The first book, without sounds."""
    root = tmp_path / "libribrain"
    shutil.copytree(pristine, root, ignore=shutil.ignore_patterns("stimuli", "Sherlock2"))
    return root


def test_words_are_where_they_were_heard(prepared: PreparedStudy) -> None:
    words = prepared.annotation("sub-00", "words")
    told = [word for task, session, _ in CHAPTERS for word in stories()[f"{task}_{session}"]]
    assert words["word"].tolist() == [word.word for word in told]
    np.testing.assert_allclose(words["onset"], [LEAD + word.onset for word in told], atol=1e-4)
    phonemes = prepared.annotation("sub-00", "phonemes")
    assert phonemes["phoneme"].str.fullmatch("[a-z]_[BIE]").all()
    assert list(prepared.recording("sub-00").blocks) == [
        "Sherlock1_ses-1_run-1",
        "Sherlock1_ses-11_run-2",
        "Sherlock1_ses-12_run-2",
        "Sherlock2_ses-1_run-1",
    ]


def test_the_published_parts_and_those_by_text(prepared: PreparedStudy, pristine: Path, tmp_path: Path) -> None:
    windows = prepared.recording("sub-00").windows
    sides = prepared.split.table["fold_0"].groupby(windows["session"].to_numpy()).unique()
    assert {name: list(parts) for name, parts in sides.items()} == {
        "Sherlock1_1": ["train"],
        "Sherlock1_11": ["val"],
        "Sherlock1_12": ["test"],
        "Sherlock2_1": ["train"],
    }
    by_text = prepare_study(open_study("libribrain", pristine), tmp_path / "c", sfreq=50.0, split="sentences")
    mixed = by_text.split.table["fold_0"].groupby(windows["session"].to_numpy()).nunique()
    assert (mixed > 1).any()
    with pytest.raises(ConfigError, match="split: got 'random', expected one of published, sentences"):
        LibriBrain(pristine).named_split("random", {"sub-00": windows})


def test_a_missing_part_is_said_and_another_split_works(copy: Path, tmp_path: Path) -> None:
    for path in copy.rglob("*ses-12*"):
        path.unlink()
    windows = {"sub-00": LibriBrain(copy).load("sub-00", sfreq=50.0).windows}
    with pytest.raises(DataError, match=r"split: chapter Sherlock1_12 \(test of the published split\) is not there"):
        LibriBrain(copy).split(windows)


def test_retrieval_has_its_known_score(prepared: PreparedStudy) -> None:
    score = word_retrieval(prepared)
    assert score["top1"] > 0.95
    assert word_retrieval(prepared, shuffled=True)["top1"] < 4 * score["chance"]


def test_signals_are_those_planted_and_no_file_is_changed(copy: Path) -> None:
    before = {path: (sha256_of_file(path), path.stat().st_mtime_ns) for path in copy.rglob("*.h5")}
    recording = LibriBrain(copy).load("sub-00")
    np.testing.assert_array_equal(recording.blocks["Sherlock1_ses-1_run-1"].data, signals_of("Sherlock1", "1", 0))
    assert {path: (sha256_of_file(path), path.stat().st_mtime_ns) for path in copy.rglob("*.h5")} == before
    assert recording.sensors.kinds[:3] == ("mag", "grad", "grad")
    assert recording.sensors.unit == "T, T/m"
    assert recording.sensors.tmin == 0.15


def test_where_sensors_lie_is_looked_up() -> None:
    names = ("MEG0111", "MEG0113", "MEG2643")
    places = flat_layout(names)
    assert places is not None
    assert places[0, 0] < places[2, 0], "the last place is on the right"
    assert flat_layout((*names, "MEG9999")) is None


def write_key(key: str, value: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[key]
        if value is not None:
            file[key] = value(file) if callable(value) else value

    return change


def unwritten(file: h5py.File) -> None:
    """What is left when a writer is killed: a shape, and few of its chunks."""
    shape = file["data"].shape
    first = file["data"][:, :50]
    del file["data"]
    file.create_dataset("data", shape, "f4", chunks=(shape[0], 50))[:, :50] = first


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (write_key("data", None), "has no data set 'data', got times"),
        (write_key("times", None), "has no data set 'times', got data"),
        (lambda f: f.attrs.__delitem__("sample_frequency"), "has no attribute 'sample_frequency', got channel_names"),
        (lambda f: f.attrs.__delitem__("channel_names"), "has no attribute 'channel_names'"),
        (unwritten, r"data holds \d+ bytes, expected \d+ for its shape .*; it was not written whole"),
        (
            write_key("data", np.ones((30, 7, 2))),
            r"data is float64 of shape \(30, 7, 2\), expected numbers, channels by",
        ),
        (write_key("data", np.ones((30, 7), int)), r"data is int64 of shape \(30, 7\), expected numbers, channels by"),
        (
            write_key("data", lambda f: np.ones((31, len(f["times"])))),
            r"30 channel_names and 30 channel_types, expected 31",
        ),
        (write_key("times", np.arange(9000) / 250), r"times has 9000 values, expected \d+ as data has samples"),
        (
            lambda f: f["times"].__setitem__(slice(500, None), f["times"][500:] + 1),
            r"times\[500\] is 3 s, expected 2 s at",
        ),
        (lambda f: f.attrs.__setitem__("sample_frequency", -1.0), "sample_frequency is -1, expected Hz above 0"),
        (
            lambda f: f.attrs.__setitem__("channel_types", ", ".join(["eog"] * 30)),
            "channel_types has 'eog', expected mag",
        ),
        (
            lambda f: f["data"].__setitem__((3, 250), np.nan),
            r"channel 'MEG0211' is not finite at 1\.000 s|'MEG0121' is not",
        ),
        (lambda f: f["data"].__setitem__(4, 0.0), r"channel 'MEG\d+' is flat"),
        (lambda f: f.attrs.__setitem__("channel_names", ", ".join(["MEG0111"] * 30)), "occurs more than once"),
    ],
)
def test_broken_chapters_are_named(copy: Path, change: Callable[[h5py.File], object], problem: str) -> None:
    with h5py.File(copy / RECORDING, "r+") as file:
        change(file)
    with pytest.raises(DataError, match=problem):
        LibriBrain(copy).load("sub-00", sfreq=50.0)


def test_a_cut_file_is_named(copy: Path) -> None:
    path = copy / RECORDING
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"_meg\.h5: not readable as HDF5 \(OSError"):
        LibriBrain(copy).load("sub-00")
    path.write_bytes(b"no HDF5")
    with pytest.raises(DataError, match=r"_meg\.h5: not readable as HDF5"):
        LibriBrain(copy).load("sub-00")


def test_half_a_chapter_is_an_error_and_none_is_not(copy: Path) -> None:
    kept = (copy / EVENTS).read_bytes()
    (copy / EVENTS).unlink()
    with pytest.raises(
        DataError, match=r"sub-0_ses-1_task-Sherlock1_run-1_events\.tsv: missing, while .*_meg\.h5 is there"
    ):
        LibriBrain(copy).stimuli()
    (copy / EVENTS).write_bytes(kept)
    other = copy / RECORDING.replace("_proc-bads+headpos+sss+notch+bp+ds", "_proc-notch")
    shutil.copy(copy / RECORDING, other)
    with pytest.raises(DataError, match="are one recording, expected one form of it"):
        LibriBrain(copy).stimuli()
    other.unlink()
    (copy / RECORDING).unlink()
    with pytest.raises(
        DataError, match=r"run-1_proc-\.\.\._meg\.h5: missing, while sub-0_ses-1_.*_events\.tsv is there"
    ):
        LibriBrain(copy).stimuli()
    (copy / EVENTS).unlink()
    assert list(LibriBrain(copy).load("sub-00", sfreq=50.0).blocks) == [
        "Sherlock1_ses-11_run-2",
        "Sherlock1_ses-12_run-2",
    ]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda t: t.drop(columns="timemeg"), "column 'timemeg' is missing"),
        (lambda t: t.drop(columns="wavfile"), "column 'wavfile' is missing"),
        (lambda t: t.assign(timemeg=t["timemeg"].astype(str).replace("2.6", "late")), r"line 3: timemeg is 'late'"),
        (
            lambda t: t.assign(sentenceidx=t["sentenceidx"].where(t["wordidx"] != 2)),
            r"line \d+: a word has no sentenceidx",
        ),
        (lambda t: t.assign(segment=t["segment"].where(t["idx"] != 1, " ")), "line 3: a word has no segment"),
        (
            lambda t: t.assign(timemeg=t["timemeg"] + (t["timemeg"] > 12)),
            r"s off the word before; expected at most 0\.1 s",
        ),
    ],
)
def test_broken_events_are_named(copy: Path, change: Callable[[pd.DataFrame], pd.DataFrame], problem: str) -> None:
    table = pd.read_csv(copy / EVENTS, sep="\t")
    change(table).to_csv(copy / EVENTS, sep="\t", index=False)
    with pytest.raises(DataError, match=problem) as error:
        LibriBrain(copy).load("sub-00", sfreq=50.0)
    assert "run-1_events.tsv" in str(error.value)


def test_the_later_release_spells_a_column_differently(copy: Path) -> None:
    before = LibriBrain(copy).stimuli().names
    for path in copy.rglob("*_events.tsv"):
        pd.read_csv(path, sep="\t").rename(columns={"wavfile": "wavile"}).to_csv(path, sep="\t", index=False)
    assert LibriBrain(copy).stimuli().names == before
