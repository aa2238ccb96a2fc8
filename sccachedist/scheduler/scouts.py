"""The first jobs of toolchains in a farm of several machines: each finds out for which machine its toolchain is.

Until that is known, further requests with the toolchain wait, for a while: else all that come meanwhile would go to the
same wrong machine. Each toolchain has one such time alone.

Pure: the time is an argument. Who waits is not known here.
"""

from collections import deque

from sccachedist.bounded import remember

#: Seconds for which others wait at most: the time of an upload and of unpacking, as a rule.
SCOUT_SECS = 10.0
#: For how many toolchains it is remembered that a first job was out.
MOST_SCOUTS = 1000


class Scouts:
    """The first jobs."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._out: deque[float] = deque(maxlen=MOST_SCOUTS)  # until when others wait, in the order of these times

    def send(self, toolchain: str, now: float) -> None:
        """Note that a job with a toolchain is given out whose machine is not known."""
        if toolchain not in self._until:
            self._out.append(now + SCOUT_SECS)
            remember(self._until, toolchain, now + SCOUT_SECS, MOST_SCOUTS)

    def is_out(self, toolchain: str, now: float) -> bool:
        """Whether others with a toolchain wait."""
        return now < self._until.get(toolchain, now)

    def next_back(self, now: float) -> float | None:
        """When the first of those that are out is waited for no longer; None if none is out."""
        while self._out and self._out[0] <= now:
            self._out.popleft()
        return self._out[0] if self._out else None
