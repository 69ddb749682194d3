"""Files of epochs: whose they are, and what their metadata say of each trial."""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neurodecode.core.errors import DataError, suggestion
from neurodecode.datasets.arrays.files import matching_files, subject_name
from neurodecode.datasets.arrays.sources import as_text
from neurodecode.datasets.bids_events import MISSING, RESERVED
from neurodecode.datasets.bids_files import entities

ENDINGS = ("epo.fif", "epo.fif.gz")
# Folders between the data folder and the files.
DEPTH = 4
# Taken for the stimulus where no column is named.
STIMULUS_COLUMNS = ("stimulus", "stim_file")
SUBJECT = re.compile(r"(?:^|[_\-./])(?:subject|participant|subj|sub|s|p)[-_]?(\d+)(?=[_\-./]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class EpochsFile:
    """One file of epochs.

    Parameters
    ----------
    path : Path
        The first part of a file in parts; MNE opens the others.
    subject, session, run : str
        By its name.
    name : str
        Its path without the ending, unique within the data folder.
    """

    path: Path
    subject: str
    session: str
    run: str
    name: str

    def parts(self) -> list[Path]:
        """List the file and its later parts, such as ``-epo-1.fif``."""
        stem, _, ending = self.path.name.partition(".fif")
        return [self.path, *sorted(self.path.parent.glob(f"{stem}-[0-9]*.fif{ending}"))]


def epochs_paths(root: Path) -> list[Path]:
    """List the files of epochs in a folder and the folders below it, by name only.

    Parameters
    ----------
    root : Path
        The data folder.

    Returns
    -------
    list of Path
        Sorted; later parts of a file (``-epo-1.fif``) are not listed.
    """
    found: set[Path] = set()
    for level in range(DEPTH):
        for ending in ENDINGS:
            found |= {path for path in root.glob("*/" * level + f"*{ending}") if not path.name.startswith(".")}
    return sorted(found)


def find_epochs_files(root: Path, pattern: str | None = None) -> list[EpochsFile]:
    """Find the files of epochs and say whose they are.

    Parameters
    ----------
    root : Path
        The data folder.
    pattern : str, optional
        Name with placeholders, such as ``{subject}/run{run}-epo.fif``. Without it BIDS entities or a number after
        ``sub``, ``subject``, ``s`` or ``p`` name the subject; a single file needs no name.

    Returns
    -------
    list of EpochsFile
        By subject, then by name. Runs of a subject without names are numbered.

    Raises
    ------
    DataError
        If there is no file, or nothing tells whose one is.
    """
    if pattern is not None:
        placed = matching_files(root, pattern)
    else:
        paths = epochs_paths(root)
        if not paths:
            raise DataError(f"{root}: no file ends in {' or '.join(ENDINGS)}")
        placed = [(path, _said_by_name(path, root, alone=len(paths) == 1)) for path in paths]
    files = []
    for path, found in placed:
        if not path.is_file():
            raise DataError(f"{path}: no such file")
        name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
        short = re.sub(r"[-_]?epo\.fif(\.gz)?$", "", name) or name
        subject = subject_name(found.get("subject", "1"))
        files.append(EpochsFile(path, subject, found.get("session", ""), found.get("run", ""), short))
    return sorted(files, key=lambda file: (file.subject, file.name))


def _said_by_name(path: Path, root: Path, *, alone: bool) -> dict[str, str]:
    text = path.relative_to(root).as_posix()
    said = entities(re.sub(r"[-_]?epo\.fif(\.gz)?$", "_epo", path.name))
    found = {
        long: said[short] for short, long in (("sub", "subject"), ("ses", "session"), ("run", "run")) if short in said
    }
    if "subject" not in found:
        match = SUBJECT.search(text)
        if match is None and not alone:
            raise DataError(
                f"{path}: its name does not say whose it is; give the option files, such as '{{subject}}-epo.fif'"
            )
        found["subject"] = match[1] if match is not None else "1"
    return found


def open_epochs(path: Path) -> Any:
    """Open a file of epochs without reading its signals, or raise a DataError that names it."""
    import mne

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the name of the file is our business
            return mne.read_epochs(path, preload=False, verbose="error")
    except Exception as error:  # a broken file ends in whatever exception its reader stumbles on
        text = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: not readable as epochs ({text})") from error


def read_trials(file: EpochsFile, epochs: Any, columns: Mapping[str, str | None]) -> tuple[pd.DataFrame, bool]:
    """Make the table of the trials of one file.

    Parameters
    ----------
    file : EpochsFile
        The file.
    epochs : mne.BaseEpochs
        What `open_epochs` gave.
    columns : mapping of str to str or None
        For `stimulus`, `concept`, `text`, `subject`, `session` and `run`, the column of the metadata that says it.

    Returns
    -------
    trials : pandas.DataFrame
        `position` and those of the six that are known, as text, and what else the metadata have.
    by_event : bool
        Whether the names of the events stand for the stimuli.

    Raises
    ------
    DataError
        If a column is named that the metadata lack.
    """
    metadata = epochs.metadata
    trials = pd.DataFrame({"position": np.arange(len(epochs))})
    known = [] if metadata is None else [str(column) for column in metadata.columns]
    used = dict(columns)
    if used.get("stimulus") is None:
        used["stimulus"] = next((name for name in STIMULUS_COLUMNS if name in known), None)
    for name, column in used.items():
        if column is None:
            continue
        if column not in known:
            expected = f"one of {', '.join(known)}" if known else "none: the file has no metadata"
            raise DataError(
                f"{file.path}: {name}: got the column {column!r}, expected {expected}{suggestion(column, known)}"
            )
        values = metadata[column].tolist()
        trials[name] = [as_text(value, f"{file.path}: {column}, row {row}") for row, value in enumerate(values)]
    by_event = used["stimulus"] is None
    if by_event:
        names = {number: name for name, number in epochs.event_id.items()}
        trials["stimulus"] = [names[number] for number in epochs.events[:, 2]]
    trials["stimulus"] = trials["stimulus"].where(~trials["stimulus"].isin(MISSING), "")
    for column in known:
        if column not in used.values() and column not in (*trials.columns, *RESERVED):
            trials[column] = metadata[column].to_numpy()
    if "subject" in trials:
        trials["subject"] = [subject_name(text) for text in trials["subject"]]
    else:
        trials["subject"] = file.subject
    for name, value in (("session", file.session), ("run", file.run)):
        if name not in trials:
            trials[name] = value
    return trials, by_event
