"""Which drawings may be learned from, and what random changes do to them."""

import numpy as np
import pytest
from PIL import Image

from neurodecode.datasets.openmoji import render, stimuli
from neurodecode.training.picture_augmentation import (
    augmented_picture,
    extra_drawings,
    far_from,
    join,
    random_move,
    render_drawing,
    turn_colours,
    wheel_drawings,
)

RED = Image.new("RGB", (32, 32), "white")
RED.paste((200, 30, 30), (8, 8, 24, 24))


def ink(picture: Image.Image) -> int:
    return int((np.asarray(picture).min(axis=-1) < 200).sum())


def test_no_extra_drawing_has_a_held_out_code_point() -> None:
    table = stimuli()
    train = set(table["stimulus"][table["split"] == "train"])
    held_out = set(table["stimulus"]) - train
    extra = extra_drawings(wheel_drawings(), train, set(table["stimulus"]))
    assert len(extra) > 500
    assert not [name for name in extra if set(name.split("-")) & held_out]
    assert not set(extra) & set(table["stimulus"])


def test_skin_tones_are_thinned() -> None:
    names = [f"1F44B-1F3F{tone}" for tone in "BCDEF"] + ["1F44B-200D-1F525"]
    assert extra_drawings(names, {"1F44B", "1F525"}, {"1F44B", "1F525"}) == [
        "1F44B-1F3FB", "1F44B-1F3FE", "1F44B-200D-1F525",
    ]  # fmt: skip


def test_lookalikes_are_found_wherever_the_centre_is() -> None:
    generator = np.random.default_rng(0)
    held_out = generator.standard_normal((3, 20)).astype(np.float32)
    others = np.concatenate([held_out * 1.7 + 0.05, generator.standard_normal((4, 20)).astype(np.float32)])
    centre = generator.standard_normal(20).astype(np.float32)
    kept = far_from(others + centre, held_out + centre, centre, 0.9)
    assert kept.tolist() == [False] * 3 + [True] * 4


def test_one_code_point_is_drawn_as_the_study_draws_it() -> None:
    ours = render_drawing("1F436", 64)
    assert ours is not None
    # The two text layouts round the place of a glyph differently, by a seventh of a pixel here.
    correlation = np.corrcoef(np.asarray(ours, float).ravel(), np.asarray(render("1F436", 64), float).ravel())[0, 1]
    assert correlation > 0.99


def test_what_the_font_does_not_join_is_no_drawing() -> None:
    assert render_drawing("1F436-1F436", 64) is None


def test_turning_colours_keeps_black_and_white() -> None:
    picture = Image.fromarray(np.array([[[0, 0, 0], [255, 255, 255], [0, 0, 255]]], np.uint8))
    turned = np.asarray(turn_colours(picture, 1 / 3, 1.0, 1.0))
    assert turned[0].tolist() == [[0, 0, 0], [255, 255, 255], [255, 0, 0]]
    grey = np.asarray(turn_colours(picture, 0.0, 0.0, 1.0))
    assert grey[0, 2].tolist() == [255, 255, 255]


@pytest.mark.parametrize("seed", range(5))
def test_moves_keep_most_of_the_ink_on_white(seed: int) -> None:
    moved = random_move(RED, np.random.default_rng(seed))
    assert moved.size == RED.size
    assert 0.3 * ink(RED) < ink(moved) < 1.5 * ink(RED)
    assert np.asarray(moved)[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("seed", range(6))
def test_joined_pictures_show_both(seed: int) -> None:
    blue = Image.new("RGB", (32, 32), "white")
    blue.paste((30, 30, 200), (8, 8, 24, 24))
    pixels = np.asarray(join(RED, blue, np.random.default_rng(seed)), int)
    assert (pixels[..., 0] - pixels[..., 2] > 100).any()
    assert (pixels[..., 2] - pixels[..., 0] > 100).any()


def test_a_number_and_a_seed_make_one_picture() -> None:
    def draw(name: str) -> Image.Image:
        return turn_colours(RED, int(name) / 7, 1.0, 1.0)

    names = [str(number) for number in range(5)]
    assert augmented_picture(3, 0, names, 2, draw).tobytes() == draw("3").tobytes()
    mirrored = draw("3").transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert augmented_picture(8, 0, names, 2, draw).tobytes() == mirrored.tobytes()
    made = {index: augmented_picture(index, 0, names, 2, draw).tobytes() for index in range(10, 30)}
    assert len(set(made.values())) > 15
    assert made[12] == augmented_picture(12, 0, names, 2, draw).tobytes()
    assert made[12] != augmented_picture(12, 1, names, 2, draw).tobytes()
