"""Allocates a job: takes a slot from the core, asks the build server if necessary, makes the client's answer.

:mod:`sccachedist.scheduler.core` decides which build server gets the job, :mod:`sccachedist.scheduler.queue` which
waiting client comes next. HTTP is not known here.
"""

from typing import Protocol

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from sccachedist.budgets import Party
from sccachedist.daemon.logs import Logger
from sccachedist.errors import BadTransition, DecodeError, LimitExceeded, PeerError, UnknownServer
from sccachedist.scheduler.core import NoCapacity, Reservation, SchedulerCore
from sccachedist.scheduler.job_tokens import JobTokens
from sccachedist.scheduler.queue import Queue
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.archive_id import archive_id
from sccachedist.wire.messages import AllocJobFail, AllocJobSuccess, AssignJobResult, JobAlloc, Toolchain
from sccachedist.wire.tokens import job_token

log = Logger()

#: Build servers that one allocation tries before the client is told to compile locally.
MOST_TRIES = 4
#: The least seconds between two looks for slots whose clients do not come.
LEAST_LOOK_SECS = 0.01


class BuildServers(Protocol):
    """How an allocation asks build servers."""

    async def assign(self, reserved: Reservation, token: str, toolchain: Toolchain) -> AssignJobResult:
        """Ask a build server to take a job.

        :raises PeerError: it does not take it.
        """


class Allocation:
    """Allocates jobs, many at a time: no allocation waits for the build server of another one.

    If all slots are taken, a client waits for its turn.

    :param max_wait_secs: for how long; with 0 it does not wait, as with the published scheduler.
    :param tokens: issues the job tokens of clients.
    """

    def __init__(
        self,
        core: SchedulerCore,
        build_servers: BuildServers,
        queue: Queue[Deferred[None]],
        max_wait_secs: float,
        clock: IReactorTime,
        tokens: JobTokens | None = None,
    ) -> None:
        self._core, self._build_servers, self._clock = core, build_servers, clock
        self._tokens = tokens or JobTokens(clock.seconds)
        self._queue, self._max_wait_secs = queue, max_wait_secs
        self._look: IDelayedCall | None = None

    async def allocate(self, client: Party, toolchain: Toolchain) -> AllocJobSuccess | AllocJobFail:
        """A build server and a token for one job, or the reason why there is none."""
        try:
            archive_id(toolchain.archive_id)
            if not self._core.has_room:
                self._core.lend(self._clock.seconds())
            if self._must_wait(client):
                await self._turn(client)
            return await self._allocate(client, toolchain)
        except (DecodeError, LimitExceeded, NoCapacity) as error:
            return AllocJobFail(str(error))

    def serve_waiting(self) -> None:
        """Let waiting clients go on if it is their turn: slots or build servers have come or gone."""
        if len(self._queue):
            now = self._clock.seconds()
            self._core.lend(now)
            while (turn := self._next_turn(now)) is not None:
                turn.callback(None)
        self._wait_for_slots()

    def send_away(self) -> None:
        """Let all waiting clients go on, because the scheduler stops: without a slot they compile locally."""
        while (turn := self._queue.next()) is not None:
            turn.callback(None)
        self._wait_for_slots()

    def _next_turn(self, now: float) -> Deferred[None] | None:
        if not self._core.has_servers:
            return self._queue.next()
        if not self._core.has_room:
            return None
        return self._queue.next(lambda client: self._core.may_hold_more(client, now))

    def _wait_for_slots(self) -> None:
        """While clients wait, look in time for slots that can be lent to them."""
        when = self._core.next_to_lend if len(self._queue) else None
        if self._look is not None and self._look.active():
            self._look.cancel()
        if when is not None:
            wait = max(LEAST_LOOK_SECS, when - self._clock.seconds())
            self._look = self._clock.callLater(wait, self.serve_waiting)

    def _must_wait(self, client: Party) -> bool:
        """Whether no slot is free for a new client, but one will be."""
        if not self._max_wait_secs or not self._core.has_servers:
            return False
        crowded = len(self._queue) > 0 or not self._core.has_room
        return crowded or not self._core.may_hold_more(client, self._clock.seconds())

    async def _turn(self, client: Party) -> None:
        turn: Deferred[None] = Deferred()
        self._queue.enter(client, turn)
        try:
            self.serve_waiting()  # perhaps a slot is free, and all in front wait for their own jobs
            await turn.addTimeout(self._max_wait_secs, self._clock)
        except defer.TimeoutError as error:
            raise NoCapacity(f"no slot came free within {self._max_wait_secs} seconds") from error
        finally:
            self._queue.leave(client, turn)
            self._wait_for_slots()

    async def _allocate(self, client: Party, toolchain: Toolchain) -> AllocJobSuccess:
        tried: list[ServerId] = []
        for _ in range(MOST_TRIES):
            if tried and self._must_wait(client) and self._core.has_better_than(tried):
                await self._turn(client)
                tried.clear()  # after a wait, any server with room will do
            now = self._clock.seconds()
            reserved = self._core.reserve(now, tried, toolchain=toolchain.archive_id, client=client)
            tried.append(reserved.server_id)
            try:
                return await self._assign(reserved, toolchain, client)
            except (PeerError, UnknownServer, BadTransition) as error:
                log.warn("job not assigned to {server}: {error}", server=str(tried[-1]), error=str(error))
        raise NoCapacity(f"{MOST_TRIES} build servers did not take the job")

    async def _assign(self, reserved: Reservation, toolchain: Toolchain, client: Party) -> AllocJobSuccess:
        assigned = reserved.presumed
        if assigned is None:
            assigned = await self._ask(reserved, toolchain)
        self._core.confirm(reserved, assigned, self._clock.seconds())
        self._wait_for_slots()
        log.debug("job {job_id} assigned to {server}", job_id=reserved.job_id, server=str(reserved.server_id))
        token = self._tokens.issue(reserved, archive_id(toolchain.archive_id), client)
        return AllocJobSuccess(
            job_alloc=JobAlloc(token, reserved.job_id, reserved.server_id),
            need_toolchain=assigned.need_toolchain,
            cert_digest=reserved.cert_digest,
        )

    async def _ask(self, reserved: Reservation, toolchain: Toolchain) -> AssignJobResult:
        try:
            token = job_token(reserved.job_key, reserved.job_id)
            return await self._build_servers.assign(reserved, token, toolchain)
        except BaseException as error:
            self._core.release(reserved, self._clock.seconds(), failed=isinstance(error, PeerError))
            self.serve_waiting()
            raise
