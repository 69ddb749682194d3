"""How well signals are predicted: correlation a channel, and its share of what noise leaves to be predicted."""

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError

Floats = NDArray[np.float64]


def signal_to_noise(signals: NDArray[np.floating], names: NDArray[np.str_]) -> Floats | None:
    """Estimate, for every channel, the deviation of the signal over that of the noise, from repetitions.

    The noise variance is that within repetitions of a stimulus; the signal's is what the total variance leaves,
    and at least 0.

    Parameters
    ----------
    signals : ndarray of shape (n_windows, n_channels, n_times)
        Single windows.
    names : ndarray of str, shape (n_windows,)
        Which are repetitions of the same.

    Returns
    -------
    ndarray of shape (n_channels, n_times), or None
        None where nothing was repeated.

    References
    ----------
    Allen et al. (2022). A massive 7T fMRI dataset. Nature Neuroscience 25. https://doi.org/10.1038/s41593-021-00962-x

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> seen = np.repeat(2 * generator.normal(size=(2000, 1, 1)), 3, axis=0)
    >>> found = signal_to_noise(seen + generator.normal(size=seen.shape), np.repeat(np.arange(2000).astype(str), 3))
    >>> bool(abs(found[0, 0] - 2) < 0.1)
    True
    """
    if len(signals) != len(names):
        raise DataError(f"signals: got {len(signals)} windows and {len(names)} names, expected as many")
    _, place, counts = np.unique(names, return_inverse=True, return_counts=True)
    freedom = int((counts - 1).sum())
    if freedom == 0:
        return None
    values = np.asarray(signals, dtype=np.float64)
    means = np.zeros((len(counts), *values.shape[1:]))
    np.add.at(means, place, values)
    means /= counts[:, None, None]
    noise = ((values - means[place]) ** 2).sum(axis=0) / freedom
    total = values.var(axis=0, ddof=1)
    signal = np.maximum(total - noise, 0.0)
    return np.asarray(np.sqrt(np.divide(signal, noise, out=np.zeros_like(noise), where=noise > 0)))


def noise_ceiling(ratio: Floats, repetitions: float) -> Floats:
    """Return the largest part of the variance of an average that can be explained.

    Parameters
    ----------
    ratio : ndarray
        What :func:`signal_to_noise` returned.
    repetitions : float
        How many windows are averaged (a harmonic mean where that varies).

    Examples
    --------
    >>> noise_ceiling(np.array([0.0, 1.0]), 3).tolist()
    [0.0, 0.75]
    """
    return np.asarray(ratio**2 / (ratio**2 + 1 / repetitions))


def channel_correlation(predicted: NDArray[np.floating], measured: NDArray[np.floating]) -> Floats:
    """Return Pearson's r over rows for every channel and time; 0 where either side is constant.

    Parameters
    ----------
    predicted, measured : ndarray of shape (n_rows, n_channels, n_times)

    Returns
    -------
    ndarray of shape (n_channels, n_times)

    Examples
    --------
    >>> rows = np.arange(4.0).reshape(4, 1, 1)
    >>> channel_correlation(rows, -rows).round(6).tolist()
    [[-1.0]]
    """
    if predicted.shape != measured.shape:
        raise DataError(f"predicted: got shape {predicted.shape}, expected that of the measured, {measured.shape}")
    left, right = (np.asarray(side, np.float64) - side.mean(axis=0, dtype=np.float64) for side in (predicted, measured))
    lengths = np.sqrt((left**2).sum(axis=0) * (right**2).sum(axis=0))
    products = (left * right).sum(axis=0)
    return np.asarray(np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 1e-12))


def explained_share(correlation: Floats, ceiling: Floats) -> float:
    """Return explained over explainable variance, both summed over all channels.

    Squares keep the sign of the correlation, so that chance is 0 even where most channels hold nothing but noise; a
    mean of shares would be ruled by these. The perfect prediction gives 1 up to noise.

    Returns
    -------
    float
        NaN where nothing can be explained.

    Examples
    --------
    >>> explained_share(np.array([0.5, -0.1, 0.1]), np.array([0.5, 0.0, 0.0]))
    0.5
    """
    total = float(ceiling.sum())
    return float((correlation * np.abs(correlation)).sum()) / total if total > 0 else float("nan")


def normalised_accuracy(correlation: Floats, ceiling: Floats) -> Floats:
    """Return explained variance over what can be explained, a channel, from 0 to 1.

    Negative correlations count as 0, and more than the ceiling as 1, as in the Algonauts challenge of 2023. Channels
    whose ceiling is 0 have nothing to explain: they are NaN.

    Examples
    --------
    >>> normalised_accuracy(np.array([0.5, -0.5, 0.9, 0.3]), np.array([0.5, 0.5, 0.5, 0.0])).tolist()
    [0.5, 0.0, 1.0, nan]
    """
    explained = np.clip(correlation, 0.0, None) ** 2
    share = np.divide(explained, ceiling, out=np.full_like(explained, np.nan), where=ceiling > 0)
    return np.minimum(share, 1.0)
