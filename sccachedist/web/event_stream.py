"""Server-Sent Events, as the HTML standard has them: their bytes, and one viewer that gets them at its own pace.

A stream may be compressed. It is one of gzip then, whose pieces need no earlier ones, so all viewers may have the same.
It has no end: the checksum there would be of all that one viewer had.

A viewer that does not read costs what its transport buffers, and no more: while the transport asks for a pause,
messages for it are left out, and it is behind. What a message says, and what a viewer that is behind gets, is not known
here.
"""

import re
import zlib
from collections.abc import Callable, Iterator

import attrs

from sccachedist.web.responses import Outlet

#: The headers of a stream. The last one is for nginx, which would gather much before it passed it on.
HEADERS = (("Content-Type", "text/event-stream"), ("Cache-Control", "no-store"), ("X-Accel-Buffering", "no"))
#: Bytes of a message that are written at a time, between which the transport may ask for a pause.
PIECE = 1 << 14
#: How many messages may pass while an earlier one is on its way. It is kept for that long, so a viewer that is so slow
#: is sent away.
MOST_PASSED = 30

#: What begins a compressed stream: RFC 1952, without a name, a time and a system.
GZIP_HEAD = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
#: Bytes that are compressed at a time: half a millisecond's work.
_AT_A_TIME = 1 << 16

_END_OF_LINE = re.compile(rb"\r\n|\r|\n")


def event(name: str, data: bytes, number: int | None = None) -> bytes:
    """One event.

    :param data: in UTF-8, of any number of lines.
    :param number: its id, which a browser shows as ``Last-Event-ID`` when it comes back.
    """
    head = b"" if number is None else b"id: %d\n" % number
    # Most data is one long line, and looking for each of the ends is ten times as quick.
    several = b"\n" in data or b"\r" in data
    lines = b"".join(b"data: %b\n" % line for line in (_END_OF_LINE.split(data) if several else (data,)))
    return b"%bevent: %b\n%b\n" % (head, name.encode(), lines)


def packed(octets: bytes) -> Iterator[bytes]:
    """A piece of a compressed stream, in parts: each of them takes little time to make."""
    deflate = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    for begin in range(0, len(octets), _AT_A_TIME):
        yield deflate.compress(octets[begin : begin + _AT_A_TIME])
    yield deflate.flush(zlib.Z_FULL_FLUSH)


@attrs.define
class Piece:
    """A piece of a stream, plain and compressed; the latter is made once, when it is first asked for."""

    plain: bytes
    _packed: bytes | None = None

    def octets(self, *, is_packed: bool) -> bytes:
        """It in one of both forms."""
        if not is_packed:
            return self.plain
        if self._packed is None:
            self._packed = b"".join(packed(self.plain))
        return self._packed


def retry(milliseconds: int) -> bytes:
    """Tell a browser after how long it shall come back when the stream has ended."""
    return b"retry: %d\n\n" % milliseconds


class Viewer:
    """One reader of a stream, a :class:`~sccachedist.web.responses.Source`.

    :param come: called with this viewer when its response has begun, ``go``: when it is over.
    :param caught_up: called with it when it was behind and takes messages again.
    :param begin: what its stream begins with, before all messages.

    ``is_behind`` says whether it needs a :meth:`restart`: it has just come, or a message was left out.
    """

    def __init__(
        self,
        come: Callable[["Viewer"], None],
        go: Callable[["Viewer"], None],
        caught_up: Callable[["Viewer"], None],
        begin: bytes = b"",
    ) -> None:
        self._come, self._go, self._caught_up, self._begin = come, go, caught_up, begin
        self._outlet: Outlet | None = None
        self._message, self._written, self._passed = b"", 0, 0
        self._is_paused = False
        self.is_behind = True

    @property
    def takes(self) -> bool:
        """Whether it takes a message now."""
        return self._outlet is not None and not self._is_paused and not self._message

    def send(self, message: bytes) -> None:
        """Send a message. It is left out if the viewer does not take one, and if an earlier one was left out."""
        if self.takes and not self.is_behind:
            self._message = message
            self._write()
            return
        self.is_behind = True
        self._passed += bool(self._message)
        if self._passed > MOST_PASSED:
            self.end()

    def restart(self, message: bytes) -> None:
        """Send a message that needs no earlier one, to a viewer that takes one."""
        self.is_behind = False
        self.send(message)

    def end(self) -> None:
        """End the stream."""
        if self._outlet is not None:
            self._outlet.end()

    def attach(self, outlet: Outlet) -> None:
        """The response has begun."""
        self._outlet = outlet
        outlet.write(self._begin)
        self._come(self)

    def detach(self) -> None:
        """The response is over."""
        self._outlet, self._message = None, b""
        self._go(self)

    def pauseProducing(self) -> None:
        """The transport takes no more for now."""
        self._is_paused = True

    def resumeProducing(self) -> None:
        """The transport takes more."""
        self._is_paused = False
        self._write()
        if self.takes and self.is_behind:
            self._caught_up(self)

    def stopProducing(self) -> None:
        """The transport takes nothing more: :meth:`detach` follows."""
        self._is_paused = True

    def _write(self) -> None:
        """Write the rest of a message, as far as the transport takes it."""
        while self._outlet is not None and self._message and not self._is_paused:
            piece = self._message[self._written : self._written + PIECE]
            self._written += len(piece)
            if self._written == len(self._message):
                self._message, self._written, self._passed = b"", 0, 0
            self._outlet.write(piece)
