"""The ground truth of simulated people who listen: sources that follow a network's states, and their responses."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.files import load_arrays
from neurodecode.datasets.simulation.dipoles import dipole_sources
from neurodecode.datasets.simulation.forward import background_covariance
from neurodecode.datasets.simulation.noise import continuous_noise
from neurodecode.datasets.simulation.sensors import eeg_info, head_sphere, meg_info
from neurodecode.datasets.simulation.settings import DipoleSettings, NoiseSettings
from neurodecode.datasets.simulation.subject import stream, subject_name
from neurodecode.datasets.simulation.weights import draw_weights, weight_variances

#: The release of this simulator and its constants; it changes whenever a simulated number could change.
SPEECH_SIMULATOR_VERSION: Final = "1"
#: Where auditory sources lie: from the primary auditory cortex, early, to the lateral temporal lobe, late.
AUDITORY: Final = DipoleSettings(
    occipital=(0.55, 0.05, 0.08),
    temporal=(0.62, -0.22, -0.10),
    vertical_offsets=(0.10, -0.10),
    first_latency=0.06,
    last_latency=0.22,
)
#: Root mean square of the noise over the sensors (T): set so that the ideal learner (which knows the driving features
#: and the noise) names 0.95 of the test segments of the built-in study, mean over three subjects. No decoder's score on
#: a test segment had been seen; at a first, lower level all of them were perfect on validation. The response has about
#: two per cent of the variance.
NOISE_LEVEL: Final = 1.0e-12


@dataclass(frozen=True, eq=False)
class SpeechTruth:
    """How the signals of one listener came about.

    The response is `sum_s topographies[:, s] * (timecourses[s] convolved with (features @ weights)[:, s])`. Noise is
    Gaussian with covariance `noise_space` over the channels and the spectrum `spectrum` over time.

    Attributes
    ----------
    subject : str
        For example ``sub-01``.
    channels : tuple of str
        Channel names.
    layers : tuple of str
        The layer of each feature.
    weights : array of shape (n_features, n_sources), float64
        From features to sources.
    topographies : array of shape (n_channels, n_sources), float64
        The field of each source (T).
    timecourses : array of shape (n_sources, n_lags), float64
        The response of each source to an impulse, at `sfreq`.
    noise_space : array of shape (n_channels, n_channels), float64
        Covariance of the noise over the channels (T squared).
    spectrum : NoiseSettings
        The temporal spectrum.
    sfreq : float
        Hz.
    seed : int
        The study's seed.
    """

    subject: str
    channels: tuple[str, ...]
    layers: tuple[str, ...]
    weights: NDArray[np.float64]
    topographies: NDArray[np.float64]
    timecourses: NDArray[np.float64]
    noise_space: NDArray[np.float64]
    spectrum: NoiseSettings
    sfreq: float
    seed: int

    def response(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        """Compute the noise-free signal of a run from its features ``(n_samples, n_features)`` at `sfreq`.

        Returns
        -------
        ndarray of float32, shape (n_channels, n_samples)
        """
        drive = np.asarray(features, dtype=np.float64) @ self.weights
        # Per sample, not per second: a response of 10 nAm to a feature that lasts does not depend on the rate.
        sources = scipy.signal.fftconvolve(drive.T, self.timecourses / self.sfreq * 10.0, axes=1)[:, : len(drive)]
        return np.asarray(self.topographies @ sources, dtype=np.float32)

    def noise(self, n_samples: int, run: int) -> NDArray[np.float32]:
        """Draw the noise of a run, shape (n_channels, n_samples)."""
        generator = stream(self.seed, "noise", "speech", self.subject, run)
        white = continuous_noise(len(self.channels), n_samples, self.sfreq, self.spectrum, generator)
        return np.asarray(np.linalg.cholesky(self.noise_space).astype(np.float32) @ white)


def listener(
    number: int, layers: tuple[str, ...], *, seed: int, sfreq: float, noise_level: float = NOISE_LEVEL
) -> SpeechTruth:
    """Build the ground truth of one listener.

    Parameters
    ----------
    number : int
        The subject, from 0.
    layers : tuple of str
        The layer of each feature, early to late.
    seed : int
        The study's seed.
    sfreq : float
        Sampling rate (Hz).
    noise_level : float
        Root mean square of the noise (T).

    Returns
    -------
    SpeechTruth
        The same seed gives the same listener, whatever the number of subjects.
    """
    subject = subject_name(number)
    info = meg_info(sfreq)
    centre, radius = head_sphere(eeg_info(sfreq))
    names = tuple(dict.fromkeys(layers))
    sources = dipole_sources(
        names, info, centre, radius, AUDITORY, stream(seed, "listening"), stream(seed, "listening", subject)
    )
    # Nothing evokes a response but the sound itself: sources of a constant have no place here.
    driven = np.isin(sources.layers, names)
    kinds = tuple(np.array(sources.layers)[driven])
    spectrum = NoiseSettings()
    covariance = background_covariance(
        info, centre, radius, spectrum.background_dipoles, spectrum.sensor_share, stream(seed, "background", subject)
    )
    weights = draw_weights(
        weight_variances(layers, kinds),
        kinds,
        stream(seed, "listening weights"),
        stream(seed, "listening weights", subject),
    )
    return SpeechTruth(
        subject,
        tuple(info["ch_names"]),
        layers,
        weights,
        sources.topographies[:, driven],
        sources.timecourses[driven],
        covariance * noise_level**2,
        spectrum,
        float(sfreq),
        seed,
    )


_TEXTS = ("channels", "layers")
_ARRAYS = ("weights", "topographies", "timecourses", "noise_space")


def speech_truth_path(folder: Path, subject: str) -> Path:
    """Say where a study keeps the truth of a listener.

    Examples
    --------
    >>> speech_truth_path(Path("study"), "sub-01").as_posix()
    'study/derivatives/simulation/sub-01/sub-01_desc-listener.npz'
    """
    return folder / "derivatives" / "simulation" / subject / f"{subject}_desc-listener.npz"


def save_speech_truth(path: Path, truth: SpeechTruth) -> None:
    """Write a truth as plain arrays (no pickles); its folder must exist."""
    texts = {name: np.array(getattr(truth, name), dtype=np.str_) for name in _TEXTS}
    arrays = {name: getattr(truth, name) for name in _ARRAYS}
    others = {
        field.name: getattr(truth, field.name) for field in fields(truth) if field.name not in (*_TEXTS, *_ARRAYS)
    }
    others |= {"spectrum": asdict(truth.spectrum), "version": SPEECH_SIMULATOR_VERSION}
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, settings=np.array(json.dumps(others, sort_keys=True)), **texts, **arrays)


def load_speech_truth(folder: Path, subject: str) -> SpeechTruth:
    """Read the ground truth of one listener.

    Raises
    ------
    DataError
        If the file is missing, is damaged or is of another release of the simulator.
    """
    path = speech_truth_path(Path(folder), subject)
    stored = load_arrays(path)
    try:
        settings: dict[str, Any] = json.loads(str(stored["settings"]))
        version = settings.pop("version")
        texts: dict[str, Any] = {name: tuple(str(value) for value in stored[name]) for name in _TEXTS}
        arrays: dict[str, Any] = {name: np.asarray(stored[name], dtype=np.float64) for name in _ARRAYS}
    except (ValueError, KeyError) as error:
        raise DataError(f"{path}: expected the ground truth of a listener, got another file ({error!r})") from error
    if version != SPEECH_SIMULATOR_VERSION:
        raise DataError(f"{path}: written by simulator version {version}, expected {SPEECH_SIMULATOR_VERSION}")
    spectrum = NoiseSettings(**settings.pop("spectrum"))
    return SpeechTruth(**settings, **texts, **arrays, spectrum=spectrum)
