"""What lies in a BIDS folder: subjects, recordings, events tables and the files of the stimuli."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neurodecode.core.errors import DataError
from neurodecode.core.files import read_table

# What MNE-BIDS reads: BrainVision, EDF, BDF, EEGLAB; FIF, CTF (a folder), KIT, BTi.
EXTENSIONS = {
    "eeg": (".vhdr", ".edf", ".bdf", ".set"),
    "meg": (".fif", ".ds", ".con", ".sqd", ".pdf"),
}
# Recordings without a person, which BIDS keeps beside the subjects.
EMPTY_ROOM = "sub-emptyroom"


@dataclass(frozen=True)
class Run:
    """One recording file of a subject and the events table beside it.

    Parameters
    ----------
    file : Path
        The file that MNE opens.
    events : Path
        The events table.
    session, run : str
        Entities of the file name without their keys, empty where there are none.
    name : str
        File name without subject and suffix: unique within the subject.
    """

    file: Path
    events: Path
    session: str
    run: str
    name: str


def bids_subjects(root: Path) -> list[str]:
    """List the subject folders of a data set, or raise a DataError if it is not a BIDS folder.

    Parameters
    ----------
    root : Path
        The data set's folder.

    Returns
    -------
    list of str
        Such as ``sub-01``, sorted.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    if not (root / "dataset_description.json").is_file():
        raise DataError(f"{root}: not a BIDS data set (dataset_description.json is missing)")
    return sorted(
        path.name
        for path in root.iterdir()
        if path.is_dir() and re.fullmatch(r"sub-[A-Za-z0-9]+", path.name) and path.name != EMPTY_ROOM
    )


def entities(name: str) -> dict[str, str]:
    """Read the entities of a BIDS file name.

    Parameters
    ----------
    name : str
        File name.

    Returns
    -------
    dict of str to str
        Values by key.

    Examples
    --------
    >>> entities("sub-01_ses-02_task-images_run-03_eeg.vhdr")
    {'sub': '01', 'ses': '02', 'task': 'images', 'run': '03'}
    """
    return dict(re.findall(r"(?:^|_)([a-zA-Z]+)-([a-zA-Z0-9]+)(?=_)", name))


def find_runs(root: Path, subject: str, datatype: str, *, tasks: Sequence[str] = ()) -> list[Run]:
    """Find a subject's recordings, each with its events table.

    Parameters
    ----------
    root : Path
        The data set's folder.
    subject : str
        Such as ``sub-01``.
    datatype : str
        ``eeg`` or ``meg``.
    tasks : sequence of str
        Only these tasks; by default all but those of which no recording has an events table, such as rest.

    Returns
    -------
    list of Run
        Sorted by file name.

    Raises
    ------
    DataError
        If there is no recording, an events table without a recording, or a recording without an events table.
    """
    import mne_bids

    folder = root / subject
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    found = mne_bids.find_matching_paths(
        root,
        subjects=subject.removeprefix("sub-"),
        datatypes=datatype,
        suffixes=datatype,
        extensions=list(EXTENSIONS[datatype]),
    )
    # MNE opens the later parts of a long file by itself.
    files = sorted({Path(path.fpath) for path in found if int(path.split or "1") == 1})
    files = [file for file in files if "derivatives" not in file.relative_to(root).parts]
    known = {entities(file.name).get("task", "") for file in files}
    missing = [task for task in tasks if task not in known]
    if missing:
        raise DataError(f"{folder}: task {missing[0]!r} has no {datatype} recording, got {', '.join(sorted(known))}")
    runs, silent = [], {}
    for file in files:
        said = entities(file.name)
        task = said.get("task", "")
        if tasks and task not in tasks:
            continue
        base = re.sub(r"_split-\d+", "", file.stem).removesuffix(f"_{datatype}")
        events = _events_table(file, root, base, datatype)
        if events is None:
            silent[task] = file
            continue
        runs.append(Run(file, events, said.get("ses", ""), said.get("run", ""), base.removeprefix(f"{subject}_")))
    for task, file in silent.items():
        if tasks or not runs or any(entities(run.file.name).get("task", "") == task for run in runs):
            base = re.sub(r"_split-\d+", "", file.stem).removesuffix(f"_{datatype}")
            raise DataError(f"{file}: its events table {base}_events.tsv is missing")
    places = {file.parent for file in files} | {path for path in folder.glob(f"**/{datatype}") if path.is_dir()}
    tables = {table for place in places for table in place.glob("*_events.tsv")}
    paired = {_events_table(file, root, file.stem.removesuffix(f"_{datatype}"), datatype) for file in files}
    orphans = sorted(tables - {run.events for run in runs} - {table for table in paired if table is not None})
    if orphans:
        endings = ", ".join(f"_{datatype}{extension}" for extension in EXTENSIONS[datatype])
        raise DataError(f"{orphans[0]}: no recording of the same name beside it (expected one that ends in {endings})")
    if not runs:
        raise DataError(f"{folder}: no {datatype} recording found")
    return runs


def _events_table(file: Path, root: Path, base: str, datatype: str) -> Path | None:
    """Find the events table of a recording: beside it, or further up, as BIDS lets a table serve several recordings."""
    import mne_bids

    beside = file.with_name(re.sub(r"_split-\d+", "", base) + "_events.tsv")
    if beside.is_file():
        return beside
    path = mne_bids.get_bids_path_from_fname(file, verbose="error").update(root=root, datatype=datatype, split=None)
    found = path.find_matching_sidecar(suffix="events", extension=".tsv", on_error="ignore")
    # A table that names a run which the recording does not have is not its own.
    return Path(found) if found is not None and _agrees(Path(found), file) else None


def _agrees(table: Path, file: Path) -> bool:
    said, own = entities(table.name), entities(file.name)
    return all(own.get(key) == value for key, value in said.items())


def bad_channels(runs: Sequence[Run], datatype: str) -> dict[str, list[str]]:
    """List the channels that the channels tables call bad.

    Parameters
    ----------
    runs : sequence of Run
        One subject's recordings.
    datatype : str
        ``eeg`` or ``meg``.

    Returns
    -------
    dict of str to list of str
        For each channel that is bad in at least one run, the names of those runs.
    """
    found: dict[str, list[str]] = {}
    for run in runs:
        path = run.events.with_name(run.events.name.replace("_events.tsv", "_channels.tsv"))
        if not path.is_file():
            continue
        table = read_table(path, required=("name", "type"), text=("name", "type", "status"))
        if "status" in table.columns:
            for name in table.loc[table["status"].str.lower() == "bad", "name"]:
                found.setdefault(str(name), []).append(run.name)
    return found
