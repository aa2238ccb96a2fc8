"""What happens to build servers and jobs while there is a viewer: an observer of the scheduler's events. Pure.

Without one, it does nothing. What is made of the changes is decided in :mod:`sccachedist.scheduler.watching`.
"""

import attrs

from sccachedist.records.ring import Entry
from sccachedist.scheduler.events import (
    Event,
    JobAdopted,
    JobAllocated,
    JobStarted,
    ServerAvoided,
    ServerDrained,
    ServerJoined,
    ServerLeft,
    ServerUnfit,
)
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.messages import JobId

#: The most jobs that are kept until the changes are taken: of those that are not over, and of those that are. A
#: person reads no fifty lines a second, and each one goes to all viewers.
MOST_STARTED = MOST_ENDED = 50

_OF_JOBS = (JobAllocated, JobStarted, JobAdopted)
_OF_SERVERS = (ServerJoined, ServerLeft, ServerDrained, ServerAvoided, ServerUnfit)


@attrs.define
class Changes:
    """What changed in some time.

    :param servers: build servers of which more has changed than how much they have to do.
    :param started: jobs that have got a build server, or begun to compile, in the order of their last change.
    :param ended: the records of requests that are over; ``more``: how many others are.
    """

    servers: dict[ServerId, None] = attrs.field(factory=dict)
    started: dict[JobId, None] = attrs.field(factory=dict)
    ended: list[Entry] = attrs.field(factory=list)
    more: int = 0


class FarmChanges:
    """Collects changes, from :meth:`watch` to :meth:`ignore`."""

    def __init__(self) -> None:
        self._changes: Changes | None = None

    def watch(self) -> None:
        """Collect from now on."""
        self._changes = Changes()

    def ignore(self) -> None:
        """Collect no more."""
        self._changes = None

    def take(self) -> Changes:
        """What has changed since the last time."""
        changes = self._changes or Changes()
        if self._changes is not None:
            self._changes = Changes()
        return changes

    def __call__(self, event: Event) -> None:
        """Note an event."""
        if self._changes is None:
            return
        if isinstance(event, _OF_JOBS):
            if len(self._changes.started) < MOST_STARTED:
                self._changes.started[event.job_id] = None
        elif isinstance(event, _OF_SERVERS):
            self._changes.servers[event.server_id] = None

    def ended(self, entry: Entry) -> None:
        """Note the record of a request that is over."""
        if self._changes is None:
            return
        if len(self._changes.ended) < MOST_ENDED:
            self._changes.ended.append(entry)
        else:
            self._changes.more += 1
