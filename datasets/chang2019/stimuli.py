"""The pictures of BOLD5000: their files and labels, and which of them were shown several times."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from neurodecode.core.errors import DataError
from neurodecode.core.files import read_text
from neurodecode.datasets.chang2019.trials import REPEATED, SETS, STIMULI, concept_of, read_lines, set_of, stimulus_of

PICTURES = Path(STIMULI) / "Scene_Stimuli" / "Presented_Stimuli"
LABELS = Path(STIMULI) / "Image_Labels" / "imagenet_final_labels.txt"


def repeated_pictures(root: Path, trials: Mapping[int, pd.DataFrame], count: int | None) -> frozenset[str]:
    """Read the list of repeated pictures and verify it by the rule that made it.

    Parameters
    ----------
    root : Path
        The study's folder. Without the list the pictures that a subject saw more than once are taken, and those that
        the lists of trials mark.
    trials : mapping of int to pandas.DataFrame
        Each subject's trials.
    count : int, optional
        How many there are in the original.

    Returns
    -------
    frozenset of str
        Names of pictures.

    Raises
    ------
    DataError
        If a picture was shown several times, or is marked, and is not in the list; if one in the list was shown once
        only by a subject of whom all sessions are there; or if their number is another one.
    """
    several: dict[str, int] = {}
    for number, table in trials.items():
        counts = table["stimulus"].value_counts()
        for name in [*counts.index[counts > 1], *table["stimulus"][table["marked"]]]:
            several.setdefault(str(name), number)
    path = root / REPEATED
    if not path.is_file():
        if count is not None and len(several) != count:
            raise DataError(f"{path}: no such file, and {len(several)} pictures were shown repeatedly, not {count}")
        return frozenset(several)
    listed = [stimulus_of(name) for name in read_lines(path)]
    if len(set(listed)) != len(listed) or (count is not None and len(listed) != count):
        raise DataError(f"{path}: {len(set(listed))} different pictures, expected {count or len(listed)}")
    for name, number in several.items():
        if name not in set(listed):
            raise DataError(f"{path}: {name} is not in the list, but CSI{number} saw it several times")
    for number, table in trials.items():
        # The fourth subject did not finish, and saw some of them once or never.
        counts = table["stimulus"].value_counts()
        rare = [name for name in listed if counts.get(name, 0) < 2]
        if rare and number != 4:
            raise DataError(
                f"{path}: {rare[0]} is in the list, but CSI{number} saw it {int(counts.get(rare[0], 0))} time(s)"
            )
    return frozenset(listed)


def stimulus_rows(root: Path, names: list[str], repeated: frozenset[str]) -> pd.DataFrame:
    """Lay out the table of stimuli.

    Parameters
    ----------
    root : Path
        The study's folder; without ``Presented_Stimuli`` there are no pictures.
    names : list of str
        Names of pictures.
    repeated : frozenset of str
        Those that test.

    Returns
    -------
    pandas.DataFrame
        With the words of ImageNet or the kind of scene as text.

    Raises
    ------
    DataError
        If a picture is missing, or has two files.
    """
    files: dict[str, Path] = {}
    for folder in SETS.values():
        for path in sorted((root / PICTURES / folder).glob("*")):
            name = stimulus_of(path.name)
            if path.name.startswith(".") or name == path.name:
                continue
            if name in files:
                raise DataError(f"{path}: {files[name]} has the same name, expected one file of each picture")
            files[name] = path
    missing = [name for name in names if name not in files]
    if files and missing:
        raise DataError(f"{root / PICTURES}: no file of the picture {missing[0]} ({len(missing)} missing)")
    words = _words(root / LABELS)
    concepts = [concept_of(name) for name in names]
    return pd.DataFrame(
        {
            "stimulus": names,
            "kind": "image",
            "path": [files[name].relative_to(root).as_posix() if files else "" for name in names],
            "concept": concepts,
            "text": [
                words.get(concept, "") if set_of(name) == "imagenet" else concept
                for name, concept in zip(names, concepts, strict=True)
            ],
            "collection": [set_of(name) for name in names],
            "repeated": [int(name in repeated) for name in names],
        }
    )


def _words(path: Path) -> dict[str, str]:
    """Read the first word of each WordNet number; a line is ``n01440764 tench, Tinca tinca``."""
    if not path.is_file():
        return {}
    lines = read_text(path).splitlines()
    found = {}
    for line in lines:
        number, _, rest = line.partition(" ")
        found[number] = rest.split(",")[0].strip()
    return found
