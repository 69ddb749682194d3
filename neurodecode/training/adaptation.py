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
from neurodecode.training.preparation import Preparation
from neurodecode.training.quiet import quiet_lightning
from neurodecode.training.short_names import import_built_ins
from neurodecode.training.task import RECORD

Start = Literal["mean", "fresh"]
Trained = Literal["none", "front_end", "own", "all"]


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
    company : bool
        Whether every batch holds rows of one known subject as well, each in turn, whose parts stay.
    from_group : bool
        Whether a linear path starts from what the group is expected to answer, where that is known.
    """

    name: str
    what: str
    shared: Literal["checkpoint", "fresh"]
    own: Start
    trained: Trained
    low_rank: bool = False
    company: bool = False
    from_group: bool = False


NETWORK_STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        Strategy("zero_shot", "the mean of the known subjects' parts, untrained", "checkpoint", "mean", "none"),
        Strategy("front_end", "only the subject's part of the front end is trained", "checkpoint", "mean", "front_end",
                 from_group=True),
        Strategy("reset", "the subject's parts are fresh and trained, beside batches of the known", "checkpoint",
                 "fresh", "own", company=True),
        Strategy("full", "everything is trained on", "checkpoint", "mean", "all", from_group=True),
        Strategy("lora", "the front end and low-rank updates of shared layers", "checkpoint", "mean", "front_end",
                 low_rank=True, from_group=True),
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
