"""Where the regions of the brain look, as their encoder's attention tells."""

from math import isqrt

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

#: Most tokens that are named one by one; more are drawn as a map for each region where they fill a square.
MOST_NAMED = 40


def attention_figure(table: pd.DataFrame, *, simulated: bool) -> Figure:
    """Draw the attention of every region.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns ``region, token, weight``, all tokens of a region in one order.
    simulated : bool
        Whether the data are simulated, which the title then says.

    Returns
    -------
    Figure
        Regions by tokens, those first that look at the first ones. With more than `MOST_NAMED` tokens that fill a
        square, such as the patches of a picture, a map for every region.

    Examples
    --------
    >>> table = pd.DataFrame({"region": ["V1", "V1"], "token": ["a", "b"], "weight": [0.25, 0.75]})
    >>> attention_figure(table, simulated=True).axes[0].get_title()
    'Where each region looks (simulated data)'
    """
    regions, tokens = list(dict.fromkeys(table["region"])), list(dict.fromkeys(table["token"]))
    weights = table["weight"].to_numpy(dtype=float).reshape(len(regions), len(tokens))
    title = "Where each region looks" + (" (simulated data)" if simulated else "")
    side = isqrt(len(tokens))
    if len(tokens) > MOST_NAMED and side * side == len(tokens):
        return _maps(regions, weights.reshape(-1, side, side), title)
    # By the place among the tokens that a region looks at on average, which for layers of a network is their depth.
    order = np.argsort(weights @ np.arange(len(tokens)) / weights.sum(axis=1), kind="stable")
    regions, weights = [regions[row] for row in order], weights[order]
    figure = Figure(figsize=(min(1.6 + 0.7 * len(tokens), 14), 1.4 + 0.4 * len(regions)), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(weights, cmap="Greys", vmin=0, aspect="auto")
    axes.set_title(title)
    axes.set_yticks(range(len(regions)), regions)
    if len(tokens) <= MOST_NAMED:
        axes.set_xticks(range(len(tokens)), tokens, rotation=30 if max(map(len, tokens)) > 7 else 0)
    if weights.size <= 200:
        for (row, column), weight in np.ndenumerate(weights):
            dark = weight > 0.6 * weights.max()
            axes.text(column, row, f"{weight:.2f}", ha="center", va="center", color="white" if dark else "black")
    axes.set_xlabel("token")
    figure.colorbar(image, ax=axes, label="attention")
    return figure


def _maps(regions: list[str], maps: np.ndarray, title: str) -> Figure:
    columns = min(6, len(regions))
    rows = -(-len(regions) // columns)
    figure = Figure(figsize=(2.1 * columns, 2.2 * rows + 0.4), layout="constrained")
    figure.suptitle(title)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for place, axes in enumerate(grid):
        axes.set_axis_off()
        if place < len(regions):
            axes.imshow(maps[place], cmap="Greys", vmin=0)
            axes.set_title(regions[place])
    return figure
