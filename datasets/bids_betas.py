"""Single-trial beta maps of a BIDS data set: volume i of a run answers row i of its events table."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.files import read_json
from neurodecode.core.recording import Block
from neurodecode.datasets.bids_events import read_events, window_table
from neurodecode.datasets.bids_files import Run, entities
from neurodecode.datasets.volumes import load_image, load_mask, voxel_sensors

# Entities that describe what was computed, not what was recorded: the events table is named without them.
DERIVED_ENTITIES = ("desc", "stat", "space", "res", "label", "hemi", "den")
IMAGE = re.compile(r"\.nii(\.gz)?$")


def find_beta_runs(root: Path, subject: str) -> list[Run]:
    """Find a subject's beta maps, each with its events table.

    Parameters
    ----------
    root : Path
        The data set's folder.
    subject : str
        Such as ``sub-01``.

    Returns
    -------
    list of Run
        Sorted by file name.

    Raises
    ------
    DataError
        If there are no maps ``..._statmap.nii[.gz]``, or a file has no partner.
    """
    folder = root / subject
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    places = [path for path in (folder / "func", *sorted(folder.glob("ses-*/func"))) if path.is_dir()]
    runs, tables = [], set()
    for place in places:
        for file in sorted(place.glob(f"{subject}_*_statmap.nii*")):
            found = entities(file.name)
            kept = [f"{key}-{value}" for key, value in found.items() if key not in DERIVED_ENTITIES]
            base = "_".join(kept)
            events = place / f"{base}_events.tsv"
            if not events.is_file():
                raise DataError(f"{file}: its events table {events.name} is missing")
            runs.append(Run(file, events, found.get("ses", ""), found.get("run", ""), base.removeprefix(f"{subject}_")))
        tables |= set(place.glob("*_events.tsv"))
    orphans = sorted(tables - {run.events for run in runs})
    if orphans:
        raise DataError(f"{orphans[0]}: no beta maps of the same name beside it (expected ..._statmap.nii or .nii.gz)")
    if not runs:
        raise DataError(f"{folder}: no beta maps found (expected func/..._statmap.nii or .nii.gz)")
    names = [run.name for run in runs]
    if len(set(names)) != len(names):
        twice = next(run for run in runs if names.count(run.name) > 1)
        raise DataError(f"{twice.file}: more than one beta map for {twice.events.name}")
    return runs


def find_masks(root: Path, subject: str) -> tuple[Path, dict[str, Path]]:
    """Find the brain mask of a subject and the masks of its regions.

    Parameters
    ----------
    root : Path
        The data set's folder.
    subject : str
        Such as ``sub-01``.

    Returns
    -------
    mask : Path
        The file with ``desc-brain``.
    regions : dict of str to Path
        The files with ``label-<region>``, by region.

    Raises
    ------
    DataError
        If there is not exactly one brain mask, or a region has two.
    """
    brains: list[Path] = []
    regions: dict[str, Path] = {}
    for path in sorted((root / subject).rglob("*_mask.nii*")):
        found = entities(path.name)
        if found.get("desc") == "brain":
            brains.append(path)
        elif label := found.get("label"):
            if label in regions:
                raise DataError(f"{path}: region {label!r} already has the mask {regions[label].name}")
            regions[label] = path
    if len(brains) != 1:
        raise DataError(f"{root / subject}: {len(brains)} files ..._desc-brain_mask.nii[.gz], expected one")
    return brains[0], regions


def read_betas(root: Path, subject: str) -> tuple[list[Block], list[pd.DataFrame]]:
    """Read the beta maps of a subject within its brain mask.

    Parameters
    ----------
    root : Path
        The data set's folder.
    subject : str
        Such as ``sub-01``.

    Returns
    -------
    blocks : list of Block
        One a run, float32 ``(n_trials, n_voxels, 1)``.
    windows : list of pandas.DataFrame
        The window table of each, without the rows that show no stimulus.

    Raises
    ------
    DataError
        Naming the file: cut, on another grid, with another number of volumes than rows, not finite, or with flat
        voxels.
    """
    runs = find_beta_runs(root, subject)
    events = [read_events(run.events, root) for run in runs]
    mask_file, region_files = find_masks(root, subject)
    blocks, tables = [], []
    inside: NDArray[np.bool_] | None = None
    regions: dict[str, NDArray[np.bool_]] = {}
    for run, shown in zip(runs, events, strict=True):
        values, affine = load_image(run.file)
        if values.ndim != 4:
            raise DataError(f"{run.file}: shape {values.shape}, expected four dimensions, one volume a trial")
        shape = values.shape[:3]
        if inside is None:
            regions = {name: load_mask(path, shape, affine) for name, path in region_files.items()}
        inside = load_mask(mask_file, shape, affine)
        if values.shape[3] != shown.attrs["rows"]:
            raise DataError(
                f"{run.file}: {values.shape[3]} volumes, but {run.events.name} has {shown.attrs['rows']} rows"
            )
        sensors = voxel_sensors(inside, affine, unit=_unit(run.file), regions=regions)
        data = np.ascontiguousarray(values[inside].T, dtype=np.float32)
        _check(run.file, data, sensors.names)
        starts = shown["line"].to_numpy(dtype=np.int64) - 2
        blocks.append(Block(run.name, data[:, :, None], sensors))
        tables.append(window_table(subject, run, shown, starts, 1))
    return blocks, tables


def _unit(file: Path) -> str:
    sidecar = file.with_name(IMAGE.sub(".json", file.name))
    units = read_json(sidecar).get("Units") if sidecar.is_file() else None
    return units if isinstance(units, str) and units else "a.u."


def _check(file: Path, data: NDArray[np.float32], names: tuple[str, ...]) -> None:
    finite = np.isfinite(data)
    if not finite.all():
        volume, voxel = np.argwhere(~finite)[0]
        raise DataError(f"{file}: voxel {names[voxel]!r} is not finite in volume {volume}")
    flat = data.min(axis=0) == data.max(axis=0)
    if len(data) > 1 and flat.any():
        name = names[int(np.argmax(flat))]
        raise DataError(f"{file}: voxel {name!r} is flat ({int(flat.sum())} of {len(names)}); take it out of the mask")
