"""Segments of speech as arrays: their features with context, and the windows of the brain that heard them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError, MismatchError
from neurodecode.core.files import fingerprint
from neurodecode.core.prepared import PreparedStudy
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.targets import Targets
from neurodecode.encoders.linear.trials import TrialSet
from neurodecode.workflow.items import windows_as_trials

#: Training windows of a passage that begin closer together than this (s) say little new to a linear model.
SPACING = 0.75


@dataclass(frozen=True)
class SeriesBank:
    """Several layers of series of the same audio, read segment by segment.

    Parameters
    ----------
    layers : mapping of str to Targets
        Series of one rate.
    stimuli : Stimuli
        Of the prepared study: says where every segment lies.
    seconds : float
        Length of a segment.

    Raises
    ------
    DataError
        If a target is no series, or rates differ.
    """

    layers: Mapping[str, Targets]
    stimuli: Stimuli
    seconds: float

    def __post_init__(self) -> None:
        rates = {name: targets.space.rate for name, targets in self.layers.items()}
        if not rates or None in rates.values() or len(set(rates.values())) != 1:
            raise DataError(f"targets: got the rates {rates}, expected series of one rate")

    @classmethod
    def open(cls, folder: Path, prepared: PreparedStudy) -> "SeriesBank":
        """Open every finished folder of series under `folder`, as `neurodecode embed` writes them for a prepared study.

        Raises
        ------
        DataError
            If there is none, or one is no series.
        MismatchError
            If their rate is not that of the study's signals.
        """
        names = sorted(path.parent.name for path in folder.glob("*/space.json")) if folder.is_dir() else []
        if not names:
            raise DataError(f"{folder}: no folder of targets; make them with `neurodecode embed`")
        first = prepared.recording(prepared.subjects[0])
        layers = {name: Targets.open(folder / name) for name in names}
        for name, targets in layers.items():
            if targets.space.kind != "series":
                raise DataError(f"targets {name!r}: kind {targets.space.kind!r}, expected series: segments are ranked")
        bank = cls(layers, prepared.stimuli, first.n_times / first.sensors.sfreq)
        check_rates(prepared, bank)
        return bank

    @property
    def rate(self) -> float:
        """Give the frames per second."""
        return float(next(iter(self.layers.values())).space.rate or 0.0)

    def read(
        self, stimuli: Sequence[str], *, before: int = 0, after: int = 0, layers: Sequence[str] | None = None
    ) -> NDArray[np.float32]:
        """Read segments with frames of context, layers side by side: ``(n, before + n_frames + after, dim)``."""
        names = list(self.layers) if layers is None else list(layers)
        distinct = sorted(set(stimuli))
        table = self.stimuli.table.set_index("stimulus").loc[distinct]
        onsets = table["series_onset"].to_numpy(dtype=np.float64) - before / self.rate
        duration = self.seconds + (before + after) / self.rate
        rows = [
            np.concatenate([self.layers[name].slice(str(series), float(onset), duration) for name in names], axis=1)
            for series, onset in zip(table["series"], onsets, strict=True)
        ]
        place = {name: row for row, name in enumerate(distinct)}
        return np.stack(rows)[[place[str(name)] for name in stimuli]]

    def describe(self) -> dict[str, Any]:
        """Give plain values for results and checkpoints."""
        spaces = {name: targets.space.to_dict() for name, targets in self.layers.items()}
        return {"digest": fingerprint(spaces), "layers": spaces}


@dataclass(frozen=True)
class SegmentItems:
    """The parts of one subject's fold: single windows for training and validation, averages over repetitions to test.

    Parameters
    ----------
    train, validation, test : TrialSet
        Signals ``(n, n_channels, n_times)`` with their segments.
    """

    train: TrialSet
    validation: TrialSet
    test: TrialSet


def segment_items(prepared: PreparedStudy, subject: str, *, fold: int, spacing: float = SPACING) -> SegmentItems:
    """Read one subject's windows of one fold.

    Parameters
    ----------
    prepared : PreparedStudy
        The study; or a copy with shuffled labels.
    subject : str
        Whose windows.
    fold : int
        Which fold.
    spacing : float
        Training windows of one presentation of a passage that begin less than this (s) after the last one kept are
        left out: they overlap it almost wholly.
    """
    recording, split = prepared.recording(subject, fold=fold), prepared.split
    rows = split.rows(subject, "train", fold=fold)
    windows = recording.windows.iloc[rows]
    kept, last = [], (None, None, -np.inf)
    for row, block, passage, onset in zip(
        rows, windows["block"], windows["passage_start"], windows["onset"], strict=True
    ):
        if (block, passage) != last[:2] or onset - last[2] >= spacing or onset < last[2]:
            kept.append(row)
            last = (block, passage, onset)
    parts = [
        windows_as_trials(split, recording, np.asarray(part, dtype=np.int64), averaged=averaged)[0]
        for part, averaged in (
            (kept, False),
            (split.rows(subject, "val", fold=fold), False),
            (split.rows(subject, "test", fold=fold), True),
        )
    ]
    return SegmentItems(*parts)


def check_rates(prepared: PreparedStudy, bank: SeriesBank) -> None:
    """Refuse targets whose frames are not the samples of the signals."""
    recording = prepared.recording(prepared.subjects[0])
    if abs(recording.sensors.sfreq - bank.rate) > 1e-9 or recording.n_times != round(bank.seconds * bank.rate):
        raise MismatchError(
            f"targets: {bank.rate:g} frames per second and {bank.seconds:g} s, but the windows have "
            f"{recording.n_times} samples at {recording.sensors.sfreq:g} Hz; embed at the rate of the signals"
        )
