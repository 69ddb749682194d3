"""The pairs of pictures: what is read, what a contrast leaves, and what a plain classifier finds in the real data."""

import os
from pathlib import Path

import numpy as np
import pytest

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.prepared import prepare_study
from neurodecode.datasets.begleiter1999 import FILE, SmniVisual
from neurodecode.datasets.catalogue import open_study
from neurodecode.datasets.miniatures.catalogue import write_miniature


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_miniature("smni_visual", tmp_path / "mini")


def spoil(folder: Path, **changes: object) -> Path:
    with np.load(folder / FILE) as stored:
        arrays = {name: stored[name] for name in stored}
    arrays.update(changes)  # type: ignore[arg-type]
    np.savez(folder / FILE, **{name: value for name, value in arrays.items() if value is not None})  # type: ignore[arg-type]
    return folder


def test_every_subject_is_left_out_once(folder: Path, tmp_path: Path) -> None:
    prepared = prepare_study(open_study("smni_visual", folder), tmp_path / "cache", sfreq=64.0)
    split = prepared.split
    assert (split.unit, split.n_folds) == ("subject", len(prepared.subjects))
    for fold, subject in enumerate(prepared.subjects):
        assert len(split.rows(subject, "test", fold=fold)) == len(prepared.recording(subject).windows)
        assert not len(split.rows(subject, "train", fold=fold))
    assert prepared.simulated
    recording = prepared.recording("sub-01")
    assert recording.n_channels == 61
    assert recording.n_times == 64
    assert recording.sensors.regions["occipital"].any()
    assert not np.isnan(recording.sensors.positions).any()


@pytest.mark.parametrize(
    ("contrast", "labels"),
    [("all", {"first", "match", "nomatch"}), ("second", {"first", "second"}), ("match", {"", "match", "nomatch"})],
)
def test_contrasts(folder: Path, contrast: str, labels: set[str]) -> None:
    study = SmniVisual(folder, contrast=contrast)  # type: ignore[arg-type]
    windows = study.load("sub-02").windows
    assert set(windows["stimulus"]) == labels
    assert set(study.stimuli().names) == labels - {""}
    assert set(windows.loc[windows["stimulus"] == "first", "condition"]) <= {"first"}


def test_signals_are_those_of_the_file_in_volts(folder: Path) -> None:
    with np.load(folder / FILE) as stored:
        mine = stored["subject"] == np.unique(stored["subject"])[1]
        scalp = [row for row, name in enumerate(stored["ch"]) if name not in ("X", "Y", "nd")]
        expected = stored["X"][mine][:, scalp] * 1e-6
    recording = SmniVisual(folder).load("sub-02")
    assert np.allclose(recording.read(np.arange(len(recording.windows))), expected, rtol=1e-5)


def test_bad_input_is_named(folder: Path) -> None:
    with np.load(folder / FILE) as stored:
        conditions, signals = stored["cond"].copy(), stored["X"]
    with pytest.raises(ConfigError, match="contrast: got 'both', expected one of all, second, match"):
        SmniVisual(folder, contrast="both")  # type: ignore[arg-type]
    conditions[3] = "S3"
    with pytest.raises(DataError, match="cond of row 3: got 'S3', expected one of S1 obj"):
        SmniVisual(spoil(folder, cond=conditions)).subjects()
    with pytest.raises(DataError, match=r"X has shape .*, expected \(n_trials, 64, 256\)"):
        SmniVisual(spoil(folder, X=signals[:, :63])).subjects()
    with pytest.raises(DataError, match="no array 'X', got ch, cond"):
        SmniVisual(spoil(folder, X=None)).subjects()
    (folder / FILE).write_bytes((folder / FILE).read_bytes()[:200])
    with pytest.raises(DataError, match=FILE):
        SmniVisual(folder).subjects()


@pytest.mark.data
def test_real_recordings_tell_first_from_second_pictures(tmp_path: Path) -> None:
    if "NEURODECODE_DATA" not in os.environ:
        pytest.skip("NEURODECODE_DATA is not set: the real recordings are not at hand")
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.metrics import roc_auc_score

    study = open_study("smni_visual", options={"contrast": "second"})
    prepared = prepare_study(study, tmp_path / "cache", sfreq=16.0)
    signals, second, person = [], [], []
    for number, subject in enumerate(prepared.subjects):
        recording = prepared.recording(subject)
        epochs = recording.read(np.arange(len(recording.windows)))
        epochs = epochs[:, :, 1:10]
        epochs = (epochs - epochs.mean((0, 2), keepdims=True)) / epochs.std((0, 2), keepdims=True)
        signals.append(epochs.reshape(len(epochs), -1))
        second.append(recording.windows["stimulus"] == "second")
        person.append(np.full(len(epochs), number))
    features, labels, people = np.concatenate(signals), np.concatenate(second), np.concatenate(person)
    areas = []
    for number in (0, 7, 15):
        train = people != number
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(features[train], labels[train])
        areas.append(roc_auc_score(labels[~train], model.decision_function(features[~train])))
    assert np.mean(areas) > 0.7
