"""One subject's signals, never read whole, and the table of their windows."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import DataError
from neurodecode.core.sensors import Sensors

WINDOW_COLUMNS = ("subject", "session", "run", "block", "start", "length", "stimulus", "repetition", "onset")
TEXT_COLUMNS = ("subject", "session", "run", "block", "stimulus")


@dataclass(frozen=True)
class Block:
    """A stretch of signal with one sensor layout.

    Parameters
    ----------
    name : str
        Unique within the recording.
    data : ndarray of float32
        Continuous ``(n_channels, n_samples)`` or epoched ``(n_epochs, n_channels, n_times)``; a memory map as a rule.
    sensors : Sensors
        Its channels.
    """

    name: str
    data: NDArray[np.float32]
    sensors: Sensors

    def __post_init__(self) -> None:
        if self.data.ndim not in (2, 3):
            raise DataError(f"block {self.name!r}: expected 2 or 3 dimensions, got shape {self.data.shape}")
        channels = self.data.shape[0] if self.data.ndim == 2 else self.data.shape[1]
        if channels != len(self.sensors):
            raise DataError(f"block {self.name!r}: {channels} channels of data but {len(self.sensors)} sensors")

    @property
    def epoched(self) -> bool:
        """Tell whether the first axis counts epochs."""
        return self.data.ndim == 3


@dataclass(frozen=True)
class Recording:
    """One subject: blocks of signal and a table with one row a window.

    A voxel is a channel and a beta map has one time, so one type serves EEG, MEG and fMRI.

    Parameters
    ----------
    subject : str
        Such as ``sub-01``.
    modality : str
        ``eeg``, ``meg`` or ``fmri``.
    blocks : dict of str to Block
        All with the same channel names and kinds.
    windows : pandas.DataFrame
        Columns of `WINDOW_COLUMNS` and what the study adds. `start` is a sample index in a continuous block and an
        epoch index in an epoched one; `length` is in samples; `onset` in seconds from the block's start.
    simulated : bool
        Whether the signals were made by a simulator.
    flags : tuple of str
        Contaminations that happened before the data reached us.

    Examples
    --------
    >>> sensors = Sensors(names=("Oz",), kinds=("eeg",), sfreq=10.0, tmin=0.0, unit="V")
    >>> block = Block("run-1", np.arange(20, dtype=np.float32)[None], sensors)
    >>> windows = pd.DataFrame({"subject": "sub-01", "session": "", "run": "1", "block": "run-1", "start": [3],
    ...                         "length": [2], "stimulus": ["a"], "repetition": [0], "onset": [0.3]})
    >>> Recording("sub-01", "eeg", {"run-1": block}, windows).read([0]).tolist()
    [[[3.0, 4.0]]]
    """

    subject: str
    modality: str
    blocks: dict[str, Block]
    windows: pd.DataFrame
    simulated: bool = False
    flags: tuple[str, ...] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        missing = [column for column in WINDOW_COLUMNS if column not in self.windows.columns]
        if missing:
            raise DataError(f"{self.subject}: the window table lacks the column {missing[0]!r}")
        if not self.blocks:
            raise DataError(f"{self.subject}: no block of signal")
        first = next(iter(self.blocks.values()))
        for block in self.blocks.values():
            if block.sensors.names != first.sensors.names:
                pairs = zip(first.sensors.names, block.sensors.names, strict=False)
                counts = (f"{len(first.sensors)} channels", f"{len(block.sensors)} channels")
                other = next((pair for pair in pairs if pair[0] != pair[1]), counts)
                raise DataError(
                    f"{self.subject}: block {block.name!r} has {other[1]!r} where block {first.name!r} has {other[0]!r}"
                )
        self._check_ranges()

    def _check_ranges(self) -> None:
        unknown = sorted(set(self.windows["block"]) - set(self.blocks))
        if unknown:
            raise DataError(f"{self.subject}: the window table names the block {unknown[0]!r}, which does not exist")
        for name, rows in self.windows.groupby("block", sort=False):
            block = self.blocks[str(name)]
            start = rows["start"].to_numpy()
            length = rows["length"].to_numpy()
            if block.epoched:
                bad = (start < 0) | (start >= block.data.shape[0]) | (length != block.data.shape[2])
            else:
                bad = (start < 0) | (length < 1) | (start + length > block.data.shape[1])
            if bad.any():
                row = int(rows.index[int(np.argmax(bad))])
                raise DataError(
                    f"{self.subject}: window {row} (start {start[bad][0]}, length {length[bad][0]}) does not fit block "
                    f"{name!r} of shape {block.data.shape}"
                )

    @property
    def sensors(self) -> Sensors:
        """Give the sensors of the first block; channel names are the same in all."""
        return next(iter(self.blocks.values())).sensors

    def in_regions(self, regions: Sequence[str], store: ArrayStore | None = None, *, chunk: int = 256) -> "Recording":
        """Keep the channels that lie in any of the named regions of every block's sensors.

        Parameters
        ----------
        regions : sequence of str
            Such as ``V1`` or ``occipital``.
        store : ArrayStore, optional
            Where the shorter blocks go; in memory by default.
        chunk : int
            Epochs, or channels of a continuous block, copied at a time.

        Returns
        -------
        Recording
            With the same windows.

        Raises
        ------
        DataError
            If a region is not known, or none of them has a channel.
        """
        store = ArrayStore() if store is None else store
        known = self.sensors.regions
        for region in regions:
            if region not in known:
                expected = f"one of {', '.join(known)}" if known else "none: the sensors have no regions"
                raise DataError(f"{self.subject}: regions: got {region!r}, expected {expected}")
        inside = np.any([known[region] for region in regions], axis=0)
        rows = np.flatnonzero(inside)
        if not len(rows):
            raise DataError(f"{self.subject}: no channel lies in {', '.join(regions)}")
        names = [self.sensors.names[row] for row in rows]
        blocks = {}
        for name, block in self.blocks.items():
            if block.epoched:
                kept = store.empty((block.data.shape[0], len(rows), block.data.shape[2]))
                for begin in range(0, len(kept), chunk):
                    kept[begin : begin + chunk] = block.data[begin : begin + chunk][:, rows]
            else:
                kept = store.empty((len(rows), block.data.shape[1]))
                for begin in range(0, len(rows), chunk):
                    kept[begin : begin + chunk] = block.data[rows[begin : begin + chunk]]
            blocks[name] = Block(name, kept, block.sensors.pick(names))
        return replace(self, blocks=blocks)

    @property
    def n_channels(self) -> int:
        """Give the number of channels."""
        return len(self.sensors)

    @cached_property
    def n_times(self) -> int:
        """Give the window length in samples, or raise if windows differ."""
        lengths = self.windows["length"].unique()
        if len(lengths) != 1:
            raise DataError(f"{self.subject}: windows have {len(lengths)} different lengths, expected one")
        return int(lengths[0])

    @cached_property
    def _places(self) -> tuple[list[Block], NDArray[np.int64], NDArray[np.int64]]:
        """The blocks, and of each window its block and its first sample or epoch: looked up once, read many times."""
        blocks = list(self.blocks.values())
        position = {name: index for index, name in enumerate(self.blocks)}
        which = np.array([position[str(name)] for name in self.windows["block"]], dtype=np.int64)
        return blocks, which, self.windows["start"].to_numpy(dtype=np.int64)

    def read(self, rows: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
        """Read windows by their position in the table.

        Parameters
        ----------
        rows : sequence of int
            Positions, in any order, repeats allowed.

        Returns
        -------
        ndarray of float32, shape (n_rows, n_channels, n_times)
            A copy of the signals, in the unit of the sensors.
        """
        positions = np.asarray(rows, dtype=np.int64)
        blocks, which, starts = self._places
        length = self.n_times
        output = np.empty((len(positions), self.n_channels, length), dtype=np.float32)
        piece = np.empty((length, self.n_channels), dtype=np.float32)
        # In the order of the file, so that neighbours are read together.
        for member in np.lexsort((starts[positions], which[positions])):
            row = positions[member]
            block, start = blocks[which[row]], starts[row]
            if block.epoched:
                output[member] = block.data[start]
            elif block.data.flags.f_contiguous:
                # Time-major on disk: one contiguous piece, turned around where it is hot in the processor's cache.
                piece[:] = block.data.T[start : start + length]
                output[member] = piece.T
            else:
                output[member] = block.data[:, start : start + length]
        return output

    def read_averaged(self, groups: Sequence[NDArray[np.int64]], *, chunk: int = 256) -> NDArray[np.float32]:
        """Read the mean signal of each group of windows.

        Parameters
        ----------
        groups : sequence of ndarray of int
            Positions in the window table; one averaged signal each. An empty group is an error.
        chunk : int
            Number of groups read at a time; bounds the memory.

        Returns
        -------
        ndarray of float32, shape (n_groups, n_channels, n_times)
            Means over each group.
        """
        output = np.empty((len(groups), self.n_channels, self.n_times), dtype=np.float32)
        for begin in range(0, len(groups), chunk):
            part = groups[begin : begin + chunk]
            sizes = np.array([len(group) for group in part])
            if (sizes == 0).any():
                raise DataError(f"{self.subject}: group {begin + int(np.argmin(sizes))} of windows to average is empty")
            signals = self.read(np.concatenate(part))
            edges = np.concatenate([[0], np.cumsum(sizes)[:-1]])
            output[begin : begin + len(part)] = np.add.reduceat(signals, edges, axis=0) / sizes[:, None, None]
        return output


def group_by_stimulus(
    windows: pd.DataFrame, rows: NDArray[np.int64], *, column: str = "stimulus"
) -> tuple[list[str], list[NDArray[np.int64]]]:
    """List the windows of each stimulus among some rows, stimuli sorted by name, windows in time order.

    Parameters
    ----------
    windows : pandas.DataFrame
        A window table.
    rows : ndarray of int
        Positions considered; rows with an empty value are left out.
    column : str
        What to group by.

    Returns
    -------
    names : list of str
        The distinct values.
    groups : list of ndarray of int
        Positions in `windows`, one array a name.

    Examples
    --------
    >>> table = pd.DataFrame({"stimulus": ["b", "a", "b"]})
    >>> names, groups = group_by_stimulus(table, np.arange(3))
    >>> names, [group.tolist() for group in groups]
    (['a', 'b'], [[1], [0, 2]])
    """
    positions = np.sort(np.asarray(rows, dtype=np.int64))
    values = windows[column].to_numpy().astype(str)[positions]
    positions, values = positions[values != ""], values[values != ""]
    names, inverse = np.unique(values, return_inverse=True)
    return [str(name) for name in names], [positions[inverse == index] for index in range(len(names))]
