"""Peers and a builder in memory: what they are asked waits until the test answers it, and nothing happens by itself."""

from pathlib import Path
from typing import Generic, TypeVar

import attrs
from twisted.internet.defer import Deferred

from sccachedist.builders.interface import BuildJob
from sccachedist.builders.machines import Machines
from sccachedist.errors import BuildError
from sccachedist.outcomes import SentLocal
from sccachedist.scheduler.core import Reservation
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.archive_id import ArchiveId, archive_id
from sccachedist.wire.extension import Orders, SchedulerReport, ServerReport, Summaries
from sccachedist.wire.messages import AssignJobResult, Heartbeat, HeartbeatResult, JobId, JobState, Toolchain
from sccachedist.wire.tokens import check_job_token
from sccachedist.wire.usage import NO_USAGE, Usage

Q = TypeVar("Q")
A = TypeVar("A")

#: What a :class:`FakeBuilder` writes as the answer of a job: the number of its kind, and nothing behind that.
ANSWER = bytes.fromhex("00000000")


class Requests(Generic[Q, A]):
    """Requests of one kind that wait for their answers, the oldest first; one that is cancelled is gone."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Q, Deferred[A]]] = []

    @property
    def waiting(self) -> list[Q]:
        return [request for request, _ in self._waiting]

    async def ask(self, request: Q) -> A:
        answer: Deferred[A] = Deferred(lambda _: self._waiting.remove((request, answer)))
        self._waiting.append((request, answer))
        return await answer

    def answer(self, request: Q, answer: A | Exception) -> None:
        """Answer the oldest request that is equal; there has to be one."""
        _, waiter = self._waiting.pop(self.waiting.index(request))
        if isinstance(answer, Exception):
            waiter.errback(answer)
        else:
            waiter.callback(answer)


@attrs.define
class FakeScheduler:
    """A scheduler, as a build server sees it.

    :param is_ours: whether it answers heartbeats as one of ours.
    :param heartbeat_secs: how often it wants them then.
    """

    is_ours: bool = False
    heartbeat_secs: int = 0
    told: int = 0
    orders: Orders | None = None
    heartbeats: Requests[Heartbeat, bool] = attrs.field(factory=Requests)
    heard: list[ServerReport] = attrs.field(factory=list)
    reports: Requests[tuple[JobId, JobState], None] = attrs.field(factory=Requests)
    batches: Requests[tuple[tuple[JobId, JobState], ...], None] = attrs.field(factory=Requests)
    summaries: list[Summaries] = attrs.field(factory=list)

    async def heartbeat(
        self, heartbeat: Heartbeat, report: ServerReport
    ) -> tuple[HeartbeatResult, SchedulerReport | None]:
        self.heard.append(report)
        is_new = await self.heartbeats.ask(heartbeat)
        said = SchedulerReport(0, self.heartbeat_secs, self.told, orders=self.orders)
        return HeartbeatResult(is_new), said if self.is_ours else None

    async def job_state(self, job_id: JobId, state: JobState) -> None:
        await self.reports.ask((job_id, state))

    async def job_states(self, states: tuple[tuple[JobId, JobState], ...], summaries: Summaries) -> None:
        self.summaries.append(summaries)
        await self.batches.ask(states)


@attrs.frozen
class FakeBuildServers:
    """Build servers, as a scheduler sees them: they look at what they are sent as the real ones do."""

    assignments: Requests[ServerId, AssignJobResult] = attrs.field(factory=Requests)

    async def assign(self, reserved: Reservation, token: str, toolchain: Toolchain) -> AssignJobResult:
        archive_id(toolchain.archive_id)
        check_job_token(token, reserved.job_key, reserved.job_id)
        return await self.assignments.ask(reserved.server_id)


@attrs.define
class FakeWatch:
    """Hears how a job gets on in a builder."""

    waits: int = 0
    begun_count: int = 0
    usages: list[Usage] = attrs.field(factory=list)
    toolchains_ns: list[int] = attrs.field(factory=list)

    def unpacked(self) -> None:
        self.waits += 1

    def begun(self) -> None:
        self.begun_count += 1

    def used(self, usage: Usage, toolchain_ns: int = 0) -> None:
        self.usages.append(usage)
        self.toolchains_ns.append(toolchain_ns)


@attrs.define
class FakeFollower:
    """Keeps what it is told, and sees that what has come is in the file."""

    archive: Path
    told: list[int | str] = attrs.field(factory=list)

    def received(self, size: int) -> None:
        assert self.archive.stat().st_size == size
        self.told.append(size)

    def verified(self, size: int) -> None:
        self.told.append("whole")

    def aborted(self) -> None:
        if not {"whole", "abandoned"} & {*self.told}:
            self.told.append("abandoned")


@attrs.define
class FakeBuilder:
    """A builder of the :class:`~sccachedist.builders.interface.Builder` kind; a job waits until a test ends it.

    :param usage: what each job takes; ``NO_USAGE`` is not told.
    :param to_unpack: whether a job waits for a first answer of the test: then its toolchain is unpacked.
    """

    jobs: Requests[JobId, None] = attrs.field(factory=Requests)
    seen: list[BuildJob] = attrs.field(factory=list)
    starting: Requests[str, None] = attrs.field(factory=Requests)
    stopped: int = 0
    lacks: str = ""
    result: bytes = ANSWER
    discarded: list[ArchiveId] = attrs.field(factory=list)
    usage: Usage = NO_USAGE
    to_unpack: bool = False
    machines: Machines = attrs.field(factory=Machines)

    async def start(self) -> None:
        await self.starting.ask("start")

    def complaint(self) -> str:
        return self.lacks

    async def prove(self) -> None:
        await self.starting.ask("prove")

    async def run(self, job: BuildJob) -> None:
        assert job.archive.exists()
        assert job.inputs.exists()
        self.seen.append(job)
        if self.to_unpack:
            await self.jobs.ask(job.job_id)
            job.watch.unpacked()
        job.watch.begun()
        try:
            await self.jobs.ask(job.job_id)
        finally:
            if self.usage is not NO_USAGE:
                job.watch.used(self.usage)
        job.answer.write_bytes(self.result)

    def follow(self, toolchain: ArchiveId, archive: Path) -> FakeFollower:
        return FakeFollower(archive)

    async def discard(self, toolchain: ArchiveId) -> None:
        self.discarded.append(toolchain)

    async def stop(self) -> None:
        self.stopped += 1
        for job_id in self.jobs.waiting:
            self.jobs.answer(job_id, BuildError(SentLocal.SHUTDOWN, "the builder stops"))
