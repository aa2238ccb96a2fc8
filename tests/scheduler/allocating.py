"""What tests of allocations share: one scheduler, its clients, and the answers of build servers."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from farmkit.fakes import FakeBuildServers
from sccachedist.budgets import Party
from sccachedist.config import QueueSettings
from sccachedist.scheduler.allocation import Allocation, Ticket
from sccachedist.scheduler.core import SchedulerCore
from sccachedist.scheduler.events import Event
from sccachedist.scheduler.job_tokens import JobTokens
from sccachedist.scheduler.queue import Queue
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.messages import (
    AllocJobFail,
    AllocJobResponse,
    AllocJobSuccess,
    AssignJobResult,
    Toolchain,
)
from tests.scheduler.farms import farm


class Allocating(SynchronousTestCase):
    """One scheduler with two build servers of 2 CPUs each."""

    def setUp(self) -> None:
        self.use(farm(2, 2))

    def use(self, core: SchedulerCore, max_wait_secs: int = 0) -> None:
        self.core, self.clock = core, Clock()
        self.told: list[Event] = []
        build_servers = FakeBuildServers()
        self.assignments = build_servers.assignments
        tokens = JobTokens(self.clock.seconds)
        waiting, queue = QueueSettings(max_wait_secs, settle_secs=0), Queue[Ticket](most=3)
        self.allocation = Allocation(core, build_servers, queue, waiting, self.clock, tokens, self.told.extend)

    def allocate(self, archive_id: str = "0a" * 32, client: str = "client") -> Deferred[AllocJobResponse]:
        return Deferred.fromCoroutine(
            self.allocation.allocate(Party(client), Toolchain(archive_id), self.clock.seconds())
        )

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
