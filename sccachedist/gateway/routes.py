"""The HTTP endpoints for workers: who may call each, where its body goes, and which answer it has.

The work is done by :mod:`sccachedist.gateway.worker_sessions`; the status of an error is in
:mod:`sccachedist.web.responses`.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import attrs
from klein import Klein

from sccachedist.budgets import Budget
from sccachedist.config import ServerLimits
from sccachedist.gateway.answer_body import AnswerBody, ReceivedAnswer
from sccachedist.gateway.worker_sessions import HOLD_SECS, GivenJob, WorkerSessions
from sccachedist.toolchains.cache import Toolchains
from sccachedist.web.bodies import OCTETS, MessageBody, NoBody
from sccachedist.web.request_head import Head
from sccachedist.web.responses import FileResponse, MessageFile, Response
from sccachedist.web.router import Api
from sccachedist.wire.archive_id import archive_id
from sccachedist.wire.bincode import Codec
from sccachedist.wire.gateway import (
    TAKEN,
    WELCOME,
    WORKER_HELLO,
    WORKER_JOB,
    WORKER_ORDERS,
    WORKER_STATE,
    Taken,
    Welcome,
    WorkerHello,
    WorkerOrders,
    WorkerState,
    head,
)

T = TypeVar("T")

ROOT = "/api/v1/gateway"
#: A result in JSON has up to four characters for each byte, and some more around it.
_JSON_FACTOR, _AROUND = 4, 1 << 20
_NOTHING = Response(200, (("Content-Type", OCTETS),))


@attrs.frozen
class KnownWorker:
    """The sender of a request has shown a worker's token.

    :param token: its digest.
    """

    token: str
    #: Many workers may be behind one address, each with a connection for each slot.
    is_uncounted: bool = attrs.field(default=True, init=False)


class GatewayRoutes:
    """The routes for workers.

    :param memory: the budget for bodies in memory.
    """

    api = Api()
    app: Klein = api.app

    def __init__(
        self, sessions: WorkerSessions, toolchains: Toolchains, limits: Callable[[], ServerLimits], memory: Budget
    ) -> None:
        self._sessions, self._toolchains, self._limits, self._memory = sessions, toolchains, limits, memory

    async def _allow_worker(self, head: Head, **_: object) -> KnownWorker:
        return KnownWorker(self._sessions.tokens.identify(head.token))

    async def _allow_session(self, head: Head, session: str, **_: object) -> KnownWorker:
        known = KnownWorker(self._sessions.tokens.identify(head.token))
        self._sessions.check(session, known.token)
        return known

    def _message(self, codec: Codec[T], head: Head) -> MessageBody[T]:
        limit = self._limits().message_bytes
        return MessageBody(codec, head, limit, "message_bytes", self._memory.open(head.sender))

    def _hello(self, head: Head) -> MessageBody[WorkerHello]:
        return self._message(WORKER_HELLO, head)

    def _state(self, head: Head, session: str) -> MessageBody[WorkerState]:
        return self._message(WORKER_STATE, head)

    def _result(self, head: Head, session: str, ticket: int, **_: object) -> AnswerBody | NoBody:
        job = self._sessions.job_of(session, ticket)
        if job is None:
            return NoBody()
        limits = self._limits()
        most = (limits.outputs_bytes + 2 * limits.stdio_bytes) * (_JSON_FACTOR if job.as_json else 1) + _AROUND
        body = AnswerBody(
            head,
            job.answer.parent,
            lambda: self._sessions.job_of(session, ticket) is job,
            most,
            self._memory,
            partial(self._sessions.broken, session, ticket),
        )
        self._sessions.receives(session, ticket, body.give_way)
        return body

    @api.route("POST", f"{ROOT}/hello", allow=_allow_worker, body=_hello, answer=WELCOME)
    async def hello(self, granted: KnownWorker, said: WorkerHello) -> Welcome:
        """Open a worker's session."""
        return self._sessions.welcome(granted.token, said)

    @api.route("POST", f"{ROOT}/orders/<session>", allow=_allow_session, body=_state, answer=WORKER_ORDERS)
    async def orders(self, _granted: KnownWorker, state: WorkerState, session: str) -> WorkerOrders:
        """Tell a worker what to do as soon as there is something, or after some seconds."""
        return await self._sessions.orders(session, state)

    @api.route("POST", f"{ROOT}/next/<session>/<u64:place>", allow=_allow_session, answer=None)
    async def next(self, _granted: KnownWorker, _body: None, session: str, place: int) -> Response | FileResponse:
        """Give a worker a job as soon as there is one, or nothing after some seconds."""
        return _job_or_nothing(b"", await self._sessions.next_job(session, place))

    @api.route("POST", f"{ROOT}/withdraw/<session>/<u64:place>", allow=_allow_session, answer=None)
    async def withdraw(self, _granted: KnownWorker, _body: None, session: str, place: int) -> Response:
        """Have that request answered with nothing, unless it has a job by now."""
        self._sessions.withdraw(session, place)
        return _NOTHING

    @api.route("POST", f"{ROOT}/answer/<session>/<u64:ticket>", allow=_allow_session, body=_result, answer=TAKEN)
    async def answer(self, _granted: KnownWorker, received: ReceivedAnswer | None, session: str, ticket: int) -> Taken:
        """Take what became of a job. An answer that its job does not wait for has no effect."""
        return self._taken(received, session, ticket)

    @api.route(
        "POST",
        f"{ROOT}/answer/<session>/<u64:ticket>/<u64:place>",
        allow=_allow_session,
        body=_result,
        answer=None,
    )
    async def answer_and_next(
        self, _granted: KnownWorker, received: ReceivedAnswer | None, session: str, ticket: int, place: int
    ) -> Response | FileResponse:
        """Do the same, and give the worker the next job, if there is one soon: one request does the work of two."""
        taken = head(TAKEN, self._taken(received, session, ticket))
        return _job_or_nothing(taken, await self._sessions.next_job(session, place, HOLD_SECS))

    def _taken(self, received: ReceivedAnswer | None, session: str, ticket: int) -> Taken:
        if received is None:
            return Taken(counts=False)
        return Taken(self._sessions.answer(session, ticket, received.said, received.result))

    @api.route("POST", f"{ROOT}/leave/<session>", allow=_allow_session, answer=None)
    async def leave(self, _granted: KnownWorker, _body: None, session: str) -> Response:
        """Give a worker no more jobs."""
        self._sessions.leave(session)
        return _NOTHING

    @api.route("GET", f"{ROOT}/toolchain/<toolchain>", allow=_allow_worker, answer=None)
    async def toolchain(self, _granted: KnownWorker, _body: None, toolchain: str) -> FileResponse:
        """Send the archive of a toolchain, which stays here until it is sent."""
        wanted = archive_id(toolchain)
        path = await self._toolchains.lend(wanted)
        return FileResponse(_NOTHING, MessageFile(path, lambda _: self._toolchains.take_back(wanted)), is_kept=True)


def _job_or_nothing(before: bytes, given: GivenJob | None) -> Response | FileResponse:
    """Some bytes, and a job behind them if there is one."""
    if given is None:
        return attrs.evolve(_NOTHING, body=before)
    answer = attrs.evolve(_NOTHING, body=before + head(WORKER_JOB, given.job))
    return FileResponse(answer, MessageFile(given.inputs, given.sent), is_kept=True)
