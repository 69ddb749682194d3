"""From the parser's paragraphs to one line that names the option, what was got and what was expected."""

import importlib
import inspect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml
from lightning.pytorch import Trainer

from neurodecode.core.errors import ConfigError, NeurodecodeError, suggestion
from neurodecode.training.short_names import MODULES

#: What may stand at the top of a configuration file.
ROOTS = (
    "seed_everything", "trainer", "model", "data", "recipe", "ckpt_path", "weights_only", "optimizer", "lr_scheduler",
    "verbose", "return_predictions",
)  # fmt: skip


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that led to it.

    Examples
    --------
    >>> [str(cause) for cause in causes(ValueError("alone"))]
    ['alone']
    """
    found: BaseException | None = error
    seen: set[int] = set()
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__


def found_error(error: BaseException) -> NeurodecodeError | None:
    """Return the error of ours that a library has wrapped, if there is one."""
    return next((cause for cause in causes(error) if isinstance(cause, NeurodecodeError)), None)


def one_line(error: BaseException, words: Sequence[str]) -> str:
    """Put an error of the parser into one line.

    Parameters
    ----------
    error : BaseException
        What jsonargparse raised.
    words : sequence of str
        What was typed, to name configuration files.

    Returns
    -------
    str
        Such as ``--model.encoder: unknown option 'backbon'; did you mean 'backbone'?``

    Examples
    --------
    >>> one_line(ValueError("unrecognized arguments: --modle.x 3"), [])
    "unknown option --modle.x; did you mean '--model'?"
    """
    text = str(error)
    if unrecognised := re.search(r"unrecognized arguments: (\S+)", text, re.IGNORECASE):
        word = unrecognised[1].partition("=")[0]
        return f"unknown option {word}{_nearest(word.removeprefix('--'))}"
    if unrecognised := re.search(r"Subcommand '\w+' does not accept option '([^']+)'", text):
        return f"unknown option --{unrecognised[1]}{_nearest(unrecognised[1])}"
    keys = re.findall(r'Parser key "([^"]+)"', text)
    option = "--" + ".".join(dict.fromkeys(keys)) if keys else "options"
    if "config" in keys:
        missing_file = re.search(r"File does not exist: '([^']+)'", text)
        reason = f"no such file {missing_file[1]}" if missing_file else _last(text)
        return f"--config: {reason} (of {', '.join(named_configs(words))})"
    if unknown := re.search(r"(?:Option|Key|Group key) '([^']+)' is not (?:accepted|expected)", text):
        return f"{option}: unknown option {unknown[1]!r}{suggestion(unknown[1], _options_of(text))}"
    if missing := re.search(r"arguments are required: ([\w., ]+)", text):
        names = ", ".join(f"{option}.{name.strip()}" for name in missing[1].split(","))
        return f"missing {names}; give a configuration file with --config, such as one of the recipes"
    if unknown := re.search(r"(?:dot import path string: |class_path ')([\w.]+)", _tail(text)):
        name = unknown[1].strip(".")
        return f"{option}: got {name!r}, which is no class{suggestion(name, class_names())}; give its import path"
    if wrong := re.search(r"Expected an? <class '(\w+)'>\. Got value: (.+)", text):
        kind = {"int": "a whole number", "float": "a number", "str": "a text", "bool": "true or false"}
        return f"{option}: got {wrong[2].strip()!r}, expected {kind.get(wrong[1], wrong[1])}"
    return f"{option}: {_last(text)}"


def _nearest(option: str) -> str:
    """Compose a hint to the option of the command line that a mistyped one is nearest to."""
    root, _, rest = option.partition(".")
    if root == "trainer" and rest:
        word = rest.partition(".")[0]
        return suggestion(f"--trainer.{word}", [f"--trainer.{name}" for name in inspect.signature(Trainer).parameters])
    return suggestion(f"--{root}", [f"--{name}" for name in (*ROOTS, "config", "print_config") if name != root])


def check_configs(words: Sequence[str]) -> None:
    """Refuse an unknown entry at the top of a file, which the parser passes over if empty, and recipes fit cannot fit.

    Parameters
    ----------
    words : sequence of str
        What was typed.

    Raises
    ------
    ConfigError
        Naming the file, the entry and the nearest known one, or the command that fits the recipe.
    """
    for name in named_configs(words):
        try:
            values = yaml.safe_load(Path(name).read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError):
            continue  # the parser says what is wrong with it
        for key in values if isinstance(values, dict) else ():
            if key not in ROOTS:
                raise ConfigError(f"--config: {name} has an unknown entry {key!r}{suggestion(str(key), ROOTS)}")
        card = values.get("recipe") if isinstance(values, dict) else None
        command = card.get("command", "fit") if isinstance(card, dict) else "fit"
        if command != "fit":
            raise ConfigError(f"--config: recipe {Path(name).stem} is fitted by `neurodecode {command}`, not by fit")


def class_names() -> list[str]:
    """List the short names of the built-in classes.

    Examples
    --------
    >>> "ProjectionMLP" in class_names()
    True
    """
    return [
        name
        for path in MODULES
        for name, kind in vars(importlib.import_module(path)).items()
        if inspect.isclass(kind) and kind.__module__ == path
    ]


def _options_of(text: str) -> list[str]:
    """List the options of the innermost class that the message names."""
    paths = re.findall(r"class_path='([\w.]+)'", text) or re.findall(r"class_path '([\w.]+)'", text)
    names: list[str] = []
    for path in paths:
        module, _, name = path.rpartition(".")
        try:
            kind = getattr(importlib.import_module(module), name)
            names += list(inspect.signature(kind).parameters)
        except (ImportError, AttributeError, ValueError, TypeError):
            continue
    return names


def _tail(text: str) -> str:
    """Return the message without the classes that were read successfully on the way."""
    return re.sub(r"Problem with given class_path '[\w.]+':", "", text)


def _last(text: str) -> str:
    """Return the line that says most: the first of the innermost ones."""
    lines = [line.strip(" -") for line in text.splitlines()]
    dull = ("Does not validate", "Subtypes:", "Errors:", "Problem with", "Parser key", "Expected a <class 'NoneType'>",
            "Given value", "Type ")  # fmt: skip
    telling = [line for line in lines if line and not line.startswith(dull)]
    line = telling[0] if telling else lines[-1]
    return re.sub(r"\.? Got value: (Namespace|NestedArg)\(.*", "", line)


def named_configs(words: Sequence[str]) -> list[str]:
    """List the configuration files that the options name.

    Examples
    --------
    >>> named_configs(["fit", "--config", "a.yaml", "--config=b.yaml"])
    ['a.yaml', 'b.yaml']
    """
    named = []
    for position, word in enumerate(words):
        option, has_value, value = word.partition("=")
        if option in ("--config", "-c"):
            named.append(value if has_value else words[position + 1] if position + 1 < len(words) else "nothing")
    return named
