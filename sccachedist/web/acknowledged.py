"""What the kernel knows of a TCP connection: how much of what was sent has arrived; and how much it keeps unsent."""

import contextlib
import socket
import struct
from typing import Any

#: Where ``struct tcp_info`` has the segments that are under way, the bytes that the other end has acknowledged since
#: the connection began, and the bytes that have not been sent: all of them since Linux 4.6.
_INFO = struct.Struct("=24xI92xQ16xI")

UNSENT_BYTES = 1 << 14


def acknowledged(transport: Any) -> int | None:
    """The bytes that the other end of a connection has acknowledged since it began; None if the kernel does not tell.

    :param transport: Twisted's, with TLS or without.
    """
    return None if (info := _info(transport)) is None else info[1]


def all_arrived(transport: Any) -> bool:
    """Whether the other end has acknowledged all that the kernel was given; False if the kernel does not tell."""
    info = _info(transport)
    return info is not None and not info[0] and not info[2]


def keep_little(transport: Any) -> None:
    """Have the kernel take no more than about :data:`UNSENT_BYTES` that it cannot send yet, where it can be told that.

    It takes megabytes otherwise, and what a slow peer gets of them is old.
    """
    with contextlib.suppress(AttributeError, OSError):
        handle = getattr(transport, "transport", transport).getHandle()
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)


def _info(transport: Any) -> tuple[int, int, int] | None:
    try:
        handle = getattr(transport, "transport", transport).getHandle()
        under_way, acked, unsent = _INFO.unpack(handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size))
    except (AttributeError, OSError, struct.error):
        return None
    return under_way, acked, unsent
