"""The Alice EEG: both versions give one table and the same signals; trials are joined to words by number."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.io import loadmat, savemat

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.prepared import PreparedStudy
from neurodecode.datasets.alice_recordings import ELECTRODES
from neurodecode.datasets.brennan2019 import WORDS, Brennan2019, read_chapter, read_trials
from neurodecode.datasets.catalogue import open_study
from neurodecode.datasets.matlab_files import read_mat, text_list
from neurodecode.datasets.miniatures.brennan2019 import LAYOUTS, STEP, chapter, heard_by, signals_of, stories
from neurodecode.datasets.miniatures.spoken import word_retrieval

from .layouts import Layouts


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Layouts:
    return Layouts("brennan2019", tmp_path_factory.mktemp("alice"))


@pytest.fixture(scope="module")
def roots(pristine: Layouts) -> dict[str, Path]:
    return {layout: pristine(layout) for layout in LAYOUTS}


@pytest.fixture(scope="module")
def prepared(pristine: Layouts, tmp_path_factory: pytest.TempPathFactory) -> dict[str, PreparedStudy]:
    return pristine.prepare(LAYOUTS, tmp_path_factory.mktemp("caches"), sfreq=100.0)


@pytest.fixture
def copy(pristine: Layouts, tmp_path: Path) -> Path:
    """Trials, words and recording of the first person, without sounds."""
    return pristine.copy("mat", tmp_path / "alice", "S03.mat", "audio")


def test_both_versions_are_one_study(prepared: dict[str, PreparedStudy]) -> None:
    first, second = (prepared[layout] for layout in LAYOUTS)
    assert first.subjects == second.subjects == ["sub-01", "sub-03"]
    for subject in first.subjects:
        mine, other = first.recording(subject), second.recording(subject)
        pd.testing.assert_frame_equal(mine.windows, other.windows)
        np.testing.assert_allclose(mine.blocks["alice"].data, other.blocks["alice"].data, atol=1e-11)
    assert first.split.hash == second.split.hash


def test_signals_are_those_planted(roots: dict[str, Path]) -> None:
    for layout in LAYOUTS:
        recording = Brennan2019(roots[layout], high_pass=None).load("sub-03")
        np.testing.assert_allclose(recording.blocks["alice"].data, 1e-6 * signals_of(3, 0), atol=1e-6 * STEP / 100)
        assert recording.sensors.names == ELECTRODES
        assert recording.sensors.regions["frontal"].any()


def test_words_begin_at_the_event_and_not_at_the_trial(
    roots: dict[str, Path], prepared: dict[str, PreparedStudy]
) -> None:
    for subject in (1, 3):
        words = prepared["mat"].annotation(f"sub-{subject:02d}", "words")
        told = heard_by(subject)
        assert words["word"].tolist() == [word for _, word in told]
        # To the sample, at 500 Hz.
        np.testing.assert_allclose(words["onset"], [onset for onset, _ in told], atol=1.001e-3)
    early = Brennan2019(roots["mat"], word_times="trial_start")
    words = early.words("sub-01", early.runs("sub-01")[0])
    np.testing.assert_allclose(words["onset"], [onset - 0.3 for onset, _ in heard_by(1)], atol=1.001e-3)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_retrieval_has_its_known_score(prepared: dict[str, PreparedStudy], layout: str) -> None:
    score = word_retrieval(prepared[layout])
    assert score["top1"] > 0.95
    assert word_retrieval(prepared[layout], shuffled=True)["top1"] < 4 * score["chance"]
    flags = prepared[layout].header["proof"]["sub-01"]["flags"]
    assert "sub-01: called bad by the authors, but kept: 14, 7" in flags


def test_a_person_with_fewer_trials_keeps_the_right_words(copy: Path) -> None:
    path = copy / "proc" / "S01.mat"
    proc = loadmat(path, simplify_cells=True)["proc"]
    gone = np.delete(proc["trl"], [3, 4, 50], axis=0)
    savemat(path, {"proc": {**proc, "trl": gone, "tot_trials": float(len(gone))}})
    study = Brennan2019(copy)
    words = study.words("sub-01", study.runs("sub-01")[0])
    expected = chapter(stories()).drop(index=[3, 4, 50])
    assert words["word"].tolist() == expected["Word"].tolist()
    assert study.load("sub-01", sfreq=100.0).windows["word"].isin(["", *expected["Word"]]).all()


def test_words_may_be_numbered_within_their_segment(copy: Path) -> None:
    before = Brennan2019(copy).words("sub-01", Brennan2019(copy).runs("sub-01")[0])
    table = pd.read_csv(copy / WORDS)
    table["Order"] = table.groupby("Segment").cumcount() + 1
    table.to_csv(copy / WORDS, index=False)
    edit(copy / "proc" / "S01.mat", "proc", lambda proc: proc["trl"].__setitem__((slice(None), 5), table["Order"]))
    after = Brennan2019(copy).words("sub-01", Brennan2019(copy).runs("sub-01")[0])
    pd.testing.assert_frame_equal(after.drop(columns="order"), before.drop(columns="order"))


def test_who_is_there(copy: Path, roots: dict[str, Path]) -> None:
    for name in ("S02", "S40"):
        shutil.copy(copy / "S01.mat", copy / f"{name}.mat")
    # Of S40 no trials were published, and S02 is left out unless asked for.
    shutil.copy(copy / "proc" / "S01.mat", copy / "proc" / "S02.mat")
    assert Brennan2019(copy).subjects() == ["sub-01"]
    assert Brennan2019(copy, every_subject=True).subjects() == ["sub-01", "sub-02"]
    shutil.copy(roots["brainvision"] / "S01.vhdr", copy)
    with pytest.raises(
        DataError, match="recordings as mat and brainvision, expected one of them, or the option dialect"
    ):
        Brennan2019(copy).subjects()
    assert Brennan2019(copy, dialect="mat").subjects() == ["sub-01"]
    shutil.rmtree(copy / "proc")
    with pytest.raises(DataError, match=r"proc: no table of trials \(S01\.mat \.\.\.\), expected what proc\.zip holds"):
        Brennan2019(copy, dialect="mat").subjects()


def edit(path: Path, variable: str, change: Callable[[dict[str, Any]], None]) -> None:
    content = loadmat(path, squeeze_me=True, simplify_cells=True)[variable]
    change(content)
    for name in ("label", "chanunit", "varnames"):
        for part in (content, content.get("hdr", {})):
            if name in part:
                part[name] = np.array(part[name], dtype=object)
    savemat(path, {variable: content})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda raw: raw["hdr"].update(Fs=512.0), r"S01\.mat: raw: Fs is 512, expected 500"),
        (lambda raw: raw["hdr"].update(nSamples=7.0), r"S01\.mat: raw: nSamples is 7, expected \d+"),
        (lambda raw: raw["hdr"].update(nTrials=2.0), r"S01\.mat: raw: nTrials is 2, expected 1"),
        (lambda raw: raw["hdr"].update(chanunit=["V"] * 61), r"S01\.mat: raw\.hdr\.chanunit is V, expected uV"),
        (
            lambda raw: raw["hdr"].update(label=[*raw["hdr"]["label"][:28], "29", *raw["hdr"]["label"][29:]]),
            r"S01\.mat: channel 29 is '29', expected '30'",
        ),
        (lambda raw: raw.update(time=raw["time"][:-5]), r"S01\.mat: raw\.time has \d+ values, expected \d+ in steps"),
        (lambda raw: raw["hdr"].pop("Fs"), r"S01\.mat: raw: not a FieldTrip structure \(KeyError: 'Fs'\)"),
        (lambda raw: raw["trial"].__setitem__((4, 999), np.nan), r"S01\.mat: channel '5' is not finite at 1\.998 s"),
        (lambda raw: raw["trial"].__setitem__(7, 1.0), r"S01\.mat: channel '8' is flat"),
    ],
)
def test_broken_recordings_are_named(copy: Path, change: Callable[[dict[str, Any]], None], problem: str) -> None:
    edit(copy / "S01.mat", "raw", change)
    with pytest.raises(DataError, match=problem):
        Brennan2019(copy).load("sub-01", sfreq=100.0)


def shift(column: int, by: float, row: int = 30) -> Callable[[dict[str, Any]], None]:
    return lambda proc: proc["trl"].__setitem__((row, column), proc["trl"][row, column] + by)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (shift(3, 1), r"proc/S01\.mat: trial 31: segment 2, Order 31 is not among the words of Alice"),
        (shift(5, 1), r"proc/S01\.mat: trial 32: segment 1, Order 32 occurs a second time"),
        (shift(5, 500), r"proc/S01\.mat: trial 31: segment 1, Order 531 is not among the words of Alice"),
        (shift(0, 400), r"proc/S01\.mat: the word '\w+' at .* s off the word before; expected at most 0\.1 s"),
        (lambda proc: proc.update(tot_trials=5), r"proc/S01\.mat: trl has 105 rows, expected 5 as tot_trials says"),
        (lambda proc: proc.update(tot_chans=64), r"proc/S01\.mat: tot_chans is 64, expected 61"),
        (
            lambda proc: proc.update(varnames=["Order"]),
            r"proc/S01\.mat: trl has 6 columns, expected 3 and 1 named ones",
        ),
        (lambda proc: proc.pop("trl"), r"proc/S01\.mat: proc: expected trl, varnames, tot_trials and tot_chans"),
    ],
)
def test_broken_trials_are_named(copy: Path, change: Callable[[dict[str, Any]], None], problem: str) -> None:
    edit(copy / "proc" / "S01.mat", "proc", change)
    with pytest.raises(DataError, match=problem):
        Brennan2019(copy).load("sub-01", sfreq=100.0)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda table: table.drop(columns="Sentence"), "column 'Sentence' is missing"),
        (lambda table: table.assign(onset=["soon", *table["onset"][1:]]), "line 2: onset is 'soon', expected a number"),
        (
            lambda table: table.drop(index=5),
            "line 7: word .* with Order 7, expected words one after another",
        ),
        (
            lambda table: table.iloc[[1, 0, *range(2, len(table))]],
            "line 3: word .* with Order 1, expected words one after another",
        ),
    ],
)
def test_a_broken_table_of_words_is_named(
    tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], problem: str
) -> None:
    path = tmp_path / WORDS
    change(chapter(stories())).to_csv(path, index=False)
    with pytest.raises(DataError, match=rf"{WORDS}: {problem}"):
        read_chapter(path)


def test_broken_containers_are_named(copy: Path, roots: dict[str, Path], tmp_path: Path) -> None:
    path = copy / "S01.mat"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"S01\.mat: not readable as a MATLAB file"):
        Brennan2019(copy).load("sub-01")
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(400))
    with pytest.raises(DataError, match=r"S01\.mat: saved as MATLAB 7\.3, expected an older version"):
        Brennan2019(copy).load("sub-01")
    savemat(path, {"other": 1.0})
    with pytest.raises(DataError, match=r"S01\.mat: has no variable 'raw'"):
        Brennan2019(copy).load("sub-01")
    with pytest.raises(DataError, match=r"nothing\.mat: no such file"):
        read_mat(tmp_path / "nothing.mat", "raw")
    with pytest.raises(ValueError, match=r"1\.0 is no text"):
        text_list(np.array([1.0]))
    root = tmp_path / "brainvision"
    shutil.copytree(roots["brainvision"], root, ignore=shutil.ignore_patterns("audio"))
    (root / "S01.eeg").unlink()
    with pytest.raises(DataError, match=r"S01\.vhdr: not readable as a BrainVision recording"):
        Brennan2019(root).load("sub-01")
    trials, bad = read_trials(root / "proc" / "S03.mat")
    assert list(trials.columns) == ["start_sample", "stop_sample", "offset", "segment", "tmin", "Order"]
    assert bad == []


def test_options(copy: Path) -> None:
    for options, problem in (
        ({"dialect": "fif"}, "dialect: got 'fif', expected one of mat, brainvision"),
        ({"word_times": "early"}, "word_times: got 'early', expected one of event, trial_start"),
        ({"every_subject": 1}, "every_subject: got 1, expected true or false"),
    ):
        with pytest.raises(ConfigError, match=problem):
            open_study("brennan2019", copy, options)
    assert Brennan2019(copy).steps() != Brennan2019(copy, word_times="trial_start").steps()
    flags = Brennan2019(copy).load("sub-01", sfreq=100.0).flags
    assert any(
        "embedding sound needs 3 file(s) such as audio/DownTheRabbitHoleFinal_SoundFile1.wav" in flag for flag in flags
    )
