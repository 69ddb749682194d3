"""Degraded pictures: what each degradation does, and that targets of them can be told from those of sharp ones."""

import numpy as np
import pytest
from PIL import Image

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.stimulus.catalogue import build_stimulus_encoder
from neurodecode.encoders.stimulus.degraded import DEGRADATIONS, DegradedEncoder, foveal_blur, mosaic
from neurodecode.training.target_reading import require_degraded
from neurodecode.training.targets_extraction import target_space


@pytest.fixture
def picture() -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, size=(224, 224, 3), dtype=np.uint8)
    return Image.fromarray(values)


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_degradations_change_a_picture_and_keep_its_size_and_colour(name: str, picture: Image.Image) -> None:
    degraded = DEGRADATIONS[name](picture)
    assert degraded.size == picture.size
    assert degraded.mode == "RGB"
    assert degraded.tobytes() != picture.tobytes()
    assert degraded.tobytes() == DEGRADATIONS[name](picture).tobytes()
    np.testing.assert_allclose(np.asarray(degraded).mean(), np.asarray(picture).mean(), atol=2)


def test_the_centre_stays_sharp_and_the_border_does_not(picture: Image.Image) -> None:
    difference = np.abs(np.asarray(foveal_blur(picture), float) - np.asarray(picture, float)).mean(axis=2)
    assert difference[108:116, 108:116].mean() < 0.3 * difference[:16].mean()


def test_squares_of_a_mosaic_have_one_colour() -> None:
    values = np.random.default_rng(0).integers(0, 256, size=(225, 225, 3), dtype=np.uint8)
    coarse = np.asarray(mosaic(Image.fromarray(values).resize((225, 225))))
    assert len(np.unique(coarse.reshape(-1, 3), axis=0)) <= 45 * 45


def test_features_are_averaged_and_the_space_says_so(picture: Image.Image) -> None:
    plain = build_stimulus_encoder("pixels", size=4)
    both = DegradedEncoder(plain, ["mosaic", "gaussian_blur"])
    expected = np.mean([plain.encode([DEGRADATIONS[name](picture)])["pixels"] for name in both.degradations], axis=0)
    np.testing.assert_allclose(both.encode([picture])["pixels"], expected, rtol=1e-5, atol=1e-6)
    sharp, degraded = (target_space(encoder.fingerprint(), "pixels", (48,)) for encoder in (plain, both))
    assert sharp != degraded
    require_degraded("pixels", sharp, degraded)  # nothing but the preprocessing differs


@pytest.mark.parametrize(
    ("names", "message"), [(["mosaik"], "did you mean 'mosaic'"), ([], "none"), (["noise", "noise"], "different")]
)
def test_unknown_degradations_are_named(names: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DegradedEncoder(build_stimulus_encoder("pixels", size=4), names)
