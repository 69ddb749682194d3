"""Write the runs of one simulated subject as BIDS: BrainVision for EEG, FIF for MEG, NIfTI for beta maps."""

from pathlib import Path

import mne
import nibabel
import numpy as np
import pandas as pd
import pybv
from numpy.typing import NDArray

from neurodecode.core.files import write_json
from neurodecode.datasets.simulation.sensors import eeg_info, meg_info
from neurodecode.datasets.simulation.sidecars import (
    TASK,
    events_table,
    recording_description,
    write_channels,
    write_positions,
    write_tsv,
)
from neurodecode.datasets.simulation.signals import beta_run, continuous_run
from neurodecode.datasets.simulation.truth import Truth
from neurodecode.datasets.simulation.volume import Volume

#: One step of the 16-bit integers that EEG (microvolts) and MEG (tesla) are stored in: far below the noise.
EEG_STEP_MICROVOLT = 0.05
MEG_STEP_TESLA = 5e-15

#: Time between two trials of the simulated fMRI (s).
FMRI_SPACING = 4.0


def write_subject(folder: Path, truth: Truth, trials: pd.DataFrame, volume: Volume | None = None) -> None:
    """Draw and write all runs of one subject, one run in memory at a time.

    Parameters
    ----------
    folder : Path
        The folder of the subject; it exists and is empty.
    truth : Truth
        The subject.
    trials : pandas.DataFrame
        From `plan_trials`, with the columns `concept` and `stim_file` added.
    volume : Volume, optional
        The grid; needed for fMRI.
    """
    if volume is not None:
        _write_volumes(folder, truth, trials, volume)
        return
    place = folder / truth.modality
    place.mkdir()
    info = eeg_info(truth.sfreq) if truth.modality == "eeg" else meg_info(truth.sfreq)
    write_positions(place, truth.subject, info)
    for label, shown in trials.groupby("run"):
        run = int(str(label))
        base = f"{truth.subject}_task-{TASK}_run-{run:02d}"
        signal = continuous_run(truth, shown, run)
        if truth.modality == "eeg":
            write_brainvision(place, f"{base}_eeg", signal, info, shown["onset"].to_numpy(dtype=np.float64))
        else:
            write_fif(place / f"{base}_meg.fif", signal, info)
        write_json(place / f"{base}_{truth.modality}.json", recording_description(info, signal.shape[1]))
        write_channels(place / f"{base}_channels.tsv", info)
        write_tsv(place / f"{base}_events.tsv", events_table(shown))


def write_brainvision(
    folder: Path, name: str, signal: NDArray[np.float32], info: mne.Info, onsets: NDArray[np.float64]
) -> None:
    """Write one EEG run with a marker at every onset.

    Parameters
    ----------
    folder : Path
        Where the three files go.
    name : str
        Their name without suffix.
    signal : array of shape (n_channels, n_samples)
        In volts.
    info : mne.Info
        The electrodes.
    onsets : array of shape (n_trials,)
        Seconds from the first sample.
    """
    markers = [
        {"onset": round(float(onset) * info["sfreq"]), "duration": 1, "type": "Stimulus", "description": 1}
        for onset in onsets
    ]
    pybv.write_brainvision(
        data=rounded(signal, EEG_STEP_MICROVOLT * 1e-6),
        sfreq=float(info["sfreq"]),
        ch_names=list(info["ch_names"]),
        fname_base=name,
        folder_out=folder,
        resolution=EEG_STEP_MICROVOLT,
        unit="µV",
        fmt="binary_int16",
        events=markers,
    )


def write_fif(path: Path, signal: NDArray[np.float32], info: mne.Info) -> None:
    """Write one MEG run as 16-bit FIF.

    Parameters
    ----------
    path : Path
        The file.
    signal : array of shape (n_channels, n_samples)
        In tesla.
    info : mne.Info
        The sensors.
    """
    info = info.copy()
    for channel in info["chs"]:
        channel["cal"], channel["range"] = MEG_STEP_TESLA, 1.0
    raw = mne.io.RawArray(rounded(signal, MEG_STEP_TESLA).astype(np.float64), info, verbose="error")
    raw.save(path, fmt="short", verbose="error")


def rounded(signal: NDArray[np.float32], step: float) -> NDArray[np.float32]:
    """Move values half a step away from zero: both file writers cut off what is beyond a step, and so they round.

    Parameters
    ----------
    signal : array
        Values.
    step : float
        What one unit of the stored integers stands for.

    Returns
    -------
    array of the same shape, float32
        The moved values.

    Examples
    --------
    >>> (rounded(np.array([0.9, -1.2], dtype=np.float32), 1.0)).astype(int).tolist()
    [1, -1]
    """
    return signal + np.copysign(np.float32(step / 2), signal)


def _write_volumes(folder: Path, truth: Truth, trials: pd.DataFrame, volume: Volume) -> None:
    place = folder / "func"
    place.mkdir()
    masks = {"desc-brain": volume.mask} | {f"label-{name}": mask for name, mask in volume.regions.items()}
    for name, mask in masks.items():
        image = nibabel.Nifti1Image(mask.astype(np.uint8), volume.affine)
        nibabel.save(image, place / f"{truth.subject}_{name}_mask.nii")
        about = "the voxels of the brain" if name == "desc-brain" else f"the voxels of {name.removeprefix('label-')}"
        write_json(place / f"{truth.subject}_{name}_mask.json", {"Type": "ROI", "Description": f"{about}, simulated"})
    for label, shown in trials.groupby("run"):
        run = int(str(label))
        base = f"{truth.subject}_task-{TASK}_run-{run:02d}"
        betas = np.zeros((*volume.mask.shape, len(shown)), dtype=np.float32)
        betas[volume.mask] = beta_run(truth, shown, run).T
        image = nibabel.Nifti1Image(betas, volume.affine)
        # Sixteen bits over the range of a run are far finer than the noise.
        image.set_data_dtype(np.int16)
        nibabel.save(image, place / f"{base}_desc-betas_statmap.nii")
        write_json(
            place / f"{base}_desc-betas_statmap.json",
            {
                "Description": "Simulated single-trial responses: volume i belongs to row i of the events table.",
                "Units": "percent",
                "TaskName": TASK,
                "SimulatedSpacing": FMRI_SPACING,
            },
        )
        timed = shown.assign(onset=FMRI_SPACING * np.arange(1, len(shown) + 1))
        write_tsv(place / f"{base}_events.tsv", events_table(timed))
