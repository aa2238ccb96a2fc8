"""The clock that everything that ages counts on: leases, penalties, deadlines, pauses, what is remembered for a while.

A daemon has one, its reactor's. Twisted's is the wall clock, which jumps when an administrator or NTP sets it: an hour
forward, and every server has been silent for an hour; an hour back, and no timer is due for an hour. Wall time is for
what others read: certificates, tokens, log lines, the first job's number.
"""

import time
from collections.abc import Callable
from typing import Any


def growing_clock() -> Callable[[], float]:
    """A clock that shows the wall's time now and only grows from here on, however the wall's is set."""
    start = time.time() - time.monotonic()
    monotonic = time.monotonic
    return lambda: start + monotonic()


def let_time_only_grow(reactor: Any) -> None:
    """Have a reactor count on a clock that only grows: for its own timers, Twisted's, and for all that asks it.

    It is called before anything is scheduled. The new clock begins at the wall's time, so that a call that is
    scheduled already is not lost either.
    """
    reactor.seconds = growing_clock()
