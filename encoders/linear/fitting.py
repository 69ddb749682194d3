"""Fit ridge, encoding model and their fusion for one subject and fold: on training, with choices by validation."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from neurodecode.core.errors import DataError, LeakageError, MismatchError
from neurodecode.encoders.linear.bank import Bank, check_bank
from neurodecode.encoders.linear.choice import Choice, choose
from neurodecode.encoders.linear.evidence import (
    RIDGE_RULES,
    Borrowed,
    cross_fitted_stage,
    decoder_evidence,
    evidence_of,
    inner_evidence,
    ridge_rules_of,
    rule_name,
)
from neurodecode.encoders.linear.fusion import Fusion, fit_fusion
from neurodecode.encoders.linear.noise import noise_kind_of
from neurodecode.encoders.linear.selection import Indices, calibrated_cross_entropy
from neurodecode.encoders.linear.stage import fit_stage, move
from neurodecode.encoders.linear.suite import LinearSuite
from neurodecode.encoders.linear.trials import TrialSet, join

Floats = NDArray[np.float64]

# Most complete model first: it is taken unless another is better by more than one standard error.
ENCODING_PREFERENCE = ("likelihood", "noise_likelihood", "correlation")
FEW_UNITS = 30


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
        Structure of the noise covariance; see `neurodecode.encoders.linear.noise.fit_whitener`. With too few
        repetitions in `train`, "auto" takes all that varies as noise.
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
    kind = noise_kind_of(train.stimulus) if noise_kind == "auto" else noise_kind
    # Decompositions of this size gain nothing from a second thread, and on a busy machine threads that wait for each
    # other take four times as long. One thread also gives the same last digits whatever the number of cores.
    with threadpool_limits(limits=1, user_api="blas"):
        return _fit(train, validation, bank, names, decoder, shape, kind, single_queries, seed)


def _fit(
    train: TrialSet,
    validation: TrialSet | None,
    bank: Bank,
    names: Sequence[str],
    decoder: Bank | None,
    shape: tuple[int, int] | None,
    noise_kind: str,
    single_queries: bool,
    seed: int,
) -> LinearSuite:
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
    borrowed: Borrowed | None = None
    if inner:
        stage, held_out = cross_fitted_stage(everything, bank, stimuli, noise_kind, seed)
        evidence = inner_evidence(everything, bank, stimuli, noise_kind, single_queries, seed)
        ridge_rules = ridge_rules_of(stage, held_out, seed)
        method = "inner folds that leave out whole units"
    else:
        assert validation is not None
        first, first_held_out = cross_fitted_stage(train, bank, stimuli, noise_kind, seed)
        queries = validation.averaged()
        gallery = np.unique(queries.stimulus)
        evidence = evidence_of(first, first_held_out, queries, bank, stimuli, gallery, seed)
        borrowed = Borrowed(first, ridge_rules_of(first, first_held_out, seed))
        stage = fit_stage(everything, bank, stimuli, noise_kind=noise_kind, seed=seed)
        stage, held_out = move(first, stage, first_held_out)
        ridge_rules = ridge_rules_of(stage, held_out, seed)
        method = "validation stimuli ranked among validation stimuli; then refitted on training and validation"
    ridge = choose(evidence.ridge, evidence.truth, [rule_name(*rule) for rule in RIDGE_RULES])
    encoding = choose(evidence.encoding, evidence.truth, ENCODING_PREFERENCE)
    members = {"ridge": evidence.ridge[ridge.name], "encoding": evidence.encoding[encoding.name]}
    suite = LinearSuite(stage, ridge_rules[ridge.name], encoding.name, Fusion({}), "fused")
    choices = {"ridge": ridge, "encoding": encoding}
    decoder_scores: tuple[Floats, Indices] | None = None
    if decoder is not None:
        if validation is None:
            raise MismatchError("decoder: got predicted embeddings but no validation set, expected both")
        rule, choices["decoder"], scores, truth = decoder_evidence(
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
