"""Server-Sent Events: what a browser reads of them, and viewers that read slowly or not at all."""

import zlib
from collections.abc import Callable

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.web.event_stream import GZIP_HEAD, MOST_PASSED, PIECE, Piece, Viewer, event, packed, retry
from tests.support.event_streams import Line, read

#: Texts of lines; the standard knows three ends of a line.
LINES = st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])), min_size=1)
ENDS = st.sampled_from(["\n", "\r", "\r\n"])


@given(LINES, ENDS)
def test_framing(lines: list[str], end: str) -> None:
    """Data of any lines is read as it was; what stands around it is no event."""
    octets = event("tick", end.join(lines).encode(), 7)
    assert read(retry(3000) + octets + b":\n\n" + octets) == [("tick", "\n".join(lines), "7")] * 2


def test_without_a_number() -> None:
    """An event without an id leaves the last one as it is."""
    assert event("tick", b"{}") == b"event: tick\ndata: {}\n\n"
    assert read(event("a", b"1", 5) + event("b", b"2")) == [("a", "1", "5"), ("b", "2", "5")]


@given(st.lists(st.binary()), st.integers(0, 5))
def test_compressed(messages: list[bytes], missed: int) -> None:
    """Each message is read as soon as it is there, also by one that has not had those before."""
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
    inflate.decompress(GZIP_HEAD)
    for message in messages[missed:]:
        piece = Piece(message)
        assert inflate.decompress(piece.octets(is_packed=True)) == piece.octets(is_packed=False) == message


def test_compressed_bit_by_bit() -> None:
    """What is long is compressed in parts, and is the same piece of a stream."""
    octets = b"x" * 300_000 + b"y" * 10
    parts = list(packed(octets))
    assert len(parts) > 5
    assert zlib.decompressobj(-zlib.MAX_WBITS).decompress(b"".join(parts)) == octets
    assert Piece(octets, b"".join(parts)).octets(is_packed=True) == b"".join(parts)


@attrs.define
class Told:
    """What a viewer says of itself."""

    words: list[str] = attrs.field(factory=list)

    def note(self, word: str) -> Callable[[Viewer], None]:
        return lambda viewer: self.words.append(word)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def viewer(told: Told) -> Viewer:
    return Viewer(told.note("come"), told.note("go"), told.note("caught up"))


@pytest.fixture
def line(viewer: Viewer) -> Line:
    assert (viewer.is_behind, viewer.takes) == (True, False)
    line = Line(viewer)
    viewer.restart(b"")
    return line


def test_reads(line: Line, viewer: Viewer, told: Told) -> None:
    """A viewer that reads gets each message."""
    viewer.send(b"one")
    viewer.send(b"two")
    assert (line.read(), viewer.is_behind, told.words) == (b"onetwo", False, ["come"])


def test_comes(viewer: Viewer) -> None:
    """A viewer that has just come is sent nothing before what it can begin with."""
    line = Line(viewer)
    viewer.send(b"a later one")
    assert line.waiting == b""
    viewer.restart(b"all")
    assert line.waiting == b"all"


def test_does_not_read(line: Line, viewer: Viewer) -> None:
    """A viewer that does not read costs 64 KB and a piece; what it misses is not kept, whatever comes."""
    for _ in range(10_000):
        viewer.send(b"x" * 1000)
    assert len(line.waiting) <= line.room + PIECE
    assert (viewer.is_behind, viewer.takes, line.ended) == (True, False, False)


def test_reads_again(line: Line, viewer: Viewer, told: Told) -> None:
    """A viewer that reads again says so once; until it gets something whole, no later message is sent to it."""
    while not viewer.is_behind:
        viewer.send(b"x" * 1000)
    line.read()
    assert (told.words, viewer.takes) == (["come", "caught up"], True)
    viewer.send(b"a later one")
    assert line.waiting == b""
    viewer.restart(b"all")
    viewer.send(b"next")
    assert line.read() == b"allnext"
    assert told.words == ["come", "caught up"]


def test_large(line: Line, viewer: Viewer, told: Told) -> None:
    """A large message goes in pieces, as the connection takes them; what comes meanwhile is left out."""
    whole = bytes(range(256)) * 4096
    viewer.send(whole)
    assert len(line.waiting) <= line.room + PIECE
    viewer.send(b"left out")
    while line.waiting:
        line.read()
    assert line.taken == whole
    assert told.words == ["come", "caught up"]


def test_too_slow(line: Line, viewer: Viewer) -> None:
    """A large message is not kept for a viewer for ever: it is sent away, and may come back."""
    viewer.send(b"x" * (1 << 20))
    for _ in range(MOST_PASSED):
        viewer.send(b"")
    assert not line.ended
    viewer.send(b"")
    assert line.ended


def test_slow_is_not_too_slow(line: Line, viewer: Viewer) -> None:
    """Messages that passed are counted for each large one by itself."""
    for _ in range(5):
        viewer.restart(b"x" * (1 << 20))
        for _ in range(MOST_PASSED):
            viewer.send(b"")
        while line.waiting:
            line.read()
    assert not line.ended


def test_over(line: Line, viewer: Viewer, told: Told) -> None:
    """Nothing is kept of a viewer that has gone, nor sent to it."""
    viewer.send(b"x" * (1 << 20))
    line.leave()
    waiting = line.waiting
    viewer.resumeProducing()
    viewer.send(b"more")
    viewer.end()
    assert (line.waiting, line.ended, told.words) == (waiting, False, ["come", "go"])
