"""The derivatives of THINGS-EEG2 that hold epochs: dialects A to D, opened without reading their signals."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.files import read_json
from neurodecode.datasets.gifford2022.channels import channel_rows
from neurodecode.datasets.gifford2022.layout import Dialect
from neurodecode.datasets.pickled_fields import field_of, number_field, text_array, text_field
from neurodecode.datasets.restricted_pickle import read_pickle

FILES: dict[str, dict[str, str]] = {
    "A": {"train": "preprocessed_eeg_training.npy", "test": "preprocessed_eeg_test.npy"},
    "B": {"train": "preprocessed_eeg_training.npy", "test": "preprocessed_eeg_test.npy"},
    "C": {"train": "train.pt", "test": "test.pt"},
    "D": {"train": "train.npy", "test": "test.npy"},
}
FIELDS = {"A": "preprocessed_eeg_data", "B": "preprocessed_eeg_data", "C": "eeg", "D": "data"}
# Signals in volts are far below, whitened ones far above.
LARGEST_VOLTS = 1e-3
TEST_WHITENED = "whitened before it reached us, by a noise covariance that test trials had a half share in"
_TRAINING = "of the whole training part, validation concepts included"
TRAIN_WHITENED = f"whitened before it reached us, by a noise covariance {_TRAINING}"
TRAIN_SCALED = f"scaled before it reached us, per session and channel, by mean and deviation {_TRAINING}"
UNKNOWN_SCALED = f"whitened or scaled before it reached us by statistics {_TRAINING}; the file does not say which"
LONGEST_TIME, FASTEST_RATE = 100.0, 1e5
HALF = "stored in half precision"


@dataclass(frozen=True)
class Epochs:
    """One part (training or test) of one subject.

    Parameters
    ----------
    path : Path
        The file.
    signals : ndarray, shape (n_pictures, n_repetitions, n_channels, n_times)
        As stored; a memory map as a rule.
    rows : ndarray of int
        Its channels in our order.
    sfreq, tmin : float
        Rate in Hz and time of the first sample in seconds from the onset.
    sessions : ndarray of int, shape (n_pictures, n_repetitions), optional
        From 1, where the file says.
    unit : str
        ``V``, or ``a.u.`` where the signals were whitened or scaled.
    flags : tuple of str
        What was done to the signals before they reached us that a result must say.
    """

    path: Path
    signals: NDArray[Any]
    rows: NDArray[np.int64]
    sfreq: float
    tmin: float
    sessions: NDArray[np.int64] | None
    unit: str
    flags: tuple[str, ...]


def open_epochs(
    folder: Path, subject: str, part: str, dialect: Dialect, pictures: pd.DataFrame, *, scratch: Path | None = None
) -> Epochs:
    """Open one part of one subject and check it against the list of pictures.

    Parameters
    ----------
    folder : Path
        Holds the subjects.
    subject : str
        Such as ``sub-01``.
    part : str
        ``train`` or ``test``.
    dialect : str
        ``A`` to ``D``.
    pictures : pandas.DataFrame
        The rows of this part, from `read_metadata`.
    scratch : Path, optional
        Existing folder for what cannot be mapped where it lies.

    Returns
    -------
    Epochs
        Signals not read yet.

    Raises
    ------
    DataError
        Naming the file, the field, what was got and what was expected.
    """
    path = folder / subject / FILES[dialect][part]
    content = read_pickle(path, scratch=scratch)
    information: Mapping[str, Any] = {}
    if dialect == "D" and isinstance(content, np.ndarray):
        side = next((at / "info.json" for at in (path.parent, folder) if (at / "info.json").is_file()), None)
        if side is None:
            raise DataError(
                f"{path.parent / 'info.json'}: no such file, here or in {folder}; it names channels and times"
            )
        information = read_json(side)
        content = {
            "data": content,
            "ch_names": field_of(information, "ch_names", side),
            "times": field_of(information, "times", side),
        }
    signals = _four_dimensions(path, field_of(content, FIELDS[dialect], path), len(pictures))
    rows = channel_rows(text_field(content, "ch_names", path), signals.shape[2], where=str(path))
    sfreq, tmin = sampling(number_field(content, "times", path), signals.shape[3], where=str(path))
    if dialect == "C":
        _check_names(path, content, pictures)
    sessions = _sessions(path, content, signals.shape[:2]) if "session" in content else None
    with np.errstate(over="ignore"):
        volts = float(np.abs(np.asarray(signals[0, 0], dtype=np.float64)).mean()) < LARGEST_VOLTS
    flags = () if volts else _flags(dialect, information)
    if signals.dtype == np.float16:
        flags = (*flags, HALF)
    return Epochs(path, signals, rows, sfreq, tmin, sessions, "V" if volts else "a.u.", flags)


def _four_dimensions(path: Path, found: Any, n_pictures: int) -> NDArray[Any]:
    """Check the signals' shape; dialect D has concepts and pictures of a concept as dimensions of their own."""
    if not isinstance(found, np.ndarray) or found.dtype.kind != "f" or found.ndim not in (4, 5):
        got = f"{found.dtype} of shape {found.shape}" if isinstance(found, np.ndarray) else type(found).__name__
        raise DataError(f"{path}: signals are {got}, expected floating-point numbers in 4 or 5 dimensions")
    signals: NDArray[Any] = found
    if signals.ndim == 5:
        if not signals.flags.c_contiguous:
            raise DataError(f"{path}: signals are stored last dimension first, expected C order")
        signals = np.reshape(signals, (signals.shape[0] * signals.shape[1], *signals.shape[2:]))
    if len(signals) != n_pictures or 0 in signals.shape:
        raise DataError(
            f"{path}: signals of shape {signals.shape}, expected {n_pictures} pictures as image_metadata.npy lists"
        )
    return signals


def sampling(times: NDArray[np.float64], n_times: int, *, where: str) -> tuple[float, float]:
    """Find rate and first time of epochs, also where the list of times has kept a baseline that the signals have not.

    Parameters
    ----------
    times : ndarray, shape (n,)
        Seconds from the onset.
    n_times : int
        Samples of the signals; where there are fewer than times, they are the last ones and begin at the onset.
    where : str
        How messages name the file.

    Returns
    -------
    sfreq : float
        Rate in Hz.
    tmin : float
        Time of the first sample in seconds.

    Raises
    ------
    DataError
        If there are fewer times than samples, surplus times do not end at the onset, or the steps differ.

    Examples
    --------
    >>> sampling(np.arange(300) / 250 - 0.2, 250, where="file")
    (250.0, 0.0)
    """
    if times.ndim != 1 or len(times) < max(n_times, 2):
        raise DataError(
            f"{where}: {times.size} entries in 'times', expected at least the {n_times} samples of the signals"
        )
    if not (np.abs(times) < LONGEST_TIME).all():
        raise DataError(f"{where}: 'times' holds something else than seconds from the onset")
    steps = np.diff(times)
    step = float(steps.mean())
    if step < 1 / FASTEST_RATE or np.abs(steps - step).max() > 0.01 * step:
        raise DataError(f"{where}: 'times' does not rise in equal steps")
    first = float(times[len(times) - n_times])
    if len(times) > n_times and abs(first) > step / 2:
        raise DataError(
            f"{where}: {len(times)} entries in 'times' for {n_times} samples, and the last {n_times} begin at "
            f"{first:.3f} s, expected at the onset"
        )
    return round(1 / step, 6), round(first, 9)


def _check_names(path: Path, content: Mapping[Any, Any], pictures: pd.DataFrame) -> None:
    """Prove the order of dialect C: it names the picture of every trial."""
    names = text_array(content, "img", path)
    if names.ndim not in (1, 2) or len(names) != len(pictures):
        raise DataError(f"{path}: 'img' has shape {names.shape}, expected a name for each of {len(pictures)} pictures")
    for row, expected in enumerate(pictures["stimulus"]):
        found = sorted({PurePosixPath(name.replace("\\", "/")).stem for name in np.unique(names[row]).tolist()})
        if found != [expected]:
            raise DataError(f"{path}: row {row} of 'img' shows {found[0]!r}, image_metadata.npy has {expected!r} there")


def _sessions(path: Path, content: Mapping[Any, Any], shape: tuple[int, ...]) -> NDArray[np.int64]:
    sessions = number_field(content, "session", path)
    if sessions.shape != shape or not np.isin(sessions, np.arange(100)).all():
        raise DataError(
            f"{path}: 'session' has shape {sessions.shape}, expected a session number for each of {shape} trials"
        )
    return sessions.astype(np.int64) + 1


def _flags(dialect: Dialect, information: Mapping[str, Any]) -> tuple[str, ...]:
    if dialect == "A":
        return (TEST_WHITENED,)
    if dialect == "D":
        # Older files have no side file.
        kind = str(information.get("normalization", "")).lower()
        return ({"mvnn": TRAIN_WHITENED, "zscore": TRAIN_SCALED}.get(kind, UNKNOWN_SCALED),)
    return (TRAIN_WHITENED,)
