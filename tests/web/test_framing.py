"""Bodies among the bytes of a connection: whatever way they come cut, nothing of them is lost."""

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmkit.memory_http import chunked
from sccachedist.errors import DecodeError, LimitExceeded
from sccachedist.web.framing import PAYLOAD_PER_FRAMING, Chunks, Framing, Length

NEXT = b"GET / HTTP/1.1\r\n"
ODD = b"004;name=value\r\n0123\r\n1 ; x\r\n\n\r\n00\r\nTrailer: x\r\n\r\n"
BROKEN = [
    b"x\r\n",
    b"-1\r\n",
    b"+1\r\n",
    b"1_0\r\n",
    b"1\r\nab\r\n",
    b"1" + b"0" * 16 + b"\r\n",
    b"2\r\nab\n\n",
    b"4\r\n01230\r\n",
    b"0x1\r\na\r\n",
    b"1" * 2000,
    b"1;" + b"x" * 20_000,
    b"\r\n1\r\na",
    b"1;\0\r\na\r\n",
]


def body_of(framing: Framing, octets: bytes, size: int) -> tuple[bytes, bytes] | None:
    """The body that comes in pieces of a size, and what came of the next request; None where the body has no end."""
    body = b""
    for at in range(0, len(octets), size):
        piece, rest = framing.feed(octets[at : at + size])
        body += piece
        if rest is not None:
            return body, rest + octets[at + size :]
    return None


@given(st.lists(st.binary(min_size=1, max_size=40)), st.integers(1, 200))
def test_chunks(pieces: list[bytes], size: int) -> None:
    """The body is what was sent, and what follows it is the next request's."""
    assert body_of(Chunks(1 << 14), chunked(*pieces) + NEXT, size) == (b"".join(pieces), NEXT)


@given(st.binary(min_size=1), st.integers(1, 200))
def test_length(body: bytes, size: int) -> None:
    """So does one whose length was told."""
    assert body_of(Length(len(body)), body + NEXT, size) == (body, NEXT)
    assert body_of(Length(len(body) + 1), body, size) is None


@pytest.mark.parametrize(
    ("octets", "body"),
    [
        (ODD, b"0123\n"),
        (chunked(b"\r\n", b"\r\n0\r\n\r\n", b"0"), b"\r\n\r\n0\r\n\r\n0"),
        (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    ],
)
def test_unusual(octets: bytes, body: bytes) -> None:
    """Extensions, trailers, leading zeros and white space mean what they mean, wherever they are cut."""
    for size in range(1, len(octets) + 1):
        assert body_of(Chunks(1 << 14), octets + NEXT, size) == (body, NEXT)
        assert body_of(Chunks(1 << 14), octets[:-1], size) is None


def test_longer_than_its_size() -> None:
    """A chunk that goes on where it should end is refused then, not when its sender sends a line end."""
    with pytest.raises(DecodeError):
        Chunks(1 << 14).feed(b"1\r\nab")
    with pytest.raises(DecodeError):
        Chunks(1 << 14).feed(b"1\r\na\rb\r\n")


@pytest.mark.parametrize("octets", BROKEN)
@pytest.mark.parametrize("before", [b"", chunked(b"0123")[:-5]])
@pytest.mark.parametrize("size", [1, 2, 5, 5000])
def test_no_chunks(octets: bytes, before: bytes, size: int) -> None:
    """What is no chunk is refused."""
    with pytest.raises(DecodeError):
        body_of(Chunks(1 << 14), before + octets + b"\0\r\n\r\n", size)


def test_chunks_together() -> None:
    """The chunks that come together go on as one piece."""
    assert Chunks(1 << 14).feed(chunked(b"0123", b"4", b"56789")[:-5]) == (b"0123456789", None)


@pytest.mark.parametrize(
    "octets",
    [
        chunked(*[b"x"] * 5000),
        b"1;xxxxxxxxxxxxxxxxxxxx\r\na\r\n" * 1000,
        b"0\r\n" + b"Trailer: x\r\n" * 2000,
        b"0\r\n" + b"x" * 20_000,
    ],
)
@pytest.mark.parametrize("size", [7, 4096, 1 << 18])
def test_much_between_chunks(octets: bytes, size: int) -> None:
    """A body that is mostly not body is refused."""
    with pytest.raises(LimitExceeded) as caught:
        body_of(Chunks(1 << 14), octets, size)
    assert caught.value.limit == "framing_bytes"


def test_small_chunks_without_end() -> None:
    """Chunks that are small and not tiny may come for ever."""
    framing, small = Chunks(0), chunked(bytes(PAYLOAD_PER_FRAMING * 6))[:-5] * 1000
    for _ in range(20):
        assert framing.feed(small) == (bytes(48_000), None)


@pytest.mark.parametrize("chunk", [b"x", b"x" * 47, b"x" * 48, bytes(8192)])
def test_takes_no_time(chunk: bytes) -> None:
    """What one read brings is taken apart, or refused, in some milliseconds: the best of five, on a busy machine."""
    octets = (chunked(chunk)[:-5] * (1 << 18))[: 1 << 18]
    took = []
    for _ in range(5):
        framing, began = Chunks(1 << 14), time.thread_time()
        with contextlib.suppress(LimitExceeded):
            framing.feed(octets)
        took.append(time.thread_time() - began)
    assert min(took) < 0.02
