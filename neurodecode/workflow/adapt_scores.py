"""Scores of an adaptation's cells, and which part of the gap to all data each closes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from neurodecode.core.prepared import PreparedStudy
from neurodecode.core.scores import Score, protocol_label
from neurodecode.encoders.linear.selection import ranks, truth_index
from neurodecode.evaluation.answers import Answers
from neurodecode.evaluation.retrieval import evaluate_retrieval
from neurodecode.workflow.adapt_cells import Cell
from neurodecode.workflow.adapt_plan import ALL, SCRATCH

METRICS = ("top1", "top5", "mrr", "mean_rank")
#: Resamplings of the test items for the interval of a gap.
DRAWS = 2000


def score_cell(cell: Cell, prepared: PreparedStudy, budget: str, *, seed: int) -> list[Score]:
    """Score a cell in both directions, with interval, chance and null.

    Parameters
    ----------
    cell : Cell
        Its answers.
    prepared : PreparedStudy
        The study.
    budget : str
        For the protocol label; `ALL` and what is trained from scratch are within-subject.
    seed : int
        Of bootstrap and permutations.

    Returns
    -------
    list of Score
        Of the one subject, metrics `METRICS`.
    """
    items = cell.items
    low, high = int(items.test.repetitions.min()), int(items.test.repetitions.max())
    averaged = f"signals x {low}" if low == high else f"signals x {low} to {high}"
    own = cell.strategy == SCRATCH
    label = protocol_label(
        "within-subject" if own else "adapted",
        unit=prepared.split.unit,
        averaged=averaged,
        gallery=f"{len(cell.candidates)} test stimuli",
        weights="best by validation",
        budget="" if own else budget,
    )
    by_unit = prepared.info["averaging"] != "stimulus"
    answers = Answers(
        cell.scores,
        items.test.stimulus.tolist(),
        cell.candidates,
        units=items.test.group.tolist() if by_unit else None,
    )
    note = f"trained from scratch on {budget} of the training windows" if own and budget != ALL else ""
    found = evaluate_retrieval(
        {(cell.strategy, cell.subject): answers},
        protocol=label,
        averaged=averaged,
        simulated=prepared.simulated,
        seed=seed,
        notes={cell.strategy: note},
    )
    return [score for score in found.scores if score.subject == cell.subject and score.metric in METRICS]


def query_ranks(cell: Cell) -> list[float]:
    """Give the rank of the right candidate for every test item, ties at their mean rank."""
    truth = truth_index(cell.items.test.stimulus, np.asarray(cell.candidates, dtype=np.str_))
    return [float(rank) for rank in ranks(cell.scores.astype(np.float64), truth)]


def gap_closed(
    table: pd.DataFrame,
    answers: Mapping[tuple[str, str], Sequence[float]] | None = None,
    *,
    metrics: Sequence[str] = ("top1", "top5"),
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Tell which part of the way from scratch on the budget to scratch on all data each strategy goes.

    Parameters
    ----------
    table : pandas.DataFrame
        Of `run_adaptation`.
    answers : mapping of (budget, strategy) to sequence of float, optional
        Of `query_ranks`, for the interval: the same test items are drawn again for all three scores.
    metrics : sequence of str
        For the direction ``image_given_brain``.
    seed : int
        Of the bootstrap.

    Returns
    -------
    list of dict
        ``budget, strategy, metric, from, to, value, closed, low, high``; `closed` is None where all data are no better,
        the 95 % interval where that is so in more than one draw of forty, or answers are missing.

    Examples
    --------
    >>> rows = [("10%", "scratch", 0.2), ("10%", "full", 0.5), ("all", "scratch", 0.8)]
    >>> table = pd.DataFrame(rows, columns=["budget", "strategy", "value"])
    >>> table = table.assign(metric="top1", direction="image_given_brain")
    >>> [round(row["closed"], 2) for row in gap_closed(table)]
    [0.5]
    """
    mine = table[table["direction"] == "image_given_brain"]
    names = [mine[column].astype(str) for column in ("budget", "strategy", "metric")]
    here = dict(zip(zip(*names, strict=True), mine["value"].astype(float), strict=True))
    found: list[dict[str, Any]] = []
    for (budget, strategy, metric), value in here.items():
        if strategy == SCRATCH or metric not in metrics or (ALL, SCRATCH, metric) not in here:
            continue
        low, high = here[budget, SCRATCH, metric], here[ALL, SCRATCH, metric]
        closed = (value - low) / (high - low) if high > low else None
        sides = [(answers or {}).get(key, ()) for key in ((budget, SCRATCH), (ALL, SCRATCH), (budget, strategy))]
        interval = _interval(sides, metric, seed) if all(len(side) for side in sides) else (None, None)
        found.append(
            {"budget": budget, "strategy": strategy, "metric": metric, "from": low, "to": high, "value": value,
             "closed": closed, "low": interval[0], "high": interval[1]}
        )  # fmt: skip
    return found


def _interval(sides: Sequence[Sequence[float]], metric: str, seed: int) -> tuple[float | None, float | None]:
    """Resample test items: the same ones from scratch, on all data and for a strategy."""
    hits = np.asarray(sides, dtype=np.float64) <= float(metric.removeprefix("top"))
    drawn = np.random.default_rng(seed).integers(0, hits.shape[1], (DRAWS, hits.shape[1]))
    low, high, value = hits[:, drawn].mean(axis=2)
    if (high <= low).mean() > 0.025:
        return None, None
    closed = (value - low)[high > low] / (high - low)[high > low]
    ends = np.quantile(closed, [0.025, 0.975])
    return float(ends[0]), float(ends[1])
