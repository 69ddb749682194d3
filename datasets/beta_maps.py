"""What studies of single beta maps share: the window table, voxels without places, parts that follow from a name."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.files import fingerprint
from neurodecode.core.recording import Block, Recording
from neurodecode.core.sensors import Sensors
from neurodecode.core.split import Split

BLOCK = "betas"
ROWS_AT_A_TIME = 256


def place_of_name(name: str, seed: int) -> float:
    """Place a name between 0 and 1 by its hash alone, so that it stays there whichever other names are on disk.

    Parameters
    ----------
    name : str
        Of a stimulus or concept.
    seed : int
        Another seed gives another place.

    Returns
    -------
    float
        From 0, below 1; evenly spread over names.

    Examples
    --------
    >>> round(place_of_name("nsd-00013", 0), 4) == round(place_of_name("nsd-00013", 0), 4) < 1
    True
    """
    digest = fingerprint([seed, name])
    return int(digest, 16) / float(16 ** len(digest))


def hold_out(parts: "pd.Series[str]", units: "pd.Series[str]", *, share: float, seed: int) -> NDArray[np.str_]:
    """Move a share of the training units to validation by the hash of their names, where none validates yet.

    Parameters
    ----------
    parts : pandas.Series of str
        ``train``, ``test``, ``val`` or nothing for each window.
    units : pandas.Series of str
        The unit of each window.
    share : float
        Of the training units.
    seed : int
        Of the hash.

    Returns
    -------
    ndarray of str, shape (n_windows,)
        The parts. If the hash picks none, or all, the training unit with the lowest place validates.

    Examples
    --------
    >>> units = pd.Series([f"picture{number}" for number in range(1000)])
    >>> parts = hold_out(pd.Series(["train"] * 1000), units, share=0.1, seed=0)
    >>> bool(70 < (parts == "val").sum() < 130)
    True
    """
    made = parts.to_numpy().astype(object)
    train = made == "train"
    if "val" in set(made) or not train.any():
        return made.astype(str)
    places = {name: place_of_name(name, seed) for name in dict.fromkeys(units[train].astype(str))}
    chosen = {name for name, place in places.items() if place < share}
    if not 0 < len(chosen) < len(places):
        chosen = {min(places, key=lambda name: places[name])}
    made[train & units.astype(str).isin(chosen).to_numpy()] = "val"
    return made.astype(str)


def split_of_parts(
    parts: Mapping[str, Sequence[str] | NDArray[np.str_]],
    units: Mapping[str, Sequence[str]],
    *,
    unit: str,
    rule: str,
    seed: int = 0,
) -> Split:
    """Make a one-fold split from the part and the unit of every window of every subject.

    Parameters
    ----------
    parts : mapping of str to sequence of str
        By subject: ``train``, ``val``, ``test`` or nothing for each window.
    units : mapping of str to sequence of str
        By subject: what must be on one side.
    unit : str
        The kind of unit, see `neurodecode.core.split.UNITS`.
    rule : str
        How the split was made, in words.
    seed : int
        Of what was drawn.

    Returns
    -------
    Split
        One fold.
    """
    tables = [
        pd.DataFrame(
            {"subject": subject, "window": np.arange(len(part)), "unit": list(units[subject]), "fold_0": list(part)}
        )
        for subject, part in parts.items()
    ]
    return Split(pd.concat(tables, ignore_index=True), unit, rule, seed)


def beta_windows(subject: str, table: pd.DataFrame) -> pd.DataFrame:
    """Complete a table with one row a beta map to a window table of one block.

    Parameters
    ----------
    subject : str
        Such as ``sub-01``.
    table : pandas.DataFrame
        In the order of the maps, with `stimulus` and what else is known. `session` and `run` are empty and `onset` is
        0 where they are not given; `repetition` counts the times a stimulus was shown from 1.

    Returns
    -------
    pandas.DataFrame
        The columns that a recording needs first.

    Examples
    --------
    >>> beta_windows("sub-01", pd.DataFrame({"stimulus": ["a", "b", "a"]}))["repetition"].tolist()
    [1, 1, 2]
    """
    known = table.reset_index(drop=True)
    first = pd.DataFrame(
        {
            "subject": subject,
            "session": known.get("session", ""),
            "run": known.get("run", ""),
            "block": BLOCK,
            "start": np.arange(len(known)),
            "length": 1,
            "stimulus": known["stimulus"],
            "repetition": known.get("repetition", known.groupby("stimulus").cumcount() + 1),
            "onset": known.get("onset", 0.0),
        }
    )
    return pd.concat([first, known.drop(columns=[name for name in first.columns if name in known])], axis=1)


def beta_recording(
    subject: str,
    signals: NDArray[np.float32],
    sensors: Sensors,
    table: pd.DataFrame,
    *,
    simulated: bool,
    flags: Iterable[str] = (),
) -> Recording:
    """Make a recording of one block of maps ``(n_maps, n_voxels, 1)`` and the table of `beta_windows`."""
    blocks = {BLOCK: Block(BLOCK, signals, sensors)}
    return Recording(subject, "fmri", blocks, beta_windows(subject, table), simulated, tuple(flags))


def unplaced_voxels(
    count: int, *, unit: str, regions: Mapping[str, NDArray[np.bool_]] | None = None, letter: str = "v"
) -> Sensors:
    """Describe voxels, or vertices of a surface, whose places in a volume were not kept.

    Parameters
    ----------
    count : int
        How many.
    unit : str
        Of the signals.
    regions : mapping of str to ndarray of bool, optional
        Named subsets; empty ones are left out.
    letter : str
        Names are this letter and a number from 0.

    Examples
    --------
    >>> unplaced_voxels(2, unit="z", regions={"V1": np.array([True, False]), "V2": np.zeros(2, bool)}).regions
    {'V1': array([ True, False])}
    """
    return Sensors(
        names=tuple(f"{letter}{index:05d}" for index in range(count)),
        kinds=("voxel",) * count,
        sfreq=0.0,
        tmin=0.0,
        unit=unit,
        regions={name: mask for name, mask in (regions or {}).items() if mask.any()},
    )


def subject_of(name: str, known: Sequence[str], where: object) -> int:
    """Give the position of a subject among those on disk, or raise a DataError that lists them."""
    if name not in known:
        raise DataError(f"subject: got {name!r}, expected one of {', '.join(known) or 'none'} ({where})")
    return list(known).index(name)
