"""Reads pickles as data: a small machine that builds inert records and cannot call anything.

A pickle is a program for a stack machine whose power comes from two instructions that import names and call them.
Here an imported name becomes an :class:`Inert` record of that name, and a call becomes a record of what would have been
called with what. Plain containers and scalars are built as they are. Nothing is imported, called or looked up, so there
is no allow-list to get wrong; what a record means (a tensor, an ordered dictionary) is decided by
:mod:`mlflow_mother.weights.torch_objects`.

Instructions: https://docs.python.org/3/library/pickletools.html.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from mlflow_mother.errors import CorruptFileError, UnsafeFileError
from mlflow_mother.weights import limits


class Stream(Protocol):
    """What the machine reads from."""

    def read(self, length: int, /) -> bytes:
        """The next bytes; fewer at the end."""

    def readline(self) -> bytes:
        """The rest of the line, with its newline."""


@dataclass(eq=False, slots=True)
class Inert:
    """A name that was imported, or an object that would have been made by calling one.

    Attributes:
        path: Dotted name of the class or function.
        args: Arguments of the call; None for the bare name.
        state: What ``__setstate__`` would have been given.
        items: Pairs that would have been set by ``obj[key] = value``.
        values: What would have been appended.
    """

    path: str
    args: tuple[Any, ...] | None = None
    state: Any = None
    items: list[tuple[Any, Any]] | None = None
    values: list[Any] | None = None


@dataclass(frozen=True, eq=False, slots=True)
class PersistentId:
    """A reference to an object outside the pickle: PyTorch's storages."""

    value: Any


class _Mark:
    """Marks a place on the stack."""


_MARK = _Mark()


def load_pickle(stream: Stream, what: str, references: list[PersistentId] | None = None) -> Any:
    """Reads one pickle and returns what it describes, inertly.

    Args:
        stream: Positioned at the pickle's first byte; left behind its last.
        what: What to call the file in messages.
        references: Is given every reference to an object outside the pickle, when passed.

    Raises:
        CorruptFileError: The program is truncated or not a pickle.
        UnsafeFileError: It crosses a bound on length, memory or instructions.
    """
    return _Machine(stream, what, [] if references is None else references).run()


class _Machine:
    def __init__(self, stream: Stream, what: str, references: list[PersistentId]) -> None:
        self._stream = stream
        self._what = what
        self._references = references
        self._left = limits.PICKLE_BYTES
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        try:
            for _ in range(limits.PICKLE_OPCODES):
                code = self._take(1)
                if code == b".":
                    return self._pop()
                instruction = _INSTRUCTIONS.get(code)
                if instruction is None:
                    raise self._corrupt(f"instruction {code!r} does not exist")
                instruction(self)
        except (IndexError, KeyError, ValueError, TypeError, OverflowError, struct.error) as error:
            raise self._corrupt(f"{type(error).__name__}") from error
        raise self._unsafe(f"runs more than {limits.PICKLE_OPCODES} instructions")

    # Reading

    def _take(self, length: int) -> bytes:
        self._left -= length
        if length < 0 or self._left < 0:
            raise self._unsafe(f"is longer than {limits.PICKLE_BYTES} bytes")
        data = self._stream.read(length)
        if len(data) != length:
            raise self._corrupt("it ends in the middle")
        return data

    def _line(self) -> str:
        data = self._stream.readline()
        self._left -= len(data)
        if self._left < 0:
            raise self._unsafe(f"is longer than {limits.PICKLE_BYTES} bytes")
        if not data.endswith(b"\n"):
            raise self._corrupt("it ends in the middle")
        return data[:-1].rstrip(b"\r").decode("utf-8", "replace")

    def _uint(self, size: int) -> int:
        return int.from_bytes(self._take(size), "little")

    def _corrupt(self, reason: str) -> CorruptFileError:
        return CorruptFileError(f"{self._what} holds a damaged pickle ({reason}).", "Copy or save the file again.")

    def _unsafe(self, reason: str) -> UnsafeFileError:
        return UnsafeFileError(f"{self._what} holds a pickle that {reason}.", "Save the state dict as safetensors.")

    # The stack

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def _pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise self._corrupt("a mark stands where a value should")
        return value

    def _pop_mark(self) -> list[Any]:
        """Everything above the topmost mark, which is removed."""
        values: list[Any] = []
        while (value := self._stack.pop()) is not _MARK:
            values.append(value)
        values.reverse()
        return values

    # Values

    def number(self) -> None:
        line = self._line()
        self.push(line == "01" if line in {"00", "01"} else int(line))

    def long_line(self) -> None:
        self.push(int(self._line().rstrip("L")))

    def float_line(self) -> None:
        self.push(float(self._line()))

    def signed(self, size: int) -> None:
        self.push(int.from_bytes(self._take(size), "little", signed=True))

    def unsigned(self, size: int) -> None:
        self.push(self._uint(size))

    def long(self, size: int) -> None:
        self.signed(self._uint(size))

    def real(self) -> None:
        self.push(struct.unpack(">d", self._take(8))[0])

    def string_line(self) -> None:
        line = self._line()
        if len(line) < 2 or line[0] != line[-1] or line[0] not in "'\"":
            raise self._corrupt("a string lacks its quotes")
        self.push(line[1:-1])

    def unicode_line(self) -> None:
        self.push(self._line())

    def text(self, size: int) -> None:
        self.push(self._take(self._uint(size)).decode("utf-8", "replace"))

    def binary(self, size: int) -> None:
        self.push(self._take(self._uint(size)))

    # Containers

    def mark(self) -> None:
        self.push(_MARK)

    def tuple_mark(self) -> None:
        self.push(tuple(self._pop_mark()))

    def tuple_of(self, count: int) -> None:
        values = [self._pop() for _ in range(count)]
        self.push(tuple(reversed(values)))

    def list_mark(self) -> None:
        self.push(self._pop_mark())

    def dict_mark(self) -> None:
        values = self._pop_mark()
        self.push({})
        self._set_items(values)

    def append(self) -> None:
        self._extend([self._pop()])

    def appends(self) -> None:
        self._extend(self._pop_mark())

    def set_item(self) -> None:
        value, key = self._pop(), self._pop()
        self._set_items([key, value])

    def set_items(self) -> None:
        self._set_items(self._pop_mark())

    def _extend(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, list):
            target.extend(values)
        elif isinstance(target, Inert):
            target.values = [*(target.values or ()), *values]
        else:
            raise self._corrupt("it appends to what is no list")

    def _set_items(self, values: list[Any]) -> None:
        target = self._stack[-1]
        pairs = list(zip(values[::2], values[1::2], strict=True))
        if isinstance(target, dict):
            target.update((key, value) for key, value in pairs if _is_key(key))
        elif isinstance(target, Inert):
            target.items = [*(target.items or ()), *pairs]
        else:
            raise self._corrupt("it sets items of what is no dictionary")

    # Names and calls, none of which happen

    def global_line(self) -> None:
        module, name = self._line(), self._line()
        self.push(Inert(f"{module}.{name}"))

    def global_stack(self) -> None:
        name, module = self._pop(), self._pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise self._corrupt("a name is not text")
        self.push(Inert(f"{module}.{name}"))

    def extension(self, size: int) -> None:
        self.push(Inert(f"copyreg.extension.{self._uint(size)}"))

    def reduce(self) -> None:
        args, function = self._pop(), self._pop()
        self._call(function, args)

    def new_object_ex(self) -> None:
        self._pop()  # keyword arguments say nothing about weights
        self.reduce()

    def instance_line(self) -> None:
        module, name = self._line(), self._line()
        self._call(Inert(f"{module}.{name}"), tuple(self._pop_mark()))

    def object_mark(self) -> None:
        function, *args = self._pop_mark()
        self._call(function, tuple(args))

    def _call(self, function: Any, args: Any) -> None:
        path = function.path if isinstance(function, Inert) else type(function).__name__
        self.push(call(path, args if isinstance(args, tuple) else (args,)))

    def build(self) -> None:
        state, target = self._pop(), self._stack[-1]
        if isinstance(target, Inert):
            target.state = state

    def persistent_line(self) -> None:
        self._refer(self._line())

    def persistent(self) -> None:
        self._refer(self._pop())

    def _refer(self, value: Any) -> None:
        if isinstance(value, tuple) and len(value) > 1 and value[0] == "module":
            self.push(value[1])  # a class with its source text, in legacy files of PyTorch
            return
        self._references.append(PersistentId(value))
        self.push(self._references[-1])

    # The memo

    def get(self, index: int) -> None:
        self.push(self._memo[index])

    def put(self, index: int) -> None:
        if len(self._memo) >= limits.PICKLE_MEMO or not 0 <= index < 1 << 32:
            raise self._unsafe(f"remembers more than {limits.PICKLE_MEMO} objects")
        self._memo[index] = self._stack[-1]

    def pop(self) -> None:
        self._stack.pop()


_MAPPINGS = frozenset({"collections.OrderedDict", "collections.defaultdict", "builtins.dict", "__builtin__.dict"})
_SEQUENCES = frozenset(
    {"builtins.set", "builtins.frozenset", "builtins.list", "builtins.tuple", "__builtin__.set", "torch.Size"}
)


def _is_key(key: Any) -> bool:
    """Whether a key can name weights and is safe to hash.

    Hashing a deeply nested tuple overflows the C stack, and chosen large integers all collide.
    """
    return isinstance(key, str) or (isinstance(key, int) and key.bit_length() <= 60)


def call(path: str, args: tuple[Any, ...]) -> Any:
    """What a call describes: a plain container where the name is one of Python's, else a record of it."""
    if path in _MAPPINGS:
        found: dict[Any, Any] = {}
        pairs = args[0] if args and isinstance(args[0], list) else []
        for pair in pairs:
            if isinstance(pair, (list, tuple)) and len(pair) == 2 and _is_key(pair[0]):
                found[pair[0]] = pair[1]
        return found
    if path in _SEQUENCES and len(args) <= 1 and isinstance(args[0] if args else (), (list, tuple)):
        return tuple(args[0]) if args else []
    return Inert(path, args)


def _ignore_frame(machine: _Machine) -> None:
    machine._take(8)


_INSTRUCTIONS: dict[bytes, Callable[[_Machine], object]] = {
    b"\x80": lambda m: m._take(1),
    b"\x95": _ignore_frame,
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"I": _Machine.number,
    b"L": _Machine.long_line,
    b"F": _Machine.float_line,
    b"J": lambda m: m.signed(4),
    b"K": lambda m: m.unsigned(1),
    b"M": lambda m: m.unsigned(2),
    b"\x8a": lambda m: m.long(1),
    b"\x8b": lambda m: m.long(4),
    b"G": _Machine.real,
    b"S": _Machine.string_line,
    b"V": _Machine.unicode_line,
    b"T": lambda m: m.text(4),
    b"U": lambda m: m.text(1),
    b"X": lambda m: m.text(4),
    b"\x8c": lambda m: m.text(1),
    b"\x8d": lambda m: m.text(8),
    b"B": lambda m: m.binary(4),
    b"C": lambda m: m.binary(1),
    b"\x8e": lambda m: m.binary(8),
    b"\x96": lambda m: m.binary(8),
    b"(": _Machine.mark,
    b"t": _Machine.tuple_mark,
    b")": lambda m: m.push(()),
    b"\x85": lambda m: m.tuple_of(1),
    b"\x86": lambda m: m.tuple_of(2),
    b"\x87": lambda m: m.tuple_of(3),
    b"]": lambda m: m.push([]),
    b"l": _Machine.list_mark,
    b"}": lambda m: m.push({}),
    b"d": _Machine.dict_mark,
    b"\x8f": lambda m: m.push([]),
    b"\x91": _Machine.tuple_mark,
    b"\x90": _Machine.appends,
    b"a": _Machine.append,
    b"e": _Machine.appends,
    b"s": _Machine.set_item,
    b"u": _Machine.set_items,
    b"c": _Machine.global_line,
    b"\x93": _Machine.global_stack,
    b"\x82": lambda m: m.extension(1),
    b"\x83": lambda m: m.extension(2),
    b"\x84": lambda m: m.extension(4),
    b"R": _Machine.reduce,
    b"\x81": _Machine.reduce,
    b"\x92": _Machine.new_object_ex,
    b"i": _Machine.instance_line,
    b"o": _Machine.object_mark,
    b"b": _Machine.build,
    b"P": _Machine.persistent_line,
    b"Q": _Machine.persistent,
    b"g": lambda m: m.get(int(m._line())),
    b"h": lambda m: m.get(m._uint(1)),
    b"j": lambda m: m.get(m._uint(4)),
    b"p": lambda m: m.put(int(m._line())),
    b"q": lambda m: m.put(m._uint(1)),
    b"r": lambda m: m.put(m._uint(4)),
    b"\x94": lambda m: m.put(len(m._memo)),
    b"0": _Machine.pop,
    b"1": lambda m: m._pop_mark(),
    b"2": lambda m: m.push(m._stack[-1]),
}
