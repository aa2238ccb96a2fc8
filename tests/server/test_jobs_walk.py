"""hypothesis walks the build server's core, with clients and schedulers that lie, repeat and reorder, beside a model.

The model is a dictionary of jobs; what it says about each call is written down as the rule is told.
"""

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sccachedist.errors import BadTransition, NoPlace, UnknownJob
from sccachedist.server.jobs import (
    OUR_SLOT_SECS,
    PUBLISHED_SLOT_SECS,
    TOKEN_SECS,
    UNCLAIMED_SECS,
    Issue,
    OpenRequest,
    ServerCore,
    few,
)
from sccachedist.wire.archive_id import ArchiveId, archive_id
from sccachedist.wire.extension import Availability
from sccachedist.wire.messages import AssignJobResult, JobId, JobState

#: One, so that there are too few places for all jobs now and then.
SLOTS = 1
JOBS = st.integers(1, 7).map(JobId)
TOOLCHAINS = st.sampled_from([archive_id(letter * 64) for letter in "ab"])


@attrs.define
class Job:
    """A job that somebody spoke of."""

    toolchain: ArchiveId
    is_ready: bool
    since: float
    slot_secs: float
    use: OpenRequest | None = None
    is_late: bool = False


class Walk(RuleBasedStateMachine):
    """The core and the model, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.core = ServerCore(SLOTS)
        self.now = 0.0
        self.jobs: dict[JobId, Job] = {}
        self.over: set[JobId] = set()
        self.ready = self.drained = self.leaving = self.gone = False

    @property
    def open(self) -> bool:
        return self.ready and not self.drained and not self.leaving

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

    @rule(really=st.integers(0, 19))
    def it_says_that_it_is_gone(self, really: int) -> None:
        if not really:
            self.core.end()
            self.gone = True
            for job_id in [job_id for job_id, job in self.jobs.items() if job.use is None]:
                self.forget(job_id)

    @rule(seconds=st.sampled_from([1, 20, 60, UNCLAIMED_SECS - 1, UNCLAIMED_SECS + 1]))
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
            job = self.jobs[job_id] = Job(toolchain, present, self.now, PUBLISHED_SLOT_SECS)
        missing = not job.is_ready
        assert self.core.assign(job_id, toolchain, present=present, now=self.now) == AssignJobResult(
            JobState.PENDING if missing else JobState.READY, missing
        )

    @rule(job_id=JOBS, toolchain=TOOLCHAINS, present=st.booleans(), age=st.sampled_from([0, 0, 20, TOKEN_SECS + 1]))
    def a_client_shows_its_token(self, job_id: JobId, toolchain: ArchiveId, present: bool, age: int) -> None:
        job, issue = self.jobs.get(job_id), Issue(10_000, 10_000.0 + age)
        if job is not None and job.toolchain != toolchain:
            with pytest.raises(BadTransition):
                self.core.introduce(job_id, toolchain, present=present, now=self.now, issue=issue)
            return
        self.core.introduce(job_id, toolchain, present=present, now=self.now, issue=issue)
        if job is not None:
            job.slot_secs = OUR_SLOT_SECS
        elif self.ready and not self.gone and job_id not in self.over and age <= TOKEN_SECS:
            self.jobs[job_id] = Job(toolchain, present, self.now - age, OUR_SLOT_SECS)

    @rule(job_id=JOBS, use=st.sampled_from(OpenRequest))
    def a_client_begins_a_request(self, job_id: JobId, use: OpenRequest) -> None:
        job = self.jobs.get(job_id)
        begin = self.core.begin_upload if use is OpenRequest.UPLOAD else self.core.claim
        if job is None or job.use is not None:
            with pytest.raises(UnknownJob):
                begin(job_id, self.now)
            return
        is_late = self.now - job.since > job.slot_secs
        open_ones = [each for each in self.jobs.values() if each.use is use]
        late_ones = [each for each in open_ones if each.is_late]
        most = SLOTS * (4 if use is OpenRequest.RUN else 1) + few(SLOTS)
        if len(open_ones) == most or (is_late and len(late_ones) == few(SLOTS)):
            with pytest.raises(NoPlace):
                begin(job_id, self.now)
            return
        assert begin(job_id, self.now) == job.toolchain
        job.use, job.is_late = use, is_late
        if use is OpenRequest.RUN:
            self.over.add(job_id)

    @rule(job_id=JOBS)
    def an_upload_ends(self, job_id: JobId) -> None:
        self.core.end_upload(job_id)
        job = self.jobs.get(job_id)
        if job is not None and job.use is OpenRequest.UPLOAD:
            job.use = None

    @rule(job_id=JOBS)
    def a_toolchain_has_come(self, job_id: JobId) -> None:
        job = self.jobs.get(job_id)
        if job is None:
            with pytest.raises(UnknownJob):
                self.core.toolchain_arrived(job_id, self.now)
            return
        assert (self.core.toolchain(job_id), self.core.awaits_toolchain(job_id)) == (job.toolchain, not job.is_ready)
        assert self.core.toolchain_arrived(job_id, self.now) == (not job.is_ready)
        if not job.is_ready:
            job.is_ready, job.since = True, self.now

    @rule(job_id=JOBS)
    def a_job_is_over(self, job_id: JobId) -> None:
        assert self.core.drop(job_id) == (job_id in self.jobs)
        if job_id in self.jobs:
            self.forget(job_id)

    @rule()
    def a_look_at_the_clock(self) -> None:
        stale = [
            job_id
            for job_id in self.jobs
            if self.jobs[job_id].use is None and self.now - self.jobs[job_id].since > UNCLAIMED_SECS
        ]
        assert list(self.core.expire(self.now)) == stale
        for job_id in stale:
            self.forget(job_id)

    def runs(self, job_id: JobId) -> bool:
        job = self.jobs.get(job_id)
        return job is not None and job.use is OpenRequest.RUN

    @invariant()
    def it_counts_what_runs(self) -> None:
        assert self.core.running == sum(map(self.runs, self.jobs))

    @invariant()
    def it_names_what_the_scheduler_is_to_know(self) -> None:
        named = [
            (job_id, JobState.STARTED if self.runs(job_id) else JobState.PENDING)
            for job_id, job in self.jobs.items()
            if job.use is not None
        ]
        assert list(self.core.named) == named
        assert len(named) <= 5 * SLOTS + 2 * few(SLOTS)
        closed = Availability.GONE if self.gone else Availability.DRAINING
        assert self.core.availability is (Availability.OPEN if self.open and not self.gone else closed)


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=60, stateful_step_count=60)
