"""Picture metrics against torchmetrics and a plain loop; oracle 1, random at chance; every sample counts."""

import numpy as np
import pytest
import torch
from torchmetrics.image import StructuralSimilarityIndexMeasure

from neurodecode.core.errors import DataError
from neurodecode.evaluation.picture_metrics import feature_rows, pearson_pairs, pixcorr_pairs, ssim_pairs, two_way_pairs
from neurodecode.evaluation.pictures import CONDITIONS, Pictures, choose_rows, load_pictures, save_pictures
from neurodecode.evaluation.reconstruction import evaluate_reconstruction, pair_tables

LABEL = "within-subject | disjoint unit: concept"
FIELDS = {"protocol": LABEL, "simulated": True, "seed": 0, "n_bootstrap": 200, "n_permutations": 200}


def draw(n, seed=0, size=20):
    """Draw smooth pictures: noise alone would give SSIM nothing to hold."""
    coarse = np.random.default_rng(seed).integers(0, 256, (n, 5, 5, 3))
    return np.kron(coarse, np.ones((1, size // 5, size // 5, 1))).astype(np.uint8)


def pixels(pictures):
    return pictures.reshape(len(pictures), -1)


def test_ssim_agrees_with_torchmetrics():
    made, true = draw(3), draw(3, seed=1)
    true = (0.5 * made + 0.5 * true).astype(np.uint8)
    ours = ssim_pairs(made, true)
    luma = torch.tensor([0.2125, 0.7154, 0.0721], dtype=torch.float64)
    grey = [torch.tensor(side / 255.0) @ luma for side in (made, true)]
    reference = StructuralSimilarityIndexMeasure(data_range=1.0, sigma=1.5, return_full_image=True)
    for i in range(3):
        for j in range(3):
            _, windows = reference(grey[0][i][None, None], grey[1][j][None, None])
            inside = windows[..., 5:-5, 5:-5]  # torchmetrics averages windows over a reflected border as well
            assert ours[i, j] == pytest.approx(float(inside.mean()), abs=1e-9)


def test_pixcorr_agrees_with_numpy():
    made, true = draw(4), draw(4, seed=1)
    expected = np.corrcoef(pixels(made), pixels(true))[:4, 4:]
    np.testing.assert_allclose(pixcorr_pairs(made, true), expected, atol=1e-12)


def test_a_flat_picture_correlates_with_nothing():
    flat = np.full((1, 20, 20, 3), 77, dtype=np.uint8)
    assert pixcorr_pairs(flat, draw(3)).tolist() == [[0.0, 0.0, 0.0]]
    assert pearson_pairs(np.full((1, 5), 0.1), np.random.default_rng(0).random((2, 5))).tolist() == [[0.0, 0.0]]


def test_two_way_agrees_with_a_plain_loop():
    similarities = np.random.default_rng(0).integers(0, 6, (9, 9)).astype(float)
    rows, columns = [], []
    for i in range(9):
        others = [j for j in range(9) if j != i]
        own = similarities[i, i]
        rows.append(np.mean([(similarities[i, j] < own) + 0.5 * (similarities[i, j] == own) for j in others]))
        columns.append(np.mean([(similarities[j, i] < own) + 0.5 * (similarities[j, i] == own) for j in others]))
    np.testing.assert_allclose(two_way_pairs(similarities).diagonal(), rows)
    np.testing.assert_allclose(two_way_pairs(similarities, "made_given_true").diagonal(), columns)
    np.testing.assert_allclose(two_way_pairs(similarities, "both").diagonal(), np.add(rows, columns) / 2)


def test_two_way_of_random_features_is_a_half():
    values = two_way_pairs(np.random.default_rng(1).standard_normal((300, 300))).diagonal()
    assert values.mean() == pytest.approx(0.5, abs=0.06)
    assert two_way_pairs(np.zeros((5, 5))).diagonal().tolist() == [0.5] * 5


def study(n=24, n_samples=2):
    true = draw(n)
    noisy = [np.clip(true + np.random.default_rng(s).normal(0, 60, true.shape), 0, 255) for s in range(n_samples)]
    conditions = {name: np.stack([draw(n, seed=50 + s) for s in range(n_samples)], axis=1) for name in CONDITIONS}
    conditions["reconstruction"] = np.stack(noisy, axis=1).astype(np.uint8)
    conditions["true_embedding"] = np.repeat(true[:, None], n_samples, axis=1)
    conditions["mean_brain"] = np.repeat(draw(1, seed=9)[None], n, axis=0)
    return true, conditions


def both_subjects(n=24, names=()):
    true, conditions = study(n)
    stimuli = [f"p{index}" for index in range(n)]
    return [Pictures(subject, stimuli, true, conditions, names) for subject in ("sub-01", "sub-02")]


def test_oracle_is_one_controls_are_at_chance_and_every_condition_is_there():
    scores, absent = evaluate_reconstruction(both_subjects(), {"pixels": pixels}, **FIELDS)
    assert not absent
    assert {score.model for score in scores} == set(CONDITIONS)
    assert {score.metric for score in scores} == {"pixcorr", "ssim", "two_way_pixels"}
    for score in scores:
        if score.model == "true_embedding":
            assert score.value == pytest.approx(1.0)
            assert score.above_null
        elif score.model == "reconstruction":
            assert score.above_null
        elif score.subject == "mean":
            assert score.low <= score.chance <= score.high or not score.above_null, score
    mean = [s for s in scores if s.model == "mean_brain" and s.metric == "two_way_pixels"]
    assert {s.value for s in mean} == {0.5}
    assert {s.direction for s in scores if s.metric == "ssim"} == {"none"}


def test_chance_of_pixcorr_is_the_mean_over_wrong_pairs():
    pictures = both_subjects()[:1]
    scores, _ = evaluate_reconstruction(pictures, {}, **FIELDS)
    found = next(s for s in scores if s.model == "true_embedding" and s.metric == "pixcorr")
    table = np.corrcoef(pixels(pictures[0].true))
    assert found.chance == pytest.approx(table[~np.eye(24, dtype=bool)].mean())


def test_all_samples_are_scored_and_none_is_chosen():
    true, conditions = study(6, n_samples=1)
    bad = draw(6, seed=99)[:, None]
    good = conditions["true_embedding"]
    both = np.concatenate([good, bad], axis=1)
    features = {"pixels": pixels}
    parts = [pair_tables(made, true, features) for made in (good, bad, both)]
    for metric in parts[0]:
        np.testing.assert_allclose(parts[2][metric], (parts[0][metric] + parts[1][metric]) / 2)
    scores, _ = evaluate_reconstruction(both_subjects(), features, **FIELDS, averaged="signals x 20")
    assert {score.averaged for score in scores if score.model == "reconstruction"} == {
        "signals x 20; scores x 2 samples"
    }


def test_a_condition_is_never_left_out_in_silence():
    true, conditions = study(6)
    del conditions["shuffled_brain"]
    pictures = [Pictures("sub-01", list("abcdef"), true, conditions)]
    with pytest.raises(DataError, match="'shuffled_brain' was not made and no reason"):
        evaluate_reconstruction(pictures, {}, **FIELDS)
    _, absent = evaluate_reconstruction(pictures, {}, **FIELDS, absent={"shuffled_brain": "trimmed"})
    assert [(record.model, record.reason) for record in absent] == [("shuffled_brain", "trimmed")]


def test_features_are_checked():
    with pytest.raises(DataError, match="features net: gave shape"):
        feature_rows(draw(3), lambda pictures: np.zeros((2, 4)), "net")
    with pytest.raises(DataError, match="features net: a value is not finite"):
        feature_rows(draw(3), lambda pictures: np.full((3, 4), np.nan), "net")


def test_pictures_go_round_without_pickles(tmp_path):
    made = both_subjects(5, names=["dog", "cat", "cow", "pig", "fox"])
    save_pictures(tmp_path / "pictures.npz", made)
    read = load_pictures(tmp_path / "pictures.npz")
    assert [entry.subject for entry in read] == ["sub-01", "sub-02"]
    assert read[0].titles == ["dog", "cat", "cow", "pig", "fox"]
    for name, array in made[0].conditions.items():
        np.testing.assert_array_equal(read[0].conditions[name], array)


def test_a_damaged_picture_file_is_named(tmp_path):
    path = tmp_path / "pictures.npz"
    with pytest.raises(DataError, match="no such file"):
        load_pictures(path)
    save_pictures(path, both_subjects(4))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"pictures\.npz: not readable"):
        load_pictures(path)
    np.savez(path, **{"sub-01/true": draw(2), "sub-01/stimuli": np.array([{}, {}], dtype=object)}, allow_pickle=True)
    with pytest.raises(DataError, match=r"pictures\.npz: not readable"):
        load_pictures(path)
    np.savez(path, **{"sub-01/true": draw(2)})
    with pytest.raises(DataError, match="'sub-01/stimuli' is missing"):
        load_pictures(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"true": np.zeros((2, 20, 20, 3))}, "true is float64"),
        ({"conditions": {"best": draw(2)[:, None]}}, "condition 'best' is unknown"),
        ({"conditions": {"prior_only": draw(2)}}, "prior_only is uint8"),
        ({"names": ["dog"]}, "1 names for 2 stimuli"),
    ],
)
def test_pictures_that_do_not_fit_are_named(change, message):
    good = {"subject": "sub-01", "stimuli": ["a", "b"], "true": draw(2), "conditions": {}, "names": []}
    with pytest.raises(DataError, match=message):
        Pictures(**{**good, **change})


def test_rows_of_a_grid_follow_the_seed_alone():
    np.testing.assert_array_equal(choose_rows(200, 8, seed=3), choose_rows(200, 32, seed=3)[:8])
    assert len(set(choose_rows(200, 8, seed=3))) == 8
    assert not np.array_equal(choose_rows(200, 8, seed=3), choose_rows(200, 8, seed=4))
