"""Records say everything that a number needs: interval, chance, null, protocol; what is missing has a reason."""

import math
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from neurodecode.core.prepared import PreparedStudy
from neurodecode.core.scores import Score
from neurodecode.workflow.bank import TargetBank
from neurodecode.workflow.ceilings import CEILINGS, REASON_NO_TRUTH
from neurodecode.workflow.records import build_results, curve_records, protocols, retrieval_records
from neurodecode.workflow.retrieve import PERMUTED, SHUFFLED, Retrieval
from neurodecode.workflow.run_folder import RankingTables


def one(scores: list[Score], metric: str, model: str, subject: str = "sub-01") -> Score:
    found = [
        score
        for score in scores
        if (score.metric, score.model, score.subject, score.direction) == (metric, model, subject, "image_given_brain")
    ]
    assert len(found) == 1
    return found[0]


def test_records_are_whole_and_chance_is_right(runs_study: PreparedStudy, bank: TargetBank, of_runs: Retrieval) -> None:
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
    scores = curve_records(runs_study, of_runs, joint=False, seed=0, models=["ridge"])
    found = {score.averaged: score for score in scores if score.metric == "curve_top1" and score.subject == "sub-01"
             and score.direction == "image_given_brain"}  # fmt: skip
    assert sorted(found) == ["signals x 1"]
    assert {score.n_queries for score in found.values()} == {60}
    whole, _, _ = retrieval_records(runs_study, of_runs.tables, joint=False, seed=0, absent={})
    assert found["signals x 1"].value < one(whole, "top1", "ridge").value
    assert curve_records(runs_study, of_runs, joint=False, seed=0, repetitions=[2, 9]) == []


def test_without_a_ranking_no_model_was_chosen(runs_study: PreparedStudy, bank: TargetBank) -> None:
    results = build_results(runs_study, bank, None, [], [], seed=0, config={})
    assert results.chosen_model == {}
    assert "chosen by validation" not in results.study


def test_the_shuffled_control_is_joint_only_where_its_network_was(runs_study: PreparedStudy) -> None:
    names = ["a", "b", "c"]
    queries = pd.DataFrame(
        [
            {"subject": subject, "query": name, "stimulus": name, "correct": name, "unit": name, "fold": 0,
             "repetitions": 1}
            for subject in ("sub-01", "sub-02") for name in names
        ]
    )  # fmt: skip
    candidates = pd.DataFrame({"candidate": names, "text": names})
    scores = {(model, subject): np.eye(3, dtype=np.float32) for subject in ("sub-01", "sub-02")
              for model in ("decoder", "ridge", SHUFFLED, PERMUTED)}  # fmt: skip

    def setting(wanted: dict[tuple[str, str], np.ndarray], model: str, joint: bool) -> str:
        labels = protocols(runs_study, RankingTables(queries, candidates, wanted), joint=joint, averaged="signals x 1")
        return labels[model].split(" | ")[0]

    assert setting(scores, SHUFFLED, True) == "joint"
    assert setting(scores, SHUFFLED, False) == "within-subject"
    one_subject = {key: matrix for key, matrix in scores.items() if key != (SHUFFLED, "sub-02")}
    assert setting(one_subject, SHUFFLED, True) == "within-subject"
    assert setting(one_subject, PERMUTED, True) == setting(one_subject, "decoder", True) == "joint"
    assert setting(one_subject, "ridge", True) == "within-subject"
