"""Those who follow a farm live: ``python -m farmkit.viewers SCHEDULER_PORT TOKEN COUNT STALLED``.

One process has one connection for each viewer, from several loopback addresses. They take compressed streams, as
browsers do, but for the last ``STALLED``, which never read. A line is printed when all others have had an event; the
process ends when stdin does.
"""

import selectors
import socket
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPResponse
from threading import Thread

from farmkit.launch import CHECKOUT
from farmkit.processes import LOOPBACK, inherited

#: How many viewers have the same address.
_AT_ONE_ADDRESS = 10
_PIECE = 1 << 18
#: What the kernel keeps of what one who stalls does not read. It tells the scheduler's that there is no more room.
_STALLED_BYTES = 4096


@contextmanager
def viewers(scheduler_port: int, token: str, count: int, stalled: int = 0) -> Iterator[None]:
    """Follow a farm, so many at a time."""
    arguments = [sys.executable, "-m", "farmkit.viewers", *map(str, (scheduler_port, token, count, stalled))]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=inherited(), cwd=CHECKOUT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        if not process.stdout.readline():
            raise RuntimeError("the farm could not be followed")
        try:
            yield
        finally:
            process.stdin.close()


def main(scheduler_port: str, token: str, count: str, stalled: str) -> None:
    """Follow until stdin ends."""
    reading = int(count) - int(stalled)
    connections = [_ask(int(scheduler_port), token, number, number >= reading) for number in range(int(count))]
    for connection in connections[:reading]:
        _read_first(connection)
    Thread(target=_read, args=(connections[:reading],), daemon=True).start()
    sys.stdout.write("following\n")
    sys.stdout.flush()
    sys.stdin.read()


def _ask(scheduler_port: int, token: str, number: int, stalls: bool) -> socket.socket:
    connection = socket.socket()
    connection.bind((f"127.66.0.{1 + number // _AT_ONE_ADDRESS}", 0))
    if stalls:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _STALLED_BYTES)
    connection.connect((LOOPBACK, scheduler_port))
    lines = ["GET /api/v1/farm/events HTTP/1.1", "Host: farm", f"Authorization: Bearer {token}"]
    if not stalls:  # as browsers do
        lines.append("Accept-Encoding: gzip")
    connection.sendall("\r\n".join((*lines, "", "")).encode())
    return connection


def _read_first(connection: socket.socket) -> None:
    """Read the first event. It is long."""
    response = HTTPResponse(connection)
    response.begin()
    inflate, received = zlib.decompressobj(zlib.MAX_WBITS | 16), b""
    while b"\n\n" not in received.partition(b"\nevent: ")[2]:
        if response.status != HTTPStatus.OK or not (piece := response.read1(_PIECE)):
            sys.exit(f"no place: {response.status}")
        received += inflate.decompress(piece)


def _read(connections: list[socket.socket]) -> None:
    """Read, and forget."""
    into = bytearray(_PIECE)
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if not key.fileobj.recv_into(into):  # type: ignore[union-attr]
                    sys.exit("a stream has ended")


if __name__ == "__main__":
    main(*sys.argv[1:])
