"""OpenCLIP and timm through the code that loads the real models, on tiny random weights in local folders."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from timm.models import save_for_hf

from neurodecode.core.errors import ConfigError, DataError, MismatchError
from neurodecode.encoders.stimulus.catalogue import build_stimulus_encoder
from neurodecode.encoders.stimulus.open_clip import check_quick_gelu, load_open_clip

CLIP_CONFIG: dict[str, Any] = {
    "embed_dim": 12,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 3, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
}
PREPROCESSING = {
    "mean": [0.1, 0.2, 0.3],
    "std": [0.5, 0.6, 0.7],
    "interpolation": "bicubic",
    "resize_mode": "squash",
}
TEXTS = ["a dog", "the bridge over the river", "x"]


def noise(seed: int, size: tuple[int, int] = (48, 48)) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values)


PICTURES = [noise(seed) for seed in range(5)]


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny-clip"
    folder.mkdir()
    configs = tmp_path_factory.mktemp("configs")
    (configs / "tiny-clip.json").write_text(json.dumps(CLIP_CONFIG))
    open_clip.add_model_config(configs)
    torch.manual_seed(0)
    network = open_clip.create_model("tiny-clip")
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    values = {"model_cfg": CLIP_CONFIG, "preprocess_cfg": PREPROCESSING}
    (folder / "open_clip_config.json").write_text(json.dumps(values))
    return folder


@pytest.fixture
def clip_copy(clip_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(clip_folder, tmp_path / "copy"))


def change_config(folder: Path, section: str, **changes: Any) -> None:
    path = folder / "open_clip_config.json"
    values = json.loads(path.read_text())
    for key, value in changes.items():
        if value is None:
            values[section].pop(key)
        else:
            values[section][key] = value
    path.write_text(json.dumps(values))


def test_open_clip_equals_the_library(clip_folder: Path) -> None:
    encoder = build_stimulus_encoder("open_clip", folder=clip_folder)
    network, transform = open_clip.create_model_from_pretrained(f"local-dir:{clip_folder}")
    network.eval()
    with torch.inference_mode():
        expected = network.encode_image(torch.stack([transform(picture) for picture in PICTURES]))
    np.testing.assert_allclose(encoder.encode(PICTURES)["embedding"], expected.numpy(), atol=1e-5)
    text = build_stimulus_encoder("open_clip_text", folder=clip_folder)
    with torch.inference_mode():
        expected = network.encode_text(open_clip.get_tokenizer("ViT-B-32", context_length=16)(TEXTS))
    np.testing.assert_allclose(text.encode(TEXTS)["embedding"], expected.numpy(), atol=1e-5)


def test_open_clip_preprocessing_is_the_folders(clip_folder: Path, clip_copy: Path) -> None:
    encoder = build_stimulus_encoder("open_clip", folder=clip_folder)
    settings = encoder.fingerprint()["preprocessing"]
    assert {key: settings[key] for key in PREPROCESSING} == PREPROCESSING
    change_config(clip_copy, "preprocess_cfg", mean=[0.48, 0.46, 0.41])
    other = build_stimulus_encoder("open_clip", folder=clip_copy)
    assert other.fingerprint()["weights"] == encoder.fingerprint()["weights"]
    assert other.fingerprint()["preprocessing"] != settings
    assert not np.allclose(other.encode(PICTURES)["embedding"], encoder.encode(PICTURES)["embedding"], atol=1e-4)


def test_open_clip_layers_and_poolings(clip_folder: Path) -> None:
    block = "transformer.resblocks.1"
    shapes = {"tokens": (5, 17, 64), "mean": (5, 64), "cls": (5, 64), "grid2x2": (5, 256), "flatten": (5, 17 * 64)}
    for pooling, shape in shapes.items():
        encoder = build_stimulus_encoder("open_clip", folder=clip_folder, layers=(block,), pooling=pooling)
        assert encoder.encode(PICTURES)[block].shape == shape
    both = build_stimulus_encoder(
        "open_clip", folder=clip_folder, layers=("embedding", block), pooling={block: "cls", "embedding": "mean"}
    )
    assert both.layers() == [block, "embedding"]
    with pytest.raises(ConfigError, match=r"layers: got 'transformer\.resblocks\.9', expected some of transf"):
        build_stimulus_encoder("open_clip", folder=clip_folder, layers=("transformer.resblocks.9",))
    text = build_stimulus_encoder("open_clip_text", folder=clip_folder, layers=("block1", "block2"), pooling="tokens")
    assert text.encode(TEXTS)["block2"].shape == (3, 16, 16)


def test_open_clip_last_block_gives_the_embedding(clip_folder: Path) -> None:
    last = "transformer.resblocks.2"
    pooling = {last: "cls", "embedding": "mean"}
    encoder = build_stimulus_encoder("open_clip", folder=clip_folder, layers=tuple(pooling), pooling=pooling)
    features = encoder.encode(PICTURES)
    tower = encoder.network
    with torch.inference_mode():
        expected = tower.ln_post(torch.from_numpy(features[last])) @ tower.proj
    np.testing.assert_allclose(features["embedding"], expected.numpy(), atol=1e-5)


def test_open_clip_normalisation_is_stated(clip_folder: Path) -> None:
    for name, stimuli in (("open_clip", PICTURES), ("open_clip_text", TEXTS)):
        plain, unit = (build_stimulus_encoder(name, folder=clip_folder, normalise=value) for value in (False, True))
        assert plain.fingerprint()["normalised"] == {"embedding": False}
        assert unit.fingerprint()["normalised"] == {"embedding": True}
        vectors, expected = unit.encode(stimuli)["embedding"], plain.encode(stimuli)["embedding"]
        np.testing.assert_allclose(vectors, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-5)


def test_open_clip_batch_size_changes_nothing(clip_folder: Path) -> None:
    for name, stimuli in (("open_clip", PICTURES), ("open_clip_text", TEXTS)):
        sizes = (build_stimulus_encoder(name, folder=clip_folder, batch_size=size) for size in (1, 32))
        single, many = (encoder.encode(stimuli) for encoder in sizes)
        np.testing.assert_allclose(single["embedding"], many["embedding"], atol=1e-5)


def test_open_clip_takes_a_weight_file_with_its_folder(clip_copy: Path) -> None:
    whole = build_stimulus_encoder("open_clip", folder=clip_copy)
    single = build_stimulus_encoder("open_clip", folder=clip_copy / "open_clip_model.safetensors")
    assert single.fingerprint()["weights"] == whole.fingerprint()["weights"]
    (clip_copy / "open_clip_config.json").unlink()
    with pytest.raises(DataError, match=r"has no open_clip_config\.json, so the preprocessing of these"):
        build_stimulus_encoder("open_clip", folder=clip_copy / "open_clip_model.safetensors")


@pytest.mark.parametrize("key", ["mean", "std", "interpolation", "resize_mode"])
def test_open_clip_without_full_preprocessing_is_refused(clip_copy: Path, key: str) -> None:
    change_config(clip_copy, "preprocess_cfg", **{key: None})
    with pytest.raises(DataError, match=f"preprocess_cfg has no '{key}'"):
        build_stimulus_encoder("open_clip", folder=clip_copy)


def test_open_clip_broken_files_are_one_line(clip_copy: Path) -> None:
    path = clip_copy / "open_clip_model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"open_clip_model\.safetensors does not fit") as caught:
        build_stimulus_encoder("open_clip", folder=clip_copy)
    assert "\n" not in str(caught.value)
    path.write_bytes(whole)
    change_config(clip_copy, "model_cfg", embed_dim=13)
    with pytest.raises(DataError, match="does not fit") as caught:
        build_stimulus_encoder("open_clip", folder=clip_copy)
    assert "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(DataError, match="has no weights"):
        build_stimulus_encoder("open_clip", folder=clip_copy)
    with pytest.raises(DataError, match="does not exist"):
        build_stimulus_encoder("open_clip", folder=clip_copy / "absent")


def test_a_quick_gelu_mismatch_is_an_error(clip_copy: Path) -> None:
    # Known pair: OpenAI's weights need QuickGELU, which ViT-B-32 has not. It is found before anything is downloaded.
    with pytest.raises(MismatchError, match="ViT-B-32 with openai mixes activations"):
        load_open_clip("ViT-B-32", "openai")
    check_quick_gelu(open_clip.get_model_config("ViT-B-32-quickgelu"), True, what="agreeing pair")
    with pytest.raises(MismatchError, match=r"ViT-B-32 with .* mixes activations"):
        load_open_clip("ViT-B-32", folder=clip_copy)
    load_open_clip("ViT-B-32-quickgelu", folder=clip_copy)


def test_open_clip_needs_one_model() -> None:
    with pytest.raises(ConfigError, match="expected a folder, or a model with the tag"):
        build_stimulus_encoder("open_clip")
    with pytest.raises(ConfigError, match="expected one of the two"):
        build_stimulus_encoder("open_clip", pretrained="openai", folder="somewhere")
    with pytest.raises(ConfigError, match="open_clip has no 'ViT-Z-99'"):
        build_stimulus_encoder("open_clip", model="ViT-Z-99", pretrained="openai")
    with pytest.raises(ConfigError, match="got 'no-such-tag' for ViT-B-32, expected one of"):
        build_stimulus_encoder("open_clip", model="ViT-B-32", pretrained="no-such-tag")


@pytest.fixture(scope="module")
def vit_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny-vit"
    arguments = {"img_size": 28, "embed_dim": 24, "depth": 3, "num_heads": 2}
    torch.manual_seed(1)
    network = timm.create_model("vit_small_patch14_reg4_dinov2", num_classes=0, **arguments)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    save_for_hf(network, str(folder), model_args=arguments, safe_serialization=True)
    values = json.loads((folder / "config.json").read_text())
    values["pretrained_cfg"].update(mean=[0.2, 0.3, 0.4], std=[0.5, 0.5, 0.5], input_size=[3, 28, 28], crop_pct=1.0)
    (folder / "config.json").write_text(json.dumps(values))
    return folder


def test_timm_equals_the_library(vit_folder: Path) -> None:
    encoder = build_stimulus_encoder("dinov2", folder=vit_folder)
    network = timm.create_model(f"local-dir:{vit_folder}", pretrained=True, num_classes=0).eval()
    small = [picture.resize((28, 28), Image.Resampling.BICUBIC) for picture in PICTURES]
    values = np.stack([np.asarray(picture, dtype=np.float32) for picture in small])
    batch = (torch.from_numpy(values).permute(0, 3, 1, 2) / 255 - torch.tensor([0.2, 0.3, 0.4]).view(3, 1, 1)) / 0.5
    with torch.inference_mode():
        tokens = network.forward_features(batch)
    np.testing.assert_allclose(encoder.encode(PICTURES)["embedding"], tokens[:, 0].numpy(), atol=1e-4)
    assert encoder.fingerprint()["model"] == "dinov2/tiny-vit"


def test_timm_layers_and_poolings(vit_folder: Path) -> None:
    # 4 places, a class token and 4 registers.
    shapes = {"tokens": (5, 9, 24), "mean": (5, 24), "cls": (5, 24), "grid2x2": (5, 96)}
    for pooling, shape in shapes.items():
        encoder = build_stimulus_encoder("dinov2", folder=vit_folder, layers=("blocks.1",), pooling=pooling)
        assert encoder.encode(PICTURES)["blocks.1"].shape == shape
    pooling = {"norm": "cls", "embedding": "mean"}
    norm = build_stimulus_encoder("dinov2", folder=vit_folder, layers=tuple(pooling), pooling=pooling)
    features = norm.encode(PICTURES)
    np.testing.assert_allclose(features["norm"], features["embedding"], atol=1e-6)


def test_timm_batch_size_changes_nothing(vit_folder: Path) -> None:
    sizes = (build_stimulus_encoder("dinov2", folder=vit_folder, batch_size=size) for size in (1, 32))
    single, many = (encoder.encode(PICTURES) for encoder in sizes)
    np.testing.assert_allclose(single["embedding"], many["embedding"], atol=1e-5)


def test_timm_takes_another_size(vit_folder: Path) -> None:
    encoder = build_stimulus_encoder("dinov2", folder=vit_folder, size=42, layers=("blocks.0",), pooling="tokens")
    assert encoder.encode(PICTURES)["blocks.0"].shape == (5, 9 + 5, 24)
    assert encoder.fingerprint()["preprocessing"]["input_size"] == [3, 42, 42]


def test_timm_wrong_sources_are_one_line(vit_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="timm has no weights for 'vit_nothing'"):
        build_stimulus_encoder("dinov2", model="vit_nothing")
    with pytest.raises(ConfigError, match="expected one of the two"):
        build_stimulus_encoder("dinov2", model="vit_small_patch14_dinov2.lvd142m", folder=vit_folder)
    with pytest.raises(DataError, match=r"has no config\.json"):
        build_stimulus_encoder("dinov2", folder=tmp_path)
    copy = Path(shutil.copytree(vit_folder, tmp_path / "copy"))
    path = copy / "model.safetensors"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match="cannot be loaded") as caught:
        build_stimulus_encoder("dinov2", folder=copy)
    assert "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(DataError, match="cannot be loaded"):
        build_stimulus_encoder("dinov2", folder=copy)
