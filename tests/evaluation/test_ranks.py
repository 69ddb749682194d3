"""Ranks against brute force, scikit-learn and torchmetrics; ties, duplicates and chance."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import label_ranking_average_precision_score, top_k_accuracy_score
from torchmetrics.retrieval import RetrievalHitRate, RetrievalMRR

from neurodecode.core.errors import DataError
from neurodecode.evaluation.positions import (
    chance_median_rank,
    chance_reciprocal_rank,
    chance_top_k,
    first_position_shares,
)
from neurodecode.evaluation.ranks import ranks, ranks_from_scores

NAMES = [f"s{index}" for index in range(40)]


def random_scores(seed=0, n=40):
    return np.random.default_rng(seed).standard_normal((n, n)) + 1.5 * np.eye(n)


def brute_force(scores, query_labels, candidate_labels, k, ways):
    """Average every metric over all orders of what is tied, by listing them."""
    found = []
    for row, label in zip(scores, query_labels, strict=True):
        right = np.array([name == label for name in candidate_labels])
        orders = [
            order
            for order in itertools.permutations(range(len(row)))
            if all(row[a] >= row[b] for a, b in itertools.pairwise(order))
        ]
        first = np.array([1 + next(p for p, j in enumerate(order) if right[j]) for order in orders])
        games = []
        for j in np.flatnonzero(right):
            for others in itertools.combinations(np.flatnonzero(~right), ways - 1):
                best = max(row[list(others)])
                tied = 1 + int(np.sum(row[list(others)] == row[j]))
                games.append(1.0 if row[j] > best else 0.0 if row[j] < best else 1 / tied)
        found.append((first.mean(), np.mean(first <= k), np.mean(games), np.mean(1 / first)))
    return np.array(found)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_score_equals_the_average_over_all_orders_of_ties(data):
    n = data.draw(st.integers(3, 6))
    labels = data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    n_wrong = min(n - labels.count(label) for label in set(labels))
    if n_wrong < 1:
        labels[0] = labels[0] + 1
        n_wrong = min(n - labels.count(label) for label in set(labels))
    rows = data.draw(st.lists(st.lists(st.integers(0, 3), min_size=n, max_size=n), min_size=1, max_size=2))
    queries = [labels[index] for index in range(len(rows))]
    k = data.draw(st.integers(1, n - 1))
    ways = data.draw(st.integers(2, n_wrong + 1))
    found = ranks_from_scores(np.array(rows), queries, labels)
    expected = brute_force(np.array(rows), queries, labels, k, ways)
    got = np.stack([found.expected_rank(), found.top_k(k), found.k_way(ways), found.reciprocal_rank()], axis=1)
    np.testing.assert_allclose(got, expected, atol=1e-12)


def test_top_k_agrees_with_scikit_learn_and_torchmetrics():
    scores = random_scores()
    found = ranks_from_scores(scores, NAMES, NAMES)
    flat = torch.tensor(scores.ravel() - scores.min() + 1)  # torchmetrics leaves right ones below zero out of the MRR
    truth = torch.tensor(np.eye(40).ravel() > 0)
    groups = torch.arange(40).repeat_interleave(40)
    for k in (1, 5, 10):
        value = found.top_k(k).mean()
        assert value == pytest.approx(top_k_accuracy_score(np.arange(40), scores, k=k))
        assert value == pytest.approx(float(RetrievalHitRate(top_k=k)(flat, truth, indexes=groups)))
    mrr = found.reciprocal_rank().mean()
    assert mrr == pytest.approx(float(RetrievalMRR()(flat, truth, indexes=groups)), abs=1e-6)
    assert mrr == pytest.approx(label_ranking_average_precision_score(np.eye(40), scores))


def test_k_way_agrees_with_drawing_the_games():
    scores = random_scores(1)
    exact = ranks_from_scores(scores, NAMES, NAMES).k_way(10).mean()
    generator = np.random.default_rng(0)
    won = []
    for row in range(40):
        others = np.delete(np.arange(40), row)
        drawn = np.array([generator.choice(others, 9, replace=False) for _ in range(500)])
        won.append((scores[row, drawn].max(axis=1) < scores[row, row]).mean())
    assert np.mean(won) == pytest.approx(exact, abs=0.01)


def test_two_way_equals_the_area_under_the_rank():
    found = ranks_from_scores(random_scores(2), NAMES, NAMES)
    np.testing.assert_allclose(found.k_way(2), 1 - (found.expected_rank() - 1) / 39)
    np.testing.assert_allclose(found.k_way(40), found.top_k(1))


@pytest.mark.parametrize("similarity", ["cosine", "correlation", "dot", "euclidean"])
def test_tiles_give_what_the_whole_matrix_gives(similarity):
    generator = np.random.default_rng(3)
    gallery = generator.standard_normal((90, 12)).astype(np.float32)
    gallery[60:] = gallery[:30]  # the same vectors under other labels: ties that stand in other tiles
    queries = gallery[:50] + 0.7 * generator.standard_normal((50, 12)).astype(np.float32)
    labels = np.arange(90) % 45  # two candidates carry each label
    q, g = queries.astype(np.float64), gallery.astype(np.float64)
    if similarity == "correlation":
        q, g = q - q.mean(1, keepdims=True), g - g.mean(1, keepdims=True)
    if similarity in ("cosine", "correlation"):
        q, g = q / np.linalg.norm(q, axis=1, keepdims=True), g / np.linalg.norm(g, axis=1, keepdims=True)
    scores = q @ g.T if similarity != "euclidean" else -0.5 * ((q[:, None] - g[None]) ** 2).sum(-1)
    whole = ranks_from_scores(scores, labels[:50], labels, tolerance=1e-5)
    tiled = ranks(queries, gallery, labels[:50], labels, similarity=similarity, query_tile=7, gallery_tile=11)
    for name in ("query", "above", "tied_wrong", "tied_right"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(tiled, name), err_msg=name)
    assert tiled.tied_wrong.sum() > 0


def test_a_function_can_be_the_similarity():
    vectors = np.random.default_rng(4).standard_normal((20, 5))
    named = ranks(vectors, vectors, NAMES[:20], NAMES[:20], similarity="dot")
    given_ = ranks(vectors, vectors, NAMES[:20], NAMES[:20], similarity=lambda a, b: a @ b.T)
    np.testing.assert_array_equal(named.above, given_.above)


def test_oracle_scores_one():
    vectors = np.random.default_rng(5).standard_normal((30, 8))
    found = ranks(vectors, vectors, NAMES[:30], NAMES[:30])
    for values in (found.top_k(1), found.k_way(10), found.expected_rank(), found.reciprocal_rank()):
        np.testing.assert_array_equal(values, np.ones(30))


def test_a_constant_predictor_scores_chance_exactly():
    labels = [name for name in NAMES[:10] for _ in range(3)]  # three right candidates each
    found = ranks(np.zeros((10, 4)), np.ones((30, 4)), NAMES[:10], labels)
    assert found.top_k(5) == pytest.approx(np.full(10, float(chance_top_k(3, 30, 5))))
    assert found.expected_rank() == pytest.approx(np.full(10, 31 / 4))
    assert found.k_way(7) == pytest.approx(np.full(10, 1 / 7))
    assert found.reciprocal_rank() == pytest.approx(np.full(10, chance_reciprocal_rank(3, 30)))


def test_random_scores_reach_chance():
    scores = np.random.default_rng(6).standard_normal((2000, 20))
    labels = [NAMES[index % 10] for index in range(20)]  # two right candidates each
    found = ranks_from_scores(scores, [NAMES[index % 10] for index in range(2000)], labels)
    assert found.top_k(5).mean() == pytest.approx(float(chance_top_k(2, 20, 5)), abs=0.03)
    assert found.k_way(5).mean() == pytest.approx(0.2, abs=0.02)
    assert found.expected_rank().mean() == pytest.approx(21 / 3, abs=0.3)
    assert found.reciprocal_rank().mean() == pytest.approx(chance_reciprocal_rank(2, 20), abs=0.02)
    assert np.median(found.expected_rank()) == pytest.approx(chance_median_rank(2, 20), abs=1)


def test_duplicates_of_one_stimulus_count_as_right():
    found = ranks_from_scores([[0.9, 0.9, 0.1]], ["a"], ["a", "a", "b"])
    assert found.top_k(1).tolist() == [1.0]
    assert found.expected_rank().tolist() == [1.0]


def test_first_position_shares_are_a_distribution():
    assert first_position_shares(3, 30).sum() == pytest.approx(1)
    assert (first_position_shares(3, 30) * np.arange(1, 29)).sum() == pytest.approx(31 / 4)


@pytest.mark.parametrize(
    ("scores", "queries", "candidates", "message"),
    [
        ([[1.0, np.nan]], ["a"], ["a", "b"], "not finite"),
        ([[1.0, 2.0]], ["c"], ["a", "b"], "'c' is not among"),
        ([[1.0, 2.0]], ["a", "b"], ["a", "b"], "shape"),
        ([[1.0]], ["a"], ["a"], "candidates"),
    ],
)
def test_bad_input_is_named(scores, queries, candidates, message):
    with pytest.raises(DataError, match=message):
        ranks_from_scores(scores, queries, candidates)


def test_k_must_be_below_the_number_of_candidates():
    found = ranks_from_scores(np.eye(3), "abc", "abc")
    with pytest.raises(DataError, match="below the number of candidates"):
        found.top_k(3)
    with pytest.raises(DataError, match="k-way"):
        found.k_way(4)


def test_unknown_similarity_is_named():
    with pytest.raises(DataError, match="'cos', expected one of cosine"):
        ranks(np.eye(2), np.eye(2), "ab", "ab", similarity="cos")


def test_memory_stays_far_below_the_whole_matrix():
    script = Path(__file__).parents[1] / "benchmarks" / "ranking.py"
    command = [sys.executable, str(script), "--size", "8000", "--dim", "16"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=script.anchor, env=environment)
    measured = json.loads(done.stdout)
    added = measured["peak_gigabytes"] - measured["inputs_and_imports_gigabytes"]
    assert added < 0.6 * 8000 * 8000 * 4 / 1e9, measured  # float32 scores alone would be 0.256 GB
