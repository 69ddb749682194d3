"""Bring a network that was trained on some subjects to a new one: what is fresh, what is trained, what stays."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch.cli import instantiate_module
from torch import Tensor

from neurodecode.core.errors import ConfigError, LeakageError, MismatchError, suggestion
from neurodecode.training.checkpoints import HYPER_PARAMETERS, read_checkpoint, require_trusted
from neurodecode.training.decode_task import DecodeTask
from neurodecode.training.low_rank import RANK, add_low_rank
from neurodecode.training.preparation import Preparation
from neurodecode.training.quiet import quiet_lightning
from neurodecode.training.short_names import import_built_ins
from neurodecode.training.task import RECORD

Start = Literal["mean", "fresh"]
Trained = Literal["none", "front_end", "own", "all"]
FRONT_END = "encoder.front_end."


@dataclass(frozen=True)
class Strategy:
    """What is fresh, what is trained and what stays.

    Parameters
    ----------
    name : str
        As the command line has it.
    what : str
        One line for people.
    shared : str
        ``checkpoint`` keeps what all subjects share, ``fresh`` draws it anew.
    own : str
        Where the new subject's parts begin: ``mean`` of the known subjects' where the layout is theirs, or ``fresh``.
    trained : str
        ``none``; ``front_end``, the subject's part of the front end; ``own``, all parts of the subject; ``all``.
    low_rank : bool
        Whether the linear layers that all share get a trained update of low rank.
    """

    name: str
    what: str
    shared: Literal["checkpoint", "fresh"]
    own: Start
    trained: Trained
    low_rank: bool = False


NETWORK_STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        Strategy("zero_shot", "the mean of the known subjects' parts, untrained", "checkpoint", "mean", "none"),
        Strategy("front_end", "only the subject's part of the front end is trained", "checkpoint", "mean", "front_end"),
        Strategy("reset", "the subject's parts are fresh and trained, all else stays", "checkpoint", "fresh", "own"),
        Strategy("full", "everything is trained on", "checkpoint", "mean", "all"),
        Strategy("lora", "the front end and low-rank updates of shared layers", "checkpoint", "mean", "front_end",
                 low_rank=True),
        Strategy("scratch", "everything is fresh and trained", "fresh", "fresh", "all"),
    )
}  # fmt: skip


def network_strategy(name: str) -> Strategy:
    """Find a strategy by its name, or say which there are.

    Examples
    --------
    >>> network_strategy("reset").own
    'fresh'
    """
    if name not in NETWORK_STRATEGIES:
        known = list(NETWORK_STRATEGIES)
        raise ConfigError(f"strategies: got {name!r}, expected one of {', '.join(known)}{suggestion(name, known)}")
    return NETWORK_STRATEGIES[name]


@dataclass(frozen=True)
class Source:
    """A checkpoint of a network that was trained on other subjects.

    Parameters
    ----------
    path : Path
        For messages.
    settings : dict
        Arguments of the task.
    state : dict of str to Tensor
        Weights.
    preparation : Preparation
        Transforms and reductions of its training.
    """

    path: Path
    settings: dict[str, Any]
    state: dict[str, Tensor]
    preparation: Preparation

    @property
    def interface(self) -> dict[str, Any]:
        """Give what it was trained on."""
        return self.preparation.interface

    @property
    def subjects(self) -> list[str]:
        """List whom it was trained on."""
        return list(self.interface["subjects"])


def read_source(path: Path) -> Source:
    """Read a checkpoint to adapt.

    Raises
    ------
    ConfigError, DataError, MismatchError
        If it is no whole checkpoint of the task ``decode``, or names code of packages that are not trusted.
    """
    checkpoint = read_checkpoint(path)
    require_trusted(checkpoint, DecodeTask.trusted_packages, what=str(path))
    saved = checkpoint.get(RECORD)
    own = f"{DecodeTask.__module__}.{DecodeTask.__qualname__}"
    if not isinstance(saved, dict) or saved.get("task") != own:
        found = saved.get("task") if isinstance(saved, dict) else "none of ours"
        raise ConfigError(f"{path}: got a checkpoint of the task {found}, expected {own}")
    settings = {key: value for key, value in checkpoint[HYPER_PARAMETERS].items() if key != "_instantiator"}
    return Source(path, settings, dict(checkpoint["state_dict"]), Preparation.from_state(saved["record"]))


def require_new(source: Source, subject: str, found: Mapping[str, Any]) -> None:
    """Refuse a checkpoint that knows the new subject, or was made for other windows or targets.

    Parameters
    ----------
    source : Source
        The checkpoint.
    subject : str
        Who is to be new.
    found : mapping
        Interface of the new subject's data; sizes of targets aside.

    Raises
    ------
    LeakageError
        If the subject was trained on.
    MismatchError
        If windows or target spaces differ.
    """
    there = source.interface
    if subject in there["subjects"]:
        raise LeakageError(f"{source.path}: was trained on {subject}, expected one of other subjects only")
    if there["n_times"] != found["n_times"]:
        raise MismatchError(
            f"{source.path}: windows have {there['n_times']} time points there, but {found['n_times']} in the data"
        )
    if list(there["targets"]) != list(found["targets"]):
        sides = [", ".join(side["targets"]) for side in (there, found)]
        raise MismatchError(f"{source.path}: has the targets {sides[0]}, but the data has {sides[1]}")
    for name, target in there["targets"].items():
        if target["space"] != found["targets"][name]["space"]:
            raise MismatchError(f"{source.path}: target {name!r} lies in another space there than in the data")
    if there["transforms"] != found["transforms"]:
        raise MismatchError(
            f"{source.path}: has the transforms {there['transforms']}, but the data {found['transforms']}"
        )


def build_task(source: Source, interface: Mapping[str, Any], *, seed: int, warm_start: str = "none") -> DecodeTask:
    """Build the checkpoint's task for other subjects, with fresh weights.

    Parameters
    ----------
    source : Source
        Whose settings are taken.
    interface : mapping
        What the data is like.
    seed : int
        Of the weights.
    warm_start : str
        Whether it starts from a closed-form decoder, see `DecodeTask`.
    """
    import_built_ins()
    settings = {**source.settings, "interface": dict(interface), "warm_start": warm_start, "seed": seed}
    with torch.random.fork_rng(devices=[]), quiet_lightning(watched=False):
        torch.manual_seed(seed)
        task: DecodeTask = instantiate_module(DecodeTask, settings)
    return task


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
            first = ".".join([*words[:place], "0", *words[place + 1 :]])
            if word == "1" and first in alone:
                found[first] = place
    return found


def known_parts(source: Source, name: str, place: int | None, subjects: list[str]) -> list[Tensor]:
    """Give some known subjects' versions of a weight, found by `own_parts`."""
    numbers = [source.subjects.index(subject) for subject in subjects]
    if place is None:
        return [source.state[name][number : number + 1] for number in numbers]
    words = name.split(".")
    return [source.state[".".join([*words[:place], str(number), *words[place + 1 :]])] for number in numbers]


def start_task(source: Source, interface: Mapping[str, Any], strategy: Strategy, *, seed: int) -> DecodeTask:
    """Build the network of a new subject as a strategy begins it; what is not trained has ``requires_grad`` off.

    Parameters
    ----------
    source : Source
        The checkpoint.
    interface : mapping
        Of the new subject alone, with target sizes as the checkpoint has them (unless all is fresh).
    strategy : Strategy
        What is fresh, trained and kept.
    seed : int
        Of fresh weights.

    Returns
    -------
    DecodeTask

    Raises
    ------
    ConfigError
        If the strategy has nothing to train in this network.
    MismatchError
        If it needs a layout of channels that no known subject has, or shared weights do not fit.
    """
    fresh = strategy.own == "fresh"
    warm_start = str(source.settings.get("warm_start", "none")) if fresh else "none"
    task = build_task(source, interface, seed=seed, warm_start=warm_start)
    own = own_parts(source, interface)
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


def _load(
    task: DecodeTask, source: Source, own: Mapping[str, int | None], interface: Mapping[str, Any], strategy: Strategy
) -> None:
    """Take shared weights from the checkpoint, and the subject's as the mean of those with the same layout."""
    ((subject, entry),) = interface["subjects"].items()
    alike = [name for name, other in source.interface["subjects"].items() if other["layout"] == entry["layout"]]
    state = task.state_dict()
    for name, weight in state.items():
        if name not in own:
            if name not in source.state or source.state[name].shape != weight.shape:
                there = tuple(source.state[name].shape) if name in source.state else "nothing"
                raise MismatchError(
                    f"{source.path}: shared weight {name} is {there} there, but {tuple(weight.shape)} for {subject}"
                )
            state[name] = source.state[name]
        elif strategy.own == "mean":
            if not alike:
                if strategy.trained == "none":
                    raise MismatchError(
                        f"{strategy.name}: the layout of {subject} ({entry['n_channels']} channels) is that of no "
                        f"subject in {source.path}; expected one of theirs, or a strategy that trains"
                    )
                continue
            state[name] = torch.stack(known_parts(source, name, own[name], alike)).mean(dim=0)
    task.load_state_dict(state)
