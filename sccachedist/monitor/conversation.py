"""What one monitor may say: two versions, a login, and after that nothing that counts.

Pure: from the bytes that came to the bytes that go. A conversation begins with a version of four bytes from each side,
little endian. Each side answers with the smaller of both, and these two have to be the same. What follows are messages
(:mod:`sccachedist.monitor.messages`). When a silent monitor is given up is not decided here.
"""

import struct

import attrs

from sccachedist.errors import DecodeError
from sccachedist.monitor.messages import VERSION, MonitorLogin, decoded

#: The most bytes of one message of a monitor, and of all that it sends after its login.
MOST_MESSAGE, MOST_BYTES = 64, 4096

_VERSION = struct.Struct("<I")
_LENGTH = struct.Struct(">I")
OPENING = _VERSION.pack(VERSION)


@attrs.define
class Conversation:
    """One monitor's part of it.

    ``logged_in`` is whether it is to be told what happens.
    """

    logged_in: bool = attrs.field(default=False, init=False)
    _answered: bool = attrs.field(default=False, init=False)
    _agreed: bool = attrs.field(default=False, init=False)
    _rest: bytes = attrs.field(default=b"", init=False)
    _idle_bytes: int = attrs.field(default=0, init=False)

    def received(self, octets: bytes) -> bytes:
        """Hear some bytes, cut anywhere; returns what to answer.

        :raises DecodeError: this is no monitor, or an old one, or it sends what no monitor has to say.
        """
        if self.logged_in:
            self._ignore(len(octets))
            return b""
        self._rest += octets
        answer = b""
        if not self._answered and (theirs := self._next(_VERSION)) is not None:
            if theirs < VERSION:
                raise DecodeError(f"a monitor of version {theirs}, and {VERSION} is the first that is understood")
            self._answered, answer = True, OPENING
        if self._answered and not self._agreed and (agreed := self._next(_VERSION)) is not None:
            if agreed != VERSION:
                raise DecodeError(f"a monitor that agrees to version {agreed}, not {VERSION}")
            self._agreed = True
        if self._agreed:
            self._hear_login()
        return answer

    def _hear_login(self) -> None:
        if len(self._rest) < _LENGTH.size:
            return
        (length,) = _LENGTH.unpack_from(self._rest)
        if length > MOST_MESSAGE:
            raise DecodeError(f"a monitor's message of {length} bytes, and {MOST_MESSAGE} are allowed")
        message, rest = self._rest[_LENGTH.size :][:length], self._rest[_LENGTH.size + length :]
        if len(message) < length:
            return
        if not isinstance(decoded(message), MonitorLogin):
            raise DecodeError("a monitor that does not begin with its login")
        self.logged_in, self._rest = True, b""
        self._ignore(len(rest))

    def _ignore(self, count: int) -> None:
        self._idle_bytes += count
        if self._idle_bytes > MOST_BYTES:
            raise DecodeError(f"a monitor that sends more than {MOST_BYTES} bytes after its login")

    def _next(self, layout: struct.Struct) -> int | None:
        """The next number; None if it is not there yet."""
        if len(self._rest) < layout.size:
            return None
        (number,) = layout.unpack_from(self._rest)
        self._rest = self._rest[layout.size :]
        return int(number)
