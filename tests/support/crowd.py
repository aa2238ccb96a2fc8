"""Thousands of connections that do next to nothing, from one process, and somebody honest beside them in another."""

import contextlib
import multiprocessing
import os
import random
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import cycle, islice
from pathlib import Path

import attrs

from farmkit.processes import allow_most_descriptors
from farmkit.raw_client import unverified

#: From so many addresses, as a port range is smaller than what one address may have.
ADDRESSES = [f"127.0.0.{last}" for last in range(2, 6)]


#: The priority of those whose time is taken, where it can be had: other tests run on the same machine.
URGENT = -10
#: Seconds that somebody honest lets pass at most before the next request: it comes at any time.
PAUSE_SECS = 0.01


@attrs.frozen
class Group:
    """So many connections that say the same.

    :param drips: whether each says a byte a second after that.
    :param tls: whether each begins TLS before.
    """

    count: int
    said: bytes
    drips: bool = False
    tls: bool = False


@contextlib.contextmanager
def crowd(port: int, groups: Sequence[Group]) -> Iterator[list[socket.socket]]:
    """Open all connections; some say a byte a second while this lasts, and all are closed in the end."""
    allow_most_descriptors()
    context = unverified()
    sources = cycle(ADDRESSES)
    with contextlib.ExitStack() as opened:
        there: list[socket.socket] = []
        for group in groups:
            for source in islice(sources, group.count):
                one = socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(source, 0))
                if group.tls:
                    one = context.wrap_socket(one)
                opened.callback(one.close)
                one.sendall(group.said)
                there.append(one)
        yield there


@contextlib.contextmanager
def dripping(connections: Sequence[socket.socket]) -> Iterator[None]:
    """Each of these says a byte a second while this lasts, one after the other."""
    over = threading.Event()

    def drip() -> None:
        began = time.monotonic()
        for number, one in enumerate(cycle(connections)):
            due = began + number / len(connections)
            if over.wait(max(0.0, due - time.monotonic())):
                return
            with contextlib.suppress(OSError):  # it has been sent away
                one.sendall(b"x")

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def urgent(pid: int) -> Iterator[None]:
    """A process goes before others while this lasts, where we may say so."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, pid, URGENT)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, 0))


def waits(port: int, count: int, asked: bytes, *, tls: bool = False) -> list[float]:
    """How many seconds somebody waits for an answer, on a new connection and at another time each time, sorted."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as aside:
        return aside.submit(_waits, port, count, asked, tls).result()


def _waits(port: int, count: int, asked: bytes, tls: bool) -> list[float]:
    with urgent(os.getpid()):
        return sorted(_wait(port, asked, unverified() if tls else None) for _ in range(count))


def _wait(port: int, asked: bytes, tls: ssl.SSLContext | None) -> float:
    time.sleep(random.random() * PAUSE_SECS)
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
