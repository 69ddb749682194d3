"""MEG-MASC: what was planted comes back, descriptions are literals, and half a recording is an error."""

import contextlib
import shutil
import warnings
from pathlib import Path

import mne_bids
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.datasets.catalogue import open_study
from neurodecode.datasets.gwilliams2022 import Gwilliams2022, parse_description, sound_file
from neurodecode.datasets.miniatures.catalogue import write_miniature
from neurodecode.datasets.miniatures.gwilliams2022 import NOISE, UNIT, stories
from neurodecode.datasets.miniatures.planted import PlantedSignal
from neurodecode.datasets.miniatures.spoken import brain_signal, word_retrieval


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_miniature("gwilliams2022", tmp_path_factory.mktemp("masc") / "meg_masc")


@pytest.fixture(scope="module")
def prepared(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> PreparedStudy:
    return prepare_study(open_study("gwilliams2022", pristine), tmp_path_factory.mktemp("cache") / "c", sfreq=50.0)


@pytest.fixture
def copy(pristine: Path, tmp_path: Path) -> Path:
    """A copy without sounds and with one subject, to be broken."""
    root = tmp_path / "meg_masc"
    shutil.copytree(pristine, root, ignore=shutil.ignore_patterns("sub-02", "ses-1", "audio"))
    return root


def meg(root: Path) -> Path:
    return root / "sub-01" / "ses-0" / "meg"


def edit_events(root: Path, change: object, task: str = "0") -> None:
    path = meg(root) / f"sub-01_ses-0_task-{task}_events.tsv"
    table = pd.read_csv(path, sep="\t")
    change(table).to_csv(path, sep="\t", index=False)  # type: ignore[operator]


def words_of(root: Path, task: int = 0) -> pd.DataFrame:
    study = Gwilliams2022(root)
    return study.checked_words("sub-01", study.runs("sub-01")[task])


def test_words_come_back_as_they_were_told(prepared: PreparedStudy) -> None:
    told = stories()
    for subject, number in (("sub-01", 1), ("sub-02", 2)):
        words = prepared.annotation(subject, "words")
        lw1 = words[words["audio"] == "stimuli/audio/lw1_0.wav"]
        story = told["lw1_0"]
        assert lw1["word"].tolist() == [word.word for word in story]
        np.testing.assert_allclose(lw1["onset"], [3.0 + 0.137 * number + word.onset for word in story], atol=1e-3)
        np.testing.assert_allclose(lw1["audio_onset"], [word.onset for word in story])
        assert "unsaid" not in set(words["word"])
        phonemes = prepared.annotation(subject, "phonemes")
        assert phonemes["phoneme"].str.fullmatch(r"[a-z]+_[BIE]").all()
        assert len(prepared.annotation(subject, "sentences")) == (18 if number == 1 else 13)
    assert prepared.recording("sub-01").windows["block"].unique().tolist() == [
        "ses-0_task-0",
        "ses-0_task-3",
        "ses-1_task-3",
    ]
    assert prepared.simulated


def test_the_second_session_is_a_repetition(prepared: PreparedStudy) -> None:
    windows = prepared.recording("sub-01").windows
    willow = windows[windows["audio"] == "stimuli/audio/the_black_willow_0.wav"]
    assert set(willow.groupby("stimulus")["repetition"].max()) == {2}
    assert set(willow["session"]) == {"0", "1"}


def test_retrieval_has_its_known_score(prepared: PreparedStudy) -> None:
    score = word_retrieval(prepared)
    assert score["top1"] > 0.95
    assert word_retrieval(prepared, shuffled=True)["top1"] < 4 * score["chance"]


def test_signals_are_those_planted(pristine: Path) -> None:
    study = Gwilliams2022(pristine, high_pass=None)
    recording = study.load("sub-02")
    data = recording.blocks["ses-1_task-3"].data
    heard = [(3.0 + 0.137 * 2 + word.onset, word.word) for word in stories()["the_black_willow_0"]]
    planted = PlantedSignal(seed=0, noise=NOISE, unit=UNIT)
    truth = brain_signal(planted, heard, subject=2, n_channels=12, n_samples=data.shape[1], rate=1000.0, key=(1, 3))
    # Fifteen bits of each channel's range.
    assert np.abs(data - truth).max() <= np.abs(truth).max() / 32767
    assert recording.sensors.kinds == ("mag",) * 12
    assert recording.sensors.positions is not None
    assert recording.sensors.tmin == 0.15


def test_the_order_of_rows_does_not_matter(pristine: Path, copy: Path) -> None:
    before = words_of(copy)
    edit_events(copy, lambda table: table.sample(frac=1.0, random_state=3))
    pd.testing.assert_frame_equal(words_of(copy), before)
    # What mne-bids makes of the table: a word and its first phoneme change places.
    path = mne_bids.BIDSPath(subject="01", session="0", task="0", datatype="meg", suffix="meg", root=pristine)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw = mne_bids.read_raw_bids(path, verbose="error")
    kinds = [parse_description(text)["kind"] for text in raw.annotations.description]
    first = kinds.index("word")
    assert kinds[first - 1] == "phoneme"
    assert raw.annotations.onset[first - 1] == raw.annotations.onset[first]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{'kind': 'word', 'x': __import__('os').system('true')}", "no literal"),
        ("[1, 2]", "a list, expected a dictionary"),
        ("{'kind': ['word']}", "'kind' is a list, expected text by names and plain values"),
        ("{1: 'word'}", "1 is a str, expected text by names"),
        ("{" + "[" * 900 + "]" * 900 + "}", "no literal"),
        ("-" * 1999 + "1", "no literal|a int, expected a dictionary"),
        ("{'a': '" + "x" * 3000 + "'}", "3009 characters, expected at most 2000"),
        ("{" + ", ".join(f"'{index}': 0" for index in range(70)) + "}", "70 entries, expected at most 64"),
        ("", "no literal"),
        ("{'speech_rate': nan}", "no literal"),
    ],
)
def test_a_description_that_is_no_flat_literal_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_description(text)


values = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=8) | st.floats(-1e3, 1e3)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.dictionaries(st.text(max_size=8), values, max_size=8))
def test_what_python_writes_is_read(said: dict[str, object]) -> None:
    assert parse_description(repr(said)) == said


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(alphabet="{}[]()'\":,.\\ \n\0abj01-+x_é#*", max_size=40))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    try:
        said = parse_description(text)
    except ValueError:
        return
    assert isinstance(said, dict)


@pytest.mark.parametrize(
    ("said", "file"),
    [
        ("stimuli/audio/lw1_0.0.wav", "stimuli/audio/lw1_0.wav"),
        ("stimuli/audio/The_Black_Willow_10.0.wav", "stimuli/audio/the_black_willow_10.wav"),
        ("stimuli/audio/easy_money_3.wav", "stimuli/audio/easy_money_3.wav"),
    ],
)
def test_names_of_sounds(said: str, file: str) -> None:
    assert sound_file(said) == file


def test_a_sequence_number_that_comes_back_is_another_sentence(copy: Path) -> None:
    edit_events(
        copy,
        lambda table: table.assign(
            trial_type=table["trial_type"].str.replace("'sequence_id': 2.0", "'sequence_id': 0.0")
        ),
    )
    words = words_of(copy)
    names = words.loc[words["audio"] == "stimuli/audio/lw1_0.wav", "sentence"].unique().tolist()
    assert names[:2] == ["0", "1"]
    assert names[2].startswith("0 at ")
    assert Gwilliams2022(copy).passages().shape[0] == 13


def test_half_a_recording_is_an_error_and_none_is_not(copy: Path) -> None:
    folder = meg(copy)
    (folder / "sub-01_ses-0_task-3_meg.con").unlink()
    with pytest.raises(
        DataError, match=r"sub-01_ses-0_task-3_meg\.con: missing, while sub-01_ses-0_task-3_events\.tsv is there"
    ):
        Gwilliams2022(copy).stimuli()
    (folder / "sub-01_ses-0_task-3_events.tsv").unlink()
    assert list(Gwilliams2022(copy).load("sub-01", sfreq=50.0).blocks) == ["ses-0_task-0"]
    (folder / "sub-01_ses-0_task-0_events.tsv").unlink()
    with pytest.raises(
        DataError, match=r"sub-01_ses-0_task-0_events\.tsv: missing, while sub-01_ses-0_task-0_meg\.con"
    ):
        Gwilliams2022(copy).stimuli()


def test_the_head_needs_all_three_files(copy: Path) -> None:
    (meg(copy) / "sub-01_ses-0_acq-HSP_headshape.pos").unlink()
    with pytest.raises(
        DataError, match=r"acq-HSP_headshape\.pos: missing, while sub-01_ses-0_task-0_markers\.mrk is there"
    ):
        Gwilliams2022(copy).load("sub-01", sfreq=50.0)
    for path in (*meg(copy).glob("*.pos"), *meg(copy).glob("*.mrk")):
        path.unlink()
    flags = Gwilliams2022(copy).load("sub-01", sfreq=50.0).flags
    assert "no markers or digitised points: sensor positions are those in the device" in flags


def test_without_sounds_windows_and_words_are_there(copy: Path, pristine: Path) -> None:
    study = Gwilliams2022(copy)
    with pytest.raises(DataError, match=r"lw1_0\.wav: the file of stimulus 'lw1_0_00000400' is missing"):
        study.stimuli().file("lw1_0_00000400")
    flags = study.load("sub-01", sfreq=50.0).flags
    assert any("embedding sound needs 3 file(s) such as stimuli/audio/lw1_0.wav" in flag for flag in flags)
    whole = Gwilliams2022(pristine)
    assert whole.stimuli().names == study.stimuli().names
    assert whole.stimuli().file(whole.stimuli().names[0]).name == "lw1_0.wav"
    (copy / "stimuli" / "audio").mkdir()
    shutil.copy(pristine / "stimuli" / "audio" / "lw1_0.wav", copy / "stimuli" / "audio")
    with pytest.raises(DataError, match=r"lw1_1\.wav: missing, while 1 of 3 sound files are there"):
        Gwilliams2022(copy).stimuli()


def later(table: pd.DataFrame) -> pd.DataFrame:
    """A recording whose clock jumps by half a second in the middle."""
    half = table["onset"] > table["onset"].median()
    return table.assign(onset=table["onset"] + 0.5 * half, sample=table["sample"] + 500 * half)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda table: table.drop(columns="trial_type"), r"events\.tsv: column 'trial_type' is missing"),
        (
            lambda table: table.assign(trial_type=["print(1)", *table["trial_type"][1:]]),
            r"events\.tsv: line 2: trial_type is no literal .*; got 'print\(1\)'",
        ),
        (
            lambda table: table.assign(trial_type=table["trial_type"].str.replace("'word': ", "'w': ")),
            r"events\.tsv: line \d+: trial_type has no 'word' for a word",
        ),
        (
            lambda table: table.assign(sample=[*table["sample"][:-1], 7]),
            r"events\.tsv: line \d+: onset .* s is sample \d+ at 1000 Hz, got sample 7",
        ),
        (later, r"s off the word before; expected at most 0\.1 s"),
        (lambda table: table[table["trial_type"].str.contains("'sound',")], r"events\.tsv: no word found"),
        (
            lambda table: table.assign(onset=[*table["onset"][:4].astype(object), "soon", *table["onset"][5:]]).drop(
                columns="sample"
            ),
            r"events\.tsv: line 6: onset is 'soon', expected seconds",
        ),
    ],
)
def test_broken_events_are_named(copy: Path, change: object, problem: str) -> None:
    edit_events(copy, change)
    with pytest.raises(DataError, match=problem):
        Gwilliams2022(copy).load("sub-01", sfreq=50.0)


def test_broken_files_are_named(copy: Path) -> None:
    folder = meg(copy)
    events = folder / "sub-01_ses-0_task-0_events.tsv"
    kept = events.read_bytes()
    events.write_bytes(kept.replace(b"'kind'", b"'k\xffnd'"))
    with pytest.raises(DataError, match=r"events\.tsv: not readable as a table .*utf-8"):
        Gwilliams2022(copy).stimuli()
    events.write_bytes(kept)
    channels = folder / "sub-01_ses-0_task-0_channels.tsv"
    table = pd.read_csv(channels, sep="\t")
    table.assign(name=["MEG 900", *table["name"][1:]]).to_csv(channels, sep="\t", index=False)
    with pytest.raises(
        DataError, match=r"channels\.tsv: has no channel 'MEG 001', which sub-01_ses-0_task-0_meg\.con has"
    ):
        Gwilliams2022(copy).load("sub-01", sfreq=50.0)
    table.iloc[::-1].to_csv(channels, sep="\t", index=False)
    with pytest.raises(DataError, match=r"channels\.tsv: names the channels in another order"):
        Gwilliams2022(copy).load("sub-01", sfreq=50.0)
    table.assign(status=["bad", *table["status"][1:]]).to_csv(channels, sep="\t", index=False)
    flags = Gwilliams2022(copy).load("sub-01", sfreq=50.0).flags
    assert "called bad by the channels table of some run, but kept: MEG 001" in flags
    points = folder / "sub-01_ses-0_acq-ELP_headshape.pos"
    points.write_text("% ELP\n1 2 3\n")
    with pytest.raises(DataError, match=r"ELP_headshape\.pos: got points of shape \(1, 3\), expected \(8, 3\)"):
        Gwilliams2022(copy).load("sub-01", sfreq=50.0)
    for path in (*folder.glob("*.pos"), *folder.glob("*.mrk")):
        path.unlink()
    recording = folder / "sub-01_ses-0_task-0_meg.con"
    content = recording.read_bytes()
    recording.write_bytes(content[: len(content) // 2])
    with pytest.raises(
        DataError, match=r"task-0_meg\.con: \d+ bytes, expected \d+ or more for \d+ samples of 15 channels; it was cut"
    ):
        Gwilliams2022(copy).load("sub-01", sfreq=50.0)
    recording.write_bytes(content[:300])
    with pytest.raises(DataError, match=r"task-0_meg\.con: not readable as a KIT recording"):
        Gwilliams2022(copy).load("sub-01", sfreq=50.0)


@pytest.mark.parametrize("seed", range(12))
def test_no_header_does_more_than_be_refused(copy: Path, seed: int) -> None:
    path = meg(copy) / "sub-01_ses-0_task-3_meg.con"
    generator = np.random.default_rng(seed)
    content = bytearray(path.read_bytes())
    for place in generator.integers(0, 3500, 3):
        content[place] = int(generator.integers(0, 256))
    path.write_bytes(content)
    with contextlib.suppress(DataError), warnings.catch_warnings():
        # Sensors that lie kilometres away overflow in the reader.
        warnings.simplefilter("ignore")
        Gwilliams2022(copy).load("sub-01", sfreq=50.0)


def test_options(copy: Path) -> None:
    study = open_study("gwilliams2022", copy, {"windows": {"lag": 0.0, "words": False}, "drop_channels": ["MEG 003"]})
    recording = study.load("sub-01", sfreq=50.0)
    assert "MEG 003" not in recording.sensors.names
    assert set(recording.windows["anchor"]) == {"grid"}
    assert study.steps()["windows"]["lag"] == 0.0
    assert study.steps() != Gwilliams2022(copy).steps()
    for options, problem in (
        ({"windows": {"leg": 1}}, r"windows: got 'leg', expected one of duration.*did you mean 'lag'"),
        ({"windows": {"lag": "1"}}, "windows: lag: got '1', expected a number"),
        ({"windows": {"words": 1}}, "windows: words: got 1, expected true or false"),
        ({"windows": {"duration": -1}}, "duration: got -1, expected seconds, not negative"),
        ({"high_pass": -1}, "high_pass: got -1, expected Hz above 0 or nothing"),
        ({"low_pass": "40"}, "low_pass: got '40', expected Hz above 0 or nothing"),
        ({"drop_channels": "MEG 001"}, "drop_channels: got 'MEG 001', expected a list of names"),
        ({"lag": 1}, "options: got 'lag', expected one of windows, high_pass, low_pass, drop_channels"),
    ):
        with pytest.raises(ConfigError, match=problem):
            open_study("gwilliams2022", copy, options)
    with pytest.raises(DataError, match="subject: got 'sub-09', expected one of sub-01"):
        Gwilliams2022(copy).load("sub-09")


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"study gwilliams2022: not found under .*task-\?_meg\.con.*osf\.io/ag3kj"):
        open_study("gwilliams2022", tmp_path)
