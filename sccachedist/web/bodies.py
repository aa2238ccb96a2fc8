"""Where a request's body goes. Its route chooses that when the headers are there.

A body of this module stays in bounded memory. Those that go to files stand beside what they carry, in
:mod:`sccachedist.server`. What a message means is not known here.
"""

from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

from sccachedist.budgets import Hold
from sccachedist.errors import DecodeError, LimitExceeded
from sccachedist.web.request_head import Head
from sccachedist.wire.bincode import Codec, decode

T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)

#: The only media type in which the protocol carries bodies.
OCTETS = "application/octet-stream"


class Body(Protocol[R_co]):
    """Takes a request's body piece by piece."""

    def write(self, chunk: bytes) -> None:
        """Take the next bytes.

        :raises LimitExceeded: they are too many; nothing more is written then.
        :raises DecodeError: the body is not what it should be.
        """

    def complete(self) -> R_co:
        """Return what the route gets, when all of the body has come.

        :raises DecodeError: the body is not what it should be.
        """

    def abort(self, error: BaseException | None = None) -> None:
        """Keep nothing: the rest does not come, or is not wanted. May be called again, and after :meth:`complete`.

        :param error: why it is not wanted; None if it does not come, because the sender has gone.
        """


class NoBody:
    """For routes that need no body: one that comes is ignored."""

    def write(self, chunk: bytes) -> None:
        """Ignore the bytes."""

    def complete(self) -> None:
        """Return nothing."""

    def abort(self, error: BaseException | None = None) -> None:
        """There is nothing to undo."""


def no_body(_routes: object, _head: Head, **_ids: object) -> NoBody:
    """Open the body of a request to a route that needs none."""
    return NoBody()


class SmallBody(Body[T]):
    """A body that is read when all of it is there, bounded in memory.

    :param media_type: of the body.
    :param read: makes of its bytes what the route gets, or raises DecodeError.
    :param limit: how many bytes it may have.
    :param key: the key of that limit under ``[limits]``.
    :param memory: its part of the memory for all bodies; closed when the body is read or given up.
    :raises LimitExceeded: the announced length is larger.
    :raises DecodeError: it is announced as of another media type.
    """

    def __init__(
        self, media_type: str, read: Callable[[bytes], T], head: Head, limit: int, key: str, memory: Hold
    ) -> None:
        require_type(media_type, head)
        self._read, self._limit, self._key, self._memory = read, limit, key, memory
        self._received = bytearray()
        self._check(head.length or 0)

    def write(self, chunk: bytes) -> None:
        """Keep the bytes, if they are not too many."""
        self._check(len(self._received) + len(chunk))
        self._memory.grow(len(chunk))
        self._received += chunk

    def complete(self) -> T:
        """Read the body."""
        value = self._read(bytes(self._received))
        self.abort()
        return value

    def abort(self, error: BaseException | None = None) -> None:
        """Forget what has come."""
        self._received.clear()
        self._memory.close()

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise LimitExceeded(self._key, f"a message of {size} bytes")


class MessageBody(SmallBody[T]):
    """A bincode message."""

    def __init__(self, codec: Codec[T], head: Head, limit: int, key: str, memory: Hold) -> None:
        super().__init__(OCTETS, partial(decode, codec), head, limit, key, memory)


def media_type_of(head: Head) -> str:
    """The Content-Type, without parameters; empty if there is none."""
    return head.headers.get("content-type", "").partition(";")[0].strip().lower()


def require_type(media_type: str, head: Head) -> None:
    """Refuse a body of another media type.

    :raises DecodeError: the Content-Type is another.
    """
    if media_type_of(head) != media_type:
        raise DecodeError(f"the Content-Type has to be {media_type}")
