"""MOUS: the log's clock is matched with triggers and proven; words come from aligned sounds."""

import contextlib
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.datasets.catalogue import open_study
from neurodecode.datasets.ctf_files import open_ctf
from neurodecode.datasets.miniatures.catalogue import write_miniature
from neurodecode.datasets.miniatures.planted import PlantedSignal
from neurodecode.datasets.miniatures.schoffelen2019 import NOISE, ORDERS, SENTENCES, SOUNDS, UNIT, heard_by, stories
from neurodecode.datasets.miniatures.spoken import brain_signal, word_retrieval
from neurodecode.datasets.mous_events import read_sentences
from neurodecode.datasets.schoffelen2019 import Schoffelen2019

LOG = "sourcedata/meg_task/72002-MEG-MOUS-AudA2002.log"
RECORDING = "sub-A2002/meg/sub-A2002_task-auditory_meg.ds"
GRID = "derivatives/phonemes/EQ_Ramp_Int2_Int1LPF014.TextGrid"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_miniature("schoffelen2019", tmp_path_factory.mktemp("mous") / "mous")


@pytest.fixture(scope="module")
def prepared(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> PreparedStudy:
    return prepare_study(open_study("schoffelen2019", pristine), tmp_path_factory.mktemp("cache") / "c", sfreq=50.0)


@pytest.fixture
def copy(pristine: Path, tmp_path: Path) -> Path:
    root = tmp_path / "mous"
    shutil.copytree(pristine, root, ignore=shutil.ignore_patterns("sub-A2005", "audio_files"))
    return root


def test_words_are_where_they_were_heard(prepared: PreparedStudy) -> None:
    for person in ORDERS:
        words = prepared.annotation(f"sub-{person}", "words")
        told = heard_by(person)
        assert words["word"].tolist() == [word for _, word in told]
        # Log in ticks of 0.1 ms, triggers in samples of 0.8 ms, and a clock that runs 20 microseconds a second faster.
        np.testing.assert_allclose(words["onset"], [onset for onset, _ in told], atol=1.5e-3)
        lists = words.loc[words["condition"] == "word_list", "sentence"].nunique()
        assert lists == len(SOUNDS) - SENTENCES
        phonemes = prepared.annotation(f"sub-{person}", "phonemes")
        assert "".join(phonemes["phoneme"]) == "".join(word for _, word in told)
    stimuli = prepared.stimuli.table
    assert stimuli["text"].str.endswith(".").all(), "sentences as they are written in the list"


def test_order_of_listening_changes_nothing(prepared: PreparedStudy) -> None:
    first, second = (prepared.recording(subject).windows for subject in ("sub-A2002", "sub-A2005"))
    assert set(first["stimulus"]) == set(second["stimulus"])
    assert first["stimulus"].tolist() != second["stimulus"].tolist()
    sides = prepared.split.table.merge(first.assign(window=range(len(first))), on=["subject", "window"])
    assert sides.groupby("split_text")["fold_0"].nunique().max() == 1


def test_retrieval_has_its_known_score(prepared: PreparedStudy) -> None:
    score = word_retrieval(prepared)
    assert score["top1"] > 0.9
    assert word_retrieval(prepared, shuffled=True)["top1"] < 4 * score["chance"]


def test_only_sensors_that_all_have_are_kept(prepared: PreparedStudy, copy: Path) -> None:
    recording = prepared.recording("sub-A2002")
    assert "sensors that some recording lacks, left out: MLP51" in recording.flags
    assert recording.n_channels == 9
    alone = Schoffelen2019(copy, high_pass=None).load("sub-A2002")
    assert "MLP51" in alone.sensors.names
    assert alone.sensors.names[0] == "MLC11"
    data = alone.blocks["auditory"].data
    planted = PlantedSignal(seed=0, noise=NOISE, unit=UNIT)
    truth = brain_signal(planted, heard_by("A2002"), subject=2002, n_channels=10, n_samples=data.shape[1], rate=1200.0)
    # A step of the recording is about 1 fT; the rest of the last piece, which the clock calls empty, is not read.
    assert np.abs(data - truth).max() < 6e-16
    assert alone.sensors.positions is not None


def edit(path: Path, old: str, new: str, count: int = -1) -> None:
    text = path.read_bytes().decode()
    assert old in text
    path.write_bytes(text.replace(old, new, count).encode())


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda root: (root / LOG).unlink(),
            r"MEG-MOUS-AudA2002\.log: 0 logs, expected 1, while sub-A2002_task-auditory",
        ),
        (
            lambda root: shutil.copy(root / LOG, root / "sourcedata/meg_task/copy-MEG-MOUS-AudA2002.log"),
            r"MEG-MOUS-AudA2002\.log: 2 logs, expected 1",
        ),
        (
            lambda root: shutil.copytree(root / RECORDING, str(root / RECORDING).replace("_meg", "_run-2_meg")),
            "2 recordings of the task auditory, expected 1",
        ),
        (lambda root: (root / GRID).unlink(), r"LPF014\.TextGrid: missing; when words began .* from these files only"),
        (
            lambda root: edit(root / GRID, "ORT-MAU", "ORT"),
            r"LPF014\.TextGrid: has no tier 'ORT-MAU', got ORT, KAN-MAU",
        ),
        (
            lambda root: edit(root / LOG, "14 Start File 14.wav", "14 Start 14"),
            "a sound is called '14 Start 14', expected",
        ),
        (lambda root: edit(root / LOG, "1 Audio onset", "1 Audio"), "is followed by '1 Audio', expected 'Audio onset'"),
        (
            lambda root: edit(root / LOG, "\tSound\t", "\tNothing\t"),
            r"line \d+: Event Type is 'Sound', expected 'Nothing'",
        ),
        (
            lambda root: (root / LOG).write_bytes(
                (root / "sourcedata/meg_task/72005-MEG-MOUS-AudA2005.log").read_bytes()
            ),
            r"AudA2002\.log: against sub-A2002_task-auditory_meg\.ds: \d of 9 events found among 8 triggers",
        ),
    ],
)
def test_what_is_broken_is_named(copy: Path, change: Callable[[Path], object], problem: str) -> None:
    change(copy)
    with pytest.raises(DataError, match=problem):
        Schoffelen2019(copy).load("sub-A2002", sfreq=50.0)


def test_the_events_table_must_tell_of_the_same_triggers(copy: Path) -> None:
    path = copy / "sub-A2002/meg/sub-A2002_task-auditory_events.tsv"
    table = pd.read_csv(path, sep="\t", keep_default_na=False)
    rows = table.index[table["value"] == "20"]
    table.loc[rows[2], "sample"] = str(int(table.loc[rows[2], "sample"]) + 40)
    table.to_csv(path, sep="\t", index=False)
    with pytest.raises(DataError, match=rf"events\.tsv: line {rows[2] + 2}: trigger 20 at sample \d+, .* there: none"):
        Schoffelen2019(copy).load("sub-A2002", sfreq=50.0)
    path.unlink()
    assert len(Schoffelen2019(copy).load("sub-A2002", sfreq=50.0).windows)


def test_broken_recordings_are_named(copy: Path) -> None:
    signals = copy / RECORDING / "sub-A2002_task-auditory_meg.meg4"
    content = signals.read_bytes()
    signals.write_bytes(content[: len(content) // 2 + 13])
    with pytest.raises(
        DataError, match=r"_meg\.ds: not readable as a CTF recording \(RuntimeError: The number of samples"
    ):
        Schoffelen2019(copy).load("sub-A2002")
    signals.unlink()
    with pytest.raises(DataError, match=r"_meg\.ds: not readable as a CTF recording"):
        Schoffelen2019(copy).load("sub-A2002")
    with pytest.raises(DataError, match=r"nothing\.ds: no such folder"):
        open_ctf(copy / "nothing.ds")


@pytest.mark.parametrize("seed", range(12))
def test_no_header_does_more_than_be_refused(copy: Path, seed: int) -> None:
    path = copy / RECORDING / "sub-A2002_task-auditory_meg.res4"
    generator = np.random.default_rng(seed)
    content = bytearray(path.read_bytes())
    for place in generator.integers(760, 3000, 3):
        content[place] = int(generator.integers(0, 256))
    path.write_bytes(content)
    with contextlib.suppress(DataError), warnings.catch_warnings():
        # Sensors that lie kilometres away overflow in the reader.
        warnings.simplefilter("ignore")
        Schoffelen2019(copy).load("sub-A2002", sfreq=50.0)


def test_the_list_of_sentences(tmp_path: Path) -> None:
    path = tmp_path / "stimuli.txt"
    path.write_text("1 De man, slaapt.\n\n2 Het kind speelt!\n")
    assert list(read_sentences(path)) == ["de man slaapt", "het kind speelt"]
    path.write_text("1 De man.\nDe vrouw.\n")
    with pytest.raises(DataError, match=r"stimuli\.txt: line 2: got 'De vrouw\.', expected a number and a sentence"):
        read_sentences(path)
    path.write_text("1 De man.\n2 de MAN\n")
    with pytest.raises(DataError, match=r"stimuli\.txt: line 2: begins like another sentence, 'De man\.'"):
        read_sentences(path)
    path.write_bytes(b"1 caf\xe9\n")
    with pytest.raises(DataError, match=r"stimuli\.txt: not readable as text"):
        read_sentences(path)


def test_options_and_who_is_left_out(copy: Path) -> None:
    shutil.copytree(copy / "sub-A2002", copy / "sub-A2011")
    for path in sorted((copy / "sub-A2011").rglob("*A2002*"), reverse=True):
        path.rename(path.with_name(path.name.replace("A2002", "A2011")))
    assert Schoffelen2019(copy).subjects() == ["sub-A2002"]
    assert Schoffelen2019(copy, every_subject=True).subjects() == ["sub-A2002", "sub-A2011"]
    with pytest.raises(ConfigError, match="every_subject: got 'yes', expected true or false"):
        open_study("schoffelen2019", copy, {"every_subject": "yes"})
    assert Schoffelen2019(copy).steps()["windows"]["merge"] == 0.0
    assert len(stories()) == len(SOUNDS)
