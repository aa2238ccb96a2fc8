"""What administrators and clients are told of the farm, from bytes to bytes."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlencode

import attrs
import pytest
from twisted.internet.task import Clock

from farmkit.fakes import FakeBuildServers
from farmkit.memory_http import Answer, Browser, bearer, request
from sccachedist.auth.clients import party_of
from sccachedist.budgets import Party
from sccachedist.config import QueueSettings, RecordSettings, WebSettings
from sccachedist.config.clients import DEFAULT, ClientSettings
from sccachedist.job_phases import JobPhase
from sccachedist.outcomes import Outcome, Refusal, SentLocal
from sccachedist.records import documents
from sccachedist.records.toolchain_documents import ToolchainsDocument
from sccachedist.scheduler.core import SchedulerCore
from sccachedist.scheduler.departures import Departures
from sccachedist.scheduler.events import Event, JobEnd, JobEnded, RequestRefused
from sccachedist.scheduler.farm_routes import FarmRoutes
from sccachedist.scheduler.farm_status import FarmStatus
from sccachedist.scheduler.farm_views import FarmViews
from sccachedist.scheduler.job_records import JobRecords
from sccachedist.scheduler.job_tokens import JobTokens
from sccachedist.scheduler.notices import Notices
from sccachedist.scheduler.out_of_service import Drain
from sccachedist.scheduler.standings import Standings
from sccachedist.scheduler.term import Term, Terms
from sccachedist.web.request import Site
from sccachedist.web.router import Mounted
from sccachedist.web.slices import Slices
from sccachedist.web.turns import Turns
from sccachedist.wire.job_summary import JobSummary, packed
from sccachedist.wire.messages import JobId
from tests.scheduler.farms import CLANG, GCC, A, B, assigned, farm
from tests.support.documents import document
from tests.support.readers import VIEWER, farm_readers

BEGAN = 1_000_000.0
ANN, BOB = party_of("#0123456789abcdef", A.host), Party("#fedcba9876543210@10.0.0.2")
ROUTES = {
    "status": documents.StatusDocument,
    "servers": documents.ServersDocument,
    "jobs": documents.JobsDocument,
    "why": documents.WhyDocument,
    "clients": documents.ClientsDocument,
    "toolchains": ToolchainsDocument,
    "usage": documents.UsageDocument,
    "trace": documents.TraceDocument,
    "notices": documents.NoticesDocument,
}
HOSTILE = "\x1b[31m‮<script>alert(1)</script>\n\0\ud800".encode(errors="replace").decode() + "x" * 4096 + "/a.o"


class CountedTurns(Turns):
    """Turns that never end by themselves; ``rests`` counts how often work made room for others."""

    rests = 0

    def run_next(self, party: str, work: Callable[[], None], pause_secs: float = 0.0) -> None:
        self.rests += 1
        super().run_next(party, work, pause_secs)


@attrs.define
class Farm:
    """A scheduler with two build servers of 3 slots each, and what it remembers."""

    core: SchedulerCore = attrs.field(factory=lambda: farm(2, 2))
    clock: Clock = attrs.field(factory=Clock)
    web: WebSettings = attrs.field(factory=WebSettings)
    spent: Iterator[float] = attrs.field(factory=lambda: iter(lambda: 0.0, 1.0))
    turns: CountedTurns = attrs.field(init=False)
    terms: Terms = attrs.field(init=False)
    records: JobRecords = attrs.field(init=False)
    notices: Notices = attrs.field(init=False)
    browser: Browser = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.records = JobRecords(RecordSettings(), BEGAN, self.clock.seconds)
        self.terms = Terms(self.begin)
        self.turns = CountedTurns(self.clock, lambda: 0.0)
        slices = Slices(self.turns, lambda: next(self.spent))
        views = FarmViews(self.terms, slices, self.records)
        self.notices = Notices(BEGAN, self.clock.seconds, self.records.name_of)
        status = FarmStatus(views, self.records, Departures(lambda: 0.0))
        standings = Standings({DEFAULT: ClientSettings(0.5, 9)})
        routes = FarmRoutes(views, self.records, status, self.notices, farm_readers(self.web), standings)
        self.browser = Browser(Site(Mounted(routes), self.clock), self.clock)

    def begin(self) -> Term:
        queue, tokens = QueueSettings(60, 10), JobTokens(self.clock.seconds)
        return Term(self.core, FakeBuildServers(), queue, self.clock, tokens, [self.records])

    def ask(self, path: str, token: str | None = VIEWER, sender: str = "127.0.0.1", **query: object) -> Answer:
        target = f"/api/v1/farm/{path}" + (f"?{urlencode(query)}" if query else "")
        return self.browser.ask(request("GET", target, headers=bearer(token) if token else {}), sender)

    def get(self, path: str, **query: Any) -> Any:
        return document(self.ask(path, **query), ROUTES.get(path, documents.JobDocument))

    def ids(self, **query: object) -> list[str]:
        return [row["id"] for row in self.get("jobs", **query)["jobs"]]


def ended(number: int, **changes: Any) -> JobEnded:
    """The end of a job that took two seconds, at the time of its number."""
    began = {JobPhase.RESERVED: number - 2.0, JobPhase.READY: number - 1.9, JobPhase.STARTED: number - 1.0}
    job = JobEnded(float(number), JobId(100 + number), A, ANN, GCC, JobEnd.COMPLETE, began, asked=number - 2.0)
    return attrs.evolve(job, **changes)


def summary(output: str = "obj/a.o", **changes: Any) -> bytes:
    return packed(JobSummary(Outcome.COMPILED, output=output, compiler="gcc", cpu_user_us=10**6, **changes))


HOME = packed(JobSummary(Outcome.SENT_LOCAL, SentLocal.SANDBOX, output="obj/b.o", detail="no namespaces"))
HISTORY: list[Event] = [
    ended(5, summary=summary()),
    ended(6, server_id=B, client=BOB, toolchain=CLANG, summary=summary("obj/b.o")),
    RequestRefused(7.0, 3.0, ANN, GCC, Refusal.QUEUE_TIMEOUT, "no slot came free"),
    ended(8, summary=HOME),
    ended(9),
]


@pytest.fixture
def known() -> Farm:
    """A farm that remembers, at time 10."""
    known = Farm()
    known.clock.advance(10.0)
    for event in HISTORY:
        known.records(event)
        known.notices(event)
    known.notices.tell("action", str(A), "drained", "ann")
    return known


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("remembers", [False, True])
def test_documents(known: Farm, path: str, remembers: bool) -> None:
    """Each document has the keys of its type, of an empty farm as of one that has a history."""
    (known if remembers else Farm(farm())).get(path)


@pytest.mark.parametrize("path", [*ROUTES, "jobs/105"])
@pytest.mark.parametrize(
    ("token", "status"), [("admintok", 200), ("clienttok", 200), ("wrong", 401), (None, 401), ("servertok", 401)]
)
def test_who_may_read(known: Farm, path: str, token: str | None, status: int) -> None:
    """An administrator, and who may compile here."""
    assert known.ask(path, token).status == status


@pytest.mark.parametrize("path", ["", "nonsense", "jobs/", "jobs/x", "jobs/-1", "jobs/" + "1" * 21, "status/"])
def test_unknown_routes(known: Farm, path: str) -> None:
    """There is nothing else, and a line says so."""
    answer = known.ask(path)
    assert (answer.status, answer.body) == (404, b"no such path, or not with this method\n")


@pytest.mark.parametrize(
    ("path", "query", "said"),
    [
        ("status", {"sinse": "5"}, "since"),
        ("status", {"since": "yesterday"}, "a number of seconds"),
        ("status", {"since": "-1"}, "a number of seconds"),
        ("status", {"since": "inf"}, "a number of seconds"),
        ("servers", {"state": "open,broken"}, "some of open, full, busy, avoided, draining, unfit"),
        ("jobs", {"outcome": "fine"}, "one of compiled, compile_error"),
        ("jobs", {"reason": "\x1b[31mred"}, "reason=\\x1b[31mred: expected one of no_servers"),
        ("jobs", {"limit": "0"}, "from 1 to 1000"),
        ("jobs", {"limit": "1001"}, "from 1 to 1000"),
        ("jobs", {"limit": "٣"}, "from 1 to 1000"),
        ("jobs", {"before": "now"}, "next"),
        ("usage", {"by": "moon"}, "one of client, server, toolchain, compiler"),
        ("trace", {"by": "client"}, "'by'"),
    ],
)
def test_bad_filters(known: Farm, path: str, query: dict[str, str], said: str) -> None:
    """What cannot be meant is refused with one line that says what can."""
    answer = known.ask(path, **query)
    assert answer.status == 400
    described = json.loads(answer.body)["description"]
    assert said in described
    assert described.isprintable()


@pytest.mark.parametrize("query", ["since", "since=1&since=2", "since=%ff", "&", "=%00"])
def test_bad_queries(known: Farm, query: str) -> None:
    """What is no query is refused."""
    asked = request("GET", f"/api/v1/farm/status?{query}", headers=bearer("clienttok"))
    assert known.browser.ask(asked).status == 400


def test_status(known: Farm) -> None:
    """The farm at a glance, with what became of requests lately."""
    shown = known.get("status")
    assert (shown["servers"], shown["published"], shown["cpus"], shown["slots"]) == ({"open": 2}, 2, 4, 6)
    assert shown["recent"]["outcomes"] == {"compiled": 2, "refused": 1, "sent_local": 1, "untold": 1}
    assert shown["recent"]["refusals"] == {"queue_timeout": 1}
    assert shown["recent"]["sent_local"] == {"sandbox": 1}
    assert (shown["recent"]["secs"], shown["up_secs"]) == (10.0, 10.0)
    assert known.get("status", since=1.5)["recent"]["outcomes"] == {"untold": 1}


def test_servers(known: Farm) -> None:
    """By state, with what keeps them from jobs."""
    known.core.interventions.drain(B, Drain(), now=10.0)
    known.clock.advance(2.0)
    first, second = known.get("servers")["servers"]
    assert (first["address"], first["state"], first["why"], first["ended"]) == (str(A), "open", "", None)
    assert (second["state"], second["why"], second["published"]) == ("draining", "an administrator drains it", True)
    assert [row["address"] for row in known.get("servers", state="draining,unfit")["servers"]] == [str(B)]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["109", "108", None, "106", "105"]),
        ({"outcome": "compiled"}, ["106", "105"]),
        ({"reason": "sandbox"}, ["108"]),
        ({"reason": "queue_timeout"}, [None]),
        ({"client": "10.0.0.2"}, ["106"]),
        ({"server": str(B)}, ["106"]),
        ({"server": str(B.host)}, ["106"]),
        ({"output": "b.o"}, ["108", "106"]),
        ({"since": 3.5}, ["109", "108", None]),
        ({"limit": 2}, ["109", "108"]),
        ({"client": "10.0.0.2", "outcome": "refused"}, []),
    ],
)
def test_filters(known: Farm, query: dict[str, object], found: list[str | None]) -> None:
    """Each filter alone and with others; the latest come first."""
    assert known.ids(**query) == found


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_pages(known: Farm, limit: int) -> None:
    """Page by page, each record comes once, also of those that ended at one time, and while more jobs end."""
    for number in range(4):
        known.records(ended(10, job_id=JobId(number)))
    expected, found = known.ids(), list[str]()
    before: dict[str, str] = {}
    while True:
        page = known.get("jobs", limit=limit, **before)
        found += [row["id"] for row in page["jobs"]]
        if page["next"] is None:
            break
        before = {"before": page["next"]}
        known.records(ended(11, job_id=JobId(1000 + len(found))))
    assert found == expected


def test_running(known: Farm) -> None:
    """Jobs that are not over stand beside the records, on the first page alone and where a filter may mean them."""
    reserved = known.core.reserve(10.0, toolchain=GCC, client=ANN)
    known.core.confirm(reserved, assigned(), 10.0)
    known.clock.advance(2.0)
    (row,) = known.get("jobs")["running"]
    assert (row["id"], row["phase"], row["secs"]) == (str(reserved.job_id), "ready", 2.0)
    assert known.get("jobs", server=row["server"], client=row["client"])["running"] == [row]
    for query in ({"client": "10.0.0.77"}, {"server": "10.0.0.77"}, {"outcome": "compiled"}, {"before": "5.0~0"}):
        assert known.get("jobs", **query)["running"] == []
    one = known.get(f"jobs/{reserved.job_id}")
    assert (one["job"], one["running"]) == (None, row)


def test_one_job(known: Farm) -> None:
    """By its number, or an end of it that no other has."""
    for digits in ("105", "5"):
        shown = known.get(f"jobs/{digits}")
        assert (shown["job"]["id"], shown["job"]["output"], shown["running"]) == ("105", "obj/a.o", None)
    known.records(ended(10, job_id=JobId(1105)))
    for digits, said in (("5", "several jobs"), ("77", "no job")):
        answer = known.ask(f"jobs/{digits}")
        assert answer.status == 404
        assert said in json.loads(answer.body)["description"]
    assert known.get("jobs/105")["job"]["id"] == "105"


def test_why(known: Farm) -> None:
    """The records of a file, one's own first, and what one's own requests were refused."""
    shown = known.get("why", name="b.o")
    assert [row["id"] for row in shown["jobs"]] == ["108", "106"]
    assert shown["jobs"][0]["detail"] == "no namespaces"
    (refusal,) = shown["refusals"]
    assert (refusal["reason"], refusal["count"], refusal["detail"]) == ("queue_timeout", 1, "no slot came free")
    others = document(known.ask("why", sender="10.0.0.2", name="b.o"), documents.WhyDocument)
    assert ([row["id"] for row in others["jobs"]], others["refusals"]) == (["106", "108"], [])
    assert known.get("why", name="b.o", since=1)["jobs"] == []


def test_clients(known: Farm) -> None:
    """What clients have now, and what they had."""
    known.core.reserve(10.0, client=BOB)
    known.clock.advance(2.0)
    ann, bob = known.get("clients")["clients"]
    assert (ann["client"], ann["holds"], ann["waits"], ann["slot_secs"]) == ("127.0.0.1", 0, 0, 6.0)
    assert ann["recent"]["refusals"] == {"queue_timeout": 1}
    assert (ann["weight"], ann["max_slots"], ann["class"]) == (0.5, 9, "interactive")
    assert (bob["client"], bob["holds"], bob["recent"]["outcomes"]) == ("10.0.0.2", 1, {"compiled": 1})


def test_toolchains(known: Farm) -> None:
    """Which compiler a hash is, and who has it."""
    gcc, clang = known.get("toolchains")["toolchains"]
    assert (gcc["toolchain"], gcc["compiler"], gcc["jobs"], gcc["last_use"]) == (GCC, "gcc", 3, BEGAN + 9)
    assert (clang["toolchain"], clang["held_by"]) == (CLANG, [])


def test_usage(known: Farm) -> None:
    """Who used how much."""
    first, second = known.get("usage")["usage"]
    assert (first["name"], first["jobs"], first["cpu_secs"]) == ("127.0.0.1", 4, 1.0)
    assert second["name"] == "10.0.0.2"
    assert [row["name"] for row in known.get("usage", by="compiler", since=4.5)["usage"]] == ["unknown", "gcc"]


def test_trace(known: Farm) -> None:
    """Each job of the window is a span on its build server."""
    spans = [event["name"] for event in known.get("trace")["traceEvents"] if event["ph"] == "X"]
    assert {"obj/a.o", "obj/b.o", "wait"} <= set(spans)
    assert [event for event in known.get("trace", client="nobody")["traceEvents"] if event["ph"] == "X"] == []


@pytest.mark.parametrize("path", ROUTES)
def test_hostile_names(known: Farm, path: str) -> None:
    """Whatever a stranger calls things, documents stay JSON in ASCII."""
    octets = packed(JobSummary(Outcome.SENT_LOCAL, SentLocal.LIMIT, HOSTILE, output=HOSTILE, compiler=HOSTILE))
    known.records(ended(10, summary=octets))
    known.records(RequestRefused(10.0, 9.0, ANN, "", Refusal.BAD_TOOLCHAIN, HOSTILE))
    shown = known.get(path, **({"name": "/a.o"} if path == "why" else {}))
    assert path != "why" or len(shown["jobs"][0]["output"]) <= 200
    assert known.ask("jobs", output=HOSTILE).status == 200
    assert known.ask(f"jobs?output={quote(HOSTILE)}").status == 200


@pytest.mark.parametrize("path", ["status", "jobs", "usage", "clients", "toolchains", "why", "trace"])
def test_in_slices(path: str) -> None:
    """However many records there are, the reactor does other things in between; the answer is the same."""
    for busy in (False, True):
        asked = Farm(spent=iter(float(number) for number in range(10_000)) if busy else iter(lambda: 0.0, 1.0))
        asked.clock.advance(100.0)
        for number in range(200):
            asked.records(ended(50, job_id=JobId(number), summary=summary("a.o")))
        asked.get(path)
        assert (asked.turns.rests > 10) is busy
        assert busy or not asked.turns.rests


def test_reader_goes_away(known: Farm) -> None:
    """A reader that goes away in the middle leaves nothing behind."""
    known.spent = iter(float(number) for number in range(10_000))
    for number in range(200):
        known.records(ended(10, job_id=JobId(number)))
    connection = known.browser.connect()
    connection.say(request("GET", "/api/v1/farm/usage", headers=bearer("clienttok")))
    connection.leave()
    known.clock.pump([0.0] * 5)
    assert known.clock.getDelayedCalls() == []
