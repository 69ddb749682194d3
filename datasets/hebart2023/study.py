"""The study THINGS-MEG: one trial table and one kind of signal, whatever the files are."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.recording import Block, Recording
from neurodecode.core.split import Split, published_split
from neurodecode.core.split_rules import VALIDATION_SHARE
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.study import Study, StudyInfo
from neurodecode.datasets.hebart2023.epoched import Source, open_derivative, open_fif
from neurodecode.datasets.hebart2023.layout import Dialect, Place, choose, find_attributes, find_places
from neurodecode.datasets.hebart2023.recordings import BAND, EPOCH, SFREQ, Onset, open_recordings
from neurodecode.datasets.hebart2023.trials import read_attributes, stimulus_table
from neurodecode.datasets.preprocessing import resample

BLOCK = "epochs"
WINDOW = (0.0, 1.0)
SPLIT_SEED = 0


class ThingsMEG(Study):
    """Read any of five forms of the data: the CTF recordings, the published epochs, or what others made of them.

    One row of the window table is one trial; catch trials are left out. The derivatives hold the trials of the
    zero-shot split only.

    Parameters
    ----------
    root : Path
        The data set's folder, with ``sample_attributes_P1.csv`` and so on, and the subjects, in it or up to two folders
        below.
    dialect : str, optional
        ``fif`` (published epochs), ``bids`` (CTF recordings), ``atm``, ``ubp`` or ``neurobridge``; needed where there
        are several, except that the published epochs go before the recordings.
    window : tuple of float
        First time and end in seconds from the onset.
    onset : str
        For ``bids``: ``sample`` takes the times of the optical sensor from the events tables, as published;
        ``trigger`` those of the trigger channel.
    """

    info = StudyInfo(
        name="things_meg",
        modality="meg",
        kind="image",
        description="Four people saw 22,448 pictures of 1,854 concepts in 12 sessions; 271 CTF sensors.",
        citation="Hebart, Contier, Teichmann et al. 2023, doi:10.7554/eLife.82580",
        licence="CC0; the pictures have terms of their own",
        where="https://openneuro.org/datasets/ds004212 (recordings, epochs), https://osf.io/jum2f (pictures)",
        size="36 GB (epochs)",
        simulated=False,
        expected={"stimuli": 22448},
    )
    places = ("things_meg", "things-meg", "THINGS-MEG", "ds004212", "brain/things_meg")
    needed = ("sample_attributes_P1.csv",)
    own_splits = ("zero_shot", "meta")

    def __init__(
        self,
        root: Path,
        *,
        dialect: Dialect | None = None,
        window: tuple[float, float] = WINDOW,
        onset: Onset = "sample",
    ) -> None:
        super().__init__(root)
        if dialect is not None and dialect not in get_args(Dialect):
            raise ConfigError(f"dialect: got {dialect!r}, expected one of {', '.join(get_args(Dialect))}")
        if onset not in get_args(Onset):
            raise ConfigError(f"onset: got {onset!r}, expected one of {', '.join(get_args(Onset))}")
        if len(window) != 2 or not EPOCH[0] <= window[0] < window[1] <= EPOCH[1]:
            raise ConfigError(f"window: got {tuple(window)!r}, expected a first time and an end within -0.1 to 1.3 s")
        self.dialect, self.onset = dialect, onset
        self.window = (float(window[0]), float(window[1]))
        self._chosen: Place | None = None
        self._trials: dict[str, pd.DataFrame] = {}

    @classmethod
    def find(cls, data_root: Path) -> Path | None:
        """Give the folder that has tables of trials and subjects; looks at names only."""
        for folder in (*(data_root / place for place in cls.places), data_root):
            if find_attributes(folder) and find_places(folder):
                return folder
        return None

    def subjects(self) -> list[str]:
        """List the subjects that are on disk in the chosen form."""
        return self._place().subjects()

    def stimuli(self) -> Stimuli:
        """List the pictures that the subjects saw, with their files where they are on disk."""
        return stimulus_table(self.root, {subject: self._attributes(subject)[0] for subject in self.subjects()})

    def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
        """Read one subject: one block of epochs, in the order of the recording or, for derivatives, of the pictures."""
        if subject not in self.subjects():
            raise DataError(f"subject: got {subject!r}, expected one of {', '.join(self.subjects())} ({self.root})")
        store = store or ArrayStore()
        source = self._open(subject, store.folder)
        start, end = self.window
        times = source.sensors.tmin + np.arange(source.n_times) / source.sensors.sfreq
        if times[0] > start + 1e-6 or times[-1] + 1 / source.sensors.sfreq < end - 1e-6:
            raise ConfigError(
                f"window: got {start:g} to {end:g} s, but {self._place().folder} holds {times[0]:g} to "
                f"{times[-1] + 1 / source.sensors.sfreq:g} s"
            )
        rate = source.sensors.sfreq if sfreq is None else float(sfreq)
        signals = None
        for rows, piece in source.pieces:
            if rate != source.sensors.sfreq:
                flat = resample(piece.reshape(-1, piece.shape[2]), source.sensors.sfreq, rate)
                piece = flat.reshape(*piece.shape[:2], -1)
            times = source.sensors.tmin + np.arange(piece.shape[2]) / rate
            kept = np.flatnonzero((times > start - 1e-6) & (times < end - 1e-6))
            if signals is None:
                signals = store.empty((len(source.trials), len(source.sensors), len(kept)))
            signals[rows] = piece[:, :, kept[0] : kept[-1] + 1]
        if signals is None:
            raise DataError(f"{self.root}: {subject} has no trial")
        sensors = replace(source.sensors, sfreq=rate, tmin=round(float(times[kept[0]]), 9))
        trials = source.trials
        windows = pd.DataFrame(
            {
                "subject": subject,
                "session": trials["session"] if self._ordered() else "",
                "run": trials["run"] if self._ordered() else "",
                "block": BLOCK,
                "start": np.arange(len(trials)),
                "length": signals.shape[2],
                "stimulus": trials["stimulus"],
                "repetition": trials["repetition"],
                # Epochs do not say when; this is then where the epoch lies in the block.
                "onset": trials["onset"] if "onset" in trials else np.arange(len(trials)) * signals.shape[2] / rate,
                "concept": trials["concept"],
                "part": trials["part"],
            }
        )
        return Recording(
            subject, "meg", {BLOCK: Block(BLOCK, signals, sensors)}, windows, self.info.simulated, source.flags
        )

    def split(self, windows: Mapping[str, pd.DataFrame]) -> Split:
        """Make the zero-shot split: pictures shown 12 times test, and no other picture of their concepts is used."""
        tables, parts = {}, dict[str, str]()
        tested = self._tested(windows)
        for subject, table in windows.items():
            used = (table["part"] == "test") | ~table["concept"].isin(tested)
            tables[subject] = table.assign(**{"unit of the split": table["concept"].where(used, "")})
            parts |= {
                str(name): str(part) for name, part in table.loc[used, ["concept", "part"]].itertuples(index=False)
            }
        held, training = _held_out(parts)
        rule = (
            f"zero-shot: pictures shown 12 times test, other pictures of their concepts are left out; {len(held)} of "
            f"{len(training)} training concepts validate, drawn with seed {SPLIT_SEED}"
        )
        parts |= held
        return published_split(tables, parts, column="unit of the split", unit="concept", rule=rule, seed=SPLIT_SEED)

    def named_split(self, rule: str, windows: Mapping[str, pd.DataFrame]) -> Split:
        """Make `split`, or for ``meta`` the one that keeps other pictures of the test concepts in training."""
        if rule != "meta":
            return super().named_split(rule, windows)
        tested = self._tested(windows)
        parts: dict[str, str] = {}
        for subject, table in windows.items():
            train = table[table["part"] == "train"]
            if not train["concept"].isin(tested).any():
                raise DataError(
                    f"split meta: {subject} has no training picture of a test concept; derivatives leave them out, it "
                    "needs the published epochs or the recordings"
                )
            parts |= {str(name): str(part) for name, part in table[["stimulus", "part"]].itertuples(index=False)}
        held, training = _held_out(parts)
        rule = (
            "Meta's: pictures shown 12 times test; other pictures of the same concepts STAY IN TRAINING, so that only "
            f"stimuli are disjoint, and scores do not compare with zero-shot; {len(held)} of {len(training)} training "
            f"pictures validate, drawn with seed {SPLIT_SEED}"
        )
        return published_split(windows, parts | held, column="stimulus", unit="stimulus", rule=rule, seed=SPLIT_SEED)

    def steps(self) -> dict[str, Any]:
        """Describe the form and, for recordings, how trials are cut."""
        steps: dict[str, Any] = {"reader": "things_meg", "dialect": self._place().dialect, "window": list(self.window)}
        if self._place().dialect == "bids":
            steps |= {
                "onset": self.onset,
                "band": list(BAND),
                "epoch": list(EPOCH),
                "baseline": "z-score of each trial and channel by the time before its onset",
                "sfreq": SFREQ,
            }
        if self._place().dialect == "atm":
            steps["zscore_params"] = "taken back where there are any"
        return steps

    def _tested(self, windows: Mapping[str, pd.DataFrame]) -> set[str]:
        """Find the test concepts, the same for all subjects, each test picture shown 12 times."""
        found: dict[str, set[str]] = {}
        for subject, table in windows.items():
            test = table[table["part"] == "test"]
            counts = test["stimulus"].value_counts()
            if (counts != 12).any():
                name = counts.index[int(np.argmax(counts != 12))]
                raise DataError(f"split: {subject} has {counts[name]} trials of the test picture {name!r}, expected 12")
            found[subject] = set(test["concept"])
        first = next(iter(found))
        for subject, concepts in found.items():
            if concepts != found[first]:
                name = sorted(concepts ^ found[first])[0]
                raise DataError(f"split: {subject} and {first} differ in the test concept {name!r}")
        return found[first]

    def _place(self) -> Place:
        if self._chosen is None:
            self._chosen = choose(self.root, self.dialect)
            if self.info.expected:
                count = 24648 if self._ordered() else 22248
                self.info = replace(self.info, expected={**self.info.expected, "windows": count})
        return self._chosen

    def _ordered(self) -> bool:
        """Tell whether the trials are in the order of the recording, with known sessions."""
        return self._place().dialect in ("fif", "bids")

    def _attributes(self, subject: str) -> tuple[pd.DataFrame, Path]:
        path = find_attributes(self.root).get(subject)
        if path is None:
            name = f"sample_attributes_P{int(subject[-2:])}.csv"
            raise DataError(
                f"{self.root / name}: no such file, here or in folders below; it says which picture each trial was"
            )
        if subject not in self._trials:
            self._trials[subject] = read_attributes(path)
        return self._trials[subject], path

    def _open(self, subject: str, scratch: Path | None) -> Source:
        place = self._place()
        trials, path = self._attributes(subject)
        if place.dialect == "fif":
            return open_fif(place.file(subject), trials, path)
        if place.dialect == "bids":
            folder = place.file(subject).parents[1]
            return open_recordings(folder, subject, trials, path, self.onset)
        return open_derivative(place, subject, trials, path, scratch=scratch)


def _held_out(parts: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Draw a tenth of the training units for validation; also list all of them."""
    training = sorted(name for name, part in parts.items() if part == "train")
    order = np.random.default_rng(SPLIT_SEED).permutation(training)
    return dict.fromkeys(map(str, order[: max(1, round(len(training) * VALIDATION_SHARE))]), "val"), training
