"""Adapting to a new subject: what is looked at, whether it helps where something is shared, and what is refused."""

# Fixtures are imported by name.
# ruff: noqa: F401, F811

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurodecode.cli.main import main
from neurodecode.core import prepared as prepared_module
from neurodecode.core.budget import parse_budget
from neurodecode.core.errors import ConfigError, DataError, LeakageError, MismatchError
from neurodecode.core.files import read_json
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.core.sensors import Sensors
from neurodecode.encoders.linear.group_prior import GRIDS
from neurodecode.training.adaptation import read_source
from neurodecode.workflow import adapt
from neurodecode.workflow.adapt import run_adaptation
from neurodecode.workflow.adapt_checks import check_source, possible_strategies
from neurodecode.workflow.adapt_group import shared_channels
from neurodecode.workflow.adapt_plan import AdaptationPlan
from neurodecode.workflow.adapt_scores import gap_closed
from neurodecode.workflow.bank import TargetBank
from neurodecode.workflow.budget_study import budget_study
from neurodecode.workflow.shuffle import shuffled_copy

from .adapting import KNOWN, NEW, FewerChannels, SharedCode, checkpoint, places, shared, value
from .conftest import N_REPETITIONS, N_TRAIN, SmallStudy


def test_budgets_are_nested_training_windows(shared: PreparedStudy, tmp_path: Path) -> None:
    before: set[int] = set()
    training = set(shared.split.rows(NEW, "train").tolist())
    for text in ("20 trials", "40 trials", "90 trials"):
        study = budget_study(shared, NEW, parse_budget(text), tmp_path / text, order="chronological", seed=0)
        used = {int(row) for part in ("train", "val") for row in study.split.rows(NEW, part)}
        assert before < used <= training
        assert len(used) == int(text.split()[0])
        assert study.subjects == [NEW]
        assert np.array_equal(study.split.rows(NEW, "test"), shared.split.rows(NEW, "test"))
        before = used
    assert budget_study(shared, NEW, parse_budget("90 trials"), tmp_path / text, order="chronological", seed=0)
    with pytest.raises(LeakageError, match="something other than a study of a budget"):
        budget_study(shared, NEW, parse_budget("90 trials"), shared.folder, order="chronological", seed=0)


@pytest.fixture(scope="module")
def table(
    shared: PreparedStudy, targets_folder: Path, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> pd.DataFrame:
    plan = AdaptationPlan(
        NEW,
        ("40 trials",),
        ("zero_shot", "full", "group", "group_prior"),
        checkpoint=checkpoint,
        others=KNOWN,
        epochs=5,
    )
    return run_adaptation(plan, shared, targets_folder, tmp_path_factory.mktemp("out"))


def test_a_shared_code_beats_scratch_on_few_trials(table: pd.DataFrame) -> None:
    scratch = value(table, "scratch")
    for strategy in ("zero_shot", "full", "group", "group_prior"):
        assert value(table, strategy) > 1.5 * scratch, strategy
    assert value(table, "scratch", "all") > scratch
    closed = {(row["strategy"], row["metric"]): row for row in gap_closed(table)}
    assert closed["group_prior", "top1"]["closed"] > 0.3
    assert closed["group_prior", "top1"]["low"] is None
    labels = table.groupby("strategy")["protocol"].first()
    assert labels["full"].startswith("adapted (40 trials) | disjoint unit: stimulus")
    assert labels["scratch"].startswith("within-subject")
    assert table["simulated"].all()
    assert (table["low"] <= table["value"]).all()


def test_shuffled_labels_score_chance(shared: PreparedStudy, targets_folder: Path, tmp_path: Path) -> None:
    shuffled = shuffled_copy(shared, tmp_path / "shuffled", seed=1)
    plan = AdaptationPlan(NEW, ("120 trials",), ("group_prior",), others=KNOWN, ceiling=False)
    found = run_adaptation(plan, shuffled, targets_folder, tmp_path / "out")
    here = found[(found["metric"] == "mrr") & (found["direction"] == "image_given_brain")]
    assert (here["value"] < here["null_95"] + 0.1).all()
    assert value(found, "group_prior", "120 trials", "top1") <= 0.25


@pytest.mark.slow
def test_goes_on_where_it_stopped(
    shared: PreparedStudy, targets_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = AdaptationPlan(NEW, ("30 trials", "60 trials"), ("group",), others=KNOWN, ceiling=False)
    rank, calls = adapt.rank_cell, []

    def interrupted(*arguments: object, **named: object) -> object:
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return rank(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(adapt, "rank_cell", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_adaptation(plan, shared, targets_folder, tmp_path / "out")
    told: list[str] = []
    found = run_adaptation(plan, shared, targets_folder, tmp_path / "out", progress=told.append)
    assert [text.endswith("done before") for text in told] == [True, True, False, False]
    monkeypatch.setattr(adapt, "rank_cell", rank)
    pd.testing.assert_frame_equal(found, run_adaptation(plan, shared, targets_folder, tmp_path / "other"))
    summary = read_json(tmp_path / "out" / adapt.SUMMARY)
    assert (summary["seed"], summary["split_hash"], summary["simulated"]) == (0, shared.split.hash, True)
    assert (tmp_path / "out" / adapt.FIGURE).stat().st_size > 1000


@pytest.mark.slow
def test_nothing_outside_the_budget_matters(targets_folder: Path, tmp_path: Path) -> None:
    found = []
    for spoiled in (False, True):
        study = SharedCode(tmp_path)
        folder = tmp_path / f"cache-{spoiled}"
        prepared = prepare_study(study, folder, subjects=[*KNOWN, NEW], session_scaling="zscore")
        plan = AdaptationPlan(NEW, ("40 trials",), ("group_prior",), others=KNOWN, ceiling=False)
        if spoiled:
            block = folder / NEW / "all.npy"
            path = block if block.is_file() else next((folder / NEW).rglob("*.npy"))
            data = np.load(path)
            budget = budget_study(
                prepared, NEW, parse_budget("40 trials"), tmp_path / "b", order="chronological", seed=0
            )
            kept = np.concatenate([budget.split.rows(NEW, part) for part in ("train", "val", "test")])  # type: ignore[arg-type]
            rest = np.setdiff1d(np.arange(len(data)), kept)
            assert len(rest) > 100
            data[rest] = 1e3
            np.save(path, data)
            prepared = PreparedStudy(folder)
        found.append(run_adaptation(plan, prepared, targets_folder, tmp_path / f"out-{spoiled}"))
    pd.testing.assert_frame_equal(*found)


def test_bad_input(
    shared: PreparedStudy,
    targets_folder: Path,
    bank: TargetBank,
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def plan(**changes: object) -> AdaptationPlan:
        settings = {"subject": NEW, "budgets": ("40 trials",), "strategies": ("group",), "others": KNOWN, **changes}
        return AdaptationPlan(**settings)  # type: ignore[arg-type]

    def fails(kind: type[Exception], text: str, make: Callable[[], AdaptationPlan]) -> None:
        with pytest.raises(kind, match=text) as found:
            run_adaptation(make(), shared, targets_folder, tmp_path / "out")
        assert "\n" not in str(found.value)

    fails(ConfigError, "budget: got 'soon'", lambda: plan(budgets=("soon",)))
    fails(ConfigError, "strategies: got 'lorra'.*did you mean", lambda: plan(strategies=("lorra",)))
    fails(ConfigError, "full adapts a network, expected --checkpoint", lambda: plan(strategies=("full",)))
    fails(
        ConfigError, "strategies: got lora, lora, expected some, each once", lambda: plan(strategies=("lora", "lora"))
    )
    fails(ConfigError, "budgets: got 10%, 10 %, expected each once", lambda: plan(budgets=("10%", "10 %")))
    fails(ConfigError, "channels: got 'some'", lambda: plan(channels="some"))
    fails(ConfigError, "subject: got 'sub-9'", lambda: plan(subject="sub-9"))
    fails(LeakageError, "sub-04 is the new subject", lambda: plan(others=(NEW,)))
    fails(LeakageError, "was trained on sub-01", lambda: plan(subject="sub-01", checkpoint=checkpoint))
    fails(ConfigError, "there are 180 trials", lambda: plan(budgets=(f"{N_TRAIN * N_REPETITIONS + 1} trials",)))
    fails(DataError, "holds 3 stimuli in 3 unit", lambda: plan(budgets=("3 stimuli",)))
    other = prepare_study(SmallStudy(tmp_path), tmp_path / "another", subjects=["sub-01", "sub-02"])
    with pytest.raises(MismatchError, match=r"was trained on the study shared, but .*another is small"):
        check_source(read_source(checkpoint), other, bank)
    words = [str(shared.folder), str(targets_folder), NEW, "--budget", "[0 trials]", "--output", str(tmp_path / "x")]
    assert main(["adapt", *words]) == 2
    assert "budget: got '0 trials'" in capsys.readouterr().err
    words[words.index("--budget") + 1] = "8trials"
    assert main(["adapt", *words, "--ckpt", str(tmp_path / "none"), "--strategy", "front-end"]) == 2
    assert "checkpoint: " in capsys.readouterr().err


def test_channels_in_common(targets_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # `prepare` lets only maps differ, such as parcels of which somebody has fewer; these stand for them.
    monkeypatch.setattr(prepared_module, "check_channels", lambda recordings: None)
    prepared = prepare_study(FewerChannels(tmp_path), tmp_path / "cache")
    plan = AdaptationPlan(NEW, ("40 trials",), ("group_prior",), others=KNOWN, ceiling=False)
    with pytest.raises(MismatchError, match=r"group: sub-02 has 7 channels, sub-04 8, 7 of them.*--channels common"):
        run_adaptation(plan, prepared, targets_folder, tmp_path / "out")
    common = replace(plan, channels="common")
    found = run_adaptation(common, prepared, targets_folder, tmp_path / "out")
    assert value(found, "group_prior") > 1.5 * value(found, "scratch")
    cell = next((tmp_path / "out" / "cells").glob("*group_prior.json"))
    assert read_json(cell)["report"]["channels"] == 6
    assert read_json(tmp_path / "out" / adapt.SUMMARY)["channels"] == "common"


def test_voxels_have_nothing_in_common() -> None:
    def brain(names: str) -> Sensors:
        return Sensors(tuple(names), ("voxel",) * len(names), 0.0, 0.0, "%")

    with pytest.raises(MismatchError, match=r"sub-02 has 6 channels, sub-01 5, 5 of them.*voxels of different brains"):
        shared_channels("abcde", brain("abcde"), brain("abcdef"), ("sub-01", "sub-02"), "common")


@pytest.mark.parametrize("text", ["8 trials", "4 stimuli"])
def test_a_few_seconds_follow_the_group(
    text: str, shared: PreparedStudy, targets_folder: Path, checkpoint: Path, tmp_path: Path
) -> None:
    """What a handful of trials cannot tell is left as the group has it, not fitted to them."""
    strategies = ("zero_shot", "group", "group_prior")
    plan = AdaptationPlan(NEW, (text,), strategies, others=KNOWN, checkpoint=checkpoint, ceiling=False, epochs=2)
    found = run_adaptation(plan, shared, targets_folder, tmp_path / "out")
    for strategy in strategies:
        assert value(found, strategy, text) > 0.3, strategy
    chosen = found.set_index("strategy")["chosen"]["group_prior"].iloc[0]
    assert chosen.startswith("scaled only")


def test_what_is_possible_is_run_where_nothing_is_named(shared: PreparedStudy, checkpoint: Path) -> None:
    linear, source = tuple(GRIDS), read_source(checkpoint)
    networks = ("zero_shot", "front_end", "reset", "full", "lora")
    assert possible_strategies(shared, NEW, KNOWN, None, channels="same") == linear
    assert possible_strategies(shared, NEW, KNOWN, source, channels="same") == (*networks, *linear)
    for entry in source.interface["subjects"].values():
        entry["layout"] = "another"
    assert possible_strategies(shared, NEW, KNOWN, source, channels="same") == (*networks[1:], *linear)


def test_the_gap_has_an_interval() -> None:
    rows = [("10%", "scratch", 0.2), ("10%", "full", 0.5), ("all", "scratch", 0.8)]
    table = pd.DataFrame(rows, columns=["budget", "strategy", "value"])
    table = table.assign(metric="top1", direction="image_given_brain")
    order = np.arange(400)
    answers = {(budget, name): np.where(order < share * 400, 1.0, 3.0) for budget, name, share in rows}
    (row,) = gap_closed(table, answers)
    # The same items are drawn for all three: the spread is that of the share of hits above scratch which are kept.
    expected = np.sqrt(0.5 * 0.5 / (0.6 * 400))
    assert row["closed"] == pytest.approx(0.5)
    assert (row["high"] - row["low"]) / (2 * 1.96) == pytest.approx(expected, rel=0.15)
    assert row["low"] < 0.5 < row["high"]
    answers["all", "scratch"] = answers["10%", "scratch"]
    assert gap_closed(table, answers)[0]["low"] is None
