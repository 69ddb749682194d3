"""Faces and houses with a headband: parsing, what counts, what is rejected, hostile files, and the real archive."""

import io
import os
import re
import tarfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurodecode.core.errors import DataError
from neurodecode.core.prepared import prepare_study
from neurodecode.datasets.barachant2017 import (
    ELECTRODES,
    LARGEST_SWING,
    SETTINGS,
    MuseN170,
    parse_session,
    read_sessions,
    swings,
)
from neurodecode.datasets.catalogue import open_study
from neurodecode.datasets.preprocessing import preprocess_array


def session(seed: int, *, n_trials: int = 60, seconds: float = 27.0, blink: bool = False) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    n_samples = int(seconds * 256)
    values = generator.normal(0, 5, (n_samples, 4))
    if blink:
        values[2600:2650] += 400
    marks = np.zeros(n_samples, dtype=int)
    marks[256 + 100 * np.arange(n_trials)] = np.tile([1, 2], n_trials)[:n_trials]
    table = pd.DataFrame(values, columns=ELECTRODES).round(3)
    table.insert(0, "timestamps", 1000 + np.arange(n_samples) / 256)
    return table.assign(**{"Right AUX": 0.0, "Marker0": marks})


def name(subject: int, number: int, folder: int = 1) -> str:
    return f"data/visual/N170/subject{subject}/session{folder}/data_2018-01-0{number}-10.00.00.csv"


def write(path: Path, files: dict[str, pd.DataFrame | bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member, content in files.items():
            data = content if isinstance(content, bytes) else content.to_csv(index=False).encode()
            info = tarfile.TarInfo(member)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@cache
def text(seed: int, n_trials: int = 60, blink: bool = False) -> bytes:
    return session(seed, n_trials=n_trials, blink=blink).to_csv(index=False).encode()


def usual() -> dict[str, pd.DataFrame | bytes]:
    files: dict[str, pd.DataFrame | bytes] = {
        name(subject, number): text(10 * subject + number, blink=number == 2)
        for subject in (1, 3)
        for number in (1, 2, 3)
    }
    files[name(3, 1, folder=2)] = text(31)  # the same file once more
    files[name(3, 4)] = text(99, n_trials=7)  # broken off
    files[name(2, 1)] = text(21)
    return files


@pytest.fixture
def muse_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "muse_erp"
    folder.mkdir()
    write(folder / "n170_all.tar.gz", usual())
    return folder


def test_what_counts(muse_folder: Path) -> None:
    sessions = read_sessions(muse_folder / "n170_all.tar.gz")
    assert {subject: len(found) for subject, found in sessions.items()} == {"sub-01": 3, "sub-02": 1, "sub-03": 3}
    study = MuseN170(muse_folder)
    assert study.subjects() == ["sub-01", "sub-03"]
    with pytest.raises(DataError, match="subject: got 'sub-02', expected one of sub-01, sub-03"):
        study.load("sub-02")


def test_signals_are_filtered_volts_at_the_markers(muse_folder: Path) -> None:
    recording = MuseN170(muse_folder).load("sub-01")
    table = session(11)
    signals = (table[list(ELECTRODES)].to_numpy().T * 1e-6).astype(np.float32)
    expected = preprocess_array(signals, 256.0, settings=SETTINGS)
    first = recording.windows[recording.windows["run"] == "session1_2018-01-01-10.00.00"]
    samples = np.flatnonzero(table["Marker0"])
    assert first["start"].tolist() == samples.tolist()
    assert first["stimulus"].tolist() == ["house", "face"] * 30
    np.testing.assert_allclose(recording.read([3])[0], expected[:, samples[3] : samples[3] + 205], atol=1e-11)
    assert recording.windows["trial"].is_unique
    assert recording.sensors.names == ELECTRODES
    slow = MuseN170(muse_folder).load("sub-01", sfreq=64.0)
    assert (slow.n_times, slow.sensors.sfreq) == (51, 64.0)


def test_rejection_looks_at_signals_only(muse_folder: Path) -> None:
    recording = MuseN170(muse_folder).load("sub-01")
    blinks = recording.windows[recording.windows["run"] == "session1_2018-01-02-10.00.00"]
    assert 50 <= len(blinks) < 60
    note = next(flag for flag in recording.flags if "left out" in flag)
    assert re.match(rf"{180 - len(recording.windows)} of 180 windows left out without labels, test windows", note)
    peaks = np.ptp(recording.read(np.arange(len(recording.windows))), axis=2).max(axis=1)
    assert peaks.max() <= LARGEST_SWING
    data = next(iter(recording.blocks.values())).data
    np.testing.assert_allclose(swings(data, recording.windows[:5]), peaks[:5], rtol=1e-6)


def test_split_leaves_each_recording_out(muse_folder: Path) -> None:
    study = MuseN170(muse_folder)
    windows = {subject: study.load(subject).windows for subject in study.subjects()}
    split = study.split(windows)
    assert split.n_folds == 3
    for fold in range(3):
        tested = windows["sub-03"]["run"].to_numpy()[split.rows("sub-03", "test", fold=fold)]
        assert len(set(tested)) == 1


def test_stimuli_are_names_without_pictures(muse_folder: Path) -> None:
    stimuli = MuseN170(muse_folder).stimuli()
    assert stimuli.names == ["face", "house"]
    with pytest.raises(DataError, match="'face' has no file"):
        stimuli.file("face")


def lacks_electrode(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns="AF8")


def has_text(table: pd.DataFrame) -> pd.DataFrame:
    changed = table.astype({"TP9": object})
    changed.loc[5, "TP9"] = "lost"
    return changed


def has_nan(table: pd.DataFrame) -> pd.DataFrame:
    changed = table.copy()
    changed.loc[7, "timestamps"] = np.nan
    return changed


def unknown_marker(table: pd.DataFrame) -> pd.DataFrame:
    return table.replace({"Marker0": {2: 5}})


def has_gap(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(index=range(3000, 4500))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lacks_electrode, "column 'AF8' is missing, got timestamps"),
        (has_text, "line 7: TP9 is not a finite number"),
        (has_nan, "line 9: timestamps is not a finite number"),
        (unknown_marker, "marker 5, expected one of 1, 2"),
        (has_gap, r"\d+\.\d samples a second by its timestamps, expected 256; it has a gap"),
    ],
)
def test_bad_files_have_one_clear_line(
    tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    path = write(tmp_path / "n170_all.tar.gz", {**usual(), name(1, 2): change(session(12))})
    with pytest.raises(DataError, match=rf"n170_all\.tar\.gz: member '{re.escape(name(1, 2))}': {message}") as caught:
        read_sessions(path)
    assert "\n" not in str(caught.value)


def test_other_names_and_encodings(tmp_path: Path) -> None:
    path = write(tmp_path / "n170_all.tar.gz", {"data/notes.csv": session(1)})
    with pytest.raises(DataError, match=r"member 'data/notes\.csv' is not named subject<n>/session<n>"):
        read_sessions(path)
    with pytest.raises(DataError, match="here: not readable as a table"):
        parse_session(b"timestamps,TP\xe99\n1,2\n", "a", "1", where="here")
    with pytest.raises(DataError, match="here: not readable as a table"):
        parse_session(b"", "a", "1", where="here")


@pytest.mark.data
def test_the_real_archive(tmp_path: Path) -> None:
    prepared = prepare_study(open_study("muse_n170", os.environ["NEURODECODE_DATA"]), tmp_path / "cache", sfreq=64.0)
    assert prepared.subjects == ["sub-01", "sub-03"]
    runs = {subject: prepared.recording(subject).windows["run"].nunique() for subject in prepared.subjects}
    assert runs == {"sub-01": 6, "sub-03": 4}
    answers = prepared.recording("sub-01")
    signals, names = answers.read(np.arange(len(answers.windows))), answers.windows["stimulus"].to_numpy().astype(str)
    contrast = signals[names == "face"].mean(axis=0) - signals[names == "house"].mean(axis=0)
    # The N170: faces are more negative than houses behind the ears, some 170 ms after the picture.
    behind = contrast[[ELECTRODES.index("TP9"), ELECTRODES.index("TP10")]].mean(axis=0)
    when = np.argmin(behind[: int(0.35 * 64)]) / 64
    assert 0.12 <= when <= 0.26
    assert behind.min() < -1e-6
