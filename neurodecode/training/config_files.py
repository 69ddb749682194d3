"""Configuration files: found by path or name, read strictly, written so that every reader sees the same."""

import difflib
import re
from collections.abc import Hashable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from neurodecode.core.errors import ConfigError, suggestion


class _Loader(yaml.SafeLoader):
    """YAML with ``1e-3`` as a number, dates as text, and no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Build a mapping whose keys are all different."""
        keys: list[Any] = []
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:merge":
                keys.append(self.construct_object(key, deep=True))
                if keys[-1] in keys[:-1]:
                    line = key.start_mark.line + 1
                    raise ConfigError(f"line {line} has {keys[-1]!r} a second time, expected every key once")
        return super().construct_mapping(node, deep=deep)


_FLOAT = re.compile(
    r"""^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+
    |[-+]?\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$""",
    re.VERBOSE,
)
_OTHERS = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:float")
_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in known if tag not in _OTHERS]
    for letter, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


class _Dumper(yaml.SafeDumper):
    """YAML whose texts are all in quotes, so that every reader takes them for texts."""


_Dumper.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


def parse_yaml(text: str) -> Any:
    """Read YAML as configurations are read.

    Examples
    --------
    >>> parse_yaml("{lr: 1e-3, day: 2020-01-01}")
    {'lr': 0.001, 'day': '2020-01-01'}
    """
    return yaml.load(text, Loader=_Loader)


def to_yaml(values: Mapping[str, Any]) -> str:
    r"""Write a configuration.

    Examples
    --------
    >>> to_yaml({"a": {"b": "1e-3"}})
    '"a":\n  "b": "1e-3"\n'
    """
    return yaml.dump(dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def read_config(path: Path, *, what: str = "") -> dict[str, Any]:
    """Read a configuration file.

    Parameters
    ----------
    path : Path
        A YAML file.
    what : str
        What begins an error's line, such as the option that named the file.

    Raises
    ------
    ConfigError
        If it is missing, empty, no text, no whole YAML or no mapping; with the line where that is known.
    """
    where = f"{what}: {path}" if what else str(path)
    try:
        text = path.read_bytes().decode("utf-8")
        values = parse_yaml(text)
    except FileNotFoundError:
        raise ConfigError(f"{what or 'configuration'}: no such file {path}") from None
    except OSError as error:
        raise ConfigError(f"{where}: got {error.strerror or error}, expected a readable file") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{where}: got a file that is no UTF-8 text, expected YAML") from None
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise ConfigError(
            f"{where}: got no whole YAML ({_problem(error)}), expected entries such as `model:`"
        ) from None
    if values is None:
        raise ConfigError(f"{where}: got an empty file, expected entries such as `model:`")
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: got a {type(values).__name__}, expected a mapping with entries such as `model:`")
    return values


def _problem(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    said = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    return " ".join(str(said).split()) + (f" in line {mark.line + 1}" if mark is not None else "")


def shipped_folder(kind: str) -> Path:
    """Return the folder of the shipped configurations of a kind: ``recipe``, ``study``, ``protocol`` or ``size``.

    Examples
    --------
    >>> (shipped_folder("recipe") / "ubp.yaml").is_file()
    True
    """
    return Path(str(files("neurodecode.configs"))) / kind


def find_config(name: str, kind: str | None = None, *, what: str = "--config") -> Path:
    """Find a configuration file: one of the user's by its path, or a shipped one by its name.

    Parameters
    ----------
    name : str
        A path, or the name of a shipped file: ``ubp`` for a recipe; ``recipe/ubp`` where no kind is given. With or
        without ``configs/`` before and ``.yaml`` behind.
    kind : str, optional
        What kind of shipped file is meant.
    what : str
        What begins an error's line.

    Raises
    ------
    ConfigError
        Naming the nearest shipped file.

    Examples
    --------
    >>> find_config("ubp", "recipe").name, find_config("size/small/ubp").parent.name
    ('ubp.yaml', 'small')
    """
    path = Path(name)
    is_path = path.suffix in (".yaml", ".yml")
    if path.is_file() and (is_path or kind is None):
        return path
    folder = shipped_folder(kind or "")
    short = re.sub(r"^(?:\./)?(?:configs/)?|\.ya?ml$", "", name)
    if not path.is_absolute() and (kind is None or not is_path):
        shipped = folder / f"{short}.yaml"
        if shipped.is_file() and (kind is None or shipped.parent == folder):
            return shipped
    if path.is_dir():
        raise ConfigError(f"{what}: got the folder {name}, expected a YAML file")
    pattern = "*.yaml" if kind else "**/*.yaml"
    known = sorted(found.relative_to(folder).with_suffix("").as_posix() for found in folder.glob(pattern))
    near = suggestion(short, known)
    if not near:
        by_stem = {stem.rpartition("/")[2]: stem for stem in reversed(known)}
        close = difflib.get_close_matches(short.rpartition("/")[2], by_stem, n=1)
        near = f"; did you mean {by_stem[close[0]]!r}?" if close else ""
    if kind is None or is_path:
        raise ConfigError(f"{what}: no such file {name}{near}")
    raise ConfigError(f"{what}: got {name!r}, expected one of {', '.join(known)}{near}")
