"""What the studio shows, without a word about how: finished results, read from their folders."""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.results import Results
from neurodecode.core.scores import Score
from neurodecode.evaluation.pictures import CONDITIONS, Pictures, load_pictures
from neurodecode.evaluation.style import in_order, look_of
from neurodecode.workflow.run_folder import RankingTables, load_gallery

Picture = NDArray[np.uint8]
NEEDED = ("results.json", "scores.npz", "queries.csv", "candidates.csv")


@dataclass(frozen=True)
class Candidate:
    """One entry of a ranked gallery.

    Parameters
    ----------
    position : float
        1 for the first; tied candidates share their mean position.
    name, text : str
        Identifier and words for people.
    score : float
        Larger is more likely; on the model's own scale.
    right : bool
        Whether this is what was shown.
    picture : ndarray of uint8, optional
        What it looks like, where that is known.
    """

    position: float
    name: str
    text: str
    score: float
    right: bool
    picture: Picture | None


@dataclass(frozen=True)
class Ranking:
    """How one model ranked all candidates for one query.

    Parameters
    ----------
    first : list of Candidate
        The best ones, in order.
    shown : Candidate
        What was really shown, wherever it came.
    scores : ndarray of float32, shape (n_candidates,)
        All scores, in the order of the candidates.
    n_candidates : int
        Size of the gallery.
    n_right : int
        How many candidates are right.
    repetitions : int
        How many repetitions were averaged into the query.
    """

    first: list[Candidate]
    shown: Candidate
    scores: NDArray[np.float32]
    n_candidates: int
    n_right: int
    repetitions: int

    @property
    def chance(self) -> float:
        """Give the probability that a guess puts a right candidate first."""
        return self.n_right / self.n_candidates


@dataclass(frozen=True)
class Run:
    """One finished result."""

    folder: Path
    results: Results
    tables: RankingTables
    gallery: dict[str, Picture]
    pictures: dict[str, Pictures]


class StudioService:
    """Read finished results and answer what the studio asks.

    Parameters
    ----------
    root : Path
        A result's folder, or a folder that holds some.

    Raises
    ------
    DataError
        If there is no finished result.
    """

    def __init__(self, root: Path) -> None:
        folders = [root, *sorted(path for path in root.iterdir() if path.is_dir())] if root.is_dir() else []
        found = [folder for folder in folders if all((folder / name).is_file() for name in NEEDED)]
        if not found:
            raise DataError(
                f"{root}: no finished result ({', '.join(NEEDED)}) here or one folder below; make one with "
                "`neurodecode quickstart` or `neurodecode retrieve`"
            )
        self._folders = {folder.resolve().name: folder for folder in found}
        # Results are a few megabytes each; the last ones stay in memory.
        self._open = lru_cache(maxsize=4)(self._read)

    def runs(self) -> list[str]:
        """List the results by folder name."""
        return list(self._folders)

    def run(self, name: str) -> Run:
        """Open a result; a name that is not in `runs` is refused, so no path comes from outside."""
        if name not in self._folders:
            raise DataError(f"result {name!r} is not among {', '.join(self._folders)}")
        return self._open(name)

    def _read(self, name: str) -> Run:
        folder = self._folders[name]
        gallery = load_gallery(folder / "gallery.npz") if (folder / "gallery.npz").is_file() else {}
        entries = load_pictures(folder / "pictures.npz") if (folder / "pictures.npz").is_file() else []
        return Run(
            folder,
            Results.from_json(folder / "results.json"),
            RankingTables.load(folder),
            gallery,
            {entry.subject: entry for entry in entries},
        )

    def subjects(self, run: str) -> list[str]:
        """List a result's subjects."""
        return self.run(run).tables.subjects

    def models(self, run: str) -> list[str]:
        """List what ranked: models, then ceilings, then controls."""
        return in_order(self.run(run).tables.models)

    def trials(self, run: str, subject: str) -> list[tuple[str, str]]:
        """List a subject's queries as (words for people, name); those with a reconstruction come first."""
        opened = self.run(run)
        texts = dict(zip(opened.tables.candidates["candidate"], opened.tables.candidates["text"], strict=True))
        drawn = set(opened.pictures[subject].stimuli) if subject in opened.pictures else set()
        rows = opened.tables.queries_of(subject)
        single = rows["query"].equals(rows["correct"])
        entries = [
            (str(texts[row.correct]) if single else f"{texts[row.correct]} ({row.query})", str(row.query))
            for row in rows.itertuples()
        ]
        order = sorted(range(len(rows)), key=lambda place: rows["stimulus"].iloc[place] not in drawn)
        return [
            (f"{entries[place][0]} (with pictures)" if rows["stimulus"].iloc[place] in drawn else entries[place][0],
             entries[place][1])
            for place in order
        ]  # fmt: skip

    def _row(self, opened: Run, subject: str, query: str) -> tuple[int, "pd.Series[str]"]:
        rows = opened.tables.queries_of(subject)
        places = np.flatnonzero(rows["query"].to_numpy() == query)
        if not len(places):
            raise DataError(f"query {query!r} is not among the {len(rows)} queries of {subject}")
        return int(places[0]), rows.iloc[int(places[0])]

    def ranking(self, run: str, subject: str, query: str, model: str, *, top: int = 10) -> Ranking:
        """Rank all candidates for one query.

        Parameters
        ----------
        run, subject, query, model : str
            As listed by `runs`, `subjects`, `trials` and `models`.
        top : int
            How many of the best candidates to give.

        Returns
        -------
        Ranking
            The best candidates and the place of the right one.
        """
        opened = self.run(run)
        place, row = self._row(opened, subject, query)
        if (model, subject) not in opened.tables.scores:
            raise DataError(f"model {model!r} did not rank for {subject}")
        scores = np.asarray(opened.tables.scores[model, subject][place], dtype=np.float32)
        names = [str(name) for name in opened.tables.candidates["candidate"]]
        texts = [str(text) for text in opened.tables.candidates["text"]]
        positions = tied_positions(scores)

        def entry(column: int) -> Candidate:
            return Candidate(
                float(positions[column]),
                names[column],
                texts[column],
                float(scores[column]),
                names[column] == row["correct"],
                opened.gallery.get(names[column]),
            )

        order = np.argsort(positions, kind="stable")
        right = [column for column in range(len(names)) if names[column] == row["correct"]]
        best = min(right, key=lambda column: float(positions[column]))
        return Ranking(
            [entry(int(column)) for column in order[:top]],
            entry(best),
            scores,
            len(names),
            len(right),
            int(row["repetitions"]),
        )

    def reconstruction(self, run: str, subject: str, query: str) -> list[tuple[Picture, str]]:
        """Give the pictures made for one query, each sample, with captions; empty where none was made."""
        opened = self.run(run)
        _, row = self._row(opened, subject, query)
        pictures = opened.pictures.get(subject)
        if pictures is None or row["stimulus"] not in list(pictures.stimuli):
            return []
        place = list(pictures.stimuli).index(row["stimulus"])
        shown: list[tuple[Picture, str]] = [(pictures.true[place], "what was shown")]
        for condition in CONDITIONS:
            if condition in pictures.conditions:
                samples = pictures.conditions[condition][place]
                for number, sample in enumerate(samples):
                    suffix = f", sample {number + 1} of {len(samples)}" if len(samples) > 1 else ""
                    shown.append((sample, look_of(condition).name + suffix))
        return shown

    def why_no_pictures(self, run: str, subject: str) -> str:
        """Say why a query has no reconstruction."""
        opened = self.run(run)
        if not opened.pictures:
            reasons = [entry.reason for entry in opened.results.absent if "picture" in entry.reason.lower()]
            return reasons[0] if reasons else "No picture was drawn in this result: run `neurodecode reconstruct`."
        if subject not in opened.pictures:
            return f"Pictures were drawn for {', '.join(opened.pictures)} only."
        return "This stimulus is not in the seeded subset that was drawn."

    def headline(self, run: str, model: str, subject: str) -> list[Score]:
        """Give the scores that stand beside every single ranking, so that one lucky trial is not taken for more."""
        results = self.run(run).results
        wanted = ("top1", "top5")
        return [
            score
            for score in results.scores
            if score.metric in wanted
            and score.direction == "image_given_brain"
            and score.model == model
            and score.subject == subject
        ]

    def bundle(self, run: str) -> bytes:
        """Pack results, configuration and report of a result into one zip file."""
        folder = self.run(run).folder
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in ("results.json", "results.csv", "config.yaml", "report.html"):
                if (folder / name).is_file():
                    archive.write(folder / name, name)
        return buffer.getvalue()


def tied_positions(scores: Sequence[float] | NDArray[np.float32]) -> NDArray[np.float64]:
    """Rank scores from the largest, 1 first; ties share their mean position.

    Examples
    --------
    >>> tied_positions([0.5, 2.0, 0.5]).tolist()
    [2.5, 1.0, 2.5]
    """
    from scipy.stats import rankdata

    return np.asarray(rankdata(-np.asarray(scores, dtype=np.float64), method="average"), dtype=np.float64)
