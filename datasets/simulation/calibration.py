"""How the committed noise levels came about: the level at which the ideal learner's top-1 reaches its aim.

Signals are drawn directly in units of the noise, which is the same experiment as writing a study, preparing it at 50
Hz with an average reference and whitening it, but takes seconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurodecode.datasets.openmoji_eeg import OpenmojiEeg
from neurodecode.datasets.openmoji_fmri import OpenmojiFmri
from neurodecode.datasets.openmoji_meg import OpenmojiMeg
from neurodecode.datasets.simulated_study import SimulatedStudy
from neurodecode.datasets.simulation.ceilings import exact_learner, ideal_learner, oracle
from neurodecode.datasets.simulation.components import design_matrix
from neurodecode.datasets.simulation.preparation import Whitened, both_sides, prepare_as, whiten
from neurodecode.datasets.simulation.settings import COMPONENTS_PER_LAYER, TEST_REPETITIONS, TRAIN_REPETITIONS
from neurodecode.datasets.simulation.subject import stream, subject_truth
from neurodecode.datasets.simulation.truth import Truth

#: What the ideal learner should reach in 200-way top-1, and how far from it a committed constant may be.
AIM = 0.95
TOLERANCE = 0.02

#: The rate at which the quickstart prepares EEG and MEG (Hz).
PREPARED_RATE = 50.0

#: Whose preprocessing the levels hold for.
STUDIES: dict[str, type[SimulatedStudy]] = {"eeg": OpenmojiEeg, "meg": OpenmojiMeg, "fmri": OpenmojiFmri}


def top_k(scores: NDArray[np.float64], k: int) -> float:
    """Share of rows whose own column (the diagonal) is among the k best; a tie counts against it.

    Parameters
    ----------
    scores : array of shape (n, n)
        Greater is better.
    k : int
        How many best.

    Returns
    -------
    float
        Between 0 and 1.

    Examples
    --------
    >>> top_k(np.eye(3), 1), top_k(np.zeros((3, 3)), 1)
    (1.0, 0.0)
    """
    better = (scores >= np.diag(scores)[:, None]).sum(axis=1)
    return float((better <= k).mean())


@dataclass(frozen=True, eq=False)
class Experiment:
    """One subject, prepared, whitened and ready to draw averages from.

    Attributes
    ----------
    truth : Truth
        The subject.
    whitened : Whitened
        Its responses in units of the noise.
    space, time : arrays of shape (n_channels, n_channels) and (n_times, n_times), float64
        Covariance of the whitened noise: identities unless the preprocessing lowers the rank.
    """

    truth: Truth
    whitened: Whitened
    space: NDArray[np.float64]
    time: NDArray[np.float64]


def experiment(truth: Truth) -> Experiment:
    """Prepare a subject as the built-in studies do, at 50 Hz.

    Parameters
    ----------
    truth : Truth
        One subject.

    Returns
    -------
    Experiment
        Ready to draw from.
    """
    study = STUDIES[truth.modality]
    prepared = prepare_as(truth, study.preprocessing, PREPARED_RATE, study.window)
    whitened = whiten(prepared)
    return Experiment(
        truth,
        whitened,
        whitened.space @ prepared.noise_space @ whitened.space,
        whitened.time @ prepared.noise_time @ whitened.time,
    )


def draw_scores(
    subject: Experiment, generator: np.random.Generator, *, ratio: float = 1.0, only_ideal: bool = False
) -> dict[str, NDArray[np.float64]]:
    """Draw training and test averages of one subject in units of the noise, and score the test pictures.

    Parameters
    ----------
    subject : Experiment
        One subject.
    generator : numpy.random.Generator
        Draws the noise.
    ratio : float
        The noise as a multiple of the truth's.
    only_ideal : bool
        Leave the oracle and the exact learner out.

    Returns
    -------
    dict of arrays of shape (n_test, n_test), float64
        Log scores under `oracle`, `ideal_learner` and `exact_learner`.
    """
    truth = subject.truth
    basis = subject.whitened.basis / ratio
    splits = np.array(truth.splits)
    rows, signals, counts = {}, {}, {}
    for split, repetitions in (("train", TRAIN_REPETITIONS), ("test", TEST_REPETITIONS)):
        rows[split] = np.flatnonzero(splits == split)
        counts[split] = np.full(len(rows[split]), float(repetitions))
        noise = generator.standard_normal((len(rows[split]), len(subject.space), len(subject.time)))
        noise = both_sides(subject.space, noise, subject.time) / np.sqrt(repetitions)
        signals[split] = truth.activations[rows[split]] @ basis + noise.reshape(len(noise), -1)
    test, train = rows["test"], rows["train"]
    known = (signals["train"], counts["train"], truth.design[train])
    asked = (signals["test"], counts["test"])
    prior = truth.weight_variance @ basis**2
    ideal = ideal_learner(*known, prior, *asked, truth.design[test], subject.whitened.noise_variance)
    if only_ideal:
        return {"ideal_learner": ideal}
    return {
        "oracle": oracle(*asked, truth.activations[test] @ basis),
        "ideal_learner": ideal,
        "exact_learner": exact_learner(*known, basis, truth.weight_variance, *asked, truth.design[test]),
    }


def study_experiments(
    modality: str,
    features: Mapping[str, NDArray[np.floating]],
    splits: Sequence[str],
    *,
    seed: int = 0,
    subjects: int = 3,
    sfreq: float = 100.0,
) -> list[Experiment]:
    """Build the subjects of a study at the committed noise level.

    Parameters
    ----------
    modality : str
        `eeg`, `meg` or `fmri`.
    features : mapping from layer name to array of shape (n_stimuli, n_dims)
        Layers from early to late.
    splits : sequence of str
        `train`, `val` or `test`, one a stimulus.
    seed : int
        Of the study.
    subjects : int
        How many.
    sfreq : float
        Sampling rate before preparation (Hz).

    Returns
    -------
    list of Experiment
        One a subject.
    """
    design, layers = design_matrix(features, np.array(splits) == "train", COMPONENTS_PER_LAYER)
    stimuli = tuple(f"s{row}" for row in range(len(design)))
    return [
        experiment(subject_truth(modality, number, design, layers, stimuli, tuple(splits), seed=seed, sfreq=sfreq))
        for number in range(subjects)
    ]


def study_scores(experiments: Sequence[Experiment], draws: int = 3) -> dict[str, float]:
    """Compute top-1 and top-5 of the three ceilings, mean over subjects and draws of the noise.

    Parameters
    ----------
    experiments : sequence of Experiment
        The subjects.
    draws : int
        How often the noise is drawn: with one draw the mean of three subjects has a standard deviation of 0.01.

    Returns
    -------
    dict of float
        For example `ideal_learner_top1`.
    """
    values: dict[str, list[float]] = {}
    for subject in experiments:
        for draw in range(draws):
            generator = stream(subject.truth.seed, "calibration", subject.truth.subject, draw)
            for name, scores in draw_scores(subject, generator).items():
                for k in (1, 5):
                    values.setdefault(f"{name}_top{k}", []).append(top_k(scores, k))
    return {name: float(np.mean(found)) for name, found in values.items()}


def calibrate(
    experiments: Sequence[Experiment], bracket: tuple[float, float] = (1 / 16, 16.0), steps: int = 10, draws: int = 6
) -> float:
    """Find the noise, as a multiple of the committed level, at which the ideal learner's mean top-1 is the aim.

    Parameters
    ----------
    experiments : sequence of Experiment
        The subjects.
    bracket : tuple of float
        A multiple that is too easy and one that is too hard.
    steps : int
        Bisections on a logarithmic scale.
    draws : int
        How often the noise is drawn at every step.

    Returns
    -------
    float
        The multiple; one if the committed level is right.
    """
    low, high = bracket
    for _step in range(steps):
        middle = float(np.sqrt(low * high))
        reached = []
        for subject in experiments:
            for draw in range(draws):
                generator = stream(subject.truth.seed, "calibration", subject.truth.subject, draw)
                scores = draw_scores(subject, generator, ratio=middle, only_ideal=True)
                reached.append(top_k(scores["ideal_learner"], 1))
        low, high = (middle, high) if np.mean(reached) > AIM else (low, middle)
    return float(np.sqrt(low * high))
