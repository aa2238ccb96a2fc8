"""What many questions about a farm cost others, and answers that have much to tell."""

from collections.abc import Iterator

import pytest

from farmkit.memory_http import SlowConnection, bearer, request
from sccachedist.scheduler.farm_documents import MOST_NAMES
from sccachedist.scheduler.farm_routes import SEATS, SEATS_OF_PARTY
from sccachedist.wire.messages import JobId
from tests.scheduler.test_farm_routes import ROUTES, Farm, ended, summary


@pytest.fixture
def known() -> Iterator[Farm]:
    """A farm with some jobs, at time 10; nobody has a seat at the end."""
    known = Farm()
    known.clock.advance(10.0)
    for number in range(20):
        known.records(ended(number, summary=summary()))
    yield known
    for address in range(SEATS):
        assert known.ask("status", sender=f"10.1.0.{address}").status == 200


def readers(known: Farm, sender: str, count: int, path: str = "trace") -> list[SlowConnection]:
    """Connections that ask, and read nothing."""
    found = []
    for _ in range(count):
        reader = SlowConnection(known.browser.site, known.clock, sender)
        reader.say(request("GET", f"/api/v1/farm/{path}", headers=bearer("clienttok")))
        found.append(reader)
    return found


@pytest.mark.parametrize("path", [*ROUTES, "jobs/105"])
def test_slow_readers(known: Farm, path: str) -> None:
    """An address that does not read its answers waits for itself: no more are made for it, and others get theirs."""
    slow = readers(known, "10.0.0.1", 20, path)
    assert [bool(reader.value()) for reader in slow] == [True] * SEATS_OF_PARTY + [False] * (20 - SEATS_OF_PARTY)
    assert known.ask(path, sender="10.0.0.2").status == 200
    slow[0].drain()
    assert slow[SEATS_OF_PARTY].value()
    for reader in slow:
        reader.leave()


def test_slow_readers_everywhere(known: Farm) -> None:
    """Many addresses together do not have more answers made than there are seats; the one that reads goes on."""
    slow = [reader for address in range(SEATS) for reader in readers(known, f"10.0.0.{address}", 2)]
    assert sum(bool(reader.value()) for reader in slow) == SEATS
    for reader in slow:
        reader.leave()


def test_slow_clients_and_an_administrator(known: Farm) -> None:
    """However many clients read slowly, an administrator is answered at once."""
    slow = [reader for address in range(SEATS) for reader in readers(known, f"10.0.0.{address}", 2)]
    assert known.ask("status", "admintok").status == 200
    for reader in slow:
        reader.leave()


def test_questions_that_fail_keep_no_seat(known: Farm) -> None:
    """A question that is refused, or finds nothing, leaves its seat."""
    for _ in range(2 * SEATS):
        assert known.ask("jobs", limit=0).status == 400
        assert known.ask("jobs/777").status == 404


@pytest.mark.parametrize(("path", "key"), [("toolchains", "toolchain"), ("usage?by=toolchain", "name")])
def test_many_names(known: Farm, path: str, key: str) -> None:
    """Names are free to choose: those with the most jobs are shown, and no more than so many."""
    for number in range(MOST_NAMES + 100):
        known.records(ended(30, job_id=JobId(1000 + number), toolchain=f"{number:064x}"))
    for number in range(5):
        known.records(ended(30, job_id=JobId(9000 + number), toolchain="f" * 64))
    path, _, by = path.partition("?by=")
    rows = known.get(path, **({"by": by} if by else {}))[path]
    assert len(rows) == MOST_NAMES
    assert "f" * 64 in [row[key] for row in rows[:2]]
