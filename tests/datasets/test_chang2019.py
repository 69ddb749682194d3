"""BOLD5000: every form from one planted signal, proven orders of trials, and what must be refused."""

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
from PIL import Image
from scipy.io import savemat

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.datasets.catalogue import open_study
from neurodecode.datasets.chang2019.bids import volume_of
from neurodecode.datasets.chang2019.study import CLEANED, DENOISED, FITTED, ROI_FOLDER, Z_ALL, Z_SESSION, Bold5000
from neurodecode.datasets.chang2019.trials import LISTS, REPEATED, concept_of, read_lines, set_of, stimulus_of
from neurodecode.datasets.miniatures.catalogue import write_miniature
from neurodecode.datasets.miniatures.chang2019 import (
    BETAS,
    KEYS,
    LAYOUTS,
    picture_names,
    places,
    responses,
    stimulus,
    trials,
)
from neurodecode.datasets.miniatures.known_score import known_score
from neurodecode.datasets.miniatures.planted import picture_of

COLUMNS = ["session", "run", "stimulus", "repetition", "repeated"]
RUN = LISTS / "CSI1" / "CSI1_sess02" / "CSI_sess02_run01.txt"
ARRAY = ROI_FOLDER / f"CSI1_{BETAS}_allses_RHPPA.npy"
EVENTS = Path("sub-CSI1/ses-02/func/sub-CSI1_ses-02_task-5000scenes_run-01_events.tsv")
BOLD = Path("derivatives/fmriprep/sub-CSI1/ses-02/func/sub-CSI1_ses-02_task-5000scenes_run-01_bold_space-T1w_preproc")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every layout; not to be changed."""
    root = tmp_path_factory.mktemp("bold5000")
    for layout in LAYOUTS:
        write_miniature("bold5000", root / layout, layout=layout)
    return root


@pytest.fixture(scope="module")
def prepared(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, PreparedStudy]:
    """The cache of every layout."""
    root = tmp_path_factory.mktemp("caches")
    return {layout: prepare_study(open_study("bold5000", pristine / layout), root / layout) for layout in LAYOUTS}


@pytest.fixture
def copy(pristine: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Give a function that copies a layout, so that a test may damage it."""

    def make(layout: str) -> Path:
        return Path(shutil.copytree(pristine / layout, tmp_path / layout))

    return make


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_form_gives_the_same_trials(prepared: dict[str, PreparedStudy], layout: str) -> None:
    for number in (1, 4):
        found = prepared[layout].recording(f"sub-{number:02d}").windows
        first = prepared["roi_betas"].recording(f"sub-{number:02d}").windows
        pd.testing.assert_frame_equal(found[COLUMNS], first[COLUMNS], check_dtype=False)
        planted = trials(number, 0)
        assert found["stimulus"].tolist() == [stimulus(name) for name in planted["name"]]
        assert found["session"].astype(int).tolist() == planted["session"].tolist()
        assert found["run"].astype(int).tolist() == planted["run"].tolist()


@pytest.mark.parametrize("number", [1, 4])
def test_every_form_gives_the_same_signals(prepared: dict[str, PreparedStudy], number: int) -> None:
    planted, (grid, owner) = responses(number, 0), places(number, 0)
    rows = np.arange(len(planted))
    for layout in LAYOUTS:
        recording = prepared[layout].recording(f"sub-{number:02d}")
        values = recording.read(rows)[:, :, 0]
        assert values.shape == planted.shape
        for key in KEYS:
            mine, expected = values[:, recording.sensors.regions[key]], planted[:, owner == key]
            if layout != "bids":
                np.testing.assert_array_equal(mine, expected)
                continue
            # Cleaned and scaled within runs: what slow cosines do not explain is left.
            found = [
                np.corrcoef(mine[members, voxel], expected[members, voxel])[0, 1]
                for members in recording.windows.groupby(["session", "run"]).indices.values()
                for voxel in range(expected.shape[1])
            ]
            assert min(found) > 0.9
            assert np.mean(found) > 0.97
    for layout in ("betas", "bids"):
        sensors = prepared[layout].recording(f"sub-{number:02d}").sensors
        np.testing.assert_array_equal(sensors.grid, grid)
        np.testing.assert_array_equal(sensors.regions["PPA"], np.isin(owner, ["LHPPA", "RHPPA"]))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_score_of_the_planted_signal(prepared: dict[str, PreparedStudy], layout: str) -> None:
    for subject in ("sub-01", "sub-04"):
        assert known_score(prepared[layout], subject) == 1.0
        assert known_score(prepared[layout], subject, shuffle=True) < 0.3  # chance is 1 of 7 or 8


def test_the_repeated_pictures_test(prepared: dict[str, PreparedStudy]) -> None:
    repeated = {stimulus(name) for name in picture_names(0)[0]}
    first = prepared["roi_betas"]
    for layout in LAYOUTS:
        assert prepared[layout].split.hash == first.split.hash
    windows = first.recording("sub-01").windows
    assert set(windows["stimulus"].iloc[first.split.rows("sub-01", "test")]) == repeated
    # The fourth person saw one of them once, and one never.
    shown = first.recording("sub-04").windows
    tested = shown.iloc[first.split.rows("sub-04", "test")]["stimulus"].value_counts()
    assert len(tested) == len(repeated) - 1
    assert tested.min() == 1
    for part in ("train", "val"):
        assert not repeated & set(windows["stimulus"].iloc[first.split.rows("sub-01", part)])  # type: ignore[arg-type]


def test_without_the_list_the_rule_gives_the_same(copy: Callable[[str], Path]) -> None:
    root = copy("roi_betas")
    whole = open_study("bold5000", root)
    windows = {subject: whole.load(subject).windows for subject in whole.subjects()}
    (root / REPEATED).unlink()
    again = open_study("bold5000", root)
    np.testing.assert_array_equal(
        again.split(windows).rows("sub-04", "test"), whole.split(windows).rows("sub-04", "test")
    )
    study = Bold5000(root)
    study.info = type(study.info)(**{**vars(study.info), "expected": {"repeated": 113}})
    with pytest.raises(DataError, match=r"113_list\.txt: no such file, and 8 pictures were shown repeatedly, not 113"):
        study.load("sub-01")


def test_contaminations_are_flagged(prepared: dict[str, PreparedStudy], copy: Callable[[str], Path]) -> None:
    assert prepared["roi_betas"].recording("sub-01").flags == (FITTED, DENOISED)
    assert prepared["rois_mat"].recording("sub-01").flags == ()
    assert prepared["bids"].recording("sub-01").flags == (CLEANED,)
    # Somebody's z-scores with the test pictures are known by the numbers.
    root = copy("roi_betas")
    sessions = trials(1, 0)["session"].to_numpy()
    for key in KEYS:
        path = root / ROI_FOLDER / f"CSI1_{BETAS}_allses_{key}.npy"
        values = np.load(path)
        np.save(path, (values - values.mean(axis=0)) / values.std(axis=0))
    assert Z_ALL in open_study("bold5000", root).load("sub-01").flags
    for key in KEYS:
        path = root / ROI_FOLDER / f"CSI1_{BETAS}_allses_{key}.npy"
        values = np.load(path)
        for session in np.unique(sessions):
            part = values[sessions == session]
            values[sessions == session] = (part - part.mean(axis=0)) / part.std(axis=0)
        np.save(path, values)
    flags = open_study("bold5000", root).load("sub-01").flags
    assert Z_SESSION in flags
    assert Z_ALL not in flags


def test_pictures_and_texts(prepared: dict[str, PreparedStudy], copy: Callable[[str], Path]) -> None:
    stimuli = prepared["betas"].stimuli
    name = next(one for one in stimuli.names if one.startswith("n0"))
    assert stimuli.get(name)["text"].startswith("thing ")
    assert stimuli.get(name)["concept"] == name[:9]
    castle = next(one for one in stimuli.names if one.startswith("castle"))
    assert stimuli.get(castle)["text"] == "castle"
    for one in (name, castle):
        got, expected = (np.asarray(picture, dtype=int) for picture in (stimuli.picture(one), picture_of(one, size=24)))
        assert np.abs(got - expected).mean() < 3  # JPEG
    root = copy("roi_betas")
    shutil.rmtree(root / "BOLD5000_Stimuli" / "Scene_Stimuli" / "Presented_Stimuli")
    assert not open_study("bold5000", root).stimuli().table["path"].any()


def test_the_whole_brain(pristine: Path, prepared: dict[str, PreparedStudy]) -> None:
    for layout in ("betas", "bids"):
        brain = open_study("bold5000", pristine / layout, {"mask": "brainmask"}).load("sub-01")
        regions = prepared[layout].recording("sub-01")
        assert brain.n_channels > 2 * regions.n_channels
        both = [brain.sensors.names.index(name) for name in regions.sensors.names]
        np.testing.assert_allclose(brain.read([3, 80])[:, both], regions.read([3, 80]), rtol=1e-5)


def test_voxels_without_a_signal_are_left_out(copy: Callable[[str], Path]) -> None:
    root = copy("betas")
    path = root / f"CSI1_{BETAS}_ses-02.nii.gz"
    image = nibabel.load(path)
    values = image.get_fdata(dtype=np.float32)
    x, y, z = places(1, 0)[0][5]
    values[x, y, z] = np.nan
    nibabel.save(nibabel.Nifti1Image(values, image.affine), path)
    found = open_study("bold5000", root).load("sub-01")
    assert found.n_channels == 43
    assert "1 of 44 voxels without a signal throughout left out" in found.flags
    np.testing.assert_array_equal(found.read([0])[0, :, 0], np.delete(responses(1, 0)[0], 5))


def test_the_dialect_may_be_forced(pristine: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(pristine / "betas", tmp_path / "both"))
    shutil.copytree(pristine / "roi_betas" / ROI_FOLDER, root / ROI_FOLDER)
    assert open_study("bold5000", root).steps()["dialect"] == "roi_betas"
    assert open_study("bold5000", root, {"dialect": "betas"}).load("sub-04").sensors.grid is not None
    with pytest.raises(ConfigError, match="dialect: got 'roi', expected one of roi_betas, betas, rois, bids; did you"):
        open_study("bold5000", root, {"dialect": "roi"})
    with pytest.raises(ConfigError, match="mask: got 'brainmask', but the files of dialect roi_betas hold the regions"):
        open_study("bold5000", root, {"mask": "brainmask"})
    with pytest.raises(ConfigError, match="mask: got 'V1', expected one of rois, brainmask"):
        open_study("bold5000", root, {"mask": "V1"})
    with pytest.raises(DataError, match="subject: got 'sub-01', expected one of none"):
        open_study("bold5000", root, {"dialect": "bids"}).load("sub-01")


def test_what_is_known_of_the_original_is_checked(pristine: Path) -> None:
    with pytest.raises(DataError, match="150 trials of CSI1 in its lists, expected 5254"):
        Bold5000(pristine / "betas").load("sub-01")
    study = Bold5000(pristine / "roi_betas")
    study.info = type(study.info)(**{**vars(study.info), "expected": {"roi_betas_sub-01": 1685}})
    with pytest.raises(DataError, match="44 voxels of CSI1, expected 1685"):
        study.load("sub-01")


def edit(root: Path, path: Path, change: Callable[[list[str]], list[str]]) -> None:
    (root / path).write_text("\n".join(change((root / path).read_text().splitlines())) + "\n")


def swapped(lines: list[str]) -> list[str]:
    return [lines[0], lines[2], lines[1], *lines[3:]]


def resave(root: Path, path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    np.save(root / path, change(np.load(root / path)))


def move_mask(root: Path) -> None:
    path = root / "derivatives/spm/sub-CSI1/sub-CSI1_mask-LHPPA.nii.gz"
    image = nibabel.load(path)
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), np.diag([2.0, 2, 2, 1]) + np.eye(4, k=3)), path)


def fewer_volumes(root: Path, path: Path) -> None:
    image = nibabel.load(root / path)
    nibabel.save(image.slicer[..., :-1], root / path)


def cut(root: Path, path: Path) -> None:
    (root / path).write_bytes((root / path).read_bytes()[:2000])


def another_step(root: Path) -> None:
    path = root / BOLD.with_name(BOLD.name + ".nii.gz")
    image = nibabel.load(path)
    image.header.set_zooms((2.0, 2.0, 2.0, 2.5))
    nibabel.save(image, path)


def change_events(root: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    table = pd.read_csv(root / EVENTS, sep="\t")
    change(table).to_csv(root / EVENTS, sep="\t", index=False, na_rep="n/a")


def without_region(root: Path) -> None:
    savemat(root / "ROIs/CSI1/mat/CSI1_ROIs_TR34.mat", {"V1": np.zeros((150, 3))})


def hdf5_with_a_group(root: Path) -> None:
    with h5py.File(root / "ROIs/CSI1/h5/CSI1_ROIs_TR34.h5", "a") as file:
        del file["LHPPA"]
        file["LHPPA"] = np.zeros((3, 150))


DAMAGES: list[tuple[str, Callable[[Path], None], str]] = [
    ("roi_betas", lambda r: resave(r, ARRAY, lambda x: x[:-1]), r"RHPPA is float32 of shape \(149, \d\), expected num"),
    (
        "roi_betas",
        lambda r: resave(r, ARRAY, lambda x: x.T),
        r"RHPPA is float32 of shape \(\d, 150\), expected numbers",
    ),
    ("roi_betas", lambda r: cut(r, ARRAY), r"RHPPA\.npy: not readable as a whole \.npy array"),
    (
        "roi_betas",
        lambda r: edit(r, RUN, lambda x: x[:-1]),
        r"LHEarlyVis is float32 of shape \(150, \d\), expected .*149",
    ),
    (
        "roi_betas",
        lambda r: edit(r, RUN, lambda x: ["two words", *x]),
        r"run01\.txt: line 1: got 'two words', expected",
    ),
    (
        "roi_betas",
        lambda r: (r / RUN).rename((r / RUN).with_name("list.txt")),
        r"list\.txt: got this name, expected CSI1_sess01/CSI_sess01_run01\.txt or the like",
    ),
    ("roi_betas", lambda r: shutil.rmtree(r / LISTS / "CSI1"), r"no list of the trials of CSI1, expected one of"),
    (
        "roi_betas",
        lambda r: (r / RUN).write_bytes("café.jpg\n".encode("latin-1")),
        r"run01\.txt: not readable as text \('utf-8' codec",
    ),
    (
        "roi_betas",
        lambda r: edit(r, REPEATED, lambda x: x[1:]),
        r"113_list\.txt: \S+ is not in the list, but CSI1 saw it several times",
    ),
    (
        "roi_betas",
        lambda r: edit(r, REPEATED, lambda x: [*x, picture_names(0)[1][3]]),
        r"113_list\.txt: \S+ is in the list, but CSI1 saw it [01] time\(s\)",
    ),
    (
        "betas",
        lambda r: edit(r, Path("CSI1_imgnames.txt"), swapped),
        r"trial 2 of CSI1 shows \S+ by CSI1_imgnames\.txt, \S+ by BOLD5000_Stimuli/Stimuli_Presentation_Lists/CSI1",
    ),
    (
        "betas",
        lambda r: edit(r, Path("CSI1_imgnames.txt"), lambda x: x[:-1]),
        r"CSI1 has 149 trials by CSI1_imgnames\.txt, expected 150 as by BOLD5000_Stimuli",
    ),
    (
        "betas",
        lambda r: (r / f"CSI1_{BETAS}_ses-02.nii.gz").unlink(),
        r"betas of the sessions 01, 03 of CSI1, the lists",
    ),
    (
        "betas",
        lambda r: fewer_volumes(r, Path(f"CSI1_{BETAS}_ses-02.nii.gz")),
        r"49 volumes, expected 50, one for each",
    ),
    ("betas", lambda r: cut(r, Path(f"CSI1_{BETAS}_ses-02.nii.gz")), r"ses-02\.nii\.gz: not readable as a whole NIfTI"),
    ("betas", lambda r: (r / "CSI1_brainmask.nii.gz").unlink(), r"CSI1_brainmask\.nii\.gz: no such file"),
    ("betas", move_mask, r"mask-LHPPA\.nii\.gz: its affine is not that of the signals"),
    ("betas", lambda r: shutil.rmtree(r / "derivatives"), r"no masks sub-CSI1_mask-LHEarlyVis.* option mask=brainmask"),
    ("rois_mat", without_region, r"CSI1_ROIs_TR34\.mat: none of the arrays LHEarlyVis, RHEarlyVis"),
    ("rois_mat", lambda r: cut(r, Path("ROIs/CSI1/mat/CSI1_ROIs_TR34.mat")), r"TR34\.mat: not readable as arrays of"),
    ("rois_h5", lambda r: cut(r, Path("ROIs/CSI1/h5/CSI1_ROIs_TR34.h5")), r"TR34\.h5: not readable as arrays of"),
    ("rois_h5", hdf5_with_a_group, r"TR34\.h5: LHPPA is float64 of shape \(3, 150\), expected numbers \(150, voxels\)"),
    (
        "rois_mat",
        lambda r: edit(r, Path("ROIs/stim_lists/CSI01_stim_lists.txt"), swapped),
        r"trial 2 of CSI1 shows \S+ by CSI01_stim_lists\.txt",
    ),
    (
        "bids",
        lambda r: change_events(r, lambda t: t.assign(ImgType="coco")),
        r"run-01_events\.tsv: line \d+: ImgType of \S+ is 'coco', expected '(scenes|imagenet)'",
    ),
    (
        "bids",
        lambda r: change_events(r, lambda t: t.assign(onset=t["onset"] + 0.9)),
        r"run-01_events\.tsv: line 2: onset 6\.93\d*, expected one within 0\.2 s of a volume",
    ),
    (
        "bids",
        lambda r: change_events(r, lambda t: t.assign(onset=t["onset"] + 20)),
        r"run-01_events\.tsv: line \d+: the window of the picture at \d+\.\d+ s reaches beyond the 131 volumes",
    ),
    ("bids", lambda r: change_events(r, lambda t: t.drop(columns="ImgType")), r"column 'ImgType' is missing"),
    ("bids", another_step, r"preproc\.nii\.gz: 2\.5 s between volumes by its header, expected 2"),
    (
        "bids",
        lambda r: (r / BOLD.with_name(BOLD.name + ".nii.gz")).unlink(),
        r"session/run 02/01 .* no preprocessed run",
    ),
]


@pytest.mark.parametrize(("layout", "damage", "message"), DAMAGES)
def test_damage_has_one_clear_line(
    copy: Callable[[str], Path], layout: str, damage: Callable[[Path], None], message: str
) -> None:
    root = copy(layout)
    damage(root)
    with pytest.raises(DataError, match=message) as caught:
        open_study("bold5000", root).load("sub-01")
    assert "\n" not in str(caught.value)


def test_lists_prove_each_other_across_forms(copy: Callable[[str], Path], pristine: Path) -> None:
    root = copy("rois_h5")
    for number in (1, 4):
        shutil.copytree(pristine / "bids" / f"sub-CSI{number}", root / f"sub-CSI{number}")
    assert len(open_study("bold5000", root).load("sub-01").windows) == 150
    change_events(root, lambda t: t.iloc[[1, 0, *range(2, len(t))]])
    with pytest.raises(
        DataError, match=r"trial 51 of CSI1 shows \S+ by the events of sub-CSI1, \S+ by BOLD5000_Stimuli"
    ):
        open_study("bold5000", root).load("sub-01")


def test_a_picture_that_is_not_there(copy: Callable[[str], Path]) -> None:
    root = copy("roi_betas")
    folder = root / "BOLD5000_Stimuli/Scene_Stimuli/Presented_Stimuli"
    Image.new("RGB", (4, 4)).save(folder / "COCO" / "castle1.png")
    with pytest.raises(DataError, match=r"castle1\.\w+: .*castle1\.\w+ has the same name, expected one file"):
        open_study("bold5000", root).stimuli()
    (folder / "COCO" / "castle1.png").unlink()
    next((folder / "ImageNet").glob("n*")).unlink()
    with pytest.raises(DataError, match=r"Presented_Stimuli: no file of the picture n\d+_\d+ \(1 missing\)"):
        open_study("bold5000", root).stimuli()


def test_pictures_before_and_after_the_beat_of_the_scanner() -> None:
    # As in the original: a ceiling would be one volume late for every second trial.
    onsets = np.array([6.0308, 16.0062, 25.9978, 36.0062, 45.9979])
    np.testing.assert_array_equal(volume_of(onsets, "events"), [3, 8, 13, 18, 23])
    with pytest.raises(DataError, match="events: line 3: onset nan, expected one within"):
        volume_of(np.array([2.0, np.nan]), "events")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(name=st.text(max_size=30))
def test_any_name_is_taken_apart(name: str) -> None:
    found = stimulus_of(name)
    assert set_of(found) in ("coco", "imagenet", "scenes")
    assert concept_of(found) == "" or found.startswith(concept_of(found))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(content=st.binary(max_size=60))
def test_any_list_is_read_or_refused(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("lists") / "run01.txt"
    path.write_bytes(content)
    try:
        lines = read_lines(path)
    except DataError as error:
        message = str(error)
    else:
        message = str(path)
        assert all(line and line == line.strip() for line in lines)
    assert message.startswith(str(path))
