"""Budgets: read from text, nested, and never more than the training windows."""

import numpy as np
import pandas as pd
import pytest

from neurodecode.core.budget import ORDERS, budget_split, budget_windows, in_time, parse_budget, recorded_seconds
from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.split import published_split

STIMULI = [f"s{number}" for number in range(20)]


def windows() -> pd.DataFrame:
    shown = STIMULI * 3
    onsets = np.tile(np.arange(30) * 2.0, 2)
    table = pd.DataFrame({"session": "", "run": np.repeat(["1", "2"], 30), "onset": onsets, "length": 50})
    return table.assign(stimulus=shown, subject="sub-01")


@pytest.mark.parametrize(
    ("text", "kind", "amount"),
    [("15min", "seconds", 900), ("1h", "seconds", 3600), ("90 s", "seconds", 90), ("7 trials", "trials", 7),
     ("1 stimulus", "stimuli", 1), ("12.5 %", "share", 0.125)],
)  # fmt: skip
def test_texts(text: str, kind: str, amount: float) -> None:
    found = parse_budget(text)
    assert (found.kind, found.amount) == (kind, amount)
    assert parse_budget(found.text) == found


@pytest.mark.parametrize("text", ["", "15", "0 trials", "-3 trials", "101%", "1.5 trials", "ten minutes"])
def test_bad_texts(text: str) -> None:
    with pytest.raises(ConfigError, match="budget: got"):
        parse_budget(text)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    "texts", [("10 s", "31 s", "60 s"), ("3 trials", "9 trials"), ("2 stimuli", "7 stimuli"), ("10%", "50%", "100%")]
)
def test_nested_and_within_training(order: str, texts: tuple[str, ...]) -> None:
    table, rows = windows(), np.flatnonzero(np.isin(windows()["stimulus"], STIMULI[:15]))
    before: set[int] = set()
    for text in texts:
        found = budget_windows(parse_budget(text), table, rows, order=order, seed=3, sfreq=50.0)  # type: ignore[arg-type]
        assert before < set(found.tolist()) <= set(rows.tolist())
        before = set(found.tolist())
    first = budget_windows(parse_budget("5 trials"), table, rows, order="chronological", seed=9, sfreq=50.0)
    assert first.tolist() == rows[:5].tolist()


def test_time_counts_what_lies_between() -> None:
    table = windows()
    rows = np.array([0, 4, 8, 40])
    budget = parse_budget("10 s")
    assert budget_windows(budget, table, rows, order="chronological", seed=0, sfreq=50.0).tolist() == [0, 4]
    assert len(budget_windows(parse_budget("6 s"), table, rows, order="random", seed=0, sfreq=50.0)) == 3
    assert recorded_seconds(table, 50.0)[29] == 1.0
    shuffled = table.sample(frac=1, random_state=0).reset_index(drop=True)
    assert shuffled["onset"].iloc[in_time(shuffled)[:30]].is_monotonic_increasing
    with pytest.raises(DataError, match="onset"):
        budget_windows(budget, table.assign(onset=np.nan), rows, order="chronological", seed=0, sfreq=50.0)


def test_units_stay_whole() -> None:
    table = windows()
    parts = dict.fromkeys(STIMULI[:15], "train") | dict.fromkeys(STIMULI[15:17], "val")
    parts |= dict.fromkeys(STIMULI[17:], "test")
    split = published_split({"sub-01": table, "sub-02": table}, parts, column="stimulus", unit="stimulus", rule="x")
    budget = parse_budget("30 trials")
    rows = budget_windows(budget, table, split.rows("sub-01", "train"), order="random", seed=0, sfreq=50.0)
    found = budget_split(split, "sub-01", rows, budget, stimuli=table["stimulus"].to_numpy()[rows], fold=0, seed=0)
    sides = [set(found.units(found.rows("sub-01", part), "sub-01")) for part in ("train", "val", "test")]  # type: ignore[arg-type]
    assert not (sides[0] & sides[1])
    assert sides[2] == set(STIMULI[17:])
    used = sorted([*found.rows("sub-01", "train"), *found.rows("sub-01", "val")])
    assert used == rows.tolist()
    assert not len(found.rows("sub-02", "train"))
    with pytest.raises(DataError, match="is no training window"):
        budget_split(
            split,
            "sub-01",
            split.rows("sub-01", "test"),
            budget,
            stimuli=table["stimulus"].to_numpy()[rows],
            fold=0,
            seed=0,
        )
    with pytest.raises(ConfigError, match="there are 45 trials"):
        budget_windows(
            parse_budget("46 trials"), table, split.rows("sub-01", "train"), order="random", seed=0, sfreq=1.0
        )
