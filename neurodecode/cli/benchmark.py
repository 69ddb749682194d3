"""Run a recipe over all subjects and several seeds, and write one table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from neurodecode.core.errors import ConfigError


def run(
    recipe: str,
    study: Path,
    targets: Path,
    *,
    size: str | None = None,
    setting: Literal["within", "joint"] = "within",
    layers: list[str] | None = None,
    seeds: list[int] | None = None,
    subjects: list[str] | None = None,
    linear: bool = True,
    output: Path | None = None,
) -> None:
    """Train a recipe for every subject and seed, rank with it beside the linear models, and write one table.

    Every finished training is kept; an interrupted run goes on.

    Parameters
    ----------
    recipe : str
        Name of a shipped recipe, or a YAML file with a network's configuration.
    study : Path
        Prepared study, as `neurodecode prepare` writes it.
    targets : Path
        Folder of targets, as `neurodecode embed` writes it: one subfolder a layer.
    size : str, optional
        Name of a shipped overlay, such as small (the recipe's own overlay of that name, where it has one), or a YAML
        file; it comes after the recipe.
    setting : str
        Train a network within each subject, or one joint network for all.
    layers : list of str, optional
        Which layers of the targets the network learns; all by default. The linear models see all.
    seeds : list of int, optional
        0, 1 and 2 by default.
    subjects : list of str, optional
        All by default.
    linear : bool
        Fit the linear models too, which takes longer than a small network; without them the network is ranked alone.
    output : Path, optional
        Folder of the result; by default outputs/benchmark/, the study's and the recipe's name.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from neurodecode.cli.retrieve import chosen_subjects
    from neurodecode.core.prepared import PreparedStudy
    from neurodecode.training.config_files import find_config, shipped_folder
    from neurodecode.workflow.benchmark import TABLE, Benchmark, run_benchmark
    from neurodecode.workflow.records import asked_of

    prepared = PreparedStudy(study)
    places = _layers(targets, layers)
    wanted = chosen_subjects(prepared.subjects, subjects)
    console = Console()
    configs = [find_config(recipe, "recipe", what="--recipe")]
    name = configs[0].stem
    if size is not None:
        own = shipped_folder("size") / size / configs[0].name
        configs.append(own if own.is_file() else find_config(size, "size", what="--size"))
        name += f"-{Path(size).stem}"
    plan = Benchmark(name, tuple(configs), setting, tuple(seeds or (0, 1, 2)), tuple(wanted), linear)
    folder = Path("outputs/benchmark") / prepared.name / name if output is None else output
    table = run_benchmark(plan, prepared, places, folder, progress=lambda text: console.print(f"Benchmark: {text}"))
    simulated = " - SIMULATED DATA" if prepared.simulated else ""
    here = table[table["direction"] == "image_given_brain"].to_dict(orient="records")
    found = {(row["model"], row["subject"], row["metric"]): row for row in here}
    scored = set(table["metric"])
    metrics = [metric for metric in ("balanced_top1", "balanced_top5") if metric in scored] or [
        metric for metric in ("top1", "top5") if metric in scored
    ]
    several = len(plan.seeds) > 1
    shown = Table(
        title=f"{name} on {prepared.name}: {asked_of(prepared.info)} given brain{simulated}",
        caption=_caption({metric: [row["chance"] for row in here if row["metric"] == metric] for metric in metrics}),
        title_justify="left",
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    shown.add_column("model")
    shown.add_column("subject")
    for metric in metrics:
        shown.add_column(metric.replace("_", " "), no_wrap=True)
        if several:
            shown.add_column("sd", style="dim", no_wrap=True)
    for model, subject in dict.fromkeys((model, subject) for model, subject, metric in found if metric in metrics):
        cells = []
        for metric in metrics:
            row = found[model, subject, metric]
            cells.append(f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]")
            if several:
                cells.append(f"{row['spread']:.3f}")
        shown.add_row(model, subject, *cells)
    console.print(shown)
    console.print(f"Table: {folder / TABLE}")


def _caption(chances: Mapping[str, Sequence[float]]) -> str:
    """Say what the numbers are and what guessing gives: one number, or from the least to the most."""
    said = []
    for metric, values in chances.items():
        low, high = f"{min(values):.3f}", f"{max(values):.3f}"
        said.append(f"{metric.replace('_', ' ')} {low if low == high else f'{low} to {high}'}")
    return f"mean and sd over seeds, 95 % interval over stimuli and subjects; chance: {', '.join(said)}"


def _layers(folder: Path, wanted: list[str] | None) -> dict[str, Path]:
    """Find the folders of targets, and check which of them were asked for."""
    from neurodecode.workflow.bank import layer_names

    known = {name: folder / name for name in layer_names(folder)}
    unknown = [name for name in wanted or [] if name not in known]
    if unknown or wanted == []:
        raise ConfigError(f"--layers: got {unknown[0] if unknown else 'none'}, expected some of {', '.join(known)}")
    return {name: known[name] for name in wanted or known}
