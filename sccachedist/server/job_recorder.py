"""Makes a record of each job that is over, of what this build server knows: an observer of jobs.

Our scheduler has the whole of it; a published one has none. Where records go is not known here.
"""

from collections.abc import Callable

from sccachedist.records.ring import Entry, entry_of
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.job_summary import JobSummary
from sccachedist.wire.messages import JobId


class JobRecorder:
    """A :data:`~sccachedist.server.job_courses.JobObserver`.

    :param server: this build server.
    :param now: seconds since 1970.
    :param take: called with each record.
    """

    def __init__(self, server: ServerId, now: Callable[[], float], take: Callable[[Entry], None]) -> None:
        self._server, self._now, self._take = str(server), now, take

    def __call__(self, job_id: JobId | None, client: str, summary: JobSummary, octets: bytes) -> None:
        """Record a job. A request that ended none is not: anyone may send some.

        When the client asked for a slot is not known here, so the record begins with the phases of this build server.
        """
        if job_id is None:
            return
        ended = self._now()
        asked, outcome, reason = ended - sum(summary.phases_us) / 1e6, summary.outcome, summary.reason
        self._take(entry_of(job_id, asked, ended, client, self._server, "", outcome, reason, summary=octets))
