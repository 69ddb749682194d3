"""The recordings of THINGS-EEG2 as they were made: dialects E and F and the BrainVision source, read piece by piece."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.datasets.gifford2022.channels import channel_rows
from neurodecode.datasets.gifford2022.layout import Dialect
from neurodecode.datasets.pickled_fields import field_of, number_field, text_field
from neurodecode.datasets.restricted_pickle import read_pickle

TARGET = 99999
FASTEST_RATE = 1e5
STIM_NAMES = ("stim", "STI101", "STI 014")
PARTS = {"train": "training", "test": "test"}


@dataclass(frozen=True)
class Run:
    """One recording and its events.

    Parameters
    ----------
    path : Path
        The file.
    session, name : str
        Number of the session; name within the subject.
    read : callable
        Gives the electrodes in our order from one sample up to another: ``(63, n)`` float64 in volts.
    n_samples : int
        Length.
    sfreq : float
        Rate in Hz.
    samples, codes : ndarray of int, shape (n_events,)
        When a picture appeared, and its number; `TARGET` for a target.
    """

    path: Path
    session: str
    name: str
    read: Callable[[int, int], NDArray[np.float64]]
    n_samples: int
    sfreq: float
    samples: NDArray[np.int64]
    codes: NDArray[np.int64]


def open_runs(folder: Path, subject: str, part: str, dialect: Dialect, n_pictures: int) -> list[list[Run]]:
    """Open the recordings of one part of one subject: one list a session.

    Parameters
    ----------
    folder : Path
        Holds the subjects.
    subject : str
        Such as ``sub-01``.
    part : str
        ``train`` or ``test``.
    dialect : str
        ``E``, ``F`` or ``source``.
    n_pictures : int
        Largest number that a picture may have.

    Returns
    -------
    list of list of Run
        Sessions in order, each with its recordings in order.

    Raises
    ------
    DataError
        Naming the file and what is wrong.
    """
    sessions = []
    for place in sorted((folder / subject).glob("ses-[0-9][0-9]")):
        session = place.name.removeprefix("ses-")
        if dialect == "E":
            runs = [_open_array(place / f"raw_eeg_{PARTS[part]}.npy", session, part)]
        elif dialect == "F":
            runs = [_open_fif(place / f"raw_eeg_{PARTS[part]}_raw.fif", session, part)]
        else:
            stem = f"{subject}_{place.name}_task-{part}"
            pattern = f"{stem}_part-*_eeg.vhdr" if part == "train" else f"{stem}_eeg.vhdr"
            files = sorted((place / "eeg").glob(pattern))
            if not files:
                raise DataError(f"{place / 'eeg'}: no recording called {pattern}")
            runs = [_open_brainvision(file, place / "beh", session, part) for file in files]
        for run in runs:
            _check_codes(run, n_pictures)
        sessions.append(runs)
    return sessions


def _check_codes(run: Run, n_pictures: int) -> None:
    wrong = (run.codes != TARGET) & ((run.codes < 1) | (run.codes > n_pictures))
    if wrong.any():
        at = int(np.argmax(wrong))
        raise DataError(
            f"{run.path}: event {at} (sample {run.samples[at]}) has the number {run.codes[at]}, expected 1 to "
            f"{n_pictures} or {TARGET} for a target"
        )


def _events(path: Path, stim: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find where the stimulus channel rises from zero, as MNE does."""
    if not np.isfinite(stim).all() or (stim != np.round(stim)).any():
        raise DataError(f"{path}: the stimulus channel holds numbers that are not whole")
    codes = np.round(stim).astype(np.int64)
    samples = np.flatnonzero((codes != 0) & (np.concatenate([[0], codes[:-1]]) == 0))
    if not len(samples):
        raise DataError(f"{path}: the stimulus channel is zero throughout, expected a number at every picture")
    return samples, codes[samples]


def _stim_row(path: Path, names: list[str]) -> int:
    found = [names.index(name) for name in STIM_NAMES if name in names]
    if not found:
        raise DataError(
            f"{path}: no stimulus channel ({' or '.join(STIM_NAMES)}) among {len(names)} channels; a copy without it "
            "cannot be paired"
        )
    return found[0]


def _open_array(path: Path, session: str, part: str) -> Run:
    content = read_pickle(path)
    signals, names = field_of(content, "raw_eeg_data", path), text_field(content, "ch_names", path)
    sfreq = number_field(content, "sfreq", path)
    if sfreq.size != 1 or not 0 < sfreq.item() < FASTEST_RATE:
        raise DataError(f"{path}: the field 'sfreq' is {sfreq.tolist()}, expected a rate in Hz")
    if not isinstance(signals, np.ndarray) or signals.ndim != 2 or signals.dtype.kind != "f":
        raise DataError(f"{path}: 'raw_eeg_data' is not an array of channels and samples")
    stim = _stim_row(path, names)
    rows = channel_rows(names, len(signals), where=str(path))
    samples, codes = _events(path, signals[stim])

    def read(start: int, stop: int) -> NDArray[np.float64]:
        return np.asarray(signals[:, start:stop][rows], dtype=np.float64)

    return Run(path, session, f"ses-{session}_{part}", read, signals.shape[1], sfreq.item(), samples, codes)


def _read_with(raw: Any, path: Path, names: list[str]) -> Callable[[int, int], NDArray[np.float64]]:
    rows = channel_rows(names, len(names), where=str(path))

    def read(start: int, stop: int) -> NDArray[np.float64]:
        try:
            data: NDArray[np.float64] = raw.get_data(picks=rows, start=start, stop=stop, verbose="error")
        except Exception as error:
            reason = " ".join(str(error).split())
            raise DataError(f"{path}: not readable at sample {start} ({type(error).__name__}: {reason})") from None
        return data

    return read


def _with_mne(path: Path, reader: str) -> Any:
    import mne

    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        return getattr(mne.io, reader)(path, preload=False, verbose="error")
    except Exception as error:  # a broken file ends in whatever exception its reader stumbles on
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: not readable as a whole recording ({type(error).__name__}: {reason})") from None


def _open_fif(path: Path, session: str, part: str) -> Run:
    raw = _with_mne(path, "read_raw_fif")
    names = list(raw.ch_names)
    stim = _stim_row(path, names)
    try:
        samples, codes = _events(path, raw.get_data(picks=[stim], verbose="error")[0])
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"{path}: not readable as a whole recording ({type(error).__name__}: {' '.join(str(error).split())})"
        ) from None
    rate = float(raw.info["sfreq"])
    return Run(path, session, f"ses-{session}_{part}", _read_with(raw, path, names), raw.n_times, rate, samples, codes)


def _open_brainvision(path: Path, behaviour: Path, session: str, part: str) -> Run:
    raw = _with_mne(path, "read_raw_brainvision")
    # Triggers only say when; which picture it was stands in the behavioural file, trial by trial.
    shown = [
        at
        for at, what in zip(raw.annotations.onset, raw.annotations.description, strict=True)
        if not what.startswith("New Segment")
    ]
    rate = float(raw.info["sfreq"])
    samples = np.round(np.asarray(shown, dtype=np.float64) * rate).astype(np.int64) - raw.first_samp
    table = behaviour / path.name.replace("_eeg.vhdr", "_beh.mat")
    codes = read_numbers(table)
    if len(codes) != len(samples):
        # A cut file opens without a complaint, and triggers beyond its end are gone.
        raise DataError(f"{path}: {len(samples)} triggers in its signals, but {table.name} lists {len(codes)} trials")
    names = list(raw.ch_names)
    name = path.name.removesuffix("_eeg.vhdr").partition("_")[2]
    return Run(path, session, name, _read_with(raw, path, names), raw.n_times, rate, samples, codes)


def read_numbers(path: Path) -> NDArray[np.int64]:
    """Read the number of the picture of each trial from a behavioural file.

    Parameters
    ----------
    path : Path
        MATLAB file with the structure ``data``, whose ``images`` has ``tot_img_number`` for each trial.

    Returns
    -------
    ndarray of int, shape (n_trials,)
        `TARGET` where the file has 0.

    Raises
    ------
    DataError
        If the file is missing, cut or not of that form.
    """
    import scipy.io

    if not path.is_file():
        raise DataError(f"{path}: no such file; it says which picture each trigger was")
    try:
        images = scipy.io.loadmat(path)["data"][0, 0]["images"]
        numbers = np.array(
            [int(np.asarray(value).item()) for value in images["tot_img_number"].ravel()], dtype=np.int64
        )
    except Exception as error:  # a broken file ends in whatever exception its reader stumbles on
        reason = " ".join(str(error).split())
        raise DataError(
            f"{path}: data.images.tot_img_number is not readable ({type(error).__name__}: {reason})"
        ) from None
    return np.where(numbers == 0, TARGET, numbers)
