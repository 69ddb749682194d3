"""Saved epochs: every way of saving them gives the same study, and each kind of damage has one clear line."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodecode.core.errors import ConfigError, DataError, NeurodecodeError
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.datasets.catalogue import open_study
from neurodecode.datasets.epochs_fif import EVENT_NAMES_FLAG, EpochsStudy
from neurodecode.datasets.epochs_files import find_epochs_files
from neurodecode.datasets.miniatures.catalogue import write_miniature
from neurodecode.datasets.miniatures.epochs_fif import LAYOUTS
from neurodecode.datasets.miniatures.planted import code_of

# MNE reads metadata with a call that this release of pandas warns of; the reader itself keeps quiet about it.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame")

OPTIONS: dict[str, dict[str, str]] = {
    "metadata": {"run": "block", "concept": "category"},
    "event_names": {},
    "runs": {"concept": "category"},
    "one_file": {"run": "block", "subject": "participant"},
}


@pytest.fixture(scope="module")
def miniatures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("epochs")
    for layout in LAYOUTS:
        write_miniature("epochs", base / layout, layout=layout)
    return base


@pytest.fixture(scope="module")
def prepared(miniatures: Path) -> dict[str, PreparedStudy]:
    return {
        layout: prepare_study(open_study("epochs", miniatures / layout, OPTIONS[layout]), miniatures / "cache" / layout)
        for layout in LAYOUTS
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_the_same_study(prepared: dict[str, PreparedStudy], layout: str) -> None:
    mine, other = prepared[layout], prepared["metadata"]
    assert mine.simulated
    assert mine.subjects == ["sub-01", "sub-02"]
    for subject in mine.subjects:
        recording, expected = mine.recording(subject), other.recording(subject)
        shown = ["subject", "stimulus", "repetition", "length"] + (["run"] if layout != "event_names" else [])
        pd.testing.assert_frame_equal(recording.windows[shown], expected.windows[shown])
        np.testing.assert_allclose(recording.read(np.arange(192)), expected.read(np.arange(192)), rtol=1e-6)
        assert recording.sensors.names == ("Fz", "Cz", "Pz", "PO7", "PO8", "O1", "Oz", "O2")
        assert recording.sensors.positions is not None
        assert (recording.sensors.sfreq, recording.sensors.unit) == (50.0, "V")
        np.testing.assert_allclose(recording.sensors.tmin, -0.1, atol=1e-6)
    assert mine.split.hash == other.split.hash
    flags = mine.recording("sub-01").flags
    assert (EVENT_NAMES_FLAG in flags) == (layout == "event_names")


def test_names_and_concepts(prepared: dict[str, PreparedStudy]) -> None:
    stimuli = prepared["metadata"].stimuli
    assert stimuli.get("thing_05")["concept"] == "tool"
    assert set(stimuli.table["kind"]) == {"word"}
    assert prepared["event_names"].stimuli.get("thing_05")["concept"] == "thing_05"
    assert prepared["metadata"].recording("sub-01").windows["run"].unique().tolist() == ["1", "2"]


def test_the_planted_signal_is_found(prepared: dict[str, PreparedStudy]) -> None:
    recording, split = prepared["runs"].recording("sub-02"), prepared["runs"].split
    names = recording.windows["stimulus"].to_numpy().astype(str)
    train, tested = split.rows("sub-02", "train"), sorted(set(names[split.rows("sub-02", "test")]))
    signals = recording.read(np.arange(192)).reshape(192, -1).astype(float)
    signals /= signals[train].std()

    def top1(shown: np.ndarray) -> float:
        target = np.stack([code_of(name) for name in shown])
        design = signals[train]
        weights = np.linalg.solve(design.T @ design + 10 * np.eye(design.shape[1]), design.T @ target)
        found = np.stack([signals[names == name].mean(axis=0) for name in tested]) @ weights
        scores = np.corrcoef(found, np.stack([code_of(name) for name in tested]))[: len(tested), len(tested) :]
        return float((scores.argmax(axis=1) == np.arange(len(tested))).mean())

    assert top1(names[train]) == 1
    shuffled = [top1(np.random.default_rng(seed).permutation(names[train])) for seed in range(20)]
    assert np.mean(shuffled) < 0.4


def test_what_is_read_is_what_mne_reads(miniatures: Path) -> None:
    study = EpochsStudy(miniatures / "metadata", run="block")
    epochs = mne.read_epochs(miniatures / "metadata" / "subject02-epo.fif", verbose="error")
    recording = study.load("sub-02")
    expected = epochs.get_data(picks="eeg", copy=False)
    np.testing.assert_allclose(recording.read(np.arange(192)), expected, rtol=1e-6)
    slow = study.load("sub-02", sfreq=25.0)
    assert (slow.n_times, slow.sensors.sfreq) == (13, 25.0)


def test_bad_channels_parts_and_empty_entries(miniatures: Path, tmp_path: Path) -> None:
    epochs = mne.read_epochs(miniatures / "metadata" / "subject01-epo.fif", verbose="error")
    epochs.info["bads"] = ["Cz"]
    epochs.metadata = epochs.metadata.assign(stimulus=["", *epochs.metadata["stimulus"][1:]], half=0.5, number=3.0)
    big = mne.concatenate_epochs([epochs] * 16, verbose="error")
    big.save(tmp_path / "p7-epo.fif", split_size="2MB", verbose="error", overwrite=True)
    assert (tmp_path / "p7-epo-1.fif").is_file()
    study = EpochsStudy(tmp_path)
    assert len(study.sources()) == len(list(tmp_path.iterdir())) > 2
    recording = study.load("sub-07")
    assert "Cz" not in recording.sensors.names
    assert recording.flags == ("bad channels left out: Cz", "16 epoch(s) without a stimulus left out")
    assert len(recording.windows) == 16 * 191
    expected = big.get_data(picks=list(recording.sensors.names), copy=False)
    np.testing.assert_allclose(recording.read([0, 3055]), expected[[1, 3071]], rtol=1e-6)
    assert EpochsStudy(tmp_path, bad_channels="keep").load("sub-07").sensors.names[1] == "Cz"
    assert set(EpochsStudy(tmp_path, stimulus="number").stimuli().names) == {"3"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("subject04-epo.fif", ("sub-04", "", "")),
        ("preprocessed_P3-epo.fif", ("sub-03", "", "")),
        ("sub-AB_ses-2_task-x_run-07_epo.fif", ("sub-AB", "2", "07")),
        ("S12/words_epo.fif", ("sub-12", "", "")),
    ],
)
def test_names_of_files(tmp_path: Path, name: str, expected: tuple[str, str, str]) -> None:
    for one in (name, "other/sub-99_epo.fif"):
        (tmp_path / one).parent.mkdir(exist_ok=True)
        (tmp_path / one).touch()
    files = find_epochs_files(tmp_path)
    assert expected in [(file.subject, file.session, file.run) for file in files]
    found = find_epochs_files(tmp_path, "other/sub-{subject}_epo.fif")
    assert [file.subject for file in found] == ["sub-99"]


def cut(root: Path) -> None:
    path = root / "subject01-epo.fif"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def no_epochs(root: Path) -> None:
    (root / "subject01-epo.fif").write_bytes(b"GIF89a")


def nameless(root: Path) -> None:
    (root / "subject01-epo.fif").rename(root / "anna-epo.fif")


def other_channels(root: Path) -> None:
    path = root / "subject02-epo.fif"
    epochs = mne.read_epochs(path, verbose="error").drop_channels(["Oz"])
    epochs.save(path, overwrite=True, verbose="error")


def not_finite(root: Path) -> None:
    path = root / "subject01-epo.fif"
    epochs = mne.read_epochs(path, verbose="error")
    epochs._data[3, 2, 4] = np.nan
    epochs.save(path, overwrite=True, verbose="error")


@pytest.mark.parametrize(
    ("damage", "options", "message"),
    [
        (cut, {}, "subject01-epo.fif: "),
        (no_epochs, {}, "subject01-epo.fif: not readable as epochs"),
        (nameless, {}, "anna-epo.fif: its name does not say whose it is; give the option files"),
        (other_channels, {}, "sub-02: lacks the channel 'Oz' that sub-01 has"),
        (not_finite, {}, "sub-01: channel 'Pz' is not finite in window 3"),
        (
            None,
            {"stimulus": "stimuli"},
            "stimulus: got the column 'stimuli', expected one of stimulus, category, block; did",
        ),
        (None, {"modality": "meg"}, "no mag or grad channel left of 9"),
        (None, {"kind": "video"}, "kind: got 'video', expected one of image, speech, word"),
        (None, {"averaging": "trials"}, "averaging: got 'trials', expected one of stimulus, trial; did you mean"),
        (None, {"files": "{who}-epo.fif"}, "got {who} in '{who}-epo.fif', expected some of {subject}"),
        (None, {"files": "{subject}_epo.fif"}, "no file is called like"),
        (None, {"pictures": "images"}, "is no folder; expected one, or a name such as images/{stimulus}.png"),
    ],
)
def test_damage_has_one_clear_line(
    miniatures: Path, tmp_path: Path, damage: Callable[[Path], None] | None, options: dict[str, str], message: str
) -> None:
    root = Path(shutil.copytree(miniatures / "metadata", tmp_path / "data"))
    if damage is not None:
        damage(root)
    with pytest.raises(NeurodecodeError) as caught:
        prepare_study(EpochsStudy(root, **options), tmp_path / "cache")  # type: ignore[arg-type]
    assert message in str(caught.value), str(caught.value)
    assert "\n" not in str(caught.value)


def test_event_names_have_no_columns(miniatures: Path) -> None:
    with pytest.raises(DataError, match="concept: got the column 'kind', expected none: the file has no metadata"):
        EpochsStudy(miniatures / "event_names", concept="kind").stimuli()
    with pytest.raises(
        ConfigError, match=r"options: got 'stimuli', expected one of stimulus, .*did you mean 'stimulus'"
    ):
        open_study("epochs", miniatures / "metadata", {"stimuli": "x"})


@pytest.mark.data
@pytest.mark.skipif("NEURODECODE_DATA" not in os.environ, reason="needs the real recordings")
def test_real_words(tmp_path: Path) -> None:
    root = Path(os.environ["NEURODECODE_DATA"]) / "brain" / "n400_words"
    study = open_study("epochs", root, {"stimulus": "association", "concept": "cue", "run": "label"})
    prepared = prepare_study(study, tmp_path / "cache")
    assert prepared.subjects == ["sub-04"]
    recording = prepared.recording("sub-04")
    assert not recording.simulated
    assert (recording.n_channels, recording.n_times, recording.sensors.sfreq) == (32, 60, 50.0)
    assert len(recording.windows) == len(prepared.stimuli) == 200
    epochs = mne.read_epochs(root / "subject04-epo.fif", verbose="error")
    np.testing.assert_allclose(recording.read(np.arange(200)), epochs.get_data(copy=False), rtol=1e-6)
    assert recording.windows["stimulus"].tolist() == epochs.metadata["association"].tolist()
    assert recording.windows["reaction-time"].iloc[0] == pytest.approx(epochs.metadata["reaction-time"].iloc[0])
    # The N400: more negative over the centre 0.3 to 0.5 s after words that do not fit.
    central = recording.sensors.names.index("Cz")
    late = (epochs.times > 0.3) & (epochs.times < 0.5)
    means = recording.read(np.arange(200))[:, central][:, late].mean(axis=1)
    unrelated = epochs.events[:, 2] == epochs.event_id["unrelated"]
    assert means[unrelated].mean() < means[~unrelated].mean()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(where=st.floats(0, 1), what=st.sampled_from(["cut", "zeros", "noise"]), size=st.integers(1, 4000))
def test_damaged_files_are_read_or_refused(
    miniatures: Path, tmp_path_factory: pytest.TempPathFactory, where: float, what: str, size: int
) -> None:
    content = bytearray((miniatures / "metadata" / "subject01-epo.fif").read_bytes())
    begin = int(where * (len(content) - 1))
    if what == "cut":
        content = content[:begin]
    else:
        noise = np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8).tobytes()
        content[begin : begin + size] = (bytes(size) if what == "zeros" else noise)[: len(content) - begin]
    root = tmp_path_factory.mktemp("fuzz")
    (root / "subject01-epo.fif").write_bytes(content)
    try:
        EpochsStudy(root).load("sub-01")
    except NeurodecodeError as error:
        message = str(error)
    else:
        message = ""
    assert "\n" not in message
