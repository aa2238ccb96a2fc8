"""Thousands of connections that do next to nothing, from one process, and somebody honest beside them."""

import contextlib
import resource
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path

#: From so many addresses, as a port range is smaller than what one address may have.
ADDRESSES = [f"127.0.0.{last}" for last in range(2, 6)]


@contextlib.contextmanager
def crowd(port: int, sizes: Sequence[tuple[int, bytes]], tls: bool = False) -> Iterator[list[socket.socket]]:
    """Open so many connections that say so much each; all are closed in the end."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    sources = cycle(ADDRESSES)
    with contextlib.ExitStack() as opened:
        there: list[socket.socket] = []
        for count, said in sizes:
            for source in islice(sources, count):
                one = socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(source, 0))
                if tls:
                    one = context.wrap_socket(one)
                opened.callback(one.close)
                one.sendall(said)
                there.append(one)
        yield there


def waits(port: int, count: int, asked: bytes, tls: ssl.SSLContext | None = None) -> list[float]:
    """How many seconds somebody waits for an answer, on a new connection each time."""
    return [_wait(port, asked, tls) for _ in range(count)]


def _wait(port: int, asked: bytes, tls: ssl.SSLContext | None) -> float:
    began = time.monotonic()
    with contextlib.ExitStack() as opened:
        connection = opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
        if tls is not None:
            connection = opened.enter_context(tls.wrap_socket(connection))
        connection.sendall(asked)
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 ")
    return time.monotonic() - began


def closed_by_the_other_end(connections: list[socket.socket], seconds: float) -> int:
    """How many of them the other end closes within some time."""
    deadline = time.monotonic() + seconds
    for number, one in enumerate(connections):
        one.settimeout(max(0.1, deadline - time.monotonic()))
        try:
            while one.recv(1 << 16):
                pass
        except TimeoutError:
            return number
        except OSError:
            pass
    return len(connections)


def memory(pid: int) -> int:
    """Bytes of memory that a process has."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024
