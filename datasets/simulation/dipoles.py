"""The sources of EEG and MEG: a few dipoles a layer, from occipital and early to temporal and late."""

from collections.abc import Sequence
from dataclasses import dataclass

import mne
import numpy as np
from numpy.typing import NDArray

from neurodecode.datasets.simulation.forward import gain_matrix
from neurodecode.datasets.simulation.settings import EVOKED, RESPONSE_DURATION, DipoleSettings
from neurodecode.datasets.simulation.timecourses import time_course


@dataclass(frozen=True, eq=False)
class Sources:
    """Sources with a fixed place and time course.

    Attributes
    ----------
    layers : tuple of str
        The layer that each source follows.
    topographies : array of shape (n_channels, n_sources), float64
        Field of the source at activation one (V or T, or per cent for fMRI).
    timecourses : array of shape (n_sources, n_times), float64
        Time course from the onset.
    """

    layers: tuple[str, ...]
    topographies: NDArray[np.float64]
    timecourses: NDArray[np.float64]


def dipole_sources(
    layers: Sequence[str],
    info: mne.Info,
    centre: NDArray[np.float64],
    radius: float,
    settings: DipoleSettings,
    shared: np.random.Generator,
    own: np.random.Generator,
) -> Sources:
    """Place one subject's dipoles and compute their fields and time courses.

    Each layer has a dipole in either hemisphere at each vertical offset, and each dipole has several time courses (a
    first answer and two later ones) with weights of their own, each being one source. The layers lie on the way from
    the occipital to the temporal anchor and answer one after the other. The evoked response comes from the same places
    with one time course each, its first answer.

    Parameters
    ----------
    layers : sequence of str
        From early to late, without the evoked response.
    info : mne.Info
        Sensors with positions.
    centre : array of shape (3,)
        The head sphere's centre (m).
    radius : float
        The head sphere's radius (m).
    settings : DipoleSettings
        Places, latencies and how subjects differ.
    shared : numpy.random.Generator
        In the same state for all subjects of a study.
    own : numpy.random.Generator
        The subject's.

    Returns
    -------
    Sources
        `len(layers) * n_dipoles * (n_courses + 1)` sources.
    """
    positions, depths = _anchors(len(layers), settings)
    n_layers, n_dipoles = positions.shape[:2]
    n_courses = len(settings.delays)
    positions = positions + settings.position_spread * own.standard_normal(positions.shape)
    orientations = shared.standard_normal(positions.shape) + settings.orientation_spread * own.standard_normal(
        positions.shape
    )
    orientations = _flatten_radially(orientations, positions, settings.radial_share)
    gain = gain_matrix(info, centre + radius * positions.reshape(-1, 3), centre, radius)
    fields = np.einsum("cdk,dk->cd", gain, orientations.reshape(-1, 3)).reshape(-1, n_layers, n_dipoles)
    gains = np.exp(settings.gain_spread * own.standard_normal((n_layers, n_dipoles, n_courses)))
    phases = shared.uniform(-0.5 * np.pi, 0.5 * np.pi, (n_layers, n_dipoles, n_courses))
    frequencies = shared.uniform(0.0, settings.highest_frequency, (n_layers, n_dipoles, n_courses))
    latencies = (
        settings.first_latency
        + (settings.last_latency - settings.first_latency) * depths[:, None, None]
        + np.array(settings.delays)
        + settings.latency_spread * own.standard_normal((n_layers, n_dipoles, n_courses))
    )
    times = np.arange(round(RESPONSE_DURATION * info["sfreq"])) / info["sfreq"]

    names: list[str] = []
    topographies: list[NDArray[np.float64]] = []
    courses: list[NDArray[np.float64]] = []
    for index in np.ndindex(n_layers, n_dipoles, n_courses):
        layer, dipole, course = index
        frequency, phase = float(frequencies[index]), float(phases[index])
        wave = time_course(times, latencies[index], settings.widths[course], frequency, phase)
        names.append(layers[layer])
        topographies.append(settings.moment * gains[index] * fields[:, layer, dipole])
        courses.append(wave)
        if course == 0:
            names.append(EVOKED)
            topographies.append(settings.evoked_moment * fields[:, layer, dipole])
            courses.append(wave)
    return Sources(tuple(names), np.column_stack(topographies), np.array(courses))


def _anchors(n_layers: int, settings: DipoleSettings) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the dipoles' places in radii, shape (n_layers, n_dipoles, 3), and the layers' depths (0 to 1)."""
    depths = np.linspace(0.0, 1.0, n_layers) if n_layers > 1 else np.array([0.5])
    occipital, temporal = np.array(settings.occipital), np.array(settings.temporal)
    right = occipital + depths[:, None] * (temporal - occipital)
    places = [
        right * np.array([side, 1.0, 1.0]) + np.array([0.0, 0.0, offset])
        for side in (1.0, -1.0)
        for offset in settings.vertical_offsets
    ]
    return np.stack(places, axis=1), depths


def _flatten_radially(
    orientations: NDArray[np.float64], positions: NDArray[np.float64], radial_share: float
) -> NDArray[np.float64]:
    """Scale the radial component down, because magnetometers do not see radial dipoles, and give unit vectors."""
    radial = positions / np.linalg.norm(positions, axis=-1, keepdims=True)
    along = (orientations * radial).sum(axis=-1, keepdims=True) * radial
    flattened = orientations - (1.0 - radial_share) * along
    unit: NDArray[np.float64] = flattened / np.linalg.norm(flattened, axis=-1, keepdims=True)
    return unit
