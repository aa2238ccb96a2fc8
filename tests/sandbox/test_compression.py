"""Compressed streams end, stay within their limits, and are damaged loudly."""

import io
import os
import zlib
from collections.abc import Callable, Iterable
from typing import BinaryIO

import pytest

from sccachedist.config import ServerLimits
from sccachedist.errors import DecodeError, LimitExceeded
from sccachedist.sandbox.archive.compression import CHUNK, gunzip, inflate
from tests.sandbox.archives import gzipped

DATA = bytes(range(256)) * 5000


@pytest.mark.parametrize(
    ("packed", "data"),
    [
        (gzipped(DATA), DATA),
        (gzipped(b"a") + gzipped(b"b") + gzipped(b""), b"ab"),
        (gzipped(DATA) + bytes(600_000), DATA),
        (gzipped(b"a") + bytes(10) + gzipped(b"b"), b"ab"),
    ],
    ids=["one member", "three members", "zeros behind it", "zeros between members"],
)
def test_gzip_files(packed: bytes, data: bytes) -> None:
    """All members count, zeros do not."""
    assert gunzip(io.BytesIO(packed), "limit", 10**7, 200).read() == data


def test_zlib_streams() -> None:
    """What follows the stream is not part of it."""
    assert inflate(io.BytesIO(zlib.compress(DATA) + b"more"), "limit", len(DATA), 200).read() == DATA


@pytest.mark.parametrize("open_stream", [gunzip, inflate])
@pytest.mark.parametrize("packed", [b"", b"garbage" * 10, gzipped(DATA)[:-1], zlib.compress(DATA)[:-9]])
def test_damage(open_stream: Callable[..., io.BufferedReader], packed: bytes) -> None:
    """A stream that is cut off or no stream at all is the peer's fault."""
    with pytest.raises(DecodeError):
        open_stream(io.BytesIO(packed), "limit", 10**7, 200).read()


def test_garbage_behind_a_gzip_member() -> None:
    """What is neither a member nor zeros is damage."""
    with pytest.raises(DecodeError):
        gunzip(io.BytesIO(gzipped(b"a") + b"garbage"), "limit", 10, 200).read()


def test_a_bomb_stops_at_its_limit() -> None:
    """A stream that unpacks to a thousand times its size is not unpacked beyond the limit."""
    packed = io.BytesIO(zlib.compress(bytes(50_000_000)))
    stream = inflate(packed, "inputs_unpacked_bytes", 1_000_000, 200)
    with pytest.raises(LimitExceeded) as caught:
        stream.read()
    assert caught.value.limit == "inputs_unpacked_bytes"


MIB = 1 << 20


FORMS = {"gzip": (gunzip, 31), "zlib": (inflate, 15)}


class Packed:
    """A compressed file, and how much has been read of it."""

    def __init__(self, pieces: Iterable[bytes], form: int) -> None:
        stream = zlib.compressobj(6, zlib.DEFLATED, form)
        self.data = b"".join(map(stream.compress, pieces)) + stream.flush()
        self.file = io.BytesIO(self.data)

    def read(self, size: int) -> bytes:
        return self.file.read(size)


def unpacked_size(stream: BinaryIO) -> int:
    return sum(map(len, iter(lambda: stream.read(MIB), b"")))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("head", [0, 200_000], ids=["at once", "behind an honest head"])
def test_a_bomb_in_a_large_file(form: str, head: int) -> None:
    """It ends by what was read of it until then, whatever lies behind that, soon after the first 64 MiB."""
    open_stream, bits = FORMS[form]
    packed = Packed([os.urandom(head), *[bytes(MIB)] * 200, os.urandom(3 * MIB)], bits)
    assert len(packed.data) > 3 * MIB
    with pytest.raises(LimitExceeded) as caught:
        unpacked_size(open_stream(packed, "inputs_unpacked_bytes", 1 << 40, 200))
    assert caught.value.limit == "compression_ratio"
    assert packed.file.tell() < head + 5 * CHUNK


@pytest.mark.parametrize("form", FORMS)
def test_many_small_bombs_in_one(form: str) -> None:
    """No pause makes them honest: what bombs there are is counted with all that is around them."""
    open_stream, bits = FORMS[form]
    packed = Packed([piece for _ in range(20) for piece in (os.urandom(20_000), bytes(10 * MIB))], bits)
    with pytest.raises(LimitExceeded):
        unpacked_size(open_stream(packed, "inputs_unpacked_bytes", 1 << 40, 200))


@pytest.mark.parametrize("form", FORMS)
def test_zeros_in_a_large_file(form: str) -> None:
    """A toolchain with long stretches of zeros in it is none."""
    open_stream, bits = FORMS[form]
    pieces = [os.urandom(2 * MIB), bytes(100 * MIB), os.urandom(MIB), bytes(150 * MIB)]
    packed = Packed(pieces, bits)
    stream = open_stream(packed, "inputs_unpacked_bytes", 1 << 40, 200)
    assert unpacked_size(stream) == sum(map(len, pieces))


def test_honest_inputs_that_pack_well() -> None:
    """A table of zeros of 60 MiB, which packs to a thousandth, is no bomb."""
    limits = ServerLimits()
    packed = io.BytesIO(zlib.compress(b"0x00, " * (10 * MIB), 1))
    stream = inflate(packed, "inputs_unpacked_bytes", limits.inputs_unpacked_bytes, limits.compression_ratio)
    assert len(stream.read()) == 60 * MIB


def test_a_limit_may_be_reached() -> None:
    """Exactly as much as allowed is allowed."""
    assert len(inflate(io.BytesIO(zlib.compress(DATA)), "limit", len(DATA), 200).read()) == len(DATA)
