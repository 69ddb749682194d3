"""The published splits of LAION-fMRI: lists of pictures for each pool, verified by the rules that made them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.files import read_json

NAMES = (
    "tau",
    *(f"cluster_k5_{fold}" for fold in range(5)),
    "ood",
    *(f"random_{fold}" for fold in range(5)),
)
POOLS = ("pooled", "shared", "subject")
PACKAGE = "laion_fmri"
OUT_OF_DISTRIBUTION = re.compile(r"shared_4rep_OOD_([A-Za-z0-9-]+)_.+")


@dataclass(frozen=True)
class Lists:
    """One split of one pool.

    Parameters
    ----------
    path : Path
        Its file.
    train, test : frozenset of str
        Names of pictures as the trials have them.
    """

    path: Path
    train: frozenset[str]
    test: frozenset[str]


def type_of(picture: str) -> str:
    """Give the type of a picture out of the distribution, or nothing for a regular one.

    Examples
    --------
    >>> type_of("shared_4rep_OOD_illusion-classic_03.png"), type_of("shared_12rep_LAION_cluster_1003_i0.jpg")
    ('illusion-classic', '')
    """
    match = OUT_OF_DISTRIBUTION.fullmatch(picture)
    return match[1] if match else ""


def find_splits(root: Path) -> Path | None:
    """Find the folder of the lists: in the study's folder, or in the installed package, of which nothing is run."""
    places = [root / "splits", root / "laion_fmri" / "splits" / "data"]
    spec = find_spec(PACKAGE)
    for location in (spec.submodule_search_locations or []) if spec is not None else []:
        places.append(Path(location) / "splits" / "data")
    return next((place for place in places if place.is_dir()), None)


def read_lists(folder: Path, pool: str, name: str) -> Lists:
    """Read one split and verify it.

    Parameters
    ----------
    folder : Path
        Holds a folder for each pool.
    pool : str
        ``pooled``, ``shared`` or a subject.
    name : str
        One of `NAMES`.

    Returns
    -------
    Lists
        Training and test pictures.

    Raises
    ------
    DataError
        If the file is missing, has other fields or another name, its counts are not those it gives, a picture is on
        both sides, or the pictures out of the distribution are not exactly the test of ``ood``.
    """
    path = folder / pool / f"{name}.json"
    if not path.is_file():
        there = sorted(other.stem for other in path.parent.glob("*.json"))
        raise DataError(f"{path}: no such file, the pool {pool} has {', '.join(there) or 'no splits'}")
    content = read_json(path)
    try:
        (variant,) = content["variants"]
        train, test = list(variant["train_ids"]), list(variant["test_ids"])
        counts, own = (int(content["n_train"]), int(content["n_test"])), str(content["name"])
    except (KeyError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise DataError(
            f"{path}: expected name, n_train, n_test and one of variants with train_ids and test_ids ({reason})"
        ) from None
    if own != name:
        raise DataError(f"{path}: is the split {own!r}, expected {name!r}")
    found = Lists(path, frozenset(map(str, train)), frozenset(map(str, test)))
    if (len(train), len(test)) != counts or (len(found.train), len(found.test)) != counts:
        raise DataError(
            f"{path}: {len(found.train)} and {len(found.test)} different pictures train and test, expected {counts[0]} "
            f"and {counts[1]} as it says"
        )
    both = found.train & found.test
    if both:
        raise DataError(f"{path}: {min(both)} is in train_ids and in test_ids")
    odd = sorted(one for one in found.train if type_of(one))
    wrong = sorted(one for one in found.test if bool(type_of(one)) != (name == "ood"))
    if odd or wrong:
        what = "train_ids" if odd else "test_ids"
        expected = "only pictures out of the distribution" if name == "ood" and not odd else "regular pictures"
        raise DataError(f"{path}: {(odd or wrong)[0]} is in {what}, expected {expected}")
    return found


def sides_of(folder: Path, pool: str, name: str, subjects: Sequence[str]) -> dict[str, Mapping[str, str]]:
    """Give the side of every picture for every subject.

    Parameters
    ----------
    folder : Path
        Of the lists.
    pool : str
        ``pooled``: one list over the pictures of all subjects; ``shared``: the pictures that all saw; ``subject``: each
        subject's own list.
    name : str
        One of `NAMES`. For ``ood``, the same for all, ``pooled`` joins the subjects' lists; ``random_...`` is not
        published for it.
    subjects : sequence of str
        Such as ``sub-01``.

    Returns
    -------
    dict of str to mapping of str to str
        ``train`` or ``test`` by picture, by subject.

    Raises
    ------
    ConfigError
        If the subjects' own lists put a picture on different sides, which would leak between subjects.
    DataError
        If a list is missing or wrong.
    """
    if pool == "subject" or (pool == "pooled" and name == "ood"):
        read = {subject: read_lists(folder, subject, name) for subject in subjects}
    else:
        lists = read_lists(folder, pool, name)
        read = dict.fromkeys(subjects, lists)
    sides: dict[str, Mapping[str, str]] = {}
    first: dict[str, tuple[str, str]] = {}
    for subject, lists in read.items():
        mine = dict.fromkeys(lists.train, "train") | dict.fromkeys(lists.test, "test")
        for picture in sorted(mine):
            other, side = first.setdefault(picture, (subject, mine[picture]))
            if side != mine[picture]:
                raise ConfigError(
                    f"split {name}, pool {pool}: {picture} is in {side} of {other} and in {mine[picture]} of "
                    f"{subject}, which leaks between subjects; prepare one subject, or use the option pool=pooled or "
                    "pool=shared"
                )
        sides[subject] = mine
    return sides
