"""Which word was heard: single words ranked among the words of the test part, with and without their sentence."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.prepared import PreparedStudy
from neurodecode.core.split import Part
from neurodecode.workflow.bank import TargetBank
from neurodecode.workflow.decoding import Decode
from neurodecode.workflow.records import ALONE
from neurodecode.workflow.retrieve import CHOSEN, Retrieval
from neurodecode.workflow.run_folder import RankingTables
from neurodecode.workflow.word_models import FOLD, Words, fit_words, read_words

REASON_NO_ENCODING = "the brain's answers to neighbouring words overlap, and a word's vector says nothing of the others"
LIMITS = [
    "Windows of neighbouring words overlap, also where one sentence trains and the next one tests: such windows share "
    "samples, not words.",
    "With its sentence a network may name a word by the words around it; the row without context says what single "
    "words give.",
    "Scores that are not balanced reward naming the words that are heard most.",
]
MODELS = ("fused", "decoder", ALONE, "ridge", CHOSEN)


def rank_words(
    prepared: PreparedStudy,
    bank: TargetBank,
    decode: Decode | None,
    subjects: Sequence[str],
    *,
    progress: Callable[[str], None] = lambda text: None,
) -> Retrieval:
    """Fit ridge, choose by validation how the network's predictions are scored, and rank the words of the test part.

    Parameters
    ----------
    prepared : PreparedStudy
        A study whose windows are words.
    bank : TargetBank
        Vectors of the words in isolation.
    decode : Decode, optional
        A network; it is asked with the sentences and without.
    subjects : sequence of str
        Whose windows.
    progress : callable
        Told the subject that begins.

    Returns
    -------
    Retrieval
        Models `fused`, `decoder`, `decoder_without_context` (if that is another one), `ridge` and `chosen`. The
        gallery is every word that tests. There is no encoding model: the answer to a word overlaps the next ones'.
    """
    split = prepared.split
    everyone = {
        str(name)
        for subject in prepared.subjects
        for name in prepared.recording(subject).windows["stimulus"].iloc[split.rows(subject, "test", fold=FOLD)]
    }
    candidates = sorted(everyone - {""})
    scores: dict[tuple[str, str], NDArray[np.float32]] = {}
    chosen, reports, queries = {}, {}, []
    for subject in subjects:
        progress(subject)
        recording = prepared.recording(subject, fold=FOLD)
        parts: dict[Part, Words] = {part: read_words(split, recording, part) for part in ("train", "val", "test")}
        models = fit_words(parts["train"], parts["val"], bank, decode, subject=subject)
        found = models.score(parts["test"], bank, candidates)
        found[CHOSEN] = found[models.chosen]
        scores.update({(name, subject): np.asarray(matrix, dtype=np.float32) for name, matrix in found.items()})
        chosen[f"{subject}/{FOLD}"], reports[f"{subject}/{FOLD}"] = models.chosen, models.report()
        heard = parts["test"].trials
        queries.append(
            pd.DataFrame(
                {
                    "subject": subject,
                    "query": parts["test"].names,
                    "stimulus": heard.stimulus,
                    "correct": heard.stimulus,
                    "unit": heard.group,
                    "fold": FOLD,
                    "repetitions": 1,
                }
            )
        )
    table = pd.DataFrame({"candidate": candidates, "text": candidates})
    ordered = {key: scores[key] for name in MODELS for key in scores if key[0] == name}
    return Retrieval(RankingTables(pd.concat(queries, ignore_index=True), table, ordered), chosen, reports)
