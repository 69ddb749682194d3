"""The whole way with one command."""

from pathlib import Path
from typing import Any, Literal


def run(
    *,
    study: str = "openmoji",
    modality: Literal["eeg", "meg", "fmri", "speech"] = "eeg",
    output: Path | None = None,
    root: str | None = None,
    options: dict[str, Any] | None = None,
    seed: int = 0,
    n_pictures: int = 32,
    n_samples: int = 1,
    picture_subjects: int = 1,
    shuffled_subjects: int = 1,
    jobs: int = 2,
) -> None:
    """Go the whole way on one study: data, cache, targets, training, retrieval, pictures, report.

    Parameters
    ----------
    study : str
        The built-in simulated study (openmoji), or real recordings that `neurodecode studies` finds, such as
        haxby_slice, muse_n170 or smni_visual.
    modality : str
        What the built-in study simulates: eeg, meg or fmri of people who look at pictures, or speech (MEG of people who
        listen to sentences; needs the extra `speech`).
    output : Path, optional
        Folder of the result; by default outputs/quickstart, with -meg, -fmri, -speech or the study's name added.
    root : str, optional
        Folder that holds real recordings; by default the one that the environment variable NEURODECODE_DATA names.
    options : dict, optional
        Options of real recordings, such as --options '{"contrast": "match"}'; see `neurodecode prepare`.
    seed : int
        Seed of everything that is drawn.
    n_pictures : int
        How many test stimuli are reconstructed.
    n_samples : int
        Pictures drawn for each of them; all are scored.
    picture_subjects : int
        Of how many subjects.
    shuffled_subjects : int
        For how many subjects everything is trained again on shuffled pairs; 0 for all.
    jobs : int
        Processes that simulate, read and fit side by side.
    """
    from rich.console import Console

    from neurodecode.workflow.plan import BUILT_IN, Plan, check_plan
    from neurodecode.workflow.quickstart import run_quickstart
    from neurodecode.workflow.speech import is_speech, run_speech_quickstart
    from neurodecode.workflow.summary import results_table

    name = "quickstart" if (study, modality) == (BUILT_IN, "eeg") else f"quickstart-{study}"
    if study == BUILT_IN and modality != "eeg":
        name = f"quickstart-{modality}"
    folder = Path("outputs") / name if output is None else output
    plan = Plan(
        study=study,
        modality=modality,
        output=folder,
        root=root,
        options=dict(options or {}),
        seed=seed,
        n_pictures=n_pictures,
        n_samples=n_samples,
        picture_subjects=picture_subjects,
        shuffled_subjects=shuffled_subjects,
        jobs=jobs,
    )
    check_plan(plan)
    console = Console()
    whole_way = run_speech_quickstart if is_speech(plan) else run_quickstart
    outcome = whole_way(plan, step=lambda text: console.print(f"[bold]{text}[/bold]"))
    console.print(results_table(outcome.results))
    spent = ", ".join(f"{step} {seconds:.0f}" for step, seconds in outcome.seconds.items())
    console.print(f"Seconds: {spent}", style="dim")
    console.print(f"Report: {outcome.report}")
    console.print(f"Studio: neurodecode demo {folder}")
