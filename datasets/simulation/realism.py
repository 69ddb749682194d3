"""Effects that real recordings have and the ceilings do not model (`realism="full"`)."""

import numpy as np
from numpy.typing import NDArray

from neurodecode.datasets.simulation.truth import Truth

#: Standard deviation of a trial's latency (s) and the activation at which a source saturates.
LATENCY_JITTER = 0.01
SATURATION = 2.0

#: Amplitudes as multiples of the noise's standard deviation: blinks at the eyes, hum and slow drift.
BLINK_AMPLITUDE = 8.0
HUM_AMPLITUDE = 0.5
DRIFT_AMPLITUDE = 1.5

#: Blinks a second, length of one (s), frequency of the hum (Hz), and time constant of the drift (s).
BLINK_RATE = 0.2
BLINK_DURATION = 0.3
HUM_FREQUENCY = 50.0
DRIFT_TIME = 20.0


def saturate(activations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compress strong activations smoothly: `c tanh(a / c)`.

    Parameters
    ----------
    activations : array
        Activations in units of their standard deviation.

    Returns
    -------
    array of the same shape, float64
        At most the saturation constant in size.

    Examples
    --------
    >>> float(saturate(np.array([100.0]))[0])
    2.0
    """
    return np.asarray(SATURATION * np.tanh(activations / SATURATION))


def shift_responses(starts: NDArray[np.int64], sfreq: float, generator: np.random.Generator) -> NDArray[np.int64]:
    """Move every response by a random latency of its own.

    Parameters
    ----------
    starts : array of shape (n_trials,)
        Samples at which the pictures appear.
    sfreq : float
        Sampling rate (Hz).
    generator : numpy.random.Generator
        Draws the latencies.

    Returns
    -------
    array of shape (n_trials,), int64
        Samples at which the responses begin.

    Examples
    --------
    >>> shift_responses(np.array([1000]), 250.0, np.random.default_rng(0)).shape
    (1,)
    """
    return starts + np.round(generator.normal(scale=LATENCY_JITTER * sfreq, size=starts.shape)).astype(np.int64)


def add_artefacts(signal: NDArray[np.float32], truth: Truth, generator: np.random.Generator) -> NDArray[np.float32]:
    """Add drift, line hum and, for EEG, blinks.

    Parameters
    ----------
    signal : array of shape (n_channels, n_samples)
        A run.
    truth : Truth
        The subject.
    generator : numpy.random.Generator
        Draws the artefacts.

    Returns
    -------
    array of shape (n_channels, n_samples), float32
        With artefacts.
    """
    n_channels, n_samples = signal.shape
    level = float(np.sqrt(np.diag(truth.noise_space).mean()))
    times = np.arange(n_samples) / truth.sfreq
    hum = np.sin(2 * np.pi * HUM_FREQUENCY * times + generator.uniform(0, 2 * np.pi))
    gains: NDArray[np.float64] = HUM_AMPLITUDE * level * generator.uniform(0.5, 1.5, (n_channels,))
    signal = signal + (gains[:, None] * hum).astype(np.float32)
    knots = np.arange(0.0, times[-1] + 2 * DRIFT_TIME, DRIFT_TIME)
    for channel in range(n_channels):
        slow = np.interp(times, knots, generator.standard_normal(len(knots)))
        signal[channel] += (DRIFT_AMPLITUDE * level * slow).astype(np.float32)
    frontal = np.array([name.startswith(("Fp", "AF")) for name in truth.channels])
    if frontal.any():
        pattern = np.where(frontal, 1.0, 0.05)
        shape = np.sin(np.pi * np.arange(round(BLINK_DURATION * truth.sfreq)) / (BLINK_DURATION * truth.sfreq)) ** 2
        train = np.zeros(n_samples)
        train[generator.random(n_samples) < BLINK_RATE / truth.sfreq] = 1.0
        blinks = np.convolve(train, shape)[:n_samples]
        signal += (BLINK_AMPLITUDE * level * np.outer(pattern, blinks)).astype(np.float32)
    return signal
