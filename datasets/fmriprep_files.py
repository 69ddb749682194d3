"""What fMRIPrep wrote, under the names of any of its releases, and the events tables of the raw data set."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neurodecode.core.errors import DataError, suggestion
from neurodecode.core.files import read_json
from neurodecode.datasets.bids_files import Run, entities

# Up to release 1.1 the name of the raw file was kept whole and words were appended; from 1.2 on BIDS entities are used;
# from 20.2 on the confounds are called timeseries, and surfaces name the hemisphere first.
BOLD = (
    re.compile(r"^(?P<base>.+)_bold_space-(?P<space>[A-Za-z0-9]+)_preproc\.nii(?:\.gz)?$"),
    re.compile(
        r"^(?P<base>.+?)(?:_space-(?P<space>[A-Za-z0-9]+))?(?:_res-(?P<res>[A-Za-z0-9]+))?_desc-preproc_bold\.nii(?:\.gz)?$"
    ),
    re.compile(r"^(?P<base>.+)_bold_space-(?P<space>[A-Za-z0-9]+)\.L(?P<surface>\.func)\.gii$"),
    re.compile(r"^(?P<base>.+)_space-(?P<space>[A-Za-z0-9]+)_hemi-L(?P<surface>(?:_bold)?\.func)\.gii$"),
    re.compile(r"^(?P<base>.+)_hemi-L_space-(?P<space>[A-Za-z0-9]+)(?P<surface>_bold\.func)\.gii$"),
    re.compile(r"^(?P<base>.+)_space-(?P<space>[A-Za-z0-9]+)(?:_den-(?P<res>[A-Za-z0-9]+))?_bold\.dtseries\.nii$"),
)
CONFOUNDS = ("_desc-confounds_timeseries.tsv", "_desc-confounds_regressors.tsv", "_bold_confounds.tsv")
NATIVE = "func"
# Tried in this order where no space is named.
PREFERRED = ("T1w", NATIVE)


@dataclass(frozen=True)
class PreprocessedRun:
    """One run in one space.

    Parameters
    ----------
    run : Run
        The preprocessed file (the left hemisphere of a surface) and the raw events table.
    space : str
        Such as ``T1w``, ``MNI152NLin2009cAsym:res-2`` or ``fsaverage5``; ``func`` for the run's own space.
    confounds : Path
        Table with one row a volume.
    mask : Path or None
        Brain mask of the run; None for surfaces and grayordinates, which need none.
    task : str
        Its task.
    base : str
        The part of the name that the raw run has, too.
    """

    run: Run
    space: str
    confounds: Path
    mask: Path | None
    task: str
    base: str


def find_derivative(root: Path, name: str | None = None) -> Path | None:
    """Give the folder that fMRIPrep wrote: named, below ``derivatives``, or the data folder itself.

    Parameters
    ----------
    root : Path
        The data folder.
    name : str, optional
        The folder, relative to `root`.

    Returns
    -------
    Path or None
        None if nothing in these places is called as fMRIPrep calls its files.
    """
    if name is not None:
        return root / name if _has_bold(root / name) else None
    folder = root / "derivatives"
    places = sorted(folder.glob("*"), key=lambda path: (not path.name.startswith("fmriprep"), path.name))
    return next((place for place in [*places, root] if _has_bold(place)), None)


def raw_of(root: Path, derivative: Path) -> Path:
    """Give the raw data set of a derivative: the data folder or the nearest folder above that has events tables."""
    for folder in (root, *derivative.parents[:3]):
        if any(folder.glob("sub-*/func/*_events.tsv")) or any(folder.glob("sub-*/ses-*/func/*_events.tsv")):
            return folder
    return root


def _has_bold(folder: Path) -> bool:
    files = (path for depth in ("sub-*/func", "sub-*/ses-*/func") for path in folder.glob(f"{depth}/*"))
    return any(pattern.match(path.name) for path in files for pattern in BOLD)


def derivative_runs(
    derivative: Path, subject: str, *, space: str | None, tasks: Sequence[str], raw: Path
) -> list[PreprocessedRun]:
    """Find a subject's runs in one space, each with its events table.

    Parameters
    ----------
    derivative : Path
        What `find_derivative` gave.
    subject : str
        Such as ``sub-01``.
    space : str, optional
        Which space; by default ``T1w``, else the only one there is.
    tasks : sequence of str
        Only these; by default those with events tables.
    raw : Path
        The raw data set.

    Returns
    -------
    list of PreprocessedRun
        Sorted by file name.

    Raises
    ------
    DataError
        If there is no such run, the space must be chosen, or a mask, a table of confounds or of events is missing.
    """
    folder = derivative / subject
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    found: list[tuple[Path, str, str]] = []
    for path in sorted([*folder.glob("func/*"), *folder.glob("ses-*/func/*")]):
        if match := next((match for pattern in BOLD if (match := pattern.match(path.name))), None):
            parts = match.groupdict()
            label = parts.get("space") or NATIVE
            key = "den" if path.name.endswith(".dtseries.nii") else "res"
            label += f":{key}-{parts['res']}" if parts.get("res") else ""
            found.append((path, label, parts["base"]))
    if not found:
        raise DataError(f"{folder}: no preprocessed run (expected func/..._desc-preproc_bold.nii.gz)")
    chosen = _choose_space(sorted({label for _, label, _ in found}), space, folder)
    known = {entities(f"{base}_")["task"] for _, _, base in found if "task" in entities(f"{base}_")}
    missing = [task for task in tasks if task not in known]
    if missing:
        raise DataError(f"{folder}: task {missing[0]!r} has no preprocessed run, got {', '.join(sorted(known))}")
    runs: list[PreprocessedRun] = []
    silent: dict[str, Path] = {}
    for path, label, base in found:
        said = entities(f"{base}_")
        task = said.get("task", "")
        if label != chosen or (tasks and task not in tasks):
            continue
        events = _nearest(raw, subject, base, "_events.tsv")
        if events is None:
            silent[task] = path
            continue
        run = Run(path, events, said.get("ses", ""), said.get("run", ""), base.removeprefix(f"{subject}_"))
        runs.append(PreprocessedRun(run, chosen, _confounds_of(path, base), _mask_of(path), task, base))
    for task, path in silent.items():
        if tasks or not runs or any(run.task == task for run in runs):
            raise DataError(f"{path}: no events table of this run in {raw}")
    return runs


def _choose_space(known: Sequence[str], wanted: str | None, folder: Path) -> str:
    if wanted is not None:
        alike = [label for label in known if label == wanted or label.split(":")[0] == wanted]
        if len(alike) == 1:
            return alike[0]
        what = f"got {wanted!r}" + (", of which there are several" if alike else "")
        raise DataError(f"{folder}: space: {what}, expected one of {', '.join(known)}{suggestion(wanted, known)}")
    for label in PREFERRED:
        if label in known:
            return label
    if len(known) > 1:
        raise DataError(f"{folder}: space: several are there, expected the option space with one of {', '.join(known)}")
    return known[0]


def _confounds_of(path: Path, base: str) -> Path:
    for ending in CONFOUNDS:
        if (path.parent / f"{base}{ending}").is_file():
            return path.parent / f"{base}{ending}"
    raise DataError(f"{path}: its table of confounds is missing (expected {base}{CONFOUNDS[0]} or an older name)")


def _mask_of(path: Path) -> Path | None:
    if path.name.endswith((".gii", ".dtseries.nii")):
        return None
    if "_desc-preproc_bold" in path.name:
        mask = path.with_name(path.name.replace("_desc-preproc_bold", "_desc-brain_mask"))
    else:
        mask = path.with_name(path.name.replace("_preproc.nii", "_brainmask.nii"))
    if not mask.is_file():
        raise DataError(f"{path}: its brain mask {mask.name} is missing")
    return mask


def _nearest(raw: Path, subject: str, base: str, ending: str) -> Path | None:
    """Find the file for a run that lies nearest to it and whose name says nothing that the run's does not say."""
    own = entities(f"{base}_")
    session = f"ses-{own['ses']}" if "ses" in own else ""
    for folder in (raw / subject / session / "func", raw / subject / session, raw / subject, raw):
        for path in sorted(folder.glob(f"*{ending}"), key=lambda path: -len(entities(path.name))):
            if all(own.get(key) == value for key, value in entities(path.name).items()):
                return path
    return None


def sidecar_value(run: PreprocessedRun, raw: Path, subject: str, key: str) -> object:
    """Look a value up beside the preprocessed run, then beside the raw one; None if neither says it.

    Parameters
    ----------
    run : PreprocessedRun
        The run.
    raw : Path
        The raw data set.
    subject : str
        Such as ``sub-01``.
    key : str
        Such as ``RepetitionTime``.

    Returns
    -------
    object
        What the JSON file holds.
    """
    name = re.sub(r"\.(nii(\.gz)?|func\.gii|dtseries\.nii)$", ".json", run.run.file.name)
    beside = run.run.file.with_name(name)
    for place in (beside, _nearest(raw, subject, run.base, "_bold.json")):
        if place is not None and place.is_file():
            values = read_json(place)
            if isinstance(values, dict) and key in values:
                return values[key]
    return None
