"""How much of a new subject's training data may be used, and which windows that is."""

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.split import Split

Order = Literal["chronological", "random"]
ORDERS: tuple[Order, ...] = ("chronological", "random")
Kind = Literal["seconds", "trials", "stimuli", "share"]
EXPECTED = "15min, 1h, 200 trials, 50 stimuli or 10%"
SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
#: Share of the budget's units that validate within it, and the fewest stimuli on either side.
VALIDATION_SHARE, FEWEST_STIMULI = 0.2, 2

_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|h)")
_COUNT = re.compile(r"(\d+)\s*(trials?|stimul(?:us|i))")
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")


@dataclass(frozen=True)
class Budget:
    """An amount of data.

    Parameters
    ----------
    text : str
        As tables show it.
    kind : str
        ``seconds`` of recorded time, ``trials``, ``stimuli`` with all their repetitions, or ``share`` of the training
        windows.
    amount : float
        How many; a share is from 0 to 1.
    """

    text: str
    kind: Kind
    amount: float


def parse_budget(text: str) -> Budget:
    """Read a budget.

    Parameters
    ----------
    text : str
        Such as ``15min``, ``1h``, ``200 trials``, ``50 stimuli`` or ``10%``.

    Returns
    -------
    Budget

    Raises
    ------
    ConfigError
        If it is none of these, or nothing.

    Examples
    --------
    >>> parse_budget("1.5 h").amount, parse_budget("10%").kind
    (5400.0, 'share')
    """
    plain = text.strip()
    if found := _TIME.fullmatch(plain):
        budget = Budget(f"{found[1]} {found[2]}", "seconds", float(found[1]) * SECONDS[found[2]])
    elif found := _COUNT.fullmatch(plain):
        trials = found[2].startswith("trial")
        budget = Budget(f"{int(found[1])} {'trials' if trials else 'stimuli'}", "trials" if trials else "stimuli",
                        float(found[1]))  # fmt: skip
    elif found := _SHARE.fullmatch(plain):
        budget = Budget(f"{found[1]}%", "share", float(found[1]) / 100)
    else:
        raise ConfigError(f"budget: got {text!r}, expected an amount such as {EXPECTED}")
    if budget.amount <= 0 or (budget.kind == "share" and budget.amount > 1):
        raise ConfigError(f"budget: got {text!r}, expected more than nothing and at most 100%")
    return budget


def recorded_seconds(windows: pd.DataFrame, sfreq: float) -> NDArray[np.float64]:
    """Tell how much recorded time each window stands for: from its onset to the next one of its run.

    Parameters
    ----------
    windows : pandas.DataFrame
        One subject's window table.
    sfreq : float
        Sampling rate in Hz; 0 for maps, the last of which in a run counts as the median of its run.

    Returns
    -------
    ndarray of float64, shape (n_windows,)
        Seconds. The last window of a run counts its own length.

    Raises
    ------
    DataError
        If onsets are not known.

    Examples
    --------
    >>> table = pd.DataFrame({"session": "", "run": "1", "onset": [0.0, 1.5, 4.0], "length": 100})
    >>> recorded_seconds(table, 100.0).tolist()
    [1.5, 2.5, 1.0]
    """
    onsets = windows["onset"].to_numpy(dtype=np.float64)
    if not np.isfinite(onsets).all():
        raise DataError("budget: a time was given, but the onset of some windows is not known; give trials or stimuli")
    seconds = np.zeros(len(windows))
    runs = windows.groupby(["session", "run"], sort=False).ngroup().to_numpy()
    lengths = windows["length"].to_numpy(dtype=np.float64)
    for run in np.unique(runs):
        rows = np.flatnonzero(runs == run)
        order = rows[np.argsort(onsets[rows], kind="stable")]
        gaps = np.diff(onsets[order])
        seconds[order[:-1]] = gaps
        if sfreq:
            seconds[order[-1]] = lengths[order[-1]] / sfreq
        elif len(gaps):
            seconds[order[-1]] = np.median(gaps)
    return seconds


def in_time(windows: pd.DataFrame) -> NDArray[np.int64]:
    """List all windows as they were recorded: runs in the order of the table, windows by their onset."""
    runs = windows.groupby(["session", "run"], sort=False).ngroup().to_numpy()
    return np.lexsort((windows["onset"].to_numpy(dtype=np.float64), runs)).astype(np.int64)


def budget_windows(
    budget: Budget, windows: pd.DataFrame, rows: NDArray[np.int64], *, order: Order, seed: int, sfreq: float
) -> NDArray[np.int64]:
    """Choose the windows that a budget pays for.

    Parameters
    ----------
    budget : Budget
        How much.
    windows : pandas.DataFrame
        The subject's window table.
    rows : ndarray of int
        The training windows among which is chosen.
    order : str
        ``chronological`` takes the first ones, ``random`` draws. A larger budget holds all of a smaller one of the same
        kind, order and seed. Stimuli come in the order of their first training window, with all training windows.
    seed : int
        Of the draw.
    sfreq : float
        Sampling rate in Hz.

    Returns
    -------
    ndarray of int
        Sorted positions in `windows`. In chronological order a time counts all that was recorded from the first
        training window on, windows of other parts in between included, in runs that hold training windows; drawn
        windows count from their onset to the next.

    Raises
    ------
    ConfigError
        If the order is unknown, or the budget is larger than what there is.
    DataError
        If it holds no window.

    Examples
    --------
    >>> table = pd.DataFrame({"session": "", "run": "1", "onset": np.arange(4.0), "length": 1})
    >>> table["stimulus"] = list("abab")
    >>> one = parse_budget("1 stimulus")
    >>> budget_windows(one, table, np.arange(4), order="chronological", seed=0, sfreq=1.0).tolist()
    [0, 2]
    """
    if order not in ORDERS:
        raise ConfigError(f"order: got {order!r}, expected one of {', '.join(ORDERS)}")
    shown = windows["stimulus"].astype(str).to_numpy()
    rows = rows[shown[rows] != ""]
    timed = in_time(windows)
    timed = timed[np.isin(timed, rows)]
    if order == "random":
        timed = np.random.default_rng(seed).permutation(timed)
    chosen, there = timed[:0], 0.0
    if budget.kind == "seconds":
        seconds = recorded_seconds(windows, sfreq)
        spent = _elapsed(windows, timed, seconds) if order == "chronological" else np.cumsum(seconds[timed])
        there = float(spent[-1]) if len(spent) else 0.0
        chosen = timed[spent <= budget.amount + 1e-9]
    elif budget.kind == "stimuli":
        names = list(dict.fromkeys(shown[timed]))
        there = len(names)
        chosen = timed[np.isin(shown[timed], names[: int(budget.amount)])]
    else:
        there = len(timed)
        count = int(budget.amount) if budget.kind == "trials" else max(1, round(budget.amount * len(timed)))
        chosen = timed[:count]
    if budget.kind != "share" and budget.amount > there + 1e-9:
        raise ConfigError(f"budget: got {budget.text}, but there are {there:g} {budget.kind} to train on")
    if not len(chosen):
        raise DataError(f"budget: {budget.text} holds no training window, expected some")
    return np.sort(chosen)


def _elapsed(windows: pd.DataFrame, timed: NDArray[np.int64], seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Count recorded time from the first training window to the end of each, in runs with training windows."""
    runs = windows.groupby(["session", "run"], sort=False).ngroup().to_numpy()
    everything = in_time(windows)
    everything = everything[np.isin(runs[everything], runs[timed])]
    if len(timed):
        everything = everything[int(np.flatnonzero(everything == timed[0])[0]) :]
    spent = np.zeros(len(windows))
    spent[everything] = np.cumsum(seconds[everything])
    return spent[timed]


def budget_split(
    split: Split,
    subject: str,
    rows: NDArray[np.int64],
    budget: Budget,
    *,
    stimuli: NDArray[np.str_],
    fold: int,
    seed: int,
) -> Split:
    """Part a budget into training and validation, by the split's own unit; the subject's test windows stay.

    Parameters
    ----------
    split : Split
        The study's.
    subject : str
        The new subject.
    rows : ndarray of int
        What `budget_windows` chose: training windows of the fold.
    budget : Budget
        For the rule's text.
    stimuli : ndarray of str
        What each of the rows shows: at least two stimuli are trained on, and two validate.
    fold : int
        Of the study's split.
    seed : int
        Draws the units that validate.

    Returns
    -------
    Split
        One fold with windows of this subject alone; all outside of budget and test belong to no part.

    Raises
    ------
    DataError
        If the budget has too few stimuli or units to hold some out.
    """
    outside = np.setdiff1d(rows, split.rows(subject, "train", fold=fold))
    if len(outside):
        raise DataError(f"budget: window {outside[0]} of {subject} is no training window of fold {fold}")
    units = split.units(rows, subject)
    names = np.random.default_rng([seed, 7]).permutation(np.unique(units))
    count = max(1, round(VALIDATION_SHARE * len(names)))
    while count < len(names) and len(np.unique(stimuli[np.isin(units, names[:count])])) < FEWEST_STIMULI:
        count += 1
    validating = names[:count]
    if len(np.unique(stimuli[~np.isin(units, validating)])) < FEWEST_STIMULI:
        raise DataError(
            f"budget: {budget.text} of {subject} holds {len(np.unique(stimuli))} stimuli in {len(names)} unit(s) of "
            f"the split ({split.unit}), expected {FEWEST_STIMULI} to train on and {FEWEST_STIMULI} more to validate on"
        )
    table = split.table[split.table["subject"] == subject][["subject", "window", "unit"]].copy()
    sides = dict(zip(rows.tolist(), np.where(np.isin(units, validating), "val", "train").tolist(), strict=True))
    sides |= dict.fromkeys(split.rows(subject, "test", fold=fold).tolist(), "test")
    table["fold_0"] = [sides.get(int(window), "") for window in table["window"]]
    rule = f"{split.rule}; fold {fold}; of {subject} a budget of {budget.text}, a fifth of whose units validates"
    return Split(table.reset_index(drop=True), split.unit, rule, seed)
