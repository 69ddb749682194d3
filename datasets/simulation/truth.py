"""The ground truth of one simulated subject: everything that the ceilings need and a decoder must never see."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.files import load_arrays
from neurodecode.datasets.simulation.settings import SIMULATOR_VERSION, NoiseSettings


@dataclass(frozen=True, eq=False)
class Truth:
    """How the signals of one subject came about.

    The response of picture `i` is `sum_s (design[i] @ weights[:, s]) * topographies[:, s] x timecourses[s]`. Noise is
    Gaussian with covariance `noise_space` over the channels and, for EEG and MEG, the spectrum `spectrum` over time,
    independent of the pictures and (nearly, see the module `noise`) between trials.

    Attributes
    ----------
    subject, modality, realism : str
        For example `sub-01`, `eeg`, `basic`.
    channels : tuple of str
        Channel or voxel names.
    stimuli, splits : tuple of str
        One a row of `design`: the stimulus and `train`, `val` or `test`.
    design : array of shape (n_stimuli, n_features), float64
        The features that drive the sources.
    layers : tuple of str
        The layer of each feature.
    weights, weight_variance : arrays of shape (n_features, n_sources), float64
        The drawn weights and the variance they were drawn with (zero where a feature does not drive a source).
    topographies : array of shape (n_channels, n_sources), float64
        The field or spatial pattern of each source (V, T or per cent).
    timecourses : array of shape (n_sources, n_times), float64
        The time course of each source from the onset; one sample of 1 for fMRI.
    noise_space : array of shape (n_channels, n_channels), float64
        Covariance of the noise over the channels.
    spectrum : NoiseSettings or None
        The temporal spectrum; None for fMRI, whose beta maps have one time.
    sfreq : float
        Sampling rate of `timecourses` and of the files (Hz); 0 for fMRI.
    seed : int
        The seed of the study.
    """

    subject: str
    modality: str
    realism: str
    channels: tuple[str, ...]
    stimuli: tuple[str, ...]
    splits: tuple[str, ...]
    design: NDArray[np.float64]
    layers: tuple[str, ...]
    weights: NDArray[np.float64]
    weight_variance: NDArray[np.float64]
    topographies: NDArray[np.float64]
    timecourses: NDArray[np.float64]
    noise_space: NDArray[np.float64]
    spectrum: NoiseSettings | None
    sfreq: float
    seed: int

    @property
    def activations(self) -> NDArray[np.float64]:
        """The activation of every source by every picture, shape (n_stimuli, n_sources)."""
        return self.design @ self.weights

    @property
    def approximate(self) -> bool:
        """Whether the signals also hold effects that the ceilings do not model."""
        return self.realism != "basic"

    def rows(self, stimuli: list[str] | tuple[str, ...] | NDArray[np.str_]) -> NDArray[np.int64]:
        """Find the rows of `design` that belong to the given stimuli.

        Parameters
        ----------
        stimuli : sequence of str
            Stimulus names.

        Returns
        -------
        array of shape (len(stimuli),), int64
            Their rows.

        Raises
        ------
        DataError
            If a stimulus is not part of the simulation.
        """
        positions = {name: row for row, name in enumerate(self.stimuli)}
        missing = sorted({str(name) for name in stimuli if str(name) not in positions})
        if missing:
            raise DataError(f"stimuli: {missing[0]!r} is not among the {len(positions)} stimuli of {self.subject}")
        return np.array([positions[str(name)] for name in stimuli], dtype=np.int64)


_TEXTS = ("channels", "stimuli", "splits", "layers")
_ARRAYS = ("design", "weights", "weight_variance", "topographies", "timecourses", "noise_space")


def truth_path(folder: Path, subject: str) -> Path:
    """Where a study keeps the truth of a subject.

    Parameters
    ----------
    folder : Path
        The study.
    subject : str
        For example `sub-01`.

    Returns
    -------
    Path
        The file.

    Examples
    --------
    >>> truth_path(Path("study"), "sub-01").as_posix()
    'study/derivatives/simulation/sub-01/sub-01_desc-truth.npz'
    """
    return folder / "derivatives" / "simulation" / subject / f"{subject}_desc-truth.npz"


def save_truth(path: Path, truth: Truth) -> None:
    """Write a truth as plain arrays (no pickles).

    Parameters
    ----------
    path : Path
        The file; its folder must exist.
    truth : Truth
        What to write.
    """
    texts = {name: np.array(getattr(truth, name), dtype=np.str_) for name in _TEXTS}
    arrays = {name: getattr(truth, name) for name in _ARRAYS}
    # The spatial covariance of a volume is the one large array; single precision keeps it positive definite, because
    # every voxel has noise of its own.
    arrays["noise_space"] = arrays["noise_space"].astype(np.float32)
    others = {field.name: getattr(truth, field.name) for field in fields(truth)}
    for name in (*_TEXTS, *_ARRAYS):
        del others[name]
    others["spectrum"] = None if truth.spectrum is None else asdict(truth.spectrum)
    others["version"] = SIMULATOR_VERSION
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, settings=np.array(json.dumps(others, sort_keys=True)), **texts, **arrays)


def load_truth(folder: Path, subject: str) -> Truth:
    """Read the ground truth of one subject of a simulated study.

    Parameters
    ----------
    folder : Path
        The study.
    subject : str
        For example `sub-01`.

    Returns
    -------
    Truth
        What `simulate_study` wrote.

    Raises
    ------
    DataError
        If the file is missing, is damaged or is of another release of the simulator.
    """
    path = truth_path(Path(folder), subject)
    stored = load_arrays(path)
    try:
        settings = json.loads(str(stored["settings"]))
        version = settings.pop("version")
        texts: dict[str, Any] = {name: tuple(str(value) for value in stored[name]) for name in _TEXTS}
        arrays: dict[str, Any] = {name: np.asarray(stored[name], dtype=np.float64) for name in _ARRAYS}
    except (ValueError, KeyError) as error:
        raise DataError(f"{path}: expected the ground truth of a simulation, got another file ({error!r})") from error
    if version != SIMULATOR_VERSION:
        raise DataError(f"{path}: written by simulator version {version}, expected {SIMULATOR_VERSION}")
    spectrum = settings.pop("spectrum")
    return Truth(**settings, **texts, **arrays, spectrum=None if spectrum is None else NoiseSettings(**spectrum))
