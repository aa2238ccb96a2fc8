"""Peers without a network: what they are asked waits until the test answers it, and nothing happens by itself."""

from typing import Generic, TypeVar

import attrs
from twisted.internet.defer import Deferred

from sccachedist.scheduler.core import Reservation
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.archive_id import archive_id
from sccachedist.wire.extension import SchedulerReport, ServerReport
from sccachedist.wire.messages import AssignJobResult, Heartbeat, HeartbeatResult, JobId, JobState, Toolchain
from sccachedist.wire.tokens import check_job_token

Q = TypeVar("Q")
A = TypeVar("A")


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
    heartbeats: Requests[Heartbeat, bool] = attrs.field(factory=Requests)
    heard: list[ServerReport] = attrs.field(factory=list)
    reports: Requests[tuple[JobId, JobState], None] = attrs.field(factory=Requests)
    batches: Requests[tuple[tuple[JobId, JobState], ...], None] = attrs.field(factory=Requests)

    async def heartbeat(
        self, heartbeat: Heartbeat, report: ServerReport
    ) -> tuple[HeartbeatResult, SchedulerReport | None]:
        self.heard.append(report)
        is_new = await self.heartbeats.ask(heartbeat)
        return HeartbeatResult(is_new), SchedulerReport(0, self.heartbeat_secs, self.told) if self.is_ours else None

    async def job_state(self, job_id: JobId, state: JobState) -> None:
        await self.reports.ask((job_id, state))

    async def job_states(self, states: tuple[tuple[JobId, JobState], ...]) -> None:
        await self.batches.ask(states)


@attrs.frozen
class FakeBuildServers:
    """Build servers, as a scheduler sees them: they look at what they are sent as the real ones do."""

    assignments: Requests[ServerId, AssignJobResult] = attrs.field(factory=Requests)

    async def assign(self, reserved: Reservation, token: str, toolchain: Toolchain) -> AssignJobResult:
        archive_id(toolchain.archive_id)
        check_job_token(token, reserved.job_key, reserved.job_id)
        return await self.assignments.ask(reserved.server_id)
