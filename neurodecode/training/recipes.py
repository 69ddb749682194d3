"""Recipes: published decoders as configurations, each with a card, built at full size and counted."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jsonargparse import ArgumentParser
from torch import nn

from neurodecode.core.errors import ConfigError, suggestion
from neurodecode.encoders.brain.layouts import SensorLayout, SubjectSensors
from neurodecode.training.config_files import read_config, shipped_folder
from neurodecode.training.configuration import compose
from neurodecode.training.decode_task import ImageSideFactory
from neurodecode.training.prepared_task import EncoderFactory
from neurodecode.training.short_names import import_built_ins

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


@dataclass(frozen=True)
class Count:
    """What building a recipe at one size found.

    Parameters
    ----------
    size : Size
        Asked for.
    parameters, subject_parameters, image_parameters : int
        Of the encoder; what a further subject adds to it; of the learned map on the side of the stimulus.
    """

    size: Size
    parameters: int
    subject_parameters: int
    image_parameters: int = 0

    @property
    def matches(self) -> bool:
        """Whether the counts are those of the reference, within its tolerance."""
        pairs = ((self.parameters, self.size.parameters), (self.subject_parameters, self.size.subject_parameters))
        return all(
            expected is None or abs(found - expected) <= self.size.tolerance * expected for found, expected in pairs
        )


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


def layouts_for(size: Size, *, subjects: int | None = None) -> SubjectSensors:
    """Make up sensor layouts of the size's shape: positions on a circle, or every voxel of the volume.

    Examples
    --------
    >>> dict(layouts_for(Size("tiny", channels=4, times=3, targets={"x": 2}, subjects=2)))
    {'sub-01': 4, 'sub-02': 4}
    """
    count = size.subjects if subjects is None else subjects
    given = size.channels if isinstance(size.channels, tuple) else (size.channels,)
    layouts = {}
    for number in range(count):
        channels = given[min(number, len(given) - 1)]
        angle = np.linspace(0, 2 * np.pi, channels, endpoint=False)
        grid = None
        if size.grid is not None:
            if int(np.prod(size.grid)) != channels:
                raise ConfigError(f"{size.name}: a volume {size.grid} has not {channels} voxels")
            grid = np.argwhere(np.ones(size.grid, dtype=bool)).astype(np.int64)
        dealt = np.arange(channels) * max(size.regions, 1) // channels
        layouts[f"sub-{number + 1:02d}"] = SensorLayout(
            tuple(f"C{channel}" for channel in range(channels)),
            size.sfreq,
            positions=np.stack([np.cos(angle), np.sin(angle)], axis=1),
            grid=grid,
            volume=size.grid,
            regions={f"region-{place}": dealt == place for place in range(size.regions)},
        )
    return SubjectSensors(layouts)


def build_recipe(
    path: Path, size: Size, *, subjects: int | None = None, device: str = "meta", overlays: tuple[Path, ...] = ()
) -> tuple[nn.Module, nn.Module | None]:
    """Build a recipe's encoder and its image side.

    Parameters
    ----------
    path : Path
        The recipe's file.
    size : Size
        The input.
    subjects : int, optional
        Another number of subjects than the size's.
    device : str
        ``meta`` builds shapes without memory.
    overlays : tuple of Path
        Further files that change the network, such as a small size.

    Returns
    -------
    encoder : nn.Module
    image_side : nn.Module or None
    """
    import_built_ins()
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--encoder", type=EncoderFactory)
    parser.add_argument("--image_side", type=ImageSideFactory | None, default=None)
    merged = compose(read_config(file) for file in (path, *overlays)).get("model", {}).get("init_args", {})
    wanted = {key: merged[key] for key in ("encoder", "image_side") if merged.get(key) is not None}
    if "encoder" not in wanted:
        raise ConfigError(f"{path}: got no model.init_args.encoder, expected the encoder of a recipe")
    found = parser.instantiate(parser.parse_object(wanted))
    targets = dict(size.targets)
    with torch.device(device):
        image_side = None if found.image_side is None else found.image_side(targets)
        if image_side is not None:
            targets["retrieval"] = int(image_side.out_features)
        encoder = found.encoder(layouts_for(size, subjects=subjects), size.times, targets)
    return encoder, image_side


def count_recipe(path: Path, size: Size) -> Count:
    """Build a recipe on the meta device and count its parameters.

    What belongs to a subject is found by building it for one subject more.
    """
    encoder, image_side = build_recipe(path, size)
    more, _ = build_recipe(path, size, subjects=size.subjects + 1)
    return Count(
        size,
        parameters=n_parameters(encoder),
        subject_parameters=n_parameters(more) - n_parameters(encoder),
        image_parameters=0 if image_side is None else n_parameters(image_side),
    )


def n_parameters(network: nn.Module) -> int:
    """Count the numbers that training can change.

    Examples
    --------
    >>> n_parameters(nn.Linear(2, 3))
    9
    """
    return sum(parameter.numel() for parameter in network.parameters())


@dataclass(frozen=True)
class Checked:
    """A recipe's card and its counts."""

    card: Card
    counts: tuple[Count, ...] = field(default_factory=tuple)

    @property
    def matches(self) -> bool:
        """Whether all counts are those of the reference."""
        return all(count.matches for count in self.counts)

    def to_plain(self) -> dict[str, Any]:
        """Give plain values for JSON; counts at the top are those of the first size."""
        card, first = self.card, self.counts[0] if self.counts else None
        return {
            "name": card.name,
            "kind": card.kind,
            "source": card.source,
            "title": card.title,
            "url": card.url,
            "what": card.what,
            "targets": card.targets,
            "command": card.command,
            "parameters": first.parameters if first else None,
            "expected_parameters": first.size.parameters if first else None,
            "subject_parameters": first.subject_parameters if first else None,
            "expected_subject_parameters": first.size.subject_parameters if first else None,
            "matches": self.matches,
            "published": list(card.published),
            "differs": list(card.differs),
            "sizes": [
                {
                    "name": count.size.name,
                    "parameters": count.parameters,
                    "expected_parameters": count.size.parameters,
                    "subject_parameters": count.subject_parameters,
                    "image_parameters": count.image_parameters,
                    "tolerance": count.size.tolerance,
                    "counted": count.size.counted,
                    "matches": count.matches,
                }
                for count in self.counts
            ],
        }


def check_recipes(names: list[str] | None = None) -> list[Checked]:
    """Read all cards, or the named ones, and count every size of each.

    Raises
    ------
    ConfigError
        For a name that is no recipe.
    """
    known = recipe_files()
    for name in names or []:
        if name not in known:
            raise ConfigError(f"recipes: got {name!r}, expected one of {', '.join(known)}{suggestion(name, known)}")
    found = []
    for name in names or known:
        card = read_card(known[name])
        sizes = card.sizes if card.command == "fit" else ()
        found.append(Checked(card, tuple(count_recipe(known[name], size) for size in sizes)))
    return found


def _check_keys(values: Mapping[str, Any], known: tuple[str, ...], needed: tuple[str, ...], where: str) -> None:
    for key in values:
        if key not in known:
            raise ConfigError(f"{where}: unknown key {key!r}{suggestion(str(key), known)}")
    for key in needed:
        if key not in values:
            raise ConfigError(f"{where}: {key!r} is missing")
