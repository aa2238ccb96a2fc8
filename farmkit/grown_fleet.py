"""A large farm at full load: ``python -m farmkit.grown_fleet PORT KEY TOKEN SERVERS TOOLCHAINS CLIENTS RATE``.

One process has all build servers and all clients, each at a loopback address of its own. Build servers are of our kind,
keep their connection to the scheduler, and send heartbeats at the published interval. Each has two slots and its part
of the toolchains. A client asks for the next job as soon as it has one, so in the end all slots are taken and all
clients wait. A job goes on for so long that ``RATE`` of them end in a second. Nothing is compiled.

When all slots are taken, the number of jobs that have got one so far is printed, and again after each line of stdin;
the process ends when stdin does.
"""

import asyncio
import os
import ssl
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from random import Random
from typing import Any

import attrs
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from farmkit.fake_server import TAKEN
from farmkit.launch import CHECKOUT
from farmkit.processes import LOOPBACK, allow_most_descriptors, inherited
from sccachedist.outcomes import SERVER_PHASES, Outcome
from sccachedist.server.heartbeat import PUBLISHED_SECS
from sccachedist.wire.abilities import Abilities
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.bincode import decode, encode
from sccachedist.wire.extension import EXTENDED_HEARTBEAT, JOB_STATES, Availability, Health, JobStates, ServerReport
from sccachedist.wire.host_facts import HostFacts
from sccachedist.wire.job_summary import JobSummary, packed
from sccachedist.wire.machines import run_by
from sccachedist.wire.messages import (
    ALLOC_JOB_RESPONSE,
    TOOLCHAIN,
    AllocJobSuccess,
    Heartbeat,
    JobId,
    JobState,
    Toolchain,
)
from sccachedist.wire.tokens import server_token

#: The slots of a build server with one CPU.
SLOTS = 2
#: The port of all build servers.
_PORT = 29_999
#: The networks of build servers and of clients.
_SERVERS, _CLIENTS = 0x7F500000, 0x7F600000
_MACHINE = 62
_random = Random(1)  # noqa: S311 - the same numbers each time
#: The most seconds between two heartbeats, as build servers say: a process that is late with them is no dead farm.
_MOST_SECS = 60
#: Requests that the process has under way at a time while it begins, the most seconds that this may take, and seconds
#: from then until all clients wait.
_AT_ONCE, _BEGIN_SECS, _SETTLING_SECS = 50, 1200.0, 5.0
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    % len(TAKEN)
) + TAKEN
_SUMMARY = packed(
    JobSummary(Outcome.COMPILED, phases_us=(10_000,) * len(SERVER_PHASES), output="obj/lib/a.o", compiler="g++")
)


@contextmanager
def grown_fleet(
    scheduler_port: int, key: bytes, token: str, servers: int, toolchains: int, clients: int, rate: float
) -> Iterator[Callable[[], int]]:
    """Put a scheduler on the loopback under load.

    :param key: of build servers; ``token``: of clients.
    :param clients: how many of them wait.
    :param rate: jobs that end in a second.
    :returns: tells how many jobs have got a slot so far.
    """
    numbers = map(str, (servers, toolchains, clients, rate))
    arguments = [sys.executable, "-m", "farmkit.grown_fleet", str(scheduler_port), key.hex(), token, *numbers]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=inherited(), cwd=CHECKOUT
    ) as process:
        told, said = process.stdin, process.stdout
        assert told is not None
        assert said is not None
        if not said.readline():
            raise RuntimeError("the farm did not come to be")

        def allocated() -> int:
            told.write(b"\n")
            told.flush()
            return int(said.readline())

        try:
            yield allocated
        finally:
            told.close()


def main(scheduler_port: str, key: str, token: str, servers: str, toolchains: str, clients: str, rate: str) -> None:
    """Be the farm until stdin ends."""
    allow_most_descriptors()
    with tempfile.TemporaryDirectory() as folder:
        farm = _Farm(int(scheduler_port), Path(folder), float(rate))
        asyncio.run(farm.run(bytes.fromhex(key), token, int(servers), int(toolchains), int(clients)))


@attrs.define
class _Line:
    """A way to the scheduler, for one request at a time.

    :param is_kept: whether all of them have the same connection: those of a client do not, as with the published one.
    """

    port: int
    address: str
    token: str = attrs.field(repr=False)
    is_kept: bool
    busy: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    _streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, path: str, body: Callable[[], bytes]) -> bytes:
        """The body of the answer.

        :param body: makes the request's, when its turn has come.
        """
        async with self.busy:
            if self._streams is not None:
                with suppress(OSError, asyncio.IncompleteReadError):  # it was idle for too long
                    return await self._ask(path, body(), *self._streams)
                self._streams[1].close()
            self._streams = await asyncio.open_connection(LOOPBACK, self.port, local_addr=(self.address, 0))
            return await self._ask(path, body(), *self._streams)

    async def _ask(self, path: str, octets: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        end = "" if self.is_kept else "Connection: close\r\n"
        head = (
            f"POST /api/v1/scheduler/{path} HTTP/1.1\r\nHost: farm\r\nAccept: */*\r\n"
            f"Authorization: Bearer {self.token}\r\nContent-Type: application/octet-stream\r\n"
            f"Content-Length: {len(octets)}\r\n{end}\r\n"
        )
        writer.write(head.encode() + octets)
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        found = await reader.readexactly(int(answer.partition(b"content-length:")[2].split(b"\r", 1)[0]))
        if not self.is_kept or b"connection: close" in answer:
            writer.close()
            self._streams = None
        if answer.split(b" ", 2)[1] != b"200":
            raise RuntimeError(f"{path} was answered {answer!r} {found!r}")
        return found


@attrs.define
class _Server:
    """A build server."""

    server_id: ServerId
    line: _Line
    heartbeat: Heartbeat
    toolchains: tuple[str, ...]
    jobs: set[JobId] = attrs.field(factory=set)
    _number: int = 0
    _ended: int = 0

    async def beat(self) -> None:
        """Send a heartbeat. The first one says which toolchains there are."""
        await self.line.ask("heartbeat_server", self._beat)

    def _beat(self) -> bytes:
        told, self.toolchains = self.toolchains, ()
        report = ServerReport(
            self._next(),
            _MOST_SECS,
            Availability.OPEN,
            tuple((job_id, JobState.STARTED) for job_id in self.jobs),
            told,
            since=0 if told else 1,
            until=1,
            health=Health(ended=self._ended),
            version="1.0",
            host=HostFacts("build", _MACHINE, 1000 + self._number * 100, 8 << 30, 64 << 30, 9 << 30, 9 << 30),
            abilities=Abilities(machines=run_by(_MACHINE), built_for=(_MACHINE,) * len(told)),
        )
        return encode(EXTENDED_HEARTBEAT, (self.heartbeat, report))

    async def tell(self, job_id: JobId, state: JobState) -> None:
        """Say where a job stands."""
        if state is JobState.COMPLETE:
            self.jobs.remove(job_id)
            self._ended += 1
        else:
            self.jobs.add(job_id)
        await self.line.ask("job_states", lambda: self._states(job_id, state))

    def _states(self, job_id: JobId, state: JobState) -> bytes:
        summaries = ((job_id, _SUMMARY),) if state is JobState.COMPLETE else ()
        return encode(JOB_STATES, JobStates(self.heartbeat.server_nonce, self._next(), ((job_id, state),), summaries))

    def _next(self) -> int:
        self._number += 1
        return self._number


class _Farm:
    """All of it."""

    def __init__(self, scheduler_port: int, folder: Path, rate: float) -> None:
        self._port, self._folder, self._rate = scheduler_port, folder, rate
        self._key = generate_private_key(SECP256R1())
        self._servers: dict[ServerId, _Server] = {}
        self._certificates: dict[str, bytes] = {}
        self._allocated = 0
        self._is_full, self._few = asyncio.Event(), asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, key: bytes, token: str, servers: int, toolchains: int, clients: int) -> None:
        """Be it until stdin ends."""
        asked = await asyncio.start_server(self._take, "0.0.0.0", _PORT, backlog=4096)  # noqa: S104 - all of loopback
        for number in range(servers):
            server = self._server(number, key, tuple(f"{each:064x}" for each in range(number, toolchains, servers)))
            self._servers[server.server_id] = server
        async with asyncio.timeout(_BEGIN_SECS):
            await asyncio.gather(*(self._join(server) for server in self._servers.values()))
            for server in self._servers.values():
                self._go_on(self._beat(server))
            for number in range(clients):
                self._go_on(self._compile(number, token, toolchains, SLOTS * servers))
            await self._is_full.wait()
        await asyncio.sleep(_SETTLING_SECS)
        while True:
            sys.stdout.write(f"{self._allocated}\n")
            sys.stdout.flush()
            if not await asyncio.to_thread(sys.stdin.readline):
                asked.close()
                return

    def _go_on(self, work: Coroutine[Any, Any, None]) -> None:
        """Do work beside all other. If it fails, so does the process."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            traceback.print_exception(error)
            os._exit(1)

    # -- build servers --

    def _server(self, number: int, key: bytes, toolchains: tuple[str, ...]) -> _Server:
        server_id = ServerId(IPv4Address(_SERVERS + number), _PORT)
        certificate = _certificate(self._key, server_id)
        pem = self._certificates[str(server_id.host)] = certificate.public_bytes(Encoding.PEM)
        job_key = number.to_bytes(32, "little")
        heartbeat = Heartbeat(job_key, 1, number, certificate.fingerprint(SHA256()), pem)
        line = _Line(self._port, str(server_id.host), server_token(key, server_id), is_kept=True)
        return _Server(server_id, line, heartbeat, toolchains)

    async def _join(self, server: _Server) -> None:
        async with self._few:
            await server.beat()

    @staticmethod
    async def _beat(server: _Server) -> None:
        await asyncio.sleep(_random.uniform(0, PUBLISHED_SECS))
        while True:
            await server.beat()
            await asyncio.sleep(PUBLISHED_SECS)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a job: a build server is asked for the first one only."""
        address = writer.get_extra_info("sockname")[0]
        chain = self._folder / address
        chain.write_bytes(self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        with chain.open("ab") as file:
            file.write(self._certificates[address])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        with suppress(OSError, asyncio.IncompleteReadError):
            await writer.start_tls(context)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r", 1)[0]))
            writer.write(_ANSWER)
        writer.close()

    # -- clients --

    async def _compile(self, number: int, token: str, toolchains: int, slots: int) -> None:
        """Be a client: ask for one job after the other, and do not wait until it is done."""
        line = _Line(self._port, str(IPv4Address(_CLIENTS + number)), token, is_kept=False)
        usual_secs = slots / self._rate
        while True:
            body = encode(TOOLCHAIN, Toolchain(f"{_random.randrange(toolchains):064x}"))
            async with self._few:
                octets = None if self._is_full.is_set() else await line.ask("alloc_job", partial(bytes, body))
            answer = decode(ALLOC_JOB_RESPONSE, octets or await line.ask("alloc_job", partial(bytes, body)))
            if not isinstance(answer, AllocJobSuccess):  # it would compile that itself
                await asyncio.sleep(1.0)
                continue
            self._allocated += 1
            secs = usual_secs * _random.uniform(0.75, 1.25)
            if self._allocated <= slots:  # as if it had begun some time ago
                secs *= _random.random()
            self._go_on(self._run(answer, secs))
            if self._allocated == slots:
                self._is_full.set()

    async def _run(self, answer: AllocJobSuccess, secs: float) -> None:
        server, job_id = self._servers[answer.job_alloc.server_id], answer.job_alloc.job_id
        await server.tell(job_id, JobState.STARTED)
        await self._is_full.wait()
        await asyncio.sleep(secs)
        await server.tell(job_id, JobState.COMPLETE)


def _certificate(key: EllipticCurvePrivateKey, server_id: ServerId) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(server_id))])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(subject_name=name, issuer_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(server_id.host)]), critical=False)
        .sign(key, SHA256())
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
