"""The subjects that are trained together: what their signals are like, and the items of a part of a fold."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError, DataError, suggestion
from neurodecode.core.prepared import PreparedStudy
from neurodecode.core.split import Part
from neurodecode.encoders.brain.layouts import SensorLayout
from neurodecode.training.items import Items, items_of_sequences, items_of_subject, join_items
from neurodecode.training.preparation import build_transforms, transformed_sensors


def wanted_subjects(study: PreparedStudy, subjects: Sequence[str] | None) -> list[str]:
    """Return who is trained together: all subjects of the study, or some of them.

    Raises
    ------
    ConfigError
        For none, or one that is not in the study.
    """
    wanted = list(study.subjects if subjects is None else subjects)
    unknown = [subject for subject in wanted if subject not in study.subjects]
    if unknown or not wanted:
        got, known = unknown[0] if unknown else "none", study.subjects
        raise ConfigError(f"subjects: got {got}, expected some of {', '.join(known)}{suggestion(got, known)}")
    return wanted


def items_of_fold(
    study: PreparedStudy, subjects: Sequence[str], part: Part, *, fold: int, sequence: str | None = None
) -> Items:
    """List what a part of a fold asks for: repetitions to average, or every window of whole sequences.

    Parameters
    ----------
    study : PreparedStudy
        Says what candidates are, and which windows are averaged.
    subjects : sequence of str
        Whose windows.
    part : str
        ``train``, ``val`` or ``test``.
    fold : int
        Which fold.
    sequence : str, optional
        Column of the window table that names sequences.
    """
    concepts = None
    if study.info["candidates"] == "concept":
        table = study.stimuli.table
        concepts = dict(zip(table["stimulus"].astype(str), table["concept"].astype(str), strict=True))
    found = []
    for subject in subjects:
        windows = study.recording(subject).windows
        if sequence is not None:
            items = items_of_sequences(
                windows, study.split, subject, part, fold=fold, sequence=sequence, candidates=concepts
            )
        else:
            averaging = study.info["averaging"]
            items = items_of_subject(
                windows, study.split, subject, part, fold=fold, averaging=averaging, candidates=concepts
            )
        found.append(items)
    return join_items(found)


def shown_stimuli(parts: Iterable[Items]) -> dict[str, str]:
    """Return, for every candidate of the parts of a fold, the first stimulus that shows it."""
    shown: dict[str, str] = {}
    for items in parts:
        for candidate, stimulus in zip(items.table["candidate"], items.table["stimulus"], strict=True):
            shown.setdefault(str(candidate), str(stimulus))
    return shown


def draw_windows(
    items: Items, mine: NDArray[np.int64], most: int, generator: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """Draw whole items that hold at most so many windows, but one at least.

    Parameters
    ----------
    items : Items
        A part of a fold.
    mine : ndarray of int
        Which of them may be drawn.
    most : int
        How many windows.
    generator : numpy.random.Generator
        Source of the draw.

    Returns
    -------
    rows : ndarray of int, shape (n_windows,)
        Rows of the table of windows.
    names : ndarray of str, shape (n_windows,)
        What each is a repetition of.
    """
    order = generator.permutation(mine)
    counts = np.cumsum([len(items.windows[item]) for item in order])
    chosen = np.sort(order[: max(1, int(np.searchsorted(counts, most, side="right")))])
    rows = np.concatenate([items.windows[item] for item in chosen])
    names = np.repeat(items.table["item"].to_numpy().astype(str)[chosen], [len(items.windows[item]) for item in chosen])
    return rows, names


def describe_subjects(
    study: PreparedStudy, subjects: Sequence[str], transforms: list[dict[str, Any]]
) -> tuple[dict[str, Any], int]:
    """Describe the signals of every subject as the encoder gets them, in plain values.

    Parameters
    ----------
    study : PreparedStudy
        The study.
    subjects : sequence of str
        Who.
    transforms : list of dict
        See :func:`neurodecode.training.preparation.build_transforms`.

    Returns
    -------
    described : dict
        By subject.
    n_times : int
        Of every window.

    Raises
    ------
    DataError
        If windows differ in length between subjects.
    """
    described, lengths = {}, {}
    for subject in subjects:
        recording = study.recording(subject)
        chain = build_transforms(transforms, recording.sensors)
        layout = SensorLayout.of(transformed_sensors(chain, recording.sensors))
        described[subject] = {
            "n_channels": len(layout.names),
            "layout": recording.sensors.layout_fingerprint(),
            "channels": list(recording.sensors.names),
            "sfreq": recording.sensors.sfreq,
            "tmin": recording.sensors.tmin,
            "unit": recording.sensors.unit,
            "sensors": layout.to_plain(),
        }
        lengths[subject] = recording.n_times
    if len(set(lengths.values())) != 1:
        listed = ", ".join(f"{subject}: {length}" for subject, length in lengths.items())
        raise DataError(f"{study.name}: windows differ in length between subjects ({listed})")
    return described, next(iter(lengths.values()))
