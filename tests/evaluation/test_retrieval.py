"""Retrieval records: oracle 1, random at chance, both directions, folds, units, curves."""

import numpy as np
import pytest
from scipy import stats

from neurodecode.core.errors import DataError
from neurodecode.core.scores import lower_is_better
from neurodecode.evaluation.answers import Answers
from neurodecode.evaluation.comparisons import compare_models
from neurodecode.evaluation.ranks import ranks_from_scores
from neurodecode.evaluation.retrieval import evaluate_retrieval, repetition_curve

LABEL = "joint | disjoint unit: concept"
FIELDS = {"protocol": LABEL, "averaged": "signals x 20", "simulated": True, "seed": 0}
FAST = {"n_bootstrap": 300, "n_permutations": 300}
NAMES = [f"s{index:03d}" for index in range(120)]


def answers(strength, seed=0, n=120, **fields):
    scores = np.random.default_rng(seed).standard_normal((n, n)) + strength * np.eye(n)
    return Answers(scores, NAMES[:n], NAMES[:n], **fields)


def pick(scores, **wanted):
    found = [score for score in scores if all(getattr(score, name) == value for name, value in wanted.items())]
    assert len(found) == 1, wanted
    return found[0]


def test_oracle_is_one_and_random_is_chance_for_every_metric():
    table = {
        ("oracle", "sub-01"): answers(100.0),
        ("oracle", "sub-02"): answers(100.0, seed=1),
        ("guess", "sub-01"): answers(0.0, seed=2),
        ("guess", "sub-02"): answers(0.0, seed=3),
    }
    scores, absent = evaluate_retrieval(table, **FIELDS, **FAST)
    assert not absent
    metrics = {score.metric for score in scores}
    assert metrics == {"top1", "top5", "way2", "way10", "way50", "way100", "mean_rank", "median_rank", "mrr"}
    assert len(scores) == 2 * 9 * 3 * 2
    for score in scores:
        if score.model == "oracle":
            assert score.value == 1.0, score
            assert score.above_null
        elif score.subject == "mean":
            assert score.low <= score.chance <= score.high, score


def test_chance_is_exact():
    scores, _ = evaluate_retrieval({("guess", "sub-01"): answers(0.0)}, **FIELDS, **FAST)
    chances = {score.metric: score.chance for score in scores}
    assert chances["top1"] == pytest.approx(1 / 120)
    assert chances["top5"] == pytest.approx(5 / 120)
    assert chances["way50"] == pytest.approx(1 / 50)
    assert chances["mean_rank"] == chances["median_rank"] == 60.5


def test_the_null_is_that_of_permuted_labels():
    table = answers(0.3, seed=4)
    null = table.null("top5", "image_given_brain", seed=0, n_draws=400)
    generator = np.random.default_rng(9)
    drawn = [ranks_from_scores(table.scores, generator.permutation(NAMES), NAMES).top_k(5).mean() for _ in range(400)]
    assert null.mean() == pytest.approx(5 / 120, abs=0.003)
    assert stats.ks_2samp(null, drawn).pvalue > 0.001


def test_false_alarms_are_as_rare_as_the_null_says():
    alarms = 0
    for seed in range(150):
        scores, _ = evaluate_retrieval(
            {("guess", "sub-01"): answers(0.0, seed=seed, n=30)}, protocol=LABEL, averaged="none", simulated=True,
            seed=seed, top=(), ways=(2,), directions=("image_given_brain",), n_bootstrap=10, n_permutations=200,
        )  # fmt: skip
        alarms += pick(scores, metric="way2", subject="mean").above_null
    assert alarms / 150 <= 0.11


def test_directions_ask_different_questions():
    scores = np.zeros((3, 3))
    scores[:, 0] = [3.0, 2.0, 1.0]  # every brain finds picture a; picture a finds its own brain
    table = Answers(scores, ["a", "b", "c"], ["a", "b", "c"])
    np.testing.assert_allclose(table.outcomes("top1", "image_given_brain").values, [1, 0, 0])
    np.testing.assert_allclose(table.outcomes("top1", "brain_given_image").values, [1, 1 / 3, 1 / 3])


def test_several_trials_of_a_stimulus_are_all_right_for_it():
    queries = np.repeat(NAMES[:6], 4)
    scores = np.random.default_rng(0).standard_normal((24, 6))
    scores[np.arange(24), np.repeat(np.arange(6), 4)] += 50
    found, _ = evaluate_retrieval(
        {("m", "sub-01"): Answers(scores, queries, NAMES[:6])}, **FIELDS, top=(1,), ways=(2, 3), **FAST
    )
    back = pick(found, metric="top1", direction="brain_given_image", subject="sub-01")
    assert (back.value, back.n_queries, back.n_candidates) == (1.0, 6, 24)
    assert back.chance == pytest.approx(4 / 24)


def test_top_k_is_absent_where_the_gallery_is_too_small():
    table = {("ridge", "sub-01"): answers(1.0, n=4)}
    scores, absent = evaluate_retrieval(table, **FIELDS, **FAST)
    assert not [score for score in scores if score.metric == "top5"]
    assert {record.reason for record in absent} == {"top-5 needs more than 5 candidates, there are 4"}


def test_folds_are_pooled_and_looked_up_within_a_fold():
    categories = NAMES[:8]
    queries = np.tile(categories, 12)
    runs = np.repeat([f"run-{index:02d}" for index in range(12)], 8)
    scores = np.random.default_rng(1).standard_normal((96, 8)) + 2 * np.tile(np.eye(8), (12, 1))
    table = Answers(scores, queries, categories, units=runs, folds=runs)
    found, absent = evaluate_retrieval({("ridge", "sub-02"): table}, **FIELDS, **FAST)
    assert not absent
    forward = pick(found, metric="top1", direction="image_given_brain", subject="mean")
    back = pick(found, metric="top1", direction="brain_given_image", subject="mean")
    assert (forward.n_queries, forward.n_candidates) == (96, 8)
    assert (back.n_queries, back.n_candidates) == (96, 8)
    assert forward.value == pytest.approx(np.mean(scores.argmax(1) == np.tile(np.arange(8), 12)))
    by_fold = [np.mean(scores[r * 8 : r * 8 + 8].argmax(0) == np.arange(8)) for r in range(12)]
    assert back.value == pytest.approx(np.mean(by_fold))
    # labels permuted within runs: 96 nearly independent guesses among 8
    assert forward.null_95 == pytest.approx(0.125 + 1.645 * np.sqrt(0.125 * 0.875 / 96), abs=0.025)


def test_units_that_hold_one_label_each_do_not_freeze_the_null():
    concepts = answers(0.0, units=NAMES)  # the concept is the unit, one picture each: nothing to permute within it
    plain = answers(0.0)
    null = [table.null("top5", "image_given_brain", seed=0, n_draws=200) for table in (concepts, plain)]
    np.testing.assert_array_equal(null[0], null[1])
    assert null[0].std() > 0


def test_folds_of_different_size_have_no_way_back():
    runs = ["a"] * 4 + ["b"] * 3
    table = Answers(np.eye(7, 4), NAMES[:4] + NAMES[:3], NAMES[:4], units=runs, folds=runs)
    scores, absent = evaluate_retrieval({("ridge", "sub-01"): table}, **FIELDS, top=(1,), ways=(), **FAST)
    assert {score.direction for score in scores} == {"image_given_brain"}
    assert "differ in size" in absent[0].reason


def test_a_stated_one_way_score_is_absent_with_its_reason():
    table = answers(1.0, n=10, one_way="likelihoods of different responses cannot be compared")
    _, absent = evaluate_retrieval({("encoding", "sub-01"): table}, **FIELDS, **FAST)
    assert absent[0].reason.startswith("likelihoods")


def test_curve_rises_with_repetitions_and_is_named_apart():
    curve = repetition_curve(
        lambda n: {("fused", "sub-01"): answers(np.sqrt(n), seed=n)}, [1, 4, 16],
        protocol=lambda averaged: f"joint | averaged: {averaged}", simulated=True, seed=0, **FAST,
    )  # fmt: skip
    means = [score for score in curve if score.subject == "mean" and score.metric == "curve_top1"]
    assert [score.averaged for score in means] == ["signals x 1", "signals x 4", "signals x 16"]
    assert means[0].value < means[1].value < means[2].value
    assert "averaged: signals x 4" in means[1].protocol


def test_difference_records():
    table = {(model, f"sub-0{s}"): answers(gain, seed=s) for model, gain in (("a", 4.0), ("b", 1.0)) for s in (1, 2)}
    scores = compare_models(
        table, [("a", "b")], metrics=["top5"], protocol=LABEL, averaged="none", simulated=True, seed=0
    )
    mean = pick(scores, subject="mean")
    assert mean.metric == "difference_top5"
    assert mean.low > 0
    assert mean.above_null
    assert "two-sided p = 0.0004998" in mean.note
    same = compare_models(
        table, [("a", "a")], metrics=["top1"], protocol=LABEL, averaged="none", simulated=True, seed=0
    )
    assert pick(same, subject="mean").value == 0


def test_lower_ranks_are_better_than_their_null():
    scores, _ = evaluate_retrieval({("m", "sub-01"): answers(2.0)}, **FIELDS, **FAST)
    for score in scores:
        if lower_is_better(score.metric):
            assert score.value < score.null_95 < score.chance


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scores": np.full((2, 2), np.nan)}, "not finite"),
        ({"scores": np.eye(3)}, "shape"),
        ({"queries": ["a", "z"]}, "'z' is not among"),
        ({"units": ["r"]}, "1 units for 2 queries"),
    ],
)
def test_bad_answers_are_named(fields, message):
    good = {"scores": np.eye(2), "queries": ["a", "b"], "candidates": ["a", "b"]}
    with pytest.raises(DataError, match=message):
        Answers(**{**good, **fields})


def test_a_model_without_protocol_is_named():
    table = {("fused", "sub-01"): answers(1.0, n=10)}
    with pytest.raises(DataError, match="says nothing for the model 'fused'"):
        evaluate_retrieval(table, protocol={"ridge": LABEL}, averaged="none", simulated=True, seed=0)
