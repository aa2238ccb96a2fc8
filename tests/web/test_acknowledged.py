"""What the kernel is told of a connection."""

import socket

import attrs

from sccachedist.web.acknowledged import UNSENT_BYTES, keep_little


@attrs.define
class Transport:
    """A connection, with TLS around it or without."""

    transport: "Transport"
    given: list[tuple[int, int, int]] = attrs.field(factory=list)

    def getHandle(self) -> "Transport":  # noqa: N802 - Twisted's name
        return self

    def setsockopt(self, *given: int) -> None:
        self.given.append((given[0], given[1], given[2]))


@attrs.define
class Plain(Transport):
    """One without TLS."""

    transport: Transport = attrs.field(init=False, default=attrs.Factory(lambda self: self, takes_self=True))


def test_keeps_little() -> None:
    """Of a stream, the kernel takes little that it cannot send, also when it is told through TLS."""
    plain = Plain()
    keep_little(plain)
    keep_little(Transport(plain))
    assert plain.given == [(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)] * 2


def test_another_kernel() -> None:
    """Where it cannot be told that, all goes on."""
    keep_little(object())
