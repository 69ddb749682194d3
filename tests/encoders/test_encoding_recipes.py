"""The encoder from pictures to the brain against the facts about it."""

import numpy as np
import pytest
import torch
from torch import nn

from neurodecode.core.errors import ConfigError, MismatchError
from neurodecode.encoders.brain.batches import SubjectBatch
from neurodecode.encoders.brain.layouts import SensorLayout, SubjectSensors
from neurodecode.encoders.encoding.region_encoder import QueryLayer, RegionEncoder
from neurodecode.encoders.encoding.regions import region_of_channels


def layout(count: int, **regions: list[int]) -> SensorLayout:
    masks = {name: np.isin(np.arange(count), members) for name, members in regions.items()}
    return SensorLayout(tuple(f"v{number}" for number in range(count)), 0.0, regions=masks)


def sensors() -> SubjectSensors:
    return SubjectSensors({"a": layout(6, V1=[0, 4], FFA=[1, 2]), "b": layout(5, V1=[1, 2])})


def encoder(n_times: int = 1, **settings: object) -> RegionEncoder:
    torch.manual_seed(0)
    network = RegionEncoder(
        sensors(),
        n_times,
        {"image": [9, 8]},
        width=8,
        n_heads=2,
        hidden=16,
        **settings,  # type: ignore[arg-type]
    ).eval()
    assert not any(parameter.any() for parameter in network.readouts.parameters())  # it starts at the mean response
    for parameter in network.readouts.parameters():
        torch.nn.init.normal_(parameter)
    return network


def wanted(rows: int, subject: str = "a") -> SubjectBatch:
    return SubjectBatch(subject, torch.zeros(rows, 0, 0))


def test_query_layer_equals_torchs_decoder_layer() -> None:
    torch.manual_seed(0)
    ours = QueryLayer(8, 2, hidden=12).eval()
    theirs = nn.TransformerDecoderLayer(8, 2, 12, activation="gelu", batch_first=True, norm_first=True).eval()
    for attention, module in ((ours.among, theirs.self_attn), (ours.block.attention, theirs.multihead_attn)):
        parts = (attention.query, attention.key, attention.value)
        module.in_proj_weight.data = torch.cat([part.weight for part in parts]).detach()
        module.in_proj_bias.data = torch.cat([part.bias for part in parts]).detach()
        module.out_proj.load_state_dict(attention.output.state_dict())
    theirs.linear1.load_state_dict(ours.block.network[0].state_dict())
    theirs.linear2.load_state_dict(ours.block.network[3].state_dict())
    queries, context = torch.randn(3, 4, 8), torch.randn(3, 9, 8)
    torch.testing.assert_close(ours(queries, context), theirs(queries, context))
    assert sum(parameter.numel() for parameter in ours.parameters()) == sum(p.numel() for p in theirs.parameters())


def test_voxels_belong_to_the_smallest_region_that_holds_them() -> None:
    overlapping = layout(5, visual=[0, 1, 2, 3], V1=[1], lh=[0, 1], rh=[2, 3, 4])
    assert region_of_channels(overlapping).tolist() == ["lh", "V1", "rh", "rh", "rh"]
    assert region_of_channels(overlapping, sides=("lh", "rh")).tolist() == [
        "lh visual", "lh V1", "rh visual", "rh visual", "rh elsewhere",
    ]  # fmt: skip
    assert region_of_channels(overlapping, ["V1"]).tolist() == ["elsewhere", "V1", *["elsewhere"] * 3]
    with pytest.raises(ConfigError, match="regions: got 'V2', expected some of visual, V1, lh, rh"):
        region_of_channels(overlapping, ["V2"])


@pytest.mark.parametrize("n_times", [1, 3])
def test_a_voxel_reads_its_own_region_alone(n_times: int) -> None:
    network = encoder(n_times)
    assert network.regions == ["FFA", "V1", "elsewhere"]
    answers = network.answers({"image": torch.randn(2, 9, 8)}).detach().requires_grad_()
    signal = network.read_out(answers, "a")
    assert signal.shape == (2, 6, n_times)
    expected = [1, 0, 0, 2, 1, 2]
    for voxel, region in enumerate(expected):
        (gradient,) = torch.autograd.grad(signal[:, voxel].sum(), answers, retain_graph=True)
        assert torch.nonzero(gradient.abs().sum(dim=(0, 2))).flatten().tolist() == [region]
        weight = network.readouts[0].weight.unflatten(0, (6, n_times))[voxel]  # type: ignore[operator]
        bias = network.readouts[0].bias.unflatten(0, (6, n_times))[voxel]  # type: ignore[operator]
        torch.testing.assert_close(signal[:, voxel], answers[:, region] @ weight.T + bias)


def test_subjects_share_queries_and_own_their_readout() -> None:
    network = encoder()
    features = {"image": torch.randn(3, 9, 8)}
    first, second = network(features, [wanted(2), wanted(1, "b")])
    assert (first.shape, second.shape) == ((2, 6, 1), (1, 5, 1))
    network({"image": torch.randn(2, 9, 8)}, [wanted(2)])[0].square().sum().backward()
    missed = {name for name, parameter in network.named_parameters() if parameter.grad is None}
    assert missed == {"readouts.1.weight", "readouts.1.bias"}
    one = sum(parameter.numel() for parameter in network.readouts[1].parameters())
    assert one == 5 * (8 + 1)
    with pytest.raises(MismatchError, match="'z'"):
        network(features, [wanted(3, "z")])
    with pytest.raises(MismatchError, match=r"got \(8, 8\) for 'image', expected shape \(9, 8\)"):
        network({"image": torch.randn(2, 8, 8)}, [wanted(2)])


def test_attention_maps_sum_to_one_and_say_where_the_answer_comes_from() -> None:
    network = encoder()
    features = torch.randn(2, 9, 8)
    maps = network.attention({"image": features})
    assert maps.shape == (2, 3, 9)
    torch.testing.assert_close(maps.sum(dim=2), torch.ones(2, 3))
    # Tokens are a set: their order changes maps alike, and answers not at all.
    order = torch.randperm(9)
    torch.testing.assert_close(network.attention({"image": features[:, order]}), maps[:, :, order])
    torch.testing.assert_close(network.answers({"image": features[:, order]}), network.answers({"image": features}))


def test_preferences_lead_the_attention_and_cost_nothing_where_there_are_none() -> None:
    plain, leaning = encoder(), encoder(preference=10.0)
    assert plain.preferences is None
    assert leaning.preferences is not None
    assert leaning.preferences.shape == (1, 3, 9)
    features = {"image": torch.randn(2, 9, 8)}
    torch.testing.assert_close(leaning.answers(features), plain.answers(features))  # they start at none
    with torch.no_grad():
        leaning.preferences[0, 1, 4] = 1.0
    maps = leaning.attention(features)
    assert (maps[:, 1, 4] > 0.99).all()
    torch.testing.assert_close(maps[:, 0], plain.attention(features)[:, 0])
    with pytest.raises(ConfigError, match="preference: got -1"):
        encoder(preference=-1)


def test_a_readout_can_be_given() -> None:
    network = encoder(n_times=2)
    outputs = network.outputs_of("a")
    assert {region: found.tolist() for region, found in outputs.items()} == {
        "FFA": [2, 3, 4, 5], "V1": [0, 1, 8, 9], "elsewhere": [6, 7, 10, 11],
    }  # fmt: skip
    network.set_readout("a", outputs["V1"], torch.zeros(4, 8), torch.arange(4.0))
    signal = network({"image": torch.randn(3, 9, 8)}, [wanted(3)])[0]
    torch.testing.assert_close(signal[0, [0, 4]], torch.tensor([[0.0, 1], [2, 3]]))
    assert network.tokens == [f"image {number}" for number in range(9)]


def test_regions_survive_plain_values() -> None:
    plain = sensors().layouts["a"].to_plain()
    again = SensorLayout.from_plain(plain)
    assert {name: mask.tolist() for name, mask in again.regions.items()} == {
        "V1": [True, False, False, False, True, False], "FFA": [False, True, True, False, False, False],
    }  # fmt: skip
    assert SensorLayout.from_plain({**plain, "regions": {"none": "", "all": "0 6"}}).regions["all"].all()
