"""A trained network as it lies on disk, and whether it may be used with some data."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError, LeakageError, MismatchError
from neurodecode.core.prepared import PreparedStudy
from neurodecode.core.targets import TargetSpace
from neurodecode.training.checkpoints import read_checkpoint
from neurodecode.training.decode_task import DecodeTask
from neurodecode.training.encode_task import EncodeTask
from neurodecode.training.task import RECORD
from neurodecode.workflow.bank import TargetBank
from neurodecode.workflow.decoding import Decode, Sequences, in_sequences
from neurodecode.workflow.speech_segments import SeriesBank


def find_checkpoint(place: Path) -> Path:
    """Find the checkpoint of a run.

    Parameters
    ----------
    place : Path
        A checkpoint, or a folder in which one lies at any depth: the one called ``best*.ckpt``, or if there is none
        the one called ``last*.ckpt``. Networks that were trained on shuffled pairs are passed over.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    DataError
        If there is none, or more than one that could be meant.
    """
    if place.is_file():
        return place
    if not place.exists():
        raise DataError(f"checkpoint: {place} does not exist, expected a checkpoint or the folder of a run")
    for pattern in ("best*.ckpt", "last*.ckpt"):
        found = [
            path
            for path in sorted(place.rglob(pattern))
            if not any(part.endswith("-shuffled") for part in path.relative_to(place).parts)
        ]
        if len(found) == 1:
            return found[0]
        if found:
            listed = ", ".join(str(path.relative_to(place)) for path in found)
            raise DataError(f"checkpoint: {place} holds {len(found)} of them ({listed}), expected one; name the file")
    raise DataError(f"checkpoint: {place} holds no best*.ckpt or last*.ckpt; train one with `neurodecode fit`")


def open_checkpoint(place: Path) -> DecodeTask:
    """Load a trained network for use on this machine's processor.

    Parameters
    ----------
    place : Path
        See `find_checkpoint`.

    Returns
    -------
    DecodeTask
        In evaluation mode.

    Raises
    ------
    DataError
        If the file is not a whole checkpoint.
    """
    task: Any = DecodeTask.load_from_checkpoint(find_checkpoint(place), map_location="cpu", weights_only=True)
    return task.eval()  # type: ignore[no-any-return]


def open_network(place: Path) -> DecodeTask | EncodeTask:
    """Load a network that ranks candidates, in either direction.

    Parameters
    ----------
    place : Path
        See `find_checkpoint`.

    Returns
    -------
    DecodeTask or EncodeTask
        In evaluation mode, on this machine's processor.

    Raises
    ------
    ConfigError, DataError
        If the file is not a whole checkpoint, or of another task.
    """
    path = find_checkpoint(place)
    record = read_checkpoint(path).get(RECORD)
    if not isinstance(record, dict) or record.get("task") != f"{EncodeTask.__module__}.{EncodeTask.__qualname__}":
        return open_checkpoint(path)
    task: Any = EncodeTask.load_from_checkpoint(path, map_location="cpu", weights_only=True)
    return task.eval()  # type: ignore[no-any-return]


def require_fit(
    interface: Mapping[str, Any], prepared: PreparedStudy, bank: TargetBank | SeriesBank, subjects: Sequence[str]
) -> None:
    """Refuse a network that was not trained for a study, its targets and its split.

    Parameters
    ----------
    interface : mapping
        What the network was built for, as its checkpoint has it.
    prepared : PreparedStudy
        The study.
    bank : TargetBank
        Its targets.
    subjects : sequence of str
        Whose signals are to be decoded.

    Raises
    ------
    MismatchError
        If subjects, channels, window length or target spaces differ.
    LeakageError
        If the network was trained with another split: what is tested here may have been trained on.
    """
    if interface["split"] != prepared.split.hash:
        raise LeakageError(
            f"checkpoint: was trained with split {interface['split']}, but {prepared.folder} has "
            f"{prepared.split.hash}; its test windows may have been trained on"
        )
    there, here = interface.get("session_scaling", ["none", 0.0]), list(prepared.session_scaling)
    if list(there) != here:
        raise MismatchError(
            f"checkpoint: was trained with session scaling {there[0]} (clamp {there[1]:g}), but {prepared.folder} has "
            f"{here[0]} (clamp {here[1]:g})"
        )
    for subject in subjects:
        known = interface["subjects"].get(subject)
        if known is None:
            raise MismatchError(
                f"checkpoint: was trained for {', '.join(interface['subjects'])}, but {subject} is to be decoded"
            )
        recording = prepared.recording(subject)
        if known["layout"] != recording.sensors.layout_fingerprint():
            raise MismatchError(
                f"checkpoint: {subject} has {len(known['channels'])} channels at {known['sfreq']:g} Hz there, but "
                f"{recording.n_channels} at {recording.sensors.sfreq:g} Hz in {prepared.folder}, or other names"
            )
        if interface["n_times"] != recording.n_times:
            raise MismatchError(
                f"checkpoint: windows have {interface['n_times']} time points there, "
                f"but {recording.n_times} in {prepared.folder}"
            )
    for name, entry in interface["targets"].items():
        if name not in bank.layers:
            raise MismatchError(
                f"checkpoint: predicts the target {name!r}, but the targets are {', '.join(bank.layers)}"
            )
        TargetSpace.from_dict(entry["space"]).require(bank.layers[name].space, what=f"checkpoint: target {name!r}")


def decode_with(task: DecodeTask, *, fold: int, ranking: bool = True) -> Decode:
    """Give the function that decodes signals with one network.

    Parameters
    ----------
    task : DecodeTask
        Loaded from a checkpoint.
    fold : int
        The fold it may be used for.
    ranking : bool
        Whether candidates are ranked by the predictions; otherwise they are for a generator, which wants what regresses
        the targets. See `DecodeTask.for_ranking`.

    Returns
    -------
    Decode
        Predictions in the spaces of the targets; a learned space of the network, in which no candidate lies before
        its own image side has mapped it there, is left out.
    """
    layers = list(task.interface["targets"])

    def decode(
        wanted: int, subject: str, signals: NDArray[np.float32], sequences: Sequences | None = None, /
    ) -> dict[str, NDArray[np.float32]]:
        if wanted != fold:
            raise LeakageError(f"checkpoint: was trained on fold {fold}, expected one of fold {wanted}")
        found = task.decode(subject, signals, ranking=ranking, **in_sequences(sequences))
        return {name: found[name] for name in layers}

    return decode
