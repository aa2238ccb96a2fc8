"""Starts and stops a worker in the right order: when its sandboxes work, gateways are asked for jobs.

What the parts are is not known here: :mod:`sccachedist.worker.service` makes them.
"""

from twisted.internet.defer import Deferred, gatherResults

from sccachedist.errors import PeerError
from sccachedist.server.sandbox_service import SandboxParts, SandboxService, disown
from sccachedist.worker.dialling import Diallers
from sccachedist.worker.openness import WorkerOpenness
from sccachedist.worker.session import Desk

#: Seconds in which gateways are told that a worker leaves.
LEAVE_SECS = 5.0


class WorkerService(SandboxService):
    """Starts and stops a worker in the right order."""

    def __init__(self, parts: SandboxParts, *, diallers: Diallers, desk: Desk, openness: WorkerOpenness) -> None:
        super().__init__(parts, "not asking for jobs")
        self._diallers, self._desk, self._openness = diallers, desk, openness

    async def _begin(self) -> None:
        self._openness.change(is_ready=True)
        self._self_test.setServiceParent(self)
        self._diallers.setServiceParent(self)

    async def _end_others(self) -> None:
        await disown(self._diallers)

    async def _finish_jobs(self) -> None:
        """Tell all gateways, and wait for the jobs that are here."""
        self._openness.change(is_leaving=True)
        telling = [Deferred.fromCoroutine(session.leave()) for session in tuple(self._desk.sessions)]
        for each in telling:
            each.addTimeout(LEAVE_SECS, self._clock).addErrback(lambda failure: failure.trap(PeerError, TimeoutError))
        await gatherResults(telling)
        while not self._desk.slots.is_idle:
            await self._desk.idle.wait()
