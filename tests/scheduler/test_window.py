"""The requests of the last seconds: they are always those that are found by reading all records."""

from collections import Counter

import attrs
from hypothesis import example, given
from hypothesis import strategies as st

from sccachedist.config import RecordSettings
from sccachedist.records.ring import ENDED, Entry
from sccachedist.scheduler.job_records import JobRecords
from sccachedist.scheduler.window import Window
from sccachedist.wire.messages import JobId
from tests.scheduler.test_job_records import BEGAN, REFUSED, STRANGER
from tests.scheduler.test_job_records import ENDED as JOB

SECS = 60.0
STEPS = st.sampled_from(["job", "refused", "stranger", "second", "minute", "look", "fewer"])


@given(st.lists(STEPS, max_size=60), st.integers(1, 9))
@example(["job", "minute", "second"], 1)
@example(["job", "look", "minute", "second"], 1)
def test_as_if_all_were_read(steps: list[str], keep: int) -> None:
    """Records come and go, some before they were ever looked at; of others, only what has changed is read."""
    now = 0.0
    settings = RecordSettings(keep=keep)
    records = JobRecords(settings, BEGAN, lambda: now)
    window, counted = Window(SECS), Counter[Entry]()
    for number, step in enumerate([*steps, "look"], 1):
        match step:
            case "job":
                records(attrs.evolve(JOB, at=now, job_id=JobId(number)))
            case "refused":
                records(attrs.evolve(REFUSED, at=now))
            case "stranger":
                records(attrs.evolve(STRANGER, at=now))
            case "second":
                now += 1.0
            case "minute":
                now += SECS
            case "fewer":
                records.take_settings(attrs.evolve(settings, keep=1))
            case "look":
                for entry, times in window.changes(records):
                    counted[entry] += times
                assert not list(window.changes(records))
                begin = max(BEGAN + now - SECS, records.since)
                wanted = Counter(entry for entry in records.latest_first() if entry[ENDED] >= begin)
                kept = [entry for entry, count in wanted.items() if count <= counted[entry]]
                assert kept == list(wanted)
                assert all(entry[ENDED] >= begin for entry, count in counted.items() if count)
                assert min(counted.values(), default=0) >= 0
