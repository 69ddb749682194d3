"""LAION-fMRI: betas from one planted signal, the published splits, and what must be refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.datasets.catalogue import open_study
from neurodecode.datasets.laion2026 import splits
from neurodecode.datasets.laion2026.splits import NAMES, read_lists, type_of
from neurodecode.datasets.miniatures.catalogue import write_miniature
from neurodecode.datasets.miniatures.known_score import known_score
from neurodecode.datasets.miniatures.laion2026 import (
    GRIDS,
    LAYOUTS,
    ODD,
    SESSIONS,
    picture_names,
    places,
    responses,
    split_lists,
    trials,
)
from neurodecode.datasets.miniatures.planted import picture_of

FUNC = Path("derivatives/glmsingle-tedana/sub-01/ses-02/func")
TRIALS = FUNC / "sub-01_ses-02_task-images_desc-SingletrialBetas_trials.tsv"
BETAS = FUNC / "sub-01_ses-02_task-images_space-T1w_stat-effect_desc-SingletrialBetas_statmap.nii.gz"
ROI = Path("derivatives/atlases/sub-01/rois")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every layout; not to be changed."""
    root = tmp_path_factory.mktemp("laion")
    for layout in LAYOUTS:
        write_miniature("laion_fmri", root / layout, layout=layout)
    return root


@pytest.fixture(scope="module")
def prepared(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, PreparedStudy]:
    """The cache of every layout."""
    root = tmp_path_factory.mktemp("caches")
    return {layout: prepare_study(open_study("laion_fmri", pristine / layout), root / layout) for layout in LAYOUTS}


@pytest.fixture
def copy(pristine: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(pristine / "atlases", tmp_path / "data"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_trials_and_signals_are_those_planted(prepared: dict[str, PreparedStudy], layout: str) -> None:
    assert prepared[layout].subjects == ["sub-01", "sub-03"]
    for number in GRIDS:
        recording, planted = prepared[layout].recording(f"sub-{number:02d}"), trials(number, 0)
        assert recording.windows["stimulus"].tolist() == planted["label"].tolist()
        assert recording.windows["session"].tolist() == [f"{session:02d}" for session in planted["session"]]
        assert recording.windows["run"].tolist() == [f"{run:02d}" for run in planted["run"]]
        values = recording.read(np.arange(len(planted)))[:, :, 0]
        np.testing.assert_array_equal(values, responses(number, 0))
        grid, owner = places(number, 0)
        np.testing.assert_array_equal(recording.sensors.grid, grid)
        for area in np.unique(owner):
            np.testing.assert_array_equal(recording.sensors.regions[str(area)], owner == area)


def test_the_score_of_the_planted_signal(prepared: dict[str, PreparedStudy]) -> None:
    for subject in ("sub-01", "sub-03"):
        assert known_score(prepared["rois"], subject) > 0.95
        assert known_score(prepared["rois"], subject, shuffle=True) < 0.15  # chance is 1 of about 25


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("pool", ["pooled", "shared", "subject"])
def test_published_splits(pristine: Path, prepared: dict[str, PreparedStudy], name: str, pool: str) -> None:
    study = open_study("laion_fmri", pristine / "atlases", {"pool": pool})
    windows = {"sub-03": prepared["atlases"].recording("sub-03").windows}
    if pool == "pooled" and name.startswith("random"):
        with pytest.raises(DataError, match=rf"pooled/{name}\.json: no such file, the pool pooled has cluster_k5_0"):
            study.named_split(name, windows)
        return
    split = study.named_split(name, windows)
    key = "sub-03" if pool == "subject" or (pool == "pooled" and name == "ood") else pool
    train, test = (set(names) for names in split_lists(0)[key][name])
    shown = windows["sub-03"]["stimulus"]
    assert set(shown.iloc[split.rows("sub-03", "test")]) == test & set(shown)
    mine = [set(shown.iloc[split.rows("sub-03", part)]) for part in ("train", "val")]  # type: ignore[arg-type]
    assert mine[0] | mine[1] == train & set(shown)
    assert not mine[0] & mine[1]
    assert all(mine)
    if name == "ood":
        assert all(type_of(one) for one in shown.iloc[split.rows("sub-03", "test")])
        assert len(test) == ODD


def test_splits_of_several_subjects_do_not_leak(pristine: Path, prepared: dict[str, PreparedStudy]) -> None:
    windows = {subject: prepared["atlases"].recording(subject).windows for subject in ("sub-01", "sub-03")}
    own = open_study("laion_fmri", pristine / "atlases", {"pool": "subject"})
    with pytest.raises(
        ConfigError, match=r"split tau, pool subject: shared_\S+ is in \w+ of sub-01 and in \w+ of sub-03"
    ):
        own.named_split("tau", windows)
    # All test on the same pictures out of the distribution.
    assert len(own.named_split("ood", windows).rows("sub-01", "test")) == 2 * ODD
    pooled = open_study("laion_fmri", pristine / "atlases").split(windows)
    sides: dict[str, set[str]] = {}
    for subject, table in windows.items():
        for part in ("train", "val", "test"):
            for name in table["stimulus"].iloc[pooled.rows(subject, part)]:  # type: ignore[arg-type]
                sides.setdefault(name, set()).add(part)
    assert all(len(found) == 1 for found in sides.values())
    with pytest.raises(ConfigError, match="split: got 'mmd', expected one of tau, cluster_k5_0"):
        own.named_split("mmd", windows)


def test_the_lists_may_lie_in_the_package(
    copy: Path, prepared: dict[str, PreparedStudy], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    windows = {"sub-01": prepared["atlases"].recording("sub-01").windows}
    shutil.move(copy / "splits", tmp_path / "elsewhere")
    study = open_study("laion_fmri", copy)
    monkeypatch.setattr(splits, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"splits: no such folder; .* package laion_fmri \(pip install laion-fmri\)"):
        study.split(windows)
    package = tmp_path / "site" / "laion_fmri"
    (package / "splits").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('nothing of the package may run')")
    shutil.move(tmp_path / "elsewhere", package / "splits" / "data")
    monkeypatch.undo()
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert len(study.split(windows).rows("sub-01", "test"))


def test_pictures_lie_in_the_file(prepared: dict[str, PreparedStudy], copy: Path) -> None:
    stimuli = prepared["atlases"].stimuli
    shared, odd, own = picture_names(0)
    assert set(stimuli.names) == {*shared, *odd, *own[1], *own[3]}
    for name in (shared[0], odd[3], own[3][0]):
        got = np.asarray(stimuli.picture(name).convert("RGB"), dtype=int)
        assert np.abs(got - np.asarray(picture_of(name, size=24), dtype=int)).mean() < 3  # JPEG
    assert stimuli.get(odd[2])["ood"] == "illusion-classic"
    assert stimuli.get(shared[0])["collection"] == "LAION-natural"
    shutil.rmtree(copy / "stimuli")
    assert not open_study("laion_fmri", copy).stimuli().table["path"].any()


def test_other_masks(pristine: Path, prepared: dict[str, PreparedStudy]) -> None:
    whole = prepared["rois"].recording("sub-01")
    face = open_study("laion_fmri", pristine / "rois", {"mask": "FFA-1"}).load("sub-01")
    np.testing.assert_array_equal(face.read([4, 9]), whole.read([4, 9])[:, whole.sensors.regions["FFA-1"]])
    brain = open_study("laion_fmri", pristine / "rois", {"mask": "brainmask"}).load("sub-01")
    assert brain.n_channels > 2 * whole.n_channels
    both = [brain.sensors.names.index(name) for name in whole.sensors.names]
    np.testing.assert_array_equal(brain.read([7])[:, both], whole.read([7]))
    with pytest.raises(DataError, match=r"mask: got 'V9', but .*/rois/sub-01 have FFA-1, laion-ventral, V1d, V1v"):
        open_study("laion_fmri", pristine / "rois", {"mask": "V9"}).load("sub-01")
    with pytest.raises(ConfigError, match=r"mask: got '\.\./x', expected rois, brainmask or the name of a region"):
        open_study("laion_fmri", pristine / "rois", {"mask": "../x"})
    with pytest.raises(ConfigError, match="pool: got 'all', expected one of pooled, shared, subject"):
        open_study("laion_fmri", pristine / "rois", {"pool": "all"})


def test_voxels_without_numbers_are_left_out(copy: Path) -> None:
    image = nibabel.load(copy / BETAS)
    values = image.get_fdata(dtype=np.float32)
    x, y, z = places(1, 0)[0][3]
    values[x, y, z, 5] = np.nan
    nibabel.save(nibabel.Nifti1Image(values, image.affine), copy / BETAS)
    found = open_study("laion_fmri", copy).load("sub-01")
    assert found.n_channels == 39
    assert any("1 of 40 voxels without a signal in some session left out" in flag for flag in found.flags)
    np.testing.assert_array_equal(found.read([0])[0, :, 0], np.delete(responses(1, 0)[0], 3))


def test_a_missing_session_leaves_the_others_in_place(copy: Path) -> None:
    shutil.rmtree(copy / FUNC.parent)
    found = open_study("laion_fmri", copy).load("sub-01")
    rows = np.flatnonzero(trials(1, 0)["session"].to_numpy() != 2)
    assert set(found.windows["session"]) == {f"{n:02d}" for n in range(1, SESSIONS + 1)} - {"02"}
    np.testing.assert_array_equal(found.read(np.arange(len(rows)))[:, :, 0], responses(1, 0)[rows])


def change_trials(root: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    change(pd.read_csv(root / TRIALS, sep="\t")).to_csv(root / TRIALS, sep="\t", index=False)


def change_split(root: Path, change: Callable[[dict], object], name: str = "tau") -> None:  # type: ignore[type-arg]
    path = root / "splits" / "pooled" / f"{name}.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def shift_mask(root: Path) -> None:
    image = nibabel.load(root / ROI / "V1d.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), np.eye(4)), root / ROI / "V1d.nii.gz")


def second_mask(root: Path) -> None:
    folder = root / "derivatives" / "rois" / "sub-01" / "retinotopic"
    folder.mkdir(parents=True)
    shutil.copy(root / ROI / "V1d.nii.gz", folder / "sub-01_space-T1w_res-1pt8_label-V1d_mask.nii.gz")


DAMAGES: list[tuple[Callable[[Path], object], str]] = [
    (
        lambda r: change_trials(r, lambda t: t.assign(beta_index=t["beta_index"] + 1)),
        r"trials\.tsv: line 2: beta_index is 1, expected 0",
    ),
    (lambda r: change_trials(r, lambda t: t.iloc[[1, 0, *range(2, len(t))]]), r"line 2: beta_index is 1, expected 0"),
    (lambda r: change_trials(r, lambda t: t.assign(session=3)), r"line 2: session is '3', expected ses-02"),
    (lambda r: change_trials(r, lambda t: t.assign(label="")), r"trials\.tsv: line 2: no label"),
    (lambda r: change_trials(r, lambda t: t.drop(columns="label")), r"trials\.tsv: column 'label' is missing"),
    (
        lambda r: change_trials(r, lambda t: t.iloc[:-1]),
        r"statmap\.nii\.gz: 72 volumes, expected 71, one for each row of",
    ),
    (lambda r: (r / BETAS).unlink(), r"SingletrialBetas_statmap\.nii\.gz: no such file"),
    (lambda r: (r / BETAS).write_bytes((r / BETAS).read_bytes()[:3000]), r"not readable as a whole NIfTI image"),
    (shift_mask, r"V1d\.nii\.gz: its affine is not that of the signals"),
    (second_mask, r"label-V1d_mask\.nii\.gz: the region V1d already has the mask .*V1d\.nii\.gz"),
    (lambda r: shutil.rmtree(r / ROI), r"mask: got 'rois', but .* have no masks; brainmask reads sub-01_task"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGES)
def test_damage_has_one_clear_line(copy: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(copy)
    with pytest.raises(DataError, match=message) as caught:
        open_study("laion_fmri", copy).load("sub-01")
    assert "\n" not in str(caught.value)


def leak(content: dict) -> None:  # type: ignore[type-arg]
    variant = content["variants"][0]
    variant["train_ids"][0] = variant["test_ids"][0]


def odd_in_training(content: dict) -> None:  # type: ignore[type-arg]
    content["variants"][0]["train_ids"][0] = picture_names(0)[1][0]


def forget(content: dict) -> None:  # type: ignore[type-arg]
    variant = content["variants"][0]
    variant["train_ids"] = [one for one in variant["train_ids"] if not one.endswith("_p01.jpg")]
    content["n_train"] = len(variant["train_ids"])


SPLIT_DAMAGES: list[tuple[Callable[[dict], object], str]] = [  # type: ignore[type-arg]
    (leak, r"tau\.json: \S+ is in train_ids and in test_ids"),
    (odd_in_training, r"tau\.json: shared_4rep_OOD_\S+ is in train_ids, expected regular pictures"),
    (
        lambda c: c.update(n_test=3),
        r"tau\.json: \d+ and \d+ different pictures train and test, expected \d+ and 3 as it",
    ),
    (lambda c: c["variants"][0]["train_ids"].pop(), r"different pictures train and test, expected"),
    (lambda c: c.update(name="ood"), r"tau\.json: is the split 'ood', expected 'tau'"),
    (lambda c: c.pop("variants"), r"tau\.json: expected name, n_train, n_test and one of variants .*KeyError"),
    (lambda c: c["variants"].append({}), r"tau\.json: expected name, n_train, n_test and one of variants .*ValueError"),
    (forget, r"pooled: sub-01 saw unique_LAION\S+, which the split tau does not hold"),
]


@pytest.mark.parametrize(("change", "message"), SPLIT_DAMAGES)
def test_wrong_splits_are_refused(
    copy: Path,
    prepared: dict[str, PreparedStudy],
    change: Callable[[dict], object],  # type: ignore[type-arg]
    message: str,
) -> None:
    change_split(copy, change)
    windows = {"sub-01": prepared["atlases"].recording("sub-01").windows}
    with pytest.raises(DataError, match=message) as caught:
        open_study("laion_fmri", copy).split(windows)
    assert "\n" not in str(caught.value)


def test_pictures_and_table_belong_together(copy: Path) -> None:
    path = copy / "stimuli" / "task-images_metadata.csv"
    table = pd.read_csv(path)
    table.iloc[:-1].to_csv(path, index=False)
    with pytest.raises(DataError, match=r"metadata\.csv: no row of the picture \S+ \(1 missing\)"):
        open_study("laion_fmri", copy).stimuli()
    pd.concat([table, table.head(1)]).to_csv(path, index=False)
    with pytest.raises(DataError, match=rf"metadata\.csv: line {len(table) + 2}: \S+ has a row already"):
        open_study("laion_fmri", copy).stimuli()
    pd.concat([table, table.head(1).assign(image_name="more.jpg")]).to_csv(path, index=False)
    with pytest.raises(DataError, match=rf"stimuli\.h5: {len(table)} pictures, but task-images_metadata\.csv has"):
        open_study("laion_fmri", copy).stimuli()
    table.to_csv(path, index=False)
    with h5py.File(copy / "stimuli" / "task-images_stimuli.h5", "a") as file:
        del file["images"]
    with pytest.raises(DataError, match=r"stimuli\.h5: not readable as HDF5 with 'images'"):
        open_study("laion_fmri", copy).stimuli()


JSON = st.recursive(
    st.none() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["variants", "name", "n_train"]), inner)
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(content=JSON)
def test_any_list_is_refused_that_is_none(content: object, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("lists")
    (folder / "pooled").mkdir()
    (folder / "pooled" / "tau.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"tau\.json"):
        read_lists(folder, "pooled", "tau")
