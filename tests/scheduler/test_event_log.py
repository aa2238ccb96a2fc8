"""The lines of the scheduler's log about jobs."""

import pytest
from twisted.logger import capturedLogs, formatEvent

from sccachedist.auth.clients import party_of
from sccachedist.config import RecordSettings
from sccachedist.job_phases import JobPhase
from sccachedist.scheduler.event_log import EventLog
from sccachedist.scheduler.events import JobEnd, JobEnded
from sccachedist.scheduler.job_records import JobRecords
from sccachedist.wire.messages import JobId
from tests.scheduler.farms import GCC, A

ANN = party_of("#0123456789abcdef", A.host)
UNCLAIMED = JobEnded(9.0, JobId(7), A, ANN, GCC, JobEnd.EXPIRED, {JobPhase.RESERVED: 1.0, JobPhase.READY: 2.0}, 1.0)


@pytest.mark.parametrize("addresses", [True, False])
def test_clients(addresses: bool) -> None:
    """A client stands beside a job's number as it does in records: by address, or by a name that hides it."""
    records = JobRecords(RecordSettings(addresses=addresses), 0.0, lambda: 0.0)
    log = EventLog(lambda: 0.0, records.name_of)
    with capturedLogs() as told:
        log(UNCLAIMED)
    (line,) = map(formatEvent, told)
    assert f"job 7 of {records.name_of(ANN)} " in line
