"""The ids of jobs: of a scheduler that is alone and starts again, and of several that take over from each other."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.cluster.election import STEP, ElectionCore
from sccachedist.cluster.leadership import Candidate, Leading
from sccachedist.scheduler.job_ids import JobIds, ids_of_term, ids_since
from sccachedist.scheduler.jobs import Jobs
from sccachedist.wire.messages import JobId
from tests.cluster.stores import MemoryStore

YEAR_2112 = datetime(2112, 1, 1, tzinfo=UTC).timestamp()
TTL, HOUR = 3.0, 3600.0
TAKE_OVERS, JOBS = 20, 5_000


def used(ids: JobIds, count: int) -> range:
    """The ids of a term's first jobs."""
    return range(ids.first, ids.first + count * ids.step, ids.step)


def test_after_a_restart() -> None:
    """A scheduler that gave out two million ids in its second of life gives none of them after its restart."""
    before, after = ids_since(1_800_000_000.0), ids_since(1_800_000_001.0)
    assert used(before, 2_000_000)[-1] < after.first


def test_they_fit() -> None:
    """They have 63 bits, for a while."""
    assert used(ids_since(YEAR_2112), 10**9)[-1] < 2**63
    assert used(ids_of_term(int(YEAR_2112 * 1e6), "a"), 10**9)[-1] < 2**63


def test_they_are_what_jobs_get() -> None:
    """The first job of a term has the first id, and each one the next."""
    ids = ids_of_term(1_800_000_000_000_000, "a")
    jobs = Jobs(ids.first, ids.step)
    assert [jobs.fresh_id() for _ in range(3)] == list(used(ids, 3))


def test_two_leaders_at_once() -> None:
    """Two that lead without a lock since the same microsecond do not give out the same ids, however many they give."""
    ids, others = ids_of_term(1_800_000_000_000_000, "a"), ids_of_term(1_800_000_000_000_000, "b")
    assert (others.first - ids.first) % ids.step
    assert ids.step == others.step


@given(number=st.integers(1, 2**51), later=st.integers(0, 2**40), incarnations=st.tuples(st.text(), st.text()))
def test_numbers_that_are_a_step_apart(number: int, later: int, incarnations: tuple[str, str]) -> None:
    """A term has fewer jobs than a step before another one follows: then no id is used twice."""
    ids, others = ids_of_term(number, incarnations[0]), ids_of_term(number + STEP + later, incarnations[1])
    assert used(ids, STEP - 1)[-1] < others.first


@pytest.mark.parametrize("emptied", [False, True], ids=["the store lives", "the store is emptied each time"])
def test_take_overs_with_clocks_an_hour_apart(emptied: bool) -> None:
    """The ids of 100,000 jobs over 20 take-overs are unique, however wrong the clocks of three schedulers are."""
    store, now = MemoryStore(), 0.0
    ahead = (0.0, HOUR, -HOUR)
    schedulers = [candidate(index).url for index in range(3)]
    cores = [ElectionCore(candidate(index), schedulers, TTL, now) for index in range(3)]
    given_out: set[JobId] = set()
    numbers = []
    for turn in range(TAKE_OVERS):
        for index in (turn % 3, *range(3)):  # who asks first takes the lock; then all hear of it
            core = cores[index]
            least = core.least_number(1_800_000_000 + ahead[index] + now)
            core.answered(store.take(candidate(index), least, TTL, now), now, now)
        leading = cores[turn % 3].current
        assert isinstance(leading, Leading)
        numbers.append(leading.number)
        ids = ids_of_term(leading.number, candidate(turn % 3).incarnation)
        jobs = Jobs(ids.first, ids.step)
        given_out |= {jobs.fresh_id() for _ in range(JOBS)}
        now += TTL
        if emptied:
            store.empty()
    assert len(given_out) == TAKE_OVERS * JOBS
    assert all(number + STEP <= later for number, later in pairwise(numbers))


def candidate(index: int) -> Candidate:
    """One of three."""
    return Candidate(f"http://10.0.0.{index}:10500", f"run {index}")
