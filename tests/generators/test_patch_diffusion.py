"""The network: shapes, what it depends on, saving."""

from pathlib import Path

import pytest
import torch

from neurodecode.generators.patch_diffusion import PatchDiffusionTransformer, sinusoidal_features


def inputs(n: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    sample = torch.randn(n, 3, 16, 16, generator=generator)
    return sample, torch.linspace(0.2, 1, n), torch.randn(n, 6, generator=generator)


def test_shape(network: PatchDiffusionTransformer) -> None:
    assert network(*inputs(3)).shape == (3, 3, 16, 16)


@pytest.mark.parametrize("changed", [0, 1, 2])
def test_every_input_matters(network: PatchDiffusionTransformer, changed: int) -> None:
    given = list(inputs())
    before = network(*given)
    given[changed] = given[changed] * 0.5
    assert not torch.allclose(before, network(*given), atol=1e-5)


def test_a_hidden_embedding_does_not_matter(network: PatchDiffusionTransformer) -> None:
    sample, level, embedding = inputs()
    shown = torch.tensor([True, False])
    first, second = network(sample, level, embedding, shown), network(sample, level, embedding + 1, shown)
    assert not torch.allclose(first[0], second[0], atol=1e-5)
    assert torch.equal(first[1], second[1])


def test_rows_do_not_see_each_other(network: PatchDiffusionTransformer) -> None:
    sample, level, embedding = inputs(3)
    alone = network(sample[1:2], level[1:2], embedding[1:2])
    torch.testing.assert_close(network(sample, level, embedding)[1:2], alone, rtol=1e-4, atol=1e-5)


def test_patches_go_back_where_they_came_from(sizes: dict[str, int]) -> None:
    """With the layers cut out, an identity through the patches must give the picture back in place."""
    network = PatchDiffusionTransformer(**{**sizes, "patch_size": 2, "before_depth": 0, "after_depth": 0})
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()
        network.patch_in.weight[:12, :12] = torch.eye(12)
        network.patch_out.weight[:12, :12] = torch.eye(12)
    network.final_norm = torch.nn.Identity()
    sample, level, embedding = inputs()
    torch.testing.assert_close(network(sample, level, embedding), sample)


def test_cells_of_the_inner_grid_are_neighbours(network: PatchDiffusionTransformer) -> None:
    """A change in one corner of the picture may reach others only through the inner layers: here there are none."""
    network.before, network.inner, network.after = torch.nn.ModuleList(), torch.nn.ModuleList(), torch.nn.ModuleList()
    sample, level, embedding = inputs(1)
    changed = sample.clone()
    changed[..., :8, :8] += 1
    moved = (network(sample, level, embedding) - network(changed, level, embedding)).abs().amax(dim=(0, 1))
    assert moved[:8, :8].max() > 0
    assert moved[8:].max() == 0
    assert moved[:8, 8:].max() == 0


def test_standardisation_is_saved(network: PatchDiffusionTransformer, tmp_path: Path) -> None:
    network.set_standardisation(torch.arange(6.0), torch.full((6,), 2.0))
    network.save_pretrained(tmp_path)
    loaded = PatchDiffusionTransformer.from_pretrained(tmp_path, low_cpu_mem_usage=False)
    torch.testing.assert_close(loaded.standardise(torch.ones(1, 6)), (1 - torch.arange(6.0))[None] / 2)
    for name, values in network.state_dict().items():
        assert torch.equal(values, loaded.state_dict()[name]), name


def test_features_tell_levels_apart() -> None:
    features = sinusoidal_features(torch.linspace(0, 1, 50), 32)
    distances = torch.cdist(features, features) + 10 * torch.eye(50)
    assert distances.min() > 0.1
