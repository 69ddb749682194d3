"""A new subject from a budget of data: every budget and strategy a cell, each kept, and one table."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from neurodecode.core.budget import parse_budget
from neurodecode.core.files import atomic_path, fingerprint, read_json, sha256_of_file, write_json, write_table
from neurodecode.core.kept import computed_by
from neurodecode.core.prepared import PreparedStudy
from neurodecode.core.provenance import versions
from neurodecode.encoders.linear.group_prior import GRIDS
from neurodecode.evaluation.adaptation_figure import learning_curve_of
from neurodecode.evaluation.style import figure_bytes
from neurodecode.training.adaptation import NETWORK_STRATEGIES, Source, read_source
from neurodecode.workflow.adapt_cells import rank_cell
from neurodecode.workflow.adapt_checks import check_people, check_source, possible_strategies
from neurodecode.workflow.adapt_group import Group
from neurodecode.workflow.adapt_plan import ALL, SCRATCH, AdaptationPlan
from neurodecode.workflow.adapt_scores import gap_closed, query_ranks, score_cell
from neurodecode.workflow.bank import TargetBank
from neurodecode.workflow.budget_study import budget_study
from neurodecode.workflow.checkpoint import find_checkpoint

TABLE, SUMMARY, FIGURE = "adaptation.csv", "adaptation.json", "adaptation.png"
#: What fits a cell.
FITTING = (
    ["neurodecode.core.transforms", "neurodecode.core.session_scaling", "neurodecode.core.budget",
     "neurodecode.training", "neurodecode.encoders.brain", "neurodecode.encoders.linear",
     "neurodecode.workflow.adapt_cells", "neurodecode.workflow.adapt_group", "neurodecode.workflow.adapt_network"],
    ["numpy", "scipy", "torch", "lightning"],
)  # fmt: skip


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
        check_source(source, prepared, bank)
    strategies = plan.strategies or possible_strategies(prepared, plan.subject, others, source, channels=plan.channels)
    places = {name: targets / name for name in bank.layers}
    group = Group(prepared, bank, plan.subject, others, output / "group", seed=plan.seed, channels=plan.channels)
    if any(name in GRIDS for name in strategies):
        group.channels()
    jobs = [(parse_budget(text).text, name) for text in plan.budgets for name in (SCRATCH, *strategies)]
    jobs += [(ALL, SCRATCH)] if plan.ceiling else []
    # All budgets are taken before anything is fitted, so that one that is too large or too small is told at once.
    studies = {job: _study_of(plan, prepared, source, output, *job) for job in jobs}
    rows: list[dict[str, Any]] = []
    answers: dict[tuple[str, str], list[float]] = {}
    for (text, name), (study, n_windows) in studies.items():
        label = label_of(plan, text, name)
        key = _cell_key(plan, study, bank, others, source, name)
        path = output / "cells" / f"{label}.json"
        known = read_json(path) if path.is_file() else {}
        if known.get("key") == key:
            progress(f"{text}, {name}: done before")
        else:
            progress(f"{text}, {name}")
            cell = rank_cell(
                study, plan.subject, bank, places, name,
                source=source, group=group, networks=output / "networks" / label, seed=plan.seed, epochs=plan.epochs,
            )  # fmt: skip
            scores = score_cell(cell, prepared, text, seed=plan.seed)
            known = {
                "key": key, "budget": text, "windows": n_windows, "strategy": name,
                "chosen": cell.chosen, "report": cell.report, "scores": [score.to_dict() for score in scores],
                "ranks": query_ranks(cell),
            }  # fmt: skip
            write_json(path, known)
        about = {key: known[key] for key in ("budget", "windows", "strategy", "chosen")}
        answers[text, name] = known.get("ranks", [])
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
            "channels": plan.channels,
            "seed": plan.seed,
            "split_hash": prepared.split.hash,
            "checkpoint": None if source is None else {"path": str(source.path), "sha256": sha256_of_file(source.path)},
            "targets": bank.describe()["digest"],
            "versions": versions(),
            "gap_closed": gap_closed(table, answers, seed=plan.seed),
            "rows": table.astype(object).where(table.notna(), None).to_dict(orient="records"),
        },
    )
    return table


def label_of(plan: AdaptationPlan, text: str, name: str) -> str:
    """Name a cell's files.

    Examples
    --------
    >>> label_of(AdaptationPlan("sub-01", ("10%",), ("ridge",)), "10%", "ridge")
    'sub-01_10percent_chronological_ridge'
    """
    return f"{plan.subject}_{text.replace(' ', '').replace('%', 'percent')}_{plan.order}_{name}"


def _study_of(
    plan: AdaptationPlan, prepared: PreparedStudy, source: Source | None, output: Path, text: str, name: str
) -> tuple[PreparedStudy, int]:
    """Give the study that a cell is fitted on, and how many windows of the new subject it may use."""
    if text == ALL:
        return prepared, sum(len(prepared.split.rows(plan.subject, part)) for part in ("train", "val"))
    company: tuple[str, ...] = ()
    if name in NETWORK_STRATEGIES and NETWORK_STRATEGIES[name].company and source is not None:
        company = tuple(person for person in source.subjects if person in prepared.subjects)
    place = output / "budgets" / label_of(plan, text, "company" if company else "alone")
    study = budget_study(
        prepared, plan.subject, parse_budget(text), place, order=plan.order, seed=plan.seed, company=company
    )
    return study, int(study.header["budget"]["windows"])


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
            "others": None if name == SCRATCH else [list(others), plan.channels],
            "source": sha256_of_file(source.path) if source is not None and network else None,
            "epochs": plan.epochs if network else None,
            "strategy": name,
            "seed": plan.seed,
        }
    )
