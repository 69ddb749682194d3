"""Single-trial beta maps: voxels, regions, rows, and what does not fit."""

import re
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest

from neurodecode.core.errors import DataError
from neurodecode.core.prepared import prepare_study
from neurodecode.datasets.bids import BidsStudy
from neurodecode.datasets.volumes import load_image, load_mask, voxel_sensors

AFFINE = np.array([[-3.0, 0, 0, 90], [0, 3.0, 0, -120], [0, 0, 3.5, -60], [0, 0, 0, 1]])


def save(path: Path, values: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    nibabel.save(nibabel.Nifti1Image(values, affine), path)


def write_subject(root: Path, subject: str, shape: tuple[int, int, int], seed: int) -> None:
    generator = np.random.default_rng(seed)
    folder = root / subject / "func"
    folder.mkdir(parents=True)
    brain = generator.random(shape) < 0.7
    save(folder / f"{subject}_desc-brain_mask.nii.gz", brain.astype(np.uint8))
    early = brain & (np.arange(shape[0]) < 2)[:, None, None]
    save(folder / f"{subject}_label-V1_mask.nii.gz", early.astype(np.uint8))
    for run in (1, 2):
        base = f"{subject}_task-pictures_run-{run:02d}"
        save(folder / f"{base}_desc-betas_statmap.nii.gz", generator.normal(size=(*shape, 7)).astype(np.float32))
        (folder / f"{base}_desc-betas_statmap.json").write_text('{"Units": "percent"}')
        names = ["n/a", "cat.png", "dog.png", "cow.png", "n/a", "cat.png", "dog.png"]
        table = pd.DataFrame({"onset": np.arange(7) * 4, "duration": 1, "stim_file": names, "split": "train"})
        table.to_csv(folder / f"{base}_events.tsv", sep="\t", index=False)


@pytest.fixture
def betas(tmp_path: Path) -> Path:
    root = tmp_path / "betas"
    write_subject(root, "sub-01", (4, 5, 3), 1)
    write_subject(root, "sub-02", (5, 4, 3), 2)
    (root / "dataset_description.json").write_text('{"Name": "Betas", "BIDSVersion": "1.8.0"}')
    (root / "stimuli").mkdir()
    for name in ("cat", "dog", "cow"):
        (root / "stimuli" / f"{name}.png").write_bytes(b"")
    return root


def func(root: Path, ending: str) -> Path:
    return root / "sub-01" / "func" / f"sub-01_{ending}"


STATMAP = "task-pictures_run-01_desc-betas_statmap.nii.gz"


def test_voxels_are_channels_and_rows_are_volumes(betas: Path) -> None:
    study = BidsStudy(betas)
    assert study.info.modality == "fmri"
    recording = study.load("sub-01", sfreq=50.0)
    values = nibabel.load(func(betas, STATMAP)).get_fdata()
    inside = nibabel.load(func(betas, "desc-brain_mask.nii.gz")).get_fdata() > 0
    assert recording.n_channels == inside.sum()
    assert recording.windows["stimulus"].tolist() == ["cat", "dog", "cow", "cat", "dog"] * 2
    assert recording.windows["repetition"].tolist() == [1, 1, 1, 2, 2, 3, 3, 2, 4, 4]
    for row, volume in enumerate([1, 2, 3, 5, 6]):
        np.testing.assert_allclose(recording.read([row])[0, :, 0], values[inside][:, volume], rtol=1e-6)
    sensors = recording.sensors
    assert (sensors.unit, sensors.sfreq, sensors.volume) == ("percent", 0.0, (4, 5, 3))
    assert sensors.grid is not None
    assert sensors.affine is not None
    assert sensors.positions is not None
    back = np.zeros(inside.shape, dtype=bool)
    back[tuple(sensors.grid.T)] = True
    np.testing.assert_array_equal(back, inside)
    expected = nibabel.affines.apply_affine(AFFINE, sensors.grid) / 1000
    np.testing.assert_allclose(sensors.positions, expected)
    early = nibabel.load(func(betas, "label-V1_mask.nii.gz")).get_fdata() > 0
    np.testing.assert_array_equal(sensors.regions["V1"], early[inside])


def test_brains_of_different_size_are_prepared_together(betas: Path, tmp_path: Path) -> None:
    prepared = prepare_study(BidsStudy(betas), tmp_path / "cache", jobs=2)
    sizes = {subject: prepared.recording(subject).n_channels for subject in prepared.subjects}
    assert sizes["sub-01"] != sizes["sub-02"]
    read = BidsStudy(betas).load("sub-02").read([3])
    np.testing.assert_array_equal(prepared.recording("sub-02").read([3]), read)
    assert prepared.stimuli.names == ["cat", "cow", "dog"]


def rows_missing(root: Path) -> None:
    path = func(root, "task-pictures_run-01_events.tsv")
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")


def cut(root: Path) -> None:
    path = func(root, STATMAP)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def no_image(root: Path) -> None:
    func(root, STATMAP).write_bytes(b"GIF89a")


def three_dimensions(root: Path) -> None:
    save(func(root, STATMAP), np.zeros((4, 5, 3), dtype=np.float32))


def no_mask(root: Path) -> None:
    func(root, "desc-brain_mask.nii.gz").unlink()


def other_grid(root: Path) -> None:
    save(func(root, "desc-brain_mask.nii.gz"), np.ones((4, 4, 3), dtype=np.uint8))


def other_affine(root: Path) -> None:
    moved = AFFINE + np.eye(4) * 0.5
    save(func(root, "label-V1_mask.nii.gz"), np.ones((4, 5, 3), dtype=np.uint8), moved)


def empty_mask(root: Path) -> None:
    save(func(root, "desc-brain_mask.nii.gz"), np.zeros((4, 5, 3), dtype=np.uint8))


def not_finite(root: Path) -> None:
    values = np.random.default_rng(0).normal(size=(4, 5, 3, 7)).astype(np.float32)
    values[..., 4] = np.nan
    save(func(root, STATMAP), values)


def flat(root: Path) -> None:
    values = np.random.default_rng(0).normal(size=(4, 5, 3, 7)).astype(np.float32)
    values[1] = 0
    save(func(root, STATMAP), values)


def no_events(root: Path) -> None:
    func(root, "task-pictures_run-01_events.tsv").unlink()


def renamed(root: Path) -> None:
    func(root, STATMAP).rename(func(root, "betas.nii.gz"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (rows_missing, r"statmap\.nii\.gz: 7 volumes, but sub-01_task-pictures_run-01_events\.tsv has 6 rows"),
        (cut, r"statmap\.nii\.gz: not readable as a NIfTI image"),
        (no_image, r"statmap\.nii\.gz: not readable as a NIfTI image"),
        (three_dimensions, r"statmap\.nii\.gz: shape \(4, 5, 3\), expected four dimensions"),
        (no_mask, r"sub-01: 0 files \.\.\._desc-brain_mask\.nii\[\.gz\], expected one"),
        (other_grid, r"brain_mask\.nii\.gz: grid \(4, 4, 3\), expected \(4, 5, 3\)"),
        (other_affine, r"V1_mask\.nii\.gz: its affine is not that of the signals"),
        (empty_mask, r"brain_mask\.nii\.gz: the mask is empty"),
        (not_finite, r"statmap\.nii\.gz: voxel 'v\d\d_\d\d_\d\d' is not finite in volume 4"),
        (flat, r"statmap\.nii\.gz: voxel 'v01_\d\d_\d\d' is flat \(\d+ of \d+\)"),
        (no_events, r"statmap\.nii\.gz: its events table sub-01_task-pictures_run-01_events\.tsv is missing"),
        (renamed, r"run-01_events\.tsv: no beta maps of the same name beside it"),
    ],
)
def test_damage_has_one_clear_line(betas: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(betas)
    with pytest.raises(DataError) as caught:
        BidsStudy(betas).load("sub-01")
    assert re.search(message, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_maps_for_one_run(betas: Path) -> None:
    other = func(betas, "task-pictures_run-01_stat-z_statmap.nii.gz")
    other.write_bytes(func(betas, STATMAP).read_bytes())
    with pytest.raises(DataError, match="more than one beta map for sub-01_task-pictures_run-01_events"):
        BidsStudy(betas).load("sub-01")


def test_volumes_alone(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    image = nibabel.Nifti1Image(values, AFFINE)
    image.header.set_slope_inter(0.5, 2)
    nibabel.save(image, tmp_path / "scaled.nii")
    loaded, affine = load_image(tmp_path / "scaled.nii")
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, nibabel.load(tmp_path / "scaled.nii").get_fdata())
    np.testing.assert_allclose(affine, AFFINE)
    inside = load_mask(tmp_path / "scaled.nii", (2, 3, 4), AFFINE)
    sensors = voxel_sensors(inside, affine, unit="x")
    assert sensors.names[0] == "v00_00_00"
    with pytest.raises(DataError, match=r"none\.nii: no such file"):
        load_image(tmp_path / "none.nii")
