"""The linear suite on a planted study: above chance with a signal, at chance without, the same after saving."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError, DataError, LeakageError, MismatchError
from neurodecode.encoders.linear.fitting import fit_linear_suite
from neurodecode.encoders.linear.ridge import fit_ridge
from neurodecode.encoders.linear.selection import top_k, truth_index
from neurodecode.encoders.linear.suite import LinearSuite
from neurodecode.encoders.linear.trials import TrialSet, grouped_folds

N_TRAIN, N_VALIDATION, N_TEST = 90, 40, 30
CHANNELS, TIMES, DIM = 6, 4, 5
NAMES = np.array([f"s{number:03d}" for number in range(N_TRAIN + N_VALIDATION + N_TEST)])


def bank_rows(rows: slice | NDArray[np.intp]) -> dict[str, NDArray[np.float64]]:
    features = np.random.default_rng(0).normal(size=(len(NAMES), 2 * DIM))
    return {"early": features[rows, :DIM], "late": features[rows, DIM:]}


def trials(first: int, count: int, repetitions: int, *, strength: float, seed: int) -> TrialSet:
    generator = np.random.default_rng(seed)
    weights = np.random.default_rng(1).normal(size=(2 * DIM, CHANNELS * TIMES))
    features = np.concatenate(list(bank_rows(slice(None)).values()), axis=1)
    shown = np.repeat(np.arange(first, first + count), repetitions)
    signals = strength * features[shown] @ weights + 3 * generator.normal(size=(len(shown), CHANNELS * TIMES))
    return TrialSet(
        signals.reshape(-1, CHANNELS, TIMES), NAMES[shown], NAMES[shown], np.ones(len(shown), dtype=np.int64)
    )


def fitted(strength: float, *, with_decoder: bool = False) -> LinearSuite:
    validation = trials(N_TRAIN, N_VALIDATION, 3, strength=strength, seed=3)
    decoder = None
    if with_decoder:
        noise = np.random.default_rng(5)
        true = bank_rows(slice(N_TRAIN, N_TRAIN + N_VALIDATION))
        decoder = {layer: 0.5 * values + 0.3 * noise.normal(size=values.shape) for layer, values in true.items()}
    return fit_linear_suite(
        trials(0, N_TRAIN, 3, strength=strength, seed=2), validation, bank_rows(slice(None)), NAMES, decoder=decoder
    )


@pytest.fixture(scope="module")
def suite() -> LinearSuite:
    return fitted(1.0, with_decoder=True)


@pytest.fixture(scope="module")
def test_set() -> TrialSet:
    return trials(N_TRAIN + N_VALIDATION, N_TEST, 5, strength=1.0, seed=4).averaged()


GALLERY = bank_rows(slice(N_TRAIN + N_VALIDATION, None))
TRUTH = np.arange(N_TEST)


def decoded(seed: int = 6) -> dict[str, NDArray[np.float64]]:
    noise = np.random.default_rng(seed)
    return {layer: 0.5 * values + 0.3 * noise.normal(size=values.shape) for layer, values in GALLERY.items()}


def test_every_model_finds_a_planted_signal(suite: LinearSuite, test_set: TrialSet) -> None:
    scores = suite.score_all(test_set, GALLERY, decoder=decoded())
    assert set(scores) == {"ridge", "encoding", "decoder", "fused"}
    for name, matrix in scores.items():
        assert matrix.shape == (N_TEST, N_TEST)
        assert top_k(matrix, TRUTH, 1) > 0.6, name
    assert suite.chosen in scores


@pytest.mark.parametrize("of_validation", [1, 3])
def test_stimuli_shown_once_are_enough_to_train_on(test_set: TrialSet, of_validation: int) -> None:
    once, later = (trials(*part, strength=1.0, seed=2) for part in ((0, 90, 1), (N_TRAIN, N_VALIDATION, of_validation)))
    found = fit_linear_suite(once, later, bank_rows(slice(None)), NAMES)
    for name, matrix in found.score_all(test_set, GALLERY).items():
        assert top_k(matrix, TRUTH, 1) > 0.5, name  # chance is 1 of 30


def test_without_a_signal_all_are_at_chance() -> None:
    empty = fitted(0.0)
    hits = []
    for seed in range(4):
        noise = trials(N_TRAIN + N_VALIDATION, N_TEST, 5, strength=0.0, seed=10 + seed).averaged()
        hits += [top_k(matrix, TRUTH, 5) for matrix in empty.score_all(noise, GALLERY).values()]
    assert abs(np.mean(hits) - 5 / N_TEST) < 0.12


def test_queries_do_not_know_of_each_other(suite: LinearSuite, test_set: TrialSet) -> None:
    together = suite.score_all(test_set, GALLERY, decoder=decoded())
    one = {layer: values[:1] for layer, values in decoded().items()}
    alone = suite.score_all(test_set.select(np.array([0])), GALLERY, decoder=one)
    for name in together:
        np.testing.assert_allclose(alone[name][0], together[name][0], rtol=1e-6, atol=1e-6)


def test_a_saved_suite_scores_the_same(suite: LinearSuite, test_set: TrialSet, tmp_path: Path) -> None:
    suite.save(tmp_path / "suite")
    again = LinearSuite.load(tmp_path / "suite")
    first, second = (each.score_all(test_set, GALLERY, decoder=decoded()) for each in (suite, again))
    for name in first:
        np.testing.assert_allclose(second[name], first[name], rtol=1e-5, atol=1e-5)
    with pytest.raises(DataError, match="exists already"):
        suite.save(tmp_path / "suite")


def test_a_cut_file_is_named(suite: LinearSuite, tmp_path: Path) -> None:
    suite.save(tmp_path / "suite")
    path = tmp_path / "suite" / "arrays.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="suite: damaged"):
        LinearSuite.load(tmp_path / "suite")


def test_the_same_seed_gives_the_same_suite(suite: LinearSuite, test_set: TrialSet) -> None:
    again = fitted(1.0, with_decoder=True)
    np.testing.assert_array_equal(
        again.score("fused", test_set, GALLERY, decoder=decoded()),
        suite.score("fused", test_set, GALLERY, decoder=decoded()),
    )


def test_a_unit_on_both_sides_is_refused() -> None:
    shared = trials(0, N_TRAIN, 3, strength=1.0, seed=2)
    with pytest.raises(LeakageError, match="'s050' is in both"):
        fit_linear_suite(shared, trials(50, 40, 3, strength=1.0, seed=3), bank_rows(slice(None)), NAMES)


def test_unknown_models_and_missing_embeddings_are_refused(suite: LinearSuite, test_set: TrialSet) -> None:
    with pytest.raises(ConfigError, match="got 'forest'"):
        suite.score("forest", test_set, GALLERY)
    with pytest.raises(MismatchError, match="decoder"):
        suite.score("decoder", test_set, GALLERY)


def test_folds_keep_units_whole() -> None:
    groups = np.array(["a", "b", "a", "c", "b", "d"])
    seen = []
    for train, left_out in grouped_folds(groups, 3, seed=0):
        assert not set(groups[train]) & set(groups[left_out])
        seen += left_out.tolist()
    assert sorted(seen) == list(range(6))


def test_ridge_is_near_scikit_learns() -> None:
    from sklearn.linear_model import RidgeCV

    generator = np.random.default_rng(0)
    x = generator.normal(size=(120, 8))
    y = x @ generator.normal(size=(8, 3)) + 0.5 * generator.normal(size=(120, 3))
    groups = np.arange(120).astype(str)
    ours = fit_ridge(x[:100], y[:100], groups[:100], prior=np.ones(8), seed=0).predict(x[100:])
    theirs = RidgeCV(alphas=np.logspace(-3, 3, 13)).fit(x[:100], y[:100]).predict(x[100:])
    np.testing.assert_allclose(ours, theirs, atol=0.15)
    assert np.corrcoef(ours.ravel(), y[100:].ravel())[0, 1] > 0.95


def test_truth_index_finds_the_column() -> None:
    assert truth_index(np.array(["b", "a"]), np.array(["a", "b"])).tolist() == [1, 0]
