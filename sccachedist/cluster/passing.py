"""The routes of a scheduler that is one of several: answered here while it leads, else passed on to the one that does.

A request is diverted when its head is there, before its sender's right is checked: a follower authorises nothing. Its
body is kept within the limits that hold at the leader, so that it can be asked again. What is asked here while this
scheduler comes to lead, is answered here after all; and what waits here when it leads no longer, waits on at the next
leader. What was still on its way then, is not answered by a term that knows nothing. The routes themselves know nothing
of it.
"""

from collections.abc import Collection, Mapping
from typing import Any, cast

import attrs
from twisted.internet.defer import CancelledError, Deferred, succeed

from sccachedist.auth.bearer import neighbourhood
from sccachedist.budgets import Budget, Hold, Party
from sccachedist.cluster.hop import PASSED_ON, Hop, target
from sccachedist.cluster.leader_calls import PassedRequest
from sccachedist.cluster.leader_search import PATIENCE_SECS, LeaderSearch
from sccachedist.config import ConnectionLimits
from sccachedist.errors import AmbiguousRequest, DecidedElsewhere, LimitExceeded, NoLeader
from sccachedist.web.request_head import Head
from sccachedist.web.responses import Response, StreamResponse, UnknownRoute
from sccachedist.web.router import DECISIVE, LONGEST_PATH, Call, Mounted, Routes, RunsRoutes, response_for

#: The name of the route of what is passed on, for metrics.
ROUTE = "passed_on"
_SUCCESS = 200


@attrs.frozen
class Rule:
    """How requests to one route are passed on.

    :param limit: the key of the limit of their bodies.
    :param may_repeat: whether it does no harm if a leader hears one twice. What only reads may be repeated anyway.
    :param waits: whether they may wait for long, also when their leader changes.
    :param proves: whether a success shows that the sender has a good token.
    """

    limit: str = "message_bytes"
    may_repeat: bool = False
    waits: bool = False
    proves: bool = False


#: For all routes without one of their own.
_RULE = Rule()


class Carried:
    """The head and the body of a request that another scheduler may have to answer.

    :param call: what this scheduler makes of it while it leads, which gets the body, too; None if it does not lead.
    :param most: bytes of the body.
    :param memory: their part of the memory for all bodies: other requests keep no headers once they are decided on.
    :raises LimitExceeded: it is too large.
    """

    def __init__(self, head: Head, rule: Rule, call: Call | None, most: int, memory: Hold) -> None:
        self.head, self.rule, self.call, self._most, self._memory = head, rule, call, most, memory
        self._octets = bytearray()
        self._check(head.length or 0)
        memory.grow(head.size)

    @property
    def octets(self) -> bytes:
        """The body."""
        return bytes(self._octets)

    def write(self, chunk: bytes) -> None:
        """Keep the bytes, if they are not too many."""
        if self.call is not None:
            self.call.body.write(chunk)
        self._check(len(self._octets) + len(chunk))
        self._memory.grow(len(chunk))
        self._octets += chunk

    def complete(self) -> None:
        """There is nothing to read."""

    def abort(self, error: BaseException | None = None) -> None:
        """Forget what has come."""
        if self.call is not None:
            self.call.body.abort(error)
        self._octets.clear()
        self._memory.close()

    def as_passed(self, hop: Hop) -> PassedRequest:
        """What the leader is asked."""
        head = self.head
        may_repeat = self.rule.may_repeat or head.method in ("GET", "HEAD")
        return PassedRequest(head.method, target(head), hop.outward(head), self.octets, may_repeat)

    def _check(self, size: int) -> None:
        if size > self._most:
            raise LimitExceeded(self.rule.limit, f"a message of {size} bytes")


@attrs.define(eq=False)
class Passing:
    """What all ports of a scheduler have in common that may follow another one.

    :param rules: by the names of routes.
    :param here: the names of routes that never go on.
    :param wait_secs: how long a request may wait at its leader, if its rule lets it.
    """

    search: LeaderSearch
    hop: Hop
    rules: Mapping[str, Rule]
    here: Collection[str]
    limits: ConnectionLimits
    wait_secs: float
    memory: Budget = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.memory = Budget("buffered_bytes", self.limits.buffered_bytes)

    def take_limits(self, limits: ConnectionLimits, wait_secs: float) -> None:
        """Let other limits hold for what comes from now on."""
        self.limits, self.memory.total, self.wait_secs = limits, limits.buffered_bytes, wait_secs

    def carried(self, head: Head, rule: Rule, call: Call | None = None) -> Carried:
        """A request with a place for its body, shared by addresses: a made-up token is none of its own.

        :raises LimitExceeded: it is too large.
        """
        memory = self.memory.open(Party(neighbourhood(self.hop.sender(head))))
        return Carried(head, rule, call, getattr(self.limits, rule.limit), memory)

    def check_number(self) -> None:
        """Refuse one more request if there are many: each that is passed on has a second connection, to the leader.

        :raises LimitExceeded: there are.
        """
        if self.search.count >= max(1, self.limits.connections // 2):
            raise LimitExceeded("connections", f"{self.search.count} requests are passed on")

    async def answer(self, carried: Carried) -> Response | StreamResponse | None:
        """The leader's answer; None if this scheduler leads.

        :raises NoLeader: there is none.
        :raises LimitExceeded: as :meth:`check_number`, for many may have been half sent when this one came.
        """
        self.check_number()
        secs = self.wait_secs if carried.rule.waits else 0.0
        return await self.search.answer(
            carried.as_passed(self.hop),
            may_go_on=PASSED_ON not in carried.head.headers,
            secs=max(PATIENCE_SECS, secs),
        )


@attrs.frozen
class _Deciding:
    """Runs the routes of a scheduler that leads, for requests that were admitted then."""

    _app: RunsRoutes
    _search: LeaderSearch

    def execute_endpoint(self, endpoint: str, /, *args: Any, **ids: Any) -> Any:
        """Run one, or say that another scheduler is to be asked: it has come to lead while the body came."""
        if self._search.leads:
            return self._app.execute_endpoint(endpoint, *args, **ids)
        (request,) = args
        call: Call = request.call
        call.body.abort()
        error = NoLeader("this scheduler leads no longer")
        return Deferred.fromCoroutine(request.send(response_for(error, call.head, request.quiet_log, request.counts)))


class PassingRoutes(Mounted):
    """All routes of one port."""

    def __init__(self, passing: Passing, *mounted: Routes) -> None:
        super().__init__(*mounted)
        self._passing = passing

    @property
    def names(self) -> tuple[str, ...]:
        """See :attr:`Mounted.names`."""
        return (*super().names, ROUTE)

    def admit(self, head: Head) -> Call:
        """Admit or refuse a request by its head, or prepare to pass it on.

        :raises SccachedistError: it is refused, see :meth:`Mounted.admit`.
        :raises NoLeader: it was passed on to this scheduler, which does not lead.
        """
        passing = self._passing
        if passing.search.leads:
            call = super().admit(head)
            rule = passing.rules.get(call.endpoint, _RULE)
            if call.endpoint in passing.here:
                return call
            if not rule.waits:
                return attrs.evolve(call, app=_Deciding(call.app, passing.search))
            return attrs.evolve(call, body=passing.carried(head, rule, call), app=self)
        if (name := self.name_of(head)) in passing.here:
            return super().admit(head)
        if len(head.path) > LONGEST_PATH:
            raise UnknownRoute(head.path)
        if any(name in head.repeated for name in DECISIVE):
            raise AmbiguousRequest("the request has a header twice that decides something")
        target(head)
        if PASSED_ON in head.headers:
            raise NoLeader("this scheduler follows another one")
        passing.check_number()
        carried = passing.carried(head, passing.rules.get(name, _RULE))
        return Call(head.decided(), ROUTE, {}, False, succeed(None), carried, True, self)

    def execute_endpoint(self, endpoint: str, /, *args: Any, **ids: Any) -> Deferred[None]:
        """Answer a request here or have it answered; the Deferred fires when the response is sent."""
        (request,) = args
        return Deferred.fromCoroutine(self._run(request))

    async def _run(self, request: Any) -> None:
        call: Call = request.call
        carried = cast(Carried, call.body)
        try:
            while carried.call is None or not await self._here(request, carried.call):
                carried.call, request.call = None, call
                answer = await self._answer(request, carried)
                if answer is not None:
                    await request.send(answer)
                    return
        finally:
            carried.abort()

    async def _here(self, request: Any, call: Call) -> bool:
        """Answer a request here; False if that is not for this scheduler any more."""
        if not self._passing.search.leads:
            call.body.abort()
            return False
        request.call = call
        try:
            await call.app.execute_endpoint(call.endpoint, request, **call.ids)
        except DecidedElsewhere:
            return False
        return True

    async def _answer(self, request: Any, carried: Carried) -> Response | StreamResponse | None:
        """What a leader answers, or why there is no answer. None: ``carried.call`` is to answer here."""
        try:
            answer = await self._passing.answer(carried)
            if answer is None:
                carried.call = self._taken_up(request, carried)
            elif carried.rule.proves and isinstance(answer, Response) and answer.status == _SUCCESS:
                request.know_sender()
        except CancelledError:
            raise
        except Exception as error:
            return response_for(error, carried.head.decided(), request.quiet_log, request.counts)
        return answer

    def _taken_up(self, request: Any, carried: Carried) -> Call:
        """What this scheduler makes of a request that came while it did not lead.

        :raises SccachedistError: it refuses it.
        """
        call = super().admit(carried.head)
        request.take_up(call)
        call.body.write(carried.octets)
        return call
