"""The codec by itself: what it refuses, and at what cost."""

import tracemalloc
from typing import Any

import attrs
import pytest

from sccachedist.errors import DecodeError
from sccachedist.wire.bincode import (
    BOOL,
    I32,
    OCTETS,
    TEXT,
    U16,
    U32,
    U64,
    Codec,
    Reader,
    annotated,
    choice,
    decode,
    encode,
    numbers,
    octets,
    pair,
    sequence,
    struct,
    tuple_struct,
)


@attrs.frozen
class Point:
    """A struct of two numbers."""

    x: int
    y: int


@attrs.frozen
class Nothing:
    """A struct without a byte."""


POINT = struct(Point, x=U16, y=I32)
NOTHING = struct(Nothing)
EITHER = choice(Nothing=NOTHING, Point=tuple_struct(Point, x=U16, y=I32))
HUGE = (2**62).to_bytes(8, "little")


@pytest.mark.parametrize(
    ("codec", "value", "data"),
    [
        (U16, 0x1234, "3412"),
        (U32, 0x12345678, "78563412"),
        (U64, 2**64 - 1, "ff" * 8),
        (I32, -2, "feffffff"),
        (BOOL, False, "00"),
        (BOOL, True, "01"),
        (OCTETS, b"\x00\xff", "020000000000000000ff"),
        (TEXT, "ä", "0200000000000000c3a4"),
        (sequence(U16), (1, 2), "0200000000000000" + "01000200"),
        (pair(BOOL, U16), (True, 2), "010200"),
        (POINT, Point(1, -1), "0100ffffffff"),
        (numbers(Point), Point(1, 2**64 - 1), "01" + "00" * 7 + "ff" * 8),
        (EITHER, Nothing(), "00000000"),
        (EITHER, Point(1, -1), "01000000" + "0100ffffffff"),
    ],
)
def test_both_ways(codec: Codec[Any], value: Any, data: str) -> None:
    """Values have the bytes of bincode 1: little endian, fixed width, lengths of eight bytes."""
    assert encode(codec, value).hex() == data
    assert decode(codec, bytes.fromhex(data)) == value


@pytest.mark.parametrize(
    ("codec", "data"),
    [
        pytest.param(BOOL, b"\x02", id="neither true nor false"),
        pytest.param(TEXT, b"\x01" + bytes(7) + b"\xff", id="no UTF-8"),
        pytest.param(TEXT, b"\x03" + bytes(7) + b"\xed\xa0\x80", id="half of a surrogate pair"),
        pytest.param(EITHER, b"\x02\x00\x00\x00", id="no such variant"),
        pytest.param(U32, b"\x00\x00\x00", id="cut off"),
        pytest.param(sequence(U16), b"\x02" + bytes(7) + b"\x00\x00\x00", id="last item cut off"),
    ],
)
def test_refused(codec: Codec[Any], data: bytes) -> None:
    """What is no such value is a decode error."""
    with pytest.raises(DecodeError):
        decode(codec, data)


@pytest.mark.parametrize("codec", [OCTETS, TEXT, sequence(U64), sequence(NOTHING)])
def test_huge_length(codec: Codec[Any]) -> None:
    """A length of 2**62 is refused at once, without memory or time (row 8 of the threats)."""
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError):
            decode(codec, HUGE + bytes(100))
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_rest_is_read_once() -> None:
    """What stands behind a message is handed over once."""
    source = Reader(b"\x01\x00rest")
    assert U16.read(source) == 1
    assert source.left == 4
    assert source.rest() == b"rest"
    assert source.rest() == b""


def test_repr_of_a_reader_shows_no_bytes() -> None:
    """A reader in a traceback does not show the keys that it reads."""
    assert "key" not in repr(Reader(b"key"))


@pytest.mark.parametrize(
    ("codec", "value", "form"),
    [
        (sequence(pair(BOOL, OCTETS)), ((True, b"\x01"),), [[True, [1]]]),
        (POINT, Point(1, 2), {"x": 1, "y": 2}),
        (EITHER, Point(1, 2), {"Point": [1, 2]}),
        (EITHER, Nothing(), "Nothing"),
        (numbers(Point), Point(1, 2), {"x": 1, "y": 2}),
    ],
)
def test_json(codec: Codec[Any], value: Any, form: object) -> None:
    """JSON is serde_json's: lists for tuples and bytes, objects for structs, variants by their names."""
    assert codec.to_json(value) == form


def test_annotated() -> None:
    """A struct with further keys in JSON is the same on the wire."""
    plain = struct(Point, x=U16, y=U16)
    codec, value = annotated(plain, version="1.0"), Point(1, 2)
    assert codec.to_json(value) == {"x": 1, "y": 2, "version": "1.0"}
    assert encode(codec, value) == encode(plain, value)
    assert decode(codec, encode(plain, value)) == value


@pytest.mark.parametrize(
    ("codec", "most", "more"),
    [(sequence(TEXT, 3), ("",) * 3, ("",) * 4), (octets(3), b"abc", b"abcd")],
)
def test_no_more_is_read(codec: Codec[Any], most: Any, more: Any) -> None:
    """Of what may come in great number no more is read than is expected, and what is too much is not begun."""
    assert decode(codec, encode(codec, most)) == most
    with pytest.raises(DecodeError):
        decode(codec, encode(codec, more))
