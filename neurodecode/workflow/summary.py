"""A result as a table in the terminal."""

from rich.table import Table

from neurodecode.core.results import Results
from neurodecode.evaluation.pictures import CONDITIONS
from neurodecode.evaluation.report_tables import asked_for
from neurodecode.evaluation.style import in_order, look_of, metric_name

#: Shown in the terminal, which is narrow; the report has all.
PICTURE_METRICS = ("pixcorr", "ssim", "two_way_alexnet5", "two_way_efficientnet")


def results_table(results: Results) -> Table:
    """Lay out the mean records of a result: models in rows; value, interval, chance and null of each metric.

    Parameters
    ----------
    results : Results
        A finished result.

    Returns
    -------
    rich.table.Table
        Ready to print. A simulated study is called so in the title.
    """
    mean = [score for score in results.scores if score.subject == "mean" and score.direction == "image_given_brain"]
    known = {score.metric for score in mean}
    balanced: list[str] = [name for name in ("balanced_top1", "balanced_top5") if name in known]
    metrics = balanced or [name for name in ("top1", "top5", "auc") if name in known]
    chosen = {(score.model, score.metric): score for score in mean}
    title = f"{results.study.get('name', 'result')}: {asked_for(results)} given brain, mean over subjects"
    table = Table(title=title + (" - SIMULATED DATA" if results.simulated else ""), title_justify="left")
    table.add_column("model")
    for name in metrics:
        table.add_column(metric_name(name), justify="right")
        table.add_column("95 % interval", justify="right", style="dim")
        table.add_column("null 95 %", justify="right", style="dim")
    models = in_order([score.model for score in mean if score.metric in metrics])
    for model in models:
        cells = []
        for name in metrics:
            score = chosen.get((model, name))
            cells += (
                ["", "", ""]
                if score is None
                else [f"{score.value:.3f}", f"{score.low:.3f} to {score.high:.3f}", f"{score.null_95:.3f}"]
            )
        table.add_row(look_of(model).name, *cells)
    for name in metrics:
        first = next(score for score in mean if score.metric == name)
        table.caption = f"{table.caption or ''} chance {metric_name(name)}: {first.chance:.3f}".strip()
    return table


def pictures_table(results: Results) -> Table:
    """Lay out the mean records of reconstructions: conditions in rows, metrics with their intervals in columns.

    Parameters
    ----------
    results : Results
        With records of reconstructions.

    Returns
    -------
    rich.table.Table
        Ready to print. A simulated study is called so in the title.
    """
    mean = [score for score in results.scores if score.subject == "mean" and score.model in CONDITIONS]
    metrics = list(dict.fromkeys(score.metric for score in mean if score.metric in PICTURE_METRICS))
    chosen = {(score.model, score.metric): score for score in mean}
    title = f"{results.study.get('name', 'result')}: pictures, mean over subjects"
    table = Table(title=title + (" - SIMULATED DATA" if results.simulated else ""), title_justify="left")
    table.add_column("condition")
    for name in metrics:
        table.add_column(metric_name(name), justify="right")
        table.add_column("95 % interval", justify="right", style="dim")
    for model in in_order(list(dict.fromkeys(score.model for score in mean))):
        cells = []
        for name in metrics:
            score = chosen.get((model, name))
            cells += ["", ""] if score is None else [f"{score.value:.3f}", f"{score.low:.3f} to {score.high:.3f}"]
        table.add_row(look_of(model).name, *cells)
    chances = {name: next(score.chance for score in mean if score.metric == name) for name in metrics}
    table.caption = "chance: " + ", ".join(f"{metric_name(name)} {value:.3f}" for name, value in chances.items())
    return table
