"""NSD-Imagery: both files from one planted signal, proven order, decoders of the main experiment, and bad input."""

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.io import loadmat, savemat

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.datasets.allen2022 import NsdImagery
from neurodecode.datasets.allen2022.imagery_trials import read_targets
from neurodecode.datasets.catalogue import open_study
from neurodecode.datasets.miniatures.allen2022_imagery import BETAS, LAYOUTS, draw_order, imagery_betas
from neurodecode.datasets.miniatures.allen2022_plan import make_plan
from neurodecode.datasets.miniatures.catalogue import write_miniature
from neurodecode.datasets.miniatures.planted import code_of, picture_of

EXPERIMENT = Path("nsddata/experiments/nsdimagery")
DESIGN = EXPERIMENT / "designmatrixGLMsingle.mat"
BEHAVIOUR = Path("nsddata/bdata/nsdimagery")
FOLDER = Path("nsddata_betas/ppdata/subj01/func1pt8mm") / BETAS


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every layout; not to be changed."""
    root = tmp_path_factory.mktemp("imagery")
    for layout in LAYOUTS:
        write_miniature("nsd_imagery", root / layout, layout=layout)
    return root


@pytest.fixture(scope="session")
def prepared(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, PreparedStudy]:
    """The cache of every layout."""
    root = tmp_path_factory.mktemp("caches")
    return {layout: prepare_study(open_study("nsd_imagery", pristine / layout), root / layout) for layout in LAYOUTS}


@pytest.fixture
def root(pristine: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(pristine / "hdf5", tmp_path / "hdf5"))


@pytest.mark.parametrize("subject", ["sub-01", "sub-02"])
def test_both_files_give_the_planted_trials(prepared: dict[str, PreparedStudy], subject: str) -> None:
    first, second = (prepared[layout].recording(subject) for layout in ("hdf5", "nifti"))
    pd.testing.assert_frame_equal(first.windows, second.windows)
    rows = np.arange(len(first.windows))
    np.testing.assert_array_equal(first.read(rows), second.read(rows))
    planted = imagery_betas(make_plan(0), draw_order(0), int(subject[-2:]))
    assert len(planted) == 720, "576 trials have 720 betas: attention has two"
    np.testing.assert_array_equal(
        first.read(rows)[:, :, 0], planted[first.windows["start"]].astype(np.float32) / np.float32(300)
    )


def test_the_counts_of_the_experiment(prepared: dict[str, PreparedStudy], pristine: Path) -> None:
    windows = prepared["hdf5"].recording("sub-01").windows
    assert windows.groupby(["task", "stimulus"]).size().groupby("task").unique().map(list).to_dict() == {
        "imagery": [16],
        "vision": [8],
    }
    assert len(prepared["hdf5"].stimuli) == 12
    everything = open_study("nsd_imagery", pristine / "hdf5", {"sets": "CAB"})
    assert len(everything.load("sub-01").windows) == 432
    table = everything.stimuli().table
    assert table["set"].tolist() == ["simple"] * 6 + ["complex"] * 6 + ["concept"] * 6
    assert (table["path"] == "").tolist() == [False] * 12 + [True] * 6
    assert table["text"].tolist()[12:14] == ["banana", "bridge"]
    assert table["kind"].tolist()[11:13] == ["image", "word"]
    # The complex set is of the main experiment, whose names count from 1.
    assert table["nsd"].tolist()[6:8] == [6999, 7010]
    assert set(table["nsd"][:6]) == {-1}


def test_what_was_seen_and_what_was_imagined(prepared: dict[str, PreparedStudy]) -> None:
    windows = prepared["hdf5"].recording("sub-01").windows
    codes = prepared["hdf5"].stimuli.table.set_index("stimulus")["code"]
    named = windows["stimulus"].map(codes)
    vision = windows["task"] == "vision"
    # In vision the cue is another letter in many trials; what counts is what was shown.
    assert 0.3 < (named[vision] != windows["cue"][vision]).mean() < 0.7
    assert (named[~vision] == windows["cue"][~vision]).all()
    assert (windows.loc[windows["run"] == "imgA_1", "start"] == np.arange(144, 192)).all()


def test_pictures_are_the_targets(prepared: dict[str, PreparedStudy]) -> None:
    stimuli = prepared["nifti"].stimuli
    for name in stimuli.names:
        expected = np.asarray(picture_of(name, size=48))
        np.testing.assert_array_equal(np.asarray(stimuli.picture(name))[10, 10], expected[1, 1])


def test_imagery_is_found_by_what_was_seen(prepared: dict[str, PreparedStudy]) -> None:
    """The own split: the mean of seen targets finds the imagined ones in other runs."""
    for subject in ("sub-01", "sub-02"):
        recording, split = prepared["hdf5"].recording(subject), prepared["hdf5"].split
        names, tasks = (recording.windows[column].to_numpy() for column in ("stimulus", "task"))
        train, test = split.rows(subject, "train"), split.rows(subject, "test")
        assert set(tasks[train]) == {"vision"}
        assert set(tasks[test]) == set(tasks[split.rows(subject, "val")]) == {"imagery"}
        assert not set(recording.windows["run"].iloc[train]) & set(recording.windows["run"].iloc[test])
        targets = np.unique(names)
        values = recording.read(np.arange(len(names)))[:, :, 0]
        seen = np.stack([values[train][names[train] == name].mean(axis=0) for name in targets])
        imagined = np.stack([values[test][names[test] == name].mean(axis=0) for name in targets])
        nearest = np.corrcoef(imagined, seen)[:12, 12:].argmax(axis=1)
        assert np.mean(nearest == np.arange(12)) > 0.9


def test_a_decoder_of_the_main_experiment_fits(
    prepared: dict[str, PreparedStudy], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Voxels are the same by name and order, so what was learnt from photographs finds targets, seen or imagined."""
    root = tmp_path_factory.mktemp("main")
    main = open_study("nsd", write_miniature("nsd", root / "nsd", layout="hdf5")).load("sub-01")
    recording = prepared["hdf5"].recording("sub-01")
    assert main.sensors.layout_fingerprint() == recording.sensors.layout_fingerprint()
    values = main.read(np.arange(len(main.windows)))[:, :, 0].astype(np.float64)
    codes = np.stack([code_of(name) for name in main.windows["stimulus"]])
    weights = np.linalg.lstsq(values, codes, rcond=None)[0]
    study = open_study("nsd_imagery", prepared["hdf5"].stimuli.root)
    for rule, least in (("test_vision", 0.99), ("test_imagery", 0.9)):
        split = study.named_split(rule, {"sub-01": recording.windows})
        rows = split.rows("sub-01", "test")
        assert not len(split.rows("sub-01", "train"))
        names = recording.windows["stimulus"].to_numpy()[rows]
        targets = np.unique(names)
        means = np.stack([recording.read(rows[names == name])[:, :, 0].mean(axis=0) for name in targets])
        true = np.stack([code_of(name) for name in targets])
        nearest = np.corrcoef(means @ weights, true)[:12, 12:].argmax(axis=1)
        assert np.mean(nearest == np.arange(12)) >= least


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"betas": "betas_fithrf"}, "betas: got 'betas_fithrf', expected one of nsdimagerybetas_fithrf_GLMdenoise_RR"),
        ({"space": "fsaverage"}, "space: got 'fsaverage', expected one of func1pt8mm, func1mm"),
        ({"sets": "AD"}, "sets: got 'AD', expected some of the letters ABC, each once"),
        ({"sets": ""}, "sets: got '', expected some of the letters ABC"),
        ({"mask": ""}, "mask: got '', expected the name of a volume"),
    ],
)
def test_options_are_checked(pristine: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_study("nsd_imagery", pristine / "hdf5", options)


def test_what_is_known_of_the_original_is_checked(pristine: Path, prepared: dict[str, PreparedStudy]) -> None:
    with pytest.raises(DataError, match=r"roi/nsdgeneral\.nii\.gz: 60 voxels, expected 15724 for sub-01"):
        NsdImagery(pristine / "hdf5").load("sub-01")
    with pytest.raises(DataError, match=r"subject: got 'sub-03', expected one of sub-01, sub-02"):
        open_study("nsd_imagery", pristine / "hdf5").load("sub-03")
    study = open_study("nsd_imagery", pristine / "hdf5")
    with pytest.raises(ConfigError, match="split: got 'imagery', expected one of vision_to_imagery, test_imagery"):
        study.named_split("imagery", {"sub-01": prepared["hdf5"].recording("sub-01").windows})


def shift(column: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda table: table.assign(**{column: np.roll(table[column], 1)})


@pytest.mark.parametrize(
    ("run", "change", "message"),
    [
        (
            "visB",
            shift("CONDITION"),
            r"subj01_visB\.tsv: line \d+: CONDITION is '\w', expected '\w', the code of column \d",
        ),
        ("imgC_2", shift("CUE"), r"subj01_imgC_2\.tsv: line \d+: CUE is '\w', expected '\w', the code of column \d"),
        ("imgA_1", lambda t: t.iloc[:-1], r"imgA_1\.tsv: 47 trials, expected 48 \(48 events of imgA_1 in designmatrix"),
        ("attA", lambda t: t.iloc[:-1], r"attA\.tsv: 47 trials, expected 48 \(96 events of attA in designmatrix"),
        ("visA", lambda t: t.assign(TRIAL=t["TRIAL"] - 1), r"visA\.tsv: line 2: TRIAL is 0, expected 1"),
        (
            "visA",
            lambda t: t.assign(CONDITION="Z"),
            r"line 2: CONDITION is 'Z', expected one of A, B, C, D, E, F as in A_pair",
        ),
        ("visA", lambda t: t.drop(columns="CUE"), r"visA\.tsv: column 'CUE' is missing"),
    ],
)
def test_wrong_behaviour_is_named(
    root: Path, run: str, change: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    path = root / BEHAVIOUR / f"nsdimagery_subj01_{run}.tsv"
    change(pd.read_csv(path, sep="\t")).to_csv(path, sep="\t", index=False)
    with pytest.raises(DataError, match=message):
        open_study("nsd_imagery", root).load("sub-01")
    assert len(open_study("nsd_imagery", root).load("sub-02").windows)


def test_a_wrong_design_is_named(root: Path) -> None:
    runs = loadmat(root / DESIGN)["stimulus"]

    def refuses(message: str) -> None:
        with pytest.raises(DataError, match=message):
            open_study("nsd_imagery", root).load("sub-01")

    changed = runs.copy()
    changed[0, 2] = runs[0, 2][::-1]
    savemat(root / DESIGN, {"stimulus": changed})
    refuses(r"imgA_1\.tsv: line \d+: CUE is '\w', expected '\w', the code of column \d of designmatrixGLMsingle\.mat")
    changed[0, 2] = np.ones((240, 6))
    savemat(root / DESIGN, {"stimulus": changed})
    refuses(r"designmatrixGLMsingle\.mat: imgA_1 has two events in step 0")
    savemat(root / DESIGN, {"stimulus": runs[:, :11]})
    refuses(r"stimulus has 11 runs, expected 12 matrices")
    savemat(root / DESIGN, {"design": runs})
    refuses(r"variable 'stimulus' is missing, got design")
    (root / DESIGN).write_bytes((root / DESIGN).read_bytes()[:200])
    refuses(r"designmatrixGLMsingle\.mat: (not readable as a MATLAB file|variable 'stimulus' is missing)")
    (root / DESIGN).unlink()
    refuses(r"designmatrixGLMsingle\.mat: no such file")


def test_wrong_targets_are_named(root: Path) -> None:
    folder = root / EXPERIMENT
    pairs = loadmat(folder / "B_pair_list.mat", squeeze_me=True)["pair_list"]

    def refuses(rows: np.ndarray, message: str) -> None:
        savemat(folder / "B_pair_list.mat", {"pair_list": rows})
        with pytest.raises(DataError, match=message):
            read_targets(folder, "B")

    def changed(row: int, column: int, value: object) -> np.ndarray:
        copy = pairs.copy()
        copy[row, column] = value
        return copy

    refuses(pairs[:, :2], r"pair_list has shape \(6, 2\), expected rows of a number, a name and a code")
    refuses(changed(2, 0, 2), r"B_pair_list\.mat: numbers 1, 2, 2, 4, 5, 6, expected 1, 2 and so on")
    refuses(changed(2, 0, "x"), r"row 3: number 'x', expected a whole number")
    refuses(changed(2, 2, "G"), r"6 targets with the codes G, H, J, K, L, expected one each")
    savemat(folder / "B_pair_list.mat", {"pair_list": pairs})
    (folder / "rawtargetimages" / "setB" / str(pairs[4, 1])).unlink()
    with pytest.raises(DataError, match=r"setB/shared0104_nsd07044\.png: the picture of imagery-B5 is missing"):
        open_study("nsd_imagery", root).stimuli()


def test_betas_of_another_length_are_named(root: Path) -> None:
    path = root / FOLDER / "betas_nsdimagery.hdf5"
    with h5py.File(path) as file:
        values = file["betas"][:]
    with h5py.File(path, "w") as file:
        # As if every trial had one beta.
        file["betas"] = values[:576]
    with pytest.raises(DataError, match=r"betas has shape \(576, 7, 9, 8\), expected \(720, 7, 9, 8\)"):
        open_study("nsd_imagery", root).load("sub-01")
    path.unlink()
    image = nibabel.Nifti1Image(values.T, np.eye(4))
    nibabel.save(image, root / FOLDER / "betas_nsdimagery.nii.gz")
    assert len(open_study("nsd_imagery", root).load("sub-01").windows) == 288


MIRAGE = Path("nsddata_stimuli/stimuli/nsdimagery_stimuli.pkl3")
TENSOR = Path("preprocessed_data/subject1/nsd_imagery.pt")


@pytest.fixture
def mirage(pristine: Path, tmp_path: Path) -> Path:
    """A copy of the tensors that a test may damage."""
    return Path(shutil.copytree(pristine / "mirage", tmp_path / "mirage"))


@pytest.mark.parametrize("subject", ["sub-01", "sub-02"])
def test_mirage_gives_the_same_trials_and_signals(prepared: dict[str, PreparedStudy], subject: str) -> None:
    released, mirage = prepared["hdf5"].recording(subject), prepared["mirage"].recording(subject)
    known = [column for column in released.windows if column not in ("onset", "cue")]
    pd.testing.assert_frame_equal(mirage.windows[known], released.windows[known])
    imagery = (mirage.windows["task"] == "imagery").to_numpy()
    assert (mirage.windows["cue"][imagery] == released.windows["cue"][imagery]).all()
    values = released.read(np.arange(len(imagery)))[:, :, 0].astype(np.float64)
    expected = np.empty_like(values)
    for rows in released.windows.groupby("run").indices.values():
        expected[rows] = (values[rows] - values[rows].mean(axis=0)) / values[rows].std(axis=0, ddof=1)
    np.testing.assert_allclose(mirage.read(np.arange(len(imagery)))[:, :, 0], expected, atol=1e-4)
    assert any("z-scored within each run over all its trials" in flag for flag in mirage.flags)
    assert prepared["mirage"].stimuli.names == prepared["hdf5"].stimuli.names
    for name in prepared["mirage"].stimuli.names[::5]:
        pixels = np.asarray(prepared["mirage"].stimuli.picture(name))
        assert pixels.shape == (425, 425, 3)
        np.testing.assert_array_equal(pixels[10, 10], np.asarray(picture_of(name, size=48))[1, 1])


def test_mirage_is_held_against_the_release(mirage: Path, pristine: Path) -> None:
    for place in ("nsddata/bdata", "nsddata/experiments", "nsddata/ppdata"):
        shutil.copytree(pristine / "hdf5" / place, mirage / place)
    recording = open_study("nsd_imagery", mirage).load("sub-01")
    released = open_study("nsd_imagery", pristine / "hdf5").load("sub-01")
    # With the mask beside them the voxels have their places.
    assert recording.sensors.names == released.sensors.names
    assert recording.sensors.unit == "z"
    content = pickle.loads((mirage / MIRAGE).read_bytes())
    content["cues"] = np.where(content["cues"] == "A", "B", np.where(content["cues"] == "B", "A", content["cues"]))
    (mirage / MIRAGE).write_bytes(pickle.dumps(content, protocol=4))
    message = r"nsdimagery_stimuli\.pkl3: beta \d+ \(visA\) is imagery-A\d, expected imagery-A\d as in the released"
    with pytest.raises(DataError, match=message):
        open_study("nsd_imagery", mirage).load("sub-01")
    with pytest.raises(ConfigError, match="dialect mirage: betas, space and mask cannot be chosen"):
        open_study("nsd_imagery", mirage, {"mask": "brainmask"})


class Hostile:
    """Would run a command if it were unpickled freely."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("exit 1",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: {**c, "extra": Hostile()},
            r"nsdimagery_stimuli\.pkl3: holds .*only arrays, numbers",
        ),
        (lambda c: {k: v for k, v in c.items() if k != "cues"}, r"'cues' is missing, got exps, image_map, image_data"),
        (lambda c: {**c, "cues": c["cues"][1:]}, r"719 cues, expected 720 as in exps"),
        (lambda c: {**c, "exps": c["exps"][::-1].copy()}, r"run 1 in exps is 'imgC_2', expected 'visA'"),
        (lambda c: {**c, "exps": np.arange(720)}, r"exps is int64 of shape \(720,\), expected a list of texts"),
        (lambda c: {**c, "cues": np.roll(c["cues"], 1)}, r"of visA is of 'R', which is no target of set A"),
        (lambda c: {**c, "image_map": {"A": 1}}, r"image_map is no dictionary from letters to the numbers 0 to 17"),
        (
            lambda c: {**c, "cues": np.where(c["cues"] == "B", "A", c["cues"])},
            r"16 trials of vision with imagery-A1, exp",
        ),
        (lambda c: [c], r"holds list, expected a dictionary"),
    ],
)
def test_wrong_conditions_are_named(mirage: Path, change: Callable[[Any], Any], message: str) -> None:
    content = pickle.loads((mirage / MIRAGE).read_bytes())
    (mirage / MIRAGE).write_bytes(pickle.dumps(change(content), protocol=4))
    with pytest.raises(DataError, match=message):
        open_study("nsd_imagery", mirage).load("sub-01")


def test_wrong_tensors_are_named(mirage: Path) -> None:
    def refuses(message: str) -> None:
        with pytest.raises(DataError, match=message):
            open_study("nsd_imagery", mirage).load("sub-01")

    values = torch.load(mirage / TENSOR, weights_only=True)
    torch.save(values[:576], mirage / TENSOR)
    refuses(r"nsd_imagery\.pt: holds torch.float32 of shape \(576, 60\), expected floats \(720, voxels\)")
    values[5, 7] = float("nan")
    torch.save(values, mirage / TENSOR)
    refuses(r"nsd_imagery\.pt: beta 5 is not finite")
    torch.save({"betas": values}, mirage / TENSOR)
    refuses(r"nsd_imagery\.pt: holds dict, expected a tensor")
    (mirage / TENSOR).write_bytes((mirage / TENSOR).read_bytes()[:5000])
    refuses(r"nsd_imagery\.pt: not readable as a tensor")
    (mirage / "nsddata_stimuli/stimuli/imagery_stimuli_18.pt").unlink()
    with pytest.raises(DataError, match=r"imagery_stimuli_18\.pt: the pictures of the targets are missing"):
        open_study("nsd_imagery", mirage).stimuli()
