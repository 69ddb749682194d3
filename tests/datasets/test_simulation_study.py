"""A tiny simulated study on disk: whole, readable, resumable, never half-trusted."""

import json
from pathlib import Path
from typing import Any

import mne_bids
import nibabel
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.datasets.bids import BidsStudy
from neurodecode.datasets.preprocessing import Preprocessing
from neurodecode.datasets.simulation import study as study_module
from neurodecode.datasets.simulation import subject, writer
from neurodecode.datasets.simulation.settings import NOISE_LEVEL, VolumeSettings
from neurodecode.datasets.simulation.signals import beta_run, continuous_run
from neurodecode.datasets.simulation.study import simulate_study
from neurodecode.datasets.simulation.truth import Truth, load_truth, truth_path

SIDES = ["train"] * 14 + ["val"] * 2 + ["test"] * 3
STIMULI = pd.DataFrame(
    {
        "stimulus": [f"picture{row:02d}" for row in range(len(SIDES))],
        "split": SIDES,
        "concept": [f"concept{row:02d}" for row in range(len(SIDES))],
    }
)


def picture(name: str) -> Image.Image:
    return Image.new("RGB", (8, 8), (int(name[-2:]) * 10, 0, 0))


def simulate(folder: Path, **options: Any) -> Path:
    generator = np.random.default_rng(0)
    features = {layer: generator.standard_normal((len(SIDES), 40)) for layer in ("conv1", "conv2")}
    given: dict[str, Any] = {"modality": "eeg", "subjects": 1, "sfreq": 100.0, "pictures": picture, "stimuli": STIMULI}
    return simulate_study(folder, features=features, **(given | options))


@pytest.fixture(autouse=True)
def small_volumes(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = VolumeSettings(grids=((7, 8, 6), (6, 8, 7)))
    monkeypatch.setattr(subject, "VolumeSettings", lambda: settings)


@pytest.fixture(scope="module")
def eeg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(tmp_path_factory.mktemp("eeg") / "study", subjects=2)


def events(folder: Path, modality: str, run: int) -> pd.DataFrame:
    datatype = "func" if modality == "fmri" else modality
    return pd.read_csv(folder / "sub-01" / datatype / f"sub-01_task-pictures_run-{run:02d}_events.tsv", sep="\t")


def test_the_data_set_says_that_it_is_simulated(eeg: Path) -> None:
    description = json.loads((eeg / "dataset_description.json").read_text())
    assert "Simulated" in description["Name"]
    assert description["DatasetType"] == "raw"
    assert "No person was recorded" in (eeg / "README").read_text()
    derivative = json.loads((eeg / "derivatives" / "simulation" / "dataset_description.json").read_text())
    assert derivative["DatasetType"] == "derivative"
    assert sorted(path.name for path in eeg.glob("sub-*")) == ["sub-01", "sub-02"]
    assert not list(eeg.rglob("*.part*"))


def test_events_name_pictures_that_are_there(eeg: Path) -> None:
    table = pd.concat([events(eeg, "eeg", run) for run in (1, 2)])
    assert list(table.columns[:7]) == "onset duration trial_type stim_file stimulus repetition split".split()
    assert all((eeg / "stimuli" / name).is_file() for name in table["stim_file"])
    counts = table.groupby("split").size()
    assert counts.to_dict() == {"train": 56, "val": 8, "test": 60}


def test_eeg_comes_back_through_mne_bids(eeg: Path) -> None:
    truth = load_truth(eeg, "sub-01")
    path = mne_bids.BIDSPath(subject="01", task="pictures", run="01", datatype="eeg", root=eeg)
    raw = mne_bids.read_raw_bids(path, verbose="error")
    expected = continuous_run(truth, events(eeg, "eeg", 1), 1)
    assert raw.ch_names == list(truth.channels)
    assert np.abs(raw.get_data() - expected).max() <= 0.51e-6 * writer.EEG_STEP_MICROVOLT
    assert np.abs(raw.info["chs"][0]["loc"][:3]).max() > 0.01


def test_the_reader_of_real_data_reads_it(eeg: Path) -> None:
    study = BidsStudy(eeg, preprocessing=Preprocessing(reference="average"))
    recording = study.load("sub-02", sfreq=50.0)
    assert study.info.modality == "eeg"
    assert len(recording.windows) == 124
    assert set(recording.windows["length"]) == {40}
    assert recording.flags == ()
    block = next(iter(recording.blocks.values()))
    assert block.data.shape[0] == 63


def test_meg_comes_back_through_mne_bids(tmp_path: Path) -> None:
    folder = simulate(tmp_path / "study", modality="meg")
    truth = load_truth(folder, "sub-01")
    path = mne_bids.BIDSPath(subject="01", task="pictures", run="02", datatype="meg", root=folder)
    raw = mne_bids.read_raw_bids(path, verbose="error")
    expected = continuous_run(truth, events(folder, "meg", 2), 2)
    assert set(raw.get_channel_types()) == {"mag"}
    assert np.abs(raw.get_data() - expected).max() <= 0.51 * writer.MEG_STEP_TESLA
    assert BidsStudy(folder).load("sub-01", sfreq=50.0).windows["split"].eq("test").sum() == 60


def test_beta_maps_come_back_with_masks(tmp_path: Path) -> None:
    folder = simulate(tmp_path / "study", modality="fmri", subjects=2)
    place = folder / "sub-01" / "func"
    mask = np.asarray(nibabel.load(place / "sub-01_desc-brain_mask.nii").dataobj) > 0
    image = nibabel.load(place / "sub-01_task-pictures_run-01_desc-betas_statmap.nii")
    truth, shown = load_truth(folder, "sub-01"), events(folder, "fmri", 1)
    expected = beta_run(truth, shown, 1)
    got = np.asarray(image.dataobj)[mask].T
    assert image.get_data_dtype() == np.int16
    assert got.shape == (len(shown), len(truth.channels))
    assert np.abs(got - expected).max() < 1e-3 * expected.std()
    regions = [np.asarray(nibabel.load(path).dataobj) for path in sorted(place.glob("sub-01_label-*_mask.nii"))]
    assert len(regions) == 5
    assert np.sum(regions, axis=0).max() == 1
    assert (np.any(regions, axis=0) <= mask).all()
    other = nibabel.load(folder / "sub-02" / "func" / "sub-02_desc-brain_mask.nii")
    assert other.shape != mask.shape


def test_truth_comes_back(eeg: Path) -> None:
    truth = load_truth(eeg, "sub-01")
    assert truth.stimuli == tuple(STIMULI["stimulus"])
    assert truth.spectrum is not None
    np.testing.assert_allclose(np.diag(truth.noise_space).mean(), NOISE_LEVEL["eeg"] ** 2, rtol=1e-5)
    with pytest.raises(DataError, match="picture99"):
        truth.rows(["picture99"])
    with pytest.raises(DataError, match="no such file"):
        load_truth(eeg, "sub-09")


@pytest.mark.parametrize("damage", ["cut", "other", "version"])
def test_damaged_truth_is_one_clear_error(eeg: Path, tmp_path: Path, damage: str) -> None:
    path = truth_path(tmp_path, "sub-01")
    path.parent.mkdir(parents=True)
    whole = truth_path(eeg, "sub-01").read_bytes()
    if damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "other":
        np.savez(path, design=np.zeros(3))
    else:
        stored = dict(np.load(truth_path(eeg, "sub-01")))
        stored["settings"] = np.array(str(stored["settings"]).replace('"version": "1"', '"version": "0"'))
        np.savez(path, **stored)
    with pytest.raises(DataError, match=r"sub-01_desc-truth\.npz"):
        load_truth(tmp_path, "sub-01")


def test_a_finished_study_is_left_as_it_is(tmp_path: Path) -> None:
    def state() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}

    simulate(tmp_path / "study")
    before = {name: time for name, time in state().items() if not name.endswith(".lock")}
    simulate(tmp_path / "study")
    # A cache that was made from it looks at times of change: nothing may be written again.
    assert {name: time for name, time in state().items() if not name.endswith(".lock")} == before


def test_the_same_seed_writes_the_same_signals(eeg: Path, tmp_path: Path) -> None:
    again, other = simulate(tmp_path / "again"), simulate(tmp_path / "other", seed=1)
    name = "sub-01/eeg/sub-01_task-pictures_run-01_eeg.eeg"
    assert (again / name).read_bytes() == (eeg / name).read_bytes()
    assert (other / name).read_bytes() != (eeg / name).read_bytes()


def test_an_interrupted_study_leaves_no_subject_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "study"
    drawn = study_module.write_subject
    calls: list[str] = []

    def interrupted(place: Path, truth: Truth, *rest: Any) -> None:
        calls.append(truth.subject)
        drawn(place, truth, *rest)
        if truth.subject == "sub-02":
            raise KeyboardInterrupt

    monkeypatch.setattr(study_module, "write_subject", interrupted)
    with pytest.raises(KeyboardInterrupt):
        simulate(folder, subjects=2)
    assert [path.name for path in sorted(folder.glob("*sub-*"))] == ["sub-01"]
    monkeypatch.setattr(study_module, "write_subject", drawn)
    (folder / ".sub-02.left.part").mkdir()
    simulate(folder, subjects=2)
    assert calls == ["sub-01", "sub-02"]
    assert [path.name for path in sorted(folder.glob(".*"))] == []
    assert BidsStudy(folder).subjects() == ["sub-01", "sub-02"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 5}, "seed 0"),
        ({"realism": "full"}, "realism"),
        ({"modality": "meg"}, "modality"),
    ],
)
def test_a_folder_with_another_simulation_is_refused(eeg: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        simulate(eeg, **options)


def test_a_folder_made_from_other_features_is_refused(eeg: Path) -> None:
    features = {name: np.random.default_rng(9).standard_normal((len(SIDES), 40)) for name in ("conv1", "conv2")}
    with pytest.raises(ConfigError, match="other features"):
        simulate_study(eeg, modality="eeg", features=features, stimuli=STIMULI, pictures=None, sfreq=100.0)


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"notes\.txt"):
        simulate(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"modality": "pet"}, ConfigError, "modality"),
        ({"sfreq": 130.0}, ConfigError, "sfreq"),
        ({"realism": "some"}, ConfigError, "realism"),
        ({"subjects": 0}, ConfigError, "subjects"),
        ({"jobs": 0}, ConfigError, "jobs"),
        ({"stimuli": STIMULI.drop(columns="split")}, DataError, "split"),
        ({"stimuli": STIMULI.assign(split="train")}, DataError, "test"),
        ({"stimuli": STIMULI.assign(split="all")}, DataError, "'all'"),
        ({"stimuli": STIMULI.assign(stimulus="one")}, DataError, "twice"),
    ],
)
def test_bad_arguments_write_nothing(
    tmp_path: Path, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        simulate(tmp_path / "study", **options)
    assert not (tmp_path / "study").exists()


def test_without_pictures_the_events_have_no_files(tmp_path: Path) -> None:
    folder = simulate(tmp_path / "study", pictures=None)
    assert events(folder, "eeg", 1)["stim_file"].isna().all()
    assert not (folder / "stimuli").exists()


@pytest.mark.slow
def test_several_processes_write_the_same(eeg: Path, tmp_path: Path) -> None:
    folder = simulate(tmp_path / "study", subjects=2, jobs=2)
    name = "sub-02/eeg/sub-02_task-pictures_run-02_eeg.eeg"
    assert (folder / name).read_bytes() == (eeg / name).read_bytes()
