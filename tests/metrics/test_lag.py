"""How late the reactor is."""

from twisted.internet.task import Clock

from sccachedist.metrics.lag import LOOK_SECS, LoopLag


def test_lag() -> None:
    """A reactor that is held up for a while is late by what is left of it, once; a stopped service leaves nothing."""
    seen: list[float] = []
    clock = Clock()
    lag = LoopLag(seen.append, clock)
    lag.startService()
    clock.advance(LOOK_SECS)
    clock.advance(LOOK_SECS + 3)
    clock.advance(LOOK_SECS)
    assert seen == [0, 3, 0]
    lag.stopService()
    assert clock.getDelayedCalls() == []
    lag.stopService()
