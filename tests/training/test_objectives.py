"""Objectives against independent references, with oracles, chance and every stated policy."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from neurodecode.core.errors import ConfigError, DataError, MismatchError
from neurodecode.encoders.brain.batches import SubjectBatch
from neurodecode.encoders.brain.outputs import EncoderOutput
from neurodecode.training.batches import Batch, Mix, draw_mix, mixed
from neurodecode.training.contrastive import Contrastive, MixCo, SoftContrastive
from neurodecode.training.objectives import Objective, ObjectiveSum
from neurodecode.training.pairs import pair_weights
from neurodecode.training.presets import PRESETS, preset
from neurodecode.training.regression import Regression

N_ROWS, N_DIMS = 6, 4


def make_batch(candidates: list[str], targets: dict[str, Tensor], mix: Mix | None = None) -> Batch:
    count = len(candidates)
    order = sorted(set(candidates))
    return Batch(
        [SubjectBatch("a", torch.randn(count - 2, 3, 5)), SubjectBatch("b", torch.randn(2, 7, 5))],
        targets,
        candidates,
        torch.tensor([order.index(candidate) for candidate in candidates]),
        torch.ones(count, dtype=torch.int64),
        torch.arange(count),
        mix,
    )


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(N_ROWS, N_DIMS, generator=generator), torch.randn(N_ROWS, N_DIMS, generator=generator)


def evaluate(
    objective: Objective,
    brain: Tensor,
    image: Tensor,
    candidates: str = "pqrstu",
    mix: Mix | None = None,
    progress: float = 0.0,
) -> Tensor:
    batch = make_batch(list(candidates), {"x": image}, mix)
    loss: Tensor = objective(EncoderOutput({"x": brain}, brain), batch.targets, batch, progress)
    return loss


# -- contrastive -------------------------------------------------------------------------------------------------


def test_contrastive_equals_open_clip(pair: tuple[Tensor, Tensor]) -> None:
    open_clip_loss = pytest.importorskip("open_clip.loss")
    brain, image = (functional.normalize(side, dim=1) for side in pair)
    expected = open_clip_loss.ClipLoss()(brain, image, torch.tensor(1 / 0.07))
    torch.testing.assert_close(evaluate(Contrastive(), *pair), expected)


@pytest.mark.parametrize("normalise", ["brain", "image", "both", "none"])
@pytest.mark.parametrize("directions", ["one", "two"])
@pytest.mark.parametrize(
    ("temperature", "factor"),
    [("none", 1.0), ("fixed", 0.7), ("exp", math.exp(0.7)), ("softplus", math.log1p(math.exp(0.7)))],
)
def test_contrastive_equals_plain_cross_entropy(
    pair: tuple[Tensor, Tensor], normalise: str, directions: str, temperature: str, factor: float
) -> None:
    objective = Contrastive(normalise=normalise, directions=directions, temperature=temperature, scale=0.7)  # type: ignore[arg-type]
    brain, image = pair
    left = brain / brain.norm(dim=1, keepdim=True) if normalise in ("brain", "both") else brain
    right = image / image.norm(dim=1, keepdim=True) if normalise in ("image", "both") else image
    logits = factor * left @ right.T
    expected = functional.cross_entropy(logits, torch.arange(N_ROWS))
    if directions == "two":
        expected = (expected + functional.cross_entropy(logits.T, torch.arange(N_ROWS))) / 2
    torch.testing.assert_close(evaluate(objective, brain, image), expected)


def test_contrastive_oracle_and_chance() -> None:
    image = torch.eye(N_ROWS)
    sure = Contrastive(temperature="fixed", scale=100.0)
    assert evaluate(sure, image, image) < 1e-6
    torch.testing.assert_close(evaluate(sure, torch.ones(N_ROWS, N_ROWS), image), torch.tensor(math.log(N_ROWS)))
    assert evaluate(sure, image.roll(1, dims=0), image) > 50


def test_duplicates_policies(pair: tuple[Tensor, Tensor]) -> None:
    brain, image = pair
    brain, image = functional.normalize(brain, dim=1), functional.normalize(image, dim=1)
    logits = brain @ image.T
    losses = {
        policy: evaluate(
            Contrastive(temperature="none", directions="one", duplicates=policy),
            brain,
            image,
            "pqpstu",  # type: ignore[arg-type]
        )
        for policy in ("ignored", "masked", "positive")
    }
    torch.testing.assert_close(losses["ignored"], functional.cross_entropy(logits, torch.arange(N_ROWS)))
    rows = []
    for row in range(N_ROWS):
        keep = [column for column in range(N_ROWS) if {row, column} != {0, 2}]
        rows.append(functional.cross_entropy(logits[row, keep][None], torch.tensor([keep.index(row)])))
    torch.testing.assert_close(losses["masked"], torch.stack(rows).mean())
    soft = torch.eye(N_ROWS)
    soft[0, 2] = soft[2, 0] = soft[0, 0] = soft[2, 2] = 0.5
    torch.testing.assert_close(losses["positive"], functional.cross_entropy(logits, soft))
    assert len({round(float(loss), 6) for loss in losses.values()}) == 3


def test_masked_duplicates_give_finite_gradients(pair: tuple[Tensor, Tensor]) -> None:
    brain = pair[0].clone().requires_grad_()
    evaluate(Contrastive(duplicates="masked"), brain, pair[1], "pppqqq").backward()
    assert brain.grad is not None
    assert torch.isfinite(brain.grad).all()
    assert brain.grad.abs().sum() > 0


def test_scale_is_learned_only_where_asked(pair: tuple[Tensor, Tensor]) -> None:
    for temperature, learnable, expected in (
        ("exp", True, True),
        ("exp", False, False),
        ("softplus", True, True),
        ("fixed", True, False),
        ("none", True, False),
    ):
        objective = Contrastive(temperature=temperature, learnable=learnable)  # type: ignore[arg-type]
        assert objective.scale.requires_grad == expected
    objective = Contrastive(temperature="exp", max_scale=20.0, scale=10.0)
    assert objective.current_scale().item() == 20.0


def test_several_heads_are_compared_side_by_side(pair: tuple[Tensor, Tensor]) -> None:
    brain, image = pair
    batch = make_batch(list("pqrstu"), {"x": image[:, :2], "y": image[:, 2:]})
    output = EncoderOutput({"x": brain[:, :2], "y": brain[:, 2:]}, brain)
    joint = Contrastive()(output, batch.targets, batch, 0.0)
    torch.testing.assert_close(joint, evaluate(Contrastive(), brain, image))
    only = Contrastive(heads=["y"])(output, batch.targets, batch, 0.0)
    torch.testing.assert_close(only, evaluate(Contrastive(), brain[:, 2:], image[:, 2:]))


def test_retrieval_head_is_left_out_unless_named(pair: tuple[Tensor, Tensor]) -> None:
    brain, image = pair
    batch = make_batch(list("pqrstu"), {"x": image})
    output = EncoderOutput({"x": brain, "retrieval": image}, brain)
    references = {**batch.targets, "retrieval": image}
    torch.testing.assert_close(Contrastive()(output, references, batch, 0.0), evaluate(Contrastive(), brain, image))
    named = Contrastive(heads=["retrieval"], temperature="fixed", scale=50.0)(output, references, batch, 0.0)
    assert named < evaluate(Contrastive(temperature="fixed", scale=50.0), brain, image)


# -- mixing ------------------------------------------------------------------------------------------------------


def test_mixing_keeps_subjects_apart_and_shares_add_up() -> None:
    torch.manual_seed(0)
    batch = make_batch(list("pqrstu"), {})
    mix = draw_mix(batch, probability=1.0, beta=1.0)
    assert set(mix.partner[:4].tolist()) == {0, 1, 2, 3}
    assert set(mix.partner[4:].tolist()) == {4, 5}
    result = mixed(batch, mix)
    expected = mix.keep[0] * batch.groups[0].signal[0] + (1 - mix.keep[0]) * batch.groups[0].signal[int(mix.partner[0])]
    torch.testing.assert_close(result.groups[0].signal[0], expected)
    assert (draw_mix(batch, probability=0.0, beta=1.0).keep == 1).all()
    with pytest.raises(DataError, match="another subject"):
        mixed(batch, Mix(torch.tensor([5, 1, 2, 3, 4, 0]), torch.ones(6)))


def test_mixco_equals_a_loop(pair: tuple[Tensor, Tensor]) -> None:
    brain, image = pair
    mix = Mix(torch.tensor([1, 2, 3, 0, 5, 4]), torch.tensor([0.9, 1.0, 0.6, 0.5, 0.8, 1.0]))
    objective = MixCo(temperature="fixed", scale=3.0, duplicates="ignored")
    left, right = functional.normalize(brain, dim=1).double(), functional.normalize(image, dim=1).double()
    logits = (3.0 * left @ right.T).numpy()
    by_row = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    by_column = logits - np.log(np.exp(logits).sum(axis=0, keepdims=True))
    expected = 0.0
    for row in range(N_ROWS):
        share, other = float(mix.keep[row]), int(mix.partner[row])
        for values in (by_row, by_column):
            expected -= (share * values[row, row] + (1 - share) * values[row, other]) / (2 * N_ROWS)
    assert float(evaluate(objective, brain, image, mix=mix)) == pytest.approx(expected, rel=1e-5)


def test_mixco_without_mixing_is_contrastive(pair: tuple[Tensor, Tensor]) -> None:
    mix = Mix(torch.tensor([1, 2, 3, 0, 5, 4]), torch.ones(6))
    torch.testing.assert_close(evaluate(MixCo(), *pair, mix=mix), evaluate(Contrastive(), *pair))


def test_masked_duplicates_of_both_mixed_stimuli() -> None:
    right, left_out = pair_weights(
        torch.tensor([0, 1, 0, 1]), torch.tensor([1, 0, 3, 2]), torch.tensor([0.5, 0.5, 1.0, 1.0]), "masked"
    )
    assert right[0].tolist() == [0.5, 0.5, 0.0, 0.0]
    assert left_out[0].tolist() == [False, False, True, True]


# -- soft contrastive --------------------------------------------------------------------------------------------


def test_soft_contrastive_equals_a_formula(pair: tuple[Tensor, Tensor]) -> None:
    brain, image = pair
    left, right = (functional.normalize(side, dim=1) for side in pair)
    target = functional.softmax(right @ right.T / 0.2, dim=1)
    expected = (
        functional.cross_entropy(left @ right.T / 0.2, target) + functional.cross_entropy(right @ left.T / 0.2, target)
    ) / 2
    torch.testing.assert_close(evaluate(SoftContrastive(temperature=0.2), brain, image), expected)


def test_soft_contrastive_becomes_hard_when_cold() -> None:
    image = torch.eye(N_ROWS)
    brain = torch.eye(N_ROWS) + 0.1
    soft = evaluate(SoftContrastive(temperature=0.02, directions="one"), brain, image)
    hard = evaluate(Contrastive(temperature="fixed", scale=50.0, directions="one"), brain, image)
    torch.testing.assert_close(soft, hard)


def test_soft_contrastive_is_least_at_the_truth_and_refuses_mixed_signals(pair: tuple[Tensor, Tensor]) -> None:
    brain, image = pair
    objective = SoftContrastive(temperature=0.2)
    assert evaluate(objective, image, image) < evaluate(objective, brain, image)
    with pytest.raises(ConfigError, match="mixed"):
        evaluate(objective, brain, image, mix=Mix(torch.arange(6), torch.ones(6)))


# -- regression --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "reference"),
    [
        ("mse", functional.mse_loss),
        ("smooth_l1", functional.smooth_l1_loss),
        ("cosine", lambda left, right: functional.cosine_embedding_loss(left, right, torch.ones(len(left)))),
    ],
)
def test_regression_equals_torch(pair: tuple[Tensor, Tensor], kind: str, reference: object) -> None:
    objective = Regression(kind=kind)  # type: ignore[arg-type]
    torch.testing.assert_close(evaluate(objective, *pair), reference(*pair))  # type: ignore[operator]
    assert float(evaluate(objective, pair[1], pair[1])) == pytest.approx(0, abs=1e-6)


def test_regression_weighs_heads_and_mixed_targets(pair: tuple[Tensor, Tensor]) -> None:
    brain, image = pair
    batch = make_batch(list("pqrstu"), {"x": image[:, :2], "y": image[:, 2:]})
    output = EncoderOutput({"x": brain[:, :2], "y": brain[:, 2:]}, brain)
    loss = Regression(head_weights={"y": 3.0})(output, batch.targets, batch, 0.0)
    first = functional.mse_loss(brain[:, :2], image[:, :2])
    second = functional.mse_loss(brain[:, 2:], image[:, 2:])
    torch.testing.assert_close(loss, (first + 3 * second) / 4)
    mix = Mix(torch.tensor([1, 0, 2, 3, 4, 5]), torch.tensor([0.25, 0.5, 1.0, 1.0, 1.0, 1.0]))
    blended = image.clone()
    blended[0] = 0.25 * image[0] + 0.75 * image[1]
    blended[1] = 0.5 * image[1] + 0.5 * image[0]
    torch.testing.assert_close(evaluate(Regression(), brain, image, mix=mix), functional.mse_loss(brain, blended))


def test_regression_takes_tokens() -> None:
    brain, image = torch.randn(N_ROWS, 3, 2), torch.randn(N_ROWS, 3, 2)
    torch.testing.assert_close(evaluate(Regression(), brain, image), functional.mse_loss(brain, image))
    expected = (1 - functional.cosine_similarity(brain, image, dim=-1)).mean()
    torch.testing.assert_close(evaluate(Regression(kind="cosine"), brain, image), expected)


# -- sums and presets --------------------------------------------------------------------------------------------


def test_sum_weighs_and_names_its_parts(pair: tuple[Tensor, Tensor]) -> None:
    brain, image = pair
    terms = ObjectiveSum([Contrastive(weight=0.5), Regression(weight=2.0, start=0.5)])
    batch = make_batch(list("pqrstu"), {"x": image})
    output = EncoderOutput({"x": brain}, brain)
    early, parts = terms(output, batch.targets, batch, 0.2)
    assert set(parts) == {"contrastive"}
    torch.testing.assert_close(early, 0.5 * evaluate(Contrastive(), brain, image))
    late, parts = terms(output, batch.targets, batch, 0.5)
    assert set(parts) == {"contrastive", "regression"}
    torch.testing.assert_close(late, early + 2 * functional.mse_loss(brain, image))


def test_sum_lets_one_objective_mix_and_only_while_active() -> None:
    torch.manual_seed(0)
    terms = ObjectiveSum([MixCo(probability=1.0, stop=0.5), SoftContrastive(start=0.5)])
    batch = make_batch(list("pqrstu"), {})
    assert terms.before_encoder(batch, 0.1).mix is not None
    assert terms.before_encoder(batch, 0.6) is batch


@pytest.mark.parametrize("name", PRESETS)
def test_presets_give_finite_losses_and_gradients(pair: tuple[Tensor, Tensor], name: str) -> None:
    torch.manual_seed(0)
    terms = ObjectiveSum(preset(name))
    image = pair[1]
    for progress in (0.0, 0.5, 1.0):
        brain = pair[0].clone().requires_grad_()
        batch = terms.before_encoder(make_batch(list("pqrstu"), {"x": image}), progress)
        references = {**batch.targets, "retrieval": image}
        total, _ = terms(EncoderOutput({"x": brain, "retrieval": brain}, brain), references, batch, progress)
        total.backward()
        assert torch.isfinite(total)
        assert brain.grad is not None
        assert brain.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ObjectiveSum([]), "none"),
        (lambda: ObjectiveSum([Regression(), Regression()]), "'regression' occurs more than once"),
        (lambda: ObjectiveSum([MixCo(), MixCo(name="other", start=0.5)]), "both mix"),
        (lambda: Regression(weight=-1.0), "weight"),
        (lambda: Regression(start=0.5, stop=0.5), "start"),
        (lambda: Regression(head_weights={"x": -1.0}), "head_weights"),
        (lambda: Contrastive(temperature="fixed", scale=0.0), "scale"),
        (lambda: MixCo(probability=2.0), "probability"),
        (lambda: SoftContrastive(temperature=0.0), "temperature"),
        (lambda: preset("nise"), "'nise'.*nice"),
    ],
)
def test_bad_choices_are_config_errors(build: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build()  # type: ignore[operator]


def test_heads_that_do_not_fit_are_mismatches(pair: tuple[Tensor, Tensor]) -> None:
    brain, image = pair
    batch = make_batch(list("pqrstu"), {"x": image})
    with pytest.raises(MismatchError, match=r"'x'.*predicts \(y\)"):
        Regression()(EncoderOutput({"y": brain}, brain), batch.targets, batch, 0.0)
    with pytest.raises(MismatchError, match=r"\(3,\).*\(4,\)"):
        Regression()(EncoderOutput({"x": brain[:, :3]}, brain), batch.targets, batch, 0.0)
    with pytest.raises(DataError, match="targets of 'x'"):
        make_batch(list("pqrstu"), {"x": image[:3]})


def test_a_part_of_the_encoder_takes_the_place_of_the_head() -> None:
    generator = torch.Generator().manual_seed(0)
    head, part, target = torch.randn(3, 6, 5, generator=generator)
    batch = Batch(
        [SubjectBatch("a", torch.zeros(6, 1, 1))], {"x": target}, list("pqrstu"), torch.arange(6), torch.ones(6),
        torch.arange(6),
    )  # fmt: skip
    told = EncoderOutput({"x": head}, head, inner={"told": part})
    found = Contrastive(part="told")(told, batch.targets, batch, 0.0)
    expected = Contrastive()(EncoderOutput({"x": part}, part), batch.targets, batch, 0.0)
    torch.testing.assert_close(found, expected)
    with pytest.raises(ConfigError, match="got the part 'other', expected one the encoder gives"):
        Contrastive(part="other")(told, batch.targets, batch, 0.0)
    told.inner["told"] = part[:, :4]
    with pytest.raises(ConfigError, match=r"got told of shape \(6, 4\), expected the targets' \(6, 5\)"):
        Contrastive(part="told")(told, batch.targets, batch, 0.0)
