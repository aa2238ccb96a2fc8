"""What waits for an event."""

from twisted.internet.defer import CancelledError, Deferred

from farmkit.deferreds import outcome
from sccachedist.waiters import Waiters


def test_all_are_woken_once() -> None:
    """Those that wait go on; one that waits again waits for the next event."""
    waiters, woken = Waiters(), []

    async def wait(name: str) -> None:
        await waiters.wait()
        woken.append(name)
        await waiters.wait()
        woken.append(name)

    for name in "ab":
        Deferred.fromCoroutine(wait(name))
    assert (len(waiters), woken) == (2, [])
    waiters.wake()
    assert (len(waiters), woken) == (2, ["a", "b"])
    waiters.wake()
    assert (len(waiters), woken) == (0, ["a", "b", "a", "b"])


def test_one_that_gives_up() -> None:
    """It is forgotten, also where another one that is woken makes it give up."""
    waiters = Waiters()
    first, second, third = waiters.wait(), waiters.wait(), waiters.wait()
    second.cancel()
    assert isinstance(outcome(second), CancelledError)
    assert len(waiters) == 2
    first.addCallback(lambda _: third.cancel())
    waiters.wake()
    assert isinstance(outcome(third), CancelledError)
    assert len(waiters) == 0
