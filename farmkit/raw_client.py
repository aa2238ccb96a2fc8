"""The requests of a compile, one at a time and with bodies of any size, from a client that is strict or rude.

A strict client sends what the published one sends, and takes only what that would take. A rude client says whatever it
likes and keeps what it is answered: an attacker who has what any client has. The daemons may be anybody's.

Load to be measured comes from :mod:`farmkit.load_client`, which spends less on each request.
"""

import ssl
from collections.abc import Iterable, Iterator
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from itertools import chain
from pathlib import Path
from typing import Self

import attrs

from farmkit.farm import Farm
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.bincode import Codec, T, decode, encode
from sccachedist.wire.messages import (
    ALLOC_JOB_RESPONSE,
    RUN_JOB_RESULT,
    SERVER_CERTIFICATE,
    SUBMIT_TOOLCHAIN_RESULT,
    TOOLCHAIN,
    AllocJobFail,
    AllocJobSuccess,
    JobAlloc,
    RunJobRequest,
    RunJobResult,
    SubmitToolchainResult,
    Toolchain,
)
from sccachedist.wire.run_job_frame import frame

OCTETS = {"Content-Type": "application/octet-stream"}
_PIECE = 1 << 16
_SECS = 120


@attrs.frozen
class Reply:
    """An answer; status 0 where there was none."""

    status: int
    body: bytes = b""

    def message(self, codec: Codec[T]) -> T:
        """The message that it holds."""
        assert self.status == 200, self
        return decode(codec, self.body)

    def __str__(self) -> str:
        return f"{self.status or 'no answer'} {self.body[:160]!r}"


def unverified() -> ssl.SSLContext:
    """TLS that believes every certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@attrs.frozen
class RawClient:
    """A client of one scheduler and its build servers; each request has a connection of its own.

    :param address: where it sends from.
    :param strict: whether a build server has to show the certificate that the scheduler hands out, and every answer has
        to be there whole, with status 200. A rude client believes every certificate, and gives whatever comes.
    """

    scheduler: ServerId
    client_token: str = attrs.field(repr=False)
    address: str = "127.0.0.1"
    strict: bool = False

    @classmethod
    def of(cls, farm: Farm, *, strict: bool) -> Self:
        """A client of this farm."""
        scheduler = ServerId.parse(f"{farm.scheduler_host}:{farm.scheduler_port}")
        return cls(scheduler, farm.client_token, strict=strict)

    def connect(self, server: ServerId | None = None) -> HTTPConnection:
        """A connection to a build server, or to the scheduler."""
        source = (self.address, 0)
        if server is None:
            return HTTPConnection(str(self.scheduler.host), self.scheduler.port, _SECS, source)
        context = ssl.create_default_context(cadata=self.certificate(server)) if self.strict else unverified()
        return HTTPSConnection(str(server.host), server.port, timeout=_SECS, source_address=source, context=context)

    def ask(
        self,
        path: str,
        body: bytes | Iterable[bytes] = b"",
        token: str = "",
        *,
        server: ServerId | None = None,
        method: str = "POST",
        **headers: str,
    ) -> Reply:
        """One request, to a build server or to the scheduler, and what comes of it.

        A body that is no bytes goes in chunks, unless its length is among the headers.

        :raises OSError, http.client.HTTPException: there was no answer, and the client is strict.
        """
        role = "scheduler" if server is None else "distserver"
        given = {**OCTETS, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if token:
            given["Authorization"] = f"Bearer {token}"
        if self.strict:
            given["Connection"] = "close"
        connection = self.connect(server)
        try:
            connection.request(method, f"/api/v1/{role}/{path}", body, given)
            answer = connection.getresponse()
            reply = Reply(answer.status, answer.read())
        except (HTTPException, OSError):
            if self.strict:
                raise
            return Reply(0)
        finally:
            connection.close()
        assert not self.strict or reply.status == 200, reply
        return reply

    def alloc(self, archive_id: str) -> AllocJobSuccess | AllocJobFail | Reply:
        """A slot, with whatever archive id."""
        reply = self.ask("alloc_job", encode(TOOLCHAIN, Toolchain(archive_id)), self.client_token)
        return reply if reply.status != 200 else reply.message(ALLOC_JOB_RESPONSE)

    def slot(self, archive_id: str) -> AllocJobSuccess:
        """A slot that has to be there."""
        allocated = self.alloc(archive_id)
        assert isinstance(allocated, AllocJobSuccess), allocated
        return allocated

    def certificate(self, server: ServerId) -> str:
        """The certificate that the scheduler has of a build server, in PEM form."""
        reply = self.ask(f"server_certificate/{server}", method="GET")
        return reply.message(SERVER_CERTIFICATE).cert_pem.decode()

    def submit(self, job: JobAlloc, archive: bytes | Path) -> Reply:
        """An upload for a job, in chunks."""
        return self.ask(f"submit_toolchain/{job.job_id}", _pieces(archive), job.auth, server=job.server_id)

    def assign(self, job: JobAlloc, archive_id: str) -> Reply:
        """What only a scheduler should ask."""
        body = encode(TOOLCHAIN, Toolchain(archive_id))
        return self.ask(f"assign_job/{job.job_id}", body, job.auth, server=job.server_id)

    def run(self, job: JobAlloc, request: RunJobRequest, inputs: bytes | Path) -> Reply:
        """A job with whatever it shall do."""
        path, server = f"run_job/{job.job_id}", job.server_id
        if isinstance(inputs, bytes):
            return self.ask(path, frame(request, inputs), job.auth, server=server)
        command = frame(request, b"")
        length = str(len(command) + inputs.stat().st_size)
        return self.ask(path, chain([command], _pieces(inputs)), job.auth, server=server, Content_Length=length)

    def submit_toolchain(self, job: JobAlloc, archive: bytes | Path) -> SubmitToolchainResult:
        """An upload that has to be answered, and what became of it."""
        return self.submit(job, archive).message(SUBMIT_TOOLCHAIN_RESULT)

    def run_job(self, job: JobAlloc, request: RunJobRequest, inputs: bytes | Path) -> RunJobResult:
        """A job that has to be answered, and its result."""
        return self.run(job, request, inputs).message(RUN_JOB_RESULT)

    def ready(self, archive: Path, archive_id: str) -> JobAlloc:
        """A job whose toolchain is there."""
        allocated = self.slot(archive_id)
        if allocated.need_toolchain:
            assert self.submit_toolchain(allocated.job_alloc, archive) is SubmitToolchainResult.SUCCESS
        return allocated.job_alloc

    def alive(self) -> bool:
        """Whether the scheduler still says how the farm is."""
        return self.ask("status", method="GET").status == 200


def _pieces(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield from (content[start : start + _PIECE] for start in range(0, len(content), _PIECE))
        return
    with content.open("rb") as source:
        while piece := source.read(_PIECE):
            yield piece
