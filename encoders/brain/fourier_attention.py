"""Spatial attention over sensor positions: from any sensors to the same virtual channels."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.brain.batches import SubjectBatch, check_groups, joined
from neurodecode.encoders.brain.front_ends import FrontEnd
from neurodecode.encoders.brain.layouts import layouts_of
from neurodecode.encoders.brain.subject_mixing import SubjectMixing


def unit_square(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Stretch flat positions to the unit square, each axis on its own; unknown ones stay NaN.

    Examples
    --------
    >>> unit_square(np.array([[0.0, 1.0], [2.0, 3.0], [1.0, 2.0]])).tolist()
    [[0.0, 0.0], [1.0, 1.0], [0.5, 0.5]]
    """
    low, high = np.nanmin(positions, axis=0), np.nanmax(positions, axis=0)
    extent = np.where(high > low, high - low, 1.0)
    return np.asarray((positions - low) / extent)


def fourier_embedding(positions: Tensor, n_frequencies: int, margin: float) -> Tensor:
    """Return sines and cosines of positions at all pairs of spatial frequencies.

    Parameters
    ----------
    positions : Tensor of shape (n, 2)
        In the unit square.
    n_frequencies : int
        Frequencies along each axis, from 0.
    margin : float
        Room around the square; the longest wave spans the square and two margins.

    Returns
    -------
    Tensor of shape (n, 2 * n_frequencies ** 2)

    Examples
    --------
    >>> fourier_embedding(torch.zeros(3, 2), 4, 0.2).sum(dim=1).tolist()
    [16.0, 16.0, 16.0]
    """
    waves = torch.arange(n_frequencies, dtype=positions.dtype, device=positions.device)
    scaled = 2 * torch.pi * positions / (1 + 2 * margin)
    along_x, along_y = scaled[:, 0, None, None] * waves[:, None], scaled[:, 1, None, None] * waves
    phase = (along_x + along_y).flatten(1)
    return torch.cat([phase.cos(), phase.sin()], dim=1)


class FourierAttention(FrontEnd):
    """Virtual channels that attend to sensors by their position, a map that all share, and a layer a subject.

    Each virtual channel is a weighted mean of the sensors, with weights from a softmax over learned functions of
    position; sensors without a known position get none. In training, all sensors within ``radius`` of a point drawn
    anew for every batch are left out (unless that would leave a subject without sensors). All of this is linear in the
    signal, so the three maps are multiplied before the signal is touched.

    Parameters
    ----------
    n_channels, n_times
        See :class:`FrontEnd`; with sensor layouts.
    virtual : int
        Number of virtual channels.
    width : int
        Number of channels behind the shared map.
    n_frequencies : int
        Spatial frequencies along each axis.
    margin : float
        See :func:`fourier_embedding`.
    radius : float
        Of the spatial dropout, in units of the square; 0 for none.
    subject_layer : bool
        Whether every subject has a matrix of its own behind the shared map.
    identity : bool
        Whether that matrix starts as the identity.

    References
    ----------
    Défossez et al. (2023). Decoding speech perception from non-invasive brain recordings. Nature Machine
    Intelligence 5. https://doi.org/10.1038/s42256-023-00714-5

    Examples
    --------
    >>> from neurodecode.encoders.brain.layouts import SensorLayout, SubjectSensors
    >>> place = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> sensors = SubjectSensors({"sub-01": SensorLayout(("A", "B", "C"), 100.0, positions=place)})
    >>> front_end = FourierAttention(sensors, 5, virtual=4, width=6, n_frequencies=3)
    >>> front_end([SubjectBatch("sub-01", torch.zeros(2, 3, 5))]).shape
    torch.Size([2, 6, 5])
    """

    def __init__(
        self,
        n_channels: Mapping[str, int],
        n_times: int,
        virtual: int = 270,
        width: int = 270,
        n_frequencies: int = 32,
        margin: float = 0.2,
        radius: float = 0.2,
        subject_layer: bool = True,
        identity: bool = False,
    ) -> None:
        super().__init__(n_channels, n_times)
        if min(virtual, width, n_frequencies) < 1 or min(margin, radius) < 0:
            raise ConfigError(
                f"virtual, width, n_frequencies, margin, radius: got {virtual}, {width}, {n_frequencies}, {margin:g} "
                f"and {radius:g}, expected sizes of at least 1 and lengths of at least 0"
            )
        self.n_frequencies, self.margin, self.radius = n_frequencies, margin, radius
        self.out_channels, self.out_times = width, n_times
        # Subjects with the same positions share one entry, and the work of one attention.
        places: dict[bytes, int] = {}
        self._place: dict[str, int] = {}
        for subject, layout in layouts_of(n_channels, who="FourierAttention", needs="positions").items():
            assert layout.positions is not None
            square = unit_square(layout.positions).astype(np.float32)
            if square.tobytes() not in places:
                places[square.tobytes()] = len(places)
                self.register_buffer(f"positions_{len(places) - 1}", torch.tensor(square), persistent=False)
            self._place[subject] = places[square.tobytes()]
        dim = 2 * n_frequencies**2
        self.heads = nn.Parameter(torch.randn(virtual, dim) / dim**0.5)
        self.shared = nn.Conv1d(virtual, width, kernel_size=1)
        self.mixing = SubjectMixing(len(n_channels), width, identity=identity) if subject_layer else None

    def extra_repr(self) -> str:
        """Name what shapes alone do not tell."""
        return f"margin={self.margin}, radius={self.radius}"

    def attention(self, place: int, centre: Tensor | None = None) -> Tensor:
        """Return the weights of the sensors at one set of positions.

        Parameters
        ----------
        place : int
            Number of the set of positions.
        centre : Tensor of shape (2,), optional
            Around which sensors are left out.

        Returns
        -------
        Tensor of shape (virtual, n_sensors)
            Rows sum to 1.
        """
        positions: Tensor = self.get_buffer(f"positions_{place}")
        unknown = positions.isnan().any(dim=1)
        known = positions.nan_to_num(0.0)
        scores = self.heads @ fourier_embedding(known, self.n_frequencies, self.margin).to(self.heads).T
        left_out = unknown
        if centre is not None:
            near = unknown | ((known - centre).norm(dim=1) <= self.radius)
            left_out = torch.where(near.all(), unknown, near)
        return scores.masked_fill(left_out, -torch.inf).softmax(dim=1)

    def forward(self, groups: Sequence[SubjectBatch]) -> Tensor:
        """Return the groups as virtual channels, concatenated in their order; see :class:`FrontEnd`."""
        check_groups(groups, self.n_channels, self.n_times)
        centre = torch.rand(2, device=self.heads.device) if self.training and self.radius > 0 else None
        maps: dict[int, Tensor] = {}
        adapted = []
        for group in groups:
            place = self._place[group.subject]
            if place not in maps:
                maps[place] = self.shared.weight[:, :, 0] @ self.attention(place, centre)
            weights, bias = maps[place], self.shared.bias
            assert bias is not None
            if self.mixing is not None:
                own = self.mixing.of(self.subject_index(group.subject))
                weights, bias = own @ weights, own @ bias
            adapted.append(torch.matmul(weights, group.signal) + bias[:, None])
        return joined(adapted)
