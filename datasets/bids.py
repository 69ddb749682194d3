"""Any BIDS data set whose events tables name the stimuli: continuous EEG or MEG, or single-trial beta maps."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import pandas as pd

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.files import read_json
from neurodecode.core.recording import Block, Recording
from neurodecode.core.split import Split
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.study import Modality, Study, StudyInfo
from neurodecode.datasets.bids_betas import find_beta_runs, read_betas
from neurodecode.datasets.bids_events import read_events, shown_stimuli, window_table
from neurodecode.datasets.bids_files import Run, bad_channels, bids_subjects, find_runs
from neurodecode.datasets.bids_signals import BadChannels, describe, read_run, template_positions
from neurodecode.datasets.options import interval, names, one_of, preprocessing_option
from neurodecode.datasets.preprocessing import Preprocessing, cut_with_baseline
from neurodecode.datasets.regions import scalp_regions
from neurodecode.datasets.splits import stimulus_split

Datatype = Literal["eeg", "meg", "func"]
DATATYPES: dict[Modality, Datatype] = {"eeg": "eeg", "meg": "meg", "fmri": "func"}
UNNAMED = "[Unspecified]"


class BidsStudy(Study):
    """A BIDS folder, read as it lies there; a study with a known layout is a subclass with its own `info`.

    Parameters
    ----------
    root : Path
        The folder with ``dataset_description.json``.
    window : tuple of float, optional
        First time and end of a window in seconds from the onset; 0 to 0.8 s by default.
    preprocessing : Preprocessing or mapping, optional
        What is done to the continuous signals: `high_pass`, `low_pass` (Hz), `reference` (``average``), `baseline`
        (s); by default a high-pass filter at 0.1 Hz against drift, nothing else.
    bad_channels : str
        ``drop``: a channel that is bad in one run is left out of all runs of the subject; ``interpolate``: it is
        filled from its neighbours where it is bad; ``keep``: it is taken as it is.
    stimulus_column, concept_column : str, optional
        Columns of the events tables, such as ``trial_type`` or ``value``; by default ``stimulus`` or ``stim_file``, and
        ``concept``.
    rows : mapping of str to str or list of str, optional
        Only rows with these values in these columns, such as ``{"trial_type": "picture"}``.
    task : str or list of str, optional
        Only these tasks; by default all that have events tables.
    modality : str, optional
        ``eeg``, ``meg`` or ``fmri``, where the data set holds several; by default the first of these that it has.

    Raises
    ------
    DataError
        If the folder is no BIDS data set or holds neither EEG, MEG nor beta maps.
    """

    info = StudyInfo(
        name="bids",
        modality="eeg",
        kind="image",
        description="Any BIDS folder with EEG, MEG or single-trial beta maps whose events tables name the stimuli.",
        citation="the data set's own; the format: Pernet et al. 2019, doi:10.1038/s41597-019-0104-8",
        licence="the data set's own (dataset_description.json)",
        where="for example https://openneuro.org; give the folder as --root",
        size="any",
        simulated=False,
    )
    needed: ClassVar[tuple[str, ...]] = ("dataset_description.json",)
    window: tuple[float, float] = (0.0, 0.8)
    preprocessing = Preprocessing(high_pass=0.1)

    def __init__(
        self,
        root: Path,
        *,
        window: tuple[float, float] | None = None,
        preprocessing: Preprocessing | Mapping[str, Any] | None = None,
        bad_channels: BadChannels = "drop",
        stimulus_column: str | None = None,
        concept_column: str | None = None,
        rows: Mapping[str, Any] | None = None,
        task: str | Sequence[str] | None = None,
        modality: str | None = None,
    ) -> None:
        super().__init__(root)
        self.window = type(self).window if window is None else interval(window, "window")
        steps = type(self).preprocessing if preprocessing is None else preprocessing
        self.preprocessing = preprocessing_option(steps)
        one_of(bad_channels, "bad_channels", get_args(BadChannels))
        self.bad_channels = bad_channels
        self.stimulus_column, self.concept_column = stimulus_column, concept_column
        if rows is not None and not isinstance(rows, Mapping):
            raise ConfigError(f"rows: got {rows!r}, expected values for columns such as {{'trial_type': 'picture'}}")
        self.rows = {column: names(value, "rows") for column, value in (rows or {}).items()}
        self.tasks = names(task, "task")
        if modality is not None:
            one_of(modality, "modality", tuple(DATATYPES))
        self._subjects = bids_subjects(root)
        if type(self) is BidsStudy:
            self.info = _own_info(self.info, root, self._subjects, modality)

    @property
    def datatype(self) -> Datatype:
        """Give the BIDS folder name of the signals."""
        return DATATYPES[self.info.modality]

    def subjects(self) -> list[str]:
        """List the subject folders that hold the modality."""
        return [subject for subject in self._subjects if _has(self.root / subject, self.datatype)]

    def stimuli(self) -> Stimuli:
        """Collect the stimuli that the events tables of all subjects name."""
        tables = [events for subject in self.subjects() for _, events in self._events(subject)]
        if not tables:
            raise DataError(f"{self.root}: no subject with {self.datatype} recordings found")
        return shown_stimuli(tables, self.root)

    def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
        """Read one subject run by run; see `read_run` and `read_betas` for what is checked.

        Beta maps have one time a trial: `sfreq`, filters and the window do not concern them.
        """
        if subject not in self._subjects:
            raise DataError(f"subject: got {subject!r}, expected one of {', '.join(self._subjects)} ({self.root})")
        flags: list[str] = []
        store = store or ArrayStore()
        if self.datatype == "func":
            blocks, tables = read_betas(self.root, subject)
            blocks = [replace(block, data=store.keep(block.data)) for block in blocks]
        else:
            blocks, tables = self._read_continuous(subject, self.datatype, sfreq, flags, store)
        windows = pd.concat(tables, ignore_index=True)
        if "repetition" not in windows:
            windows["repetition"] = windows.groupby("stimulus").cumcount() + 1
        named = {block.name: block for block in blocks}
        return Recording(subject, self.info.modality, named, windows, self.info.simulated, tuple(dict.fromkeys(flags)))

    def split(self, windows: Mapping[str, pd.DataFrame]) -> Split:
        """Take the split that the events tables give, or draw one over stimuli with a fixed seed.

        A column `split` with train, val and test is the published list; without val, a tenth of the training stimuli
        validates. Without the column a tenth of the stimuli tests and a tenth validates.
        """
        return stimulus_split(windows)

    def steps(self) -> dict[str, Any]:
        """Describe filter, reference, resampling, baseline, window and bad channels; nothing is done to beta maps."""
        chosen = {
            "stimulus_column": self.stimulus_column,
            "concept_column": self.concept_column,
            "rows": {column: list(values) for column, values in self.rows.items()},
            "task": list(self.tasks),
        }
        given = {name: value for name, value in chosen.items() if value}
        if self.datatype == "func":
            return {"reader": "bids", "betas": "as they are, within the brain mask", **given}
        return {**describe(self.preprocessing, self.bad_channels, self.window), **given}

    def _events(self, subject: str) -> list[tuple[Run, pd.DataFrame]]:
        datatype = self.datatype
        if datatype == "func":
            runs = find_beta_runs(self.root, subject)
        else:
            runs = find_runs(self.root, subject, datatype, tasks=self.tasks)
        options = {"column": self.stimulus_column, "concept": self.concept_column}
        return [(run, read_events(run.events, self.root, only=self.rows, **options)) for run in runs]

    def _read_continuous(
        self, subject: str, datatype: Literal["eeg", "meg"], sfreq: float | None, flags: list[str], store: ArrayStore
    ) -> tuple[list[Block], list[pd.DataFrame]]:
        """Read the runs of an EEG or MEG subject; what is worth knowing of them is added to `flags`."""
        pairs = self._events(subject)
        bad = bad_channels([run for run, _ in pairs], datatype) if self.bad_channels == "drop" else {}
        if bad:
            flags.append("bad channels left out: " + ", ".join(bad))
        blocks, tables = [], []
        for run, events in pairs:
            data, sensors = read_run(
                run,
                self.root,
                datatype,
                drop=set(bad),
                bad_channels=self.bad_channels,
                sfreq=sfreq,
                tmin=self.window[0],
                settings=self.preprocessing,
            )
            if sensors.positions is None and (positions := template_positions(sensors.names)) is not None:
                sensors = replace(sensors, positions=positions, regions=scalp_regions(sensors.names, positions))
                flags.append("electrode positions are those of a template")
            block = Block(run.name, data, sensors)
            table, left_out = self._windows(subject, run, events, block)
            if left_out:
                flags.append(f"{run.name}: {left_out} window(s) that reach beyond the recording left out")
            if self.preprocessing.baseline is not None and len(table):
                block, table = self._with_baseline(block, table)
            blocks.append(replace(block, data=store.keep(block.data)))
            tables.append(table)
        return blocks, tables

    def _windows(self, subject: str, run: Run, events: pd.DataFrame, block: Block) -> tuple[pd.DataFrame, int]:
        """Make the window table of a run, without the windows that are not recorded whole."""
        sfreq, n_samples = block.sensors.sfreq, block.data.shape[1]
        onsets = events["onset"].to_numpy(dtype=np.float64)
        late = (onsets < 0) | (onsets * sfreq >= n_samples)
        if late.any():
            row = int(np.argmax(late))
            raise DataError(
                f"{run.events}: line {events['line'].iloc[row]}: onset {onsets[row]:g} s is outside the "
                f"{n_samples / sfreq:.1f} s of {run.file.name}"
            )
        starts = np.round((onsets + self.window[0]) * sfreq).astype(np.int64)
        length = round((self.window[1] - self.window[0]) * sfreq)
        if length < 1:
            raise ConfigError(f"window: {self.window} holds no sample at {sfreq:g} Hz")
        first, last = self._baseline_samples(sfreq)
        whole = (starts + min(first, 0) >= 0) & (starts + max(last, length) <= n_samples)
        table = window_table(subject, run, events, starts, length)
        return table[whole].reset_index(drop=True), int((~whole).sum())

    def _baseline_samples(self, sfreq: float) -> tuple[int, int]:
        """Count the baseline in samples from the first of the window."""
        if self.preprocessing.baseline is None:
            return 0, 0
        first, last = (round((edge - self.window[0]) * sfreq) for edge in self.preprocessing.baseline)
        return first, last

    def _with_baseline(self, block: Block, table: pd.DataFrame) -> tuple[Block, pd.DataFrame]:
        """Turn a continuous block into epochs from which their baseline is subtracted."""
        starts, length = table["start"].to_numpy(dtype=np.int64), int(table["length"].iloc[0])
        epochs = cut_with_baseline(block.data, starts, length, self._baseline_samples(block.sensors.sfreq))
        return replace(block, data=epochs), table.assign(start=np.arange(len(table)))


def _has(folder: Path, datatype: str) -> bool:
    return (folder / datatype).is_dir() or any(folder.glob(f"ses-*/{datatype}"))


def _own_info(info: StudyInfo, root: Path, subjects: list[str], wanted: str | None) -> StudyInfo:
    """Fill in what the data set says about itself."""
    datatypes = {kind: datatype for kind, datatype in DATATYPES.items() if wanted in (None, kind)}
    modality = next(
        (kind for kind, datatype in datatypes.items() if any(_has(root / subject, datatype) for subject in subjects)),
        None,
    )
    if modality is None:
        raise DataError(
            f"{root}: no folder {' or '.join(datatypes.values())} in any of {len(subjects)} subject folders"
        )
    header = read_json(root / "dataset_description.json")
    if not isinstance(header, dict):
        raise DataError(f"{root / 'dataset_description.json'}: expected an object, got {type(header).__name__}")
    name = str(header.get("Name") or "")
    return replace(
        info,
        modality=modality,
        description=name if name and name != UNNAMED else info.description,
        licence=str(header.get("License") or "not stated"),
        citation=str(header.get("DatasetDOI") or header.get("HowToAcknowledge") or "not stated"),
        size="",
    )
