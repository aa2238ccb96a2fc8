"""A worker that compiles nothing: ``python -m farmkit.fake_worker CONFIG``, with the configuration file of a real one.

It dials the first gateway, and answers each job at once, with the same few bytes, so that hardly more than the
gateway's own time passes. Each place has a thread and a connection that is kept: reading and encrypting are C, and
Python is left with a head for each job. It has as many places as ``capacity.cpus`` says, and goes on until it is
killed.
"""

import secrets
import socket
import ssl
import sys
import tomllib
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from threading import Thread

import attrs

from farmkit.launch import CHECKOUT, PROGRAMS
from farmkit.processes import Command, inherited
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.bincode import decode, encode
from sccachedist.wire.gateway import (
    MOST_TAKEN,
    TAKEN,
    WELCOME,
    WORKER_ANSWER,
    WORKER_HELLO,
    WORKER_JOB,
    WORKER_STATE,
    Built,
    HeadReader,
    Welcome,
    WorkerHello,
    WorkerJob,
    WorkerState,
    head,
)
from sccachedist.wire.messages import RUN_JOB_RESULT, JobComplete, ProcessOutput, RunJobResult
from sccachedist.wire.usage import Usage

#: The most bytes of a job's head: the commands of a benchmark are short.
_MOST_HEAD = 1 << 16
_RESULT: RunJobResult = JobComplete(ProcessOutput(0, b"", b""), ())
_ANSWER = head(WORKER_ANSWER, Built(Usage(exit_code=0))) + encode(RUN_JOB_RESULT, _RESULT)
_END_OF_HEAD = b"\r\n\r\n"


def launch_fake_worker(config: Path) -> Command:
    """Start one, in the place of a real worker."""
    return Command((str(PROGRAMS / "python"), "-m", "farmkit.fake_worker", str(config)), inherited(), CHECKOUT)


@attrs.frozen
class _Gateway:
    """Where the gateway is, and how one speaks with it."""

    server_id: ServerId
    context: ssl.SSLContext
    token: str = attrs.field(repr=False)

    def connect(self) -> "_Connection":
        """A new connection."""
        host = str(self.server_id.host)
        plain = socket.create_connection((host, self.server_id.port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return _Connection(self.context.wrap_socket(plain, server_hostname=host), self.token)


@attrs.frozen
class _Connection:
    """A connection that is kept."""

    socket: ssl.SSLSocket
    token: str = attrs.field(repr=False)

    def ask(self, path: str, body: bytes = b"") -> bytes:
        """Send a request, and return the body of its answer, which has a length."""
        lines = (
            f"POST /api/v1/gateway/{path} HTTP/1.1",
            "Host: gateway",
            f"Authorization: Bearer {self.token}",
            "Content-Type: application/octet-stream",
            f"Content-Length: {len(body)}",
        )
        self.socket.sendall("\r\n".join((*lines, "", "")).encode() + body)
        received = bytearray()
        while (end := received.find(_END_OF_HEAD)) < 0:
            received += self._more()
        said, start = bytes(received[:end]).lower(), end + len(_END_OF_HEAD)
        if said.split(b" ", 2)[1] != b"200":
            raise ConnectionError(f"answered {said!r}")
        length = int(said.partition(b"content-length:")[2].split(b"\r", 1)[0])
        while len(received) < start + length:
            received += self._more()
        return bytes(received[start:])

    def _more(self) -> bytes:
        if not (piece := self.socket.recv(1 << 18)):
            raise ConnectionError("the gateway has closed the connection")
        return piece


def main(config: str) -> None:
    """Dial, and answer jobs."""
    settings = tomllib.loads(Path(config).read_text())
    dialled, cpus = settings["gateway"], settings["capacity"]["cpus"]
    context = ssl.create_default_context(cafile=dialled["certificate_file"])
    gateway = _Gateway(ServerId.parse(dialled["urls"][0].removeprefix("https://")), context, dialled["token"])
    hello = WorkerHello("fake", secrets.randbits(64), cpus, cpus, (), (), "1")
    listening = gateway.connect()
    welcome = decode(WELCOME, listening.ask("hello", encode(WORKER_HELLO, hello)))
    numbers = count(1)
    for _ in range(cpus):
        Thread(target=_serve, args=(gateway, welcome, numbers), daemon=True).start()
    state = encode(WORKER_STATE, WorkerState(cpus, cpus, ()))
    while True:  # there are no orders that it could follow, but a worker that does not ask is lost
        listening.ask(f"orders/{welcome.session}", state)


def _serve(gateway: _Gateway, welcome: Welcome, numbers: Iterator[int]) -> None:
    """Answer one job after the other; with each answer, the next one is asked for."""
    connection = gateway.connect()
    while True:
        given = connection.ask(f"next/{welcome.session}/{next(numbers)}")
        while given:
            reader: HeadReader[WorkerJob] = HeadReader(WORKER_JOB, _MOST_HEAD)
            reader.feed(given)
            ticket, taken = reader.finish().ticket, HeadReader(TAKEN, MOST_TAKEN)
            given = taken.feed(connection.ask(f"answer/{welcome.session}/{ticket}/{next(numbers)}", _ANSWER))


if __name__ == "__main__":
    main(sys.argv[1])
