"""How the committed noise levels came about: the level at which the ideal learner's top-1 reaches its aim.

Signals are drawn directly in units of the noise, which is the same experiment as writing a study, preparing it at 50
Hz with an average reference and whitening it, but takes seconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurodecode.datasets.preprocessing import preprocess_array
from neurodecode.datasets.simulation.ceilings import exact_learner, ideal_learner, oracle
from neurodecode.datasets.simulation.components import design_matrix
from neurodecode.datasets.simulation.preparation import Whitened, average_reference, both_sides, prepare, whiten
from neurodecode.datasets.simulation.settings import COMPONENTS_PER_LAYER, TEST_REPETITIONS, TRAIN_REPETITIONS
from neurodecode.datasets.simulation.subject import stream, subject_truth
from neurodecode.datasets.simulation.truth import Truth

#: What the ideal learner should reach in 200-way top-1, and how far from it a committed constant may be.
AIM = 0.95
TOLERANCE = 0.02

#: The rate at which the quickstart prepares EEG and MEG (Hz).
PREPARED_RATE = 50.0


def to_prepared_rate(signals: NDArray[np.float64], sfreq: float) -> tuple[NDArray[np.float64], float]:
    """Resample to 50 Hz as the quickstart does.

    Parameters
    ----------
    signals : array of shape (n_channels, n_samples)
        Continuous signals.
    sfreq : float
        Their rate (Hz).

    Returns
    -------
    signals : array of shape (n_channels, n_samples_out), float64
        At 50 Hz; the first sample stays in place.
    sfreq : float
        50.

    Examples
    --------
    >>> to_prepared_rate(np.ones((1, 1000)), 250.0)[0].shape
    (1, 200)
    """
    return preprocess_array(signals, sfreq, PREPARED_RATE).astype(np.float64), PREPARED_RATE


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
    """Prepare a subject as the quickstart does: 50 Hz, and an average reference for EEG.

    Parameters
    ----------
    truth : Truth
        One subject.

    Returns
    -------
    Experiment
        Ready to draw from.
    """
    temporal = None if truth.modality == "fmri" else to_prepared_rate
    space = average_reference(len(truth.channels)) if truth.modality == "eeg" else None
    prepared = prepare(truth, temporal, space)
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


def study_scores(experiments: Sequence[Experiment]) -> dict[str, float]:
    """Compute top-1 and top-5 of the three ceilings, mean over subjects.

    Parameters
    ----------
    experiments : sequence of Experiment
        The subjects.

    Returns
    -------
    dict of float
        For example `ideal_learner_top1`.
    """
    values: dict[str, list[float]] = {}
    for subject in experiments:
        generator = stream(subject.truth.seed, "calibration", subject.truth.subject)
        for name, scores in draw_scores(subject, generator).items():
            for k in (1, 5):
                values.setdefault(f"{name}_top{k}", []).append(top_k(scores, k))
    return {name: float(np.mean(found)) for name, found in values.items()}


def calibrate(
    experiments: Sequence[Experiment], bracket: tuple[float, float] = (1 / 16, 16.0), steps: int = 10
) -> float:
    """Find the noise, as a multiple of the committed level, at which the ideal learner's mean top-1 is the aim.

    Parameters
    ----------
    experiments : sequence of Experiment
        Subjects, of several seeds for a steady result.
    bracket : tuple of float
        A multiple that is too easy and one that is too hard.
    steps : int
        Bisections on a logarithmic scale.

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
            generator = stream(subject.truth.seed, "calibration", subject.truth.subject)
            reached.append(top_k(draw_scores(subject, generator, ratio=middle, only_ideal=True)["ideal_learner"], 1))
        low, high = (middle, high) if np.mean(reached) > AIM else (low, middle)
    return float(np.sqrt(low * high))
