"""The arrays in a pickle: data types, numbers, and memory maps of what lies in the file."""

import codecs
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

PIECE = 1 << 23


class Refused(Exception):
    """Something in a pickle that is not admitted, in words."""


@dataclass(frozen=True)
class Payload:
    """A string that was left in the file: where it lies, how long it is, whether it is bytes written as text."""

    offset: int
    length: int
    as_text: bool


def scalar_of(dtype: Any, content: Any) -> Any:
    """Make a number from its data type and bytes."""
    if not isinstance(dtype, np.dtype) or dtype.hasobject or not isinstance(content, bytes | str):
        raise Refused(f"a number of type {dtype!r}")
    content = content.encode("latin1") if isinstance(content, str) else content
    if len(content) != dtype.itemsize:
        raise Refused(f"a number of {len(content)} bytes where {dtype} needs {dtype.itemsize}")
    return np.frombuffer(content, dtype=dtype)[0]


def dtype_of(code: str, state: tuple[Any, ...]) -> "np.dtype[Any]":
    """Make a data type from its code and byte order; structured types are not admitted."""
    if len(state) < 5 or state[1] not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
        raise Refused(f"the data type {code!r} with fields or an unknown byte order")
    dtype = np.dtype(code)
    if dtype.itemsize == 0:
        raise Refused(f"the data type {code!r}")
    return dtype if state[1] == "|" else dtype.newbyteorder(state[1])


def with_valid_text(array: NDArray[Any]) -> NDArray[Any]:
    """Refuse text that numpy would hold but nobody could read or write."""
    if array.dtype.kind == "U":
        numbers = np.ravel(array, order="K").view(np.dtype("u4").newbyteorder(array.dtype.byteorder))
        if ((numbers > 0x10FFFF) | ((numbers >= 0xD800) & (numbers < 0xE000))).any():
            raise Refused("an array of text with characters that do not exist")
    return array


def mapped(
    data: Payload,
    path: Path,
    dtype: "np.dtype[Any]",
    shape: tuple[int, ...],
    order: Literal["F", "C"],
    size: int,
    scratch: Path | None,
) -> NDArray[Any]:
    """Map an array in its file; one that was written as text is first turned back, in a file that has no name."""
    if not data.as_text:
        if data.length != size:
            raise Refused(f"an array of {data.length} bytes where {dtype} of shape {shape} needs {size}")
        return np.memmap(path, dtype=dtype, mode="r", offset=data.offset, shape=shape, order=order)
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as source, tempfile.TemporaryFile(dir=scratch) as copy:
        source.seek(data.offset)
        left = data.length
        while left:
            piece = source.read(min(left, PIECE))
            if not piece:
                raise EOFError
            left -= len(piece)
            copy.write(decoder.decode(piece, final=left == 0).encode("latin1"))
        if copy.tell() != size:
            raise Refused(f"an array of {copy.tell()} bytes where {dtype} of shape {shape} needs {size}")
        copy.flush()
        return np.memmap(copy, dtype=dtype, mode="r", shape=shape, order=order)
