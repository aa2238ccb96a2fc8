"""Allocations: what a client is told while build servers answer, refuse, are slow or go away."""

from twisted.internet.defer import CancelledError

from sccachedist.budgets import Party
from sccachedist.errors import NoCapacity, PeerError
from sccachedist.job_phases import JobPhase
from sccachedist.outcomes import Refusal
from sccachedist.scheduler.allocation import MOST_TRIES
from sccachedist.scheduler.core import Reservation, SchedulerCore
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.messages import (
    AllocJobSuccess,
    JobAlloc,
    JobState,
    Toolchain,
)
from sccachedist.wire.tokens import job_token
from tests.scheduler.allocating import Allocating
from tests.scheduler.farms import FIRST_JOB, A, B, assigned, farm, free_slots, heartbeat, job_in

REFUSAL = PeerError("status 500", status=500)


class AllocationTests(Allocating):
    """What a client is told that waits for no slot."""

    def test_allocated(self) -> None:
        """The client gets the build server's address, certificate digest and a token, when that has taken the job."""
        allocated = self.allocate()
        self.assertNoResult(allocated)
        self.answer(A, assigned(JobState.PENDING))
        alloc = JobAlloc(job_token(b"job key", FIRST_JOB), FIRST_JOB, A)
        expected = AllocJobSuccess(alloc, need_toolchain=True, cert_digest=b"digest of certificate")
        assert self.successResultOf(allocated) == expected
        assert self.core.status().in_progress == 1

    def test_toolchain_is_there(self) -> None:
        """The client is not asked for a toolchain that the build server has."""
        allocated = self.allocate()
        self.answer(A, assigned(JobState.READY))
        success = self.successResultOf(allocated)
        assert isinstance(success, AllocJobSuccess)
        assert not success.need_toolchain

    def test_no_archive_id(self) -> None:
        """What is no archive id takes no slot and reaches no build server."""
        for text in ("", "abc", "/etc/cron.d/x", "0A" * 32, "0a" * 32 + "\n"):
            assert "archive id" in self.reason(self.allocate(text))
        assert self.assignments.waiting == []
        assert free_slots(self.core) == 6
        self.use(farm())  # not even a build server is looked for
        assert "archive id" in self.reason(self.allocate("/etc/cron.d/x"))

    def test_no_capacity(self) -> None:
        """Where no build server has room, the client hears it at once."""
        self.use(farm())
        assert self.reason(self.allocate()) == "Insufficient capacity across 0 available servers"

    def test_another_server(self) -> None:
        """When a build server refuses, the next one is asked within the same allocation, under a new job id."""
        allocated = self.allocate()
        self.answer(A, REFUSAL)
        assert self.assignments.waiting == [B]
        self.answer(B, assigned())
        success = self.successResultOf(allocated)
        assert isinstance(success, AllocJobSuccess)
        assert success.job_alloc.job_id == FIRST_JOB + 1
        assert free_slots(self.core) == 5

    def test_refusal_is_remembered(self) -> None:
        """A build server that refused is not the first to be asked again."""
        self.allocate()
        self.answer(A, REFUSAL)
        self.answer(B, assigned())
        self.allocate()
        assert self.assignments.waiting == [B]

    def test_all_refuse(self) -> None:
        """When all build servers have refused, the client compiles locally, and no slot is lost."""
        allocated = self.allocate()
        for server_id in (A, B):
            self.answer(server_id, REFUSAL)
        assert self.reason(allocated) == "Insufficient capacity across 2 available servers"
        assert free_slots(self.core) == 6

    def test_not_for_ever(self) -> None:
        """A farm that is broken throughout is not asked through: the client compiles locally before long."""
        servers = [ServerId(A.host, 1 + number) for number in range(MOST_TRIES + 1)]
        self.use(farm())
        for server_id in servers:
            self.core.heartbeat(server_id, heartbeat(), now=0.0)
        allocated = self.allocate()
        for server_id in servers[:MOST_TRIES]:
            self.answer(server_id, REFUSAL)
        assert self.reason(allocated) == f"{MOST_TRIES} build servers did not take the job"
        assert self.assignments.waiting == []
        assert free_slots(self.core) == 3 * len(servers)

    def test_impossible_answer(self) -> None:
        """A build server that says that a new job runs already is left for another one."""
        allocated = self.allocate()
        self.answer(A, assigned(JobState.STARTED))
        self.answer(B, assigned())
        assert self.server(allocated) == B
        assert free_slots(self.core) == 5

    def test_restarted_meanwhile(self) -> None:
        """A build server that was restarted while it took the job has forgotten it: another one gets it."""
        allocated = self.allocate()
        self.core.heartbeat(A, heartbeat(nonce=2), now=0.0)
        self.answer(A, assigned())
        self.answer(B, assigned())
        assert self.server(allocated) == B
        assert free_slots(self.core) == 5

    def test_client_goes_away(self) -> None:
        """When the client goes away, its slot is free at once and the build server is not to blame."""
        allocated = self.allocate()
        allocated.cancel()
        self.failureResultOf(allocated, CancelledError)
        assert self.assignments.waiting == []
        assert free_slots(self.core) == 6
        for _ in range(2):
            self.allocate()
        assert sorted(map(str, self.assignments.waiting)) == [str(A), str(B)]

    def test_forgotten(self) -> None:
        """An allocation that is given up gives its slot back."""
        allocating = self.allocation.allocate(Party("client"), Toolchain("0a" * 32), 0.0)
        allocating.send(None)
        assert free_slots(self.core) == 5
        allocating.close()
        assert free_slots(self.core) == 6

    def test_own_mistake(self) -> None:
        """An error of our own costs neither a slot nor a build server its good name."""
        allocated = self.allocate()
        self.answer(A, ZeroDivisionError())
        self.failureResultOf(allocated, ZeroDivisionError)
        assert free_slots(self.core) == 6
        for _ in range(2):
            self.allocate()
        assert sorted(map(str, self.assignments.waiting)) == [str(A), str(B)]

    def test_slow_server(self) -> None:
        """A build server that does not answer holds up only clients that were given to it."""
        slow = self.allocate()
        quick = self.allocate()
        assert self.assignments.waiting == [A, B]
        self.answer(B, assigned())
        assert self.server(quick) == B
        self.assertNoResult(slow)
        self.answer(A, assigned())
        assert self.server(slow) == A

    def test_penalty_is_counted_from_the_refusal(self) -> None:
        """A build server is avoided from its refusal on, not from the question."""
        allocated = self.allocate()
        self.clock.advance(9.0)
        self.answer(A, REFUSAL)
        self.answer(B, assigned())
        self.server(allocated)
        self.clock.advance(10.0)
        assert [self.core.reserve(self.clock.seconds()).server_id for _ in range(2)] == [B, B]


class WaitingTests(AllocationTests):
    """The same, where clients wait for up to 60 s: nothing else has changed for those who need not."""

    def use(self, core: SchedulerCore, max_wait_secs: int = 60) -> None:
        super().use(core, max_wait_secs)

    def fill(self) -> list[Reservation]:
        """Take every slot."""
        return [job_in(JobPhase.STARTED, self.core) for _ in range(free_slots(self.core))]

    def free(self, job: Reservation) -> None:
        """A compile ends."""
        self.core.update(job.job_id, job.server_id, JobState.COMPLETE, self.clock.seconds())
        self.allocation.serve_waiting()

    def test_waits_for_a_slot(self) -> None:
        """Where all slots are taken, a client gets the next one that comes free."""
        job, *_ = self.fill()
        waiting = self.allocate()
        self.clock.advance(59.0)
        self.assertNoResult(waiting)
        self.free(job)
        self.answer(job.server_id, assigned())
        assert self.server(waiting) == job.server_id
        assert self.clock.getDelayedCalls() == []

    def test_not_longer_than_configured(self) -> None:
        """When no slot has come free in time, the client compiles locally and is waited for no more."""
        job, *_ = self.fill()
        waiting = self.allocate()
        self.clock.advance(60.0)
        assert self.reason(waiting) == "no slot came free within 60 seconds (limit: queue.max_wait_secs)"
        self.free(job)
        assert self.assignments.waiting == []

    def test_nobody_overtakes(self) -> None:
        """Who comes when others wait goes behind them, and a slot goes to exactly one."""
        first_job, second_job, *_ = self.fill()
        first, second = self.allocate(), self.allocate()
        self.free(first_job)
        third = self.allocate()
        self.answer(first_job.server_id, assigned())
        assert self.server(first) == first_job.server_id
        self.assertNoResult(second)
        self.free(second_job)
        self.answer(second_job.server_id, assigned())
        assert self.server(second) == second_job.server_id
        self.assertNoResult(third)

    def test_in_turns(self) -> None:
        """A client that wants much does not keep the others from their turn."""
        jobs = self.fill()
        greedy = [self.allocate(client="greedy") for _ in range(2)]
        modest = self.allocate(client="modest")
        for job in jobs[:2]:
            self.free(job)
            self.answer(job.server_id, assigned())
        self.server(greedy[0])
        self.server(modest)
        self.assertNoResult(greedy[1])

    def test_leaves_the_queue(self) -> None:
        """A client that goes away while it waits takes no slot."""
        job, *_ = self.fill()
        gone, next_one = self.allocate(), self.allocate()
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        self.free(job)
        self.answer(job.server_id, assigned())
        assert self.server(next_one) == job.server_id

    def test_so_many_may_wait(self) -> None:
        """The queue is bounded: who would be one too many compiles locally at once."""
        self.fill()
        waiting = [self.allocate() for _ in range(2)] + [self.allocate(client="another")]
        for client in ("client", "third"):
            assert "3 of 4 are in use" in self.reason(self.allocate(client=client))
        for each in waiting:
            self.assertNoResult(each)

    def test_a_refusal_frees_a_slot(self) -> None:
        """The slot of an allocation that came to nothing goes to who waits."""
        self.use(farm(1))
        job_in(JobPhase.STARTED, self.core)
        refused, waiting = self.allocate(), self.allocate()
        self.answer(A, REFUSAL)
        assert "Insufficient" in self.reason(refused)
        self.answer(A, assigned())
        assert self.server(waiting) == A

    def test_waits_for_the_other(self) -> None:
        """Where one build server refuses and the others are full, the next slot of those is waited for, and taken."""
        self.use(farm(1, 1))
        jobs = [job_in(JobPhase.STARTED, self.core) for _ in range(3)]
        allocated = self.allocate()
        (refuses,) = self.assignments.waiting
        self.answer(refuses, REFUSAL)
        self.allocation.serve_waiting()
        assert self.assignments.waiting == []
        other = next(job for job in jobs if job.server_id != refuses)
        self.free(other)
        self.answer(other.server_id, assigned())
        assert self.server(allocated) == other.server_id

    def test_waits_no_longer_than_a_penalty(self) -> None:
        """Where all others are full, a build server that failed is asked again as soon as its backoff is over."""
        self.use(farm(1, 1))
        for _ in range(3):
            job_in(JobPhase.STARTED, self.core)
        allocated = self.allocate()
        (refuses,) = self.assignments.waiting
        self.answer(refuses, REFUSAL)
        for secs, asked in ((10.0, []), (0.1, [refuses])):
            self.clock.advance(secs)
            self.core.expire(self.clock.seconds())
            self.allocation.serve_waiting()
            assert self.assignments.waiting == asked
        self.answer(refuses, assigned())
        assert self.server(allocated) == refuses

    def test_no_server_is_left(self) -> None:
        """When the last build server goes away, no client waits for it."""
        self.fill()
        waiting = self.allocate()
        self.core.expire(1000.0)
        self.allocation.serve_waiting()
        assert self.reason(waiting) == "Insufficient capacity across 0 available servers"

    def test_a_server_comes(self) -> None:
        """A build server that joins serves those who wait."""
        self.use(farm(1))
        self.fill()
        waiting = self.allocate()
        self.core.heartbeat(B, heartbeat(), now=0.0)
        self.allocation.serve_waiting()
        self.answer(B, assigned())
        assert self.server(waiting) == B

    def test_the_scheduler_stops(self) -> None:
        """Those who wait when the scheduler stops are answered."""
        self.fill()
        waiting = self.allocate()
        self.allocation.send_away(NoCapacity(Refusal.SHUTDOWN, "the scheduler stops"))
        assert self.reason(waiting) == "the scheduler stops"
