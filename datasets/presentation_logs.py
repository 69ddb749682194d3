"""Log files of the program Presentation, and how their clock is matched with the triggers in a recording."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import DataError

BEGIN = "Scenario -"
UNIT = 1e-4
# Rows that are in the second table as well.
SHOWN = ("Picture", "Sound", "Nothing")
# How far one event may be from where the one before puts it, and how far the two clocks may part in an hour (s).
REACH, DRIFT = 0.3, 0.5
FEWEST_MATCHED = 0.9
LARGEST_JUMP = 0.05
RANK_CORRELATION = 0.9999


def read_log(path: Path) -> pd.DataFrame:
    """Read the first table of a log file, checked against the second.

    Some logs hold the whole text twice; the first is read. A row that is broken after a full stop is mended.

    Parameters
    ----------
    path : Path
        Tab-separated text with two tables and blank lines around them.

    Returns
    -------
    pandas.DataFrame
        `event` (``Picture``, ``Sound``, ``Nothing``, ``Response`` ...), `code`, `time` (s, may be negative) and `line`
        (in the file, from 1).

    Raises
    ------
    DataError
        If there is no such text or table, a time is no number, or the two tables differ, naming the line.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not readable as text ({error})") from None
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    begins = [number for number, line in enumerate(lines) if line.startswith(BEGIN)]
    if not begins:
        raise DataError(f"{path}: no line begins with {BEGIN!r}, expected a log of Presentation")
    end = begins[1] if len(begins) > 1 else len(lines)
    first, after = _table(lines, begins[0], end, path)
    second, _ = _table(lines, after, end, path)
    for name, table in (("first", first), ("second", second)):
        missing = [column for column in ("Event Type", "Code", "Time") if column not in table.columns]
        if missing:
            raise DataError(f"{path}: the {name} table has no column {missing[0]!r}, got {', '.join(table.columns)}")
    _check_tables(first, second, path)
    time = pd.to_numeric(first["Time"], errors="coerce")
    # The last row says that the scenario was quit.
    told = ~first["Event Type"].isin(["Quit", ""]) & (first["Code"] != "")
    if time[told].isna().any():
        row = int(np.argmax(time[told].isna()))
        raise DataError(f"{path}: line {first['line'][told].iloc[row]}: Time is {first['Time'][told].iloc[row]!r}")
    log = pd.DataFrame(
        {"event": first["Event Type"], "code": first["Code"], "time": time * UNIT, "line": first["line"]}
    )
    return log[told].reset_index(drop=True)


def _table(lines: Sequence[str], begin: int, end: int, path: Path) -> tuple[pd.DataFrame, int]:
    """Read the table whose header comes next; give also the line after it."""
    head = next((row for row in range(begin, end) if "Uncertainty" in lines[row].split("\t")), None)
    if head is None:
        raise DataError(f"{path}: line {begin + 1} on: no header with a column 'Uncertainty', expected two tables")
    names: list[str] = []
    for name in lines[head].split("\t"):
        # There are two columns of that name: of the time, and of the duration.
        names.append(f"{name} of the {names[-1].lower()}" if name == "Uncertainty" and names else name)
    rows: list[list[str]] = []
    numbers: list[int] = []
    at = head + 1
    while at < end:
        line = lines[at]
        if not line.strip():
            if rows:
                break
        elif rows and len(rows[-1]) < len(names) and rows[-1][-1].endswith("."):
            rest = line.split("\t")
            rows[-1] = [*rows[-1][:-1], rows[-1][-1] + rest[0], *rest[1:]]
        else:
            rows.append(line.split("\t"))
            numbers.append(at + 1)
        at += 1
    cells = [[*row[: len(names)], *[""] * (len(names) - len(row))] for row in rows]
    table = pd.DataFrame(cells, columns=names, dtype=str) if cells else pd.DataFrame({name: [] for name in names})
    return table.assign(line=numbers), at


def _check_tables(first: pd.DataFrame, second: pd.DataFrame, path: Path) -> None:
    """Prove that both tables tell of the same events."""
    mine = first[first["Event Type"].isin(SHOWN)].reset_index(drop=True)
    if len(mine) != len(second):
        raise DataError(
            f"{path}: {len(mine)} rows of {', '.join(SHOWN)} in the first table, but {len(second)} rows in the second"
        )
    for column in ("Event Type", "Code", "Time"):
        differs = (mine[column] != second[column]).to_numpy()
        if differs.any():
            row = int(np.argmax(differs))
            raise DataError(
                f"{path}: line {second['line'].iloc[row]}: {column} is {second[column].iloc[row]!r}, expected "
                f"{mine[column].iloc[row]!r} as in line {mine['line'].iloc[row]}"
            )


def match_clocks(
    log_times: NDArray[np.float64],
    log_kinds: NDArray[np.int64],
    trigger_times: NDArray[np.float64],
    trigger_kinds: NDArray[np.int64],
    *,
    where: str,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find which trigger belongs to which event of the log, and prove it.

    The delay that most pairs of one kind share is found first; then each event is looked for where the one before puts
    it. Missing and additional triggers are allowed, a tenth of them.

    Parameters
    ----------
    log_times, log_kinds : ndarray
        Events of the log: seconds of its clock, in order, and what they are.
    trigger_times, trigger_kinds : ndarray
        Triggers: seconds of the recording, in order, and what they are.
    where : str
        The files, for messages.

    Returns
    -------
    log_rows, trigger_rows : ndarray of int
        The matched pairs.

    Raises
    ------
    DataError
        If too few are matched, another delay would do as well, a clock jumps, or the order differs (rank correlation of
        the times below 0.9999).

    Examples
    --------
    >>> times = np.array([0.0, 3.1, 7.7, 9.0])
    >>> kinds = np.array([10, 20, 20, 20])
    >>> match_clocks(times, kinds, times[[0, 1, 3]] + 5, kinds[[0, 1, 3]], where="a.log")[0].tolist()
    [0, 1, 3]
    """
    if not len(log_times) or not len(trigger_times):
        raise DataError(f"{where}: {len(log_times)} events in the log and {len(trigger_times)} triggers, expected some")
    delay, votes, others = _shared_delay(log_times, log_kinds, trigger_times, trigger_kinds)
    pairs: list[tuple[int, int]] = []
    unused = np.ones(len(trigger_times), dtype=bool)
    for row, (time, kind) in enumerate(zip(log_times, log_kinds, strict=True)):
        off = np.abs(trigger_times - (time + delay))
        off[(trigger_kinds != kind) | ~unused] = np.inf
        nearest = int(np.argmin(off))
        if off[nearest] <= REACH:
            pairs.append((row, nearest))
            unused[: nearest + 1] = False
            delay = float(trigger_times[nearest] - time)
    fewest = FEWEST_MATCHED * max(2.0, min(len(log_times), len(trigger_times)))
    if len(pairs) < fewest:
        lost = next(row for row in range(len(log_times)) if row not in {pair[0] for pair in pairs})
        raise DataError(
            f"{where}: {len(pairs)} of {len(log_times)} events found among {len(trigger_times)} triggers, expected at "
            f"least {int(np.ceil(fewest))}; the first without one is event {lost + 1} ({log_kinds[lost]}) at "
            f"{log_times[lost]:.3f} s"
        )
    if others >= FEWEST_MATCHED * votes:
        raise DataError(f"{where}: another delay of the clocks fits {others} pairs, the best one {votes}: ambiguous")
    log_rows, trigger_rows = (np.array(column, dtype=np.int64) for column in zip(*pairs, strict=True))
    delays = trigger_times[trigger_rows] - log_times[log_rows]
    jumps = np.abs(np.diff(delays))
    if (jumps > LARGEST_JUMP).any():
        row = int(np.argmax(jumps > LARGEST_JUMP)) + 1
        raise DataError(
            f"{where}: the delay of the clocks jumps by {jumps[row - 1]:.3f} s at event {log_rows[row] + 1} "
            f"({log_times[log_rows[row]]:.3f} s), expected at most {LARGEST_JUMP:g} s"
        )
    rank = _rank_correlation(log_times[log_rows], trigger_times[trigger_rows])
    if not rank > RANK_CORRELATION:
        raise DataError(f"{where}: rank correlation of log and triggers {rank:.5f}, expected above {RANK_CORRELATION}")
    return log_rows, trigger_rows


def _shared_delay(
    log_times: NDArray[np.float64],
    log_kinds: NDArray[np.int64],
    trigger_times: NDArray[np.float64],
    trigger_kinds: NDArray[np.int64],
) -> tuple[float, int, int]:
    """Find the delay that most pairs share, how many do, and how many share the next best that is another one."""
    same = log_kinds[:, None] == trigger_kinds[None]
    delays = np.sort((trigger_times[None] - log_times[:, None])[same])
    if not len(delays):
        return 0.0, 0, 0
    stop = np.searchsorted(delays, delays + DRIFT, side="right")
    counts = stop - np.arange(len(delays))
    best = int(np.argmax(counts))
    inside = delays[best : stop[best]]
    other = (delays > inside[-1] + DRIFT) | (delays < inside[0] - 2 * DRIFT)
    return float(np.median(inside)), int(counts[best]), int(counts[other].max(initial=0))


def _rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(first, second).statistic)


def to_recording(
    times: NDArray[np.float64], log_times: NDArray[np.float64], trigger_times: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Turn times of the log into times of the recording: between matched events by interpolation, else by the next one.

    Parameters
    ----------
    times : ndarray
        Seconds of the log's clock.
    log_times, trigger_times : ndarray
        Matched events in both clocks, in order.

    Returns
    -------
    ndarray of float64
        Seconds of the recording.

    Examples
    --------
    >>> to_recording(np.array([-1.0, 1.0, 5.0]), np.array([0.0, 2.0]), np.array([10.0, 12.5])).tolist()
    [9.0, 11.25, 15.5]
    """
    delay: NDArray[np.float64] = np.interp(times, log_times, trigger_times - log_times)
    return times + delay
