"""Haxby et al. 2001 whole: six people, blocks of pictures of eight categories, as nilearn fetches it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

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
from neurodecode.datasets.beta_maps import subject_of
from neurodecode.datasets.haxby2001 import CATEGORIES, FLAG, REPETITION_TIME, REST, block_means, clean_runs
from neurodecode.datasets.masks import grid_of, mask_on_grid
from neurodecode.datasets.options import one_of
from neurodecode.datasets.volumes import read_masked, voxel_sensors

WHOLE_BRAIN = "mask"
MASKS = ("mask4_vt", "mask8_face_vt", "mask8_house_vt", "mask8b_face_vt", "mask8b_house_vt", WHOLE_BRAIN)
# In one run of the fifth subject no volume is labelled.
UNLABELLED = {"sub-05": 1}


class Haxby2001(Study):
    """Read the blocks of all subjects; the volumes of a block are averaged as labelled.

    Parameters
    ----------
    root : Path
        The folder with ``subj1`` and so on, as nilearn's fetcher makes it.
    mask : str
        Which voxels: ``mask4_vt`` (ventral temporal cortex), a subject's other masks, or ``mask`` (the whole brain).
    """

    info = StudyInfo(
        name="haxby2001",
        modality="fmri",
        kind="word",
        description="Six people saw blocks of pictures of eight categories, 12 runs each; whole brain.",
        citation="Haxby et al. 2001, doi:10.1126/science.1063736",
        licence="CC BY-SA 3.0 (PyMVPA's copy); nilearn says unknown",
        where="python -c \"from nilearn.datasets import fetch_haxby; fetch_haxby(data_dir='DIR', subjects=6)\"",
        size="300 MB a subject",
        simulated=False,
        expected={"stimuli": 8, "volumes": 1452, "runs_of_each": 12},
        averaging="block_of_trials",
        candidates="stimulus",
    )
    places = ("haxby2001", "nilearn_data/haxby2001", "fmri/haxby2001")
    own_splits: ClassVar[tuple[str, ...]] = ("run",)

    def __init__(self, root: Path, *, mask: str = MASKS[0]) -> None:
        super().__init__(root)
        self.mask = one_of(mask, "mask", MASKS)

    @classmethod
    def find(cls, data_root: Path) -> Path | None:
        """Give the first folder that holds a subject, by names only."""
        for folder in (*(data_root / place for place in cls.places), data_root):
            if _numbers(folder):
                return folder
        return None

    @classmethod
    def looked_for(cls, data_root: Path) -> list[Path]:
        """List the files by which the first subject is known."""
        return [data_root / place / "subj1" / "labels.txt" for place in (*cls.places, ".")]

    def subjects(self) -> list[str]:
        """List the subjects that are on disk."""
        return [f"sub-{number:02d}" for number in _numbers(self.root)]

    def stimuli(self) -> Stimuli:
        """List the eight categories; which pictures a block showed was not kept, so there are no pictures."""
        names = list(CATEGORIES)
        return Stimuli(
            pd.DataFrame(
                {"stimulus": names, "kind": "word", "path": "", "concept": names, "text": list(CATEGORIES.values())}
            )
        )

    def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
        """Read the blocks of one subject: one window each, one time each; `sfreq` has no meaning for block means."""
        number = _numbers(self.root)[subject_of(subject, self.subjects(), self.root)]
        store = store or ArrayStore()
        folder = self.root / f"subj{number}"
        labels, runs = read_labels(folder / "labels.txt")
        self._check_counts(folder / "labels.txt", subject, labels, runs)
        signals, sensors, flags = self._voxels(folder, len(labels))
        cleaned = clean_runs(signals, runs)
        blocks, rows = {}, []
        for run in np.unique(runs):
            members = np.flatnonzero(runs == run)
            if (labels[members] == REST).all():
                continue
            means, found = block_means(cleaned[members], labels[members])
            name = f"run-{run + 1:02d}"
            blocks[name] = Block(name, store.keep(means), sensors)
            for index, (category, first) in enumerate(found):
                rows.append(
                    {
                        "subject": subject,
                        "session": "",
                        "run": f"{run + 1:02d}",
                        "block": name,
                        "start": index,
                        "length": 1,
                        "stimulus": category,
                        "repetition": len(blocks),
                        "onset": first * REPETITION_TIME,
                        "block_of_trials": f"{name}_{index:02d}_{category}",
                    }
                )
        return Recording(subject, "fmri", blocks, pd.DataFrame(rows), self.info.simulated, tuple(flags))

    def _check_counts(self, path: Path, subject: str, labels: NDArray[np.str_], runs: NDArray[np.int64]) -> None:
        """Compare with the counts of the original; one run of the fifth subject has no labels."""
        expected = self.info.expected
        if expected.get("volumes", len(labels)) != len(labels):
            raise DataError(f"{path}: {len(labels)} volumes, expected {expected['volumes']}")
        empty = [run for run in np.unique(runs) if (labels[runs == run] == REST).all()]
        if "runs_of_each" in expected and len(np.unique(runs)) != expected["runs_of_each"]:
            raise DataError(f"{path}: {len(np.unique(runs))} runs, expected {expected['runs_of_each']}")
        if len(empty) > UNLABELLED.get(subject, 0):
            raise DataError(f"{path}: no volume of run {empty[0] + 1} is labelled")

    def _voxels(self, folder: Path, n_volumes: int) -> tuple[NDArray[np.float32], Sensors, list[str]]:
        """Read the voxels of the mask that change, and the masks as regions."""
        bold = folder / "bold.nii.gz"
        shape, affine, found = grid_of(bold)
        if found != n_volumes:
            raise DataError(f"{bold}: {found} volumes, expected {n_volumes} as in labels.txt")
        masks = {}
        for name in MASKS:
            path = self.root / "mask.nii.gz" if name == WHOLE_BRAIN else folder / f"{name}.nii.gz"
            if path.is_file():
                masks[name] = mask_on_grid(path, shape, affine)
        if self.mask not in masks or not masks[self.mask].any():
            raise DataError(f"{folder}: the mask {self.mask!r} is missing or empty, got {', '.join(masks) or 'none'}")
        inside = masks[self.mask]
        signals = read_masked(bold, inside, affine)
        sensors = voxel_sensors(
            inside, affine, unit="z", regions={n: m for n, m in masks.items() if (m & inside).any()}
        )
        varying = signals.max(axis=0) > signals.min(axis=0)
        if varying.all():
            return signals, sensors, [FLAG]
        names = [name for name, one in zip(sensors.names, varying, strict=True) if one]
        left_out = f"{int((~varying).sum())} of {len(varying)} voxels that never change left out"
        return signals[:, varying], sensors.pick(names), [FLAG, left_out]

    def split(self, windows: Mapping[str, pd.DataFrame]) -> Split:
        """Leave one run out; one other run, drawn with a fixed seed, validates."""
        return leave_one_out_split(windows, columns=("run",), unit="run", validation_units=1, seed=0)

    def steps(self) -> dict[str, Any]:
        """Describe cleaning and averaging."""
        return {
            "reader": "haxby2001",
            "mask": self.mask,
            "detrend": "linear, within run",
            "scaling": "unit variance over all volumes of a run, without labels",
            "average": "the volumes of a block as labelled, not shifted",
            "texts": CATEGORIES,
        }


def _numbers(root: Path) -> list[int]:
    """List the subjects with labels and volumes, by names only."""
    return [
        number
        for number in range(1, 7)
        if all((root / f"subj{number}" / name).is_file() for name in ("labels.txt", "bold.nii.gz"))
    ]


def read_labels(path: Path) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Read the category and the run of each volume.

    Parameters
    ----------
    path : Path
        Text with the header ``labels chunks`` and then a category and a run, counted from 0, a line.

    Returns
    -------
    labels : ndarray of str, shape (n_volumes,)
        Categories, ``rest`` between blocks.
    runs : ndarray of int, shape (n_volumes,)
        In rising order.

    Raises
    ------
    DataError
        Naming the line that is something else.
    """
    lines = read_text(path).splitlines()
    if not lines or lines[0].split() != ["labels", "chunks"]:
        raise DataError(f"{path}: line 1: got {lines[0] if lines else ''!r}, expected 'labels chunks'")
    labels: list[str] = []
    runs: list[int] = []
    for number, line in enumerate(lines[1:], start=2):
        words = line.split()
        known = len(words) == 2 and words[0] in (*CATEGORIES, REST) and words[1].isdecimal()
        last = runs[-1] if runs else 0
        if not known or int(words[1]) not in (last, last + 1):
            raise DataError(
                f"{path}: line {number}: got {line!r}, expected a category or rest, and run {last} or {last + 1}"
            )
        labels.append(words[0])
        runs.append(int(words[1]))
    if not runs or runs[0] != 0:
        raise DataError(f"{path}: line 2: expected the first volume of run 0")
    return np.array(labels, dtype=np.str_), np.array(runs, dtype=np.int64)
