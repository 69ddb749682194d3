"""Voxels put back into their volume and cut into cubes: the same cubes for all subjects."""

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.brain.front_ends import FrontEnd
from neurodecode.encoders.brain.layouts import SensorLayout, layouts_of

Shape3 = tuple[int, int, int]


def to_patches(volumes: Tensor, patch: int) -> Tensor:
    """Cut volumes into cubes, the last ones filled up with zeros.

    Parameters
    ----------
    volumes : Tensor of shape (n, n_times, x, y, z)
        Any sizes.
    patch : int
        Edge of a cube.

    Returns
    -------
    Tensor of shape (n, n_patches, n_times * patch**3)
        Cubes in the order of their place along x, then y, then z.

    Examples
    --------
    >>> to_patches(torch.zeros(2, 1, 5, 4, 4), 4).shape
    torch.Size([2, 2, 64])
    """
    x, y, z = volumes.shape[2:]
    filled = functional.pad(volumes, (0, -z % patch, 0, -y % patch, 0, -x % patch))
    cubes = filled.unflatten(4, (-1, patch)).unflatten(3, (-1, patch)).unflatten(2, (-1, patch))
    patches: Tensor = cubes.permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(4).flatten(1, 3)
    return patches


def resized(volumes: Tensor, shape: Shape3) -> Tensor:
    """Bring volumes ``(n, n_times, x, y, z)`` to another size, between voxels linearly.

    Examples
    --------
    >>> resized(torch.ones(1, 1, 2, 2, 2), (4, 4, 4)).shape
    torch.Size([1, 1, 4, 4, 4])
    """
    if tuple(volumes.shape[2:]) == shape:
        return volumes
    return functional.interpolate(volumes, size=shape, mode="trilinear", align_corners=False)


class VolumePatches(FrontEnd):
    """Cubes of the volume as tokens; nothing in it is trained and nothing belongs to a subject.

    Voxels that were not measured are zero, which is their mean behind the usual scaling. Volumes of other subjects are
    brought to the size of the common one. Cubes without a voxel of any subject are left out, unless ``everywhere``
    says otherwise.

    Parameters
    ----------
    n_channels : mapping
        Subjects with their layouts, which must have voxel indices and the shape of the volume.
    n_times : int
        Times of a window; a token holds all times of its cube.
    patch : int
        Edge of a cube, in voxels.
    volume : sequence of int or None
        The common size; None takes the first subject's.
    everywhere : bool
        Keep all cubes of the common volume. With a `volume` that is named, new subjects then fit in without training.
    masking : float
        See :class:`FrontEnd`.

    Raises
    ------
    ConfigError
        If a layout has no grid, or voxels outside of its volume.

    References
    ----------
    Shen et al. (2024). Neuro-Vision to Language: Enhancing Brain Recording-based Visual Reconstruction and Language
    Interaction. NeurIPS. https://doi.org/10.48550/arXiv.2404.19438

    Examples
    --------
    >>> from neurodecode.encoders.brain.batches import SubjectBatch
    >>> from neurodecode.encoders.brain.layouts import SubjectSensors
    >>> grid = np.array([[0, 0, 0], [3, 3, 3]])
    >>> layout = SensorLayout(("v", "w"), 0.0, grid=grid, volume=(4, 4, 4))
    >>> front_end = VolumePatches(SubjectSensors({"a": layout}), 1, patch=2)
    >>> front_end([SubjectBatch("a", torch.ones(3, 2, 1))]).shape
    torch.Size([3, 8, 2])
    """

    def __init__(
        self,
        n_channels: Mapping[str, int],
        n_times: int,
        patch: int = 14,
        volume: Sequence[int] | None = None,
        everywhere: bool = False,
        masking: float = 0.0,
    ) -> None:
        super().__init__(n_channels, n_times, masking)
        if patch < 1:
            raise ConfigError(f"patch: got {patch}, expected at least 1")
        layouts = layouts_of(n_channels, who="VolumePatches", needs="grid")
        self.patch = patch
        self.volumes = {subject: _volume(subject, layout) for subject, layout in layouts.items()}
        first = next(iter(self.volumes.values())) if volume is None else tuple(int(size) for size in volume)
        if len(first) != 3 or min(first) < 1:
            raise ConfigError(f"volume: got {list(first)}, expected three sizes of at least 1")
        self.volume: Shape3 = (first[0], first[1], first[2])
        occupied = np.full(1, everywhere)
        for number, (subject, layout) in enumerate(layouts.items()):
            places = _places(layout, self.volumes[subject])
            # Not among the weights: they follow from the layout, and a new subject has other ones.
            self.register_buffer(f"places_{number}", torch.from_numpy(places), persistent=False)
            occupied = occupied | self._occupied(places, self.volumes[subject])
        self.register_buffer("kept", torch.from_numpy(np.flatnonzero(occupied)))
        self.out_channels = n_times * patch**3
        self.out_times = int(occupied.sum())

    def extra_repr(self) -> str:
        """Name what shapes alone do not tell."""
        return f"patch={self.patch}, volume={self.volume}"

    def _occupied(self, places: NDArray[np.int64], volume: Shape3) -> NDArray[np.bool_]:
        """Tell which cubes of the common volume hold voxels of a subject."""
        mask = np.zeros(prod(volume), dtype=np.float32)
        mask[places] = 1.0
        cubes = to_patches(resized(torch.from_numpy(mask.reshape(1, 1, *volume)), self.volume), self.patch)
        found: NDArray[np.bool_] = (cubes[0] > 0).any(dim=1).numpy()
        return found

    def welcome(self, subject: str, layout: SensorLayout) -> None:
        """Take in a subject whom nothing was trained with: their voxels are put where they lie.

        Parameters
        ----------
        subject : str
            A new name.
        layout : SensorLayout
            With voxel indices and volume.

        Raises
        ------
        ConfigError
            If the subject is known already, or none of their voxels lies in a cube that is looked at.
        """
        if subject in self.n_channels:
            raise ConfigError(f"subject: got {subject!r}, expected one the encoder was not built for")
        volume = _volume(subject, layout)
        places = _places(layout, volume)
        if not self._occupied(places, volume)[self.kept.cpu().numpy()].any():
            raise ConfigError(f"subject: no voxel of {subject!r} lies in a cube that the encoder looks at")
        own = torch.from_numpy(places).to(self.kept.device)
        self.register_buffer(f"places_{len(self.n_channels)}", own, persistent=False)
        self.n_channels[subject] = len(layout.names)
        self.volumes[subject] = volume

    def adapt(self, subject: str, signal: Tensor) -> Tensor:
        """Return the cubes, shape (n_trials, n_times * patch**3, n_patches)."""
        volume = self.volumes[subject]
        places = self.get_buffer(f"places_{self.subject_index(subject)}")
        filled = signal.new_zeros(len(signal), self.n_times, prod(volume))
        filled[:, :, places] = signal.transpose(1, 2)
        cubes = to_patches(resized(filled.unflatten(2, volume), self.volume), self.patch)
        return cubes[:, self.kept].transpose(1, 2)

    kept: Tensor


def _volume(subject: str, layout: SensorLayout) -> Shape3:
    if layout.grid is None or layout.volume is None:
        raise ConfigError(f"VolumePatches: {subject} has no volume, expected its shape and voxel indices")
    return layout.volume


def _places(layout: SensorLayout, volume: Shape3) -> NDArray[np.int64]:
    """Return the place of every voxel in the flattened volume."""
    assert layout.grid is not None
    if (layout.grid < 0).any() or (layout.grid >= np.array(volume)).any():
        raise ConfigError(f"VolumePatches: a voxel lies outside of the volume {volume}, expected all inside")
    return np.asarray(np.ravel_multi_index(tuple(layout.grid.T), volume), dtype=np.int64)
