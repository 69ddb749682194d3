"""Every rule of the command line keeps its unit on one side."""

import numpy as np
import pandas as pd
import pytest

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.split_rules import DRAWN, RULES, leave_one_subject_out, split_by_rule
from neurodecode.core.stimuli import Stimuli

N = 60


def study() -> tuple[dict[str, pd.DataFrame], Stimuli]:
    names = [f"p{index:02d}" for index in range(N)]
    pictures = pd.DataFrame(
        {"stimulus": names, "kind": "image", "path": "", "concept": [f"c{index // 2}" for index in range(N)],
         "text": [f"a sentence {index // 2}" for index in range(N)], "cluster": [str(index // 4) for index in range(N)]}
    )  # fmt: skip
    windows = {
        subject: pd.DataFrame(
            {"session": [str(row % 3) for row in range(2 * N)], "run": [str(row % 2) for row in range(2 * N)],
             "stimulus": names * 2}
        )
        for subject in ("sub-01", "sub-02", "sub-03")
    }  # fmt: skip
    return windows, Stimuli(pictures)


@pytest.mark.parametrize("rule", RULES)
def test_unit_is_on_one_side_of_every_fold(rule: str) -> None:
    windows, stimuli = study()
    split = split_by_rule(rule, windows, stimuli)
    assert split.unit == rule
    assert split.n_folds == {"run": 6, "session": 3, "subject": 3}.get(rule, 1)
    for fold in range(split.n_folds):
        sides = {part: set() for part in ("train", "val", "test")}
        for subject in windows:
            for part in sides:
                rows = split.rows(subject, part, fold=fold)  # type: ignore[arg-type]
                if rule in DRAWN:
                    column = windows[subject]["stimulus"].iloc[rows]
                    sides[part] |= set(
                        column.map(stimuli.table.set_index("stimulus")[rule]) if rule != "stimulus" else column
                    )
                else:
                    sides[part] |= set(split.units(rows, subject)) if len(rows) else set()
        assert all(sides.values())
        assert not sides["train"] & sides["val"]
        assert not sides["train"] & sides["test"]
        assert not sides["val"] & sides["test"]


def test_a_text_stays_on_its_side_when_others_are_added() -> None:
    windows, stimuli = study()
    few = {name: table[table["stimulus"] < "p50"].reset_index(drop=True) for name, table in windows.items()}
    most = split_by_rule("text", windows, stimuli).table.drop_duplicates("unit").set_index("unit")["fold_0"]
    some = split_by_rule("text", few, stimuli).table.drop_duplicates("unit").set_index("unit")["fold_0"]
    assert all(some[unit] == most[unit] for unit in some.index)


def test_seeds_differ() -> None:
    windows, stimuli = study()
    assert len({split_by_rule("concept", windows, stimuli, seed=seed).hash for seed in range(3)}) == 3


def test_unknown_rule_missing_column_and_missing_value() -> None:
    windows, stimuli = study()
    with pytest.raises(ConfigError, match="expected one of stimulus"):
        split_by_rule("picture", windows, stimuli)
    bare = Stimuli(stimuli.table.drop(columns="cluster"))
    with pytest.raises(DataError, match="column 'cluster'"):
        split_by_rule("cluster", windows, bare)
    holed = Stimuli(stimuli.table.assign(concept=np.where(stimuli.table["stimulus"] == "p07", "", "c")))
    with pytest.raises(DataError, match="'p07' has no concept"):
        split_by_rule("concept", windows, holed)
    with pytest.raises(DataError, match="too few"):
        split_by_rule("stimulus", {"sub-01": windows["sub-01"].head(4)}, stimuli)


def test_across_subjects_neither_person_nor_stimulus_is_shared() -> None:
    windows, stimuli = study()
    own = split_by_rule("concept", windows, stimuli)
    across = leave_one_subject_out(own)
    assert (across.n_folds, across.unit) == (3, "concept")
    for fold, left_out in enumerate(windows):
        assert across.rows(left_out, "test", fold=fold).tolist() == own.rows(left_out, "test").tolist()
        assert not len(across.rows(left_out, "train", fold=fold)) + len(across.rows(left_out, "val", fold=fold))
        for other in set(windows) - {left_out}:
            assert not len(across.rows(other, "test", fold=fold))
            for part in ("train", "val"):
                assert across.rows(other, part, fold=fold).tolist() == own.rows(other, part).tolist()  # type: ignore[arg-type]
    with pytest.raises(DataError, match="got 1 and 1"):
        leave_one_subject_out(split_by_rule("concept", {"sub-01": windows["sub-01"]}, stimuli))
    with pytest.raises(DataError, match="got 3 and 3"):
        leave_one_subject_out(split_by_rule("session", windows))
