"""The Natural Scenes Dataset: every dialect from one planted signal, proven alignment, and what must be refused."""

import gzip
import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.core.tar_files import index_tar
from neurodecode.datasets.allen2022 import Nsd
from neurodecode.datasets.allen2022.betas import read_betas
from neurodecode.datasets.allen2022.common import CAPTIONS, DENOISED, FITTED
from neurodecode.datasets.allen2022.design import read_design
from neurodecode.datasets.allen2022.mindeye1 import distinct_responses
from neurodecode.datasets.allen2022.mindeye2 import read_behaviour
from neurodecode.datasets.allen2022.release import DESIGN, PICTURES
from neurodecode.datasets.allen2022.samples import read_samples
from neurodecode.datasets.allen2022.surface import open_surface, read_values
from neurodecode.datasets.allen2022.voxels import noise_ceiling, read_colour_table
from neurodecode.datasets.catalogue import open_study
from neurodecode.datasets.miniatures.allen2022 import BETAS, LAYOUTS
from neurodecode.datasets.miniatures.allen2022_plan import N_SHARED, SESSIONS, TRIALS, make_plan, picture
from neurodecode.datasets.miniatures.catalogue import write_miniature
from neurodecode.datasets.miniatures.planted import code_of

FOLDER = Path("nsddata_betas/ppdata/subj01/func1pt8mm") / BETAS
ROI = Path("nsddata/ppdata/subj01/func1pt8mm/roi")
RESPONSES = Path("nsddata/ppdata/subj01/behav/responses.tsv")
COLUMNS = ["session", "run", "stimulus", "repetition", "shared1000"]


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every layout; not to be changed."""
    root = tmp_path_factory.mktemp("nsd")
    for layout in LAYOUTS:
        write_miniature("nsd", root / layout, layout=layout)
    return root


@pytest.fixture(scope="session")
def prepared(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, PreparedStudy]:
    """The cache of every layout."""
    root = tmp_path_factory.mktemp("caches")
    return {layout: prepare_study(open_study("nsd", pristine / layout), root / layout) for layout in LAYOUTS}


@pytest.fixture
def copy(pristine: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Give a function that copies a layout, so that a test may damage it."""

    def make(layout: str) -> Path:
        return Path(shutil.copytree(pristine / layout, tmp_path / layout))

    return make


def table(prepared: PreparedStudy, subject: str, columns: list[str]) -> pd.DataFrame:
    windows = prepared.recording(subject).windows
    return windows[columns].sort_values(["stimulus", "repetition"], ignore_index=True)


def signals(prepared: PreparedStudy, subject: str) -> np.ndarray:
    """Signals sorted by picture and repetition."""
    recording = prepared.recording(subject)
    order = recording.windows.sort_values(["stimulus", "repetition"]).index.to_numpy()
    return recording.read(order)[:, :, 0]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("subject", ["sub-01", "sub-02"])
def test_every_dialect_gives_the_same_trials(prepared: dict[str, PreparedStudy], layout: str, subject: str) -> None:
    kept = COLUMNS if prepared[layout].recording(subject).windows["session"].iloc[0] else COLUMNS[2:]
    pd.testing.assert_frame_equal(
        table(prepared[layout], subject, kept), table(prepared["hdf5"], subject, kept), check_dtype=False
    )
    plan = make_plan(0)
    number = int(subject[-2:])
    shown = plan.shown(number)[: SESSIONS[number] * TRIALS]
    assert sorted(prepared[layout].recording(subject).windows["stimulus"]) == sorted(f"nsd-{n:05d}" for n in shown)


@pytest.mark.parametrize("subject", ["sub-01", "sub-02"])
def test_every_dialect_gives_the_same_signals(prepared: dict[str, PreparedStudy], subject: str) -> None:
    plan, number = make_plan(0), int(subject[-2:])
    released = prepared["hdf5"].recording(subject)
    planted = plan.betas(number)
    inside = plan.general(number)
    # The planted voxels lie in C order of the mask, as the reader's do.
    assert released.sensors.grid is not None
    np.testing.assert_array_equal(released.sensors.grid, np.argwhere(inside))
    values = released.read(np.arange(len(planted)))[:, :, 0]
    np.testing.assert_array_equal(values, planted.astype(np.float32) / np.float32(300))
    np.testing.assert_array_equal(signals(prepared["nifti"], subject), signals(prepared["hdf5"], subject))
    surface = prepared["mgh"].recording(subject)
    np.testing.assert_array_equal(surface.read(np.arange(len(values)))[:, : values.shape[1], 0], values)
    assert surface.sensors.names[:2] == ("lh000001", "lh000003")
    assert surface.sensors.regions["lh"].sum() == surface.sensors.regions["rh"].sum() == 30
    # Derivatives are z-scored within sessions: float32, and float16 with three digits.
    by_session = values.reshape(SESSIONS[number], TRIALS, -1)
    scaled = (by_session - by_session.mean(axis=1, keepdims=True)) / by_session.std(axis=1, keepdims=True)
    order = released.windows.sort_values(["stimulus", "repetition"]).index.to_numpy()
    expected = scaled.reshape(values.shape)[order]
    np.testing.assert_allclose(signals(prepared["mindeye2"], subject), expected, atol=1e-5)
    np.testing.assert_allclose(signals(prepared["mindeye1"], subject), expected, atol=2e-3)
    np.testing.assert_array_equal(signals(prepared["mindbridge"], subject), signals(prepared["mindeye1"], subject))


def retrieved(prepared: PreparedStudy, subject: str, *, shuffle: bool) -> float:
    """Top-1 among the test pictures of codes predicted by least squares from averaged signals."""
    recording = prepared.recording(subject)
    windows, values = recording.windows, recording.read(np.arange(len(recording.windows)))[:, :, 0].astype(np.float64)
    parts = {part: prepared.split.rows(subject, part) for part in ("train", "test")}  # type: ignore[arg-type]
    names = windows["stimulus"].to_numpy()
    centre = values[parts["train"]].mean(axis=0)
    codes = np.stack([code_of(str(name)) for name in names[parts["train"]]])
    if shuffle:
        codes = np.random.default_rng(0).permutation(codes)
    weights = np.linalg.lstsq(values[parts["train"]] - centre, codes, rcond=None)[0]
    candidates = np.unique(names[parts["test"]])
    rows = [parts["test"][names[parts["test"]] == name] for name in candidates]
    predicted = np.stack([(values[row].mean(axis=0) - centre) @ weights for row in rows])
    true = np.stack([code_of(str(name)) for name in candidates])
    return float(
        np.mean(np.argmax(np.corrcoef(predicted, true)[: len(true), len(true) :], axis=1) == np.arange(len(true)))
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_score_of_the_planted_signal(prepared: dict[str, PreparedStudy], layout: str) -> None:
    for subject in ("sub-01", "sub-02"):
        assert retrieved(prepared[layout], subject, shuffle=False) == 1.0
        assert retrieved(prepared[layout], subject, shuffle=True) < 0.4  # chance is 1 of 16


def test_pictures_are_the_ones_that_were_shown(prepared: dict[str, PreparedStudy]) -> None:
    for layout in LAYOUTS:
        stimuli = prepared[layout].stimuli
        assert len(stimuli) == len(set(make_plan(0).pictures[:2].ravel()) & {int(n[4:]) for n in stimuli.names})
        for name in (stimuli.names[0], stimuli.names[-1]):
            size = 224 if layout == "mindeye2" else 425
            expected = picture(int(name[4:]), size).astype(int)
            got = np.asarray(stimuli.picture(name).convert("RGB")).astype(int)
            assert got.shape == expected.shape
            # JPEG changes colours at the edges of blocks.
            assert np.abs(got - expected).mean() < (3 if layout in ("mindeye1", "mindbridge") else 0.01)


def test_targets_are_made_from_pictures_where_they_lie(pristine: Path, tmp_path: Path) -> None:
    from neurodecode.encoders.stimulus.catalogue import build_stimulus_encoder
    from neurodecode.training.targets_extraction import extract_study_targets

    for layout, encoder in (("hdf5", "pixels"), ("mindeye1", "pixels")):
        stimuli = open_study("nsd", pristine / layout).stimuli()
        few = type(stimuli)(stimuli.table.head(5), stimuli.root)
        made = extract_study_targets(few, build_stimulus_encoder(encoder, size=3), tmp_path / layout)
        values = made["pixels"].get(few.names)
        codes = np.stack([code_of(name) for name in few.names])
        assert np.corrcoef(values.reshape(len(few), 3, 9).transpose(0, 2, 1).ravel(), codes.ravel())[0, 1] > 0.98


def test_the_split_follows_from_the_rule(prepared: dict[str, PreparedStudy], pristine: Path) -> None:
    study = open_study("nsd", pristine / "mindeye1")
    assert {layout: len(set(prepared[layout].split.rows("sub-01", "test"))) for layout in LAYOUTS} == dict.fromkeys(
        LAYOUTS, 3 * N_SHARED
    )
    assert len({prepared[layout].split.hash for layout in ("hdf5", "nifti", "mgh", "mindeye2")}) == 1
    windows = {subject: prepared["mindeye1"].recording(subject).windows for subject in ("sub-01", "sub-02")}
    thrice = study.named_split("shared1000_thrice", windows)
    times = windows["sub-02"].groupby("stimulus")["stimulus"].transform("size")
    shared = windows["sub-02"]["shared1000"] == 1
    assert (times[shared] < 3).any(), "the miniature holds shared pictures that a subject saw once or twice"
    np.testing.assert_array_equal(thrice.rows("sub-02", "test"), np.flatnonzero(shared & (times == 3)))
    trained = np.concatenate([thrice.rows("sub-02", "train"), thrice.rows("sub-02", "val")])
    assert not set(np.flatnonzero(shared)) & set(trained)
    files = study.named_split("files", windows)
    np.testing.assert_array_equal(files.rows("sub-01", "val"), np.flatnonzero(windows["sub-01"]["part"] == "val"))
    released = {"sub-01": prepared["hdf5"].recording("sub-01").windows}
    with pytest.raises(ConfigError, match="split: got 'files', but the released betas come without a split"):
        study.named_split("files", released)
    with pytest.raises(ConfigError, match="split: got 'test', expected one of shared1000, shared1000_thrice, files"):
        study.named_split("test", released)


def test_contaminations_are_flagged(prepared: dict[str, PreparedStudy], pristine: Path) -> None:
    assert set(prepared["hdf5"].recording("sub-01").flags) == {FITTED, DENOISED}
    for layout in ("mindeye1", "mindeye2", "mindbridge"):
        flags = prepared[layout].recording("sub-01").flags
        assert {FITTED, DENOISED} < set(flags)
        assert any("z-scored within each session over all its trials, test pictures included" in flag for flag in flags)
    chosen = open_study("nsd", pristine / "hdf5", {"ncsnr_above": 0.5}).load("sub-01")
    assert 0 < chosen.n_channels < prepared["hdf5"].recording("sub-01").n_channels
    assert any("chosen by their noise ceiling, which was computed over all pictures" in flag for flag in chosen.flags)


def test_regions_and_noise_ceiling(prepared: dict[str, PreparedStudy], pristine: Path) -> None:
    sensors = prepared["hdf5"].recording("sub-01").sensors
    assert sensors.regions["nsdgeneral"].all()
    assert sensors.regions["V1"].sum() == 8
    assert (sensors.regions["V1"] == (sensors.regions["V1v"] | sensors.regions["V1d"])).all()
    assert sensors.regions["FFA-1"].sum() == 4
    assert sensors.regions["floc-faces"].sum() == 8
    assert not any(name.startswith(("lh.", "rh.")) for name in sensors.regions)
    study = open_study("nsd", pristine / "hdf5")
    assert isinstance(study, Nsd)
    ceiling = study.noise_ceiling("sub-01")
    ratio = nibabel.load(pristine / "hdf5" / FOLDER / "ncsnr.nii.gz").get_fdata()[make_plan(0).general(1)]
    np.testing.assert_allclose(ceiling, 100 * ratio**2 / (ratio**2 + 1 / 3), rtol=1e-6)
    np.testing.assert_allclose(noise_ceiling(np.array([1.0]), np.array([1, 3])), 60.0)
    other = open_study("nsd", pristine / "mindeye1")
    assert isinstance(other, Nsd)
    with pytest.raises(ConfigError, match="dialect mindeye1: its files hold no noise ceiling"):
        other.noise_ceiling("sub-01")


def test_other_masks_and_fewer_sessions(pristine: Path, prepared: dict[str, PreparedStudy], tmp_path: Path) -> None:
    faces = open_study("nsd", pristine / "nifti", {"mask": "floc-faces"}).load("sub-01")
    whole = prepared["nifti"].recording("sub-01")
    kept = whole.sensors.regions["floc-faces"]
    np.testing.assert_array_equal(faces.read([5, 9]), whole.read([5, 9])[:, kept])
    brain = open_study("nsd", pristine / "hdf5", {"mask": "brainmask"}).load("sub-01")
    assert brain.n_channels == make_plan(0).brain(1).sum()
    both = [brain.sensors.names.index(name) for name in whole.sensors.names]
    np.testing.assert_array_equal(brain.read([7])[:, both], whole.read([7]))
    for layout in ("hdf5", "mindeye2"):
        study = open_study("nsd", pristine / layout, {"sessions": 2})
        fewer = prepare_study(study, tmp_path / layout)
        assert len(fewer.recording("sub-01").windows) == 2 * TRIALS
        np.testing.assert_array_equal(
            fewer.recording("sub-01").windows["stimulus"],
            prepared[layout].recording("sub-01").windows["stimulus"][: 2 * TRIALS],
        )
        # The stimuli are those that were seen, so that no targets are made in vain.
        seen = set().union(*(fewer.recording(subject).windows["stimulus"] for subject in fewer.subjects))
        assert set(fewer.stimuli.names) == seen


def test_a_missing_session_leaves_the_others_in_place(
    copy: Callable[[str], Path], prepared: dict[str, PreparedStudy]
) -> None:
    root = copy("hdf5")
    (root / FOLDER / "betas_session02.hdf5").unlink()
    recording = open_study("nsd", root).load("sub-01")
    whole = prepared["hdf5"].recording("sub-01")
    rows = np.r_[0:TRIALS, 2 * TRIALS : 4 * TRIALS]
    np.testing.assert_array_equal(recording.windows["trial"], rows + 1)
    np.testing.assert_array_equal(recording.read(np.arange(len(rows))), whole.read(rows))


def test_the_dialect_may_be_forced(copy: Callable[[str], Path], pristine: Path) -> None:
    root = copy("hdf5")
    shutil.copytree(pristine / "mindeye1" / "webdataset_avg_split", root / "webdataset_avg_split")
    assert open_study("nsd", root).steps()["dialect"] == "hdf5"
    forced = open_study("nsd", root, {"dialect": "mindeye1"})
    assert "part" in forced.load("sub-01").windows
    with pytest.raises(DataError, match=r"subject: got 'sub-01', expected one of none"):
        open_study("nsd", root, {"dialect": "nifti"}).load("sub-01")
    # A folder of the archives alone is known too.
    inner = open_study("nsd", pristine / "mindeye1" / "webdataset_avg_split")
    assert inner.steps()["dialect"] == "mindeye1"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"dialect": "hdf"},
            "dialect: got 'hdf', expected one of hdf5, nifti, mgh, mindeye2, mindeye1; did you mean 'hdf5'",
        ),
        ({"betas": "b3"}, "betas: got 'b3', expected one of betas_fithrf_GLMdenoise_RR, betas_fithrf"),
        ({"space": "MNI"}, "space: got 'MNI', expected one of func1pt8mm, func1mm, fsaverage"),
        ({"sessions": 0}, "sessions: got 0, expected a number of sessions from 1"),
        ({"mask": "../x"}, r"mask: got '\.\./x', expected the name of a volume"),
        ({"ncsnr_above": float("nan")}, "ncsnr_above: got nan, expected a finite number"),
        (
            {"dialect": "mindeye2", "mask": "V1"},
            "dialect mindeye2: betas, space, mask and ncsnr_above cannot be chosen",
        ),
        ({"dialect": "mindeye1", "sessions": 3}, "sessions: got a number, but the files of dialect mindeye1 do not"),
        ({"layout": "x"}, "options: got 'layout', expected one of dialect, betas, space, mask, sessions, ncsnr_above"),
    ],
)
def test_options_are_checked(pristine: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_study("nsd", pristine / "hdf5", options)


def test_what_is_known_of_the_original_is_checked(pristine: Path) -> None:
    # Opened as if it were the original, its counts are wrong.
    with pytest.raises(
        DataError, match=r"subj01/func1pt8mm/roi/nsdgeneral\.nii\.gz: 60 voxels, expected 15724 for sub-01"
    ):
        Nsd(pristine / "hdf5").load("sub-01")
    with pytest.raises(DataError, match=r"subj01_fp32_renorm\.hdf5: 60 voxels, expected 15724 for sub-01"):
        Nsd(pristine / "mindeye2").load("sub-01")
    with pytest.raises(DataError, match=r"train_subj01_\d\.tar: 60 voxels, expected 15724 for sub-01"):
        Nsd(pristine / "mindeye1").load("sub-01")
    study = Nsd(pristine / "hdf5")
    study.info = type(study.info)(**{**vars(study.info), "expected": {"sessions_sub-01": 4, "shared_sub-01": 1000}})
    with pytest.raises(DataError, match=r"sub-01 saw 16 shared pictures in 4 sessions, expected 1000"):
        study.load("sub-01")


def change_design(root: Path, **changes: Callable[[np.ndarray], np.ndarray | None]) -> None:
    content = {name: value for name, value in loadmat(root / DESIGN).items() if not name.startswith("__")}
    for name, change in changes.items():
        changed = change(content.pop(name))
        if changed is not None:
            content[name] = changed
    savemat(root / DESIGN, content)


def swapped(pictures: np.ndarray) -> np.ndarray:
    pictures[0, [20, 21]] = pictures[0, [21, 20]]
    return pictures


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("masterordering", lambda x: x - 1, r"masterordering runs from 0 to 79, expected 1 to 80"),
        ("masterordering", lambda x: x + 1, r"masterordering runs from 2 to 81, expected 1 to 80"),
        (
            "masterordering",
            lambda x: np.roll(x, 1),
            r"nsd_stim_info_merged\.csv: subject 1, trial 1 \(session 1\): got nsdId \d+, expected nsdId \d+ as in "
            r"nsd_expdesign\.mat; \d+ of 240 trials differ",
        ),
        ("masterordering", lambda x: x[:, :-1], r"masterordering shows picture \d+ 2 times, others 3 times"),
        ("masterordering", lambda x: x + 0.5, r"variable 'masterordering' is float64, expected whole numbers"),
        ("masterordering", lambda x: None, r"nsd_expdesign\.mat: variable 'masterordering' is missing, got basiccnt"),
        ("subjectim", lambda x: x - x.min(), r"subjectim holds 0 for subject \d, expected numbers from 1"),
        (
            "subjectim",
            lambda x: x + 1,
            r"subjectim of subject 1 has picture \d+ in place 1, expected one of the 16 in sharedix",
        ),
        ("subjectim", swapped, r"subject 1, trial \d+ \(session \d\): got nsdId \d+, .* 6 of 240 trials differ"),
        ("stimpattern", lambda x: x[:3], r"stimpattern has 60 trials in session 1, expected 80"),
        ("stimpattern", lambda x: x[0], r"stimpattern \(4, 18\), expected two and three dimensions"),
    ],
)
def test_a_wrong_design_is_named(
    copy: Callable[[str], Path], name: str, change: Callable[[np.ndarray], np.ndarray | None], message: str
) -> None:
    root = copy("hdf5")
    change_design(root, **{name: change})
    with pytest.raises(DataError, match=message):
        open_study("nsd", root).load("sub-01")


def change_table(path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], separator: str = ",") -> None:
    change(pd.read_csv(path, sep=separator)).to_csv(path, sep=separator, index=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.assign(nsdId=t["nsdId"] + 1), r"trial 1 \(session 1\): got nsdId \d+, expected nsdId \d+"),
        (
            lambda t: t.assign(subject1_rep0=t["subject1_rep0"].where(t["subject1_rep0"] != 7, 0)),
            r"trial 7 .* got no picture",
        ),
        (lambda t: t.assign(subject1_rep0=-1), r"has trial -1 in subject1_rep0, expected 0 to 240"),
        (lambda t: t.drop(columns="subject1_rep2"), r"merged\.csv: column 'subject1_rep2' is missing"),
        (lambda t: pd.concat([t, t.head(1)]), r"nsdId \d+ occurs more than once"),
        (lambda t: t.assign(shared1000=False), r"shared1000 of nsdId \d+ is False, expected True as in sharedix"),
    ],
)
def test_a_wrong_table_of_pictures_is_named(
    copy: Callable[[str], Path], change: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    root = copy("hdf5")
    change_table(root / PICTURES, change)
    with pytest.raises(DataError, match=message):
        open_study("nsd", root).load("sub-01")


def off_by_one(responses: pd.DataFrame) -> pd.DataFrame:
    return responses.assign(**{"73KID": responses["73KID"].shift(-1, fill_value=1)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (off_by_one, r"responses\.tsv: line 2: 73KID is \d+, expected \d+ as in nsd_expdesign\.mat \(\d+ of 240 lines"),
        (lambda t: t.assign(**{"73KID": t["73KID"] - 1}), r"line 2: 73KID is \d+, expected \d+"),
        (lambda t: t.assign(RUN=1), r"line 18: RUN is 1, expected 2"),
        (lambda t: t.iloc[:-1], r"239 trials, expected at most 240 in sessions of 60"),
        (lambda t: t.drop(columns="10KID"), r"responses\.tsv: column '10KID' is missing"),
        (lambda t: t.assign(TRIAL="x"), r"line 2: TRIAL is nan, expected 1"),
    ],
)
def test_wrong_responses_are_named(
    copy: Callable[[str], Path], change: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    root = copy("hdf5")
    change_table(root / RESPONSES, change, "\t")
    with pytest.raises(DataError, match=message):
        open_study("nsd", root).load("sub-01")
    # They are a second witness, not a condition.
    (root / RESPONSES).unlink()
    assert len(open_study("nsd", root).load("sub-01").windows) == 240


def test_a_table_in_another_encoding_is_named(copy: Callable[[str], Path]) -> None:
    root = copy("hdf5")
    text = (root / PICTURES).read_text()
    (root / PICTURES).write_bytes(text.replace("train2017", "trän2017").encode("latin-1"))
    with pytest.raises(DataError, match=r"nsd_stim_info_merged\.csv: not readable as a table \('utf-8' codec"):
        open_study("nsd", root).stimuli()


def rewrite(path: Path, name: str, values: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file[name] = values


def test_broken_hdf5_betas_are_named(copy: Callable[[str], Path]) -> None:
    root = copy("hdf5")
    path = root / FOLDER / "betas_session03.hdf5"
    with h5py.File(path) as file:
        values = file["betas"][:]

    def refuses(message: str) -> None:
        with pytest.raises(DataError, match=message):
            open_study("nsd", root).load("sub-01")

    rewrite(path, "beta", values)
    refuses(r"betas_session03\.hdf5: dataset 'betas' is missing, got beta")
    rewrite(path, "betas", values.T)
    refuses(r"betas has shape \(8, 9, 7, 60\), expected \(60, 7, 9, 8\) \(trials, z, y, x\)")
    rewrite(path, "betas", values[:-1])
    refuses(r"betas has shape \(59, 7, 9, 8\), expected \(60, 7, 9, 8\)")
    rewrite(path, "betas", values / 300)
    refuses(r"betas is float64, expected int16 of 300 times the percent signal change")
    rewrite(path, "betas", values)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refuses(r"betas_session03\.hdf5: not readable as a whole HDF5 file")


def test_broken_nifti_betas_are_named(copy: Callable[[str], Path]) -> None:
    root = copy("nifti")
    path = root / FOLDER / "betas_session03.nii.gz"
    image = nibabel.load(path)
    values, affine = np.asarray(image.dataobj), image.affine

    def refuses(message: str) -> None:
        with pytest.raises(DataError, match=message):
            open_study("nsd", root).load("sub-01")

    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refuses(r"betas_session03\.nii\.gz: not readable as a whole NIfTI image")
    path.write_bytes(gzip.compress(gzip.decompress(whole)[:-5000]))
    refuses(r"betas_session03\.nii\.gz: not readable as a whole NIfTI image")
    nibabel.save(nibabel.Nifti1Image(values[..., :-1], affine), path)
    refuses(r"shape \(8, 9, 7, 59\), expected \(8, 9, 7, 60\) \(grid of the mask, trials\)")
    nibabel.save(nibabel.Nifti1Image(values[:-1], affine), path)
    refuses(r"shape \(7, 9, 7, 60\), expected \(8, 9, 7, 60\)")
    nibabel.save(nibabel.Nifti1Image((values / 300).astype(np.float32), affine), path)
    refuses(r"float32 scaled by 1 and \+0, expected unscaled int16 of 300 times the percent signal change")
    scaled = nibabel.Nifti1Image(values, affine)
    scaled.header.set_slope_inter(1 / 300, 0)
    nibabel.save(scaled, path)
    refuses(r"int16 scaled by 0\.00333333 and \+0, expected unscaled int16")


def test_broken_surfaces_are_named(copy: Callable[[str], Path]) -> None:
    root = copy("mgh")
    folder = root / "nsddata_betas/ppdata/subj01/fsaverage" / BETAS
    labels = root / "nsddata/freesurfer/fsaverage/label"

    def refuses(message: str, **options: Any) -> None:
        with pytest.raises(DataError, match=message):
            open_study("nsd", root, options).load("sub-01")

    def save(path: Path, values: np.ndarray) -> None:
        nibabel.save(nibabel.MGHImage(values.astype(np.float32), np.eye(4)), path)

    path = folder / "rh.betas_session02.mgh"
    whole = path.read_bytes()
    with open_surface(path) as image:
        values = np.asarray(image.dataobj)
    path.write_bytes(whole[: len(whole) // 2])
    refuses(r"rh\.betas_session02\.mgh: not readable as a whole MGH file")
    path.write_bytes(whole[:20])
    refuses(r"rh\.betas_session02\.mgh: not readable as a whole MGH file")
    save(path, values[..., :-1])
    refuses(r"float32 of shape \(60, 1, 1, 59\), expected float32 \(60, 1, 1, 60\) \(vertices, 1, 1, trials\)")
    save(path, values.reshape(6, 10, 1, 60))
    refuses(r"shape \(6, 10, 1, 60\), expected \(vertices, 1, 1\[, trials\]\)")
    path.unlink()
    refuses(r"rh\.betas_session02\.mgh: no such file")
    path.write_bytes(whole)
    refuses(r"lh\.V1\.mgz: no such mask, there are nsdgeneral, streams", mask="V1")
    mask = read_values(labels / "rh.nsdgeneral.mgz")[:, None, None]
    save(labels / "rh.nsdgeneral.mgz", mask[:-1])
    refuses(r"rh\.nsdgeneral\.mgz: 59 vertices, expected 60 as in lh\.nsdgeneral\.mgz")
    save(labels / "rh.nsdgeneral.mgz", mask / 2)
    refuses(r"holds 0\.5, expected whole numbers")
    save(labels / "rh.nsdgeneral.mgz", mask)
    save(labels / "rh.streams.mgz", mask / 2)
    assert "streams" not in open_study("nsd", root).load("sub-01").sensors.regions, "statistics are no regions"
    chosen = open_study("nsd", root, {"ncsnr_above": 0.5}).load("sub-01")
    assert 0 < chosen.n_channels < 60
    with pytest.raises(ConfigError, match="space: got 'func1mm', but the files of dialect mgh are in another space"):
        open_study("nsd", root, {"space": "func1mm"})


def test_the_space_chooses_the_files(copy: Callable[[str], Path], pristine: Path) -> None:
    root = copy("nifti")
    for place in ("nsddata_betas/ppdata/subj01/fsaverage", "nsddata/freesurfer/fsaverage"):
        shutil.copytree(pristine / "mgh" / place, root / place)
    assert open_study("nsd", root).load("sub-01").sensors.grid is not None
    surface = open_study("nsd", root, {"space": "fsaverage"})
    assert surface.subjects() == ["sub-01"]
    assert surface.steps()["dialect"] == "mgh"
    assert surface.load("sub-01").sensors.names[0] == "lh000001"
    with pytest.raises(ConfigError, match="space: got 'fsaverage', but the files of dialect nifti"):
        open_study("nsd", root, {"space": "fsaverage", "dialect": "nifti"})


def test_wrong_masks_are_named(copy: Callable[[str], Path]) -> None:
    root = copy("hdf5")
    general = root / ROI / "nsdgeneral.nii.gz"
    image = nibabel.load(general)
    values = np.asarray(image.dataobj)

    def refuses(message: str, **options: Any) -> None:
        with pytest.raises(DataError, match=message):
            open_study("nsd", root, options).load("sub-01")

    def save(path: Path, data: np.ndarray) -> None:
        nibabel.save(nibabel.Nifti1Image(data, image.affine), path)

    save(general, np.where(values == 1, 2, values).astype(np.int16))
    refuses(r"nsdgeneral\.nii\.gz: holds 2, expected -1 \(outside cortex\), 0 \(other cortex\) and 1 \(inside\)")
    save(general, np.zeros_like(values))
    refuses(r"nsdgeneral\.nii\.gz: the mask is empty")
    save(general, (values + 0.25).astype(np.float32))
    refuses(r"nsdgeneral\.nii\.gz: holds -?\d\.\d+, expected whole numbers")
    save(general, np.repeat(values, 2, axis=0))
    refuses(r"floc-faces\.nii\.gz: grid \(8, 9, 7\), expected \(16, 9, 7\) as in nsdgeneral\.nii\.gz")
    save(general, values)
    refuses(r"V9\.nii\.gz: no such mask, there are floc-faces, lh\.nsdgeneral, nsdgeneral, prf-visualrois", mask="V9")
    table = root / "nsddata/freesurfer/subj01/label/floc-faces.mgz.ctab"
    table.write_text("0 Unknown\nOFA 1\n")
    refuses(r"floc-faces\.mgz\.ctab: line 2: got 'OFA 1', expected a number and a name")
    table.unlink()
    regions = open_study("nsd", root).load("sub-01").sensors.regions
    assert {"floc-faces-1", "floc-faces-2", "V1v"} <= set(regions)
    (root / FOLDER / "ncsnr.nii.gz").unlink()
    refuses(r"ncsnr\.nii\.gz: no such file", ncsnr_above=0.2)


def test_colour_tables_may_hold_colours(tmp_path: Path) -> None:
    path = tmp_path / "a.ctab"
    path.write_text("# made by hand\n\n0 Unknown 0 0 0 0\n 1  V1v   255 0 0 0\n")
    assert read_colour_table(path) == {0: "Unknown", 1: "V1v"}
    path.write_bytes(b"0 \xff\xfe\n")
    with pytest.raises(DataError, match=r"a\.ctab: not readable as text"):
        read_colour_table(path)


def change_tar(path: Path, change: Callable[[str, bytes], tuple[str, bytes] | None]) -> None:
    """Write an archive anew with each member changed or left out."""
    members = {name: member.read() for name, member in index_tar(path).items()}
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            changed = change(name, content)
            if changed is not None:
                info = tarfile.TarInfo(changed[0])
                info.size = len(changed[1])
                archive.addfile(info, io.BytesIO(changed[1]))


def npy(values: np.ndarray, *, pickles: bool = False) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=pickles)
    return file.getvalue()


def with_array(kind: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[str, bytes], tuple[str, bytes]]:
    return lambda name, content: (
        (name, npy(change(np.load(io.BytesIO(content))))) if name.endswith(f".{kind}") else (name, content)
    )


def nan_in_second(values: np.ndarray) -> np.ndarray:
    values[1, 7] = np.nan
    return values


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            with_array("nsdgeneral.npy", nan_in_second),
            r"train_subj01_1\.tar: sample\d{9}: repetition 2 in nsdgeneral\.npy is not finite",
        ),
        (
            with_array("nsdgeneral.npy", lambda x: x[:, :-1]),
            r"sample\d{9}: 59 voxels, expected 60 as in the first sample",
        ),
        (
            with_array("nsdgeneral.npy", lambda x: x[:2]),
            r"nsdgeneral\.npy is float16 of shape \(2, 60\), expected floats \(3, voxels\)",
        ),
        (
            with_array("nsdgeneral.npy", lambda x: x[[0, 0, 0]]),
            r"1 different responses, expected 3 as in num_uniques\.npy",
        ),
        (
            with_array("coco73k.npy", lambda x: np.array(73000)),
            r"coco73k\.npy holds 73000, expected one whole number from 0 to 72999",
        ),
        (
            with_array("coco73k.npy", lambda x: np.array([1, 2])),
            r"coco73k\.npy holds int64 of shape \(2,\), expected one whole",
        ),
        (
            with_array("coco73k.npy", lambda x: np.array(5)),
            r"sample\d{9}: picture 5 is in .*train_subj01_1\.tar: sample\d{9} \(train\) already",
        ),
        (
            with_array("num_uniques.npy", lambda x: np.array(4)),
            r"num_uniques\.npy holds 4, expected one whole number from 1 to 3",
        ),
        (
            lambda n, c: None if n.endswith("nsdgeneral.npy") else (n, c),
            r"sample\d{9}: no nsdgeneral\.npy, it has coco73k\.npy",
        ),
        (
            lambda n, c: (n, c[:90]) if n.endswith("coco73k.npy") else (n, c),
            r"coco73k\.npy is not readable as a whole \.npy array",
        ),
        (
            lambda n, c: (n, npy(np.array([{}], dtype=object), pickles=True)) if n.endswith("coco73k.npy") else (n, c),
            r"coco73k\.npy is not readable as a whole \.npy array \(.*(pickle|Object)",
        ),
        (lambda n, c: (f"../{n}", c), r"train_subj01_1\.tar: member '\.\./sample.*' leaves the archive's folder"),
        (
            lambda n, c: None,
            r"train: 34 samples, expected 5\d as in metadata_subj01\.json|train: \d+ samples, expected",
        ),
    ],
)
def test_broken_archives_of_mindeye1_are_named(
    copy: Callable[[str], Path], change: Callable[[str, bytes], tuple[str, bytes] | None], message: str
) -> None:
    root = copy("mindeye1")
    change_tar(root / "webdataset_avg_split" / "train" / "train_subj01_1.tar", change)
    with pytest.raises(DataError, match=message):
        open_study("nsd", root).load("sub-01")


def test_a_cut_archive_of_mindeye1_is_named(copy: Callable[[str], Path]) -> None:
    root = copy("mindeye1")
    path = root / "webdataset_avg_split" / "train" / "train_subj01_0.tar"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"train_subj01_0\.tar: (cut within member|not readable as a whole tar)"):
        open_study("nsd", root).load("sub-01")


def test_a_picture_that_tests_one_subject_and_trains_another_is_refused(copy: Callable[[str], Path]) -> None:
    root = copy("mindeye1")
    base = root / "webdataset_avg_split"
    shared = int(make_plan(0).pictures[0, 0])
    assert shared in make_plan(0).shown(2)[: SESSIONS[2] * TRIALS]
    for path in sorted((base / "test").glob("test_subj02_*.tar")):
        samples = read_samples([path], "test")
        gone = [sample.key for sample in samples if sample.number("coco73k.npy", low=0, high=72999) == shared]
        change_tar(path, lambda n, c, gone=gone: None if n.split(".")[0] in gone else (n, c))  # type: ignore[misc]
    path = base / "train" / "train_subj02_0.tar"
    key = next(name for name in index_tar(path) if name.endswith("coco73k.npy"))
    change_tar(path, lambda n, c: (n, npy(np.array(shared))) if n == key else (n, c))
    with pytest.raises(DataError, match=r"test: 14 samples, expected 15 as in metadata_subj02\.json"):
        open_study("nsd", root).stimuli()
    (base / "metadata_subj02.json").write_text('{"totals": 3}')
    with pytest.raises(DataError, match=r"metadata_subj02\.json: totals is 3, expected the number of samples"):
        open_study("nsd", root).stimuli()
    (base / "metadata_subj02.json").unlink()
    message = rf"train_subj02_0\.tar: sample\d+: picture {shared} is in train, but in test in .*test_subj01_\d\.tar"
    with pytest.raises(DataError, match=message):
        open_study("nsd", root).stimuli()


def test_the_count_of_repetitions_is_found_without_the_file(copy: Callable[[str], Path]) -> None:
    root = copy("mindbridge")
    one = next((root / "webdataset_avg_split" / "train" / "subj01").glob("*.nsdgeneral.npy"))
    values = np.load(one)
    values[2] = values[0]
    np.save(one, values)
    assert len(open_study("nsd", root).load("sub-01").windows) == 239


def changed_behaviour(column: int, value: Callable[[float], float]) -> Callable[[np.ndarray], np.ndarray]:
    def change(values: np.ndarray) -> np.ndarray:
        values[0, column] = value(values[0, column])
        return values

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            changed_behaviour(0, lambda x: x + 73000),
            r"train/1\.tar: sample\d{9}: column 0 of behav\.npy \(nsd\) is \d+, expected 0 to 72999",
        ),
        (changed_behaviour(0, lambda x: np.nan), r"column 0 of behav\.npy \(nsd\) is nan, expected 0 to 72999"),
        (changed_behaviour(1, lambda x: 2), r"subject 2 in behav\.npy, expected 1"),
        (changed_behaviour(5, lambda x: x + 0.5), r"column 5 of behav\.npy \(row\) is [\d.]+, expected"),
        (
            changed_behaviour(5, lambda x: x + 200),
            r"trial \d+ (shows picture \d+, \d+ in|is in session 2, run 1, expected session 4, run 4 on)",
        ),
        (changed_behaviour(5, lambda x: x + 1), r"trial \d+ (shows picture|is in session \d, run)"),
        (lambda x: x[:, :16], r"behav\.npy is float64 of shape \(1, 16\), expected numbers \(1, 17\)"),
    ],
)
def test_broken_behaviour_of_mindeye2_is_named(
    copy: Callable[[str], Path], change: Callable[[np.ndarray], np.ndarray], message: str
) -> None:
    root = copy("mindeye2")
    change_tar(root / "wds" / "subj01" / "train" / "1.tar", with_array("behav.npy", change))
    with pytest.raises(DataError, match=message):
        open_study("nsd", root).load("sub-01")


def test_shared_pictures_in_the_wrong_archives(copy: Callable[[str], Path]) -> None:
    root = copy("mindeye2")
    folder = root / "wds" / "subj01"
    change_tar(folder / "train" / "1.tar", with_array("behav.npy", changed_behaviour(16, lambda x: 1)))
    recording = open_study("nsd", root).load("sub-01")
    count = ((recording.windows["part"] == "train") & (recording.windows["shared1000"] == 1)).sum()
    assert f"{count} trials of shared pictures lie in the archives for training" in recording.flags
    change_tar(folder / "new_test" / "0.tar", with_array("behav.npy", changed_behaviour(16, lambda x: 0)))
    message = r"new_test/0\.tar: sample\d+: shared1000 is 0 for picture \d+ in the test, expected 1"
    with pytest.raises(DataError, match=message):
        open_study("nsd", root).load("sub-01")


def test_a_picture_on_both_sides_of_mindeye2_is_refused(copy: Callable[[str], Path]) -> None:
    root = copy("mindeye2")
    folder = root / "wds" / "subj01"
    tested = read_behaviour(read_samples([folder / "new_test" / "0.tar"], "test")[0])["nsd"]
    change_tar(folder / "train" / "1.tar", with_array("behav.npy", changed_behaviour(0, lambda x: tested)))
    with pytest.raises(DataError, match=rf"picture {tested} both trains and tests"):
        open_study("nsd", root).load("sub-01")


def test_mindeye2_is_held_against_the_design(copy: Callable[[str], Path], pristine: Path) -> None:
    root = copy("mindeye2")
    (root / DESIGN).parent.mkdir(parents=True)
    shutil.copy(pristine / "hdf5" / DESIGN, root / DESIGN)
    assert len(open_study("nsd", root).load("sub-01").windows) == 240

    def shifted(values: np.ndarray) -> np.ndarray:
        values[0, 0] = (values[0, 0] + 1) % 73000
        return values

    change_tar(root / "wds" / "subj01" / "train" / "2.tar", with_array("behav.npy", shifted))
    with pytest.raises(
        DataError, match=r"2\.tar: .*shows picture \d+, expected \d+ as in nsd_expdesign\.mat; \d+ of 240"
    ):
        open_study("nsd", root).load("sub-01")


def test_broken_betas_of_mindeye2_are_named(copy: Callable[[str], Path]) -> None:
    root = copy("mindeye2")
    path = root / "betas_all_subj01_fp32_renorm.hdf5"
    with h5py.File(path) as file:
        values = file["betas"][:]

    def refuses(message: str) -> None:
        with pytest.raises(DataError, match=message):
            open_study("nsd", root).load("sub-01")

    rewrite(path, "voxels", values)
    refuses(r"renorm\.hdf5: dataset 'betas' is missing, got voxels")
    rewrite(path, "betas", values[:100])
    refuses(r"betas is float32 of shape \(100, 60\), expected floats \(trials, voxels\) with at least 240 trials")
    values[33, 5] = np.nan
    rewrite(path, "betas", values)
    refuses(r"renorm\.hdf5: trial 33 is not finite")
    shutil.rmtree(root / "wds" / "subj01" / "train")
    refuses(r"train: no archives, expected 0\.tar and so on")


def test_the_older_test_archive_is_read_where_there_is_no_newer(copy: Callable[[str], Path]) -> None:
    root = copy("mindeye2")
    shutil.rmtree(root / "wds" / "subj01" / "new_test")
    windows = open_study("nsd", root).load("sub-01").windows
    assert (windows[windows["session"] == "04"]["shared1000"] == 0).all()
    assert (windows["shared1000"] == 1).any()


def test_pictures_are_asked_for_where_they_belong(copy: Callable[[str], Path]) -> None:
    for layout, file in (("hdf5", "nsddata_stimuli/stimuli/nsd/nsd_stimuli"), ("mindeye2", "coco_images_224_float16")):
        root = copy(layout)
        (root / f"{file}.hdf5").unlink()
        stimuli = open_study("nsd", root).stimuli()
        with pytest.raises(DataError, match=rf"{file}\.hdf5: the file of stimulus 'nsd-\d+' is missing"):
            stimuli.picture(stimuli.names[0])


def test_captions_become_texts(copy: Callable[[str], Path]) -> None:
    root = copy("mindeye2")
    assert set(open_study("nsd", root).stimuli().table["text"]) == {""}
    captions = np.full((73000, 5), "", dtype="<U20")
    captions[:, 2] = [f"caption {index}" for index in range(73000)]
    np.save(root / CAPTIONS, captions)
    stimuli = open_study("nsd", root).stimuli()
    assert stimuli.get(stimuli.names[3])["text"] == f"caption {int(stimuli.names[3][4:])}"
    np.save(root / CAPTIONS, captions[:10])
    with pytest.raises(DataError, match=r"COCO_73k_annots_curated\.npy: <U20 of shape \(10, 5\), expected texts"):
        open_study("nsd", root).stimuli()


def test_no_source_file_is_touched(copy: Callable[[str], Path], tmp_path: Path) -> None:
    for layout in LAYOUTS:
        root = copy(layout)
        before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in root.rglob("*") if path.is_file()}
        prepare_study(open_study("nsd", root), tmp_path / f"cache-{layout}", jobs=1)
        after = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in root.rglob("*") if path.is_file()}
        assert before == after


def test_signals_go_into_the_store(pristine: Path, tmp_path: Path) -> None:
    for layout in LAYOUTS:
        (tmp_path / layout).mkdir()
        store = ArrayStore(tmp_path / layout)
        recording = open_study("nsd", pristine / layout).load("sub-01", store=store)
        assert all(store.path(block.data) is not None for block in recording.blocks.values())


INSIDE = make_plan(0).general(1)
READERS: dict[str, Callable[[Path], object]] = {
    f"hdf5/{DESIGN}": read_design,
    f"hdf5/{FOLDER}/betas_session01.hdf5": lambda path: read_betas(path, INSIDE, np.empty((TRIALS, 60, 1), np.float32)),
    f"nifti/{FOLDER}/betas_session01.nii.gz": lambda path: read_betas(
        path, INSIDE, np.empty((TRIALS, 60, 1), np.float32)
    ),
    "mindeye2/wds/subj01/train/0.tar": lambda path: [
        read_behaviour(sample) for sample in read_samples([path], "train")
    ],
    "mindeye1/webdataset_avg_split/val/val_subj01_0.tar": lambda path: [
        distinct_responses(sample, 60) for sample in read_samples([path], "val")
    ],
}


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=25, derandomize=True, deadline=None)
@given(position=st.floats(0, 1), value=st.integers(0, 255), cut=st.booleans())
def test_damaged_files_raise_nothing_else(
    pristine: Path, tmp_path_factory: pytest.TempPathFactory, name: str, position: float, value: int, cut: bool
) -> None:
    whole = (pristine / name).read_bytes()
    place = min(int(position * len(whole)), len(whole) - 1)
    path = tmp_path_factory.mktemp("fuzz") / Path(name).name
    path.write_bytes(whole[:place] if cut else whole[:place] + bytes([value]) + whole[place + 1 :])
    message = failure(lambda: READERS[name](path))
    assert not message or str(path) in message
    assert "\n" not in message


@pytest.mark.parametrize("number", [np.inf, np.nan, 1e300, 0.5])
def test_a_design_with_a_number_that_is_no_number(pristine: Path, tmp_path: Path, number: float) -> None:
    content = loadmat(pristine / "hdf5/nsddata/experiments/nsd/nsd_expdesign.mat")
    content["masterordering"] = content["masterordering"].astype(np.float64)
    content["masterordering"].flat[3] = number
    path = tmp_path / "nsd_expdesign.mat"
    savemat(path, {name: value for name, value in content.items() if not name.startswith("__")})
    with pytest.raises(DataError, match=r"variable 'masterordering' is float64, expected whole numbers"):
        read_design(path)


def failure(read: Callable[[], object]) -> str:
    """Give the message of a DataError, or nothing if the damage went unseen; any other exception goes through."""
    try:
        read()
    except DataError as error:
        return str(error)
    return ""
