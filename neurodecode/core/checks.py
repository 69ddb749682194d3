"""What is proven of a study before anything is computed from it."""

from collections.abc import Mapping

import numpy as np

from neurodecode.core.errors import DataError
from neurodecode.core.files import fingerprint
from neurodecode.core.recording import Recording
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.study import StudyInfo


def check_signals(recording: Recording, *, chunk: int = 512) -> None:
    """Refuse a recording whose windows hold NaN or a channel that never changes.

    Raises
    ------
    DataError
        Naming the subject, the channel and, for NaN, the first window.
    """
    low = np.full(recording.n_channels, np.inf, dtype=np.float32)
    high = np.full(recording.n_channels, -np.inf, dtype=np.float32)
    for begin in range(0, len(recording.windows), chunk):
        rows = np.arange(begin, min(begin + chunk, len(recording.windows)))
        signals = recording.read(rows)
        finite = np.isfinite(signals).all(axis=2)
        if not finite.all():
            row, channel = np.argwhere(~finite)[0]
            raise DataError(
                f"{recording.subject}: channel {recording.sensors.names[channel]!r} is not finite in window "
                f"{begin + row} (run {recording.windows['run'].iloc[begin + row]})"
            )
        low = np.minimum(low, signals.min(axis=(0, 2)))
        high = np.maximum(high, signals.max(axis=(0, 2)))
    flat = low == high
    if flat.any():
        name = recording.sensors.names[int(np.argmax(flat))]
        raise DataError(f"{recording.subject}: channel {name!r} is flat ({int(flat.sum())} flat of {len(flat)})")


def check_pairing(recording: Recording, stimuli: Stimuli) -> str:
    """Prove that every window names a known stimulus, and compute the digest of the pairing."""
    names = set(stimuli.names)
    used = recording.windows["stimulus"].astype(str)
    unknown = used[(used != "") & ~used.isin(names)]
    if not unknown.empty:
        raise DataError(
            f"{recording.subject}: window {unknown.index[0]} names the stimulus {unknown.iloc[0]!r}, which the study "
            f"does not have ({len(names)} stimuli)"
        )
    pairs = recording.windows[["run", "start", "stimulus"]].astype(str).to_numpy().tolist()
    return fingerprint(pairs)


def check_channels(recordings: Mapping[str, Recording]) -> None:
    """Refuse EEG or MEG subjects whose channels differ in name or order; voxels may differ, every brain has its own.

    Parameters
    ----------
    recordings : mapping of str to Recording
        By subject.

    Raises
    ------
    DataError
        Naming both subjects and the first channel that differs.
    """
    first: Recording | None = None
    for recording in recordings.values():
        if recording.modality == "fmri":
            continue
        first = first or recording
        mine, other = recording.sensors.names, first.sensors.names
        if mine == other:
            continue
        missing = [name for name in other if name not in mine]
        extra = [name for name in mine if name not in other]
        if missing:
            what = f"lacks the channel {missing[0]!r} that {first.subject} has"
        elif extra:
            what = f"has the channel {extra[0]!r} that {first.subject} lacks"
        else:
            at = next(index for index, name in enumerate(mine) if name != other[index])
            what = f"has channel {mine[at]!r} in the place of {first.subject}'s {other[at]!r}"
        raise DataError(f"{recording.subject}: {what} ({len(mine)} and {len(other)} channels)")


def check_expected(
    info: StudyInfo, stimuli: Stimuli, recordings: Mapping[str, Recording], *, n_subjects: int | None = None
) -> None:
    """Compare a study with the counts that it is known to have.

    Parameters
    ----------
    info : StudyInfo
        Whose `expected` is compared: ``subjects``, ``stimuli``, and of each subject ``windows``, ``runs``,
        ``channels``.
    stimuli : Stimuli
        The study's stimuli.
    recordings : mapping of str to Recording
        Some or all subjects.
    n_subjects : int, optional
        Number of subjects on disk.

    Raises
    ------
    DataError
        Naming the count that was got and the one expected.
    """
    found = [("stimuli", info.name, len(stimuli))]
    if n_subjects is not None:
        found.append(("subjects", info.name, n_subjects))
    for subject, recording in recordings.items():
        where = f"{info.name}, {subject}"
        found.append(("windows", where, len(recording.windows)))
        found.append(("runs", where, len(recording.windows[["session", "run"]].drop_duplicates())))
        found.append(("channels", where, recording.n_channels))
    for what, where, count in found:
        if what in info.expected and count != info.expected[what]:
            raise DataError(f"{where}: {count} {what}, expected {info.expected[what]}")
