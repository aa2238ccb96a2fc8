"""Server-Sent Events: what a browser reads of them, and viewers that read slowly or not at all."""

from collections.abc import Callable

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.web.event_stream import MOST_PASSED, PIECE, Viewer, comment, event, retry

#: Texts of lines; the standard knows three ends of a line.
LINES = st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])), min_size=1)
ENDS = st.sampled_from(["\n", "\r", "\r\n"])


def read(stream: bytes) -> list[tuple[str, str, str]]:
    """Events, read as the HTML standard says: name, data and id."""
    found = []
    name, number = "", ""
    data: list[str] = []
    for line in stream.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        key, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line and data:
            found.append((name or "message", "\n".join(data), number))
        if not line:
            name, data = "", []
        elif key == "event":
            name = value
        elif key == "data":
            data.append(value)
        elif key == "id":
            number = value
    return found


@given(LINES, ENDS)
def test_framing(lines: list[str], end: str) -> None:
    """Data of any lines is read as it was; what stands around it is no event."""
    octets = event("tick", end.join(lines).encode(), 7)
    assert read(retry(3000) + comment() + octets + comment() + octets) == [("tick", "\n".join(lines), "7")] * 2


def test_without_a_number() -> None:
    """An event without an id leaves the last one as it is."""
    assert event("tick", b"{}") == b"event: tick\ndata: {}\n\n"
    assert read(event("a", b"1", 5) + event("b", b"2")) == [("a", "1", "5"), ("b", "2", "5")]


@attrs.define
class Line:
    """A connection that asks for a pause when more than ``room`` bytes wait on it."""

    room: int = 1 << 16
    waiting: bytes = b""
    taken: bytes = b""
    ended: bool = False
    told: list[str] = attrs.field(factory=list)
    viewer: Viewer = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        def note(word: str) -> Callable[[Viewer], None]:
            return lambda viewer: self.told.append(word)

        self.viewer = Viewer(note("come"), note("go"), note("caught up"))
        self.viewer.attach(self)

    def write(self, data: bytes) -> None:
        self.waiting += data
        if len(self.waiting) > self.room:
            self.viewer.pauseProducing()

    def read(self) -> None:
        """All that waits has gone."""
        was_full = len(self.waiting) > self.room
        self.taken += self.waiting
        self.waiting = b""
        if was_full:
            self.viewer.resumeProducing()

    def end(self) -> None:
        self.ended = True


@pytest.fixture
def line() -> Line:
    return Line()


def test_reads(line: Line) -> None:
    """A viewer that reads gets each message."""
    line.viewer.send(b"one")
    line.viewer.send(b"two")
    line.read()
    assert (line.taken, line.viewer.is_behind, line.told) == (b"onetwo", False, ["come"])


def test_does_not_read(line: Line) -> None:
    """A viewer that does not read costs 64 KB and a piece; what it misses is not kept, whatever comes."""
    for _ in range(10_000):
        line.viewer.send(b"x" * 1000)
    assert len(line.waiting) <= line.room + PIECE
    assert (line.viewer.is_behind, line.viewer.takes, line.ended) == (True, False, False)


def test_reads_again(line: Line) -> None:
    """A viewer that reads again says so once; until it gets something whole, no later message is sent to it."""
    while not line.viewer.is_behind:
        line.viewer.send(b"x" * 1000)
    line.read()
    assert (line.told, line.viewer.takes) == (["come", "caught up"], True)
    before = len(line.taken)
    line.viewer.send(b"a later one")
    assert line.waiting == b""
    line.viewer.restart(b"all")
    line.viewer.send(b"next")
    line.read()
    assert line.taken[before:] == b"allnext"
    assert line.told == ["come", "caught up"]


def test_large(line: Line) -> None:
    """A large message goes in pieces, as the connection takes them; what comes meanwhile is left out."""
    whole = bytes(range(256)) * 4096
    line.viewer.send(whole)
    assert len(line.waiting) <= line.room + PIECE
    line.viewer.send(b"left out")
    while line.waiting:
        line.read()
    assert line.taken == whole
    assert line.told == ["come", "caught up"]


def test_too_slow(line: Line) -> None:
    """A large message is not kept for a viewer for ever: it is sent away, and may come back."""
    line.viewer.send(b"x" * (1 << 20))
    for _ in range(MOST_PASSED):
        line.viewer.send(b"")
    assert not line.ended
    line.viewer.send(b"")
    assert line.ended


def test_slow_is_not_too_slow(line: Line) -> None:
    """Messages that passed are counted for each large one by itself."""
    for _ in range(5):
        line.viewer.restart(b"x" * (1 << 20))
        for _ in range(MOST_PASSED):
            line.viewer.send(b"")
        while line.waiting:
            line.read()
    assert not line.ended


def test_over(line: Line) -> None:
    """Nothing is kept of a viewer that has gone, nor sent to it."""
    line.viewer.send(b"x" * (1 << 20))
    line.viewer.stopProducing()
    line.viewer.detach()
    waiting = line.waiting
    line.viewer.resumeProducing()
    line.viewer.send(b"more")
    line.viewer.end()
    assert (line.waiting, line.ended, line.told) == (waiting, False, ["come", "go"])
