"""Which heartbeats are kept for the next scheduler of the farm, and when each is written.

Pure: the time is an argument. What is new is written soon. That build servers still live is written of all together,
every few seconds: what is written is then a little older than the truth, never younger. Where it is written is not
known here.
"""

import math
from itertools import islice

import attrs

from sccachedist.cluster.board import MOST_SERVERS
from sccachedist.scheduler.events import Event, ServerLeft
from sccachedist.scheduler.sealed_heartbeats import without_jobs
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.extension import Availability, ServerReport
from sccachedist.wire.messages import Heartbeat

#: Seconds after which it is written again which build servers live: much less than any of them may be silent.
RENEW_SECS = 10.0
#: The most build servers of which something is written at a time.
MOST_AT_A_TIME = 200


@attrs.frozen
class Heard:
    """The last heartbeat of a build server.

    :param at: when it came, by the clock of the caller.
    """

    heartbeat: Heartbeat
    report: ServerReport | None
    at: float


@attrs.frozen
class Batch:
    """What is to be written at a time.

    :param heard: by build server; None of one that has gone.
    :param replaces_all: whether all that was written before has to go.
    """

    heard: dict[ServerId, Heard | None]
    replaces_all: bool


class LastHeartbeats:
    """The last heartbeats of the build servers that live, an observer of the scheduler's events."""

    def __init__(self) -> None:
        self._heard: dict[ServerId, Heard] = {}
        self._fresh: dict[ServerId, None] = {}  # those that have been heard since they were written
        self._due: dict[ServerId, None] = {}
        self._renewed, self._replaces_all = -math.inf, True

    def hear(self, server_id: ServerId, heartbeat: Heartbeat, report: ServerReport | None, at: float) -> None:
        """Keep what a build server says. Of one that says that it ends, and of one too many, nothing is kept."""
        before = self._heard.get(server_id)
        if before is None and len(self._heard) >= MOST_SERVERS:
            return
        if report is not None:
            if report.availability is Availability.GONE:
                return
            report = without_jobs(report)
        self._heard[server_id] = Heard(heartbeat, report, at)
        self._fresh[server_id] = None
        if before is None or heartbeat != before.heartbeat or _differ(report, before.report):
            self._due[server_id] = None

    def __call__(self, event: Event) -> None:
        """Forget a build server that has left."""
        if isinstance(event, ServerLeft) and self._heard.pop(event.server_id, None) is not None:
            self._fresh.pop(event.server_id, None)
            self._due[event.server_id] = None

    def clear(self) -> None:
        """Forget all of them, and what was written."""
        self._heard.clear()
        self.write_all()

    def write_all(self) -> None:
        """Have all of them written, because it is not known what is there."""
        self._fresh.clear()
        self._due = dict.fromkeys(self._heard)
        self._replaces_all = True

    def renew(self, now: float) -> None:
        """Have all written of which something has been heard since."""
        self._renewed = now
        self._due |= self._fresh
        self._fresh = {}

    def has_due(self, now: float) -> bool:
        """Whether something is to be written now."""
        if now - self._renewed >= RENEW_SECS:
            self.renew(now)
        return self._replaces_all or bool(self._due)

    def take(self) -> Batch:
        """What is to be written now. If that fails, :meth:`write_all` has to follow."""
        batch = Batch({key: self._heard.get(key) for key in islice(self._due, MOST_AT_A_TIME)}, self._replaces_all)
        for key in batch.heard:
            del self._due[key]
            self._fresh.pop(key, None)
        self._replaces_all = False
        return batch


def _differ(report: ServerReport | None, other: ServerReport | None) -> bool:
    """Whether two reports say different things of whether a build server takes jobs, or how often it will be heard."""
    if report is None or other is None:
        return report is not other
    return (report.availability, report.heartbeat_secs) != (other.availability, other.heartbeat_secs)
