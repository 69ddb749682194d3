"""The set of figures that a run has, by name."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from neurodecode.core.results import Results
from neurodecode.evaluation.detail_figures import (
    Series,
    learning_curve,
    picture_grid,
    rank_histogram,
    similarity_matrix,
)
from neurodecode.evaluation.pictures import Pictures
from neurodecode.evaluation.report_tables import main_metric
from neurodecode.evaluation.retrieval import AnswerTable
from neurodecode.evaluation.score_figures import (
    reconstruction_bars,
    repetition_curves,
    retrieval_bars,
    subject_dots,
)
from neurodecode.evaluation.style import in_order


def standard_figures(
    results: Results,
    answers: AnswerTable | None = None,
    pictures: Sequence[Pictures] = (),
    curves: Mapping[str, Series] | None = None,
    *,
    curve_label: str = "loss",
    chosen_epoch: float | None = None,
) -> dict[str, Figure]:
    """Draw every figure for which there is something to draw.

    Parameters
    ----------
    results : Results
        The records.
    answers : mapping from (model, subject) to Answers, optional
        For the rank histogram and the matrix of scores.
    pictures : sequence of Pictures
        For the picture grids.
    curves : mapping from name to (x, y), optional
        Training logs.
    curve_label : str
        What the logs show.
    chosen_epoch : float, optional
        The epoch whose weights were taken.

    Returns
    -------
    dict from name to Figure
        Names are file names without ``.png``, in the order of the report.
    """
    simulated = results.simulated
    scores = results.scores
    figures: dict[str, Figure] = {}
    available = {(score.metric, score.direction) for score in scores}
    main = main_metric(results)
    metrics = [name for name in (main, "top5", "top1") if (name, "image_given_brain") in available]
    metrics = list(dict.fromkeys(metrics))
    for metric in metrics:
        figures[f"retrieval_{metric}"] = retrieval_bars(scores, metric)
    if metrics:
        metric = metrics[0]
        if (metric, "brain_given_image") in available:
            figures[f"retrieval_{metric}_brain_given_image"] = retrieval_bars(scores, metric, "brain_given_image")
        if len({score.subject for score in scores}) > 2:  # more than one and the mean
            figures[f"subjects_{metric}"] = subject_dots(scores, metric)
    for metric in ("curve_top5", "curve_top1"):
        if (metric, "image_given_brain") in available:
            figures[f"repetitions_{metric.removeprefix('curve_')}"] = repetition_curves(scores, metric)
    if answers:
        figures.update(_answer_figures(answers, simulated=simulated))
    if any(score.metric == "pixcorr" for score in scores):
        figures["pictures_scores"] = reconstruction_bars(scores)
    for entry in pictures:
        figures[f"pictures_{entry.subject}"] = picture_grid(entry, simulated=simulated, seed=results.seed)
    if curves:
        figures["training"] = learning_curve(curves, y_label=curve_label, simulated=simulated, chosen=chosen_epoch)
    return figures


def _answer_figures(answers: AnswerTable, *, simulated: bool) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    models = in_order([model for model, _ in answers])
    by_model = {model: [table for (name, _), table in answers.items() if name == model] for model in models}
    sizes = {table.questions("image_given_brain")[0].n_candidates for table in answers.values()}
    single = all((table.questions("image_given_brain")[0].n_right == 1).all() for table in answers.values())
    if len(sizes) == 1 and single:  # chance in a bin is drawn for one right candidate of one gallery
        ranks = {model: np.concatenate([table.ranks() for table in tables]) for model, tables in by_model.items()}
        figures["ranks"] = rank_histogram(ranks, sizes.pop(), simulated=simulated)
    model, subject = next((model, subject) for model, subject in answers if model == models[0])
    figures["score_matrix"] = similarity_matrix(
        answers[model, subject], model=model, subject=subject, simulated=simulated
    )
    return figures
