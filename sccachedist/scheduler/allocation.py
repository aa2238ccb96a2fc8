"""Allocates a job: takes a slot from the core, asks the build server if necessary, makes the client's answer.

:mod:`sccachedist.scheduler.fleet` decides which build server gets the job, :mod:`sccachedist.scheduler.queue` which
waiting client comes next. A client whose turn it is gets its slot in the same step, so no one else can take it before
the client goes on. HTTP is not known here.
"""

from collections.abc import Callable, Collection
from typing import Protocol

import attrs
from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import LogLevel

from sccachedist.auth.clients import address_of
from sccachedist.budgets import Party
from sccachedist.config import QueueSettings
from sccachedist.daemon.logs import Logger, QuietLog
from sccachedist.errors import (
    BadTransition,
    DecidedElsewhere,
    DecodeError,
    LimitExceeded,
    NoCapacity,
    PeerError,
    SccachedistError,
    UnknownServer,
)
from sccachedist.outcomes import Refusal
from sccachedist.scheduler.core import Reservation, SchedulerCore
from sccachedist.scheduler.events import Asked, Events, RequestRefused, ServerAsked
from sccachedist.scheduler.job_tokens import JobTokens
from sccachedist.scheduler.kinds import ANYWHERE, Need
from sccachedist.scheduler.queue import ALL_ALIKE, Queue, is_full
from sccachedist.scheduler.refusals import refusal_of
from sccachedist.scheduler.standings import Standing
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.archive_id import archive_id
from sccachedist.wire.messages import AllocJobFail, AllocJobSuccess, AssignJobResult, JobAlloc, Toolchain
from sccachedist.wire.tokens import job_token

log = Logger()

#: Build servers that one allocation tries before the client is told to compile locally.
MOST_TRIES = 4
#: The least seconds between two looks for slots whose clients do not come, and for a first build server.
LEAST_LOOK_SECS = 0.01
_WAIT_KEY = " (limit: queue.max_wait_secs)"
_QUOTA_KEY = " (limit: max_slots of the client)"


class TermEnded(SccachedistError):
    """The scheduler's term has ended. Another one has begun, which is to be asked instead."""


class BuildServers(Protocol):
    """How an allocation asks build servers."""

    async def assign(self, reserved: Reservation, token: str, toolchain: Toolchain) -> AssignJobResult:
        """Ask a build server to take a job.

        :raises PeerError: it does not take it.
        """


@attrs.frozen(eq=False)
class Ticket:
    """A request that waits for a slot.

    :param asked: when it came.
    :param turn: fires with the slot, or fails if there will be none.
    """

    client: Party
    toolchain: Toolchain
    asked: float
    turn: Deferred[Reservation] = attrs.field(factory=Deferred)


class Allocation:
    """Allocates jobs, many at a time: no allocation waits for the build server of another one.

    If all slots are taken, a client waits for its turn. If no build server accepts jobs, it waits as well while the
    allocation is young (:attr:`settling_secs`): a scheduler that was restarted hears of them within seconds.

    :param waiting: how long clients wait; without ``max_wait_secs`` they wait for no slot, as with the published
        scheduler.
    :param standing: which standing a client has.
    :param tokens: issues the job tokens of clients.
    :param tell: called with the events that an allocation has caused.
    """

    def __init__(
        self,
        core: SchedulerCore,
        build_servers: BuildServers,
        queue: Queue[Ticket],
        waiting: QueueSettings,
        clock: IReactorTime,
        tokens: JobTokens,
        tell: Callable[[Events], None],
        standing: Callable[[Party], Standing] = ALL_ALIKE,
    ) -> None:
        self._core, self._build_servers, self._clock, self._tell = core, build_servers, clock, tell
        self._queue, self._waiting, self._tokens = queue, waiting, tokens
        self._began = clock.seconds()
        self._ended: SccachedistError | None = None
        self._standing, self._held = standing, core.views.held
        self._look: IDelayedCall | None = None
        self._quiet_log = QuietLog(clock.seconds)

    async def allocate(self, client: Party, toolchain: Toolchain, asked: float) -> AllocJobSuccess | AllocJobFail:
        """A build server and a token for one job, or the reason why there is none.

        :param asked: when the client asked, by the clock.
        """
        try:
            archive_id(toolchain.archive_id)
            if self._core.pause is not None:
                raise self._paused()
            if not self._core.placement.has_room(self._need(client, toolchain.archive_id)):
                self._tell(self._core.lend(self._clock.seconds()))
            return await self._allocate(client, toolchain, asked)
        except (TermEnded, DecidedElsewhere):  # it goes on in another term
            raise
        except (DecodeError, LimitExceeded, NoCapacity) as error:
            self.refused(client, toolchain, asked, error)
            return AllocJobFail(str(error))
        except Exception as error:
            self.refused(client, toolchain, asked, error)
            raise

    def refused(self, client: Party, toolchain: Toolchain | None, asked: float, error: BaseException) -> None:
        """Tell that a request ends with an error.

        :param toolchain: None if the request was not read.
        """
        is_read = toolchain is not None and not isinstance(error, DecodeError)
        archive = toolchain.archive_id if toolchain is not None and is_read else ""
        detail = str(error) if isinstance(error, SccachedistError) else ""
        self._tell((RequestRefused(self._clock.seconds(), asked, client, archive, refusal_of(error), detail),))

    def serve_waiting(self) -> None:
        """Give slots to waiting clients whose turn it is: slots or build servers have come or gone."""
        if self._core.pause is not None:
            return self.send_away(self._paused())
        if len(self._queue):
            now = self._clock.seconds()
            self._tell(self._core.lend(now))
            while (ticket := self._next_ticket(now)) is not None:
                try:
                    reserved = self._reserve(ticket.client, ticket.toolchain, ticket.asked)
                except (LimitExceeded, NoCapacity) as error:
                    ticket.turn.errback(error)
                else:
                    ticket.turn.callback(reserved)
        return self._wait_for_slots()

    def _paused(self) -> NoCapacity:
        assert self._core.pause is not None
        return NoCapacity(Refusal.PAUSED, f"the farm is paused: {self._core.pause.reason}")

    @property
    def oldest_wait_secs(self) -> float:
        """How long the first of the requests that wait has waited; 0 without any."""
        oldest = self._queue.oldest
        return 0.0 if oldest is None else self._clock.seconds() - oldest.asked

    @property
    def settling_secs(self) -> float:
        """For how many seconds more requests wait for a first build server; 0 if one accepts jobs, or it is over."""
        return self._settling_secs(ANYWHERE)

    def _settling_secs(self, need: Need) -> float:
        rest = self._began + self._waiting.settle_secs - self._clock.seconds()
        return 0.0 if rest <= 0 or self._core.placement.has_servers(need) else rest

    def _need(self, client: Party, toolchain: str) -> Need:
        """What a job needs of its build server."""
        return self._core.placement.need(toolchain, self._standing(client).labels)

    def take_settings(self, waiting: QueueSettings) -> None:
        """Let requests that come from now on wait for a slot by these, and all of them for a first build server."""
        self._waiting = waiting
        self.serve_waiting()

    def end(self, reason: SccachedistError) -> None:
        """Let all requests fail for a reason that have no slot, or whose build server then does not take the job."""
        self._ended = reason
        self.send_away(reason)

    def send_away(self, reason: SccachedistError) -> None:
        """Let all requests that wait fail for a reason."""
        while (ticket := self._queue.dismiss()) is not None:
            ticket.turn.errback(reason)
        self._wait_for_slots()

    def _next_ticket(self, now: float) -> Ticket | None:
        if not self._core.placement.has_servers():
            return None if self.settling_secs else self._queue.dismiss()
        if not self._core.placement.has_room():
            return None
        return self._queue.next(lambda client: self._core.may_hold_more(client, now), self._held, self._may_be_placed)

    def _may_be_placed(self, client: Party, toolchain: str) -> bool:
        """Whether a request that waits can be answered: it gets a slot, or has no server to wait for."""
        need, placement = self._need(client, toolchain), self._core.placement
        if placement.is_looked_at(toolchain, self._clock.seconds()):
            return False
        return placement.has_room(need) or not (placement.has_servers(need) or self._settling_secs(need))

    def _wait_for_slots(self) -> None:
        """While clients wait, look in time for slots that can be lent to them, and whether it is in vain."""
        if self._look is not None and self._look.active():
            self._look.cancel()
        if len(self._queue):
            now = self._clock.seconds()
            core = self._core
            times = core.next_to_lend, core.next_unheld(now), core.placement.next_looked_at(now)
            waits = [when - now for when in times if when is not None]
            if (settling := self._began + self._waiting.settle_secs - now) > 0:
                waits.append(settling)
            elif not core.placement.has_servers():
                waits.append(0.0)
            if waits:
                self._look = self._clock.callLater(max(LEAST_LOOK_SECS, min(waits)), self.serve_waiting)

    def _is_full(self, client: Party) -> bool:
        """Whether a client holds as many slots as it may hold."""
        return is_full(self._standing(client), self._held)

    def _must_wait(self, client: Party, need: Need) -> bool:
        """Whether no slot is free for a new client, but one will be."""
        if not self._core.placement.has_servers(need):
            return self._settling_secs(need) > 0
        if not self._waiting.max_wait_secs:
            return False
        crowded = self._queue.is_crowded or not self._core.placement.has_room(need)
        return crowded or not self._core.may_hold_more(client, self._clock.seconds())

    def _must_learn(self, toolchain: Toolchain) -> bool:
        """Whether a job with the same toolchain finds out which machine it needs."""
        now = self._clock.seconds()
        return self._waiting.max_wait_secs > 0 and self._core.placement.is_looked_at(toolchain.archive_id, now)

    async def _turn(self, client: Party, toolchain: Toolchain, asked: float) -> Reservation:
        ticket = Ticket(client, toolchain, asked)
        self._queue.enter(client, ticket, toolchain.archive_id)
        try:
            self.serve_waiting()  # perhaps a slot is free, and all in front wait for their own jobs
            most = max(self._waiting.max_wait_secs, self._settling_secs(self._need(client, toolchain.archive_id)))
            return await ticket.turn.addTimeout(most, self._clock)
        except defer.TimeoutError as error:
            if self._is_full(client):
                raise self._over_quota(client) from error
            need = self._need(client, toolchain.archive_id)
            if not self._waiting.max_wait_secs or not self._core.placement.has_servers(need):
                return self._reserve(client, toolchain, asked)  # as without a wait: a slot, or why there is none
            said = f"no slot came free within {self._waiting.max_wait_secs} seconds{_WAIT_KEY}"
            raise NoCapacity(Refusal.QUEUE_TIMEOUT, said) from error
        finally:
            self._queue.leave(client, ticket, toolchain.archive_id)
            self._wait_for_slots()

    def _over_quota(self, client: Party) -> NoCapacity:
        held = self._held(self._standing(client).client)
        said = (
            f"the client held all {held} slots that it may hold for {self._waiting.max_wait_secs} seconds{_QUOTA_KEY}"
        )
        return NoCapacity(Refusal.QUOTA, said)

    def _reserve(
        self, client: Party, toolchain: Toolchain, asked: float, tried: Collection[ServerId] = ()
    ) -> Reservation:
        now = self._clock.seconds()
        labels = self._standing(client).labels
        return self._core.reserve(now, tried, toolchain=toolchain.archive_id, client=client, asked=asked, labels=labels)

    async def _allocate(self, client: Party, toolchain: Toolchain, asked: float) -> AllocJobSuccess:
        tried: list[ServerId] = []
        for _ in range(MOST_TRIES):
            is_full = self._is_full(client)
            if is_full and not self._waiting.max_wait_secs:
                raise self._over_quota(client)
            need, placement = self._need(client, toolchain.archive_id), self._core.placement
            must_wait = self._must_wait(client, need) and (not tried or placement.has_better_than(tried, need))
            if is_full or must_wait or (not tried and self._must_learn(toolchain)):
                reserved = await self._turn(client, toolchain, asked)
                tried.clear()  # after a wait, any server with room will do
            else:
                reserved = self._reserve(client, toolchain, asked, tried)
            tried.append(reserved.server_id)
            try:
                return await self._assign(reserved, toolchain, client)
            except (PeerError, UnknownServer, BadTransition) as error:
                self._quiet_log.tell(
                    log,
                    LogLevel.warn,
                    "assign",
                    "job {job_id} of {client} not assigned to {server}: {error}",
                    by=str(reserved.server_id),
                    why=str(error).replace(str(reserved.job_id), ""),
                    job_id=reserved.job_id,
                    client=address_of(client),
                    server=str(reserved.server_id),
                    error=str(error),
                )
                if self._ended is not None:
                    raise self._ended from error
        raise NoCapacity(Refusal.NOT_ASSIGNED, f"{MOST_TRIES} build servers did not take the job")

    async def _assign(self, reserved: Reservation, toolchain: Toolchain, client: Party) -> AllocJobSuccess:
        began = self._clock.seconds()
        try:
            assigned = reserved.presumed
            if assigned is None:
                token = job_token(reserved.job_key, reserved.job_id)
                answered = await self._build_servers.assign(reserved, token, toolchain)
                assigned = self._core.presumptions.reconsidered(
                    reserved.job_id, reserved.server_id, answered, self._clock.seconds()
                )
            self._tell(self._core.confirm(reserved, assigned, self._clock.seconds()))
            if reserved.presumed is None:
                self._tell_answer(reserved, began, Asked.TAKEN)
        except BaseException as error:
            is_its_fault = isinstance(error, PeerError | BadTransition)
            if is_its_fault and reserved.presumed is None:
                is_silent = isinstance(error, PeerError) and error.status is None
                self._tell_answer(reserved, began, Asked.UNREACHED if is_silent else Asked.REFUSED)
            self._tell(self._core.release(reserved, self._clock.seconds(), failed=is_its_fault))
            self.serve_waiting()
            raise
        self._wait_for_slots()
        return AllocJobSuccess(
            job_alloc=JobAlloc(
                self._tokens.issue(reserved, archive_id(toolchain.archive_id), client),
                reserved.job_id,
                reserved.server_id,
            ),
            need_toolchain=assigned.need_toolchain,
            cert_digest=reserved.cert_digest,
        )

    def _tell_answer(self, reserved: Reservation, began: float, answer: Asked) -> None:
        now = self._clock.seconds()
        self._tell((ServerAsked(now, reserved.server_id, now - began, answer),))
