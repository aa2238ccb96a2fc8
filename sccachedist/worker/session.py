"""One session with one gateway: requests for jobs at its places, the jobs that come, and its orders.

The session lasts as long as the gateway answers requests for orders. When it does not, its jobs are killed: the gateway
has given them to others by then, or is no more. How many places are open, :mod:`sccachedist.worker.slots` decides; how
a job runs, :mod:`sccachedist.worker.runs` knows.
"""

from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from sccachedist.budgets import Budget, Party
from sccachedist.config import WorkerLimits
from sccachedist.daemon.logs import Logger
from sccachedist.disks import on_disk
from sccachedist.errors import DecodeError, DiskError, NoPlace, PeerError, SccachedistError
from sccachedist.waiters import Waiters
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.gateway import Built, Busy, NotBuilt, Welcome, WorkerAnswer, WorkerJob, WorkerState
from sccachedist.worker.gateway_calls import IDLE_SECS, GatewayCalls
from sccachedist.worker.reception import Reception
from sccachedist.worker.runs import Runs, not_built
from sccachedist.worker.slots import GatewayPlace, SlotBudget

log = Logger()

#: Seconds until a place is asked for again when that has failed, though the gateway answers otherwise, or when it was
#: answered with no job sooner than that.
PAUSE_SECS = 1.0
#: Bytes of a result with which the next job is asked for.
SMALL = 1 << 17
#: The least seconds between two requests for orders.
ORDERS_SECS = 0.05


@attrs.frozen
class Desk:
    """What all sessions of a worker share.

    :param spool: the directory for inputs and results of running jobs.
    :param limits: returns those in force.
    :param disk: the budget for that directory.
    :param state: returns how the worker stands.
    :param trust: is given a gateway, by its URL, and its next certificate, in PEM.
    :param counted: is called with the word for what became of a job.
    """

    slots: "SlotBudget[GatewaySession]"
    runs: Runs
    spool: Path
    limits: Callable[[], WorkerLimits]
    disk: Budget
    state: Callable[[], WorkerState]
    trust: Callable[[str, bytes], None]
    counted: Callable[[str], None]
    clock: IReactorTime
    sessions: "set[GatewaySession]" = attrs.field(factory=set, init=False)
    idle: Waiters = attrs.field(factory=Waiters, init=False)
    running: set[Deferred[Built | NotBuilt]] = attrs.field(factory=set, init=False)

    def give_back(self) -> None:
        """End the jobs that run: their gateways give them to other workers."""
        given = tuple(self.running)
        self.running.clear()
        for job in given:
            job.cancel()

    def follow(self) -> None:
        """Open and withdraw places, as the slots are now."""
        if self.slots.is_idle:
            self.idle.wake()
        for place in self.slots.to_withdraw():
            place.gateway.withdraw(place.number)
        for place in self.slots.to_open():
            place.gateway.open(place)


@attrs.frozen
class _Bringing:
    """An answer that goes with the request for the next job.

    :ivar done: fires with whether the gateway had waited for it.
    """

    job: WorkerJob
    answer: WorkerAnswer
    result: Path | None
    done: Deferred[bool] = attrs.field(factory=Deferred, init=False)

    def taken(self, counts: bool) -> None:
        """The gateway has it."""
        if not self.done.called:  # else its job was ended meanwhile
            self.done.callback(counts)

    def failed(self, error: SccachedistError) -> None:
        """It did not get through, unless the gateway has it already."""
        if not self.done.called:
            self.done.errback(error)


class GatewaySession:
    """A session that has begun.

    :param welcome: what the gateway said.
    """

    def __init__(self, calls: GatewayCalls, welcome: Welcome, desk: Desk) -> None:
        self._calls, self._welcome, self._desk = calls, welcome, desk
        self._errands: dict[int, Deferred[None]] = {}
        self._tickets: dict[int, Deferred[None]] = {}

    @property
    def url(self) -> str:
        """The gateway's."""
        return self._calls.url

    async def run(self) -> None:
        """Take jobs until the session is lost. Cancelling it kills its jobs.

        :raises PeerError: it is lost.
        """
        slots = self._desk.slots
        slots.join(self)
        self._desk.sessions.add(self)
        self._desk.follow()
        try:
            while True:
                await self._hear()
        finally:
            self._desk.sessions.discard(self)
            slots.leave(self)
            for errand in tuple(self._errands.values()):
                errand.cancel()
            self._desk.follow()

    async def toolchain(self, toolchain: ArchiveId, sink: Callable[[bytes], None]) -> None:
        """Give the archive of a toolchain to a sink.

        :raises PeerError: the gateway does not have it, or does not send it.
        """
        await self._calls.toolchain(toolchain, sink)

    async def leave(self) -> None:
        """Tell the gateway that no more jobs are wanted. Those that run are brought to their end."""
        await self._calls.leave(self._welcome.session)

    def open(self, place: "GatewayPlace[GatewaySession]", with_: "_Bringing | None" = None) -> None:
        """Ask for a job at a place.

        :param with_: the answer that goes with the request.
        """
        errand = self._errands[place.number] = Deferred.fromCoroutine(self._errand(place, with_))
        errand.addErrback(_end_of_errand).addBoth(lambda _: self._forget(place.number))

    def _forget(self, number: int) -> None:
        del self._errands[number]

    def withdraw(self, number: int) -> None:
        """Have the gateway answer that there is no job at a place."""
        self._meanwhile(self._calls.withdraw(self._welcome.session, number))

    async def _hear(self) -> None:
        """Wait for orders and follow them."""
        welcome, slots = self._welcome, self._desk.slots
        idle, clock = float(welcome.ping_secs + welcome.grace_secs), self._desk.clock
        began = clock.seconds()
        state = attrs.evolve(self._desk.state(), places=slots.numbers(self), last_place=slots.last_number(self))
        orders = await self._calls.orders(welcome.session, state, idle)
        if orders.certificate:
            self._desk.trust(self.url, orders.certificate)
        for ticket in orders.cancel:
            if (job := self._tickets.get(ticket)) is not None:
                job.cancel()
        self._desk.follow()
        if (left := began + ORDERS_SECS - clock.seconds()) > 0:
            await deferLater(clock, left)

    async def _errand(self, place: "GatewayPlace[GatewaySession]", with_: "_Bringing | None") -> None:
        """Ask for a job at a place, run it, and bring the answer."""
        desk, began = self._desk, self._desk.clock.seconds()
        refused: Deferred[None] = Deferred()
        try:
            with Reception(
                desk.spool,
                desk.limits(),
                desk.disk,
                Party(self._calls.url),
                partial(self._come, place),
                lambda: refused.callback(None),
            ) as reception:
                await self._receive(place, reception, refused, with_)
            is_soon = desk.clock.seconds() < began + PAUSE_SECS
            if with_ is None and reception.job is None and is_soon and desk.slots.is_open(place):
                await deferLater(desk.clock, PAUSE_SECS)
        except (PeerError, DecodeError, DiskError) as error:
            log.debug("{gateway}: {error}", gateway=self._calls.url, error=str(error))
            await deferLater(desk.clock, PAUSE_SECS)
        finally:
            desk.slots.end(place)
            desk.follow()

    def _come(self, place: "GatewayPlace[GatewaySession]", job: WorkerJob) -> None:
        """Take a job.

        :raises NoPlace: another gateway's job has the slot.
        """
        self._tickets[job.ticket] = self._errands[place.number]
        is_good = self._desk.slots.take(place)
        self._desk.follow()
        if not is_good:
            raise NoPlace("the slot is another job's")

    async def _receive(
        self,
        place: "GatewayPlace[GatewaySession]",
        reception: Reception,
        refused: Deferred[None],
        with_: "_Bringing | None",
    ) -> None:
        """Take a job from a place, and bring the answer."""
        asking = Deferred.fromCoroutine(self._ask(place.number, reception.take, with_))
        try:
            # What is wrong with the inputs is told before the rest of them is given up.
            refused.addCallback(lambda _: Deferred.fromCoroutine(self._refuse(reception)))
            refused.addBoth(lambda _: asking.cancel())
            try:
                await asking
            except CancelledError:
                if reception.error is None:
                    raise
            if reception.error is None:
                await self._carry(place, reception)
        finally:
            if reception.job is not None:
                self._tickets.pop(reception.job.ticket, None)

    async def _ask(self, place: int, sink: Callable[[bytes], None], with_: "_Bringing | None") -> None:
        """Ask for a job, and bring the answer of an earlier one with the same request."""
        session, idle = self._welcome.session, self._welcome.poll_secs + IDLE_SECS
        if with_ is None:
            await self._calls.next(session, place, sink, idle)
            return
        try:
            await self._calls.answer_and_next(
                session, with_.job.ticket, place, with_.answer, with_.result, with_.taken, sink
            )
        except SccachedistError as error:
            with_.failed(error)
            raise

    async def _refuse(self, reception: Reception) -> None:
        assert reception.job is not None
        error = reception.error
        assert error is not None
        answer: WorkerAnswer = Busy() if isinstance(error, NoPlace) else not_built(error)
        await self._answer(reception.job, answer, None)

    async def _carry(self, place: "GatewayPlace[GatewaySession]", reception: Reception) -> None:
        """Run a job whose inputs are here, and bring the answer."""
        try:
            inputs = reception.finish()
        except (DecodeError, DiskError) as error:
            if reception.job is not None:
                await self._answer(reception.job, not_built(error), None)
            return
        if inputs is None or reception.job is None:
            return
        answer = await self._ran(Deferred.fromCoroutine(self._desk.runs.run(reception.job, inputs)))
        slots = self._desk.slots
        slots.ran(place)
        was_asking = slots.is_asking
        answering = Deferred.fromCoroutine(self._bring(reception.job, answer, inputs))
        if not was_asking:
            self._desk.follow()  # else places are opened when the answer is there: nothing is to be done before that
        await answering

    async def _ran(self, job: Deferred[Built | NotBuilt]) -> WorkerAnswer:
        """Wait until a job has run, or is given back."""
        self._desk.running.add(job)
        try:
            return await job
        except CancelledError:
            if job in self._desk.running:
                raise
            return Busy()
        finally:
            self._desk.running.discard(job)

    async def _bring(self, job: WorkerJob, answer: WorkerAnswer, result: Path) -> None:
        """Bring the answer of a job that has run, and ask for the next job meanwhile."""
        try:
            await self._answer(job, answer, result if isinstance(answer, Built) else None, with_next=True)
        except DiskError as error:
            await self._answer(job, not_built(error), None)

    async def _answer(
        self, job: WorkerJob, answer: WorkerAnswer, result: Path | None, *, with_next: bool = False
    ) -> None:
        """Bring an answer.

        :param with_next: whether the same request may ask for the next job. With a large result it does not: the job
            would come only after that.
        """
        word = {"Built": "built", "Busy": "declined"}.get(type(answer).__name__, "not_built")
        try:
            place = self._desk.slots.to_open_at(self) if with_next and _size(result) <= SMALL else None
            if place is None:
                counts = await self._calls.answer(self._welcome.session, job.ticket, answer, result)
            else:
                bringing = _Bringing(job, answer, result)
                self.open(place, bringing)
                counts = await bringing.done
            if not counts:
                word = "not_wanted"
        except PeerError as error:
            word = "not_wanted"
            log.info("the answer of job {job_id} is lost: {error}", job_id=job.job_id, error=str(error))
        self._desk.counted(word)

    def _meanwhile(self, work: Coroutine[Deferred[Any], Any, None]) -> None:
        Deferred.fromCoroutine(work).addErrback(_end_of_errand)


def _end_of_errand(failure: Failure) -> None:
    if failure.check(SccachedistError):
        log.debug("a request to a gateway has failed: {error}", error=failure.getErrorMessage())
    elif not failure.check(CancelledError):
        log.failure("a job of a gateway", failure)


def _size(result: Path | None) -> int:
    if result is None:
        return 0
    with on_disk(result.parent):
        return result.stat().st_size
