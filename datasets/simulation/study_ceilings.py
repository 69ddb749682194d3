"""The three ceilings of one subject, from its truth and from epochs prepared like any decoder's."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import LeakageError
from neurodecode.datasets.simulation.ceilings import exact_learner, ideal_learner, oracle
from neurodecode.datasets.simulation.preparation import Whitened
from neurodecode.datasets.simulation.truth import Truth


@dataclass(frozen=True, eq=False)
class Averages:
    """Prepared signals averaged over the repetitions of each stimulus.

    Attributes
    ----------
    stimuli : tuple of str
        One a row.
    signals : array of shape (n_stimuli, n_channels, n_times)
        The averages.
    counts : array of shape (n_stimuli,), float64
        How many trials each average holds.
    """

    stimuli: tuple[str, ...]
    signals: NDArray[np.floating]
    counts: NDArray[np.float64]


def average_trials(stimuli: NDArray[np.str_], epochs: NDArray[np.floating]) -> Averages:
    """Average the trials of each stimulus.

    Parameters
    ----------
    stimuli : array of shape (n_trials,)
        The stimulus of each trial.
    epochs : array of shape (n_trials, n_channels, n_times)
        Prepared signals.

    Returns
    -------
    Averages
        Sorted by stimulus.

    Examples
    --------
    >>> averages = average_trials(np.array(["b", "a", "b"]), np.array([1.0, 5.0, 3.0]).reshape(3, 1, 1))
    >>> averages.stimuli, averages.signals.ravel().tolist(), averages.counts.tolist()
    (('a', 'b'), [5.0, 2.0], [1.0, 2.0])
    """
    names, groups, counts = np.unique(stimuli, return_inverse=True, return_counts=True)
    order = np.argsort(groups, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    sums = np.add.reduceat(np.asarray(epochs)[order], starts, axis=0, dtype=np.float64)
    return Averages(tuple(str(name) for name in names), sums / counts[:, None, None], counts.astype(np.float64))


def ceilings(
    truth: Truth, whitened: Whitened, train: Averages, test: Averages, candidates: tuple[str, ...] | None = None
) -> dict[str, NDArray[np.float64]]:
    """Score every candidate for every test average with the three ceilings.

    Parameters
    ----------
    truth : Truth
        The subject. Where `truth.approximate` holds, the signals have effects that the ceilings do not model.
    whitened : Whitened
        `whiten(prepare(truth, ...))` for the preprocessing that made the epochs.
    train : Averages
        The training pictures that the decoders learn from.
    test : Averages
        The test pictures.
    candidates : tuple of str, optional
        The stimuli to rank; those of `test` by default.

    Returns
    -------
    dict of arrays of shape (n_test, n_candidates), float64
        Log scores under `oracle`, `ideal_learner` and `exact_learner`.

    Raises
    ------
    LeakageError
        If a training picture is among the test pictures.
    """
    both = sorted(set(train.stimuli) & set(test.stimuli))
    if both:
        raise LeakageError(f"train: stimulus {both[0]!r} is also among the test stimuli")
    candidates = test.stimuli if candidates is None else candidates
    train_design = truth.design[truth.rows(train.stimuli)]
    rows = truth.rows(candidates)
    train_signals, test_signals = whitened.apply(train.signals), whitened.apply(test.signals)
    prior = truth.weight_variance @ whitened.basis**2
    return {
        "oracle": oracle(test_signals, test.counts, truth.activations[rows] @ whitened.basis),
        "ideal_learner": ideal_learner(
            train_signals,
            train.counts,
            train_design,
            prior,
            test_signals,
            test.counts,
            truth.design[rows],
            whitened.noise_variance,
        ),
        "exact_learner": exact_learner(
            train_signals,
            train.counts,
            train_design,
            whitened.basis,
            truth.weight_variance,
            test_signals,
            test.counts,
            truth.design[rows],
        ),
    }
