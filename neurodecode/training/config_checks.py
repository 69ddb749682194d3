"""Are all names in a configuration known? Asked before the parser, whose answer is a page long or none at all."""

import importlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from neurodecode.core.errors import ConfigError, suggestion
from neurodecode.training.configuration import CLASS_KEYS
from neurodecode.training.short_names import MODULES

#: Modules of classes that the parser knows by their short name as well.
LIBRARIES = (
    "lightning.pytorch.callbacks", "lightning.pytorch.loggers", "lightning.pytorch.profilers",
    "lightning.pytorch.strategies", "torch.optim",
)  # fmt: skip
DEFAULTS = {
    "model": "neurodecode.training.decode_task.DecodeTask",
    "data": "neurodecode.training.data_module.BrainDataModule",
}
#: Arguments that the code gives, not the user.
GIVEN = ("interface", "n_channels", "n_times", "params")

Source = tuple[Path, Mapping[str, Any]]


@cache
def classes_by_name() -> dict[str, type]:
    """Return the classes that have short names: the built-in ones and those of the libraries underneath.

    Examples
    --------
    >>> "ProjectionMLP" in classes_by_name(), "ModelCheckpoint" in classes_by_name()
    (True, True)
    """
    found = {
        name: kind
        for path in LIBRARIES
        for name, kind in vars(importlib.import_module(path)).items()
        if inspect.isclass(kind) and not name.startswith("_")
    }
    for path in MODULES:
        for name, kind in vars(importlib.import_module(path)).items():
            if inspect.isclass(kind) and kind.__module__ == path:
                found[name] = kind
    return found


def check_names(config: Mapping[str, Any], sources: Sequence[Source], options: Sequence[str] = ()) -> None:
    """Refuse an entry that no class takes, and a class that is not there.

    Parameters
    ----------
    config : mapping
        As composed.
    sources : sequence of (Path, mapping)
        The files it was composed of, to say which one is meant.
    options : sequence of str
        What else was typed: a class that an option names is not known here.

    Raises
    ------
    ConfigError
        Naming the file, the entry and the nearest known one.
    """
    for root in ("trainer", *DEFAULTS):
        entry = config.get(root)
        if entry is not None and not isinstance(entry, Mapping) and (root == "trainer" or not isinstance(entry, str)):
            raise ConfigError(f"--{root}: got {entry!r}, expected a mapping{_of(sources, [], root)}")
    _check_arguments(config.get("trainer") or {}, Trainer, ["trainer"], sources)
    for root, default in DEFAULTS.items():
        entry = config.get(root)
        if isinstance(entry, str):
            _check_class({"class_path": entry}, [root], sources)
        named = any(word.partition("=")[0] in (f"--{root}", f"--{root}.class_path") for word in options)
        if isinstance(entry, Mapping) and not ("class_path" not in entry and named):
            _check_class({"class_path": default, **entry}, [root], sources)


def find_class(name: str) -> type | None:
    """Return the class that a configuration names; None where only the parser can tell.

    Raises
    ------
    ConfigError
        For an import path that leads nowhere.

    Examples
    --------
    >>> find_class("torch.optim.Adam").__name__, find_class("Unheard")
    ('Adam', None)
    """
    module, _, last = name.rpartition(".")
    if not module:
        return classes_by_name().get(name)
    try:
        place = importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(f"got {name!r}, which cannot be imported ({error}); is its folder in PYTHONPATH?") from None
    except ValueError:
        return None
    kind = getattr(place, last, None)
    if kind is None:
        known = [other for other, value in vars(place).items() if inspect.isclass(value)]
        raise ConfigError(f"got {name!r}, but {module} has no {last}{suggestion(last, known)}")
    return kind if inspect.isclass(kind) else None


def _check_class(entry: Mapping[str, Any], path: list[str], sources: Sequence[Source]) -> None:
    for key in entry:
        if key not in CLASS_KEYS:
            _refuse(path, str(key), ("class_path", "init_args"), sources)
    name, arguments = entry.get("class_path"), entry.get("init_args")
    if not isinstance(name, str):
        return
    place = _of(sources, path, "class_path") or _of(sources, path[:-1], path[-1])
    try:
        kind = find_class(name)
    except ConfigError as error:
        raise ConfigError(f"{_option(path)}: {error}{place}") from None
    if kind is None:
        near = suggestion(name, classes_by_name()) or "; give its import path"
        raise ConfigError(f"{_option(path)}: got {name!r}, which is no class{place}{near}")
    if isinstance(arguments, Mapping):
        _check_arguments(arguments, kind, path, sources)
    elif arguments is not None:
        where = _of(sources, path, "init_args")
        raise ConfigError(f"{_option(path)}.init_args: got {arguments!r}, expected a mapping{where}")


def _check_arguments(values: Mapping[str, Any], kind: type, path: list[str], sources: Sequence[Source]) -> None:
    try:
        parameters = inspect.signature(kind).parameters
    except (TypeError, ValueError):
        return
    is_open = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    known = [name for name in parameters if name not in GIVEN]
    for key, value in values.items():
        if key not in parameters and not is_open:
            _refuse(path, str(key), known, sources)
        for item, place in _entries(value, [*path, str(key)]):
            _check_class(item, place, sources)


def _entries(value: Any, path: list[str]) -> Iterator[tuple[Mapping[str, Any], list[str]]]:
    """Yield the classes that a value names: itself, or items of a list."""
    if isinstance(value, Mapping):
        if CLASS_KEYS & set(value) or any(suggestion(str(key), ["class_path", "init_args"]) for key in value):
            yield value, path
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, Mapping):
                yield from _entries(item, path)


def _refuse(path: list[str], key: str, known: Sequence[str], sources: Sequence[Source]) -> None:
    near = suggestion(key, known) or f"; expected some of {', '.join(known) or 'none'}"
    raise ConfigError(f"{_option(path)}: unknown option {key!r}{_of(sources, path, key)}{near}")


def _option(path: Sequence[str]) -> str:
    return "--" + ".".join(path)


def _of(sources: Sequence[Source], path: Sequence[str], key: str) -> str:
    """Say in which file an entry stands: the last one that has it."""
    for file, values in reversed(sources):
        if _has(values, path, key):
            return f" (in {file})"
    return ""


def _has(node: Any, path: Sequence[str], key: str) -> bool:
    if isinstance(node, list):
        return any(_has(item, path, key) for item in node)
    if not isinstance(node, Mapping):
        return False
    inner = node.get("init_args")
    if not path:
        return key in node or (isinstance(inner, Mapping) and key in inner)
    return any(
        _has(side[path[0]], path[1:], key) for side in (node, inner) if isinstance(side, Mapping) and path[0] in side
    )
