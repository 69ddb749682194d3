"""The commands: names, modules and one line of help each. Nothing here imports a command."""

import importlib.util
from typing import NamedTuple


class Command(NamedTuple):
    """One entry of the command line.

    Parameters
    ----------
    group : str
        Heading under which ``neurodecode --help`` lists it.
    name : str
        What the user types.
    module : str
        Module that does the work, imported only when the command runs. It has a typed function ``run``, or
        ``run_lightning(subcommand, arguments)`` when `lightning` is set.
    help : str
        One line.
    lightning : bool
        Whether Lightning's own command line reads the arguments.
    """

    group: str
    name: str
    module: str
    help: str
    lightning: bool = False


COMMANDS: tuple[Command, ...] = (
    Command("First run", "quickstart", "neurodecode.cli.quickstart", "the whole way on one study, from data to report"),
    Command("Data", "studies", "neurodecode.cli.studies", "list studies and what was found of them on this machine"),
    Command("Data", "simulate", "neurodecode.cli.simulate", "write a simulated study with known ground truth"),
    Command("Data", "miniature", "neurodecode.cli.miniature", "write a small simulated copy of a published study"),
    Command("Data", "prepare", "neurodecode.cli.prepare", "read a study, check it, write its cache and split"),
    Command("Data", "embed", "neurodecode.cli.embed", "compute the targets of a study's stimuli"),
    Command("Training", "recipes", "neurodecode.cli.recipes", "list the recipes, build each and check its size"),
    Command("Training", "fit", "neurodecode.cli.lightning", "train a model", lightning=True),
    Command("Training", "validate", "neurodecode.cli.lightning", "score a model on validation data", lightning=True),
    Command("Training", "test", "neurodecode.cli.lightning", "score a model on test data", lightning=True),
    Command("Training", "predict", "neurodecode.cli.lightning", "write a model's embeddings", lightning=True),
    Command("Results", "benchmark", "neurodecode.cli.benchmark", "run a recipe over all subjects and several seeds"),
    Command("Results", "adapt", "neurodecode.cli.adapt", "adapt to a new subject from a budget of its data"),
    Command("Results", "retrieve", "neurodecode.cli.retrieve", "rank candidate stimuli and score the ranks"),
    Command("Results", "reconstruct", "neurodecode.cli.reconstruct", "draw what was seen and score the pictures"),
    Command("Results", "report", "neurodecode.cli.report", "write one self-contained page from a result"),
    Command("Results", "demo", "neurodecode.cli.demo", "open the studio in a browser"),
)


def available_commands() -> dict[str, Command]:
    """List the commands whose module is installed, by name and without importing it.

    Returns
    -------
    dict of str to Command
        In the order of `COMMANDS`.

    Examples
    --------
    >>> all(name == command.name for name, command in available_commands().items())
    True
    """
    return {command.name: command for command in COMMANDS if importlib.util.find_spec(command.module) is not None}


def overview() -> str:
    """Compose the text of ``neurodecode --help``.

    Returns
    -------
    str
        Usage, the commands by group and the options every command has.
    """
    lines = [
        "usage: neurodecode COMMAND [options]",
        "",
        "Decode what a person saw or heard from a brain recording.",
    ]
    group = ""
    for command in available_commands().values():
        if command.group != group:
            group = command.group
            lines += ["", f"{group}:"]
        lines.append(f"  {command.name:<13}{command.help}")
    lines += [
        "",
        "Options:",
        "  -h, --help   after a command: its options",
        "  --version    print the version",
        "  --debug      show the whole traceback of an error",
    ]
    return "\n".join(lines)
