"""Accuracy of predicted signals against references: oracle, chance and ceilings."""

import numpy as np
import pytest

from neurodecode.core.errors import DataError
from neurodecode.evaluation.encoding_accuracy import (
    channel_correlation,
    explained_share,
    noise_ceiling,
    normalised_accuracy,
    signal_to_noise,
)


def test_correlation_equals_numpys() -> None:
    generator = np.random.default_rng(0)
    predicted, measured = generator.normal(size=(2, 20, 3, 2))
    found = channel_correlation(predicted, measured)
    for channel in range(3):
        for time in range(2):
            expected = np.corrcoef(predicted[:, channel, time], measured[:, channel, time])[0, 1]
            assert found[channel, time] == pytest.approx(expected)
    assert channel_correlation(np.ones_like(measured), measured).tolist() == [[0.0] * 2] * 3
    with pytest.raises(DataError, match="expected that of the measured"):
        channel_correlation(predicted[:5], measured)


def test_an_oracle_reaches_the_ceiling_and_chance_does_not() -> None:
    generator = np.random.default_rng(0)
    n_stimuli, n_repetitions, n_channels = 1500, 3, 40
    strength = np.linspace(0.2, 2, n_channels)[:, None]
    truth = strength * generator.normal(size=(n_stimuli, n_channels, 1))
    trials = np.repeat(truth, n_repetitions, axis=0) + generator.normal(size=(n_stimuli * n_repetitions, n_channels, 1))
    names = np.repeat(np.arange(n_stimuli).astype(str), n_repetitions)
    ratio = signal_to_noise(trials, names)
    assert ratio is not None
    np.testing.assert_allclose(ratio, strength, atol=0.15)
    means = trials.reshape(n_stimuli, n_repetitions, n_channels, 1).mean(axis=1)
    ceiling = noise_ceiling(ratio, n_repetitions)
    oracle = normalised_accuracy(channel_correlation(truth, means), ceiling)
    assert np.nanmean(oracle) == pytest.approx(1, abs=0.05)
    assert explained_share(channel_correlation(truth, means), ceiling) == pytest.approx(1, abs=0.05)
    random = normalised_accuracy(channel_correlation(generator.permutation(truth), means), ceiling)
    assert np.nanmean(random) < 0.02
    assert abs(explained_share(channel_correlation(generator.permutation(truth), means), ceiling)) < 0.02


def test_without_repetitions_there_is_no_ratio() -> None:
    assert signal_to_noise(np.zeros((3, 2, 1)), np.array(["x", "y", "z"])) is None
