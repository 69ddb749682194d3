"""Tensors that torch saved, mapped where they lie and without trust."""

from pathlib import Path
from typing import TYPE_CHECKING

from neurodecode.core.errors import DataError

if TYPE_CHECKING:
    import torch


def open_tensor(path: Path) -> "torch.Tensor":
    """Map one tensor that ``torch.save`` wrote; what is not asked for is not read, and nothing is executed.

    Parameters
    ----------
    path : Path
        An archive as torch writes it since version 1.6.

    Returns
    -------
    torch.Tensor
        On the CPU; its values are read when they are used.

    Raises
    ------
    DataError
        If the file is missing, cut, or holds anything but one tensor.
    """
    import torch  # only where there are such files

    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch, zipfile and pickle each have their own exceptions for a broken file
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise DataError(f"{path}: not readable as a tensor ({reason})") from None
    if not isinstance(content, torch.Tensor):
        raise DataError(f"{path}: holds {type(content).__name__}, expected a tensor")
    return content
