"""Published encoders of fMRI against the facts about them: shapes, gradients, what belongs to a subject."""

from collections.abc import Callable
from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from neurodecode.core.errors import ConfigError, MismatchError
from neurodecode.encoders.brain.batches import SubjectBatch
from neurodecode.encoders.brain.brain_encoder import BrainEncoder
from neurodecode.encoders.brain.bridge_encoder import BridgeEncoder
from neurodecode.encoders.brain.front_ends import FrontEnd, Identity, SubjectLinear, SubjectProjection
from neurodecode.encoders.brain.heads import MLPHeads
from neurodecode.encoders.brain.invariant_encoder import InvariantEncoder, reverse_gradient
from neurodecode.encoders.brain.layouts import SensorLayout, SubjectSensors
from neurodecode.encoders.brain.perceiver import Perceiver
from neurodecode.encoders.brain.pooled_embedding import PooledEmbedding, SignalBuilder, pool_voxels
from neurodecode.encoders.brain.residual_mlp import ResidualMLP
from neurodecode.encoders.brain.sequence_encoder import SequenceEncoder
from neurodecode.encoders.brain.token_heads import SameTokenHeads, TokenHeads, TokenProjector
from neurodecode.encoders.brain.token_transformer import TokenTransformer
from neurodecode.encoders.brain.volume_patches import VolumePatches
from neurodecode.encoders.brain.voxel_tokens import VoxelTokens


def maps(n_times: int = 1, rows: int = 3, **counts: int) -> list[SubjectBatch]:
    generator = torch.Generator().manual_seed(0)
    return [
        SubjectBatch(subject, torch.randn(rows, channels, n_times, generator=generator))
        for subject, channels in counts.items()
    ]


def n_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def gradients(network: nn.Module) -> dict[str, bool]:
    """Which parameters a backward pass has reached."""
    return {
        name: parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
        for name, parameter in network.named_parameters()
    }


# -- mindeye1, mindeye2 ------------------------------------------------------------------------------------------


def mindeye(**settings: object) -> BrainEncoder:
    torch.manual_seed(0)
    return BrainEncoder(
        {"a": 7, "b": 9}, 1, {"image": [5, 4], "retrieval": 20}, front_end=partial(SubjectProjection, width=8),
        backbone=partial(ResidualMLP, width=8, n_blocks=2, entry=False, **settings),
        heads=partial(TokenHeads, hidden=6),
    ).eval()  # fmt: skip


@pytest.mark.parametrize("settings", [{}, {"activated": False, "norm": "before"}])
def test_tokens_and_their_projection(settings: dict[str, object]) -> None:
    encoder = mindeye(**settings)
    heads = encoder(maps(a=7, b=9)).heads
    assert {name: tuple(head.shape) for name, head in heads.items()} == {"image": (6, 5, 4), "retrieval": (6, 20)}
    # The projector treats every token alike.
    projector = encoder.heads.projectors[0]
    torch.testing.assert_close(heads["retrieval"].unflatten(1, (5, 4))[:, 2], projector(heads["image"][:, 2]))


def test_the_contrast_trains_all_and_the_tokens_all_but_the_projector() -> None:
    encoder = mindeye()
    encoder(maps(a=7, b=9)).heads["image"].square().sum().backward()
    assert {name for name, reached in gradients(encoder).items() if not reached} == {
        name for name, _ in encoder.named_parameters() if ".projectors." in name
    }
    encoder.zero_grad()
    encoder(maps(a=7, b=9)).heads["retrieval"].square().sum().backward()
    assert all(gradients(encoder).values())


def test_only_the_first_map_belongs_to_a_subject() -> None:
    encoder = mindeye(activated=False, norm="before")
    encoder(maps(a=7)).heads["retrieval"].square().sum().backward()
    missed = {name for name, reached in gradients(encoder).items() if not reached}
    assert missed == {"front_end.projections.1.weight", "front_end.projections.1.bias"}
    assert n_parameters(encoder.front_end) == 8 * 7 + 8 + 8 * 9 + 8


def test_blocks_of_the_two_systems() -> None:
    after = ResidualMLP(8, 1, 8, 1, entry=False)
    before = ResidualMLP(8, 1, 8, 1, entry=False, activated=False, norm="before")
    assert n_parameters(after) == (8 * 8 + 8 + 16) + 16
    assert n_parameters(before) == 16 + 2 * (8 * 8 + 8)
    signal = torch.randn(2, 8, 1)
    before.eval()
    norm, first, _, _, second = before.blocks[0]
    flat = signal.flatten(1)
    torch.testing.assert_close(before(signal), flat + second(nn.functional.gelu(first(norm(flat)))))
    with pytest.raises(ConfigError, match="norm: got 'above'"):
        ResidualMLP(8, 1, 8, norm="above")  # type: ignore[arg-type]


def test_projectors_of_the_two_systems() -> None:
    assert n_parameters(TokenProjector(768, 2048, 3)) == 7_354_624
    assert n_parameters(TokenProjector(1664, 1664, 3)) == 8_321_664
    with pytest.raises(ConfigError, match="TokenHeads go with SameImageSide"):
        TokenHeads(8, {"image": [5, 4], "retrieval": 19})
    assert list(TokenHeads(8, {"image": [5, 4]})(torch.zeros(1, 8))) == ["image"]


# -- mindbridge --------------------------------------------------------------------------------------------------


def bridge(**counts: int) -> BridgeEncoder:
    torch.manual_seed(0)
    backbone = partial(ResidualMLP, width=6, n_blocks=1, entry=False, activated=False)
    return BridgeEncoder(counts, 1, {"image": [3, 4], "text": [2, 4]}, backbone, pooled=10, width=6, rank=2).eval()


def test_pooling_takes_the_largest_of_neighbours_whatever_the_number_of_voxels() -> None:
    signal = torch.randn(2, 12, 1)
    expected = torch.stack([signal[:, begin : begin + 3, 0].amax(dim=1) for begin in range(0, 12, 3)], dim=1)
    torch.testing.assert_close(pool_voxels(signal, 4), expected)
    torch.testing.assert_close(pool_voxels(signal[:, :5], 10), signal[:, :5, 0].repeat_interleave(2, dim=1))


def test_what_a_new_subject_brings_is_37_8_million() -> None:
    with torch.device("meta"):
        embedder = PooledEmbedding({"a": 15724}, 1).embedders[0]
        builder = SignalBuilder(2048, 8192, 128)
    assert n_parameters(embedder) + n_parameters(builder) == 37_796_096
    encoder = bridge(a=25, b=31)
    own = sum(n_parameters(part) for part in encoder.subject_parts("b"))
    assert n_parameters(bridge(a=25, b=31, c=8)) - n_parameters(encoder) == own


def test_adapters_start_as_nothing() -> None:
    encoder = bridge(a=25)
    adapter = encoder.front_end.embedders[0][0]
    pooled = torch.randn(2, 10)
    torch.testing.assert_close(adapter(pooled), pooled)


def test_cycles_go_through_the_other_subject() -> None:
    encoder = bridge(a=25, b=31)
    group, other = maps(a=25, b=31)
    output = encoder([group, other])
    assert {name: tuple(part.shape) for name, part in output.inner.items()} == {
        "pooled": (6, 10), "shared": (6, 6), "cycled": (6, 6),
    }  # fmt: skip
    assert output.reconstruction is not None
    assert output.reconstruction.shape == (6, 10)
    synthesised = encoder.synthesise(group, "b")
    torch.testing.assert_close(output.inner["cycled"][:3], encoder.front_end.embed("b", synthesised))
    torch.testing.assert_close(encoder.synthesise(group, "a"), output.reconstruction[:3])
    assert {name: tuple(head.shape) for name, head in output.heads.items()} == {"image": (6, 3, 4), "text": (6, 2, 4)}


def test_which_parts_each_loss_trains() -> None:
    encoder = bridge(a=25, b=31)

    def trained(loss: torch.Tensor) -> set[str]:
        encoder.zero_grad()
        loss.backward()
        return {".".join(name.split(".")[:3]) for name, reached in gradients(encoder).items() if reached}

    output = encoder(maps(a=25))
    assert trained(output.heads["image"].square().sum()) >= {"front_end.embedders.0", "backbone.blocks.0"}
    output = encoder(maps(a=25))
    assert output.reconstruction is not None
    assert trained((output.reconstruction - output.inner["pooled"]).square().sum()) == {
        "front_end.embedders.0", "builders.0.0", "builders.0.1", "builders.0.3",
    }  # fmt: skip
    output = encoder(maps(a=25))
    cycled = trained((output.inner["cycled"] - output.inner["shared"]).square().sum())
    assert {name.rsplit(".", 1)[0] if "builders" in name else name for name in cycled} == {
        "front_end.embedders.0", "front_end.embedders.1", "builders.1",
    }  # fmt: skip


def test_one_subject_alone_cycles_through_itself() -> None:
    encoder = bridge(a=25).train()
    (group,) = maps(a=25)
    assert encoder([group]).inner["cycled"].shape == (3, 6)
    encoder.eval()
    output = encoder([group])
    assert output.reconstruction is not None
    torch.testing.assert_close(output.inner["cycled"], encoder.front_end.embed("a", output.reconstruction))


# -- umbrae ------------------------------------------------------------------------------------------------------


def test_voxel_tokens_are_the_two_maps_one_after_the_other() -> None:
    torch.manual_seed(0)
    tokenizer = VoxelTokens({"a": 7, "b": 9}, 1, n_tokens=4, width=5)
    (group,) = maps(b=9)
    opened = tokenizer.openers[1](group.signal)  # (n, voxels, tokens)
    expected = tokenizer.summers[1](opened.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(tokenizer([group]), expected)
    with torch.device("meta"):
        full = VoxelTokens({"a": 15724}, 1)
    assert n_parameters(full) == (15724 * 1024 + 1024) + 2 * 256


def test_latents_gather_tokens_and_only_the_tokenizer_is_the_subjects() -> None:
    torch.manual_seed(0)
    encoder = BrainEncoder(
        {"a": 7, "b": 9}, 1, {"image": [6, 8], "pooled": 3}, front_end=partial(VoxelTokens, n_tokens=4, width=8),
        backbone=partial(Perceiver, n_latents=6, width=8, n_layers=2, n_heads=2, head_width=6), heads=SameTokenHeads,
    ).eval()  # fmt: skip
    output = encoder(maps(a=7))
    assert output.latent.shape == (3, 8, 6)
    torch.testing.assert_close(output.heads["image"], output.latent.transpose(1, 2))
    assert output.heads["pooled"].shape == (3, 3)
    sum(head.square().sum() for head in output.heads.values()).backward()
    missed = {name for name, reached in gradients(encoder).items() if not reached}
    assert missed >= {"front_end.openers.1.weight", "front_end.summers.1.weight"}
    # Softmax does not see a constant of the keys: their gradient is but rounding.
    assert {name for name in missed if not name.endswith("key.bias")} == {
        f"front_end.{part}.1.{kind}" for part, kind in product(("openers", "summers"), ("weight", "bias"))
    }
    # Tokens are a set to the latents.
    tokens = torch.randn(2, 8, 4)
    torch.testing.assert_close(encoder.backbone(tokens), encoder.backbone(tokens[:, :, [2, 0, 3, 1]]))
    with pytest.raises(MismatchError, match="head 'image': got 6 tokens, expected the target's 5"):
        SameTokenHeads(8, {"image": [5, 8]})(output.latent)


# -- neuro_vision ------------------------------------------------------------------------------------------------


def volumes(**shapes: tuple[int, int, int]) -> SubjectSensors:
    """Every voxel of a box, in an order of its own."""
    generator = np.random.default_rng(0)
    layouts = {}
    for subject, shape in shapes.items():
        grid = generator.permutation(np.argwhere(np.ones(shape, dtype=bool)).astype(np.int64))
        layouts[subject] = SensorLayout(tuple(map(str, range(len(grid)))), 0.0, grid=grid, volume=shape)
    return SubjectSensors(layouts)


def test_patches_are_cubes_of_the_volume() -> None:
    sensors = volumes(a=(5, 4, 2))
    front_end = VolumePatches(sensors, 1, patch=2)
    assert (front_end.out_channels, front_end.out_times) == (8, 3 * 2 * 1)
    (group,) = maps(a=40)
    dense = torch.zeros(3, 6, 4, 2)
    grid = sensors.layouts["a"].grid
    assert grid is not None
    for voxel, (x, y, z) in enumerate(grid):
        dense[:, x, y, z] = group.signal[:, voxel, 0]
    cubes = front_end([group])
    for number, (x, y) in enumerate(product(range(3), range(2))):
        expected = dense[:, 2 * x : 2 * x + 2, 2 * y : 2 * y + 2, 0:2].flatten(1)
        torch.testing.assert_close(cubes[:, :, number], expected)


def test_cubes_without_a_voxel_of_anybody_are_left_out() -> None:
    sensors = volumes(a=(6, 2, 2), b=(6, 2, 2))
    for subject, planes in (("a", (0, 1)), ("b", (5,))):
        layout = sensors.layouts[subject]
        assert layout.grid is not None
        inside = np.isin(layout.grid[:, 0], planes)
        names = tuple(np.array(layout.names)[inside])
        sensors.layouts[subject] = SensorLayout(names, 0.0, grid=layout.grid[inside], volume=(6, 2, 2))
    front_end = VolumePatches(SubjectSensors(sensors.layouts), 1, patch=2)
    assert front_end.kept.tolist() == [0, 2]
    first, second = maps(a=8, b=4)
    cubes = front_end([first, second])
    assert (cubes[:3, :, 1] == 0).all()
    assert (cubes[3:, :, 0] == 0).all()


def test_other_volumes_are_brought_to_the_size_of_the_first() -> None:
    front_end = VolumePatches(volumes(a=(4, 4, 4), b=(8, 8, 8)), 1, patch=2)
    flat = [SubjectBatch(subject, torch.ones(1, count, 1)) for subject, count in (("a", 64), ("b", 512))]
    cubes = front_end(flat)
    torch.testing.assert_close(cubes, torch.ones(2, 8, 8))


def test_a_new_subject_is_welcome_where_their_voxels_lie() -> None:
    front_end = VolumePatches(volumes(a=(4, 4, 4)), 1, patch=2)
    sensors = volumes(new=(4, 4, 4)).layouts["new"]
    front_end.welcome("new", sensors)
    (group,) = maps(new=64)
    assert front_end([group]).shape == (3, 8, 8)
    with pytest.raises(ConfigError, match="expected one the encoder was not built for"):
        front_end.welcome("new", sensors)
    with pytest.raises(ConfigError, match="a has no grid"):
        VolumePatches(SubjectSensors({"a": SensorLayout(("x",), 0.0)}), 1)


def test_one_model_for_all_with_nothing_of_a_subject() -> None:
    torch.manual_seed(0)
    encoder = BrainEncoder(
        volumes(a=(4, 4, 4), b=(4, 4, 4)), 1, {"image": 6, "vae": [2, 3, 3]}, front_end=partial(VolumePatches, patch=2),
        backbone=partial(TokenTransformer, width=8, n_layers=2, n_heads=2),
        heads=partial(MLPHeads, width=5, plain=True),
    ).eval()  # fmt: skip
    assert n_parameters(encoder.front_end) == 0
    output = encoder(maps(a=64, b=64))
    assert {name: tuple(head.shape) for name, head in output.heads.items()} == {"image": (6, 6), "vae": (6, 2, 3, 3)}
    assert n_parameters(encoder.heads) == (8 * 5 + 5) * 2 + (5 * 6 + 6) + (5 * 18 + 18)
    sum(head.square().sum() for head in output.heads.values()).backward()
    assert all(reached for name, reached in gradients(encoder).items() if not name.endswith("key.bias"))


def test_places_are_known_to_the_transformer() -> None:
    torch.manual_seed(0)
    backbone = TokenTransformer(3, 4, width=8, n_layers=1, n_heads=2).eval()
    tokens = torch.randn(2, 3, 4)
    assert not torch.allclose(backbone(tokens), backbone(tokens[:, :, [1, 0, 2, 3]]))
    assert TokenTransformer(3, 4, width=8, n_layers=1, n_heads=2, pooling="none")(tokens).shape == (2, 8, 4)
    assert TokenTransformer(3, 4, width=8, n_layers=1, n_heads=2, pooling="mean")(tokens).shape == (2, 8)


def test_with_all_cubes_the_network_does_not_depend_on_who_is_there() -> None:
    build = partial(VolumePatches, n_times=1, patch=2, volume=(6, 4, 4), everywhere=True)
    first, second = build(volumes(a=(6, 4, 4))), build(volumes(b=(3, 4, 4), c=(2, 2, 2)))
    assert first.out_times == second.out_times == 12
    assert {name: tuple(held.shape) for name, held in first.state_dict().items()} == {"kept": (12,)}
    second.load_state_dict(first.state_dict())


# -- zebra -------------------------------------------------------------------------------------------------------


def invariant(**settings: object) -> InvariantEncoder:
    torch.manual_seed(0)
    backbone = partial(TokenTransformer, width=8, n_layers=1, n_heads=2, pooling="none")
    return InvariantEncoder(
        volumes(a=(4, 4, 4), b=(4, 4, 4)), 1, {"image": [3, 4], "retrieval": 12}, backbone,
        partial(VolumePatches, patch=2), partial(TokenHeads, hidden=5), n_heads=2, **settings,  # type: ignore[arg-type]
    ).eval()  # fmt: skip


def test_the_two_parts_add_up_and_heads_read_the_common_one() -> None:
    encoder = invariant()
    groups = maps(a=64, b=64)
    common, specific = encoder.split(groups)
    tokens = encoder.backbone(encoder.front_end(groups)).transpose(1, 2)
    torch.testing.assert_close(common + specific, tokens)
    output = encoder(groups)
    torch.testing.assert_close(output.latent, common.mean(dim=1))
    torch.testing.assert_close(output.inner["told_specific"], encoder.classifier(specific.mean(dim=1)))
    assert output.inner["subject"].tolist() == [0, 0, 0, 1, 1, 1]
    assert output.heads["image"].shape == (6, 3, 4)


def test_the_adversary_is_trained_to_tell_and_the_rest_to_hide() -> None:
    plain, turned = (invariant(strength=strength) for strength in (-1.0, 0.5))
    for encoder in (plain, turned):
        encoder(maps(a=64, b=64)).inner["told_invariant"].logsumexp(dim=1).sum().backward()
    for (name, first), (_, second) in zip(plain.named_parameters(), turned.named_parameters(), strict=True):
        if first.grad is None:
            assert name.startswith(("heads.", "classifier."))
            continue
        factor = 1.0 if name.startswith("discriminator.") else -0.5
        torch.testing.assert_close(second.grad, factor * first.grad)
    features = torch.randn(3, requires_grad=True)
    torch.testing.assert_close(reverse_gradient(features), features)


def test_no_weight_belongs_to_a_subject() -> None:
    encoder = invariant()
    three = InvariantEncoder(
        volumes(a=(4, 4, 4), b=(4, 4, 4), c=(4, 4, 4)), 1, {"image": [3, 4], "retrieval": 12},
        partial(TokenTransformer, width=8, n_layers=1, n_heads=2, pooling="none"),
        partial(VolumePatches, patch=2), partial(TokenHeads, hidden=5), n_heads=2,
    )  # fmt: skip
    assert n_parameters(three) == n_parameters(encoder)
    with pytest.raises(ConfigError, match="most_subjects: got 1, expected at least 2"):
        invariant(most_subjects=1)
    with pytest.raises(ConfigError, match="expected one that keeps tokens"):
        InvariantEncoder(
            volumes(a=(4, 4, 4)), 1, {"image": 3}, partial(TokenTransformer, width=8, n_layers=1, n_heads=2),
            partial(VolumePatches, patch=2),
        )  # fmt: skip


def test_a_person_it_was_not_trained_with_is_decoded() -> None:
    encoder = invariant()
    assert isinstance(encoder.front_end, VolumePatches)
    (group,) = maps(a=64)
    layout = volumes(a=(4, 4, 4)).layouts["a"]
    encoder.front_end.welcome("new", layout)
    torch.testing.assert_close(encoder([SubjectBatch("new", group.signal)]).heads, encoder([group]).heads)


def test_the_stimulus_is_hidden_from_what_is_left() -> None:
    plain, turned = (invariant(strength=strength, hides_stimulus=True) for strength in (-1.0, 0.5))
    groups = maps(a=64, b=64)
    told = plain(groups).inner["told_stimulus"]
    _, specific = plain.split(groups)
    torch.testing.assert_close(told, plain.heads(specific.mean(dim=1))["retrieval"])
    for encoder in (plain, turned):
        encoder(groups).inner["told_stimulus"].square().sum().backward()
    for (name, first), (_, second) in zip(plain.named_parameters(), turned.named_parameters(), strict=True):
        if first.grad is None:
            assert name.startswith(("discriminator.", "classifier."))
            continue
        # The projection learns to find the stimulus there, all before it to hide it.
        factor = 1.0 if name.startswith("heads.") else -0.5
        torch.testing.assert_close(second.grad, factor * first.grad)
    with pytest.raises(ConfigError, match="hides_stimulus: got no head 'retrieval'"):
        InvariantEncoder(
            volumes(a=(4, 4, 4)), 1, {"image": 3},
            partial(TokenTransformer, width=8, n_layers=1, n_heads=2, pooling="none"),
            partial(VolumePatches, patch=2), n_heads=2, hides_stimulus=True,
        )  # fmt: skip


def test_what_was_masked_is_to_be_rebuilt() -> None:
    encoder = invariant(rebuilds=True)
    encoder.front_end.masking = 0.5
    groups = maps(a=64, b=64)
    encoder.train()
    output = encoder(groups)
    assert output.reconstruction is not None
    assert output.reconstruction.shape == output.inner["whole"].shape == (6, 8, 8)
    torch.testing.assert_close(output.inner["whole"], encoder.eval().front_end(groups))
    assert n_parameters(encoder) == n_parameters(invariant()) + 8 * 8 + 8


@pytest.mark.parametrize(
    "front_end",
    [
        partial(Identity, masking=0.4),
        partial(SubjectLinear, width=30, masking=0.4),
        partial(SubjectProjection, width=30, masking=0.4),
        partial(VoxelTokens, n_tokens=3, width=30, masking=0.4),
        partial(PooledEmbedding, pooled=500, width=30, rank=2, dropout=0.0, masking=0.4),
    ],
)
def test_masking_acts_in_training_alone(front_end: Callable[..., FrontEnd]) -> None:
    torch.manual_seed(0)
    built = front_end({"a": 500}, 1).eval()
    groups = [SubjectBatch("a", torch.ones(2, 500, 1))]
    torch.testing.assert_close(built(groups), built(groups))
    seen = built.train().masked(groups[0].signal)
    assert 0.3 < float((seen == 0).float().mean()) < 0.5
    torch.testing.assert_close(seen[seen != 0], torch.full_like(seen[seen != 0], 1 / 0.6))
    assert not torch.equal(built(groups), built.unmasked(groups))
    with pytest.raises(ConfigError, match=r"masking: got 1\.5, expected a probability"):
        Identity({"a": 5}, 1, masking=1.5)


def test_times_are_shuffled_in_training_alone() -> None:
    torch.manual_seed(0)
    front_end = Identity({"a": 2}, 50, shuffled_times=0.5)
    signal = torch.arange(50.0).expand(40, 2, 50).clone()
    signal[:, 1] += 100
    groups = [SubjectBatch("a", signal)]
    torch.testing.assert_close(front_end.eval()(groups), signal)
    shuffled = front_end.train()(groups)
    torch.testing.assert_close(shuffled.sort(dim=2).values, signal)
    # All channels of a window move together, and about half of the windows stay as they are.
    torch.testing.assert_close(shuffled[:, 1] - shuffled[:, 0], torch.full((40, 50), 100.0))
    assert 10 <= int((shuffled == signal).all(dim=2).all(dim=1).sum()) <= 30


# -- wave --------------------------------------------------------------------------------------------------------


CAUSAL = partial(TokenTransformer, width=8, n_layers=2, n_heads=2, causal=True, pooling="last")


def test_times_see_but_what_was_before_them() -> None:
    torch.manual_seed(0)
    backbone = CAUSAL(5, 6).eval()
    signal = torch.randn(1, 5, 6, requires_grad=True)
    for time in range(6):
        (gradient,) = torch.autograd.grad(backbone.tokens(signal)[0, time].square().sum(), signal)
        assert torch.nonzero(gradient.abs().sum(dim=(0, 1))).flatten().tolist() == list(range(time + 1))
    torch.testing.assert_close(backbone(signal), backbone.tokens(signal)[:, -1])
    with pytest.raises(ConfigError, match="comes first and sees nothing"):
        TokenTransformer(5, 6, width=8, causal=True)


def test_the_next_time_is_predicted_from_those_before_it() -> None:
    torch.manual_seed(0)
    encoder = SequenceEncoder({"a": 5, "b": 5}, 6, {}, CAUSAL).eval()
    groups = maps(n_times=6, a=5, b=5)
    predicted, signal = encoder(groups)
    assert predicted.shape == (6, 5, 5)
    torch.testing.assert_close(signal, torch.cat([group.signal for group in groups]))
    changed = [SubjectBatch(group.subject, group.signal.clone()) for group in groups]
    for group in changed:
        group.signal[:, :, 3:] += 1
    again, _ = encoder(changed)
    torch.testing.assert_close(again[:, :, :3], predicted[:, :, :3])
    assert not torch.allclose(again[:, :, 3], predicted[:, :, 3])
    predicted.square().sum().backward()
    missed = {name for name, reached in gradients(encoder).items() if not reached}
    assert {name for name in missed if not name.endswith("key.bias")} == {"backbone.extra"} & set(missed)


def test_pretraining_refuses_what_makes_it_easy() -> None:
    with pytest.raises(ConfigError, match="front_end: got SubjectLinear, expected one without weights"):
        SequenceEncoder({"a": 5}, 6, {}, CAUSAL, partial(SubjectLinear, width=3))
    with pytest.raises(ConfigError, match="got 1 time, expected two or more"):
        SequenceEncoder({"a": 5}, 1, {}, CAUSAL)
    with pytest.raises(ConfigError, match="sees what is to be predicted"):
        SequenceEncoder({"a": 5}, 6, {}, partial(TokenTransformer, width=8, n_layers=1, n_heads=2, pooling="mean"))
