"""The rules by which any study can be split, beside what was published for it."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.files import fingerprint
from neurodecode.core.split import Split, leave_one_out_split, published_split
from neurodecode.core.stimuli import Stimuli

DrawnUnit = Literal["stimulus", "concept", "text", "cluster"]
DRAWN: tuple[DrawnUnit, ...] = ("stimulus", "concept", "text", "cluster")
LEFT_OUT = {"run": ("session", "run"), "session": ("session",), "subject": ("subject",)}
RULES: tuple[str, ...] = (*DRAWN, *LEFT_OUT)
#: The study's own split, and besides each subject left out once.
ACROSS = "leave_one_subject_out"
TEST_SHARE, VALIDATION_SHARE = 0.1, 0.1


def split_by_rule(
    rule: str,
    windows: Mapping[str, pd.DataFrame],
    stimuli: Stimuli | None = None,
    *,
    seed: int = 0,
    test_share: float = TEST_SHARE,
) -> Split:
    """Split windows so that the unit which the rule names is on one side only.

    Parameters
    ----------
    rule : str
        ``stimulus``, ``concept``, ``text`` or ``cluster``: a tenth of the units tests and a tenth validates; drawn with
        the seed, except that a text's side follows from its hash, so that it stays there whatever else is in the study.
        ``run``, ``session`` or ``subject``: each is left out once, one of the others validates.
    windows : mapping of str to pandas.DataFrame
        Each subject's window table.
    stimuli : Stimuli, optional
        Gives concept, text and cluster of each stimulus where the window table does not.
    seed : int
        Of what is drawn.
    test_share : float
        The share of the units that tests, where units are not left out one by one; a tenth validates.

    Returns
    -------
    Split
        One fold, or one a unit that is left out.

    Raises
    ------
    ConfigError
        If there is no such rule.
    DataError
        If the unit is not known, or there are too few.

    Examples
    --------
    >>> table = pd.DataFrame({"session": "", "run": ["1", "2", "3"], "stimulus": ["a", "b", "a"]})
    >>> split_by_rule("run", {"sub-01": table}).n_folds
    3
    """
    if rule in LEFT_OUT:
        tables = {name: table.assign(subject=name) for name, table in windows.items()}
        return leave_one_out_split(tables, columns=LEFT_OUT[rule], unit=rule, seed=seed)
    if rule not in DRAWN:
        raise ConfigError(f"split: got {rule!r}, expected one of {', '.join(RULES)}")
    units = {name: units_of(rule, table, stimuli) for name, table in windows.items()}
    names = np.unique(np.concatenate([values[values != ""] for values in units.values()]))
    if rule == "text":
        parts = {str(name): _part_of_text(str(name), seed, test_share) for name in names}
        how = f"by the hash of the text with seed {seed}"
    else:
        n_test, n_val = round(len(names) * test_share), round(len(names) * VALIDATION_SHARE)
        order = [str(name) for name in np.random.default_rng(seed).permutation(names)]
        parts = dict.fromkeys(order, "train")
        parts |= dict.fromkeys(order[:n_test], "test")
        parts |= dict.fromkeys(order[n_test : n_test + n_val], "val")
        how = f"drawn with seed {seed}"
    if not {"train", "val", "test"} <= set(parts.values()):
        raise DataError(f"split: {len(names)} units ({rule}) are too few to test and to validate on a tenth each")
    tables = {name: table.assign(**{"unit of the split": units[name]}) for name, table in windows.items()}
    share = "a tenth" if test_share == TEST_SHARE else f"{test_share:.0%}"
    text = f"{share} of the {rule} values tests and a tenth validates, {how}"
    return published_split(tables, parts, column="unit of the split", unit=rule, rule=text, seed=seed)


def leave_one_subject_out(own: Split) -> Split:
    """Leave each subject out once, on top of a split that keeps test stimuli out of training for everybody.

    The test windows of a fold are those of the subject who is left out, as the given split has them; training and
    validation windows are those of all others. So neither the person nor what is tested was ever trained on, which the
    rule ``subject`` alone does not promise where all subjects saw the same stimuli.

    Parameters
    ----------
    own : Split
        With one fold.

    Returns
    -------
    Split
        One fold a subject, with the unit of `own`.

    Raises
    ------
    DataError
        If there are fewer than two subjects, or `own` has several folds.

    Examples
    --------
    >>> table = pd.DataFrame({"stimulus": ["a", "b", "c"]})
    >>> parts = {"a": "train", "b": "val", "c": "test"}
    >>> windows = {"sub-01": table, "sub-02": table}
    >>> own = published_split(windows, parts, column="stimulus", unit="stimulus", rule="published")
    >>> across = leave_one_subject_out(own)
    >>> across.rows("sub-01", "test", fold=0).tolist(), across.rows("sub-02", "train", fold=0).tolist()
    ([2], [0])
    """
    subjects = list(dict.fromkeys(own.table["subject"]))
    if own.n_folds != 1 or len(subjects) < 2:
        raise DataError(
            f"split: leaving one subject out needs two subjects and one fold, got {len(subjects)} and {own.n_folds}"
        )
    table = own.table[["subject", "window", "unit"]].copy()
    parts = own.table["fold_0"]
    for fold, subject in enumerate(subjects):
        left_out = own.table["subject"] == subject
        kept = (left_out & (parts == "test")) | (~left_out & parts.isin(["train", "val"]))
        table[f"fold_{fold}"] = parts.where(kept, "")
    return Split(table, own.unit, f"{own.rule}; besides, each subject is left out once", own.seed)


def _part_of_text(text: str, seed: int, test_share: float) -> str:
    """Place a text by its hash alone, so that it stays on its side whatever else is in the study."""
    digest = fingerprint([seed, text])
    place = int(digest, 16) / 16 ** len(digest)
    return "test" if place < test_share else "val" if place < test_share + VALIDATION_SHARE else "train"


def units_of(rule: str, windows: pd.DataFrame, stimuli: Stimuli | None = None) -> NDArray[np.str_]:
    """Name the unit of each window: a column of the window table, or of the stimuli that the windows name.

    Parameters
    ----------
    rule : str
        ``stimulus``, ``concept``, ``text`` or ``cluster``.
    windows : pandas.DataFrame
        One subject's window table.
    stimuli : Stimuli, optional
        The study's stimuli.

    Returns
    -------
    ndarray of str, shape (n_windows,)
        Empty where a window has no stimulus.

    Raises
    ------
    DataError
        If neither table has the column, or a stimulus has no value there.
    """
    shown = windows["stimulus"].astype(str)
    if rule == "stimulus":
        return shown.to_numpy().astype(str)
    # Where texts were joined or occur twice, the study says which of them belong on one side.
    column = "split_text" if rule == "text" and _has_column("split_text", windows, stimuli) else rule
    if column in windows:
        values = windows[column].fillna("").astype(str)
    elif stimuli is not None and column in stimuli.table:
        known = stimuli.table.set_index("stimulus")[column].fillna("").astype(str)
        values = shown.map(known).fillna("")
    else:
        raise DataError(f"split: neither windows nor stimuli have a column {rule!r}")
    missing = (shown != "") & (values == "")
    if missing.any():
        raise DataError(f"split: the stimulus {shown[missing].iloc[0]!r} has no {rule}")
    return values.where(shown != "", "").to_numpy().astype(str)


def _has_column(column: str, windows: pd.DataFrame, stimuli: Stimuli | None) -> bool:
    return column in windows or (stimuli is not None and column in stimuli.table)
