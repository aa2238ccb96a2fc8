"""Which heartbeats are written for the next scheduler, and when."""

import pytest

from sccachedist.scheduler import last_heartbeats
from sccachedist.scheduler.events import Departure, JobStarted, ServerLeft
from sccachedist.scheduler.last_heartbeats import RENEW_SECS, Batch, Heard, LastHeartbeats
from sccachedist.scheduler.sealed_heartbeats import without_jobs
from sccachedist.wire.extension import Availability, ServerReport
from sccachedist.wire.messages import JobId
from tests.scheduler.farms import GCC, A, B, C, heartbeat


def report(availability: Availability = Availability.OPEN, secs: int = 5) -> ServerReport:
    return ServerReport(1, secs, availability, (), (GCC,))


@pytest.fixture
def last() -> LastHeartbeats:
    """One of which all is written that there is."""
    last = LastHeartbeats()
    assert last.has_due(0.0)
    assert last.take() == Batch({}, replaces_all=True)
    assert not last.has_due(0.0)
    return last


def test_a_new_one_is_written_at_once(last: LastHeartbeats) -> None:
    """Also one that has been restarted; of our report, without its toolchains."""
    last.hear(A, heartbeat(), None, 1.0)
    last.hear(B, heartbeat(), report(), 1.5)
    assert last.has_due(2.0)
    expected = {A: Heard(heartbeat(), None, 1.0), B: Heard(heartbeat(), without_jobs(report()), 1.5)}
    assert last.take() == Batch(dict(expected), replaces_all=False)
    last.hear(A, heartbeat(nonce=2), None, 3.0)
    assert last.take().heard == {A: Heard(heartbeat(nonce=2), None, 3.0)}
    assert not last.has_due(3.0)


def test_what_only_lives_is_written_together(last: LastHeartbeats) -> None:
    """Every few seconds, if something was heard of it since."""
    for server_id in (A, B, C):
        last.hear(server_id, heartbeat(), None, 0.0)
    last.take()
    for server_id in (A, B):
        last.hear(server_id, heartbeat(), None, 5.0)
    assert not last.has_due(RENEW_SECS - 0.1)
    assert last.has_due(RENEW_SECS)
    assert last.take().heard == {key: Heard(heartbeat(), None, 5.0) for key in (A, B)}
    assert not last.has_due(RENEW_SECS + 5)
    last.hear(C, heartbeat(), None, RENEW_SECS + 6)
    last.renew(RENEW_SECS + 7)
    assert list(last.take().heard) == [C]


@pytest.mark.parametrize("other", [report(Availability.DRAINING), report(secs=60), None], ids=["drain", "pace", "kind"])
def test_what_changes_is_written_at_once(last: LastHeartbeats, other: ServerReport | None) -> None:
    """Whether it takes jobs, how often it is heard, whether it is ours."""
    last.hear(A, heartbeat(), report(), 0.0)
    last.take()
    last.hear(A, heartbeat(), report(), 1.0)
    assert not last.has_due(1.0)
    last.hear(A, heartbeat(), other, 2.0)
    assert list(last.take().heard) == [A]


def test_one_that_leaves(last: LastHeartbeats) -> None:
    """It is removed, even if it was not written yet; what it says with its last breath is not kept."""
    last.hear(A, heartbeat(), report(), 0.0)
    last.take()
    last(JobStarted(1.0, JobId(1), A))
    last(ServerLeft(1.0, B, Departure.SILENT))
    assert not last.has_due(1.0)
    last(ServerLeft(1.0, A, Departure.GONE))
    last.hear(A, heartbeat(), report(Availability.GONE), 1.0)
    assert last.take().heard == {A: None}
    last.hear(B, heartbeat(), None, 2.0)
    last(ServerLeft(2.0, B, Departure.REPLACED))
    last.hear(B, heartbeat(nonce=3), None, 2.0)
    assert last.take().heard == {B: Heard(heartbeat(nonce=3), None, 2.0)}


def test_all_is_written_again(last: LastHeartbeats, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some at a time; only the first one removes what was there."""
    monkeypatch.setattr(last_heartbeats, "MOST_AT_A_TIME", 2)
    for server_id in (A, B, C):
        last.hear(server_id, heartbeat(), None, 0.0)
    last.take()
    last.write_all()
    first, second = last.take(), last.take()
    assert (list(first.heard), first.replaces_all) == ([A, B], True)
    assert (list(second.heard), second.replaces_all) == ([C], False)
    assert not last.has_due(0.0)
    last.clear()
    assert last.take() == Batch({}, replaces_all=True)


def test_no_more_than_some(last: LastHeartbeats, monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is not kept; those that are, are renewed."""
    monkeypatch.setattr(last_heartbeats, "MOST_SERVERS", 2)
    for server_id in (A, B, C, A):
        last.hear(server_id, heartbeat(), None, 0.0)
    assert list(last.take().heard) == [A, B]
