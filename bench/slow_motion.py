"""A reactor whose turns are made one by one, so that the time of each can be seen."""

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure


class SlowMotion(Clock):
    """What is called later is called in a later turn, as by a real reactor."""

    def turn(self) -> float:
        """Make one turn; returns its CPU seconds."""
        due: Sequence[Any] = self.getDelayedCalls()
        began = time.thread_time()
        self.calls = []
        for call in due:
            call.func(*call.args, **call.kw)
        return time.thread_time() - began


def milliseconds(seconds: Iterator[float]) -> tuple[float, ...]:
    """For a quantity."""
    return tuple(1000 * each for each in seconds)


def turns_of(ask: Callable[[], Awaitable[Any]], clock: SlowMotion) -> Iterator[float]:
    """The CPU seconds of each turn of the reactor, from the request to the body of the response."""
    done: list[Any] = []
    began = time.thread_time()
    Deferred.fromCoroutine(ask()).addBoth(done.append)  # type: ignore[arg-type]
    yield time.thread_time() - began
    while not done:
        yield clock.turn()
    if isinstance(done[0], Failure):
        done[0].raiseException()
