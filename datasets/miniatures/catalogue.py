"""The miniatures that can be written: found by looking into this package, so that a new one is just a new file."""

import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, cast

from neurodecode.core.errors import ConfigError, DataError, suggestion
from neurodecode.core.files import atomic_folder
from neurodecode.datasets.miniatures.planted import mark_as_miniature

PACKAGE = "neurodecode.datasets.miniatures"


class Miniature(Protocol):
    """What a module of this package offers when it writes the miniature of a study.

    Attributes
    ----------
    STUDY : str
        The study's name in the catalogue of studies.
    LAYOUTS : tuple of str
        Names of the layouts in which the study goes around; the first is the default.
    """

    STUDY: str
    LAYOUTS: tuple[str, ...]

    def write(self, root: Path, *, layout: str, seed: int) -> None:
        """Fill an empty folder, byte-faithful in containers, names, dtypes, order of dimensions, codes and traps."""
        ...


def miniatures() -> Mapping[str, Miniature]:
    """Find the modules that write a miniature, by the name of their study."""
    package = importlib.import_module(PACKAGE)
    found = {}
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{PACKAGE}.{info.name}")
        if hasattr(module, "STUDY") and hasattr(module, "LAYOUTS"):
            found[str(module.STUDY)] = cast(Miniature, module)
    return dict(sorted(found.items()))


def write_miniature(study: str, folder: Path, *, layout: str | None = None, seed: int = 0, large: bool = False) -> Path:
    """Write the miniature of a published data set into a new folder, whole or not at all.

    Parameters
    ----------
    study : str
        The study's name.
    folder : Path
        The folder to make.
    layout : str, optional
        One of the study's layouts; the first by default.
    seed : int
        Of the planted signal and its noise.
    large : bool
        Whether there is to be enough to train a network on; not every study has such a miniature.

    Returns
    -------
    Path
        `folder`. A file in it says that all in it is simulated.

    Raises
    ------
    ConfigError
        If the study has no miniature, no large one, or no such layout.
    DataError
        If the folder is there already.
    """
    known = miniatures()
    if study not in known:
        raise ConfigError(f"study: got {study!r}, expected one of {', '.join(known)}{suggestion(study, known)}")
    layouts = known[study].LAYOUTS
    chosen = layouts[0] if layout is None else layout
    if chosen not in layouts:
        raise ConfigError(f"layout: got {chosen!r}, expected one of {', '.join(layouts)}{suggestion(chosen, layouts)}")
    if folder.exists():
        raise DataError(f"{folder}: is there already; choose another folder")
    write = getattr(known[study], "write_large" if large else "write", None)
    if write is None:
        there = [name for name, module in known.items() if hasattr(module, "write_large")]
        raise ConfigError(f"large: {study} has no large miniature, expected one of {', '.join(there)}")
    with atomic_folder(folder) as temporary:
        write(temporary, layout=chosen, seed=seed)
        mark_as_miniature(temporary, of=study)
    return folder
