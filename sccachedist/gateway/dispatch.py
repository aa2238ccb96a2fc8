"""Which worker gets which job, and what becomes of a job whose worker is lost.

Pure: values and the time go in, decisions come out, in the order in which they have to be carried out. Requests, files
and timers are :mod:`sccachedist.gateway.worker_sessions`'s.

Theory of operation. A worker has a session, and opens a *place* for each job that it could begin now. A job waits until
a place suits it, and only then is it given away (late binding): so no job waits for one worker while another is idle.
Each time that it is given away has a *ticket* of its own. Six rules hold:

1. A job is waiting, or has exactly one ticket. What comes with another ticket is thrown away.
2. The oldest job is given away first. A job that comes back keeps its age, so it is at the front.
3. A job that comes back because its worker was lost has been tried; after :data:`MOST_TRIES` it goes home, for perhaps
   it kills workers. One that a worker would not begin has not been tried, but that has an end, too.
4. A job is lost as well if its worker is through with the place where the job came, and has not answered: the job or
   the answer did not get through, though both sides live.
5. A worker that lives and has no result for a job has decided: the job goes home, and no other worker gets it.
6. A worker has to end a ticket until it is through with the place where that was given away. Messages overtake each
   other, and some are lost: that a worker was told once does not mean that it knew the job by then.
"""

from bisect import insort
from collections import Counter

from sccachedist.errors import BuildError, DecodeError, LimitExceeded, SccachedistError, SessionOver
from sccachedist.gateway.believed import MOST_CPUS, cpus_of
from sccachedist.gateway.decisions import ClosePlace, Decision, Dismiss, EndTicket, Give, JobKey, SendHome
from sccachedist.gateway.known import DialledWorker, RemoteJob
from sccachedist.outcomes import SentLocal
from sccachedist.wire.gateway import MOST_CANCELLED, WorkerHello, WorkerState

#: How many workers may be lost with a job before it goes home, and how many may not begin with it.
MOST_TRIES, MOST_BUSY = 3, 100
#: Seconds for which a job waits while no worker could run it, and a lost worker's CPUs still count: one that is started
#: again, or whose connection broke, comes back within that time.
ALONE_SECS = 10.0
#: Seconds that an answer may take beyond the time that a job may run.
ANSWER_SECS = 15.0
#: The most sessions, and the most places of one.
MOST_SESSIONS, MOST_PLACES = 4096, 2 * MOST_CPUS


class Dispatch:
    """The workers and the jobs of one gateway.

    :param job_secs: how long a job may run.
    :ivar moved: how many jobs have come back from a worker, by the reason.
    """

    def __init__(self, job_secs: float) -> None:
        self.job_secs = job_secs
        self.moved = Counter[str]({"lost": 0, "broken": 0, "busy": 0})
        self._workers: dict[str, DialledWorker] = {}
        self._open: dict[str, DialledWorker] = {}
        self._jobs: dict[JobKey, RemoteJob] = {}
        self._waiting: list[JobKey] = []
        self._last_key = self._last_ticket = 0
        self._held, self._held_until = 0, -1.0

    @property
    def workers(self) -> int:
        """How many workers are connected and take jobs."""
        return sum(worker.takes_jobs for worker in self._workers.values())

    @property
    def cpus(self) -> int:
        """The CPUs of all of them."""
        return sum(worker.cpus for worker in self._workers.values() if worker.takes_jobs)

    def offered(self, now: float) -> int:
        """The CPUs that jobs may count on: those of workers that were just lost are still among them."""
        return max(self.cpus, self._held if now < self._held_until else 0)

    @property
    def machines(self) -> tuple[int, ...]:
        """The machines whose programs they run; none if one of them does not tell."""
        known = {worker.hello.machines for worker in self._workers.values() if worker.takes_jobs}
        return () if () in known else tuple(sorted({machine for each in known for machine in each}))

    def silent(self, now: float) -> list[str]:
        """The sessions whose workers have not been heard of for too long."""
        return [worker.session for worker in self._workers.values() if worker.is_silent(now)]

    @property
    def waiting(self) -> int:
        """How many jobs wait for a worker."""
        return len(self._waiting)

    @property
    def given(self) -> int:
        """How many jobs workers have."""
        return len(self._jobs) - len(self._waiting)

    def is_resting(self, now: float) -> bool:
        """Whether workers stay connected of which none takes jobs for now."""
        return not self.offered(now) and not all(worker.is_leaving for worker in self._workers.values())

    def complaint(self, now: float) -> str:
        """Why no job could run now or soon; empty if one could."""
        if self.offered(now):
            return ""
        return "no worker takes jobs" if self._workers else "no worker is connected"

    def hello(self, session: str) -> WorkerHello:
        """What the worker of a session said first.

        :raises SessionOver: there is no such session.
        """
        return self._worker(session).hello

    def is_leaving(self, session: str) -> bool:
        """Whether a worker has said that it leaves, and has no jobs any more.

        :raises SessionOver: there is no such session.
        """
        worker = self._worker(session)
        return worker.is_leaving and not worker.running

    def welcome(self, session: str, hello: WorkerHello, now: float) -> list[Decision]:
        """Open a session. An earlier one of the same process by the same way is over, and its jobs come back.

        :raises SessionOver: the process has one by another way, so its CPUs are offered already.
        :raises DecodeError: there are too many.
        """
        earlier = [each for each in self._workers.values() if each.hello.nonce == hello.nonce]
        if any(each.hello.way != hello.way for each in earlier):
            raise SessionOver("this worker is here already, by another address of this gateway")
        told = [decision for each in earlier for decision in self.lose(each.session, now)]
        if len(self._workers) >= MOST_SESSIONS:
            raise DecodeError(f"there are {MOST_SESSIONS} workers already")
        held = set(hello.toolchains)
        self._workers[session] = DialledWorker(session, hello, cpus_of(hello), hello.slots, held, now)
        return told

    def listen(self, session: str, state: WorkerState, now: float) -> list[Decision]:
        """Note a request for orders, and what the worker says of itself.

        :raises SessionOver: there is no such session.
        """
        worker = self._worker(session)
        worker.heard, worker.is_listening = now, True
        worker.cpus, worker.slots, worker.toolchains = cpus_of(state), state.slots, set(state.toolchains)
        kept = set(state.places)
        places = {self._jobs[key].place: ticket for ticket, key in worker.running.items()}
        known = {*worker.places, *places, *worker.ending.values()}
        through = {place for place in known if place <= state.last_place and place not in kept}
        worker.ending = {ticket: place for ticket, place in worker.ending.items() if place not in through}
        over = [place for place in (*worker.places, *places) if place in through]
        told = [decision for place in over for decision in self.withdraw(session, place)]
        return told + [each for place in over if place in places for each in self.fail(session, places[place], now)]

    def told(self, session: str, now: float) -> None:
        """Note that such a request was answered; the session may be over."""
        if (worker := self._workers.get(session)) is not None:
            worker.heard, worker.is_listening = now, False

    def to_end(self, session: str) -> tuple[int, ...]:
        """The tickets that a worker has to end, as far as it has not said that it is through with them.

        :raises SessionOver: there is no such session.
        """
        return tuple(self._worker(session).ending)

    def lose(self, session: str, now: float) -> list[Decision]:
        """End a session, if there is such a one: its jobs come back."""
        return self._lose_all([session] if session in self._workers else [], now)

    def leave(self, session: str) -> list[Decision]:
        """Give a worker no more jobs; those that it has may end.

        :raises SessionOver: there is no such session.
        """
        worker = self._worker(session)
        worker.is_leaving = True
        return [decision for place in tuple(worker.places) for decision in self.withdraw(session, place)]

    def ask(self, session: str, place: int, now: float) -> list[Decision]:
        """Open a place. If a job was given away there, it did not get through, for its worker asks once more.

        :raises SessionOver: there is no such session.
        :raises DecodeError: it has too many.
        """
        worker = self._worker(session)
        lost = [ticket for ticket, key in worker.running.items() if self._jobs[key].place == place]
        told = [each for ticket in lost for each in self.fail(session, ticket, now)]
        if worker.is_leaving:
            return [*told, ClosePlace(session, place)]
        if len(worker.places) >= MOST_PLACES and place not in worker.places:
            raise DecodeError(f"a worker with more than {MOST_PLACES} places")
        worker.places[place] = None
        self._open[session] = worker
        return told + self._match(now)

    def withdraw(self, session: str, place: int) -> list[Decision]:
        """Close a place, unless it has a job by now or the session is over."""
        worker = self._workers.get(session)
        if worker is None or place not in worker.places:
            return []
        self._take_place(worker, place)
        return [ClosePlace(session, place)]

    def submit(self, toolchain: str, machine: int, now: float) -> tuple[JobKey, list[Decision]]:
        """Have a job run.

        :param machine: which its toolchain needs, see :mod:`sccachedist.wire.machines`.
        """
        self._last_key += 1
        job = RemoteJob(JobKey(self._last_key), toolchain, machine)
        self._jobs[job.key] = job
        self._waiting.append(job.key)
        return job.key, self._match(now)

    def drop(self, key: JobKey) -> list[Decision]:
        """Have a job run no more, if it is not over."""
        job = self._jobs.pop(key, None)
        if job is None:
            return []
        if job.at is None:
            self._waiting.remove(key)
            return []
        return [self._take_back(job)]

    def holder(self, session: str, ticket: int) -> JobKey | None:
        """The job that a worker has with a ticket; None if it is another's by now, or over.

        :raises SessionOver: there is no such session.
        """
        return self._worker(session).running.get(ticket)

    def settle(self, session: str, ticket: int) -> JobKey | None:
        """End a job, because its worker has answered; see :meth:`holder`."""
        key = self.holder(session, ticket)
        if key is not None:
            del self._workers[session].running[ticket], self._jobs[key]
        return key

    def refuse(self, session: str, ticket: int, now: float) -> list[Decision]:
        """Take back a job that its worker would not begin; see :meth:`holder`."""
        key = self.holder(session, ticket)
        if key is None:
            return []
        del self._workers[session].running[ticket]
        return self._come_back(self._jobs[key], "busy") + self._match(now)

    def fail(self, session: str, ticket: int, now: float) -> list[Decision]:
        """Take back a job that did not reach its worker whole, or whose answer broke off; the session may be over."""
        worker = self._workers.get(session)
        key = None if worker is None else worker.running.get(ticket)
        if key is None:
            return []
        job = self._jobs[key]
        return [self._take_back(job), *self._come_back(job, "broken"), *self._match(now)]

    def look(self, now: float) -> list[Decision]:
        """Do what is due at a time: about once a second is enough."""
        told = self._lose_all(self.silent(now), now)
        for job in list(self._jobs.values()):
            if job.at is None:
                told += self._wait_alone(job, now)
            elif now - job.since >= self.job_secs + ANSWER_SECS:
                told += [self._take_back(job), self._home(job, _late(self.job_secs))]
        return told

    def stop(self) -> list[Decision]:
        """End all jobs and all sessions."""
        over = BuildError(SentLocal.SHUTDOWN, "the builder has stopped")
        told: list[Decision] = [Dismiss(session) for session in self._workers]
        told += [SendHome(key, over) for key in self._jobs]
        for each in (self._jobs, self._waiting, self._workers, self._open):
            each.clear()
        return told

    def _worker(self, session: str) -> DialledWorker:
        if (worker := self._workers.get(session)) is None:
            raise SessionOver("this worker has no session, or it is over")
        return worker

    def _lose_all(self, sessions: list[str], now: float) -> list[Decision]:
        """End sessions together: no job goes from one of them to another."""
        if any(self._workers[session].takes_jobs for session in sessions):
            self._held, self._held_until = self.offered(now), now + ALONE_SECS
        lost = [self._workers.pop(session) for session in sessions]
        told: list[Decision] = [Dismiss(session) for session in sessions]
        for worker in lost:
            self._open.pop(worker.session, None)
            for key in worker.running.values():
                told += self._come_back(self._jobs[key], "lost")
        return told + self._match(now) if lost else told

    def _match(self, now: float) -> list[Decision]:
        """Give jobs away as long as there are places that suit them."""
        told: list[Decision] = []
        for key in tuple(self._waiting):
            if not self._open:
                break
            job = self._jobs[key]
            suiting = [worker for worker in self._open.values() if worker.suits(job.machine)]
            if suiting:
                worker = min(suiting, key=lambda each: self._rank(each, job))
                told.append(self._give(job, worker, now))
        return told

    @staticmethod
    def _rank(worker: DialledWorker, job: RemoteJob) -> tuple[bool, bool, float]:
        load = len(worker.running) / max(worker.slots, 1)
        return worker.hello.nonce in job.had, job.toolchain not in worker.toolchains, load

    def _give(self, job: RemoteJob, worker: DialledWorker, now: float) -> Give:
        place = next(reversed(worker.places))  # one that was opened with an answer is not held for long
        self._take_place(worker, place)
        self._waiting.remove(job.key)
        self._last_ticket += 1
        ticket = self._last_ticket
        job.at, job.place, job.since, job.alone = (worker.session, ticket), place, now, None
        job.had.add(worker.hello.nonce)
        worker.running[ticket] = job.key
        worker.toolchains.add(job.toolchain)  # it is about to fetch it
        return Give(worker.session, place, job.key, ticket)

    def _take_place(self, worker: DialledWorker, place: int) -> None:
        del worker.places[place]
        if not worker.places:
            del self._open[worker.session]

    def _take_back(self, job: RemoteJob) -> EndTicket:
        """Take a job from its worker, which still has a session."""
        assert job.at is not None
        session, ticket = job.at
        worker = self._workers[session]
        del worker.running[ticket]
        worker.ending[ticket] = job.place
        if len(worker.ending) > MOST_CANCELLED:
            del worker.ending[min(worker.ending)]
        return EndTicket(session, ticket)

    def _come_back(self, job: RemoteJob, why: str) -> list[Decision]:
        """Let a job wait again that no worker has any more, or send it home."""
        self.moved[why] += 1
        job.at = None
        job.losses, job.busy = job.losses + (why != "busy"), job.busy + (why == "busy")
        if job.losses >= MOST_TRIES:
            return [self._home(job, BuildError(SentLocal.WORKER_LOST, f"its worker was lost {MOST_TRIES} times"))]
        if job.busy >= MOST_BUSY:
            return [self._home(job, BuildError(SentLocal.NO_WORKER, f"{MOST_BUSY} workers would not begin"))]
        insort(self._waiting, job.key)
        return []

    def _wait_alone(self, job: RemoteJob, now: float) -> list[Decision]:
        """Send a job home that no worker could run for too long."""
        if any(worker.takes_jobs and worker.suits(job.machine) for worker in self._workers.values()):
            job.alone = None
        elif job.alone is None:
            job.alone = now
        elif now - job.alone >= ALONE_SECS:
            self._waiting.remove(job.key)
            lack = self.complaint(now) or "no worker is of the toolchain's machine"
            return [self._home(job, BuildError(SentLocal.NO_WORKER, lack))]
        return []

    def _home(self, job: RemoteJob, error: SccachedistError) -> SendHome:
        del self._jobs[job.key]
        return SendHome(job.key, error)


def _late(job_secs: float) -> LimitExceeded:
    return LimitExceeded("job_secs", f"the job was with its worker for more than {job_secs:.0f} s")
