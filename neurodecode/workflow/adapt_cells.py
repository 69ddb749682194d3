"""One cell of an adaptation: a strategy on a budget, fitted and asked about the test items."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from neurodecode.core.errors import ConfigError
from neurodecode.core.prepared import PreparedStudy
from neurodecode.encoders.linear.fitting import fit_linear_suite
from neurodecode.encoders.linear.group_prior import GRIDS, fit_group_model
from neurodecode.encoders.linear.noise import noise_kind_of
from neurodecode.encoders.linear.trials import join
from neurodecode.training.adaptation import NETWORK_STRATEGIES, Source
from neurodecode.training.adaptation_fit import adapt_network
from neurodecode.workflow.adapt_group import Group
from neurodecode.workflow.adapt_network import Decoding, group_start, rank_embeddings, scratch_decoder
from neurodecode.workflow.adapt_plan import SCRATCH
from neurodecode.workflow.bank import FoldBank, TargetBank
from neurodecode.workflow.items import Items, candidate_names, fold_items


@dataclass(frozen=True)
class Cell:
    """What one strategy answered.

    Parameters
    ----------
    strategy, subject : str
        What was run, and for whom.
    scores : ndarray of shape (n_queries, n_candidates)
    items : Items
        Parts of the budget's fold.
    candidates : list of str
        The gallery.
    chosen : str
        What validation inside the budget chose, in a word.
    report : dict
        More of that, as plain JSON.
    """

    strategy: str
    subject: str
    scores: NDArray[np.float32]
    items: Items
    candidates: list[str]
    chosen: str
    report: dict[str, Any] = field(default_factory=dict)


def rank_cell(
    study: PreparedStudy,
    subject: str,
    bank: TargetBank,
    targets: Mapping[str, Path],
    strategy: str,
    *,
    source: Source | None,
    group: Group,
    networks: Path,
    seed: int,
    epochs: int,
) -> Cell:
    """Fit a strategy on a budget and rank the test items.

    Parameters
    ----------
    study : PreparedStudy
        Of the budget, with known subjects beside it where the strategy trains in company; or the whole study.
    subject : str
        The new subject.
    bank, targets
        Targets, and the folder of each layer.
    strategy : str
        ``scratch`` or one of the strategies.
    source : Source, optional
        The network to adapt.
    group : Group
        The other subjects.
    networks : Path
        Where a network that is trained from scratch is kept.
    seed, epochs
        Of training.

    Returns
    -------
    Cell
        Everything was fitted on, and chosen by, training and validation windows of the study that was given.
    """
    items = fold_items(study, subject)
    candidates = candidate_names(study, [subject], [0])
    if strategy in GRIDS:
        return _group_cell(items, candidates, strategy, group, subject, seed)
    own = bank.fold(items.known)
    if strategy == SCRATCH:
        return _scratch_cell(study, items, candidates, own, targets, source, subject, networks, seed, epochs)
    if source is None:
        raise ConfigError(f"strategy: {strategy} adapts a network, expected --checkpoint")
    start = group_start(group, items)
    task, report = adapt_network(
        source, study.folder, targets, NETWORK_STRATEGIES[strategy], subject=subject,
        company=[name for name in study.subjects if name != subject], group=start, seed=seed, epochs=epochs,
    )  # fmt: skip

    def decode(signals: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        return own.place(task.decode(subject, signals, ranking=True))

    reference = own.rows(group.trained() if not own.bases else items.train.stimulus.tolist())
    matrix, rule, table = rank_embeddings(decode, items, own, candidates, reference=reference, start=start, seed=seed)
    notes = {"network": report, "rule": rule, "validation": table}
    return Cell(strategy, subject, matrix, items, candidates, f"epoch {report['epoch']}, {rule}", notes)


def _group_cell(items: Items, candidates: list[str], strategy: str, group: Group, subject: str, seed: int) -> Cell:
    responses = group.responses()
    bank = group.bank.fold(group.trained())
    trials = group.own(join([items.train, items.validation]))
    with threadpool_limits(limits=1, user_api="blas"):
        rows = bank.rows(group.names)
        model = fit_group_model(trials, responses, rows, group.names, strategy=strategy, seed=seed)
        scores = model.score(group.own(items.test), responses.of(candidates), bank.rows(candidates))
    chosen = f"{model.notes['penalty']}{', with rest' if model.notes['rest'] else ''}, {model.rule}"
    notes = {**model.notes, "channels": len(group.channels())}
    return Cell(strategy, subject, scores.astype(np.float32), items, candidates, chosen, notes)


def _scratch_cell(
    study: PreparedStudy,
    items: Items,
    candidates: list[str],
    bank: FoldBank,
    targets: Mapping[str, Path],
    source: Source | None,
    subject: str,
    networks: Path,
    seed: int,
    epochs: int,
) -> Cell:
    """Take the better of ridge, encoding and network, or their fusion where that is better still."""
    report: dict[str, Any] = {"kind": "the quickstart's"}
    if source is None:
        network: Decoding = scratch_decoder(study, subject, targets, networks, seed=seed)
    else:
        task, found = adapt_network(
            source, study.folder, targets, NETWORK_STRATEGIES[SCRATCH], subject=subject, seed=seed, epochs=epochs
        )
        report = {"kind": "the checkpoint's", **found}

        def network(signals: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
            return task.decode(subject, signals, ranking=True)

    validation, test = (bank.place(network(rows)) for rows in (items.validation.averaged().signals, items.test.signals))
    suite = fit_linear_suite(
        items.train, items.validation, bank.rows(items.known), items.known, decoder=validation,
        noise_kind=noise_kind_of(items.train.stimulus), seed=seed,
    )  # fmt: skip
    answers = suite.score_all(items.test, bank.rows(candidates), decoder=test)
    best = answers[suite.chosen].astype(np.float32)
    return Cell(SCRATCH, subject, best, items, candidates, suite.chosen, {**suite.report(), "network": report})
