"""Read a study, prove its alignment and write its cache."""

from pathlib import Path


def run(
    study: str,
    *,
    root: str | None = None,
    output: Path | None = None,
    subjects: list[str] | None = None,
    sfreq: float | None = None,
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
    jobs : int
        Number of subjects that are read at once, each in a process of its own.
    """
    from rich.console import Console
    from rich.table import Table

    from neurodecode.core.files import write_json
    from neurodecode.core.prepared import prepare_study
    from neurodecode.core.progress import progress_bar
    from neurodecode.datasets.catalogue import open_study

    opened = open_study(study, root)
    folder = Path("outputs/cache") / study if output is None else output
    with progress_bar(f"preparing {study}", total=None) as advance:
        prepared = prepare_study(
            opened,
            folder,
            subjects=subjects,
            sfreq=sfreq,
            jobs=jobs,
            progress=lambda subject: advance(description=f"preparing {study}, {subject}"),
        )
    split = prepared.split
    report = {
        "study": prepared.name,
        "source": str(opened.root),
        "simulated": prepared.simulated,
        "steps": prepared.header["steps"],
        "split": {"unit": split.unit, "rule": split.rule, "folds": split.n_folds, "hash": split.hash},
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
    console.print(f"Split: {split.rule}; {split.n_folds} fold(s); hash {split.hash}.")
    console.print(f"Cache: {folder}; proof: {folder / 'proof.json'}")
