"""Allocations in a farm of several machines: who waits, who goes on, and who is refused at once."""

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from farmkit.fakes import FakeBuildServers
from sccachedist.budgets import Party
from sccachedist.config import QueueSettings
from sccachedist.outcomes import Refusal
from sccachedist.scheduler.allocation import Allocation, Ticket
from sccachedist.scheduler.events import Event, RequestRefused
from sccachedist.scheduler.job_tokens import JobTokens
from sccachedist.scheduler.queue import Queue
from sccachedist.scheduler.scouts import SCOUT_SECS
from sccachedist.scheduler.standings import Standing
from sccachedist.wire.abilities import Abilities
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.extension import Availability
from sccachedist.wire.messages import AllocJobFail, AllocJobResponse, AllocJobSuccess, Toolchain
from tests.scheduler.farms import CLANG, GCC, A, B, C
from tests.scheduler.test_placement import ARM, ON_ARM, ON_X86, X86, Farm

#: Of each build server.
SLOTS = 3


class MachinesTests(SynchronousTestCase):
    """A build server of each of two machines; GCC is for the one, CLANG for the other."""

    def setUp(self) -> None:
        self.farm, self.clock = Farm(a=ON_X86, b=ON_ARM), Clock()
        self.farm.beat(A, ON_X86, [(GCC, X86)])
        self.farm.beat(B, ON_ARM, [(CLANG, ARM)])
        self.told: list[Event] = []
        self.labels: frozenset[str] = frozenset()
        self.begin(settle_secs=0)

    def begin(self, settle_secs: int, max_wait_secs: int = 60) -> None:
        def standing(party: Party) -> Standing:
            return Standing(party, labels=self.labels)

        waiting, queue = QueueSettings(max_wait_secs, settle_secs=settle_secs), Queue[Ticket](100, standing)
        tokens, servers = JobTokens(self.clock.seconds), FakeBuildServers()
        self.allocation = Allocation(
            self.farm.core, servers, queue, waiting, self.clock, tokens, self.told.extend, standing
        )
        self.assignments = servers.assignments

    def ask(self, toolchain: str, client: str = "client") -> Deferred[AllocJobResponse]:
        return Deferred.fromCoroutine(
            self.allocation.allocate(Party(client), Toolchain(toolchain), self.clock.seconds())
        )

    def server(self, allocated: Deferred[AllocJobResponse]) -> ServerId:
        success = self.successResultOf(allocated)
        assert isinstance(success, AllocJobSuccess)
        return success.job_alloc.server_id

    def refused(self, allocated: Deferred[AllocJobResponse]) -> Refusal:
        assert isinstance(self.successResultOf(allocated), AllocJobFail)
        refusal = self.told[-1]
        assert isinstance(refusal, RequestRefused)
        return refusal.refusal

    def give_up(self, *asked: Deferred[AllocJobResponse]) -> None:
        """Clients go away."""
        for each in asked:
            each.addErrback(lambda _: None)
            each.cancel()

    def fill(self, toolchain: str) -> None:
        """Take all slots for a machine."""
        for _ in range(SLOTS):
            self.farm.placed(toolchain)

    def test_one_machine_is_full(self) -> None:
        """Requests for it wait, and hold up none for the other, not even of the same client."""
        self.fill(CLANG)
        waiting = [self.ask(CLANG), self.ask(CLANG, "other")]
        gone_on = [self.ask(GCC), self.ask(GCC, "third")]
        assert self.assignments.waiting == [A, A]
        for each in waiting:
            self.assertNoResult(each)
        self.give_up(*gone_on, *waiting)

    def test_both_are_full(self) -> None:
        """A slot that comes free goes to the first request for its machine."""
        reserved = [self.farm.core.reserve(0.0, toolchain=toolchain) for toolchain in [GCC, CLANG] * SLOTS]
        waiting = [self.ask(CLANG), self.ask(GCC), self.ask(CLANG)]
        self.farm.core.release(reserved[0], 0.0, failed=False)
        self.allocation.serve_waiting()
        assert self.assignments.waiting == [A]
        self.farm.core.release(reserved[1], 0.0, failed=False)
        self.allocation.serve_waiting()
        assert self.assignments.waiting == [A, B]
        self.give_up(*waiting)

    def test_no_server_of_its_machine(self) -> None:
        """A request is refused at once, though others would wait."""
        self.farm.beat(B, ON_ARM, [(CLANG, ARM)], Availability.DRAINING)
        assert self.refused(self.ask(CLANG)) is Refusal.NO_MACHINE

    def test_the_last_one_leaves(self) -> None:
        """Requests that wait for it are refused then, while those for the other machine go on."""
        self.fill(CLANG)
        waiting = self.ask(CLANG)
        self.assertNoResult(waiting)
        self.farm.beat(B, ON_ARM, [(CLANG, ARM)], Availability.DRAINING)
        self.allocation.serve_waiting()
        assert self.refused(waiting) is Refusal.NO_MACHINE

    def test_learned_while_it_waits(self) -> None:
        """A request that waits for any server waits for those of its machine as soon as that is known."""
        self.fill(GCC)
        self.fill(CLANG)
        unknown = "0b" * 32
        waiting = self.ask(unknown)
        self.farm.beat(B, ON_ARM, [(CLANG, ARM), (unknown, 22)])
        self.farm.core.expire(0.0)
        self.farm.beat(C, ON_X86)
        self.allocation.serve_waiting()
        assert self.refused(waiting) is Refusal.NO_MACHINE

    def test_others_wait_for_the_first(self) -> None:
        """One job finds out which machine a toolchain needs; the others go there then. Other toolchains go on."""
        unknown = "0b" * 32
        first, second, third = self.ask(unknown), self.ask(unknown, "second"), self.ask(unknown, "third")
        other = self.ask(GCC)
        assert self.assignments.waiting == [A, A]
        self.farm.beat(A, ON_X86, [(GCC, X86), (unknown, ARM)])
        self.allocation.serve_waiting()
        assert self.assignments.waiting == [A, A, B, B]
        self.give_up(first, second, third, other)

    def test_others_do_not_wait_for_ever(self) -> None:
        """If the first job does not find it out, the others go anywhere; where no client waits, they do at once."""
        unknown = "0b" * 32
        asked = [self.ask(unknown) for _ in range(2)]
        assert len(self.assignments.waiting) == 1
        self.clock.advance(SCOUT_SECS)
        assert len(self.assignments.waiting) == 2
        asked.append(self.ask(unknown))
        assert len(self.assignments.waiting) == 3
        self.begin(settle_secs=0, max_wait_secs=0)
        asked += [self.ask("0e" * 32) for _ in range(2)]
        assert len(self.assignments.waiting) == 2
        self.give_up(*asked)

    def test_no_server_with_its_label(self) -> None:
        """The same holds for the labels that a client needs."""
        self.labels = frozenset({"safe"})
        assert self.refused(self.ask(GCC)) is Refusal.NO_LABEL
        self.farm.beat(A, attrs.evolve(ON_X86, labels=("safe",)), [(GCC, X86)])
        self.ask(GCC).addErrback(lambda _: None)
        assert self.assignments.waiting == [A]
        assert self.refused(self.ask(CLANG)) is Refusal.NO_MACHINE

    def test_a_young_scheduler(self) -> None:
        """It waits for a first server of the machine, as for a first one of all; then the request is refused."""
        self.farm.beat(B, ON_ARM, [(CLANG, ARM)], Availability.DRAINING)
        self.begin(settle_secs=10)
        comes, stays_away = self.ask(CLANG), self.ask(CLANG, "other")
        self.assertNoResult(comes)
        self.clock.advance(9.0)
        self.farm.beat(C, Abilities(machines=(ARM,)))
        self.fill(CLANG)
        self.farm.beat(C, Abilities(machines=(ARM,)), availability=Availability.DRAINING)
        self.clock.advance(1.0)
        assert self.refused(comes) is Refusal.NO_MACHINE
        assert self.refused(stays_away) is Refusal.NO_MACHINE
