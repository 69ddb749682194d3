"""Draw what was seen from the brain, and score the pictures beside their controls."""

from pathlib import Path

from neurodecode.cli.retrieve import REASON_SHUFFLED, chosen_subjects
from neurodecode.core.errors import ConfigError


def run(
    study: Path,
    targets: Path,
    checkpoint: Path,
    *,
    output: Path = Path("outputs/reconstruct"),
    n_pictures: int = 200,
    n_samples: int = 1,
    subjects: list[str] | None = None,
    generator: Path | None = None,
    seed: int = 0,
) -> None:
    """Draw the test stimuli from brain responses under every condition, score them and write the report.

    Parameters
    ----------
    study : Path
        Prepared study, as `neurodecode prepare` writes it; its stimuli must be pictures.
    targets : Path
        Folder of targets, as `neurodecode embed` writes it; one layer must be in the generator's space.
    checkpoint : Path
        Network that `neurodecode fit` trained on this study, or the folder it lies in. Pictures are of the test
        stimuli of the fold it was trained on.
    output : Path
        Folder of the result.
    n_pictures : int
        How many test stimuli, drawn with the seed; all if there are fewer.
    n_samples : int
        Pictures drawn for each stimulus and condition; all are scored.
    subjects : list of str, optional
        Whose responses; all that the network was trained for by default.
    generator : Path, optional
        Folder of an exported generator; by default the one that comes with the program.
    seed : int
        Seed of the choice of stimuli, of noise, bootstrap and permutations.
    """
    from rich.console import Console

    from neurodecode.core.prepared import PreparedStudy
    from neurodecode.workflow.bank import TargetBank
    from neurodecode.workflow.pictures import draw_with_network
    from neurodecode.workflow.records import build_results
    from neurodecode.workflow.summary import pictures_table
    from neurodecode.workflow.write import write_all

    if n_pictures < 2:
        raise ConfigError(f"--n_pictures: got {n_pictures}, expected at least 2")
    if n_samples < 1:
        raise ConfigError(f"--n_samples: got {n_samples}, expected at least 1")
    prepared, bank = PreparedStudy(study), TargetBank.open(targets)
    if prepared.info["kind"] != "image":
        raise ConfigError(f"--study: {prepared.name} has stimuli of kind {prepared.info['kind']}, expected image")
    console = Console()
    drawn = draw_with_network(
        prepared, bank, checkpoint,
        subjects=None if subjects is None else chosen_subjects(prepared.subjects, subjects),
        generator=generator, n_pictures=n_pictures, n_samples=n_samples, seed=seed,
        absent={"shuffled_brain": REASON_SHUFFLED},
        progress=lambda text: console.print(f"Drawing: {text}"),
    )  # fmt: skip
    config = {
        "command": "reconstruct",
        "study": str(study),
        "targets": str(targets),
        "checkpoint": str(checkpoint),
        "output": str(output),
        "n_pictures": n_pictures,
        "n_samples": n_samples,
        "subjects": [entry.subject for entry in drawn.pictures],
        "generator": None if generator is None else str(generator),
        "seed": seed,
    }
    results = build_results(prepared, bank, None, drawn.scores, drawn.absent, seed=seed, config=config)
    report = write_all(output, prepared, results, None, {}, drawn.pictures, config)
    console.print(pictures_table(results))
    console.print(f"Report: {report}")
