"""Scoring rules for embeddings predicted by something outside this package, such as a neural decoder."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.encoders.linear.bank import (
    Bank,
    BankScaler,
    JointComponents,
    check_bank,
    fit_bank_scaler,
    fit_joint_components,
    summed_products,
    symmetric_eigen,
)
from neurodecode.encoders.linear.choice import Choice, choose
from neurodecode.encoders.linear.encoding import cosine
from neurodecode.encoders.linear.scoring import Rule, fit_rule, score
from neurodecode.encoders.linear.selection import Indices
from neurodecode.encoders.linear.trials import Strings, grouped_folds

Floats = NDArray[np.float64]

MOST_TARGETS = 200
RANKS = (5, 10, 20)
LEAST_ROWS_FOR_GAUSSIANS = 40
RAW_COSINE = "raw_cosine"


@dataclass(frozen=True)
class EmbeddingRule:
    """A rule together with the frame in which it sees embeddings.

    Parameters
    ----------
    scaler : BankScaler
        Fitted on the embeddings of training stimuli.
    components : JointComponents
        Of the same.
    offsets : dict of str to array of shape (dim,)
        Mean prediction of each layer over the rows the rule was fitted on; predictions are centred on it.
    rule : Rule
        Fitted rule; the kind "raw_cosine" compares embeddings as they are, without a frame.
    """

    scaler: BankScaler
    components: JointComponents
    offsets: dict[str, Floats]
    rule: Rule

    @property
    def name(self) -> str:
        """Name of the rule."""
        return self.rule.name

    def score(self, predictions: Bank, candidates: Bank) -> Floats:
        """Score candidates (n_candidates rows a layer) for predictions (n_queries rows a layer), each query alone."""
        if self.rule.kind == RAW_COSINE:
            return raw_cosine(predictions, candidates, list(self.offsets))
        return score(self._queries(predictions), self.components.scores(self.scaler.apply(candidates)), self.rule)

    def _queries(self, predictions: Bank) -> Floats:
        check_bank(predictions)
        centred = {
            layer: (predictions[layer] - offset) / self.scaler.scales[layer] for layer, offset in self.offsets.items()
        }
        return self.components.scores(centred)


def raw_cosine(predictions: Bank, candidates: Bank, layers: Sequence[str]) -> Floats:
    """Mean over layers of the cosine between embeddings as they are."""
    parts = [
        cosine(np.asarray(predictions[layer], np.float64), np.asarray(candidates[layer], np.float64))
        for layer in layers
    ]
    return np.asarray(np.mean(parts, axis=0))


def fit_embedding_rule(
    predictions: Bank,
    truths: Bank,
    groups: Strings,
    candidates: Bank,
    truth: Indices,
    reference: Bank,
    *,
    seed: int = 0,
) -> tuple[EmbeddingRule, Choice, Floats]:
    """Choose and fit a rule for given predictions of held-out stimuli (validation).

    Rules that are fitted are compared by cross-fitting: a rule scores the units it was not fitted on. They need at
    least 40 rows; with fewer only the cosines and the correlation compete.

    Parameters
    ----------
    predictions, truths : mapping of str to array of shape (n, dim)
        Predicted and true embeddings of validation rows, some or all layers of the bank.
    groups : array of str of shape (n,)
        Unit of each row.
    candidates : mapping of str to array of shape (n_candidates, dim)
        Gallery of validation stimuli among which the rows are ranked.
    truth : array of int of shape (n,)
        Index of each row's right candidate.
    reference : mapping of str to array of shape (n_training, dim)
        Embeddings of training stimuli, for centring and scaling.
    seed : int
        Of the folds.

    Returns
    -------
    rule : EmbeddingRule
        Fitted on all rows.
    choice : Choice
    scores : array of shape (n, n_candidates)
        Held-out scores of the chosen rule, for fusion.

    Raises
    ------
    DataError
        If a predicted layer is not in the bank.
    """
    check_bank(predictions)
    unknown = [layer for layer in predictions if layer not in reference]
    if unknown:
        raise DataError(f"predictions: layer {unknown[0]!r} is not in the bank of {sorted(reference)}")
    layers = [layer for layer in reference if layer in predictions]
    scaler = fit_bank_scaler({layer: reference[layer] for layer in layers})
    scaled = scaler.apply({layer: reference[layer] for layer in layers})
    components = fit_joint_components(scaled, *symmetric_eigen(summed_products(scaled)), MOST_TARGETS)
    offsets = {layer: np.asarray(predictions[layer], np.float64).mean(axis=0) for layer in layers}
    frame = EmbeddingRule(scaler, components, offsets, Rule(RAW_COSINE, 0, {}))
    gallery = components.scores(scaler.apply({layer: candidates[layer] for layer in layers}))
    queries = frame._queries(predictions)
    targets = components.scores(scaler.apply({layer: truths[layer] for layer in layers}))
    fits: dict[str, Rule] = {RAW_COSINE: frame.rule}
    scores: dict[str, Floats] = {RAW_COSINE: raw_cosine(predictions, candidates, layers)}
    for kind in ("cosine", "correlation"):
        fits[kind] = fit_rule(kind, queries, targets, groups, grams=components.grams())
        scores[kind] = score(queries, gallery, fits[kind])
    if len(queries) >= LEAST_ROWS_FOR_GAUSSIANS:
        for rank in RANKS:
            fitted = fit_rule("density_ratio", queries, targets, groups, rank=rank, seed=seed)
            fits[fitted.name] = fitted
            scores[fitted.name] = _cross_fitted(queries, targets, groups, gallery, rank, seed)
    preference = [*(name for name in scores if name.startswith("density_ratio")), "cosine", RAW_COSINE, "correlation"]
    choice = choose(scores, truth, preference)
    chosen = EmbeddingRule(scaler, components, offsets, fits[choice.name])
    return chosen, choice, scores[choice.name]


def _cross_fitted(queries: Floats, targets: Floats, groups: Strings, gallery: Floats, rank: int, seed: int) -> Floats:
    """Score every row by a density ratio fitted on other units."""
    scores = np.empty((len(queries), len(gallery)))
    for train, left_out in grouped_folds(groups, 5, seed):
        rule = fit_rule("density_ratio", queries[train], targets[train], groups[train], rank=rank, seed=seed)
        scores[left_out] = score(queries[left_out], gallery, rule)
    return scores
