"""The group of an adaptation: channels it shares with the new subject, and what it is expected to answer."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from neurodecode.core.errors import ConfigError, MismatchError
from neurodecode.core.kept import computed_by, content_digest, kept_arrays
from neurodecode.core.prepared import PreparedStudy
from neurodecode.core.sensors import Sensors
from neurodecode.encoders.linear.group import GroupResponses, fit_group, member_means
from neurodecode.encoders.linear.trials import TrialSet
from neurodecode.workflow.bank import TargetBank
from neurodecode.workflow.items import windows_as_trials

Channels = Literal["same", "common"]
CHANNELS: tuple[Channels, ...] = ("same", "common")
#: With fewer channels in common than this there is no map over them.
LEAST_CHANNELS = 4


class Group:
    """The other subjects' expected responses, fitted when first asked for and kept on disk.

    Parameters
    ----------
    prepared : PreparedStudy
        The whole study.
    bank : TargetBank
        Its targets.
    subject : str
        The new subject: its layout is required of all others, its signals are not looked at.
    others : sequence of str
        The group.
    keep : Path
        Where the responses are kept.
    seed : int
        Of folds.
    channels : {"same", "common"}
        Whether all must have the new subject's channels, or those that all have are used.
    """

    def __init__(
        self,
        prepared: PreparedStudy,
        bank: TargetBank,
        subject: str,
        others: Sequence[str],
        keep: Path,
        *,
        seed: int,
        channels: Channels = "same",
    ) -> None:
        self.prepared, self.bank, self.subject, self.others = prepared, bank, subject, list(others)
        self.keep, self.seed, self.wanted = keep, seed, channels
        self.names = sorted({str(name) for name in prepared.stimuli.table["stimulus"]} & self._shown())
        self._found: GroupResponses | None = None

    def _shown(self) -> set[str]:
        people = [self.subject, *self.others]
        shown = (set(self.prepared.recording(name).windows["stimulus"].astype(str)) for name in people)
        return set().union(*shown) - {""}

    def channels(self) -> list[str]:
        """List the channels that are used, in the new subject's order; see `group_channels`."""
        return group_channels(self.prepared, self.subject, self.others, self.wanted)

    def trained(self) -> list[str]:
        """List the stimuli that the group was trained on, none of which is tested."""
        split = self.prepared.split
        shown = (
            self.prepared.recording(name).windows["stimulus"].astype(str).to_numpy()[split.rows(name, "train")]
            for name in self.others
        )
        return sorted(set(np.concatenate([*shown]).tolist()) - {""})

    def own(self, trials: TrialSet) -> TrialSet:
        """Cut the new subject's trials down to the channels that are used."""
        rows = _positions(self.prepared.recording(self.subject).sensors, self.channels())
        if len(rows) == trials.shape[0]:
            return trials
        return TrialSet(trials.signals[:, rows], trials.stimulus, trials.group, trials.repetitions)

    def _members(self, names: Sequence[str]) -> Iterator[TrialSet]:
        """Read one member after the other: averages over the repetitions of each stimulus it was trained on."""
        split = self.prepared.split
        for person in self.others:
            recording = self.prepared.recording(person, fold=0)
            trials = windows_as_trials(split, recording, split.rows(person, "train"), averaged=True)[0]
            rows = _positions(recording.sensors, names)
            yield TrialSet(trials.signals[:, rows], trials.stimulus, trials.group, trials.repetitions)

    def responses(self) -> GroupResponses:
        """Fit the group on the training windows of its members, or read what was kept.

        Raises
        ------
        MismatchError
            See `channels`.
        """
        if self._found is None:
            names = self.channels()
            targets = self.bank.fold(self.trained()).rows(self.names)
            others = member_means(self._members(names), seed=self.seed)
            key = content_digest(
                {
                    "by": computed_by(["neurodecode.encoders.linear"], ["numpy", "scipy"]),
                    "signals": others.signals, "stimulus": list(others.stimulus), "names": self.names,
                    "bank": [[layer, rows] for layer, rows in targets.items()], "seed": self.seed,
                }
            )  # fmt: skip

            def make() -> dict[str, NDArray[Any]]:
                with threadpool_limits(limits=1, user_api="blas"):
                    found = fit_group(others, targets, self.names, seed=self.seed)
                return {"signals": found.signals}

            kept = kept_arrays(self.keep / f"without-{self.subject}.npz", key, make)
            self._found = GroupResponses(np.asarray(self.names, dtype=np.str_), kept["signals"])
        return self._found


def group_channels(prepared: PreparedStudy, subject: str, others: Sequence[str], wanted: Channels) -> list[str]:
    """List the channels that a group and a new subject are compared by, in the new subject's order.

    Raises
    ------
    MismatchError
        If somebody has other channels or another length of windows than the new subject.
    """
    own = prepared.recording(subject)
    names = list(own.sensors.names)
    for person in others:
        recording = prepared.recording(person)
        if recording.n_times != own.n_times or recording.sensors.sfreq != own.sensors.sfreq:
            raise MismatchError(
                f"group: {person} has {recording.n_times} times at {recording.sensors.sfreq:g} Hz, {subject} "
                f"{own.n_times} at {own.sensors.sfreq:g} Hz; expected one length of windows"
            )
        names = shared_channels(names, own.sensors, recording.sensors, (subject, person), wanted)
    return names


def shared_channels(
    names: Sequence[str], own: Sensors, other: Sensors, people: tuple[str, str], wanted: Channels
) -> list[str]:
    """Keep the channels of a new subject that a member of the group has as well.

    Parameters
    ----------
    names : sequence of str
        Of `own`, those that the members before had.
    own, other : Sensors
        Of the new subject and of the member.
    people : tuple of str
        The new subject and the member, for messages.
    wanted : {"same", "common"}
        Whether they must be all.

    Raises
    ------
    MismatchError
        If they differ though they must not, are voxels of differing sets, or too few are left.

    Examples
    --------
    >>> from neurodecode.core.sensors import Sensors
    >>> own, other = (Sensors(tuple(names), ("eeg",) * 5, 100.0, 0.0, "V") for names in ("abcde", "bcdef"))
    >>> shared_channels("abcde", own, other, ("sub-01", "sub-02"), "common")
    ['b', 'c', 'd', 'e']
    """
    if (own.names, own.kinds) == (other.names, other.kinds):
        return list(names)
    subject, person = people
    there = dict(zip(other.names, other.kinds, strict=True))
    same = {name for name, kind in zip(own.names, own.kinds, strict=True) if there.get(name) == kind}
    kept = [name for name in names if name in same]
    sides = f"group: {person} has {len(other)} channels, {subject} {len(own)}, {len(same)} of them under the same name"
    if "voxel" in {*own.kinds, *other.kinds}:
        raise MismatchError(
            f"{sides}; voxels of different brains are not the same; expected one layout, or strategies with a network"
        )
    if wanted == "same":
        raise MismatchError(f"{sides} and kind; expected one layout; --channels common uses what all have")
    if len(kept) < LEAST_CHANNELS:
        raise MismatchError(f"{sides} and kind; {len(kept)} are left that all have, expected at least {LEAST_CHANNELS}")
    return kept


def check_channels(value: str) -> None:
    """Refuse anything but the names of the two rules."""
    if value not in CHANNELS:
        raise ConfigError(f"channels: got {value!r}, expected one of {', '.join(CHANNELS)}")


def _positions(sensors: Sensors, names: Sequence[str]) -> NDArray[np.int64]:
    place = {name: number for number, name in enumerate(sensors.names)}
    return np.asarray([place[name] for name in names], dtype=np.int64)
