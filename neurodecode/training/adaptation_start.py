"""The network of a new subject as a strategy begins it: what belongs to a subject, what is fresh and what is taken."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from neurodecode.core.errors import ConfigError, MismatchError
from neurodecode.training.adaptation import Source, Strategy, build_task
from neurodecode.training.decode_task import DecodeTask
from neurodecode.training.low_rank import RANK, add_low_rank

FRONT_END = "encoder.front_end."


def own_parts(source: Source, interface: Mapping[str, Any]) -> dict[str, int | None]:
    """Find which weights belong to a subject, by building the network for one subject and for two.

    Parameters
    ----------
    source : Source
        Whose network.
    interface : mapping
        Of the new subject alone.

    Returns
    -------
    dict of str to int or None
        By the weight's name in a network of one subject: the place in the name, split at dots, that numbers subjects;
        or None where subjects are rows of one array.
    """
    ((subject, entry),) = interface["subjects"].items()
    two = {**interface, "subjects": {subject: entry, f"{subject} again": entry}}
    with torch.device("meta"):
        alone, both = (
            {name: tuple(weight.shape) for name, weight in build_task(source, one, seed=0).state_dict().items()}
            for one in (interface, two)
        )
    found: dict[str, int | None] = {}
    for name, shape in both.items():
        if name in alone:
            if shape != alone[name]:
                found[name] = None
            continue
        words = name.split(".")
        for place, word in enumerate(words):
            first = numbered(name, place, 0)
            if word == "1" and first in alone:
                found[first] = place
    return found


def numbered(name: str, place: int, number: int) -> str:
    """Give the name that a subject's weight has for the subject of another number.

    Examples
    --------
    >>> numbered("maps.0.bias", 1, 3)
    'maps.3.bias'
    """
    words = name.split(".")
    return ".".join([*words[:place], str(number), *words[place + 1 :]])


def known_parts(source: Source, name: str, place: int | None, subjects: list[str]) -> list[Tensor]:
    """Give some known subjects' versions of a weight, found by `own_parts`."""
    numbers = [source.subjects.index(subject) for subject in subjects]
    if place is None:
        return [source.state[name][number : number + 1] for number in numbers]
    return [source.state[numbered(name, place, number)] for number in numbers]


def start_task(source: Source, interface: Mapping[str, Any], strategy: Strategy, *, seed: int) -> DecodeTask:
    """Build the network of a new subject as a strategy begins it; what is not trained has ``requires_grad`` off.

    Parameters
    ----------
    source : Source
        The checkpoint.
    interface : mapping
        Of the new subject, first, and of known ones that keep it company in batches; with target sizes as the
        checkpoint has them (unless all is fresh).
    strategy : Strategy
        What is fresh, trained and kept.
    seed : int
        Of fresh weights.

    Returns
    -------
    DecodeTask
        Where subjects are rows of one array, those of the company are in it and have to be held, see
        `neurodecode.training.adaptation_company.HoldOthers`.

    Raises
    ------
    ConfigError
        If the strategy has nothing to train in this network.
    MismatchError
        If it needs a layout of channels that no known subject has, or shared weights do not fit.
    """
    warm_start = str(source.settings.get("warm_start", "none")) if strategy.own == "fresh" else "none"
    task = build_task(source, interface, seed=seed, warm_start=warm_start)
    own = own_parts(source, alone(interface))
    front = [name for name in own if name.startswith(FRONT_END)]
    if strategy.trained == "front_end" and not front and not strategy.low_rank:
        kind = type(getattr(task.encoder, "front_end", task.encoder)).__name__
        raise ConfigError(f"{strategy.name}: the front end {kind} has no part that belongs to a subject")
    if strategy.trained == "own" and not own:
        raise ConfigError(f"{strategy.name}: the network has no part that belongs to a subject")
    if strategy.shared == "checkpoint":
        _load(task, source, own, interface, strategy)
    names: dict[str, list[str]] = {"front_end": front, "own": list(own)}
    for name, weight in task.named_parameters():
        weight.requires_grad_(strategy.trained == "all" or name in names.get(strategy.trained, []))
    if strategy.low_rank:
        add_low_rank(task, own, rank=RANK, seed=seed)
    return task


def alone(interface: Mapping[str, Any]) -> dict[str, Any]:
    """Give the interface of the first subject alone.

    Examples
    --------
    >>> alone({"subjects": {"new": 1, "known": 2}})
    {'subjects': {'new': 1}}
    """
    subject, entry = next(iter(interface["subjects"].items()))
    return {**interface, "subjects": {subject: entry}}


def _load(
    task: DecodeTask, source: Source, own: Mapping[str, int | None], interface: Mapping[str, Any], strategy: Strategy
) -> None:
    """Take shared weights and those of the company from the checkpoint, the new subject's as the strategy says."""
    (subject, entry), *others = interface["subjects"].items()
    company = [name for name, _ in others]
    alike = [name for name, other in source.interface["subjects"].items() if other["layout"] == entry["layout"]]
    state = task.state_dict()
    of_company: dict[str, Tensor] = {}
    for name, place in own.items():
        if place is not None:
            taken = known_parts(source, name, place, company)
            of_company |= {numbered(name, place, number): part for number, part in enumerate(taken, start=1)}
    for name, weight in state.items():
        if name in of_company:
            state[name] = of_company[name]
        elif name not in own:
            if name not in source.state or source.state[name].shape != weight.shape:
                there = tuple(source.state[name].shape) if name in source.state else "nothing"
                raise MismatchError(
                    f"{source.path}: shared weight {name} is {there} there, but {tuple(weight.shape)} for {subject}"
                )
            state[name] = source.state[name]
        else:
            mine = weight if own[name] is not None else weight[:1]
            if strategy.own == "mean" and alike:
                mine = torch.stack(known_parts(source, name, own[name], alike)).mean(dim=0)
            elif strategy.own == "mean" and strategy.trained == "none":
                raise MismatchError(
                    f"{strategy.name}: the layout of {subject} ({entry['n_channels']} channels) is that of no subject "
                    f"in {source.path}; expected one of theirs, or a strategy that trains"
                )
            state[name] = (
                mine if own[name] is not None else torch.cat([mine, *known_parts(source, name, None, company)])
            )
    task.load_state_dict(state)
