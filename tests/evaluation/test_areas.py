import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from neurodecode.core.errors import DataError
from neurodecode.evaluation.answers import Answers
from neurodecode.evaluation.areas import area_values, permuted_areas
from neurodecode.evaluation.comparisons import compare_models
from neurodecode.evaluation.retrieval import evaluate_retrieval

PROTOCOL = (
    "leave-one-subject-out | disjoint unit: subject | averaged: signals x 1 | gallery: 2 test stimuli | weights: last"
)


def draw(seed, n=30, effect=1.0, share=0.3):
    generator = np.random.default_rng(seed)
    positive = generator.random(n) < share
    positive[:2] = True, False
    return np.round(generator.standard_normal(n) + effect * positive, 1), positive


@pytest.mark.parametrize("seed", range(4))
def test_area_values_average_to_scikit_learns_area_and_to_the_mean_over_folds(seed):
    margins, positive = draw(seed)
    one = np.zeros(len(margins), dtype=int)
    assert area_values(margins, positive, one).mean() == pytest.approx(roc_auc_score(positive, margins))
    folds = np.repeat([0, 1], 15)
    positive[[0, 15]], positive[[1, 16]] = True, False
    expected = np.mean([roc_auc_score(positive[folds == f], margins[folds == f]) for f in (0, 1)])
    assert area_values(margins, positive, folds).mean() == pytest.approx(expected)
    assert permuted_areas(margins, positive[None], folds)[0] == pytest.approx(expected)


def test_resampling_area_values_gives_the_spread_of_the_area_over_samples():
    """The bootstrap of single values must not be half as wide as repeating the experiment says."""
    areas, errors = [], []
    for seed in range(400):
        generator = np.random.default_rng(seed)
        positive = np.arange(60) < 20
        margins = generator.standard_normal(60) + positive
        values = area_values(margins, positive, np.zeros(60, dtype=int))
        areas.append(values.mean())
        errors.append(values.std() / np.sqrt(60))
    assert np.mean(errors) == pytest.approx(np.std(areas), rel=0.12)


def answers(margins, positive, **more):
    scores = np.stack([np.zeros(len(margins)), margins], axis=1)
    names = np.where(positive, "new", "known").tolist()
    return Answers(scores, names, ["known", "new"], **more)


def test_records_hold_the_area_with_chance_null_and_intervals():
    table = {}
    for number in range(6):
        margins, positive = draw(number, n=40, effect=1.5, share=0.5)
        name = f"sub-{number + 1:02d}"
        table["good", name] = answers(margins, positive, units=[name] * 40)
        table["blind", name] = answers(np.zeros(40), positive, units=[name] * 40)
    found = evaluate_retrieval(table, protocol=PROTOCOL, averaged="signals x 1", simulated=True, seed=0)
    mine = {(s.model, s.subject): s for s in found.scores if s.metric == "auc"}
    assert {s.direction for s in mine.values()} == {"image_given_brain"}
    good, blind = mine["good", "mean"], mine["blind", "mean"]
    expected = np.mean([roc_auc_score(np.array(t.queries) == "new", t.scores[:, 1]) for t in
                        (table["good", f"sub-{n + 1:02d}"] for n in range(6))])  # fmt: skip
    assert good.value == pytest.approx(expected)
    assert good.chance == 0.5
    assert 0.5 < good.null_95 < 0.65 < good.value
    assert good.low > good.null_95
    assert blind.value == blind.null_95 == 0.5
    alone = mine["good", "sub-01"]
    assert alone.low < alone.value < alone.high <= 1.0, "one subject is resampled by its trials"
    difference = compare_models(table, [("good", "blind")], metrics=["auc"], protocol=PROTOCOL, averaged="signals x 1",
                                simulated=True, seed=0)[-1]  # fmt: skip
    assert difference.subject == "mean"
    assert difference.value == pytest.approx(expected - 0.5)
    assert difference.low > 0


def test_a_perfect_score_is_one_and_the_other_way_round_nothing():
    positive = np.arange(20) % 2 == 0
    for sign, expected in ((1, 1.0), (-1, 0.0)):
        values = answers(sign * positive.astype(float), positive).outcomes("auc").values
        assert values.tolist() == [expected] * 20


def test_three_candidates_or_a_fold_with_one_kind_have_no_area():
    positive = np.arange(20) < 10
    two = answers(positive.astype(float), positive, folds=["a"] * 10 + ["b"] * 10)
    with pytest.raises(DataError, match="auc, which needs two candidates"):
        two.outcomes("auc")
    names = ["a", "b", "c"] * 4
    three = Answers(np.random.default_rng(0).random((12, 3)), names, ["a", "b", "c"])
    for table in (two, three):
        found = evaluate_retrieval({("m", "sub-01"): table}, protocol=PROTOCOL, averaged="x", simulated=True, seed=0)
        assert "auc" not in {score.metric for score in found.scores}
