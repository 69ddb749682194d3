"""Which picture is shown when: runs, repetitions, order and onsets."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.datasets.simulation.settings import (
    ONSET_GRID,
    ONSET_JITTER,
    ONSET_SPACING,
    RESPONSE_DURATION,
    TEST_REPETITIONS,
    TRAIN_REPETITIONS,
)

#: Runs have about this many trials.
TRIALS_PER_RUN = 600

#: Silence before the first onset and after the last response (s).
RUN_MARGIN = 4.0


def plan_trials(
    stimuli: Sequence[str],
    splits: Sequence[str],
    generator: np.random.Generator,
    *,
    train_repetitions: int = TRAIN_REPETITIONS,
    test_repetitions: int = TEST_REPETITIONS,
    trials_per_run: int = TRIALS_PER_RUN,
) -> pd.DataFrame:
    """Plan one subject's trials.

    Test pictures are shown in runs of their own. The pictures of a side are shown once each in random order, then once
    each in another order, and so on; the runs cut this sequence into parts of nearly equal length. Onsets lie on a
    grid of 20 ms and are 1.0 to 1.2 s apart.

    Parameters
    ----------
    stimuli, splits : sequences of str
        The pictures and their `train`, `val` or `test`.
    generator : numpy.random.Generator
        Draws orders and onsets.
    train_repetitions, test_repetitions : int
        How often each picture is shown.
    trials_per_run : int
        About how many trials a run has.

    Returns
    -------
    pandas.DataFrame
        Columns `run` (from 1), `onset` (s from the run's start), `stimulus`, `repetition` (from 1), `split`.

    Examples
    --------
    >>> trials = plan_trials(["a", "b", "c"], ["train", "val", "test"], np.random.default_rng(0))
    >>> trials.groupby("split").size().to_dict()
    {'test': 20, 'train': 4, 'val': 4}
    """
    split_of = dict(zip(stimuli, splits, strict=True))
    tables = []
    first_run = 1
    for test, repetitions in ((False, train_repetitions), (True, test_repetitions)):
        shown = np.array([name for name in stimuli if (split_of[name] == "test") == test], dtype=np.str_)
        if not len(shown):
            continue
        order = np.concatenate([generator.permutation(shown) for _repetition in range(repetitions)])
        table = pd.DataFrame({"stimulus": order, "repetition": np.repeat(np.arange(1, repetitions + 1), len(shown))})
        n_runs = max(1, round(len(order) / trials_per_run))
        runs = np.arange(len(order)) * n_runs // len(order)
        table["run"] = first_run + runs
        table["onset"] = np.concatenate([draw_onsets(int((runs == run).sum()), generator) for run in range(n_runs)])
        first_run += n_runs
        tables.append(table)
    trials = pd.concat(tables, ignore_index=True)
    trials["split"] = trials["stimulus"].map(split_of)
    return trials[["run", "onset", "stimulus", "repetition", "split"]]


def draw_onsets(n_trials: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Draw the onsets of one run.

    Parameters
    ----------
    n_trials : int
        How many.
    generator : numpy.random.Generator
        Draws the jitter.

    Returns
    -------
    array of shape (n_trials,), float64
        Seconds from the start of the run, whole multiples of 20 ms.

    Examples
    --------
    >>> onsets = draw_onsets(50, np.random.default_rng(0))
    >>> bool(np.diff(onsets).min() >= 0.999)
    True
    """
    steps = round(ONSET_SPACING / ONSET_GRID) + generator.integers(0, round(ONSET_JITTER / ONSET_GRID) + 1, n_trials)
    steps[:1] = round(RUN_MARGIN / ONSET_GRID)
    onsets: NDArray[np.float64] = np.round(np.cumsum(steps) * ONSET_GRID, 6)
    return onsets


def run_samples(onsets: NDArray[np.float64], sfreq: float) -> int:
    """Count the samples of a run that ends some seconds after its last response.

    Parameters
    ----------
    onsets : array of shape (n_trials,)
        Seconds from the start of the run.
    sfreq : float
        Sampling rate (Hz).

    Returns
    -------
    int
        The length of the run.

    Examples
    --------
    >>> run_samples(np.array([4.0]), 250.0)
    2250
    """
    return round((float(onsets[-1]) + RESPONSE_DURATION + RUN_MARGIN) * sfreq)
