"""Generic Object Decoding (Horikawa and Kamitani 2017): five people saw objects, and imagined some of them."""

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.feature_table import FeatureTable
from neurodecode.core.files import read_json
from neurodecode.core.recording import Recording
from neurodecode.core.split import Split
from neurodecode.core.split_rules import VALIDATION_SHARE
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.study import StudyInfo
from neurodecode.datasets.beta_maps import beta_recording, hold_out, split_of_parts, subject_of
from neurodecode.datasets.dialect_study import DialectStudy
from neurodecode.datasets.horikawa2017.bdpy_files import open_table
from neurodecode.datasets.horikawa2017.bids import DERIVATIVE, SESSIONS, find_runs, read_bids, read_blocks
from neurodecode.datasets.horikawa2017.names import concept_of, find_pictures, names_of
from neurodecode.datasets.horikawa2017.sources import (
    LISTS,
    packed_pictures,
    read_bdpy,
    read_labels,
    read_npz,
    samples_of,
)
from neurodecode.datasets.options import one_of

DIALECTS = ("bdpy", "npz", "bids")
FEATURES = ("ImageFeatures.h5", "ImageFeatures.mat")
SEED = 0
NOT_FEATURES = ("FeatureType", "CatID", "ImageID")


class GenericObjectDecoding(DialectStudy):
    """Read one response a block: 1,200 pictures seen once, 50 seen 35 times, their categories imagined 10 times.

    Parameters
    ----------
    root : Path
        The study's folder.
    dialect : str, optional
        ``bdpy``: ``SubjectN.h5`` or ``.mat``; ``npz``: ``sbj_N.npz`` of MinD-Vis, whose test is averaged and where
        nothing is imagined; ``bids``: ds001246 with its SPM derivative. By default the first that lies there.
    """

    info = StudyInfo(
        name="god",
        modality="fmri",
        kind="image",
        description="Five people saw 1,200 objects of 150 categories and 50 of 50 others, which they also imagined.",
        citation="Horikawa and Kamitani 2017, doi:10.1038/ncomms15037",
        licence="CC BY 4.0 (figshare), CC0 (OpenNeuro); pictures from ImageNet on request",
        where="https://figshare.com/articles/dataset/Generic_Object_Decoding/7387130 (SubjectN.h5), "
        "https://openneuro.org/datasets/ds001246; pictures: https://forms.gle/ujvA34948Xg49jdn9",
        size="SubjectN.h5 0.1 GB each, BIDS 100 GB",
        simulated=False,
        expected={"train": 1200, "perception": 1750, "imagery": 500, "categories": 150, "tested": 50},
    )
    places = ("god", "GenericObjectDecoding", "Kamitani/npz", "ds001246", "fmri/god")
    dialects = DIALECTS
    known_by = (Path("Subject1.h5"), Path("sbj_1.npz"), DERIVATIVE / "sub-01")
    own_splits: ClassVar[tuple[str, ...]] = ("perception", "imagery")

    def __init__(self, root: Path, *, dialect: str | None = None) -> None:
        super().__init__(root)
        if dialect is not None:
            one_of(dialect, "dialect", DIALECTS)
        self.forced = dialect

    @classmethod
    def lying_in(cls, folder: Path) -> list[str]:
        """List the dialects that lie in a folder, by names only."""
        return [name for name in DIALECTS if folder.is_dir() and _subjects(folder, name)]

    def subjects(self) -> list[str]:
        """List the subjects that are on disk."""
        return [f"sub-{number:02d}" for number in _subjects(self.root, self.dialect)]

    def _shown(self, number: int) -> pd.DataFrame:
        """List task and stimulus of a subject's samples without reading the signals."""
        if self.dialect == "bdpy":
            with open_table(_table_file(self.root, number)) as table:
                return samples_of(table)
        if self.dialect == "npz":
            rows = [(task, name) for task, (file, _) in LISTS.items() for name in read_labels(self.root / file)]
            return pd.DataFrame(rows, columns=["task", "stimulus"])
        found = []
        for _, events, session, _ in find_runs(self.root, f"sub-{number:02d}"):
            task = SESSIONS.get(re.sub(r"\d+$", "", session), "train")
            found.append(read_blocks(events, task).assign(task=task))
        return pd.concat(found, ignore_index=True)

    @cached_property
    def _pictures(self) -> dict[str, str]:
        """The part of every picture, proven to be the same for all subjects and to share no category."""
        parts: dict[str, str] = {}
        for number in _subjects(self.root, self.dialect):
            table = self._shown(number)
            for task in ("train", "perception"):
                for name in sorted(set(table["stimulus"][table["task"] == task])):
                    if parts.setdefault(name, task) != task:
                        raise DataError(f"{self.root}: {name} is in {task} of sub-{number:02d} and in {parts[name]}")
        sides: dict[str, str] = {}
        for name, task in parts.items():
            if sides.setdefault(concept_of(name), task) != task:
                raise DataError(f"{self.root}: the category {concept_of(name)} is in train and in perception")
        counts = [list(sides.values()).count(task) for task in ("train", "perception")]
        for key, count in zip(("categories", "tested"), counts, strict=True):
            if self.info.expected.get(key, count) != count:
                raise DataError(f"{self.root}: {count} categories ({key}), expected {self.info.expected[key]}")
        return parts

    @cached_property
    def _tested(self) -> dict[str, str]:
        """The test picture of each category."""
        tested: dict[str, str] = {}
        for name, task in self._pictures.items():
            if task == "perception" and tested.setdefault(concept_of(name), name) != name:
                raise DataError(
                    f"{self.root}: the test shows {tested[concept_of(name)]} and {name}, expected one of them"
                )
        return tested

    def stimuli(self) -> Stimuli:
        """List all pictures; `part` says where they were shown. They lie in ``images`` or in ``images_256.npz``."""
        names = sorted(self._pictures)
        files = {name: path.relative_to(self.root).as_posix() for name, path in find_pictures(self.root).items()}
        missing = [name for name in names if name not in files]
        if files and missing:
            raise DataError(f"{self.root / 'images'}: no file of the picture {missing[0]} ({len(missing)} missing)")
        if not files and self.dialect == "npz":
            files = packed_pictures(self.root)
        words = _words(self.root / "imagenet_class_index.json")
        concepts = [concept_of(name) for name in names]
        table = pd.DataFrame(
            {
                "stimulus": names,
                "kind": "image",
                "path": [files[name] if files else "" for name in names],
                "concept": concepts,
                "text": [words.get(concept, "") for concept in concepts],
                "part": [self._pictures[name] for name in names],
            }
        )
        return Stimuli(table, self.root)

    def feature_tables(self) -> dict[str, FeatureTable]:
        """Read the authors' vectors of the pictures (``cnn1`` to ``cnn8``, ``hmax1`` ...) from ``ImageFeatures.h5``.

        Averages over the pictures of a category, which the file holds too, are left out.
        """
        path = next((self.root / name for name in FEATURES if (self.root / name).is_file()), None)
        if path is None:
            return {}
        with open_table(path) as table:
            kinds = table.one("FeatureType")
            rows = np.flatnonzero(np.isin(kinds, (1, 2)))
            numbers = table.one("ImageID")
            names = tuple(names_of(numbers[rows], path))
            found = {}
            for key in table.columns:
                if key in NOT_FEATURES or key.startswith("ROI_") or not len(columns := table.where(key)):
                    continue
                vectors = table.rows(0, table.n_samples, columns)[rows]
                found[key] = FeatureTable(f"{path}: {key}", names, vectors.astype(np.float32))
        return found

    def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
        """Read one subject; `sfreq` has no meaning for averages of a block."""
        number = _subjects(self.root, self.dialect)[subject_of(subject, self.subjects(), self.root)]
        store = store or ArrayStore()
        if self.dialect == "bdpy":
            read = read_bdpy(_table_file(self.root, number), store)
        elif self.dialect == "npz":
            read = read_npz(self.root, number, store)
        else:
            read = read_bids(self.root, subject, store)
        table = read.table.copy()
        for task in ("train", "perception", "imagery"):
            count = int((table["task"] == task).sum())
            averaged = self.dialect == "npz" and task != "train"
            if not averaged and self.info.expected.get(task, count) != count:
                raise DataError(
                    f"{self.root}: {count} samples ({task}) of {subject}, expected {self.info.expected[task]}"
                )
        table["stimulus"] = [
            self._imagined(name) if task == "imagery" else name
            for name, task in zip(table["stimulus"], table["task"], strict=True)
        ]
        table["concept"] = [concept_of(name) for name in table["stimulus"]]
        table["repetition"] = table.groupby(["task", "stimulus"]).cumcount() + 1
        return beta_recording(
            subject, read.signals, read.sensors, table, simulated=self.info.simulated, flags=read.flags
        )

    def _imagined(self, name: str) -> str:
        """Give the picture of an imagined category that the person had seen in the test."""
        if concept_of(name) not in self._tested:
            raise DataError(f"{self.root}: the imagined category {concept_of(name)} has no picture in the test")
        return self._tested[concept_of(name)]

    def split(self, windows: Mapping[str, pd.DataFrame]) -> Split:
        """Test on the 50 pictures that were seen 35 times; their categories are not in the training."""
        return self.named_split(self.own_splits[0], windows)

    def named_split(self, rule: str, windows: Mapping[str, pd.DataFrame]) -> Split:
        """Split by categories.

        ``perception``: what was seen in the test sessions tests; ``imagery``: what was imagined tests. A tenth of the
        training categories validates, by the hash of their names. The other test is in no part.
        """
        if rule not in self.own_splits:
            raise ConfigError(f"split: got {rule!r}, expected one of {', '.join(self.own_splits)}")
        parts, units = {}, {}
        for subject, table in windows.items():
            if not (table["task"] == rule).any():
                raise ConfigError(f"split: got {rule!r}, but dialect {self.dialect} has no such trials of {subject}")
            side = table["task"].map({"train": "train", rule: "test"}).fillna("")
            parts[subject] = hold_out(side, table["concept"], share=VALIDATION_SHARE, seed=SEED)
            units[subject] = table["concept"].astype(str).tolist()
        text = (
            f"{rule} of the categories outside the training tests; a tenth of the training ones validates, by the hash"
        )
        return split_of_parts(parts, units, unit="concept", rule=text, seed=SEED)

    def steps(self) -> dict[str, Any]:
        """Describe where the responses come from."""
        steps: dict[str, Any] = {"reader": "god", "dialect": self.dialect}
        if self.dialect == "bids":
            steps["response"] = "linear trend removed and scaled within the run, moved by 3 s, averaged over the block"
        return steps


def _words(path: Path) -> dict[str, str]:
    """Read the word of each WordNet number from ``imagenet_class_index.json``: lists that end in a word."""
    if not path.is_file():
        return {}
    content = read_json(path)
    entries = content.values() if isinstance(content, dict) else content
    return {str(number): str(entry[-1]).replace("_", " ") for entry in entries for number in entry[:-1]}


def _table_file(root: Path, number: int) -> Path:
    paths = [root / f"Subject{number}{suffix}" for suffix in (".h5", ".mat")]
    return next((path for path in paths if path.is_file()), paths[0])


def _subjects(root: Path, dialect: str) -> list[int]:
    """List the subjects of a dialect, by names only."""
    if dialect == "bdpy":
        return [n for n in range(1, 6) if _table_file(root, n).is_file()]
    if dialect == "npz":
        return [n for n in range(1, 6) if (root / f"sbj_{n}.npz").is_file()]
    return [n for n in range(1, 6) if (root / DERIVATIVE / f"sub-{n:02d}").is_dir()]
