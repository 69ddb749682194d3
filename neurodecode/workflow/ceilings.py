"""The ceilings of simulated studies, in the units that the decoders see."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.files import sha256_of_file
from neurodecode.core.kept import computed_by, content_digest, kept_arrays
from neurodecode.core.prepared import PreparedStudy
from neurodecode.datasets.catalogue import study_classes
from neurodecode.datasets.simulated_study import SimulatedStudy
from neurodecode.datasets.simulation.preparation import prepare_as, whiten
from neurodecode.datasets.simulation.study_ceilings import Averages, ceilings
from neurodecode.datasets.simulation.truth import load_truth, truth_path
from neurodecode.encoders.linear.trials import TrialSet

REASON_NO_TRUTH = "a ceiling needs the ground truth, which real recordings do not have"
SOURCES = ("neurodecode.datasets.simulation", "neurodecode.datasets.preprocessing", "neurodecode.workflow.ceilings")
CEILINGS = ("oracle", "ideal_learner", "exact_learner")


def has_truth(data: Path, subject: str) -> bool:
    """Tell whether a data set holds the ground truth of a subject."""
    return truth_path(data, subject).is_file()


def ceiling_scores(
    data: Path,
    prepared: PreparedStudy,
    subject: str,
    train: TrialSet,
    test: TrialSet,
    candidates: list[str],
    *,
    keep: Path | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Score every candidate with what knows the truth, for the same test averages that the decoders get.

    Parameters
    ----------
    data : Path
        The simulated data set.
    prepared : PreparedStudy
        The study prepared from it.
    subject : str
        Whose signals.
    train, test : TrialSet
        As `fold_items` gives them.
    candidates : list of str
        The gallery.
    keep : Path, optional
        A file in which they are kept; it is read as long as truth, signals, gallery and code are the same.

    Returns
    -------
    dict of str to ndarray of float32, shape (n_test, n_candidates)
        One log score a ceiling.
    """
    study = study_classes()[prepared.name]
    if not issubclass(study, SimulatedStudy):
        raise DataError(f"ceilings: {prepared.name} is not a simulated study")
    steps = study.preprocessing, prepared.header["sfreq"], study.window
    averaged = _averages(train.averaged()), _averages(test)
    channels = prepared.recording(subject).sensors.names

    def make() -> dict[str, NDArray[np.float32]]:
        truth = load_truth(data, subject)
        place = {name: row for row, name in enumerate(truth.channels)}
        rows = np.array([place[name] for name in channels], dtype=np.int64)
        found = ceilings(truth, whiten(prepare_as(truth, *steps).pick(rows)), *averaged, tuple(candidates))
        missing = [name for name in CEILINGS if name not in found]
        if missing:
            raise DataError(f"ceilings of {subject}: {missing[0]!r} was not computed")
        return {name: np.asarray(found[name], dtype=np.float32) for name in CEILINGS}

    if keep is None:
        return make()
    key = content_digest(
        {
            "by": computed_by(SOURCES),
            "truth": sha256_of_file(truth_path(data, subject)),
            "steps": repr(steps),
            "channels": channels,
            "averages": [[part.stimuli, part.signals, part.counts] for part in averaged],
            "candidates": candidates,
        }
    )
    return kept_arrays(keep, key, make)


def _averages(trials: TrialSet) -> Averages:
    return Averages(tuple(str(name) for name in trials.stimulus), trials.signals, trials.repetitions.astype(np.float64))
