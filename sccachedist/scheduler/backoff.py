"""For how long a build server that did not take a job is used only when no other has room.

The published scheduler says 300 seconds after any failure. Here one failure costs little and a row of them as much:
a server that was restarted in a busy moment is back soon, one that is broken is hardly asked.
"""

import math

import attrs

#: Seconds after the first failure, doubled by each further one up to the most.
FIRST_SECS, MOST_SECS = 10.0, 300.0


@attrs.frozen
class Backoff:
    """The failures of one server in a row; none yet."""

    failed: float = -math.inf
    seconds: float = 0.0

    def after_failure(self, began: float, now: float) -> "Backoff":
        """The backoff when it has failed once more.

        :param began: when it was given the job that it did not take; jobs that were given to it before it was known to
            have failed are no further failures.
        """
        seconds = self.seconds if began <= self.failed else min(MOST_SECS, 2 * self.seconds or FIRST_SECS)
        return Backoff(now, seconds)

    def is_over(self, now: float) -> bool:
        """Whether the server is again as good as others."""
        return now - self.failed > self.seconds
