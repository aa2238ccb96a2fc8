"""Since when a scheduler has led or followed, and how often it has begun to lead."""

import attrs

from sccachedist.cluster.leadership import Alone, Candidate, Following, Leading
from sccachedist.scheduler.tenure import Tenure
from tests.cluster.farm import Settled

URL = "http://10.0.0.1:10600"
OTHER = Candidate("http://10.0.0.2:10600", "a run")


@attrs.define
class Time:
    """A clock."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def state(tenure: Tenure) -> tuple[bool, int, float, tuple[str, int] | None]:
    """How a scheduler stands."""
    return tenure.leads, tenure.terms, tenure.secs, tenure.led_by


def test_alone() -> None:
    """It leads from the start, once, and no record says so."""
    time = Time()
    tenure = Tenure(Alone(), None, time)
    time.now += 5
    assert state(tenure) == (True, 1, 5.0, None)


def test_one_of_several() -> None:
    """It is told apart whether it leads on, leads again, or hears of another leader."""
    time = Time()
    election = Settled(Following())
    tenure = Tenure(election, URL, time)
    assert state(tenure) == (False, 0, 0.0, None)
    time.now = 110.0
    election.say(Following(OTHER))
    assert tenure.secs == 10.0
    election.say(Leading(7))
    election.say(Leading(7))
    assert state(tenure) == (True, 1, 0.0, (URL, 7))
    time.now = 120.0
    election.say(Leading(8))
    assert state(tenure) == (True, 2, 0.0, (URL, 8))
    time.now = 130.0
    election.say(Following(OTHER))
    assert state(tenure) == (False, 2, 0.0, None)
