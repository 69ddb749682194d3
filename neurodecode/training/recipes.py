"""Recipes: published decoders as configurations, built at full size without memory and counted."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jsonargparse import ArgumentParser
from torch import nn

from neurodecode.core.errors import ConfigError, suggestion
from neurodecode.encoders.brain.layouts import SensorLayout, SubjectSensors
from neurodecode.training.config_files import read_config
from neurodecode.training.configuration import compose
from neurodecode.training.decode_task import ImageSideFactory
from neurodecode.training.prepared_task import EncoderFactory
from neurodecode.training.recipe_cards import Card, Size, read_card, recipe_files
from neurodecode.training.short_names import import_built_ins


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
