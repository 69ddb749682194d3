"""Tables of the report, drawn from the records alone."""

from dataclasses import dataclass, field

from neurodecode.core.results import Results
from neurodecode.core.scores import BALANCED, Score, lower_is_better
from neurodecode.evaluation.pictures import CONDITIONS
from neurodecode.evaluation.style import in_order, look_of, metric_name

RETRIEVAL_METRICS = (
    "balanced_top1", "balanced_top5", "balanced_top10", "top1", "top5", "auc", "way2", "way10", "way50", "way100",
    "mrr", "median_rank", "mean_rank",
)  # fmt: skip
#: Entry of a result's study that says what is looked for.
ASKED = "looked for"
BRAIN_WAYS = (
    ("image_given_brain", "Which stimulus was it, given the brain response?"),
    ("brain_given_image", "Which brain response belongs to a stimulus?"),
)


@dataclass(frozen=True)
class Cell:
    """One cell of a table: text, a smaller second line, what it is sorted by, and a mark."""

    text: str
    detail: str = ""
    sort: str = ""
    mark: str = ""
    title: str = ""


@dataclass(frozen=True)
class Table:
    """A table of the report."""

    columns: list[str]
    rows: list[list[Cell]] = field(default_factory=list)
    caption: str = ""


def number(value: float, metric: str = "") -> str:
    """Write a number with as many digits as it deserves.

    Examples
    --------
    >>> number(0.8149), number(0.0249), number(96.37, "mean_rank"), number(-0.05)
    ('0.81', '0.025', '96.4', '-0.050')
    """
    if lower_is_better(metric):
        return f"{value:.1f}"
    return f"{value:.3f}" if abs(value) < 0.1 else f"{value:.2f}"


def chance_number(value: float) -> str:
    """Write a chance level without rounding an eighth away.

    Examples
    --------
    >>> chance_number(0.125), chance_number(0.005), chance_number(100.5)
    ('0.125', '0.005', '100.5')
    """
    return f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def score_cell(score: Score) -> Cell:
    """Write a score with its interval; a score that is not better than its null is marked."""
    hint = (
        f"chance {chance_number(score.chance)}, null 95 % point {number(score.null_95, score.metric)}, "
        f"{score.n_queries} queries, {score.n_candidates} candidates, {score.averaged}"
    )
    text, low, high = (number(value, score.metric) for value in (score.value, score.low, score.high))
    return Cell(text, f"{low} to {high}", f"{score.value:.6g}", "" if score.above_null else "null", hint)


def main_metric(results: Results) -> str:
    """Give the metric of the headline: top-5, or top-1 where five of the gallery would be too many to guess.

    Balanced over stimuli where that was scored.
    """
    available = {score.metric: score for score in results.select(direction="image_given_brain", subject="mean")}
    if f"{BALANCED}top5" in available:
        return f"{BALANCED}top5"
    large = "top5" in available and available["top5"].chance <= 0.1
    return next((name for name in (("top5", "top1") if large else ("top1", "top5")) if name in available), "")


def retrieval_table(results: Results, direction: str, subject: str) -> Table:
    """Tabulate models by metrics for one direction and subject (or the mean)."""
    chosen = {(s.model, s.metric): s for s in results.select(direction=direction, subject=subject)}
    metrics = [metric for metric in RETRIEVAL_METRICS if any(key[1] == metric for key in chosen)]
    models = in_order([model for model, metric in chosen if metric in metrics])
    table = Table(["model", *(_heading(metric) for metric in metrics)])
    for model in models:
        cells = [chosen.get((model, metric)) for metric in metrics]
        table.rows.append([_model_cell(model), *(score_cell(cell) if cell else Cell("-") for cell in cells)])
    if models:
        chances = [next(s.chance for (_, name), s in chosen.items() if name == metric) for metric in metrics]
        guess = [Cell(chance_number(chance), "", f"{chance:.6g}", "plain") for chance in chances]
        table.rows.append([Cell("chance", "guessing", "~", "name plain"), *guess])
    return table


def asked_for(results: Results) -> str:
    """Say what is looked for given the brain: an image, unless the study says otherwise (a segment, a word).

    The direction is called ``image_given_brain`` in the records of every study.
    """
    return results.study.get(ASKED, "image")


def subject_table(results: Results, metric: str) -> Table:
    """Tabulate models by subjects for one metric."""
    chosen = results.select(metric=metric, direction="image_given_brain")
    subjects = [*sorted({s.subject for s in chosen if s.subject != "mean"}), "mean"]
    table = Table(["model", *subjects], caption=f"{metric_name(metric)}, which stimulus given the brain response")
    for model in in_order([score.model for score in chosen]):
        mine = {score.subject: score for score in chosen if score.model == model}
        table.rows.append(
            [_model_cell(model), *(score_cell(mine[name]) if name in mine else Cell("-") for name in subjects)]
        )
    return table


def picture_table(results: Results, subject: str = "mean") -> Table:
    """Tabulate conditions by picture metrics."""
    chosen = [s for s in results.scores if s.subject == subject and is_picture_metric(s.metric)]
    metrics = list(dict.fromkeys(score.metric for score in chosen))
    table = Table(["condition", *(_heading(metric) for metric in metrics)])
    for model in in_order([score.model for score in chosen]):
        mine = {score.metric: score for score in chosen if score.model == model}
        first = next(iter(mine.values()))
        head = Cell(look_of(model).name, first.note.split(";")[0], model, f"name role-{look_of(model).role}")
        table.rows.append([head, *(score_cell(mine[name]) if name in mine else Cell("-") for name in metrics)])
    return table


def control_table(results: Results) -> Table:
    """Tabulate every control with what it should give."""
    metric = main_metric(results)
    wanted = [metric, *dict.fromkeys(s.metric for s in results.scores if s.metric.startswith("two_way_"))]
    table = Table(["control", "metric", "score", "chance", "null, 95 % point", "verdict"])
    for score in results.scores:
        known = look_of(score.model).role == "control" and score.metric in wanted and score.subject == "mean"
        if not known or score.direction == "brain_given_image":
            continue
        table.rows.append(
            [
                Cell(look_of(score.model).name, CONDITIONS.get(score.model, ""), score.model, "name role-control"),
                Cell(metric_name(score.metric)),
                score_cell(score),
                Cell(chance_number(score.chance), sort=f"{score.chance:.6g}"),
                Cell(number(score.null_95, score.metric), sort=f"{score.null_95:.6g}"),
                Cell(_verdict(score)),
            ]
        )
    return table


def _verdict(score: Score) -> str:
    if score.low <= score.chance <= score.high or not score.above_null:
        return "at chance"
    looks = score.model == "nearest_training"  # it is chosen by the prediction, so it may well be better
    return "better than chance" + (", since it looks at the prediction" if looks else "")


def difference_table(results: Results) -> Table:
    """Tabulate paired differences: a row for each pair of models and metric, a column for each subject."""
    chosen = [score for score in results.scores if score.metric.startswith("difference_")]
    subjects = [*sorted({s.subject for s in chosen if s.subject != "mean"}), "mean"]
    table = Table(["models", "metric", *subjects, "of the mean"], caption="first minus second, the same queries")
    for pair, metric in dict.fromkeys((score.model, score.metric) for score in chosen):
        mine = {score.subject: score for score in chosen if (score.model, score.metric) == (pair, metric)}
        cells = [_difference_cell(mine[name]) if name in mine else Cell("-") for name in subjects]
        note = mine["mean"].note.removeprefix("paired; ") if "mean" in mine else ""
        name = metric_name(metric.removeprefix("difference_"))
        table.rows.append([Cell(pair_name(pair), mark="name"), Cell(name), *cells, Cell(note)])
    return table


def _difference_cell(score: Score) -> Cell:
    mark = "null" if score.low <= 0 <= score.high else ""
    return Cell(f"{score.value:+.3f}", f"{score.low:+.3f} to {score.high:+.3f}", f"{score.value:.6g}", mark)


def record_table(results: Results) -> Table:
    """Tabulate every record as it stands."""
    table = Table(
        ["metric", "direction", "model", "subject", "value", "low", "high", "chance", "null_95", "n", "averaged"]
    )
    for s in results.scores:
        values = [Cell(f"{value:.4g}", sort=f"{value:.6g}") for value in (s.value, s.low, s.high, s.chance, s.null_95)]
        sizes = Cell(f"{s.n_queries} / {s.n_candidates}", sort=str(s.n_queries))
        texts = [Cell(text) for text in (s.metric, s.direction, s.model, s.subject)]
        table.rows.append([*texts, *values, sizes, Cell(s.averaged)])
    return table


def is_picture_metric(metric: str) -> bool:
    """Tell whether a metric compares pictures.

    Examples
    --------
    >>> is_picture_metric("two_way_alexnet5"), is_picture_metric("way2")
    (True, False)
    """
    return metric in ("pixcorr", "ssim") or metric.startswith("two_way_")


def pair_name(pair: str) -> str:
    """Write ``first minus second`` with the names of the models.

    Examples
    --------
    >>> pair_name("fused minus ideal_learner")
    'fused minus ideal learner'
    """
    return " minus ".join(look_of(name).name for name in pair.split(" minus "))


def _heading(metric: str) -> str:
    return metric_name(metric) + (" \N{DOWNWARDS ARROW}" if lower_is_better(metric) else "")


def _model_cell(model: str) -> Cell:
    look = look_of(model)
    return Cell(look.name, "" if look.role == "model" else look.role, model, f"name role-{look.role}")
