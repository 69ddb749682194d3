"""The opcodes of pickles that are admitted, and what they make: arrays, numbers, text and plain containers."""

import math
import os
import pickle
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from neurodecode.datasets.pickled_arrays import Payload, Refused, dtype_of, mapped, scalar_of, with_valid_text

# Strings of bytes from here on stay in the file; anything else that claims to be larger than the second is refused.
LAZY_BYTES = 1 << 16
LARGEST_READ = 1 << 28
LONGEST_LINE = 1 << 16
_DTYPE = re.compile(r"[biufc]\d{1,2}|[SU]\d{1,9}|O8?")
_NUMPY = re.compile(r"numpy\.(?:_?core)\.(multiarray|numeric)")
# Opcodes that push data, build containers or call one of the few functions below; `BUILD` and `REDUCE` are our own.
_ALLOWED = (
    "PROTO STOP FRAME MARK POP POP_MARK DUP NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT "
    "BINFLOAT BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8 BINUNICODE SHORT_BINUNICODE "
    "BINUNICODE8 EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST LIST APPEND APPENDS EMPTY_DICT DICT SETITEM "
    "SETITEMS EMPTY_SET ADDITEMS FROZENSET MEMOIZE PUT BINPUT LONG_BINPUT GET BINGET LONG_BINGET GLOBAL STACK_GLOBAL "
    "REDUCE BUILD"
).split()


@dataclass
class _Blank:
    """An array or a data type whose state is still to come."""

    kind: Literal["array", "dtype"]
    code: str = ""
    value: Any = None


@dataclass(frozen=True)
class _Function:
    """One of the functions that a pickle may name, in our own version."""

    name: str
    call: Callable[..., Any]


class Source:
    """A stretch of a file that cannot be read beyond its end, nor in unreasonable pieces."""

    def __init__(self, file: IO[bytes], end: int) -> None:
        self.file, self.end = file, end

    def left(self) -> int:
        """Give the number of bytes up to the end."""
        return self.end - self.file.tell()

    def read(self, size: int) -> bytes:
        """Read exactly so many bytes, or raise."""
        if size < 0 or size > self.left():
            raise EOFError
        if size > LARGEST_READ:
            raise Refused(f"a value of {size} bytes that is not an array")
        return self.file.read(size)

    def readinto(self, buffer: bytearray) -> int:
        """Fill a buffer."""
        buffer[:] = self.read(len(buffer))
        return len(buffer)

    def readline(self) -> bytes:
        """Read one line, which may not be long."""
        line = self.file.readline(min(self.left(), LONGEST_LINE))
        if not line.endswith(b"\n"):
            raise EOFError
        return line


class _Opcodes(dict[int, Callable[[Any], None]]):
    """What is done for each opcode that is admitted; any other is refused by its name."""

    def __missing__(self, code: int) -> Callable[[Any], None]:
        known = pickletools.code2op.get(chr(code))  # type: ignore[attr-defined]
        raise Refused(f"the opcode {known.name if known else hex(code)}")


class PickleReader(pickle._Unpickler):
    """The interpreter of the standard library with most of its opcodes taken out."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = _Opcodes()
    # What the interpreter sets when it begins.
    stack: list[Any]
    memo: dict[int, Any]
    append: Callable[[Any], None]
    read: Callable[[int], bytes]
    readline: Callable[[], bytes]

    def __init__(self, source: Source, path: Path, scratch: Path | None) -> None:
        # Strings of Python 2 were bytes: as Latin-1 each character is one of them.
        super().__init__(source, encoding="latin1")
        self.source, self.path, self.scratch = source, path, scratch
        self.blanks = 0
        self.unread: set[int] = set()

    def find_class(self, module: str, name: str) -> Any:
        """Give our own version of what a pickle names; anything unknown is refused."""
        if _NUMPY.fullmatch(module):
            module = f"numpy:{module.rpartition('.')[2]}"
        known: dict[tuple[str, str], Any] = {
            ("numpy", "ndarray"): "numpy.ndarray",
            ("numpy", "dtype"): _Function("dtype", self._dtype),
            ("numpy:multiarray", "_reconstruct"): _Function("_reconstruct", self._reconstruct),
            ("numpy:multiarray", "scalar"): _Function("scalar", scalar_of),
            ("numpy:numeric", "_frombuffer"): _Function("_frombuffer", self._frombuffer),
            ("_codecs", "encode"): _Function("encode", _encode),
            ("collections", "OrderedDict"): _Function("OrderedDict", lambda *pairs: dict(*pairs)),
        }
        for builtins in ("builtins", "__builtin__"):
            known |= {(builtins, kind.__name__): _Function(kind.__name__, _collect(kind)) for kind in _PLAIN}
        if (module, name) not in known:
            shown = module.replace("numpy:", "numpy.core.")
            raise Refused(f"the global {f'{shown}.{name}'!r}")
        return known[module, name]

    def _dtype(self, code: Any, *flags: Any) -> _Blank:
        if not isinstance(code, str) or not _DTYPE.fullmatch(code):
            raise Refused(f"the data type {code!r}")
        self.blanks += 1
        return _Blank("dtype", code)

    def _reconstruct(self, kind: Any, shape: Any, code: Any) -> _Blank:
        if kind != "numpy.ndarray":
            raise Refused(f"an array of the kind {kind!r}")
        self.blanks += 1
        return _Blank("array")

    def _frombuffer(self, data: Any, dtype: Any, shape: Any, order: Any = "C", axes: Any = None) -> NDArray[Any]:
        array = self._array(data, dtype, shape, fortran=order == "F")
        return array.transpose(axes) if order == "K" and axes is not None else array

    def _array(self, data: Any, dtype: Any, shape: Any, *, fortran: bool) -> NDArray[Any]:
        if not isinstance(dtype, np.dtype) or not isinstance(shape, tuple):
            raise Refused(f"an array of type {dtype!r} and shape {shape!r}")
        if not all(isinstance(size, int) and 0 <= size < 1 << 48 for size in shape) or len(shape) > 32:
            raise Refused(f"an array of shape {shape!r}")
        order: Literal["F", "C"] = "F" if fortran else "C"
        if dtype.hasobject:
            if not isinstance(data, list) or len(data) != math.prod(shape):
                raise Refused(f"an array of {shape} objects without as many of them")
            objects = np.empty(len(data), dtype=object)
            for index, value in enumerate(data):
                objects[index] = value
            return objects.reshape(shape, order=order)
        size = math.prod(shape) * dtype.itemsize
        if isinstance(data, Payload):
            self.unread.discard(data.offset)
            return with_valid_text(mapped(data, self.path, dtype, shape, order, size, self.scratch))
        content = data.encode("latin1") if isinstance(data, str) else bytes(data)
        if len(content) != size:
            raise Refused(f"an array of {len(content)} bytes where {dtype} of shape {shape} needs {size}")
        array = np.frombuffer(content, dtype=dtype, count=math.prod(shape)).reshape(shape, order=order)
        return with_valid_text(array)

    def load_frame(self) -> None:
        """Pass over the length of a frame."""
        # Frames only group what follows; what they hold is read where it lies.
        if int.from_bytes(self.read(8), "little") > self.source.left():
            raise EOFError

    def load_string(self, width: int, *, as_text: bool) -> None:
        """Push a string, or skip a long one and push a note of where it lies."""
        length = int.from_bytes(self.read(width), "little")
        if length < LAZY_BYTES:
            content = self.read(length)
            self.append(content.decode("utf-8") if as_text else content)
            return
        if length > self.source.left():
            raise EOFError
        self.unread.add(self.source.file.tell())
        self.append(Payload(self.source.file.tell(), length, as_text))
        self.source.file.seek(length, os.SEEK_CUR)

    def load_dup(self) -> None:
        """Push the top of the stack again."""
        if isinstance(self.stack[-1], _Blank):
            raise Refused("an array used before it is complete")
        self.append(self.stack[-1])

    def load_reduce(self) -> None:
        """Call one of the functions of `find_class`."""
        arguments = self.stack.pop()
        function = self.stack[-1]
        if not isinstance(function, _Function) or not isinstance(arguments, tuple):
            raise Refused(f"a call of {type(function).__name__!r}")
        self.stack[-1] = function.call(*arguments)

    def load_build(self) -> None:
        """Complete an array or a data type."""
        state = self.stack.pop()
        blank = self.stack[-1]
        if not isinstance(blank, _Blank) or blank.value is not None or not isinstance(state, tuple):
            raise Refused(f"a state for a {type(blank).__name__!r}")
        if blank.kind == "dtype":
            blank.value = dtype_of(blank.code, state)
        else:
            if len(state) != 5:
                raise Refused(f"an array with a state of {len(state)} parts, expected 5")
            blank.value = self._array(state[4], state[2], state[1], fortran=bool(state[3]))
        self.blanks -= 1
        self.stack[-1] = blank.value

    def load_from_memo(self, index: int) -> None:
        """Push what was kept before."""
        value = self.memo[index]
        if isinstance(value, _Blank):
            if value.value is None:
                raise Refused("an array used before it is complete")
            value = value.value
        self.append(value)


for _name in _ALLOWED:
    _code = getattr(pickle, _name)[0]
    PickleReader.dispatch[_code] = pickle._Unpickler.dispatch[_code]
_OWN: dict[bytes, Callable[[PickleReader], None]] = {
    pickle.FRAME: PickleReader.load_frame,
    pickle.DUP: PickleReader.load_dup,
    pickle.REDUCE: PickleReader.load_reduce,
    pickle.BUILD: PickleReader.load_build,
    pickle.BINBYTES: lambda reader: reader.load_string(4, as_text=False),
    pickle.BINBYTES8: lambda reader: reader.load_string(8, as_text=False),
    pickle.BYTEARRAY8: lambda reader: reader.load_string(8, as_text=False),
    pickle.BINSTRING: lambda reader: reader.load_string(4, as_text=False),
    pickle.SHORT_BINUNICODE: lambda reader: reader.load_string(1, as_text=True),
    pickle.BINUNICODE: lambda reader: reader.load_string(4, as_text=True),
    pickle.BINUNICODE8: lambda reader: reader.load_string(8, as_text=True),
    pickle.GET: lambda reader: reader.load_from_memo(int(reader.readline())),
    pickle.BINGET: lambda reader: reader.load_from_memo(reader.read(1)[0]),
    pickle.LONG_BINGET: lambda reader: reader.load_from_memo(int.from_bytes(reader.read(4), "little")),
}
PickleReader.dispatch.update({opcode[0]: method for opcode, method in _OWN.items()})


_PLAIN = (set, frozenset, bytes, bytearray, complex)


def _collect(kind: type) -> Callable[..., Any]:
    def build(*arguments: Any) -> Any:
        if kind is complex:
            return complex(*arguments)
        # bytes(10**12) would be a call that only takes memory; protocol 2 writes bytes as text.
        first = arguments[0] if arguments else ()
        if not isinstance(first, str | bytes | bytearray | list | tuple):
            raise Refused(f"{kind.__name__} made from {type(first).__name__!r}")
        return kind(first.encode("latin1") if isinstance(first, str) else first)

    return build


def _encode(text: Any, encoding: Any = "latin1") -> Any:
    """Turn text back into the bytes that protocol 2 wrote as text."""
    if encoding not in ("latin1", "latin-1") or not isinstance(text, str | Payload):
        raise Refused(f"text encoded as {encoding!r}")
    return text if isinstance(text, Payload) else text.encode("latin1")
