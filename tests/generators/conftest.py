"""A tiny generator that is built in a moment."""

from pathlib import Path

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from neurodecode.core.files import write_json
from neurodecode.core.targets import TargetSpace
from neurodecode.generators.openmoji_pipeline import SAMPLER_FILE, SPACE_FILE, UNSEEN_FILE, OpenMojiPipeline
from neurodecode.generators.patch_diffusion import PatchDiffusionTransformer

SIZES = {"image_size": 16, "patch_size": 4, "outer_dim": 16, "inner_dim": 16, "inner_depth": 1}
TINY: dict[str, int] = {**SIZES, "embedding_dim": 6, "head_dim": 8, "condition_dim": 12, "layout_dim": 4}


@pytest.fixture
def space() -> TargetSpace:
    return TargetSpace("net", "00", "last", "mean", "224", False, "vector", (6,))


def tiny_network(seed: int = 0) -> PatchDiffusionTransformer:
    torch.manual_seed(seed)
    network = PatchDiffusionTransformer(**TINY)
    for weight in network.parameters():
        if not weight.any():  # what starts without effect must have one here
            torch.nn.init.normal_(weight, std=0.1)
    return network.eval()


@pytest.fixture
def sizes() -> dict[str, int]:
    return dict(TINY)


@pytest.fixture
def network() -> PatchDiffusionTransformer:
    return tiny_network()


@pytest.fixture
def saved(tmp_path: Path, network: PatchDiffusionTransformer, space: TargetSpace) -> Path:
    folder = tmp_path / "generator"
    OpenMojiPipeline(network, FlowMatchEulerDiscreteScheduler()).save_pretrained(folder)
    write_json(folder / SPACE_FILE, space.to_dict())
    write_json(folder / SAMPLER_FILE, {"steps": 3, "guidance": 1.5})
    write_json(folder / UNSEEN_FILE, {"val": ["A"], "test": ["B", "C"]})
    return folder
