"""The sessions of workers: their requests that wait, the jobs that they run, and the timers of both.

:mod:`sccachedist.gateway.dispatch` decides; here its decisions are carried out. How requests come in and answers go out
is not known here: :mod:`sccachedist.gateway.routes` does that.
"""

import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime

from sccachedist.auth.workers import WorkerTokens
from sccachedist.builders.interface import BuildJob
from sccachedist.daemon.logs import Logger
from sccachedist.errors import DiskError, SccachedistError, SessionOver
from sccachedist.files import remove_file
from sccachedist.gateway.decisions import ClosePlace, Decision, Dismiss, EndTicket, Give, JobKey, SendHome
from sccachedist.gateway.dispatch import Dispatch
from sccachedist.gateway.known import GRACE_SECS, PING_SECS
from sccachedist.gateway.running_job import RunningJob
from sccachedist.gateway.worker_log import WorkerLog
from sccachedist.policy import OnFailure
from sccachedist.waiters import Waiters
from sccachedist.wire.gateway import (
    Busy,
    Welcome,
    WorkerAnswer,
    WorkerHello,
    WorkerJob,
    WorkerOrders,
    WorkerState,
)

log = Logger()

#: Seconds after which a request for a job is answered with nothing: proxies close what is silent for a minute.
POLL_SECS = 20
#: The same for one that comes with an answer, whose sender waits to hear that it was taken.
HOLD_SECS = 0.2
#: Seconds after which a worker is told again to end what it has not ended: a job may arrive after the order to end it.
RETELL_SECS = 0.5
#: Seconds between two looks at what is due.
LOOK_SECS = 1.0


@attrs.frozen
class GivenJob:
    """A job on its way to a worker: what is said of it, and the file with its inputs.

    :param sent: called with None when it has been sent, or with the error because of which it will not be any more.
    """

    job: WorkerJob
    inputs: Path
    sent: Callable[[BaseException | None], None]


@attrs.define
class _Session:
    """What a session is beside what decides.

    :param token: the digest of the token that opened it.
    :param shown: the certificate that its worker was told of when the session began.
    :param has_news: whether there is a ticket to end that its worker has not been told of.
    """

    token: str
    shown: bytes
    has_news: bool = False
    orders: Deferred[None] | None = None
    places: dict[int, Deferred[GivenJob | None]] = attrs.field(factory=dict)


class WorkerSessions:
    """The workers that have dialled in.

    :param tokens: which are let in.
    :param job_secs: how long a job may run.
    :param certificate: returns that with which this gateway shows itself, in PEM.
    :param changed: called when there are more or fewer CPUs to offer, or workers of other machines.
    """

    def __init__(
        self,
        tokens: WorkerTokens,
        job_secs: float,
        certificate: Callable[[], bytes],
        changed: Callable[[], None],
        clock: IReactorTime,
    ) -> None:
        self.tokens, self._certificate, self._changed, self._clock = tokens, certificate, changed, clock
        self.dispatch = Dispatch(job_secs)
        self._sessions: dict[str, _Session] = {}
        self._jobs: dict[JobKey, RunningJob] = {}
        self._offered: tuple[object, ...] = (0, (), False)
        self._log = WorkerLog()
        self._is_stopped = False
        self._awaited = Waiters()

    @property
    def cpus(self) -> int:
        """The CPUs that are offered."""
        return self.dispatch.offered(self._clock.seconds())

    @property
    def is_resting(self) -> bool:
        """Whether workers stay connected of which none takes jobs for now."""
        return self.dispatch.is_resting(self._clock.seconds())

    @property
    def complaint(self) -> str:
        """Why no job could run now or soon; empty if one could."""
        return self.dispatch.complaint(self._clock.seconds())

    async def first(self) -> None:
        """Wait until a worker takes jobs."""
        if self.complaint:
            log.info("not registering before the first worker is here")
        while self.complaint:
            await self._awaited.wait()

    def check(self, session: str, token: str) -> None:
        """Check whose a session is.

        :param token: the digest of a worker's token.
        :raises SessionOver: there is no such session, or another token has opened it.
        """
        if self._session(session).token != token:
            raise SessionOver("this worker has no session, or it is over")

    def welcome(self, token: str, hello: WorkerHello) -> Welcome:
        """Open a session.

        :raises SessionOver: this gateway stops, or the worker is here already.
        :raises DecodeError: there are too many.
        """
        if self._is_stopped:
            raise SessionOver("this gateway stops")
        session, certificate = secrets.token_hex(16), self._certificate()
        now = self._clock.seconds()
        told = self.dispatch.welcome(session, hello, now)
        self._sessions[session] = _Session(token, certificate)
        self._log.came(hello, now)
        self._carry_out(told)
        self._tell_of_change()
        return Welcome(session, PING_SECS, GRACE_SECS, POLL_SECS, int(self.dispatch.job_secs), certificate)

    def leave(self, session: str) -> None:
        """Give a worker no more jobs.

        :raises SessionOver: there is no such session.
        """
        self._log.leaves(self.dispatch.hello(session))
        self._carry_out(self.dispatch.leave(session))
        self._tell_of_change()

    async def orders(self, session: str, state: WorkerState) -> WorkerOrders:
        """Wait until there are orders for a worker, or for :data:`PING_SECS`.

        If the worker closes the connection meanwhile, it is lost.

        :raises SessionOver: there is no such session, or it ends meanwhile.
        """
        own, waits = self._session(session), Deferred[None]()
        earlier, own.orders = own.orders, waits
        _fire(earlier)  # the worker has given that request up
        self._carry_out(self.dispatch.listen(session, state, self._clock.seconds()))
        self._tell_of_change()
        ping = self._clock.callLater(self._patience(session, own), _fire, waits)
        try:
            await waits
        except CancelledError:
            if own.orders is waits:
                self._lose(session, "has closed its connection")
            raise
        finally:
            if ping.active():
                ping.cancel()
        if self._sessions.get(session) is not own:
            raise SessionOver("this worker's session is over")
        if own.orders is not waits:
            return WorkerOrders()
        own.orders, own.has_news = None, False
        self.dispatch.told(session, self._clock.seconds())
        # Told each time: this answer may not get through, and then the worker asks again over another connection.
        certificate = self._certificate()
        return WorkerOrders(self.dispatch.to_end(session), b"" if certificate == own.shown else certificate)

    def _patience(self, session: str, own: _Session) -> float:
        if own.has_news:
            return 0
        return RETELL_SECS if self.dispatch.to_end(session) else PING_SECS

    async def next_job(self, session: str, place: int, secs: float = POLL_SECS) -> GivenJob | None:
        """Wait for a job; None if there is none in so many seconds.

        :raises SessionOver: there is no such session.
        """
        own = self._session(session)
        _give(own.places.pop(place, None), None)  # the worker has given up an earlier request
        waits = own.places[place] = Deferred()
        late = self._clock.callLater(secs, self.withdraw, session, place)
        try:
            self._carry_out(self.dispatch.ask(session, place, self._clock.seconds()))
            return await waits
        except (CancelledError, SccachedistError):
            if own.places.get(place) is waits:
                del own.places[place]
                self.withdraw(session, place)
            raise
        finally:
            if late.active():
                late.cancel()

    def withdraw(self, session: str, place: int) -> None:
        """Have a request for a job answered with nothing, unless it was answered or the session is over."""
        self._carry_out(self.dispatch.withdraw(session, place))

    async def run(self, job: BuildJob, on_failure: OnFailure, machine: int) -> None:
        """Have a worker run a job; ``job.answer`` holds a complete result when this returns.

        :param machine: which its toolchain needs, see :mod:`sccachedist.wire.machines`.
        :raises SccachedistError: there is none.
        """
        key, told = self.dispatch.submit(job.toolchain, machine, self._clock.seconds())
        running = self._jobs[key] = RunningJob(job, on_failure)
        try:
            self._carry_out(told)
            await running.done
        finally:
            running.receives()
            del self._jobs[key]
            self._carry_out(self.dispatch.drop(key))

    def job_of(self, session: str, ticket: int) -> BuildJob | None:
        """The job that a worker has; None if it is not that worker's any more.

        :raises SessionOver: there is no such session.
        """
        key = self.dispatch.holder(session, ticket)
        return None if key is None else self._jobs[key].job

    def receives(self, session: str, ticket: int, give_way: Callable[[], None]) -> None:
        """Note that an answer for a worker's job has begun to come; an earlier one that still comes gives way.

        :param give_way: called when this one has to.
        """
        if (key := self.dispatch.holder(session, ticket)) is not None:
            self._jobs[key].receives(give_way)

    def answer(self, session: str, ticket: int, answer: WorkerAnswer, result: bytes | Path | None) -> bool:
        """Take a worker's answer; returns whether its job had waited for it.

        :param result: the result, if there is one, or the file with it, which is moved or removed.
        :raises SessionOver: there is no such session.
        """
        try:
            if isinstance(answer, Busy):
                before = self.job_of(session, ticket)
                self._carry_out(self.dispatch.refuse(session, ticket, self._clock.seconds()))
                return before is not None
            key = self.dispatch.settle(session, ticket)
            if key is None:
                return False
            self._jobs[key].settle(answer, result)
            return True
        finally:
            if isinstance(result, Path):
                remove_file(result)

    def broken(self, session: str, ticket: int, error: BaseException | None) -> None:
        """Note that a job did not reach its worker, or its answer did not come: another worker gets it.

        :param error: why; a :class:`DiskError` is this gateway's own and ends the job.
        """
        if isinstance(error, DiskError) and session in self._sessions:
            if (key := self.dispatch.settle(session, ticket)) is not None:
                self._jobs[key].end(error)
            return
        self._carry_out(self.dispatch.fail(session, ticket, self._clock.seconds()))

    def look(self) -> None:
        """Do what is due: call this about once a second."""
        now = self._clock.seconds()
        for session in self.dispatch.silent(now):
            self._tell_of_end(session, "is silent", now)
        self._carry_out(self.dispatch.look(now))
        self._tell_of_change()

    def take_tokens(self, tokens: tuple[str, ...]) -> None:
        """Let in those with these tokens only; send away workers with others."""
        self.tokens.tokens = tokens
        for session, own in list(self._sessions.items()):
            if not self.tokens.knows(own.token):
                self._carry_out(self.dispatch.leave(session))  # it does not come back
                self._lose(session, "has a token that is not good any more")

    def stop(self) -> None:
        """End all jobs and all sessions; no worker is let in any more."""
        self._is_stopped = True
        self._carry_out(self.dispatch.stop())

    def _session(self, session: str) -> _Session:
        if (own := self._sessions.get(session)) is None:
            raise SessionOver("this worker has no session, or it is over")
        return own

    def _lose(self, session: str, why: str) -> None:
        if session not in self._sessions:
            return
        now = self._clock.seconds()
        self._tell_of_end(session, why, now)
        self._carry_out(self.dispatch.lose(session, now))
        self._tell_of_change()

    def _tell_of_end(self, session: str, why: str, now: float) -> None:
        hello = self.dispatch.hello(session)
        if self.dispatch.is_leaving(session):
            self._log.left(hello)
        else:
            self._log.lost(hello, why, now)

    def _carry_out(self, decisions: list[Decision]) -> None:
        """Do what was decided. A step may end a session or a job that a later one is about; then that has no effect."""
        for decision in decisions:
            match decision:
                case Give():
                    self._hand_over(decision)
                case ClosePlace(session=session, place=place) if session in self._sessions:
                    _give(self._sessions[session].places.pop(place, None), None)
                case EndTicket(session=session) if session in self._sessions:
                    self._sessions[session].has_news = True
                    _fire(self._sessions[session].orders)
                case Dismiss(session=session) if session in self._sessions:
                    self._dismiss(self._sessions.pop(session))
                case SendHome(job=key, error=error) if key in self._jobs:
                    self._jobs[key].end(error)

    def _hand_over(self, given: Give) -> None:
        session, ticket = given.session, given.ticket
        if session not in self._sessions or given.job not in self._jobs:
            return
        running = self._jobs[given.job]
        job = running.job
        said = WorkerJob(ticket, job.job_id, job.toolchain, job.request, job.as_json, running.on_failure)
        job.watch.begun()
        waits = self._sessions[session].places.pop(given.place, None)
        _give(waits, GivenJob(said, job.inputs, partial(self._sent, session, ticket)))

    def _sent(self, session: str, ticket: int, error: BaseException | None) -> None:
        if error is not None:
            self.broken(session, ticket, error)

    def _dismiss(self, own: _Session) -> None:
        for waits in tuple(own.places.values()):
            _give(waits, None)
        _fire(own.orders)

    def _tell_of_change(self) -> None:
        offered = self.cpus, self.dispatch.machines, self.is_resting
        if offered != self._offered and not self._is_stopped:
            self._offered = offered
            self._changed()
            self._awaited.wake()


def _fire(waits: Deferred[None] | None) -> None:
    if waits is not None and not waits.called:
        waits.callback(None)


def _give(waits: Deferred[GivenJob | None] | None, given: GivenJob | None) -> None:
    if waits is not None and not waits.called:
        waits.callback(given)
