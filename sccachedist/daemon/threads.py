"""The threads of a daemon, in which it waits for disks and for names: one that hangs does not hold the end up.

Twisted waits at its end for all threads of its pool. A disk that is dead, such as one across a network, may hold a
thread for as long as it is. What runs in the threads is not known here.
"""

from threading import Thread
from typing import Any

#: Seconds that the end of a daemon waits for each thread: those who need its work done have waited before.
END_SECS = 1.0


class LeavableThread(Thread):
    """A thread without which its process can end."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named, daemon=True)

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, :data:`END_SECS` if nothing else is said."""
        super().join(END_SECS if timeout is None else timeout)


def let_threads_be_left(reactor: Any) -> None:
    """Have a reactor's pool consist of such threads, before there is any."""
    reactor.getThreadPool().threadFactory = LeavableThread
