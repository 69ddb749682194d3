"""Records say everything that a number needs: interval, chance, null, protocol; what is missing has a reason."""

import math
from dataclasses import asdict

import pytest

from neurodecode.core.prepared import PreparedStudy
from neurodecode.core.scores import Score
from neurodecode.workflow.bank import TargetBank
from neurodecode.workflow.ceilings import CEILINGS, REASON_NO_TRUTH
from neurodecode.workflow.records import build_results, curve_records, retrieval_records
from neurodecode.workflow.retrieve import Retrieval


def one(scores: list[Score], metric: str, model: str, subject: str = "sub-01") -> Score:
    found = [
        score for score in scores
        if (score.metric, score.model, score.subject, score.direction) == (metric, model, subject, "image_given_brain")
    ]
    assert len(found) == 1
    return found[0]


def test_records_are_whole_and_chance_is_right(
    runs_study: PreparedStudy, bank: TargetBank, of_runs: Retrieval
) -> None:
    absent = dict.fromkeys(CEILINGS, REASON_NO_TRUTH)
    scores, missing, _ = retrieval_records(runs_study, of_runs.tables, joint=False, seed=0, absent=absent)
    for score in scores:
        values = asdict(score)
        numbers = [values[name] for name in ("value", "low", "high")]
        assert all(math.isfinite(number) for number in numbers)
        assert score.low <= score.value <= score.high
        assert score.protocol
        assert score.averaged == "signals x 2"
        assert score.n_candidates == 10
        assert score.simulated is False
    top = one(scores, "top1", "ridge")
    assert top.chance == pytest.approx(1 / 10)
    assert one(scores, "top5", "ridge").chance == pytest.approx(1 / 2)
    assert one(scores, "mean_rank", "ridge").chance == pytest.approx(5.5)
    assert top.n_queries == 60
    assert top.null_95 > top.chance
    for word in ("within-subject", "run", "signals x 2", "10 test stimuli", "best by validation"):
        assert word in top.protocol
    reasons = {entry.model: entry.reason for entry in missing if entry.metric == "all"}
    assert reasons == absent
    compared = {(score.metric, score.model) for score in scores if score.metric.startswith("difference_")}
    assert any(metric == "difference_top1" for metric, _ in compared)
    results = build_results(runs_study, bank, of_runs, scores, missing, seed=0, config={})
    assert results.split_hash == runs_study.split.hash
    assert results.chosen_model == of_runs.chosen
    assert list(results.target_space["layers"]) == ["first", "last"]
    assert "6 fold(s)" in results.study["split"]


def test_the_curve_pools_the_folds_and_fewer_repetitions_do_worse(
    runs_study: PreparedStudy, bank: TargetBank, of_runs: Retrieval
) -> None:
    scores = curve_records(runs_study, bank, of_runs, joint=False, seed=0, models=["ridge"])
    found = {score.averaged: score for score in scores if score.metric == "curve_top1" and score.subject == "sub-01"
             and score.direction == "image_given_brain"}  # fmt: skip
    assert sorted(found) == ["signals x 1"]
    assert {score.n_queries for score in found.values()} == {60}
    whole, _, _ = retrieval_records(runs_study, of_runs.tables, joint=False, seed=0, absent={})
    assert found["signals x 1"].value < one(whole, "top1", "ridge").value
    assert curve_records(runs_study, bank, of_runs, joint=False, seed=0, repetitions=[2, 9]) == []


def test_without_a_ranking_no_model_was_chosen(runs_study: PreparedStudy, bank: TargetBank) -> None:
    results = build_results(runs_study, bank, None, [], [], seed=0, config={})
    assert results.chosen_model == {}
    assert "chosen by validation" not in results.study
