"""Intervals cover, nulls are exact, differences are paired."""

import numpy as np
import pytest
from scipy import stats

from neurodecode.core.errors import DataError
from neurodecode.evaluation.statistics import (
    Outcomes,
    bootstrap_interval,
    bootstrap_values,
    null_point,
    paired_difference,
    permutation_p_value,
    resampled_values,
)


def outcomes(values, units=None):
    values = np.asarray(values, dtype=np.float64)
    return Outcomes(values, np.arange(len(values)) if units is None else np.asarray(units))


def test_resampled_statistics_equal_those_of_the_repeated_queries():
    generator = np.random.default_rng(0)
    sample = outcomes(generator.integers(0, 5, 12), np.repeat(np.arange(4), 3))
    counts = generator.multinomial(4, np.full(4, 0.25), size=20)
    for statistic, reduce in (("mean", np.mean), ("median", np.median)):
        got = resampled_values(sample, counts, statistic)
        expected = [reduce(np.repeat(sample.values, np.repeat(row, 3))) for row in counts]
        np.testing.assert_allclose(got, expected)


def test_interval_agrees_with_scipy():
    sample = np.random.default_rng(1).exponential(size=80)
    ours = bootstrap_interval([outcomes(sample)], seed=0, n_draws=5000)
    theirs = stats.bootstrap((sample,), np.mean, method="percentile", n_resamples=5000, rng=0).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=0.02)
    assert ours.high == pytest.approx(theirs.high, abs=0.02)


def test_interval_covers_as_often_as_it_says():
    generator = np.random.default_rng(2)
    inside = 0
    for seed in range(200):
        interval = bootstrap_interval([outcomes(generator.random(60) < 0.4)], seed=seed, n_draws=400, share=True)
        inside += interval.low <= 0.4 <= interval.high
    assert 0.89 <= inside / 200 <= 0.99


def test_queries_of_one_unit_are_resampled_together():
    values = np.repeat([0.0, 1.0] * 5, 20)
    alone = bootstrap_interval([outcomes(values)], seed=0)
    together = bootstrap_interval([outcomes(values, np.repeat(np.arange(10), 20))], seed=0)
    assert together.high - together.low > 3 * (alone.high - alone.low)


def test_shared_items_are_crossed_with_people():
    generator = np.random.default_rng(3)
    item = generator.standard_normal(50)  # what is hard is hard for everybody
    crossed = [outcomes(item + 0.01 * generator.standard_normal(50)) for _ in range(4)]
    nested = [outcomes(one.values, np.arange(50) + 100 * index) for index, one in enumerate(crossed)]
    wide = np.ptp(np.quantile(bootstrap_values(crossed, seed=0), [0.025, 0.975]))
    narrow = np.ptp(np.quantile(bootstrap_values(nested, seed=0), [0.025, 0.975]))
    assert wide == pytest.approx(4 * item.std() / np.sqrt(50), rel=0.1)
    # four people of whom a draw repeats some: the variance of the mean is (2 - 1/4) / 4 of one person's
    assert narrow == pytest.approx(wide * np.sqrt(1.75 / 4), rel=0.1)


def test_people_add_to_the_interval():
    people = [outcomes(np.full(50, level)) for level in (0.2, 0.5, 0.8)]
    interval = bootstrap_interval(people, seed=0)
    assert interval.value == pytest.approx(0.5)
    assert interval.low < 0.35
    assert interval.high > 0.65


def test_all_right_and_all_wrong_keep_an_exact_bound():
    bound = stats.binomtest(30, 30).proportion_ci(0.95, method="exact").low
    right = bootstrap_interval([outcomes(np.ones(30))], seed=0, share=True)
    assert right.low == pytest.approx(bound)
    wrong = bootstrap_interval([outcomes(np.zeros(30))], seed=0, share=True)
    assert (wrong.low, wrong.high) == (0.0, pytest.approx(1 - bound))


def test_the_same_seed_gives_the_same_interval():
    sample = [outcomes(np.random.default_rng(4).random(20))]
    assert bootstrap_interval(sample, seed=7) == bootstrap_interval(sample, seed=7)
    assert bootstrap_interval(sample, seed=7) != bootstrap_interval(sample, seed=8)


def test_paired_difference_sees_what_unpaired_intervals_hide():
    generator = np.random.default_rng(5)
    hard = generator.standard_normal(100)
    better = {"sub-01": outcomes(hard + 0.1 + 0.05 * generator.standard_normal(100))}
    worse = {"sub-01": outcomes(hard)}
    found = paired_difference(better, worse, seed=0)
    assert 0 < found.low < found.value < found.high < 0.2
    assert found.p_value < 0.01
    alone = bootstrap_interval([better["sub-01"]], seed=0)
    assert alone.low < 0 < alone.high


def test_paired_difference_of_equal_models_is_not_significant():
    generator = np.random.default_rng(6)
    values = []
    for seed in range(100):
        first, second = ({"sub-01": outcomes(generator.random(40) < 0.5)} for _ in range(2))
        values.append(paired_difference(first, second, seed=seed, n_draws=200).p_value)
    assert np.mean(np.array(values) < 0.05) <= 0.1
    assert np.mean(np.array(values) < 0.5) == pytest.approx(0.45, abs=0.2)


def test_paired_difference_refuses_other_queries():
    first = {"sub-01": outcomes([0, 1], ["a", "b"])}
    second = {"sub-01": outcomes([0, 1], ["a", "c"])}
    with pytest.raises(DataError, match="other queries"):
        paired_difference(first, second, seed=0)


def test_null_point_and_p_value_look_at_the_right_tail():
    null = np.arange(100) / 100
    assert np.mean(null > null_point(null, lower_is_better=False)) <= 0.05
    assert np.mean(null < null_point(null, lower_is_better=True)) <= 0.05
    assert permutation_p_value(2.0, null, lower_is_better=False) == pytest.approx(1 / 101)
    assert permutation_p_value(-1.0, null, lower_is_better=True) == pytest.approx(1 / 101)


def test_outcomes_refuse_nan():
    with pytest.raises(DataError, match="not finite"):
        outcomes([0.0, np.nan])
