"""Build servers that fell silent lately and have not come back: an observer of the scheduler's events. Pure."""

from collections.abc import Callable

import attrs

from sccachedist.bounded import remember
from sccachedist.scheduler.events import Departure, Event, ServerJoined, ServerLeft
from sccachedist.wire.addresses import ServerId

#: How long a build server is missed, in seconds, and how many are at a time.
MISSED_SECS, MOST_MISSED = 86_400.0, 1000


@attrs.define
class Departures:
    """Which build servers are missed. One that said that it ends is not.

    :param seconds: the clock of the events.
    """

    _seconds: Callable[[], float]
    _missed: dict[ServerId, float] = attrs.field(factory=dict, init=False)

    def __call__(self, event: Event) -> None:
        """Note who goes and who comes."""
        if isinstance(event, ServerJoined | ServerLeft):
            self._missed.pop(event.server_id, None)
        if isinstance(event, ServerLeft) and event.why is Departure.SILENT:
            remember(self._missed, event.server_id, event.at, MOST_MISSED)

    def forget(self, server_id: ServerId) -> None:
        """Miss a build server no longer: it does not come back."""
        self._missed.pop(server_id, None)

    def missed(self) -> dict[ServerId, float]:
        """For how many seconds each has been away, the longest first."""
        now = self._seconds()
        return {server: now - at for server, at in self._missed.items() if now - at < MISSED_SECS}
