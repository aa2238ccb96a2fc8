"""A client in steps: the requests of the published one, one at a time, with bodies of any size.

It streams what it sends, and checks the build server's certificate against the one that the scheduler hands out.
"""

import json
import ssl
from collections.abc import Iterable, Iterator
from http.client import HTTPConnection, HTTPSConnection
from itertools import chain
from pathlib import Path

import attrs

from farmkit.farm import Farm
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.bincode import decode, encode
from sccachedist.wire.messages import (
    ALLOC_JOB_RESPONSE,
    RUN_JOB_RESULT,
    SUBMIT_TOOLCHAIN_RESULT,
    TOOLCHAIN,
    AllocJobSuccess,
    JobAlloc,
    RunJobRequest,
    RunJobResult,
    SubmitToolchainResult,
    Toolchain,
)
from sccachedist.wire.run_job_frame import frame

_OCTETS = "application/octet-stream"
_PIECE = 1 << 16
_SECS = 120


@attrs.frozen
class SteppingClient:
    """A client of one farm; each method is one request."""

    farm: Farm

    def alloc(self, toolchain: ArchiveId) -> AllocJobSuccess:
        """A slot for a job."""
        connection = HTTPConnection("127.0.0.1", self.farm.scheduler_port, timeout=_SECS)
        body = encode(TOOLCHAIN, Toolchain(toolchain))
        answer = _post(connection, "scheduler/alloc_job", self.farm.client_token, body, Content_Type=_OCTETS)
        allocated = decode(ALLOC_JOB_RESPONSE, answer)
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
        """Upload a toolchain, in chunks."""
        path = f"distserver/submit_toolchain/{job.job_id}"
        return decode(SUBMIT_TOOLCHAIN_RESULT, _post(self.connect(), path, job.auth, _pieces(archive)))

    def run(self, job: JobAlloc, request: RunJobRequest, inputs: Path) -> RunJobResult:
        """Run a job to its end."""
        head = frame(request, b"")
        answer = _post(
            self.connect(),
            f"distserver/run_job/{job.job_id}",
            job.auth,
            chain([head], _pieces(inputs)),
            Content_Type=_OCTETS,
            Content_Length=str(len(head) + inputs.stat().st_size),
        )
        return decode(RUN_JOB_RESULT, answer)


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as source:
        while piece := source.read(_PIECE):
            yield piece


def _post(connection: HTTPConnection, path: str, token: str, body: bytes | Iterable[bytes], **headers: str) -> bytes:
    """The answer to a request on a connection of its own; a body without a length goes in chunks."""
    described = {"Authorization": f"Bearer {token}", "Connection": "close"}
    described |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", f"/api/v1/{path}", body, described)
    answer = connection.getresponse()
    received = answer.read()
    connection.close()
    assert answer.status == 200, (answer.status, received)
    return received
