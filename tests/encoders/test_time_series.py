"""Lagged linear maps and their scoring rules: known weights come back, a true model is found, noise is chance."""

import numpy as np
import pytest
from himalaya.ridge import Ridge

from neurodecode.core.errors import DataError
from neurodecode.encoders.linear.series_scoring import (
    RULES,
    SeriesNoise,
    choose_rule,
    correlation_scores,
    density_ratio_scores,
    likelihood_scores,
    mean_reciprocal_rank,
    split_halves,
)
from neurodecode.encoders.linear.time_series import Coordinates, fit_lagged_ridge, lagged

LAGS = [2, 0, -3]


def smooth(generator: np.random.Generator, n: int, n_times: int, dim: int) -> np.ndarray:
    return lagged(generator.normal(size=(n, n_times, dim)), [0, 1, 2]).reshape(n, n_times, 3, dim).mean(axis=2)


def test_weights_agree_with_himalaya_at_the_same_penalty() -> None:
    generator = np.random.default_rng(0)
    inputs = smooth(generator, 40, 30, 4)
    outputs = lagged(inputs, LAGS) @ generator.normal(size=(12, 3)) + generator.normal(size=(40, 30, 3)) + 1.0
    model = fit_lagged_ridge(inputs, outputs, (inputs, outputs), lags=LAGS, penalties=[0.1])
    flat = lagged(inputs, LAGS).reshape(-1, 12)
    goal = outputs.reshape(-1, 3)
    centred = flat - flat.mean(axis=0)
    penalty = 0.1 * np.linalg.eigvalsh(centred.T @ centred).mean()
    other = Ridge(alpha=penalty, fit_intercept=True).fit(flat, goal)
    np.testing.assert_allclose(model.weights, other.coef_, atol=1e-8)
    np.testing.assert_allclose(model.predict(inputs, 30).reshape(-1, 3), other.predict(flat), atol=1e-8)


def test_the_penalty_is_that_of_the_smallest_error_on_validation() -> None:
    generator = np.random.default_rng(1)
    inputs = generator.normal(size=(30, 40, 5))
    weights = generator.normal(size=(15, 2))
    outputs = lagged(inputs, LAGS) @ weights + 6 * generator.normal(size=(30, 40, 2))
    parts = (inputs[20:], outputs[20:])
    errors = {}
    for penalty in (1e-3, 1e-1, 10.0, 1000.0):
        model = fit_lagged_ridge(inputs[:20], outputs[:20], parts, lags=LAGS, penalties=[penalty])
        rest = model.predict(parts[0], 40) - parts[1]
        errors[penalty] = float(((rest**2).mean(axis=(0, 1)) / parts[1].var(axis=(0, 1))).mean())
    chosen = fit_lagged_ridge(inputs[:20], outputs[:20], parts, lags=LAGS, penalties=list(errors))
    assert chosen.penalty == min(errors, key=lambda penalty: errors[penalty])


def test_context_takes_the_place_of_zeros() -> None:
    series = np.arange(10.0).reshape(1, 10, 1)
    inner = lagged(series, [-1, 1], before=2, n_times=5)[0]
    assert inner.tolist() == [[t - 1.0, t + 1.0] for t in range(2, 7)]
    assert lagged(series[:, 2:7], [-1])[0, 0, 0] == 0.0


def test_coordinates_have_unit_variance_and_drop_what_does_not_vary() -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(size=(20, 50, 3)) @ np.array([[1.0, 0, 0, 1], [0, 5, 0, 0], [0, 0, 0.1, 0]])
    found = Coordinates.fit(values, 10)
    assert found(values).shape == (20, 50, 3)
    np.testing.assert_allclose(found(values).std(axis=(0, 1)), 1.0, atol=1e-6)
    with pytest.raises(DataError, match="do not vary"):
        Coordinates.fit(np.ones((2, 3, 4)), 2)


def test_whitened_noise_is_white_in_space_and_time() -> None:
    generator = np.random.default_rng(0)
    noise = smooth(generator, 400, 30, 3) @ np.array([[1.0, 0.5, 0], [0, 2.0, 0], [0, 0, 0.3]])
    white = SeriesNoise.fit(noise, temporal=True)(noise)
    # The estimate is pulled a little towards independent samples.
    np.testing.assert_allclose(np.cov(white.reshape(-1, 3).T), np.eye(3), atol=0.2)
    plain = SeriesNoise.fit(noise, temporal=False)(noise)
    after, before = (np.mean(values[:, 10:20] * values[:, 11:21]) for values in (white, plain))
    assert abs(after) < 0.1 < 0.5 < before


def test_every_rule_finds_the_truth_and_nothing_in_noise() -> None:
    generator = np.random.default_rng(0)
    truth = smooth(generator, 60, 40, 3)
    errors = smooth(generator, 60, 40, 3)
    prior = SeriesNoise.fit(truth, temporal=False)
    noise = SeriesNoise.fit(0.7 * errors, temporal=False)
    blind = smooth(generator, 60, 40, 3)
    for matrix in (
        correlation_scores(truth + 0.7 * errors, truth),
        likelihood_scores(truth + 0.7 * errors, truth, noise),
        density_ratio_scores(truth + 0.7 * errors, truth, noise, prior),
    ):
        assert mean_reciprocal_rank(matrix) > 0.95
    assert mean_reciprocal_rank(correlation_scores(truth, truth)) == 1.0
    assert mean_reciprocal_rank(correlation_scores(blind, truth)) < 0.2
    assert mean_reciprocal_rank(np.zeros((60, 60))) == pytest.approx(1 / 30.5)


def test_likelihood_ratio_is_that_of_scipy() -> None:
    from scipy.stats import multivariate_normal

    generator = np.random.default_rng(0)
    residuals = generator.normal(size=(200, 4, 2)) @ np.array([[1.0, 0.4], [0.0, 0.6]])
    noise = SeriesNoise.fit(residuals, temporal=False)
    measured, predicted = generator.normal(size=(3, 4, 2)), generator.normal(size=(5, 4, 2))
    covariance = np.linalg.inv(noise.space @ noise.space.T)
    expected = np.zeros((3, 5))
    for row, one in enumerate(measured):
        for column, other in enumerate(predicted):
            with_it = multivariate_normal.logpdf(one - other, cov=covariance).sum()
            expected[row, column] = with_it - multivariate_normal.logpdf(one, cov=covariance).sum()
    np.testing.assert_allclose(likelihood_scores(measured, predicted, noise), expected, atol=1e-8)


def test_the_rule_is_chosen_across_halves_that_share_no_unit() -> None:
    units = np.repeat([f"u{i}" for i in range(10)], 3)
    asked: list[tuple[set[str], set[str]]] = []

    def score(fitted: np.ndarray, queries: np.ndarray, rule: str) -> np.ndarray:
        asked.append((set(units[fitted]), set(units[queries])))
        return np.eye(len(queries)) if rule == "space" else np.zeros((len(queries), len(queries)))

    rule, found = choose_rule(score, units)
    assert rule == "space"
    assert set(found) == set(RULES)
    assert all(not (one & other) for one, other in asked)
    with pytest.raises(DataError, match="expected at least two"):
        split_halves(np.array(["a", "a"]))
