"""The separable classifier: against explicit algebra, against a plain discriminant, and what must not matter to it."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score

from neurodecode.core.errors import DataError, MismatchError
from neurodecode.encoders.linear import separable
from neurodecode.encoders.linear.class_scores import binned, fit_plain_discriminant, pairwise_auc
from neurodecode.encoders.linear.separable import fit_separable
from neurodecode.encoders.linear.trials import TrialSet

CHANNELS, TIMES, TRIALS = 8, 16, 16


def people(
    n_people: int, *, seed: int = 0, effect: float = 1.0, spread: float = 2.0, classes: tuple[str, ...] = ("a", "b")
) -> TrialSet:
    """Draw people who share what classes differ in; noise is one of space times one of time, means are their own."""
    generator = np.random.default_rng(seed)
    space = generator.standard_normal((CHANNELS, CHANNELS))
    time = np.linalg.cholesky(0.9 ** np.abs(np.subtract.outer(np.arange(TIMES), np.arange(TIMES))))
    shape = (CHANNELS, TIMES)
    pattern = {name: generator.standard_normal(shape) * 0.25 * effect for name in classes}
    signals, labels, units = [], [], []
    for person in range(n_people):
        own = spread * generator.standard_normal(shape)
        for trial in range(TRIALS):
            name = classes[trial % len(classes)]
            signals.append(own + pattern[name] + space @ generator.standard_normal(shape) @ time.T)
            labels.append(name)
            units.append(f"p{person}")
    return TrialSet(np.array(signals), np.array(labels), np.array(units), np.ones(len(labels), dtype=int))


def areas(trials: TrialSet, fit) -> NDArray[np.float64]:  # type: ignore[no-untyped-def]
    found = []
    for unit in np.unique(trials.group):
        mine = trials.group == unit
        scores = fit(trials.select(~mine)).score(trials.signals[mine])
        found.append(roc_auc_score(trials.stimulus[mine] == "b", scores[:, 1] - scores[:, 0]))
    return np.array(found)


def test_people_left_out_are_told_apart_better_than_by_a_plain_discriminant() -> None:
    trials = people(8)
    ours = areas(trials, lambda train: fit_separable(train, [8, 16]).classifier)
    plain = areas(trials, lambda train: fit_plain_discriminant(train, 8))
    assert ours.mean() > 0.85
    assert ours.mean() > plain.mean() + 0.05
    blind = areas(people(8, effect=0.0), lambda train: fit_separable(train, [8]).classifier)
    assert abs(blind.mean() - 0.5) < 0.12


def test_weights_are_those_of_the_inverse_of_the_whole_covariance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(separable, "SPATIAL", (0.3,))
    monkeypatch.setattr(separable, "TEMPORAL", (0.1,))
    trials = people(4)
    fitted = fit_separable(trials, [TIMES])
    known = separable._moments(trials, TIMES, np.array(["a", "b"]), np.unique(trials.group))
    whole = np.kron(
        separable._shrunk(known.spatial.mean(axis=0), 0.3), separable._shrunk(known.temporal.mean(axis=0), 0.1)
    )
    difference = np.mean([
        trials.signals[(trials.group == unit) & (trials.stimulus == "b")].mean(axis=0)
        - trials.signals[(trials.group == unit) & (trials.stimulus == "a")].mean(axis=0)
        for unit in np.unique(trials.group)
    ], axis=0)  # fmt: skip
    expected = np.linalg.solve(whole, difference.ravel().astype(float)).reshape(CHANNELS, TIMES)
    weights = fitted.classifier.weights
    found = weights[1] - weights[0]
    scale = float(np.linalg.norm(expected) / np.linalg.norm(found))
    np.testing.assert_allclose(scale * found, expected, rtol=1e-4, atol=1e-6)


def test_held_out_scores_are_those_of_a_fit_without_the_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(separable, "SPATIAL", (0.3,))
    monkeypatch.setattr(separable, "TEMPORAL", (0.1,))
    trials = people(4)
    fitted = fit_separable(trials, [4])
    mine = trials.group == "p2"
    alone = fit_separable(trials.select(~mine), [4]).classifier.score(trials.signals[mine])
    # Each fit has a scale of its own.
    found, expected = (scores - scores.mean(axis=1, keepdims=True) for scores in (fitted.held_out[mine], alone))
    np.testing.assert_allclose(found / np.linalg.norm(found), expected / np.linalg.norm(expected), rtol=1e-6, atol=1e-8)
    area = np.mean([
        pairwise_auc(fitted.held_out[trials.group == unit], (trials.stimulus[trials.group == unit] == "b").astype(int))
        for unit in np.unique(trials.group)
    ])  # fmt: skip
    assert fitted.report()["auc_of_units_left_out"] == pytest.approx(area)


def test_the_whole_is_the_mean_of_its_parts_at_one_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    trials = people(4)
    whole = fit_separable(trials, [4, 6])
    parts = []
    for count, spatial, temporal in [(row["n_bins"], row["spatial"], row["temporal"]) for row in whole.table]:
        monkeypatch.setattr(separable, "SPATIAL", (spatial,))
        monkeypatch.setattr(separable, "TEMPORAL", (temporal,))
        parts.append(fit_separable(trials, [count]))
    assert len(parts) == 18
    for fitted in parts:
        centred = fitted.held_out - fitted.held_out.mean(axis=1, keepdims=True)
        within = [centred[trials.group == unit].var(axis=0) for unit in np.unique(trials.group)]
        assert np.mean(within) == pytest.approx(1.0)
    scores = np.mean([fitted.classifier.score(trials.signals) for fitted in parts], axis=0)
    np.testing.assert_allclose(whole.classifier.score(trials.signals), scores, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(whole.held_out, np.mean([fitted.held_out for fitted in parts], axis=0), atol=1e-10)


def test_what_people_differ_in_beside_the_classes_does_not_change_the_weights() -> None:
    trials = people(4)
    moved = trials.signals.copy()
    moved[trials.group == "p1"] += 7 * np.random.default_rng(1).standard_normal((CHANNELS, TIMES))
    other = TrialSet(moved, trials.stimulus, trials.group, trials.repetitions)
    first, second = (fit_separable(data, [8]) for data in (trials, other))
    np.testing.assert_allclose(first.classifier.weights, second.classifier.weights, rtol=1e-3, atol=1e-5)
    assert first.auc == pytest.approx(second.auc, abs=0.02)


def test_volts_give_the_same_ranking_as_microvolts() -> None:
    trials = people(4)
    tiny = TrialSet(trials.signals * 1e-6, trials.stimulus, trials.group, trials.repetitions)
    for fit in (lambda data: fit_separable(data, [8]).classifier, lambda data: fit_plain_discriminant(data, 8)):
        large, small = fit(trials).score(trials.signals), fit(tiny).score(tiny.signals)
        np.testing.assert_allclose(large - large[:, :1], small - small[:, :1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("classes", [("a", "b"), ("a", "b", "c")])
def test_plain_discriminant_is_scikit_learns(classes: tuple[str, ...]) -> None:
    trials = people(4, classes=classes)
    rows = binned(trials.signals, 4).reshape(len(trials), -1)
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(rows, trials.stimulus)
    scores = fit_plain_discriminant(trials, 4).score(trials.signals)
    assert np.unique(trials.stimulus)[scores.argmax(axis=1)].tolist() == model.predict(rows).tolist()
    if len(classes) == 2:
        np.testing.assert_allclose(scores[:, 1] - scores[:, 0], model.decision_function(rows), rtol=1e-4, atol=1e-4)


def test_three_classes_and_their_area() -> None:
    trials = people(6, classes=("a", "b", "c"), effect=2.0)
    mine = trials.group == "p5"
    scores = fit_separable(trials.select(~mine), [8]).classifier.score(trials.signals[mine])
    truth = np.searchsorted(["a", "b", "c"], trials.stimulus[mine])
    assert pairwise_auc(scores, truth) > 0.8
    assert pairwise_auc(np.zeros_like(scores), truth) == 0.5


def test_bins_of_unequal_length_are_means_of_their_samples() -> None:
    signals = np.arange(10.0).reshape(1, 1, 10)
    assert binned(signals, 3).ravel().tolist() == [1.0, 4.5, 8.0]
    with pytest.raises(MismatchError, match="n_bins: got 11"):
        binned(signals, 11)


def test_who_cannot_be_used_is_named() -> None:
    trials = people(3)
    partly = trials.select(~((trials.group == "p1") & (trials.stimulus == "b")))
    with pytest.raises(DataError, match="p1 has no trial of 'b'"):
        fit_separable(partly, [4])
    with pytest.raises(DataError, match="1 units"):
        fit_separable(trials.select(trials.group == "p0"), [4])
    with pytest.raises(MismatchError, match="expected \\(n, 8, n_times\\)"):
        fit_plain_discriminant(trials, 4).score(trials.signals[:, :3])
