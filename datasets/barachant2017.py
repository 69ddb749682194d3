"""Faces and houses seen with a Muse headband of four electrodes, as the project EEG notebooks ships them."""

import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import DataError
from neurodecode.core.recording import Block, Recording
from neurodecode.core.sensors import Sensors
from neurodecode.core.split import Split, leave_one_out_split
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.study import Study, StudyInfo
from neurodecode.datasets.archives import read_tar
from neurodecode.datasets.bids_signals import template_positions
from neurodecode.datasets.preprocessing import Preprocessing, preprocess_array
from neurodecode.datasets.regions import scalp_regions

ELECTRODES = ("TP9", "AF7", "AF8", "TP10")
SFREQ = 256.0
# The marker is the number of the picture's kind, in the order of the script that showed the pictures.
CATEGORY_OF_MARKER = {1: "house", 2: "face"}
TEXTS = {"face": "human face", "house": "house"}
WINDOW = (0.0, 0.8)
SETTINGS = Preprocessing(high_pass=1.0, low_pass=30.0)
# Windows in which a channel moves by more than this (V, peak to peak) hold a blink or a loose electrode.
LARGEST_SWING = 75e-6
# A recording counts when each category was marked so often; some hold the start of a session that was broken off.
FEWEST_TRIALS = 20
# Training, validation and test need a recording each.
FEWEST_RECORDINGS = 3


@dataclass(frozen=True)
class Session:
    """One recording of two minutes as the archive holds it.

    Parameters
    ----------
    name : str
        Session, day and time, from folder and file name.
    session : str
        Number of the session, from the folder.
    signals : ndarray of float32, shape (4, n_samples)
        In volts.
    samples : ndarray of int, shape (n_trials,)
        Where pictures appeared.
    categories : ndarray of str, shape (n_trials,)
        ``face`` or ``house``.
    """

    name: str
    session: str
    signals: NDArray[np.float32]
    samples: NDArray[np.int64]
    categories: NDArray[np.str_]


class MuseN170(Study):
    """Read the archive of recordings, filter from 1 to 30 Hz and cut windows of 0.8 s.

    Pictures followed each other every 0.5 to 0.7 s, so a window also holds the beginning of the next answer. A window
    in which a channel moves by more than 75 microvolts after filtering is left out, in training and in testing,
    whatever was shown. Files that occur twice under different names count once, recordings with fewer than 20 trials
    of a category do not count, and subjects with fewer than three recordings cannot leave one out.

    Parameters
    ----------
    root : Path
        The folder with ``n170_all.tar.gz``.
    """

    info = StudyInfo(
        name="muse_n170",
        modality="eeg",
        kind="word",
        description="Faces against houses with a four-electrode headband; recordings of two minutes.",
        citation="Barachant and Banville 2017, EEG notebooks; N170: Bentin et al. 1996, doi:10.1162/jocn.1996.8.6.551",
        licence="BSD-3-Clause",
        where="folder data/visual/N170 of https://github.com/NeuroTechX/eeg-notebooks_v0.1",
        size="6.7 MB",
        simulated=False,
        expected={"subjects": 2, "stimuli": 2, "channels": 4},
        averaging="trial",
        candidates="stimulus",
    )
    places = ("brain/muse_erp", "muse_erp")
    needed = ("n170_all.tar.gz",)

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._sessions: dict[str, list[Session]] = {}

    def subjects(self) -> list[str]:
        """List the subjects with at least three usable recordings."""
        return sorted(name for name, found in self._read().items() if len(found) >= FEWEST_RECORDINGS)

    def stimuli(self) -> Stimuli:
        """List the two categories; which picture a trial showed was not recorded, so there are no pictures."""
        names = list(TEXTS)
        table = pd.DataFrame(
            {"stimulus": names, "kind": "word", "path": "", "concept": names, "text": list(TEXTS.values())}
        )
        return Stimuli(table)

    def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
        """Read one subject's recordings as continuous blocks."""
        sessions = self._read()
        if subject not in self.subjects():
            raise DataError(f"subject: got {subject!r}, expected one of {', '.join(self.subjects())} ({self.root})")
        rate = SFREQ if sfreq is None else float(sfreq)
        positions = template_positions(ELECTRODES)
        sensors = Sensors(
            names=ELECTRODES,
            kinds=("eeg",) * len(ELECTRODES),
            sfreq=rate,
            tmin=WINDOW[0],
            unit="V",
            positions=positions,
            regions=scalp_regions(ELECTRODES, positions),
        )
        blocks, tables, rejected, total = {}, [], 0, 0
        for session in sessions[subject]:
            data = preprocess_array(session.signals, SFREQ, rate, settings=SETTINGS)
            table = _windows(subject, session, rate, data.shape[1])
            quiet = swings(data, table) <= LARGEST_SWING
            total, rejected = total + len(table), rejected + int((~quiet).sum())
            blocks[session.name] = Block(session.name, data, sensors)
            tables.append(table[quiet])
        windows = pd.concat(tables, ignore_index=True)
        windows["repetition"] = windows.groupby("stimulus").cumcount() + 1
        flags = (
            "electrode positions are those of a template",
            f"{rejected} of {total} windows left out without labels, test windows included: they swing by more than "
            f"{LARGEST_SWING * 1e6:g} microvolts",
        )
        return Recording(subject, "eeg", blocks, windows, False, flags)

    def split(self, windows: Mapping[str, pd.DataFrame]) -> Split:
        """Leave one recording out; one other recording of the subject, drawn with a fixed seed, validates."""
        return leave_one_out_split(windows, columns=("run",), unit="run", validation_units=1, seed=0)

    def steps(self) -> dict[str, Any]:
        """Describe filter, window, rejection and which recordings count."""
        return {
            "reader": "muse_n170",
            **SETTINGS.describe(),
            "window": list(WINDOW),
            "largest_swing_v": LARGEST_SWING,
            "fewest_trials": FEWEST_TRIALS,
            "fewest_recordings": FEWEST_RECORDINGS,
            "texts": TEXTS,
        }

    def _read(self) -> dict[str, list[Session]]:
        if not self._sessions:
            self._sessions = read_sessions(self.root / self.needed[0])
        return self._sessions


def read_sessions(path: Path) -> dict[str, list[Session]]:
    """Read the usable recordings of every subject.

    Parameters
    ----------
    path : Path
        The archive; its members are ``.../subject<n>/session<n>/<name>.csv``.

    Returns
    -------
    dict of str to list of Session
        By subject (``sub-01`` ...), in the order of the file names; copies of one file count once.

    Raises
    ------
    DataError
        Naming archive, member and what is wrong.
    """
    found: dict[str, list[Session]] = {}
    seen = set()
    for name, content in sorted(read_tar(path, suffix=".csv")):
        match = re.search(r"subject(\d+)/session(\d+)/[^/]*?(\d{4}-\d\d-\d\d-\d\d\.\d\d\.\d\d)[^/]*$", str(name))
        if match is None:
            raise DataError(f"{path}: member {str(name)!r} is not named subject<n>/session<n>/<date>.csv")
        digest = hashlib.sha256(content).digest()
        if digest in seen:
            continue
        seen.add(digest)
        recording = f"session{match[2]}_{match[3]}"
        session = parse_session(content, recording, match[2], where=f"{path}: member {str(name)!r}")
        counts = [int((session.categories == category).sum()) for category in TEXTS]
        if min(counts) >= FEWEST_TRIALS:
            found.setdefault(f"sub-{int(match[1]):02d}", []).append(session)
    return found


def parse_session(content: bytes, name: str, session: str, *, where: str) -> Session:
    """Turn one comma-separated file into signals in volts and trials.

    Parameters
    ----------
    content : bytes
        Columns `timestamps` (s), the four electrodes (microvolts) and `Marker0`.
    name, session : str
        What the recording is called.
    where : str
        How messages name the file.

    Returns
    -------
    Session
        The recording.

    Raises
    ------
    DataError
        If a column is missing, a value is not a finite number, a marker is unknown or the rate is not 256 Hz.
    """
    columns = ["timestamps", *ELECTRODES, "Marker0"]
    try:
        table = pd.read_csv(io.BytesIO(content), encoding="utf-8")
    except ValueError as error:
        raise DataError(f"{where}: not readable as a table ({str(error).splitlines()[0]})") from None
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise DataError(f"{where}: column {missing[0]!r} is missing, got {', '.join(map(str, table.columns))}")
    values = table[columns].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise DataError(f"{where}: line {row + 2}: {columns[column]} is not a finite number")
    times, marks = values[:, 0], values[:, -1].astype(np.int64)
    rate = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 and times[-1] > times[0] else 0.0
    if abs(rate / SFREQ - 1) > 0.01:
        raise DataError(f"{where}: {rate:.1f} samples a second by its timestamps, expected {SFREQ:g}; it has a gap")
    unknown = sorted(set(marks.tolist()) - {0, *CATEGORY_OF_MARKER})
    if unknown:
        raise DataError(f"{where}: marker {unknown[0]}, expected one of {', '.join(map(str, CATEGORY_OF_MARKER))}")
    samples = np.flatnonzero(marks)
    categories = np.array([CATEGORY_OF_MARKER[int(mark)] for mark in marks[samples]], dtype=np.str_)
    return Session(name, session, (values[:, 1:-1].T * 1e-6).astype(np.float32), samples, categories)


def swings(data: NDArray[np.float32], table: pd.DataFrame) -> NDArray[np.float64]:
    """Compute the largest peak-to-peak amplitude over the channels in each window.

    Parameters
    ----------
    data : ndarray of float32, shape (n_channels, n_samples)
        Continuous signals.
    table : pandas.DataFrame
        Columns `start` and `length`.

    Returns
    -------
    ndarray of float64, shape (n_windows,)
        In the unit of the signals.
    """
    pairs = zip(table["start"], table["length"], strict=True)
    return np.array([float(np.ptp(data[:, start : start + length], axis=1).max()) for start, length in pairs])


def _windows(subject: str, session: Session, sfreq: float, n_samples: int) -> pd.DataFrame:
    """List the windows that are recorded whole."""
    onsets = session.samples / SFREQ
    table = pd.DataFrame(
        {
            "subject": subject,
            "session": session.session,
            "run": session.name,
            "block": session.name,
            "start": np.round((onsets + WINDOW[0]) * sfreq).astype(np.int64),
            "length": round((WINDOW[1] - WINDOW[0]) * sfreq),
            "stimulus": session.categories,
            "onset": onsets,
            "trial": [f"{session.name}_{index:03d}" for index in range(len(onsets))],
        }
    )
    return table[table["start"] + table["length"] <= n_samples].reset_index(drop=True)
