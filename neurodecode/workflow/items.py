"""From a prepared study to the rows that linear models and scores speak of."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.prepared import PreparedStudy
from neurodecode.core.recording import Recording, group_by_stimulus
from neurodecode.core.split import Part, Split
from neurodecode.encoders.linear.trials import TrialSet

FITTED_ON: tuple[Part, Part] = ("train", "val")


@dataclass(frozen=True)
class Items:
    """The three parts of one subject's fold.

    Parameters
    ----------
    train, validation, test : TrialSet
        Training and validation rows are single windows; test rows are what is scored: averages over the repetitions of
        a stimulus, or single windows where the study scores them.
    test_names : list of str
        A name for each test row, unique within the subject.
    """

    train: TrialSet
    validation: TrialSet
    test: TrialSet
    test_names: list[str]

    @property
    def known(self) -> list[str]:
        """List the stimuli that models may know: those of training and validation, sorted."""
        return sorted({*self.train.stimulus.tolist(), *self.validation.stimulus.tolist()})


def windows_as_trials(
    split: Split, recording: Recording, rows: NDArray[np.int64], *, averaged: bool
) -> tuple[TrialSet, list[str]]:
    """Read windows as trials, singly or averaged over the repetitions of a stimulus.

    Parameters
    ----------
    split : Split
        The study's split, for its units.
    recording : Recording
        One of its subjects.
    rows : ndarray of int
        Positions in the window table; windows without a stimulus are left out.
    averaged : bool
        Whether windows of one stimulus become one row. The signals, not the predictions, are averaged.

    Returns
    -------
    trials : TrialSet
        The rows.
    names : list of str
        The stimulus of an averaged row, ``run/onset`` of a single one.
    """
    windows = recording.windows
    stimulus = windows["stimulus"].to_numpy().astype(str)
    kept = np.asarray([row for row in rows if stimulus[row]], dtype=np.int64)
    if not len(kept):
        raise DataError(f"{recording.subject}: no window with a stimulus in this part of the split")
    if averaged:
        names, groups = group_by_stimulus(windows, kept)
        first = np.array([group[0] for group in groups])
        counts = np.array([len(group) for group in groups])
        signals = recording.read_averaged(groups)
    else:
        first, counts = kept, np.ones(len(kept), dtype=np.int64)
        signals = recording.read(kept)
        names = [
            f"{run}/{onset:g}"
            for run, onset in zip(windows["run"].iloc[kept], windows["onset"].iloc[kept], strict=True)
        ]
        names = [
            f"{session}/{name}" if session else name
            for session, name in zip(windows["session"].iloc[kept], names, strict=True)
        ]
        if len(set(names)) < len(names):  # epochs without a clock
            names = [f"{name}/{row}" for name, row in zip(names, kept, strict=True)]
    units = split.units(first, recording.subject)
    return TrialSet(signals, stimulus[first], units, counts), names


def fold_items(prepared: PreparedStudy, subject: str, *, fold: int = 0) -> Items:
    """Read the three parts of a fold.

    Parameters
    ----------
    prepared : PreparedStudy
        The study.
    subject : str
        Whose windows.
    fold : int
        Which fold.

    Returns
    -------
    Items
        The parts. A part without windows is a DataError. Of a subject who is left out, training and validation are
        those of all others, averages of each person over the repetitions of a stimulus.
    """
    recording, split = prepared.recording(subject, fold=fold), prepared.split
    averaged = prepared.info["averaging"] == "stimulus"
    test, names = windows_as_trials(split, recording, split.rows(subject, "test", fold=fold), averaged=averaged)
    train, validation = (_part(prepared, split, subject, part, fold=fold, averaged=averaged) for part in FITTED_ON)
    return Items(train, validation, test, names)


def _part(prepared: PreparedStudy, split: Split, subject: str, part: Part, *, fold: int, averaged: bool) -> TrialSet:
    """Read the windows that models of a subject are fitted on or chosen by: its own, or all others' if it has none."""
    people = trained_on(split, prepared.subjects, subject, fold, part=part)
    if people == [subject]:
        rows = split.rows(subject, part, fold=fold)
        return windows_as_trials(split, prepared.recording(subject, fold=fold), rows, averaged=False)[0]
    own = prepared.recording(subject).sensors.names
    parts = []
    for person in people:
        recording = prepared.recording(person, fold=fold)
        if recording.sensors.names != own:
            raise DataError(
                f"{subject}: left out, but {person} whom models are fitted on has other channels "
                f"({recording.n_channels} and {len(own)})"
            )
        # Averaged for each person, since together there are many; what differs between people counts as noise.
        rows = split.rows(person, part, fold=fold)
        parts.append(windows_as_trials(split, recording, rows, averaged=averaged)[0])
    return TrialSet(
        np.concatenate([trials.signals for trials in parts]),
        np.concatenate([trials.stimulus for trials in parts]),
        np.concatenate([trials.group for trials in parts]),
        np.concatenate([trials.repetitions for trials in parts]),
    )


def trained_on(split: Split, subjects: Sequence[str], subject: str, fold: int, *, part: Part = "train") -> list[str]:
    """List whose windows the models of a subject are fitted on: its own, or those of all others where it is left out.

    Raises
    ------
    DataError
        If nobody has windows in that part of the fold.
    """
    if len(split.rows(subject, part, fold=fold)):
        return [subject]
    found = [person for person in subjects if len(split.rows(person, part, fold=fold))]
    if not found:
        raise DataError(f"split: fold {fold} has no windows in {part}")
    return found


def is_across_subjects(split: Split, subjects: Sequence[str]) -> bool:
    """Tell whether tested subjects are left out of training in every fold that tests them."""
    tested = [(name, fold) for fold in range(split.n_folds) for name in subjects if is_tested(split, name, fold)]
    return bool(tested) and not any(len(split.rows(name, "train", fold=fold)) for name, fold in tested)


def fewer_repetitions(
    prepared: PreparedStudy, split: Split, subject: str, repetitions: int, *, fold: int = 0, seed: int = 0
) -> TrialSet:
    """Read the test stimuli of a fold with only some of their repetitions averaged.

    Parameters
    ----------
    prepared : PreparedStudy
        A study whose test rows are averages over the repetitions of a stimulus.
    split : Split
        Its split.
    subject : str
        Whose windows.
    repetitions : int
        Windows of each stimulus that are averaged, drawn with `seed`.
    fold : int
        Which fold.
    seed : int
        Seed of that draw.

    Returns
    -------
    TrialSet
        One row a stimulus.
    """
    recording = prepared.recording(subject, fold=fold)
    rows = draw_repetitions(recording, split.rows(subject, "test", fold=fold), repetitions, seed)
    trials, _ = windows_as_trials(split, recording, rows, averaged=True)
    return trials


def draw_repetitions(recording: Recording, rows: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Draw `count` windows of each stimulus among some rows, without looking at the signals."""
    generator = np.random.default_rng(seed)
    _, groups = group_by_stimulus(recording.windows, rows)
    if min(len(group) for group in groups) < count:
        raise DataError(
            f"{recording.subject}: {count} repetitions asked for, a stimulus has {min(len(group) for group in groups)}"
        )
    drawn = np.concatenate([generator.choice(group, count, replace=False) for group in groups])
    positions: NDArray[np.int64] = np.sort(drawn)
    return positions


def is_tested(split: Split, subject: str, fold: int) -> bool:
    """Tell whether a subject has test windows in a fold: one with fewer runs than others sits out the surplus folds."""
    return len(split.rows(subject, "test", fold=fold)) > 0


def candidate_names(prepared: PreparedStudy, subjects: list[str], folds: list[int]) -> list[str]:
    """List the gallery: every stimulus that is tested in some fold of some subject, sorted."""
    found: set[str] = set()
    split = prepared.split
    for subject in subjects:
        shown = prepared.recording(subject).windows["stimulus"].to_numpy().astype(str)
        for fold in folds:
            found |= set(shown[split.rows(subject, "test", fold=fold)])
    found.discard("")
    if len(found) < 2:
        raise DataError(f"{prepared.name}: {len(found)} test stimuli, expected at least two candidates")
    return sorted(found)
