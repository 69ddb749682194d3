"""What chooses rules and weights: scores of queries that were not trained on, by every rule of every model."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import MismatchError
from neurodecode.encoders.linear.bank import Bank, check_bank, rows_of, take_rows
from neurodecode.encoders.linear.choice import Choice, choose
from neurodecode.encoders.linear.embedding_rule import EmbeddingRule, fit_embedding_rule
from neurodecode.encoders.linear.encoding import ENCODING_RULES, encoding_scores
from neurodecode.encoders.linear.scoring import Rule, fit_rule, score
from neurodecode.encoders.linear.selection import Indices, truth_index
from neurodecode.encoders.linear.stage import HeldOut, Stage, cross_fit, fit_stage
from neurodecode.encoders.linear.trials import Strings, TrialSet, grouped_folds

Floats = NDArray[np.float64]

RIDGE_RULES = (("density_ratio", 20), ("density_ratio", 10), ("density_ratio", 40), ("gaussian", 20), ("cosine", 0),
               ("correlation", 0))  # fmt: skip
FOLDS = 4
MOST_INNER_FOLDS = 12


@dataclass(frozen=True)
class Evidence:
    """Scores of queries that were not trained on, by every rule, and the right answers."""

    ridge: dict[str, Floats]
    encoding: dict[str, Floats]
    truth: Indices


def rule_name(kind: str, rank: int) -> str:
    """Write the name of a rule for ridge predictions, with its rank where it has one."""
    return f"{kind}_{rank}" if rank else kind


def cross_fitted_stage(
    trials: TrialSet, bank: Bank, names: Strings, noise_kind: str, seed: int
) -> tuple[Stage, HeldOut]:
    """Fit a stage, and by inner folds its model error and the held-out predictions of its rows."""
    stage = fit_stage(trials, bank, names, noise_kind=noise_kind, seed=seed)
    return cross_fit(stage, trials, bank, names, n_folds=FOLDS, noise_kind=noise_kind, seed=seed)


def ridge_rules_of(stage: Stage, held_out: HeldOut, seed: int) -> dict[str, Rule]:
    """Every rule for ridge predictions, by the name of the wanted rank, fitted on held-out predictions."""
    noise, grams = stage.ridge.trial_noise(), stage.components.grams()
    return {
        rule_name(kind, rank): fit_rule(
            kind,
            held_out.predictions,
            held_out.truths,
            held_out.groups,
            rank=rank,
            grams=grams,
            repetitions=stage.repetitions,
            trial_noise=noise,
            seed=seed,
        )
        for kind, rank in RIDGE_RULES
    }


def evidence_of(
    stage: Stage, held_out: HeldOut, queries: TrialSet, bank: Bank, names: Strings, gallery: Strings, seed: int
) -> Evidence:
    """Score queries among a gallery by every rule of both models."""
    candidates = take_rows(bank, rows_of(gallery, names))
    coordinates = stage.coordinates(queries.signals)
    predicted = stage.encoding.predict(stage.scaler.apply(candidates))
    predictions, targets = stage.ridge.predict(coordinates), stage.targets(candidates)
    ridge = {
        name: score(predictions, targets, rule, queries.repetitions)
        for name, rule in ridge_rules_of(stage, held_out, seed).items()
    }
    encoding = {
        rule: encoding_scores(rule, coordinates, predicted, stage.encoding.model_error, queries.repetitions)
        for rule in ENCODING_RULES
    }
    return Evidence(ridge, encoding, truth_index(queries.stimulus, gallery))


def inner_evidence(
    trials: TrialSet, bank: Bank, names: Strings, noise_kind: str, single_queries: bool, seed: int
) -> Evidence:
    """Pool the evidence of inner folds, each with everything refitted on the other units."""
    gallery = np.unique(trials.stimulus)
    n_units = len(np.unique(trials.group))
    n_folds = n_units if n_units <= MOST_INNER_FOLDS else FOLDS
    parts = []
    for rows, left_out in grouped_folds(trials.group, n_folds, seed):
        stage, held_out = cross_fitted_stage(trials.select(rows), bank, names, noise_kind, seed)
        queries = trials.select(left_out)
        queries = queries if single_queries else queries.averaged()
        parts.append(evidence_of(stage, held_out, queries, bank, names, gallery, seed))
    return Evidence(
        {name: np.concatenate([part.ridge[name] for part in parts]) for name in parts[0].ridge},
        {name: np.concatenate([part.encoding[name] for part in parts]) for name in parts[0].encoding},
        np.concatenate([part.truth for part in parts]),
    )


@dataclass(frozen=True)
class Borrowed:
    """A stage that did not see validation, and ridge's rules fitted on its held-out predictions of training rows."""

    stage: Stage
    rules: dict[str, Rule]


def decoder_evidence(
    decoder: Bank,
    validation: TrialSet,
    train: TrialSet,
    bank: Bank,
    names: Strings,
    borrowed: Borrowed | None,
    seed: int,
) -> tuple[EmbeddingRule | str, Choice, Floats, Indices]:
    """Choose how an external decoder's embeddings are scored: by a rule of its own, or by the name of one of ridge's.

    Its own rules can only be fitted on the few validation rows, because the decoder saw the training rows. Ridge's were
    fitted on held-out predictions of all training rows, and a decoder errs in much the same directions.
    """
    queries = validation.averaged()
    if check_bank(decoder) != len(queries):
        raise MismatchError(
            f"decoder: got {check_bank(decoder)} rows, expected {len(queries)} averaged validation rows"
        )
    gallery = np.unique(queries.stimulus)
    truth = truth_index(queries.stimulus, gallery)
    candidates = take_rows(bank, rows_of(gallery, names))
    own, choice, scores = fit_embedding_rule(
        decoder,
        take_rows(bank, rows_of(queries.stimulus, names)),
        queries.group,
        candidates,
        truth,
        take_rows(bank, rows_of(np.unique(train.stimulus), names)),
        seed=seed,
    )
    if borrowed is None or set(decoder) != set(bank):
        return own, choice, scores, truth
    sides = borrowed.stage.targets(decoder), borrowed.stage.targets(candidates)
    options = {f"ridge_{name}": score(*sides, rule, queries.repetitions) for name, rule in borrowed.rules.items()}
    options[choice.name] = scores
    final = choose(options, truth, [*(name for name in options if "density_ratio" in name), *options])
    table = Choice(final.name, {**choice.table, **final.table})
    if final.name == choice.name:
        return own, table, scores, truth
    return final.name.removeprefix("ridge_"), table, options[final.name], truth
