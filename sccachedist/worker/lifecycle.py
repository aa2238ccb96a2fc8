"""Starts and stops a worker in the right order: disks, then sandboxes, and then gateways are asked for jobs.

What the parts are is not known here: :mod:`sccachedist.worker.service` makes them.
"""

from collections.abc import Callable, Sequence

from twisted.internet.defer import CancelledError, Deferred, gatherResults, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from sccachedist.builders.interface import Builder
from sccachedist.daemon.logs import Logger
from sccachedist.daemon.startup import RoleService
from sccachedist.errors import BuildError, ConfigError, PeerError
from sccachedist.server.lifecycle import BUILDER_RETRY_SECS
from sccachedist.server.self_test import SelfTest
from sccachedist.worker.dialling import Diallers
from sccachedist.worker.openness import WorkerOpenness
from sccachedist.worker.session import Desk

log = Logger()

#: Seconds in which gateways are told that a worker leaves.
LEAVE_SECS = 5.0


class WorkerService(RoleService):
    """Starts and stops a worker in the right order.

    :param opening: steps on the disk that come first, in this order.
    :param stopping: called when stopping begins.
    """

    def __init__(
        self,
        *,
        opening: Sequence[Callable[[], object]],
        builder: Builder,
        diallers: Diallers,
        desk: Desk,
        openness: WorkerOpenness,
        self_test: SelfTest,
        stopping: Callable[[], None],
        grace_secs: float,
        clock: IReactorTime,
        status: Callable[[], str],
    ) -> None:
        super().__init__(status)
        self._opening, self._builder, self._diallers, self._desk = opening, builder, diallers, desk
        self._openness, self._self_test, self._stopping = openness, self_test, stopping
        self.grace_secs, self._clock = grace_secs, clock
        self._beginning: Deferred[None] | None = None

    def startService(self) -> None:
        """Open the cache; dial when the builder has shown that it works.

        :raises ConfigError: ``cache_dir`` cannot be used.
        """
        try:
            for opened in self._opening:
                opened()
        except OSError as error:
            raise ConfigError(f"cache_dir: {error}") from error
        super().startService()
        self._beginning = Deferred.fromCoroutine(self._begin())
        self._beginning.addErrback(_not_begun)

    def stopService(self) -> Deferred[None]:
        """Wait for running jobs, at most ``shutdown.grace_secs``, then end everything."""
        return Deferred.fromCoroutine(self._end())

    async def _begin(self) -> None:
        while True:
            try:
                await self._builder.start()
                break
            except BuildError as error:
                form = "not asking for jobs: {error}; next try in {secs} s"
                log.error(form, error=str(error), secs=BUILDER_RETRY_SECS)
            await deferLater(self._clock, BUILDER_RETRY_SECS)
        self._openness.change(is_ready=True)
        self._self_test.setServiceParent(self)
        self._diallers.setServiceParent(self)

    async def _end(self) -> None:
        self._stopping()
        if self._beginning is not None:
            self._beginning.cancel()
        self._openness.change(is_leaving=True)
        leaving = Deferred.fromCoroutine(self._leave())
        await leaving.addTimeout(self.grace_secs, self._clock, lambda *_: None)
        for part in (self._self_test, self._diallers):
            if part.parent is not None:
                await maybeDeferred(part.disownServiceParent)
        await self._builder.stop()
        await super().stopService()

    async def _leave(self) -> None:
        """Tell all gateways, and wait for the jobs that are here."""
        telling = [Deferred.fromCoroutine(session.leave()) for session in tuple(self._desk.sessions)]
        for each in telling:
            each.addTimeout(LEAVE_SECS, self._clock).addErrback(lambda failure: failure.trap(PeerError, TimeoutError))
        await gatherResults(telling)
        while not self._desk.slots.is_idle:
            await self._desk.idle.wait()


def _not_begun(failure: Failure) -> None:
    if not failure.check(CancelledError):  # the service stops before the builder works
        log.failure("the builder does not start", failure)
