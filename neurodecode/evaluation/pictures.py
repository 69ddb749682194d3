"""Pictures of one subject under every condition, kept in one file without pickles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.files import atomic_path, load_arrays

CONDITIONS: dict[str, str] = {
    "reconstruction": "made from the brain response",
    "true_embedding": "ceiling: made from the true picture's embedding",
    "shuffled_brain": "made by a decoder trained on shuffled pairs",
    "mean_brain": "made from the mean brain response",
    "noise_input": "made from noise with the response's statistics",
    "prior_only": "sampled from the generator without any brain",
    "nearest_training": "the training picture nearest to the prediction",
    "random_picture": "a training picture drawn at random",
}


@dataclass(frozen=True, eq=False)
class Pictures:
    """True pictures of one subject's test stimuli and what was made under each condition.

    Parameters
    ----------
    subject : str
        Such as ``sub-01``.
    stimuli : sequence of str
        Stimulus ids, one a row.
    true : NDArray of uint8, shape (n, height, width, 3)
        The pictures that were seen.
    conditions : mapping from str to NDArray of uint8, shape (n, n_samples, height, width, 3)
        What was made; the names are those of `CONDITIONS`.
    names : sequence of str
        Readable names of the stimuli; the ids where empty.

    Raises
    ------
    DataError
        If an array has another shape or type, or a condition is unknown.

    Examples
    --------
    >>> true = np.zeros((2, 8, 8, 3), dtype=np.uint8)
    >>> Pictures("sub-01", ["1F436", "1F431"], true, {"reconstruction": true[:, None]}).true.shape
    (2, 8, 8, 3)
    """

    subject: str
    stimuli: Sequence[str]
    true: NDArray[np.uint8]
    conditions: Mapping[str, NDArray[np.uint8]]
    names: Sequence[str] = ()

    def __post_init__(self) -> None:
        where = f"pictures of {self.subject}"
        n = len(self.stimuli)
        if self.true.dtype != np.uint8 or self.true.ndim != 4 or self.true.shape[-1] != 3 or len(self.true) != n:
            raise DataError(f"{where}: true is {self.true.dtype} {self.true.shape}, expected uint8 ({n}, h, w, 3)")
        for name, made in self.conditions.items():
            if name not in CONDITIONS:
                raise DataError(f"{where}: condition {name!r} is unknown, expected one of {', '.join(CONDITIONS)}")
            if made.dtype != np.uint8 or made.ndim != 5 or made.shape[0] != n or made.shape[2:] != self.true.shape[1:]:
                expected = (n, "n_samples", *self.true.shape[1:])
                raise DataError(f"{where}: {name} is {made.dtype} {made.shape}, expected uint8 {expected}")
        if len(self.names) not in (0, n):
            raise DataError(f"{where}: {len(self.names)} names for {n} stimuli")

    @property
    def titles(self) -> list[str]:
        """Give a readable name for each row."""
        return [str(name) for name in (self.names if len(self.names) else self.stimuli)]


def save_pictures(path: Path, pictures: Sequence[Pictures]) -> None:
    """Write the pictures of all subjects to one ``.npz`` file, whole or not at all.

    The arrays are named ``<subject>/true``, ``<subject>/stimuli``, ``<subject>/names`` and ``<subject>/<condition>``.

    Parameters
    ----------
    path : Path
        The file, usually ``pictures.npz`` in a run folder.
    pictures : sequence of Pictures
        One entry a subject.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for entry in pictures:
        arrays[f"{entry.subject}/stimuli"] = np.array(list(entry.stimuli), dtype=np.str_)
        arrays[f"{entry.subject}/names"] = np.array(list(entry.names), dtype=np.str_)
        arrays[f"{entry.subject}/true"] = entry.true
        for name, made in entry.conditions.items():
            arrays[f"{entry.subject}/{name}"] = made
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def load_pictures(path: Path) -> list[Pictures]:
    """Read what `save_pictures` wrote.

    Parameters
    ----------
    path : Path
        The ``.npz`` file.

    Returns
    -------
    list of Pictures
        One entry a subject.

    Raises
    ------
    DataError
        If the file is missing, damaged or lacks an array; the message names it.
    """
    arrays = load_arrays(path)
    found = []
    for subject in dict.fromkeys(name.split("/")[0] for name in arrays):
        mine = {name.split("/", 1)[1]: array for name, array in arrays.items() if name.startswith(f"{subject}/")}
        for needed in ("true", "stimuli", "names"):
            if needed not in mine:
                raise DataError(f"{path}: array {subject + '/' + needed!r} is missing")
        stimuli, names, true = (mine.pop(name) for name in ("stimuli", "names", "true"))
        found.append(Pictures(subject, [str(s) for s in stimuli], true, mine, [str(n) for n in names]))
    return found


def choose_rows(n_rows: int, count: int, seed: int) -> NDArray[np.int64]:
    """Draw which rows a picture grid shows: the first `count` of one seeded order, never picked by eye or by score.

    Parameters
    ----------
    n_rows : int
        Rows there are.
    count : int
        Rows wanted; all if there are fewer.
    seed : int
        Seed of the order.

    Returns
    -------
    NDArray of int64, shape (min(count, n_rows),)
        Row numbers.

    Examples
    --------
    >>> choose_rows(5, 9, seed=0).size
    5
    """
    return np.random.default_rng([seed, 5]).permutation(n_rows)[:count]
