"""The parts of the linear models against scikit-learn, closed forms and planted signals."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal

from neurodecode.core.errors import ConfigError, DataError, MismatchError
from neurodecode.encoders.linear import stage as stage_module
from neurodecode.encoders.linear.bank import fit_bank_scaler, fit_joint_components, summed_products, symmetric_eigen
from neurodecode.encoders.linear.choice import choose
from neurodecode.encoders.linear.embedding_rule import fit_embedding_rule
from neurodecode.encoders.linear.encoding import (
    encoding_scores,
    gaussian_scores,
    model_error_covariance,
    shrink_spikes,
)
from neurodecode.encoders.linear.fitting import fit_linear_suite
from neurodecode.encoders.linear.fusion import Fusion, fit_fusion, standardise
from neurodecode.encoders.linear.noise import (
    fit_whitener,
    kronecker_factors,
    ledoit_wolf,
    nonlinear_shrinkage,
    repetition_residuals,
)
from neurodecode.encoders.linear.ridge import PENALTIES, fit_ridge
from neurodecode.encoders.linear.scoring import RULES, fit_rule, score
from neurodecode.encoders.linear.selection import calibrated_cross_entropy, mean_reciprocal_rank, ranks, top_k
from neurodecode.encoders.linear.stage import Stage, cross_fit, fit_stage
from neurodecode.encoders.linear.subspace import explained, fit_subspace
from neurodecode.encoders.linear.trials import TrialSet, join

Floats = NDArray[np.float64]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def random_covariance(size: int, seed: int) -> Floats:
    factor = rng(seed).standard_normal((size, 2 * size))
    return factor @ factor.T / size + 0.2 * np.eye(size)


# --- trials


def test_averages_weight_rows_by_their_counts() -> None:
    signals = np.array([1.0, 4.0, 10.0])[:, None, None]
    trials = TrialSet(signals, np.array(["a", "a", "b"]), np.array(["u", "u", "u"]), np.array([1, 2, 5]))
    averaged = trials.averaged()
    assert averaged.signals.ravel().tolist() == [3.0, 10.0]
    assert averaged.repetitions.tolist() == [3, 5]


def test_averages_stay_within_units() -> None:
    trials = TrialSet(np.ones((4, 1, 1)), np.array(list("abab")), np.array(list("xxyy")), np.ones(4, dtype=np.int64))
    assert len(trials.averaged()) == 4


def test_bad_trials_are_refused() -> None:
    names = np.array(["a", "b"])
    good = np.ones((2, 3, 1))
    with pytest.raises(DataError, match="row 1 is not finite"):
        TrialSet(np.where(np.arange(2)[:, None, None] == 1, np.nan, good), names, names, np.ones(2, dtype=np.int64))
    with pytest.raises(DataError, match="repetitions: got 0"):
        TrialSet(good, names, names, np.array([1, 0]))
    sets = [TrialSet(good[:, :kept], names, names, np.ones(2, dtype=np.int64)) for kept in (3, 2)]
    with pytest.raises(DataError, match="one and the same"):
        join(sets)


# --- noise


def test_ledoit_wolf_is_scikit_learns() -> None:
    from sklearn.covariance import ledoit_wolf as reference

    samples = rng().standard_normal((40, 30)) @ rng(1).standard_normal((30, 30))
    ours, theirs = ledoit_wolf(samples), reference(samples, assume_centered=True)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-10)
    assert ours[1] == pytest.approx(theirs[1])


def test_nonlinear_shrinkage_inverts_better_than_linear() -> None:
    true = random_covariance(100, 3)
    samples = rng().standard_normal((250, 100)) @ np.linalg.cholesky(true).T
    values, vectors = nonlinear_shrinkage(samples, 250)
    losses = []
    for precision in ((vectors / values) @ vectors.T, np.linalg.inv(ledoit_wolf(samples)[0])):
        losses.append(np.trace(precision @ true) - np.linalg.slogdet(precision)[1])
    assert losses[0] < losses[1]
    with pytest.raises(ConfigError, match="degrees of freedom"):
        nonlinear_shrinkage(samples[:, :50], 50)


def test_residuals_have_the_variance_of_one_trial_whatever_the_counts() -> None:
    counts = np.tile([1, 2, 5], 3000)
    rows = rng().standard_normal((9000, 2)) * 3 / np.sqrt(counts)[:, None]
    stimulus = np.repeat(np.arange(3000), 3).astype(str)
    residuals = repetition_residuals(rows, stimulus, counts)
    for count in (1, 2, 5):
        assert residuals[counts == count].var() == pytest.approx(9.0, rel=0.05)
    with pytest.raises(DataError, match="one row for each"):
        repetition_residuals(rows, np.arange(9000).astype(str), counts)


def test_kronecker_factors_are_found() -> None:
    space, time = random_covariance(5, 1), random_covariance(4, 2)
    rows = np.linalg.cholesky(space) @ rng().standard_normal((4000, 5, 4)) @ np.linalg.cholesky(time).T
    found_space, found_time, _ = kronecker_factors(rows)
    np.testing.assert_allclose(
        np.kron(found_space, found_time), np.kron(space, time), atol=0.12 * space.max() * time.max()
    )


@pytest.mark.parametrize(("kind", "shape"), [("kronecker", (5, 4)), ("dense", (20, 1)), ("diagonal", (20, 1))])
def test_whitened_noise_is_white_in_new_trials(kind: str, shape: tuple[int, int]) -> None:
    if kind == "kronecker":
        root = np.kron(np.linalg.cholesky(random_covariance(5, 1)), np.linalg.cholesky(random_covariance(4, 2)))
    else:
        root = np.linalg.cholesky(random_covariance(20, 1)) if kind == "dense" else np.diag(np.linspace(1, 3, 20))
    stimulus = np.repeat(np.arange(500), 4).astype(str)
    rows = (rng().standard_normal((2000, 20)) @ root.T).reshape(2000, *shape)
    whitener = fit_whitener(rows, stimulus, np.ones(2000, dtype=np.int64), kind=kind)
    white = whitener.apply((rng(9).standard_normal((20_000, 20)) @ root.T).reshape(-1, *shape))
    np.testing.assert_allclose(white.T @ white / len(white), np.eye(20), atol=0.25)


def test_low_rank_whitening_flattens_the_strong_directions() -> None:
    factors = 3 * rng(1).standard_normal((5, 300))
    noise = lambda seed: rng(seed).standard_normal((1200, 5)) @ factors + rng(seed + 1).standard_normal((1200, 300))  # noqa: E731
    stimulus = np.repeat(np.arange(300), 4).astype(str)
    ones = np.ones(1200, dtype=np.int64)
    raw, white = (
        np.linalg.eigvalsh(
            np.cov(fit_whitener(noise(2)[:, :, None], stimulus, ones, kind=kind).apply(noise(4)[:, :, None]).T)
        )
        for kind in ("diagonal", "low_rank")
    )
    assert white[-1] / white.mean() < 0.1 * raw[-1] / raw.mean()


def test_singular_noise_and_dead_channels_are_survived() -> None:
    rows = rng().standard_normal((400, 6, 5))
    rows -= rows.mean(axis=1, keepdims=True)  # average reference: one direction without noise
    stimulus = np.repeat(np.arange(100), 4).astype(str)
    ones = np.ones(400, dtype=np.int64)
    assert np.isfinite(fit_whitener(rows, stimulus, ones).apply(rows)).all()
    maps = rng().standard_normal((400, 8, 1))
    maps[:, 3] = 7.0
    assert np.isfinite(fit_whitener(maps, stimulus, ones, kind="dense").apply(maps)).all()
    with pytest.raises(DataError, match="identical"):
        fit_whitener(np.ones((400, 3, 1)), stimulus, ones)
    with pytest.raises(ConfigError, match="got 'cubic'"):
        fit_whitener(rows, stimulus, ones, kind="cubic")


# --- bank and subspace


def test_all_joint_components_give_the_layers_back() -> None:
    bank = {"early": rng().standard_normal((30, 4)) * 5 + 2, "late": rng(1).standard_normal((30, 3))}
    scaler = fit_bank_scaler(bank)
    scaled = scaler.apply(bank)
    components = fit_joint_components(scaled, *symmetric_eigen(summed_products(scaled)), 100)
    assert components.n_components == 7
    back = components.layers(components.scores(scaled), scaler)
    for layer, values in bank.items():
        np.testing.assert_allclose(back[layer], values, atol=1e-4)
    with pytest.raises(MismatchError, match="got 3 dims, expected 4"):
        scaler.apply({"early": bank["late"], "late": bank["late"]})


def test_the_subspace_finds_planted_directions_and_stays_orthonormal() -> None:
    features = rng().standard_normal((300, 3))
    kernel_values, kernel_vectors = symmetric_eigen(features @ features.T)
    direction = np.kron(np.eye(8)[2], np.eye(6)[4])
    rows = features[:, :1] * direction + 0.5 * rng(1).standard_normal((300, 48))
    subspace = fit_subspace(rows, (8, 6), kernel_values, kernel_vectors, 0.25)
    np.testing.assert_allclose(subspace.basis.T @ subspace.basis, np.eye(subspace.basis.shape[1]), atol=1e-8)
    assert abs(subspace.basis[:, 0] @ direction) > 0.95


def test_noise_alone_explains_little() -> None:
    values, vectors = symmetric_eigen(np.cov(rng().standard_normal((200, 50))))
    gains = explained(vectors.T @ rng(1).standard_normal((200, 2000)), values, 1.0)
    assert (gains < 1.0).mean() > 0.9
    assert fit_subspace(rng(2).standard_normal((200, 24)), (6, 4), values, vectors, 1.0).basis.shape[1] >= 1


# --- encoding


def test_gaussian_scores_are_differences_of_scipys_log_densities() -> None:
    covariance = random_covariance(4, 5)
    rows, means = rng().standard_normal((3, 4)), rng(1).standard_normal((5, 4))
    expected = np.array(
        [
            [
                multivariate_normal.logpdf(row, mean, covariance)
                - multivariate_normal.logpdf(row, np.zeros(4), covariance)
                for mean in means
            ]
            for row in rows
        ]
    )
    np.testing.assert_allclose(gaussian_scores(rows, means, covariance), expected, rtol=1e-9)


def test_likelihood_uses_the_noise_of_each_rows_own_count() -> None:
    error = random_covariance(3, 2)
    measured, predicted = rng().standard_normal((2, 3)), rng(1).standard_normal((4, 3))
    counts = np.array([4, 20])
    scores = encoding_scores("likelihood", measured, predicted, error, counts)
    for row, count in enumerate(counts):
        np.testing.assert_allclose(
            scores[row], gaussian_scores(measured[[row]], predicted, error + np.eye(3) / count)[0]
        )
    with pytest.raises(ConfigError, match="got 'hope'"):
        encoding_scores("hope", measured, predicted, error, counts)


def test_model_error_is_what_noise_does_not_explain() -> None:
    true = np.diag([4.0, 1.0, 0.0, 0.0])
    residuals = rng().standard_normal((20_000, 4)) @ np.sqrt(true + 0.25 * np.eye(4))
    np.testing.assert_allclose(model_error_covariance(residuals, 0.25 * np.eye(4)), true, atol=0.15)
    pure = rng(1).standard_normal((500, 100))
    np.testing.assert_allclose(shrink_spikes(pure.T @ pure / 500, 0.2), np.eye(100), atol=0.5)


# --- ridge


def test_ridge_solves_the_normal_equations_at_its_penalties() -> None:
    features, targets = rng().standard_normal((50, 7)), rng(1).standard_normal((50, 3))
    targets[:, 0] += features[:, 0] * 3
    model = fit_ridge(features, targets, np.arange(50).astype(str))
    centred, moments = features - features.mean(axis=0), targets - targets.mean(axis=0)
    unit = (centred**2).sum() / 50
    for column, penalty in enumerate(model.penalties):
        assert np.isclose(penalty, PENALTIES).any()
        expected = np.linalg.solve(centred.T @ centred + penalty * unit * np.eye(7), centred.T @ moments[:, column])
        np.testing.assert_allclose(model.weights[:, column], expected, rtol=1e-6, atol=1e-10)
    assert model.penalties[0] < model.penalties[1]


def test_ridge_takes_more_features_than_rows_and_features_without_variance() -> None:
    features = rng().standard_normal((12, 400))
    assert np.isfinite(fit_ridge(features, features[:, :2], np.arange(12).astype(str)).predict(features)).all()
    flat = fit_ridge(np.ones((12, 3)), features[:, :2], np.arange(12).astype(str))
    np.testing.assert_allclose(flat.predict(np.ones((1, 3)))[0], features[:, :2].mean(axis=0))


# --- rules


def shrunken(n: int = 400, seed: int = 0) -> tuple[Floats, Floats]:
    """Give true targets and predictions that are shrunk unevenly, with noise that is correlated between targets."""
    truths = rng(seed).standard_normal((n, 4))
    noise = rng(seed + 1).standard_normal((n, 4)) @ np.linalg.cholesky(0.02 * random_covariance(4, 7)).T
    return truths, truths * np.array([0.9, 0.5, 0.2, 0.1]) + noise


@pytest.mark.parametrize("kind", RULES)
def test_every_rule_is_perfect_on_the_truth_and_at_chance_on_noise(kind: str) -> None:
    truths, predictions = shrunken()
    groups = np.arange(400).astype(str)
    gallery = rng(5).standard_normal((40, 4)) * 3
    exact = fit_rule(kind, truths + 1e-3 * rng(6).standard_normal(truths.shape), truths, groups)
    assert top_k(score(gallery, gallery, exact), np.arange(40), 1) == 1.0
    rule = fit_rule(kind, predictions, truths, groups)
    queries = rng(8).standard_normal((2000, 4))
    assert top_k(score(queries, gallery, rule), rng(9).integers(0, 40, 2000), 5) == pytest.approx(5 / 40, abs=0.03)


def test_the_density_ratio_is_the_closed_form_and_beats_the_cosine() -> None:
    truths, predictions = shrunken(20_000)
    rule = fit_rule("density_ratio", predictions, truths, np.arange(20_000).astype(str), rank=4)
    noise = 0.02 * random_covariance(4, 7)
    slope = np.diag([0.9, 0.5, 0.2, 0.1])
    new_truths, new_predictions = shrunken(100, seed=50)
    conditional = gaussian_scores(new_predictions, new_truths @ slope, noise)
    empty = [
        multivariate_normal.logpdf(row, np.zeros(4), noise)
        - multivariate_normal.logpdf(row, np.zeros(4), noise + slope @ slope)
        for row in new_predictions
    ]
    scores = score(new_predictions, new_truths, rule)
    likely = conditional > conditional.max(axis=1, keepdims=True) - 10
    np.testing.assert_allclose(scores[likely], (conditional + np.array(empty)[:, None])[likely], atol=1.0)
    cosine = score(new_predictions, new_truths, fit_rule("cosine", predictions, truths, np.arange(20_000).astype(str)))
    assert top_k(scores, np.arange(100), 1) > top_k(cosine, np.arange(100), 1) + 0.1


def test_fewer_trials_make_a_rule_less_sure() -> None:
    truths, predictions = shrunken()
    noise = 0.01 * np.eye(4)
    rule = fit_rule(
        "density_ratio", predictions, truths, np.arange(400).astype(str), rank=4, repetitions=4, trial_noise=noise
    )
    few, many = (score(predictions[:50], truths, rule, np.full(50, count)) for count in (1, 100))
    assert few.std(axis=1).mean() < many.std(axis=1).mean()


def test_rules_take_few_distinct_targets() -> None:
    truths = rng().standard_normal((8, 20))[np.tile(np.arange(8), 11)]
    predictions = 0.5 * truths + 0.2 * rng(1).standard_normal(truths.shape)
    groups = np.repeat(np.arange(11), 8).astype(str)
    for kind in RULES:
        scores = score(predictions, truths[:8], fit_rule(kind, predictions, truths, groups))
        assert top_k(scores, np.tile(np.arange(8), 11), 1) > 0.8


def test_unknown_rules_and_unequal_targets_are_refused() -> None:
    truths, predictions = shrunken()
    with pytest.raises(ConfigError, match="got 'luck'"):
        fit_rule("luck", predictions, truths, np.arange(400).astype(str))
    with pytest.raises(MismatchError, match="got 3 targets, expected 4"):
        score(predictions, truths[:, :3], fit_rule("cosine", predictions, truths, np.arange(400).astype(str)))


def test_an_outside_decoder_gets_a_rule_whatever_its_scale_and_offset() -> None:
    truths = {"only": rng().standard_normal((90, 6))}
    predictions = {"only": 100 + 7 * (truths["only"] + 0.3 * rng(1).standard_normal((90, 6)))}
    groups = np.arange(90).astype(str)
    rule, choice, held_out = fit_embedding_rule(predictions, truths, groups, truths, np.arange(90), truths)
    assert choice.name != "raw_cosine"
    assert top_k(held_out, np.arange(90), 1) > 0.6
    together, alone = rule.score(predictions, truths), rule.score({"only": predictions["only"][:1]}, truths)
    np.testing.assert_allclose(alone[0], together[0], rtol=1e-6, atol=1e-6)


# --- choice and fusion


def test_ranks_of_ties_are_chance() -> None:
    flat = np.zeros((6, 4))
    truth = np.arange(6) % 4
    assert ranks(flat, truth).tolist() == [2.5] * 6
    assert top_k(flat, truth, 1) == 0.25
    assert mean_reciprocal_rank(flat, truth) == pytest.approx(0.4)
    assert calibrated_cross_entropy(flat, truth) == pytest.approx(np.log(4))
    with pytest.raises(DataError, match="k: got 4"):
        top_k(flat, truth, 4)


def test_choice_prefers_unless_another_is_clearly_better() -> None:
    truth = np.arange(200) % 20
    good = 3 * np.eye(20)[truth] + rng().standard_normal((200, 20))
    same = good + 0.01 * rng(1).standard_normal((200, 20))
    assert choose({"a": good, "b": same}, truth, ["a", "b"]).name == "a"
    assert choose({"a": good, "b": same}, truth, ["b", "a"]).name == "b"
    assert choose({"a": rng(2).standard_normal((200, 20)), "b": same}, truth, ["a", "b"]).name == "b"


def test_fusion_beats_its_members_and_ignores_scale() -> None:
    truth = np.arange(300) % 30
    members = {name: np.eye(30)[truth] * 2 + rng(seed).standard_normal((300, 30)) for seed, name in enumerate("ab")}
    fusion = fit_fusion(members, truth)
    fused = fusion.apply(members)
    assert top_k(fused, truth, 1) > max(top_k(matrix, truth, 1) for matrix in members.values())
    np.testing.assert_allclose(fusion.apply({"a": 1000 * members["a"] - 5, "b": members["b"]}), fused, rtol=1e-9)
    np.testing.assert_allclose(fusion.apply({name: matrix[:1] for name, matrix in members.items()})[0], fused[0])
    assert not standardise(np.full((2, 5), 1e9)).any()
    with pytest.raises(MismatchError, match="'b' is missing"):
        Fusion({"a": 1.0, "b": 1.0}).apply({"a": members["a"]})


# --- leaving whole units out


def twins(
    n_units: int = 60, per_unit: int = 3, *, seed: int = 0
) -> tuple[TrialSet, dict[str, Floats], NDArray[np.str_]]:
    """Give units whose pictures share features and a response of their own that no feature of another unit explains."""
    generator = rng(seed)
    centres = generator.standard_normal((n_units, 40))
    features = np.repeat(centres, per_unit, axis=0) + 0.05 * generator.standard_normal((n_units * per_unit, 40))
    own = np.repeat(2 * generator.standard_normal((n_units, 10)), per_unit, axis=0)
    names = np.array([f"s{number:03d}" for number in range(len(features))])
    units = np.repeat(np.arange(n_units), per_unit).astype(str)
    shown = np.repeat(np.arange(len(names)), 3)
    signals = own[shown] + 0.5 * generator.standard_normal((len(shown), 10))
    trials = TrialSet(signals[:, :, None], names[shown], units[shown], np.ones(len(shown), dtype=np.int64))
    return trials, {"layer": features}, names


def test_leaving_out_pictures_instead_of_units_would_hide_the_error() -> None:
    trials, bank, names = twins()
    honest = _model_error(trials, bank, names)
    leaking = TrialSet(trials.signals, trials.stimulus, trials.stimulus, trials.repetitions)
    assert honest > 2 * _model_error(leaking, bank, names)


def _model_error(trials: TrialSet, bank: dict[str, Floats], names: NDArray[np.str_]) -> float:
    stage, _ = cross_fit(fit_stage(trials, bank, names), trials, bank, names, n_folds=4)
    return float(np.trace(stage.encoding.model_error))


def test_folds_never_see_the_units_they_predict(monkeypatch: pytest.MonkeyPatch) -> None:
    trials, bank, names = twins(12)
    stage = fit_stage(trials, bank, names)
    seen: list[set[str]] = []

    def watched(rows: TrialSet, *arguments: object, **options: object) -> Stage:
        seen.append(set(rows.group.tolist()))
        return fit_stage(rows, bank, names)

    monkeypatch.setattr(stage_module, "fit_stage", watched)
    _, held_out = cross_fit(stage, trials, bank, names, n_folds=3)
    assert len(seen) == 3
    everyone = set(trials.group.tolist())
    left_out = [everyone - units for units in seen]
    assert set.union(*left_out) == everyone
    assert sum(len(units) for units in left_out) == len(everyone)
    assert len(held_out.groups) == len(trials.averaged())


def test_large_maps_are_cut_to_the_voxels_with_a_signal() -> None:
    features = rng().standard_normal((120, 4))
    names = np.array([f"s{number:03d}" for number in range(120)])
    shown = np.repeat(np.arange(120), 3)
    signals = rng(1).standard_normal((360, 900))
    signals[:, 300:400] += features[shown] @ rng(2).standard_normal((4, 100))
    trials = TrialSet(signals[:, :, None], names[shown], names[shown], np.ones(360, dtype=np.int64))
    stage = fit_stage(trials, {"layer": features}, names)
    assert stage_module.LEAST_CHANNELS <= len(stage.channels) <= stage_module.MOST_CHANNELS
    assert np.isin(np.arange(300, 400), stage.channels).mean() > 0.95
    with pytest.raises(MismatchError, match="got 899 channels, expected 900"):
        stage.coordinates(signals[:1, :899, None])


def test_few_categories_that_repeat_over_runs_are_chosen_by_inner_folds() -> None:
    names = np.array(list("abcdefgh"))
    bank = {"text": rng().standard_normal((8, 16))}
    patterns = 1.2 * rng(1).standard_normal((8, 60))
    runs = np.repeat(np.arange(7), 8).astype(str)
    shown = np.tile(np.arange(8), 7)
    signals = patterns[shown] + rng(2).standard_normal((56, 60))
    trials = TrialSet(signals[:, :, None], names[shown], runs, np.ones(56, dtype=np.int64))
    train, validation, test = (trials.select(np.isin(runs, wanted)) for wanted in (list("01234"), ["5"], ["6"]))
    suite = fit_linear_suite(train, validation, bank, names)
    assert suite.report()["selection"].startswith("inner folds")
    assert suite.report()["n_queries"] == 48
    for name, matrix in suite.score_all(test, bank).items():
        assert top_k(matrix, np.arange(8), 1) >= 0.75, name
