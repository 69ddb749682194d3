"""Fit ridge, encoding model and their fusion for one subject and fold: on training, with choices by validation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError, LeakageError, MismatchError
from neurodecode.encoders.linear.bank import Bank, check_bank, rows_of, take_rows
from neurodecode.encoders.linear.choice import Choice, choose
from neurodecode.encoders.linear.embedding_rule import EmbeddingRule, fit_embedding_rule
from neurodecode.encoders.linear.encoding import ENCODING_RULES, encoding_scores
from neurodecode.encoders.linear.fusion import Fusion, fit_fusion
from neurodecode.encoders.linear.scoring import Rule, fit_rule, score
from neurodecode.encoders.linear.selection import Indices, calibrated_cross_entropy, truth_index
from neurodecode.encoders.linear.stage import HeldOut, Stage, cross_fit, fit_stage, move
from neurodecode.encoders.linear.suite import LinearSuite
from neurodecode.encoders.linear.trials import Strings, TrialSet, grouped_folds, join

Floats = NDArray[np.float64]

# Most complete model first: it is taken unless another is better by more than one standard error.
ENCODING_PREFERENCE = ("likelihood", "noise_likelihood", "correlation")
RIDGE_RULES = (("density_ratio", 20), ("density_ratio", 10), ("density_ratio", 40), ("gaussian", 20), ("cosine", 0),
               ("correlation", 0))  # fmt: skip
FOLDS = 4
MOST_INNER_FOLDS = 12
FEW_UNITS = 30


@dataclass(frozen=True)
class _Evidence:
    """Scores of queries that were not trained on, by every rule, and the right answers."""

    ridge: dict[str, Floats]
    encoding: dict[str, Floats]
    truth: Indices


def fit_linear_suite(
    train: TrialSet,
    validation: TrialSet | None,
    bank: Bank,
    names: Sequence[str],
    *,
    decoder: Bank | None = None,
    shape: tuple[int, int] | None = None,
    noise_kind: str = "auto",
    single_queries: bool = False,
    seed: int = 0,
) -> LinearSuite:
    """Fit both linear models, choose their rules and fusion weights, and refit on all that may be trained on.

    With validation units of their own stimuli (at least 30), rules and weights are chosen by ranking the validation
    stimuli among each other with models fitted on `train`; the models are then refitted on both. With fewer units, or
    stimuli that repeat across units (runs, recordings), validation joins training and the choices are made by inner
    folds that leave out one unit (at most 12 folds), everything being refitted inside.

    Parameters
    ----------
    train : TrialSet
        Single trials, or averages of stimuli that repeat across units.
    validation : TrialSet or None
        Units held out of `train`.
    bank : mapping of str to array of shape (n_stimuli, dim)
        Layers in order of depth, for at least all stimuli of both sets.
    names : sequence of str
        Stimulus of each row of the bank.
    decoder : mapping of str to array of shape (n, dim), optional
        Embeddings that an external decoder predicts for the rows of `validation.averaged()`.
    shape : tuple of int, optional
        Channels and times that the signals must have.
    noise_kind : str
        Structure of the noise covariance; see `neurodecode.encoders.linear.noise.fit_whitener`.
    single_queries : bool
        Whether inner folds rank single rows instead of averages over a unit's repetitions, as the test will.
    seed : int
        Of all folds.

    Returns
    -------
    LinearSuite

    Raises
    ------
    LeakageError
        If a unit is in both sets.
    DataError, MismatchError
        If sets, bank and decoder do not fit.
    """
    check_bank(bank)
    stimuli = np.asarray(names, dtype=np.str_)
    if shape is not None and train.shape != tuple(shape):
        raise DataError(f"signals: got {train.shape} channels and times, expected {tuple(shape)}")
    everything = train
    if validation is not None:
        shared = np.intersect1d(train.group, validation.group)
        if len(shared):
            raise LeakageError(f"unit {str(shared[0])!r} is in both training and validation, expected disjoint units")
        everything = join([train, validation])
    repeated = validation is not None and bool(np.intersect1d(train.stimulus, validation.stimulus).size)
    inner = validation is None or repeated or len(np.unique(validation.group)) < FEW_UNITS
    borrowed: _Borrowed | None = None
    if inner:
        stage, held_out = _cross_fitted_stage(everything, bank, stimuli, noise_kind, seed)
        evidence = _inner_evidence(everything, bank, stimuli, noise_kind, single_queries, seed)
        ridge_rules = _ridge_rules(stage, held_out, seed)
        method = "inner folds that leave out whole units"
    else:
        assert validation is not None
        first, first_held_out = _cross_fitted_stage(train, bank, stimuli, noise_kind, seed)
        queries = validation.averaged()
        gallery = np.unique(queries.stimulus)
        evidence = _evidence(first, first_held_out, queries, bank, stimuli, gallery, seed)
        borrowed = _Borrowed(first, _ridge_rules(first, first_held_out, seed))
        stage = fit_stage(everything, bank, stimuli, noise_kind=noise_kind, seed=seed)
        stage, held_out = move(first, stage, first_held_out)
        ridge_rules = _ridge_rules(stage, held_out, seed)
        method = "validation stimuli ranked among validation stimuli; then refitted on training and validation"
    ridge = choose(evidence.ridge, evidence.truth, [_rule_name(*rule) for rule in RIDGE_RULES])
    encoding = choose(evidence.encoding, evidence.truth, ENCODING_PREFERENCE)
    members = {"ridge": evidence.ridge[ridge.name], "encoding": evidence.encoding[encoding.name]}
    suite = LinearSuite(stage, ridge_rules[ridge.name], encoding.name, Fusion({}), "fused")
    choices = {"ridge": ridge, "encoding": encoding}
    decoder_scores: tuple[Floats, Indices] | None = None
    if decoder is not None:
        if validation is None:
            raise MismatchError("decoder: got predicted embeddings but no validation set, expected both")
        rule, choices["decoder"], scores, truth = _decoder_evidence(
            decoder, validation, train, bank, stimuli, borrowed, seed
        )
        suite = replace(suite, decoder_rule=ridge_rules[rule] if isinstance(rule, str) else rule)
        decoder_scores = scores, truth
        if not inner:
            members["decoder"] = scores
    return _finish(suite, members, evidence.truth, choices, decoder_scores, method, inner)


def _finish(
    suite: LinearSuite,
    members: Mapping[str, Floats],
    truth: Indices,
    choices: Mapping[str, Choice],
    decoder_scores: tuple[Floats, Indices] | None,
    method: str,
    inner: bool,
) -> LinearSuite:
    """Fit the fusion, choose the model and write the report."""
    fusion = fit_fusion(members, truth)
    losses = {name: calibrated_cross_entropy(matrix, truth) for name, matrix in members.items()}
    losses["fused"] = calibrated_cross_entropy(fusion.apply(members), truth)
    # The decoder of few or repeated stimuli saw only the validation unit, which is too little to compare it by.
    chosen = min(losses, key=lambda name: losses[name])
    stage = suite.stage
    notes: dict[str, Any] = {
        "selection": method,
        "n_queries": len(truth),
        "n_candidates": int(next(iter(members.values())).shape[1]),
        "rules": {name: choice.name for name, choice in choices.items()},
        "validation": {name: choice.table for name, choice in choices.items()},
        "cross_entropy": losses,
        "chosen": chosen,
        "fusion": {"weights": fusion.weights, "scores": "z-scored over each query's candidates"},
        "decoder_in_fusion": decoder_scores is not None and not inner,
        "noise": {"kind": stage.whitener.kind, **stage.whitener.notes},
        "directions": int(stage.subspace.basis.shape[1]),
        "targets": stage.components.n_components,
        "repetitions": stage.repetitions,
        "layer_shares": stage.encoding.layer_shares,
        "model_error": float(np.trace(stage.encoding.model_error)),
        "ridge_penalties": [float(value) for value in np.quantile(stage.ridge.penalties, [0, 0.25, 0.5, 0.75, 1])],
    }
    return replace(suite, fusion=fusion, chosen=chosen, notes=notes)


def _rule_name(kind: str, rank: int) -> str:
    return f"{kind}_{rank}" if rank else kind


def _cross_fitted_stage(
    trials: TrialSet, bank: Bank, names: Strings, noise_kind: str, seed: int
) -> tuple[Stage, HeldOut]:
    stage = fit_stage(trials, bank, names, noise_kind=noise_kind, seed=seed)
    return cross_fit(stage, trials, bank, names, n_folds=FOLDS, noise_kind=noise_kind, seed=seed)


def _ridge_rules(stage: Stage, held_out: HeldOut, seed: int) -> dict[str, Rule]:
    """Every rule for ridge predictions, by the name of the wanted rank, fitted on held-out predictions."""
    noise, grams = stage.ridge.trial_noise(), stage.components.grams()
    return {
        _rule_name(kind, rank): fit_rule(
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


def _evidence(
    stage: Stage, held_out: HeldOut, queries: TrialSet, bank: Bank, names: Strings, gallery: Strings, seed: int
) -> _Evidence:
    """Score queries among a gallery by every rule of both models."""
    candidates = take_rows(bank, rows_of(gallery, names))
    coordinates = stage.coordinates(queries.signals)
    predicted = stage.encoding.predict(stage.scaler.apply(candidates))
    predictions, targets = stage.ridge.predict(coordinates), stage.targets(candidates)
    ridge = {
        name: score(predictions, targets, rule, queries.repetitions)
        for name, rule in _ridge_rules(stage, held_out, seed).items()
    }
    encoding = {
        rule: encoding_scores(rule, coordinates, predicted, stage.encoding.model_error, queries.repetitions)
        for rule in ENCODING_RULES
    }
    return _Evidence(ridge, encoding, truth_index(queries.stimulus, gallery))


def _inner_evidence(
    trials: TrialSet, bank: Bank, names: Strings, noise_kind: str, single_queries: bool, seed: int
) -> _Evidence:
    """Pool the evidence of inner folds, each with everything refitted on the other units."""
    gallery = np.unique(trials.stimulus)
    n_units = len(np.unique(trials.group))
    n_folds = n_units if n_units <= MOST_INNER_FOLDS else FOLDS
    parts = []
    for rows, left_out in grouped_folds(trials.group, n_folds, seed):
        stage, held_out = _cross_fitted_stage(trials.select(rows), bank, names, noise_kind, seed)
        queries = trials.select(left_out)
        queries = queries if single_queries else queries.averaged()
        parts.append(_evidence(stage, held_out, queries, bank, names, gallery, seed))
    return _Evidence(
        {name: np.concatenate([part.ridge[name] for part in parts]) for name in parts[0].ridge},
        {name: np.concatenate([part.encoding[name] for part in parts]) for name in parts[0].encoding},
        np.concatenate([part.truth for part in parts]),
    )


@dataclass(frozen=True)
class _Borrowed:
    """A stage that did not see validation, and ridge's rules fitted on its held-out predictions of training rows."""

    stage: Stage
    rules: dict[str, Rule]


def _decoder_evidence(
    decoder: Bank,
    validation: TrialSet,
    train: TrialSet,
    bank: Bank,
    names: Strings,
    borrowed: _Borrowed | None,
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
