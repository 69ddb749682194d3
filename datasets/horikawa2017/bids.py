"""The BIDS data set of Generic Object Decoding with its SPM derivative: one average of volumes a block."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import DataError
from neurodecode.core.files import read_table
from neurodecode.datasets.bids_files import entities
from neurodecode.datasets.fmriprep_responses import clean_run
from neurodecode.datasets.horikawa2017.names import check_name, name_of
from neurodecode.datasets.horikawa2017.sources import Responses
from neurodecode.datasets.masks import grid_of, mask_on_grid
from neurodecode.datasets.volumes import read_masked, voxel_sensors

DERIVATIVE = Path("derivatives") / "preproc-spm" / "output"
REPETITION_TIME = 3.0
# The blood's answer is taken to come one volume late.
SHIFT = 1
SESSIONS = {"perceptionTraining": "train", "perceptionTest": "perception", "imageryTest": "imagery"}
EVENTS = {"train": "stimulus", "perception": "stimulus", "imagery": "imagery"}
CLEANED = "freed of its trend and scaled within each run over all its volumes, without labels"


def find_runs(root: Path, subject: str) -> list[tuple[Path, Path, str, str]]:
    """Find the preprocessed runs of a subject: volumes, events, session and run, in the order of their names.

    Raises
    ------
    DataError
        If a run has no events, or there is none.
    """
    found = []
    for path in sorted((root / DERIVATIVE / subject).glob("ses-*/func/*_bold_preproc.nii*")):
        base = re.sub(r"_bold_preproc\.nii(\.gz)?$", "", path.name)
        said = entities(f"{base}_")
        events = root / subject / f"ses-{said.get('ses', '')}" / "func" / f"{base}_events.tsv"
        if not events.is_file():
            raise DataError(f"{path}: its events table {events} is missing")
        found.append((path, events, said.get("ses", ""), said.get("run", "")))
    if not found:
        raise DataError(f"{root / DERIVATIVE / subject}: no runs ses-*/func/*_bold_preproc.nii.gz found")
    return found


def read_blocks(path: Path, task: str) -> pd.DataFrame:
    """Read the blocks of a run that show a picture, or have one imagined.

    Blocks that show the picture of the block before again, for which a button was pressed, are left out, as the
    authors did.

    Parameters
    ----------
    path : Path
        The events table.
    task : str
        ``train``, ``perception`` or ``imagery``.

    Returns
    -------
    pandas.DataFrame
        Columns `stimulus`, `onset`, `duration` (s).

    Raises
    ------
    DataError
        Naming the line whose name and number disagree, or whose times are not those of volumes.
    """
    table = read_table(path, required=("onset", "duration", "event_type"), text=("event_type", "trial_no"))
    what = "category" if task == "imagery" else "stimulus"
    name, number = (
        f"{what}_name",
        next((column for column in (f"{what}_id", "stim_id") if column in table.columns), f"{what}_id"),
    )
    if name not in table.columns and number not in table.columns:
        raise DataError(f"{path}: neither the column {name!r} nor {number!r} is there, got {', '.join(table.columns)}")
    kept, before = [], ""
    for row, entry in enumerate(table.to_dict("records"), start=2):
        if entry["event_type"] != EVENTS[task]:
            continue
        where = f"{path}: line {row}"
        stimulus = check_name(str(entry[name]), where) if name in table.columns else ""
        if number in table.columns:
            by_number = name_of(float(entry[number]), path, row)
            if stimulus and stimulus != by_number:
                raise DataError(f"{where}: {number} {entry[number]} stands for {by_number}, but {name} is {stimulus}")
            stimulus = by_number
        times = [float(entry["onset"]) / REPETITION_TIME, float(entry["duration"]) / REPETITION_TIME]
        if not all(np.isfinite(time) and abs(time - round(time)) < 0.01 for time in times) or times[1] < 1:
            raise DataError(
                f"{where}: onset {entry['onset']} and duration {entry['duration']}, expected multiples of "
                f"{REPETITION_TIME:g} s"
            )
        if stimulus != before or task == "imagery":
            kept.append({"stimulus": stimulus, "onset": float(entry["onset"]), "duration": float(entry["duration"])})
        before = stimulus
    return pd.DataFrame(kept, columns=["stimulus", "onset", "duration"])


def read_regions(root: Path, subject: str, volumes: Path) -> tuple[dict[str, NDArray[np.bool_]], NDArray[np.float64]]:
    """Read the masks ``sourcedata/sub-XX/anat/sub-XX_mask_LH_V1d.nii.gz`` on the grid of the volumes.

    Parameters
    ----------
    root : Path
        The data set.
    subject : str
        Such as ``sub-01``.
    volumes : Path
        Any run; a mask on another grid is brought to its grid, nearest voxel.

    Returns
    -------
    regions : dict of str to ndarray of bool
        By hemisphere (``LH_V1d``), joined (``V1d``), and ventral and dorsal parts joined (``V1``).
    affine : ndarray of shape (4, 4)
        Of the grid.

    Raises
    ------
    DataError
        If there is no mask.
    """
    shape, affine, _ = grid_of(volumes)
    regions: dict[str, NDArray[np.bool_]] = {}
    for path in sorted((root / "sourcedata" / subject / "anat").glob(f"{subject}_mask_*.nii*")):
        label = re.sub(rf"^{subject}_mask_|\.nii(\.gz)?$", "", path.name)
        mask = mask_on_grid(path, shape, affine)
        both = re.sub(r"^[LR]H_", "", label)
        for name in dict.fromkeys((label, both, re.sub(r"(?<=^V\d)[vd]$", "", both))):
            regions[name] = regions.get(name, np.zeros(shape, dtype=bool)) | mask
    if not any(mask.any() for mask in regions.values()):
        raise DataError(
            f"{root / 'sourcedata' / subject / 'anat'}: no masks {subject}_mask_LH_V1d.nii.gz and so on that "
            "reach into the volumes"
        )
    return regions, affine


def read_bids(root: Path, subject: str, store: ArrayStore) -> Responses:
    """Read all runs of a subject within its regions.

    Parameters
    ----------
    root : Path
        The data set with ``derivatives/preproc-spm`` and ``sourcedata``.
    subject : str
        Such as ``sub-01``.
    store : ArrayStore
        Where the signals go.

    Returns
    -------
    Responses
        Linear trend removed and scaled within each run, moved by one volume (3 s), averaged over each block.

    Raises
    ------
    DataError
        Naming the file.
    """
    runs = find_runs(root, subject)
    regions, affine = read_regions(root, subject, runs[0][0])
    inside = np.logical_or.reduce(list(regions.values()))
    tables = []
    for path, events, session, run in runs:
        task = SESSIONS.get(re.sub(r"\d+$", "", session))
        if task is None:
            raise DataError(f"{path}: session {session!r}, expected one of {', '.join(SESSIONS)} and a number")
        tables.append(read_blocks(events, task).assign(task=task, session=session, run=run))
    table = pd.concat(tables, ignore_index=True)
    signals = store.empty((len(table), int(inside.sum()), 1))
    start = 0
    for (path, events, _, _), blocks in zip(runs, tables, strict=True):
        series = read_masked(path, inside, affine)
        flat = ~(series.max(axis=0) > series.min(axis=0))
        if flat.any():
            raise DataError(f"{path}: voxel {int(np.argmax(flat))} of the regions is flat ({int(flat.sum())} are)")
        cleaned = clean_run(series, pd.DataFrame(index=range(len(series))), REPETITION_TIME, None)
        for onset, duration in zip(blocks["onset"], blocks["duration"], strict=True):
            first = round(onset / REPETITION_TIME) + SHIFT
            last = first + round(duration / REPETITION_TIME)
            if last > len(series):
                raise DataError(
                    f"{events}: the block at {onset:g} s ends after the {len(series)} volumes of {path.name}"
                )
            signals[start, :, 0] = cleaned[first:last].mean(axis=0)
            start += 1
    sensors = voxel_sensors(inside, affine, unit="z", regions={n: m for n, m in regions.items() if m.any()})
    return Responses(signals, sensors, table.drop(columns="duration"), (CLEANED,))
