"""Coroutines that wait for one event, which may come again and again. Not known here: what the event is."""

from contextlib import suppress

from twisted.internet.defer import Deferred


class Waiters:
    """All that wait for an event now."""

    def __init__(self) -> None:
        self._waiting: list[Deferred[None]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def wait(self) -> Deferred[None]:
        """Return what fires at the next :meth:`wake`; it may be cancelled."""
        waiter: Deferred[None] = Deferred(self._forget)
        self._waiting.append(waiter)
        return waiter

    def wake(self) -> None:
        """Go on with all that wait now; what waits again from inside of that waits for the next event."""
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.called:  # one before it may have cancelled it
                waiter.callback(None)

    def _forget(self, waiter: Deferred[None]) -> None:
        with suppress(ValueError):  # it is being woken
            self._waiting.remove(waiter)
