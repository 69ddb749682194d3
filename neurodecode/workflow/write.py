"""The files of a result, written in one order: tables first, the report last."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from matplotlib.figure import Figure

from neurodecode.core.files import atomic_path
from neurodecode.core.prepared import PreparedStudy
from neurodecode.core.results import Results
from neurodecode.evaluation.figures import standard_figures
from neurodecode.evaluation.pictures import Pictures, save_pictures
from neurodecode.evaluation.report import write_report
from neurodecode.evaluation.retrieval import AnswerTable
from neurodecode.workflow.reconstruct import true_pictures
from neurodecode.workflow.run_folder import RankingTables, save_gallery

GALLERY_SIZE = 96


def write_all(
    folder: Path,
    prepared: PreparedStudy,
    results: Results,
    tables: RankingTables | None,
    answers: AnswerTable,
    pictures: Sequence[Pictures],
    config: Mapping[str, Any],
    figures: Mapping[str, Figure] | None = None,
) -> Path:
    """Write the result's files, the report last.

    Parameters
    ----------
    folder : Path
        Where they go; each file is written whole or not at all.
    prepared : PreparedStudy
        The study.
    results : Results
        The records.
    tables : RankingTables, optional
        Every query's scores; None for a run that ranked nothing.
    answers : mapping of (model, subject) to Answers
        The same for the figures; may be empty.
    pictures : sequence of Pictures
        Reconstructions; may be empty.
    config : mapping
        Plain values for ``config.yaml``.
    figures : mapping of str to Figure, optional
        Further figures of the report.

    Returns
    -------
    Path
        The report.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if tables is not None:
        tables.save(folder)
        candidates = [str(name) for name in tables.candidates["candidate"]]
        if has_pictures(prepared, candidates):
            save_gallery(folder / "gallery.npz", candidates, true_pictures(prepared, candidates, GALLERY_SIZE))
    if pictures:
        save_pictures(folder / "pictures.npz", pictures)
    with atomic_path(folder / "config.yaml") as temporary:
        temporary.write_text(yaml.safe_dump(dict(config), sort_keys=False), encoding="utf-8")
    results.to_csv(folder / "results.csv")
    results.to_json(folder / "results.json")
    drawn = {**standard_figures(results, answers, pictures), **(figures or {})}
    return write_report(results, drawn, pictures, folder)


def has_pictures(prepared: PreparedStudy, stimuli: Sequence[str]) -> bool:
    """Tell whether the study names a picture file for each of some stimuli."""
    table = prepared.stimuli
    return prepared.info["kind"] == "image" and all(table.get(name)["path"] for name in stimuli)
