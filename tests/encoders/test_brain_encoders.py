"""Brain encoders: shapes, gradients, sizes against published ones, and refusals."""

from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from neurodecode.core.errors import ConfigError, MismatchError
from neurodecode.encoders.brain.batches import SubjectBatch
from neurodecode.encoders.brain.brain_encoder import BrainEncoder
from neurodecode.encoders.brain.front_ends import Identity, SubjectLayer, SubjectLinear, SubjectProjection
from neurodecode.encoders.brain.heads import LinearHeads, MLPHeads
from neurodecode.encoders.brain.image_side import LinearImageSide
from neurodecode.encoders.brain.linear import Linear
from neurodecode.encoders.brain.projection_mlp import ProjectionMLP
from neurodecode.encoders.brain.readout import SubjectReadout
from neurodecode.encoders.brain.residual_mlp import ResidualMLP
from neurodecode.encoders.brain.temporal_spatial import TemporalSpatial

SMALL_TEMPORAL = partial(TemporalSpatial, kernel=3, pool=4, stride=2, n_filters=5, width=7)
BACKBONES = {
    "linear": Linear,
    "linear reduced": partial(Linear, width=6, dropout=0.1),
    "projection_mlp": partial(ProjectionMLP, width=8, input_dropout=0.1),
    "temporal_spatial": SMALL_TEMPORAL,
    "residual_mlp": partial(ResidualMLP, width=8, n_blocks=2),
}
FRONT_ENDS = {
    "identity": Identity,
    "layer": SubjectLayer,
    "linear": partial(SubjectLinear, width=4),
}


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def batch(**counts: int) -> list[SubjectBatch]:
    generator = torch.Generator().manual_seed(0)
    return [
        SubjectBatch(subject, torch.randn(2 + position, channels, 12, generator=generator))
        for position, (subject, channels) in enumerate(counts.items())
    ]


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_every_combination_gives_heads_and_gradients(front_end: str, backbone: str) -> None:
    torch.manual_seed(0)
    encoder = BrainEncoder(
        {"a": 5, "b": 5},
        12,
        {"layer.1": 3, "tokens": [2, 4]},
        front_end=FRONT_ENDS[front_end],
        backbone=BACKBONES[backbone],
    )
    output = encoder(batch(a=5, b=5))
    assert output.heads["layer.1"].shape == (5, 3)
    assert output.heads["tokens"].shape == (5, 2, 4)
    assert output.latent.shape == (5, encoder.backbone.out_features)
    sum((head**2).sum() for head in output.heads.values()).backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_subjects_with_differing_channel_counts_meet_in_one_layout() -> None:
    for front_end in (partial(SubjectLinear, width=4), partial(SubjectProjection, width=6)):
        encoder = BrainEncoder({"a": 5, "b": 9}, 12, {"layer": 3}, front_end=front_end, backbone=Linear)
        assert encoder(batch(a=5, b=9)).heads["layer"].shape == (5, 3)


def test_rows_follow_the_order_of_the_groups() -> None:
    encoder = BrainEncoder({"a": 5, "b": 9}, 12, {"layer": 3}, front_end=SubjectLinear, backbone=Linear).eval()
    first, second = batch(a=5, b=9)
    forward = encoder([first, second]).heads["layer"]
    backward = encoder([second, first]).heads["layer"]
    torch.testing.assert_close(torch.cat([forward[2:], forward[:2]]), backward)


@pytest.mark.parametrize(
    "front_end", [SubjectLayer, partial(SubjectLinear, width=5), partial(SubjectProjection, width=5)]
)
def test_a_subject_changes_only_its_own_parameters(front_end: object) -> None:
    module = front_end({"a": 5, "b": 5}, 12)  # type: ignore[operator]
    module(batch(a=5)).sum().backward()
    if isinstance(module, SubjectLayer):
        gradient = module.mixing.matrices.grad
        assert gradient is not None
        assert gradient[0].abs().sum() > 0
        assert gradient[1].abs().sum() == 0
    else:
        assert all(parameter.grad is not None for parameter in module.projections[0].parameters())
        assert all(parameter.grad is None for parameter in module.projections[1].parameters())


def test_subject_layer_starts_as_identity() -> None:
    groups = batch(a=5, b=5)
    torch.testing.assert_close(SubjectLayer({"a": 5, "b": 5}, 12)(groups), Identity({"a": 5, "b": 5}, 12)(groups))


@pytest.mark.parametrize("front_end", [Identity, SubjectLayer, SubjectLinear, SubjectProjection])
def test_unknown_subject_is_refused_and_the_known_ones_named(front_end: type) -> None:
    module = front_end({"sub-01": 5, "sub-02": 5}, 12)
    with pytest.raises(MismatchError, match=r"'sub-09'.*sub-01, sub-02"):
        module([SubjectBatch("sub-09", torch.zeros(1, 5, 12))])
    with pytest.raises(MismatchError, match=r"\(1, 6, 12\).*\(n_trials, 5, 12\)"):
        module([SubjectBatch("sub-01", torch.zeros(1, 6, 12))])
    with pytest.raises(MismatchError, match="no subject group"):
        module([])


@pytest.mark.parametrize("front_end", [Identity, SubjectLayer])
def test_shared_layout_needs_equal_channel_counts(front_end: type) -> None:
    with pytest.raises(MismatchError, match="a: 5, b: 6"):
        front_end({"a": 5, "b": 6}, 12)


# -- sizes that published descriptions state ---------------------------------------------------------------------


def test_projection_mlp_has_the_published_size() -> None:
    # Flatten 17 x 250, Linear to 1024, one residual Linear, LayerNorm: 5.40 million.
    assert count(ProjectionMLP(17, 250)) == 4250 * 1024 + 1024 + 1024 * 1024 + 1024 + 2 * 1024 == 5_404_672
    with torch.device("meta"):
        assert round(count(ProjectionMLP(271, 201)) / 1e6, 1) == 56.8


def test_temporal_spatial_has_the_published_size() -> None:
    backbone = TemporalSpatial(63, 250)
    assert backbone.flat_features == 1440
    assert round(count(backbone) / 1e6, 2) == 1.80
    assert TemporalSpatial(271, 201).flat_features == 1040


def test_residual_mlp_has_the_published_size() -> None:
    # Subject 1 of the published model has 15,724 voxels: 64.4 million in its own layer, about 940 million with the
    # head to 257 x 768 tokens.
    with torch.device("meta"):
        front_end = SubjectProjection({"s1": 15724}, 1, width=4096)
        encoder = BrainEncoder(
            {"s1": 15724},
            1,
            {"tokens": [257, 768]},
            backbone=partial(ResidualMLP, entry=False),
            front_end=partial(SubjectProjection, width=4096),
        )
    assert round(count(front_end) / 1e6, 1) == 64.4
    assert round(count(encoder) / 1e6) == 940


def test_linear_encoder_is_a_linear_map() -> None:
    encoder = BrainEncoder({"a": 5}, 12, {"layer": 3}, backbone=Linear)
    assert count(encoder) == 5 * 12 * 3 + 3
    (group,) = batch(a=5)
    weights = encoder.heads.maps[0]
    assert isinstance(weights, nn.Linear)
    torch.testing.assert_close(
        encoder([group]).heads["layer"], group.signal.reshape(2, -1) @ weights.weight.T + weights.bias
    )


# -- the linear path ---------------------------------------------------------------------------------------------


def ridge(features: Tensor, targets: Tensor, penalty: float) -> Tensor:
    gram = features.T @ features + penalty * torch.eye(features.shape[1])
    return torch.linalg.solve(gram, features.T @ targets)


@pytest.mark.parametrize("heads", [LinearHeads, partial(MLPHeads, width=6)])
def test_linear_path_starts_as_the_solution_that_was_put_in(heads: object) -> None:
    torch.manual_seed(1)
    encoder = BrainEncoder(
        {"a": 5, "b": 5},
        12,
        {"x": 3, "y": 2},
        backbone=partial(ProjectionMLP, width=8),
        heads=heads,
        linear_path=True,  # type: ignore[arg-type]
    )
    assert encoder.linear_path is not None
    groups = batch(a=5, b=5)
    torch.testing.assert_close(encoder(groups).heads["x"], torch.zeros(5, 3))
    features = groups[1].signal.flatten(1)
    solution = ridge(features, torch.randn(3, 2), 1.0)
    encoder.linear_path.set_solution("b", "y", solution, torch.tensor([1.0, 2.0]))
    heads_now = encoder(groups).heads
    torch.testing.assert_close(heads_now["y"][2:], features @ solution + torch.tensor([1.0, 2.0]))
    torch.testing.assert_close(heads_now["y"][:2], torch.zeros(2, 2))
    torch.testing.assert_close(heads_now["x"], torch.zeros(5, 3))


def test_readout_refuses_what_does_not_fit() -> None:
    readout = SubjectReadout({"a": 2}, 3, {"layer": 4})
    with pytest.raises(MismatchError, match="subjects a and targets layer"):
        readout.set_solution("b", "layer", torch.zeros(6, 4), torch.zeros(4))
    with pytest.raises(MismatchError, match=r"\(6, 4\)"):
        readout.set_solution("a", "layer", torch.zeros(5, 4), torch.zeros(4))


def test_image_side_reads_all_targets_and_refuses_others() -> None:
    side = LinearImageSide({"x": 3, "tokens": [2, 2]}, width=5)
    assert side({"x": torch.zeros(4, 3), "tokens": torch.zeros(4, 2, 2), "more": torch.zeros(4, 9)}).shape == (4, 5)
    with pytest.raises(MismatchError, match="'tokens'"):
        side({"x": torch.zeros(4, 3)})


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: TemporalSpatial(63, 40), "75 time points"),
        (lambda: ResidualMLP(30, 1, width=16, entry=False), "30 features"),
        (lambda: ProjectionMLP(3, 4, dropout=1.0), "dropout"),
        (lambda: Linear(3, 4, width=0), "width"),
        (lambda: SubjectLinear({"a": 3}, 4, width=0), "width"),
        (lambda: SubjectProjection({"a": 3}, 4, width=0), "width"),
        (lambda: Identity({}, 4), "no subject"),
        (lambda: LinearHeads(4, {}), "none"),
        (lambda: LinearHeads(4, {"x": [0]}), "positive"),
        (lambda: BrainEncoder({"a": 3}, 4, {"x": 1}, backbone=Linear, linear_dropout=0.5), "linear_path"),
    ],
)
def test_sizes_that_cannot_be_are_config_errors(build: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build()  # type: ignore[operator]


def test_seeded_construction_is_reproducible() -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(BrainEncoder({"a": 5}, 12, {"x": 2}, backbone=SMALL_TEMPORAL).state_dict())
    for first, second in pairwise(states):
        assert all(torch.equal(first[name], second[name]) for name in first)
