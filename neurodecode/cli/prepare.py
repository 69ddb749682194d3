"""Read a study, prove its alignment and write its cache."""

from pathlib import Path
from typing import Any, Literal


def run(
    study: str,
    *,
    root: str | None = None,
    output: Path | None = None,
    subjects: list[str] | None = None,
    sfreq: float | None = None,
    regions: list[str] | None = None,
    split: str | None = None,
    split_seed: int = 0,
    session_scaling: Literal["none", "zscore", "robust", "whiten"] = "none",
    session_clamp: float = 0.0,
    options: dict[str, Any] | None = None,
    jobs: int = 1,
) -> None:
    """Read a study, check it, preprocess it, and write its cache and split; what is done already is kept.

    Parameters
    ----------
    study : str
        Name of the study, as `neurodecode studies` lists it.
    root : str, optional
        Folder that holds the study; by default the one that the environment variable NEURODECODE_DATA names.
    output : Path, optional
        Folder of the cache; by default outputs/cache/ and the study's name.
    subjects : list of str, optional
        Which subjects, such as sub-01; all by default.
    sfreq : float, optional
        Sampling rate in Hz to resample to; as recorded by default.
    regions : list of str, optional
        Keep only channels in these regions, such as V1 V2 or occipital; all by default.
    split : str, optional
        One of the study's own splits, or what must be on one side only: stimulus, concept, text, cluster (a tenth of
        them tests, a tenth validates), run, session or subject (each is left out once), or leave_one_subject_out (the
        study's own, and besides each subject once). The study's own by default.
    split_seed : int
        Seed of a drawn split.
    session_scaling : str
        Scale the windows of each session when a fold reads them, as its training windows say: zscore, robust (median
        and interquartile range) or whiten (multivariate noise normalisation).
    session_clamp : float
        Scaled values beyond this are clipped; 0 means no clipping.
    options : dict, optional
        The study's own options, such as --options '{"dialect": "B"}'; its page in `docs` lists them.
    jobs : int
        Number of subjects that are read at once, each in a process of its own.
    """
    from rich.console import Console
    from rich.table import Table

    from neurodecode.core.files import write_json
    from neurodecode.core.prepared import prepare_study
    from neurodecode.core.progress import progress_bar
    from neurodecode.datasets.catalogue import open_study

    opened = open_study(study, root, options)
    folder = Path("outputs/cache") / study if output is None else output
    with progress_bar(f"preparing {study}", total=None) as advance:
        prepared = prepare_study(
            opened,
            folder,
            subjects=subjects,
            sfreq=sfreq,
            regions=regions or (),
            split=split,
            split_seed=split_seed,
            session_scaling=session_scaling,
            session_clamp=session_clamp,
            jobs=jobs,
            progress=lambda subject: advance(description=f"preparing {study}, {subject}"),
        )
    made = prepared.split
    report = {
        "study": prepared.name,
        "source": str(opened.root),
        "simulated": prepared.simulated,
        "steps": prepared.header["steps"],
        "split": {"unit": made.unit, "rule": made.rule, "folds": made.n_folds, "hash": made.hash},
        "subjects": prepared.header["proof"],
    }
    write_json(folder / "proof.json", report)
    simulated = " (simulated)" if prepared.simulated else ""
    table = Table(title=f"{prepared.name}{simulated}, {prepared.info['modality']}")
    for heading in ("subject", "channels", "Hz", "windows", "times", "stimuli", "train/val/test", "pairing"):
        table.add_column(heading, overflow="fold")
    for subject, proof in prepared.header["proof"].items():
        sides = "/".join(str(proof["split"][part]) for part in ("train", "val", "test"))
        columns = ("channels", "sfreq", "windows", "times", "stimuli")
        table.add_row(subject, *(f"{proof[column]:g}" for column in columns), sides, proof["pairing"])
    console = Console()
    console.print(table)
    notes: dict[str, list[str]] = {}
    for subject, proof in prepared.header["proof"].items():
        for flag in proof["flags"]:
            notes.setdefault(flag, []).append(subject)
    for note, concerned in notes.items():
        console.print(f"{', '.join(concerned)}: {note}.", highlight=False)
    console.print(f"Split: {made.rule}; {made.n_folds} fold(s); hash {made.hash}.")
    console.print(f"Cache: {folder}; proof: {folder / 'proof.json'}")
