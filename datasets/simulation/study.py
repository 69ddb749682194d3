"""Write a simulated study to disk."""

import hashlib
import multiprocessing
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.files import atomic_folder, folder_lock, read_json, write_json
from neurodecode.datasets.simulation.components import design_matrix
from neurodecode.datasets.simulation.settings import COMPONENTS_PER_LAYER, NOISE_LEVEL, SIMULATOR_VERSION
from neurodecode.datasets.simulation.sidecars import write_description
from neurodecode.datasets.simulation.subject import (
    check_modality,
    check_sampling_rate,
    stream,
    subject_name,
    subject_truth,
    truth_volume,
)
from neurodecode.datasets.simulation.trials import plan_trials
from neurodecode.datasets.simulation.truth import Truth, load_truth, save_truth, truth_path
from neurodecode.datasets.simulation.writer import write_subject

#: The concept and the file name of every stimulus.
Tables = tuple[dict[str, str], dict[str, str]]
Progress = Callable[[str], None]
SPLITS = ("train", "val", "test")
LARGEST_NUMBER_OF_SUBJECTS = 99

#: Features (of unit variance) that differ by less than this are the same.
FEATURE_TOLERANCE = 0.05


def simulate_study(
    folder: Path,
    *,
    modality: str,
    features: Mapping[str, NDArray[np.floating]],
    stimuli: pd.DataFrame,
    pictures: Callable[[str], Image.Image] | None,
    seed: int = 0,
    subjects: int = 3,
    sfreq: float = 250.0,
    realism: Literal["basic", "full"] = "basic",
    licence: str = "",
    jobs: int = 1,
    progress: Progress = lambda message: None,
) -> Path:
    """Write a BIDS data set of simulated subjects looking at pictures, with its ground truth.

    A subject's folder appears only when it is complete; what is there already from the same settings is kept, so an
    interrupted simulation goes on where it stopped.

    Parameters
    ----------
    folder : Path
        The data set.
    modality : str
        `eeg`, `meg` or `fmri` (single-trial beta maps).
    features : mapping from layer name to array of shape (n_stimuli, n_dims)
        What drives the sources, layers from early to late, in the order of `stimuli`.
    stimuli : pandas.DataFrame
        Columns `stimulus`, `split` (`train`, `val` or `test`) and, if there are any, `concept`.
    pictures : callable or None
        Gives the picture of a stimulus, to be stored in `stimuli/`. None: no pictures are stored and the reader will
        miss them.
    seed : int
        Of everything that is drawn.
    subjects : int
        How many.
    sfreq : float
        Sampling rate of EEG and MEG (Hz), a multiple of 50 from 100 on.
    realism : str
        `full` adds effects that the ceilings do not model.
    licence : str
        Licence of the pictures.
    jobs : int
        How many subjects are simulated at once, each in a process of its own.
    progress : callable
        Told what is being done.

    Returns
    -------
    Path
        `folder`.

    Raises
    ------
    ConfigError
        If an argument cannot be used, or the folder holds a simulation with other settings.
    DataError
        If features and stimuli do not fit.
    """
    folder = Path(folder)
    check_modality(modality)
    if modality != "fmri":
        check_sampling_rate(sfreq)
    if realism not in ("basic", "full"):
        raise ConfigError(f"realism: expected basic or full, got {realism!r}")
    if not 1 <= subjects <= LARGEST_NUMBER_OF_SUBJECTS:
        raise ConfigError(f"subjects: expected 1 to {LARGEST_NUMBER_OF_SUBJECTS}, got {subjects}")
    if jobs < 1:
        raise ConfigError(f"jobs: expected at least 1, got {jobs}")
    _check_stimuli(stimuli)
    names, splits = tuple(stimuli["stimulus"].astype(str)), tuple(stimuli["split"].astype(str))
    design, layers = design_matrix(features, np.array(splits) == "train", COMPONENTS_PER_LAYER)
    settings = _settings(modality, seed, sfreq, realism, layers, stimuli)
    concepts = dict(zip(names, stimuli["concept"] if "concept" in stimuli else names, strict=True))

    with folder_lock(folder):
        _claim(folder, settings, design)
        write_description(folder, settings, [subject_name(number) for number in range(subjects)], licence=licence)
        write_description(folder / "derivatives" / "simulation", settings, [], pipeline="ground truth")
        if pictures is not None and not (folder / "stimuli").is_dir():
            progress("pictures")
            with atomic_folder(folder / "stimuli") as temporary:
                for name in names:
                    pictures(name).save(temporary / f"{name}.png", compress_level=1)
        todo = [number for number in range(subjects) if not (folder / subject_name(number)).is_dir()]
        arguments = (modality, design, layers, names, splits, seed, sfreq, realism)
        files = {name: f"{name}.png" if pictures is not None else "" for name in names}
        if min(jobs, len(todo)) <= 1:
            for number in todo:
                progress(subject_name(number))
                _simulate_subject(folder, number, (concepts, files), arguments)
        else:
            _in_processes(folder, todo, (concepts, files), arguments, jobs, progress)
    return folder


def _in_processes(
    folder: Path, todo: list[int], tables: Tables, arguments: tuple[Any, ...], jobs: int, progress: Progress
) -> None:
    # A fresh interpreter for each: the numerical libraries hold threads, which do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(todo)), mp_context=context) as pool:
        try:
            running = {pool.submit(_simulate_subject, folder, number, tables, arguments): number for number in todo}
            for finished in as_completed(running):
                finished.result()
                progress(subject_name(running[finished]))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _simulate_subject(folder: Path, number: int, tables: Tables, arguments: tuple[Any, ...]) -> None:
    modality, design, layers, names, splits, seed, sfreq, realism = arguments
    truth = subject_truth(modality, number, design, layers, names, splits, seed=seed, sfreq=sfreq, realism=realism)
    _write_truth(folder, truth)
    trials = plan_trials(names, splits, stream(seed, "trials", truth.subject))
    for column, values in zip(("concept", "stim_file"), tables, strict=True):
        trials[column] = trials["stimulus"].map(values)
    volume = truth_volume(number, seed) if modality == "fmri" else None
    # The recordings come last: a subject that is there is whole, and its truth with it.
    with atomic_folder(folder / truth.subject) as temporary:
        write_subject(temporary, truth, trials, volume)


def _write_truth(folder: Path, truth: Truth) -> None:
    path = truth_path(folder, truth.subject)
    if path.parent.is_dir():
        shutil.rmtree(path.parent)
    with atomic_folder(path.parent) as temporary:
        save_truth(temporary / path.name, truth)


def _claim(folder: Path, settings: dict[str, Any], design: NDArray[np.float64]) -> None:
    """Make the folder ours: empty, or begun with the same settings; and clear what a killed process left behind."""
    record = folder / "derivatives" / "simulation" / "simulation.json"
    if record.is_file():
        found = read_json(record)
        for key, value in settings.items():
            if not isinstance(found, dict) or found.get(key) != value:
                got = found.get(key) if isinstance(found, dict) else found
                raise ConfigError(
                    f"{folder}: holds a simulation with {key} {got!r}, expected {value!r}; choose another folder"
                )
        for number in range(LARGEST_NUMBER_OF_SUBJECTS):
            # The last digits of a network's features differ between machines; another network differs in the first.
            if (folder / subject_name(number)).is_dir():
                if not np.allclose(load_truth(folder, subject_name(number)).design, design, atol=FEATURE_TOLERANCE):
                    raise ConfigError(f"{folder}: holds a simulation from other features; choose another folder")
                break
    elif folder.is_dir() and any(path for path in folder.iterdir() if not path.name.endswith(".part")):
        others = sorted(path.name for path in folder.iterdir())
        raise ConfigError(f"{folder}: expected a new or empty folder, found {others[0]}")
    else:
        write_json(record, settings)
    for leftover in folder.glob(".*.part"):
        shutil.rmtree(leftover, ignore_errors=True)


def _settings(
    modality: str,
    seed: int,
    sfreq: float,
    realism: str,
    layers: tuple[str, ...],
    stimuli: pd.DataFrame,
) -> dict[str, Any]:
    """Everything that the files depend on, as plain values."""
    table = stimuli[["stimulus", "split"]].astype(str).to_csv(index=False)
    return {
        "simulator": SIMULATOR_VERSION,
        "modality": modality,
        "seed": seed,
        "sfreq": 0.0 if modality == "fmri" else float(sfreq),
        "realism": realism,
        "noise_level": NOISE_LEVEL[modality],
        "components_per_layer": COMPONENTS_PER_LAYER,
        "layers": list(dict.fromkeys(layers)),
        "stimuli": hashlib.sha256(table.encode()).hexdigest()[:16],
    }


def _check_stimuli(stimuli: pd.DataFrame) -> None:
    for column in ("stimulus", "split"):
        if column not in stimuli:
            raise DataError(f"stimuli: column {column!r} is missing, got {', '.join(map(str, stimuli.columns))}")
    twice = stimuli["stimulus"][stimuli["stimulus"].duplicated()]
    if len(twice):
        raise DataError(f"stimuli: {twice.iloc[0]!r} appears twice")
    wrong = stimuli[~stimuli["split"].isin(SPLITS)]
    if len(wrong):
        first = wrong.iloc[0]
        raise DataError(f"stimuli: {first['stimulus']!r} has split {first['split']!r}, expected train, val or test")
    for side in ("train", "test"):
        if not (stimuli["split"] == side).any():
            raise DataError(f"stimuli: expected at least one {side} stimulus, got none")
