"""The control that is made by the same steps on shuffled pairs."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.prepared import PreparedStudy
from neurodecode.workflow.ahead import fit_ahead
from neurodecode.workflow.bank import TargetBank
from neurodecode.workflow.decoding import Decode
from neurodecode.workflow.items import is_tested
from neurodecode.workflow.retrieve import Retrieval, rank_study
from neurodecode.workflow.run_folder import RankingTables
from neurodecode.workflow.shuffle import shuffled_copy
from neurodecode.workflow.spaces import Workspace


def rank_shuffled(
    prepared: PreparedStudy,
    space: Workspace,
    bank: TargetBank,
    *,
    decode: Decode,
    seed: int,
    subjects: Sequence[str],
    jobs: int = 1,
) -> Retrieval:
    """Rank with models of permuted training and validation labels; the test items keep theirs.

    Parameters
    ----------
    prepared : PreparedStudy
        The study with its true labels.
    space : Workspace
        Where shuffled copies and models are kept.
    bank : TargetBank
        Its targets.
    decode : Decode
        Networks that were trained on the same shuffled copies.
    seed : int
        Of the permutations and inner folds.
    subjects : sequence of str
        Whose control is made.
    jobs : int
        Processes that fit side by side.

    Returns
    -------
    Retrieval
        Items of several folds are pooled.
    """
    split, keep = prepared.split, space.models(prepared.name, shuffled=True)
    copies = {
        fold: shuffled_copy(prepared, space.shuffled(prepared.name, fold), seed=seed, fold=fold)
        for fold in range(split.n_folds)
        if any(is_tested(split, subject, fold) for subject in subjects)
    }
    wanted = [
        (copy, subject, fold)
        for fold, copy in copies.items()
        for subject in subjects
        if is_tested(split, subject, fold)
    ]
    fit_ahead(wanted, bank=bank, decode=decode, seed=seed, keep=keep, jobs=jobs)
    parts = [
        rank_study(copy, bank, decode=decode, seed=seed, subjects=list(subjects), folds=[fold], keep=keep)
        for fold, copy in copies.items()
    ]
    return parts[0] if len(parts) == 1 else join_folds(parts)


def join_folds(parts: Sequence[Retrieval]) -> Retrieval:
    """Pool folds that were ranked one by one, in the order of the pooled study: by subject, then by fold."""
    first = parts[0].tables
    queries = pd.concat([part.tables.queries for part in parts], ignore_index=True)
    order = {subject: place for place, subject in enumerate(first.subjects)}
    queries = queries.sort_values(
        ["subject", "fold"], key=lambda c: c.map(order) if c.name == "subject" else c, kind="stable"
    )
    scores: dict[tuple[str, str], NDArray[np.float32]] = {
        key: np.concatenate([part.tables.scores[key] for part in parts if key in part.tables.scores])
        for key in first.scores
    }
    chosen = {name: model for part in parts for name, model in part.chosen.items()}
    reports = {name: report for part in parts for name, report in part.reports.items()}
    models = {key: fitted for part in parts for key, fitted in part.models.items()}
    return Retrieval(RankingTables(queries.reset_index(drop=True), first.candidates, scores), chosen, reports, models)
