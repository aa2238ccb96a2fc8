"""Build servers that only accept jobs: ``python -m farmkit.fake_fleet SCHEDULER_PORT KEY COUNT KIND``.

One process listens on one port per server, all at the same loopback address, and sends their heartbeats from that
address, as a scheduler demands. Servers of the kind ``published`` send what published build servers send. Those of the
kind ``ours`` add what our build servers add; then the first few hold the toolchain that jobs need. Each ``assign_job``
is answered with Ready, on a connection that is kept if the caller wants that, as published build servers do. No job is
ever run. A line is printed when all servers are registered; the process ends when stdin does.
"""

import secrets
import selectors
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from threading import Thread

from farmkit.fake_server import TAKEN, tls_of
from farmkit.launch import CHECKOUT
from farmkit.processes import LOOPBACK, inherited
from farmkit.raw_client import RawClient
from sccachedist.server.identity import Identity, load_identity
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.bincode import encode
from sccachedist.wire.extension import EXTENDED_HEARTBEAT, Availability, ServerReport
from sccachedist.wire.messages import Heartbeat
from sccachedist.wire.tokens import server_token

#: The CPUs that each server claims, so that no benchmark finds it full.
CPUS = 4000
#: The port of the first server; the others follow it.
FIRST_PORT = 30_000
#: The toolchain of all jobs, and how many servers of the kind ``ours`` hold it.
TOOLCHAIN = ArchiveId("ab" * 32)
_HOLDERS = 8
_BACKLOG = 64
_HEARTBEAT_SECS = 3600  # a benchmark is over by then
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % len(TAKEN)
) + TAKEN


@contextmanager
def fake_servers(scheduler_port: int, key: bytes, count: int, kind: str) -> Iterator[None]:
    """Run ``count`` build servers, registered with a scheduler on the loopback."""
    arguments = [sys.executable, "-m", "farmkit.fake_fleet", str(scheduler_port), key.hex(), str(count), kind]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=inherited(), cwd=CHECKOUT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        if not process.stdout.readline():
            raise RuntimeError("the build servers could not be registered")
        try:
            yield
        finally:
            process.stdin.close()


def main(scheduler_port: str, key: str, count: str, kind: str) -> None:
    """Listen, register, print a line, and serve until stdin ends."""
    with tempfile.TemporaryDirectory() as folder:
        servers = [ServerId.parse(f"{_host(scheduler_port)}:{FIRST_PORT + n}") for n in range(int(count))]
        places = [Path(folder, str(server.port)) for server in servers]
        now = datetime.now(UTC)
        identities = [
            load_identity(place, server, now, lambda _: None) for place, server in zip(places, servers, strict=True)
        ]

        @cache
        def context(port: int) -> ssl.SSLContext:
            number = port - FIRST_PORT
            return tls_of(identities[number], places[number])

        Thread(target=_serve, args=(_listening(servers), context), daemon=True).start()
        for number, server in enumerate(servers):
            report, identity = _report(number) if kind == "ours" else None, identities[number]
            _register(int(scheduler_port), server_token(bytes.fromhex(key), server), str(server.host), identity, report)
        sys.stdout.write("registered\n")
        sys.stdout.flush()
        sys.stdin.read()


def _host(scheduler_port: str) -> str:
    """A loopback address for the build servers of one scheduler, at which nothing else listens."""
    return f"127.77.{int(scheduler_port) >> 8}.{int(scheduler_port) & 255}"


def _listening(servers: list[ServerId]) -> list[socket.socket]:
    return [socket.create_server((str(server.host), server.port), backlog=_BACKLOG) for server in servers]


def _serve(listening: list[socket.socket], context: Callable[[int], ssl.SSLContext]) -> None:
    with selectors.DefaultSelector() as selector:
        for listener in listening:
            selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                connection, _ = key.fileobj.accept()  # type: ignore[union-attr]
                own = context(connection.getsockname()[1])
                Thread(target=_take_jobs, args=(connection, own), daemon=True).start()


def _take_jobs(plain: socket.socket, context: ssl.SSLContext) -> None:
    """Answer each request. It is small: its head and its body come together, or one after the other."""
    try:
        with context.wrap_socket(plain, server_side=True) as connection:
            received = b""
            while piece := connection.recv(1 << 16):
                received += piece
                if _whole(received):
                    connection.sendall(_ANSWER)
                    if b"connection: close" in received.lower():
                        return
                    received = b""
    except OSError:
        pass


def _whole(received: bytes) -> bool:
    head, end, body = received.partition(b"\r\n\r\n")
    return bool(end) and len(body) >= int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])


def _report(number: int) -> ServerReport:
    toolchains = (TOOLCHAIN,) if number < _HOLDERS else ()
    return ServerReport(0, _HEARTBEAT_SECS, Availability.OPEN, (), toolchains)


def _register(scheduler_port: int, token: str, host: str, identity: Identity, report: ServerReport | None) -> None:
    heartbeat = Heartbeat(
        jwt_key=identity.job_key,
        num_cpus=CPUS,
        server_nonce=secrets.randbits(64),
        cert_digest=identity.certificate_digest,
        cert_pem=identity.certificate_pem,
    )
    client = RawClient(ServerId.parse(f"{LOOPBACK}:{scheduler_port}"), "", host, strict=True)
    client.ask("heartbeat_server", encode(EXTENDED_HEARTBEAT, (heartbeat, report)), token)


if __name__ == "__main__":
    main(*sys.argv[1:])
