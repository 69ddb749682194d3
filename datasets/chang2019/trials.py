"""Which picture each trial of BOLD5000 showed: every list that is on disk, held against each other."""

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from neurodecode.core.errors import DataError
from neurodecode.core.files import read_table, read_text

STIMULI = "BOLD5000_Stimuli"
LISTS = Path(STIMULI) / "Stimuli_Presentation_Lists"
REPEATED = Path(STIMULI) / "Scene_Stimuli" / "repeated_stimuli_113_list.txt"
TASK = "5000scenes"
# As the events call them, and the folder of the pictures.
SETS = {"coco": "COCO", "imagenet": "ImageNet", "scenes": "Scene"}


def stimulus_of(name: str) -> str:
    """Name a picture by its file, without the mark of a repetition and without its ending.

    Examples
    --------
    >>> stimulus_of("rep_COCO_train2014_000000191734.jpg"), stimulus_of("n01440764_10110.JPEG")
    ('COCO_train2014_000000191734', 'n01440764_10110')
    """
    return re.sub(r"\.(jpe?g|png)$", "", name.removeprefix("rep_"), flags=re.IGNORECASE)


def set_of(stimulus: str) -> str:
    """Tell from which collection a picture is.

    Examples
    --------
    >>> set_of("COCO_train2014_000000191734"), set_of("n01440764_10110"), set_of("airplanecabin1")
    ('coco', 'imagenet', 'scenes')
    """
    if stimulus.startswith("COCO_"):
        return "coco"
    return "imagenet" if re.match(r"n\d{8}_", stimulus) else "scenes"


def concept_of(stimulus: str) -> str:
    """Give the WordNet number or the kind of scene; pictures of COCO show many things.

    Examples
    --------
    >>> concept_of("n01440764_10110"), concept_of("airplanecabin1"), concept_of("COCO_train2014_000000191734")
    ('n01440764', 'airplanecabin', '')
    """
    kind = set_of(stimulus)
    if kind == "imagenet":
        return stimulus.split("_")[0]
    return "" if kind == "coco" else re.sub(r"\d+$", "", stimulus)


def read_lines(path: Path) -> list[str]:
    """Read a list of names, one a line, or raise a DataError that names the file."""
    text = read_text(path)
    lines = [line.strip() for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, start=1):
        if not line or len(line.split()) != 1:
            raise DataError(f"{path}: line {number}: got {line!r}, expected the name of one picture")
    return lines


def presentation_lists(root: Path, subject: int) -> pd.DataFrame | None:
    """Read ``Stimuli_Presentation_Lists/CSIn/CSIn_sessNN/*.txt``, one file a run, in the order of their numbers."""
    folder = root / LISTS / f"CSI{subject}"
    if not folder.is_dir():
        return None
    files = []
    for path in folder.glob("*/*.txt"):
        found = re.search(r"sess(\d+)", path.parent.name), re.search(r"run(\d+)", path.name)
        if found[0] is None or found[1] is None:
            raise DataError(f"{path}: got this name, expected CSI{subject}_sess01/CSI_sess01_run01.txt or the like")
        files.append((int(found[0][1]), int(found[1][1]), path))
    if not files:
        raise DataError(f"{folder}: no lists CSI{subject}_sessNN/*.txt found")
    files.sort()
    rows = [
        {"session": f"{session:02d}", "run": f"{run:02d}", "name": name}
        for session, run, path in files
        for name in read_lines(path)
    ]
    return pd.DataFrame(rows)


def one_list(path: Path) -> pd.DataFrame | None:
    """Read a list of a subject's trials, which does not tell sessions apart."""
    return pd.DataFrame({"session": "", "run": "", "name": read_lines(path)}) if path.is_file() else None


def events(root: Path, subject: int) -> pd.DataFrame | None:
    """Read the events tables of the BIDS data set, in the order of sessions and runs."""
    files = sorted((root / f"sub-CSI{subject}").glob(f"ses-*/func/*_task-{TASK}_run-*_events.tsv"))
    if not files:
        return None
    tables = []
    for path in files:
        table = read_table(path, required=("onset", "ImgName", "ImgType"), text=("ImgName", "ImgType", "stim_file"))
        session, run = re.search(r"ses-(\d+)", path.name), re.search(r"run-(\d+)", path.name)
        if session is None or run is None:
            raise DataError(f"{path}: its name lacks the session or the run")
        for row, (name, kind) in enumerate(zip(table["ImgName"], table["ImgType"], strict=True)):
            expected = set_of(stimulus_of(name))
            if kind.removeprefix("rep_") != expected:
                raise DataError(f"{path}: line {row + 2}: ImgType of {name} is {kind!r}, expected {expected!r}")
        marked = table["ImgType"].str.startswith("rep_")
        names = table["ImgName"].where(~marked | table["ImgName"].str.startswith("rep_"), "rep_" + table["ImgName"])
        tables.append(pd.DataFrame({"session": f"{int(session[1]):02d}", "run": f"{int(run[1]):02d}", "name": names}))
    return pd.concat(tables, ignore_index=True)


def read_trials(root: Path, subject: int, *, betas: Path | None = None, rois: Path | None = None) -> pd.DataFrame:
    """Read the order of a subject's trials, proven by every list that is on disk.

    Parameters
    ----------
    root : Path
        The study's folder.
    subject : int
        From 1.
    betas : Path, optional
        Folder of the whole-brain betas, which may hold ``CSIn_imgnames.txt``.
    rois : Path, optional
        Folder ``ROIs`` of the first release, which may hold ``stim_lists/CSI0n_stim_lists.txt``.

    Returns
    -------
    pandas.DataFrame
        One row a trial: `stimulus, session, run, marked` (whether a list marks it as one of the repeated pictures).

    Raises
    ------
    DataError
        If there is no list, or two disagree: both files and the first trial are named.
    """
    places: dict[str, Callable[[], pd.DataFrame | None]] = {
        str(LISTS / f"CSI{subject}"): lambda: presentation_lists(root, subject),
        f"the events of sub-CSI{subject}": lambda: events(root, subject),
        f"CSI{subject}_imgnames.txt": lambda: None if betas is None else one_list(betas / f"CSI{subject}_imgnames.txt"),
        f"CSI{subject:02d}_stim_lists.txt": lambda: (
            None if rois is None else one_list(rois / "stim_lists" / f"CSI{subject:02d}_stim_lists.txt")
        ),
    }
    found = {name: table for name, read in places.items() if (table := read()) is not None}
    if not found:
        raise DataError(f"{root}: no list of the trials of CSI{subject}, expected one of {', '.join(places)}")
    first = next(iter(found))
    table = found[first]
    table["stimulus"] = [stimulus_of(name) for name in table["name"]]
    for name, other in found.items():
        stimuli = [stimulus_of(one) for one in other["name"]]
        pairs = zip(table["stimulus"], stimuli, strict=False)
        differing = next((row for row, (mine, its) in enumerate(pairs) if mine != its), None)
        if differing is not None:
            raise DataError(
                f"{root}: trial {differing + 1} of CSI{subject} shows {stimuli[differing]} by {name}, "
                f"{table['stimulus'].iloc[differing]} by {first}"
            )
        if len(other) != len(table):
            raise DataError(
                f"{root}: CSI{subject} has {len(other)} trials by {name}, expected {len(table)} as by {first}"
            )
    table["marked"] = [
        any(str(other["name"].iloc[row]).startswith("rep_") for other in found.values()) for row in range(len(table))
    ]
    return table.drop(columns="name")
