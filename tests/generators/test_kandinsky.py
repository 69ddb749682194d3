"""The adapter for Kandinsky 2.2, on tiny random weights that go through the same loading code."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, KandinskyV22Pipeline, UNet2DConditionModel, VQModel
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from neurodecode.core.errors import ConfigError, DataError, MismatchError
from neurodecode.core.targets import TargetSpace
from neurodecode.generators.base import Generator
from neurodecode.generators.kandinsky import KandinskyGenerator

EMBEDDINGS = np.random.default_rng(0).standard_normal((2, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        in_channels=4,
        out_channels=8,
        addition_embed_type="image",
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        block_out_channels=(32, 64),
        layers_per_block=1,
        encoder_hid_dim=6,
        encoder_hid_dim_type="image_proj",
        cross_attention_dim=8,
        attention_head_dim=4,
        resnet_time_scale_shift="scale_shift",
    )
    movq = VQModel(
        block_out_channels=(32, 64),
        down_block_types=("DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
        up_block_types=("AttnUpDecoderBlock2D", "UpDecoderBlock2D"),
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=8,
        norm_type="spatial",
        num_vq_embeddings=12,
        vq_embed_dim=4,
    )
    folder = tmp_path_factory.mktemp("kandinsky") / "decoder"
    KandinskyV22Pipeline(unet=unet, scheduler=DDPMScheduler(), movq=movq).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def prior(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    config = CLIPVisionConfig(
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=8,
        patch_size=4,
        projection_dim=6,
    )
    folder = tmp_path_factory.mktemp("kandinsky") / "prior"
    CLIPVisionModelWithProjection(config).save_pretrained(folder / "image_encoder")
    return folder


def test_pictures_from_a_local_folder(decoder: Path, prior: Path, space: TargetSpace) -> None:
    generator = KandinskyGenerator.from_pretrained(decoder, space, prior=prior, size=64, steps=2)
    assert isinstance(generator, Generator)
    assert np.abs(generator.empty).max() > 0
    both = generator.generate(EMBEDDINGS, seed=0, keys=["a", "b"])
    assert both.shape == (2, 1, 64, 64, 3)
    assert both.dtype == np.uint8
    assert np.array_equal(both[1:], generator.generate(EMBEDDINGS[1:], seed=0, keys=["b"]))
    assert not np.array_equal(both[1:], generator.generate(EMBEDDINGS[1:], seed=1, keys=["b"]))
    assert not np.array_equal(both[:1], generator.generate(EMBEDDINGS[1:], seed=0, keys=["a"]))


def test_another_width_is_refused(decoder: Path, space: TargetSpace) -> None:
    with pytest.raises(MismatchError, match=r"\(6,\).*net/last/mean \(7,\)"):
        KandinskyGenerator.from_pretrained(decoder, replace(space, shape=(7,)), guidance=1.0)


def test_guidance_needs_an_empty_picture(decoder: Path, space: TargetSpace) -> None:
    with pytest.raises(ConfigError, match="empty picture"):
        KandinskyGenerator.from_pretrained(decoder, space)


def test_a_missing_folder_is_one_line(tmp_path: Path, space: TargetSpace) -> None:
    with pytest.raises(DataError, match="nowhere") as caught:
        KandinskyGenerator.from_pretrained(tmp_path / "nowhere", space)
    assert "\n" not in str(caught.value)
