"""Build servers that only accept jobs: ``python -m farmkit.fake_fleet SCHEDULER_PORT KEY COUNT KIND``.

One process listens on one port per server, all at the same loopback address, and sends their heartbeats from that
address, as a scheduler demands. Servers of the kind ``published`` send what published build servers send. Those of the
kind ``ours`` add what our build servers add; then the first few hold the toolchain that jobs need. Each ``assign_job``
is answered with Ready, on a connection that is kept if the caller wants that, as published build servers do. A line is
printed when all servers are registered; the process ends when stdin does.

No job is ever run, but those of the kind ``busy`` say that they do: they all hold the toolchain, send heartbeats again
and again in which much changes, take the jobs that stdin names, and end them after a while.
"""

import secrets
import selectors
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from threading import Thread

import attrs

from farmkit.fake_server import TAKEN, tls_of
from farmkit.launch import CHECKOUT
from farmkit.processes import LOOPBACK, inherited
from farmkit.raw_client import RawClient
from sccachedist.outcomes import SERVER_PHASES, Outcome
from sccachedist.server.identity import Identity, load_identity
from sccachedist.wire.abilities import Abilities
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.bincode import encode
from sccachedist.wire.extension import EXTENDED_HEARTBEAT, JOB_STATES, Availability, Health, JobStates, ServerReport
from sccachedist.wire.host_facts import HostFacts
from sccachedist.wire.job_summary import JobSummary, packed
from sccachedist.wire.machines import run_by
from sccachedist.wire.messages import Heartbeat, JobAlloc, JobId, JobState
from sccachedist.wire.tokens import server_token

#: The CPUs that each server claims, so that no benchmark finds it full.
CPUS = 4000
#: The port of the first server; the others follow it.
FIRST_PORT = 30_000
#: The toolchain of all jobs, and how many servers of the kind ``ours`` hold it.
TOOLCHAIN = ArchiveId("ab" * 32)
_HOLDERS = 8
_BACKLOG = 64
_MACHINE = 62
_HEARTBEAT_SECS = 3600  # a benchmark is over by then
#: Seconds between two heartbeats of a busy server, and for how many of them a job goes on.
BUSY_SECS, JOB_HEARTBEATS = 5, 4
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % len(TAKEN)
) + TAKEN


@contextmanager
def fake_servers(scheduler_port: int, key: bytes, count: int, kind: str) -> Iterator[Callable[[JobAlloc], None]]:
    """Run ``count`` build servers, registered with a scheduler on the loopback.

    :returns: tells busy ones of a job that they have got.
    """
    arguments = [sys.executable, "-m", "farmkit.fake_fleet", str(scheduler_port), key.hex(), str(count), kind]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=inherited(), cwd=CHECKOUT
    ) as process:
        told = process.stdin
        assert told is not None
        assert process.stdout is not None
        if not process.stdout.readline():
            raise RuntimeError("the build servers could not be registered")

        def take(job: JobAlloc) -> None:
            told.write(b"%d %d\n" % (job.server_id.port, job.job_id))
            told.flush()

        try:
            yield take
        finally:
            told.close()


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
        scheduler = ServerId.parse(f"{LOOPBACK}:{scheduler_port}")
        fleet = [
            _Server(
                RawClient(scheduler, "", str(server.host), strict=True),
                server_token(bytes.fromhex(key), server),
                _heartbeat(identity),
            )
            for server, identity in zip(servers, identities, strict=True)
        ]
        for number, server in enumerate(fleet):
            server.register(kind, number)
        sys.stdout.write("registered\n")
        sys.stdout.flush()
        if kind == "busy":
            Thread(target=_work, args=(fleet,), daemon=True).start()
        for line in sys.stdin:
            port, job_id = map(int, line.split())
            fleet[port - FIRST_PORT].jobs[JobId(job_id)] = 0


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


def _heartbeat(identity: Identity) -> Heartbeat:
    return Heartbeat(
        jwt_key=identity.job_key,
        num_cpus=CPUS,
        server_nonce=secrets.randbits(64),
        cert_digest=identity.certificate_digest,
        cert_pem=identity.certificate_pem,
    )


@attrs.define
class _Server:
    """What one build server says.

    :param jobs: those that it has, and how many of its heartbeats have named each.
    """

    client: RawClient
    token: str
    heartbeat: Heartbeat
    jobs: dict[JobId, int] = attrs.field(factory=dict)
    _number: int = 0
    _ended: int = 0

    def register(self, kind: str, number: int) -> None:
        """Send the first heartbeat."""
        if kind == "busy":
            self.go_on()
            return
        toolchains = (TOOLCHAIN,) if number < _HOLDERS else ()
        report = ServerReport(0, _HEARTBEAT_SECS, Availability.OPEN, (), toolchains)
        self._tell("heartbeat_server", encode(EXTENDED_HEARTBEAT, (self.heartbeat, report if kind == "ours" else None)))

    def go_on(self) -> None:
        """Let jobs end that are old enough, and send a heartbeat in which all numbers of the host are others."""
        jobs = dict(self.jobs)  # stdin may bring more meanwhile
        ended = [job_id for job_id, named in jobs.items() if named >= JOB_HEARTBEATS]
        nonce = self.heartbeat.server_nonce
        if ended:
            self._number += 1
            states = tuple((job_id, JobState.COMPLETE) for job_id in ended)
            summaries = tuple((job_id, _summary(job_id)) for job_id in ended)
            self._tell("job_states", encode(JOB_STATES, JobStates(nonce, self._number, states, summaries)))
            self._ended += len(ended)
        for job_id in ended:
            del self.jobs[job_id], jobs[job_id]
        for job_id in jobs:
            self.jobs[job_id] += 1
        self._number += 1
        report = ServerReport(
            self._number,
            BUSY_SECS,
            Availability.OPEN,
            tuple((job_id, JobState.STARTED) for job_id in jobs),
            (TOOLCHAIN,),
            health=Health(ended=self._ended),
            version="1.0",
            host=_host_facts(self._number),
            abilities=Abilities(machines=run_by(_MACHINE), built_for=(_MACHINE,)),
        )
        self._tell("heartbeat_server", encode(EXTENDED_HEARTBEAT, (self.heartbeat, report)))

    def _tell(self, path: str, body: bytes) -> None:
        self.client.ask(path, body, self.token)


def _summary(job_id: JobId) -> bytes:
    phases = (10_000,) * len(SERVER_PHASES)
    return packed(JobSummary(Outcome.COMPILED, phases_us=phases, output=f"obj/lib/a{job_id}.o", compiler="g++"))


def _host_facts(number: int) -> HostFacts:
    gib = 1 << 30
    free = (8 + number % 50) * gib
    return HostFacts("build", _MACHINE, 1000 + number * 100, free, 64 * gib, free, free)


def _work(fleet: list[_Server]) -> None:
    """Send one heartbeat after the other, each of them when it is due."""
    due = time.monotonic()
    while True:
        for server in fleet:
            time.sleep(max(0.0, due - time.monotonic()))
            due += BUSY_SECS / len(fleet)
            server.go_on()


if __name__ == "__main__":
    main(*sys.argv[1:])
