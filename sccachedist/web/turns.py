"""Shares the reactor's time between addresses: what peers send is worked on for some milliseconds a turn.

A reactor that has a thousand connections with something to read works through them all before it looks for the next
event. Here a piece of work is done at once if there is time in this turn. Else it waits, behind the others of its
address, and the addresses are served one after the other. So one address with a thousand busy connections does not hold
up a peer from another one. What the work is, is not known here.
"""

import time
from collections import deque
from collections.abc import Callable

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from sccachedist.daemon.logs import Logger

log = Logger()

#: Seconds of CPU for which a turn works on what has come.
TURN_SECS = 0.005
#: Seconds of CPU after which the next turn is asked for: a quiet daemon asks for none.
_WORTH_A_TURN = 0.004

Work = Callable[[], None]


class Turns:
    """Work that is done when its turn comes.

    :param spent: the seconds of CPU that this thread has used; if they never change, a turn never ends.
    """

    def __init__(self, clock: IReactorTime, spent: Callable[[], float] = time.thread_time) -> None:
        self._clock, self._spent = clock, spent
        self._left = TURN_SECS
        self._waiting: dict[str, deque[Work]] = {}
        self._next: IDelayedCall | None = None

    def run(self, party: str, work: Work) -> bool:
        """Do work now, or when its turn comes, behind all other work of its party; return whether it is done.

        The work must not raise.
        """
        if self._left <= 0 or self._waiting:
            self.run_later(party, work)
            return False
        self._do(work)
        return True

    def run_later(self, party: str, work: Work) -> None:
        """Do work when its turn comes, in the reactor's next turn at the earliest."""
        self._waiting.setdefault(party, deque()).append(work)
        self._ask_for_a_turn()

    def run_next(self, party: str, work: Work, pause_secs: float = 0.0) -> None:
        """The same, and not in this turn even if there is time, nor before a pause is over."""
        self._clock.callLater(pause_secs, self.run_later, party, work)

    def _do(self, work: Work) -> None:
        began = self._spent()
        try:
            work()
        except Exception:
            log.failure("what a peer has sent")
        self._left -= self._spent() - began
        if self._left < TURN_SECS - _WORTH_A_TURN:
            self._ask_for_a_turn()

    def _ask_for_a_turn(self) -> None:
        if self._next is None:
            self._next = self._clock.callLater(0, self._begin)

    def _begin(self) -> None:
        """A turn: one piece of work of each address, round and round while there is time."""
        self._next, self._left = None, TURN_SECS
        while self._waiting and self._left > 0:
            party = next(iter(self._waiting))
            works = self._waiting.pop(party)
            work = works.popleft()
            if works:
                self._waiting[party] = works
            self._do(work)
        if self._waiting:
            self._ask_for_a_turn()


@attrs.define(eq=False)
class Tap:
    """Reads from a connection, except while there is a reason against it."""

    _pause: Work
    _resume: Work
    _reasons: frozenset[str] = frozenset()

    def close(self, reason: str) -> None:
        """Stop reading, for this reason."""
        if not self._reasons:
            self._pause()
        self._reasons |= {reason}

    def open(self, reason: str) -> None:
        """Read again, unless there is another reason."""
        if reason in self._reasons:
            self._reasons -= {reason}
            if not self._reasons:
                self._resume()


def unhurried(clock: IReactorTime) -> Turns:
    """Turns that never end: no work waits, except for the second of two requests in one read."""
    return Turns(clock, lambda: 0.0)
