"""Draw the signals of a run: responses at the onsets plus noise."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.datasets.simulation.noise import continuous_noise
from neurodecode.datasets.simulation.realism import add_artefacts, saturate, shift_responses
from neurodecode.datasets.simulation.subject import stream
from neurodecode.datasets.simulation.trials import run_samples
from neurodecode.datasets.simulation.truth import Truth


def continuous_run(truth: Truth, trials: pd.DataFrame, run: int) -> NDArray[np.float32]:
    """Draw the continuous signal of one EEG or MEG run.

    The noise of a run is one stationary process. It remembers little beyond a fifth of a second (at the shortest gap
    between the end of one window and the beginning of the next, the correlation is below 0.1), so trials are nearly
    independent.

    Parameters
    ----------
    truth : Truth
        The subject.
    trials : pandas.DataFrame
        The run's trials: columns `onset` and `stimulus`.
    run : int
        The run's number; it seeds the noise.

    Returns
    -------
    array of shape (n_channels, n_samples), float32
        In volts or tesla.

    Raises
    ------
    DataError
        If the truth is that of a volume.
    """
    if truth.spectrum is None:
        raise DataError(f"{truth.subject}: beta maps have no continuous signal")
    onsets = trials["onset"].to_numpy(dtype=np.float64)
    n_samples = run_samples(onsets, truth.sfreq)
    generator = stream(truth.seed, "noise", truth.modality, truth.subject, run)
    noise = continuous_noise(len(truth.channels), n_samples, truth.sfreq, truth.spectrum, generator)
    signal = np.linalg.cholesky(truth.noise_space).astype(np.float32) @ noise

    activations = truth.activations[truth.rows(trials["stimulus"].to_numpy(dtype=np.str_))]
    effects = stream(truth.seed, "effects", truth.modality, truth.subject, run) if truth.approximate else None
    starts = np.round(onsets * truth.sfreq).astype(np.int64)
    if effects is not None:
        activations = saturate(activations)
        starts = shift_responses(starts, truth.sfreq, effects)
    sources = np.zeros((len(truth.timecourses), n_samples), dtype=np.float32)
    courses = truth.timecourses.astype(np.float32)
    length = courses.shape[1]
    for start, activation in zip(starts, activations.astype(np.float32), strict=True):
        sources[:, start : start + length] += activation[:, None] * courses
    signal += truth.topographies.astype(np.float32) @ sources
    if effects is not None:
        signal = add_artefacts(signal, truth, effects)
    return signal


def beta_run(truth: Truth, trials: pd.DataFrame, run: int) -> NDArray[np.float32]:
    """Draw the beta maps of one fMRI run.

    Parameters
    ----------
    truth : Truth
        The subject.
    trials : pandas.DataFrame
        The run's trials: column `stimulus`.
    run : int
        The run's number; it seeds the noise.

    Returns
    -------
    array of shape (n_trials, n_voxels), float32
        In per cent of the baseline.
    """
    generator = stream(truth.seed, "noise", truth.modality, truth.subject, run)
    white = generator.standard_normal((len(trials), len(truth.channels)), dtype=np.float32)
    activations = truth.activations[truth.rows(trials["stimulus"].to_numpy(dtype=np.str_))]
    drift = np.zeros(len(trials))
    if truth.approximate:
        effects = stream(truth.seed, "effects", truth.modality, truth.subject, run)
        activations = saturate(activations)
        # What a general linear model leaves of the scanner's drift: a slow common trend over the run.
        drift = np.linspace(-1.0, 1.0, len(trials)) * effects.normal(scale=0.5)
    betas: NDArray[np.float32] = white @ np.linalg.cholesky(truth.noise_space).astype(np.float32).T
    betas += (activations @ truth.topographies.T + drift[:, None]).astype(np.float32)
    return betas
