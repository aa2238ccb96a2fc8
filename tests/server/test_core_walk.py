"""hypothesis walks the build server's core, with clients and schedulers that lie, repeat and reorder, beside a model.

The model is a dictionary of jobs; what it says about each call is written down as the rule is told.
"""

from enum import Enum, auto

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sccachedist.errors import BadTransition, UnknownJob
from sccachedist.server.core import UNCLAIMED_SECS, ServerCore
from sccachedist.wire.archive_id import ArchiveId, archive_id
from sccachedist.wire.messages import AssignJobResult, JobId, JobState
from sccachedist.wire.reports import Availability

JOBS = st.integers(1, 5).map(JobId)
TOOLCHAINS = st.sampled_from([archive_id(letter * 64) for letter in "ab"])


class Where(Enum):
    """Where a job stands."""

    WAITS = auto()
    READY = auto()
    RUNS = auto()


@attrs.define
class Job:
    """A job that somebody spoke of."""

    toolchain: ArchiveId
    where: Where
    since: float
    contacts: int = 0


class Walk(RuleBasedStateMachine):
    """The core and the model, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.core = ServerCore()
        self.now = 0.0
        self.jobs: dict[JobId, Job] = {}
        self.over: set[JobId] = set()
        self.ready = self.drained = self.leaving = False

    @property
    def open(self) -> bool:
        return self.ready and not self.drained and not self.leaving

    def waiting(self, job_id: JobId) -> Job | None:
        job = self.jobs.get(job_id)
        return None if job is None or job.where is Where.RUNS else job

    def forget(self, job_id: JobId) -> None:
        del self.jobs[job_id]
        self.over.add(job_id)

    @initialize(ready=st.sampled_from([True, True, True, False]))
    def the_builder_works_soon(self, ready: bool) -> None:
        if ready:
            self.the_builder_works()

    @rule()
    def the_builder_works(self) -> None:
        self.core.open()
        self.ready = True

    @rule(drained=st.booleans())
    def an_administrator_drains(self, drained: bool) -> None:
        self.core.drain(drained)
        self.drained = drained

    @rule(really=st.integers(0, 9))
    def it_is_told_to_leave(self, really: int) -> None:
        if not really:
            self.core.leave()
            self.leaving = True

    @rule(seconds=st.sampled_from([1, 60, UNCLAIMED_SECS - 1, UNCLAIMED_SECS + 1]))
    def time_goes_by(self, seconds: float) -> None:
        self.now += seconds

    @rule(job_id=JOBS, toolchain=TOOLCHAINS, present=st.booleans())
    def a_job_is_assigned(self, job_id: JobId, toolchain: ArchiveId, present: bool) -> None:
        job = self.jobs.get(job_id)
        if (job is None and not self.open) or (job is not None and (job.toolchain != toolchain or self.runs(job_id))):
            with pytest.raises(BadTransition):
                self.core.assign(job_id, toolchain, present=present, now=self.now)
            return
        if job is None:
            job = self.jobs[job_id] = self.fresh(toolchain, present)
        missing = job.where is Where.WAITS
        assert self.core.assign(job_id, toolchain, present=present, now=self.now) == AssignJobResult(
            JobState.PENDING if missing else JobState.READY, missing
        )

    @rule(job_id=JOBS, toolchain=TOOLCHAINS, present=st.booleans())
    def a_client_brings_a_job(self, job_id: JobId, toolchain: ArchiveId, present: bool) -> None:
        job = self.jobs.get(job_id)
        if job is not None and job.toolchain != toolchain:
            with pytest.raises(BadTransition):
                self.core.introduce(job_id, toolchain, present=present, now=self.now)
            return
        self.core.introduce(job_id, toolchain, present=present, now=self.now)
        if job is None and job_id not in self.over and self.ready:
            self.jobs[job_id] = self.fresh(toolchain, present)

    @rule(job_id=JOBS)
    def a_client_begins_to_send(self, job_id: JobId) -> None:
        self.core.contact(job_id, 1)
        if (job := self.jobs.get(job_id)) is not None:
            job.contacts += 1

    @rule(job_id=JOBS)
    def a_client_sends_no_more(self, job_id: JobId) -> None:
        job = self.jobs.get(job_id)
        if job is None or job.contacts:
            self.core.contact(job_id, -1)
        if job is not None and job.contacts:
            job.contacts -= 1

    @rule(job_id=JOBS)
    def a_toolchain_has_come(self, job_id: JobId) -> None:
        job = self.waiting(job_id)
        if job is None:
            for call in (self.core.awaited_toolchain, self.core.awaits_toolchain):
                with pytest.raises(UnknownJob):
                    call(job_id)
            with pytest.raises(UnknownJob):
                self.core.toolchain_arrived(job_id, self.now)
            return
        assert self.core.awaited_toolchain(job_id) == job.toolchain
        assert self.core.awaits_toolchain(job_id) == (job.where is Where.WAITS)
        assert self.core.toolchain_arrived(job_id, self.now) == (job.where is Where.WAITS)
        if job.where is Where.WAITS:
            job.where, job.since = Where.READY, self.now

    @rule(job_id=JOBS)
    def a_client_claims_its_job(self, job_id: JobId) -> None:
        job = self.waiting(job_id)
        if job is None or job.where is Where.WAITS:
            with pytest.raises(UnknownJob):
                self.core.start(job_id, self.now)
            return
        assert self.core.start(job_id, self.now) == job.toolchain
        job.where = Where.RUNS

    @rule(job_id=JOBS)
    def a_compile_ends(self, job_id: JobId) -> None:
        if self.runs(job_id):
            self.core.finish(job_id)
            self.forget(job_id)

    @rule()
    def a_look_at_the_clock(self) -> None:
        stale = [
            job_id
            for job_id in self.jobs
            if not self.runs(job_id) and self.now - self.jobs[job_id].since > UNCLAIMED_SECS
        ]
        assert list(self.core.expire(self.now)) == stale
        for job_id in stale:
            self.forget(job_id)

    def fresh(self, toolchain: ArchiveId, present: bool) -> Job:
        return Job(toolchain, Where.READY if present else Where.WAITS, self.now)

    def runs(self, job_id: JobId) -> bool:
        job = self.jobs.get(job_id)
        return job is not None and job.where is Where.RUNS

    @invariant()
    def it_counts_what_runs(self) -> None:
        assert self.core.running == sum(map(self.runs, self.jobs))

    @invariant()
    def it_names_what_the_scheduler_is_to_know(self) -> None:
        named = [
            (job_id, JobState.STARTED if self.runs(job_id) else JobState.PENDING)
            for job_id, job in self.jobs.items()
            if self.runs(job_id) or job.contacts
        ]
        assert list(self.core.named) == named
        assert self.core.availability is (Availability.OPEN if self.open else Availability.DRAINING)


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
