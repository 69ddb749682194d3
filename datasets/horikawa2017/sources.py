"""Reading one subject of Generic Object Decoding from each of its forms."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import DataError
from neurodecode.core.files import load_arrays, read_text
from neurodecode.core.npz_arrays import map_array
from neurodecode.core.sensors import Sensors
from neurodecode.datasets.beta_maps import ROWS_AT_A_TIME, unplaced_voxels
from neurodecode.datasets.horikawa2017.bdpy_files import BrainTable, open_table
from neurodecode.datasets.horikawa2017.names import TASKS, check_name, name_of, names_of

IDENTIFIERS = ("stimulus_id", "Label")
ARRAYS = ("arr_0", "arr_2", "arr_3")
# Of MinD-Vis: the list of the pictures of each task, and the array that holds them in its order.
LISTS = {
    "train": ("imagenet_training_label.csv", "train_images"),
    "perception": ("imagenet_testing_label.csv", "test_images"),
}
PACKED = "images_256.npz"


@dataclass(frozen=True)
class Responses:
    """What was read of a subject.

    Parameters
    ----------
    signals : ndarray of float32, shape (n_samples, n_voxels, 1)
        One response each.
    sensors : Sensors
        Its voxels.
    table : pandas.DataFrame
        `task` (one of `TASKS`), `stimulus` (a picture, or a category where one was imagined), `session`, `run`.
    flags : tuple of str
        What was done with the data before.
    """

    signals: NDArray[np.float32]
    sensors: Sensors
    table: pd.DataFrame
    flags: tuple[str, ...]


def samples_of(table: BrainTable) -> pd.DataFrame:
    """List the samples of a table of bdpy: task, stimulus and run of each."""
    kinds = table.one("DataType")
    bad = ~np.isin(kinds, (1, 2, 3))
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(f"{table.path}: DataType of sample {row} is {kinds[row]:g}, expected 1, 2 or 3")
    numbers = table.one(*IDENTIFIERS)
    # Imagined categories are whole numbers in newer files: whether precision was lost is seen in the pictures.
    seen = kinds != 3
    names = np.empty(len(kinds), dtype=object)
    names[seen] = names_of(numbers[seen], table.path)
    names[~seen] = [name_of(float(number), table.path, row) for row, number in enumerate(numbers[~seen])]
    run = table.one("Run") if "Run" in table.columns else np.zeros(len(kinds))
    return pd.DataFrame(
        {
            "task": [TASKS[int(kind) - 1] for kind in kinds],
            "stimulus": names,
            "session": "",
            "run": [f"{int(number):02d}" if number else "" for number in run],
        }
    )


def read_bdpy(path: Path, store: ArrayStore) -> Responses:
    """Read ``SubjectN.h5`` or ``SubjectN.mat`` piece by piece.

    Parameters
    ----------
    path : Path
        The file.
    store : ArrayStore
        Where the signals go.

    Returns
    -------
    Responses
        Voxels are the columns that the metadata mark ``VoxelData``, regions those marked ``ROI_...``.

    Raises
    ------
    DataError
        Naming file, key or row.
    """
    with open_table(path) as table:
        samples = samples_of(table)
        voxels = table.where("VoxelData")
        if not len(voxels):
            raise DataError(f"{path}: no column is marked 'VoxelData'")
        signals = store.empty((table.n_samples, len(voxels), 1))
        for start in range(0, table.n_samples, ROWS_AT_A_TIME):
            stop = min(start + ROWS_AT_A_TIME, table.n_samples)
            signals[start:stop, :, 0] = table.rows(start, stop, voxels)
        regions = {
            key.removeprefix("ROI_"): values[voxels] == 1
            for key, values in table.columns.items()
            if key.startswith("ROI_")
        }
        if not any(mask.any() for mask in regions.values()):
            raise DataError(f"{path}: no voxel is marked with a region ROI_..., got {', '.join(table.columns)}")
    return Responses(signals, unplaced_voxels(len(voxels), unit="a.u.", regions=regions), samples, ())


def read_labels(path: Path) -> list[str]:
    """Read a list of pictures: a line is a number, a comma and the file's name; both must agree.

    Raises
    ------
    DataError
        Naming the line that is something else.
    """
    lines = read_text(path).splitlines()
    names = []
    for row, line in enumerate(lines, start=1):
        number, _, name = line.partition(",")
        found = check_name(name.strip().strip('"'), f"{path}: line {row}")
        try:
            expected = name_of(float(number), path, row)
        except ValueError as error:
            raise DataError(f"{path}: line {row}: got {line!r}, expected a number, a comma and a name") from error
        if found != expected:
            raise DataError(f"{path}: line {row}: {number} stands for {expected}, but the file is {found}")
        names.append(found)
    return names


def read_npz(folder: Path, number: int, store: ArrayStore) -> Responses:
    """Read ``sbj_N.npz`` as MinD-Vis made it: trials of the training, averages of the test, nothing imagined.

    Single trials of the test (``arr_1``) are there too, but nothing says which picture each of them showed.

    Parameters
    ----------
    folder : Path
        With ``imagenet_training_label.csv`` and ``imagenet_testing_label.csv``.
    number : int
        Of the subject.
    store : ArrayStore
        Where the signals go.

    Returns
    -------
    Responses
        Training first.

    Raises
    ------
    DataError
        If an array is missing or has another length.
    """
    path = folder / f"sbj_{number}.npz"
    arrays = load_arrays(path)
    missing = [name for name in ARRAYS if name not in arrays]
    if missing:
        raise DataError(f"{path}: no array {missing[0]!r}, got {', '.join(sorted(arrays)) or 'none'}")
    train, test, index = (arrays[name] for name in ARRAYS)
    training, testing = (read_labels(folder / file) for file, _ in LISTS.values())
    if train.ndim != 2 or test.ndim != 2 or train.shape[1] != test.shape[1]:
        raise DataError(f"{path}: arr_0 {train.shape} and arr_2 {test.shape}, expected samples of the same voxels")
    if (
        index.shape != (len(train),)
        or index.dtype.kind not in "iu"
        or not 0 <= index.min() <= index.max() < len(training)
    ):
        raise DataError(
            f"{path}: arr_3 is {index.dtype} of shape {index.shape}, expected {len(train)} rows of a list of "
            f"{len(training)} pictures, counted from 0"
        )
    if len(test) != len(testing):
        raise DataError(
            f"{path}: arr_2 has {len(test)} averages, expected {len(testing)} as in the list of test pictures"
        )
    regions = {name: mask for name, mask in arrays.items() if mask.dtype == np.bool_}
    wrong = next((name for name, mask in regions.items() if mask.shape != (train.shape[1],)), None)
    if wrong is not None:
        raise DataError(f"{path}: the region {wrong} has shape {regions[wrong].shape}, expected ({train.shape[1]},)")
    signals = store.empty((len(train) + len(test), train.shape[1], 1))
    signals[: len(train), :, 0] = train
    signals[len(train) :, :, 0] = test
    table = pd.DataFrame(
        {
            "task": ["train"] * len(train) + ["perception"] * len(test),
            "stimulus": [training[int(row)] for row in index] + testing,
            "session": "",
            "run": "",
        }
    )
    return Responses(signals, unplaced_voxels(train.shape[1], unit="a.u.", regions=regions), table, ())


def packed_pictures(folder: Path) -> dict[str, str]:
    """Find the pictures in ``images_256.npz`` of MinD-Vis: the place of each by its name, none without the file.

    Raises
    ------
    DataError
        If an array has not one picture for each line of its list.
    """
    if not (folder / PACKED).is_file():
        return {}
    found: dict[str, str] = {}
    for file, array in LISTS.values():
        names, content = read_labels(folder / file), map_array(folder / PACKED, array)
        if content.ndim != 4 or len(content) != len(names):
            raise DataError(
                f"{folder / PACKED}: {array} has shape {content.shape}, expected {len(names)} pictures as in {file}"
            )
        found |= {name: f"{PACKED}#{array}/{row}" for row, name in enumerate(names)}
    return found
