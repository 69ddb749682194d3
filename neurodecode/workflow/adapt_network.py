"""Networks in an adaptation: how their embeddings are scored, and the one that is trained from scratch."""

import io
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from neurodecode.core.errors import MismatchError
from neurodecode.core.prepared import PreparedStudy
from neurodecode.encoders.linear.bank import (
    Bank,
    fit_bank_scaler,
    fit_joint_components,
    rows_of,
    summed_products,
    symmetric_eigen,
    take_rows,
)
from neurodecode.encoders.linear.choice import Choice, choose
from neurodecode.encoders.linear.embedding_rule import LEAST_ROWS_FOR_GAUSSIANS, EmbeddingRule, fit_embedding_rule
from neurodecode.encoders.linear.evidence import Borrowed, cross_fitted_stage, decoder_evidence, ridge_rules_of
from neurodecode.encoders.linear.noise import noise_kind_of
from neurodecode.encoders.linear.scoring import Rule, fit_rule, score
from neurodecode.encoders.linear.selection import truth_index
from neurodecode.encoders.linear.stage import MOST_TARGETS, harmonic_mean
from neurodecode.encoders.linear.trials import Strings, TrialSet, join
from neurodecode.training.adaptation_group import GroupStart
from neurodecode.workflow.adapt_group import Group
from neurodecode.workflow.bank import FoldBank
from neurodecode.workflow.items import Items
from neurodecode.workflow.train import decoder_of, train_decoder

Floats = NDArray[np.float64]
Vectors = Mapping[str, NDArray[np.float32]]
Decoding = Callable[[NDArray[np.float32]], Vectors]
Answering = Callable[[Vectors, Vectors, NDArray[np.int64]], Floats]
#: Directions of the rules that are fitted on what the group would answer.
RANKS = (20, 40)
#: Validation overrules them only where its rows have at least one over this of a query's repetitions: what is best for
#: single trials is not for the mean of twenty, and these rules are fitted for as many as are asked about.
OVERRULED_BY = 2


def group_start(group: Group, items: Items) -> GroupStart | None:
    """Give what a network may know of the group, or None where it has other channels or is asked for tokens."""
    try:
        same = len(group.channels()) == items.train.shape[0]
    except MismatchError:
        return None
    if not same or any(space.kind != "vector" for space in group.bank.spaces().values()):
        return None
    shown = np.asarray(group.trained(), dtype=np.str_)
    return GroupStart(group.responses(), group.bank.rows(group.names), shown, harmonic_mean(items.test.repetitions))


def scratch_decoder(
    study: PreparedStudy, subject: str, targets: Mapping[str, Path], folder: Path, *, seed: int
) -> Decoding:
    """Train the quickstart's network on the training windows of a study, its epoch chosen by the study's validation.

    Parameters
    ----------
    study : PreparedStudy
        Of a budget, or the whole.
    subject : str
        Who is trained on alone.
    targets : mapping of str to Path
        Folder of targets of each layer.
    folder : Path
        Where the training is kept.
    seed : int
        Of weights and order.

    Returns
    -------
    callable
        From signals to embeddings of every layer.
    """
    with as_file(files("neurodecode.configs")) as configs:
        names = ("decoder", study.info["modality"], study.name)
        paths = [configs / "quickstart" / f"{name}.yaml" for name in names]
        found = [path for number, path in enumerate(paths) if number == 0 or path.is_file()]
        overrides = ("--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false")
        # A step of many here: where its checkpoint lies is nothing to be told.
        with redirect_stdout(io.StringIO()):
            path = train_decoder(
                study, targets, folder, configs=found, fold=0, seed=seed, subjects=[subject], overrides=overrides
            )
    decode = decoder_of({(0, subject): path})
    return lambda signals: decode(0, subject, signals)


def rank_embeddings(
    decode: Decoding,
    items: Items,
    bank: FoldBank,
    candidates: list[str],
    *,
    reference: Vectors,
    start: GroupStart | None,
    seed: int,
) -> tuple[NDArray[np.float32], str, dict[str, dict[str, float]]]:
    """Score a network's embeddings by the rule that the budget's validation chooses.

    Parameters
    ----------
    decode : callable
        The network.
    items : Items
        Of the budget.
    bank : FoldBank
        Targets.
    candidates : list of str
        The gallery.
    reference : mapping of str to array of shape (n_stimuli, dim)
        Targets of the stimuli that the known subjects were trained on.
    start : GroupStart, optional
        The group's responses, by which rules can be fitted on what the new subject would answer to many stimuli.
    seed : int
        Of folds and draws.

    Returns
    -------
    scores : array of shape (n_queries, n_candidates)
    rule : str
    table : dict
        What every rule reached on validation.

    Notes
    -----
    A rule is taken for a better one only by more than a standard error; the rules fitted on the group come first, and
    alone where validation has far fewer repetitions than the test rows, for whose number they are fitted. With
    fewer validation stimuli than 40 cosines and the correlation alone compete, about the centre of `reference`, for a
    handful of stimuli has none.
    """
    queries, train = items.validation.averaged(), items.train
    known = np.asarray(items.known, dtype=np.str_)
    features, vectors = bank.rows(items.known), bank.rows(candidates)
    validation, test = decode(queries.signals), decode(items.test.signals)
    shown = np.unique(queries.stimulus)
    gallery, truth = take_rows(features, rows_of(shown, known)), truth_index(queries.stimulus, shown)
    with threadpool_limits(limits=1, user_api="blas"):
        fit = _fit_plain if len(queries) < LEAST_ROWS_FOR_GAUSSIANS else _fit_borrowed
        choice, scores, answer = fit(validation, items, features, known, reference, seed)
        if start is not None and len(train) >= LEAST_ROWS_FOR_GAUSSIANS:
            counts = [max(1, round(harmonic_mean(part.repetitions))) for part in (queries, items.test)]
            fitted = _GroupRules(start, decode)
            asked = fitted.rules(train, counts[0], seed)
            options = {name: fitted.score(validation, gallery, one) for name, one in asked.items()}
            if OVERRULED_BY * counts[0] >= counts[1]:
                options = {**options, choice.name: scores}
            final = choose(options, truth, list(options))
            choice = Choice(final.name, {**choice.table, **final.table})
            if final.name in asked:
                rule = fitted.rules(join([train, items.validation]), counts[1], seed)[final.name]
                return fitted.score(test, vectors, rule).astype(np.float32), choice.name, choice.table
        return answer(test, vectors, items.test.repetitions).astype(np.float32), choice.name, choice.table


def _fit_plain(
    validation: Vectors, items: Items, features: Vectors, known: Strings, reference: Vectors, seed: int
) -> tuple[Choice, Floats, Answering]:
    """Choose among the cosines and the correlation; their centre is that of `reference`."""
    queries = items.validation.averaged()
    shown = np.unique(queries.stimulus)
    rule, choice, scores = fit_embedding_rule(
        validation,
        take_rows(features, rows_of(queries.stimulus, known)),
        queries.group,
        take_rows(features, rows_of(shown, known)),
        truth_index(queries.stimulus, shown),
        reference,
        seed=seed,
    )
    centred = replace(rule, offsets={name: reference[name].mean(axis=0) for name in rule.offsets})
    return choice, scores, lambda test, vectors, repetitions: centred.score(test, vectors)


def _fit_borrowed(
    validation: Vectors, items: Items, features: Vectors, known: Strings, reference: Vectors, seed: int
) -> tuple[Choice, Floats, Answering]:
    """Choose among rules of the network's own and those that ridge lends it."""
    train = items.train
    stage, held_out = cross_fitted_stage(train, features, known, noise_kind_of(train.stimulus), seed)
    rules = ridge_rules_of(stage, held_out, seed)
    rule, choice, scores, _ = decoder_evidence(
        validation, items.validation, train, features, known, Borrowed(stage, rules), seed
    )
    if isinstance(rule, EmbeddingRule):
        own = rule
        return choice, scores, lambda test, vectors, repetitions: own.score(test, vectors)
    lent = rules[rule]
    return (
        choice,
        scores,
        lambda test, vectors, repetitions: score(stage.targets(test), stage.targets(vectors), lent, repetitions),
    )


class _GroupRules:
    """Density ratios fitted on a network's answers to what the group leads to expect."""

    def __init__(self, start: GroupStart, decode: Decoding) -> None:
        self.start, self.decode = start, decode
        shown = take_rows(start.bank, rows_of(start.shown, start.responses.names))
        self.scaler = fit_bank_scaler(shown)
        scaled = self.scaler.apply(shown)
        self.components = fit_joint_components(scaled, *symmetric_eigen(summed_products(scaled)), MOST_TARGETS)
        self.truths = self.components.scores(scaled)

    def place(self, vectors: Bank) -> NDArray[np.float64]:
        """Place embeddings on the joint components of the targets."""
        return self.components.scores(self.scaler.apply(vectors))

    def rules(self, own: TrialSet, repetitions: int, seed: int) -> dict[str, Rule]:
        """Fit the rules for queries of some repetitions."""
        predicted = self.place(self.decode(self.start.queries(own, repetitions, seed=seed)))
        return {
            f"group_density_ratio_{rank}": fit_rule(
                "density_ratio", predicted, self.truths, self.start.shown, rank=rank, seed=seed
            )
            for rank in RANKS
        }

    def score(self, predicted: Bank, candidates: Bank, rule: Rule) -> NDArray[np.float64]:
        """Score candidates for predicted embeddings."""
        return score(self.place(predicted), self.place(candidates), rule)
