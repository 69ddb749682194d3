"""Figures drawn from more than the records: ranks, matrices of scores, pictures, training logs."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.evaluation.answers import Answers
from neurodecode.evaluation.pictures import CONDITIONS, Pictures, choose_rows
from neurodecode.evaluation.style import CHANCE, INK, MUTED, house_style, in_order, look_of, put_title

Series = tuple[Sequence[float], Sequence[float]]


def rank_bins(n_candidates: int) -> list[tuple[int, int]]:
    """Divide ranks into bins that widen, as first and last rank of each.

    Examples
    --------
    >>> rank_bins(200)
    [(1, 1), (2, 5), (6, 10), (11, 20), (21, 50), (51, 100), (101, 200)]
    """
    edges = [1, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 10000, 50000]
    ends = [edge for edge in edges if edge < n_candidates] + [n_candidates]
    return list(zip([1, *(end + 1 for end in ends[:-1])], ends, strict=True))


def rank_histogram(ranks: Mapping[str, NDArray[np.float64]], n_candidates: int, *, simulated: bool) -> Figure:
    """Draw where the right candidate stands, one panel a model, with what guessing would give.

    Parameters
    ----------
    ranks : mapping from model to NDArray, shape (n_queries,)
        Ranks pooled over subjects, 1 is best.
    n_candidates : int
        Size of the gallery, with one right candidate.
    simulated : bool
        Whether the recordings come from the simulator.

    Returns
    -------
    Figure
        Shares of queries in bins of ranks.
    """
    bins = rank_bins(n_candidates)
    models = in_order(list(ranks))
    columns = min(4, len(models))
    rows = -(-len(models) // columns)
    names = [f"{a}" if a == b else f"{a} to {b}" for a, b in bins]
    guess = [(b - a + 1) / n_candidates for a, b in bins]
    with house_style():
        figure = Figure(figsize=(7.2, 1.1 + 2.1 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes, model in zip(panels.ravel(), models, strict=False):
            values = np.round(ranks[model])
            shares = [float(np.mean((values >= a) & (values <= b))) for a, b in bins]
            axes.barh(range(len(bins)), shares, color=look_of(model).colour, height=0.7)
            for row, level in enumerate(guess):
                axes.plot([level, level], [row - 0.42, row + 0.42], color=CHANCE, linewidth=1.3, linestyle=(0, (1, 1)))
            axes.set_title(f"{look_of(model).name}\nmedian {np.median(ranks[model]):g}", fontsize=8.5)
            axes.grid(axis="x")
            axes.tick_params(axis="y", length=0)
        for axes in panels.ravel()[len(models) :]:
            axes.set_visible(False)
        panels[0, 0].set_yticks(range(len(bins)), names)
        panels[0, 0].invert_yaxis()
        panels[0, 0].set_xlim(0, 1)
        for axes in panels[:, 0]:
            axes.set_ylabel("rank of the right one")
        handles = [Line2D([], [], color=CHANCE, linestyle=(0, (1, 1)), label="chance")]
        figure.legend(handles=handles, loc="outside lower left")
        put_title(
            figure,
            "Where the right candidate stands",
            simulated=simulated,
            detail="share of queries, all subjects pooled",
        )
    return figure


def similarity_matrix(answers: Answers, *, model: str, subject: str, simulated: bool) -> Figure:
    """Draw the scores of all candidates for all queries, the right ones on the diagonal.

    Each row is standardised, since scores are compared within a row only; queries of one stimulus are averaged.

    Parameters
    ----------
    answers : Answers
        One model, one subject.
    model, subject : str
        For the title.
    simulated : bool
        Whether the recordings come from the simulator.

    Returns
    -------
    Figure
        A matrix of stimuli by candidates.
    """
    scores = np.asarray(answers.scores, dtype=np.float64)
    spread = scores.std(axis=1, keepdims=True)
    rows = (scores - scores.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1.0)
    queries, candidates = np.asarray(answers.queries), np.asarray(answers.candidates)
    labels = [label for label in dict.fromkeys(candidates.tolist()) if label in set(queries.tolist())]
    table = np.array([[rows[queries == a][:, candidates == b].mean() for b in labels] for a in labels])
    with house_style():
        figure = Figure(figsize=(5.6, 5.2), layout="constrained")
        axes = figure.add_subplot()
        limit = float(np.quantile(np.abs(table), 0.998))
        picture = axes.imshow(table, cmap="cividis", vmin=-limit, vmax=limit, interpolation="nearest")
        bar = figure.colorbar(picture, ax=axes, shrink=0.8, pad=0.02)
        bar.set_label("score, standardised within the row")
        bar.outline.set_visible(False)
        if len(labels) <= 24:
            axes.set_xticks(range(len(labels)), labels, rotation=60, ha="right", rotation_mode="anchor")
            axes.set_yticks(range(len(labels)), labels)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("candidate")
        axes.set_ylabel("what was shown")
        detail = f"{look_of(model).name}, {subject}: {len(queries)} queries, {len(candidates)} candidates"
        put_title(figure, "Scores of every candidate", simulated=simulated, detail=detail)
    return figure


def picture_grid(pictures: Pictures, *, simulated: bool, seed: int, count: int = 8, sample: int = 0) -> Figure:
    """Draw true pictures beside what was made under each condition, for rows that nobody picked.

    Parameters
    ----------
    pictures : Pictures
        One subject.
    simulated : bool
        Whether the recordings come from the simulator.
    seed : int
        Seed of the order that `choose_rows` draws.
    count : int
        Rows shown.
    sample : int
        Which sample is shown where several were drawn; fixed beforehand, 0 is the first.

    Returns
    -------
    Figure
        One row a stimulus; the title says how rows and samples were taken.
    """
    rows = choose_rows(len(pictures.stimuli), count, seed)
    made = [name for name in CONDITIONS if name in pictures.conditions]
    columns = [("seen", pictures.true), *((look_of(name).name, pictures.conditions[name][:, sample]) for name in made)]
    samples = max((pictures.conditions[name].shape[1] for name in made), default=1)
    tiles = np.stack([shown[rows] for _, shown in columns], axis=1)
    gap = max(2, tiles.shape[2] // 16)
    side = tiles.shape[2:4]
    step = (side[0] + gap, side[1] + gap)
    canvas = _mosaic(tiles, gap)
    with house_style():
        height = 0.95 * len(rows) + 1.15
        figure = Figure(figsize=(0.95 * len(columns) + 1.2, height), layout="constrained")
        axes = figure.add_subplot()
        axes.imshow(canvas, interpolation="nearest")
        axes.xaxis.tick_top()
        names = ["\n".join(name.rsplit(" ", 1)) for name, _ in columns]
        axes.set_xticks([(k + 0.5) * step[1] - 0.5 for k in range(len(columns))], names, fontsize=8.5)
        labels = [_wrapped(pictures.titles[row]) for row in rows]
        axes.set_yticks([(k + 0.5) * step[0] - 0.5 for k in range(len(rows))], labels, fontsize=7.5)
        axes.tick_params(length=0, pad=3)
        axes.spines[:].set_visible(False)
        for k in range(len(rows)):  # what was seen is framed, to tell it from what was made
            corner = (gap // 2 - 0.5, k * step[0] + gap // 2 - 0.5)
            axes.add_patch(Rectangle(corner, side[1], side[0], fill=False, edgecolor=INK, linewidth=1.5))
        drawn = (
            f"rows: the first {len(rows)} of {len(pictures.stimuli)} in an order drawn with seed {seed}, none picked"
        )
        drawn += f"; sample {sample + 1} of {samples}" if samples > 1 else ""
        put_title(figure, f"What {pictures.subject} saw, and what was made", simulated=simulated, detail=drawn)
    return figure


def _mosaic(tiles: NDArray[np.uint8], gap: int) -> NDArray[np.uint8]:
    """Lay pictures ``(n_rows, n_columns, height, width, 3)`` side by side on a light ground."""
    n_rows, n_columns, height, width = tiles.shape[:4]
    ground = np.full((n_rows, n_columns, height + gap, width + gap, 3), 232, dtype=np.uint8)
    start = gap // 2
    ground[:, :, start : start + height, start : start + width] = tiles
    return ground.transpose(0, 2, 1, 3, 4).reshape(n_rows * (height + gap), n_columns * (width + gap), 3)


def learning_curve(
    curves: Mapping[str, Series], *, y_label: str, simulated: bool, chosen: float | None = None
) -> Figure:
    """Draw training logs: loss or validation scores against epochs.

    Parameters
    ----------
    curves : mapping from name to (x, y)
        Such as ``training loss`` and ``validation loss``.
    y_label : str
        What y is.
    simulated : bool
        Whether the recordings come from the simulator.
    chosen : float, optional
        The epoch whose weights were taken, chosen on validation data.

    Returns
    -------
    Figure
        One line a log.
    """
    if not curves:
        raise DataError("learning curve: got no curve")
    colours = ["#004488", "#ddaa33", "#bb5566", "#6c7684", "#3b7cc0", "#228833", "#aa3377"]
    with house_style():
        figure = Figure(figsize=(7.2, 3.2), layout="constrained")
        axes = figure.add_subplot()
        for index, (name, (x, y)) in enumerate(curves.items()):
            axes.plot(x, y, color=colours[index % len(colours)], linewidth=1.6, label=name)
        if chosen is not None:
            axes.axvline(chosen, color=MUTED, linestyle=(0, (4, 2)), linewidth=1.2, label="weights taken")
        axes.grid(axis="y")
        axes.set_xlabel("epoch")
        axes.set_ylabel(y_label)
        figure.legend(loc="outside right upper")
        put_title(
            figure, "Training", simulated=simulated, detail="validation stimuli are held out of the training side"
        )
    return figure


def _wrapped(text: str, width: int = 14) -> str:
    """Break a stimulus name into short lines, three at most."""
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(lines[:3]) + (" ..." if len(lines) > 3 else "")
