"""Reading targets of candidates: which key each has, what shape, and from where in a series it is cut."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurodecode.core.errors import DataError, MismatchError
from neurodecode.core.targets import Targets, TargetSpace
from neurodecode.training.target_reduction import TargetMap

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


@dataclass(frozen=True)
class TargetReader:
    """Read one target of candidates from where it is stored.

    Parameters
    ----------
    targets : Targets
        One space.
    keys : list of str
        Of every candidate; see :func:`target_keys`.
    onsets : list of float
        Where a segment begins in its series, in seconds; unused for other kinds.
    seconds : float
        Duration of a window.
    """

    targets: Targets
    keys: list[str]
    onsets: list[float]
    seconds: float

    def __len__(self) -> int:
        """Return the number of candidates."""
        return len(self.keys)

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read some candidates, shape (n, *target_shape)."""
        if self.targets.space.kind != "series":
            return self.targets.get([self.keys[row] for row in rows])
        return np.stack([self.targets.slice(self.keys[row], self.onsets[row], self.seconds) for row in rows])

    def chunks(self, rows: NDArray[np.int64], size: int = 64) -> Iterator[NDArray[np.float32]]:
        """Read candidates a few at a time."""
        for begin in range(0, len(rows), size):
            yield self.read(rows[begin : begin + size])


@dataclass(frozen=True)
class StoredTargets:
    """Targets in their own shape, read when a batch asks for them: tokens and time series do not fit into memory.

    Parameters
    ----------
    reader : TargetReader
        Where they are.
    scaling : TargetMap
        What is done to them.
    """

    reader: TargetReader
    scaling: TargetMap

    def __len__(self) -> int:
        """Return the number of candidates."""
        return len(self.reader)

    def __getitem__(self, index: Tensor) -> Tensor:
        """Return rows ``(n, *shape)``, float32."""
        return torch.from_numpy(self.scaling(self.reader.read(index.numpy())))


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
