"""The studio in a browser: one page over finished results. All logic is in the service."""

import html
import os
import tempfile
from pathlib import Path
from typing import Any

import gradio as gr
import matplotlib
from matplotlib.figure import Figure

from neurodecode.evaluation.style import house_style, look_of, metric_name
from neurodecode.ui.service import Candidate, Ranking, StudioService

CSS = """
.gradio-container {max-width: 1640px !important}
.grid-container .thumbnail-lg {display: flex; flex-direction: column; justify-content: space-between}
.grid-container .thumbnail-lg > img {flex: 1 1 0; min-height: 0; width: 100%; object-fit: contain}
.grid-container .caption-label {position: static !important; max-width: 100% !important; width: 100%; border: 0;
                                white-space: normal !important; text-align: center; line-height: 1.2; font-size: .8rem}
#studio-title h1 {margin-bottom: 0}
.banner {padding: .55rem .9rem; border-radius: 8px; font-weight: 600; background: #fff4d6; color: #6b4a00;
         border: 1px solid #e8c46a}
.banner.real {background: #e5f1ea; color: #1d5b37; border-color: #9cc9ae}
.verdict {font-size: 1.05rem; line-height: 1.5}
.verdict b {font-size: 1.25rem}
.quiet {color: var(--body-text-color-subdued); font-size: .9rem}
"""
NOT_SHOWN = """
- One trial proves nothing: read it beside the score over all trials and beside chance, which stand above the gallery.
- A score orders the candidates of this gallery only. It is no probability, and scores of two models cannot be compared.
- A reconstruction that looks right is mostly the generator's knowledge of pictures. Compare it with its controls, which
  were made by the same generator from less brain or none.
- Brain recordings are personal data: whoever can open this page sees them, and what it loads is kept in a temporary
  cache on this machine that is emptied every hour.
"""


def score_figure(ranking: Ranking, model: str, *, simulated: bool) -> Figure:
    """Draw how the scores of all candidates are spread and where the right one lies.

    Parameters
    ----------
    ranking : Ranking
        One query's ranking.
    model : str
        Who ranked.
    simulated : bool
        Whether the recording is simulated; the title says so.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown and not registered with pyplot.
    """
    with house_style():
        figure = Figure(figsize=(6.4, 2.9), layout="constrained")
        axes = figure.subplots()
        axes.hist(ranking.scores, bins=min(40, max(8, ranking.n_candidates // 5)), color="#b9c3cf")
        axes.axvline(ranking.shown.score, color="#bb5566", linewidth=2.2)
        axes.annotate(
            f"what was shown: position {ranking.shown.position:g} of {ranking.n_candidates}",
            (ranking.shown.score, 0.98),
            xycoords=("data", "axes fraction"),
            xytext=(-6 if ranking.shown.score > ranking.scores.mean() else 6, 0),
            textcoords="offset points",
            ha="right" if ranking.shown.score > ranking.scores.mean() else "left",
            va="top",
            color="#bb5566",
        )
        axes.set_xlabel(f"score by {look_of(model).name} (larger is more likely)")
        axes.set_ylabel("candidates")
        axes.set_title(f"All {ranking.n_candidates} candidates" + (" - simulated" if simulated else ""))
    return figure


def build_app(service: StudioService) -> gr.Blocks:
    """Build the page.

    Parameters
    ----------
    service : StudioService
        Where everything comes from.

    Returns
    -------
    gradio.Blocks
        Not launched yet. The endpoints ``/subjects``, ``/trials`` and ``/show`` serve programs as well.
    """
    matplotlib.use("agg")
    first = service.runs()[0]
    subjects = service.subjects(first)
    trials = service.trials(first, subjects[0])

    def choose_run(run: str) -> tuple[Any, Any, Any]:
        names = service.subjects(run)
        models = service.models(run)
        entries = service.trials(run, names[0])
        return (
            gr.Dropdown(choices=names, value=names[0]),
            gr.Dropdown(choices=entries, value=entries[0][1]),
            gr.Dropdown(choices=_named(models), value=models[0]),
        )

    def choose_subject(run: str, subject: str) -> Any:
        entries = service.trials(run, subject)
        return gr.Dropdown(choices=entries, value=entries[0][1])

    def show(run: str, subject: str, query: str, model: str) -> tuple[Any, ...]:
        opened = service.run(run)
        ranking = service.ranking(run, subject, query, model)
        pictures = service.reconstruction(run, subject, query)
        note = "" if pictures else f"<span class='quiet'>{html.escape(service.why_no_pictures(run, subject))}</span>"
        return (
            _banner(opened.results.simulated, run),
            ranking.shown.picture,
            _verdict(service, run, subject, model, ranking),
            [(entry.picture, _caption(entry)) for entry in ranking.first if entry.picture is not None],
            [
                [f"{entry.position:g}", entry.text, f"{entry.score:.4g}", "yes" if entry.right else ""]
                for entry in ranking.first
            ],
            score_figure(ranking, model, simulated=opened.results.simulated),
            pictures,
            note,
        )

    def download(run: str) -> Any:
        handle, name = tempfile.mkstemp(prefix=f"{run}-", suffix=".zip")
        with os.fdopen(handle, "wb") as file:
            file.write(service.bundle(run))
        return gr.File(value=name, visible=True)

    app: gr.Blocks
    with gr.Blocks(title="neurodecode studio", analytics_enabled=False, delete_cache=(3600, 3600)) as app:
        with gr.Sidebar(width=300):
            gr.Markdown("### What to look at")
            run_box = gr.Dropdown(service.runs(), value=first, label="Study (result)")
            subject_box = gr.Dropdown(subjects, value=subjects[0], label="Subject")
            trial_box = gr.Dropdown(trials, value=trials[0][1], label="Trial (what was shown)")
            model_box = gr.Dropdown(_named(service.models(first)), value=service.models(first)[0], label="Ranked by")
            pack = gr.Button("Pack results and configuration", size="sm")
            packed = gr.File(label="Results", visible=False, interactive=False)
        gr.Markdown("# neurodecode studio\nFrom a brain recording to what the person saw.", elem_id="studio-title")
        banner = gr.HTML()
        with gr.Row():
            with gr.Column(scale=1, min_width=250):
                gr.Markdown("#### What was shown")
                true_picture = gr.Image(show_label=False, interactive=False, height=230, buttons=[])
                verdict = gr.HTML()
            with gr.Column(scale=3):
                gr.Markdown("#### What the brain response looks like most, best first")
                gallery = gr.Gallery(
                    show_label=False, columns=5, height=330, preview=False, object_fit="contain", buttons=[]
                )
        gr.Markdown("#### Reconstruction beside its ceiling and controls; every sample, none chosen")
        pictures_box = gr.Gallery(
            show_label=False, columns=5, height=520, object_fit="contain", preview=False, buttons=[]
        )
        no_pictures = gr.HTML()
        with gr.Row():
            with gr.Column(scale=3):
                gr.Markdown("#### How sure: the scores of all candidates")
                plot = gr.Plot(show_label=False)
            with gr.Column(scale=2):
                gr.Markdown("#### The first ten")
                table = gr.Dataframe(
                    headers=["place", "candidate", "score", "right"],
                    column_widths=["16%", "50%", "20%", "14%"],
                    show_label=False,
                    interactive=False,
                    buttons=[],
                )
        with gr.Accordion("What this does not show", open=False):
            gr.Markdown(NOT_SHOWN)
        inputs = [run_box, subject_box, trial_box, model_box]
        outputs = [banner, true_picture, verdict, gallery, table, plot, pictures_box, no_pictures]
        run_box.input(choose_run, [run_box], [subject_box, trial_box, model_box], api_name="open").then(
            show, inputs, outputs, api_name="refresh", api_visibility="private"
        )
        subject_box.input(choose_subject, [run_box, subject_box], [trial_box], api_name="trials").then(
            show, inputs, outputs, api_name="refresh", api_visibility="private"
        )
        for box in (trial_box, model_box):
            box.input(show, inputs, outputs, api_name="refresh", api_visibility="private")
        app.load(show, inputs, outputs, api_name="show")
        pack.click(download, [run_box], [packed], api_name="pack")
    return app


def launch_app(root: Path, *, port: int, host: str, open_browser: bool) -> None:
    """Serve the studio until interrupted.

    Parameters
    ----------
    root : Path
        A result's folder, or a folder that holds some.
    port : int
        TCP port.
    host : str
        Address to bind; 127.0.0.1 keeps it on this machine. ``NEURODECODE_USER`` and ``NEURODECODE_PASSWORD`` in the
        environment ask visitors for them.
    open_browser : bool
        Whether to open a browser.
    """
    user, password = os.environ.get("NEURODECODE_USER"), os.environ.get("NEURODECODE_PASSWORD")
    build_app(StudioService(root)).queue(max_size=32).launch(
        server_name=host,
        server_port=port,
        inbrowser=open_browser,
        share=False,
        ssr_mode=False,
        allowed_paths=[],
        max_file_size="10mb",
        auth=(user, password) if user and password else None,
        theme=gr.themes.Soft(
            primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
        ),
        css=CSS,
        footer_links=[],
        quiet=True,
    )


def _named(models: list[str]) -> list[tuple[str, str]]:
    return [(look_of(model).name, model) for model in models]


def _banner(simulated: bool, run: str) -> str:
    name = html.escape(run)
    if simulated:
        return f"<div class='banner'>SIMULATED DATA - {name}: the brain was made by the simulator</div>"
    return f"<div class='banner real'>Real recordings - {name}</div>"


def _caption(entry: Candidate) -> str:
    return f"{entry.position:g}. {entry.text}" + (" - shown" if entry.right else "")


def _verdict(service: StudioService, run: str, subject: str, model: str, ranking: Ranking) -> str:
    lines = [
        f"<b>{html.escape(ranking.shown.text)}</b> came at position <b>{ranking.shown.position:g}</b> of "
        f"{ranking.n_candidates} candidates; a guess puts it first with probability {ranking.chance:.3g}.",
        f"<span class='quiet'>Signals of {ranking.repetitions} repetition(s) averaged.</span>",
    ]
    for score in service.headline(run, model, subject):
        lines.append(
            f"<span class='quiet'>{metric_name(score.metric)} over all {score.n_queries} trials of "
            f"{html.escape(subject)}: {score.value:.3f} [{score.low:.3f}, {score.high:.3f}], "
            f"chance {score.chance:.3f}</span>"
        )
    return "<div class='verdict'>" + "<br>".join(lines) + "</div>"
