"""Requests counted by what became of them."""

from sccachedist.outcomes import Outcome, Refusal, SentLocal
from sccachedist.records.ring import entry_of
from sccachedist.records.tally import RequestTally
from sccachedist.wire.messages import JobId


def test_counts() -> None:
    """By outcome and by reason, the most frequent first; only a request with a slot used one."""
    tally = RequestTally()
    for outcome, reason in (
        (Outcome.COMPILED, None),
        (Outcome.SENT_LOCAL, SentLocal.DISK),
        (Outcome.SENT_LOCAL, SentLocal.SANDBOX),
        (Outcome.SENT_LOCAL, SentLocal.SANDBOX),
    ):
        tally.add(entry_of(JobId(1), 1.0, 4.0, None, "10.0.0.2:1", "", outcome, reason, wait_secs=1.0))
    tally.add(entry_of(None, 1.0, 9.0, None, None, "", Outcome.REFUSED, Refusal.NO_SLOT))
    assert (tally.total, tally.slot_secs) == (5, 8.0)
    assert next(iter(tally.outcomes().items())) == (Outcome.SENT_LOCAL, 3)
    assert next(iter(tally.reasons())) is SentLocal.SANDBOX
    assert tally.recent(60.0) == {
        "secs": 60.0,
        "outcomes": {"sent_local": 3, "compiled": 1, "refused": 1},
        "refusals": {"no_slot": 1},
        "sent_local": {"sandbox": 2, "disk": 1},
    }


def test_no_longer() -> None:
    """What is counted no longer is as if it had never been there."""
    tally, other = RequestTally(), RequestTally()
    compiled = entry_of(JobId(1), 1.0, 4.0, None, "10.0.0.2:1", "", Outcome.COMPILED)
    sent_home = entry_of(JobId(2), 1.0, 9.0, None, "10.0.0.2:1", "", Outcome.SENT_LOCAL, SentLocal.DISK)
    for entry in (compiled, sent_home, compiled):
        tally.add(entry)
    for entry in (sent_home, compiled):
        tally.add(entry, -1)
    other.add(compiled)
    assert (tally.recent(60.0), tally.slot_secs, tally.total) == (other.recent(60.0), 3.0, 1)
