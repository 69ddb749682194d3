"""The brain of the simulated fMRI: a grid, a mask, visual regions, spatial patterns and the covariance of the noise."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from neurodecode.datasets.simulation.dipoles import Sources
from neurodecode.datasets.simulation.settings import EVOKED, REGION_RADIUS, REGIONS, VolumeSettings


@dataclass(frozen=True, eq=False)
class Volume:
    """One subject's grid.

    Attributes
    ----------
    affine : array of shape (4, 4), float64
        From voxel indices to millimetres.
    mask : boolean array of shape (n_x, n_y, n_z)
        The voxels of the brain; arrays over voxels follow its C order.
    regions : dict of boolean arrays of the same shape
        Disjoint visual regions inside the mask.
    """

    affine: NDArray[np.float64]
    mask: NDArray[np.bool_]
    regions: dict[str, NDArray[np.bool_]]

    @property
    def indices(self) -> NDArray[np.int64]:
        """Grid indices of the voxels, shape (n_voxels, 3)."""
        return np.argwhere(self.mask)


def subject_volume(number: int, settings: VolumeSettings, own: np.random.Generator) -> Volume:
    """Build the grid, mask and regions of one subject.

    Parameters
    ----------
    number : int
        The subject's number from 0; it chooses the grid's shape.
    settings : VolumeSettings
        Grid shapes and voxel size.
    own : numpy.random.Generator
        The subject's; moves the regions a little.

    Returns
    -------
    Volume
        The mask is an ellipsoid; each region is one ball in each hemisphere, and a voxel in two balls goes to the
        nearer centre.

    Examples
    --------
    >>> volume = subject_volume(0, VolumeSettings(), np.random.default_rng(0))
    >>> volume.mask.shape, sorted(volume.regions), bool(volume.regions["V1"].sum() > 20)
    ((16, 18, 14), ['IT', 'LOC', 'V1', 'V2', 'V4'], True)
    """
    shape = settings.grids[number % len(settings.grids)]
    half = (np.array(shape) - 1) / 2
    grid = np.stack(np.meshgrid(*[np.arange(length) for length in shape], indexing="ij"), axis=-1)
    unit = (grid - half) / (half + 0.5)
    mask = np.linalg.norm(unit, axis=-1) <= 1.0
    distances = []
    for _name, _depth, centre in REGIONS:
        moved = np.array(centre) + 0.04 * own.standard_normal(3)
        sides = [np.linalg.norm(unit - moved * np.array([side, 1.0, 1.0]), axis=-1) for side in (1.0, -1.0)]
        distances.append(np.minimum(*sides))
    nearest = np.argmin(distances, axis=0)
    regions = {
        name: mask & (nearest == index) & (distances[index] <= REGION_RADIUS)
        for index, (name, _depth, _centre) in enumerate(REGIONS)
    }
    affine = np.diag([settings.voxel_millimetres] * 3 + [1.0])
    affine[:3, 3] = -settings.voxel_millimetres * half
    return Volume(affine, mask, regions)


def volume_sources(
    layers: Sequence[str], volume: Volume, settings: VolumeSettings, own: np.random.Generator
) -> Sources:
    """Draw the spatial patterns of one subject.

    Each layer has several smooth random patterns, strong in the regions whose depth in the hierarchy is near the
    layer's. Grids differ between subjects, so the patterns are a subject's own; what subjects share is how features
    drive the patterns.

    Parameters
    ----------
    layers : sequence of str
        From early to late, without the evoked response.
    volume : Volume
        The subject's grid.
    settings : VolumeSettings
        How many patterns, their smoothness and strength.
    own : numpy.random.Generator
        The subject's.

    Returns
    -------
    Sources
        `len(layers) * patterns_per_layer + 1` sources with one time.
    """
    depths = np.linspace(0.0, 1.0, len(layers)) if len(layers) > 1 else np.array([0.5])
    gains = np.exp(settings.gain_spread * own.standard_normal(int(volume.mask.sum())))
    names = [EVOKED]
    in_regions = np.any(list(volume.regions.values()), axis=0)[volume.mask]
    patterns = [settings.signal * gains * in_regions]
    for layer, depth in zip(layers, depths, strict=True):
        strength = np.zeros(volume.mask.shape)
        for name, region_depth, _centre in REGIONS:
            strength[volume.regions[name]] = np.exp(-0.5 * ((region_depth - depth) / settings.depth_width) ** 2)
        for _pattern in range(settings.patterns_per_layer):
            smooth = scipy.ndimage.gaussian_filter(own.standard_normal(volume.mask.shape), settings.pattern_width)
            smooth /= smooth[volume.mask].std()
            # The patterns of a layer together give a voxel's response the committed standard deviation.
            scale = settings.signal / np.sqrt(settings.patterns_per_layer)
            patterns.append(scale * gains * (smooth * strength)[volume.mask])
            names.append(layer)
    return Sources(tuple(names), np.column_stack(patterns), np.ones((len(patterns), 1)))


def volume_covariance(volume: Volume, settings: VolumeSettings) -> NDArray[np.float64]:
    """Covariance of the noise over the voxels: spatially smooth noise, a global part, and each voxel's own.

    Parameters
    ----------
    volume : Volume
        The subject's grid.
    settings : VolumeSettings
        The shares and the smoothness.

    Returns
    -------
    array of shape (n_voxels, n_voxels), float64
        With unit variances.

    Examples
    --------
    >>> volume = subject_volume(0, VolumeSettings(grids=((6, 6, 6),)), np.random.default_rng(0))
    >>> covariance = volume_covariance(volume, VolumeSettings())
    >>> bool(np.allclose(np.diag(covariance), 1.0))
    True
    """
    indices = volume.indices.astype(np.float64)
    squared = ((indices[:, None] - indices[None]) ** 2).sum(axis=-1)
    # White noise smoothed with a kernel of width w has a covariance of width sqrt(2) w.
    smooth = np.exp(-squared / (4 * settings.noise_width**2))
    own_share = 1.0 - settings.smooth_share - settings.global_share
    covariance: NDArray[np.float64] = (
        settings.smooth_share * smooth + settings.global_share + own_share * np.eye(len(indices))
    )
    return covariance
