"""From current dipoles to sensor fields, through the forward solution of MNE on a sphere model."""

import mne
import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError

#: The outer shells of the sphere model as fractions of the head's radius (brain, fluid, skull, scalp).
BRAIN_RADIUS = 0.9


def gain_matrix(
    info: mne.Info, positions: NDArray[np.float64], centre: NDArray[np.float64], radius: float
) -> NDArray[np.float64]:
    """Compute the field of unit dipoles in three directions at each position.

    EEG uses MNE's four-shell sphere, MEG its analytic sphere; positions must lie inside the brain shell.

    Parameters
    ----------
    info : mne.Info
        Sensors with positions (electrodes or coils).
    positions : array of shape (n_dipoles, 3)
        Head coordinates (m).
    centre : array of shape (3,)
        The head sphere's centre (m).
    radius : float
        The head sphere's radius (m).

    Returns
    -------
    array of shape (n_channels, n_dipoles, 3), float64
        Volts or tesla per ampere metre.

    Raises
    ------
    ConfigError
        If a dipole lies outside the brain.

    Examples
    --------
    >>> from neurodecode.datasets.simulation.sensors import eeg_info, head_sphere
    >>> info = eeg_info(250.0, ("Oz", "Fz", "Cz"))
    >>> centre, radius = head_sphere(eeg_info(250.0))
    >>> gain_matrix(info, centre[None] + [[0.0, -0.05, 0.0]], centre, radius).shape
    (3, 1, 3)
    """
    distances = np.linalg.norm(positions - centre, axis=1) / radius
    if (distances >= BRAIN_RADIUS).any():
        raise ConfigError(
            f"positions: expected dipoles within {BRAIN_RADIUS} head radii of the centre, got {distances.max():.2f}"
        )
    sphere = mne.make_sphere_model(tuple(centre), radius, info=None, verbose="error")
    orientations = np.tile([0.0, 0.0, 1.0], (len(positions), 1))
    source = mne.setup_volume_source_space(
        pos={"rr": np.asarray(positions), "nn": orientations}, sphere_units="m", verbose="error"
    )
    forward = mne.make_forward_solution(info, None, source, sphere, mindist=0.0, n_jobs=1, verbose="error")
    gain = np.asarray(forward["sol"]["data"], dtype=np.float64)
    if gain.shape[1] != 3 * len(positions):
        raise ConfigError(f"positions: MNE kept {gain.shape[1] // 3} of {len(positions)} dipoles")
    return gain.reshape(len(info["chs"]), len(positions), 3)


def background_covariance(
    info: mne.Info,
    centre: NDArray[np.float64],
    radius: float,
    n_dipoles: int,
    sensor_share: float,
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    """Covariance over the sensors of many independent dipoles in the brain, plus independent sensor noise.

    Parameters
    ----------
    info : mne.Info
        Sensors with positions.
    centre : array of shape (3,)
        The head sphere's centre (m).
    radius : float
        The head sphere's radius (m).
    n_dipoles : int
        How many random dipoles, uniform in a shell from 0.3 to 0.8 radii.
    sensor_share : float
        Share of the variance that is independent between sensors.
    generator : numpy.random.Generator
        Where the randomness comes from.

    Returns
    -------
    array of shape (n_channels, n_channels), float64
        The covariance, with mean variance one.

    Examples
    --------
    >>> from neurodecode.datasets.simulation.sensors import eeg_info, head_sphere
    >>> info = eeg_info(250.0)
    >>> covariance = background_covariance(info, *head_sphere(info), 20, 0.2, np.random.default_rng(0))
    >>> bool(np.isclose(np.trace(covariance), 63))
    True
    """
    directions = generator.standard_normal((n_dipoles, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    depths = np.cbrt(generator.uniform(0.3**3, 0.8**3, n_dipoles))
    gain = gain_matrix(info, centre + radius * depths[:, None] * directions, centre, radius)
    orientations = generator.standard_normal((n_dipoles, 3))
    orientations /= np.linalg.norm(orientations, axis=1, keepdims=True)
    fields = np.einsum("cdk,dk->cd", gain, orientations)
    covariance = fields @ fields.T
    covariance /= np.trace(covariance) / len(covariance)
    mixed: NDArray[np.float64] = (1.0 - sensor_share) * covariance + sensor_share * np.eye(len(covariance))
    return mixed
