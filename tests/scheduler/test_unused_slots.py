"""Allocations of slots that clients do not use: others wait for them for a moment, and who never comes for its pace."""

from sccachedist.scheduler.core import SchedulerCore
from sccachedist.scheduler.shares import HOLD_SECS, UNHELD_SECS, UNHELD_SLOT_SECS
from sccachedist.wire.messages import (
    JobState,
)
from tests.scheduler.allocating import Allocating
from tests.scheduler.farms import FIRST_JOB, A, assigned, farm


class UnusedSlotTests(Allocating):
    """Clients wait for up to 60 s."""

    def use(self, core: SchedulerCore, max_wait_secs: int = 60) -> None:
        super().use(core, max_wait_secs)

    def test_waits_for_its_own(self) -> None:
        """A new client that was given its share waits for its own jobs to begin; others go on meanwhile."""
        self.use(farm(2))
        first, waits = self.allocate(client="new"), self.allocate(client="new")
        other, waits_too = self.allocate(client="other"), self.allocate(client="third")
        for allocated in (first, other):
            self.answer(A, assigned())
            self.server(allocated)
        assert self.assignments.waiting == []
        self.core.update(FIRST_JOB, A, JobState.STARTED, 0.0)
        self.allocation.serve_waiting()
        self.answer(A, assigned())
        self.server(waits)
        self.assertNoResult(waits_too)

    def test_slots_that_are_not_used(self) -> None:
        """A slot whose client does not come is another's after a moment, without anything else that happens."""
        self.use(farm(1))
        absent = [self.allocate(client=name) for name in "ab"]
        self.answer(A, assigned())
        waiting = self.allocate(client="c")
        self.clock.advance(HOLD_SECS / 2)
        assert self.assignments.waiting == []
        self.clock.advance(HOLD_SECS / 2)
        assert self.assignments.waiting == [A]
        self.answer(A, assigned())
        self.server(absent[1])
        self.clock.advance(HOLD_SECS)
        self.answer(A, assigned())
        self.server(waiting)
        assert self.clock.getDelayedCalls() == []

    def test_slots_that_are_not_used_without_a_queue(self) -> None:
        """Where no client waits, a slot whose client did not come is another's as well."""
        self.use(farm(1), max_wait_secs=0)
        for _ in range(2):
            self.allocate(client="absent")
            self.answer(A, assigned())
        assert "Insufficient" in self.reason(self.allocate(client="b"))
        self.clock.advance(HOLD_SECS)
        allocated = self.allocate(client="b")
        self.answer(A, assigned())
        self.server(allocated)

    def test_a_client_that_never_comes(self) -> None:
        """It gets slots at a pace, without anything else that happens; another client waits for none of that."""
        self.use(farm(10))
        self.allocate(client="absent")
        self.answer(A, assigned())
        self.clock.advance(HOLD_SECS)
        self.core.lend(HOLD_SECS)
        for _ in range(round(UNHELD_SLOT_SECS / UNHELD_SECS)):
            self.allocate(client="absent")
            self.answer(A, assigned())
        paced = [self.allocate(client="absent") for _ in range(2)]
        assert self.assignments.waiting == []
        self.allocate(client="another")
        self.answer(A, assigned())
        for each in paced:
            self.clock.advance(UNHELD_SECS)
            self.answer(A, assigned())
            self.server(each)
