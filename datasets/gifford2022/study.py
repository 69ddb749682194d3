"""The study THINGS-EEG2: one trial table and one kind of signal, whatever the files are."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.recording import Block, Recording
from neurodecode.core.split import Split, published_split
from neurodecode.core.split_rules import VALIDATION_SHARE
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.study import Study, StudyInfo
from neurodecode.datasets.gifford2022.channels import sensors_of
from neurodecode.datasets.gifford2022.continuous import open_runs
from neurodecode.datasets.gifford2022.epoched import Epochs, open_epochs
from neurodecode.datasets.gifford2022.layout import METADATA, Dialect, Place, choose, find_metadata, find_places
from neurodecode.datasets.gifford2022.pictures import read_metadata, stimulus_table
from neurodecode.datasets.gifford2022.trials import EPOCH, KEPT, SEED, SFREQ, cut_trials, grid_of, list_trials
from neurodecode.datasets.preprocessing import resample

PARTS = ("train", "test")
BLOCKS = {"train": "training", "test": "test"}
# Bytes of a derivative that are read at a time.
CHUNK_BYTES = 16 * 2**20
SPLIT_SEED = 0


class ThingsEEG2(Study):
    """Read any of seven forms of the data: the recordings themselves or the epochs that others made of them.

    One row of the window table is one trial. Recordings (dialects E, F and source) are cut and resampled as published,
    without the authors' whitening, which is a transform here. Derivatives (A to D) are taken as they are, and what was
    done to them before is said in the recording's flags.

    Parameters
    ----------
    root : Path
        The data set's folder, with ``image_metadata.npy`` and the subjects in it or up to two folders below.
    dialect : str, optional
        ``A`` (authors), ``B`` (NICE, ATM), ``C`` (UBP), ``D`` (NeuroBridge), ``E`` (raw arrays), ``F`` (raw FIF) or
        ``source`` (BrainVision); needed where there are several.
    window : tuple of float, optional
        First time and end in seconds from the onset; by default all that there is after the onset, up to 1 s.
    """

    info = StudyInfo(
        name="things_eeg2",
        modality="eeg",
        kind="image",
        description="Ten people saw pictures of 1,854 concepts in rapid succession; 63 electrodes, 82,160 trials each.",
        citation="Gifford, Dwivedi, Roig and Cichy 2022, doi:10.1016/j.neuroimage.2022.119754",
        licence="CC BY 4.0",
        where="https://osf.io/3jk45 (raw and authors' derivative), https://osf.io/anp5v (63 channels, 250 Hz)",
        size="51 GB (epochs) to 126 GB (recordings and pictures)",
        simulated=False,
        expected={"stimuli": 16740, "windows": 82160},
    )
    places = ("things_eeg2", "things-eeg2", "THINGS-EEG2", "Things-EEG2", "brain/things_eeg2")
    needed = (METADATA,)

    def __init__(
        self, root: Path, *, dialect: Dialect | None = None, window: tuple[float, float] | None = None
    ) -> None:
        super().__init__(root)
        if dialect is not None and dialect not in get_args(Dialect):
            raise ConfigError(f"dialect: got {dialect!r}, expected one of {', '.join(get_args(Dialect))}")
        if window is not None and (len(window) != 2 or not EPOCH[0] <= window[0] < window[1] <= EPOCH[1]):
            raise ConfigError(f"window: got {window!r}, expected a first time and an end within -0.2 to 1 s")
        self.dialect = dialect
        self.window = None if window is None else (float(window[0]), float(window[1]))
        self._chosen: tuple[Place, Dialect] | None = None
        self._pictures: pd.DataFrame | None = None

    @classmethod
    def find(cls, data_root: Path) -> Path | None:
        """Give the folder that has the list of pictures and subjects; looks at names only."""
        for folder in (*(data_root / place for place in cls.places), data_root):
            if find_metadata(folder) is not None and find_places(folder):
                return folder
        return None

    def subjects(self) -> list[str]:
        """List the subjects that are on disk in the chosen dialect."""
        return self._choice()[0].subjects()

    def stimuli(self) -> Stimuli:
        """List the pictures of both parts, with their files where they are on disk."""
        return stimulus_table(self.root, self._metadata())

    def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
        """Read one subject: a block of training trials and one of test trials, in the order of the pictures."""
        place, dialect = self._choice()
        if subject not in place.subjects():
            raise DataError(f"subject: got {subject!r}, expected one of {', '.join(place.subjects())} ({place.folder})")
        store = store or ArrayStore()
        blocks, tables = {}, []
        flags: dict[str, None] = {}
        for part in PARTS:
            pictures = self._metadata()
            pictures = pictures[pictures["part"] == part].reset_index(drop=True)
            if dialect in ("E", "F", "source"):
                block, table = self._cut(subject, part, pictures, sfreq, store)
            else:
                epochs = open_epochs(place.folder, subject, part, dialect, pictures, scratch=store.folder)
                block, table = self._copy(epochs, part, pictures, sfreq, store)
                flags |= dict.fromkeys(epochs.flags)
            blocks[block.name] = block
            tables.append(table)
        windows = pd.concat(tables, ignore_index=True)
        windows.insert(0, "subject", subject)
        first, second = blocks.values()
        if first.sensors.unit != second.sensors.unit or first.data.shape[2] != second.data.shape[2]:
            raise DataError(
                f"{place.folder / subject}: training and test part differ in unit or length of their epochs"
            )
        return Recording(subject, "eeg", blocks, windows, self.info.simulated, tuple(flags))

    def split(self, windows: Mapping[str, pd.DataFrame]) -> Split:
        """Test on the published test pictures; a tenth of the training concepts, drawn with a fixed seed, validates."""
        table = pd.concat(windows.values(), ignore_index=True)
        shown = table.groupby("concept").agg(
            parts=("part", "nunique"), pictures=("stimulus", "nunique"), part=("part", "first")
        )
        if (shown["parts"] > 1).any():
            raise DataError(
                f"split: the concept {shown.index[shown['parts'] > 1][0]!r} is in the training and in the test part"
            )
        several = shown[(shown["part"] == "test") & (shown["pictures"] > 1)]
        if len(several):
            raise DataError(
                f"split: the test concept {several.index[0]!r} has {several['pictures'].iloc[0]} pictures, expected 1"
            )
        parts = {str(concept): str(part) for concept, part in shown["part"].items()}
        training = sorted(concept for concept, part in parts.items() if part == "train")
        held = np.random.default_rng(SPLIT_SEED).permutation(training)[
            : max(1, round(len(training) * VALIDATION_SHARE))
        ]
        parts |= dict.fromkeys(map(str, held), "val")
        rule = (
            f"test part as published (one picture of each of its concepts, none of them in training); {len(held)} of "
            f"{len(training)} training concepts validate, drawn with seed {SPLIT_SEED}"
        )
        return published_split(windows, parts, column="concept", unit="concept", rule=rule, seed=SPLIT_SEED)

    def steps(self) -> dict[str, Any]:
        """Describe the dialect and, for recordings, how trials are cut."""
        dialect = self._choice()[1]
        steps: dict[str, Any] = {
            "reader": "things_eeg2",
            "dialect": dialect,
            "window": self.window,
            "whitening": "none here",
        }
        if dialect in ("E", "F", "source"):
            steps |= {
                "epoch": list(EPOCH),
                "baseline": [EPOCH[0], 0.0],
                "sfreq": SFREQ,
                "resampling": "MNE, fft, epoch by epoch",
                "kept": KEPT,
                "seed": SEED,
            }
        return steps

    def _choice(self) -> tuple[Place, Dialect]:
        if self._chosen is None:
            self._chosen = choose(self.root, self.dialect)
        return self._chosen

    def _metadata(self) -> pd.DataFrame:
        if self._pictures is None:
            self._pictures = read_metadata(self.root)
        return self._pictures

    def _cut(
        self, subject: str, part: str, pictures: pd.DataFrame, sfreq: float | None, store: ArrayStore
    ) -> tuple[Block, pd.DataFrame]:
        """Cut one part out of the recordings."""
        place, dialect = self._choice()
        sessions = open_runs(place.folder, subject, part, dialect, len(pictures))
        trials = list_trials(sessions, part, len(pictures))
        runs = [run for session in sessions for run in session]
        rates = sorted({run.sfreq for run in runs})
        if len(rates) > 1:
            raise DataError(
                f"{place.folder / subject}: recordings at {rates[0]:g} and {rates[1]:g} Hz, expected one rate"
            )
        grid = grid_of(rates[0], SFREQ if sfreq is None else float(sfreq), self.window or (0.0, EPOCH[1]))
        signals = store.empty((len(trials), 63, grid.stop - grid.first))
        for rows, epochs in cut_trials(runs, trials, grid):
            signals[rows] = epochs
        block = Block(BLOCKS[part], signals, sensors_of(63, sfreq=grid.sfreq, tmin=grid.tmin, unit="V"))
        names = pictures.set_index("number")
        table = pd.DataFrame(
            {
                "session": trials["session"],
                "run": trials["name"],
                "block": block.name,
                "start": np.arange(len(trials)),
                "length": signals.shape[2],
                "stimulus": names.loc[trials["number"], "stimulus"].to_numpy(),
                "repetition": trials["repetition"],
                "onset": trials["onset"],
                "concept": names.loc[trials["number"], "concept"].to_numpy(),
                "part": part,
            }
        )
        return block, table

    def _copy(
        self, epochs: Epochs, part: str, pictures: pd.DataFrame, sfreq: float | None, store: ArrayStore
    ) -> tuple[Block, pd.DataFrame]:
        """Copy one part of a derivative, a few pictures at a time."""
        n_pictures, n_repetitions, _, n_times = epochs.signals.shape
        times = epochs.tmin + np.arange(n_times) / epochs.sfreq
        start, end = self.window or (0.0, EPOCH[1])
        if self.window and (times[0] > start + 1e-6 or times[-1] + 1 / epochs.sfreq < end - 1e-6):
            raise ConfigError(
                f"window: got {start:g} to {end:g} s, but {epochs.path} holds {times[0]:g} to "
                f"{times[-1] + 1 / epochs.sfreq:g} s"
            )
        kept = np.flatnonzero((times > start - 1e-6) & (times < end - 1e-6))
        rate = epochs.sfreq if sfreq is None else float(sfreq)
        signals = None
        for first, piece in _pieces(epochs):
            cut = piece[:, :, kept[0] : kept[-1] + 1]
            if rate != epochs.sfreq:
                flat = resample(np.asarray(cut, dtype=np.float32).reshape(-1, cut.shape[2]), epochs.sfreq, rate)
                cut = flat.reshape(*cut.shape[:2], -1)
            if signals is None:
                signals = store.empty((n_pictures * n_repetitions, *cut.shape[1:]))
            signals[first : first + len(cut)] = cut
        assert signals is not None
        sensors = sensors_of(len(epochs.rows), sfreq=rate, tmin=float(times[kept[0]]), unit=epochs.unit)
        block = Block(BLOCKS[part], signals, sensors)
        sessions = np.full(len(signals), "", dtype=object)
        if epochs.sessions is not None:
            sessions[:] = [f"{number:02d}" for number in epochs.sessions.ravel()]
        table = pd.DataFrame(
            {
                "session": sessions,
                "run": BLOCKS[part],
                "block": block.name,
                "start": np.arange(len(signals)),
                "length": signals.shape[2],
                "stimulus": np.repeat(pictures["stimulus"].to_numpy(), n_repetitions),
                "repetition": np.tile(np.arange(1, n_repetitions + 1), n_pictures),
                # The file does not say when; this is where the epoch lies in the block.
                "onset": np.arange(len(signals)) * signals.shape[2] / rate,
                "concept": np.repeat(pictures["concept"].to_numpy(), n_repetitions),
                "part": part,
            }
        )
        return block, table


def _pieces(epochs: Epochs) -> Iterator[tuple[int, NDArray[Any]]]:
    """Open a derivative piece by piece: the first trial of each and its signals ``(n, n_channels, n_times)``.

    They are as stored, so that they are converted while they are copied.
    """
    n_pictures, n_repetitions, n_channels, n_times = epochs.signals.shape
    step = max(1, CHUNK_BYTES // (n_repetitions * n_channels * n_times * 8))
    in_order = len(epochs.rows) == n_channels and bool((epochs.rows == np.arange(n_channels)).all())
    for begin in range(0, n_pictures, step):
        piece = epochs.signals[begin : begin + step]
        if not in_order:
            piece = piece[:, :, epochs.rows]
        yield begin * n_repetitions, piece.reshape(-1, len(epochs.rows), n_times)
