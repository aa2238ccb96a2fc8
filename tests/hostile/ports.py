"""What an attacker says to our daemons in bytes, where an HTTP library would not."""

import contextlib
import socket
import time
from collections.abc import Iterable, Iterator

import attrs

from farmkit.farm import Farm
from farmkit.raw_client import unverified

_SECS = 20


@attrs.frozen
class Port:
    """Where a daemon listens.

    :param secure: whether it speaks TLS.
    """

    name: str
    host: str
    number: int
    secure: bool

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        """Open a connection from an address."""
        connection = socket.create_connection((self.host, self.number), _SECS, (source, 0))
        return unverified().wrap_socket(connection) if self.secure else connection

    def silent(self, source: str) -> socket.socket:
        """Open one on which nothing is said, not even TLS."""
        return socket.create_connection((self.host, self.number), _SECS, (source, 0))

    def ask(self, *pieces: bytes) -> int:
        """Send bytes; gives the status of what comes back, 0 where nothing does."""
        with contextlib.closing(self.connect()) as connection:
            with contextlib.suppress(OSError):
                for piece in pieces:
                    connection.sendall(piece)
            return status(connection)


def ports(farm: Farm) -> tuple[Port, Port]:
    """Where the daemons of a farm listen."""
    return (
        Port("scheduler", farm.scheduler_host, farm.scheduler_port, secure=False),
        Port("distserver", "127.0.0.1", farm.server_port, secure=True),
    )


def status(connection: socket.socket) -> int:
    """The status of an answer, 0 where there is none."""
    answer = b""
    with contextlib.suppress(OSError):
        while len(answer) < 12 and (more := connection.recv(1 << 12)):
            answer += more
    return int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def flood(connection: socket.socket, pieces: Iterable[bytes], seconds: float) -> int:
    """Send for so long, as long as somebody takes it; gives the bytes that were sent."""
    sent, until = 0, time.monotonic() + seconds
    connection.settimeout(0.5)
    try:
        for piece in pieces:
            if time.monotonic() > until:
                break
            connection.sendall(piece)
            sent += len(piece)
    except OSError:
        pass
    return sent


def again(piece: bytes) -> Iterator[bytes]:
    """The same for ever."""
    while True:
        yield piece
