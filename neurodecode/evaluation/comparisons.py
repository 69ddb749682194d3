"""Paired differences between models that answered the same queries."""

from collections.abc import Sequence

from neurodecode.core.errors import DataError
from neurodecode.core.scores import Score
from neurodecode.evaluation.answers import statistic_of
from neurodecode.evaluation.retrieval import AnswerTable, PerModel, of_model
from neurodecode.evaluation.statistics import paired_difference


def compare_models(
    answers: AnswerTable,
    pairs: Sequence[tuple[str, str]],
    *,
    metrics: Sequence[str] = ("top1", "top5"),
    direction: str = "image_given_brain",
    protocol: PerModel,
    averaged: PerModel,
    simulated: bool,
    seed: int,
    n_draws: int = 2000,
) -> list[Score]:
    """Score paired differences of models: the same queries, the same resamples.

    Parameters
    ----------
    answers : mapping from (model, subject) to Answers
        As in `evaluate_retrieval`.
    pairs : sequence of (str, str)
        First minus second.
    metrics, direction
        What is compared; a metric must exist for the size of the gallery.
    protocol, averaged, simulated, seed
        As in `evaluate_retrieval`; those of the first model are written.
    n_draws : int
        Draws of the bootstrap and of the swaps.

    Returns
    -------
    list of Score
        ``difference_<metric>`` with model ``first minus second``, for each subject and the mean. Chance is 0,
        `null_95` comes from swapping the two models stimulus by stimulus, the p-value stands in the note.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodecode.evaluation.answers import Answers
    >>> names = [f"{i}" for i in range(20)]
    >>> table = {("good", "sub-01"): Answers(np.eye(20), names, names),
    ...          ("bad", "sub-01"): Answers(-np.eye(20), names, names)}
    >>> scores = compare_models(table, [("good", "bad")], metrics=["top1"], protocol="joint", averaged="none",
    ...                         simulated=True, seed=0)
    >>> scores[0].metric, scores[0].model, scores[0].value
    ('difference_top1', 'good minus bad', 1.0)
    """
    scores = []
    for first, second in pairs:
        subjects = [subject for model, subject in answers if model == first]
        if not subjects or any((second, subject) not in answers for subject in subjects):
            raise DataError(f"compare: {first!r} and {second!r} did not answer for the same subjects")
        for metric in metrics:
            sides = [
                {subject: answers[model, subject].outcomes(metric, direction) for subject in subjects}
                for model in (first, second)
            ]
            for subject in [*subjects, "mean"]:
                members = subjects if subject == "mean" else [subject]
                pair = [{name: side[name] for name in members} for side in sides]
                if subject != "mean":
                    pair = [{subject: side[subject].alone()} for side in sides]
                found = paired_difference(
                    *pair,
                    seed=seed,
                    n_draws=n_draws,
                    statistic=statistic_of(metric),
                )
                sample = answers[first, members[0]].questions(direction)
                scores.append(
                    Score(
                        f"difference_{metric}",
                        direction,
                        found.value,
                        found.low,
                        found.high,
                        0.0,
                        found.null_95,
                        sum(len(question.query_labels) for question in sample),
                        sample[0].n_candidates,
                        of_model(averaged, first, "averaged"),
                        subject,
                        f"{first} minus {second}",
                        of_model(protocol, first, "protocol"),
                        simulated,
                        f"paired; two-sided p = {found.p_value:.4g} by swapping the models",
                    )
                )
    return scores
