"""Build servers that are missed."""

from sccachedist.scheduler.departures import MISSED_SECS, MOST_MISSED, Departures
from sccachedist.scheduler.events import Departure, ServerDrained, ServerJoined, ServerLeft
from sccachedist.wire.addresses import ServerId
from tests.scheduler.farms import A, B


def test_who_is_missed() -> None:
    """One that fell silent, until it is back or a day is over; not one that said that it ends."""
    now = 100.0
    departures = Departures(lambda: now)
    departures(ServerLeft(10.0, A, Departure.SILENT))
    departures(ServerLeft(20.0, B, Departure.GONE))
    departures(ServerDrained(30.0, B, drained=True, is_here=False))
    assert departures.missed() == {A: 90.0}
    departures(ServerLeft(40.0, B, Departure.SILENT))
    assert list(departures.missed()) == [A, B]
    departures(ServerJoined(50.0, A, 2, ours=True))
    assert departures.missed() == {B: 60.0}
    departures(ServerLeft(60.0, B, Departure.GONE))
    departures(ServerLeft(60.0, A, Departure.SILENT))
    assert departures.missed() == {A: 40.0}
    now = 60.0 + MISSED_SECS
    assert departures.missed() == {}


def test_not_too_many() -> None:
    """The oldest is forgotten first."""
    departures = Departures(lambda: 0.0)
    for port in range(MOST_MISSED + 1):
        departures(ServerLeft(0.0, ServerId(A.host, port), Departure.SILENT))
    assert len(departures.missed()) == MOST_MISSED
    assert ServerId(A.host, 0) not in departures.missed()


def test_forgotten() -> None:
    """One that an administrator forgets is missed no longer."""
    departures = Departures(lambda: 100.0)
    for server in (A, B):
        departures(ServerLeft(0.0, server, Departure.SILENT))
    departures.forget(A)
    departures.forget(A)
    departures(ServerLeft(50.0, B, Departure.FORGOTTEN))
    assert departures.missed() == {}
