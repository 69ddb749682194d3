"""The built-in generator: the same pictures every time, the right space, and what is shipped."""

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch

from neurodecode.core.errors import ConfigError, DataError, LeakageError, MismatchError
from neurodecode.core.targets import TargetSpace
from neurodecode.generators.base import Generator, require_space
from neurodecode.generators.openmoji_pipeline import BuiltInGenerator, OpenMojiPipeline, load_pipeline, to_pixels

EMBEDDINGS = np.random.default_rng(0).standard_normal((3, 6)).astype(np.float32)
SHIPPED = Path(str(files("neurodecode.generators") / "openmoji"))


def test_shape_and_protocol(saved: Path) -> None:
    generator = BuiltInGenerator.load(saved)
    assert isinstance(generator, Generator)
    pictures = generator.generate(EMBEDDINGS, seed=0, n_samples=2)
    assert pictures.shape == (3, 2, 16, 16, 3)
    assert pictures.dtype == np.uint8
    assert (pictures[:, 0] != pictures[:, 1]).any()


def test_the_same_seed_gives_the_same_pictures(saved: Path) -> None:
    first = BuiltInGenerator.load(saved).generate(EMBEDDINGS, seed=3)
    np.random.default_rng().random()
    torch.rand(3)
    assert np.array_equal(first, BuiltInGenerator.load(saved).generate(EMBEDDINGS, seed=3))
    assert not np.array_equal(first, BuiltInGenerator.load(saved).generate(EMBEDDINGS, seed=4))


def test_a_picture_does_not_depend_on_its_company(saved: Path) -> None:
    generator = BuiltInGenerator.load(saved)
    together = generator.generate(EMBEDDINGS, seed=0, keys=["a", "b", "c"])
    alone = generator.generate(EMBEDDINGS[2:], seed=0, keys=["c"])
    assert np.array_equal(together[2:], alone)
    assert not np.array_equal(alone, generator.generate(EMBEDDINGS[2:], seed=0, keys=["a"]))


def test_pictures_follow_the_embedding_and_the_prior_does_not(saved: Path) -> None:
    generator = BuiltInGenerator.load(saved)
    one = generator.generate(EMBEDDINGS[:1], seed=0, keys=["x"])
    other = generator.generate(EMBEDDINGS[1:2], seed=0, keys=["x"])
    assert not np.array_equal(one, other)
    prior = generator.prior(2, seed=0, keys=["x", "y"])
    assert prior.shape == (2, 1, 16, 16, 3)
    assert not np.array_equal(prior[0], one[0])
    assert np.array_equal(prior[:1], generator.prior(1, seed=0, keys=["x"]))


def test_one_step_from_pure_noise_is_the_prediction(saved: Path) -> None:
    pipeline = load_pipeline(saved)
    noise = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    embeddings = torch.from_numpy(EMBEDDINGS[:2])
    with torch.no_grad():
        clean = pipeline.network(noise, torch.ones(2), pipeline.network.standardise(embeddings))
    made = pipeline(embeddings, noise, num_inference_steps=1).images
    assert np.abs(made.astype(int) - to_pixels(clean).astype(int)).max() <= 1


def test_steps_follow_the_straight_line_to_a_constant_guess(saved: Path) -> None:
    """A network that always predicts one picture must end at that picture, whatever the number of steps."""
    pipeline = load_pipeline(saved)
    target = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0)) - 0.5
    pipeline.network.forward = lambda sample, *rest: target.expand_as(sample)
    for steps in (1, 4, 9):
        made = pipeline(torch.zeros(1, 6), torch.randn(1, 3, 16, 16), num_inference_steps=steps).images
        assert np.abs(made.astype(int) - to_pixels(target[None]).astype(int)).max() <= 1


def test_guidance_of_one_is_no_guidance(saved: Path) -> None:
    pipeline = load_pipeline(saved)
    noise, embeddings = torch.randn(1, 3, 16, 16), torch.from_numpy(EMBEDDINGS[:1])
    plain = pipeline(embeddings, noise, num_inference_steps=2, guidance_scale=1.0).images
    nearly = pipeline(embeddings, noise, num_inference_steps=2, guidance_scale=1.0 + 1e-6).images
    strong = pipeline(embeddings, noise, num_inference_steps=2, guidance_scale=4.0).images
    assert np.abs(plain.astype(int) - nearly.astype(int)).max() <= 1
    assert not np.array_equal(plain, strong)


def test_another_space_is_refused_with_both_names(saved: Path, space: TargetSpace) -> None:
    generator = BuiltInGenerator.load(saved)
    require_space(generator, space)
    with pytest.raises(MismatchError, match=r"net/last/mean.*net/stage5/mean.*layer"):
        require_space(generator, replace(space, layer="stage5"))
    with pytest.raises(MismatchError, match="weights"):
        require_space(generator, replace(space, weights="11"))


def test_seen_stimuli_are_refused(saved: Path) -> None:
    generator = BuiltInGenerator.load(saved)
    generator.require_unseen(["A", "C"])
    with pytest.raises(LeakageError, match="'D'"):
        generator.require_unseen(["A", "D"])


@pytest.mark.parametrize("part", ["network/config.json", "network/diffusion_pytorch_model.safetensors"])
def test_missing_parts_are_named(saved: Path, part: str) -> None:
    (saved / part).unlink()
    with pytest.raises(DataError, match=part):
        BuiltInGenerator.load(saved)


def test_cut_weights_are_one_clear_error(saved: Path) -> None:
    weights = saved / "network/diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(DataError, match="cannot be read"):
        BuiltInGenerator.load(saved)


def test_impossible_steps_are_refused(saved: Path) -> None:
    with pytest.raises(ConfigError, match="steps"):
        BuiltInGenerator.load(saved).generate(EMBEDDINGS, seed=0, steps=0)


def test_diffusers_loads_the_folder_too(saved: Path) -> None:
    ours, theirs = load_pipeline(saved), OpenMojiPipeline.from_pretrained(saved, low_cpu_mem_usage=False)
    theirs.set_progress_bar_config(disable=True)
    noise = torch.randn(1, 3, 16, 16)
    embeddings = torch.from_numpy(EMBEDDINGS[:1])
    assert np.array_equal(ours(embeddings, noise).images, theirs(embeddings, noise).images)


def test_shipped_folder_is_whole_and_small() -> None:
    present = [path for path in SHIPPED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in present) <= 20_000_000
    assert not [path.name for path in present if path.suffix in (".bin", ".pt", ".pth", ".ckpt", ".py")]
    card = (SHIPPED / "README.md").read_text(encoding="utf-8")
    assert "license: cc-by-sa-4.0" in card
    assert "OpenMoji" in card


def test_shipped_generator_never_saw_what_is_held_out() -> None:
    from neurodecode.datasets.openmoji import stimuli

    table = stimuli()
    unseen = json.loads((SHIPPED / "unseen_stimuli.json").read_text(encoding="utf-8"))
    for split in ("val", "test"):
        assert unseen[split] == table["stimulus"][table["split"] == split].tolist()
    assert not {name for part in unseen.values() for name in part} & set(table["stimulus"][table["split"] == "train"])


def test_shipped_generator_accepts_the_encoders_space() -> None:
    from neurodecode.encoders.stimulus.efficientnet import EfficientNetLite0Encoder
    from neurodecode.training.targets_extraction import target_space

    generator = BuiltInGenerator.load()
    require_space(generator, target_space(EfficientNetLite0Encoder(layers=("last",)).fingerprint(), "last", (1280,)))
    assert generator.generate(np.zeros((1, 1280), np.float32), seed=0, steps=1).shape == (1, 1, 64, 64, 3)


@pytest.mark.slow
def test_shipped_generator_follows_unseen_embeddings() -> None:
    """The bar on validation drawings: AlexNet(5) two-way identification 0.8 from true, at most 0.55 from shuffled."""
    from PIL import Image

    from neurodecode.datasets.openmoji import render, stimuli
    from neurodecode.encoders.stimulus.alexnet import AlexNetEncoder
    from neurodecode.encoders.stimulus.efficientnet import EfficientNetLite0Encoder
    from neurodecode.evaluation.picture_metrics import pearson_pairs, two_way_pairs

    table = stimuli()
    names = table["stimulus"][table["split"] == "val"].tolist()
    pictures = [render(name) for name in names]
    embeddings = EfficientNetLite0Encoder(layers=("last",)).encode(pictures)["last"]
    made = BuiltInGenerator.load().generate(embeddings, seed=0, keys=names)[:, 0]
    alexnet = AlexNetEncoder(layers=("conv5",), pooling="flatten", size=256)
    true = [Image.fromarray(np.asarray(picture.resize((64, 64), Image.Resampling.LANCZOS))) for picture in pictures]
    made_features = alexnet.encode([Image.fromarray(picture) for picture in made])["conv5"]
    scores = two_way_pairs(pearson_pairs(made_features, alexnet.encode(true)["conv5"]))
    assert scores.diagonal().mean() >= 0.8
    # The mean over all wrong pairings is what a random shuffle gives on average.
    wrong = scores[~np.eye(len(names), dtype=bool)]
    assert wrong.mean() <= 0.55
