"""Reading targets of candidates: which key each has, what shape, and from where in a series it is cut."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import DataError, MismatchError
from neurodecode.core.targets import Targets, TargetSpace

#: Columns of a stimulus table that say where in which series the target of a segment lies.
SERIES, SERIES_ONSET = "series", "series_onset"


def target_shape(space: TargetSpace, seconds: float) -> tuple[int, ...]:
    """Return the shape of one candidate's target: that of the space, with a series' frames for a window in front.

    Parameters
    ----------
    space : TargetSpace
        The space.
    seconds : float
        Duration of a window.

    Examples
    --------
    >>> target_shape(TargetSpace("net", "00", "last", "none", "16 kHz", False, "series", (8,), 50.0), 3.0)
    (150, 8)
    """
    if space.kind != "series" or space.rate is None:
        return space.shape
    frames = round(seconds * space.rate)
    if frames < 1:
        raise DataError(f"target {space.label}: a window of {seconds:g} s holds no frame at {space.rate:g} Hz")
    return (frames, *space.shape)


def target_keys(
    targets: Mapping[str, Targets], candidates: Sequence[str], shown: Mapping[str, str], stimuli: pd.DataFrame
) -> dict[str, list[str]]:
    """Return, for every target, the key of every candidate.

    That is its own name, or that of a stimulus that shows it; for a segment of a series, what the table of stimuli
    names under ``series``.

    Parameters
    ----------
    targets : mapping of str to Targets
        By head.
    candidates : sequence of str
        What is to be recognised.
    shown : mapping of str to str
        A stimulus that shows each candidate.
    stimuli : pandas.DataFrame
        The study's table of stimuli.

    Raises
    ------
    DataError
        If a candidate has no target.
    """
    series = dict(zip(stimuli["stimulus"], stimuli[SERIES], strict=True)) if SERIES in stimuli else {}
    keys = {}
    for name, values in targets.items():
        keys[name] = [key if key in values else shown[key] for key in candidates]
        if values.space.kind == "series":
            keys[name] = [str(series.get(key, key)) for key in keys[name]]
        missing = [key for key in keys[name] if key not in values]
        if missing:
            raise DataError(
                f"targets {name!r}: no embedding of {missing[0]!r} ({len(missing)} of {len(keys[name])} missing)"
            )
    return keys


def read_targets(targets: Targets, keys: Sequence[str], onsets: Sequence[float], seconds: float) -> NDArray[np.float32]:
    """Read the target of every candidate.

    Parameters
    ----------
    targets : Targets
        One space.
    keys : sequence of str
        See :func:`target_keys`.
    onsets : sequence of float
        Where a segment begins in its series, in seconds; unused for other kinds.
    seconds : float
        Duration of a window.

    Returns
    -------
    ndarray of shape (n_candidates, *target_shape)
    """
    if targets.space.kind != "series":
        return targets.get(keys)
    return np.stack([targets.slice(key, onset, seconds) for key, onset in zip(keys, onsets, strict=True)])


def require_degraded(name: str, clean: TargetSpace, degraded: TargetSpace) -> None:
    """Refuse degraded targets that differ from the clean ones in more than the preprocessing of the stimulus.

    Raises
    ------
    MismatchError
        Naming what differs.
    """
    keys = [key for key, value in clean.to_dict().items() if degraded.to_dict()[key] != value]
    if set(keys) - {"preprocessing"}:
        raise MismatchError(
            f"training_targets {name!r}: got {degraded.label}, which differs from {clean.label} in {', '.join(keys)}, "
            "expected the same network, layer and pooling"
        )
