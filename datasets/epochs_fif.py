"""Any epochs that MNE-Python has saved (`*-epo.fif`), with or without metadata."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import ConfigError, DataError, suggestion
from neurodecode.core.recording import WINDOW_COLUMNS, Block, Recording
from neurodecode.core.split import Split
from neurodecode.core.stimuli import STIMULUS_KINDS, Stimuli
from neurodecode.core.study import Study, StudyInfo
from neurodecode.datasets.arrays.pictures import picture_files
from neurodecode.datasets.bids_signals import sensors_of
from neurodecode.datasets.epochs_files import EpochsFile, epochs_paths, find_epochs_files, open_epochs, read_trials
from neurodecode.datasets.preprocessing import resample
from neurodecode.datasets.splits import stimulus_split

WANTED = {"eeg": ("eeg",), "meg": ("mag", "grad")}
# Epochs that are read at a time.
CHUNK = 200
EVENT_NAMES_FLAG = "stimuli are the names of the events: no column of the metadata was named"


class EpochsStudy(Study):
    """Read saved epochs; several files are several subjects, sessions or runs.

    Parameters
    ----------
    root : Path
        The folder of the files; they may lie in folders below it.
    stimulus, concept, text, subject, session, run : str, optional
        Columns of the metadata. Without `stimulus`, a column of the name ``stimulus`` or ``stim_file`` is taken, or
        else the names of the events. Subject, session and run come from the names of the files.
    files : str, optional
        Names of the files with placeholders, such as ``{subject}_{run}-epo.fif``.
    modality : str, optional
        ``eeg`` or ``meg``; needed only where the files hold both.
    pictures : str, optional
        Folder of the pictures, or a name such as ``images/{stimulus}.png``.
    kind : str, optional
        ``image``, ``word`` or ``speech``; by default ``image`` where there are pictures, else ``word``.
    averaging : str
        ``stimulus``: repetitions of a test stimulus are averaged; ``trial``: every trial is scored.
    bad_channels : str
        ``drop``: a channel that is bad in one file is left out of all of them; ``keep``.

    Raises
    ------
    ConfigError
        If an option cannot be used.
    """

    info = StudyInfo(
        name="epochs",
        modality="eeg",
        kind="word",
        description="Any epochs that MNE-Python has saved (*-epo.fif), with the stimuli in their metadata.",
        citation="the data set's own; the format: Gramfort et al. 2013, doi:10.3389/fnins.2013.00267",
        licence="the data set's own",
        where="your own: mne.Epochs.save; give the folder as --root",
        size="any",
        simulated=False,
    )

    def __init__(
        self,
        root: Path,
        *,
        stimulus: str | None = None,
        concept: str | None = None,
        text: str | None = None,
        subject: str | None = None,
        session: str | None = None,
        run: str | None = None,
        files: str | None = None,
        modality: str | None = None,
        pictures: str | None = None,
        kind: str | None = None,
        averaging: str = "stimulus",
        bad_channels: Literal["drop", "keep"] = "drop",
    ) -> None:
        super().__init__(root)
        self.columns = {
            "stimulus": stimulus, "concept": concept, "text": text, "subject": subject, "session": session, "run": run
        }  # fmt: skip
        self.pattern, self.pictures, self.bad_channels = files, pictures, bad_channels
        chosen_kind = kind or ("image" if pictures else "word")
        for name, value, allowed in (
            ("modality", modality, (None, *WANTED)),
            ("kind", chosen_kind, [choice for choice in STIMULUS_KINDS if choice != "video"]),
            ("averaging", averaging, ("stimulus", "trial")),
            ("bad_channels", bad_channels, ("drop", "keep")),
        ):
            if value not in allowed:
                known = [str(choice) for choice in allowed if choice is not None]
                raise ConfigError(
                    f"{name}: got {value!r}, expected one of {', '.join(known)}{suggestion(str(value), known)}"
                )
        self._files = find_epochs_files(root, files)
        found = modality or self._modality()
        self.info = replace(self.info, modality=found, kind=chosen_kind, averaging=averaging)  # type: ignore[arg-type]

    @classmethod
    def find(cls, data_root: Path) -> Path | None:
        """Give the data root if there is a file of epochs in it, or in a folder up to three levels below it."""
        return data_root if epochs_paths(data_root) else None

    @classmethod
    def looked_for(cls, data_root: Path) -> list[Path]:
        """List the paths that `find` tries."""
        return [data_root / "*epo.fif", data_root / "*" / "*epo.fif"]

    def _modality(self) -> str:
        kinds = set(open_epochs(self._files[0].path).get_channel_types())
        there = [name for name, wanted in WANTED.items() if kinds & set(wanted)]
        if len(there) != 1:
            got = " and ".join(there) or ", ".join(sorted(kinds))
            raise ConfigError(
                f"{self._files[0].path}: holds {got}; give the option modality, one of {', '.join(WANTED)}"
            )
        return there[0]

    @cached_property
    def _trials(self) -> tuple[pd.DataFrame, bool]:
        """All trials of all files, with the number of their file; and whether events stand for stimuli."""
        tables, by_event = [], False
        for number, file in enumerate(self._files):
            trials, event_names = read_trials(file, open_epochs(file.path), self.columns)
            by_event |= event_names
            tables.append(trials.assign(file=number))
        table = pd.concat(tables, ignore_index=True)
        # Files of one subject without the name of a run are runs by themselves.
        unnamed = table["run"] == ""
        order = table.groupby("subject")["file"].transform(lambda files: pd.factorize(files)[0] + 1)
        return table.assign(run=table["run"].where(~unnamed, order.astype(str))), by_event

    def subjects(self) -> list[str]:
        """List the subjects of the files, or of the metadata's column."""
        if self.columns["subject"] is None:
            return sorted({file.subject for file in self._files})
        return sorted(self._trials[0]["subject"].unique())

    def sources(self) -> list[Path]:
        """List the files of epochs, with their later parts."""
        return sorted({part for file in self._files for part in file.parts()})

    def stimuli(self) -> Stimuli:
        """List every stimulus that a trial showed."""
        trials = self._trials[0]
        shown = trials[trials["stimulus"] != ""].drop_duplicates("stimulus").sort_values("stimulus")
        names = [str(name) for name in shown["stimulus"]]
        if not names:
            raise DataError(f"{self.root}: no trial names a stimulus")
        files = picture_files(self.root, self.pictures, names) if self.pictures else {}
        concept = shown["concept"] if "concept" in shown else shown["stimulus"]
        table = pd.DataFrame(
            {
                "stimulus": names,
                "kind": self.info.kind,
                "path": [files.get(name, "") for name in names],
                "concept": concept.where(concept != "", shown["stimulus"]).tolist(),
                "text": (shown["text"] if "text" in shown else shown["stimulus"]).tolist(),
            }
        )
        return Stimuli(table, self.root)

    def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
        """Read one subject's epochs file by file, a few hundred at a time.

        With `sfreq`, epochs are resampled one by one, so their first and last samples suffer from the edges.
        """
        if subject not in self.subjects():
            raise DataError(f"subject: got {subject!r}, expected one of {', '.join(self.subjects())} ({self.root})")
        store = store or ArrayStore()
        trials, by_event = self._trials
        mine = trials[(trials["subject"] == subject) & (trials["stimulus"] != "")]
        opened = {number: open_epochs(self._files[number].path) for number in mine["file"].unique()}
        bad = (
            {name for epochs in opened.values() for name in epochs.info["bads"]}
            if self.bad_channels == "drop"
            else set()
        )
        flags = ["bad channels left out: " + ", ".join(sorted(bad))] if bad else []
        flags += [EVENT_NAMES_FLAG] if by_event else []
        blocks, tables = {}, []
        for number, rows in mine.groupby("file", sort=True):
            file = self._files[cast(int, number)]
            block = self._block(file, opened[cast(int, number)], rows["position"].to_numpy(), bad, sfreq, store)
            blocks[file.name] = block
            tables.append(_windows(file, rows, block))
        left_out = int(((trials["subject"] == subject) & (trials["stimulus"] == "")).sum())
        if left_out:
            flags.append(f"{left_out} epoch(s) without a stimulus left out")
        windows = pd.concat(tables, ignore_index=True)
        if "repetition" not in windows:
            windows["repetition"] = windows.groupby("stimulus").cumcount() + 1
        return Recording(subject, self.info.modality, blocks, windows, self.info.simulated, tuple(flags))

    def split(self, windows: Mapping[str, pd.DataFrame]) -> Split:
        """Take the column `split` of the metadata, or draw one over stimuli with a fixed seed."""
        return stimulus_split(windows)

    def steps(self) -> dict[str, Any]:
        """Give the options: nothing else is done to the epochs."""
        return {
            "reader": "epochs",
            "columns": self.columns,
            "files": self.pattern,
            "modality": self.info.modality,
            "bad_channels": self.bad_channels,
            "pictures": self.pictures,
        }

    def _block(
        self,
        file: EpochsFile,
        epochs: Any,
        positions: NDArray[np.int64],
        bad: Collection[str],
        sfreq: float | None,
        store: ArrayStore,
    ) -> Block:
        """Read the epochs of one subject out of one file."""
        import mne

        wanted = WANTED[self.info.modality]
        kinds = epochs.get_channel_types()
        names = [name for name, kind in zip(epochs.ch_names, kinds, strict=True) if kind in wanted and name not in bad]
        if not names:
            raise DataError(f"{file.path}: no {' or '.join(wanted)} channel left of {len(kinds)}")
        picks = [epochs.ch_names.index(name) for name in names]
        recorded = float(epochs.info["sfreq"])
        rate = recorded if sfreq is None else float(sfreq)
        n_times = len(epochs.times)
        length = n_times if rate == recorded else resample(np.zeros((1, n_times), np.float32), recorded, rate).shape[1]
        signals = store.empty((len(positions), len(names), length))
        for begin in range(0, len(positions), CHUNK):
            part = positions[begin : begin + CHUNK]
            try:
                piece = epochs[part].get_data(picks=picks, copy=False, verbose="error").astype(np.float32)
            except Exception as error:
                text = " ".join(str(error).split()) or type(error).__name__
                raise DataError(f"{file.path}: the signals end or break before their time ({text})") from error
            if rate != recorded:
                piece = resample(piece.reshape(-1, n_times), recorded, rate).reshape(len(part), len(names), length)
            signals[begin : begin + len(part)] = piece
        try:
            with mne.use_log_level("error"):
                first = epochs[:1].load_data().pick(names)  # channels can be picked only of what is loaded
            sensors = sensors_of(first, rate, float(epochs.times[0]))
        except DataError:
            raise
        except Exception as error:  # damaged lists of what was kept and dropped show only here
            text = " ".join(str(error).split()) or type(error).__name__
            raise DataError(f"{file.path}: its first epoch cannot be taken ({text})") from error
        return Block(file.name, signals, sensors)


def _windows(file: EpochsFile, rows: pd.DataFrame, block: Block) -> pd.DataFrame:
    """Make the window table of one file; the onset is the place in the block: the recording's clock is not kept."""
    position = rows["position"].to_numpy()
    table = rows.drop(columns=["file", "position"]).reset_index(drop=True)
    table = table.assign(
        block=block.name,
        start=np.arange(len(table)),
        length=block.data.shape[2],
        onset=np.arange(len(table)) * block.data.shape[2] / block.sensors.sfreq,
        trial=[f"{file.name}_{index:06d}" for index in position],
    )
    first = [column for column in WINDOW_COLUMNS if column in table]
    return table[[*first, *(column for column in table if column not in first)]]
