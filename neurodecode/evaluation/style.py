"""One look for all figures: colours by role, safe for colour-blind readers, legible at the size of the report."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neurodecode.core.scores import BALANCED

INK, MUTED, FAINT, PAPER = "#1b2430", "#5b6675", "#d9dee5", "#ffffff"
CHANCE, NULL = "#5b6675", "#bb5566"

_SETTINGS: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, so figures look the same everywhere
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.0,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "grid.color": FAINT,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "figure.dpi": 100,
    "savefig.dpi": 180,
}


class Look(NamedTuple):
    """How a model or condition is drawn and called."""

    name: str
    colour: str
    role: str


# Blues decode, yellow encodes, greys are ceilings, reds are controls (after Paul Tol's high-contrast scheme).
_LOOKS: dict[str, Look] = {
    "fused": Look("fused", "#004488", "model"),
    "decoder": Look("decoder", "#3b7cc0", "model"),
    "decoder_without_context": Look("decoder without context", "#a8c4e0", "model"),
    "ridge": Look("ridge", "#85b5e0", "model"),
    "encoding": Look("encoding", "#ddaa33", "model"),
    "separable": Look("separable", "#117733", "model"),
    "lda": Look("LDA", "#88ccaa", "model"),
    "ideal_learner": Look("ideal learner", "#8d97a5", "ceiling"),
    "exact_learner": Look("exact learner", "#6c7684", "ceiling"),
    "oracle": Look("oracle", "#434c59", "ceiling"),
    "shuffled_brain": Look("shuffled brain", "#bb5566", "control"),
    "shuffled_brain_permuted": Look("shuffled brain (permuted)", "#d48a96", "control"),
    "shuffled_separable": Look("shuffled labels (separable)", "#aa4455", "control"),
    "reconstruction": Look("from the brain", "#004488", "model"),
    "true_embedding": Look("true embedding", "#6c7684", "ceiling"),
    "mean_brain": Look("mean brain", "#c96f7e", "control"),
    "noise_input": Look("noise input", "#d48a96", "control"),
    "prior_only": Look("prior only", "#dfa5ae", "control"),
    "nearest_training": Look("nearest training", "#b08a3c", "control"),
    "random_picture": Look("random picture", "#d8bf86", "control"),
}
_SPARE = ("#228833", "#aa3377", "#66ccee", "#999933", "#44aa99", "#882255")

METRIC_NAMES: dict[str, str] = {
    "mean_rank": "mean rank",
    "median_rank": "median rank",
    "mrr": "mean 1/rank",
    "auc": "AUC",
    "pixcorr": "PixCorr",
    "ssim": "SSIM",
}


def look_of(model: str) -> Look:
    """Give the name, colour and role of a model or condition; one that is not known gets a spare colour.

    Examples
    --------
    >>> look_of("ideal_learner").role
    'ceiling'
    >>> look_of("my_net").name
    'my net'
    """
    if model in _LOOKS:
        return _LOOKS[model]
    return Look(model.replace("_", " "), _SPARE[sum(model.encode()) % len(_SPARE)], "model")


def in_order(models: Sequence[str]) -> list[str]:
    """Put models in reading order: models, then ceilings, then controls, each as they came.

    Examples
    --------
    >>> in_order(["oracle", "shuffled_brain", "ridge", "fused"])
    ['fused', 'ridge', 'oracle', 'shuffled_brain']
    """
    known = list(_LOOKS)
    roles = ["model", "ceiling", "control"]

    def place(model: str) -> tuple[int, int]:
        return roles.index(look_of(model).role), known.index(model) if model in known else len(known)

    return sorted(dict.fromkeys(models), key=place)


def metric_name(metric: str) -> str:
    """Write a metric's name for people.

    Examples
    --------
    >>> [metric_name(name) for name in ("top5", "balanced_top5", "way10", "two_way_alexnet5", "curve_top1")]
    ['top-5', 'balanced top-5', '10-way', 'two-way, alexnet5', 'top-1']
    """
    name = metric.removeprefix("curve_")
    if name.startswith("difference_"):
        return "difference in " + metric_name(name.removeprefix("difference_"))
    if name.startswith(BALANCED):
        return "balanced " + metric_name(name.removeprefix(BALANCED))
    if name.startswith("two_way_"):
        return "two-way, " + name.removeprefix("two_way_").replace("_", " ")
    if name.startswith("top") and name[3:].isdigit():
        return f"top-{name[3:]}"
    if name.startswith("way") and name[3:].isdigit():
        return f"{name[3:]}-way"
    return METRIC_NAMES.get(name, name.replace("_", " "))


def direction_name(direction: str) -> str:
    """Write a direction for people.

    Examples
    --------
    >>> direction_name("image_given_brain")
    'which stimulus, given the brain response'
    """
    names = {
        "image_given_brain": "which stimulus, given the brain response",
        "brain_given_image": "which brain response, given the stimulus",
    }
    return names.get(direction, "")


@contextmanager
def house_style() -> Iterator[None]:
    """Draw everything inside in the one look."""
    with matplotlib.rc_context(_SETTINGS):
        yield


def put_title(figure: Figure, text: str, *, simulated: bool, detail: str = "") -> None:
    """Write a figure's title, with the word simulated where the data are.

    Parameters
    ----------
    figure : Figure
        Made with ``layout="constrained"``.
    text : str
        What is shown.
    simulated : bool
        Whether the recordings come from the simulator.
    detail : str
        A second, smaller line.
    """
    mark = "   SIMULATED DATA" if simulated else ""
    lines = f"{text}{mark}" + ("\n " if detail else "")  # the empty line keeps room for the detail
    figure.suptitle(lines, x=0.01, ha="left", fontsize=10.5, fontweight="bold", color=INK, linespacing=1.5)
    below = 1 - 26 / (72 * figure.get_figheight())
    figure.text(0.01, below, detail, ha="left", va="top", fontsize=8.5, color=MUTED)


def note_chance(axes: Axes, chance: float, *, vertical: bool, label: str = "chance") -> None:
    """Draw the chance level as a dotted line."""
    draw = axes.axvline if vertical else axes.axhline
    draw(chance, color=CHANCE, linewidth=1.1, linestyle=(0, (2, 2)), label=label, zorder=2.5)


def figure_bytes(figure: Figure) -> bytes:
    """Render a figure as PNG."""
    buffer = BytesIO()
    with house_style():
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
