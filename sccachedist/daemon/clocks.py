"""The clock for everything that ages: leases, penalties, deadlines, pauses, what is remembered for a while.

A daemon has one such clock, its reactor's. Twisted's is the wall clock, which jumps when an administrator or NTP sets
it: after a jump of an hour forward, every server seems silent for an hour; after one back, no timer fires for an hour.
Wall time is for what others read: certificates, tokens, log lines, the first job's number.
"""

import time
from collections.abc import Callable
from typing import Any


def growing_clock() -> Callable[[], float]:
    """A clock that starts at the present wall time and then only grows, however the wall clock is set."""
    start = time.time() - time.monotonic()
    monotonic = time.monotonic
    return lambda: start + monotonic()


def let_time_only_grow(reactor: Any) -> None:
    """Make a reactor count on a clock that only grows: for its own timers, Twisted's, and every caller of ``seconds``.

    Call it before anything is scheduled. The new clock starts at the wall time, so that a call which is scheduled
    already is not lost either.
    """
    reactor.seconds = growing_clock()
