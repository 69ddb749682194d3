"""Whether a study, a new subject, a group and a checkpoint may be used together."""

from collections.abc import Sequence

from neurodecode.core.errors import ConfigError, DataError, LeakageError, MismatchError, suggestion
from neurodecode.core.prepared import PreparedStudy
from neurodecode.core.split import Part
from neurodecode.encoders.linear.group_prior import GRIDS
from neurodecode.training.adaptation import NETWORK_STRATEGIES, Source
from neurodecode.workflow.adapt_group import Channels, group_channels
from neurodecode.workflow.adapt_plan import STRATEGIES
from neurodecode.workflow.bank import TargetBank


def check_people(
    prepared: PreparedStudy, subject: str, others: Sequence[str], known: Sequence[str] = ()
) -> tuple[str, ...]:
    """Check the new subject, the group and whom the checkpoint knows, and give the group.

    Parameters
    ----------
    prepared : PreparedStudy
        The study.
    subject : str
        Who is new.
    others : sequence of str
        The group asked for; empty for those of the checkpoint, or all but the new subject.
    known : sequence of str
        Those of the checkpoint, if there is one.

    Raises
    ------
    ConfigError
        If the study has several folds, or somebody is not in it.
    LeakageError
        If the new subject is in the group, or the new subject's test stimuli were trained on by others.
    """
    split = prepared.split
    if split.n_folds != 1:
        raise ConfigError(
            f"study: {prepared.name} has {split.n_folds} folds, expected one, whose test stimuli nobody trains on"
        )
    if subject not in prepared.subjects:
        raise ConfigError(
            f"subject: got {subject!r}, expected one of {', '.join(prepared.subjects)}"
            f"{suggestion(subject, prepared.subjects)}"
        )
    if subject in known:
        raise LeakageError(f"checkpoint: was trained on {subject}, expected one of other subjects only")
    group = tuple(others) or tuple(known) or tuple(name for name in prepared.subjects if name != subject)
    for name in group:
        if name in prepared.subjects:
            continue
        if not others:
            raise ConfigError(
                f"checkpoint: was trained on {name}, whom {prepared.name} lacks; say who is with --others"
            )
        raise ConfigError(
            f"others: got {name!r}, expected some of {', '.join(prepared.subjects)}"
            f"{suggestion(name, prepared.subjects)}"
        )
    if subject in group:
        raise LeakageError(f"others: {subject} is the new subject, expected others only")
    if not group:
        raise ConfigError(f"others: {prepared.name} has no subject but {subject}, expected some to adapt from")
    _check_stimuli(prepared, subject, group)
    return group


def possible_strategies(
    prepared: PreparedStudy, subject: str, others: Sequence[str], source: Source | None, *, channels: Channels
) -> tuple[str, ...]:
    """List the strategies that layouts of channels allow: what is run where none is named.

    Parameters
    ----------
    prepared : PreparedStudy
        The study.
    subject : str
        Who is new.
    others : sequence of str
        The group.
    source : Source, optional
        The network to adapt.
    channels : {"same", "common"}
        See `neurodecode.workflow.adapt_group.shared_channels`.

    Raises
    ------
    MismatchError
        If there is no network and the group has other channels.
    """
    own = prepared.recording(subject)
    possible: list[str] = []
    if source is not None:
        layouts = {entry["layout"] for entry in source.interface["subjects"].values()}
        known = own.sensors.layout_fingerprint() in layouts
        possible += [name for name in STRATEGIES if name in NETWORK_STRATEGIES and (known or name != "zero_shot")]
    try:
        group_channels(prepared, subject, others, channels)
    except MismatchError:
        if not possible:
            raise
    else:
        possible += GRIDS
    return tuple(possible)


def _check_stimuli(prepared: PreparedStudy, subject: str, others: Sequence[str]) -> None:
    """Refuse a split in which others were trained on what the new subject is tested with."""
    split = prepared.split

    def shown(name: str, part: Part) -> set[str]:
        return set(prepared.recording(name).windows["stimulus"].astype(str).iloc[split.rows(name, part)])

    tested = shown(subject, "test") - {""}
    if not tested:
        raise DataError(f"{subject}: has no test window, expected some to score the adaptation by")
    for name in others:
        common = sorted(tested & (shown(name, "train") | shown(name, "val")))
        if common:
            raise LeakageError(
                f"split: {name} trains on {common[0]!r}, with which {subject} is tested; expected a split by stimulus"
            )


def check_source(source: Source, prepared: PreparedStudy, bank: TargetBank) -> None:
    """Refuse a checkpoint of another study, split, session scaling or other targets.

    Raises
    ------
    LeakageError, MismatchError
        Naming both sides.
    """
    there = source.interface
    if there["study"] != prepared.name:
        raise MismatchError(
            f"{source.path}: was trained on the study {there['study']}, but {prepared.folder} is {prepared.name}"
        )
    if there["split"] != prepared.split.hash:
        raise LeakageError(
            f"{source.path}: was trained with split {there['split']}, but {prepared.folder} has {prepared.split.hash}; "
            "its test stimuli may have been trained on"
        )
    scaling = list(there.get("session_scaling", ["none", 0.0]))
    if scaling != list(prepared.session_scaling):
        raise MismatchError(
            f"{source.path}: was trained with session scaling {scaling[0]}, but {prepared.folder} has "
            f"{prepared.session_scaling[0]}"
        )
    missing = [name for name in there["targets"] if name not in bank.layers]
    if missing:
        raise MismatchError(
            f"{source.path}: has the target {missing[0]!r}, but the targets are {', '.join(bank.layers)}"
        )
    for name, target in there["targets"].items():
        if target["space"] != bank.layers[name].space.to_dict():
            raise MismatchError(
                f"{source.path}: target {name!r} lies in another space there than in the targets folder"
            )
