"""What is told of the farm in sentences: of which events, and how much of it strangers can cause."""

import attrs
import pytest

from sccachedist.budgets import Party
from sccachedist.outcomes import Refusal
from sccachedist.scheduler.events import (
    Departure,
    Event,
    Fault,
    JobAdopted,
    RequestRefused,
    ServerAvoided,
    ServerDrained,
    ServerJoined,
    ServerLeft,
    ServerUnfit,
)
from sccachedist.scheduler.notices import KEPT, MOST_REFUSED, REFUSED_SECS, Notices
from sccachedist.wire.messages import JobId
from tests.scheduler.farms import A

REFUSED = RequestRefused(5.0, 5.0, Party("10.0.0.1"), "", Refusal.UNAUTHORIZED, "client token refused")


@attrs.define
class Told:
    """Notices, and the time by which they are told."""

    now: float = 5.0
    notices: Notices = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.notices = Notices(1_000_000.0, lambda: self.now, lambda client: client)


@pytest.mark.parametrize(
    ("event", "kind", "text"),
    [
        (ServerJoined(5.0, A, 8, True), "server_joined", "it joined, with 8 CPUs"),
        (ServerJoined(5.0, A, 1, True), "server_joined", "it joined, with 1 CPU"),
        (ServerLeft(5.0, A, Departure.SILENT), "server_left", "it fell silent, and was dropped"),
        (ServerLeft(5.0, A, Departure.GONE), "server_left", "it has ended"),
        (
            ServerLeft(5.0, A, Departure.REVOKED),
            "server_left",
            "it is revoked (server_auth.revoked), and was dropped",
        ),
        (
            ServerLeft(5.0, A, Departure.REPLACED),
            "server_left",
            "it was started again, or another one came to its address",
        ),
        (
            ServerAvoided(5.0, A, 35.0, Fault.NOT_TAKEN),
            "server_avoided",
            "it is avoided for 30 s: it did not take a job",
        ),
        (ServerUnfit(5.0, A, "no\x1bspace"), "server_unfit", "it says that it is unfit for jobs: no\\x1bspace"),
        (ServerUnfit(5.0, A, ""), "server_unfit", "it is fit for jobs again"),
        (ServerDrained(5.0, A, True, True), "server_drained", "it is drained"),
        (ServerDrained(5.0, A, False, True), "server_drained", "it is drained no longer"),
    ],
)
def test_servers(event: Event, kind: str, text: str) -> None:
    """What happens to a build server is told, with the time since 1970."""
    told = Told()
    told.notices(event)
    assert told.notices.latest() == [{"at": 1_000_005.0, "kind": kind, "about": str(A), "text": text, "by": None}]


def test_no_news() -> None:
    """Jobs are not told of, nor requests that are refused for other reasons."""
    told = Told()
    told.notices(JobAdopted(5.0, JobId(1), A))
    told.notices(attrs.evolve(REFUSED, refusal=Refusal.QUEUE_TIMEOUT))
    assert told.notices.latest() == []


def test_by_others() -> None:
    """Who acts is named; a stranger's words are made fit to be shown."""
    told = Told()
    told.notices.tell("action", "ann‮", "x" * 10_000, by="bob")
    (notice,) = told.notices.latest()
    assert (notice["about"], notice["by"]) == ("ann\\u202e", "bob")
    assert len(notice["text"]) < 600


def test_the_latest() -> None:
    """So many are kept and no more; a reader can ask for those that it has not seen."""
    told = Told()
    for number in range(KEPT + 10):
        told.notices.tell("action", str(number), "")
    assert [notice["about"] for notice in told.notices.latest()] == [str(number) for number in range(10, KEPT + 10)]
    assert [notice["about"] for notice in told.notices.latest(2)] == [str(KEPT + 8), str(KEPT + 9)]
    assert told.notices.latest(0) == []
    assert told.notices.count == KEPT + 10


def test_refused() -> None:
    """A client whose token is refused is told of once in a while."""
    told = Told()
    for _ in range(100):
        told.notices(REFUSED)
    (notice,) = told.notices.latest()
    assert (notice["kind"], notice["about"]) == ("refused", "10.0.0.1")
    assert "client token refused" in notice["text"]
    told.now += REFUSED_SECS + 1
    told.notices(REFUSED)
    assert len(told.notices.latest()) == 2


def test_strangers() -> None:
    """Strangers from thousands of addresses do not push out what happened."""
    told = Told()
    told.notices(ServerJoined(5.0, A, 8, True))
    for number in range(10_000):
        told.notices(attrs.evolve(REFUSED, client=Party(f"10.0.{number >> 8}.{number & 255}")))
    assert len(told.notices.latest()) == MOST_REFUSED + 1
