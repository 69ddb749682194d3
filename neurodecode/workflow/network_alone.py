"""A network ranked without the linear models beside it, which take longer to fit than a small network to train."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.prepared import PreparedStudy
from neurodecode.encoders.linear.embedding_rule import fit_embedding_rule
from neurodecode.workflow.bank import TargetBank
from neurodecode.workflow.decoding import Decode
from neurodecode.workflow.items import candidate_names, fold_items, is_tested
from neurodecode.workflow.retrieve import Retrieval, query_table
from neurodecode.workflow.run_folder import RankingTables


def rank_network(
    prepared: PreparedStudy, bank: TargetBank, decode: Decode, subjects: Sequence[str], *, seed: int = 0
) -> Retrieval:
    """Rank the test items with a network alone; how its answers are scored is chosen and fitted on validation.

    Parameters
    ----------
    prepared : PreparedStudy
        The study.
    bank : TargetBank
        Targets of all its stimuli.
    decode : Decode
        The network.
    subjects : sequence of str
        Whose test items.
    seed : int
        Of the folds inside validation.

    Returns
    -------
    Retrieval
        The model `decoder`. Beside the linear models it may score otherwise: they lend it their rules.
    """
    split = prepared.split
    folds = list(range(split.n_folds))
    candidates = candidate_names(prepared, list(subjects), folds)
    vectors = bank.rows(candidates)
    queries: list[pd.DataFrame] = []
    parts: dict[tuple[str, str], list[NDArray[np.float32]]] = {}
    reports = {}
    for subject, fold in [(subject, fold) for subject in subjects for fold in folds if is_tested(split, subject, fold)]:
        items = fold_items(prepared, subject, fold=fold)
        validation = items.validation.averaged()
        gallery = np.unique(validation.stimulus)
        rule, choice, _ = fit_embedding_rule(
            decode(fold, subject, validation.signals),
            bank.rows(validation.stimulus.tolist()),
            validation.group,
            bank.rows(gallery.tolist()),
            np.searchsorted(gallery, validation.stimulus),
            bank.rows(np.unique(items.train.stimulus).tolist()),
            seed=seed,
        )
        found = rule.score(decode(fold, subject, items.test.signals), vectors)
        parts.setdefault(("decoder", subject), []).append(np.asarray(found, dtype=np.float32))
        reports[f"{subject}/{fold}"] = {"rules": {"decoder": choice.name}, "validation": {"decoder": choice.table}}
        queries.append(query_table(subject, fold, items))
    texts = {str(row.stimulus): str(row.text) or str(row.stimulus) for row in prepared.stimuli.table.itertuples()}
    table = pd.DataFrame({"candidate": candidates, "text": [texts[name] for name in candidates]})
    scores = {key: np.concatenate(rows) for key, rows in parts.items()}
    tables = RankingTables(pd.concat(queries, ignore_index=True), table, scores)
    return Retrieval(tables, {}, reports)
