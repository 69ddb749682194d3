"""Every form of THINGS-EEG2 gives the same trials and the same signals, and what is wrong with a copy is named."""

import json
import pickle
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import mne
import numpy as np
import pandas as pd
import pytest
import scipy.io
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.utils import shuffle

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.core.recording import group_by_stimulus
from neurodecode.datasets.catalogue import open_study
from neurodecode.datasets.gifford2022.channels import CHANNELS, POSTERIOR, channel_rows
from neurodecode.datasets.gifford2022.epoched import (
    FIELDS,
    FILES,
    HALF,
    TEST_WHITENED,
    TRAIN_SCALED,
    TRAIN_WHITENED,
    UNKNOWN_SCALED,
    open_epochs,
    sampling,
)
from neurodecode.datasets.gifford2022.layout import DIALECTS
from neurodecode.datasets.gifford2022.pictures import read_metadata
from neurodecode.datasets.gifford2022.study import ThingsEEG2
from neurodecode.datasets.gifford2022.trials import SEED, kept_rows
from neurodecode.datasets.miniatures import gifford2022 as miniature
from neurodecode.datasets.miniatures.planted import code_of

from .layouts import Layouts

Prepared = dict[str, PreparedStudy]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Layouts:
    return Layouts("things_eeg2", tmp_path_factory.mktemp("eeg2"))


@pytest.fixture(scope="module")
def prepared(pristine: Layouts, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Every layout prepared; of two, both subjects."""
    first = {layout: ["sub-01"] for layout in DIALECTS if layout not in ("B", "E")}
    return pristine.prepare(DIALECTS, tmp_path_factory.mktemp("caches"), subjects=first)


@pytest.fixture
def damaged(pristine: Layouts, tmp_path: Path) -> Callable[[str], Path]:
    """Give a copy of a miniature with one subject, which a test may damage."""
    hidden = ("sub-02", "training_images", "test_images")
    return lambda layout: pristine.copy(layout, tmp_path / layout, *hidden)


def signals(study: PreparedStudy, part: str, subject: str = "sub-01") -> NDArray[np.float64]:
    """All trials of a part, pictures by repetitions, repetitions in the order of the table."""
    recording = study.recording(subject)
    rows = np.flatnonzero(recording.windows["part"] == part)
    n_pictures = recording.windows["stimulus"].iloc[rows].nunique()
    values = recording.read(rows).astype(np.float64)
    return values.reshape(n_pictures, -1, *values.shape[1:])


def test_every_form_gives_the_same_trials(prepared: Prepared) -> None:
    columns = ["subject", "stimulus", "repetition", "concept", "part", "block", "start"]
    expected = prepared["E"].recording("sub-01").windows
    second = prepared["B"].recording("sub-02").windows
    pd.testing.assert_frame_equal(second[columns], prepared["E"].recording("sub-02").windows[columns])
    assert len(expected) == 36 * 4 + 6 * 8
    assert expected["stimulus"].iloc[0] == "aardvark_01b"
    assert set(expected["concept"]) == {*miniature.concepts_of("train"), *miniature.concepts_of("test")}
    for layout, study in prepared.items():
        assert study.simulated
        windows = study.recording("sub-01").windows
        pd.testing.assert_frame_equal(windows[columns], expected[columns], obj=layout)
        assert set(study.split.table["unit"]) == set(prepared["E"].split.table["unit"])
        names = study.recording("sub-01").sensors.names
        assert names == (POSTERIOR if layout == "A" else CHANNELS)
    for layout in ("C", "F", "source"):
        sessions = prepared[layout].recording("sub-01").windows["session"]
        pd.testing.assert_series_equal(sessions, expected["session"], obj=layout)
    counts = expected.groupby(["stimulus", "session"]).size()
    assert set(counts) == {2}, "fillers are not kept"


def test_every_form_gives_the_same_signals(prepared: Prepared) -> None:
    for part in ("train", "test"):
        arrays = {layout: signals(study, part) for layout, study in prepared.items()}
        scale = arrays["E"].std()
        np.testing.assert_allclose(arrays["F"], arrays["E"], atol=1e-6 * scale * 10)
        np.testing.assert_allclose(arrays["source"], arrays["E"], atol=1e-6 * scale * 10)
        np.testing.assert_allclose(arrays["C"], arrays["D"], atol=2**-10, rtol=2**-10)
        order = shuffle(np.arange(arrays["D"].shape[1]), random_state=SEED)
        np.testing.assert_allclose(arrays["B"], arrays["D"][:, order], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(arrays["B"].mean(axis=1), arrays["D"].mean(axis=1), atol=1e-5)
        authors = miniature.derivative(1, 0, authors=True)[0][part]
        rows = [[name for name in miniature.RECORDED if name in POSTERIOR].index(name) for name in POSTERIOR]
        order = shuffle(np.arange(authors.shape[1]), random_state=SEED)
        np.testing.assert_allclose(arrays["A"], authors[:, order][:, :, rows][..., 20:], rtol=1e-6, atol=1e-6)


def test_cutting_and_whitening_the_recordings_gives_the_derivative(prepared: Prepared) -> None:
    """The derivative was made with MNE's epochs, events and resampling; the reader's own must agree."""
    windows = prepared["E"].recording("sub-01").windows
    recorded = prepared["E"].recording("sub-01").read(np.arange(len(windows))).astype(np.float64)
    derived = prepared["D"].recording("sub-01").read(np.arange(len(windows)))
    for session in ("01", "02", "03", "04"):
        mine = (windows["session"] == session).to_numpy()
        train = mine & (windows["part"] == "train").to_numpy()
        covariance = miniature._covariance(recorded[train].reshape(-1, 2, *recorded.shape[1:]), "epochs")
        whitened = miniature._whiten(recorded[mine][:, None], covariance)[:, 0]
        np.testing.assert_allclose(whitened, derived[mine], atol=2e-4)


@pytest.mark.parametrize("layout", ["A", "B", "E"])
def test_a_closed_form_decoder_has_the_known_score(prepared: Prepared, layout: str) -> None:
    study = prepared[layout]
    recording = study.recording("sub-01")
    means = {}
    for part in ("train", "test"):
        rows = np.flatnonzero(recording.windows["part"] == part)
        names, groups = group_by_stimulus(recording.windows, rows)
        codes = np.array([code_of(name) for name in names])
        means[part] = codes, recording.read_averaged(groups).reshape(len(names), -1).astype(np.float64)
    generator = np.random.default_rng(0)

    def top1(order: NDArray[np.int64]) -> float:
        codes, responses = means["train"]
        design = np.column_stack([codes[order], np.ones(len(codes))])
        weights = np.linalg.solve(design.T @ design + 0.5 * np.eye(design.shape[1]), design.T @ responses)
        expected = np.column_stack([means["test"][0], np.ones(6)]) @ weights
        scores = np.corrcoef(means["test"][1], expected)[:6, 6:]
        return float((scores.argmax(axis=1) == np.arange(6)).mean())

    # Answers overlap, five pictures a second: seventeen electrodes leave one of six confused.
    assert top1(np.arange(36)) == (5 / 6 if layout == "A" else 1.0)
    shuffled = [top1(generator.permutation(36)) for _ in range(40)]
    assert abs(np.mean(shuffled) - 1 / 6) < 0.1


def test_what_was_done_before_is_said(prepared: Prepared) -> None:
    flags = {layout: study.recording("sub-01").flags for layout, study in prepared.items()}
    assert flags["A"] == (TEST_WHITENED,)
    assert flags["B"] == flags["D"] == (TRAIN_WHITENED,)
    assert flags["C"] == (TRAIN_WHITENED, HALF)
    assert flags["E"] == flags["F"] == flags["source"] == ()
    units = {layout: study.recording("sub-01").sensors.unit for layout, study in prepared.items()}
    assert [units[layout] for layout in DIALECTS] == ["a.u."] * 4 + ["V"] * 3


def test_the_split_tests_on_new_concepts(prepared: Prepared) -> None:
    study = prepared["B"]
    windows = study.recording("sub-01").windows
    sides = {part: set(windows["concept"].iloc[study.split.rows("sub-01", part)]) for part in ("train", "val", "test")}  # type: ignore[arg-type]
    assert sides["test"] == set(miniature.concepts_of("test"))
    assert len(sides["val"]) == 1
    assert sides["train"] | sides["val"] == set(miniature.concepts_of("train"))
    assert study.split.unit == "concept"
    assert "1 of 12 training concepts validate" in study.split.rule
    swapped = windows.replace({"concept": {"wok": "zebra"}})
    with pytest.raises(DataError, match="the concept 'zebra' is in the training and in the test part"):
        ThingsEEG2(Path("x")).split({"sub-01": swapped})
    with pytest.raises(DataError, match="the test concept 'cheese' has 2 pictures, expected 1"):
        ThingsEEG2(Path("x")).split({"sub-01": windows.replace({"concept": {"wok": "cheese"}})})


def test_pictures_are_found_by_name(pristine: Callable[[str], Path]) -> None:
    for layout, folder in (("B", "image_set/training_images"), ("C", "Image_set_Resize/train_images")):
        stimuli = open_study("things_eeg2", pristine(layout)).stimuli()
        assert len(stimuli) == 42
        assert stimuli.get("t-shirt_02s")["path"].startswith(f"{folder}/00010_t-shirt/")
        assert stimuli.get("baton4_01b")["text"] == "baton"
        assert stimuli.get("aircraft_carrier_01b")["concept"] == "aircraft_carrier"
        assert stimuli.file("wok_05n").is_file()


def test_options(pristine: Callable[[str], Path], tmp_path: Path) -> None:
    whole = open_study("things_eeg2", pristine("A"), {"window": [-0.2, 0.8]}).load("sub-01")
    assert (whole.n_times, whole.sensors.tmin) == (100, -0.2)
    early = open_study("things_eeg2", pristine("E"), {"window": [-0.1, 0.5]}).load("sub-01", sfreq=100.0)
    assert (early.n_times, early.sensors.tmin, early.sensors.sfreq) == (60, -0.1, 100.0)
    half = open_study("things_eeg2", pristine("B")).load("sub-01", sfreq=125.0)
    assert (half.n_times, half.sensors.sfreq) == (125, 125.0)
    with pytest.raises(
        ConfigError, match=r"window: got -0.2 to 1 s, but .*preprocessed_eeg_training.npy holds 0 to 1 s"
    ):
        open_study("things_eeg2", pristine("B"), {"window": [-0.2, 1.0]}).load("sub-01")
    with pytest.raises(ConfigError, match=r"window: got \(0, 2\), expected .* within -0.2 to 1 s"):
        ThingsEEG2(tmp_path, window=(0, 2))
    with pytest.raises(ConfigError, match="dialect: got 'G', expected one of A, B, C, D, E, F, source"):
        ThingsEEG2(tmp_path, dialect="G")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"no subject of THINGS-EEG2 found, expected one of sub-01/preprocessed"):
        ThingsEEG2(tmp_path).subjects()


def test_several_dialects_in_one_folder(pristine: Callable[[str], Path], tmp_path: Path) -> None:
    shutil.copytree(pristine("A"), tmp_path / "both")
    shutil.copytree(pristine("C") / "Preprocessed_data_250Hz_whiten", tmp_path / "both" / "ubp")
    with pytest.raises(ConfigError, match=r"dialect: there are several, say which one .*A \(.*\), C \(.*ubp\)"):
        open_study("things_eeg2", tmp_path / "both").subjects()
    assert open_study("things_eeg2", tmp_path / "both", {"dialect": "A"}).load("sub-01").n_channels == 17
    with pytest.raises(ConfigError, match="dialect: got 'B', expected one that is there: A"):
        open_study("things_eeg2", tmp_path / "both", {"dialect": "B"}).subjects()


def change(path: Path, **fields: Any) -> None:
    """Write a derivative anew with other fields; None takes one away."""
    with path.open("rb") as file:
        content = pickle.load(file)
    content |= fields
    with path.open("wb") as file:
        pickle.dump({name: value for name, value in content.items() if value is not None}, file, protocol=4)


def load(root: Path) -> Any:
    return open_study("things_eeg2", root).load("sub-01")


def test_derivatives_that_do_not_fit(damaged: Callable[[str], Path]) -> None:
    root = damaged("B")
    path = root / "Preprocessed_data_250Hz" / "sub-01" / "preprocessed_eeg_training.npy"
    whole = path.read_bytes()
    content = pickle.loads(whole)
    data, times = content["preprocessed_eeg_data"], content["times"]
    assert (whole[:2], len(times), data.shape[3]) == (b"\x80\x04", 300, 250), "the traps are there"
    again = partial(path.write_bytes, whole)
    more = np.concatenate([data, data[:, :, :1]], axis=2)
    for fields, reason in (
        ({"preprocessed_eeg_data": more}, "64 channels of signals but 63 names in 'ch_names'"),
        ({"preprocessed_eeg_data": data[1:]}, r"signals of shape \(35, .*expected 36 pictures"),
        ({"preprocessed_eeg_data": data.astype(int)}, "signals are int64 of shape"),
        ({"preprocessed_eeg_data": None}, "the field 'preprocessed_eeg_data' is missing, got ch_names, times"),
        ({"times": times[60:]}, "240 entries in 'times', expected at least the 250 samples"),
        ({"times": np.arange(290) / 250}, "290 entries in 'times' for 250 samples, and the last 250 begin at 0.160 s"),
        ({"times": times**2}, "'times' does not rise in equal steps"),
        ({"ch_names": ["Fz", *CHANNELS[1:]]}, "electrode 'Fp1' is not among the 63 channels"),
        ({"ch_names": ["Fp2", *CHANNELS[1:]]}, "'ch_names' names a channel twice"),
        ({"ch_names": None}, "the field 'ch_names' is missing"),
        ({"extra": Path("x")}, "holds the global 'pathlib.PosixPath'"),
    ):
        change(path, **fields)
        with pytest.raises(DataError, match=rf"preprocessed_eeg_training\.npy: .*{reason}"):
            load(root)
        again()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"preprocessed_eeg_training\.npy: .*the file is cut"):
        load(root)
    again()
    change(path, preprocessed_eeg_data=more, ch_names=["Fz", *CHANNELS][::-1])
    turned = load(root)
    assert turned.sensors.names == CHANNELS, "a surplus channel is left out by name"
    np.testing.assert_allclose(turned.read([0])[0, 0], more[0, 0, 62], rtol=1e-6)
    again()
    data = data.copy()
    data[5, 2, 10, 7] = np.nan
    change(path, preprocessed_eeg_data=data)
    with pytest.raises(DataError, match="channel 'F1' is not finite in window 22"):
        prepare_study(open_study("things_eeg2", root), root.parent / "cache")
    with path.open("wb") as file:
        np.save(file, content)
    assert open_study("things_eeg2", root).steps()["dialect"] == "B", "told by channels, however it was saved"


def test_derivative_with_names_of_pictures(damaged: Callable[[str], Path]) -> None:
    root = damaged("C")
    path = root / "Preprocessed_data_250Hz_whiten" / "sub-01" / "train.pt"
    content = torch.load(path, weights_only=False)
    torch.save({**content, "img": np.roll(content["img"], 1, axis=0)}, path, pickle_protocol=5)
    with pytest.raises(DataError, match=r"train\.pt: row 0 of 'img' shows 'zebra_05n', image_metadata\.npy has 'aard"):
        load(root)
    torch.save({**content, "img": content["img"][:5]}, path)
    with pytest.raises(DataError, match=r"'img' has shape \(5, 4\), expected a name for each of 36 pictures"):
        load(root)
    torch.save({**content, "session": content["session"][:, :2]}, path)
    with pytest.raises(DataError, match=r"'session' has shape \(36, 2\), expected a session number"):
        load(root)
    torch.save(content, path)
    first = load(root)
    torch.save(content, path, pickle_protocol=5)
    np.testing.assert_array_equal(first.read([3, 150]), load(root).read([3, 150]), "protocol 2 writes bytes as text")
    for name in ("train.pt", "test.pt"):
        content = torch.load(path.with_name(name), weights_only=False)
        small = (content["eeg"].astype(np.float64) * 1e-5).astype(np.float16)
        torch.save({**content, "eeg": small}, path.with_name(name), pickle_protocol=5)
    volts = load(root)
    assert (volts.sensors.unit, volts.flags) == ("V", (HALF,)), "not whitened"


def test_derivative_with_a_side_file(damaged: Callable[[str], Path]) -> None:
    root = damaged("D")
    folder = root / "preprocessed_eeg" / "sub-01"
    side = json.loads((folder / "info.json").read_text())
    (folder / "info.json").unlink()
    with pytest.raises(DataError, match=r"info\.json: no such file"):
        load(root)
    (root / "preprocessed_eeg" / "info.json").write_text(json.dumps({**side, "normalization": "zscore"}))
    assert load(root).flags == (TRAIN_SCALED,)
    (folder / "info.json").write_text(json.dumps({"times": side["times"]}))
    with pytest.raises(DataError, match=r"info\.json: the field 'ch_names' is missing, got times"):
        load(root)
    (folder / "info.json").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"info\.json: not readable as JSON"):
        load(root)
    for part in ("train", "test"):
        older = {
            "data": np.load(folder / f"{part}.npy"),
            "ch_names": side["ch_names"],
            "times": np.array(side["times"]),
        }
        (folder / f"{part}.npy").write_bytes(pickle.dumps(older, protocol=4))
    assert load(root).flags == (UNKNOWN_SCALED,), "an older form without the file beside it"


def test_recordings_that_do_not_fit(damaged: Callable[[str], Path]) -> None:
    root = damaged("E")
    path = root / "raw_data" / "sub-01" / "ses-01" / "raw_eeg_training.npy"
    content = np.load(path, allow_pickle=True).item()
    stim = content["raw_eeg_data"][-1]
    shown = np.flatnonzero((stim > 0) & (stim < 99999))

    def save(codes: NDArray[np.float64] | None = None, **fields: Any) -> None:
        data = content["raw_eeg_data"].copy()
        data[-1] = stim if codes is None else codes
        fields = {**content, "raw_eeg_data": data, **fields}
        np.save(path, {name: value for name, value in fields.items() if value is not None})

    other = stim.copy()
    other[shown] += 20
    save(other)
    with pytest.raises(DataError, match=r"raw_eeg_training\.npy: event \d+ .* has the number \d+, expected 1 to 36 or"):
        load(root)
    other = stim.copy()
    other[shown] -= 1
    save(other)
    with pytest.raises(
        DataError, match=r"picture \d+ of the train part has \d trials|was shown \d times in the session"
    ):
        load(root)
    save(stim + 0.25)
    with pytest.raises(DataError, match="the stimulus channel holds numbers that are not whole"):
        load(root)
    save(np.zeros_like(stim))
    with pytest.raises(DataError, match="the stimulus channel is zero throughout"):
        load(root)
    save(raw_eeg_data=content["raw_eeg_data"][:-1], ch_names=content["ch_names"][:-1])
    with pytest.raises(DataError, match=r"no stimulus channel \(stim or STI101 .*\) among 63 channels"):
        load(root)
    save(ch_names=content["ch_names"][1:])
    with pytest.raises(DataError, match="64 channels of signals but 63 names"):
        load(root)
    save(sfreq=None)
    with pytest.raises(DataError, match="the field 'sfreq' is missing"):
        load(root)
    (root / "raw_data" / "sub-01" / "ses-02" / "raw_eeg_training.npy").unlink()
    save()
    with pytest.raises(DataError, match=r"ses-02/raw_eeg_training\.npy: not readable"):
        load(root)


def test_fif_that_is_cut_or_without_stimuli(damaged: Callable[[str], Path]) -> None:
    root = damaged("F")
    path = root / "raw_data" / "sub-01" / "ses-01" / "raw_eeg_training_raw.fif"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"raw_eeg_training_raw\.fif: "):
        load(root)
    path.write_bytes(whole)
    raw = mne.io.read_raw_fif(path, preload=True, verbose="error")
    raw.drop_channels(["STI101"]).save(path, overwrite=True, verbose="error")
    with pytest.raises(DataError, match=r"raw_eeg_training_raw\.fif: no stimulus channel"):
        load(root)


def test_source_that_does_not_fit(damaged: Callable[[str], Path]) -> None:
    root = damaged("source")
    folder = root / "source_data" / "sub-01" / "ses-01"
    stem = "sub-01_ses-01_task-train_part-01"
    table = folder / "beh" / f"{stem}_beh.mat"
    whole = table.read_bytes()
    content = scipy.io.loadmat(table)["data"]
    images = content[0, 0]["images"]
    scipy.io.savemat(table, {"data": {"subject_info": 1, "paradigm_info": 2, "images": images[:, :-1]}})
    with pytest.raises(
        DataError, match=rf"{stem}_eeg\.vhdr: 20 triggers in its signals, but {stem}_beh\.mat lists 19 trials"
    ):
        load(root)
    scipy.io.savemat(table, {"data": {"other": 1}})
    with pytest.raises(DataError, match=rf"{stem}_beh\.mat: data\.images\.tot_img_number is not readable"):
        load(root)
    table.write_bytes(whole[: len(whole) // 3])
    with pytest.raises(DataError, match=rf"{stem}_beh\.mat: "):
        load(root)
    table.unlink()
    with pytest.raises(DataError, match=rf"{stem}_beh\.mat: no such file"):
        load(root)
    table.write_bytes(whole)
    signals_file = folder / "eeg" / f"{stem}_eeg.eeg"
    signals_file.write_bytes(signals_file.read_bytes()[: 63 * 4 * 2000])
    with pytest.raises(DataError, match=r"9 triggers in its signals, but .* lists 20 trials"):
        load(root)


def test_list_of_pictures_that_does_not_fit(damaged: Callable[[str], Path], pristine: Callable[[str], Path]) -> None:
    root = damaged("B")
    path = root / "image_set" / "image_metadata.npy"
    content = np.load(path, allow_pickle=True).item()
    assert content["train_img_concepts_THINGS"][0] == "00001_aardvark"
    assert content["test_img_concepts_THINGS"][0] != content["test_img_concepts"][0], "other numbers in THINGS"
    files = content["train_img_files"]
    for fields, reason in (
        ({"train_img_files": [files[1], files[0], *files[2:]]}, None),
        ({"train_img_files": [*files[1:], files[0]]}, "row 2 of the train part: folder '00001_aardvark'"),
        ({"train_img_files": files[1:]}, "36 train_img_concepts, .*35 train_img_files; expected as many"),
        ({"test_img_files": None}, "the field 'test_img_files' is missing, got "),
        ({"test_img_files": [1] * 6}, "the field 'test_img_files' is not a list of texts"),
        ({"train_img_files": [files[0], *files[:-1]]}, "row 3 of the train part"),
    ):
        np.save(path, {name: value for name, value in (content | fields).items() if value is not None})
        if reason is None:
            assert read_metadata(root)["stimulus"].iloc[0] == "aardvark_02s", "rows follow the list, not the alphabet"
            continue
        with pytest.raises(DataError, match=rf"image_metadata\.npy: .*{reason}"):
            open_study("things_eeg2", root).stimuli()
    np.save(path, content)
    images = root / "image_set" / "training_images"
    shutil.copytree(pristine("B") / "image_set" / "training_images", images)
    (images / "00002_abacus").rename(images / "00003_abacus")
    with pytest.raises(
        DataError, match=r"training_images: the picture '00002_abacus/abacus_01b' of row 3 .* is missing"
    ):
        open_study("things_eeg2", root).stimuli()
    (images / "00003_abacus").rename(images / "00002_abacus")
    shutil.copy(images / "00002_abacus" / "abacus_01b.jpg", images / "00002_abacus" / "abacus_99.jpg")
    with pytest.raises(DataError, match=r"training_images: the picture '00002_abacus/abacus_99' is not in image_metad"):
        open_study("things_eeg2", root).stimuli()
    path.unlink()
    with pytest.raises(DataError, match=r"image_metadata\.npy: no such file"):
        ThingsEEG2(root).stimuli()


def test_no_source_file_is_changed(pristine: Callable[[str], Path], tmp_path: Path) -> None:
    root = pristine("C")
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in root.rglob("*")}
    prepare_study(open_study("things_eeg2", root), tmp_path / "cache")
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in root.rglob("*")} == before


def test_surplus_repetitions_are_drawn_as_published() -> None:
    numbers = np.array([2, 1, 1, 2, 1, 2, 2])
    rows = kept_rows(numbers, "train", where="file")
    expected = [shuffle(np.flatnonzero(numbers == n), random_state=SEED, n_samples=2) for n in (1, 2)]
    np.testing.assert_array_equal(rows, np.concatenate(expected))
    with pytest.raises(DataError, match="file: picture 1 was shown 1 times in the session, expected at least 2"):
        kept_rows(np.array([2, 1, 2]), "train", where="file")


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=5), st.integers(0, 200))
def test_a_damaged_list_of_pictures_is_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], cut: int
) -> None:
    root = tmp_path_factory.getbasetemp() / "fuzzed"
    root.mkdir(exist_ok=True)
    path = root / "image_metadata.npy"
    if not (root / "whole").exists():
        miniature.write_pictures(root, "C")
        path.rename(root / "whole")
    content = bytearray((root / "whole").read_bytes())
    for place, value in changes:
        content[place % len(content)] = value
    path.write_bytes(bytes(content[: len(content) - cut]))
    try:
        read_metadata(root)
    except DataError as error:
        assert str(error).startswith(str(path))  # noqa: PT017 - a changed digit may still be a list


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.lists(st.floats(width=32), max_size=8), st.integers(1, 8), st.lists(st.sampled_from(["O1", "Oz", "O2"])))
def test_odd_times_and_names_are_data_errors(times: list[float], n_times: int, names: list[str]) -> None:
    try:
        sfreq, _ = sampling(np.array(times), n_times, where="file")
        assert sfreq > 0
    except DataError:
        pass
    with pytest.raises(DataError, match=r"^file: "):
        channel_rows(names, n_times, where="file")


ODD = st.one_of(
    st.none(),
    st.integers(-3, 70),
    st.floats(width=32),
    st.text(max_size=3),
    st.lists(st.one_of(st.text(max_size=3), st.floats(width=32), st.none()), max_size=4),
    st.sampled_from([np.zeros(0), np.zeros((42, 4)), np.ones((6, 8, 17, 10), np.float16), np.full((36, 4, 3, 5), 2.0)]),
    st.sampled_from([np.array(["a", "b"]), np.full((36, 4), "wok_05n"), np.array(3), np.array([{"a": 1}])]),
)


@settings(max_examples=80, derandomize=True, deadline=None)
@given(st.sampled_from(["B", "C", "D"]), st.sampled_from(["train", "test"]), st.data())
def test_odd_fields_are_data_errors(
    tmp_path_factory: pytest.TempPathFactory, dialect: Literal["B", "C", "D"], part: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "odd"
    (folder / "sub-01").mkdir(parents=True, exist_ok=True)
    names = [name for _, name in miniature.names_of(part)]
    repetitions = 4 if part == "train" else 8
    fields: dict[str, Any] = {
        FIELDS[dialect]: np.random.default_rng(0).normal(size=(len(names), repetitions, 17, 10)),
        "ch_names": list(POSTERIOR),
        "times": np.arange(10) / 100,
        "img": np.tile(np.array(names)[:, None], (1, repetitions)),
        "session": np.zeros((len(names), repetitions)),
    }
    fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(ODD)
    path = folder / "sub-01" / FILES[dialect][part]
    path.write_bytes(pickle.dumps(fields, 4))
    pictures = pd.DataFrame({"stimulus": names})
    try:
        epochs = open_epochs(folder, "sub-01", part, dialect, pictures)
    except DataError as error:
        assert str(error).startswith(str(path))  # noqa: PT017 - an odd field may not matter to this dialect
    else:
        assert epochs.signals.ndim == 4
