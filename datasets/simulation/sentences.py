"""Plain English sentences from a small grammar, each of them once."""

from typing import Final

import numpy as np

from neurodecode.core.errors import ConfigError

PEOPLE: Final = (
    "farmer teacher baker sailor doctor painter driver singer hunter tailor widow captain student soldier gardener "
    "cousin uncle stranger merchant miller"
).split()
ANIMALS: Final = "dog horse goat fox cat donkey rabbit goose spider turtle pony sheep monkey beaver crow owl".split()
QUALITIES: Final = (
    "old young quiet clever tired hungry cheerful lonely gentle careful stubborn famous nervous patient lazy brave"
).split()
THINGS: Final = (
    "basket letter ladder blanket candle hammer mirror bucket pencil bottle carpet drum kettle lantern needle parcel "
    "pillow rope saddle shovel spoon teapot violin wagon whistle umbrella barrel button feather"
).split()
LOOKS: Final = (
    "yellow wooden broken heavy golden empty narrow shiny dusty purple tiny crooked silver frozen rusty striped"
).split()
DEEDS: Final = (
    "carried found sold borrowed painted dropped hid repaired washed lifted buried stole noticed measured polished "
    "wanted forgot counted"
).split()
PLACES: Final = (
    "market river bridge garden kitchen station mountain harbour church forest cellar tower village orchard island "
    "stable library meadow"
).split()
WHERE: Final = "behind beside near under above outside".split()
WHEN: Final = (
    "before the rain|after supper|on Sunday morning|in the winter|during the storm|at midnight|before the wedding|"
    "in early spring|after the long journey|last Friday evening|without any hurry|for the third time"
).split("|")
MOTIONS: Final = "walked wandered jumped climbed slept waited rested hurried marched danced".split()


def draw_sentences(count: int, seed: int) -> list[str]:
    """Draw different sentences of nine to fourteen words.

    Parameters
    ----------
    count : int
        How many.
    seed : int
        The same seed gives the same sentences, and the first of many are those of fewer.

    Returns
    -------
    list of str
        Lower case but for the first letter, with a full stop.

    Raises
    ------
    ConfigError
        If more are asked for than a hundred thousand.

    Examples
    --------
    >>> len(set(draw_sentences(50, 0)))
    50
    """
    if not 1 <= count <= 100_000:
        raise ConfigError(f"count: got {count}, expected 1 to 100000 sentences")
    generator = np.random.default_rng([seed, 77])

    def one(words: list[str]) -> str:
        return str(words[int(generator.integers(len(words)))])

    found: dict[str, None] = {}
    while len(found) < count:
        form = int(generator.integers(4))
        if form == 0:
            text = (
                f"the {one(QUALITIES)} {one(PEOPLE)} {one(DEEDS)} the {one(LOOKS)} {one(THINGS)} {one(WHERE)} "
                f"the {one(PLACES)} {one(WHEN)}"
            )
        elif form == 1:
            text = (
                f"{one(WHEN)} my {one(PEOPLE)} {one(DEEDS)} another {one(LOOKS)} {one(THINGS)} for the "
                f"{one(QUALITIES)} {one(ANIMALS)}"
            )
        elif form == 2:
            text = (
                f"the {one(LOOKS)} {one(THINGS)} and the {one(THINGS)} belong to a {one(QUALITIES)} {one(PEOPLE)} "
                f"{one(WHERE)} the {one(PLACES)}"
            )
        else:
            text = (
                f"a {one(QUALITIES)} {one(ANIMALS)} {one(MOTIONS)} {one(WHERE)} the {one(PLACES)} while our "
                f"{one(PEOPLE)} {one(DEEDS)} the {one(THINGS)}"
            )
        found[text[0].upper() + text[1:] + "."] = None
    return list(found)
