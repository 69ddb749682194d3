"""The Algonauts Project 2023 (Gifford et al.): vertices of eight subjects who saw pictures of the NSD."""

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.files import open_array
from neurodecode.core.recording import Recording
from neurodecode.core.sensors import Sensors
from neurodecode.core.split import Split
from neurodecode.core.split_rules import TEST_SHARE, VALIDATION_SHARE
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.study import Study, StudyInfo
from neurodecode.datasets.beta_maps import (
    ROWS_AT_A_TIME,
    beta_recording,
    place_of_name,
    split_of_parts,
    subject_of,
    unplaced_voxels,
)
from neurodecode.datasets.restricted_pickle import read_pickle

HEMISPHERES = ("lh", "rh")
GROUPS = ("prf-visualrois", "floc-bodies", "floc-faces", "floc-places", "floc-words", "streams")
AREAS = {"V1": ("V1v", "V1d"), "V2": ("V2v", "V2d"), "V3": ("V3v", "V3d")}
LEFT = (19004, 19004, 19004, 19004, 19004, 18978, 19004, 18981)
RIGHT = (20544, 20544, 20544, 20544, 20544, 20220, 20544, 20530)
TRAINING = (9841, 9841, 9082, 8779, 9841, 9082, 9841, 8779)
CHALLENGE = (159, 159, 293, 395, 159, 293, 159, 395)
FLAG = "each vertex was z-scored within each session over all its trials, test pictures included, before release"
RULE = (
    "the published test has no answers: a tenth of the training pictures tests and a tenth validates, by the hash of "
    "their names, the same for all subjects"
)
SEED = 0


class Algonauts2023(Study):
    """Read the training part of the challenge: one average response a picture, both hemispheres as one vector.

    The pictures of the challenge's test are listed as stimuli, without responses: those were never published.

    Parameters
    ----------
    root : Path
        Folder with ``subj01`` and so on.
    hemisphere : str
        ``both``, ``lh`` or ``rh``.
    """

    info = StudyInfo(
        name="algonauts2023",
        modality="fmri",
        kind="image",
        description="Eight subjects of the NSD, up to 9,841 pictures each, averaged responses of visual vertices.",
        citation="Gifford et al. 2023, doi:10.48550/arXiv.2301.03198; Allen et al. 2022, "
        "doi:10.1038/s41593-021-00962-x",
        licence="NSD Terms and Conditions (access form of the challenge); pictures from COCO",
        where="http://algonauts.csail.mit.edu/challenge.html",
        size="about 2 GB a subject",
        simulated=False,
        expected={
            f"{what}_sub-{subject + 1:02d}": count
            for what, counts in (("lh", LEFT), ("rh", RIGHT), ("training", TRAINING), ("test", CHALLENGE))
            for subject, count in enumerate(counts)
        },
    )
    places = ("algonauts_2023_challenge_data", "algonauts2023", "algonauts", "fmri/algonauts2023")
    own_splits: ClassVar[tuple[str, ...]] = ("training_pictures",)

    def __init__(self, root: Path, *, hemisphere: str = "both") -> None:
        super().__init__(root)
        if hemisphere not in ("both", *HEMISPHERES):
            raise ConfigError(f"hemisphere: got {hemisphere!r}, expected one of both, lh, rh")
        self.hemispheres = HEMISPHERES if hemisphere == "both" else (hemisphere,)

    @classmethod
    def find(cls, data_root: Path) -> Path | None:
        """Give the first folder that holds a subject's training responses."""
        for folder in (*(data_root / place for place in cls.places), data_root):
            if _numbers(folder):
                return folder
        return None

    @classmethod
    def looked_for(cls, data_root: Path) -> list[Path]:
        """List the files by which the first subject is known."""
        return [_responses(data_root / place, 1, "lh") for place in (*cls.places, ".")]

    def subjects(self) -> list[str]:
        """List the subjects that are on disk."""
        return [f"sub-{number:02d}" for number in _numbers(self.root)]

    @cached_property
    def _pictures(self) -> pd.DataFrame:
        """All pictures of all subjects, proven to be numbered without a gap."""
        tables = []
        for number in _numbers(self.root):
            for part in ("training", "test"):
                folder = self.root / f"subj{number:02d}" / f"{part}_split" / f"{part}_images"
                if part == "training" or folder.is_dir():
                    table = read_names(folder, "train" if part == "training" else "test")
                    _expect(self.info.expected, part, number, len(table), f"{folder}: ", "pictures")
                    tables.append(table.assign(subject=f"sub-{number:02d}", part=part, folder=str(folder)))
        if not tables:
            raise DataError(f"{self.root}: no subject found (expected {_responses(Path('.'), 1, 'lh')})")
        return pd.concat(tables, ignore_index=True)

    def stimuli(self) -> Stimuli:
        """List the pictures by their number in the NSD, from 0; `challenge` names the subjects whom they test."""
        found = self._pictures
        places = zip(found["folder"], found["file"], strict=True)
        table = found.assign(path=[(Path(folder) / file).relative_to(self.root).as_posix() for folder, file in places])
        first = table.drop_duplicates("stimulus").sort_values("stimulus", ignore_index=True)
        tested = table[table["part"] == "test"].groupby("stimulus")["subject"].agg(" ".join)
        rows = pd.DataFrame(
            {
                "stimulus": first["stimulus"],
                "kind": "image",
                "path": first["path"],
                "concept": "",
                "text": "",
                "nsd": first["nsd"],
                "challenge": first["stimulus"].map(tested).fillna(""),
            }
        )
        return Stimuli(rows, self.root)

    def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
        """Copy the responses piece by piece, left hemisphere first; `sfreq` has no meaning for averages."""
        number = _numbers(self.root)[subject_of(subject, self.subjects(), self.root)]
        shown = self._pictures.query("subject == @subject and part == 'training'").reset_index(drop=True)
        arrays = []
        for hemisphere in self.hemispheres:
            path = _responses(self.root, number, hemisphere)
            values = open_array(path)
            if values.ndim != 2 or values.dtype.kind != "f" or len(values) != len(shown):
                raise DataError(
                    f"{path}: {values.dtype} of shape {values.shape}, expected floats ({len(shown)}, vertices), one "
                    f"row for each picture in {shown['folder'].iloc[0]}"
                )
            _expect(self.info.expected, hemisphere, number, values.shape[1], f"{path}: ", "vertices")
            arrays.append(values)
        signals = (store or ArrayStore()).empty((len(shown), sum(values.shape[1] for values in arrays), 1))
        for start in range(0, len(shown), ROWS_AT_A_TIME):
            piece = slice(start, start + ROWS_AT_A_TIME)
            signals[piece, :, 0] = np.concatenate([values[piece] for values in arrays], axis=1)
        sensors = self._sensors(number, [values.shape[1] for values in arrays])
        rows = shown[["stimulus", "place"]]
        return beta_recording(subject, signals, sensors, rows, simulated=self.info.simulated, flags=(FLAG,))

    def _sensors(self, number: int, counts: list[int]) -> Sensors:
        """Name the vertices of both hemispheres and their regions."""
        folder = self.root / f"subj{number:02d}" / "roi_masks"
        parts = [
            read_regions(folder, hemisphere, count) for hemisphere, count in zip(self.hemispheres, counts, strict=True)
        ]
        names = dict.fromkeys(name for part in parts for name in part)
        regions = {
            name: np.concatenate(
                [part.get(name, np.zeros(count, dtype=bool)) for part, count in zip(parts, counts, strict=True)]
            )
            for name in names
        }
        for area, pieces in AREAS.items():
            found = [regions[piece] for piece in pieces if piece in regions]
            if found:
                regions[area] = np.logical_or.reduce(found)
        side = np.repeat(np.arange(len(counts)), counts)
        regions |= {name: side == index for index, name in enumerate(self.hemispheres)}
        return unplaced_voxels(sum(counts), unit="z", regions=regions, letter="vertex")

    def split(self, windows: Mapping[str, pd.DataFrame]) -> Split:
        """Split the training pictures by the hash of their names; the challenge's own test has no answers."""
        parts = {
            name: np.array([_part(str(stimulus)) for stimulus in table["stimulus"]]) for name, table in windows.items()
        }
        units = {name: table["stimulus"].astype(str).tolist() for name, table in windows.items()}
        return split_of_parts(parts, units, unit="stimulus", rule=RULE, seed=SEED)

    def steps(self) -> dict[str, Any]:
        """Describe what is read; no scaling is done."""
        return {"reader": "algonauts2023", "hemispheres": list(self.hemispheres)}


def _part(stimulus: str) -> str:
    place = place_of_name(stimulus, SEED)
    return "test" if place < TEST_SHARE else "val" if place < TEST_SHARE + VALIDATION_SHARE else "train"


def _numbers(root: Path) -> list[int]:
    """List the subjects with training responses, by names only."""
    return [number for number in range(1, 9) if _responses(root, number, "lh").is_file()]


def _responses(root: Path, number: int, hemisphere: str) -> Path:
    folder = root / f"subj{number:02d}" / "training_split" / "training_fmri"
    return folder / f"{hemisphere}_training_fmri.npy"


def _expect(expected: Mapping[str, int], what: str, number: int, count: int, where: str, unit: str) -> None:
    key = f"{what}_sub-{number:02d}"
    if key in expected and count != expected[key]:
        raise DataError(f"{where}{count} {unit}, expected {expected[key]} for sub-{number:02d}")


def read_names(folder: Path, prefix: str) -> pd.DataFrame:
    """Read which picture each row of the responses answers from the names of the pictures.

    Parameters
    ----------
    folder : Path
        With ``train-0001_nsd-00013.png`` and so on: the row from 1, and the number in the NSD from 0.
    prefix : str
        ``train`` or ``test``.

    Returns
    -------
    pandas.DataFrame
        Columns `stimulus, nsd, place, file`, one row a picture, in the order of the responses.

    Raises
    ------
    DataError
        Naming the first file that is called otherwise, or the first row without a picture or with two.
    """
    rows = []
    for path in sorted(folder.glob("*.png")) if folder.is_dir() else []:
        match = re.fullmatch(rf"{prefix}-(\d{{4,}})_nsd-(\d{{5}})\.png", path.name)
        if match is None and not path.name.startswith("."):
            raise DataError(f"{path}: got this name, expected {prefix}-0001_nsd-00013.png or the like")
        if match:
            rows.append((int(match[1]), int(match[2]), path.name))
    if not rows:
        raise DataError(f"{folder}: no pictures {prefix}-0001_nsd-XXXXX.png found")
    rows.sort()
    for place, row in enumerate(rows, start=1):
        if row[0] != place:
            raise DataError(f"{folder / row[2]}: is picture {row[0]}, expected picture {place} of {len(rows)} next")
    table = pd.DataFrame(rows, columns=["place", "nsd", "file"])
    twice = table["nsd"].duplicated()
    if twice.any():
        raise DataError(
            f"{folder / table['file'][twice].iloc[0]}: shows a picture of the NSD that an earlier row shows"
        )
    return table.assign(stimulus=[f"nsd-{number:05d}" for number in table["nsd"]])


def read_regions(folder: Path, hemisphere: str, count: int) -> dict[str, NDArray[np.bool_]]:
    """Read the regions of one hemisphere, proven to lie on the vertices of the responses.

    Parameters
    ----------
    folder : Path
        ``roi_masks``.
    hemisphere : str
        ``lh`` or ``rh``.
    count : int
        Number of vertices of its responses.

    Returns
    -------
    dict of str to ndarray of bool, shape (count,)
        Each label and each group of labels that has a vertex.

    Raises
    ------
    DataError
        If a mask has another number of vertices, holds a label without a name, or disagrees with the mask of the
        whole surface.
    """
    regions: dict[str, NDArray[np.bool_]] = {}
    whole = folder / f"{hemisphere}.all-vertices_fsaverage_space.npy"
    kept = open_array(whole) > 0 if whole.is_file() else None
    if kept is not None and int(kept.sum()) != count:
        raise DataError(f"{whole}: {int(kept.sum())} vertices, expected {count} as in the responses")
    for group in GROUPS:
        path = folder / f"{hemisphere}.{group}_challenge_space.npy"
        if not path.is_file():
            continue
        labels = open_array(path)
        if labels.shape != (count,):
            raise DataError(f"{path}: shape {labels.shape}, expected ({count},), one label for each vertex")
        surface = folder / f"{hemisphere}.{group}_fsaverage_space.npy"
        if kept is not None and surface.is_file():
            other = open_array(surface)
            differs = other[kept] != labels if other.shape == kept.shape else np.ones(1, dtype=bool)
            if differs.any():
                raise DataError(
                    f"{path}: vertex {int(np.argmax(differs))} has another label than in {surface.name} "
                    f"({int(differs.sum())} of {len(differs)} differ)"
                )
        names = _mapping(folder / f"mapping_{group}.npy")
        unknown = sorted(set(np.unique(labels).tolist()) - set(names) - {0})
        if unknown:
            raise DataError(f"{path}: label {unknown[0]:g} has no name in mapping_{group}.npy")
        regions |= {name: labels == value for value, name in names.items() if value != 0}
        regions[group] = labels > 0
    return {name: np.asarray(mask) for name, mask in regions.items() if mask.any()}


def _mapping(path: Path) -> dict[int, str]:
    """Read the names of labels; the file is a pickle of a dictionary, of which only numbers and texts are let in."""
    content = read_pickle(path)
    if not isinstance(content, dict) or not all(
        isinstance(key, int | np.integer) and isinstance(name, str) for key, name in content.items()
    ):
        raise DataError(f"{path}: holds a {type(content).__name__}, expected a dictionary of numbers and names")
    return {int(key): str(name) for key, name in content.items()}
