"""The models of word retrieval for one subject: ridge, the network with and without its sentences, their fusion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.recording import Recording
from neurodecode.core.split import Part, Split
from neurodecode.encoders.linear.fusion import Fusion, fit_fusion
from neurodecode.encoders.linear.series_scoring import split_halves
from neurodecode.encoders.linear.trials import TrialSet
from neurodecode.encoders.linear.word_ridge import WordRidge, fit_word_ridge
from neurodecode.workflow.bank import TargetBank
from neurodecode.workflow.decoding import Decode, Sequences, Vectors
from neurodecode.workflow.items import windows_as_trials
from neurodecode.workflow.records import ALONE

Floats = NDArray[np.float64]
SENTENCE = "sentence"
#: Words have one fold: sentences are split by their text.
FOLD = 0
RULES = ("cosine", "centred")
#: Occurrences of a word that the fusion's weights are fitted on: all words count about alike.
MOST_OCCURRENCES = 5


@dataclass(frozen=True)
class Words:
    """One part of a subject's fold: a row a word that was heard.

    Parameters
    ----------
    trials : TrialSet
        Signals with the words; the group is the sentence's text, whatever larger unit the split keeps whole: intervals
        resample sentences.
    sequences : Sequences
        Which sentence each belongs to.
    names : list of str
        A name for each row, unique within the subject.
    """

    trials: TrialSet
    sequences: Sequences
    names: list[str]


def read_words(split: Split, recording: Recording, part: Part, *, fold: int = FOLD) -> Words:
    """Read the words of a part.

    Raises
    ------
    DataError
        If the window table does not tell sentences apart.
    """
    windows = recording.windows
    if SENTENCE not in windows.columns:
        raise DataError(f"{recording.subject}: the window table has no column {SENTENCE!r}, expected windows at words")
    rows = split.rows(recording.subject, part, fold=fold)
    rows = rows[windows["stimulus"].to_numpy().astype(str)[rows] != ""]
    trials, names = windows_as_trials(split, recording, rows, averaged=False)
    texts = windows["split_text" if "split_text" in windows.columns else SENTENCE].iloc[rows].to_numpy().astype(str)
    return Words(replace(trials, group=texts), sequences_of(windows.iloc[rows]), names)


def sequences_of(windows: pd.DataFrame) -> Sequences:
    """Tell by numbers which sentence each window belongs to, and its place there by onset.

    Examples
    --------
    >>> table = pd.DataFrame({"session": "", "run": "1", "sentence": ["b", "a", "b"], "onset": [2.0, 5.0, 1.0]})
    >>> found = sequences_of(table)
    >>> found.number.tolist(), found.position.tolist()
    ([0, 1, 0], [1, 0, 0])
    """
    table = windows[["session", "run", SENTENCE, "onset"]].reset_index(drop=True)
    keys = ["session", "run", SENTENCE]
    number = table.groupby(keys, sort=False).ngroup()
    position = table.groupby(keys)["onset"].rank(method="first").astype(int) - 1
    return Sequences(*(np.asarray(values, dtype=np.int64) for values in (number, position)))


@dataclass(frozen=True)
class WordModels:
    """All models of one subject, ready to score words.

    Parameters
    ----------
    ridge : WordRidge
        The linear model.
    decode : Decode, optional
        The network.
    subject : str
        Whose signals.
    contextual : bool
        Whether the network answers otherwise when it knows the sentences.
    centres : mapping of str to ndarray
        Mean target of the training windows, by layer.
    rules : dict of str to str
        How each answer of the network is scored.
    fusion : Fusion
        Of ridge and network.
    chosen : str
        The best on validation.
    found : dict of str to float
        Mean reciprocal rank on validation, all words counting alike.
    """

    ridge: WordRidge
    decode: Decode | None
    subject: str
    contextual: bool
    centres: Mapping[str, NDArray[np.float32]]
    rules: Mapping[str, str]
    fusion: Fusion
    chosen: str
    found: Mapping[str, float]

    def score(self, words: Words, bank: TargetBank, candidates: Sequence[str]) -> dict[str, Floats]:
        """Score every candidate for each word ``(n_words, n_candidates)``."""
        vectors = bank.rows(candidates)
        found = {"ridge": self.ridge.score(words.trials.signals, vectors)}
        for name, answer in _answers(self.decode, self.subject, words, contextual=self.contextual).items():
            found[name] = cosine_scores(answer, vectors, self.centres if self.rules[name] == "centred" else None)
        found["fused"] = self.fusion.apply(found)
        return found

    def report(self) -> dict[str, Any]:
        """Give plain values of what was chosen."""
        return {
            "rules": dict(self.rules),
            "penalty": self.ridge.penalty,
            "fusion": {name: round(weight, 4) for name, weight in self.fusion.weights.items()},
            "validation mean reciprocal rank, all words alike": {k: round(v, 4) for k, v in self.found.items()},
            "chosen": self.chosen,
        }


def _answers(decode: Decode | None, subject: str, words: Words, *, contextual: bool) -> dict[str, Vectors]:
    if decode is None:
        return {}
    alone = decode(FOLD, subject, words.trials.signals)
    if not contextual:
        return {"decoder": alone}
    return {"decoder": decode(FOLD, subject, words.trials.signals, words.sequences), ALONE: alone}


def fit_words(train: Words, validation: Words, bank: TargetBank, decode: Decode | None, *, subject: str) -> WordModels:
    """Fit ridge on the training words; choose its penalty, the network's rules and the fusion on validation words.

    Parameters
    ----------
    train, validation : Words
        Parts of one subject.
    bank : TargetBank
        Vectors of the words.
    decode : Decode, optional
        The network.
    subject : str
        Whom it is asked for.

    Returns
    -------
    WordModels
    """
    heard = validation.trials.stimulus
    gallery = sorted(set(heard.tolist()))
    truth = np.searchsorted(gallery, heard)
    vectors = bank.rows(gallery)
    spoken = bank.rows([str(name) for name in train.trials.stimulus])
    centres = {layer: rows.mean(axis=0) for layer, rows in spoken.items()}
    ridge = fit_word_ridge(
        train.trials.signals,
        spoken,
        validation.trials.signals,
        lambda scored: balanced_reciprocal_rank(scored, truth),
        vectors,
    )
    matrices = {"ridge": ridge.score(validation.trials.signals, vectors)}
    answers = _answers(decode, subject, validation, contextual=True)
    if answers and all(
        np.allclose(answers["decoder"][name], answers[ALONE][name], atol=1e-4) for name in answers[ALONE]
    ):
        del answers[ALONE]
    rules = {}
    for name, answer in answers.items():
        tried = {rule: cosine_scores(answer, vectors, centres if rule == "centred" else None) for rule in RULES}
        rules[name] = max(RULES, key=lambda rule: balanced_reciprocal_rank(tried[rule], truth))
        matrices[name] = tried[rules[name]]
    members = {name: matrix for name, matrix in matrices.items() if name != ALONE}
    fusion = _fused(members, truth, np.arange(len(truth)))
    halves, fused = split_halves(validation.trials.group), np.zeros_like(matrices["ridge"])
    for side in (0, 1):
        asked = halves[side]
        weights = _fused(members, truth, halves[1 - side])
        fused[asked] = weights.apply({name: matrix[asked] for name, matrix in members.items()})
    found = {name: balanced_reciprocal_rank(matrix, truth) for name, matrix in {**matrices, "fused": fused}.items()}
    best = max((name for name in found if name != ALONE), key=lambda name: found[name])
    return WordModels(ridge, decode, subject, ALONE in answers, centres, rules, fusion, best, found)


def _fused(members: Mapping[str, Floats], truth: NDArray[np.int64], rows: NDArray[np.int64]) -> Fusion:
    """Fit weights on at most a few occurrences of each word, so that frequent words do not decide."""
    seen = pd.Series(truth[rows]).groupby(truth[rows]).cumcount().to_numpy()
    kept = rows[seen < MOST_OCCURRENCES]
    return fit_fusion({name: matrix[kept] for name, matrix in members.items()}, truth[kept])


def cosine_scores(answers: Vectors, candidates: Vectors, centres: Vectors | None) -> Floats:
    """Compare predictions with candidates by cosine, side by side in all layers that were predicted.

    Examples
    --------
    >>> answer, words = {"x": np.array([[2.0, 0.0]])}, {"x": np.eye(2)}
    >>> cosine_scores(answer, words, None).tolist()
    [[1.0, 0.0]]
    """
    total: Any = 0.0
    layers = [name for name in answers if name in candidates]
    for name in layers:
        centre = 0.0 if centres is None else centres[name]
        sides = [np.asarray(rows, dtype=np.float64) - centre for rows in (answers[name], candidates[name])]
        left, right = (side / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-12) for side in sides)
        total = total + left @ right.T
    return np.asarray(total / len(layers), dtype=np.float64)


def balanced_reciprocal_rank(scores: Floats, truth: NDArray[np.int64]) -> float:
    """Average the reciprocal rank of the right candidate over the words, each counting alike.

    Examples
    --------
    >>> balanced_reciprocal_rank(np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]), np.array([0, 0, 1]))
    0.75
    """
    right = scores[np.arange(len(truth)), truth][:, None]
    rank = (scores > right).sum(axis=1) + ((scores == right).sum(axis=1) + 1) / 2
    return float(pd.Series(1.0 / rank).groupby(truth).mean().mean())
