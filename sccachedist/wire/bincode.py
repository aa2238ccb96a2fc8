"""bincode 1 in its default form: little endian, fixed width, lengths of eight bytes.

A codec is a value. Some are ready (:data:`U64`, :data:`TEXT`, ...); :func:`sequence`, :func:`pair`, :func:`struct`,
:func:`numbers`, :func:`choice`, :func:`enumeration` and :func:`extended` make others. Each codec also gives the JSON
form that the published daemons answer with. This module does not know the messages.

At any input, reading raises :class:`~sccachedist.errors.DecodeError` and nothing else, and allocates no more than the
bytes that are there call for. Writing takes our own values and trusts them.
"""

import struct as layout
from collections.abc import Callable, Mapping
from enum import Enum
from operator import attrgetter
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, cast

import attrs

from sccachedist.errors import DecodeError

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
E = TypeVar("E", bound=Enum)

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json]"


@attrs.define
class Reader:
    """Bytes with a position that moves forward as codecs read."""

    _data: bytes = attrs.field(repr=False)
    _position: int = 0

    @property
    def left(self) -> int:
        """How many bytes are still unread."""
        return len(self._data) - self._position

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes.

        :raises DecodeError: there are not that many.
        """
        start = self._position
        if (end := start + size) > len(self._data):
            raise DecodeError(f"{size} bytes are due where {self.left} are left")
        self._position = end
        return self._data[start:end]

    def number(self, size: int, *, signed: bool = False) -> int:
        """The number in the next ``size`` bytes.

        :raises DecodeError: there are not that many.
        """
        start = self._position
        if (end := start + size) > len(self._data):
            raise DecodeError(f"{size} bytes are due where {self.left} are left")
        self._position = end
        return int.from_bytes(self._data[start:end], "little", signed=signed)

    def rest(self) -> bytes:
        """All unread bytes: what a peer has put behind the message."""
        return self.take(self.left)


class Codec(Protocol[T]):
    """How one type of value is written to bytes, read from them, and shown as JSON."""

    def write(self, value: T, out: bytearray) -> None:
        """Append the bytes of a value."""

    def read(self, source: Reader) -> T:
        """Read the next value.

        :raises DecodeError: the next bytes are no such value.
        """

    def to_json(self, value: T) -> Json:
        """The value in a form for ``json.dumps``, with the shape that serde_json gives it."""


def encode(codec: Codec[T], value: T) -> bytes:
    """The bytes of one message."""
    out = bytearray()
    codec.write(value, out)
    return bytes(out)


def decode(codec: Codec[T], data: bytes) -> T:
    """The message at the start of some bytes. What follows it is ignored, as in the published programs.

    :raises DecodeError: the bytes do not start with such a message.
    """
    return codec.read(Reader(data))


@attrs.frozen
class _Integer:
    size: int
    signed: bool = False

    def write(self, value: int, out: bytearray) -> None:
        out += value.to_bytes(self.size, "little", signed=self.signed)

    def read(self, source: Reader) -> int:
        return source.number(self.size, signed=self.signed)

    def to_json(self, value: int) -> Json:
        return value


U16 = _Integer(2)
U32 = _Integer(4)
U64 = _Integer(8)
I32 = _Integer(4, signed=True)


class _Bool:
    def write(self, value: bool, out: bytearray) -> None:
        out.append(value)

    def read(self, source: Reader) -> bool:
        byte = source.take(1)[0]
        if byte > 1:
            raise DecodeError(f"a bool is 0 or 1, not {byte}")
        return bool(byte)

    def to_json(self, value: bool) -> Json:
        return value


@attrs.frozen
class _Octets:
    most: int | None = None

    def write(self, value: bytes, out: bytearray) -> None:
        U64.write(len(value), out)
        out += value

    def read(self, source: Reader) -> bytes:
        size = source.number(8)
        if self.most is not None and size > self.most:
            raise DecodeError(f"{size} bytes are due where {self.most} are the most")
        return source.take(size)

    def to_json(self, value: bytes) -> Json:
        return list(value)


class _Text:
    def write(self, value: str, out: bytearray) -> None:
        OCTETS.write(value.encode(), out)

    def read(self, source: Reader) -> str:
        octets = source.take(source.number(8))
        try:
            return octets.decode()
        except UnicodeDecodeError as error:
            raise DecodeError("a text is not UTF-8") from error

    def to_json(self, value: str) -> Json:
        return value


def octets(most: int) -> Codec[bytes]:
    """A ``Vec<u8>`` of at most ``most`` bytes. Some of them are shown as JSON, which takes time for each byte."""
    return _Octets(most)


BOOL = _Bool()
OCTETS = _Octets()
TEXT = _Text()


@attrs.frozen
class _Sequence(Generic[T]):
    item: Codec[T]
    most: int | None = None

    def write(self, value: tuple[T, ...], out: bytearray) -> None:
        U64.write(len(value), out)
        for item in value:
            self.item.write(item, out)

    def read(self, source: Reader) -> tuple[T, ...]:
        count = U64.read(source)
        if count > source.left:  # each item takes at least a byte
            raise DecodeError(f"{count} items are due where {source.left} bytes are left")
        if self.most is not None and count > self.most:
            raise DecodeError(f"{count} items are due where {self.most} are the most")
        read = self.item.read
        return tuple([read(source) for _ in range(count)])

    def to_json(self, value: tuple[T, ...]) -> Json:
        return [self.item.to_json(item) for item in value]


def sequence(item: Codec[T], most: int | None = None) -> Codec[tuple[T, ...]]:
    """A ``Vec``: a length, then the items, each of one byte or more.

    :param most: the most items that are read: a bound of their bytes alone would allow a hundred thousand small ones.
    """
    return _Sequence(item, most)


@attrs.frozen
class _Pair(Generic[A, B]):
    first: Codec[A]
    second: Codec[B]

    def write(self, value: tuple[A, B], out: bytearray) -> None:
        self.first.write(value[0], out)
        self.second.write(value[1], out)

    def read(self, source: Reader) -> tuple[A, B]:
        return self.first.read(source), self.second.read(source)

    def to_json(self, value: tuple[A, B]) -> Json:
        return [self.first.to_json(value[0]), self.second.to_json(value[1])]


def pair(first: Codec[A], second: Codec[B]) -> Codec[tuple[A, B]]:
    """A tuple of two values, one after the other."""
    return _Pair(first, second)


@attrs.frozen
class Struct(Generic[T]):
    """The codec of an attrs class: its fields in the order of the wire. See :func:`struct`."""

    cls: Callable[..., T]
    fields: Mapping[str, Codec[Any]]

    def write(self, value: T, out: bytearray) -> None:
        """Append the bytes of each field."""
        for name, codec in self.fields.items():
            codec.write(getattr(value, name), out)

    def read(self, source: Reader) -> T:
        """Read each field, then make the value."""
        return self.cls(**{name: codec.read(source) for name, codec in self.fields.items()})

    def to_json(self, value: T) -> Json:
        """A JSON object with the fields' names."""
        return {name: codec.to_json(getattr(value, name)) for name, codec in self.fields.items()}


class _TupleStruct(Struct[T]):
    def to_json(self, value: T) -> Json:
        return [codec.to_json(getattr(value, name)) for name, codec in self.fields.items()]


def struct(cls: Callable[..., T], /, **fields: Codec[Any]) -> Struct[T]:
    """A struct: the fields of an attrs class, in the order in which they are given here."""
    return Struct(cls, fields)


def tuple_struct(cls: Callable[..., T], /, **fields: Codec[Any]) -> Struct[T]:
    """A struct whose fields have no names in Rust: the bytes are the same, but JSON has a list."""
    return _TupleStruct(cls, fields)


class _Numbers(Generic[T]):
    def __init__(self, cls: Callable[..., T], names: tuple[str, ...]) -> None:
        self._cls, self._values, self._layout = cls, attrgetter(*names), layout.Struct(f"<{len(names)}Q")

    def write(self, value: T, out: bytearray) -> None:
        out += self._layout.pack(*self._values(value))

    def read(self, source: Reader) -> T:
        return self._cls(*self._layout.unpack(source.take(self._layout.size)))

    def to_json(self, value: T) -> Json:
        return attrs.asdict(cast(attrs.AttrsInstance, value))


def numbers(cls: type[T]) -> Codec[T]:
    """A struct of two or more ``u64``: all fields of an attrs class, in their order. Fast: they are packed at once."""
    return _Numbers(cls, tuple(field.name for field in attrs.fields(cast(type[attrs.AttrsInstance], cls))))


@attrs.frozen
class _Extended(Generic[A, B]):
    message: Codec[A]
    mark: bytes
    extension: Codec[B]

    def write(self, value: tuple[A, B | None], out: bytearray) -> None:
        message, extension = value
        self.message.write(message, out)
        if extension is not None:
            out += self.mark
            self.extension.write(extension, out)

    def read(self, source: Reader) -> tuple[A, B | None]:
        message, rest = self.message.read(source), source.rest()
        if not rest.startswith(self.mark):
            return message, None
        return message, decode(self.extension, rest[len(self.mark) :])

    def to_json(self, value: tuple[A, B | None]) -> Json:
        return self.message.to_json(value[0])


def extended(message: Codec[A], mark: bytes, extension: Codec[B]) -> Codec[tuple[A, B | None]]:
    """A message with our own extension behind it. Peers that do not know the extension ignore it, as all that follows.

    :param mark: the bytes at the start of an extension; what starts otherwise is not ours. JSON shows the message
        alone.
    """
    return _Extended(message, mark, extension)


@attrs.frozen
class _Annotated(Generic[T]):
    codec: Struct[T]
    more: Mapping[str, Json]

    def write(self, value: T, out: bytearray) -> None:
        self.codec.write(value, out)

    def read(self, source: Reader) -> T:
        return self.codec.read(source)

    def to_json(self, value: T) -> Json:
        return {**cast(dict[str, Json], self.codec.to_json(value)), **self.more}


def annotated(codec: Struct[T], **more: Json) -> Codec[T]:
    """A struct whose JSON form has further keys, which readers ignore; its bytes stay the same."""
    return _Annotated(codec, more)


class _Choice:
    def __init__(self, variants: Mapping[str, Struct[Any]]) -> None:
        self._variants = tuple(variants.items())
        self._indices = {variant.cls: index for index, variant in enumerate(variants.values())}

    def write(self, value: object, out: bytearray) -> None:
        index = self._indices[type(value)]
        U32.write(index, out)
        self._variants[index][1].write(value, out)

    def read(self, source: Reader) -> Any:
        _, variant = _read_variant(source, self._variants)
        return variant.read(source)

    def to_json(self, value: object) -> Json:
        name, variant = self._variants[self._indices[type(value)]]
        return {name: variant.to_json(value)} if variant.fields else name


def choice(**variants: Struct[Any]) -> Codec[Any]:
    """A Rust enum as a union of attrs classes: each variant's name and codec, in the order of the wire."""
    return _Choice(variants)


class _Enumeration(Generic[E]):
    def __init__(self, members: type[E]) -> None:
        self._members = tuple(members)

    def write(self, value: E, out: bytearray) -> None:
        U32.write(self._members.index(value), out)

    def read(self, source: Reader) -> E:
        return _read_variant(source, self._members)

    def to_json(self, value: E) -> Json:
        name: str = value.value
        return name


def enumeration(members: type[E]) -> Codec[E]:
    """A Rust enum without fields: the members in the order of the wire, with the protocol's names as their values."""
    return _Enumeration(members)


def _read_variant(source: Reader, variants: tuple[T, ...]) -> T:
    index = U32.read(source)
    if index >= len(variants):
        raise DecodeError(f"there is no variant {index}, only {len(variants)}")
    return variants[index]
