"""The temporal part of the noise: a spectrum, its autocovariance, and continuous Gaussian noise that has it."""

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from neurodecode.datasets.simulation.settings import NoiseSettings

#: The power of the spectrum between 0 and this frequency (Hz) is one, whatever the sampling rate.
REFERENCE_BAND = 50.0


def power_spectrum(frequencies: NDArray[np.float64], settings: NoiseSettings) -> NDArray[np.float64]:
    """Two-sided power spectral density of the noise, scaled to unit power between -50 and 50 Hz.

    `S(f) = c * (1 / (1 + (|f| / knee)^exponent) + peak * exp(-(|f| - alpha)^2 / (2 width^2)))`, where the peak is
    `alpha_height` times the first term at the alpha frequency.

    Parameters
    ----------
    frequencies : array
        Frequencies (Hz) of any sign.
    settings : NoiseSettings
        Knee, exponent and alpha peak.

    Returns
    -------
    array of the same shape, float64
        Density in units of variance per Hz.

    Examples
    --------
    >>> grid = np.linspace(-50, 50, 20001)
    >>> density = power_spectrum(grid, NoiseSettings())
    >>> bool(np.isclose(density.mean() * 100, 1.0, rtol=1e-3))
    True
    """
    grid = np.linspace(0.0, REFERENCE_BAND, 5001)
    scale = 2 * float(np.trapezoid(_shape(grid, settings), grid))
    return _shape(np.abs(frequencies), settings) / scale


def _shape(frequencies: NDArray[np.float64], settings: NoiseSettings) -> NDArray[np.float64]:
    aperiodic = 1.0 / (1.0 + (frequencies / settings.knee) ** settings.exponent)
    at_alpha = 1.0 / (1.0 + (settings.alpha_frequency / settings.knee) ** settings.exponent)
    distance = (frequencies - settings.alpha_frequency) / settings.alpha_width
    shape: NDArray[np.float64] = aperiodic + settings.alpha_height * at_alpha * np.exp(-0.5 * distance**2)
    return shape


def autocovariance(n_lags: int, sfreq: float, settings: NoiseSettings) -> NDArray[np.float64]:
    """Autocovariance of the sampled noise at lags 0 to `n_lags - 1` samples.

    The spectrum is cut at the Nyquist frequency, so noise at a lower rate is the band-limited part of noise at a
    higher one.

    Parameters
    ----------
    n_lags : int
        How many lags.
    sfreq : float
        Sampling rate (Hz).
    settings : NoiseSettings
        The spectrum.

    Returns
    -------
    array of shape (n_lags,), float64
        The autocovariance; at lag 0 about one.

    Examples
    --------
    >>> bool(np.isclose(autocovariance(1, 100.0, NoiseSettings())[0], 1.0, atol=0.01))
    True
    """
    # A grid of 1/128 Hz: its period of two minutes is far longer than the memory of the noise.
    n_samples = scipy.fft.next_fast_len(max(2 * n_lags, int(128 * sfreq)), real=True)
    density = power_spectrum(scipy.fft.rfftfreq(n_samples, 1.0 / sfreq), settings)
    covariance: NDArray[np.float64] = scipy.fft.irfft(density, n_samples)[:n_lags] * sfreq
    return covariance


def continuous_noise(
    n_channels: int, n_samples: int, sfreq: float, settings: NoiseSettings, generator: np.random.Generator
) -> NDArray[np.float32]:
    """Draw stationary Gaussian noise with the given spectrum, independent between channels.

    Parameters
    ----------
    n_channels, n_samples : int
        The shape of the result.
    sfreq : float
        Sampling rate (Hz).
    settings : NoiseSettings
        The spectrum.
    generator : numpy.random.Generator
        Where the randomness comes from.

    Returns
    -------
    array of shape (n_channels, n_samples), float32
        Noise of about unit variance.

    Examples
    --------
    >>> noise = continuous_noise(3, 5000, 50.0, NoiseSettings(), np.random.default_rng(0))
    >>> noise.shape, bool(abs(noise.var() - 1) < 0.1)
    ((3, 5000), True)
    """
    # The inverse transform is periodic: two more seconds keep the end of the run from knowing its beginning.
    padded = scipy.fft.next_fast_len(n_samples + int(2 * sfreq), real=True)
    padded += padded % 2
    density = power_spectrum(scipy.fft.rfftfreq(padded, 1.0 / sfreq), settings)
    scale = np.sqrt(density * sfreq * padded / 2).astype(np.float32)
    noise = np.empty((n_channels, n_samples), dtype=np.float32)
    for channel in range(n_channels):
        drawn = generator.standard_normal(2 * len(scale), dtype=np.float32).view(np.complex64) * scale
        # The first and the last coefficient are real, with the variance of two.
        drawn[0], drawn[-1] = drawn[0].real * np.sqrt(2), drawn[-1].real * np.sqrt(2)
        noise[channel] = scipy.fft.irfft(drawn, padded)[:n_samples]
    return noise
