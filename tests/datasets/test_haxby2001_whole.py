"""Haxby et al. 2001 whole: blocks from a planted signal, nilearn's own layout, and what must be refused."""

import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.datasets.catalogue import open_study
from neurodecode.datasets.haxby2001_whole import Haxby2001, read_labels
from neurodecode.datasets.miniatures.catalogue import write_miniature
from neurodecode.datasets.miniatures.haxby2001_whole import CATEGORIES, PAUSE, SHOWN, VENTRAL, labels_of, places
from neurodecode.datasets.miniatures.planted import PlantedSignal

LABELS = Path("subj1/labels.txt")
BOLD = Path("subj1/bold.nii.gz")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The miniature; not to be changed."""
    return write_miniature("haxby2001", tmp_path_factory.mktemp("data") / "haxby2001")


@pytest.fixture(scope="module")
def prepared(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> PreparedStudy:
    """Its cache."""
    return prepare_study(open_study("haxby2001", pristine.parent), tmp_path_factory.mktemp("cache") / "all")


@pytest.fixture
def copy(pristine: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(pristine, tmp_path / "haxby2001"))


def test_nilearn_finds_the_same_files(pristine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nilearn.datasets import fetch_haxby

    def no_network(*arguments: Any, **keywords: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    fetched = fetch_haxby(data_dir=pristine.parent, subjects=[1, 5], verbose=0)
    assert [Path(path) for path in fetched["func"]] == [pristine / f"subj{n}" / "bold.nii.gz" for n in (1, 5)]
    assert [Path(path) for path in fetched["mask_vt"]] == [pristine / f"subj{n}" / "mask4_vt.nii.gz" for n in (1, 5)]
    assert [Path(path) for path in fetched["session_target"]] == [pristine / f"subj{n}" / "labels.txt" for n in (1, 5)]
    assert Path(fetched["mask"]) == pristine / "mask.nii.gz"
    assert fetched["t_r"] == 2.5


def test_blocks_are_those_planted(prepared: PreparedStudy) -> None:
    for number in (1, 5):
        windows = prepared.recording(f"sub-{number:02d}").windows
        labels, runs = labels_of(number, 0)
        planted = [
            (f"{runs[row] + 1:02d}", label)
            for row, label in enumerate(labels)
            if label != "rest" and labels[row - 1] == "rest"
        ]
        assert list(windows[["run", "stimulus"]].itertuples(index=False, name=None)) == planted
    # In one run of the fifth subject nothing is labelled.
    assert "08" not in set(prepared.recording("sub-05").windows["run"])
    assert len(prepared.recording("sub-05").windows) == 11 * 8
    first = prepared.recording("sub-01").windows["onset"].iloc[:2].tolist()
    assert first == [PAUSE * 2.5, (2 * PAUSE + SHOWN) * 2.5]


def test_signals_are_those_planted(prepared: PreparedStudy) -> None:
    signal = PlantedSignal(seed=0)
    recording = prepared.recording("sub-01")
    values = recording.read(np.arange(len(recording.windows)))[:, :, 0]
    clean = np.stack([signal.betas(name, subject=1, n_voxels=VENTRAL) for name in recording.windows["stimulus"]])
    same = [np.corrcoef(values[:, voxel], clean[:, voxel])[0, 1] for voxel in range(VENTRAL)]
    assert min(same) > 0.9
    grid, ventral = places(1, 0)
    np.testing.assert_array_equal(recording.sensors.grid, grid[ventral])
    assert {"mask4_vt", "mask8_face_vt", "mask8b_house_vt"} <= set(recording.sensors.regions)


def accuracy(prepared: PreparedStudy, subject: str, *, shuffle: bool) -> float:
    """Share of test blocks that are nearest to the mean of their own category in the training runs."""
    recording, split = prepared.recording(subject), prepared.split
    names = recording.windows["stimulus"].to_numpy().astype(str)
    values = recording.read(np.arange(len(names)))[:, :, 0]
    right = []
    for fold in range(split.n_folds):
        train, test = (split.rows(subject, part, fold=fold) for part in ("train", "test"))  # type: ignore[arg-type]
        if not len(test):
            continue
        shown = np.random.default_rng(fold).permutation(names[train]) if shuffle else names[train]
        means = np.stack([values[train[shown == category]].mean(axis=0) for category in CATEGORIES])
        for row in test:
            right.append(CATEGORIES[int(np.argmin(((means - values[row]) ** 2).sum(axis=1)))] == names[row])
    return float(np.mean(right))


def test_the_score_of_the_planted_signal(prepared: PreparedStudy) -> None:
    for subject in ("sub-01", "sub-05"):
        assert accuracy(prepared, subject, shuffle=False) == 1.0
        assert accuracy(prepared, subject, shuffle=True) < 0.3  # chance is 1 of 8


def test_one_run_is_left_out_at_a_time(prepared: PreparedStudy) -> None:
    assert prepared.split.n_folds == 12
    windows = prepared.recording("sub-01").windows
    for fold in range(12):
        sides = [
            set(windows["run"].iloc[prepared.split.rows("sub-01", p, fold=fold)]) for p in ("train", "val", "test")
        ]  # type: ignore[arg-type]
        assert [len(side) for side in sides] == [10, 1, 1]
    # The fifth subject has eleven runs.
    assert not len(prepared.split.rows("sub-05", "test", fold=11))


def test_other_masks(pristine: Path, prepared: PreparedStudy, copy: Path) -> None:
    whole = prepared.recording("sub-01")
    face = open_study("haxby2001", pristine, {"mask": "mask8_face_vt"}).load("sub-01")
    np.testing.assert_array_equal(face.read([4]), whole.read([4])[:, whole.sensors.regions["mask8_face_vt"]])
    brain = open_study("haxby2001", pristine, {"mask": "mask"}).load("sub-01")
    assert brain.n_channels == 70
    with pytest.raises(ConfigError, match="mask: got 'vt', expected one of mask4_vt, mask8_face_vt"):
        open_study("haxby2001", pristine, {"mask": "vt"})
    (copy / "subj1" / "mask4_vt.nii.gz").unlink()
    with pytest.raises(DataError, match=r"subj1: the mask 'mask4_vt' is missing or empty, got mask8_face_vt"):
        open_study("haxby2001", copy).load("sub-01")


def test_voxels_that_never_change_are_left_out(copy: Path) -> None:
    image = nibabel.load(copy / BOLD)
    values = np.asarray(image.dataobj).copy()
    x, y, z = places(1, 0)[0][places(1, 0)[1]][3]
    values[x, y, z] = 7
    nibabel.save(nibabel.Nifti1Image(values, image.affine), copy / BOLD)
    found = open_study("haxby2001", copy).load("sub-01")
    assert found.n_channels == VENTRAL - 1
    assert "1 of 30 voxels that never change left out" in found.flags


def test_what_is_known_of_the_original_is_checked(pristine: Path) -> None:
    with pytest.raises(DataError, match=r"labels\.txt: 600 volumes, expected 1452"):
        Haxby2001(pristine).load("sub-01")


def edit(root: Path, change: Callable[[list[str]], list[str]]) -> None:
    (root / LABELS).write_text("\n".join(change((root / LABELS).read_text().splitlines())) + "\n")


def silent_run(lines: list[str]) -> list[str]:
    return [f"rest {line.split()[1]}" if line.endswith(" 3") else line for line in lines]


def shifted_mask(root: Path) -> None:
    path = root / "subj1" / "mask4_vt.nii.gz"
    values = np.asarray(nibabel.load(path).dataobj)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([-3.5, 3.75, 3.75, 1]) + 900 * np.eye(4, k=3)), path)


DAMAGES: list[tuple[Callable[[Path], object], str]] = [
    (lambda r: edit(r, lambda x: x[1:]), r"labels\.txt: line 1: got 'rest 0', expected 'labels chunks'"),
    (lambda r: edit(r, lambda x: x[:-1]), r"bold\.nii\.gz: 600 volumes, expected 599 as in labels\.txt"),
    (lambda r: edit(r, lambda x: [*x[:9], "dog 0", *x[10:]]), r"line 10: got 'dog 0', expected a category or rest"),
    (lambda r: edit(r, lambda x: [*x[:9], "cat 3", *x[10:]]), r"line 10: got 'cat 3', expected .* run 0 or 1"),
    (lambda r: edit(r, lambda x: [x[0], *x[80:]]), r"labels\.txt: line 2: expected the first volume of run 0"),
    (lambda r: edit(r, silent_run), r"labels\.txt: no volume of run 4 is labelled"),
    (lambda r: (r / LABELS).write_bytes(b"\xff"), r"labels\.txt: not readable as text"),
    (lambda r: (r / BOLD).write_bytes((r / BOLD).read_bytes()[:5000]), r"bold\.nii\.gz: not readable as a whole NIfTI"),
    (lambda r: (r / BOLD).write_bytes(b"nothing"), r"bold\.nii\.gz: not readable as a NIfTI image"),
    (lambda r: shutil.copy(r / "mask.nii.gz", r / BOLD), r"bold\.nii\.gz: shape \(6, 7, 6\), expected four dimensions"),
    (shifted_mask, r"subj1: the mask 'mask4_vt' is missing or empty"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGES)
def test_damage_has_one_clear_line(copy: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(copy)
    with pytest.raises(DataError, match=message) as caught:
        open_study("haxby2001", copy).load("sub-01")
    assert "\n" not in str(caught.value)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(lines=st.lists(st.sampled_from(["cat 0", "rest 0", "rest 1", "face 1", "cat", "0 cat", "cat -1"]), max_size=5))
def test_any_labels_are_read_or_refused(lines: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("labels") / "labels.txt"
    path.write_text("\n".join(["labels chunks", *lines]) + "\n")
    runs = [line.split()[1] for line in lines if line.split()[-1] in ("0", "1")]
    if lines and len(runs) == len(lines) and runs == sorted(runs) and runs[0] == "0":
        assert read_labels(path)[1].tolist() == [int(run) for run in runs]
    else:
        with pytest.raises(DataError, match=r"labels\.txt: line \d"):
            read_labels(path)
