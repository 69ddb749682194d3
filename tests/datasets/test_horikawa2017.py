"""Generic Object Decoding: every form from one planted signal, seen and imagined, and what must be refused."""

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
from scipy.io import loadmat, savemat

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.datasets.catalogue import open_study
from neurodecode.datasets.horikawa2017 import GenericObjectDecoding
from neurodecode.datasets.horikawa2017.bdpy_files import open_table
from neurodecode.datasets.horikawa2017.bids import CLEANED
from neurodecode.datasets.horikawa2017.names import name_of, names_of
from neurodecode.datasets.horikawa2017.sources import read_labels
from neurodecode.datasets.miniatures.catalogue import write_miniature
from neurodecode.datasets.miniatures.horikawa2017 import (
    LAYOUTS,
    SUBJECTS,
    TESTED,
    blocks,
    number_of,
    picture_names,
    regions,
    responses,
)
from neurodecode.datasets.miniatures.known_score import known_score
from neurodecode.datasets.miniatures.planted import code_of, picture_of

TABLES = tuple(layout for layout in LAYOUTS if layout not in ("npz", "bids"))
EVENTS = Path("sub-01/ses-perceptionTest01/func/sub-01_ses-perceptionTest01_task-perception_run-02_events.tsv")
BOLD = Path("derivatives/preproc-spm/output") / str(EVENTS).replace("_events.tsv", "_bold_preproc.nii.gz")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every layout; not to be changed."""
    root = tmp_path_factory.mktemp("god")
    for layout in LAYOUTS:
        write_miniature("god", root / layout, layout=layout)
    return root


@pytest.fixture(scope="module")
def prepared(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, PreparedStudy]:
    """The cache of every layout."""
    root = tmp_path_factory.mktemp("caches")
    return {layout: prepare_study(open_study("god", pristine / layout), root / layout) for layout in LAYOUTS}


@pytest.fixture
def copy(pristine: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Give a function that copies a layout, so that a test may damage it."""

    def make(layout: str) -> Path:
        return Path(shutil.copytree(pristine / layout, tmp_path / layout))

    return make


def in_order(prepared: PreparedStudy, subject: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Give windows and signals, sorted by task, picture and repetition."""
    recording = prepared.recording(subject)
    windows = recording.windows.sort_values(["task", "stimulus", "repetition"])
    return windows, recording.read(windows.index.to_numpy())[:, :, 0]


def planted(number: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Give the same of what was planted."""
    seen = {name.split("_")[0]: name for name in picture_names(0)[1]}
    table = blocks(number, 0).copy()
    table["stimulus"] = [seen.get(name, name) for name in table["stimulus"]]
    table["repetition"] = table.groupby(["task", "stimulus"]).cumcount() + 1
    table = table.sort_values(["task", "stimulus", "repetition"])
    return table, responses(number, 0)[table.index.to_numpy()]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("number", SUBJECTS)
def test_every_form_gives_the_same_trials(prepared: dict[str, PreparedStudy], layout: str, number: int) -> None:
    table, values = planted(number)
    windows, found = in_order(prepared[layout], f"sub-{number:02d}")
    if layout == "npz":
        # The test is averaged, and nothing is imagined.
        train = (table["task"] == "train").to_numpy()
        mine = (windows["task"] == "train").to_numpy()
        assert windows["stimulus"][mine].tolist() == table["stimulus"][train].tolist()
        np.testing.assert_allclose(found[mine], values[train], atol=1e-6)
        for row in np.flatnonzero(~mine):
            seen = (table["task"] == "perception") & (table["stimulus"] == windows["stimulus"].iloc[row])
            np.testing.assert_allclose(found[row], values[seen.to_numpy()].mean(axis=0), atol=1e-6)
        assert (~mine).sum() == TESTED
        return
    for column in ("task", "stimulus", "repetition"):
        assert windows[column].tolist() == table[column].tolist()
    if layout == "bids":
        assert prepared[layout].recording(f"sub-{number:02d}").flags == (CLEANED,)
        return
    assert windows["run"].astype(int).tolist() == table["run"].tolist()
    np.testing.assert_allclose(found, values, atol=1e-6)


@pytest.mark.parametrize("number", SUBJECTS)
def test_cleaned_runs_hold_the_same_signals(prepared: dict[str, PreparedStudy], number: int) -> None:
    table, values = planted(number)
    _, found = in_order(prepared["bids"], f"sub-{number:02d}")
    # The planted voxels lie in C order of the grid, as the reader's do; scaling is within runs.
    same = [
        np.corrcoef(found[members, voxel], values[members, voxel])[0, 1]
        for members in table.reset_index(drop=True).groupby(["task", "run"]).indices.values()
        for voxel in range(values.shape[1])
    ]
    assert min(same) > 0.85
    assert np.mean(same) > 0.98
    sensors = prepared["bids"].recording(f"sub-{number:02d}").sensors
    assert sensors.grid is not None
    masks = regions(number)
    for roi in ("V1", "V4", "FFA"):
        np.testing.assert_array_equal(sensors.regions[roi], masks[roi])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_score_of_the_planted_signal(prepared: dict[str, PreparedStudy], layout: str) -> None:
    for number in SUBJECTS:
        assert known_score(prepared[layout], f"sub-{number:02d}") == 1.0
        assert known_score(prepared[layout], f"sub-{number:02d}", shuffle=True) < 0.3  # chance is 1 of 8


def test_what_was_imagined_is_a_test_of_its_own(pristine: Path, tmp_path: Path) -> None:
    study = open_study("god", pristine / "bdpy")
    imagery = prepare_study(study, tmp_path / "imagery", split="imagery")
    windows = imagery.recording("sub-01").windows
    assert set(windows["task"].iloc[imagery.split.rows("sub-01", "test")]) == {"imagery"}
    assert set(windows["task"].iloc[imagery.split.rows("sub-01", "train")]) == {"train"}
    used = np.concatenate([imagery.split.rows("sub-01", part) for part in ("train", "val", "test")])
    assert "perception" not in set(windows["task"].iloc[used])
    # Half as strong, but the same patterns.
    assert known_score(imagery, "sub-01") > 0.7
    assert known_score(imagery, "sub-01", shuffle=True) < 0.3
    with pytest.raises(ConfigError, match="split: got 'test', expected one of perception, imagery"):
        study.named_split("test", {"sub-01": windows})
    other = open_study("god", pristine / "npz")
    with pytest.raises(ConfigError, match="split: got 'imagery', but dialect npz has no such trials of sub-01"):
        other.named_split("imagery", {"sub-01": other.load("sub-01").windows})


def test_no_category_is_on_two_sides(prepared: dict[str, PreparedStudy]) -> None:
    split = prepared["bdpy"].split
    assert split.unit == "concept"
    windows = prepared["bdpy"].recording("sub-01").windows
    sides = {part: set(windows["concept"].iloc[split.rows("sub-01", part)]) for part in ("train", "val", "test")}  # type: ignore[arg-type]
    assert not sides["train"] & sides["val"]
    assert not sides["test"] & (sides["train"] | sides["val"])
    assert len(sides["test"]) == TESTED
    for layout in LAYOUTS:
        other = prepared[layout].recording("sub-03").windows
        chosen = prepared[layout].split.rows("sub-03", "val")
        assert set(other["concept"].iloc[chosen]) == sides["val"]


def test_regions_are_columns(prepared: dict[str, PreparedStudy]) -> None:
    for layout in ("bdpy", "mat73", "npz"):
        for number in SUBJECTS:
            sensors = prepared[layout].recording(f"sub-{number:02d}").sensors
            for roi, mask in regions(number).items():
                np.testing.assert_array_equal(sensors.regions[roi], mask)


def test_vectors_of_the_authors(pristine: Path) -> None:
    for layout in ("bdpy", "mat"):
        tables = open_study("god", pristine / layout).feature_tables()
        assert set(tables) == {"cnn1", "gist"}
        names = [*picture_names(0)[0][:3], picture_names(0)[1][0]]
        np.testing.assert_allclose(tables["cnn1"].of(names), np.stack([code_of(name) for name in names]), atol=1e-6)
        # Averages of categories are no pictures.
        assert len(tables["gist"].names) == len(picture_names(0)[0]) + TESTED
    assert open_study("god", pristine / "bids").feature_tables() == {}


def test_pictures_and_words(pristine: Path, copy: Callable[[str], Path]) -> None:
    stimuli = open_study("god", pristine / "mat").stimuli()
    name = picture_names(0)[1][0]
    assert stimuli.get(name)["part"] == "perception"
    assert stimuli.picture(name).size == (24, 24)
    words = open_study("god", pristine / "npz").stimuli()
    assert words.get(name)["text"].startswith("thing ")
    # MinD-Vis packs the pictures in the order of its lists.
    for one in (name, picture_names(0)[0][5]):
        np.testing.assert_array_equal(np.asarray(words.picture(one)), np.asarray(picture_of(one, size=24)))
    packed = copy("npz")
    with np.load(packed / "images_256.npz") as archive:
        np.savez(
            packed / "images_256.npz", train_images=archive["train_images"][1:], test_images=archive["test_images"]
        )
    with pytest.raises(
        DataError, match=r"train_images has shape \(79, 24, 24, 3\), expected 80 pictures as in imagenet_tr"
    ):
        open_study("god", packed).stimuli()
    (packed / "images_256.npz").unlink()
    assert not open_study("god", packed).stimuli().table["path"].any()
    root = copy("bdpy")
    next((root / "images" / "test").glob("n*")).unlink()
    with pytest.raises(DataError, match=r"images: no file of the picture n\d{8}_\d+ \(1 missing\)"):
        open_study("god", root).stimuli()
    shutil.copy(root / "images" / "training" / f"{picture_names(0)[0][0]}.JPEG", root / "images")
    with pytest.raises(DataError, match=r"has the same name, expected one file of each picture"):
        open_study("god", root).stimuli()


def test_the_dialect_may_be_forced(pristine: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(pristine / "bids", tmp_path / "both"))
    shutil.copy(pristine / "bdpy" / "Subject1.h5", root)
    assert open_study("god", root).steps()["dialect"] == "bdpy"
    assert open_study("god", root, {"dialect": "bids"}).load("sub-03").sensors.grid is not None
    with pytest.raises(ConfigError, match="dialect: got 'h5', expected one of bdpy, npz, bids"):
        open_study("god", root, {"dialect": "h5"})
    with pytest.raises(DataError, match="subject: got 'sub-02', expected one of sub-01"):
        open_study("god", root).load("sub-02")


def test_what_is_known_of_the_original_is_checked(pristine: Path) -> None:
    with pytest.raises(DataError, match="80 samples \\(train\\) of sub-01, expected 1200"):
        GenericObjectDecoding(pristine / "mat").load("sub-01")
    with pytest.raises(DataError, match="40 categories \\(categories\\), expected 150"):
        GenericObjectDecoding(pristine / "mat").stimuli()


def change_h5(root: Path, change: Callable[[h5py.File], None]) -> None:
    with h5py.File(root / "Subject1.h5", "a") as file:
        change(file)


def put(file: h5py.File, name: str, values: object) -> None:
    del file[name]
    file[name] = values


def single_precision(file: h5py.File) -> None:
    values = file["dataset"][()]
    values[:, -1] = values[:, -1].astype(np.float32)
    put(file, "dataset", values)


def set_value(row: int, column: int, value: float) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file["dataset"][row, column] = value

    return change


def rename_key(old: bytes, new: bytes) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        put(file, "metadata/key", [new if key == old else key for key in file["metadata/key"][()].tolist()])

    return change


def two_numbers(file: h5py.File) -> None:
    file["metadata/value"][[key for key in file["metadata/key"][()].tolist()].index(b"stimulus_id"), 0] = 1


def change_npz(root: Path, **changes: Callable[[np.ndarray], np.ndarray | None]) -> None:
    with np.load(root / "sbj_1.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    for name, change in changes.items():
        changed = change(arrays.pop(name))
        if changed is not None:
            arrays[name] = changed
    np.savez(root / "sbj_1.npz", **arrays)


def change_events(root: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    # As texts, so that numbers keep their digits.
    table = pd.read_csv(root / EVENTS, sep="\t", dtype=str, keep_default_na=False)
    change(table).to_csv(root / EVENTS, sep="\t", index=False)


def at(column: str, row: int, value: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[row, column] = value
        return table

    return change


def fewer_volumes(root: Path) -> None:
    image = nibabel.load(root / BOLD)
    nibabel.save(image.slicer[..., :20], root / BOLD)


def flat_voxel(root: Path) -> None:
    image = nibabel.load(root / BOLD)
    nibabel.save(nibabel.Nifti1Image(np.full(image.shape, 5, np.float32), image.affine), root / BOLD)


def broken_mat(root: Path) -> None:
    content = loadmat(root / "Subject1.mat", simplify_cells=True)
    savemat(root / "Subject1.mat", {"dataSet": content["dataSet"]})


def lines(root: Path, change: Callable[[list[str]], list[str]]) -> None:
    path = root / "imagenet_training_label.csv"
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")


DAMAGES: list[tuple[str, Callable[[Path], None], str]] = [
    (
        "bdpy",
        lambda r: change_h5(r, single_precision),
        r"row 0: \S+ names no picture, expected a number with decimals such as .* \(single precision loses them\)",
    ),
    ("bdpy", lambda r: change_h5(r, set_value(4, 0, 7.0)), r"DataType of sample 4 is 7, expected 1, 2 or 3"),
    ("bdpy", lambda r: change_h5(r, set_value(4, -1, np.nan)), r"row 4: nan is no stimulus, expected a number such"),
    ("bdpy", lambda r: change_h5(r, set_value(4, -1, 1234567.1234567)), r"row 4: 1234567\.1234567 has more than six"),
    (
        "bdpy",
        lambda r: change_h5(r, set_value(4, -1, number_of(picture_names(0)[1][0]))),
        r"n\d{8}_109 is in perception of sub-01 and in train",
    ),
    ("bdpy", lambda r: change_h5(r, set_value(-1, -1, 9999999.0)), r"the imagined category n09999999 has no picture"),
    (
        "bdpy",
        lambda r: change_h5(r, rename_key(b"DataType", b"Type")),
        r"metadata have no key 'DataType', got Type, Run",
    ),
    ("bdpy", lambda r: change_h5(r, rename_key(b"VoxelData", b"Voxels")), r"metadata have no key 'VoxelData'"),
    ("bdpy", lambda r: change_h5(r, two_numbers), r"2 columns are marked 'stimulus_id', expected one"),
    ("bdpy", lambda r: change_h5(r, lambda f: f.pop("metadata")), r"metadata/key is missing"),
    (
        "bdpy",
        lambda r: change_h5(r, lambda f: f.pop("dataset")),
        r"neither 'dataset' nor 'dataSet' is there, got header",
    ),
    (
        "bdpy",
        lambda r: change_h5(r, lambda f: put(f, "dataset", f["dataset"][()].T)),
        r"a table float64 of shape \(42, 144\) with 15 keys and metadata of shape \(15, 42\), expected",
    ),
    (
        "bdpy",
        lambda r: change_h5(r, lambda f: put(f, "dataset", f["dataset"][()].astype(np.float32))),
        r"the table is float32, expected float64",
    ),
    (
        "bdpy",
        lambda r: (r / "Subject1.h5").write_bytes((r / "Subject1.h5").read_bytes()[:4000]),
        r"Subject1\.h5: not readable as HDF5",
    ),
    ("mat", broken_mat, r"Subject1\.mat: the variable 'metaData' is missing"),
    ("mat", lambda r: (r / "Subject1.mat").write_bytes(b"MATLAB 5.0"), r"Subject1\.mat: not readable as a MATLAB file"),
    ("npz", lambda r: change_npz(r, arr_3=lambda x: None), r"no array 'arr_3', got FFA, HVC, LOC, LVC, PPA, V1"),
    (
        "npz",
        lambda r: change_npz(r, arr_3=lambda x: x + 1),
        r"arr_3 is int64 of shape \(80,\), expected 80 rows of a list",
    ),
    ("npz", lambda r: change_npz(r, arr_2=lambda x: x[1:]), r"arr_2 has 7 averages, expected 8 as in the list of test"),
    ("npz", lambda r: change_npz(r, arr_2=lambda x: x.T), r"arr_0 \(80, 39\) and arr_2 \(39, 8\), expected samples of"),
    ("npz", lambda r: change_npz(r, V1=lambda x: x[1:]), r"the region V1 has shape \(38,\), expected \(39,\)"),
    (
        "npz",
        lambda r: lines(r, lambda x: [x[0].replace("n0", "n1"), *x[1:]]),
        r"line 1: \S+ stands for n\S+, but the file",
    ),
    ("npz", lambda r: lines(r, lambda x: ["cat.jpg", *x]), r"line 1: got the stimulus '', expected one such as"),
    ("npz", lambda r: (r / "imagenet_testing_label.csv").unlink(), r"imagenet_testing_label\.csv: no such file"),
    (
        "bids",
        lambda r: change_events(r, at("stimulus_name", 2, "n01443537_1")),
        r"line 4: stimulus_id \S+ stands for n\S+",
    ),
    (
        "bids",
        lambda r: change_events(r, at("onset", 2, "44.5")),
        r"line 4: onset 44\.5 and duration 9.*, expected mult",
    ),
    ("bids", lambda r: change_events(r, lambda t: t.drop(columns="event_type")), r"column 'event_type' is missing"),
    (
        "bids",
        lambda r: change_events(r, lambda t: t.drop(columns=["stimulus_id", "stimulus_name"])),
        r"neither the column 'stimulus_name' nor 'stimulus_id' is there",
    ),
    ("bids", lambda r: (r / EVENTS).unlink(), r"its events table .*run-02_events\.tsv is missing"),
    (
        "bids",
        fewer_volumes,
        r"run-02_events\.tsv: the block at \d+ s ends after the 20 volumes of .*run-02_bold",
    ),
    ("bids", flat_voxel, r"run-02_bold_preproc\.nii\.gz: voxel 0 of the regions is flat \(39 are\)"),
    (
        "bids",
        lambda r: shutil.rmtree(r / "sourcedata"),
        r"sourcedata/sub-01/anat: no masks sub-01_mask_LH_V1d\.nii\.gz",
    ),
]


@pytest.mark.parametrize(("layout", "damage", "message"), DAMAGES)
def test_damage_has_one_clear_line(
    copy: Callable[[str], Path], layout: str, damage: Callable[[Path], object], message: str
) -> None:
    root = copy(layout)
    damage(root)
    with pytest.raises(DataError, match=message) as caught:
        open_study("god", root).load("sub-01")
    assert "\n" not in str(caught.value)


def test_a_category_on_both_sides_is_refused(copy: Callable[[str], Path]) -> None:
    root = copy("bdpy")
    other = number_of(picture_names(0)[1][0].split("_")[0] + "_77")
    change_h5(root, set_value(4, -1, other))
    with pytest.raises(DataError, match=r"the category n\d{8} is in train and in perception"):
        open_study("god", root).stimuli()


def test_older_events_have_numbers_only(copy: Callable[[str], Path], prepared: dict[str, PreparedStudy]) -> None:
    root = copy("bids")
    change_events(root, lambda t: t.rename(columns={"stimulus_id": "stim_id"}).drop(columns="stimulus_name"))
    expected = prepared["bids"].recording("sub-01").windows["stimulus"]
    assert open_study("god", root).load("sub-01").windows["stimulus"].tolist() == expected.tolist()


def test_masks_of_finer_grids_are_resampled(copy: Callable[[str], Path], prepared: dict[str, PreparedStudy]) -> None:
    root = copy("bids")
    for path in (root / "sourcedata" / "sub-01" / "anat").glob("*.nii.gz"):
        values = np.asarray(nibabel.load(path).dataobj)
        fine = np.repeat(np.repeat(np.repeat(values, 3, 0), 3, 1), 3, 2)
        affine = np.eye(4)
        affine[:3, 3] = -1.0
        nibabel.save(nibabel.Nifti1Image(fine, affine), path)
    found = open_study("god", root).load("sub-01")
    np.testing.assert_array_equal(found.sensors.grid, prepared["bids"].recording("sub-01").sensors.grid)


def test_the_picture_is_in_the_decimals() -> None:
    for part in picture_names(0):
        assert names_of(np.array([number_of(name) for name in part]), "here") == part
    # Written with six decimals and read again, or summed in another order: compared rounded, not as floats.
    assert name_of(3767745 + 109e-6, "here", 0) == name_of(float("3767745.000109"), "here", 0) == "n03767745_109"


@settings(max_examples=100, deadline=None, derandomize=True)
@given(category=st.integers(1_000_000, 99_999_999), picture=st.integers(0, 999_999))
def test_numbers_and_names_are_inverses(category: int, picture: int) -> None:
    name = f"n{category:08d}_{picture}" if picture else f"n{category:08d}"
    assert name_of(number_of(name), "here", 0) == name


@settings(max_examples=30, deadline=None, derandomize=True)
@given(content=st.binary(max_size=300))
def test_any_file_is_read_or_refused(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    for name in ("Subject1.h5", "Subject1.mat"):
        (folder / name).write_bytes(content)
        with pytest.raises(DataError, match=name), open_table(folder / name):
            pass
    (folder / "list.csv").write_bytes(b"x" + content)
    with pytest.raises(DataError, match=r"list\.csv"):
        read_labels(folder / "list.csv")
