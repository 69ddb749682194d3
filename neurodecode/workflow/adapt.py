"""A new subject from a budget of data: every budget and strategy a cell, each kept, and one table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from neurodecode.core.budget import ORDERS, Order, parse_budget
from neurodecode.core.errors import ConfigError, suggestion
from neurodecode.core.files import atomic_path, fingerprint, read_json, sha256_of_file, write_json, write_table
from neurodecode.core.kept import computed_by
from neurodecode.core.prepared import PreparedStudy
from neurodecode.core.provenance import versions
from neurodecode.core.scores import Score, protocol_label
from neurodecode.encoders.linear.group_prior import GRIDS
from neurodecode.evaluation.adaptation_figure import learning_curve_of
from neurodecode.evaluation.answers import Answers
from neurodecode.evaluation.retrieval import evaluate_retrieval
from neurodecode.evaluation.style import figure_bytes
from neurodecode.training.adaptation import NETWORK_STRATEGIES, Source, read_source
from neurodecode.training.adaptation_fit import EPOCHS
from neurodecode.workflow.adapt_cells import SCRATCH, Cell, Group, rank_cell
from neurodecode.workflow.adapt_checks import check_people, check_source
from neurodecode.workflow.bank import TargetBank
from neurodecode.workflow.budget_study import budget_study
from neurodecode.workflow.checkpoint import find_checkpoint

TABLE, SUMMARY, FIGURE = "adaptation.csv", "adaptation.json", "adaptation.png"
#: What fits a cell.
FITTING = (
    ["neurodecode.core.transforms", "neurodecode.core.session_scaling", "neurodecode.core.budget",
     "neurodecode.training", "neurodecode.encoders.brain", "neurodecode.encoders.linear",
     "neurodecode.workflow.adapt_cells"],
    ["numpy", "scipy", "torch", "lightning"],
)  # fmt: skip
#: All training windows, with which the ceiling of the curve is fitted from scratch.
ALL = "all"
STRATEGIES: tuple[str, ...] = (*(name for name in NETWORK_STRATEGIES if name != SCRATCH), *GRIDS)
METRICS = ("top1", "top5", "mrr", "mean_rank")


@dataclass(frozen=True)
class AdaptationPlan:
    """What is run.

    Parameters
    ----------
    subject : str
        Who is new.
    budgets : tuple of str
        See `neurodecode.core.budget.parse_budget`.
    strategies : tuple of str
        Some of `STRATEGIES`. Training from scratch is always run beside them.
    order : str
        Of the budgets' windows.
    seed : int
        Of draws, weights and inner folds.
    checkpoint : Path, optional
        Network that was trained on other subjects; needed by the strategies that adapt a network.
    others : tuple of str
        Of whom the group consists; those of the checkpoint, or all but the new subject.
    epochs : int
        Most epochs of a network.
    ceiling : bool
        Whether the subject's own models are also fitted on all of its training and validation windows.
    """

    subject: str
    budgets: tuple[str, ...]
    strategies: tuple[str, ...]
    order: Order = "chronological"
    seed: int = 0
    checkpoint: Path | None = None
    others: tuple[str, ...] = ()
    epochs: int = EPOCHS
    ceiling: bool = True

    def __post_init__(self) -> None:
        for label, values in (("budgets", self.budgets), ("strategies", self.strategies)):
            if not values or len(set(values)) != len(values):
                raise ConfigError(f"{label}: got {', '.join(values) or 'none'}, expected some, each once")
        for budget in self.budgets:
            parse_budget(budget)
        if self.order not in ORDERS:
            raise ConfigError(f"order: got {self.order!r}, expected one of {', '.join(ORDERS)}")
        for name in self.strategies:
            if name not in STRATEGIES:
                raise ConfigError(
                    f"strategies: got {name!r}, expected some of {', '.join(STRATEGIES)}{suggestion(name, STRATEGIES)}"
                )
            if name in NETWORK_STRATEGIES and self.checkpoint is None:
                raise ConfigError(f"strategies: {name} adapts a network, expected --checkpoint")
        if self.epochs < 1:
            raise ConfigError(f"epochs: got {self.epochs}, expected at least 1")


def run_adaptation(
    plan: AdaptationPlan,
    prepared: PreparedStudy,
    targets: Path,
    output: Path,
    *,
    progress: Callable[[str], None] = lambda text: None,
) -> pd.DataFrame:
    """Adapt, rank and score every budget and strategy; what was finished before with the same plan is read.

    Parameters
    ----------
    plan : AdaptationPlan
        What is run.
    prepared : PreparedStudy
        The study, with the new subject and the others; one fold.
    targets : Path
        Folder of targets, one subfolder a layer.
    output : Path
        Gets a file a cell, the budgets' studies, ``adaptation.csv`` and ``adaptation.json``.
    progress : callable
        Told the cell that begins, or that it was finished before.

    Returns
    -------
    pandas.DataFrame
        One row a budget, strategy, direction and metric: ``budget, windows, strategy, metric, direction, value, low,
        high, chance, null_95, n_candidates, protocol, simulated`` and what the strategy chose.

    Raises
    ------
    ConfigError, DataError, LeakageError, MismatchError
        If study, checkpoint, subject and budgets do not fit together.
    """
    bank = TargetBank.open(targets)
    source = None if plan.checkpoint is None else read_source(find_checkpoint(plan.checkpoint))
    others = check_people(prepared, plan.subject, plan.others, () if source is None else source.subjects)
    if source is not None:
        check_source(source, prepared)
    places = {name: targets / name for name in bank.layers}
    group = Group(prepared, bank, plan.subject, others, output / "group", seed=plan.seed)
    rows: list[dict[str, Any]] = []
    jobs = [(budget, name) for budget in plan.budgets for name in (SCRATCH, *plan.strategies)]
    jobs += [(ALL, SCRATCH)] if plan.ceiling else []
    for text, name in jobs:
        label = f"{plan.subject}_{text.replace(' ', '').replace('%', 'percent')}_{plan.order}_{name}"
        if text == ALL:
            study = prepared
            n_windows = sum(len(prepared.split.rows(plan.subject, part)) for part in ("train", "val"))
        else:
            place = output / "budgets" / label.rsplit(f"_{name}", 1)[0]
            study = budget_study(prepared, plan.subject, parse_budget(text), place, order=plan.order, seed=plan.seed)
            n_windows = int(study.header["budget"]["windows"])
        key = _cell_key(plan, study, bank, others, source, name)
        path = output / "cells" / f"{label}.json"
        known = read_json(path) if path.is_file() else {}
        if known.get("key") == key:
            progress(f"{text}, {name}: done before")
        else:
            progress(f"{text}, {name}")
            cell = rank_cell(
                study, plan.subject, bank, places, name,
                source=source, group=group, seed=plan.seed, epochs=plan.epochs, whole=text == ALL,
            )  # fmt: skip
            scores = score_cell(cell, prepared, text, seed=plan.seed)
            known = {
                "key": key, "budget": text, "windows": n_windows, "strategy": name,
                "chosen": cell.chosen, "report": cell.report, "scores": [score.to_dict() for score in scores],
            }  # fmt: skip
            write_json(path, known)
        about = {key: known[key] for key in ("budget", "windows", "strategy", "chosen")}
        rows += [{**about, **one} for one in known["scores"]]
    table = pd.DataFrame(rows)
    write_table(output / TABLE, table)
    for metric in ("top5", "top1"):
        if metric in set(table["metric"]):
            with atomic_path(output / FIGURE) as temporary:
                temporary.write_bytes(figure_bytes(learning_curve_of(table, metric, subject=plan.subject, whole=ALL)))
            break
    write_json(
        output / SUMMARY,
        {
            "study": prepared.name,
            "simulated": prepared.simulated,
            "subject": plan.subject,
            "others": list(others),
            "order": plan.order,
            "seed": plan.seed,
            "split_hash": prepared.split.hash,
            "checkpoint": None if source is None else {"path": str(source.path), "sha256": sha256_of_file(source.path)},
            "targets": bank.describe()["digest"],
            "versions": versions(),
            "gap_closed": gap_closed(table),
            "rows": table.astype(object).where(table.notna(), None).to_dict(orient="records"),
        },
    )
    return table


def _cell_key(
    plan: AdaptationPlan,
    study: PreparedStudy,
    bank: TargetBank,
    others: Sequence[str],
    source: Source | None,
    name: str,
) -> str:
    network = name == SCRATCH or name in NETWORK_STRATEGIES
    return fingerprint(
        {
            "by": computed_by(*FITTING),
            "study": study.header["key"],
            "budget": study.header.get("budget"),
            "shuffled": study.header.get("shuffled"),
            "split": study.split.hash,
            "session_scaling": list(study.session_scaling),
            "targets": bank.describe()["digest"],
            "subject": plan.subject,
            "others": list(others) if name in GRIDS else None,
            "source": sha256_of_file(source.path) if source is not None and network else None,
            "epochs": plan.epochs if network else None,
            "strategy": name,
            "seed": plan.seed,
        }
    )


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


def gap_closed(table: pd.DataFrame, *, metrics: Sequence[str] = ("top1", "top5")) -> list[dict[str, Any]]:
    """Tell which part of the way from scratch on the budget to scratch on all data each strategy goes.

    Parameters
    ----------
    table : pandas.DataFrame
        Of `run_adaptation`.
    metrics : sequence of str
        For the direction ``image_given_brain``.

    Returns
    -------
    list of dict
        ``budget, strategy, metric, from, to, value, closed``; `closed` is None where all data are no better.

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
        found.append(
            {"budget": budget, "strategy": strategy, "metric": metric, "from": low, "to": high, "value": value,
             "closed": closed}
        )  # fmt: skip
    return found
