"""Where a reader puts signals as it goes, so that a large study is never in memory as a whole."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError

PREFIX = "store-"
Shape = tuple[int, int] | tuple[int, int, int]


class ArrayStore:
    """Keep float32 signals in memory, or in files of a folder that are memory-mapped while they are filled.

    A study that reads run by run, or chunk by chunk, asks the store for each block's array. `prepare_study` gives a
    store in the cache's own temporary folder, so that what was written once is not copied again.

    Parameters
    ----------
    folder : Path, optional
        Existing folder for the files; without one everything is in memory.

    Examples
    --------
    >>> store = ArrayStore()
    >>> signals = store.empty((2, 3, 4))
    >>> signals[:] = 1.0
    >>> signals.dtype, store.path(signals) is None
    (dtype('float32'), True)
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._paths: list[tuple[NDArray[np.float32], Path]] = []

    def empty(self, shape: Shape) -> NDArray[np.float32]:
        """Give an array to fill: ``(n_channels, n_samples)`` or ``(n_epochs, n_channels, n_times)``.

        Two dimensions are a continuous block, laid out time-major so that a window is one piece of the file.

        Raises
        ------
        DataError
            If a dimension is not positive, or there are not two or three of them.
        """
        if len(shape) not in (2, 3) or min(shape) < 1:
            raise DataError(f"signals: got shape {tuple(shape)}, expected 2 or 3 dimensions of at least 1")
        # Libraries count samples in integers of their own, which the header of a file would spell out.
        shape = tuple(int(size) for size in shape)  # type: ignore[assignment]
        fortran = len(shape) == 2
        if self.folder is None:
            return np.empty(shape, dtype=np.float32, order="F" if fortran else "C")
        path = self.folder / f"{PREFIX}{len(self._paths):04d}.npy"
        array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape, fortran_order=fortran)
        self._paths.append((array, path))
        return array

    def keep(self, signals: NDArray[np.floating]) -> NDArray[np.float32]:
        """Put whole signals into the store as float32 and give them back from there."""
        kept = self.empty(signals.shape)
        kept[:] = signals
        return kept

    def path(self, array: NDArray[np.float32]) -> Path | None:
        """Give the file of an array that this store made; None for any other array, a view of one included."""
        return next((path for mine, path in self._paths if mine is array), None)
