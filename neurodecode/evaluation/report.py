"""The report: one HTML file that needs nothing beside it."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from neurodecode.core.files import atomic_path
from neurodecode.core.results import Results
from neurodecode.core.scores import Score
from neurodecode.evaluation import report_tables, report_text
from neurodecode.evaluation.pictures import CONDITIONS, Pictures, choose_rows
from neurodecode.evaluation.style import figure_bytes, look_of, metric_name

SHOWN_ROWS, MORE_ROWS = 8, 24
_PLACES = ("retrieval", "subjects", "repetitions", "ranks", "pictures", "training", "other")
_PREFIXES = {"retrieval_": "retrieval", "subjects_": "subjects", "repetitions_": "repetitions", "ranks": "ranks",
             "score_matrix": "ranks", "pictures_scores": "pictures", "training": "training"}  # fmt: skip


class PlacedFigure(NamedTuple):
    """A figure as it stands in the page."""

    source: str
    text: str
    width: int
    height: int


@dataclass(frozen=True)
class GridRow:
    """One stimulus in a picture grid."""

    name: str
    sources: list[str]


@dataclass(frozen=True)
class Grid:
    """The picture grid of one subject."""

    heading: str
    rule: str
    columns: list[str]
    rows: list[GridRow]
    more: list[GridRow]


def write_report(
    results: Results, figures: Mapping[str, Figure | bytes], pictures: Sequence[Pictures], folder: Path
) -> Path:
    """Write ``report.html`` and ``figures/*.png`` into a run folder.

    Parameters
    ----------
    results : Results
        All that is said in the report.
    figures : mapping from name to Figure or bytes
        As `standard_figures` draws them; bytes are a PNG file. Names say where a figure stands.
    pictures : sequence of Pictures
        For the picture grids.
    folder : Path
        The run folder; made if missing.

    Returns
    -------
    Path
        The page: one file, styles and pictures inside, that asks no network for anything.
    """
    rendered = {name: figure if isinstance(figure, bytes) else figure_bytes(figure) for name, figure in figures.items()}
    for name, content in rendered.items():
        with atomic_path(folder / "figures" / f"{name}.png") as temporary:
            temporary.write_bytes(content)
    path = folder / "report.html"
    text = render_report(results, rendered, pictures)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def render_report(results: Results, figures: Mapping[str, bytes], pictures: Sequence[Pictures]) -> str:
    """Render the page as text; see `write_report`."""
    templates = resources.files("neurodecode.evaluation") / "templates"
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string((templates / "report.html.j2").read_text(encoding="utf-8"))
    # Our own style and script hold no text from outside, so they go in as they are.
    style, script = (Markup((templates / name).read_text(encoding="utf-8")) for name in ("report.css", "report.js"))
    return template.render(style=style, script=script, **_content(results, figures, pictures))


def _content(results: Results, figures: Mapping[str, bytes], pictures: Sequence[Pictures]) -> dict[str, Any]:
    metric = report_tables.main_metric(results)
    headline = results.select(metric=metric, direction="image_given_brain", subject="mean")
    retrieval = [
        (heading, report_tables.retrieval_table(results, direction, "mean"))
        for direction, heading in report_tables.BRAIN_WAYS
        if headline
    ]
    retrieval = [(heading, table) for heading, table in retrieval if table.rows]
    picture_scores = report_tables.picture_table(results)
    sections = [("glance", "At a glance"), ("data", "Data"), ("protocol", "Protocol")]
    sections += [("retrieval", "Retrieval")] if retrieval else []
    sections += [("reconstruction", "Reconstruction")] if picture_scores.rows or pictures else []
    sections += [("controls", "Controls"), ("trimmed", "What was trimmed"), ("limits", "What this does not show")]
    name = results.study.get("name", "one study")
    several = len({score.subject for score in results.scores} - {"mean"}) > 1
    single_metrics = [
        m
        for m in dict.fromkeys(("top1", "top5", "auc", metric))
        if several and results.select(metric=m, direction="image_given_brain")
    ]
    return {
        "title": f"Decoding report: {name}",
        "subtitle": _subtitle(results, headline),
        "simulated": results.simulated,
        "sections": [*sections, ("provenance", "Provenance")],
        "cards": report_text.cards(results),
        "ceiling_name": "ideal learner" if any(s.model == "ideal_learner" for s in headline) else "oracle",
        "metric": metric_name(metric).capitalize(),
        "metric_k": metric.rpartition("top")[2],
        "n_candidates": headline[0].n_candidates if headline else 0,
        "subjects": f"mean over {_subjects(results)}" if several else _subjects(results),
        "findings": report_text.findings(results),
        "study": [(key.replace("_", " "), text) for key, text in results.study.items()],
        "protocols": report_text.protocols(results),
        "retrieval": retrieval,
        "by_subject": [report_tables.subject_table(results, m) for m in single_metrics],
        "differences": report_tables.difference_table(results),
        "picture_scores": picture_scores,
        "grids": [_grid(entry, results.seed) for entry in pictures],
        "controls": report_tables.control_table(results),
        "absent": results.absent,
        "trimmed": results.trimmed,
        "limits": report_text.limits(results),
        "provenance": report_text.provenance(results),
        "versions": list(results.versions.items()),
        "version": results.versions.get("neurodecode", ""),
        "config": report_text.config_text(results),
        "records": report_tables.record_table(results),
        "figures": _placed(figures),
    }


def _subtitle(results: Results, headline: Sequence[Score]) -> str:
    parts = [results.study.get("modality", ""), _subjects(results)]
    if headline:
        parts += [f"{headline[0].n_queries} queries a subject", f"averaged: {headline[0].averaged}"]
    return " · ".join(part for part in parts if part)


def _subjects(results: Results) -> str:
    names = sorted({score.subject for score in results.scores} - {"mean"})
    return f"{len(names)} subjects" if len(names) != 1 else names[0]


def _placed(figures: Mapping[str, bytes]) -> dict[str, list[PlacedFigure]]:
    """Sort figures into sections by the start of their names; picture grids are built from the pictures themselves."""
    placed: dict[str, list[PlacedFigure]] = {place: [] for place in _PLACES}
    for name, content in figures.items():
        place = next((place for prefix, place in _PREFIXES.items() if name.startswith(prefix)), "other")
        if place == "other" and name.startswith("pictures_"):
            continue
        with Image.open(BytesIO(content)) as image:
            width, height = image.size
        source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
        # Figures are rendered at 180 dots per inch and shown at 120, so that they stay sharp on fine screens.
        placed[place].append(PlacedFigure(source, name.replace("_", " "), width * 2 // 3, height * 2 // 3))
    return placed


def _grid(pictures: Pictures, seed: int) -> Grid:
    made = [name for name in CONDITIONS if name in pictures.conditions]
    order = choose_rows(len(pictures.stimuli), SHOWN_ROWS + MORE_ROWS, seed)
    rows = [
        GridRow(
            pictures.titles[row],
            [_source(pictures.true[row]), *(_source(pictures.conditions[name][row, 0]) for name in made)],
        )
        for row in order
    ]
    samples = max((pictures.conditions[name].shape[1] for name in made), default=1)
    rule = f"Rows follow an order drawn with seed {seed} from all {len(pictures.stimuli)}; nobody picked them. " + (
        f"Shown is the first of {samples} samples; all are scored." if samples > 1 else "One sample each."
    )
    columns = ["seen", *(look_of(name).name for name in made)]
    return Grid(f"What {pictures.subject} saw, and what was made", rule, columns, rows[:SHOWN_ROWS], rows[SHOWN_ROWS:])


def _source(picture: NDArray[np.uint8]) -> str:
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
