"""The learning curve of an adaptation: budget against score, a line a strategy."""

import pandas as pd
from matplotlib.figure import Figure

from neurodecode.core.errors import DataError
from neurodecode.evaluation.style import INK, NULL, house_style, look_of, metric_name, note_chance, put_title

# Cool colours adapt a network, warm ones the group's linear model; safe for colour-blind readers beside each other.
COLOURS = {
    "scratch": INK,
    "zero_shot": "#99ddff",
    "front_end": "#66ccee",
    "reset": "#44aa99",
    "full": "#004488",
    "lora": "#228833",
    "group": "#ddaa33",
    "ridge": "#cc6611",
    "group_prior": "#aa3377",
}


#: Which part of the axis the places of all strategies at one budget take.
GAP_SHARE = 0.08


def learning_curve_of(table: pd.DataFrame, metric: str, *, subject: str, whole: str = "all") -> Figure:
    """Draw how the score of a new subject grows with the budget.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns `budget, windows, strategy, metric, direction, value, low, high, chance, null_95, n_candidates,
        simulated`.
    metric : str
        Such as ``top5``, with the direction ``image_given_brain``.
    subject : str
        Who is new.
    whole : str
        The budget that stands for all of the subject's data, drawn as a level.

    Returns
    -------
    Figure
        With intervals, chance and the null's 95 % point.

    Raises
    ------
    DataError
        If the table has no such metric.
    """
    mine = table[(table["metric"] == metric) & (table["direction"] == "image_given_brain")]
    curve, level = mine[mine["budget"] != whole], mine[mine["budget"] == whole]
    if curve.empty:
        raise DataError(f"learning curve: the table has no {metric}")
    with house_style():
        figure = Figure(figsize=(7.2, 3.9), layout="constrained")
        axes = figure.add_subplot()
        strategies = list(dict.fromkeys(curve["strategy"]))
        fewest, most = float(curve["windows"].min()), float(curve["windows"].max())
        # The axis is logarithmic: room for the strategies' places at every budget, and to either side.
        step = (2.0 if fewest == most else (most / fewest) ** GAP_SHARE) ** (1 / max(len(strategies), 2))
        margin = step ** (len(strategies) / 2 + 1)
        for number, strategy in enumerate(strategies):
            rows = curve[curve["strategy"] == strategy].sort_values("windows")
            scratch = strategy == "scratch"
            colour = COLOURS.get(strategy, look_of(strategy).colour)
            # Side by side, so that intervals of one budget do not hide each other.
            x = rows["windows"] * step ** (number - (len(strategies) - 1) / 2)
            axes.errorbar(
                x, rows["value"], yerr=[rows["value"] - rows["low"], rows["high"] - rows["value"]], color=colour,
                marker="o", markersize=4, linewidth=1.8, elinewidth=0.9, linestyle="--" if scratch else "-",
                label="from scratch" if scratch else look_of(strategy).name,
            )  # fmt: skip
        if not level.empty:
            row = level.iloc[0]
            axes.axhspan(row["low"], row["high"], color=INK, alpha=0.08, linewidth=0)
            name = f"from scratch on all ({row['windows']})"
            axes.axhline(row["value"], color=INK, linewidth=1.1, label=name)
        ticks = curve.drop_duplicates("budget").sort_values("windows")
        null = float(curve["null_95"].max())
        axes.axhline(null, color=NULL, linewidth=1.3, linestyle="-.", label="null, 95 % point (largest)")
        note_chance(axes, float(curve["chance"].iloc[0]), vertical=False)
        axes.set_xscale("log")
        axes.set_xticks(ticks["windows"], [f"{row.budget}\n({row.windows})" for row in ticks.itertuples()])
        axes.minorticks_off()
        axes.set_xlim(fewest / margin, most * margin)
        axes.set_ylim(bottom=0)
        axes.grid(axis="y")
        axes.set_xlabel("budget of the new subject (training windows)")
        axes.set_ylabel(f"{metric_name(metric)} of {curve['n_candidates'].iloc[0]}")
        figure.legend(loc="outside right upper")
        put_title(
            figure,
            f"A new subject, {subject}: {metric_name(metric)}",
            simulated=bool(curve["simulated"].iloc[0]),
            detail="which stimulus, given the brain response; bars are 95 % intervals over test stimuli",
        )
    return figure
