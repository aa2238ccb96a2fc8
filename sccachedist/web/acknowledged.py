"""How much of what was sent to a peer has arrived: the kernel knows it of each TCP connection."""

import socket
import struct
from typing import Any

#: Where ``struct tcp_info`` has the bytes that the other end has acknowledged, since Linux 4.1.
_BYTES_ACKED = struct.Struct("=120xQ")


def acknowledged(transport: Any) -> int | None:
    """The bytes that the other end of a connection has acknowledged since it began; None if the kernel does not tell.

    :param transport: Twisted's, with TLS or without.
    """
    try:
        handle = getattr(transport, "transport", transport).getHandle()
        info = handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.size)
        return int(_BYTES_ACKED.unpack(info)[0])
    except (AttributeError, OSError, struct.error):
        return None
