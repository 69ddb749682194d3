"""Tables of ready vectors, read from what people have on disk."""

from pathlib import Path

import numpy as np

from neurodecode.core.errors import DataError
from neurodecode.core.feature_table import FeatureTable
from neurodecode.datasets.arrays.description import FeatureSource
from neurodecode.datasets.arrays.sources import TABLES, open_source, read_text_table, text_values

NAMES_KEY = "stimulus"
DEFAULT_LAYER = "features"


def read_feature_table(root: Path, source: FeatureSource) -> FeatureTable:
    """Read one table of vectors.

    Parameters
    ----------
    root : Path
        What the files are relative to.
    source : FeatureSource
        The array and the names of its rows. Without names, an array or a column `stimulus` of the same file gives them;
        without that, too, the rows are numbered from `first`.

    Returns
    -------
    FeatureTable
        In single precision.

    Raises
    ------
    DataError
        Naming the file: missing, no two dimensions, not finite, or with another number of names than rows.
    """
    path = root / source.file
    if path.suffix.lower() in TABLES and not source.key:
        return _from_table(path, root, source)
    array = open_source(path, source.key)
    if array.dtype.kind not in "fiu":
        raise DataError(f"{array.place}: holds {array.dtype}, expected numbers")
    vectors = np.asarray(array.whole(), dtype=np.float32)
    if source.names is not None:
        names = text_values(open_source(root / source.names.file, source.names.key))
    elif path.suffix.lower() not in (".npy", *TABLES) and NAMES_KEY in _keys(path):
        names = text_values(open_source(path, NAMES_KEY))
    else:
        names = [str(source.first + row) for row in range(len(vectors))]
    return FeatureTable(array.place, tuple(names), vectors)


def read_feature_file(path: Path) -> dict[str, FeatureTable]:
    """Read every table of vectors of one file: each array with as many rows as there are stimuli is a layer.

    Parameters
    ----------
    path : Path
        ``.npz``, ``.mat`` or ``.h5`` with an array `stimulus`; ``.csv`` or ``.tsv`` with a column `stimulus`; or
        ``.npy``, whose rows are numbered from 0.

    Returns
    -------
    dict of str to FeatureTable
        By layer.

    Raises
    ------
    DataError
        If nothing in the file is such a table.
    """
    root, name = path.parent, path.name
    if path.suffix.lower() in (".npy", *TABLES):
        return {DEFAULT_LAYER: read_feature_table(root, FeatureSource(name))}
    open_source(path, NAMES_KEY)
    layers = [key for key in _keys(path) if key != NAMES_KEY]
    if not layers:
        raise DataError(f"{path}: only names of stimuli, expected at least one array of vectors beside them")
    return {layer: read_feature_table(root, FeatureSource(name, layer)) for layer in layers}


def _from_table(path: Path, root: Path, source: FeatureSource) -> FeatureTable:
    table = read_text_table(path) if path.is_file() else None
    if table is None or NAMES_KEY not in table:
        vectors = open_source(path).whole()
        names = [str(source.first + row) for row in range(len(vectors))]
        if source.names is not None:
            names = text_values(open_source(root / source.names.file, source.names.key))
        return FeatureTable(str(path), tuple(names), np.asarray(vectors, dtype=np.float32))
    try:
        vectors = table.drop(columns=NAMES_KEY).to_numpy().astype(np.float32)
    except ValueError as error:
        raise DataError(f"{path}: expected numbers beside the column {NAMES_KEY!r} ({error})") from None
    return FeatureTable(str(path), tuple(table[NAMES_KEY].str.strip()), vectors)


def _keys(path: Path) -> list[str]:
    """List the arrays of a file that names them."""
    if path.suffix.lower() == ".npz":
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return list(archive.files)
    import h5py

    if h5py.is_hdf5(path):
        with h5py.File(path, "r") as file:
            return [str(name) for name, entry in file.items() if isinstance(entry, h5py.Dataset)]
    import scipy.io

    return [str(entry[0]) for entry in scipy.io.whosmat(path)]
