"""Anybody's arrays as a study."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import numpy as np
import pandas as pd

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import DataError
from neurodecode.core.feature_table import FeatureTable
from neurodecode.core.recording import WINDOW_COLUMNS, Recording
from neurodecode.core.split import Split
from neurodecode.core.split_rules import RULES, split_by_rule
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.study import Modality, Study, StudyInfo
from neurodecode.datasets.arrays.described_split import described_split
from neurodecode.datasets.arrays.description import ListedSplit, Source
from neurodecode.datasets.arrays.description_reader import read_description
from neurodecode.datasets.arrays.features import DEFAULT_LAYER, read_feature_file, read_feature_table
from neurodecode.datasets.arrays.files import SignalFile, signal_files, subject_name
from neurodecode.datasets.arrays.pictures import picture_files
from neurodecode.datasets.arrays.signals import continuous_block, epoched_block

Kind = Literal["image", "speech", "word"]
DESCRIPTION = "neurodecode.yaml"


class ArrayStudy(Study):
    """Read arrays of trials as a file ``neurodecode.yaml`` beside them describes.

    Parameters
    ----------
    root : Path
        The data folder; paths in the description are relative to it.
    description : str, optional
        Another file of that kind, relative to the data folder or to where the program was started.

    Raises
    ------
    ConfigError, DataError
        If the description has a key that is unknown, missing or wrong.
    """

    info = StudyInfo(
        name="arrays",
        modality="eeg",
        kind="image",
        description="Any arrays with a table of trials (npy, npz, mat, h5, csv), described by ten lines of YAML.",
        citation="the data's own",
        licence="the data's own",
        where="your own data: docs/your_own_data.md",
        size="any",
        simulated=False,
    )
    needed: ClassVar[tuple[str, ...]] = (DESCRIPTION,)
    own_splits: ClassVar[tuple[str, ...]] = ("described",)
    placed_by: ClassVar[str] = "description"

    def __init__(self, root: Path, *, description: str | None = None) -> None:
        super().__init__(root)
        path = root / (description or DESCRIPTION)
        if description is not None and not path.is_file() and Path(description).is_file():
            path = Path(description)
        self.described = read_description(path)
        split = self.described.split
        if isinstance(split, str) and split not in RULES:
            self.described = replace(self.described, split=ListedSplit(column=split))
        self.info = replace(
            self.info,
            modality=cast(Modality, self.described.modality),
            kind=cast(Kind, self.described.kind or ("image" if self.described.pictures else "word")),
            description=self.described.name or self.info.description,
            citation=self.described.citation or "not stated",
            licence=self.described.licence or "not stated",
            averaging=self.described.averaging,
        )

    @cached_property
    def _files(self) -> list[SignalFile]:
        return signal_files(self.root, self.described)

    @cached_property
    def _trials(self) -> pd.DataFrame:
        """All trials of all files, with the number of their file and the name of their subject."""
        parts = [file.trials.assign(file=number) for number, file in enumerate(self._files)]
        trials = pd.concat(parts, ignore_index=True)
        given = trials["subject"] if "subject" in trials else pd.Series("1", index=trials.index)
        names = {text: subject_name(text) for text in given.unique()}
        if len(set(names.values())) < len(names):
            twice = next(name for name in names.values() if list(names.values()).count(name) > 1)
            same = [text for text, name in names.items() if name == twice]
            raise DataError(f"subject: {' and '.join(map(repr, same))} would both be called {twice!r}")
        return trials.assign(subject=given.map(names))

    def subjects(self) -> list[str]:
        """List the subjects that files or columns name; one without a name is sub-01."""
        return sorted(self._trials["subject"].unique())

    def stimuli(self) -> Stimuli:
        """List every stimulus that a trial showed, with its picture where there are pictures."""
        shown = self._trials
        for column in ("concept", "text"):
            if column in shown:
                different = shown.groupby("stimulus")[column].nunique() > 1
                if different.any():
                    name = str(different.index[int(np.argmax(different))])
                    found = sorted(shown.loc[shown["stimulus"] == name, column].unique())[:2]
                    raise DataError(f"{column}: stimulus {name!r} has both {found[0]!r} and {found[1]!r}")
        rows = shown.drop_duplicates("stimulus").sort_values("stimulus").reset_index(drop=True)
        if rows.empty:
            raise DataError(f"{self.root}: no trial names a stimulus")
        names = [str(name) for name in rows["stimulus"]]
        pictures = picture_files(self.root, self.described.pictures, names) if self.described.pictures else {}
        concept = rows["concept"] if "concept" in rows else rows["stimulus"]
        table = pd.DataFrame(
            {
                "stimulus": names,
                "kind": self.info.kind,
                "path": [pictures.get(name, "") for name in names],
                "concept": concept.where(concept != "", rows["stimulus"]),
                "text": rows["text"] if "text" in rows else concept.where(concept != "", rows["stimulus"]),
            }
        )
        return Stimuli(table, self.root)

    def feature_tables(self) -> dict[str, FeatureTable]:
        """Read the ready vectors that the description names, by layer."""
        found: dict[str, FeatureTable] = {}
        for layer, source in (self.described.features or {}).items():
            several = source.file.lower().endswith((".npz", ".mat", ".h5", ".hdf5"))
            if not layer and not source.key and source.names is None and several:
                found |= read_feature_file(self.root / source.file)
            else:
                found[layer or source.key or DEFAULT_LAYER] = read_feature_table(self.root, source)
        return found

    def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
        """Read one subject, one block a file; see `epoched_block` and `continuous_block`."""
        if subject not in self.subjects():
            raise DataError(f"subject: got {subject!r}, expected one of {', '.join(self.subjects())} ({self.root})")
        store = store or ArrayStore()
        mine = self._trials[self._trials["subject"] == subject]
        blocks, tables, flags = {}, [], []
        for number, rows in mine.groupby("file", sort=True):
            file = self._files[int(cast(int, number))]
            read = continuous_block if self.described.continuous else epoched_block
            block, table, block_flags = read(file, rows, self.described, self.root, sfreq, store)
            blocks[block.name] = block
            tables.append(table.assign(subject=subject))
            flags += block_flags
            if file.left_out:
                flags.append(f"{file.path.name}: {file.left_out} trial(s) without a stimulus left out")
        windows = pd.concat(tables, ignore_index=True)
        if "repetition" not in windows:
            windows["repetition"] = windows.groupby("stimulus").cumcount() + 1
        first = [column for column in WINDOW_COLUMNS if column in windows]
        windows = windows[[*first, *(column for column in windows if column not in first)]]
        flags = list(dict.fromkeys(flags))
        return Recording(subject, self.info.modality, blocks, windows, self.info.simulated, tuple(flags))

    def split(self, windows: Mapping[str, pd.DataFrame]) -> Split:
        """Split as the description says: by a rule, a column, or lists; by stimulus if it says nothing."""
        given = self.described.split
        if isinstance(given, str):
            return split_by_rule(given, windows, self.stimuli())
        return described_split(given, windows, self.stimuli(), self.root)

    def steps(self) -> dict[str, Any]:
        """Give the description: all that the cache depends on beside the files."""
        return {"reader": "arrays", "description": asdict(self.described)}

    def sources(self) -> list[Path]:
        """List the files that the description names, so that results may lie in the same folder."""
        named = {path for file in self._files for path in file.sources}
        split = self.described.split
        lists = [split.train, split.val, split.test] if isinstance(split, ListedSplit) else []
        named |= {self.root / entry.file for entry in (self.described.channels, *lists) if isinstance(entry, Source)}
        named |= {self.root / path for path in self.stimuli().table["path"] if path}
        return sorted(path for path in named if path.is_file())
