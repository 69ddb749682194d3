"""The forms of THINGS-MEG that hold epochs: the published FIF parts and the derivatives of others."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.files import load_arrays, read_json
from neurodecode.core.sensors import Sensors
from neurodecode.datasets.epochs_files import open_epochs
from neurodecode.datasets.hebart2023.layout import Place
from neurodecode.datasets.hebart2023.sensors import DROPPED, named_sensors, sensors_of_info
from neurodecode.datasets.hebart2023.trials import REPETITIONS, zero_shot_rows
from neurodecode.datasets.pickled_fields import field_of, number_field, text_array, text_field
from neurodecode.datasets.restricted_pickle import read_pickle

FILES = {
    "atm": ("preprocessed_meg_training.pkl", "preprocessed_meg_zs_test.pkl"),
    "ubp": ("train.pt", "test.pt"),
    "neurobridge": ("train.npy", "test.npy"),
}
FIELDS = {"atm": "meg_data", "ubp": "eeg", "neurobridge": "data"}
UNNAMED = "the file names no channels"
HALF = "stored in half precision"
SCALED = (
    "scaled before it reached us, per channel, by mean and deviation of the whole training part, validation included"
)
# Trials that are read at a time.
CHUNK = 40


@dataclass(frozen=True)
class Source:
    """The epochs of one subject, opened but not read.

    Parameters
    ----------
    trials : pandas.DataFrame
        One row an epoch, in the order of the file.
    sensors : Sensors
        Channels, rate, and time of the first sample.
    n_times : int
        Samples of an epoch.
    pieces : iterator of tuple of (ndarray of int, ndarray of float32)
        Rows of `trials` and their signals ``(n, n_channels, n_times)``.
    flags : tuple of str
        What a result must say.
    """

    trials: pd.DataFrame
    sensors: Sensors
    n_times: int
    pieces: Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]
    flags: tuple[str, ...] = ()


def open_fif(path: Path, trials: pd.DataFrame, attributes: Path) -> Source:
    """Open the published epochs, all parts, and prove that they are the trials of the table.

    Parameters
    ----------
    path : Path
        The first part; the file names the others.
    trials : pandas.DataFrame
        From `read_attributes`.
    attributes : Path
        Where that comes from.

    Returns
    -------
    Source
        Catch trials left out.

    Raises
    ------
    DataError
        Naming the file and the first row that differs.
    """
    epochs = open_epochs(path)
    if len(epochs) != len(trials):
        hint = "; a part is missing or cut" if len(epochs) < len(trials) else ""
        raise DataError(f"{path}: {len(epochs)} epochs, expected {len(trials)} as {attributes.name} lists{hint}")
    compare_numbers(epochs.events[:, 2], trials, where=f"{path}: epoch", what="event", attributes=attributes)
    metadata = epochs.metadata
    if metadata is not None and "image_path" in metadata:
        names = [PurePosixPath(str(text)).stem for text in metadata["image_path"]]
        for row, (name, expected) in enumerate(zip(names, trials["stimulus"], strict=True)):
            if expected and name != expected:
                raise DataError(
                    f"{path}: epoch {row} shows {name!r} by its metadata, {attributes.name} has {expected!r}"
                )
    kinds = epochs.get_channel_types()
    picks = [name for name, kind in zip(epochs.ch_names, kinds, strict=True) if kind == "mag" and name not in DROPPED]
    if not picks:
        raise DataError(f"{path}: no magnetometer among {len(kinds)} channels")
    chosen = np.flatnonzero(trials["part"] != "")

    def pieces() -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        for begin in range(0, len(chosen), CHUNK):
            rows = chosen[begin : begin + CHUNK]
            try:
                signals = epochs[rows].get_data(picks=picks, copy=False, verbose="error")
            except Exception as error:  # a cut part ends in whatever exception its reader stumbles on
                reason = " ".join(str(error).split())
                raise DataError(f"{path}: epoch {rows[0]} or one after it is not readable ({reason})") from None
            if len(signals) != len(rows):
                raise DataError(f"{path}: {len(signals)} of the {len(rows)} epochs from {rows[0]} on are there")
            yield np.arange(begin, begin + len(rows)), signals.astype(np.float32)

    kept = trials.iloc[chosen].reset_index(drop=True)
    sensors = sensors_of_info(epochs, picks, sfreq=float(epochs.info["sfreq"]), tmin=float(epochs.times[0]))
    return Source(kept, sensors, len(epochs.times), pieces())


def compare_numbers(
    numbers: NDArray[Any], trials: pd.DataFrame, *, where: str, what: str, attributes: Path, first: int = 0
) -> None:
    """Compare the picture numbers of a recording with the table of trials; catch trials have none that counts.

    Parameters
    ----------
    numbers : ndarray
        One a trial.
    trials : pandas.DataFrame
        From `read_attributes`, as many rows.
    where, what : str
        How messages name the row and the field.
    attributes : Path
        The table's file.
    first : int
        Row of the table of the first number.

    Raises
    ------
    DataError
        Naming the first row that differs.
    """
    wrong = (np.asarray(numbers) != trials["number"].to_numpy()) & (trials["part"] != "").to_numpy()
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"{where} {row}: {what} {numbers[row]:g}, {attributes.name} has picture {trials['number'].iloc[row]} in "
            f"row {first + row} ({int(wrong.sum())} differ)"
        )


def open_derivative(
    place: Place, subject: str, trials: pd.DataFrame, attributes: Path, *, scratch: Path | None = None
) -> Source:
    """Open a derivative of others: the zero-shot trials, sorted by picture.

    Parameters
    ----------
    place : Place
        Where the subjects are.
    subject : str
        Such as ``sub-01``.
    trials : pandas.DataFrame
        From `read_attributes`.
    attributes : Path
        Where that comes from.
    scratch : Path, optional
        Existing folder for what cannot be mapped where it lies.

    Returns
    -------
    Source
        Training trials first. Repetitions are in the order of the file, which is not that of the recording.

    Raises
    ------
    DataError
        Naming file and field.
    """
    kept = zero_shot_rows(trials)
    arrays: list[NDArray[Any]] = []
    flags: dict[str, None] = {}
    names: list[str] = []
    times = np.zeros(0)
    undo = _scaling(place.folder / subject) if place.dialect == "atm" else (0.0, 1.0)
    for file, part in zip(FILES[place.dialect], ("train", "test"), strict=True):
        path = place.folder / subject / file
        content, normalization = _content(path, place, scratch)
        if normalization:
            flags[normalization] = None
        signals, each = _three_dimensions(path, field_of(content, FIELDS[place.dialect], path)), REPETITIONS
        rows = kept[kept["part"] == part]
        if len(signals) != len(rows):
            raise DataError(
                f"{path}: {len(signals)} trials, expected {len(rows)} ({part} pictures of {attributes.name}, "
                f"{'each once' if part == 'train' else f'each {each} times'})"
            )
        times = number_field(content, "times", path)
        _check_times(path, times, signals.shape[2])
        found = text_field(content, "ch_names", path)
        if found and len(found) != signals.shape[1]:
            raise DataError(f"{path}: {signals.shape[1]} channels of signals but {len(found)} names in 'ch_names'")
        if arrays and (found != names or signals.shape[1:] != arrays[0].shape[1:]):
            raise DataError(f"{path}: channels or times are not those of the training part")
        names = found
        if place.dialect == "ubp":
            _check_names(path, content, rows, attributes)
        if signals.dtype == np.float16:
            flags[HALF] = None
        arrays.append(signals)
    if not names:
        flags[UNNAMED] = None
        names = [f"MEG{row + 1:03d}" for row in range(arrays[0].shape[1])]

    def pieces() -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        offset = 0
        for signals in arrays:
            for begin in range(0, len(signals), CHUNK):
                piece = np.asarray(signals[begin : begin + CHUNK], dtype=np.float32)
                if undo != (0.0, 1.0):
                    piece = piece * np.float32(undo[1]) + np.float32(undo[0])
                yield np.arange(offset + begin, offset + begin + len(piece)), piece
            offset += len(signals)

    step = float(np.diff(times).mean())
    sensors = named_sensors(tuple(names), sfreq=round(1 / step, 6), tmin=round(float(times[0]), 9))
    return Source(kept, sensors, arrays[0].shape[2], pieces(), tuple(flags))


def _content(path: Path, place: Place, scratch: Path | None) -> tuple[Mapping[Any, Any], str]:
    """Read the fields of a file, and how its side file says that it was scaled."""
    content = read_pickle(path, scratch=scratch)
    if isinstance(content, np.ndarray) and place.dialect == "neurobridge":
        side = next((at / "info.json" for at in (path.parent, place.folder) if (at / "info.json").is_file()), None)
        if side is None:
            raise DataError(f"{path.parent / 'info.json'}: no such file, here or in {place.folder}; it says the times")
        said = read_json(side)
        scaled = SCALED if str(field_of(said, "normalization", side)).lower() == "zscore" else ""
        return {
            "data": content,
            "ch_names": said["ch_names"] if "ch_names" in said else [],
            "times": field_of(said, "times", side),
        }, scaled
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds a {type(content).__name__}, expected a dictionary of signals, names and times")
    return content, ""


def _three_dimensions(path: Path, signals: Any) -> NDArray[Any]:
    """Turn concepts, pictures and repetitions into one dimension of trials."""
    if not isinstance(signals, np.ndarray) or signals.dtype.kind != "f" or signals.ndim < 3 or 0 in signals.shape:
        got = f"{signals.dtype} of shape {signals.shape}" if isinstance(signals, np.ndarray) else type(signals).__name__
        raise DataError(f"{path}: signals are {got}, expected floating-point numbers in at least 3 dimensions")
    if not signals.flags.c_contiguous:
        raise DataError(f"{path}: signals are stored last dimension first, expected C order")
    return signals.reshape(-1, *signals.shape[-2:])


def _check_times(path: Path, times: NDArray[np.float64], n_times: int) -> None:
    if times.ndim != 1 or len(times) != n_times or n_times < 2:
        raise DataError(f"{path}: {times.size} entries in 'times', expected the {n_times} samples of the signals")
    steps = np.diff(times)
    if not np.isfinite(times).all() or steps.min() <= 0 or np.abs(steps - steps.mean()).max() > 0.01 * steps.mean():
        raise DataError(f"{path}: 'times' does not rise in equal steps")


def _check_names(path: Path, content: Mapping[Any, Any], rows: pd.DataFrame, attributes: Path) -> None:
    names = text_array(content, "img", path)
    expected = rows["stimulus"].drop_duplicates().tolist()
    if names.ndim not in (1, 2) or names.size % len(expected):
        raise DataError(f"{path}: 'img' has shape {names.shape}, expected a name for each of {len(expected)} pictures")
    for row, (found, name) in enumerate(zip(names.reshape(len(expected), -1).tolist(), expected, strict=True)):
        stems = sorted({PurePosixPath(text.replace("\\", "/")).stem for text in found})
        if stems != [name]:
            raise DataError(f"{path}: row {row} of 'img' shows {stems[0]!r}, {attributes.name} has {name!r} there")


def _scaling(folder: Path) -> tuple[float, float]:
    """Read the two numbers by which a derivative was scaled; the reader takes the scaling back."""
    path = folder / "zscore_params.npz"
    if not path.is_file():
        return 0.0, 1.0
    arrays = load_arrays(path)
    for name in ("mean", "std"):
        if name not in arrays or arrays[name].size != 1 or not np.isfinite(arrays[name]).all():
            raise DataError(f"{path}: the number {name!r} is missing, got {', '.join(arrays)}")
    mean, std = float(arrays["mean"].item()), float(arrays["std"].item())
    if std <= 0:
        raise DataError(f"{path}: 'std' is {std:g}, expected more than 0")
    return mean, std
