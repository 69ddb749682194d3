"""Figures drawn from score records alone, so that they can be drawn again from results.json."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from neurodecode.core.errors import DataError
from neurodecode.core.scores import Score, is_share, lower_is_better, plain_metric
from neurodecode.evaluation.style import (
    CHANCE,
    INK,
    MUTED,
    NULL,
    direction_name,
    house_style,
    in_order,
    look_of,
    metric_name,
    note_chance,
    put_title,
)


def retrieval_bars(scores: Sequence[Score], metric: str, direction: str = "image_given_brain") -> Figure:
    """Draw one bar a model: the mean over subjects, its interval, each subject, chance and the null.

    Parameters
    ----------
    scores : sequence of Score
        All records of a run; those of the metric and direction are taken.
    metric, direction : str
        Which records.

    Returns
    -------
    Figure
        Bars with the numbers beside them.
    """
    chosen = _chosen(scores, metric, direction)
    mean = {score.model: score for score in chosen if score.subject == "mean"}
    models = in_order(list(mean))
    first = mean[models[0]]
    with house_style():
        figure = Figure(figsize=(7.2, 1.5 + 0.36 * len(models)), layout="constrained")
        axes = figure.add_subplot()
        for row, model in enumerate(models):
            score, look = mean[model], look_of(model)
            axes.barh(row, score.value, height=0.62, color=look.colour, alpha=0.92)
            axes.plot([score.low, score.high], [row, row], color=INK, linewidth=1.4, solid_capstyle="butt", zorder=4)
            single = [other.value for other in chosen if other.model == model and other.subject != "mean"]
            spread = np.linspace(-0.17, 0.17, len(single)) if len(single) > 1 else np.zeros(len(single))
            axes.scatter(
                single, row + spread, s=13, facecolor="white", edgecolor=INK, linewidth=0.8, zorder=5, clip_on=False
            )
            axes.plot([score.null_95] * 2, [row - 0.36, row + 0.36], color=NULL, linewidth=1.6, zorder=4)
            text = f"{_number(score.value, metric)}  [{_number(score.low, metric)}, {_number(score.high, metric)}]"
            axes.annotate(
                text, (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize=8.5, annotation_clip=False
            )
        note_chance(axes, first.chance, vertical=True)
        axes.set_yticks(range(len(models)), [look_of(model).name for model in models])
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
        axes.set_xlim(left=0, right=1.0 if is_share(metric) else None)
        axes.set_xlabel(
            f"{metric_name(metric)} of {first.n_candidates}" + (" (lower is better)" if lower_is_better(metric) else "")
        )
        handles = [
            Line2D([], [], color=INK, linewidth=1.4, label="95 % interval"),
            Line2D([], [], marker="o", linestyle="", mfc="white", mec=INK, markersize=4, label="one subject"),
            Line2D([], [], color=CHANCE, linestyle=(0, (2, 2)), label=f"chance {first.chance:.4g}"),
            Line2D([], [], color=NULL, linewidth=1.6, label="null, 95 % point"),
        ]  # fmt: skip
        figure.legend(handles=handles, loc="outside lower left", ncols=4)
        _title(
            figure,
            chosen,
            f"Retrieval, {metric_name(metric)}: {direction_name(direction)}",
            f"averaged: {first.averaged}",
        )
    return figure


def repetition_curves(scores: Sequence[Score], metric: str = "curve_top5") -> Figure:
    """Draw how the mean over subjects grows with the number of repetitions averaged.

    Parameters
    ----------
    scores : sequence of Score
        All records of a run; those of the metric and subject ``mean`` are taken.
    metric : str
        Such as ``curve_top5``; `averaged` must end in ``x <number>``.

    Returns
    -------
    Figure
        One line a model with its interval, chance and the null's 95 % point.
    """
    chosen = [score for score in _chosen(scores, metric, "image_given_brain") if score.subject == "mean"]
    with house_style():
        figure = Figure(figsize=(7.2, 3.7), layout="constrained")
        axes = figure.add_subplot()
        for model in in_order([score.model for score in chosen]):
            mine = sorted((score for score in chosen if score.model == model), key=_repetitions)
            x = [_repetitions(score) for score in mine]
            look = look_of(model)
            axes.fill_between(
                x, [s.low for s in mine], [s.high for s in mine], color=look.colour, alpha=0.15, linewidth=0
            )
            axes.plot(
                x, [s.value for s in mine], color=look.colour, marker="o", markersize=4, linewidth=1.8, label=look.name
            )
        ticks = sorted({_repetitions(score) for score in chosen})
        worst = [max(score.null_95 for score in chosen if _repetitions(score) == n) for n in ticks]
        axes.plot(ticks, worst, color=NULL, linewidth=1.3, linestyle="-.", label="null, 95 % point (largest)")
        note_chance(axes, chosen[0].chance, vertical=False)
        axes.set_xscale("log")
        axes.set_xticks(ticks, [str(n) for n in ticks])
        axes.minorticks_off()
        axes.set_ylim(0, 1.02 if is_share(metric) else None)
        axes.grid(axis="y")
        axes.set_xlabel(f"repetitions averaged ({chosen[0].averaged.rsplit(' x ', 1)[0]})")
        axes.set_ylabel(f"{metric_name(metric)} of {chosen[0].n_candidates}")
        figure.legend(loc="outside right upper")
        _title(
            figure, chosen, f"More repetitions, {metric_name(metric)}", "mean over subjects; bands are 95 % intervals"
        )
    return figure


def subject_dots(scores: Sequence[Score], metric: str, direction: str = "image_given_brain") -> Figure:
    """Draw every subject of every model with its own interval.

    Parameters
    ----------
    scores : sequence of Score
        All records of a run.
    metric, direction : str
        Which records.

    Returns
    -------
    Figure
        Subjects side by side within each model.
    """
    chosen = [score for score in _chosen(scores, metric, direction) if score.subject != "mean"]
    models = in_order([score.model for score in chosen])
    subjects = sorted({score.subject for score in chosen})
    with house_style():
        figure = Figure(figsize=(7.2, 3.4), layout="constrained")
        axes = figure.add_subplot()
        offsets = np.linspace(-0.27, 0.27, len(subjects)) if len(subjects) > 1 else np.zeros(1)
        for column, model in enumerate(models):
            for offset, subject in zip(offsets, subjects, strict=True):
                for score in (s for s in chosen if s.model == model and s.subject == subject):
                    x, colour = column + offset, look_of(model).colour
                    axes.plot([x, x], [score.low, score.high], color=colour, linewidth=2.2, alpha=0.45, zorder=3)
                    axes.plot(x, score.value, "o", color=colour, markersize=5, zorder=4)
                    axes.plot([x - 0.07, x + 0.07], [score.null_95] * 2, color=NULL, linewidth=1.2, zorder=3)
        note_chance(axes, chosen[0].chance, vertical=False)
        axes.set_xticks(range(len(models)), [look_of(model).name.replace(" ", "\n") for model in models])
        axes.tick_params(axis="x", length=0)
        axes.set_ylim(0, 1.02 if is_share(metric) else None)
        axes.grid(axis="y")
        axes.set_ylabel(f"{metric_name(metric)} of {chosen[0].n_candidates}")
        handles = [
            Line2D([], [], color=CHANCE, linestyle=(0, (2, 2)), label="chance"),
            Line2D([], [], color=NULL, linewidth=1.2, label="null, 95 % point"),
        ]
        figure.legend(handles=handles, loc="outside lower left", ncols=2)
        _title(
            figure,
            chosen,
            f"Every subject, {metric_name(metric)}",
            f"from left: {', '.join(subjects)}; lines are 95 % intervals",
        )
    return figure


def reconstruction_bars(scores: Sequence[Score], subject: str = "mean") -> Figure:
    """Draw every picture metric for every condition: reconstruction, ceiling and controls.

    Parameters
    ----------
    scores : sequence of Score
        All records of a run; picture metrics are taken.
    subject : str
        Whose records.

    Returns
    -------
    Figure
        One panel a metric.
    """
    chosen = [score for score in scores if score.subject == subject and _is_picture_metric(score.metric)]
    if not chosen:
        raise DataError(f"figure of reconstructions: there is no picture score of {subject!r}")
    metrics = list(dict.fromkeys(score.metric for score in chosen))
    conditions = in_order([score.model for score in chosen])
    with house_style():
        width = min(10.5, 2.0 + 1.75 * len(metrics))
        figure = Figure(figsize=(max(width, 6.4), 1.5 + 0.3 * len(conditions)), layout="constrained")
        panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
        for axes, metric in zip(panels, metrics, strict=True):
            for row, condition in enumerate(conditions):
                for score in (s for s in chosen if s.metric == metric and s.model == condition):
                    axes.barh(row, score.value, height=0.62, color=look_of(condition).colour)
                    axes.plot([score.low, score.high], [row, row], color=INK, linewidth=1.3, zorder=4)
                    axes.plot([score.null_95] * 2, [row - 0.36, row + 0.36], color=NULL, linewidth=1.5, zorder=4)
                    axes.plot(
                        [score.chance] * 2, [row - 0.36, row + 0.36], color=CHANCE, linewidth=1.2, linestyle=(0, (1, 1))
                    )
            axes.set_title(metric_name(metric).replace(", ", "\n"))
            axes.grid(axis="x")
            axes.axvline(0, color=MUTED, linewidth=0.8)
            axes.tick_params(axis="y", length=0)
            if is_share(metric):
                axes.set_xlim(0, 1)
        panels[0].set_yticks(range(len(conditions)), [look_of(name).name for name in conditions])
        panels[0].invert_yaxis()
        handles = [
            Line2D([], [], color=INK, linewidth=1.3, label="95 % interval"),
            Line2D([], [], color=CHANCE, linestyle=(0, (1, 1)), label="chance"),
            Line2D([], [], color=NULL, linewidth=1.5, label="null, 95 % point"),
            Patch(color=look_of("true_embedding").colour, label="ceiling"),
        ]
        figure.legend(handles=handles, loc="outside lower left", ncols=4)
        _title(
            figure,
            chosen,
            f"Pictures: {chosen[0].n_queries} test stimuli of {'each subject' if subject == 'mean' else subject}",
            "all samples scored and averaged",
        )
    return figure


def _chosen(scores: Sequence[Score], metric: str, direction: str) -> list[Score]:
    chosen = [score for score in scores if score.metric == metric and score.direction == direction]
    if not chosen:
        raise DataError(f"figure of {metric} {direction}: there is no such score")
    return chosen


def _title(figure: Figure, chosen: Sequence[Score], text: str, detail: str) -> None:
    put_title(figure, text, simulated=any(score.simulated for score in chosen), detail=detail)


def _repetitions(score: Score) -> int:
    number = score.averaged.rsplit(" x ", 1)[-1]
    if not number.isdigit():
        raise DataError(f"repetition curve: 'averaged' is {score.averaged!r}, expected to end in ' x <number>'")
    return int(number)


def _number(value: float, metric: str) -> str:
    return f"{value:.1f}" if lower_is_better(metric) else f"{value:.3f}" if abs(value) < 0.1 else f"{value:.2f}"


def _is_picture_metric(metric: str) -> bool:
    return plain_metric(metric) in ("pixcorr", "ssim") or metric.startswith("two_way_")
