"""Published encoders of fMRI against the facts about them: shapes, gradients, what belongs to a subject."""

from functools import partial

import pytest
import torch
from torch import nn

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.brain.batches import SubjectBatch
from neurodecode.encoders.brain.brain_encoder import BrainEncoder
from neurodecode.encoders.brain.bridge_encoder import BridgeEncoder
from neurodecode.encoders.brain.front_ends import SubjectProjection
from neurodecode.encoders.brain.pooled_embedding import PooledEmbedding, SignalBuilder, pool_voxels
from neurodecode.encoders.brain.residual_mlp import ResidualMLP
from neurodecode.encoders.brain.token_heads import TokenHeads, TokenProjector


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
