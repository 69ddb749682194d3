"""Miyawaki et al. 2008: one person saw patterns of 10 by 10 patches, random ones and figures."""

import re
from collections.abc import Mapping
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.feature_table import FeatureTable
from neurodecode.core.files import read_text
from neurodecode.core.recording import Recording
from neurodecode.core.split import Split
from neurodecode.core.split_rules import VALIDATION_SHARE
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.study import Study, StudyInfo
from neurodecode.datasets.beta_maps import beta_recording, hold_out, split_of_parts, subject_of
from neurodecode.datasets.fmriprep_responses import clean_run
from neurodecode.datasets.masks import grid_of, mask_on_grid
from neurodecode.datasets.volumes import load_mask, read_masked, voxel_sensors

SUBJECT = "sub-01"
REPETITION_TIME = 2.0
PATCHES = 100
REST = -1
SEED = 0
SESSIONS = ("figure", "random")
FLAG = "freed of its trend and scaled within each run over all its volumes, without labels"
RULE = (
    "what was seen in the runs of figures tests; a tenth of the random patterns validates, by the hash of their names"
)


class Miyawaki2008(Study):
    """Read the blocks: the volumes that answer one pattern are averaged.

    There are no picture files: a pattern is a hundred patches, which `feature_tables` gives as vectors.

    Parameters
    ----------
    root : Path
        The folder with ``func``, ``label`` and ``mask``, as nilearn's fetcher makes it.
    delay : int
        How many volumes (of 2 s) after a pattern its answer is taken to begin.
    """

    info = StudyInfo(
        name="miyawaki2008",
        modality="fmri",
        kind="image",
        description="One person saw random patterns and figures of 10 by 10 patches; visual cortex, 32 runs.",
        citation="Miyawaki et al. 2008, doi:10.1016/j.neuron.2008.11.004",
        licence="unknown, as nilearn says",
        where="python -c \"from nilearn.datasets import fetch_miyawaki2008; fetch_miyawaki2008(data_dir='DIR')\"",
        size="153 MB",
        simulated=False,
        expected={"figure": 12, "random": 20, "subjects": 1},
    )
    places = ("miyawaki2008", "nilearn_data/miyawaki2008", "fmri/miyawaki2008")
    needed: ClassVar[tuple[str, ...]] = ("mask/mask.nii.gz", "func/data_random_run01.nii.gz")
    own_splits: ClassVar[tuple[str, ...]] = ("figures",)

    def __init__(self, root: Path, *, delay: int = 2) -> None:
        super().__init__(root)
        if not isinstance(delay, int) or isinstance(delay, bool) or not 0 <= delay <= 5:
            raise ConfigError(f"delay: got {delay!r}, expected a number of volumes from 0 to 5")
        self.delay = delay

    def subjects(self) -> list[str]:
        """Name the one subject."""
        return [SUBJECT]

    @cached_property
    def _runs(self) -> list[tuple[str, int, Path, NDArray[np.int8]]]:
        """The runs: session, number, volumes and the pattern of each volume."""
        found = []
        for session in SESSIONS:
            numbers = []
            for path in sorted((self.root / "func").glob(f"data_{session}_run*.nii.gz")):
                match = re.fullmatch(rf"data_{session}_run(\d+)\.nii\.gz", path.name)
                if match is None:
                    raise DataError(f"{path}: got this name, expected data_{session}_run01.nii.gz or the like")
                label = self.root / "label" / f"data_{session}_run{match[1]}_label.csv"
                found.append((session, int(match[1]), path, read_patterns(label)))
                numbers.append(int(match[1]))
            expected = self.info.expected.get(session, len(numbers))
            if numbers != list(range(1, expected + 1)):
                raise DataError(
                    f"{self.root / 'func'}: runs {', '.join(map(str, numbers)) or 'none'} ({session}), expected 1 to "
                    f"{expected}"
                )
        return found

    def stimuli(self) -> Stimuli:
        """List the patterns by the hexadecimal number of their patches; `session` says where they were shown."""
        sessions: dict[str, str] = {}
        for session, _, _, patterns in self._runs:
            for name, _, _ in blocks_of(patterns):
                sessions.setdefault(name, session)
        names = sorted(sessions)
        rows = pd.DataFrame({"stimulus": names, "kind": "image", "path": "", "concept": "", "text": ""})
        return Stimuli(rows.assign(session=[sessions[name] for name in names]), self.root)

    def feature_tables(self) -> dict[str, FeatureTable]:
        """Give the patches of every pattern: 0 or 1, down the columns of the square, as the files have them."""
        names = tuple(self.stimuli().names)
        vectors = np.stack([patches_of(name) for name in names]).astype(np.float32)
        return {"patches": FeatureTable(f"{self.root / 'label'}", names, vectors)}

    def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
        """Read run by run; `sfreq` has no meaning for averages of a block."""
        subject_of(subject, self.subjects(), self.root)
        store = store or ArrayStore()
        shape, affine, _ = grid_of(self._runs[0][2])
        inside = load_mask(self.root / "mask" / "mask.nii.gz", shape, affine)
        regions = read_regions(self.root / "mask", shape, affine)
        blocks = [blocks_of(patterns) for _, _, _, patterns in self._runs]
        signals = store.empty((sum(map(len, blocks)), int(inside.sum()), 1))
        good = np.ones(int(inside.sum()), dtype=bool)
        rows: list[dict[str, Any]] = []
        for (session, number, path, patterns), shown in zip(self._runs, blocks, strict=True):
            series = read_masked(path, inside, affine)
            if len(series) != len(patterns):
                raise DataError(
                    f"{path}: {len(series)} volumes, expected {len(patterns)}, one for each line of its labels"
                )
            varying = series.max(axis=0) > series.min(axis=0)  # false for NaN
            if not varying.any():
                raise DataError(f"{path}: no voxel of the mask has a signal")
            good &= varying
            cleaned = np.zeros_like(series)
            cleaned[:, varying] = clean_run(
                series[:, varying], pd.DataFrame(index=range(len(series))), REPETITION_TIME, None
            )
            for name, first, last in shown:
                if first + self.delay >= len(series):
                    raise DataError(f"{path}: the pattern of volume {first + 1} has no volume {self.delay} later")
                signals[len(rows), :, 0] = cleaned[first + self.delay : last + self.delay].mean(axis=0)
                rows.append(
                    {"stimulus": name, "session": session, "run": f"{number:02d}", "onset": first * REPETITION_TIME}
                )
        if not good.any():
            raise DataError(f"{self.root / 'func'}: no voxel of the mask has a signal in all runs")
        sensors = voxel_sensors(
            inside, affine, unit="z", regions={n: m for n, m in regions.items() if (m & inside).any()}
        )
        flags = [FLAG]
        if not good.all():
            flags.append(f"{int((~good).sum())} of {len(good)} voxels without a signal in some run left out")
            sensors = sensors.pick([name for name, one in zip(sensors.names, good, strict=True) if one])
            signals = store.keep(signals[:, good])
        return beta_recording(subject, signals, sensors, pd.DataFrame(rows), simulated=self.info.simulated, flags=flags)

    def split(self, windows: Mapping[str, pd.DataFrame]) -> Split:
        """Train on random patterns and test on figures, as the authors did."""
        parts, units = {}, {}
        for subject, table in windows.items():
            side = table["session"].map({"figure": "test", "random": "train"})
            parts[subject] = hold_out(side, table["stimulus"], share=VALIDATION_SHARE, seed=SEED)
            units[subject] = table["stimulus"].astype(str).tolist()
        return split_of_parts(parts, units, unit="stimulus", rule=RULE, seed=SEED)

    def steps(self) -> dict[str, Any]:
        """Describe cleaning and averaging."""
        return {
            "reader": "miyawaki2008",
            "detrend": "linear, within run",
            "scaling": "unit variance over all volumes of a run, without labels",
            "average": f"the volumes of a block, {self.delay} volumes later",
        }


def read_patterns(path: Path) -> NDArray[np.int8]:
    """Read the pattern of each volume.

    Parameters
    ----------
    path : Path
        CSV without a header: a hundred numbers a line, 0 or 1, or -1 throughout while nothing was shown.

    Returns
    -------
    ndarray of int8, shape (n_volumes, 100)
        As in the file.

    Raises
    ------
    DataError
        Naming the line that is something else.
    """
    lines = read_text(path).splitlines()
    rows = []
    for number, line in enumerate(lines, start=1):
        words = [word.strip() for word in line.split(",")]
        if len(words) != PATCHES or not (set(words) <= {"0", "1"} or set(words) == {str(REST)}):
            raise DataError(
                f"{path}: line {number}: got {len(words)} values from {', '.join(sorted(set(words))[:4])!r}, expected "
                f"{PATCHES} of 0 and 1, or of {REST}"
            )
        rows.append([int(word) for word in words])
    if not rows:
        raise DataError(f"{path}: is empty, expected a line for each volume")
    return np.array(rows, dtype=np.int8)


def name_of(pattern: NDArray[np.int8]) -> str:
    """Name a pattern by its patches as one hexadecimal number.

    Examples
    --------
    >>> name_of(np.ones(100, dtype=np.int8))
    'pattern-fffffffffffffffffffffffff'
    """
    return f"pattern-{int(''.join(map(str, pattern.tolist())), 2):025x}"


def patches_of(name: str) -> NDArray[np.float64]:
    """Give the patches of a pattern by its name; the inverse of `name_of`.

    Examples
    --------
    >>> patches_of("pattern-8000000000000000000000001")[[0, 1, 99]].tolist()
    [1.0, 0.0, 1.0]
    """
    return np.array(list(f"{int(name.removeprefix('pattern-'), 16):0{PATCHES}b}"), dtype=np.float64)


def blocks_of(patterns: NDArray[np.int8]) -> list[tuple[str, int, int]]:
    """Find the stretches of volumes that show one pattern: its name, first volume, and the one after the last."""
    found, position = [], 0
    for key, members in groupby(map(tuple, patterns.tolist())):
        length = len(list(members))
        if key[0] != REST:
            found.append((name_of(patterns[position]), position, position + length))
        position += length
    return found


def read_regions(
    folder: Path, shape: tuple[int, int, int], affine: NDArray[np.float64]
) -> dict[str, NDArray[np.bool_]]:
    """Read ``LHV1d.nii.gz`` and so on: each by its name, both sides joined, and ventral and dorsal parts joined."""
    regions: dict[str, NDArray[np.bool_]] = {}
    for path in sorted(folder.glob("[LR]H*.nii.gz")):
        name = path.name.removesuffix(".nii.gz")
        mask = mask_on_grid(path, shape, affine)
        both = name[2:]
        for one in dict.fromkeys((name, both, re.sub(r"(?<=^V[12])[vd]$", "", both))):
            regions[one] = regions.get(one, np.zeros(shape, dtype=bool)) | mask
    return regions
