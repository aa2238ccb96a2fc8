"""Ports that speak something else than their URL says, and some that do not."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sccachedist.peers.wrong_scheme import wrong_scheme
from tests.functional.test_tls import write_certificate

HTTP, TLS = "plain HTTP is spoken there", "TLS is spoken there"


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[socket.socket], object]], int]]:
    """Answers one connection as it is told, in a thread; gives the port."""
    ports: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def begin(answer: Callable[[socket.socket], object]) -> int:
        port = socket.create_server(("127.0.0.1", 0))
        ports.append(port)

        def work() -> None:
            connection, _ = port.accept()
            with connection:
                answer(connection)

        threads.append(threading.Thread(target=work))
        threads[-1].start()
        return int(port.getsockname()[1])

    yield begin
    for thread in threads:
        thread.join()
    for port in ports:
        port.close()


def says(octets: bytes) -> Callable[[socket.socket], object]:
    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(octets)

    return answer


def says_nothing(connection: socket.socket) -> None:
    """It reads until we give up."""
    while connection.recv(4096):
        pass


@pytest.mark.parametrize(
    ("scheme", "octets", "wrong"),
    [
        ("https", b"HTTP/1.1 404 Not Found\r\n\r\n", HTTP),
        ("https", b"HTTP/1.0 200 OK\r\n\r\n", HTTP),
        ("https", b"HTTP/1.1 400 Bad Request\r\n\r\nThis port speaks TLS", None),
        ("https", b"HTTP/1.1 4", None),
        ("https", b"", None),
        ("http", b"\x16\x03\x03\x00\x7a", TLS),
        ("http", b"\x15\x03\x01\x00\x02\x02\x28", TLS),
        ("http", b"HTTP/1.1 400 Bad Request\r\n\r\n", None),
        ("http", b"", None),
    ],
)
def test_what_is_said(
    serve: Callable[[Callable[[socket.socket], object]], int], scheme: str, octets: bytes, wrong: str | None
) -> None:
    """Only what is certain is said to be wrong."""
    found = wrong_scheme(f"{scheme}://127.0.0.1:{serve(says(octets))}/path")
    assert found is None if wrong is None else (found or "").startswith(wrong)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_silence(serve: Callable[[Callable[[socket.socket], object]], int], scheme: str) -> None:
    """It says nothing of what is spoken."""
    assert wrong_scheme(f"{scheme}://localhost:{serve(says_nothing)}") is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "https://none.invalid", "https://[::1]:1"])
def test_nobody(url: str) -> None:
    """Nor does a port that cannot be reached."""
    assert wrong_scheme(url) is None


def test_a_tls_server(serve: Callable[[Callable[[socket.socket], object]], int], tmp_path: Path) -> None:
    """A real one is recognised."""
    write_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "scheduler.pem", tmp_path / "scheduler.key")

    def answer(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            context.wrap_socket(connection, server_side=True).close()

    assert (wrong_scheme(f"http://localhost:{serve(answer)}") or "").startswith(TLS)
