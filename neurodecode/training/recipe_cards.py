"""Cards of recipes: where a published decoder comes from, at which size, and what the reference counts."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurodecode.core.errors import ConfigError, suggestion
from neurodecode.training.config_files import read_config, shipped_folder

CARD_KEYS = ("kind", "source", "title", "url", "what", "targets", "differs", "published", "command", "sizes")
SIZE_KEYS = (
    "name", "subjects", "channels", "times", "sfreq", "grid", "regions", "targets", "parameters", "subject_parameters",
    "tolerance", "counted",
)  # fmt: skip
KINDS = ("published", "ours")


@dataclass(frozen=True)
class Size:
    """An input shape, and how many parameters the reference has for it.

    Parameters
    ----------
    name : str
        What it is, such as the data set of the paper.
    subjects : int
        Number of subjects.
    channels : int or tuple of int
        Channels of every subject, or of each.
    times : int
        Time points of a window.
    targets : dict
        Size or shape of every target.
    sfreq : float
        Sampling rate in Hz, for encoders that need it.
    grid : tuple of int, optional
        Shape of the volume whose every voxel is a channel, for encoders of volumes.
    regions : int
        Number of named regions that the channels are dealt to evenly, for encoders that know regions.
    parameters, subject_parameters : int, optional
        What the reference counts: the whole encoder, and what each further subject adds. None where nothing is known.
    tolerance : float
        Part of ``parameters`` that the count may differ by.
    counted : str
        Who counted, and why the tolerance is what it is.
    """

    name: str
    channels: int | tuple[int, ...]
    times: int
    targets: dict[str, int | list[int]]
    subjects: int = 1
    sfreq: float = 100.0
    grid: tuple[int, int, int] | None = None
    regions: int = 0
    parameters: int | None = None
    subject_parameters: int | None = None
    tolerance: float = 0.0
    counted: str = ""


@dataclass(frozen=True)
class Card:
    """Where a recipe comes from and what it should be.

    Parameters
    ----------
    name : str
        The recipe's.
    kind : str
        ``published`` or ``ours``.
    source, title, url : str
        Authors and year; title; where to read it.
    what : str
        What makes it, in a line.
    targets : str
        What kind of targets it needs.
    differs : tuple of str
        In what it differs from the source.
    published : tuple of dict
        Published scores, each with ``score`` and ``protocol``.
    command : str
        Which command fits it.
    sizes : tuple of Size
        Input shapes; the first is the published one.
    """

    name: str
    kind: str
    source: str
    what: str
    title: str = ""
    url: str = ""
    targets: str = "vectors"
    differs: tuple[str, ...] = ()
    published: tuple[dict[str, str], ...] = ()
    command: str = "fit"
    sizes: tuple[Size, ...] = ()


def recipe_files() -> dict[str, Path]:
    """Return the shipped recipes that have a card, by name.

    Examples
    --------
    >>> "projection_mlp" in recipe_files()
    True
    """
    # Reading thirty files as YAML takes a second; an entry at the top begins a line.
    begins = re.compile(r"^recipe:", re.MULTILINE)
    return {
        path.stem: path
        for path in sorted(shipped_folder("recipe").glob("*.yaml"))
        if begins.search(path.read_text("utf-8"))
    }


def read_card(path: Path) -> Card:
    """Read and check the card in a recipe's file.

    Raises
    ------
    ConfigError
        Naming the file and the key.
    """
    values = read_config(path).get("recipe")
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: got no `recipe` entry, expected the card of a recipe")
    _check_keys(values, CARD_KEYS, ("kind", "source", "what"), f"{path}: recipe")
    if values["kind"] not in KINDS:
        raise ConfigError(f"{path}: recipe.kind: got {values['kind']!r}, expected one of {', '.join(KINDS)}")
    sizes = []
    for entry in values.get("sizes", []):
        _check_keys(entry, SIZE_KEYS, ("name", "channels", "times", "targets"), f"{path}: recipe.sizes")
        lists = {key: tuple(entry[key]) for key in ("channels", "grid") if isinstance(entry.get(key), list)}
        sizes.append(Size(**{**entry, **lists}))
    lists = {"differs": tuple(values.get("differs", ())), "published": tuple(values.get("published", ()))}
    return Card(**{**values, **lists, "name": path.stem, "sizes": tuple(sizes)})


def _check_keys(values: Mapping[str, Any], known: tuple[str, ...], needed: tuple[str, ...], where: str) -> None:
    for key in values:
        if key not in known:
            raise ConfigError(f"{where}: unknown key {key!r}{suggestion(str(key), known)}")
    for key in needed:
        if key not in values:
            raise ConfigError(f"{where}: {key!r} is missing")
