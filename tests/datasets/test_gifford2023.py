"""The Algonauts Project 2023: a planted signal, pictures proven by their names, and what must be refused."""

import io
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.datasets.catalogue import open_study
from neurodecode.datasets.gifford2023 import FLAG, Algonauts2023, read_names
from neurodecode.datasets.miniatures.catalogue import write_miniature
from neurodecode.datasets.miniatures.gifford2023 import SUBJECTS, numbers_of, responses
from neurodecode.datasets.miniatures.known_score import known_score
from neurodecode.datasets.miniatures.planted import picture_of

IMAGES = Path("subj01/training_split/training_images")
FMRI = Path("subj01/training_split/training_fmri")
MASKS = Path("subj01/roi_masks")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The miniature; not to be changed."""
    return write_miniature("algonauts2023", tmp_path_factory.mktemp("algonauts") / "data")


@pytest.fixture(scope="module")
def prepared(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> PreparedStudy:
    return prepare_study(open_study("algonauts2023", pristine), tmp_path_factory.mktemp("cache") / "all")


@pytest.fixture
def copy(pristine: Path, tmp_path: Path) -> Path:
    """A copy of the first subject that a test may damage."""
    shutil.copytree(pristine / "subj01", tmp_path / "data" / "subj01")
    shutil.copy(pristine / "miniature.json", tmp_path / "data")
    return tmp_path / "data"


def test_rows_and_signals_are_those_planted(prepared: PreparedStudy) -> None:
    assert prepared.subjects == ["sub-01", "sub-02", "sub-06"]
    for number, (training, _, left, right) in SUBJECTS.items():
        recording = prepared.recording(f"sub-{number:02d}")
        assert recording.n_channels == left + right
        assert recording.windows["stimulus"].tolist() == [f"nsd-{n:05d}" for n in numbers_of(number, 0)[0]]
        assert recording.windows["place"].tolist() == list(range(1, training + 1))
        np.testing.assert_array_equal(recording.read(np.arange(training))[:, :, 0], responses(number, 0))
        assert recording.flags == (FLAG,)
        assert set(recording.sensors.kinds) == {"voxel"}
        assert recording.sensors.grid is None


def test_the_score_of_the_planted_signal(prepared: PreparedStudy) -> None:
    for subject in prepared.subjects:
        assert known_score(prepared, subject) > 0.95
        assert known_score(prepared, subject, shuffle=True) < 0.15  # chance is 1 of about 15


def test_regions_join_the_hemispheres(prepared: PreparedStudy, pristine: Path) -> None:
    sensors = prepared.recording("sub-06").sensors
    left, right = SUBJECTS[6][2:]
    labels = np.concatenate(
        [np.load(pristine / "subj06" / "roi_masks" / f"{h}.prf-visualrois_challenge_space.npy") for h in ("lh", "rh")]
    )
    np.testing.assert_array_equal(sensors.regions["V2d"], labels == 4)
    np.testing.assert_array_equal(sensors.regions["V1"], (labels == 1) | (labels == 2))
    np.testing.assert_array_equal(sensors.regions["prf-visualrois"], labels > 0)
    np.testing.assert_array_equal(sensors.regions["lh"], np.arange(left + right) < left)
    assert {"early", "parietal", "OFA", "PPA", "VWFA-1", "EBA"} <= set(sensors.regions)
    # A region that a subject does not have is left out, not empty.
    assert "mTL-faces" not in sensors.regions
    assert all(mask.any() for mask in sensors.regions.values())


def test_one_hemisphere(pristine: Path, prepared: PreparedStudy) -> None:
    left = SUBJECTS[1][2]
    both = prepared.recording("sub-01")
    right = open_study("algonauts2023", pristine, {"hemisphere": "rh"}).load("sub-01")
    np.testing.assert_array_equal(right.read([3, 5]), both.read([3, 5])[:, left:])
    np.testing.assert_array_equal(right.sensors.regions["V1"], both.sensors.regions["V1"][left:])
    with pytest.raises(ConfigError, match="hemisphere: got 'left', expected one of both, lh, rh"):
        open_study("algonauts2023", pristine, {"hemisphere": "left"})


def test_the_split_is_the_same_for_all_subjects(prepared: PreparedStudy, pristine: Path) -> None:
    sides: dict[str, set[str]] = {}
    for subject in prepared.subjects:
        windows = prepared.recording(subject).windows
        for part in ("train", "val", "test"):
            rows = prepared.split.rows(subject, part)  # type: ignore[arg-type]
            assert 0 < len(rows)
            for name in windows["stimulus"].iloc[rows]:
                sides.setdefault(name, set()).add(part)
    assert any(prepared.recording("sub-02").windows["stimulus"].isin(prepared.recording("sub-01").windows["stimulus"]))
    assert all(len(found) == 1 for found in sides.values())
    assert "no answers" in prepared.split.rule
    # What is on disk of others changes nothing.
    study = open_study("algonauts2023", pristine)
    alone = study.split({"sub-06": prepared.recording("sub-06").windows})
    np.testing.assert_array_equal(alone.rows("sub-06", "test"), prepared.split.rows("sub-06", "test"))


def test_challenge_pictures_are_listed_without_responses(prepared: PreparedStudy) -> None:
    stimuli = prepared.stimuli
    tested = {f"nsd-{number:05d}" for number in numbers_of(1, 0)[1]}
    of_first = stimuli.table[stimuli.table["challenge"].str.contains("sub-01")]
    assert set(of_first["stimulus"]) == tested
    assert not tested & set(prepared.recording("sub-01").windows["stimulus"])
    for name in (stimuli.names[0], sorted(tested)[0]):
        assert np.array_equal(np.asarray(stimuli.picture(name)), np.asarray(picture_of(name, size=12)))


def test_what_is_known_of_the_original_is_checked(pristine: Path) -> None:
    with pytest.raises(DataError, match=r"training_images: 150 pictures, expected 9841 for sub-01"):
        Algonauts2023(pristine).load("sub-01")
    study = Algonauts2023(pristine)
    study.info = type(study.info)(**{**vars(study.info), "expected": {"lh_sub-01": 19004}})
    with pytest.raises(DataError, match=r"lh_training_fmri\.npy: 34 vertices, expected 19004 for sub-01"):
        study.load("sub-01")


def rename(root: Path, old: str, new: str) -> None:
    path = next((root / IMAGES).glob(old))
    path.rename(path.with_name(new.replace("#", path.name)))


def first_missing(root: Path) -> None:
    next((root / IMAGES).glob("train-0007_*")).unlink()


def one_more(root: Path) -> None:
    Image.new("RGB", (4, 4)).save(root / IMAGES / "train-0151_nsd-00001.png")


def shown_twice(root: Path) -> None:
    other = next((root / IMAGES).glob("train-0001_*")).name[-9:]
    rename(root, "train-0002_*", f"train-0002_nsd-{other}")


def resave(root: Path, path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    np.save(root / path, change(np.load(root / path)))


def swap_hemispheres(root: Path) -> None:
    left, right = (root / FMRI / f"{h}_training_fmri.npy" for h in ("lh", "rh"))
    one, other = np.load(left), np.load(right)
    np.save(left, other)
    np.save(right, one)


def hostile_mapping(root: Path) -> None:
    class Run:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            import os

            return os.system, ("true",)

    content = np.array({0: Run()}, dtype=object)
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
    (root / MASKS / "mapping_streams.npy").write_bytes(file.getvalue() + pickle.dumps(content, protocol=3))


LEFT = FMRI / "lh_training_fmri.npy"
LABELS = MASKS / "lh.prf-visualrois_challenge_space.npy"
DAMAGES: list[tuple[Callable[[Path], None], str]] = [
    (lambda root: rename(root, "train-0003_*", "train_3.png"), r"train_3\.png: got this name, expected train-0001_nsd"),
    (first_missing, r"train-0008_nsd-\d{5}\.png: is picture 8, expected picture 7 of 149 next"),
    (lambda root: rename(root, "train-0001_*", "train-0151_nsd-00000.png"), r"is picture 2, expected picture 1"),
    (shown_twice, r"train-0002_nsd-\d{5}\.png: shows a picture of the NSD that an earlier row shows"),
    (one_more, r"lh_training_fmri\.npy: float32 of shape \(150, 34\), expected floats \(151, vertices\), one row for"),
    (lambda root: resave(root, LEFT, lambda x: x.T), r"shape \(34, 150\), expected floats \(150, vertices\)"),
    (lambda root: resave(root, LEFT, lambda x: x.astype(int)), r"lh_training_fmri\.npy: int64 of shape"),
    (swap_hemispheres, r"lh\.all-vertices_fsaverage_space\.npy: 34 vertices, expected 41 as in the responses"),
    (lambda root: resave(root, LABELS, lambda x: x[1:]), r"challenge_space\.npy: shape \(33,\), expected \(34,\), one"),
    (
        lambda root: resave(root, LABELS, lambda x: np.roll(x, 1)),
        r"vertex \d+ has another label than in lh\.prf-visualrois_fsaverage_space\.npy \(\d+ of 34 differ\)",
    ),
    (
        lambda root: resave(root, MASKS / "lh.streams_challenge_space.npy", lambda x: x + 5),
        r"lh\.streams_challenge_space\.npy: label \d+ has no name in mapping_streams\.npy",
    ),
    (hostile_mapping, r"mapping_streams\.npy: holds .*system"),
    (lambda root: (root / MASKS / "mapping_streams.npy").unlink(), r"mapping_streams\.npy"),
    (lambda root: (root / FMRI / "rh_training_fmri.npy").unlink(), r"rh_training_fmri\.npy: no such file"),
    (
        lambda root: (root / LEFT).write_bytes((root / LEFT).read_bytes()[:3000]),
        r"lh_training_fmri\.npy: not readable as a whole \.npy array",
    ),
    (lambda root: shutil.rmtree(root / IMAGES), r"training_images: no pictures train-0001_nsd-XXXXX\.png found"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGES)
def test_damage_has_one_clear_line(copy: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(copy)
    with pytest.raises(DataError, match=message) as caught:
        open_study("algonauts2023", copy).load("sub-01")
    assert "\n" not in str(caught.value)


def test_missing_numbers_are_refused(copy: Path, tmp_path: Path) -> None:
    def holed(values: np.ndarray) -> np.ndarray:
        values[4, 2] = np.nan
        return values

    resave(copy, LEFT, holed)
    with pytest.raises(DataError, match=r"sub-01: channel 'vertex00002' is not finite in window 4"):
        prepare_study(open_study("algonauts2023", copy), tmp_path / "cache")


def test_files_of_other_systems_are_no_pictures(copy: Path) -> None:
    (copy / IMAGES / "._train-0001_nsd-00013.png").write_bytes(b"")
    (copy / IMAGES / ".DS_Store").write_bytes(b"")
    assert len(open_study("algonauts2023", copy).load("sub-01").windows) == 150


def test_masks_may_be_missing(copy: Path) -> None:
    shutil.rmtree(copy / MASKS)
    assert set(open_study("algonauts2023", copy).load("sub-01").sensors.regions) == {"lh", "rh"}
    with pytest.raises(DataError, match="subject: got 'sub-02', expected one of sub-01"):
        open_study("algonauts2023", copy).load("sub-02")


@settings(max_examples=30, deadline=None, derandomize=True)
@given(names=st.lists(st.from_regex(r"train-\d{4}_nsd-\d{5}\.png", fullmatch=True), max_size=4, unique=True))
def test_any_names_are_read_or_refused(names: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("names")
    for name in names:
        (folder / name).touch()
    rows = sorted(int(name[6:10]) for name in names)
    numbers = {name[-9:-4] for name in names}
    if names and rows == list(range(1, len(names) + 1)) and len(numbers) == len(names):
        assert read_names(folder, "train")["place"].tolist() == rows
    else:
        with pytest.raises(DataError, match=str(folder)):
            read_names(folder, "train")


def test_rows_follow_the_numbers_in_the_names(tmp_path: Path) -> None:
    for name in ("train-0002_nsd-00001.png", "train-0001_nsd-00009.png"):
        (tmp_path / name).touch()
    assert read_names(tmp_path, "train")["stimulus"].tolist() == ["nsd-00009", "nsd-00001"]
