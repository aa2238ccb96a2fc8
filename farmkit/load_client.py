"""The load: the requests of one compile on fresh connections, as a client sends them, with as little work as possible.

A small request is one write, a large one a single pass over a file. That is why this is no
:class:`farmkit.raw_client.RawClient`: a measurement would contain what ``http.client`` adds to each request.
This module does not know how many clients run at a time, nor what happens to their times.
"""

import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import attrs

from farmkit.farm import Farm
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.bincode import Codec, decode, encode
from sccachedist.wire.messages import (
    ALLOC_JOB_RESPONSE,
    RUN_JOB_RESULT,
    SCHEDULER_STATUS,
    SERVER_CERTIFICATE,
    SUBMIT_TOOLCHAIN_RESULT,
    TOOLCHAIN,
    AllocJobFail,
    AllocJobSuccess,
    JobComplete,
    RunJobRequest,
    SchedulerStatus,
    SubmitToolchainResult,
    Toolchain,
)
from sccachedist.wire.run_job_frame import frame

T = TypeVar("T")

#: The most seconds that a request may take.
ANSWER_SECS = 300.0
#: Seconds until a client asks again after the scheduler has said that there is no capacity.
RETRY_SECS = 0.02

_CHUNK = 8 * 1024  # bytes of a chunk, as the published client cuts a body
_PIECE = 64 * 1024  # bytes for one write to the network
_HEAD_END = b"\r\n\r\n"


class LoadError(Exception):
    """A daemon did not do what was asked."""


@attrs.define
class LoadClient:
    """A client of one farm; many threads may use it at a time."""

    scheduler: tuple[str, int]
    token: str = attrs.field(repr=False)
    _contexts: dict[bytes, ssl.SSLContext] = attrs.field(factory=dict, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    @classmethod
    def of(cls, farm: Farm) -> "LoadClient":
        """A client of this farm."""
        return cls((farm.scheduler_host, farm.scheduler_port), farm.client_token)

    def alloc(self, toolchain: ArchiveId) -> AllocJobSuccess:
        """A slot for a job. Asks until there is one.

        :raises LoadError: there is none within ``ANSWER_SECS``.
        """
        end = time.monotonic() + ANSWER_SECS
        while isinstance(answer := self.try_alloc(toolchain), AllocJobFail):
            if time.monotonic() > end:
                raise LoadError(f"no slot within {ANSWER_SECS:.0f} s: {answer.msg}")
            time.sleep(RETRY_SECS)
        return answer

    def try_alloc(self, toolchain: ArchiveId) -> AllocJobSuccess | AllocJobFail:
        """A slot for a job, or why there is none."""
        return self._ask(ALLOC_JOB_RESPONSE, self.alloc_request(toolchain))

    def alloc_request(self, toolchain: ArchiveId) -> bytes:
        """The request for a slot."""
        return _request("POST", "alloc_job", self.token, encode(TOOLCHAIN, Toolchain(toolchain)))

    def status(self) -> SchedulerStatus:
        """The scheduler's status of the farm."""
        return self._ask(SCHEDULER_STATUS, _request("GET", "status", self.token))

    def submit(self, allocated: AllocJobSuccess, archive: Path) -> SubmitToolchainResult:
        """Upload a toolchain, in chunks."""
        job = allocated.job_alloc
        head = _head_begin("POST", f"distserver/submit_toolchain/{job.job_id}", job.auth)
        head += _head_end("Transfer-Encoding: chunked")
        return decode(SUBMIT_TOOLCHAIN_RESULT, self._tell(allocated, head, _chunks(archive)))

    def run(self, allocated: AllocJobSuccess, request: RunJobRequest, inputs: Path) -> JobComplete:
        """Run a job to its end.

        :raises LoadError: the job failed.
        """
        job, command = allocated.job_alloc, frame(request, b"")
        size = len(command) + inputs.stat().st_size
        head = _head_begin("POST", f"distserver/run_job/{job.job_id}", job.auth) + run_head_end(size)
        result = decode(RUN_JOB_RESULT, self._tell(allocated, head + command, _pieces(inputs)))
        if not isinstance(result, JobComplete) or result.output.code:
            raise LoadError(f"a job failed: {result}")
        return result

    def compile(self, toolchain: ArchiveId, request: RunJobRequest, inputs: Path) -> JobComplete:
        """Make all requests of a compile whose toolchain is already there."""
        return self.run(self.alloc(toolchain), request, inputs)

    def first_compile(self, archive: Path, toolchain: ArchiveId, request: RunJobRequest, inputs: Path) -> float:
        """Make all requests of a compile; upload its toolchain if that is asked for.

        :returns: the seconds from the allocation to the result.
        """
        allocated = self.alloc(toolchain)
        began = time.perf_counter()
        if allocated.need_toolchain and self.submit(allocated, archive) is not SubmitToolchainResult.SUCCESS:
            raise LoadError("a toolchain was not taken")
        self.run(allocated, request, inputs)
        return time.perf_counter() - began

    def certificate(self, server: ServerId) -> str:
        """The certificate of a build server, in PEM form."""
        request = _request("GET", f"server_certificate/{server}", self.token)
        return self._ask(SERVER_CERTIFICATE, request).cert_pem.decode()

    def _ask(self, codec: Codec[T], request: bytes) -> T:
        with closing(_connected(self.scheduler)) as connection:
            connection.sendall(request)
            return decode(codec, _answer(connection))

    def _tell(self, allocated: AllocJobSuccess, head: bytes, body: Iterable[bytes]) -> bytes:
        server, context = allocated.job_alloc.server_id, self._context(allocated)
        with (
            closing(_connected((str(server.host), server.port))) as plain,
            context.wrap_socket(plain, server_hostname=str(server.host)) as connection,
        ):
            connection.sendall(head)
            for piece in body:
                connection.sendall(piece)
            return _answer(connection)

    def _context(self, allocated: AllocJobSuccess) -> ssl.SSLContext:
        with self._lock:
            if allocated.cert_digest not in self._contexts:
                pem = self.certificate(allocated.job_alloc.server_id)
                self._contexts[allocated.cert_digest] = ssl.create_default_context(cadata=pem)
            return self._contexts[allocated.cert_digest]


def run_head_end(size: int) -> bytes:
    """The end of the head of a request to run a job, behind the lines that name the job and its token.

    :param size: of the body.
    """
    return _head_end("Content-Type: application/octet-stream", f"Content-Length: {size}")


def _request(method: str, path: str, token: str, body: bytes = b"") -> bytes:
    more = ("Content-Type: application/octet-stream", f"Content-Length: {len(body)}") if body else ()
    return _head_begin(method, f"scheduler/{path}", token) + _head_end(*more) + body


def _head_begin(method: str, path: str, token: str) -> bytes:
    return f"{method} /api/v1/{path} HTTP/1.1\r\nAuthorization: Bearer {token}\r\n".encode()


def _head_end(*more: str) -> bytes:
    return "\r\n".join(("Connection: close", "Accept: */*", "Host: farm", *more, "", "")).encode()


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb", buffering=0) as source:
        while piece := source.read(_PIECE):
            yield piece


def _chunks(file: Path) -> Iterator[bytes]:
    for piece in _pieces(file):
        framed: list[bytes] = []
        for at in range(0, len(piece), _CHUNK):
            chunk = piece[at : at + _CHUNK]
            framed += (b"%X\r\n" % len(chunk), chunk, b"\r\n")
        yield b"".join(framed)
    yield b"0\r\n\r\n"


def _connected(address: tuple[str, int]) -> socket.socket:
    connection = socket.create_connection(address, timeout=ANSWER_SECS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _answer(connection: socket.socket) -> bytes:
    """The body of a 200 answer, with a length or in chunks."""
    received = bytearray()
    while (end := received.find(_HEAD_END)) < 0:
        received += _more(connection)
    head, body = bytes(received[:end]).lower(), received[end + len(_HEAD_END) :]
    if head.split(b" ", 2)[1] != b"200":
        raise LoadError(f"answered {head!r}")
    if b"transfer-encoding: chunked" in head:
        return _joined(connection, body)
    length = int(head.partition(b"content-length:")[2].split(b"\r", 1)[0])
    while len(body) < length:
        body += _more(connection)
    return bytes(body)


def _joined(connection: socket.socket, received: bytearray) -> bytes:
    """The content of a chunked body. It is complete when it ends with an empty chunk, because nothing follows that."""
    while not received.endswith(b"0\r\n\r\n"):
        received += _more(connection)
    chunks, at = [], 0
    while size := int(received[at : (start := received.index(b"\r\n", at) + 2)], 16):
        chunks.append(bytes(received[start : start + size]))
        at = start + size + 2
    return b"".join(chunks)


def _more(connection: socket.socket) -> bytes:
    piece = connection.recv(1 << 18)
    if not piece:
        raise LoadError("the connection ended within an answer")
    return piece
