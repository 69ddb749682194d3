"""fMRIPrep derivatives: three eras of names give one study; responses agree with plain least squares."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest

from neurodecode.core.errors import ConfigError, DataError, NeurodecodeError
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.core.recording import Recording
from neurodecode.datasets.catalogue import open_study
from neurodecode.datasets.fmriprep import FmriprepStudy
from neurodecode.datasets.fmriprep_files import BOLD
from neurodecode.datasets.fmriprep_responses import clean_run, read_confounds, single_trial_betas, volumes_in_window
from neurodecode.datasets.miniatures.catalogue import write_miniature
from neurodecode.datasets.miniatures.fmriprep import LAYOUTS, MOTION
from neurodecode.datasets.miniatures.planted import PlantedSignal, code_of

FUNC = Path("derivatives/fmriprep/sub-01/ses-1/func")
RUN = "sub-01_ses-1_task-things_run-1"
SERIES = f"{RUN}_space-T1w_desc-preproc_bold.nii.gz"


@pytest.fixture(scope="module")
def miniatures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("fmriprep")
    for layout in LAYOUTS:
        write_miniature("fmriprep", base / layout, layout=layout)
    return base


@pytest.fixture(scope="module")
def prepared(miniatures: Path) -> dict[str, PreparedStudy]:
    return {
        layout: prepare_study(open_study("fmriprep", miniatures / layout), miniatures / "cache" / layout)
        for layout in LAYOUTS
    }


@pytest.fixture
def folder(miniatures: Path, tmp_path: Path) -> Path:
    """A copy of the first layout that a test may damage."""
    return Path(shutil.copytree(miniatures / LAYOUTS[0], tmp_path / "data"))


def responses(recording: Recording) -> np.ndarray:
    return recording.read(np.arange(len(recording.windows)))[:, :, 0].astype(float)


def agreement(recording: Recording) -> float:
    """Correlation over trials between the responses of a surface and what was planted there, mean over vertices."""
    names = recording.windows["stimulus"].to_numpy().astype(str)
    vertices = [int(name[1:]) + (24 if name[0] == "R" else 0) for name in recording.sensors.names]
    truth = np.stack([PlantedSignal(seed=0).betas(name, subject=1, n_voxels=48)[vertices] for name in names])
    found = responses(recording)
    return float(np.mean([np.corrcoef(one, other)[0, 1] for one, other in zip(found.T, truth.T, strict=True)]))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_era_is_the_same_study(prepared: dict[str, PreparedStudy], layout: str) -> None:
    mine, other = prepared[layout], prepared[LAYOUTS[0]]
    assert mine.simulated
    assert mine.subjects == ["sub-01", "sub-02"]
    for subject in mine.subjects:
        recording, expected = mine.recording(subject), other.recording(subject)
        pd.testing.assert_frame_equal(recording.windows, expected.windows)
        np.testing.assert_array_equal(responses(recording), responses(expected))
        assert recording.sensors.names == expected.sensors.names
        assert recording.windows[["session", "run"]].drop_duplicates().to_numpy().tolist() == [
            ["1", "1"], ["1", "2"], ["2", "1"], ["2", "2"]
        ]  # fmt: skip
        assert set(recording.windows.groupby("stimulus").size()) == {3}
        assert "test runs included, without labels" in recording.flags[0]
        assert recording.flags[1].startswith("1 of ")
    assert mine.recording("sub-01").n_channels != mine.recording("sub-02").n_channels
    assert mine.split.hash == other.split.hash
    assert mine.stimuli.file("thing_03").is_file()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_surfaces_of_every_era(miniatures: Path, layout: str) -> None:
    recording = FmriprepStudy(miniatures / layout, space="fsaverage5").load("sub-01")
    assert recording.n_channels == 47  # the medial wall has no signal
    assert "L00003" not in recording.sensors.names
    assert int(recording.sensors.regions["right"].sum()) == 24
    reference = FmriprepStudy(miniatures / LAYOUTS[0], space="fsLR:den-91k").load("sub-01")
    np.testing.assert_array_equal(responses(recording), responses(reference))
    assert agreement(recording) > 0.5


def test_volumes_are_those_of_the_mask(miniatures: Path) -> None:
    recording = FmriprepStudy(miniatures / LAYOUTS[0], confounds="none", high_pass=None).load("sub-01")
    folder = miniatures / LAYOUTS[0] / FUNC.parents[1]
    masks = [nibabel.load(path).get_fdata() > 0 for path in sorted(folder.glob("**/*desc-brain_mask.nii.gz"))]
    inside = np.logical_and.reduce(masks)
    assert recording.n_channels == inside.sum() - 1
    series = nibabel.load(miniatures / LAYOUTS[0] / FUNC / SERIES).get_fdata()
    sensors = recording.sensors
    assert sensors.grid is not None
    assert sensors.affine is not None
    values = series[tuple(sensors.grid.T)].T
    times = 2.0 * np.arange(120)
    design = np.column_stack([np.ones(120), times, np.arange(120) == 0])
    residual = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    residual /= residual.std(axis=0, ddof=1)
    for row in (0, 7, 29):
        onset = recording.windows["onset"].iloc[row]
        first = int(np.floor((onset + 4.0) / 2.0 + 0.5))  # the nearest volume
        np.testing.assert_allclose(recording.read([row])[0, :, 0], residual[first : first + 2].mean(axis=0), atol=2e-3)


def test_cleaning_and_betas_are_least_squares() -> None:
    generator = np.random.default_rng(0)
    n_volumes = 90
    times = 2.0 * np.arange(n_volumes)
    motion = np.cumsum(generator.normal(size=(n_volumes, 6)), axis=0)
    motion[:, 0] = np.cos(np.pi * (np.arange(n_volumes) + 0.5) / n_volumes)  # the head drifts like a cosine
    confounds = pd.DataFrame(motion, columns=list(MOTION))
    signals = (800 + generator.normal(size=(n_volumes, 5)) + motion @ generator.normal(size=(6, 5))).astype(np.float32)
    cosines = [np.cos(np.pi * k * (np.arange(n_volumes) + 0.5) / n_volumes) for k in (1, 2)]
    design = np.column_stack([np.ones(n_volumes), times, motion, *cosines])
    residual = signals - design @ np.linalg.lstsq(design, signals.astype(float), rcond=None)[0]
    cleaned = clean_run(signals, confounds, 2.0, 0.008)
    np.testing.assert_allclose(cleaned, residual / residual.std(axis=0, ddof=1), atol=2e-3)
    events = pd.DataFrame({"onset": [4.0, 40.0, 80.0, 121.0], "duration": 1.0})
    planted = np.array([[3.0, 0.0, 1.0, -1.0, 2.0], [1, 1, 1, 1, 1], [0, 2, 0, 2, 0], [-1, 0, 1, 2, 3]])
    from nilearn.glm.first_level import make_first_level_design_matrix

    frame = events.assign(trial_type=["a", "b", "c", "d"])
    courses = make_first_level_design_matrix(times, frame, hrf_model="glover", drift_model=None)[
        list("abcd")
    ].to_numpy()
    clean_signals = (800 * (1 + (courses @ planted) / 100)).astype(np.float32)
    options: dict[str, Any] = {"hrf": "glover", "noise": "ols", "high_pass": 0.008}
    scale = clean_signals.mean(axis=0) / 800
    for separate in (False, True):
        found = single_trial_betas(clean_signals, events, confounds.iloc[:, :0], times, separate=separate, **options)
        if not separate:
            np.testing.assert_allclose(found * scale, planted, atol=0.02)
        # Alone, the others' shared regressor takes a part of what differs between them.
        assert np.corrcoef(found.ravel(), planted.ravel())[0, 1] > 0.95
    # A confound that is one of the cosines, or that never changes, does no harm; two trials at once do.
    doubled = confounds.assign(never=1.0)
    found = single_trial_betas(clean_signals, events, doubled, times, separate=False, **options)
    np.testing.assert_allclose(found * scale, planted, atol=0.05)
    noisy = single_trial_betas(signals, events, confounds, times, separate=False, **{**options, "noise": "ar1"})
    assert noisy.shape == (4, 5)
    assert np.isfinite(noisy).all()
    twice = events.assign(onset=[4.0, 40.0, 40.0, 121.0])
    with pytest.raises(DataError, match="trial 1 cannot be told from the other trials and regressors of its run"):
        single_trial_betas(clean_signals, twice, confounds, times, separate=False, **options)


def test_betas_find_what_was_planted(miniatures: Path) -> None:
    root = miniatures / LAYOUTS[1]
    scores = {
        name: agreement(FmriprepStudy(root, space="fsaverage5", **options).load("sub-01"))
        for name, options in {
            "lsa": {"response": "lsa"},
            "lss": {"response": "lss"},
            "no confounds": {"response": "lsa", "confounds": "none"},
            "window": {},
        }.items()
    }
    assert scores["lsa"] > 0.85
    assert scores["lss"] > 0.8
    assert scores["no confounds"] < 0.7
    assert scores["window"] > 0.5


def test_stimuli_are_found_in_the_responses(prepared: dict[str, PreparedStudy]) -> None:
    study = prepared[LAYOUTS[0]]
    recording, split = study.recording("sub-02"), study.split
    names = recording.windows["stimulus"].to_numpy().astype(str)
    train, tested = split.rows("sub-02", "train"), sorted(set(names[split.rows("sub-02", "test")]))
    signals = responses(recording)

    def top1(shown: np.ndarray) -> float:
        design = signals[train]
        target = np.stack([code_of(name) for name in shown])
        weights = np.linalg.solve(design.T @ design + 10 * np.eye(design.shape[1]), design.T @ target)
        found = np.stack([signals[names == name].mean(axis=0) for name in tested]) @ weights
        scores = np.corrcoef(found, np.stack([code_of(name) for name in tested]))[: len(tested), len(tested) :]
        return float((scores.argmax(axis=1) == np.arange(len(tested))).mean())

    assert top1(names[train]) >= 5 / 6
    assert np.mean([top1(np.random.default_rng(seed).permutation(names[train])) for seed in range(20)]) < 0.35


def test_the_derivative_may_be_the_root(miniatures: Path, tmp_path: Path) -> None:
    root = miniatures / LAYOUTS[0]
    study = open_study("fmriprep", root / "derivatives" / "fmriprep")
    assert len(study.load("sub-01").windows) == 120
    moved = Path(shutil.copytree(root / "derivatives" / "fmriprep", tmp_path / "fmriprep"))
    with pytest.raises(DataError, match="no events table of this run in"):
        FmriprepStudy(moved)
    assert len(FmriprepStudy(moved, raw=str(root)).load("sub-01").windows) == 120
    with pytest.raises(DataError, match="nothing is called as fMRIPrep calls its files"):
        FmriprepStudy(root, derivative="derivatives/other")


def test_masks_and_regions(folder: Path) -> None:
    grid = nibabel.load(folder / FUNC / SERIES).shape[:3]
    affine = nibabel.load(folder / FUNC / SERIES).affine
    for subject in ("01", "02"):
        shape = grid if subject == "01" else (7, 6, 6)
        half = np.zeros(shape, dtype=np.uint8)
        half[:3] = 1
        (folder / "masks").mkdir(exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(half, affine), folder / "masks" / f"{subject}_V1.nii.gz")
    whole = FmriprepStudy(folder, regions={"V1": "masks/{subject}_V1.nii.gz"}).load("sub-01")
    assert whole.sensors.grid is not None
    np.testing.assert_array_equal(whole.sensors.regions["V1"], whole.sensors.grid[:, 0] < 3)
    part = FmriprepStudy(folder, mask="masks/{subject}_V1.nii.gz").load("sub-01")
    assert part.sensors.grid is not None
    assert part.sensors.grid[:, 0].max() == 2
    with pytest.raises(ConfigError, match="but fsaverage5 has no grid of voxels"):
        FmriprepStudy(folder, mask="masks/{subject}_V1.nii.gz", space="fsaverage5").load("sub-01")


def test_windows_beyond_the_run_are_left_out(folder: Path) -> None:
    recording = FmriprepStudy(folder, window=[44.0, 50.0]).load("sub-01")  # type: ignore[arg-type]
    assert any("whose window reaches beyond the run left out" in flag for flag in recording.flags)
    assert len(recording.windows) < 120
    first, count = volumes_in_window(np.array([0.0, 1.9, 15.0]), (4.0, 6.1), 2.0 * np.arange(10))
    assert (first.tolist(), count) == ([2, 3, -1], 1)
    assert volumes_in_window(np.array([0.004, 3.99]), (4.0, 6.0), 2.0 * np.arange(10))[0].tolist() == [2, 4]


def test_only_files_that_count_make_the_cache_stale(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    prepare_study(FmriprepStudy(folder), cache, subjects=["sub-01"])
    before = (cache / "sub-01" / "recording.json").stat().st_mtime_ns
    (folder / "derivatives" / "fmriprep" / "sub-01.html").write_text("report")
    prepare_study(FmriprepStudy(folder), cache, subjects=["sub-01"])
    assert (cache / "sub-01" / "recording.json").stat().st_mtime_ns == before
    prepare_study(FmriprepStudy(folder, high_pass=None), cache, subjects=["sub-01"])
    assert (cache / "sub-01" / "recording.json").stat().st_mtime_ns != before


@pytest.mark.parametrize(
    ("name", "space"),
    [
        ("sub-1_task-x_run-01_bold_space-MNI152NLin2009cAsym_preproc.nii.gz", "MNI152NLin2009cAsym"),
        ("sub-1_task-x_space-MNI152NLin2009cAsym_res-2_desc-preproc_bold.nii.gz", "MNI152NLin2009cAsym"),
        ("sub-1_task-x_desc-preproc_bold.nii.gz", None),
        ("sub-1_task-x_bold_space-fsaverage5.L.func.gii", "fsaverage5"),
        ("sub-1_task-x_space-fsaverage5_hemi-L.func.gii", "fsaverage5"),
        ("sub-1_task-x_space-fsaverage6_hemi-L_bold.func.gii", "fsaverage6"),
        ("sub-1_hemi-L_space-fsaverage_bold.func.gii", "fsaverage"),
        ("sub-1_task-x_space-fsLR_den-91k_bold.dtseries.nii", "fsLR"),
    ],
)
def test_names_of_every_era(name: str, space: str | None) -> None:
    matches = [match for pattern in BOLD if (match := pattern.match(name))]
    assert len(matches) == 1
    assert matches[0]["space"] == space
    assert matches[0]["base"].startswith("sub-1")
    assert "space" not in matches[0]["base"]


def test_what_is_no_series_has_no_such_name() -> None:
    for name in ("sub-1_space-T1w_boldref.nii.gz", "sub-1_hemi-R_space-fsaverage5_bold.func.gii", "sub-1_bold.nii.gz"):
        assert not any(pattern.match(name) for pattern in BOLD)


def rewrite(path: Path, change: Callable[[Any], Any]) -> None:
    image = nibabel.load(path)
    values = np.asarray(image.dataobj).copy()
    changed = nibabel.Nifti1Image(change(values), image.affine, image.header)
    nibabel.save(changed, path)


def confounds_gone(root: Path) -> None:
    (root / FUNC / f"{RUN}_desc-confounds_timeseries.tsv").unlink()


def confounds_short(root: Path) -> None:
    path = root / FUNC / f"{RUN}_desc-confounds_timeseries.tsv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))


def confounds_odd(root: Path) -> None:
    path = root / FUNC / f"{RUN}_desc-confounds_timeseries.tsv"
    table = pd.read_csv(path, sep="\t")
    table.loc[4, "rot_y"] = np.nan
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")


def mask_gone(root: Path) -> None:
    (root / FUNC / SERIES.replace("preproc_bold", "brain_mask")).unlink()


def mask_of_another_grid(root: Path) -> None:
    path = root / FUNC / SERIES.replace("preproc_bold", "brain_mask")
    nibabel.save(nibabel.Nifti1Image(np.ones((3, 3, 3), np.uint8), np.eye(4)), path)


def series_cut(root: Path) -> None:
    path = root / FUNC / SERIES
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def series_not_finite(root: Path) -> None:
    def change(values: np.ndarray) -> np.ndarray:
        values[:, :, :, 50] = np.nan
        return values

    rewrite(root / FUNC / SERIES, change)


def one_volume(root: Path) -> None:
    rewrite(root / FUNC / SERIES, lambda values: values[..., :1])


def other_rate(root: Path) -> None:
    path = root / FUNC / SERIES.replace(".nii.gz", ".json")
    path.write_text(json.dumps({"RepetitionTime": 1.5}))


def no_rate(root: Path) -> None:
    for path in (root / FUNC / SERIES.replace(".nii.gz", ".json"), root / "task-things_bold.json"):
        path.unlink()
    image = nibabel.load(root / FUNC / SERIES)
    image.header.set_xyzt_units("mm", "unknown")
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header), root / FUNC / SERIES)


def late_events(root: Path) -> None:
    path = root / FUNC.relative_to("derivatives/fmriprep") / f"{RUN}_events.tsv"
    table = pd.read_csv(path, sep="\t")
    table["onset"] *= 10
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")


def events_gone(root: Path) -> None:
    (root / FUNC.relative_to("derivatives/fmriprep") / f"{RUN}_events.tsv").unlink()


def right_side_gone(root: Path) -> None:
    (root / FUNC / f"{RUN}_hemi-R_space-fsaverage5_bold.func.gii").unlink()


def more_spaces(root: Path) -> None:
    for path in (root / "derivatives").glob("**/*space-T1w*"):
        shutil.copy(path, path.with_name(path.name.replace("space-T1w", "space-MNI6")))
        path.unlink()


@pytest.mark.parametrize(
    ("damage", "options", "message"),
    [
        (confounds_gone, {}, "its table of confounds is missing (expected"),
        (confounds_short, {}, "timeseries.tsv: 119 rows, but the run has 120 volumes"),
        (confounds_odd, {}, "timeseries.tsv: line 6: rot_y is not a number"),
        (mask_gone, {}, f"its brain mask {RUN}_space-T1w_desc-brain_mask.nii.gz is missing"),
        (mask_of_another_grid, {}, "brain_mask.nii.gz: grid"),
        (series_cut, {}, "bold.nii.gz: not readable as a whole NIfTI image"),
        (series_not_finite, {}, "of those read is not finite in volume 50"),
        (one_volume, {}, "bold.nii.gz: 1 volume(s), expected a time series"),
        (other_rate, {}, "2 s between volumes by its header, 1.5 s by the sidecar's RepetitionTime"),
        (no_rate, {}, "neither its header nor a sidecar says the RepetitionTime"),
        (late_events, {}, "s is outside the 240 s of"),
        (events_gone, {}, f"{SERIES}: no events table of this run in"),
        (right_side_gone, {"space": "fsaverage5"}, "no such file; it is the other hemisphere of"),
        (
            more_spaces,
            {},
            "space: several are there, expected the option space with one of MNI6, fsLR:den-91k, fsaverage5",
        ),
        (None, {"space": "T1"}, "space: got 'T1', expected one of T1w, fsLR:den-91k, fsaverage5; did you mean 'T1w'"),
        (None, {"task": "rest"}, "task 'rest' has no preprocessed run, got things"),
        (None, {"response": "glm"}, "response: got 'glm', expected one of window, lsa, lss"),
        (None, {"hrf": "gamma"}, "hrf: got 'gamma', expected one of glover, spm"),
        (None, {"window": 5}, "window: got 5, expected two times in seconds"),
        (None, {"confounds": "motion6"}, "confounds: got 'motion6', expected none, motion, motion24 or a list"),
        (None, {"confounds": ["trans_q"]}, "column 'trans_q' is missing; did you mean 'trans_"),
        (None, {"high_pass": -1}, "high_pass: got -1, expected a number of at least 0"),
        (None, {"stimulus_column": "image"}, "column 'image' is missing"),
    ],
)
def test_damage_has_one_clear_line(
    folder: Path, tmp_path: Path, damage: Callable[[Path], None] | None, options: dict[str, Any], message: str
) -> None:
    if damage is not None:
        damage(folder)
    with pytest.raises(NeurodecodeError) as caught:
        prepare_study(FmriprepStudy(folder, **options), tmp_path / "cache", subjects=["sub-01"])
    assert message in str(caught.value), str(caught.value)
    assert "\n" not in str(caught.value)


def test_too_many_trials_for_one_model(miniatures: Path) -> None:
    generator = np.random.default_rng(0)
    events = pd.DataFrame({"onset": np.arange(30) * 2.0, "duration": 1.0})
    signals = 800 + generator.normal(size=(32, 3)).astype(np.float32)
    with pytest.raises(DataError, match=r"30 trials and \d+ other regressors are too many for a model of 32 volumes"):
        single_trial_betas(
            signals, events, pd.DataFrame(index=range(32)), 2.0 * np.arange(32), separate=False, hrf="glover",
            noise="ols", high_pass=0.008,
        )  # fmt: skip


def test_confounds_of_the_oldest_release(miniatures: Path) -> None:
    new = read_confounds(miniatures / LAYOUTS[0] / FUNC / f"{RUN}_desc-confounds_timeseries.tsv", "motion", 120)
    old = read_confounds(miniatures / LAYOUTS[2] / FUNC / f"{RUN}_bold_confounds.tsv", "motion", 120)
    np.testing.assert_array_equal(new.to_numpy(), old.to_numpy())
    assert list(new.columns) == [*MOTION, "non_steady_state_outlier00"]
    more = read_confounds(miniatures / LAYOUTS[0] / FUNC / f"{RUN}_desc-confounds_timeseries.tsv", "motion24", 120)
    assert more.shape == (120, 25)
    assert more["trans_x_derivative1"].iloc[0] == 0


@pytest.mark.parametrize("response", ["window", "lsa", "lss"])
def test_voxels_in_pieces_are_the_same(miniatures: Path, monkeypatch: pytest.MonkeyPatch, response: Any) -> None:
    study = FmriprepStudy(miniatures / LAYOUTS[2], response=response, space="fsaverage5", task="things")
    whole = responses(study.load("sub-02"))
    monkeypatch.setattr("neurodecode.datasets.fmriprep_model.VOXELS_AT_ONCE", 20)
    np.testing.assert_allclose(responses(study.load("sub-02")), whole, atol=1e-5)
