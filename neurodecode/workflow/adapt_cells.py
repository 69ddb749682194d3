"""One cell of an adaptation: a strategy on a budget, fitted and asked about the test items."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from neurodecode.core.errors import ConfigError, MismatchError
from neurodecode.core.kept import computed_by, content_digest, kept_arrays
from neurodecode.core.prepared import PreparedStudy
from neurodecode.encoders.linear.embedding_rule import EmbeddingRule
from neurodecode.encoders.linear.evidence import Borrowed, cross_fitted_stage, decoder_evidence, ridge_rules_of
from neurodecode.encoders.linear.fitting import fit_linear_suite
from neurodecode.encoders.linear.group import GroupResponses, fit_group
from neurodecode.encoders.linear.group_prior import GRIDS, fit_group_model
from neurodecode.encoders.linear.noise import noise_kind_of
from neurodecode.encoders.linear.scoring import score
from neurodecode.encoders.linear.trials import join
from neurodecode.training.adaptation import NETWORK_STRATEGIES, Source
from neurodecode.training.adaptation_fit import adapt_network
from neurodecode.workflow.bank import TargetBank
from neurodecode.workflow.items import Items, candidate_names, fold_items, windows_as_trials

SCRATCH = "scratch"
Vectors = Mapping[str, NDArray[np.float32]]


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


class Group:
    """The other subjects' expected responses, fitted when first asked for and kept on disk.

    Parameters
    ----------
    prepared : PreparedStudy
        The whole study.
    bank : TargetBank
        Its targets.
    subject : str
        The new subject: its layout is required of all others, its signals are not looked at.
    others : sequence of str
        The group.
    keep : Path
        Where the responses are kept.
    seed : int
        Of folds.
    """

    def __init__(
        self, prepared: PreparedStudy, bank: TargetBank, subject: str, others: Sequence[str], keep: Path, *, seed: int
    ) -> None:
        self.prepared, self.bank, self.subject, self.others = prepared, bank, subject, list(others)
        self.keep, self.seed = keep, seed
        self.names = sorted({str(name) for name in prepared.stimuli.table["stimulus"]} & self._shown())
        self._found: GroupResponses | None = None

    def _shown(self) -> set[str]:
        people = [self.subject, *self.others]
        shown = (set(self.prepared.recording(name).windows["stimulus"].astype(str)) for name in people)
        return set().union(*shown) - {""}

    def responses(self) -> GroupResponses:
        """Fit the group on the training windows of its members, or read what was kept.

        Raises
        ------
        MismatchError
            If somebody has other channels than the new subject.
        """
        if self._found is None:
            split, own = self.prepared.split, self.prepared.recording(self.subject)
            parts = []
            for name in self.others:
                recording = self.prepared.recording(name, fold=0)
                if recording.sensors.names != own.sensors.names or recording.n_times != own.n_times:
                    raise MismatchError(
                        f"group: {name} has {recording.n_channels} channels and {recording.n_times} times, "
                        f"{self.subject} {own.n_channels} and {own.n_times}, or other names; expected one layout"
                    )
                parts.append(windows_as_trials(split, recording, split.rows(name, "train"), averaged=True)[0])
            others, bank = join(parts), self.bank.rows(self.names)
            key = content_digest(
                {
                    "by": computed_by(["neurodecode.encoders.linear"], ["numpy", "scipy"]),
                    "signals": others.signals, "stimulus": list(others.stimulus), "names": self.names,
                    "bank": [[layer, rows] for layer, rows in bank.items()], "seed": self.seed,
                }
            )  # fmt: skip

            def make() -> dict[str, NDArray[Any]]:
                with threadpool_limits(limits=1, user_api="blas"):
                    return {"signals": fit_group(others, bank, self.names, seed=self.seed).signals}

            kept = kept_arrays(self.keep / f"without-{self.subject}.npz", key, make)
            self._found = GroupResponses(np.asarray(self.names, dtype=np.str_), kept["signals"])
        return self._found


def rank_cell(
    study: PreparedStudy,
    subject: str,
    bank: TargetBank,
    targets: Mapping[str, Path],
    strategy: str,
    *,
    source: Source | None,
    group: Group,
    seed: int,
    epochs: int,
    whole: bool = False,
) -> Cell:
    """Fit a strategy on a budget and rank the test items.

    Parameters
    ----------
    study : PreparedStudy
        Of the budget, or the whole study.
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
    seed, epochs
        Of training.
    whole : bool
        Whether this is all of the subject's data, for which no network is trained.

    Returns
    -------
    Cell
        Everything was fitted on, and chosen by, training and validation windows of the study that was given.
    """
    items = fold_items(study, subject)
    candidates = candidate_names(study, [subject], [0])
    vectors = bank.rows(candidates)
    if strategy in GRIDS:
        responses = group.responses()
        rows = bank.rows(group.names)
        with threadpool_limits(limits=1, user_api="blas"):
            model = fit_group_model(
                join([items.train, items.validation]), responses, rows, group.names, strategy=strategy, seed=seed
            )
            scores = model.score(items.test, responses.of(candidates), vectors)
        chosen = f"{model.notes['penalty']}{', with rest' if model.notes['rest'] else ''}, {model.rule}"
        return Cell(strategy, subject, scores.astype(np.float32), items, candidates, chosen, model.notes)
    known = items.known
    features = bank.rows(known)
    task, report = None, dict[str, Any]()
    if source is not None and not whole:
        task, report = adapt_network(
            source, study.folder, targets, NETWORK_STRATEGIES[strategy], seed=seed, epochs=epochs
        )
    queries = items.validation.averaged()
    heads = [] if task is None else list(task.interface["targets"])

    def decode(signals: NDArray[np.float32]) -> Vectors | None:
        if task is None:
            return None
        found = task.decode(subject, signals)
        return {name: found[name] for name in heads}

    if strategy == SCRATCH:
        kind = noise_kind_of(items.train.stimulus)
        suite = fit_linear_suite(
            items.train, items.validation, features, known, decoder=decode(queries.signals), noise_kind=kind, seed=seed
        )
        # The better of ridge, encoding and decoder, as it is asked for, or their fusion where that is better still.
        answers = suite.score_all(items.test, vectors, decoder=decode(items.test.signals))
        notes = {**suite.report(), "network": report}
        best = answers[suite.chosen].astype(np.float32)
        return Cell(strategy, subject, best, items, candidates, suite.chosen, notes)
    matrix, rule, table = _rank_network(items, vectors, features, known, decode, seed)
    notes = {"network": report, "rule": rule, "validation": table}
    return Cell(strategy, subject, matrix, items, candidates, f"epoch {report['epoch']}, {rule}", notes)


def _rank_network(
    items: Items,
    vectors: Vectors,
    features: Vectors,
    known: Sequence[str],
    decode: Callable[[NDArray[np.float32]], Vectors | None],
    seed: int,
) -> tuple[NDArray[np.float32], str, dict[str, dict[str, float]]]:
    """Score a network's embeddings by the rule that the budget's validation chooses, ridge's own rules among them."""
    stimuli = np.asarray(known, dtype=np.str_)
    train = items.train
    validation, test = decode(items.validation.averaged().signals), decode(items.test.signals)
    if validation is None or test is None:
        raise ConfigError("strategy: needs a network to adapt, expected --checkpoint")
    with threadpool_limits(limits=1, user_api="blas"):
        stage, held_out = cross_fitted_stage(train, features, stimuli, noise_kind_of(train.stimulus), seed)
        borrowed = Borrowed(stage, ridge_rules_of(stage, held_out, seed))
        rule, choice, _, _ = decoder_evidence(validation, items.validation, train, features, stimuli, borrowed, seed)
        if isinstance(rule, EmbeddingRule):
            matrix = rule.score(test, vectors)
        else:
            sides = stage.targets(test), stage.targets(vectors)
            matrix = score(*sides, borrowed.rules[rule], items.test.repetitions)
    return matrix.astype(np.float32), choice.name, choice.table
