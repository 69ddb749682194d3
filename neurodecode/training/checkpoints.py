"""Reading checkpoints without running anything that somebody has written into them."""

import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from neurodecode.core.errors import DataError, MismatchError

HYPER_PARAMETERS = "hyper_parameters"
# What the data is like is plain text and numbers; names of layers in it may look like import paths.
NOT_CODE = ("interface",)
DOTTED = re.compile(r"[A-Za-z_]\w*(\.\w+)+")


def read_checkpoint(path: Path | str) -> dict[str, Any]:
    """Read a checkpoint's tensors and plain values.

    Parameters
    ----------
    path : Path or str
        The file.

    Returns
    -------
    dict
        Nothing but tensors, numbers, texts and containers of these.

    Raises
    ------
    DataError
        If the file is missing, cut, or holds anything else.
    """
    if not Path(path).is_file():
        got = "got a folder, expected a checkpoint" if Path(path).is_dir() else "no such checkpoint"
        raise DataError(f"{path}: {got}")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if reason.startswith("Weights only load failed"):
            # Torch goes on to recommend running what is in the file, which is never done here.
            reason = "it holds something else than tensors and plain values"
        elif isinstance(error, OSError):
            reason = f"{error.strerror}; it may be cut"
        raise DataError(f"{path}: not readable as a whole checkpoint ({reason})") from error
    if not isinstance(checkpoint, dict):
        raise DataError(f"{path}: holds a {type(checkpoint).__name__}, expected a checkpoint")
    return checkpoint


def require_trusted(checkpoint: Mapping[str, Any], packages: Sequence[str], *, what: str) -> None:
    """Refuse a checkpoint that names code of other packages than the trusted ones.

    A task is built from the classes that its checkpoint names, so a checkpoint could otherwise choose what is imported
    and called.

    Parameters
    ----------
    checkpoint : mapping
        As read.
    packages : sequence of str
        Top-level packages whose classes may be named.
    what : str
        Name of the checkpoint in messages.

    Raises
    ------
    MismatchError
        Naming the class.

    Examples
    --------
    >>> require_trusted({"hyper_parameters": {"encoder": {"class_path": "torch.nn.Linear"}}}, ["torch"], what="x.ckpt")
    """
    values = checkpoint.get(HYPER_PARAMETERS, {})
    for name in _names_of_code({key: value for key, value in values.items() if key not in NOT_CODE}):
        if name.partition(".")[0] not in packages:
            raise MismatchError(
                f"{what}: names {name}, expected code of {', '.join(packages)} only; if you trust it, add its package "
                "to Task.trusted_packages"
            )


def _names_of_code(values: object) -> Iterator[str]:
    if isinstance(values, Mapping):
        for key, value in values.items():
            if key in ("class_path", "_class_path") and isinstance(value, str):
                yield value
            else:
                yield from _names_of_code(value)
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _names_of_code(value)
    elif isinstance(values, str) and DOTTED.fullmatch(values):
        # A callable may be given as a plain text, so any text that names something importable counts.
        if importlib.util.find_spec(values.partition(".")[0]) is not None:
            yield values
