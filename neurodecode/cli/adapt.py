"""Adapt to a new subject from a budget of data, and draw the learning curve."""

from pathlib import Path
from typing import Literal


def run(
    study: Path,
    targets: Path,
    subject: str,
    *,
    checkpoint: Path | None = None,
    budget: list[str] | None = None,
    order: Literal["chronological", "random"] = "chronological",
    strategies: list[str] | None = None,
    others: list[str] | None = None,
    seed: int = 0,
    epochs: int = 60,
    ceiling: bool = True,
    channels: Literal["same", "common"] = "same",
    output: Path | None = None,
) -> None:
    """Adapt to a new subject from budgets of its training data, beside training from scratch on the same data.

    Beside every strategy stands training from scratch on the same data: the best of ridge, encoding model and network,
    chosen by the budget's own validation. Every finished cell (a strategy on a budget) is kept; an interrupted run goes
    on.

    Parameters
    ----------
    study : Path
        Prepared study with the new subject and the others, as `neurodecode prepare` writes it.
    targets : Path
        Folder of targets, as `neurodecode embed` writes it: one subfolder a layer.
    subject : str
        The new subject.
    checkpoint : Path, optional
        Network that `neurodecode fit` trained on other subjects of this study, or the folder it lies in. Without it
        there are the strategies of the group's linear model.
    budget : list of str, optional
        How much of the new subject's training windows: such as 15min, 1h, '200 trials', '50 stimuli' or 10%, one or
        several, for a curve; 10% by default.
    order : str
        Which windows: the first ones, or drawn with the seed.
    strategies : list of str, optional
        Some of zero-shot, front-end, reset, full and lora, which adapt the network of the checkpoint, and group, ridge
        and group-prior, which adapt the others' linear model; by default all that the channels allow.
    others : list of str, optional
        Of whom the group consists; by default those of the checkpoint, or all but the new subject.
    seed : int
        Of draws, weights, inner folds, bootstrap and permutations.
    epochs : int
        Most epochs of an adapted network; validation inside the budget stops it earlier.
    ceiling : bool
        Whether training from scratch is also run on all of the subject's data, the upper end of the gap.
    channels : str
        For the group's linear model: all people must have the same channels, or those that all have in common are used.
    output : Path, optional
        Folder of the result; by default outputs/adapt/, the study's and the subject's name.
    """
    from rich.console import Console
    from rich.table import Table

    from neurodecode.core.files import read_json
    from neurodecode.core.prepared import PreparedStudy
    from neurodecode.workflow.adapt import FIGURE, SUMMARY, TABLE, run_adaptation
    from neurodecode.workflow.adapt_plan import AdaptationPlan

    prepared = PreparedStudy(study)
    plan = AdaptationPlan(
        subject,
        tuple(budget or ("10%",)),
        tuple(name.replace("-", "_") for name in strategies or ()),
        order=order,
        seed=seed,
        checkpoint=checkpoint,
        others=tuple(others or ()),
        epochs=epochs,
        ceiling=ceiling,
        channels=channels,
    )
    folder = Path("outputs/adapt") / prepared.name / subject if output is None else output
    console = Console()
    table = run_adaptation(plan, prepared, targets, folder, progress=lambda text: console.print(f"Cell {text}"))
    mine = table[table["direction"] == "image_given_brain"]
    here = {(row["budget"], row["strategy"], row["metric"]): row for row in mine.to_dict(orient="records")}
    metrics = [metric for metric in ("top1", "top5") if metric in set(table["metric"])]
    simulated = " - SIMULATED DATA" if prepared.simulated else ""
    first = table.iloc[0]
    shown = Table(
        title=f"{subject} of {prepared.name}, {order} budgets, {first['n_candidates']} candidates{simulated}",
        title_justify="left",
    )
    for heading in ("budget", "windows", "strategy"):
        shown.add_column(heading)
    for metric in metrics:
        shown.add_column(f"{metric} [95 %]", justify="right")
        shown.add_column("gap closed", justify="right", style="dim")
    gaps = read_json(folder / SUMMARY)["gap_closed"]
    closed = {(row["budget"], row["strategy"], row["metric"]): row for row in gaps if row["closed"] is not None}
    for text, strategy in dict.fromkeys((key[0], key[1]) for key in here):
        cells = []
        for metric in metrics:
            row, part = here[text, strategy, metric], closed.get((text, strategy, metric))
            cells += [
                f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]",
                "" if part is None else _with_interval(part["closed"], part["low"], part["high"]),
            ]
        shown.add_row(text, str(here[text, strategy, metrics[0]]["windows"]), strategy, *cells)
    console.print(shown)
    for metric in metrics:
        rows = mine[mine["metric"] == metric]
        console.print(f"{metric}: chance {rows['chance'].iloc[0]:.3f}, null's 95 % point {rows['null_95'].max():.3f}")
    console.print(f"Table: {folder / TABLE}; figure: {folder / FIGURE}")


def _with_interval(value: float, low: float | None, high: float | None) -> str:
    return f"{value:.2f}" if low is None or high is None else f"{value:.2f} [{low:.2f}, {high:.2f}]"
