"""The folder of one result: what is in it, and how the report, the studio and later runs read it.

``results.json  results.csv  report.html  config.yaml  figures/`` are for people and machines;
``scores.npz  queries.csv  candidates.csv`` hold every query's score of every candidate, ``gallery.npz`` the pictures of
the candidates, ``pictures.npz`` the reconstructions and their controls, ``models/`` what was trained, fitted and
drawn, for the next run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.files import atomic_path, load_arrays, read_table, write_table

QUERY_COLUMNS = ("subject", "query", "stimulus", "correct", "unit", "fold", "repetitions")
CANDIDATE_COLUMNS = ("candidate", "text")
SEPARATOR = "|"


@dataclass(frozen=True)
class RankingTables:
    """Every query's score of every candidate, for each model and subject.

    Parameters
    ----------
    queries : pandas.DataFrame
        Columns `QUERY_COLUMNS`: the subject, the query's name (unique within the subject), the stimulus shown, the
        candidate that is right, the unit of the split, the fold and the number of repetitions averaged. Rows of a
        subject are in the order of the score matrices' rows.
    candidates : pandas.DataFrame
        Columns `CANDIDATE_COLUMNS`: the name and a text for people, in the order of the score matrices' columns.
    scores : dict of (model, subject) to ndarray of float32, shape (n_queries, n_candidates)
        Larger means more likely. Scores of different models are not on one scale.

    Raises
    ------
    DataError
        If a matrix does not fit the tables or a right answer is not among the candidates.
    """

    queries: pd.DataFrame
    candidates: pd.DataFrame
    scores: Mapping[tuple[str, str], NDArray[np.float32]]

    def __post_init__(self) -> None:
        names = set(self.candidates["candidate"])
        wrong = self.queries[~self.queries["correct"].isin(names)]
        if not wrong.empty:
            raise DataError(f"queries: the right answer {wrong['correct'].iloc[0]!r} is not among the candidates")
        for (model, subject), matrix in self.scores.items():
            expected = (int((self.queries["subject"] == subject).sum()), len(self.candidates))
            if matrix.shape != expected:
                raise DataError(f"scores of {model}, {subject}: shape {matrix.shape}, expected {expected}")

    @property
    def subjects(self) -> list[str]:
        """List the subjects, in table order."""
        return [str(name) for name in dict.fromkeys(self.queries["subject"])]

    @property
    def models(self) -> list[str]:
        """List the models that scored at least one subject."""
        return list(dict.fromkeys(model for model, _ in self.scores))

    def queries_of(self, subject: str) -> pd.DataFrame:
        """Give one subject's queries, in the order of the rows of its score matrices."""
        rows = self.queries[self.queries["subject"] == subject]
        if rows.empty:
            raise DataError(f"subject {subject!r} has no query; there are {', '.join(self.subjects)}")
        return rows.reset_index(drop=True)

    def correct(self, subject: str) -> NDArray[np.int64]:
        """Give the column of the right candidate for each of a subject's queries."""
        position = {name: column for column, name in enumerate(self.candidates["candidate"])}
        return np.array([position[name] for name in self.queries_of(subject)["correct"]], dtype=np.int64)

    def save(self, folder: Path) -> None:
        """Write ``scores.npz``, ``queries.csv`` and ``candidates.csv``, each atomically."""
        write_table(folder / "queries.csv", self.queries)
        write_table(folder / "candidates.csv", self.candidates)
        arrays = {SEPARATOR.join(key): np.asarray(matrix, dtype=np.float32) for key, matrix in self.scores.items()}
        with atomic_path(folder / "scores.npz") as temporary:
            np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, folder: Path) -> "RankingTables":
        """Read what `save` wrote."""
        queries = read_table(
            folder / "queries.csv", required=QUERY_COLUMNS, text=("subject", "query", "stimulus", "correct", "unit")
        )
        candidates = read_table(folder / "candidates.csv", required=CANDIDATE_COLUMNS, text=CANDIDATE_COLUMNS)
        arrays = load_arrays(folder / "scores.npz")
        scores = {}
        for key, matrix in arrays.items():
            model, subject = key.split(SEPARATOR)
            scores[model, subject] = matrix
        return cls(queries, candidates, scores)


def save_gallery(path: Path, candidates: Sequence[str], pictures: NDArray[np.uint8]) -> None:
    """Write small pictures of the candidates, ``(n_candidates, height, width, 3)``."""
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, candidates=np.array(list(candidates), dtype=np.str_), pictures=pictures)


def load_gallery(path: Path) -> dict[str, NDArray[np.uint8]]:
    """Read what `save_gallery` wrote: one picture a candidate."""
    arrays = load_arrays(path)
    return {str(name): picture for name, picture in zip(arrays["candidates"], arrays["pictures"], strict=True)}
