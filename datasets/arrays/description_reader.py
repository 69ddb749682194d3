"""Reading the description of somebody's arrays: every key is checked, and every complaint is one line."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from neurodecode.core.errors import ConfigError, DataError, suggestion
from neurodecode.core.sensors import KINDS as CHANNEL_KINDS
from neurodecode.datasets.arrays.description import (
    COLUMNS,
    DIMENSIONS,
    PARTS,
    SPLIT_UNITS,
    SYNONYMS,
    Description,
    FeatureSource,
    ListedSplit,
    Source,
)
from neurodecode.datasets.options import preprocessing_option
from neurodecode.datasets.preprocessing import Preprocessing


def read_description(path: Path) -> Description:
    """Read and check a description.

    Parameters
    ----------
    path : Path
        A YAML file.

    Returns
    -------
    Description
        Checked by itself; nothing that it names was opened.

    Raises
    ------
    DataError
        If the file is missing or no YAML.
    ConfigError
        Naming the key that is unknown, missing or has the wrong kind of value.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "neurodecode.yaml"
    >>> lines = ["modality: fmri", "signals: betas.npy", "order: [trial, voxel]", "stimulus: ids.npy"]
    >>> _ = path.write_text("; ".join(lines).replace("; ", chr(10)))
    >>> read_description(path).order
    ('trial', 'channel')
    """
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; it describes the arrays") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    except (OSError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark is not None else ""
        why = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise DataError(f"{path}: not readable as YAML{where} ({why}); put quotes around text with {{ or :") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected lines of the form `key: value`, got {type(values).__name__}")
    found: Description = _checked(Description, values, str(path))
    _check_together(found, path)
    return found


def _check_together(found: Description, path: Path) -> None:
    if "channel" not in found.order or len(found.order) < 2:
        raise ConfigError(f"{path}: order: got {', '.join(found.order)}, expected trial, channel (or voxel) and time")
    for key in ("onset", "window"):
        if found.continuous and getattr(found, key) is None:
            raise ConfigError(f"{path}: {key} is missing; without a dimension trial, windows are cut at the onsets")
    for key in ("window", "preprocessing"):
        if not found.continuous and getattr(found, key) is not None:
            raise ConfigError(f"{path}: {key}: got a value, but it is for whole recordings, and `order` has trials")
    if "time" in found.order and found.sfreq is None:
        raise ConfigError(f"{path}: sfreq is missing; `order` has a dimension time, whose rate in Hz it gives")
    if "time" not in found.order and (found.sfreq is not None or found.baseline is not None):
        key = "sfreq" if found.sfreq is not None else "baseline"
        raise ConfigError(f"{path}: {key}: got a value, but `order` has no dimension time")
    if not found.trials:
        named = [key for key in COLUMNS if isinstance(getattr(found, key), str)]
        if named:
            raise ConfigError(
                f"{path}: {named[0]}: got the column {getattr(found, named[0])!r}, but no table `trials` to look in"
            )
    if isinstance(found.split, ListedSplit):
        lists = [part for part in PARTS if getattr(found.split, part) is not None]
        if bool(found.split.column) == bool(lists) or (lists and "test" not in lists):
            raise ConfigError(f"{path}: split: expected a column, or lists of which `test` is one")


class _Wrong(ValueError):
    """A value that is not what was expected, in words."""


def _checked(kind: type[Any], values: Mapping[Any, Any], where: str) -> Any:
    """Build a dataclass from plain values, refusing unknown and missing keys."""
    known = {field.name: field for field in fields(kind)}
    for key in values:
        if key not in known:
            raise ConfigError(
                f"{where}: unknown key {key!r}, expected some of {', '.join(known)}{suggestion(str(key), known)}"
            )
    built = {}
    for name, value in values.items():
        try:
            built[name] = _CONVERTERS[kind, name](value)
        except _Wrong as error:
            raise ConfigError(f"{where}: {name}: got {_shown(value)}, expected {error}") from None
        except ConfigError as error:
            raise ConfigError(f"{where}: {name}: {str(error).removeprefix(': ').removeprefix(f'{name}: ')}") from None
    for name, field in known.items():
        if name not in values and field.default is MISSING:
            raise ConfigError(f"{where}: the key {name!r} is missing")
    return kind(**built)


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else text[:77] + "..."


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float) or str(value) == "":
        raise _Wrong("text")
    return str(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Wrong("a number")
    return float(value)


def _rate(value: Any) -> float:
    if _number(value) <= 0:
        raise _Wrong("more than 0 Hz")
    return float(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _Wrong("a whole number")
    return value


def _interval(value: Any) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2 or _number(value[0]) >= _number(value[1]):
        raise _Wrong("two times in seconds such as [-0.1, 0]")
    return float(value[0]), float(value[1])


def _preprocessing(value: Any) -> Preprocessing:
    steps = preprocessing_option(value)
    if steps.baseline is not None:
        raise _Wrong("high_pass, low_pass and reference; the baseline has a key of its own")
    return steps


def _choice(*choices: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in choices:
            raise _Wrong(f"one of {', '.join(choices)}{suggestion(str(value), choices)}")
        return str(value)

    return check


def _source(value: Any) -> Source:
    if isinstance(value, dict):
        return _checked(Source, value, "")  # type: ignore[no-any-return]
    return Source(_text(value))


def _column(value: Any) -> str | Source:
    """Read a column's name; what has an ending of a file, or is a mapping, is a file of its own."""
    if isinstance(value, dict):
        return _source(value)
    text = _text(value)
    return Source(text) if Path(text).suffix.lower() in (".npy", ".txt") else text


def _listed(value: Any) -> tuple[str, ...] | Source:
    if isinstance(value, list):
        if not value:
            raise _Wrong("at least one entry")
        return tuple(_text(entry) for entry in value)
    return _source(value)


def _order(value: Any) -> tuple[str, ...]:
    entries = value.split(",") if isinstance(value, str) else value
    if not isinstance(entries, list):
        raise _Wrong("a list such as [trial, channel, time]")
    names = [str(entry).strip() for entry in entries]
    order = tuple(SYNONYMS.get(name, name) for name in names)
    unknown = [name for name in order if name not in DIMENSIONS]
    if unknown:
        raise _Wrong(f"some of {', '.join(DIMENSIONS)}, voxel{suggestion(unknown[0], (*DIMENSIONS, *SYNONYMS))}")
    if len(set(order)) != len(order):
        raise _Wrong("each dimension once")
    return order


def _features(value: Any) -> dict[str, FeatureSource]:
    if not isinstance(value, dict):
        return {"": FeatureSource(_text(value))}
    if "file" in value:
        return {str(value.get("key", "")): _checked(FeatureSource, value, "")}
    found = {}
    for layer, entry in value.items():
        if not isinstance(entry, dict | str):
            raise _Wrong("a file, or {file: ..., key: ...}, or one of these for each layer")
        found[str(layer)] = FeatureSource(entry) if isinstance(entry, str) else _checked(FeatureSource, entry, "")
    if not found:
        raise _Wrong("at least one layer")
    return found


def _split(value: Any) -> str | ListedSplit:
    return _checked(ListedSplit, value, "") if isinstance(value, dict) else _text(value)


_CONVERTERS: dict[tuple[type[Any], str], Callable[[Any], Any]] = {
    **{(Source, name): _text for name in ("file", "key")},
    **{(FeatureSource, name): _text for name in ("file", "key")},
    (FeatureSource, "names"): _source,
    (FeatureSource, "first"): _whole,
    (ListedSplit, "unit"): _choice(*SPLIT_UNITS),
    (ListedSplit, "column"): _text,
    **{(ListedSplit, part): _listed for part in PARTS},
    **{(Description, name): _text for name in ("name", "citation", "licence", "trials", "unit", "pictures")},
    **{(Description, name): _column for name in COLUMNS},
    (Description, "modality"): _choice("eeg", "meg", "fmri"),
    (Description, "kind"): _choice("image", "speech", "word"),
    (Description, "signals"): _source,
    (Description, "order"): _order,
    (Description, "sfreq"): _rate,
    (Description, "tmin"): _number,
    **{(Description, name): _interval for name in ("baseline", "window")},
    (Description, "preprocessing"): _preprocessing,
    (Description, "channels"): _listed,
    (Description, "channel_kind"): _choice(*CHANNEL_KINDS),
    (Description, "features"): _features,
    (Description, "split"): _split,
    (Description, "averaging"): _choice("stimulus", "trial"),
}
