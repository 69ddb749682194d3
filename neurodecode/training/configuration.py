"""The one rule by which a later configuration is laid over an earlier one: for fit, recipes and benchmark."""

import importlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from neurodecode.core.errors import ConfigError
from neurodecode.training.config_files import parse_yaml

#: Entries at the top whose own entries are merged, each by itself.
GROUPS = ("trainer", "model", "data", "optimizer", "lr_scheduler")
#: Those of them that are a class each.
CLASS_GROUPS = ("model", "data")
CLASS_KEYS = {"class_path", "init_args", "dict_kwargs"}


def compose(configs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Lay configurations over one another, later ones on top.

    Groups (``trainer``, ``model``, ``data``) and the arguments of a class are merged entry by entry. All else is
    replaced whole: numbers and texts, mappings such as ``targets``, lists such as ``objectives``, ``callbacks`` and
    ``transforms``, and a class by another class, which takes nothing from the one below.

    Parameters
    ----------
    configs : iterable of mapping
        As they stand in the files.

    Returns
    -------
    dict

    Examples
    --------
    >>> below = {"model": {"class_path": "X", "init_args": {"terms": [1, 2], "width": 3}}}
    >>> compose([below, {"model": {"init_args": {"terms": [4]}}}])
    {'model': {'class_path': 'X', 'init_args': {'terms': [4], 'width': 3}}}
    >>> compose([below, {"model": {"class_path": "Y"}}])
    {'model': {'class_path': 'Y'}}
    """
    result: dict[str, Any] = {}
    for config in configs:
        for key, value in config.items():
            old = result.get(key)
            if key in GROUPS and value is None:
                continue
            if key in CLASS_GROUPS and isinstance(value, Mapping):
                value = _in_full(value)
                result[key] = value if old is None else _lay(old, value)
            elif key in GROUPS and isinstance(value, Mapping) and isinstance(old, Mapping):
                result[key] = _lay_arguments(old, value)
            else:
                result[key] = _lay(old, value)
    return result


def _lay_arguments(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    return {**below, **{key: _lay(below.get(key), value) for key, value in above.items()}}


def _lay(below: Any, above: Any) -> Any:
    """Lay a value over another: arguments over those of the same class, or of one that is not named; else replace."""
    if isinstance(below, str) and isinstance(above, Mapping) and "init_args" in above:
        below = {"class_path": below}
    if not isinstance(below, Mapping) or not CLASS_KEYS & set(below):
        return above
    if isinstance(above, str):
        return dict(below) if same_class(below.get("class_path"), above) else above
    if not isinstance(above, Mapping):
        return above
    new = _in_full(above)
    if "class_path" in below and "class_path" in new and not same_class(below["class_path"], new["class_path"]):
        return above
    result = {**below, **new}
    for key in ("init_args", "dict_kwargs"):
        if key in below and key in new:
            result[key] = _lay_arguments(below[key] or {}, new[key] or {})
    return result


def _in_full(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a class with its arguments in full: the arguments alone may stand for it where the class is known."""
    return dict(value) if CLASS_KEYS & set(value) else {"init_args": dict(value)}


def same_class(first: object, second: object) -> bool:
    """Tell whether two import paths, or short names, mean the same class.

    Examples
    --------
    >>> same_class("Adam", "torch.optim.Adam"), same_class("Adam", "AdamW")
    (True, False)
    >>> same_class("pathlib.Path", "collections.Path")
    False
    """
    names = str(first), str(second)
    if names[0] == names[1]:
        return True
    if len({name.rpartition(".")[2] for name in names}) > 1:
        return False
    if not all("." in name for name in names):
        return True
    found = []
    for name in names:
        module, _, kind = name.rpartition(".")
        try:
            found.append(getattr(importlib.import_module(module), kind))
        except (ImportError, AttributeError):
            return False
    return found[0] is found[1]


def give_way(config: Mapping[str, Any], words: Sequence[str]) -> dict[str, Any]:
    """Take out of a configuration what options replace whole: lists by lists, classes by other classes.

    The parser would lay the items of lists, and what two classes have in common, over one another.

    Parameters
    ----------
    config : mapping
        As :func:`compose` returns it.
    words : sequence of str
        Options, as ``--model.objectives [...]`` or ``--model.objectives=[...]``.

    Examples
    --------
    >>> give_way({"trainer": {"callbacks": [1, 2]}}, ["--trainer.callbacks", "[3, 4]"])
    {'trainer': {}}
    """
    result: dict[str, Any] = _copied(config)
    for place, word in enumerate(words):
        option, has_value, text = word.partition("=")
        if not option.startswith("--") or option.endswith("+"):
            continue
        if not has_value:
            text = words[place + 1] if place + 1 < len(words) else ""
        try:
            value = parse_yaml(text)
        except (yaml.YAMLError, ConfigError, ValueError, TypeError):
            continue  # the parser says what is wrong with it
        *parents, last = option.removeprefix("--").removesuffix(".class_path").split(".")
        node: Any = result
        for part in parents:
            node = _arguments_with(node, part).get(part)
        holder = _arguments_with(node, last)
        old = holder.get(last)
        kind = value.get("class_path") if isinstance(value, Mapping) else value
        current = old.get("class_path") if isinstance(old, Mapping) else None
        other = isinstance(kind, str) and current is not None and not same_class(current, kind)
        if other or (isinstance(value, list) and isinstance(old, list)):
            del holder[last]
    return result


def _arguments_with(node: Any, name: str) -> dict[str, Any]:
    """Return the mapping in which a name of an option stands: the node itself, or its arguments."""
    if not isinstance(node, dict):
        return {}
    inner = node.get("init_args")
    return inner if name not in node and isinstance(inner, dict) else node


def _copied(value: Any) -> Any:
    """Copy mappings all the way down; lists are never changed."""
    return {key: _copied(part) for key, part in value.items()} if isinstance(value, Mapping) else value
