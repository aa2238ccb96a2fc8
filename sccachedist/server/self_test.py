"""Looks at a build server's disks and memory now and then, tests it when a job failed because of it, and tells of it.

:mod:`sccachedist.server.fitness` decides what follows. The test of the sandboxes is in
:mod:`sccachedist.builders.selftest`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from sccachedist.builders.interface import Builder
from sccachedist.daemon.logs import Logger
from sccachedist.disks import complaint_about, disks_of, write_to
from sccachedist.errors import SccachedistError
from sccachedist.memory import FreeMemory
from sccachedist.server.fitness import Fitness

log = Logger()

#: Seconds between two looks at disks and memory.
LOOK_SECS = 1.0


class SelfTest(Service):
    """Knows whether this build server is fit.

    :param builder: runs the trial job.
    :param directories: their disks have to have room. Jobs make a directory again that is not there.
    :param memory: returns the memory that is free for jobs.
    :param changed: called with the reason when this server becomes unfit, and with an empty text when it is fit again.
    """

    name = "self-test"

    def __init__(
        self,
        builder: Builder,
        directories: Sequence[Path],
        memory: Callable[[], FreeMemory | None],
        changed: Callable[[str], None],
        clock: IReactorTime,
    ) -> None:
        self._builder, self._directories, self._memory = builder, directories, memory
        self._changed, self._clock = changed, clock
        self.fitness = Fitness()
        self._told = ""
        self._next: IDelayedCall | None = None
        self._testing: Deferred[Any] | None = None
        self._looks = LoopingCall(self.look)
        self._looks.clock = clock

    def startService(self) -> None:
        """Look at disks and memory from now on."""
        super().startService()
        self._looks.start(LOOK_SECS)

    def stopService(self) -> None:
        """Test no more."""
        super().stopService()
        self._looks.stop()
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if self._testing is not None:
            self._testing.cancel()

    def succeeded(self) -> None:
        """Note a job that gave a result."""
        self.fitness.succeeded()

    def failed(self, error: BaseException) -> None:
        """Note a job that was sent home."""
        self.fitness.failed(error, self._clock.seconds())
        self._follow()

    def look(self) -> None:
        """Look at disks and memory."""
        self.fitness.looked(self._complaint(), self._memory(), self._clock.seconds())
        self._follow()

    def again(self) -> None:
        """Test at once if this server is unfit: something has changed that may have mended it."""
        self.look()
        if self._next is not None:
            self._next.reset(0)

    def _follow(self) -> None:
        """Tell what has changed, and see to it that the next test comes in time."""
        if self.fitness.reason != self._told:
            self._tell()
        if self.running and self.fitness.test_at is not None and self._testing is None and self._next is None:
            self._next = self._clock.callLater(max(0.0, self.fitness.test_at - self._clock.seconds()), self._test)

    def _tell(self) -> None:
        was, self._told = self._told, self.fitness.reason
        if not self._told:
            log.info("fit for jobs again: the self-test has passed")
        elif not was:
            log.error("unfit for jobs until a self-test passes: {reason}", reason=self._told)
        else:
            log.debug("still unfit for jobs: {reason}", reason=self._told)
        if bool(was) is not bool(self._told):
            self._changed(self._told)

    def _test(self) -> None:
        self._next = None
        testing = self._testing = Deferred.fromCoroutine(self._complaint_of_a_test())
        testing.addCallbacks(self._tested, self._not_tested)

    def _complaint(self) -> str:
        return complaint_about(self._directories) or self._builder.complaint()

    async def _complaint_of_a_test(self) -> str:
        try:
            if lack := self.fitness.lack(self._complaint(), self._memory()):
                return lack
            for disk in disks_of(self._directories):
                write_to(disk)
            await self._builder.prove()
        except SccachedistError as error:
            return str(error)
        return ""

    def _tested(self, complaint: str) -> None:
        self._testing = None
        if self.running:
            self.fitness.tested(complaint, self._clock.seconds())
            self._follow()

    def _not_tested(self, failure: Failure) -> None:
        if not failure.check(CancelledError):  # the build server stops
            log.failure("self-test", failure)
        self._tested(failure.getErrorMessage())
