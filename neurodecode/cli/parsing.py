"""From the signature of a command's `run` function to its parser, with errors of one line.

Imported only when a command runs: jsonargparse takes a tenth of a second.
"""

import argparse
import inspect
import json
import re
import types
from collections.abc import Callable, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from jsonargparse import ArgumentParser

from neurodecode.core.errors import ConfigError, suggestion

#: Other words for an option, read where a command has the one and not the other.
SYNONYMS = {"ckpt": "checkpoint", "ckpt_path": "checkpoint", "strategy": "strategies", "budgets": "budget"}
SEQUENCES = (list, tuple, Sequence, set)


def describe(annotation: Any) -> str:
    """Put a type annotation into words for an error message.

    Examples
    --------
    >>> describe(Literal["eeg", "meg"])
    'one of eeg, meg'
    >>> describe(list[int] | None)
    'list of int or null'
    """
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "one of " + ", ".join(str(choice) for choice in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(describe(choice) for choice in inner)
    if annotation is types.NoneType:
        return "null"
    if origin in SEQUENCES:
        return f"list of {describe(inner[0])}" if inner else "list"
    name = getattr(annotation, "__name__", str(annotation))
    return {"Path": "path", "bool": "true or false", "str": "text"}.get(name, name)


def build_parser(function: Callable[..., None], *, prog: str) -> ArgumentParser:
    """Build the parser of a command from the signature and docstring of its function.

    Parameters
    ----------
    function : callable
        Every parameter is typed and can be given by name; the numpydoc docstring describes it.
    prog : str
        Name shown in the usage line.

    Returns
    -------
    jsonargparse.ArgumentParser
        With one option a parameter and ``--config``; it raises instead of exiting on a bad value.
    """
    description = re.split(r"\n\s*(?:Parameters|Returns|Raises|Notes|Examples|References)\n\s*-{3,}",
                           inspect.getdoc(function) or "")[0]  # fmt: skip
    parser = ArgumentParser(prog=prog, description=description.strip(), exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--config", action="config", help="YAML file with options; those typed beside it win")
    parser.add_function_arguments(function, as_group=False)
    return parser


def normalise(function: Callable[..., None], arguments: Sequence[str]) -> list[str]:
    """Rewrite the shorter spellings people use into the ones the parser reads.

    ``--force`` alone means true and ``--no-force`` false; a list may be given as ``--subjects a b`` or ``a,b``;
    configuration files are moved to the front, so that options typed on the command line win over them. Words before
    the first option stand for the parameters of `function` that are not keyword-only, in their order.

    Parameters
    ----------
    function : callable
        The command's function.
    arguments : sequence of str
        What was typed after the command.

    Returns
    -------
    list of str
        The same in the parser's spelling.

    Examples
    --------
    >>> def run(study: str, *, force: bool = False, subjects: list[str] | None = None) -> None: ...
    >>> normalise(run, ["haxby_slice", "--subjects", "sub-01", "sub-02", "--force"])
    ['--study=haxby_slice', '--subjects=["sub-01", "sub-02"]', '--force=true']
    """
    kinds = {_option(name): annotation for name, annotation in _annotations(function).items()}
    configs: list[str] = []
    options: list[str] = []
    waiting = list(arguments)
    for name, parameter in inspect.signature(function).parameters.items():
        if not waiting or waiting[0].startswith("-") or parameter.kind is parameter.KEYWORD_ONLY:
            break
        options.append(f"{_option(name)}={waiting.pop(0)}")
    while waiting:
        word = waiting.pop(0)
        option, has_value, value = word.partition("=")
        meant = _option(SYNONYMS.get(option.removeprefix("--").replace("-", "_"), ""))
        if option.startswith("--") and _option(option.removeprefix("--")) not in kinds and meant in kinds:
            option = meant
        values = [value] if has_value else []
        if not has_value and word.startswith("--"):
            while waiting and not waiting[0].startswith("--") and waiting[0] != "-h":
                values.append(waiting.pop(0))
        if option.startswith("--no-") and _option(option[5:]) in kinds and not values:
            options.append(f"{_option(option[5:])}=false")
            continue
        kind = kinds.get(_option(option.removeprefix("--"))) if option.startswith("--") else None
        if kind is not None:
            option = _option(option.removeprefix("--"))
        if option == "--config" and values:
            configs += [f"--config={name}" for name in values]
        elif kind is bool and not values:
            options.append(f"{option}=true")
        elif (element := _list_element(kind)) is not None and values and not values[0].startswith(("[", "null")):
            options.append(f"{option}={_as_yaml_list(values, element)}")
        elif len(values) == 1:
            options.append(f"{option}={values[0]}" if word.startswith("--") else word)
        else:
            options += [option, *values]
    return configs + options


def parse(function: Callable[..., None], arguments: Sequence[str], *, prog: str) -> dict[str, Any]:
    """Read a command's arguments.

    Parameters
    ----------
    function : callable
        The command's function.
    arguments : sequence of str
        What was typed after the command.
    prog : str
        Name shown in the usage line.

    Returns
    -------
    dict of str to object
        Keyword arguments for `function`.

    Raises
    ------
    ConfigError
        One line naming the option, what was got and what was expected.
    """
    parser = build_parser(function, prog=prog)
    words = normalise(function, arguments)
    try:
        namespace = parser.parse_args(words)
    except argparse.ArgumentError as error:
        line = _one_line(str(error), function)
        if line.startswith(("Problems parsing config", "Unexpected config")):
            files = ", ".join(word.removeprefix("--config=") for word in words if word.startswith("--config="))
            line = f"--config: expected a YAML file with one option a line in {files} ({line})"
        raise ConfigError(line) from error
    values: dict[str, Any] = parser.instantiate_classes(namespace).as_dict()
    values.pop("config", None)
    return values


def _option(name: str) -> str:
    return "--" + name.replace("-", "_")


def _annotations(function: Callable[..., None]) -> dict[str, Any]:
    hints = get_type_hints(function)
    return {name: hints.get(name, Any) for name in inspect.signature(function).parameters}


def _list_element(kind: Any) -> Any:
    """Give the element type if `kind` is a sequence or an optional one, else None."""
    if get_origin(kind) in (Union, types.UnionType):
        elements = [_list_element(choice) for choice in get_args(kind)]
        return next((element for element in elements if element is not None), None)
    if get_origin(kind) in SEQUENCES:
        return (get_args(kind) or (str,))[0]
    return None


def _as_yaml_list(values: Sequence[str], element: Any) -> str:
    items = [item.strip() for value in values for item in value.split(",") if item.strip()]
    if element in (int, float, bool):
        return "[" + ", ".join(items) + "]"
    return json.dumps(items, ensure_ascii=False)


def _one_line(message: str, function: Callable[..., None]) -> str:
    """Turn the parser's message, which may fill a paragraph, into one line."""
    annotations = _annotations(function)
    known = ["--config", "--help", *map(_option, annotations)]
    if unrecognised := re.match(r"unrecognized arguments: (\S+)", message, re.IGNORECASE):
        word = unrecognised[1].partition("=")[0]
        if not word.startswith("-"):
            return f"unexpected argument {word!r}; options start with --"
        return f"unknown option {word}{suggestion(word, known)}"
    if missing := re.search(r"arguments are required: (.+)", message):
        return "missing " + ", ".join(_option(name.strip()) for name in missing[1].split(","))
    if unknown_key := re.search(r"(?:Key|Option) ['\"]([\w.]+)['\"] is not (?:expected|accepted)", message):
        return f"--config: unknown key {unknown_key[1]!r}{suggestion(unknown_key[1], annotations)}"
    key = re.search(r'Parser key "([\w.]+)"', message)
    value = re.search(r"(?:Got value|Given value): (.*)", message)
    if key and value and key[1] in annotations:
        return f"{_option(key[1])}: expected {describe(annotations[key[1]])}, got {value[1].strip()!r}"
    if alone := re.match(r"argument (--\w+): (.+)", message):
        return f"{alone[1]}: {alone[2]}"
    text = " ".join(message.split())
    return re.sub(r'^Parser key "([\w.]+)": ?', r"--\1: ", text)
