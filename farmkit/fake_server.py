"""A build server that says what it likes and answers when it likes, with a server token of its own."""

import ssl
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import attrs

from farmkit.farm import Farm
from farmkit.processes import free_port
from farmkit.raw_client import RawClient, Reply
from sccachedist.server.identity import Identity, load_identity
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.bincode import encode
from sccachedist.wire.extension import EXTENDED_HEARTBEAT, Availability, ServerReport
from sccachedist.wire.messages import (
    ASSIGN_JOB_RESULT,
    HEARTBEAT,
    JOB_STATE,
    AssignJobResult,
    Heartbeat,
    JobId,
    JobState,
)
from sccachedist.wire.tokens import server_token

TAKEN = encode(ASSIGN_JOB_RESULT, AssignJobResult(JobState.READY, need_toolchain=False))


def tls_of(identity: Identity, folder: Path) -> ssl.SSLContext:
    """TLS of a build server with this identity; its key goes through a file in the folder."""
    chain = folder / "chain.pem"
    chain.write_bytes(identity.private_key_pem + identity.certificate_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return context


@attrs.define
class FakeServer:
    """Answers every ``assign_job`` with what ``assigned`` gives, behind its own certificate.

    :param shared_token: what the farm's build servers all show, where each has none of its own.
    """

    farm: Farm
    folder: Path
    assigned: Callable[[], bytes] = lambda: TAKEN
    port: int = attrs.field(factory=free_port)
    nonce: int = 1
    shared_token: str | None = None
    asked: list[str] = attrs.field(factory=list)
    _http: ThreadingHTTPServer = attrs.field(init=False)

    def __enter__(self) -> Self:
        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), lambda *given: _Answers(self, *given))
        context = tls_of(self.identity, self.folder)
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def server_id(self) -> ServerId:
        """Where it is."""
        return ServerId.parse(f"127.0.0.1:{self.port}")

    @property
    def identity(self) -> Identity:
        """Its key, its certificate and its job key."""
        return load_identity(self.folder, self.server_id, datetime.now(UTC), lambda _: None)

    @property
    def token(self) -> str:
        """Its server token, which the farm's operator has given it."""
        if self.shared_token is not None:
            return f"{self.server_id} {self.shared_token}"
        return server_token(self.farm.server_key, self.server_id)

    def heartbeat(self, **changes: Any) -> Heartbeat:
        """What it says of itself, with whatever else it likes."""
        identity = self.identity
        said = Heartbeat(identity.job_key, 1, self.nonce, identity.certificate_digest, identity.certificate_pem)
        return attrs.evolve(said, **changes)

    def say(self, attacker: RawClient, heartbeat: Heartbeat | None = None, token: str = "", **headers: Any) -> Reply:
        """Send a heartbeat."""
        body = encode(HEARTBEAT, heartbeat or self.heartbeat())
        return attacker.ask("heartbeat_server", body, token or self.token, **headers)

    def naming(
        self, number: int, jobs: Mapping[int, JobState], availability: Availability = Availability.OPEN
    ) -> bytes:
        """A heartbeat as one of ours says it, with jobs, whosesoever they are."""
        named = tuple((JobId(job_id), state) for job_id, state in jobs.items())
        return encode(EXTENDED_HEARTBEAT, (self.heartbeat(), ServerReport(number, 5, availability, named, ())))

    def name(
        self,
        attacker: RawClient,
        number: int,
        jobs: Mapping[int, JobState],
        availability: Availability = Availability.OPEN,
    ) -> Reply:
        """Send such a heartbeat."""
        return attacker.ask("heartbeat_server", self.naming(number, jobs, availability), self.token)

    def report(self, attacker: RawClient, job_id: int, state: JobState) -> Reply:
        """Say how far a job is, whosesoever it is."""
        return attacker.ask(f"job_state/{job_id}", encode(JOB_STATE, state), self.token)


class _Answers(BaseHTTPRequestHandler):
    """Answers one request."""

    def __init__(self, server: FakeServer, *arguments: Any) -> None:
        self._fake = server
        super().__init__(*arguments)  # which answers already

    def do_POST(self) -> None:
        self._fake.asked.append(self.path)
        self.rfile.read(int(self.headers["Content-Length"]))
        body = self._fake.assigned()
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""
