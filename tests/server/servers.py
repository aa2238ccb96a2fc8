"""A build server whose builder and scheduler wait for a test to answer them."""

from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from farmkit.deferreds import outcome
from farmkit.fakes import FakeBuilder, FakeScheduler
from sccachedist.budgets import Budget, Party
from sccachedist.config import ServerLimits
from sccachedist.server.inputs import ReceivedJob, open_spool
from sccachedist.server.job_reports import JobReports
from sccachedist.server.job_runner import JobRunner
from sccachedist.server.jobs import ServerCore
from sccachedist.server.self_test import SelfTest
from sccachedist.toolchains.cache import BEGIN_SECS
from sccachedist.web.request_head import Head
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.job_summary import JobSummary
from sccachedist.wire.messages import CompileCommand, JobId, JobState, RunJobRequest, Toolchain
from sccachedist.wire.run_job_frame import frame
from tests.toolchains.stocks import GCC, Stock

JOB, OTHER = JobId(7), JobId(8)
REQUEST = RunJobRequest(CompileCommand("/bin/cc", (), (), "/"), ("/x.o",))
HEAD = Head("POST", "/", {"content-type": "application/octet-stream"}, "127.0.0.1", None)
PARTY = Party("somebody")


@attrs.define
class Host:
    """A build server and all that surrounds it."""

    directory: Path
    limits: ServerLimits = attrs.field(factory=ServerLimits)
    clock: Clock = attrs.field(factory=Clock)
    builder: FakeBuilder = attrs.field(factory=FakeBuilder)
    scheduler: FakeScheduler = attrs.field(factory=FakeScheduler)
    core: ServerCore = attrs.field(factory=ServerCore)
    memory: Budget = attrs.field(factory=lambda: Budget("buffered_bytes", 1 << 20))
    scheduler_time: float | None = None
    stock: Stock = attrs.field(init=False)
    reports: JobReports = attrs.field(init=False)
    self_test: SelfTest = attrs.field(init=False)
    judged: list[str] = attrs.field(factory=list)
    ended: list[tuple[JobId | None, str, JobSummary]] = attrs.field(factory=list)
    server: JobRunner = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.stock = Stock(self.directory, clock=self.clock)
        self.reports = JobReports(self.scheduler, self.clock, lambda: None, lambda _: False)
        open_spool(self.spool)
        self.self_test = SelfTest(self.builder, [self.directory], lambda: None, self.judged.append, self.clock)
        self.server = JobRunner(
            self.core,
            self.stock.toolchains,
            self.builder,
            self.reports,
            self.spool,
            self.limits,
            self.memory,
            self.stock.disk,
            self.clock,
            self.self_test,
            ["-mours"],
            lambda: self.scheduler_time,
            (lambda job_id, client, summary, _: self.ended.append((job_id, client, summary)),),
        )
        self.server.open()

    @property
    def spool(self) -> Path:
        return self.directory / "spool"

    def assign(self, job_id: JobId = JOB, toolchain: ArchiveId = GCC) -> None:
        self.server.assign(job_id, Toolchain(toolchain))

    def received(self, job_id: JobId = JOB) -> ReceivedJob | None:
        """A run_job that has come in whole; None where there is no such job."""
        body = self.server.receive_inputs(job_id, HEAD, PARTY)
        body.write(frame(REQUEST, b"inputs"))
        return body.complete()

    def reported(self, *job_ids: JobId) -> list[JobState]:
        """Take all reports of these jobs, in their order."""
        states = []
        while waiting := [report for report in self.scheduler.reports.waiting if report[0] in (job_ids or (JOB,))]:
            states.append(waiting[0][1])
            self.scheduler.reports.answer(waiting[0], None)
        return states


def run(host: Host, job_id: JobId = JOB) -> Deferred[Any]:
    return Deferred.fromCoroutine(host.server.run(job_id, host.received(job_id)))


def run_in_vain(host: Host) -> Deferred[Any]:
    """Run a job whose toolchain nobody brings."""
    running = run(host)
    host.clock.advance(BEGIN_SECS)
    return running


def spooled(host: Host) -> list[str]:
    return sorted(path.suffix for path in host.spool.iterdir())


def answered(run: Deferred[Any]) -> bytes:
    """What a job's client gets, and takes."""
    answer = outcome(run)
    content: bytes = answer.path.read_bytes()
    answer.taken()
    return content
