"""What the small sizes reach: ``python -P tests/benchmarks/recipes_learn.py umbrae zebra --folder /tmp/learn``.

For each recipe (all by default) the miniature of the study it was published on and the built-in study that fits are
written, prepared and embedded (what lies in the folder already is kept), and
`neurodecode benchmark RECIPE STUDY TARGETS --size small` is run, all through the console script's own entry. Printed
is a row a recipe and study: top-1 and top-5 of the network with 95 % intervals, chance, ridge's beside it, and the
minutes of one core that the trainings took. With `--prepared NAME=CACHE,TARGETS` a study that was prepared elsewhere
takes the place of the one of that name.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurodecode.cli.main import main as neurodecode
from neurodecode.core.files import read_json, write_json


@dataclass(frozen=True)
class Study:
    """A study on disk, and how it is prepared and embedded.

    Parameters
    ----------
    name : str
        As `neurodecode studies` lists it.
    made : tuple of str
        The command that writes it, without its folder: ``miniature nsd --layout hdf5`` or ``simulate fmri``.
    prepare, embed : tuple of str
        Further options of these commands. The word CACHE stands for the prepared study's folder.
    label : str
        What tells it from another form of the same study; its name by default.
    """

    name: str
    made: tuple[str, ...]
    prepare: tuple[str, ...] = ()
    embed: tuple[str, ...] = ()
    label: str = ""

    @property
    def key(self) -> str:
        return self.label or self.name


@dataclass(frozen=True)
class Case:
    """A recipe on a study: who is trained together, and further options of `neurodecode benchmark`."""

    study: Study
    setting: str = "joint"
    options: tuple[str, ...] = ()


NSD = Study("nsd", ("miniature", "nsd", "--layout", "hdf5"))
FMRI = Study("openmoji_fmri", ("simulate", "fmri"), ("--regions", "[V1,V2,V4,LOC,IT]"))
# The large miniatures: the small ones test fewer stimuli than five.
THINGS_EEG2 = Study("things_eeg2", ("miniature", "things_eeg2", "--layout", "B", "--large", "true"))
EEG = Study("openmoji_eeg", ("simulate", "eeg"), ("--sfreq", "50"))
THINGS_MEG = Study("things_meg", ("miniature", "things_meg", "--large", "true"), ("--sfreq", "100"))
MEG = Study("openmoji_meg", ("simulate", "meg"), ("--sfreq", "50"))
SERIES = ("--encoder", "mel", "--prepared", "CACHE", "--rate", "50")
GWILLIAMS = Study("gwilliams2022", ("miniature", "gwilliams2022", "--large", "true"), ("--sfreq", "50"), SERIES)
SPOKEN = Study("spoken_meg", ("simulate", "speech"), ("--sfreq", "50"), SERIES)
WORDS = ("--options", '{"windows": {"unit": "words", "duration": 1.0, "lag": 0.0}}')
VECTORS = (*WORDS, "--encoder", "minilm")
LIBRIBRAIN = Study("libribrain", ("miniature", "libribrain", "--large", "true"), ("--sfreq", "50", *WORDS), VECTORS)
SPOKEN_WORDS = Study("spoken_meg", ("simulate", "speech"), ("--sfreq", "50", *WORDS), VECTORS, label="spoken_words")
#: The linear models of the built-in EEG and MEG are the quickstart's, and take longer than these networks.
ALONE = ("--linear", "false")
PICTURES = (Case(THINGS_EEG2, "within", ALONE), Case(EEG, "within", ALONE))

#: Of each recipe: its own study (as a miniature) and the built-in one.
RECIPES: dict[str, tuple[Case, Case]] = {
    "mindeye1": (Case(NSD, "within"), Case(FMRI, "within")),
    "mindeye2": (Case(NSD), Case(FMRI)),
    "mindbridge": (Case(NSD), Case(FMRI)),
    "umbrae": (Case(NSD), Case(FMRI)),
    "zebra": (Case(NSD), Case(FMRI)),
    "neuro_vision": (Case(NSD), Case(FMRI)),
    "wave": (Case(NSD), Case(FMRI)),
    "ubp": PICTURES,
    "neurobridge": PICTURES,
    "shallow_alignment": PICTURES,
    "nice": PICTURES,
    "atm": PICTURES,
    "benchetrit": (Case(THINGS_MEG, "joint", ALONE), Case(MEG, "joint", ALONE)),
    "brainmagick": (Case(GWILLIAMS, "joint", ("--layers", "[mel]")), Case(SPOKEN, "joint", ("--layers", "[mel]"))),
    "ascoli": (Case(LIBRIBRAIN), Case(SPOKEN_WORDS)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", help=f"some of {', '.join(RECIPES)}; all by default")
    parser.add_argument("--folder", type=Path, default=Path("outputs/recipes_learn"))
    parser.add_argument("--studies", choices=("own", "built-in", "both"), default="both")
    parser.add_argument("--prepared", action="append", default=[], metavar="NAME=CACHE,TARGETS")
    parser.add_argument("--seeds", default="[0]")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.recipes) - set(RECIPES))
    if unknown:
        parser.error(f"recipes: got {unknown[0]!r}, expected some of {', '.join(RECIPES)}")
    ready = {}
    for word in arguments.prepared:
        name, _, places = word.partition("=")
        cache, _, targets = places.partition(",")
        ready[name] = (Path(cache), Path(targets))
    rows = []
    for recipe in arguments.recipes or RECIPES:
        own, built_in = RECIPES[recipe]
        for case in {"own": (own,), "built-in": (built_in,), "both": (own, built_in)}[arguments.studies]:
            places = ready.get(case.study.key) or prepared(case.study, arguments.folder)
            rows.append(learn(recipe, case, *places, arguments.folder, arguments.seeds))
            print(header() + "".join(line(row) for row in rows), flush=True)


def run(*words: str) -> None:
    """Run a command; stop where it fails, having said why."""
    status = neurodecode(list(words))
    if status:
        raise SystemExit(status)


def prepared(study: Study, folder: Path) -> tuple[Path, Path]:
    """Make, prepare and embed a study; what is there already is kept."""
    cache, targets = folder / "cache" / study.key, folder / "targets" / study.key
    place = {"CACHE": str(cache), "TARGETS": str(targets)}
    if study.made[0] == "miniature":
        root = folder / "data" / study.key
        if not root.exists():
            run(*study.made, "--output", str(root))
    else:
        # A simulation keeps its folder itself, under its own name, and goes on with what is half there.
        root = folder / "data" / study.key
        run(*study.made, "--output", str(root))
    run("prepare", study.name, "--root", str(root), "--output", str(cache), *(place.get(w, w) for w in study.prepare))
    run("embed", study.name, "--root", str(root), "--output", str(targets), *(place.get(w, w) for w in study.embed))
    return cache, targets


def learn(recipe: str, case: Case, cache: Path, targets: Path, folder: Path, seeds: str) -> dict[str, Any]:
    """Benchmark a recipe on a study, and give what it reached on average over subjects."""
    # One folder a study: the linear models beside the network are fitted once.
    output = folder / "benchmark" / case.study.key
    with timed() as seconds:
        run("benchmark", recipe, str(cache), str(targets), "--size", "small", "--setting", case.setting,
            "--seeds", seeds, "--output", str(output), *case.options)  # fmt: skip
    kept = output / "minutes.json"
    minutes = read_json(kept) if kept.is_file() else {}
    name = f"{recipe} {case.setting} {seeds} {' '.join(case.options)}"
    if seconds():
        # A training that was finished before takes no time now.
        minutes[name] = round(seconds() / 60, 1)
        write_json(kept, minutes)
    summary = read_json(output / "benchmark.json")
    found = {(row["model"], row["metric"]): row for row in summary["rows"]
             if row["subject"] == "mean" and row["direction"] == "image_given_brain"}  # fmt: skip
    row = {"recipe": recipe, "study": case.study.key, "setting": case.setting, "minutes": minutes.get(name, 0.0)}
    for metric in ("top1", "top5"):
        # Words: of all words alike, however often they were heard.
        balanced = f"balanced_{metric}"
        known = balanced if ("decoder", balanced) in found else metric
        for model in ("decoder", "ridge", "decoder_without_context"):
            row[f"{model}_{metric}"] = found.get((model, known))
    return row


class timed:
    """Count the seconds of one core that the trainings inside take, the linear models left out."""

    def __enter__(self) -> Callable[[], float]:
        from neurodecode.workflow import benchmark

        self.module, self.train, self.seconds = benchmark, benchmark.train_decoder, 0.0

        def train(*arguments: Any, **settings: Any) -> Path:
            begin = time.process_time()
            path = self.train(*arguments, **settings)
            spent = time.process_time() - begin
            # Reading a finished training takes less than this, training more.
            self.seconds += spent if spent > 2 else 0.0
            return path

        benchmark.train_decoder = train
        return lambda: self.seconds

    def __exit__(self, *_: object) -> None:
        self.module.train_decoder = self.train


def header() -> str:
    return (
        "\n| recipe | study | setting | top-1 | top-5 | chance | ridge top-1 | ridge top-5 | minutes |\n"
        "|---|---|---|---|---|---|---|---|---|\n"
    )


def line(row: dict[str, Any]) -> str:
    """Lay out a row of the table in docs/recipes.md."""
    first, second = row["decoder_top1"], row["decoder_top5"]
    chance = " / ".join(f"{one['chance']:.3f}" for one in (first, second) if one)
    cells = [row["recipe"], row["study"], row["setting"], shown(first), shown(second), chance,
             value(row["ridge_top1"]), value(row["ridge_top5"]), f"{row['minutes']:.1f}"]  # fmt: skip
    alone = [row[f"decoder_without_context_{metric}"] for metric in ("top1", "top5")]
    rows = [cells]
    if any(alone):
        rows.append([f"{row['recipe']}, without context", *cells[1:3], *map(shown, alone), chance, "", "", ""])
    return "".join("| " + " | ".join(cells) + " |\n" for cells in rows)


def shown(score: dict[str, Any] | None) -> str:
    return "" if score is None else f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"


def value(score: dict[str, Any] | None) -> str:
    return "" if score is None else f"{score['value']:.3f}"


if __name__ == "__main__":
    main()
