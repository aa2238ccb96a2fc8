"""What administrators ask, from bytes to bytes: who may, what is answered, and what is told of it."""

import json
from itertools import count
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from farmkit.deferreds import outcome, pending
from farmkit.fakes import FakeBuildServers
from farmkit.memory_http import Answer, Browser, bearer, head, request
from sccachedist.budgets import Party
from sccachedist.config import QueueSettings, RecordSettings, SchedulerSettings
from sccachedist.config.changes import differing, digests
from sccachedist.daemon.reload import Reload
from sccachedist.errors import ConfigError
from sccachedist.outcomes import Refusal
from sccachedist.records.documents import ActionDocument, SettingsDocument
from sccachedist.scheduler.admin_routes import MOST_BYTES, AdminRoutes
from sccachedist.scheduler.core import SchedulerCore
from sccachedist.scheduler.departures import Departures
from sccachedist.scheduler.events import Event, RequestRefused, ServerDrained
from sccachedist.scheduler.farm_views import FarmViews
from sccachedist.scheduler.job_records import JobRecords
from sccachedist.scheduler.job_tokens import JobTokens
from sccachedist.scheduler.out_of_service import Drain
from sccachedist.scheduler.snapshot import ServerView
from sccachedist.scheduler.term import Term, Terms
from sccachedist.web.request import Site
from sccachedist.web.router import Mounted
from sccachedist.web.slices import Slices
from sccachedist.web.turns import unhurried
from sccachedist.wire.messages import AllocJobFail, AllocJobSuccess, Toolchain
from tests.scheduler.farms import GCC, A, B, assigned, farm
from tests.support.documents import document
from tests.support.readers import ADMIN, ANN, CLIENT, VIEWER, at_once, farm_readers, reloading

PATH = "/api/v1/admin/actions"
JSON = {"Content-Type": "application/json"}


@attrs.define
class Scheduler:
    """A scheduler with two build servers of two slots each."""

    core: SchedulerCore = attrs.field(factory=lambda: farm(1, 1))
    clock: Clock = attrs.field(factory=Clock)
    servers: FakeBuildServers = attrs.field(factory=FakeBuildServers)
    events: list[Event] = attrs.field(factory=list)
    told: list[tuple[str, str, str, str | None]] = attrs.field(factory=list)
    reload: Reload[SchedulerSettings] = attrs.field(factory=reloading)
    terms: Terms = attrs.field(init=False)
    views: FarmViews = attrs.field(init=False)
    browser: Browser = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.terms = Terms(self.begin)
        records, departures = JobRecords(RecordSettings(), 0.0, self.clock.seconds), Departures(self.clock.seconds)
        self.views = FarmViews(self.terms, Slices(unhurried(self.clock), count(0.0).__next__), records)
        told = self.told.append
        routes = AdminRoutes(self.views, farm_readers(), departures, at_once, lambda *of: told(of), self.reload)
        self.browser = Browser(Site(Mounted(routes), self.clock), self.clock)

    def begin(self) -> Term:
        tokens, waiting = JobTokens(lambda: 1000 + self.clock.seconds()), QueueSettings(60, 10)
        return Term(self.core, self.servers, waiting, self.clock, tokens, [self.events.append])

    def act(self, token: str = ANN, **body: Any) -> Answer:
        octets = json.dumps(body).encode()
        return self.browser.ask(request("POST", PATH, octets, {**JSON, **bearer(token)}), "10.7.0.1")

    def place(self) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.terms.place(Party("#0123@10.0.0.1"), Toolchain(GCC)))


@pytest.fixture(name="scheduler")
def with_two_servers() -> Scheduler:
    return Scheduler()


def test_who_may(scheduler: Scheduler) -> None:
    """Administrators, by whatever name; all others are refused before they have sent what they want."""
    for token, name in ((ADMIN, "administrator"), (ANN, "ann")):
        assert scheduler.act(token, action="drain", servers=[str(A)]).status == 200
        assert scheduler.core.interventions.out_of_service.drains[A].by == name
    for shown in (bearer(CLIENT), bearer(VIEWER), bearer("wrong"), {}):
        connection = scheduler.browser.connect()
        connection.say(head("POST", PATH, {"Content-Length": "72", **JSON, **shown}))
        (answer,) = connection.answers()
        assert answer.status == 401


def test_an_action(scheduler: Scheduler) -> None:
    """It is done, answered, and told to the log with name and address; a preview only says what would be done."""
    body: dict[str, Any] = {"action": "drain", "servers": ["127.0.0.*"], "reason": "{disk}", "until": 60}
    preview = document(scheduler.act(preview=True, **body), ActionDocument)
    assert scheduler.core.placement.has_servers()
    with capturedLogs() as events:
        assert document(scheduler.act(**body), ActionDocument) == preview
    assert preview["text"] == "2 build servers get no new jobs"
    assert [row["about"] for row in preview["done"]] == [str(A), str(B)]
    assert formatEvent(events[0]) == "ann, at 10.7.0.1: drain: 2 build servers get no new jobs ({disk})"
    assert not scheduler.core.placement.has_servers()
    assert scheduler.told == []
    scheduler.events.clear()
    scheduler.clock.advance(61)
    scheduler.core.heartbeat(A, scheduler.core._fleet[A].heartbeat, 61.0)
    scheduler.terms.current.expire()
    assert [event for event in scheduler.events if isinstance(event, ServerDrained)] == [
        ServerDrained(61.0, A, drained=False, is_here=True),
        ServerDrained(61.0, B, drained=False, is_here=True),
    ]


def test_who_looks(scheduler: Scheduler) -> None:
    """What was done is seen at once, though all who look within a second are shown the same.

    A look that began before is shown to those who asked for it alone.
    """

    def look() -> Deferred[list[ServerView]]:
        return Deferred.fromCoroutine(scheduler.views.servers("10.7.0.2"))

    scheduler.act(action="drain", servers=["*"])
    first = look()
    assert not first.called
    scheduler.act(action="undrain", servers=["*"])
    second = look()
    scheduler.clock.pump([0.01] * 9)
    assert outcome(first)[0].state == "draining"
    seen = outcome(second)
    assert seen[0].state == "open"
    assert outcome(look()) is seen


def test_what_is_told(scheduler: Scheduler) -> None:
    """Those who watch hear of each action but of drains, of which they hear anyway."""
    scheduler.act(action="pause", reason="move")
    scheduler.act(ADMIN, action="resume")
    assert [(kind, about, by) for kind, about, _, by in scheduler.told] == [
        ("action", "farm", "ann"),
        ("action", "farm", "administrator"),
    ]
    assert scheduler.told[0][2].endswith("(move)")


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"action": "drain", "servers": ["10.9.9.9"]}, 404, "no build server is meant by 10.9.9.9"),
        ({"action": "forget_server", "servers": [str(A)]}, 409, "drain it instead"),
        ({"action": "explode"}, 400, "action: expected one of drain"),
    ],
)
def test_what_cannot_be_done(scheduler: Scheduler, body: dict[str, Any], status: int, said: str) -> None:
    """One sentence says why."""
    answer = scheduler.act(**body)
    assert answer.status == status
    assert said in json.loads(answer.body)["description"]


def changing(file: list[SchedulerSettings]) -> Reload[SchedulerSettings]:
    """A configuration whose file has the last of some settings; without any, it is wrong."""

    def load() -> SchedulerSettings:
        if not file:
            raise ConfigError("scheduler.conf: queue.max_waiting: expected a whole number, 1 or more")
        return file[-1]

    return Reload(reloading().settings, load, lambda: 0.0)


def test_reload() -> None:
    """The answer says what differs; a preview says the same and changes nothing."""
    old = reloading().settings
    new = attrs.evolve(old, public_addr=A)
    file = [old]
    scheduler = Scheduler(reload=changing(file))
    file.append(new)
    preview = document(scheduler.act(action="reload", preview=True), ActionDocument)
    assert preview["text"] == "the configuration would be read again: public_addr needs a restart"
    assert (scheduler.told, scheduler.reload.settings) == ([], old)
    said = "the configuration was read again: public_addr needs a restart"
    done = document(scheduler.act(action="reload"), ActionDocument)
    assert done == {"v": 1, "text": said, "done": [{"about": "configuration", "text": said, "found": True}]}
    assert scheduler.told == [("action", "configuration", said, "ann")]


def test_reload_of_a_wrong_file() -> None:
    """The answer says what is wrong."""
    scheduler = Scheduler(reload=changing([]))
    answer = scheduler.act(action="reload")
    assert (answer.status, scheduler.told, scheduler.reload.failed) == (409, [], True)
    said = "the configuration stays as it is: scheduler.conf: queue.max_waiting: expected a whole number, 1 or more"
    assert json.loads(answer.body)["description"] == said


def test_settings(scheduler: Scheduler) -> None:
    """With the digests it can be told which keys of another file differ, and no value."""
    asked = request("GET", "/api/v1/admin/settings", headers=bearer(ANN))
    first, second = (document(scheduler.browser.ask(asked), SettingsDocument) for _ in range(2))
    assert first["keys"].keys() == second["keys"].keys()
    assert not {*first["keys"].values()} & {*second["keys"].values()}
    assert CLIENT not in str(first)
    new = attrs.evolve(scheduler.reload.settings, queue=QueueSettings(1, 2), public_addr=A)
    found = differing(first["keys"], digests(new, bytes.fromhex(first["salt"])), SchedulerSettings)
    assert {*found.at_once, *found.restart} == {"public_addr", "queue.max_wait_secs", "queue.max_waiting"}


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 9999, b"\xff"])
def test_no_json(scheduler: Scheduler, body: bytes) -> None:
    """Nor is there anything to do."""
    answer = scheduler.browser.ask(request("POST", PATH, body, {**JSON, **bearer(ANN)}))
    assert (answer.status, json.loads(answer.body)["description"]) == (400, "the body is no JSON")


def test_of_another_kind(scheduler: Scheduler) -> None:
    """A form of another page cannot send what is taken, nor is any body too large for the memory."""
    too_large = {**JSON, "Content-Length": str(MOST_BYTES + 1)}
    for headers, status in (({"Content-Type": "text/plain"}, 400), ({}, 400), (too_large, 500)):
        connection = scheduler.browser.connect()
        connection.say(head("POST", PATH, {"Content-Length": "72", **bearer(ANN), **headers}))
        assert connection.answers()[0].status == status


def test_paused(scheduler: Scheduler) -> None:
    """Who waits and who comes is sent home, and told why; what goes on, goes on; afterwards all is as before."""
    for server in (A, B):
        scheduler.core.interventions.drain(server, Drain(), 0.0)
    scheduler.core.interventions.drain(A, None, 0.0)
    taken = [scheduler.core.reserve(0.0), scheduler.core.reserve(0.0)]
    waiting = scheduler.place()
    assert pending(waiting)
    scheduler.act(action="pause", reason="move")
    came = scheduler.place()
    for placed in (waiting, came):
        assert outcome(placed) == AllocJobFail("the farm is paused: move")
    refusals = [event.refusal for event in scheduler.events if isinstance(event, RequestRefused)]
    assert refusals == [Refusal.PAUSED, Refusal.PAUSED]
    scheduler.act(action="resume")
    scheduler.core.release(taken[0], 0.0, failed=False)
    goes_on = scheduler.place()
    scheduler.servers.assignments.answer(A, assigned())
    assert isinstance(outcome(goes_on), AllocJobSuccess)
