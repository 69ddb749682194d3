"""One slice of one subject of Haxby et al. 2001: blocks of pictures of eight categories, as PyMVPA ships it."""

import warnings
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import DataError
from neurodecode.core.files import read_text
from neurodecode.core.recording import Block, Recording
from neurodecode.core.sensors import Sensors
from neurodecode.core.split import Split, leave_one_out_split
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.study import Study, StudyInfo
from neurodecode.datasets.volumes import load_image, load_mask, voxel_sensors

SUBJECT = "sub-01"
REPETITION_TIME = 2.5
# The volumes of a block are averaged as the data set's own list labels them. Blocks of 24 s began 12 s after the run
# and then every 36 s; the labels begin 1 to 4.5 s later, so they hold a part of the delay of the blood's answer
# already.
REST = "rest"
CATEGORIES = {
    "bottle": "bottle",
    "cat": "cat",
    "chair": "chair",
    "face": "human face",
    "house": "house",
    "scissors": "pair of scissors",
    "scrambledpix": "scrambled picture",
    "shoe": "shoe",
}
FLAG = "detrended and z-scored within each run over all its volumes, test runs included, without labels"


class HaxbySlice(Study):
    """Read the slice, its mask and the list of conditions, and average each block of nine volumes.

    Each voxel of each run loses its linear trend and is scaled to unit variance over all volumes of that run. That
    uses no label and nothing of another run, but it does use all of the test run; a flag says so in every result.

    Parameters
    ----------
    root : Path
        The folder with ``bold.nii.gz``, ``mask.nii.gz`` and ``attributes_literal.txt``.
    """

    info = StudyInfo(
        name="haxby_slice",
        modality="fmri",
        kind="word",
        description="One subject saw blocks of pictures of eight categories; one slice of 530 voxels, 12 runs.",
        citation="Haxby et al. 2001, doi:10.1126/science.1063736",
        licence="CC BY-SA 3.0",
        where="folder mvpa2/data of https://github.com/PyMVPA/PyMVPA",
        size="1.3 MB",
        simulated=False,
        expected={"subjects": 1, "stimuli": 8, "runs": 12, "windows": 96, "channels": 530},
        averaging="block_of_trials",
        candidates="stimulus",
    )
    places = ("brain/haxby_slice", "haxby_slice")
    needed = ("bold.nii.gz", "mask.nii.gz", "attributes_literal.txt")

    def subjects(self) -> list[str]:
        """Name the one subject."""
        return [SUBJECT]

    def stimuli(self) -> Stimuli:
        """List the eight categories; which pictures a block showed was not kept, so there are no pictures."""
        names = list(CATEGORIES)
        table = pd.DataFrame(
            {"stimulus": names, "kind": "word", "path": "", "concept": names, "text": list(CATEGORIES.values())}
        )
        return Stimuli(table)

    def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
        """Read the blocks: one window each, one time each; `sfreq` has no meaning for block means."""
        if subject != SUBJECT:
            raise DataError(f"subject: got {subject!r}, expected {SUBJECT} ({self.root})")
        labels, runs = read_conditions(self.root / "attributes_literal.txt", tuple(CATEGORIES))
        signals, sensors = _read_voxels(self.root / "bold.nii.gz", self.root / "mask.nii.gz", len(labels))
        cleaned = clean_runs(signals, runs)
        blocks, rows = {}, []
        for number in np.unique(runs):
            members = np.flatnonzero(runs == number)
            name = f"run-{number + 1:02d}"
            means, found = block_means(cleaned[members], labels[members])
            blocks[name] = Block(name, means, sensors)
            for index, (category, first) in enumerate(found):
                rows.append(
                    {
                        "subject": subject,
                        "session": "",
                        "run": f"{number + 1:02d}",
                        "block": name,
                        "start": index,
                        "length": 1,
                        "stimulus": category,
                        "repetition": int(number) + 1,
                        "onset": first * REPETITION_TIME,
                        "block_of_trials": f"{name}_{index:02d}_{category}",
                    }
                )
        return Recording(subject, "fmri", blocks, pd.DataFrame(rows), False, (FLAG,))

    def split(self, windows: Mapping[str, pd.DataFrame]) -> Split:
        """Leave one run out, twelve folds; one other run, drawn with a fixed seed, validates."""
        return leave_one_out_split(windows, columns=("run",), unit="run", validation_units=1, seed=0)

    def steps(self) -> dict[str, Any]:
        """Describe cleaning and averaging."""
        return {
            "reader": "haxby_slice",
            "detrend": "linear, within run",
            "scaling": "unit variance over all volumes of a run, without labels",
            "average": "the volumes of a block as labelled, not shifted",
            "texts": CATEGORIES,
        }


def read_conditions(path: Path, categories: tuple[str, ...]) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Read the condition and the run of each volume.

    Parameters
    ----------
    path : Path
        Text with a condition and a run number a line.
    categories : tuple of str
        Conditions allowed beside rest.

    Returns
    -------
    labels : ndarray of str, shape (n_volumes,)
        Conditions.
    runs : ndarray of int, shape (n_volumes,)
        Run numbers from 0, in rising order.

    Raises
    ------
    DataError
        Naming the file and line that is not a known condition and a run number.
    """
    labels, runs = [], []
    lines = read_text(path).splitlines()
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if len(words) != 2 or not words[1].isdigit() or words[0] not in (*categories, REST):
            raise DataError(f"{path}: line {number}: got {line!r}, expected a condition and the number of its run")
        labels.append(words[0])
        runs.append(int(words[1]))
    if not runs or sorted(runs) != runs:
        raise DataError(f"{path}: expected the volumes of run 0 first, then those of run 1, and so on")
    return np.array(labels, dtype=np.str_), np.array(runs, dtype=np.int64)


def _read_voxels(bold: Path, mask: Path, n_volumes: int) -> tuple[NDArray[np.float32], Sensors]:
    volumes, affine = load_image(bold)
    inside = load_mask(mask, volumes.shape[:3], affine)
    if volumes.ndim != 4 or volumes.shape[3] != n_volumes:
        raise DataError(f"{bold}: shape {volumes.shape}, expected {n_volumes} volumes as in the list of conditions")
    return np.asarray(volumes[inside].T, dtype=np.float32), voxel_sensors(inside, affine, unit="z")


def clean_runs(signals: NDArray[np.float32], runs: NDArray[np.int64]) -> NDArray[np.float32]:
    """Remove the linear trend of each voxel in each run and scale it to unit variance there.

    Parameters
    ----------
    signals : ndarray of float32, shape (n_volumes, n_voxels)
        Any unit.
    runs : ndarray of int, shape (n_volumes,)
        The run of each volume.

    Returns
    -------
    ndarray of float32, shape (n_volumes, n_voxels)
        In standard deviations.

    Raises
    ------
    DataError
        If a voxel is not finite, or constant within a run.
    """
    from nilearn.signal import clean

    for run in np.unique(runs):
        part = signals[runs == run]
        if not np.isfinite(part).all():
            raise DataError(f"run {run + 1}: voxel {int(np.argmin(np.isfinite(part).all(axis=0)))} is not finite")
        flat = part.min(axis=0) == part.max(axis=0)
        if flat.any():
            raise DataError(f"run {run + 1}: voxel {int(np.argmax(flat))} is flat ({int(flat.sum())} of {len(flat)})")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        cleaned = clean(signals, runs=runs, detrend=True, standardize="zscore_sample", ensure_finite=False)
    return np.asarray(cleaned, dtype=np.float32)


def block_means(
    signals: NDArray[np.float32], labels: NDArray[np.str_]
) -> tuple[NDArray[np.float32], list[tuple[str, int]]]:
    """Average the volumes of each block of one run.

    Parameters
    ----------
    signals : ndarray of float32, shape (n_volumes, n_voxels)
        One run.
    labels : ndarray of str, shape (n_volumes,)
        The condition of each volume; rest separates blocks.

    Returns
    -------
    means : ndarray of float32, shape (n_blocks, n_voxels, 1)
        One time each.
    blocks : list of (str, int)
        Condition and first volume of each block.

    Examples
    --------
    >>> signals = np.arange(5, dtype=np.float32)[:, None]
    >>> means, blocks = block_means(signals, np.array(["rest", "cat", "cat", "rest", "rest"]))
    >>> means.ravel().tolist(), blocks
    ([1.5], [('cat', 1)])
    """
    means, blocks, position = [], [], 0
    for label, members in groupby(labels.tolist()):
        length = len(list(members))
        if label != REST:
            means.append(signals[position : position + length].mean(axis=0))
            blocks.append((label, position))
        position += length
    return np.asarray(means, dtype=np.float32)[:, :, None], blocks
