"""Miyawaki et al. 2008: patterns from a planted signal, nilearn's own layout, and what must be refused."""

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
from neurodecode.datasets.miniatures.catalogue import write_miniature
from neurodecode.datasets.miniatures.known_score import known_score
from neurodecode.datasets.miniatures.miyawaki2008 import BLOCKS, FIGURES, RUNS, blocks, places, response
from neurodecode.datasets.miyawaki2008 import Miyawaki2008, blocks_of, name_of, patches_of, read_patterns

LABEL = Path("label/data_random_run03_label.csv")
BOLD = Path("func/data_random_run03.nii.gz")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The miniature; not to be changed."""
    return write_miniature("miyawaki2008", tmp_path_factory.mktemp("data") / "miyawaki2008")


@pytest.fixture(scope="module")
def prepared(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> PreparedStudy:
    """Its cache."""
    return prepare_study(open_study("miyawaki2008", pristine.parent), tmp_path_factory.mktemp("cache") / "all")


@pytest.fixture
def copy(pristine: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(pristine, tmp_path / "miyawaki2008"))


def test_nilearn_finds_the_same_files(pristine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nilearn.datasets import fetch_miyawaki2008

    def no_network(*arguments: Any, **keywords: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    fetched = fetch_miyawaki2008(data_dir=pristine.parent, verbose=0)
    study = open_study("miyawaki2008", pristine.parent)
    assert isinstance(study, Miyawaki2008)
    assert [str(path) for _, _, path, _ in study._runs] == [str(path) for path in fetched["func"]]
    assert {path.name for path in (pristine / "mask").iterdir()} == {
        Path(path).name for path in [fetched["mask"], *fetched["mask_roi"]]
    }
    for path, (_, _, _, patterns) in zip(fetched["label"], study._runs, strict=True):
        np.testing.assert_array_equal(np.loadtxt(path, dtype=int, delimiter=","), patterns)


def test_blocks_are_those_planted(prepared: PreparedStudy) -> None:
    windows = prepared.recording("sub-01").windows
    expected = [(s, f"{r:02d}", name_of(p)) for (s, r), patterns in blocks(0).items() for p in patterns]
    found = list(windows[["session", "run", "stimulus"]].itertuples(index=False, name=None))
    assert found == expected
    assert len(found) == sum(RUNS[session] * BLOCKS[session] for session in RUNS)
    assert windows["onset"].iloc[0] == 6.0


def test_signals_are_those_planted(prepared: PreparedStudy) -> None:
    recording = prepared.recording("sub-01")
    values = recording.read(np.arange(len(recording.windows)))[:, :, 0]
    clean = np.stack([response(p, 0) for patterns in blocks(0).values() for p in patterns])
    grid, owner = places(0)
    np.testing.assert_array_equal(recording.sensors.grid, grid)
    # Scaled within runs: what differs between the blocks of a run is left.
    runs = recording.windows.groupby(["session", "run"]).indices.values()
    for members in runs:
        values[members] -= values[members].mean(axis=0)
        clean[members] -= clean[members].mean(axis=0)
    same = [np.corrcoef(values[:, voxel], clean[:, voxel])[0, 1] for voxel in range(values.shape[1])]
    assert min(same) > 0.85
    assert np.mean(same) > 0.93
    regions = recording.sensors.regions
    np.testing.assert_array_equal(regions["V1"], np.isin(owner, ["V1d", "V1v"]))
    np.testing.assert_array_equal(regions["LHV3A"], (owner == "V3A") & (grid[:, 0] < 3))
    assert {"V2", "V3", "VP", "lag10to11"} <= set(regions)
    assert any("within each run over all its volumes" in flag for flag in recording.flags)


def test_the_score_of_the_planted_signal(prepared: PreparedStudy) -> None:
    assert known_score(prepared, "sub-01", code=patches_of) == 1.0
    assert known_score(prepared, "sub-01", code=patches_of, shuffle=True) < 0.3  # chance is 1 of 8
    # Without the delay the answer is mixed with the pause before it.
    assert len(set(prepared.recording("sub-01").windows["stimulus"])) == FIGURES + 20 * BLOCKS["random"]


def test_figures_test_and_random_patterns_train(prepared: PreparedStudy) -> None:
    windows, split = prepared.recording("sub-01").windows, prepared.split
    assert set(windows["session"].iloc[split.rows("sub-01", "test")]) == {"figure"}
    for part in ("train", "val"):
        assert set(windows["session"].iloc[split.rows("sub-01", part)]) == {"random"}  # type: ignore[arg-type]


def test_patches_are_vectors(pristine: Path) -> None:
    table = open_study("miyawaki2008", pristine).feature_tables()["patches"]
    pattern = blocks(0)["random", 1][2]
    np.testing.assert_array_equal(table.of([name_of(pattern)])[0], pattern)
    assert table.vectors.shape == (FIGURES + 20 * BLOCKS["random"], 100)


def test_the_delay_is_an_option(pristine: Path, prepared: PreparedStudy) -> None:
    later = open_study("miyawaki2008", pristine, {"delay": 0}).load("sub-01")
    assert np.abs(later.read([5]) - prepared.recording("sub-01").read([5])).max() > 0.1
    for delay in (-1, 6, 1.5, True):
        with pytest.raises(ConfigError, match=r"delay: got .*, expected a number of volumes from 0 to 5"):
            open_study("miyawaki2008", pristine, {"delay": delay})


def test_what_is_known_of_the_original_is_checked(copy: Path) -> None:
    (copy / "func" / "data_figure_run12.nii.gz").unlink()
    assert len(open_study("miyawaki2008", copy).load("sub-01").windows) == 204
    with pytest.raises(DataError, match=r"func: runs 1, 2, .*, 11 \(figure\), expected 1 to 12"):
        Miyawaki2008(copy).load("sub-01")
    (copy / "func" / "data_figure_run05.nii.gz").unlink()
    with pytest.raises(DataError, match=r"func: runs 1, 2, 3, 4, 6, 7, .* \(figure\), expected 1 to 10"):
        open_study("miyawaki2008", copy).load("sub-01")


def lines(root: Path, change: Callable[[list[str]], list[str]]) -> None:
    (root / LABEL).write_text("\n".join(change((root / LABEL).read_text().splitlines())) + "\n")


def flat(root: Path) -> None:
    image = nibabel.load(root / BOLD)
    nibabel.save(nibabel.Nifti1Image(np.zeros(image.shape, np.float32), image.affine), root / BOLD)


def other_mask(root: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.ones((7, 6, 4), np.uint8), np.eye(4)), root / "mask" / "mask.nii.gz")


DAMAGES: list[tuple[Callable[[Path], object], str]] = [
    (lambda r: lines(r, lambda x: x[:-1]), r"data_random_run03\.nii\.gz: 51 volumes, expected 50, one for each line"),
    (lambda r: lines(r, lambda x: [x[0][:-3], *x[1:]]), r"label\.csv: line 1: got 99 values from '-1', expected 100"),
    (lambda r: lines(r, lambda x: [x[0].replace("-1", "2"), *x[1:]]), r"line 1: got 100 values from '2', expected 100"),
    (lambda r: lines(r, lambda x: [x[0], "1" + x[1][2:], *x[2:]]), r"line 2: got 100 values from '-1, 1', expected"),
    (lambda r: (r / LABEL).unlink(), r"data_random_run03_label\.csv: no such file"),
    (lambda r: (r / LABEL).write_text(""), r"label\.csv: is empty, expected a line for each volume"),
    (lambda r: (r / LABEL).write_bytes(b"\xff\xfe"), r"label\.csv: not readable as text"),
    (lambda r: lines(r, lambda x: [*x[:-2], x[5], x[5]]), r"volume 50 has no volume 2 later"),
    (lambda r: (r / BOLD).write_bytes((r / BOLD).read_bytes()[:900]), r"run03\.nii\.gz: not readable as a whole NIfTI"),
    (
        lambda r: (r / BOLD).rename(r / "func/data_random_run3b.nii.gz"),
        r"run3b\.nii\.gz: got this name, expected data_r",
    ),
    (flat, r"data_random_run03\.nii\.gz: no voxel of the mask has a signal"),
    (other_mask, r"mask\.nii\.gz: grid \(7, 6, 4\), expected \(7, 6, 5\)"),
    (lambda r: (r / "mask" / "mask.nii.gz").unlink(), r"study miyawaki2008: not found under .*mask/mask\.nii\.gz"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGES)
def test_damage_has_one_clear_line(copy: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(copy)
    with pytest.raises(DataError, match=message) as caught:
        open_study("miyawaki2008", copy).load("sub-01")
    assert "\n" not in str(caught.value)


def test_voxels_without_a_signal_are_left_out(copy: Path) -> None:
    image = nibabel.load(copy / BOLD)
    values = image.get_fdata(dtype=np.float32)
    x, y, z = places(0)[0][4]
    values[x, y, z] = 0
    nibabel.save(nibabel.Nifti1Image(values, image.affine), copy / BOLD)
    found = open_study("miyawaki2008", copy).load("sub-01")
    assert found.n_channels == 69
    assert "1 of 70 voxels without a signal in some run left out" in found.flags


def test_touching_blocks_are_told_apart_by_their_patterns() -> None:
    one, other, rest = np.zeros(100, np.int8), np.ones(100, np.int8), np.full(100, -1, np.int8)
    found = blocks_of(np.stack([rest, one, one, other, rest, one]))
    assert [(first, last) for _, first, last in found] == [(1, 3), (3, 4), (5, 6)]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(bits=st.lists(st.integers(0, 1), min_size=100, max_size=100))
def test_names_and_patches_are_inverses(bits: list[int]) -> None:
    np.testing.assert_array_equal(patches_of(name_of(np.array(bits, dtype=np.int8))), bits)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(content=st.binary(max_size=300))
def test_any_label_file_is_refused_that_is_none(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("labels") / "label.csv"
    path.write_bytes(b"x" + content)
    with pytest.raises(DataError, match=r"label\.csv"):
        read_patterns(path)
