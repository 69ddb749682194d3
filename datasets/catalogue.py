"""The studies that can be read: found by looking into this package, so that a new one is just a new file."""

import importlib
import inspect
import os
import pkgutil
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from neurodecode.core.errors import ConfigError, DataError, suggestion
from neurodecode.core.study import Study, StudyInfo
from neurodecode.datasets.miniatures.planted import MARKER

PACKAGE = "neurodecode.datasets"
ROOT_VARIABLE = "NEURODECODE_DATA"


def study_classes() -> dict[str, type[Study]]:
    """Find every study: the subclasses of `Study` with an `info` of their own in a module or folder of this package.

    A module that cannot be imported, for instance because a package is missing, is left out with a warning, so that
    one broken study does not take the others away.

    Returns
    -------
    dict of str to type
        By the study's name, sorted.

    Raises
    ------
    ConfigError
        If two studies have the same name.

    Examples
    --------
    >>> "haxby_slice" in study_classes()
    True
    """
    package = importlib.import_module(PACKAGE)
    classes, broken = _collect(tuple(package.__path__))
    for module, reason in broken.items():
        warnings.warn(f"{PACKAGE}.{module}: not imported, its studies are missing ({reason})", stacklevel=2)
    return dict(classes)


@lru_cache(maxsize=4)
def _collect(folders: tuple[str, ...]) -> tuple[dict[str, type[Study]], dict[str, str]]:
    found: dict[str, type[Study]] = {}
    broken: dict[str, str] = {}
    for module_info in pkgutil.iter_modules(folders):
        if module_info.name.startswith("_"):
            continue
        name = f"{PACKAGE}.{module_info.name}"
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            broken[module_info.name] = " ".join(str(error).split())
            continue
        for kind in studies_of(vars(module).values(), module=name):
            other = found.setdefault(kind.info.name, kind)
            if other is not kind:
                raise ConfigError(
                    f"study {kind.info.name!r}: defined by both {other.__module__} and {kind.__module__}; rename one"
                )
    return dict(sorted(found.items())), broken


def studies_of(values: Iterable[object], *, module: str) -> list[type[Study]]:
    """Pick the studies that a module defines itself: concrete subclasses of `Study` with an `info` of their own.

    Parameters
    ----------
    values : iterable
        What the module holds.
    module : str
        The module's full name; what it only imports does not count, what its own submodules define does.

    Returns
    -------
    list of type
        In the order given.
    """
    return [
        value
        for value in values
        if inspect.isclass(value)
        and issubclass(value, Study)
        and not inspect.isabstract(value)
        and isinstance(vars(value).get("info"), StudyInfo)
        and (value.__module__ == module or value.__module__.startswith(f"{module}."))
    ]


def list_studies() -> list[StudyInfo]:
    """List what is known of every study, without opening a file.

    Returns
    -------
    list of StudyInfo
        Sorted by name.
    """
    return [kind.info for kind in study_classes().values()]


def data_root(root: Path | str | None = None) -> Path | None:
    """Give the folder under which studies are looked for.

    Parameters
    ----------
    root : Path or str, optional
        What the user asked for; otherwise the environment variable ``NEURODECODE_DATA`` decides.

    Returns
    -------
    Path or None
        None if neither is given.

    Raises
    ------
    DataError
        If the folder does not exist.
    """
    source = "--root"
    if root is None:
        value = os.environ.get(ROOT_VARIABLE, "")
        if not value:
            return None
        root, source = value, ROOT_VARIABLE
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise DataError(f"{source}: {folder} is not a folder")
    return folder


def open_study(name: str, root: Path | str | None = None, options: Mapping[str, Any] | None = None) -> Study:
    """Open a study by its name.

    Parameters
    ----------
    name : str
        One of the names that `list_studies` gives.
    root : Path or str, optional
        Folder that holds the study's folder, or that folder itself. By default the environment variable
        ``NEURODECODE_DATA`` names it.
    options : mapping of str to object, optional
        The study's own options: the keyword arguments of its class, such as which derivative is read.

    Returns
    -------
    Study
        Ready to read; nothing but names was looked at.

    Raises
    ------
    ConfigError
        If there is no study of this name, or it has no such option; the nearest one is proposed.
    DataError
        If the study is not there; says what was looked for, where, and where to get it.
    """
    classes = study_classes()
    if name not in classes:
        raise ConfigError(f"study: got {name!r}, expected one of {', '.join(classes)}{suggestion(name, classes)}")
    kind = classes[name]
    known = study_options(kind)
    for option in options or {}:
        if option not in known:
            expected = f"one of {', '.join(known)}" if known else "none: the study has no options"
            raise ConfigError(f"options: got {option!r}, expected {expected}{suggestion(option, known)}")
    folder = data_root(root)
    if folder is None:
        raise DataError(f"study {name}: no folder to look in; give --root or set {ROOT_VARIABLE} ({kind.info.where})")
    found = folder if kind.placed_by in (options or {}) else kind.find(folder)
    if found is None:
        tried = ", ".join(str(path) for path in dict.fromkeys(kind.looked_for(folder)))
        raise DataError(
            f"study {name}: not found under {folder}; looked for {tried}; where to get it: {kind.info.where}"
        )
    study = kind(found, **(options or {}))
    if (found / MARKER).is_file():
        # A miniature of a published data set: simulated, and smaller than what is known of the original.
        study.info = replace(study.info, simulated=True, expected={})
    return study


def study_options(kind: type[Study]) -> list[str]:
    """List the options of a study: the keyword-only arguments of its class.

    Examples
    --------
    >>> study_options(study_classes()["arrays"])
    ['description']
    """
    parameters = inspect.signature(kind.__init__).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
