"""The slice of Haxby et al.: cleaning and averaging against SciPy, damage, and the real file."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import scipy.signal
from sklearn.linear_model import RidgeClassifierCV

from neurodecode.core.errors import DataError
from neurodecode.core.prepared import prepare_study
from neurodecode.datasets.catalogue import open_study
from neurodecode.datasets.haxby2001 import CATEGORIES, HaxbySlice, block_means, clean_runs, read_conditions

N_RUNS = 12


def conditions(seed: int = 0) -> list[tuple[str, int]]:
    rows: list[tuple[str, int]] = []
    for run in range(N_RUNS):
        order = np.random.default_rng([seed, run]).permutation(list(CATEGORIES))
        for category in order:
            rows += [("rest", run)] * 3 + [(str(category), run)] * 4
        rows += [("rest", run)] * 3
    return rows


@pytest.fixture
def slice_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "haxby_slice"
    folder.mkdir()
    rows = conditions()
    (folder / "attributes_literal.txt").write_text("\n".join(f"{label} {run}" for label, run in rows) + "\n")
    generator = np.random.default_rng(1)
    inside = np.zeros((28, 20, 1), dtype=np.int16)
    inside.ravel()[:530] = 1
    values = generator.normal(1000, 30, (28, 20, 1, len(rows))).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / "bold.nii.gz")
    nibabel.save(nibabel.Nifti1Image(inside, np.eye(4)), folder / "mask.nii.gz")
    return folder


def test_cleaning_is_scipys_detrending_and_a_z_score_in_each_run() -> None:
    generator = np.random.default_rng(0)
    runs = np.repeat([0, 1, 2], [40, 50, 60])
    signals = (generator.normal(size=(150, 7)) + np.linspace(0, 9, 150)[:, None]).astype(np.float32)
    cleaned = clean_runs(signals, runs)
    for run in range(3):
        expected = scipy.signal.detrend(signals[runs == run].astype(np.float64), axis=0)
        expected /= expected.std(axis=0, ddof=1)
        np.testing.assert_allclose(cleaned[runs == run], expected, atol=1e-4)


def test_no_run_depends_on_another() -> None:
    generator = np.random.default_rng(0)
    runs = np.repeat([0, 1], 40)
    signals = generator.normal(size=(80, 3)).astype(np.float32)
    changed = signals.copy()
    changed[runs == 1] *= 50
    np.testing.assert_array_equal(clean_runs(signals, runs)[runs == 0], clean_runs(changed, runs)[runs == 0])


def test_blocks_are_means_of_their_volumes(slice_folder: Path) -> None:
    recording = HaxbySlice(slice_folder).load("sub-01")
    labels, runs = read_conditions(slice_folder / "attributes_literal.txt", tuple(CATEGORIES))
    values = nibabel.load(slice_folder / "bold.nii.gz").get_fdata()
    inside = nibabel.load(slice_folder / "mask.nii.gz").get_fdata() > 0
    cleaned = clean_runs(values[inside].T.astype(np.float32), runs)
    assert len(recording.windows) == 96
    assert recording.windows["block_of_trials"].is_unique
    for row in (0, 7, 50, 95):
        window = recording.windows.iloc[row]
        first = np.flatnonzero(runs == int(window["run"]) - 1)[0] + round(window["onset"] / 2.5)
        assert (labels[first : first + 4] == window["stimulus"]).all()
        assert labels[first - 1] == labels[first + 4] == "rest"
        np.testing.assert_allclose(recording.read([row])[0, :, 0], cleaned[first : first + 4].mean(axis=0), atol=1e-5)
    assert "without labels" in recording.flags[0]


def test_permuting_the_labels_leaves_the_signals(slice_folder: Path) -> None:
    before = HaxbySlice(slice_folder).load("sub-01")
    path = slice_folder / "attributes_literal.txt"
    path.write_text(path.read_text().replace("cat", "dog_").replace("face", "cat").replace("dog_", "face"))
    after = HaxbySlice(slice_folder).load("sub-01")
    np.testing.assert_array_equal(before.read(range(96)), after.read(range(96)))


def test_split_leaves_each_run_out(slice_folder: Path) -> None:
    study = HaxbySlice(slice_folder)
    split = study.split({"sub-01": study.load("sub-01").windows})
    assert split.n_folds == 12
    assert [len(split.rows("sub-01", part, fold=5)) for part in ("train", "val", "test")] == [80, 8, 8]  # type: ignore[arg-type]


def test_stimuli_are_names_without_pictures() -> None:
    stimuli = HaxbySlice(Path()).stimuli()
    assert len(stimuli) == 8
    assert set(stimuli.table["kind"]) == {"word"}
    with pytest.raises(DataError, match="'cat' has no file"):
        stimuli.file("cat")


def cut(folder: Path) -> None:
    path = folder / "bold.nii.gz"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def short_list(folder: Path) -> None:
    path = folder / "attributes_literal.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:-4]))


def unknown_condition(folder: Path) -> None:
    path = folder / "attributes_literal.txt"
    path.write_text(path.read_text().replace("cat 3", "dog 3", 1))


def shuffled_runs(folder: Path) -> None:
    path = folder / "attributes_literal.txt"
    path.write_text("\n".join(reversed(path.read_text().splitlines())))


def other_mask(folder: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.ones((20, 28, 1), dtype=np.int16), np.eye(4)), folder / "mask.nii.gz")


def small_mask(folder: Path) -> None:
    inside = np.zeros((28, 20, 1), dtype=np.int16)
    inside.ravel()[:529] = 1
    nibabel.save(nibabel.Nifti1Image(inside, np.eye(4)), folder / "mask.nii.gz")


def flat_voxel(folder: Path) -> None:
    image = nibabel.load(folder / "bold.nii.gz")
    values = np.asarray(image.dataobj).copy()
    values[0, 3] = 7
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / "bold.nii.gz")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, r"bold\.nii\.gz: not readable as a NIfTI image"),
        (short_list, r"bold\.nii\.gz: shape \(28, 20, 1, \d+\), expected \d+ volumes as in the list"),
        (unknown_condition, r"attributes_literal\.txt: line \d+: got 'dog 3', expected a condition"),
        (shuffled_runs, r"attributes_literal\.txt: expected the volumes of run 0 first"),
        (other_mask, r"mask\.nii\.gz: grid \(20, 28, 1\), expected \(28, 20, 1\)"),
        (small_mask, "haxby_slice, sub-01: 529 channels, expected 530"),
        (flat_voxel, r"run 1: voxel 3 is flat \(1 of 530\)"),
    ],
)
def test_damage_has_one_clear_line(
    slice_folder: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(slice_folder)
    with pytest.raises(DataError) as caught:
        prepare_study(HaxbySlice(slice_folder), tmp_path / "cache")
    assert re.search(message, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)


def test_blocks_that_touch_are_told_apart_by_their_names() -> None:
    labels = np.array(["rest", "cat", "cat", "face", "rest"])
    means, blocks = block_means(np.arange(5, dtype=np.float32)[:, None], labels)
    assert blocks == [("cat", 1), ("face", 3)]
    assert means[:, 0, 0].tolist() == [1.5, 3.0]


@pytest.mark.data
def test_the_real_slice_holds_the_categories(tmp_path: Path) -> None:
    prepared = prepare_study(open_study("haxby_slice", os.environ["NEURODECODE_DATA"]), tmp_path / "cache")
    recording, split = prepared.recording("sub-01"), prepared.split
    names = recording.windows["stimulus"].to_numpy().astype(str)
    right = []
    for fold in range(split.n_folds):
        train = np.concatenate([split.rows("sub-01", part, fold=fold) for part in ("train", "val")])  # type: ignore[arg-type]
        test = split.rows("sub-01", "test", fold=fold)
        # The penalty is chosen by leaving one training block out.
        model = RidgeClassifierCV(np.logspace(0, 4, 9)).fit(recording.read(train)[:, :, 0], names[train])
        right += (model.predict(recording.read(test)[:, :, 0]) == names[test]).tolist()
    assert np.mean(right) > 0.6  # a plain ridge is known to reach 0.65 to 0.85; chance is 0.125
