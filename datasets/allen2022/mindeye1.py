"""The archives that MindEye1, MindBridge and UMBRAE are trained on: one sample a picture, three responses each."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import DataError
from neurodecode.core.files import read_json
from neurodecode.core.recording import Recording
from neurodecode.datasets.allen2022.common import (
    DENOISED,
    FITTED,
    N_PICTURES,
    Z_SCORED,
    check_voxels,
    one_block,
    subject_name,
    unplaced_sensors,
    window_table,
)
from neurodecode.datasets.allen2022.samples import Sample, read_samples, read_unpacked, shards

FOLDER = "webdataset_avg_split"
PARTS = ("train", "val", "test")
REPETITIONS = 3
VOXELS, PICTURE, COUNT = "nsdgeneral.npy", "coco73k.npy", "num_uniques.npy"
UNTIMED = "which session and trial a response comes from was not kept"


class MindEye1:
    """Read ``webdataset_avg_split``: tar archives, or what MindBridge unpacks from them.

    Parameters
    ----------
    root : Path
        Folder that holds ``webdataset_avg_split``, or that folder itself.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._samples: dict[int, dict[int, Sample]] = {}

    @staticmethod
    def there(root: Path) -> bool:
        """Tell whether the archives or unpacked samples lie in a folder, by names only."""
        train = _base(root) / "train"
        return any(next(train.glob(pattern), None) for pattern in ("train_subj*_*.tar", "subj*/sample*.nsdgeneral.npy"))

    def subjects(self) -> list[int]:
        """List the subjects with training samples."""
        names = [path.name for path in (_base(self.root) / "train").glob("*subj*")]
        found = {
            int(match[1]) for name in names if (match := re.fullmatch(r"(?:train_)?subj(\d\d)(?:_\d+\.tar)?", name))
        }
        return sorted(found)

    def samples(self, subject: int) -> dict[int, Sample]:
        """Index a subject's samples by picture, in rising order; nothing but the numbers of the pictures is read."""
        if subject in self._samples:
            return self._samples[subject]
        base, counts = _base(self.root), {}
        found: dict[int, Sample] = {}
        for part in PARTS:
            packed = shards(base / part, rf"{part}_subj{subject:02d}_(\d+)\.tar")
            unpacked = base / part / f"subj{subject:02d}"
            samples = read_samples(packed, part) if packed or not unpacked.is_dir() else read_unpacked(unpacked, part)
            counts[part] = len(samples)
            for sample in samples:
                number = sample.number(PICTURE, low=0, high=N_PICTURES - 1)
                if number in found:
                    raise DataError(f"{sample.where}: picture {number} is in {found[number].where} ({part}) already")
                found[number] = sample
        self._check_totals(base / f"metadata_subj{subject:02d}.json", counts)
        self._samples[subject] = dict(sorted(found.items()))
        return self._samples[subject]

    @staticmethod
    def _check_totals(path: Path, counts: Mapping[str, int]) -> None:
        for part in ("train", "test"):
            if not counts[part]:
                raise DataError(f"{path.parent / part}: no samples of {path.stem.removeprefix('metadata_')}")
        if not path.is_file():
            return
        content = read_json(path)
        totals = content.get("totals") if isinstance(content, dict) else None
        if not isinstance(totals, dict):
            raise DataError(f"{path}: totals is {totals!r}, expected the number of samples of train, val and test")
        for part, count in counts.items():
            if totals.get(part) != count:
                raise DataError(f"{path.parent / part}: {count} samples, expected {totals.get(part)} as in {path.name}")

    def pictures(self) -> pd.DataFrame:
        """List the pictures of all subjects; one that tests a subject must not train another."""
        rows: dict[int, tuple[str, int]] = {}
        first: dict[int, Sample] = {}
        for subject in self.subjects():
            for number, sample in self.samples(subject).items():
                shared = int(sample.part == "test")
                if number in rows and rows[number][1] != shared:
                    raise DataError(
                        f"{sample.where}: picture {number} is in {sample.part}, but in {first[number].part} in "
                        f"{first[number].where}"
                    )
                kind = next((kind for kind in ("jpg", "png") if kind in sample.files), "")
                if number not in rows or not rows[number][0]:
                    rows[number] = (sample.reference(kind, self.root) if kind else "", shared)
                    first[number] = sample
        numbers = sorted(rows)
        return pd.DataFrame(
            {"nsd": numbers, "path": [rows[n][0] for n in numbers], "shared1000": [rows[n][1] for n in numbers]}
        )

    def load(self, subject: int, store: ArrayStore, expected: Mapping[str, int]) -> Recording:
        """Read the responses picture by picture; missing ones, which copies of others fill, are left out."""
        samples = self.samples(subject)
        first = next(iter(samples.values()))
        n_voxels = responses(first).shape[1]
        check_voxels(n_voxels, subject, expected, first.files[VOXELS].path)
        self._check_split(subject, expected)
        counts = {number: self._count(sample, n_voxels) for number, sample in samples.items()}
        signals = store.empty((sum(counts.values()), n_voxels, 1))
        row = 0
        for number, sample in samples.items():
            signals[row : row + counts[number], :, 0] = distinct_responses(sample, n_voxels)
            row += counts[number]
        repeats = list(counts.values())
        windows = window_table(
            subject,
            np.repeat(np.fromiter(counts, dtype=np.int64), repeats),
            np.arange(len(signals)),
            session="",
            run="",
            repetition=np.concatenate([np.arange(1, count + 1) for count in repeats]),
            onset=0.0,
            shared1000=np.repeat([int(sample.part == "test") for sample in samples.values()], repeats),
            part=np.repeat([sample.part for sample in samples.values()], repeats),
        )
        return one_block(subject, signals, unplaced_sensors(n_voxels), windows, (FITTED, DENOISED, Z_SCORED, UNTIMED))

    @staticmethod
    def _count(sample: Sample, n_voxels: int) -> int:
        if COUNT in sample.files:
            return sample.number(COUNT, low=1, high=REPETITIONS)
        return len(distinct_responses(sample, n_voxels))

    def _check_split(self, subject: int, expected: Mapping[str, int]) -> None:
        """Compare the number of test pictures with what was public when the archives were made: 37 sessions of 40."""
        if expected.get(f"sessions_{subject_name(subject)}") != 40:
            return
        count = sum(sample.part == "test" for sample in self.samples(subject).values())
        if count != 982:
            place = _base(self.root) / "test"
            raise DataError(f"{place}: {count} test pictures of {subject_name(subject)}, expected 982")


def _base(root: Path) -> Path:
    return root / FOLDER if (root / FOLDER).is_dir() else root


def responses(sample: Sample) -> NDArray[np.float32]:
    """Read the three responses to a picture ``(3, n_voxels)``, some of which may be copies of others."""
    values = sample.array(VOXELS)
    if values.ndim != 2 or len(values) != REPETITIONS or values.dtype.kind != "f":
        raise DataError(
            f"{sample.where}: {VOXELS} is {values.dtype} of shape {values.shape}, expected floats "
            f"({REPETITIONS}, voxels)"
        )
    return values.astype(np.float32)


def distinct_responses(sample: Sample, n_voxels: int) -> NDArray[np.float32]:
    """Read the responses to a picture without what was filled in.

    Parameters
    ----------
    sample : Sample
        With ``nsdgeneral.npy`` and, where it was kept, ``num_uniques.npy``, the number of responses that are real.
    n_voxels : int
        How many voxels the subject's other samples have.

    Returns
    -------
    ndarray of float32, shape (n_responses, n_voxels)
        One to three, in the file's order.

    Raises
    ------
    DataError
        If a response is not finite, the number of voxels differs, or there are fewer than the file promises.
    """
    values = responses(sample)
    if values.shape[1] != n_voxels:
        raise DataError(f"{sample.where}: {values.shape[1]} voxels, expected {n_voxels} as in the first sample")
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        raise DataError(f"{sample.where}: repetition {int(np.argmin(finite)) + 1} in {VOXELS} is not finite")
    kept = [row for row in range(REPETITIONS) if not any((values[row] == values[other]).all() for other in range(row))]
    if COUNT in sample.files:
        promised = sample.number(COUNT, low=1, high=REPETITIONS)
        if len(kept) < promised:
            raise DataError(f"{sample.where}: {len(kept)} different responses, expected {promised} as in {COUNT}")
        kept = kept[:promised]
    return values[kept]
