"""An attacker who has what any client has: the scheduler's address and a client token. The daemons may be anybody's.

It says whatever it likes, keeps what it is answered, and believes every certificate.
"""

import ssl
from collections.abc import Iterable
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path

import attrs

from sccachedist.wire.addresses import ServerId
from sccachedist.wire.bincode import Codec, T, decode, encode
from sccachedist.wire.messages import (
    ALLOC_JOB_RESPONSE,
    TOOLCHAIN,
    AllocJobFail,
    AllocJobSuccess,
    JobAlloc,
    RunJobRequest,
    Toolchain,
)
from sccachedist.wire.run_job_frame import frame

OCTETS = {"Content-Type": "application/octet-stream"}
_SECS = 120


@attrs.frozen
class Said:
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
    """TLS with whoever answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@attrs.frozen
class Attacker:
    """Asks what it likes, one request a connection.

    :param address: where it sends from.
    """

    scheduler: ServerId
    client_token: str = attrs.field(repr=False)
    address: str = "127.0.0.1"

    def connect(self, server: ServerId | None = None) -> HTTPConnection:
        """A connection to a build server, or to the scheduler."""
        source = (self.address, 0)
        if server is None:
            return HTTPConnection(str(self.scheduler.host), self.scheduler.port, _SECS, source)
        return HTTPSConnection(
            str(server.host), server.port, timeout=_SECS, source_address=source, context=unverified()
        )

    def ask(
        self,
        path: str,
        body: bytes | Iterable[bytes] = b"",
        token: str = "",
        *,
        server: ServerId | None = None,
        method: str = "POST",
        **headers: str,
    ) -> Said:
        """One request, to a build server or to the scheduler, and what comes of it."""
        connection = self.connect(server)
        role = "scheduler" if server is None else "distserver"
        given = {**OCTETS, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if token:
            given["Authorization"] = f"Bearer {token}"
        try:
            connection.request(method, f"/api/v1/{role}/{path}", body, given)
            answer = connection.getresponse()
            return Said(answer.status, answer.read())
        except (HTTPException, OSError):
            return Said(0)
        finally:
            connection.close()

    def alloc(self, archive_id: str) -> AllocJobSuccess | AllocJobFail | Said:
        """A slot, with whatever archive id."""
        said = self.ask("alloc_job", encode(TOOLCHAIN, Toolchain(archive_id)), self.client_token)
        return said if said.status != 200 else said.message(ALLOC_JOB_RESPONSE)

    def slot(self, archive_id: str) -> AllocJobSuccess:
        """A slot that has to be there."""
        allocated = self.alloc(archive_id)
        assert isinstance(allocated, AllocJobSuccess), allocated
        return allocated

    def submit(self, job: JobAlloc, archive: bytes) -> Said:
        """An upload for a job, in chunks."""
        pieces = (archive[start : start + (1 << 16)] for start in range(0, len(archive), 1 << 16))
        return self.ask(f"submit_toolchain/{job.job_id}", pieces, job.auth, server=job.server_id)

    def assign(self, job: JobAlloc, archive_id: str) -> Said:
        """What only a scheduler should ask."""
        body = encode(TOOLCHAIN, Toolchain(archive_id))
        return self.ask(f"assign_job/{job.job_id}", body, job.auth, server=job.server_id)

    def run(self, job: JobAlloc, request: RunJobRequest, inputs: bytes) -> Said:
        """A job with whatever it shall do."""
        return self.ask(f"run_job/{job.job_id}", frame(request, inputs), job.auth, server=job.server_id)

    def ready(self, archive: Path, archive_id: str) -> JobAlloc:
        """A job whose toolchain is there."""
        allocated = self.slot(archive_id)
        if allocated.need_toolchain:
            assert self.submit(allocated.job_alloc, archive.read_bytes()).body == b"\0\0\0\0"
        return allocated.job_alloc

    def alive(self) -> bool:
        """Whether the scheduler still says how the farm is."""
        return self.ask("status", method="GET").status == 200
