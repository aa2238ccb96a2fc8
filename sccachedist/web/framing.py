"""Finds the body of a request among the bytes of its connection: by its length, or in chunks.

All that one read brings is handed over at once, even in tiny chunks. The bytes between chunks are bounded, because a
body of one-byte chunks costs a hundred times what it carries. Pure: bytes in, bytes out; what they mean is not known.
"""

import re
from typing import Protocol

from sccachedist.errors import DecodeError, LimitExceeded

#: Bytes of payload that allow for one byte between chunks: chunks of 48 bytes pass, and no client needs smaller ones.
PAYLOAD_PER_FRAMING = 8

_BOUNDARY = re.compile(rb"\r\n([1-9A-Fa-f][0-9A-Fa-f]{0,7})\r\n")  # between two chunks, as a rule
#: A chunk's size, and extensions, which are ignored. No possible size has more digits.
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(;[\t -~\x80-\xff]*)?")
#: Bytes between chunks, beyond the bound, that end the search: more than one line has.
_FAR = 1 << 11
#: The most bytes of a line with a chunk's size.
_LONGEST_SIZE_LINE = 1024


class Framing(Protocol):
    """Finds the end of a body."""

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Take what has come. Return the part of it that is body, and what is behind the body; None before its end.

        :raises DecodeError: the end of the body cannot be found.
        :raises LimitExceeded: too many bytes are no body.
        """


class Length:
    """A body of a known length in bytes."""

    def __init__(self, length: int) -> None:
        self._left = length

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """See :meth:`Framing.feed`."""
        if len(data) < self._left:
            self._left -= len(data)
            return data, None
        body, rest = data[: self._left], data[self._left :]
        self._left = 0
        return body, rest


class Chunks:
    """A body in chunks.

    Between two calls, ``_left`` bytes of a chunk are still to come; or a line is, of which ``_line`` has come.

    :param most_framing: the bytes of sizes, extensions and trailers that are allowed, beside a share of the payload.
    """

    def __init__(self, most_framing: int) -> None:
        self._most_framing = most_framing
        self._left = 0
        self._line = b""
        self._behind_chunk = self._in_trailer = False
        self._framing, self._payload = 0, 0

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """See :meth:`Framing.feed`."""
        data, self._line = self._line + data, b""
        view, at, end = memoryview(data), 0, len(data)
        pieces: list[memoryview] = []
        rest: bytes | None = None
        framing = 0
        # If there is far too much between chunks, the search ends early. In units of payload:
        allowed = (self._most_framing - self._framing + _FAR) * PAYLOAD_PER_FRAMING + self._payload
        while at < end and framing * (PAYLOAD_PER_FRAMING + 1) <= allowed + at:
            if self._left:
                piece = view[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                self._behind_chunk = True
            elif self._behind_chunk and (boundary := _BOUNDARY.match(data, at)):
                self._left = int(boundary[1], 16)
                framing += boundary.end() - at
                at = boundary.end()
                self._behind_chunk = False
            elif self._behind_chunk and view[at] != 13:
                raise DecodeError("not HTTP: a chunk is longer than its size")
            elif (eol := data.find(b"\r\n", at)) < 0:
                self._line = data[at:]
                if len(self._line) > _LONGEST_SIZE_LINE and not self._in_trailer:
                    raise DecodeError("not HTTP: not the size of a chunk")
                break
            else:
                framing += eol + 2 - at
                if self._take_line(data[at:eol]):
                    rest = data[eol + 2 :]
                    break
                at = eol + 2
        self._framing += framing
        self._payload += sum(map(len, pieces))
        if self._framing + len(self._line) > self._most_framing + self._payload // PAYLOAD_PER_FRAMING:
            raise LimitExceeded("framing_bytes", f"{self._framing} bytes between chunks that hold {self._payload}")
        return b"".join(pieces), rest

    def _take_line(self, line: bytes) -> bool:
        """Take a line that is no part of a chunk; True if it ends the body."""
        if self._behind_chunk:
            if line:
                raise DecodeError("not HTTP: a chunk is longer than its size")
            self._behind_chunk = False
        elif self._in_trailer:
            return not line
        elif (size := _SIZE_LINE.fullmatch(line)) is None:
            raise DecodeError("not HTTP: not the size of a chunk")
        else:
            self._left = int(size[1], 16)
            self._in_trailer = not self._left
        return False
