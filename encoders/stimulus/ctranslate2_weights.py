"""The tensors in a CTranslate2 model file: CTranslate2 runs it, but gives nobody its tensors or hidden states."""

import struct
from math import prod
from pathlib import Path

import numpy as np
import torch

from neurodecode.core.errors import DataError

#: The version of the container this reads, and its number types.
VERSION = 6
TYPES: dict[int, type[np.generic]] = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


class _Cursor:
    """Read little-endian numbers and texts one after the other; past the end is a struct.error or a ValueError."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def number(self, form: str) -> int:
        value = struct.unpack_from(f"<{form}", self.data, self.place)[0]
        self.place += struct.calcsize(f"<{form}")
        return int(value)

    def piece(self, size: int) -> bytes:
        if self.place + size > len(self.data):
            raise ValueError(f"it ends {self.place + size - len(self.data)} bytes early")
        self.place += size
        return self.data[self.place - size : self.place]

    def text(self) -> str:
        return self.piece(self.number("H")).rstrip(b"\0").decode("utf-8")


def read_ctranslate2(path: Path, *, prefix: str = "") -> dict[str, torch.Tensor]:
    """Read the tensors whose names begin with a prefix.

    The container is little-endian: version, name and revision of the specification, the number of variables, and of
    each its name, its shape, its type and its bytes. Nothing in it is executed.

    Parameters
    ----------
    path : Path
        ``model.bin``; check its SHA-256 first.
    prefix : str
        Such as ``encoder/``.

    Returns
    -------
    dict of str to torch.Tensor
        By name without the prefix; floating-point numbers become float32.

    Raises
    ------
    DataError
        If the file is missing, cut, of another version or has an unknown number type.
    """
    if not path.is_file():
        raise DataError(f"weights: {path} does not exist, expected a CTranslate2 model")
    cursor = _Cursor(path.read_bytes())
    found: dict[str, torch.Tensor] = {}
    try:
        version = cursor.number("I")
        if version != VERSION:
            raise DataError(f"weights: {path} is of version {version}, expected {VERSION}")
        cursor.text()
        cursor.number("I")
        for _ in range(cursor.number("I")):
            name = cursor.text()
            shape = [cursor.number("I") for _ in range(cursor.number("B"))]
            code, size = cursor.number("B"), cursor.number("I")
            if code not in TYPES or prod(shape) * np.dtype(TYPES[code]).itemsize != size:
                raise ValueError(f"tensor {name!r} of type {code} and shape {shape} has {size} bytes")
            content = cursor.piece(size)
            if name.startswith(prefix):
                values = np.frombuffer(content, dtype=TYPES[code]).reshape(shape)
                kept = values.astype(np.float32) if np.issubdtype(values.dtype, np.floating) else values.copy()
                found[name.removeprefix(prefix)] = torch.from_numpy(kept)
    except (struct.error, ValueError) as error:
        raise DataError(f"weights: {path} is not a whole CTranslate2 model ({error})") from None
    return found
