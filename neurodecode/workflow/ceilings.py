"""The ceilings of simulated studies, in the units that the decoders see."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.prepared import PreparedStudy
from neurodecode.datasets.catalogue import study_classes
from neurodecode.datasets.simulated_study import SimulatedStudy
from neurodecode.datasets.simulation.preparation import prepare_as, whiten
from neurodecode.datasets.simulation.study_ceilings import Averages, ceilings
from neurodecode.datasets.simulation.truth import load_truth, truth_path
from neurodecode.encoders.linear.trials import TrialSet

CEILINGS = ("oracle", "ideal_learner", "exact_learner")


def has_truth(data: Path, subject: str) -> bool:
    """Tell whether a data set holds the ground truth of a subject."""
    return truth_path(data, subject).is_file()


def ceiling_scores(
    data: Path, prepared: PreparedStudy, subject: str, train: TrialSet, test: TrialSet, candidates: list[str]
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

    Returns
    -------
    dict of str to ndarray of float32, shape (n_test, n_candidates)
        One log score a ceiling.
    """
    truth = load_truth(data, subject)
    study = study_classes()[prepared.name]
    if not issubclass(study, SimulatedStudy):
        raise DataError(f"ceilings: {prepared.name} is not a simulated study")
    whitened = whiten(prepare_as(truth, study.preprocessing, prepared.header["sfreq"], study.window))
    averaged = train.averaged()
    found = ceilings(truth, whitened, _averages(averaged), _averages(test), tuple(candidates))
    missing = [name for name in CEILINGS if name not in found]
    if missing:
        raise DataError(f"ceilings of {subject}: {missing[0]!r} was not computed")
    return {name: np.asarray(found[name], dtype=np.float32) for name in CEILINGS}


def _averages(trials: TrialSet) -> Averages:
    return Averages(tuple(str(name) for name in trials.stimulus), trials.signals, trials.repetitions.astype(np.float64))
