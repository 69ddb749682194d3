"""The ceilings against closed forms and brute force."""

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

from neurodecode.core.errors import DataError, LeakageError
from neurodecode.datasets.simulation.calibration import top_k
from neurodecode.datasets.simulation.ceilings import exact_learner, ideal_learner, oracle
from neurodecode.datasets.simulation.preparation import Prepared, whiten
from neurodecode.datasets.simulation.study_ceilings import Averages, average_trials, ceilings
from neurodecode.datasets.simulation.truth import Truth


def differences(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores hold up to a constant a row: what remains is what ranks."""
    return scores - scores[:, :1]


def test_oracle_reaches_the_two_class_formula() -> None:
    generator = np.random.default_rng(0)
    responses = np.array([[0.3, -0.2, 0.1], [0.1, 0.25, -0.3]])
    repetitions, draws = 6.0, 40_000
    noise = generator.standard_normal((draws, 3)) / np.sqrt(repetitions)
    scores = oracle(responses[0] + noise, np.full(draws, repetitions), responses)
    discriminability = np.sqrt(repetitions) * np.linalg.norm(responses[0] - responses[1])
    expected = scipy.stats.norm.cdf(discriminability / 2)
    assert np.mean(scores[:, 0] > scores[:, 1]) == pytest.approx(expected, abs=0.01)


def test_ideal_learner_with_one_output_and_one_feature_is_the_textbook_formula() -> None:
    features, signals, counts = np.array([1.0, -0.5, 2.0]), np.array([0.7, 0.1, 1.9]), np.array([2.0, 4.0, 1.0])
    prior, noise, test, repetitions, asked = 0.8, 1.5, 0.6, 5.0, np.array([-1.0, 0.3, 1.2])
    posterior = 1 / (1 / prior + (counts * features**2).sum() / noise)
    mean = posterior * (counts * features * signals).sum() / noise
    spread = np.sqrt(asked**2 * posterior + noise / repetitions)
    expected = scipy.stats.norm.logpdf(test, asked * mean, spread)[None]
    got = ideal_learner(
        signals[:, None],
        counts,
        features[:, None],
        np.array([[prior]]),
        np.array([[test]]),
        np.array([repetitions]),
        asked[:, None],
        np.array([noise]),
    )
    np.testing.assert_allclose(differences(got), differences(expected), atol=1e-12)


def test_exact_learner_equals_conditioning_the_joint_gaussian() -> None:
    generator = np.random.default_rng(1)
    n_train, n_features, n_sources, n_outputs, n_candidates = 5, 3, 2, 4, 3
    train_design = generator.standard_normal((n_train, n_features))
    asked = generator.standard_normal((n_candidates, n_features))
    basis = generator.standard_normal((n_sources, n_outputs))
    variance = np.array([[0.5, 0.0], [0.5, 1.2], [0.0, 0.4]])
    train, train_counts = generator.standard_normal((n_train, n_outputs)), np.array([4.0, 4.0, 2.0, 1.0, 3.0])
    test, test_counts = generator.standard_normal((2, n_outputs)), np.array([20.0, 3.0])

    expected = np.empty((2, n_candidates))
    for row in range(2):
        for candidate in range(n_candidates):
            design = np.vstack([train_design, asked[candidate]])
            counts = np.append(train_counts, test_counts[row])
            # Every output of every picture is linear in the weights (features x sources, flattened) plus noise.
            levers = np.einsum("ip,sd->idps", design, basis).reshape(design.shape[0] * n_outputs, -1)
            joint = levers @ np.diag(variance.ravel()) @ levers.T + np.diag(np.repeat(1 / counts, n_outputs))
            known = n_train * n_outputs
            gain = np.linalg.solve(joint[:known, :known], joint[:known, known:]).T
            covariance = joint[known:, known:] - gain @ joint[:known, known:]
            expected[row, candidate] = scipy.stats.multivariate_normal.logpdf(
                test[row], gain @ train.ravel(), covariance
            )
    got = exact_learner(train, train_counts, train_design, basis, variance, test, test_counts, asked)
    np.testing.assert_allclose(differences(got), differences(expected), atol=1e-8)


def test_ideal_learner_is_exact_when_every_source_has_an_output_of_its_own() -> None:
    generator = np.random.default_rng(2)
    train_design, asked = generator.standard_normal((12, 4)), generator.standard_normal((6, 4))
    variance = generator.uniform(0.2, 1.0, (4, 3))
    basis = np.diag([0.5, 1.0, 2.0])
    train, test = generator.standard_normal((12, 3)), generator.standard_normal((6, 3))
    counts, test_counts = np.full(12, 4.0), np.full(6, 20.0)
    exact = exact_learner(train, counts, train_design, basis, variance, test, test_counts, asked)
    ideal = ideal_learner(train, counts, train_design, variance @ basis**2, test, test_counts, asked)
    np.testing.assert_allclose(differences(ideal), differences(exact), atol=1e-9)


@pytest.mark.parametrize("learner", ["ideal", "exact"])
def test_averages_say_as_much_as_their_trials(learner: str) -> None:
    generator = np.random.default_rng(3)
    design, variance, basis = generator.standard_normal((7, 2)), np.full((2, 3), 0.5), generator.standard_normal((3, 5))
    trials = generator.standard_normal((7, 4, 5))
    test, asked = generator.standard_normal((3, 5)), generator.standard_normal((3, 2))
    outcomes = []
    for train, counts, rows in (
        (trials.mean(axis=1), np.full(7, 4.0), design),
        (trials.reshape(28, 5), np.ones(28), np.repeat(design, 4, axis=0)),
    ):
        if learner == "ideal":
            scores = ideal_learner(train, counts, rows, variance @ basis**2, test, np.full(3, 20.0), asked)
        else:
            scores = exact_learner(train, counts, rows, basis, variance, test, np.full(3, 20.0), asked)
        outcomes.append(differences(scores))
    np.testing.assert_allclose(*outcomes, atol=1e-9)


def small_truth(n_train: int, n_test: int, noise: float) -> Truth:
    generator = np.random.default_rng(4)
    n_stimuli, n_features, n_sources = n_train + n_test, 6, 8
    variance = np.full((n_features, n_sources), 1 / n_features)
    return Truth(
        subject="sub-01",
        modality="fmri",
        realism="basic",
        channels=tuple(f"v{index}" for index in range(30)),
        stimuli=tuple(f"s{index:03d}" for index in range(n_stimuli)),
        splits=("train",) * n_train + ("test",) * n_test,
        design=generator.standard_normal((n_stimuli, n_features)),
        layers=("layer",) * n_features,
        weights=generator.standard_normal((n_features, n_sources)) * np.sqrt(variance),
        weight_variance=variance,
        topographies=generator.standard_normal((30, n_sources)),
        timecourses=np.ones((n_sources, 1)),
        noise_space=noise**2 * np.eye(30),
        spectrum=None,
        sfreq=0.0,
        seed=0,
    )


@pytest.mark.parametrize(("noise", "lowest", "highest"), [(0.05, 1.0, 1.0), (1e4, 0.0, 0.1)])
def test_all_ceilings_are_one_without_noise_and_chance_without_signal(
    noise: float, lowest: float, highest: float
) -> None:
    truth = small_truth(40, 60, noise)
    generator = np.random.default_rng(5)
    prepared = Prepared(truth.topographies, truth.timecourses, truth.noise_space, np.ones((1, 1)))
    responses = truth.activations @ truth.topographies.T
    stimuli = np.repeat(truth.stimuli, 5)
    epochs = np.repeat(responses, 5, axis=0) + noise * generator.standard_normal((500, 30))
    training = np.repeat(np.array(truth.splits) == "train", 5)
    train = average_trials(stimuli[training], epochs[training][:, :, None])
    test = average_trials(stimuli[~training], epochs[~training][:, :, None])
    found = ceilings(truth, whiten(prepared), train, test)
    assert set(found) == {"oracle", "ideal_learner", "exact_learner"}
    for scores in found.values():
        assert lowest <= top_k(scores, 1) <= highest


def test_a_training_picture_among_the_test_pictures_is_refused() -> None:
    truth = small_truth(5, 5, 1.0)
    averages = Averages(truth.stimuli[:5], np.zeros((5, 30, 1)), np.ones(5))
    whitened = whiten(Prepared(truth.topographies, truth.timecourses, truth.noise_space, np.ones((1, 1))))
    with pytest.raises(LeakageError, match="s000"):
        ceilings(truth, whitened, averages, averages)
    with pytest.raises(DataError, match="epochs"):
        whitened.apply(np.zeros((2, 29, 1)))


def test_counts_must_fit() -> None:
    with pytest.raises(DataError, match="test_counts"):
        oracle(np.zeros((2, 3)), np.ones(3), np.zeros((2, 3)))
    with pytest.raises(DataError, match="positive"):
        oracle(np.zeros((2, 3)), np.zeros(2), np.zeros((2, 3)))
