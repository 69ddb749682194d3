"""A trained encoder in the place of the linear encoding model: candidates become predicted signals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError, LeakageError
from neurodecode.core.scores import Score
from neurodecode.encoders.linear.choice import Choice, choose
from neurodecode.encoders.linear.encoding import ENCODING_RULES, encoding_scores, model_error_covariance
from neurodecode.encoders.linear.fitting import ENCODING_PREFERENCE
from neurodecode.encoders.linear.noise import Whitener, fit_whitener, noise_kind_of
from neurodecode.encoders.linear.selection import truth_index
from neurodecode.encoders.linear.trials import TrialSet, grouped_folds
from neurodecode.training.encode_task import EncodeTask
from neurodecode.workflow.bank import TargetBank
from neurodecode.workflow.items import Items
from neurodecode.workflow.retrieve import FoldModels, Retrieval
from neurodecode.workflow.run_folder import RankingTables

Floats = NDArray[np.float64]
ENCODING, LINEAR_ENCODING = "encoding", "linear_encoding"
#: Share of the variance of predicted training signals that the directions hold, and how many there are at most.
KEPT_VARIANCE, MOST_DIRECTIONS = 0.99, 100


@dataclass(frozen=True)
class EncoderRanking:
    """How a trained encoder ranks candidates for one subject's signals.

    Parameters
    ----------
    task : EncodeTask
        Loaded from a checkpoint.
    subject : str
        Whose signals.
    bank : TargetBank
        Features of all candidates.
    whitener : Whitener
        From repetitions in training, of transformed signals.
    centre : ndarray of shape (n_features,)
        Mean whitened training signal.
    basis : ndarray of shape (n_features, n_directions)
        Directions along which predicted training signals vary.
    model_error : ndarray of shape (n_directions, n_directions)
        Of predictions of the validation stimuli.
    choice : Choice
        The scoring rule, chosen by ranking the validation stimuli.
    """

    task: EncodeTask
    subject: str
    bank: TargetBank
    whitener: Whitener
    centre: Floats
    basis: Floats
    model_error: Floats
    choice: Choice

    def score(self, test: TrialSet, candidates: Sequence[str]) -> Floats:
        """Score every candidate for each row, shape (n_rows, n_candidates); rows do not know of each other."""
        return encoding_scores(
            self.choice.name,
            self.measured(test.signals),
            self.predicted(candidates),
            self.model_error,
            test.repetitions,
        )

    def measured(self, signals: NDArray[np.float32]) -> Floats:
        """Coordinates of measured signals, as they are in the prepared study."""
        return self._coordinates(prepared_signals(self.task, self.subject, signals))

    def predicted(self, candidates: Sequence[str]) -> Floats:
        """Coordinates of the signals that are predicted for some stimuli."""
        return self._coordinates(self.task.encode(self.subject, self.bank.rows(candidates)))

    def _coordinates(self, signals: NDArray[np.float32]) -> Floats:
        whitened = np.asarray(self.whitener.apply(signals), dtype=np.float64).reshape(len(signals), -1)
        return np.asarray((whitened - self.centre) @ self.basis)


def prepared_signals(task: EncodeTask, subject: str, signals: NDArray[np.float32]) -> NDArray[np.float32]:
    """Apply what was fitted to a subject's signals in training."""
    if task.preparation is None:
        raise ConfigError("encoder: got a task without fitted transforms, expected one loaded from a checkpoint")
    return np.asarray(task.preparation.apply(subject, np.asarray(signals, np.float32)), dtype=np.float32)


def fit_encoder_ranking(
    task: EncodeTask, bank: TargetBank, subject: str, items: Items, *, fold: int = 0, seed: int = 0
) -> EncoderRanking:
    """Fit all that ranking by an encoder needs beside it: noise, directions, model error and the rule.

    Parameters
    ----------
    task : EncodeTask
        Loaded from a checkpoint.
    bank : TargetBank
        Features.
    subject : str
        Whose signals.
    items : Items
        The parts of the fold; the test part is not looked at.
    fold : int
        Which fold.
    seed : int
        Of the halves of validation between which the model error is cross-fitted for the choice of the rule.

    Returns
    -------
    EncoderRanking
        With the rule that ranks the validation stimuli best among each other.

    Raises
    ------
    LeakageError
        If the encoder was trained on another fold.
    """
    known = int(task.interface.get("fold", 0))
    if known != fold:
        raise LeakageError(f"checkpoint: was trained on fold {known}, expected one of fold {fold}")
    train = items.train
    signals = prepared_signals(task, subject, train.signals)
    whitener = fit_whitener(signals, train.stimulus, train.repetitions, kind=noise_kind_of(train.stimulus))
    whitened = np.asarray(whitener.apply(signals), dtype=np.float64).reshape(len(signals), -1)
    centre = np.average(whitened, axis=0, weights=train.repetitions)
    shown = sorted(set(train.stimulus.tolist()))
    expected = np.asarray(whitener.apply(task.encode(subject, bank.rows(shown))), dtype=np.float64)
    expected = expected.reshape(len(shown), -1) - centre
    _, spread, directions = np.linalg.svd(expected - expected.mean(axis=0), full_matrices=False)
    share = np.cumsum(spread**2) / max(float((spread**2).sum()), 1e-300)
    count = min(int(np.searchsorted(share, KEPT_VARIANCE)) + 1, MOST_DIRECTIONS, len(spread))
    basis = directions[:count].T
    none = np.zeros((count, count))
    ranking = EncoderRanking(task, subject, bank, whitener, centre, basis, none, Choice("correlation", {}))
    queries = items.validation.averaged()
    measured, gallery = ranking.measured(queries.signals), np.unique(queries.stimulus)
    predicted = ranking.predicted(gallery.tolist())
    truth = truth_index(queries.stimulus, gallery)

    def error_of(rows: NDArray[np.intp]) -> Floats:
        noise = np.eye(count) * float(np.mean(1 / queries.repetitions[rows]))
        return model_error_covariance(measured[rows] - predicted[truth[rows]], noise)

    scores = {
        rule: encoding_scores(rule, measured, predicted, none, queries.repetitions)
        for rule in ENCODING_RULES
        if rule != "likelihood"
    }
    likely = np.empty((len(measured), len(gallery)))
    for fitted_on, left_out in grouped_folds(queries.group, 2, seed):
        likely[left_out] = encoding_scores(
            "likelihood", measured[left_out], predicted, error_of(fitted_on), queries.repetitions[left_out]
        )
    choice = choose({**scores, "likelihood": likely}, truth, ENCODING_PREFERENCE)
    return replace(ranking, model_error=error_of(np.arange(len(measured))), choice=choice)


@dataclass(frozen=True)
class EncodedFold(FoldModels):
    """Models of a fold whose ``encoding`` is a trained encoder.

    Parameters
    ----------
    ranking : EncoderRanking
        The encoder; the linear encoding model goes by the name ``linear_encoding``.
    """

    ranking: EncoderRanking

    def score(self, test: TrialSet, candidates: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Score every candidate for each row of `test` with every model."""
        return with_encoding(super().score(test, candidates), self.ranking.score(test, candidates))


def with_encoding(scores: Mapping[str, NDArray[np.float32]], found: Floats) -> dict[str, NDArray[np.float32]]:
    """Put an encoder's scores in the place of the linear model's, which get a name of their own.

    Examples
    --------
    >>> list(with_encoding({"ridge": np.zeros((1, 2)), "encoding": np.zeros((1, 2))}, np.ones((1, 2))))
    ['ridge', 'linear_encoding', 'encoding']
    """
    renamed = {LINEAR_ENCODING if name == ENCODING else name: matrix for name, matrix in scores.items()}
    return {**renamed, ENCODING: np.asarray(found, dtype=np.float32)}


def with_encoder(retrieval: Retrieval, task: EncodeTask, bank: TargetBank, *, seed: int) -> Retrieval:
    """Rank a study by a trained encoder, too.

    Parameters
    ----------
    retrieval : Retrieval
        The study, ranked by the linear models; one fold.
    task : EncodeTask
        Loaded from a checkpoint.
    bank : TargetBank
        Features of all stimuli.
    seed : int
        See :func:`fit_encoder_ranking`.

    Returns
    -------
    Retrieval
        With the encoder's scores as `encoding` and the linear model's as `linear_encoding`. `fused` and `chosen` stay
        those of the linear models.
    """
    candidates = [str(name) for name in retrieval.tables.candidates["candidate"]]
    scores, reports = dict(retrieval.tables.scores), dict(retrieval.reports)
    models: dict[tuple[str, int], FoldModels] = {}
    for (subject, fold), fitted in retrieval.models.items():
        ranking = fit_encoder_ranking(task, bank, subject, fitted.items, fold=fold, seed=seed)
        own = {model: matrix for (model, person), matrix in retrieval.tables.scores.items() if person == subject}
        for model in own:
            del scores[model, subject]
        found = with_encoding(own, ranking.score(fitted.items.test, candidates))
        scores.update({(model, subject): matrix for model, matrix in found.items()})
        models[subject, fold] = EncodedFold(**vars(fitted), ranking=ranking)
        key = f"{subject}/{fold}"
        reports[key] = {
            **_renamed(reports[key]),
            "encoder": {
                "network": type(task.encoder).__name__,
                "rule": ranking.choice.name,
                "validation": ranking.choice.table,
                "directions": int(ranking.basis.shape[1]),
            },
        }
    tables = RankingTables(retrieval.tables.queries, retrieval.tables.candidates, scores)
    chosen = {key: LINEAR_ENCODING if name == ENCODING else name for key, name in retrieval.chosen.items()}
    return replace(retrieval, tables=tables, chosen=chosen, reports=reports, models=models)


def _renamed(report: Mapping[str, Any]) -> dict[str, Any]:
    """Give a suite's report with the linear encoding model under its other name."""
    found = dict(report)
    for key in ("rules", "validation", "cross_entropy"):
        if isinstance(found.get(key), dict):
            found[key] = {LINEAR_ENCODING if name == ENCODING else name: value for name, value in found[key].items()}
    if found.get("chosen") == ENCODING:
        found["chosen"] = LINEAR_ENCODING
    return found


def labelled(scores: Sequence[Score], task: EncodeTask) -> list[Score]:
    """Say of an encoder that was trained on several subjects that it was."""
    if len(task.interface["subjects"]) < 2:
        return list(scores)
    return [
        replace(score, protocol=score.protocol.replace("within-subject", "joint", 1))
        if score.model == ENCODING
        else score
        for score in scores
    ]


def describe_encoder(task: EncodeTask, checkpoint: Path) -> str:
    """Say in a line what `encoding` is."""
    people = ", ".join(task.interface["subjects"])
    return (
        f"the network {type(task.encoder).__name__} of {checkpoint.name}, trained on {people}; "
        "linear encoding, fused and chosen are the linear models'"
    )
