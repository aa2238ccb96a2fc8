"""A scheduler that is watched, by a clock that stands still, and a page that remembers what it is told."""

import json
from collections.abc import Iterator
from typing import Any

import attrs
from twisted.internet.task import Clock

from farmkit.fakes import FakeBuildServers
from sccachedist.budgets import Party
from sccachedist.config import QueueSettings, RecordSettings
from sccachedist.scheduler.core import SchedulerCore
from sccachedist.scheduler.departures import Departures
from sccachedist.scheduler.farm_changes import FarmChanges
from sccachedist.scheduler.farm_status import FarmStatus
from sccachedist.scheduler.farm_views import FarmViews
from sccachedist.scheduler.job_records import JobRecords
from sccachedist.scheduler.job_tokens import JobTokens
from sccachedist.scheduler.notices import Notices
from sccachedist.scheduler.out_of_service import Drain
from sccachedist.scheduler.sight import Sight
from sccachedist.scheduler.term import Term, Terms
from sccachedist.scheduler.watching import ViewerPlace, Watching
from sccachedist.web.slices import Slices
from sccachedist.web.turns import Turns
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.messages import JobId
from tests.scheduler.farms import GCC, A, assigned, farm
from tests.scheduler.test_feed import SEES, follow, page_of
from tests.support.event_streams import Line, read

BEGAN = 1_000_000.0
ANN = Party("#0123456789abcdef@10.0.0.1")


@attrs.define
class Farm:
    """A scheduler with two build servers, and those who watch it."""

    core: SchedulerCore = attrs.field(factory=lambda: farm(2, 2))
    places: int = 100
    spent: Iterator[float] = attrs.field(factory=lambda: iter(lambda: 0.0, 1.0))
    clock: Clock = attrs.field(factory=Clock)
    changes: FarmChanges = attrs.field(factory=FarmChanges)
    records: JobRecords = attrs.field(init=False)
    notices: Notices = attrs.field(init=False)
    terms: Terms = attrs.field(init=False)
    watching: Watching = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.records = JobRecords(RecordSettings(), BEGAN, self.clock.seconds, [self.changes.ended])
        self.notices = Notices(BEGAN, self.clock.seconds, self.records.name_of)
        self.terms = Terms(self.begin)
        slices = Slices(Turns(self.clock, lambda: 0.0), lambda: next(self.spent))
        views = FarmViews(self.terms, slices, self.records)
        status = FarmStatus(views, self.records, Departures(self.clock.seconds))
        self.watching = Watching(self.places, views, status, self.notices, self.changes, self.clock)

    def begin(self) -> Term:
        tokens = JobTokens(self.clock.seconds)
        return Term(self.core, FakeBuildServers(), QueueSettings(60, 10), self.clock, tokens, [self.observe])

    def watch(self, party: str = "10.0.0.9", last: int | None = None, *, sight: Sight = SEES) -> "Screen":
        screen = Screen(self.watching.viewer(ViewerPlace(Party(party), sight, last)))
        self.turn()
        return screen

    def turn(self) -> None:
        """Let the reactor do what there is to do now."""
        for _ in range(20):
            self.clock.advance(0)

    def tick(self, secs: int = 1) -> None:
        for _ in range(secs):
            self.clock.advance(1.0)
            self.turn()

    def job(self) -> JobId:
        """A job that begins to compile."""
        reserved = self.core.reserve(self.clock.seconds(), toolchain=GCC, client=ANN)
        for event in self.core.confirm(reserved, assigned(), self.clock.seconds()):
            self.observe(event)
        return reserved.job_id

    def observe(self, event: Any) -> None:
        for observer in (self.records, self.notices, self.changes):
            observer(event)

    def drain(self, server_id: ServerId = A) -> None:
        for event in self.core.interventions.drain(server_id, Drain(), self.clock.seconds()):
            self.observe(event)


@attrs.define(eq=False)
class Screen(Line):
    """A page: what it was told, and what it knows from that."""

    rest: bytes = b""
    names: list[str] = attrs.field(factory=list)
    ticks: list[dict[str, Any]] = attrs.field(factory=list)
    page: dict[str, Any] = attrs.field(factory=dict)

    def look(self) -> list[str]:
        """Read all that has come; the names of its events."""
        names = []
        while self.waiting:
            self.rest += self.read()
        whole, end, self.rest = self.rest.rpartition(b"\n\n")
        for name, data, number in read(whole + end):
            found = json.loads(data)
            assert str(found["tick"]) == number
            names.append(name)
            if name == "snapshot":
                self.page = page_of(found)
            else:
                self.ticks.append(found)
                follow(self.page, found)
        self.names += names
        return names
