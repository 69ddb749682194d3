"""Build the ground truth of one subject from a seed."""

import zlib

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError
from neurodecode.datasets.simulation.dipoles import Sources, dipole_sources
from neurodecode.datasets.simulation.forward import background_covariance
from neurodecode.datasets.simulation.sensors import eeg_info, head_sphere, meg_info
from neurodecode.datasets.simulation.settings import (
    EVOKED,
    MODALITIES,
    NOISE_LEVEL,
    ONSET_GRID,
    DipoleSettings,
    NoiseSettings,
    VolumeSettings,
)
from neurodecode.datasets.simulation.truth import Truth
from neurodecode.datasets.simulation.volume import Volume, subject_volume, volume_covariance, volume_sources
from neurodecode.datasets.simulation.weights import draw_weights, weight_variances


def stream(seed: int, *purpose: str | int) -> np.random.Generator:
    """Make an independent generator for one purpose, the same wherever and whenever it is asked for.

    Parameters
    ----------
    seed : int
        The study's seed.
    *purpose : str or int
        What the numbers are for, such as `"noise", "sub-01", 3`.

    Returns
    -------
    numpy.random.Generator
        A generator seeded from the seed and the purpose.

    Examples
    --------
    >>> bool(stream(0, "noise", 1).random() == stream(0, "noise", 1).random())
    True
    """
    words = [part if isinstance(part, int) else zlib.crc32(part.encode()) for part in purpose]
    return np.random.default_rng([seed, *words])


def subject_name(number: int) -> str:
    """Name the subject with a number counted from 0.

    Parameters
    ----------
    number : int
        Counted from 0.

    Returns
    -------
    str
        The name in BIDS.

    Examples
    --------
    >>> subject_name(0)
    'sub-01'
    """
    return f"sub-{number + 1:02d}"


def subject_truth(
    modality: str,
    number: int,
    design: NDArray[np.float64],
    layers: tuple[str, ...],
    stimuli: tuple[str, ...],
    splits: tuple[str, ...],
    *,
    seed: int = 0,
    sfreq: float = 250.0,
    realism: str = "basic",
    noise_level: float | None = None,
) -> Truth:
    """Build the ground truth of one subject.

    The same seed gives the same subject at every sampling rate, whatever the number of subjects. EEG and MEG of one
    seed have the same places, orientations and latencies of their dipoles.

    Parameters
    ----------
    modality : str
        `eeg`, `meg` or `fmri`.
    number : int
        The subject, from 0.
    design : array of shape (n_stimuli, n_features)
        From `design_matrix`.
    layers : tuple of str
        The layer of each feature, early to late.
    stimuli, splits : tuples of str
        One a row of the design.
    seed : int
        The study's seed.
    sfreq : float
        Sampling rate (Hz), a multiple of 50; ignored for fMRI.
    realism : str
        `basic` or `full`; stored, and used when the signals are drawn.
    noise_level : float, optional
        Root mean square of the noise instead of the committed one; for calibration.

    Returns
    -------
    Truth
        Sources, weights and noise.

    Raises
    ------
    ConfigError
        If the modality or the sampling rate cannot be simulated.
    """
    check_modality(modality)
    subject = subject_name(number)
    level = NOISE_LEVEL[modality] if noise_level is None else noise_level
    names = tuple(dict.fromkeys(layer for layer in layers if layer != EVOKED))
    spectrum = None
    if modality == "fmri":
        settings = VolumeSettings()
        volume = truth_volume(number, seed)
        sources = volume_sources(names, volume, settings, stream(seed, "patterns", subject))
        channels = tuple("v{:02d}_{:02d}_{:02d}".format(*index) for index in volume.indices)
        covariance = volume_covariance(volume, settings)
        sfreq = 0.0
    else:
        check_sampling_rate(sfreq)
        spectrum = NoiseSettings()
        sources, covariance, channels = _sensor_level(modality, names, sfreq, seed, subject, spectrum)
    variances = weight_variances(layers, sources.layers)
    # Nothing about the sensors enters here, so that EEG, MEG and fMRI draw their weights alike.
    weights = draw_weights(variances, sources.layers, stream(seed, "weights"), stream(seed, "weights", subject))
    return Truth(
        subject=subject,
        modality=modality,
        realism=realism,
        channels=channels,
        stimuli=stimuli,
        splits=splits,
        design=design,
        layers=layers,
        weights=weights,
        weight_variance=variances,
        topographies=sources.topographies,
        timecourses=sources.timecourses,
        noise_space=covariance * level**2,
        spectrum=spectrum,
        sfreq=float(sfreq),
        seed=seed,
    )


def truth_volume(number: int, seed: int) -> Volume:
    """Build the grid of a simulated fMRI subject.

    Parameters
    ----------
    number : int
        The subject, from 0.
    seed : int
        The study's seed.

    Returns
    -------
    Volume
        The same as the one behind `subject_truth`.
    """
    return subject_volume(number, VolumeSettings(), stream(seed, "regions", subject_name(number)))


def check_modality(modality: str) -> None:
    """Check that a modality can be simulated.

    Parameters
    ----------
    modality : str
        The name.

    Raises
    ------
    ConfigError
        If it cannot.
    """
    if modality not in MODALITIES:
        raise ConfigError(f"modality: expected one of {', '.join(MODALITIES)}, got {modality!r}")


def check_sampling_rate(sfreq: float) -> None:
    """Check that onsets and the reference rate of 50 Hz fall on whole samples.

    Parameters
    ----------
    sfreq : float
        Sampling rate (Hz).

    Raises
    ------
    ConfigError
        If they do not.
    """
    samples = sfreq * ONSET_GRID
    if sfreq < 100 or abs(samples - round(samples)) > 1e-9:
        raise ConfigError(f"sfreq: expected a multiple of {1 / ONSET_GRID:g} Hz from 100 Hz on, got {sfreq:g}")


def _sensor_level(
    modality: str, names: tuple[str, ...], sfreq: float, seed: int, subject: str, spectrum: NoiseSettings
) -> tuple[Sources, NDArray[np.float64], tuple[str, ...]]:
    info = eeg_info(sfreq) if modality == "eeg" else meg_info(sfreq)
    centre, radius = head_sphere(eeg_info(sfreq))
    sources = dipole_sources(
        names, info, centre, radius, DipoleSettings(), stream(seed, "sources"), stream(seed, "sources", subject)
    )
    covariance = background_covariance(
        info, centre, radius, spectrum.background_dipoles, spectrum.sensor_share, stream(seed, "background", subject)
    )
    return sources, covariance, tuple(info["ch_names"])
