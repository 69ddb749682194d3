"""From the parser's paragraphs to one line that names the option, what was got and what was expected."""

import importlib
import inspect
import re
from collections.abc import Iterator, Sequence

from lightning.pytorch import Trainer

from neurodecode.core.errors import NeurodecodeError, suggestion
from neurodecode.training.config_checks import classes_by_name
from neurodecode.training.config_options import ROOTS, split_configs

#: What a value of one of several types should have been, and what it was, some lines below.
TYPE_AND_VALUE = re.compile(
    r"- Expected an? <class '(\w+)'>(?:\n\s*- Expected[^\n]*)*\n\s*Given value type: [^\n]*\n\s*Given value: ([^\n]+)"
)


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
        files, _ = split_configs(words)
        return f"--config: {_last(text)} (of {', '.join(files)})"
    if unknown := re.search(r"(?:Option|Key|Group key) '([^']+)' is not (?:accepted|expected)", text):
        known = _options_of(text)
        near = suggestion(unknown[1], known) or (f"; expected some of {', '.join(known)}" if known else "")
        return f"{option}: unknown option {unknown[1]!r}{near}"
    if missing := re.search(r"arguments are required: ([\w.]+(?:, [\w.]+)*)", text):
        names = ", ".join(f"{option}.{name.strip(' .')}" for name in missing[1].split(","))
        return f"missing {names}; give a configuration file with --config, such as one of the recipes"
    if wrong := re.search(r"Expected an? <class '(\w+)'>\. Got value: (.+)", text):
        return f"{option}: got {wrong[2].partition('. Got value: ')[0].strip()!r}, expected {_kind(wrong[1])}"
    if (wrong := TYPE_AND_VALUE.search(text)) and wrong[1] != "NoneType":
        return f"{option}: got {wrong[2].partition('. Got value: ')[0].strip()!r}, expected {_kind(wrong[1])}"
    if unknown := re.search(r"(?:dot import path string: |class_path ')([\w.]+)", _tail(text)):
        name = unknown[1].strip(".")
        near = suggestion(name, classes_by_name()) or "; give its import path"
        return f"{option}: got {name!r}, which is no class{near}"
    return f"{option}: {_last(text)}"


def weights_line(text: str) -> str:
    r"""Say which weights of a checkpoint do not fit, in one line.

    Parameters
    ----------
    text : str
        What torch says, over several lines.

    Examples
    --------
    >>> weights_line('Error(s) in loading state_dict for X:\n\tMissing key(s) in state_dict: "a.scale", "b". ')
    'has no a.scale and 1 more, expected all weights of the task built here, objectives included'
    """
    expected = "expected all weights of the task built here, objectives included"
    for begin, verb in (("Missing key", "has no"), ("Unexpected key", "has")):
        if found := re.search(begin + r'\(s\) in state_dict: ("[^\n]*")', text):
            names = re.findall(r'"([^"]+)"', found[1])
            more = f" and {len(names) - 1} more" if names[1:] else ""
            only = "" if verb == "has no" else ", which the task built here has not"
            return f"{verb} {names[0]}{more}{only or ', ' + expected}"
    return _last(text.partition(":")[2])


def _kind(name: str) -> str:
    kinds = {
        "int": "a whole number", "float": "a number", "str": "a text", "bool": "true or false", "list": "a list",
        "dict": "a mapping",
    }  # fmt: skip
    return kinds.get(name, name)


def _nearest(option: str) -> str:
    """Compose a hint to the option of the command line that a mistyped one is nearest to."""
    root, _, rest = option.partition(".")
    if root == "trainer" and rest:
        word = rest.partition(".")[0]
        return suggestion(f"--trainer.{word}", [f"--trainer.{name}" for name in inspect.signature(Trainer).parameters])
    return suggestion(f"--{root}", [f"--{name}" for name in (*ROOTS, "config", "print_config") if name != root])


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
