"""Ten hours of Sherlock Holmes: segments are the same for everybody, sessions go on in further files."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodecode.core.errors import DataError
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.datasets.armeni2022 import Armeni2022, read_onsets, read_session
from neurodecode.datasets.catalogue import open_study
from neurodecode.datasets.miniatures.armeni2022 import NOISE, UNIT, heard_in, stories
from neurodecode.datasets.miniatures.catalogue import write_miniature
from neurodecode.datasets.miniatures.planted import PlantedSignal
from neurodecode.datasets.miniatures.spoken import brain_signal, word_retrieval
from neurodecode.datasets.speech_events import snapped

EVENTS = "sub-001/ses-001/meg/sub-001_ses-001_task-compr_events.tsv"
RECORDING = "sub-001/ses-001/meg/sub-001_ses-001_task-compr_meg.ds"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_miniature("armeni2022", tmp_path_factory.mktemp("holmes") / "armeni2022")


@pytest.fixture(scope="module")
def prepared(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> PreparedStudy:
    return prepare_study(open_study("armeni2022", pristine), tmp_path_factory.mktemp("cache") / "c", sfreq=50.0)


@pytest.fixture
def copy(pristine: Path, tmp_path: Path) -> Path:
    """One session of the first person, without sounds."""
    root = tmp_path / "armeni2022"
    shutil.copytree(pristine, root, ignore=shutil.ignore_patterns("sub-002", "ses-002", "stimuli"))
    return root


def edit(root: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    path = root / EVENTS
    table = pd.read_csv(path, sep="\t", keep_default_na=False)
    change(table).to_csv(path, sep="\t", index=False)


def test_words_are_where_they_were_heard(prepared: PreparedStudy) -> None:
    for subject in (1, 2):
        words = prepared.annotation(f"sub-{subject:02d}", "words")
        told = [item for session in (1, 2) for item in heard_in(subject, session)]
        assert words["word"].str.lower().tolist() == [word.word for _, _, word in told]
        np.testing.assert_allclose(words["onset"], [onset for onset, _, _ in told], atol=0.0011)
        np.testing.assert_allclose(words["audio_onset"], [word.onset for _, _, word in told], atol=1e-6)
        phonemes = prepared.annotation(f"sub-{subject:02d}", "phonemes")
        assert not set(phonemes["phoneme"]) & {"sp", "AE0"}
        assert phonemes["phoneme"].str.fullmatch(r"[A-Z]+0?").all()
        assert len(prepared.annotation(f"sub-{subject:02d}", "sentences")) == 7


def test_segments_are_the_same_though_their_times_were_measured_twice(prepared: PreparedStudy) -> None:
    first, second = (prepared.recording(subject).windows for subject in ("sub-01", "sub-02"))
    assert first["stimulus"].tolist() == second["stimulus"].tolist()
    assert (first["onset"] - second["onset"] != 0).all()
    assert len(prepared.stimuli) == len(first)


def test_retrieval_has_its_known_score(prepared: PreparedStudy) -> None:
    score = word_retrieval(prepared)
    assert score["top1"] > 0.9
    assert word_retrieval(prepared, shuffled=True)["top1"] < 4 * score["chance"]


def test_a_session_goes_on_in_further_files(copy: Path) -> None:
    assert (copy / RECORDING / "sub-001_ses-001_task-compr_meg.2_meg4").is_file()
    recording = Armeni2022(copy, high_pass=None).load("sub-01")
    data = recording.blocks["ses-001"].data
    planted = PlantedSignal(seed=0, noise=NOISE, unit=UNIT)
    heard = [(onset, word.word) for onset, _, word in heard_in(1, 1)]
    n_samples = int((heard[-1][0] + 4.0) * 1200)
    assert data.shape == (10, n_samples), "what the clock calls empty is not read"
    truth = brain_signal(planted, heard, subject=1, n_channels=10, n_samples=n_samples, rate=1200.0, key=(1,))
    assert np.abs(data - truth).max() < 6e-16


def test_sensors_that_one_session_lacks_are_left_out_everywhere(prepared: PreparedStudy) -> None:
    for subject in prepared.subjects:
        assert prepared.recording(subject).n_channels == 9
        assert "sensors that some recording lacks, left out: MRC55" in prepared.recording(subject).flags


@pytest.mark.parametrize("word", ["NA", "null", "nan", "n/a", "None"])
def test_a_word_may_be_called_like_nothing(copy: Path, word: str) -> None:
    first = stories()["ses-001_run-01"][3].word.upper()
    edit(copy, lambda table: table.assign(value=table["value"].replace(f'"{first}"', f'"{word}"')))
    assert word in set(read_session(copy / EVENTS, "001")["stimuli/ses-001_run-01.wav"]["word"])


def test_sounds_that_the_table_names_keep_their_names(copy: Path) -> None:
    def name(table: pd.DataFrame) -> pd.DataFrame:
        begins = table["type"] == "wav_onset"
        return table.assign(value=table["value"].where(~begins, "01_" + table["value"].str.strip('"') + ".wav"))

    edit(copy, name)
    assert list(read_session(copy / EVENTS, "001")) == ["stimuli/01_01.wav", "stimuli/01_02.wav"]


def last_word() -> str:
    return f'"{heard_in(1, 1)[-1][2].word.upper()}"'


def moved(table: pd.DataFrame) -> pd.DataFrame:
    """A clock that jumps within a sound."""
    times = pd.to_numeric(table["onset"])
    late = (times > 6) & (times < 15) & (table["type"] != "wav_onset")
    return table.assign(onset=times + 0.5 * late, sample=pd.to_numeric(table["sample"]) + 600 * late)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda t: t[t["type"] != "wav_onset"], r"line \d+: no wav_onset before the first word of part 1"),
        (lambda t: t[~t["type"].str.startswith("word")], "no word found"),
        (lambda t: t.drop(columns="value"), "column 'value' is missing"),
        (
            lambda t: t.assign(sample=t["sample"].where(t["value"] != last_word(), 7)),
            r"line \d+: onset .* is sample \d+ at 1200 Hz, got sample 7",
        ),
        (lambda t: t.assign(duration=t["duration"].astype(str).replace("0.302", "x")), r"line \d+: duration is 'x'"),
        (
            lambda t: t.assign(value=t["value"].where(t["type"] != "word_onset_02", '""')),
            r"line \d+: a word has no value",
        ),
        (
            lambda t: t[(t["type"] != "wav_onset") | (t["onset"].astype(float) < 3)].assign(
                value=lambda u: u["value"].where(u["type"] != "wav_onset", "a.wav")
            ),
            r"a\.wav is the sound of two parts, expected one each",
        ),
    ],
)
def test_broken_events_are_named(copy: Path, change: Callable[[pd.DataFrame], pd.DataFrame], problem: str) -> None:
    edit(copy, change)
    with pytest.raises(DataError, match=rf"events\.tsv: {problem}"):
        Armeni2022(copy).load("sub-01", sfreq=50.0)


def test_a_person_whose_sound_differs_is_named(pristine: Path, tmp_path: Path) -> None:
    root = tmp_path / "armeni2022"
    shutil.copytree(pristine, root, ignore=shutil.ignore_patterns("ses-002", "stimuli"))
    edit(root, moved)
    with pytest.raises(
        DataError, match=r"sub-002_ses-001_task-compr_events\.tsv: stimuli/.*wav: word .* as in the first"
    ):
        Armeni2022(root).load("sub-02", sfreq=50.0)
    reference = pd.DataFrame({"word": ["a"], "audio_onset": [1.0], "sentence": ["0"]})
    with pytest.raises(DataError, match=r"x: word 'a' at 1\.050 s of the sound, expected 'a' at 1\.000 s"):
        snapped(reference.assign(audio_onset=1.05), reference, "x")
    with pytest.raises(DataError, match=r"x: word 'b' at 1\.000 s of the sound, expected 'a' at 1\.000 s"):
        snapped(reference.assign(word="b"), reference, "x")


def test_half_a_session_is_an_error_and_none_is_not(pristine: Path, tmp_path: Path) -> None:
    root = tmp_path / "armeni2022"
    shutil.copytree(pristine, root, ignore=shutil.ignore_patterns("sub-002", "stimuli"))
    events = root / EVENTS
    kept = events.read_bytes()
    events.unlink()
    with pytest.raises(
        DataError, match=r"compr_events\.tsv: missing, while sub-001_ses-001_task-compr_meg\.ds is there"
    ):
        Armeni2022(root).stimuli()
    events.write_bytes(kept)
    shutil.rmtree(root / RECORDING)
    with pytest.raises(
        DataError, match=r"compr_meg\.ds: missing, while sub-001_ses-001_task-compr_events\.tsv is there"
    ):
        Armeni2022(root).stimuli()
    events.unlink()
    assert list(Armeni2022(root).load("sub-01", sfreq=50.0).blocks) == ["ses-002"]
    with pytest.raises(DataError, match="subject: got 'sub-07', expected one of sub-01"):
        Armeni2022(root).load("sub-07")
    with pytest.raises(DataError, match=r"study armeni2022: not found under .*_task-compr_meg\.ds.*data\.ru\.nl"):
        open_study("armeni2022", tmp_path / "armeni2022" / "sub-001")


cells = st.text(alphabet="\"'\t0123.-nawordphe_ms/ \n", max_size=12)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(cells, cells, cells, st.sampled_from(["word_onset_01", "wav_onset", "x"]), cells), max_size=5)
)
def test_no_table_does_more_than_be_refused(rows: list[tuple[str, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.tsv"
        text = "\n".join("\t".join(row) for row in [("onset", "duration", "sample", "type", "value"), *rows])
        path.write_text(text + "\n")
        with contextlib.suppress(DataError):
            read_onsets(path, "word_onset")
        with contextlib.suppress(DataError):
            read_session(path, "001")
