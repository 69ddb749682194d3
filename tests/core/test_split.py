"""Splits: disjoint units in every fold, the published list, the hash, and edits noticed."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodecode.core.errors import ConfigError, DataError, LeakageError
from neurodecode.core.files import read_table, write_table
from neurodecode.core.split import Split, leave_one_out_split, published_split


def runs_table(runs: list[int], *, session: str = "") -> pd.DataFrame:
    return pd.DataFrame({"session": session, "run": [str(run) for run in runs], "stimulus": "face"})


@settings(deadline=None, max_examples=20)
@given(
    st.lists(st.integers(3, 7), min_size=1, max_size=3),
    st.integers(1, 2),
    st.integers(1, 4),
    st.integers(0, 10**6),
)
def test_each_run_tests_once_and_no_run_is_on_two_sides(
    n_runs: list[int], validation: int, per_run: int, seed: int
) -> None:
    if min(n_runs) < validation + 2:
        n_runs = [max(count, validation + 2) for count in n_runs]
    windows = {
        f"sub-{index:02d}": runs_table([run for run in range(count) for _ in range(per_run)])
        for index, count in enumerate(n_runs)
    }
    split = leave_one_out_split(windows, validation_units=validation, seed=seed)
    assert split.n_folds == max(n_runs)
    for (subject, table), count in zip(windows.items(), n_runs, strict=True):
        tested: list[int] = []
        for fold in range(split.n_folds):
            sides = {part: split.rows(subject, part, fold=fold) for part in ("train", "val", "test")}  # type: ignore[arg-type]
            runs = {part: set(table["run"].to_numpy()[rows]) for part, rows in sides.items()}
            if fold >= count:
                assert all(len(rows) == 0 for rows in sides.values())
                continue
            assert len(runs["test"]) == 1
            assert len(runs["val"]) == validation
            assert not runs["train"] & runs["val"]
            assert not runs["test"] & (runs["train"] | runs["val"])
            assert sum(len(rows) for rows in sides.values()) == len(table)
            tested += sides["test"].tolist()
        assert sorted(tested) == list(range(len(table)))


def test_the_same_seed_gives_the_same_split_and_another_another() -> None:
    windows = {"sub-01": runs_table(list(range(8)))}
    hashes = [leave_one_out_split(windows, seed=seed).hash for seed in (0, 0, 1)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_runs_of_one_number_in_two_sessions_are_two_units() -> None:
    table = pd.concat([runs_table([1, 2], session="a"), runs_table([1, 2], session="b")], ignore_index=True)
    assert leave_one_out_split({"sub-01": table}).n_folds == 4


def test_leaving_a_subject_out_spans_subjects() -> None:
    windows = {f"sub-{index}": runs_table([1, 1]).assign(subject=f"sub-{index}") for index in range(4)}
    split = leave_one_out_split(windows, columns=("subject",), unit="subject")
    assert split.n_folds == 4
    for fold in range(4):
        sides = [
            {part for part in ("train", "val", "test") if len(split.rows(subject, part, fold=fold))}  # type: ignore[arg-type]
            for subject in windows
        ]
        assert all(len(side) == 1 for side in sides)
        assert sorted(side.pop() for side in sides) == ["test", "train", "train", "val"]


def test_windows_without_a_stimulus_belong_to_no_part() -> None:
    table = runs_table([1, 1, 2, 3]).assign(stimulus=["a", "", "a", "a"])
    split = leave_one_out_split({"sub-01": table})
    everywhere = [split.rows("sub-01", part, fold=0).tolist() for part in ("train", "val", "test")]  # type: ignore[arg-type]
    assert sorted(row for rows in everywhere for row in rows) == [0, 2, 3]


def test_too_few_runs_are_refused() -> None:
    with pytest.raises(ConfigError, match="needs more runs"):
        leave_one_out_split({"sub-01": runs_table([1, 2])})


def test_the_published_list_is_followed() -> None:
    table = pd.DataFrame({"stimulus": ["a", "b", "c", "d", "a"]})
    split = published_split(
        {"sub-01": table, "sub-02": table[:2]},
        {"a": "train", "b": "val", "c": "test"},
        column="stimulus",
        unit="stimulus",
        rule="a list",
    )
    assert split.rows("sub-01", "train").tolist() == [0, 4]
    assert split.rows("sub-01", "test").tolist() == [2]
    assert split.rows("sub-02", "val").tolist() == [1]
    assert split.units(np.array([4, 2]), "sub-01").tolist() == ["a", "c"]
    with pytest.raises(ConfigError, match="fold: got 1, expected 0 to 0"):
        split.rows("sub-01", "test", fold=1)


def table_of(parts: list[str], units: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"subject": "sub-01", "window": np.arange(len(parts)), "unit": units, "fold_0": parts})


def test_a_unit_on_two_sides_is_a_leak() -> None:
    with pytest.raises(LeakageError, match="the stimulus 'a' is in test and train of fold 0"):
        Split(table_of(["train", "test"], ["a", "a"]), "stimulus", "wrong", 0)
    Split(table_of(["train", ""], ["a", "a"]), "stimulus", "left out", 0)


def test_a_table_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="unit 'nose' is not one of"):
        Split(table_of(["train"], ["a"]), "nose", "", 0)
    with pytest.raises(DataError, match="fold 0 holds 'dev'"):
        Split(table_of(["dev"], ["a"]), "stimulus", "", 0)
    with pytest.raises(DataError, match="column 'unit' is missing"):
        Split(table_of(["train"], ["a"]).drop(columns="unit"), "stimulus", "", 0)


@pytest.mark.parametrize("units", [["a", "b", "c"], ["0001", "1E10", "2600"], ["NA", "null", "x"]])
def test_the_file_gives_back_the_split(tmp_path: Path, units: list[str]) -> None:
    split = Split(table_of(["train", "", "test"], units), "concept", "a list", 7)
    split.save(tmp_path)
    loaded = Split.load(tmp_path)
    assert loaded.hash == split.hash
    assert (loaded.unit, loaded.rule, loaded.seed) == ("concept", "a list", 7)
    assert loaded.rows("sub-01", "test").tolist() == [2]


def test_an_edited_or_cut_split_is_noticed(tmp_path: Path) -> None:
    Split(table_of(["train", "val", "test"], ["a", "b", "c"]), "stimulus", "", 0).save(tmp_path)
    path = tmp_path / "split.csv"
    original = path.read_text()
    table = read_table(path, text=("subject", "unit", "fold_0"))
    write_table(path, table.assign(fold_0=["train", "test", "val"]))
    with pytest.raises(DataError, match=r"split\.csv: hash .* it was edited or cut"):
        Split.load(tmp_path)
    path.write_text(original[: original.rindex("sub-01")])
    with pytest.raises(DataError, match=r"split\.csv: hash"):
        Split.load(tmp_path)
    path.write_text(original.replace("c,test", "a,test"))
    with pytest.raises(LeakageError, match="'a' is in test and train"):
        Split.load(tmp_path)
    path.unlink()
    with pytest.raises(DataError, match=r"split\.csv: no such file"):
        Split.load(tmp_path)
