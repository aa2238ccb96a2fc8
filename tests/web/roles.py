"""A role that does little, so that what surrounds every route can be seen."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from farmkit.memory_http import Browser
from sccachedist.budgets import Budget
from sccachedist.errors import ClientRefused, LimitExceeded
from sccachedist.web.bodies import MessageBody
from sccachedist.web.request import Site
from sccachedist.web.request_head import Head
from sccachedist.web.responses import FileResponse, MessageFile, Outlet, Response, StreamResponse
from sccachedist.web.router import Api, Mounted
from sccachedist.wire.messages import SCHEDULER_STATUS, TOOLCHAIN, SchedulerStatus, Toolchain

TOKEN = "the secret of this suite"
LIMIT = 64
STATUS = SchedulerStatus(1, 2, 3)


@attrs.define
class RecordedBody:
    """A body that remembers what became of it."""

    received: bytes = b""
    ended: str = ""
    error: BaseException | None = None

    def write(self, chunk: bytes) -> None:
        assert not self.ended
        if len(self.received) + len(chunk) > LIMIT:
            raise LimitExceeded("toolchain_bytes", "too much")
        self.received += chunk

    def complete(self) -> bytes:
        self.ended = "complete"
        return self.received

    def abort(self, error: BaseException | None = None) -> None:
        self.ended = self.ended or "aborted"
        self.error = self.error or error


@attrs.define
class RecordedSource:
    """Something to say, which a test says; it remembers what it was told."""

    outlet: Outlet | None = None
    told: list[str] = attrs.field(factory=list)

    def attach(self, outlet: Outlet) -> None:
        self.outlet = outlet

    def say(self, octets: bytes) -> None:
        assert self.outlet is not None
        self.outlet.write(octets)

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")

    def detach(self) -> None:
        self.told.append("detach")


@attrs.define(slots=False, eq=False)
class Role:
    """Its state is what a test looks at."""

    directory: Path
    bodies: list[RecordedBody] = attrs.field(factory=list)
    waiting: list[Deferred[Any]] = attrs.field(factory=list)
    cancelled: int = 0
    error: Exception | None = None
    grants: list[Deferred[None]] | None = None
    memory: Budget = attrs.field(factory=lambda: Budget("buffered_bytes", 1 << 20))
    taken: int = 0
    sources: list[RecordedSource] = attrs.field(factory=list)

    api = Api()
    app = api.app

    async def _allow_anyone(self, head: Head, **_: object) -> None:
        if self.grants is not None:
            self.grants.append(Deferred())
            await self.grants[-1]

    async def _allow_holder(self, head: Head, **_: object) -> str:
        if head.token is None:
            raise ClientRefused("no_bearer_auth", "no client token")
        if head.token != TOKEN:
            raise ClientRefused("bearer_auth_failed", "client token refused")
        return "the holder"

    def _message(self, head: Head) -> MessageBody[Toolchain]:
        return MessageBody(TOOLCHAIN, head, LIMIT, "message_bytes", self.memory.open(head.sender))

    def _record(self, head: Head, **_: object) -> RecordedBody:
        self.bodies.append(RecordedBody())
        return self.bodies[-1]

    @api.route("GET", "/status", allow=_allow_anyone, answer=SCHEDULER_STATUS, is_public=True)
    async def status(self, _granted: None, _body: None) -> SchedulerStatus:
        """A message, or the error that a test has put there."""
        if self.error is not None:
            raise self.error
        return STATUS

    @api.route("POST", "/echo", allow=_allow_holder, body=_message, answer=TOOLCHAIN)
    async def echo(self, granted: str, toolchain: Toolchain) -> Toolchain:
        """What was sent, to whom it was granted."""
        assert granted == "the holder"
        return toolchain

    @api.route("POST", "/bounded", allow=_allow_anyone, body=_message, answer=TOOLCHAIN)
    async def bounded(self, _granted: None, toolchain: Toolchain) -> Toolchain:
        """What was sent, by anyone."""
        return toolchain

    @api.route("POST", "/upload/<u64:number>", allow=_allow_holder, body=_record, answer=SCHEDULER_STATUS)
    async def upload(self, _granted: str, body: bytes, number: int) -> SchedulerStatus:
        """How much was sent."""
        return SchedulerStatus(number, len(body), 0)

    @api.route("POST", "/later", allow=_allow_anyone, body=_record, answer=SCHEDULER_STATUS)
    async def later(self, _granted: None, _body: bytes) -> Any:
        """Whatever a test gives, when it does."""
        self.waiting.append(Deferred(self._count))
        return await self.waiting[-1]

    @api.route("GET", "/server/<server_id:address>", allow=_allow_anyone, answer=TOOLCHAIN)
    async def server(self, _granted: None, _body: None, address: object) -> Toolchain:
        """The address, as it was understood."""
        return Toolchain(str(address))

    @api.route("POST", "/file", allow=_allow_anyone, body=_record, answer=TOOLCHAIN)
    async def file(self, _granted: None, body: bytes) -> MessageFile:
        """A file that holds what was sent, five thousand times."""
        path = self.directory / "answer"
        path.write_bytes(body * 5000)
        return MessageFile(path, self._count_taken)

    @api.route("POST", "/kept", allow=_allow_anyone, body=_record, answer=None)
    async def kept(self, _granted: None, body: bytes) -> FileResponse:
        """What was sent, before the content of a file that stays."""
        kept = MessageFile(self.directory / "kept", self._count_taken)
        return FileResponse(Response(200, (), body), kept, is_kept=True)

    @api.route("GET", "/page", allow=_allow_anyone, answer=None, is_public=True)
    async def page(self, _granted: None, _body: None) -> Response:
        """Something that is no message of the protocol."""
        return Response(203, (("Content-Type", "text/html"),), b"<p>")

    @api.route("GET", "/stream", allow=_allow_holder, answer=None)
    async def stream(self, _granted: str, _body: None) -> StreamResponse:
        """What a test says, when it does."""
        self.sources.append(RecordedSource())
        return StreamResponse(Response(200, (("Content-Type", "text/plain"),)), self.sources[-1])

    def _count_taken(self, _: BaseException | None) -> None:
        self.taken += 1

    def _count(self, _: object) -> None:
        self.cancelled += 1


def visited(directory: Path) -> tuple[Role, Browser]:
    """A role, and somebody to ask it."""
    clock, role = Clock(), Role(directory)
    return role, Browser(Site(Mounted(role), clock), clock)


def pieces(octets: bytes, size: int) -> Iterator[bytes]:
    """Pieces of this size."""
    return (octets[start : start + size] for start in range(0, len(octets), size))
