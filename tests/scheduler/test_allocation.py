"""Allocations: what a client is told while build servers answer, refuse, are slow or go away."""

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sccachedist.errors import PeerError
from sccachedist.scheduler.allocation import MOST_TRIES, Allocation
from sccachedist.scheduler.core import SchedulerCore
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.messages import (
    AllocJobFail,
    AllocJobResponse,
    AllocJobSuccess,
    AssignJobResult,
    JobAlloc,
    JobState,
    Toolchain,
)
from sccachedist.wire.tokens import job_token
from tests.scheduler.farms import FIRST_JOB, A, B, assigned, farm, free_slots, heartbeat
from tests.support.fakes import FakeBuildServers

REFUSAL = PeerError("status 500", status=500)


class AllocationTests(SynchronousTestCase):
    """One scheduler with two build servers of 2 CPUs each."""

    def setUp(self) -> None:
        self.use(farm(2, 2))

    def use(self, core: SchedulerCore) -> None:
        self.core, self.clock = core, Clock()
        build_servers = FakeBuildServers()
        self.assignments = build_servers.assignments
        self.allocation = Allocation(core, build_servers, self.clock)

    def allocate(self, archive_id: str = "0a" * 32) -> Deferred[AllocJobResponse]:
        return Deferred.fromCoroutine(self.allocation.allocate(Toolchain(archive_id)))

    def answer(self, server_id: ServerId, answer: AssignJobResult | Exception) -> None:
        self.assignments.answer(server_id, answer)

    def reason(self, allocated: Deferred[Any]) -> str:
        """Why the client has to compile locally."""
        fail = self.successResultOf(allocated)
        assert isinstance(fail, AllocJobFail)
        return fail.msg

    def server(self, allocated: Deferred[Any]) -> ServerId:
        """The build server that the client was given."""
        success = self.successResultOf(allocated)
        assert isinstance(success, AllocJobSuccess)
        return success.job_alloc.server_id

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
        self.allocate()
        assert self.assignments.waiting == [A]

    def test_forgotten(self) -> None:
        """An allocation that nobody holds any more gives its slot back."""
        allocating = self.allocation.allocate(Toolchain("0a" * 32))
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
        self.allocate()
        assert self.assignments.waiting == [A]

    def test_slow_server(self) -> None:
        """A build server that does not answer holds up nobody but who was given to it."""
        slow = self.allocate()
        quick = self.allocate()
        assert self.assignments.waiting == [A, B]
        self.answer(B, assigned())
        assert self.server(quick) == B
        self.assertNoResult(slow)
        self.answer(A, assigned())
        assert self.server(slow) == A

    def test_penalty_is_counted_from_the_refusal(self) -> None:
        """A build server is avoided for 300 s from its refusal on, not from the question."""
        allocated = self.allocate()
        self.clock.advance(9.0)
        self.answer(A, REFUSAL)
        self.answer(B, assigned())
        self.server(allocated)
        self.clock.advance(300.0)
        assert self.core.reserve(self.clock.seconds()).server_id == B
