"""A client in steps: the requests of the published one, one at a time, with bodies of any size.

It streams what it sends, and checks the build server's certificate against the one that the scheduler hands out.
"""

import json
import ssl
from collections.abc import Iterable, Iterator
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import TypeVar

import attrs

from demo.farm import Farm
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.bincode import Codec, decode, encode
from sccachedist.wire.frame import frame
from sccachedist.wire.messages import (
    ALLOC_JOB_RESPONSE,
    RUN_JOB_RESULT,
    SUBMIT_TOOLCHAIN_RESULT,
    TOOLCHAIN,
    AllocJobSuccess,
    CompileCommand,
    JobAlloc,
    RunJobRequest,
    RunJobResult,
    SubmitToolchainResult,
    Toolchain,
)

T = TypeVar("T")

_OCTETS = "application/octet-stream"
_PIECE = 1 << 16
_SECS = 120


@attrs.frozen
class Answer:
    """What came back: a status and a body."""

    status: int
    body: bytes

    def message(self, codec: Codec[T]) -> T:
        """The message in a body that says success."""
        assert self.status == 200, (self.status, self.body)
        return decode(codec, self.body)


def shell(script: str, *outputs: str) -> RunJobRequest:
    """A job that runs a script with the busybox of :func:`tests.support.archives.write_toolchain`."""
    return RunJobRequest(CompileCommand("/bin/busybox", ("sh", "-c", script), (), "/"), outputs)


@attrs.frozen
class SteppingClient:
    """A client of one farm; each method is one request."""

    farm: Farm

    def alloc(self, toolchain: ArchiveId) -> AllocJobSuccess:
        """A slot for a job."""
        connection = HTTPConnection("127.0.0.1", self.farm.scheduler_port, timeout=_SECS)
        body = encode(TOOLCHAIN, Toolchain(toolchain))
        answer = _post(connection, "scheduler/alloc_job", self.farm.client_token, body, Content_Type=_OCTETS)
        allocated = answer.message(ALLOC_JOB_RESPONSE)
        assert isinstance(allocated, AllocJobSuccess), allocated
        return allocated

    def certificate(self) -> str:
        """The build server's certificate, in PEM form."""
        answer = json.loads(self.farm.ask(f"server_certificate/{self.farm.server_id}"))
        return bytes(answer["cert_pem"]).decode()

    def connect(self) -> HTTPSConnection:
        """A connection to the build server, trusting exactly the certificate that the scheduler has of it."""
        pinned = ssl.create_default_context(cadata=self.certificate())
        return HTTPSConnection("127.0.0.1", self.farm.server_port, timeout=_SECS, context=pinned)

    def submit(self, job: JobAlloc, archive: Path) -> SubmitToolchainResult:
        """Upload a toolchain."""
        return self.upload(job, pieces(archive)).message(SUBMIT_TOOLCHAIN_RESULT)

    def upload(self, job: JobAlloc, body: Iterable[bytes]) -> Answer:
        """Upload something, in chunks, as a toolchain."""
        return _post(self.connect(), f"distserver/submit_toolchain/{job.job_id}", job.auth, body)

    def run(self, job: JobAlloc, request: RunJobRequest, inputs: Path) -> RunJobResult:
        """Run a job to its end."""
        return self.send_job(job, request, inputs).message(RUN_JOB_RESULT)

    def send_job(self, job: JobAlloc, request: RunJobRequest, inputs: Path) -> Answer:
        """Run a job, whatever the answer."""
        head = frame(request, b"")
        return _post(
            self.connect(),
            f"distserver/run_job/{job.job_id}",
            job.auth,
            _after(head, inputs),
            Content_Type=_OCTETS,
            Content_Length=str(len(head) + inputs.stat().st_size),
        )


def pieces(file: Path) -> Iterator[bytes]:
    """A file, piece by piece."""
    with file.open("rb") as source:
        while piece := source.read(_PIECE):
            yield piece


def _after(head: bytes, file: Path) -> Iterator[bytes]:
    yield head
    yield from pieces(file)


def _post(connection: HTTPConnection, path: str, token: str, body: bytes | Iterable[bytes], **headers: str) -> Answer:
    """One request on a connection of its own; a body without a length goes in chunks."""
    described = {"Authorization": f"Bearer {token}", "Connection": "close"}
    described |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", f"/api/v1/{path}", body, described)
    answer = connection.getresponse()
    try:
        return Answer(answer.status, answer.read())
    finally:
        connection.close()
