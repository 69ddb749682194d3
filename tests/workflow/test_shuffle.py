"""The shuffled control changes the pairing of training and validation, and nothing else."""

import os
from pathlib import Path

import numpy as np
import pytest

from neurodecode.core.errors import LeakageError
from neurodecode.core.prepared import PreparedStudy
from neurodecode.workflow.shuffle import permuted_labels, shuffled_copy


def labels(study: PreparedStudy, subject: str) -> np.ndarray:
    return study.recording(subject).windows["stimulus"].to_numpy().astype(str)


def test_labels_are_permuted_by_item_within_each_part(small_study: PreparedStudy, tmp_path: Path) -> None:
    copy = shuffled_copy(small_study, tmp_path / "copy", seed=3)
    for subject in small_study.subjects:
        before, after = labels(small_study, subject), labels(copy, subject)
        for part in ("train", "val"):
            rows = small_study.split.rows(subject, part)
            for found in (before, after):
                assert np.unique(found[rows], return_counts=True)[1].tolist() == [3] * len(set(before[rows]))
            assert set(before[rows]) == set(after[rows])
            assert np.mean(before[rows] == after[rows]) < 0.2
            # All repetitions of one stimulus go to one other stimulus.
            assert len(set(zip(before[rows], after[rows], strict=True))) == len(set(before[rows]))
        test = small_study.split.rows(subject, "test")
        np.testing.assert_array_equal(before[test], after[test])
    assert (labels(copy, "sub-01") != labels(copy, "sub-02")).any()


def test_signals_are_linked_and_the_split_is_the_same(small_study: PreparedStudy, tmp_path: Path) -> None:
    copy = shuffled_copy(small_study, tmp_path / "copy", seed=3)
    assert copy.split.hash == small_study.split.hash
    for path in (small_study.folder / "sub-01").iterdir():
        same = os.path.samefile(path, copy.folder / "sub-01" / path.name)
        # Where the two folders lie on different file systems, the files are copies.
        linked = same or os.stat(path).st_dev != os.stat(copy.folder).st_dev
        assert linked == (path.name != "windows.csv")
    rows = np.arange(20)
    np.testing.assert_array_equal(copy.recording("sub-01").read(rows), small_study.recording("sub-01").read(rows))


def test_the_same_seed_gives_the_same_copy_and_another_replaces_it(small_study: PreparedStudy, tmp_path: Path) -> None:
    first = shuffled_copy(small_study, tmp_path / "first", seed=3)
    again = shuffled_copy(small_study, tmp_path / "again", seed=3)
    other = shuffled_copy(small_study, tmp_path / "other", seed=4)
    np.testing.assert_array_equal(labels(first, "sub-01"), labels(again, "sub-01"))
    assert (labels(first, "sub-01") != labels(other, "sub-01")).any()
    reopened = shuffled_copy(small_study, tmp_path / "first", seed=3)
    assert reopened.header["shuffled"]["seed"] == 3
    replaced = shuffled_copy(small_study, tmp_path / "first", seed=4)
    np.testing.assert_array_equal(labels(replaced, "sub-01"), labels(other, "sub-01"))


def test_nothing_but_a_shuffled_copy_is_replaced(small_study: PreparedStudy, tmp_path: Path) -> None:
    before = sorted(path.name for path in small_study.folder.iterdir())
    with pytest.raises(LeakageError, match="holds something other than a shuffled study"):
        shuffled_copy(small_study, small_study.folder, seed=4)
    assert sorted(path.name for path in small_study.folder.iterdir()) == before
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(LeakageError, match="holds something other"):
        shuffled_copy(small_study, tmp_path, seed=4)
    assert (tmp_path / "notes.txt").is_file()


def test_windows_without_a_stimulus_stay(small_study: PreparedStudy) -> None:
    windows = small_study.recording("sub-01").windows.copy()
    windows.loc[[0, 5], "stimulus"] = ""
    found = permuted_labels(windows, np.arange(60), "stimulus", np.random.default_rng(0))
    assert found[[0, 5]].tolist() == ["", ""]
    assert (found[np.arange(60)] == "").sum() == 2
