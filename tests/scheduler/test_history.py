"""The farm's numbers of the last quarter of an hour."""

from collections import Counter

import pytest

from sccachedist.job_phases import JobPhase
from sccachedist.outcomes import Outcome, Refusal, SentLocal
from sccachedist.scheduler.history import LATELY, SAMPLES, STEP_SECS, Ends, History
from sccachedist.scheduler.snapshot import Totals

TOTALS = Totals(
    cpus=8,
    phases={JobPhase.READY: 1, JobPhase.STARTED: 2},
    waiting=4,
    toolchains=1,
    servers=2,
    slots=12,
    states={"open": 2, "full": 0},
    published=0,
    open_slots=12,
    workers=0,
)


def test_ends() -> None:
    """Each way in which a request ends is compiled remotely, given back or neither; strangers do not count."""
    counts = Counter[tuple[Outcome, Refusal | SentLocal | None]](
        {
            (Outcome.COMPILED, None): 1,
            (Outcome.COMPILE_ERROR, None): 10,
            (Outcome.UNTOLD, None): 100,
            (Outcome.SENT_LOCAL, SentLocal.SANDBOX): 1000,
            (Outcome.SENT_LOCAL, SentLocal.SUSPICIOUS): 2000,
            (Outcome.REFUSED, Refusal.QUEUE_TIMEOUT): 10_000,
            (Outcome.SERVER_LOST, None): 20_000,
            (Outcome.REFUSED, Refusal.UNAUTHORIZED): 10**9,
        }
    )
    assert Ends.of(counts) == Ends(33_111, 111, 3000)
    assert Ends.of({}) == Ends()


def test_samples() -> None:
    """Each column has its value of each sample, at the right end; what is older is not known."""
    history = History()
    assert history.last is None
    assert history.document()["waiting"] == [None] * SAMPLES
    history.add(1000.0, TOTALS, Ends(10, 8, 1))
    history.add(1010.0, TOTALS, Ends(10, 8, 1))
    document = history.document()
    assert (document["step"], document["until"], history.count) == (STEP_SECS, 1010.0, 2)
    columns = ("remote", "slots_used", "waiting", "compiles", "sent_local", "servers")
    found = {column: document[column][-3:] for column in columns}  # type: ignore[literal-required]
    assert found == {
        "remote": [None, 0.8, None],
        "slots_used": [None, 3, 3],
        "waiting": [None, 4, 4],
        "compiles": [None, 0.8, 0.0],
        "sent_local": [None, 0.1, None],
        "servers": [None, 2, 2],
    }
    assert {len(document[column]) for column in columns} == {SAMPLES}  # type: ignore[literal-required]
    assert history.last == {"until": 1010.0} | {column: values[-1] for column, values in found.items()}


def test_bounded() -> None:
    """A quarter of an hour is kept."""
    history = History()
    for number in range(SAMPLES * 3):
        history.add(number * STEP_SECS, TOTALS, Ends(number, number, 0))
    assert {len(column) for column in history.document().values() if isinstance(column, list)} == {SAMPLES}
    assert history.document()["remote"] == [1.0] * SAMPLES


@pytest.mark.parametrize(("quiet", "remote"), [(1, 0.5), (LATELY - 1, 0.5), (LATELY, None)])
def test_rates(quiet: int, remote: float | None) -> None:
    """Rates are of the last five minutes: what was before does not count, and nothing gives no rate."""
    history = History()
    history.add(0.0, TOTALS, Ends(100, 50, 25))
    for number in range(quiet):
        history.add(number * STEP_SECS, TOTALS, Ends(100, 50, 25))
    rates = history.rates(TOTALS)
    assert rates["remote"] == remote
    assert rates["sent_local_share"] == (None if remote is None else 0.25)
    assert (rates["slots_used"], rates["waiting"], rates["servers"]) == ([3, 12], 4, {"open": 2})
    assert rates["compiles_per_sec"] == 0.0


def test_rates_at_first() -> None:
    """A scheduler that has just begun has no rates."""
    rates = History().rates(TOTALS)
    assert (rates["remote"], rates["compiles_per_sec"]) == (None, 0.0)
