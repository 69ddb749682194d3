"""Published encoders against the facts about them: receptive fields, shapes, gradients, what belongs to a subject."""

from functools import partial
from math import pi

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from neurodecode.core.errors import ConfigError, DataError, MismatchError
from neurodecode.core.sensors import Sensors
from neurodecode.encoders.brain.attention import Attention, AttentionBlock, rotate
from neurodecode.encoders.brain.batches import SubjectBatch
from neurodecode.encoders.brain.brain_encoder import BrainEncoder
from neurodecode.encoders.brain.channel_tokens import ChannelTokens
from neurodecode.encoders.brain.context import SequenceContext
from neurodecode.encoders.brain.fourier_attention import FourierAttention, fourier_embedding
from neurodecode.encoders.brain.gated_convolution import GatedConvolutions
from neurodecode.encoders.brain.heads import DirectHeads, LinearHeads, RetrievalHeads, TimeHeads
from neurodecode.encoders.brain.layouts import SensorLayout, SubjectSensors, flat_positions, layouts_of
from neurodecode.encoders.brain.projection_mlp import ProjectionMLP
from neurodecode.encoders.brain.temporal_pooling import AttentionPooling, LinearPooling
from neurodecode.encoders.brain.temporal_spatial import PooledFilters, TemporalSpatial

SMALL_FRONT = partial(FourierAttention, virtual=6, width=5, n_frequencies=3)


def sensors(**counts: int) -> SubjectSensors:
    generator = np.random.default_rng(0)
    return SubjectSensors(
        {
            subject: SensorLayout(tuple(f"C{n}" for n in range(count)), 100.0, generator.normal(size=(count, 2)))
            for subject, count in counts.items()
        }
    )


def batch(n_times: int, **counts: int) -> list[SubjectBatch]:
    generator = torch.Generator().manual_seed(0)
    return [
        SubjectBatch(subject, torch.randn(2 + position, channels, n_times, generator=generator))
        for position, (subject, channels) in enumerate(counts.items())
    ]


def receptive_field(backbone: nn.Module, n_channels: int, n_times: int) -> tuple[int, int]:
    """First and last input sample, relative to an output sample, that its gradient reaches."""
    backbone.eval()
    signal = torch.randn(1, n_channels, n_times, generator=torch.Generator().manual_seed(0), requires_grad=True)
    middle = n_times // 2
    backbone(signal)[:, :, middle].sum().backward()
    assert signal.grad is not None
    reached = torch.nonzero(signal.grad[0].abs().sum(dim=0)).flatten()
    return int(reached[0]) - middle, int(reached[-1]) - middle


# -- brainmagick -------------------------------------------------------------------------------------------------


def test_receptive_field_of_the_speech_decoder_is_135_samples_and_symmetric() -> None:
    torch.manual_seed(0)
    assert receptive_field(GatedConvolutions(3, 301, width=4), 3, 301) == (-67, 67)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"n_layers": 1, "gate_every": 0}, 1), ({"n_layers": 2, "gate_every": 0}, 3), ({"n_layers": 4}, 15 + 2)],
)
def test_receptive_field_grows_with_dilations_and_gates(settings: dict[str, int], expected: int) -> None:
    torch.manual_seed(0)
    backbone = GatedConvolutions(2, 101, width=4, **settings)  # type: ignore[arg-type]
    assert receptive_field(backbone, 2, 101) == (-expected, expected)


def test_residual_paths_join_all_layers_but_the_first() -> None:
    backbone = GatedConvolutions(270, 10, width=8, n_layers=4)
    dilated = [layer for layer in backbone.layers if hasattr(layer, "residual")]
    assert [layer.residual for layer in dilated] == [False, True, True, True]
    assert [layer.layers[0].dilation[0] for layer in dilated] == [1, 2, 4, 8]
    assert len(backbone.layers) == 6  # two gates


def test_time_is_kept_from_sensors_to_speech_features() -> None:
    encoder = BrainEncoder(
        sensors(a=7, b=9),
        12,
        {"speech": [12, 3], "slower": [6, 3], "word": 4},
        front_end=SMALL_FRONT,
        backbone=partial(GatedConvolutions, width=8, n_layers=2),
        heads=TimeHeads,
    )
    output = encoder(batch(12, a=7, b=9))
    assert output.latent.shape == (5, 8, 12)
    assert {name: tuple(head.shape) for name, head in output.heads.items()} == {
        "speech": (5, 12, 3), "slower": (5, 6, 3), "word": (5, 4),
    }  # fmt: skip
    sum((head**2).sum() for head in output.heads.values()).backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in encoder.parameters())


def test_a_time_of_the_prediction_depends_on_its_neighbourhood_alone() -> None:
    encoder = BrainEncoder(
        sensors(a=7),
        41,
        {"speech": [41, 3]},
        front_end=SMALL_FRONT,
        backbone=partial(GatedConvolutions, width=8, n_layers=2),
        heads=TimeHeads,
    ).eval()
    (group,) = batch(41, a=7)
    signal = group.signal.clone().requires_grad_()
    encoder([SubjectBatch("a", signal)]).heads["speech"][:, 20].sum().backward()
    assert signal.grad is not None
    reached = torch.nonzero(signal.grad.abs().sum(dim=(0, 1))).flatten().tolist()
    assert (reached[0], reached[-1]) == (20 - 4, 20 + 4)


def test_heads_and_time_must_fit() -> None:
    keeping, pooled = (partial(GatedConvolutions, width=4, n_layers=1, pooling=kind) for kind in ("none", "mean"))
    with pytest.raises(ConfigError, match="LinearHeads behind a backbone that keeps time, expected TimeHeads"):
        BrainEncoder(sensors(a=7), 12, {"x": 3}, backbone=keeping)
    with pytest.raises(ConfigError, match="TimeHeads behind a backbone that does not keep time"):
        BrainEncoder(sensors(a=7), 12, {"x": 3}, backbone=pooled, heads=TimeHeads)
    with pytest.raises(ConfigError, match="odd"):
        GatedConvolutions(3, 12, kernel=4)


# -- spatial attention -------------------------------------------------------------------------------------------


def test_fourier_embedding_is_that_of_the_paper() -> None:
    places = torch.tensor([[0.1, 0.7]], dtype=torch.float64)
    found = fourier_embedding(places, 32, 0.2)[0]
    assert len(found) == 2048
    for across, along in ((0, 0), (3, 5), (31, 2)):
        phase = 2 * pi * (across * 0.1 + along * 0.7) / 1.4
        torch.testing.assert_close(found[32 * across + along].item(), np.cos(phase))
        torch.testing.assert_close(found[1024 + 32 * across + along].item(), np.sin(phase))


def reference_front_end(front_end: FourierAttention, group: SubjectBatch, positions: np.ndarray) -> Tensor:
    """Step by step, as described: attention over sensors, a 1x1 convolution, the subject's matrix."""
    low, high = np.nanmin(positions, axis=0), np.nanmax(positions, axis=0)
    square = torch.tensor((positions - low) / (high - low), dtype=torch.float32)
    known = ~square.isnan().any(dim=1)
    scores = front_end.heads @ fourier_embedding(square[known], front_end.n_frequencies, 0.2).T
    virtual = torch.einsum("vc,nct->nvt", scores.softmax(dim=1), group.signal[:, known])
    assert front_end.mixing is not None
    return torch.einsum(
        "oc,nct->not", front_end.mixing.of(front_end.subject_index(group.subject)), front_end.shared(virtual)
    )


def test_joined_maps_equal_the_steps_one_by_one() -> None:
    known = sensors(a=7, b=9)
    assert known.layouts["b"].positions is not None
    known.layouts["b"].positions[4] = np.nan
    front_end = SMALL_FRONT(known, 12).eval()
    groups = batch(12, a=7, b=9)
    expected = [reference_front_end(front_end, group, known.layouts[group.subject].positions) for group in groups]  # type: ignore[arg-type]
    torch.testing.assert_close(front_end(groups), torch.cat(expected))


def test_sensors_without_a_position_get_no_weight() -> None:
    known = sensors(a=7)
    assert known.layouts["a"].positions is not None
    known.layouts["a"].positions[2] = np.nan
    weights = SMALL_FRONT(known, 12).attention(0)
    assert (weights[:, 2] == 0).all()
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(6))


def test_spatial_dropout_masks_a_disc_in_training_only() -> None:
    place = np.array([[x, y] for x in np.linspace(0, 1, 9) for y in np.linspace(0, 1, 9)])
    grid = SubjectSensors({"a": SensorLayout(tuple(map(str, range(81))), 100.0, place)})
    front_end = FourierAttention(grid, 5, virtual=4, width=4, n_frequencies=3)
    weights = front_end.attention(0, torch.tensor([0.5, 0.5]))
    inside = np.linalg.norm(place - 0.5, axis=1) <= 0.2
    np.testing.assert_array_equal((weights[0] == 0).numpy(), inside)
    (group,) = batch(5, a=81)
    torch.manual_seed(0)
    first, second = front_end([group]), front_end([group])
    assert not torch.allclose(first, second)
    front_end.eval()
    torch.testing.assert_close(front_end([group]), front_end([group]))
    # One sensor alone is kept, whatever is drawn.
    alone = SubjectSensors({"a": SensorLayout(("A",), 100.0, np.zeros((1, 2)))})
    everywhere = FourierAttention(alone, 5, virtual=4, width=4, n_frequencies=3, radius=9.0)
    assert everywhere(batch(5, a=1)).isfinite().all()


def test_subjects_of_one_layout_share_the_attention_and_differ_in_their_matrix_alone() -> None:
    same = sensors(a=7)
    both = SubjectSensors({"a": same.layouts["a"], "b": same.layouts["a"]})
    front_end = SMALL_FRONT(both, 12)
    assert [name for name, _ in front_end.named_buffers()] == ["positions_0"]
    front_end(batch(12, a=7)).sum().backward()
    assert front_end.mixing is not None
    gradient = front_end.mixing.matrices.grad
    assert gradient is not None
    assert gradient[0].abs().sum() > 0
    assert gradient[1].abs().sum() == 0
    more = SMALL_FRONT(SubjectSensors({**both.layouts, "c": same.layouts["a"]}), 12)
    assert sum(p.numel() for p in more.parameters()) - sum(p.numel() for p in front_end.parameters()) == 5 * 5


def test_positions_are_needed_and_asked_for() -> None:
    with pytest.raises(ConfigError, match="channel counts alone"):
        FourierAttention({"a": 7}, 12)
    without = SubjectSensors({"a": SensorLayout(("A", "B"), 100.0)})
    with pytest.raises(ConfigError, match="a has no positions of its channels"):
        FourierAttention(without, 12)
    with pytest.raises(ConfigError, match="a has no grid"):
        layouts_of(without, who="Volumes", needs="grid")
    with pytest.raises(MismatchError, match="'z'"):
        SMALL_FRONT(sensors(a=7), 12)(batch(12, z=7))


def test_layouts_survive_plain_values_and_differences_are_seen() -> None:
    layout = SensorLayout(("A", "B"), 50.0, np.array([[0.123456, np.nan], [1.0, 2.0]]),
                          np.array([[1, 2, 3], [40, 50, 60]]), (64, 64, 64))  # fmt: skip
    again = SensorLayout.from_plain(layout.to_plain())
    assert again.names == layout.names
    assert again.agrees(layout)
    assert again.volume == (64, 64, 64)
    np.testing.assert_array_equal(again.grid, layout.grid)
    moved = SensorLayout(layout.names, 50.0, np.array([[0.2, np.nan], [1.0, 2.0]]))
    assert not moved.agrees(layout)
    assert SensorLayout(layout.names, 50.0).agrees(layout)
    with pytest.raises(DataError, match="positions has shape"):
        SensorLayout(("A",), 50.0, np.zeros((2, 2)))


def test_positions_in_space_become_a_view_from_above() -> None:
    above = np.array([[0.0, 0.0, 0.13], [0.09, 0.0, 0.04], [0.0, 0.09, 0.04], [np.nan, 0.0, 0.0]])
    flat = flat_positions(Sensors(("Cz", "T8", "Fpz", "X"), ("eeg",) * 4, 100.0, 0.0, "V", positions=above))
    np.testing.assert_allclose(flat[:3], [[0, 0], [pi / 2, 0], [0, pi / 2]], atol=1e-12)  # type: ignore[index]
    assert np.isnan(flat[3]).all()  # type: ignore[index]
    voxels = Sensors(("v",), ("voxel",), 0.0, 0.0, "a.u.", positions=np.zeros((1, 3)))
    assert flat_positions(voxels) is None


# -- the other recipes -------------------------------------------------------------------------------------------


def test_projection_networks_end_in_the_target() -> None:
    encoder = BrainEncoder({"a": 17}, 25, {"image": 32, "other": 5}, backbone=partial(ProjectionMLP, width=32),
                           heads=DirectHeads)  # fmt: skip
    output = encoder(batch(25, a=17))
    assert output.heads["image"] is output.latent or torch.equal(output.heads["image"], output.latent)
    assert output.heads["other"].shape == (2, 5)
    # LayerNorm is last: rows have mean zero whatever the input.
    torch.testing.assert_close(output.heads["image"].mean(dim=1), torch.zeros(2), atol=1e-5, rtol=0)
    assert sum(p.numel() for p in encoder.front_end.parameters()) == 0  # nothing belongs to a subject


def test_readouts_beside_a_retrieval_space_do_not_train_the_network() -> None:
    encoder = BrainEncoder({"a": 5}, 6, {"image": 7, "retrieval": 3}, backbone=partial(ProjectionMLP, width=8),
                           heads=RetrievalHeads)  # fmt: skip
    heads = encoder(batch(6, a=5)).heads
    heads["image"].sum().backward(retain_graph=True)
    assert all(parameter.grad is None for parameter in encoder.backbone.parameters())
    heads["retrieval"].sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())
    with pytest.raises(ConfigError, match="image_side"):
        RetrievalHeads(8, {"image": 7})


def test_pooling_the_filters_equals_pooling_their_responses() -> None:
    torch.manual_seed(0)
    fused = PooledFilters(4, 5, 10, 2)
    signal = torch.randn(3, 1, 6, 41)
    expected = nn.AvgPool2d((1, 10), (1, 2))(fused.convolution(signal))
    found = fused(signal)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected)
    own = torch.autograd.grad(found.square().sum(), list(fused.parameters()))
    theirs = torch.autograd.grad(expected.square().sum(), list(fused.parameters()))
    for one, other in zip(own, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_temporal_spatial_sees_what_the_paper_says() -> None:
    torch.manual_seed(0)
    backbone = TemporalSpatial(3, 250).eval()
    assert backbone.flat_features == 36 * 40
    signal = torch.randn(1, 3, 250, requires_grad=True)
    features = backbone.filters(signal.unsqueeze(1))
    assert features.shape == (1, 40, 1, 36)
    features[..., 0].sum().backward()
    assert signal.grad is not None
    reached = torch.nonzero(signal.grad[0].abs().sum(dim=0)).flatten()
    assert (int(reached[0]), int(reached[-1])) == (0, 25 + 51 - 2)  # kernel and pool: 75 samples


def test_channel_tokens_keep_every_channel_and_only_the_token_is_the_subjects() -> None:
    torch.manual_seed(0)
    front_end = ChannelTokens({"a": 5, "b": 5}, 12).eval()
    (group,) = batch(12, a=5)
    signal = group.signal.clone().requires_grad_()
    adapted = front_end([SubjectBatch("a", signal)])
    assert adapted.shape == (2, 5, 12)
    for channel in range(5):
        (gradient,) = torch.autograd.grad(adapted[:, channel].square().sum(), signal, retain_graph=True)
        assert (gradient.abs().sum(dim=(0, 2)) > 0).all()  # attention: every channel reaches every channel
    adapted.square().sum().backward()
    assert front_end.subject_tokens.grad is not None
    assert front_end.subject_tokens.grad[0].abs().sum() > 0
    assert front_end.subject_tokens.grad[1].abs().sum() == 0
    assert not torch.allclose(adapted, front_end([SubjectBatch("b", signal)]))
    # The last channel is not lost: changing it changes the last row most directly.
    assert (adapted[:, -1] - front_end([SubjectBatch("a", signal.roll(1, dims=2))])[:, -1]).abs().sum() > 0


def test_vision_decoder_has_one_weight_a_time_and_two_heads() -> None:
    encoder = BrainEncoder(
        sensors(a=7),
        181,
        {"image": 6, "retrieval": 6},
        front_end=SMALL_FRONT,
        heads=LinearHeads,
        backbone=partial(GatedConvolutions, width=8, n_layers=4, projection=10, pooling="linear"),
    )
    assert isinstance(encoder.backbone.pooling, LinearPooling)
    assert sum(p.numel() for p in encoder.backbone.pooling.parameters()) == 182
    output = encoder(batch(181, a=7))
    assert output.latent.shape == (2, 10)
    output.heads["retrieval"].sum().backward()
    regression = encoder.heads.maps[0]
    assert all(parameter.grad is None for parameter in regression.parameters())
    assert all(parameter.grad is not None for parameter in encoder.backbone.parameters())


def test_attention_pooling_weighs_times_by_their_features() -> None:
    torch.manual_seed(0)
    pooling = AttentionPooling(4, 3)
    signal = torch.randn(2, 4, 9)
    order = torch.randperm(9)
    torch.testing.assert_close(pooling(signal), pooling(signal[:, :, order]))


# -- attention ---------------------------------------------------------------------------------------------------


def test_attention_equals_torchs_own() -> None:
    torch.manual_seed(0)
    ours, theirs = Attention(8, 2), nn.MultiheadAttention(8, 2, batch_first=True)
    theirs.in_proj_weight.data = torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]).detach()
    theirs.in_proj_bias.data = torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]).detach()
    theirs.out_proj.load_state_dict(ours.output.state_dict())
    tokens = torch.randn(3, 5, 8)
    expected, maps = theirs(tokens, tokens, tokens, average_attn_weights=False)
    torch.testing.assert_close(ours(tokens), expected)
    torch.testing.assert_close(ours.weights(tokens), maps)
    context = torch.randn(3, 4, 6)
    assert Attention(8, 2, context_width=6)(tokens, context).shape == (3, 5, 8)


@pytest.mark.parametrize("norm", ["before", "after"])
def test_attention_block_equals_torchs_layer(norm: str) -> None:
    torch.manual_seed(0)
    block = AttentionBlock(8, 2, hidden=12, norm=norm).eval()  # type: ignore[arg-type]
    first = norm == "before"
    layer = nn.TransformerEncoderLayer(8, 2, 12, activation="gelu", batch_first=True, norm_first=first).eval()
    attention = block.attention
    layer.self_attn.in_proj_weight.data = torch.cat(
        [attention.query.weight, attention.key.weight, attention.value.weight]
    ).detach()
    layer.self_attn.in_proj_bias.data = torch.cat(
        [attention.query.bias, attention.key.bias, attention.value.bias]
    ).detach()
    layer.self_attn.out_proj.load_state_dict(attention.output.state_dict())
    layer.linear1.load_state_dict(block.network[0].state_dict())
    layer.linear2.load_state_dict(block.network[3].state_dict())
    tokens = torch.randn(3, 5, 8)
    torch.testing.assert_close(block(tokens), layer(tokens))


def test_rotated_products_depend_on_the_distance_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key = torch.randn(1, 6, generator=generator), torch.randn(1, 6, generator=generator)

    def product(first: int, second: int) -> Tensor:
        return rotate(query, torch.tensor([first])) @ rotate(key, torch.tensor([second])).T

    torch.testing.assert_close(product(2, 5), product(10, 13))
    assert not torch.allclose(product(2, 5), product(2, 6))


def words(sequence: list[int], position: list[int], subject: str = "a") -> SubjectBatch:
    return SubjectBatch(subject, torch.zeros(len(sequence), 1, 1), torch.tensor(sequence), torch.tensor(position))


def test_words_see_their_sentence_and_nothing_else() -> None:
    torch.manual_seed(0)
    context = SequenceContext(8, n_layers=2, n_heads=2).eval()
    latent = torch.randn(6, 8, requires_grad=True)
    groups = [words([0, 0, 1, 1], [0, 1, 0, 1]), words([0, 0], [0, 1], "b")]
    refined = context(latent, groups)
    (gradient,) = torch.autograd.grad(refined[0].sum(), latent)
    assert torch.nonzero(gradient.abs().sum(dim=1)).flatten().tolist() == [0, 1]
    # Other rows in the batch, and their order, make no difference.
    torch.testing.assert_close(context(latent[2:4], [words([7, 7], [0, 1])]), refined[2:4])
    turned = context(latent[[1, 0]], [words([0, 0], [1, 0])])
    torch.testing.assert_close(turned[[1, 0]], refined[:2])
    assert not torch.allclose(context(latent[:2], [words([0, 0], [1, 0])]), refined[:2])


def test_words_alone_see_but_themselves() -> None:
    torch.manual_seed(0)
    context = SequenceContext(8, n_layers=2, n_heads=2).eval()
    alone = SequenceContext(8, n_layers=2, n_heads=2, alone=True).eval()
    alone.load_state_dict(context.state_dict())
    latent = torch.randn(4, 8)
    together = words([0, 0, 0, 0], [0, 1, 2, 3])
    torch.testing.assert_close(alone(latent, [together]), context(latent, [words([0, 1, 2, 3], [0, 0, 0, 0])]))
    assert not torch.allclose(alone(latent, [together]), context(latent, [together]))
    with pytest.raises(MismatchError, match="without a sequence"):
        context(latent, [SubjectBatch("a", torch.zeros(4, 1, 1))])
