"""Options of studies as the command line gives them: plain values of JSON, checked one by one."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any

from neurodecode.core.errors import ConfigError, suggestion
from neurodecode.datasets.preprocessing import Preprocessing


def interval(value: object, name: str) -> tuple[float, float]:
    """Read two times in seconds from a list.

    Parameters
    ----------
    value : object
        A list or tuple of two numbers, the first before the second.
    name : str
        Of the option.

    Returns
    -------
    tuple of float
        Both.

    Raises
    ------
    ConfigError
        If it is something else.

    Examples
    --------
    >>> interval([-0.2, 1], "window")
    (-0.2, 1.0)
    """
    numbers = list(value) if isinstance(value, list | tuple) else []
    if len(numbers) != 2 or not all(_is_number(number) for number in numbers):
        raise ConfigError(f"{name}: got {value!r}, expected two times in seconds such as [-0.2, 0.8]")
    if numbers[0] >= numbers[1]:
        raise ConfigError(f"{name}: got {numbers[0]:g} to {numbers[1]:g} s, expected an interval")
    return float(numbers[0]), float(numbers[1])


def one_of(value: object, name: str, choices: Collection[str]) -> str:
    """Check that a value is one of some words, or raise a ConfigError that proposes the nearest.

    Examples
    --------
    >>> one_of("drop", "bad_channels", ("drop", "keep"))
    'drop'
    """
    if value not in choices:
        raise ConfigError(
            f"{name}: got {value!r}, expected one of {', '.join(choices)}{suggestion(str(value), choices)}"
        )
    return str(value)


def names(value: object, name: str) -> tuple[str, ...]:
    """Read one name or a list of names, none for None.

    Examples
    --------
    >>> names("rest", "task"), names(["a", "b"], "task"), names(None, "task")
    (('rest',), ('a', 'b'), ())
    """
    if value is None:
        return ()
    listed = [value] if isinstance(value, str | int) else value
    if not isinstance(listed, Sequence) or isinstance(value, bool) or not all(isinstance(e, str | int) for e in listed):
        raise ConfigError(f"{name}: got {value!r}, expected a name or a list of names")
    return tuple(str(entry) for entry in listed)


def number(value: object, name: str, *, low: float | None = None) -> float:
    """Read a number, at least `low`.

    Examples
    --------
    >>> number(4, "lag", low=0)
    4.0
    """
    if not _is_number(value) or (low is not None and float(value) < low):  # type: ignore[arg-type]
        raise ConfigError(f"{name}: got {value!r}, expected a number{'' if low is None else f' of at least {low:g}'}")
    return float(value)  # type: ignore[arg-type]


def preprocessing_option(value: Preprocessing | Mapping[str, Any]) -> Preprocessing:
    """Read the steps of preprocessing from plain values.

    Parameters
    ----------
    value : Preprocessing or mapping
        With some of the names that `Preprocessing` has.

    Returns
    -------
    Preprocessing
        The steps; what is not named is not done.

    Raises
    ------
    ConfigError
        If a name is unknown, or a value has the wrong kind.

    Examples
    --------
    >>> preprocessing_option({"high_pass": 0.5, "baseline": [-0.2, 0]}).baseline
    (-0.2, 0.0)
    """
    if isinstance(value, Preprocessing):
        return value
    known = [field.name for field in fields(Preprocessing)]
    if not isinstance(value, Mapping):
        raise ConfigError(f"preprocessing: got {value!r}, expected values for some of {', '.join(known)}")
    given = dict(value)
    for name, entry in value.items():
        if name not in known:
            expected = ", ".join(known)
            raise ConfigError(f"preprocessing: got {name!r}, expected some of {expected}{suggestion(str(name), known)}")
        if entry is None:
            continue
        if name == "baseline":
            given[name] = interval(entry, "baseline")
        elif name.endswith("_pass"):
            given[name] = number(entry, name)
    return Preprocessing(**given)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
