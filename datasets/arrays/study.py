"""Anybody's arrays as a study."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.feature_table import FeatureTable
from neurodecode.core.recording import WINDOW_COLUMNS, Block, Recording
from neurodecode.core.split import Split
from neurodecode.core.split_rules import RULES, split_by_rule
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.study import Modality, Study, StudyInfo
from neurodecode.datasets.arrays.channels import array_sensors, channel_names
from neurodecode.datasets.arrays.described_split import described_split
from neurodecode.datasets.arrays.description import ListedSplit, Source, read_description
from neurodecode.datasets.arrays.features import DEFAULT_LAYER, read_feature_file, read_feature_table
from neurodecode.datasets.arrays.files import SignalFile, check_order, signal_files, subject_name
from neurodecode.datasets.arrays.pictures import picture_files
from neurodecode.datasets.arrays.sources import OpenedArray, open_source
from neurodecode.datasets.preprocessing import resample

Kind = Literal["image", "speech", "word"]
DESCRIPTION = "neurodecode.yaml"
# Signals are copied into the cache in pieces of about so many bytes.
PIECE = 16_000_000


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
        """Read one subject's trials, one block a file, a piece at a time.

        With `sfreq`, windows are resampled one by one, so their first and last samples suffer from the edges.
        """
        if subject not in self.subjects():
            raise DataError(f"subject: got {subject!r}, expected one of {', '.join(self.subjects())} ({self.root})")
        store = store or ArrayStore()
        mine = self._trials[self._trials["subject"] == subject]
        blocks, tables, flags = {}, [], []
        for number, rows in mine.groupby("file", sort=True):
            file = self._files[int(cast(int, number))]
            signals, block_flags = self._block(file, rows, sfreq, store)
            blocks[file.name] = signals
            tables.append(self._windows(subject, file, rows, signals))
            flags += block_flags
            if file.left_out:
                flags.append(f"{file.path.name}: {file.left_out} trial(s) without a stimulus left out")
        windows = pd.concat(tables, ignore_index=True)
        if "repetition" not in windows:
            windows["repetition"] = windows.groupby("stimulus").cumcount() + 1
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

    def _block(
        self, file: SignalFile, rows: pd.DataFrame, sfreq: float | None, store: ArrayStore
    ) -> tuple[Block, list[str]]:
        """Copy the trials of one subject out of one file."""
        array = open_source(file.path, self.described.signals.key)
        check_order(array, self.described)
        order = self.described.order
        names, montage = channel_names(self.root, self.described, array.shape[order.index("channel")], array.place)
        n_times = array.shape[order.index("time")] if "time" in order else 1
        recorded = self.described.sfreq or 0.0
        rate = recorded if sfreq is None or n_times == 1 else float(sfreq)
        length = n_times if rate == recorded else resample(np.zeros((1, n_times), np.float32), recorded, rate).shape[1]
        sensors, flags = array_sensors(names, montage, self.described, rate, tmin=self.described.tmin)
        signals = store.empty((len(rows), len(names), length))
        positions = rows["position"].to_numpy(dtype=np.int64)
        for done, piece in _pieces(array, order, positions):
            if not np.isfinite(piece).all():
                trial, channel = np.argwhere(~np.isfinite(piece))[0][:2]
                raise DataError(
                    f"{array.place}: trial {positions[done[trial]]}, channel {names[channel]!r} is not finite; leave "
                    "the trial out by leaving its stimulus empty"
                )
            piece = self._corrected(piece, recorded)
            if rate != recorded:
                piece = resample(piece.reshape(-1, n_times), recorded, rate).reshape(len(piece), len(names), length)
            signals[done] = piece
        return Block(file.name, signals, sensors), flags

    def _corrected(self, piece: NDArray[np.float32], sfreq: float) -> NDArray[np.float32]:
        """Subtract the baseline of each trial and channel."""
        if self.described.baseline is None:
            return piece
        first, last = (round((edge - self.described.tmin) * sfreq) for edge in self.described.baseline)
        if first < 0 or last > piece.shape[2] or first >= last:
            end = self.described.tmin + piece.shape[2] / sfreq
            raise ConfigError(
                f"baseline: got {self.described.baseline[0]:g} to {self.described.baseline[1]:g} s, expected a part of "
                f"the trials, which last from {self.described.tmin:g} to {end:g} s"
            )
        mean = piece[:, :, first:last].mean(axis=2, keepdims=True, dtype=np.float64)
        corrected: NDArray[np.float32] = (piece - mean).astype(np.float32)
        return corrected

    def _windows(self, subject: str, file: SignalFile, rows: pd.DataFrame, block: Block) -> pd.DataFrame:
        table = rows.drop(columns=["file", "position"]).reset_index(drop=True)
        for column in ("session", "run"):
            table[column] = table[column].astype(str) if column in table else ""
        position = rows["position"].to_numpy()
        table["trial"] = [f"{file.name}_{index:06d}" for index in position]
        onset = pd.to_numeric(table["onset"], errors="coerce") if "onset" in table else pd.Series(position)
        if onset.isna().any():
            row = int(np.argmax(onset.isna()))
            raise DataError(f"onset: trial {position[row]} of {file.path} has {table['onset'].iloc[row]!r}, no number")
        if "repetition" in table:
            numbers = pd.to_numeric(table["repetition"], errors="coerce")
            if numbers.isna().any():
                raise DataError(
                    f"repetition: {file.path}: trial {position[int(np.argmax(numbers.isna()))]} has no number"
                )
            table["repetition"] = numbers.astype(np.int64)
        made = table.assign(
            subject=subject,
            block=block.name,
            start=np.arange(len(table)),
            length=block.data.shape[2],
            onset=onset.to_numpy(dtype=np.float64),
        )
        first = [column for column in WINDOW_COLUMNS if column in made]
        return made[[*first, *(column for column in made if column not in first)]]


def _pieces(
    array: OpenedArray, order: tuple[str, ...], positions: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Read some trials piece by piece: which of `positions`, and their signals ``(n, n_channels, n_times)``."""
    axis = order.index("trial")
    from_disk = [order.index(name) for name in ("trial", "channel", "time") if name in order]
    count = array.shape[axis]
    step = max(1, PIECE * count // max(1, int(np.prod(array.shape)) * array.dtype.itemsize))
    for begin in range(0, count, step):
        stop = min(begin + step, count)
        wanted = np.flatnonzero((positions >= begin) & (positions < stop))
        if not len(wanted):
            continue
        piece = array.read(axis, begin, stop).transpose(from_disk)[positions[wanted] - begin]
        yield wanted, np.asarray(piece if piece.ndim == 3 else piece[:, :, None], dtype=np.float32)
