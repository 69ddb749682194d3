"""Retrieval of a whole study: every model on the same folds, with its ceilings and its shuffled control."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.prepared import PreparedStudy
from neurodecode.encoders.linear.fitting import fit_linear_suite
from neurodecode.encoders.linear.kept import kept_linear_suite
from neurodecode.encoders.linear.suite import LinearSuite
from neurodecode.encoders.linear.trials import TrialSet
from neurodecode.workflow.ahead import bank_and_predictions, fit_ahead, suite_folder
from neurodecode.workflow.bank import FoldBank, TargetBank
from neurodecode.workflow.ceilings import ceiling_scores, has_truth
from neurodecode.workflow.decoding import Decode
from neurodecode.workflow.items import Items, candidate_names, fold_items, is_tested
from neurodecode.workflow.run_folder import RankingTables

Progress = Callable[[str], None]
CHOSEN = "chosen"
SHUFFLED = "shuffled_brain"
PERMUTED = "shuffled_brain_permuted"


@dataclass(frozen=True)
class FoldModels:
    """Every model of one subject and fold, ready to score signals.

    Parameters
    ----------
    suite : LinearSuite
        Ridge, encoding, the decoder's scoring rule and the fusion.
    decode : Decode, optional
        The trained network.
    subject : str
        Whose signals.
    fold : int
        Which fold.
    items : Items
        The parts of the fold.
    bank : FoldBank
        The targets, as these models see them.
    """

    suite: LinearSuite
    decode: Decode | None
    subject: str
    fold: int
    items: Items
    bank: FoldBank

    def score(self, test: TrialSet, candidates: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Score every candidate for each row of `test` with every model; rows do not know of each other."""
        external = None
        if self.decode is not None:
            external = self.bank.place(self.decode(self.fold, self.subject, test.signals))
        scores = self.suite.score_all(test, self.bank.rows(candidates), decoder=external)
        return {model: np.asarray(matrix, dtype=np.float32) for model, matrix in scores.items()}

    def predict(self, signals: NDArray[np.float32], layer: str) -> NDArray[np.float32]:
        """Predict one layer's vectors, with the network where there is one, else with ridge."""
        if self.decode is not None:
            return np.asarray(self.decode(self.fold, self.subject, signals)[layer], dtype=np.float32)
        names = np.arange(len(signals)).astype(str)
        trials = TrialSet(signals, names, names, np.ones(len(signals), dtype=np.int64))
        return self.bank.restore(layer, np.asarray(self.suite.predict(trials)[layer], dtype=np.float32))


@dataclass
class Retrieval:
    """All that ranking a study gives, before it is scored.

    Parameters
    ----------
    tables : RankingTables
        Every query's score of every candidate.
    chosen : dict of str to str
        For each subject and fold (``sub-01/0``), the model that validation chose.
    reports : dict of str to Any
        What was chosen inside the models, by subject and fold.
    models : dict of (subject, fold) to FoldModels
        Kept for repetition curves and reconstructions.
    """

    tables: RankingTables
    chosen: dict[str, str]
    reports: dict[str, Any]
    models: dict[tuple[str, int], FoldModels] = field(default_factory=dict)


def fit_fold(
    prepared: PreparedStudy,
    bank: TargetBank,
    subject: str,
    fold: int,
    *,
    decode: Decode | None,
    seed: int,
    keep: Path | None = None,
) -> FoldModels:
    """Fit the linear models of one subject and fold, and fit in the trained network by its validation predictions.

    Parameters
    ----------
    prepared : PreparedStudy
        The study.
    bank : TargetBank
        Targets of all its stimuli.
    subject : str
        Whose windows.
    fold : int
        Which fold.
    decode : Decode, optional
        A network trained on the same fold.
    seed : int
        Seed of inner folds.
    keep : Path, optional
        Folder of the study's models (``models/<study>`` of a run), in which the linear models are kept; they are read
        from there if they were fitted before from the very same data.

    Returns
    -------
    FoldModels
        Nothing of the test part was looked at.
    """
    items = fold_items(prepared, subject, fold=fold)
    known = items.known
    own, external = bank_and_predictions(bank, items, subject, fold, decode)
    data = (items.train, items.validation, own.rows(known), known)
    if keep is None:
        suite = fit_linear_suite(*data, decoder=external, seed=seed)
    else:
        suite = kept_linear_suite(suite_folder(keep, subject, fold), *data, decoder=external, seed=seed)
    return FoldModels(suite, decode, subject, fold, items, own)


def rank_study(
    prepared: PreparedStudy,
    bank: TargetBank,
    *,
    decode: Decode | None,
    seed: int,
    subjects: list[str] | None = None,
    folds: list[int] | None = None,
    keep: Path | None = None,
    jobs: int = 1,
    progress: Progress = lambda text: None,
) -> Retrieval:
    """Fit all models on every fold and rank the test items.

    Parameters
    ----------
    prepared, bank, decode, seed, keep
        As in `fit_fold`.
    subjects : list of str, optional
        All by default.
    folds : list of int, optional
        All by default. Test items of several folds are pooled: each is ranked by the models of its own fold.
    jobs : int
        Processes that fit linear models side by side, which needs a folder to keep them.
    progress : callable
        Told the subject and fold that begins.

    Returns
    -------
    Retrieval
        The gallery is the same for all folds: every stimulus that is tested in one of them.
    """
    wanted = prepared.subjects if subjects is None else subjects
    numbers = list(range(prepared.split.n_folds)) if folds is None else folds
    candidates = candidate_names(prepared, wanted, numbers)
    split = prepared.split
    queries: list[pd.DataFrame] = []
    parts: dict[tuple[str, str], list[NDArray[np.float32]]] = {}
    chosen: dict[str, str] = {}
    reports: dict[str, Any] = {}
    models: dict[tuple[str, int], FoldModels] = {}
    pairs = [(subject, fold) for subject in wanted for fold in numbers if is_tested(split, subject, fold)]
    if keep is not None:
        studies = [(prepared, *pair) for pair in pairs]
        fit_ahead(studies, bank=bank, decode=decode, seed=seed, keep=keep, jobs=jobs)
    for subject, fold in pairs:
        progress(f"{subject}, fold {fold + 1} of {len(numbers)}" if len(numbers) > 1 else subject)
        fitted = fit_fold(prepared, bank, subject, fold, decode=decode, seed=seed, keep=keep)
        scores = fitted.score(fitted.items.test, candidates)
        scores[CHOSEN] = scores[fitted.suite.chosen]
        for model, matrix in scores.items():
            parts.setdefault((model, subject), []).append(matrix)
        chosen[f"{subject}/{fold}"] = fitted.suite.chosen
        reports[f"{subject}/{fold}"] = fitted.suite.report()
        models[subject, fold] = fitted
        queries.append(query_table(subject, fold, fitted.items))
    texts = {str(row.stimulus): str(row.text) or str(row.stimulus) for row in prepared.stimuli.table.itertuples()}
    table = pd.DataFrame({"candidate": candidates, "text": [texts[name] for name in candidates]})
    tables = RankingTables(
        pd.concat(queries, ignore_index=True), table, {key: np.concatenate(rows) for key, rows in parts.items()}
    )
    return Retrieval(tables, chosen, reports, models)


def query_table(subject: str, fold: int, items: Items) -> pd.DataFrame:
    """List the test rows of a fold as queries."""
    return pd.DataFrame(
        {
            "subject": subject,
            "query": items.test_names,
            "stimulus": items.test.stimulus,
            "correct": items.test.stimulus,
            "unit": items.test.group,
            "fold": fold,
            "repetitions": items.test.repetitions,
        }
    )


def add_scores(tables: RankingTables, extra: Mapping[tuple[str, str], NDArray[np.float32]]) -> RankingTables:
    """Give tables with further models' scores of the same queries."""
    return RankingTables(tables.queries, tables.candidates, {**tables.scores, **extra})


def with_ceilings(
    tables: RankingTables,
    models: Mapping[tuple[str, int], FoldModels],
    prepared: PreparedStudy,
    data: Path,
    *,
    keep: Path | None = None,
) -> RankingTables:
    """Add the ceilings of a simulated study; subjects without ground truth are left as they are.

    Parameters
    ----------
    tables : RankingTables
        The ranked study; one fold.
    models : mapping of (subject, fold) to FoldModels
        The models that ranked it, for their training and test items.
    prepared : PreparedStudy
        The study.
    data : Path
        The simulated data set, with its truth.
    keep : Path, optional
        Folder of the study's models, in which the ceilings are kept.

    Returns
    -------
    RankingTables
        With `oracle`, `ideal_learner` and `exact_learner`.
    """
    candidates = [str(name) for name in tables.candidates["candidate"]]
    extra = {}
    for (subject, fold), fitted in models.items():
        if has_truth(data, subject):
            items = fitted.items
            path = None if keep is None else keep / f"fold{fold}" / "ceilings" / f"{subject}.npz"
            found = ceiling_scores(data, prepared, subject, items.train, items.test, candidates, keep=path)
            extra.update({(name, subject): matrix for name, matrix in found.items()})
    return add_scores(tables, extra)


def with_controls(tables: RankingTables, shuffled: Retrieval | None, *, seed: int) -> RankingTables:
    """Add the shuffled controls: models retrained on shuffled pairs, and the fused ranking of other queries' brains.

    Parameters
    ----------
    tables : RankingTables
        The ranked study.
    shuffled : Retrieval, optional
        The same study ranked by models that were trained on shuffled pairs.
    seed : int
        Seed of the permutation of the test responses.

    Returns
    -------
    RankingTables
        With `shuffled_brain` and `shuffled_brain_permuted`.
    """
    extra: dict[tuple[str, str], NDArray[np.float32]] = {}
    for number, subject in enumerate(tables.subjects):
        if ("fused", subject) in tables.scores:
            matrix = tables.scores["fused", subject]
            extra[PERMUTED, subject] = matrix[np.random.default_rng([seed, number]).permutation(len(matrix))]
    if shuffled is not None:
        for (model, subject), matrix in shuffled.tables.scores.items():
            if model == "fused":
                extra[SHUFFLED, subject] = matrix
    return add_scores(tables, extra)
