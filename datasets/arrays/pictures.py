"""From stimulus ids to picture files, by name and never by position."""

import re
from collections.abc import Sequence
from pathlib import Path

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.feature_table import numbering_hint

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif")
PLACEHOLDER = re.compile(r"\{stimulus(?::([^{}]*))?\}")


def picture_files(root: Path, pattern: str, stimuli: Sequence[str]) -> dict[str, str]:
    """Find the picture of every stimulus.

    Parameters
    ----------
    root : Path
        The data folder.
    pattern : str
        A folder, in which a picture is called like its stimulus, or a name such as ``images/{stimulus}.png``. A format
        such as ``{stimulus:04d}`` is for numbers.
    stimuli : sequence of str
        The ids.

    Returns
    -------
    dict of str to str
        Paths relative to `root`.

    Raises
    ------
    DataError
        Naming the first stimulus without a picture; where ids and files are both numbered, but from different starts,
        that is said.
    ConfigError
        If the pattern is neither.
    """
    if not PLACEHOLDER.search(pattern):
        folder = root / pattern
        if not folder.is_dir():
            raise DataError(f"pictures: {folder} is no folder; expected one, or a name such as images/{{stimulus}}.png")
        return _in_folder(folder, pattern, stimuli)
    leaving = [name for name in stimuli if name.startswith("/") or ".." in name.split("/")]
    if leaving:
        raise DataError(f"pictures: the stimulus {leaving[0]!r} would lead out of the folder {root}")
    files = {name: _filled(pattern, name) for name in stimuli}
    missing = [name for name in stimuli if not (root / files[name]).is_file()]
    if missing:
        expression = PLACEHOLDER.sub("\0", pattern)
        parts = [re.escape(part) for part in expression.split("\0")]
        shape = re.compile("(?P<stimulus>[^/]+)".join([parts[0], parts[1]]) + ("" if len(parts) == 2 else ".*"))
        there = [
            match["stimulus"]
            for path in root.glob(PLACEHOLDER.sub("*", pattern))
            if (match := shape.match(path.relative_to(root).as_posix()))
        ]
        numbers = [str(int(name)) if name.isdigit() else name for name in there]
        raise DataError(
            f"pictures: {root / files[missing[0]]} is missing, the picture of stimulus {missing[0]!r} ({len(missing)} "
            f"of {len(stimuli)} are missing){numbering_hint(numbers, stimuli, what='the pictures') if numbers else ''}"
        )
    return files


def _filled(pattern: str, name: str) -> str:
    def fill(match: re.Match[str]) -> str:
        form = match[1]
        if not form:
            return name
        try:
            return format(int(name) if form.endswith("d") else name, form)
        except ValueError:
            raise ConfigError(f"pictures: {match[0]} in {pattern!r} cannot be filled with stimulus {name!r}") from None

    return PLACEHOLDER.sub(fill, pattern)


def _in_folder(folder: Path, relative: str, stimuli: Sequence[str]) -> dict[str, str]:
    known: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in PICTURE_ENDINGS and not path.name.startswith("."):
            if path.stem in known:
                raise DataError(f"pictures: {known[path.stem]} and {path.name} in {folder} have the same name")
            known[path.stem] = path.name
            known[path.name] = path.name
    missing = [name for name in stimuli if name not in known]
    if missing:
        stems = [name for name in known if Path(name).suffix.lower() not in PICTURE_ENDINGS]
        hint = numbering_hint(stems, stimuli, what="the pictures") if stems else ""
        raise DataError(
            f"pictures: stimulus {missing[0]!r} has no picture of that name in {folder} ({len(missing)} of "
            f"{len(stimuli)} have none, {len(stems)} pictures are there); pictures go by name, not by their order{hint}"
        )
    return {name: f"{relative.rstrip('/')}/{known[name]}" for name in stimuli}
