"""The Old Man and the Sea: words from an alignment or the data set give one table; broken arrays."""

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.prepared import PreparedStudy
from neurodecode.datasets.broderick2019 import Broderick2019
from neurodecode.datasets.catalogue import open_study
from neurodecode.datasets.gentle_alignments import read_alignment, sentences_of
from neurodecode.datasets.miniatures.broderick2019 import LAYOUTS, signals_of, stories
from neurodecode.datasets.miniatures.spoken import word_retrieval

from .layouts import Layouts

RECORDING = "Natural Speech/EEG/Subject1/Subject1_Run1.mat"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Layouts:
    return Layouts("broderick2019", tmp_path_factory.mktemp("sea"))


@pytest.fixture(scope="module")
def roots(pristine: Layouts) -> dict[str, Path]:
    return {layout: pristine(layout) for layout in LAYOUTS}


@pytest.fixture(scope="module")
def prepared(pristine: Layouts, tmp_path_factory: pytest.TempPathFactory) -> dict[str, PreparedStudy]:
    return pristine.prepare(LAYOUTS, tmp_path_factory.mktemp("caches"), sfreq=64.0)


@pytest.fixture
def copy(pristine: Layouts, tmp_path: Path) -> Path:
    return pristine.copy("gentle", tmp_path / "sea", "Subject2", "*.wav")


def test_both_sources_of_words_give_one_table(prepared: dict[str, PreparedStudy]) -> None:
    first, second = (prepared[layout] for layout in LAYOUTS)
    for subject in ("sub-01", "sub-02"):
        mine, other = first.recording(subject), second.recording(subject)
        lower = mine.windows.assign(
            **{name: mine.windows[name].str.lower() for name in ("word", "text")}  # as the text writes it
        )
        pd.testing.assert_frame_equal(lower, other.windows)
        for name, block in mine.blocks.items():
            np.testing.assert_array_equal(block.data, other.blocks[name].data)
    assert first.split.hash == second.split.hash
    assert list(first.recording("sub-01").blocks) == ["run-1", "run-2", "run-15"]


def test_what_goes_astray_or_was_not_placed_is_left_out(prepared: dict[str, PreparedStudy]) -> None:
    words = prepared["gentle"].annotation("sub-01", "words")
    told = [word for run in ("1", "2", "15") for word in stories()[run]]
    assert [word.lower() for word in words["word"]] == [word.word for word in told]
    np.testing.assert_allclose(words["onset"], [word.onset for word in told])
    assert words["sentence"].tolist() == [str(word.sentence) for word in told] or words["sentence"].tolist() == [
        word.sentence for word in told
    ]
    phonemes = prepared["gentle"].annotation("sub-01", "phonemes")
    assert phonemes["onset"].max() < 60
    assert phonemes["phoneme"].str.endswith("_I").all()
    flags = prepared["gentle"].recording("sub-01").flags
    assert "run-15: words after 165 s left out, where the alignment goes astray" in flags
    assert any("embedding sound needs 3 file(s)" in flag for flag in prepared["dryad"].recording("sub-01").flags)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_retrieval_has_its_known_score(prepared: dict[str, PreparedStudy], layout: str) -> None:
    score = word_retrieval(prepared[layout])
    assert score["top1"] > 0.95
    assert word_retrieval(prepared[layout], shuffled=True)["top1"] < 4 * score["chance"]


def test_signals_are_those_planted(copy: Path) -> None:
    plain = Broderick2019(copy, high_pass=None).load("sub-01")
    np.testing.assert_allclose(plain.blocks["run-2"].data, signals_of(1, "2", 0).T, atol=1e-6)
    assert plain.sensors.names[:2] == ("A1", "A2")
    assert plain.sensors.unit == "a.u."
    occipital = np.array(plain.sensors.names)[plain.sensors.regions["occipital"]]
    assert "A23" in occipital, "Oz of the BioSemi cap"
    referenced = Broderick2019(copy, high_pass=None, reference="mastoids").load("sub-01")
    mastoids = loadmat(copy / RECORDING)["mastoids"].mean(axis=1)
    np.testing.assert_allclose(
        plain.blocks["run-1"].data - referenced.blocks["run-1"].data, np.tile(mastoids, (128, 1)), atol=1e-5
    )


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = {name: value for name, value in loadmat(path).items() if not name.startswith("__")}
    change(content)
    savemat(path, content)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda c: c.update(eegData=c["eegData"][:, :64]),
            r"eegData is float64 of shape \(\d+, 64\), expected numbers",
        ),
        (lambda c: c.update(eegData=c["eegData"].T), r"eegData is float64 of shape \(128, \d+\), expected numbers"),
        (lambda c: c.update(mastoids=c["mastoids"][1:]), r"mastoids has \d+ samples, expected \d+ as eegData"),
        (lambda c: c.update(fs=512.0), r"fs is 512\.0, expected 128"),
        (lambda c: c.pop("fs"), "has no variable 'fs'"),
        (lambda c: c["eegData"].__setitem__((128, 3), np.nan), r"channel 'A4' is not finite at 1\.000 s"),
        (lambda c: c["eegData"].__setitem__((slice(None), 5), 2.0), "channel 'A6' is flat"),
        (
            lambda c: c.update(eegData=np.tile(c["eegData"], (2, 1)), mastoids=np.tile(c["mastoids"], (2, 1))),
            r"Run1\.mat: .* s of signal, expected about the .* s of audio1_128Hz\.mat",
        ),
    ],
)
def test_broken_recordings_are_named(copy: Path, change: Callable[[dict[str, Any]], None], problem: str) -> None:
    edit(copy / RECORDING, change)
    with pytest.raises(DataError, match=problem) as error:
        Broderick2019(copy).load("sub-01")
    assert "Subject1_Run1.mat" in str(error.value)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda c: c.update(onset_time=c["onset_time"][1:]),
            "45 words in wordVec, 44 in onset_time and 45 in offset_time",
        ),
        (lambda c: c["offset_time"].__setitem__(4, 0.1), r"word 5 \(\w+\) from .* to 0\.1 s"),
        (lambda c: c["onset_time"].__setitem__(4, np.nan), r"word 5 \(\w+\) from nan to"),
        (lambda c: c.update(wordVec=np.ones((45, 1))), r"expected texts in wordVec and numbers in onset_time"),
    ],
)
def test_broken_words_are_named(copy: Path, change: Callable[[dict[str, Any]], None], problem: str) -> None:
    edit(copy / "Natural Speech" / "Stimuli" / "Text" / "Run1.mat", change)
    with pytest.raises(DataError, match=rf"Run1\.mat: {problem}"):
        Broderick2019(copy, dialect="dryad").load("sub-01")


def aligned(copy: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = copy / "private" / "align1.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(change(content)))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda c: [], "expected an object with a list 'words'"),
        (lambda c: {"words": [{**word, "case": "x"} for word in c["words"]]}, "no word of the case 'success' among 48"),
        (lambda c: {"words": [{**c["words"][0], "start": None}]}, "word 1: expected word, start and end"),
        (lambda c: {"words": [{**c["words"][0], "end": -1}]}, r"word 1 \(\w+\) from 0\.4 to -1 s"),
    ],
)
def test_a_broken_alignment_is_named(copy: Path, change: Callable[[dict[str, Any]], Any], problem: str) -> None:
    aligned(copy, change)
    with pytest.raises(DataError, match=rf"align1\.json: {problem}"):
        Broderick2019(copy).load("sub-01")


def test_a_text_of_another_run_is_named(copy: Path) -> None:
    shutil.copy(copy / "private" / "oldman_run2.txt", copy / "private" / "oldman_run1.txt")
    with pytest.raises(
        DataError, match=r"oldman_run1\.txt: 0 of 45 aligned words found in order, expected at least four"
    ):
        Broderick2019(copy).load("sub-01")
    (copy / "private" / "oldman_run1.txt").write_bytes(b"caf\xe9")
    with pytest.raises(DataError, match=r"oldman_run1\.txt: not readable as text \(UnicodeDecodeError"):
        Broderick2019(copy).load("sub-01")
    (copy / "private" / "align1.json").write_text("{")
    with pytest.raises(DataError, match=r"align1\.json: not readable as JSON"):
        Broderick2019(copy).load("sub-01")
    (copy / "private" / "align1.json").unlink()
    with pytest.raises(DataError, match=r"align1\.json: missing, while Subject1_Run1\.mat is there"):
        Broderick2019(copy).load("sub-01")
    assert len(Broderick2019(copy, dialect="dryad").runs("sub-01")) == 3
    (copy / RECORDING).unlink()
    assert [run.run for run in Broderick2019(copy).runs("sub-01")] == ["2", "15"]


def test_sentences_are_found_in_the_text(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text('"He was old," she said. He fished alone! Did he? Yes.')
    words = ["he", "was", "old", "she", "sad", "He", "fished", "alone", "did", "he", "yes"]
    assert sentences_of(words, path) == ["0"] * 5 + ["1"] * 3 + ["2"] * 2 + ["3"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["words", "case", "success", "start", "end", "word", "phones", "phone"]), inner
        )
    ),
    max_leaves=12,
)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(json_values)
def test_no_json_does_more_than_be_refused(content: object) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "align1.json"
        path.write_text(json.dumps({"words": content} if isinstance(content, list) else content))
        with pytest.raises(DataError):
            read_alignment(path)


def test_options(copy: Path) -> None:
    for options, problem in (
        ({"dialect": "praat"}, "dialect: got 'praat', expected one of gentle, dryad"),
        ({"reference": "Cz"}, "reference: got 'Cz', expected one of none, mastoids"),
    ):
        with pytest.raises(ConfigError, match=problem):
            open_study("broderick2019", copy, options)
    assert Broderick2019(copy).steps() != Broderick2019(copy, dialect="dryad").steps()
