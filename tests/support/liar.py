"""A server that says anything, for as long as a test likes: what stands at an address where a peer should be."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from threading import Thread

from farmkit.processes import LOOPBACK

#: What is done with one connection; it is closed afterwards.
Answer = Callable[[socket.socket], object]


def saying(octets: bytes) -> Answer:
    """Hear a request, and say this."""

    def answer(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(octets)

    return answer


def response(body: bytes, *head: bytes, status: bytes = b"200 OK") -> Answer:
    """Hear a request, and answer it in HTTP."""
    return saying(b"\r\n".join((b"HTTP/1.1 " + status, b"Connection: close", *head, b"", body)))


def dripping(connection: socket.socket) -> None:
    """Answer a byte a second, without an end."""
    connection.recv(1 << 16)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        connection.sendall(b"[")
        time.sleep(1)


def silent(connection: socket.socket) -> None:
    """Hear, and say nothing."""
    while connection.recv(1 << 16):
        pass


@contextlib.contextmanager
def liar(answer: Answer) -> Iterator[int]:
    """The port of one that runs for a while."""
    with socket.create_server((LOOPBACK, 0)) as listening:
        Thread(target=_serve, args=(listening, answer), daemon=True).start()
        yield listening.getsockname()[1]


def _serve(listening: socket.socket, answer: Answer) -> None:
    with contextlib.suppress(OSError):
        while True:
            Thread(target=_answer, args=(listening.accept()[0], answer), daemon=True).start()


def _answer(connection: socket.socket, answer: Answer) -> None:
    with contextlib.suppress(OSError), connection:
        answer(connection)
