"""Starts and stops a role with sandboxes: disks, then the sandboxes, then jobs; and the reverse.

How jobs come to a role, its own class says: :mod:`sccachedist.server.lifecycle` for a build server,
:mod:`sccachedist.worker.lifecycle` for a worker.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from sccachedist.builders.interface import Builder
from sccachedist.daemon.logs import Logger
from sccachedist.daemon.startup import RoleService
from sccachedist.errors import BuildError, ConfigError
from sccachedist.server.self_test import SelfTest

log = Logger()

#: Seconds until a builder that does not work is started again.
BUILDER_RETRY_SECS = 30.0


@attrs.frozen
class SandboxParts:
    """What each such role has.

    :param opening: steps on the disk that come first, in this order.
    :param stopping: called when stopping begins.
    :param grace_secs: how long running jobs are waited for, at the start.
    :param status: says in a few words how the role is doing.
    """

    opening: Sequence[Callable[[], object]]
    builder: Builder
    self_test: SelfTest
    stopping: Callable[[], None]
    grace_secs: float
    clock: IReactorTime
    status: Callable[[], str]


class SandboxService(RoleService, ABC):
    """A role with sandboxes: it listens at once, begins with jobs when they work, and ends what it has begun in order.

    :param unbegun: says what is not done while they do not work, such as "not registering".
    :ivar grace_secs: how long running jobs are waited for.
    """

    def __init__(self, parts: SandboxParts, unbegun: str) -> None:
        super().__init__(parts.status)
        self._parts, self._unbegun, self._self_test = parts, unbegun, parts.self_test
        self.grace_secs, self._clock = parts.grace_secs, parts.clock
        self._beginning: Deferred[None] | None = None

    def startService(self) -> None:
        """Open what is on the disk, and listen; begin when the builder has shown that it works.

        :raises ConfigError: ``cache_dir`` cannot be used.
        """
        try:
            for opened in self._parts.opening:
                opened()
        except OSError as error:
            raise ConfigError(f"cache_dir: {error}") from error
        super().startService()
        self._beginning = Deferred.fromCoroutine(self._begin_when_it_works())
        self._beginning.addErrback(_not_begun)

    def stopService(self) -> Deferred[None]:
        """Wait for running jobs, at most ``shutdown.grace_secs``, then end everything."""
        return Deferred.fromCoroutine(self._end())

    @abstractmethod
    async def _begin(self) -> None:
        """Have jobs come."""

    @abstractmethod
    async def _finish_jobs(self) -> None:
        """Have no more come, and wait for those that are here; cancelled when the grace is over."""

    async def _end_others(self) -> None:
        """End what must not outlast the sandboxes."""

    async def _sandboxes_ended(self) -> None:
        """Do what is due once no job runs any more, before all the rest ends."""

    async def _begin_when_it_works(self) -> None:
        while True:
            try:
                await self._parts.builder.start()
                break
            except BuildError as error:
                form = "{unbegun}: {error}; next try in {secs} s"
                log.error(form, unbegun=self._unbegun, error=str(error), secs=BUILDER_RETRY_SECS)
            await deferLater(self._clock, BUILDER_RETRY_SECS)
        await self._begin()

    async def _end(self) -> None:
        self._parts.stopping()
        if self._beginning is not None:
            self._beginning.cancel()
        await self._within(self.grace_secs, self._finish_jobs())
        await disown(self._self_test)  # it would test a builder that has stopped
        await self._end_others()
        await self._parts.builder.stop()
        await self._sandboxes_ended()
        await super().stopService()

    async def _within(self, seconds: float, work: Coroutine[Deferred[Any], Any, None]) -> None:
        """Wait for some work; cancel it when the time is over."""
        await Deferred.fromCoroutine(work).addTimeout(seconds, self._clock, lambda *_: None)


async def disown(part: Service) -> None:
    """End a part of a role before the others, if it has begun."""
    if part.parent is not None:
        await maybeDeferred(part.disownServiceParent)


def _not_begun(failure: Failure) -> None:
    if not failure.check(CancelledError):  # the service stops before the builder works
        log.failure("the builder does not start", failure)
