"""How long a build server that did not take a job is backed off: used only if no other has room.

The published scheduler avoids it for 300 seconds after any failure. Here only a row of failures costs as much: a server
that was restarted in a busy moment is back soon, a broken one is hardly ever tried.

Pure: the time is an argument. :mod:`sccachedist.scheduler.core` decides what a failure is.
"""

import math

import attrs

#: Seconds after the first failure; each further failure in a row doubles them, up to the most.
FIRST_SECS, MOST_SECS = 10.0, 300.0


@attrs.frozen
class Backoff:
    """What follows from one server's failures in a row.

    :param failed: when the last one was.
    :param seconds: how long the server is backed off from then on.
    """

    failed: float = -math.inf
    seconds: float = 0.0

    def after_failure(self, began: float, now: float) -> "Backoff":
        """The backoff after one more failure.

        :param began: when the server was given the job that it did not take. If that was before the last failure, it
            is no further one.
        """
        seconds = self.seconds if began <= self.failed else min(MOST_SECS, 2 * self.seconds or FIRST_SECS)
        return Backoff(now, seconds)

    @property
    def until(self) -> float:
        """When the server is chosen like any other again."""
        return self.failed + self.seconds
