"""Something that is done every now and then."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sccachedist.daemon.periodic import PeriodicService


class PeriodicTests(SynchronousTestCase):
    """A call every 10 s, which raises what the test wants it to."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.calls: list[float] = []
        self.error: BaseException | None = None
        self.service = PeriodicService(10.0, self.call, self.clock)
        self.service.startService()

    def call(self) -> None:
        self.calls.append(self.clock.seconds())
        if self.error is not None:
            raise self.error

    def test_called(self) -> None:
        """It is called when each period is over, not at the start."""
        self.clock.pump([9.9, 0.1, 10.0, 10.0])
        assert self.calls == [10.0, 20.0, 30.0]

    def test_late(self) -> None:
        """Calls that the process was too late for are made once, and the rhythm stays."""
        self.clock.pump([35.0, 5.0])
        assert self.calls == [35.0, 40.0]

    def test_survives(self) -> None:
        """It goes on after an error, which is logged."""
        self.error = ZeroDivisionError()
        self.clock.pump([10.0, 10.0])
        self.error = None
        self.clock.advance(10.0)
        assert self.calls == [10.0, 20.0, 30.0]
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 2

    def test_stopped(self) -> None:
        """When it has stopped, nothing is left that would wake it; it can be started again."""
        self.service.stopService()
        assert self.clock.getDelayedCalls() == []
        self.service.startService()
        self.clock.advance(10.0)
        assert self.calls == [10.0]
