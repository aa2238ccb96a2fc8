"""Compressed streams end, stay within their limits, and are damaged loudly."""

import io
import os
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from sccachedist.builders.inflate import gunzip, inflate, unpacked_limit
from sccachedist.config import Limits
from sccachedist.errors import DecodeError, LimitExceeded
from tests.builders.archives import gzipped

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
    assert gunzip(io.BytesIO(packed), "limit", 10**7).read() == data


def test_zlib_streams() -> None:
    """What follows the stream is not part of it."""
    assert inflate(io.BytesIO(zlib.compress(DATA) + b"more"), "limit", len(DATA)).read() == DATA


@pytest.mark.parametrize("open_stream", [gunzip, inflate])
@pytest.mark.parametrize("packed", [b"", b"garbage" * 10, gzipped(DATA)[:-1], zlib.compress(DATA)[:-9]])
def test_damage(open_stream: Callable[..., io.BufferedReader], packed: bytes) -> None:
    """A stream that is cut off or no stream at all is the peer's fault."""
    with pytest.raises(DecodeError):
        open_stream(io.BytesIO(packed), "limit", 10**7).read()


def test_garbage_behind_a_gzip_member() -> None:
    """What is neither a member nor zeros is damage."""
    with pytest.raises(DecodeError):
        gunzip(io.BytesIO(gzipped(b"a") + b"garbage"), "limit", 10).read()


def test_a_bomb_stops_at_its_limit() -> None:
    """A stream that unpacks to a thousand times its size is not unpacked beyond the limit."""
    packed = io.BytesIO(zlib.compress(bytes(50_000_000)))
    stream = inflate(packed, "inputs_unpacked_bytes", 1_000_000)
    with pytest.raises(LimitExceeded) as caught:
        stream.read()
    assert caught.value.limit == "inputs_unpacked_bytes"


MIB = 1 << 20


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (1, ("compression_ratio", 64 * MIB)),
        (64 * MIB // 10, ("compression_ratio", 64 * MIB)),
        (8 * MIB, ("compression_ratio", 80 * MIB)),
        (10 * MIB, ("inputs_unpacked_bytes", 100 * MIB)),
        (11 * MIB, ("inputs_unpacked_bytes", 100 * MIB)),
    ],
)
def test_what_may_come_out_of_a_file(tmp_path: Path, size: int, expected: tuple[str, int]) -> None:
    """Ten times its size here, 64 MiB in any case, and never more than the other limit."""
    packed = tmp_path / "packed"
    packed.touch()
    os.truncate(packed, size)
    with packed.open("rb") as file:
        assert unpacked_limit("inputs_unpacked_bytes", 100 * MIB, 10, file) == expected


def test_honest_inputs_that_pack_well() -> None:
    """A table of zeros of 60 MiB, which packs to a thousandth, is no bomb."""
    limits = Limits()
    packed = io.BytesIO(zlib.compress(b"0x00, " * (10 * MIB), 1))
    with tempfile.TemporaryFile() as file:
        file.write(packed.getvalue())
        limit = unpacked_limit("inputs_unpacked_bytes", limits.inputs_unpacked_bytes, limits.compression_ratio, file)
    assert len(inflate(packed, *limit).read()) == 60 * MIB


def test_a_limit_may_be_reached() -> None:
    """Exactly as much as allowed is allowed."""
    assert len(inflate(io.BytesIO(zlib.compress(DATA)), "limit", len(DATA)).read()) == len(DATA)
