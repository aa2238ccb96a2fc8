"""What viewers know: who takes one message after the other knows what the next snapshot says."""

import json
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sccachedist.job_phases import JobPhase
from sccachedist.outcomes import Outcome
from sccachedist.records.documents import Notice
from sccachedist.records.ring import entry_of
from sccachedist.records.tally import RequestTally
from sccachedist.scheduler.farm_documents import status_document
from sccachedist.scheduler.feed import KEPT, MOST_MISSED_BYTES, SEEN_SECS, Feed, Message, feed_row, started_row
from sccachedist.scheduler.history import STEP_SECS, Ends, History
from sccachedist.scheduler.sight import Sight
from sccachedist.scheduler.snapshot import JobView, Totals
from sccachedist.web.event_stream import Piece
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.job_summary import JobSummary, packed
from sccachedist.wire.messages import JobId
from tests.scheduler.farms import GCC, A
from tests.scheduler.test_attention import FINE
from tests.support.event_streams import read

SERVERS = [ServerId.parse(f"10.0.0.{number}:10501") for number in range(4)]
SEES = Sight(names=True, reasons=True, words=True)
BOTH = (SEES, Sight())
TOTALS = Totals(
    cpus=8,
    phases={JobPhase.STARTED: 2},
    waiting=0,
    toolchains=1,
    servers=1,
    slots=12,
    states={},
    published=0,
    open_slots=12,
    workers=0,
)
SUMMARY = packed(JobSummary(Outcome.COMPILED, output="secret.o", compiler="gcc", detail="secret words"))
ENTRY = entry_of(JobId(7), 0.0, 1.0, "10.0.0.1", str(A), GCC, Outcome.COMPILED, summary=SUMMARY)


class Teller:
    """Makes messages, and what a page makes of them."""

    def __init__(self, number: int = 7) -> None:
        self.history = History()
        self.feed = Feed(number, self.history.document())
        self.now = 1000.0

    def message(
        self, *notices: Notice, waiting: int = 0, is_sampled: bool = False, more: int = 0, sights: Any = BOTH
    ) -> Message:
        totals = attrs.evolve(TOTALS, waiting=waiting)
        sampled = None
        if is_sampled:
            self.history.add(self.now, totals, Ends(5, 4, 1))
            assert self.history.last is not None
            sampled = self.history.last, self.history.document()
        status = status_document(totals, self.now, 1.5, RequestTally().recent(9.0), [])
        rates = self.history.rates(totals)
        return self.feed.message(status, rates, notices, sampled, more, sights)

    def snapshot(self) -> dict[str, Any]:
        (event,) = read(self.feed.snapshot(self.feed.rows()))
        assert (event[0], event[2]) == ("snapshot", str(self.feed.number))
        return page_of(json.loads(event[1]))


def told(message: Piece) -> dict[str, Any]:
    """What a message says."""
    ((name, data, number),) = read(message.plain)
    found: dict[str, Any] = json.loads(data)
    assert (name, number) == ("tick", str(found["tick"]))
    return found


def page_of(snapshot: dict[str, Any]) -> dict[str, Any]:
    """What a page keeps of a snapshot."""
    assert snapshot.pop("v") == 1
    return snapshot | {"servers": {row["address"]: row for row in snapshot["servers"]}}


def follow(page: dict[str, Any], tick: dict[str, Any]) -> None:
    """What a page makes of a message."""
    page["tick"] = tick["tick"]
    page["farm"] |= tick.get("farm", {})
    servers = tick.get("servers", {"changed": [], "gone": []})
    for row in servers["changed"]:
        page["servers"][row["address"]] = page["servers"].get(row["address"], {}) | row
    for address in servers["gone"]:
        del page["servers"][address]
    page["notices"] = [*page["notices"], *tick.get("notices", [])][-200:]
    if (sample := tick.get("sample")) is not None:
        history = page["farm"]["history"]
        for column in history.keys() - {"step", "until"}:
            history[column] = [*history[column][1:], sample[column]]
        history["until"] = sample["until"]


#: Something that happens: a look at a build server, its end, time, a notice, a request that waits, a sample, a message.
STEPS = st.one_of(
    st.tuples(st.just("see"), st.sampled_from(SERVERS), st.sampled_from([0, 1, 2]), st.sampled_from(["", "no space"])),
    st.tuples(st.just("miss"), st.sampled_from(SERVERS)),
    st.tuples(st.just("pass"), st.sampled_from([0.1, 1.0, 7.0])),
    st.tuples(st.just("tell"), st.booleans(), st.booleans(), st.sampled_from([0, 0, 3])),
)


@settings(max_examples=60)
@given(st.lists(STEPS, max_size=40), st.integers(0, 40))
def test_deltas(steps: list[tuple[Any, ...]], joined: int) -> None:
    """A page that came at any time, and followed, has what one that comes now gets."""
    teller, page = Teller(), None
    teller.message()
    looked: set[ServerId] = set()
    for number, (what, *details) in enumerate([*steps, ("tell", False, False, 0)]):
        if number == joined:
            teller.message()
            page, looked = teller.snapshot(), set()
        match what:
            case "see" if details[0] not in looked:
                server, taken, unfit = details
                teller.feed.see(attrs.evolve(FINE, server_id=server, taken=taken, unfit=unfit), 1.0, teller.now)
                looked.add(server)
            case "miss" if details[0] not in looked:
                teller.feed.miss(details[0])
                looked.add(details[0])
            case "pass":
                teller.now += details[0]
            case "tell":
                notices = [Notice(at=teller.now, kind="action", about="", text="", by=None)] * details[0]
                message = teller.message(*notices, waiting=details[2], is_sampled=details[1])
                looked = set()
                if page is not None and message:
                    follow(page, told(message[SEES]))
                    assert page == teller.snapshot() | {"tick": page["tick"]}
    if page is not None:
        assert page == teller.snapshot()


def test_idle() -> None:
    """A farm in which nothing happens has nothing to say, but a sample now and then."""
    teller = Teller()
    teller.feed.see(FINE, None, teller.now)
    assert teller.message()
    for second in range(60):
        teller.now += 0.05
        view = attrs.evolve(FINE, up_secs=FINE.up_secs + 0.05 * (second + 1), seen_secs=FINE.seen_secs)
        teller.feed.see(attrs.evolve(view, seen_secs=FINE.seen_secs + 0.05 * (second + 1)), None, teller.now)
        assert not teller.message()
    assert told(teller.message(is_sampled=True)[SEES]).keys() == {"tick", "farm", "sample"}


def test_changes_alone() -> None:
    """Of a build server that is known, a message has only what has changed."""
    teller = Teller()
    teller.feed.see(FINE, None, teller.now)
    first = told(teller.message()[SEES])
    assert first["servers"]["changed"] == [feed_row(FINE, None, teller.now)]
    teller.feed.see(attrs.evolve(FINE, taken=FINE.taken + 1), 0.5, teller.now)
    second = told(teller.message()[SEES])
    changed = {"address": str(FINE.server_id), "taken": FINE.taken + 1, "speed": 0.5}
    assert second["servers"] == {"changed": [changed], "gone": []}
    assert teller.snapshot()["servers"][str(FINE.server_id)]["taken"] == FINE.taken + 1
    assert "farm" not in second
    teller.feed.miss(FINE.server_id)
    assert told(teller.message()[SEES])["servers"] == {"changed": [], "gone": [str(FINE.server_id)]}
    teller.feed.miss(FINE.server_id)
    assert not teller.message()


@pytest.mark.parametrize("age", [0.0, 0.4, SEEN_SECS, 12.3])
def test_times(age: float) -> None:
    """Times in a row do not change by themselves."""
    rows = [
        feed_row(attrs.evolve(FINE, up_secs=age + later, seen_secs=age + later), None, 1000.0 + later)
        for later in (0.0, 0.3, 1.7, 100.1)
    ]
    assert all(row == rows[0] for row in rows)
    assert rows[0]["joined"] == pytest.approx(1000.0 - age)
    assert 0 <= 1000.0 - age - rows[0]["seen"] < SEEN_SECS
    assert not rows[0].keys() & {"up_secs", "seen_secs"}


def test_started() -> None:
    """A job that is not over has the time at which it began."""
    job = JobView(JobId(7), A, None, GCC, JobPhase.STARTED, {JobPhase.READY: 3.0, JobPhase.STARTED: 1.0}, False)
    row = started_row(job, "10.0.0.1", 1000.0)
    assert (row["id"], row["phase"], row["began"], "secs" in row) == ("7", "started", 997.0, False)
    teller = Teller()
    teller.message()
    teller.feed.start(job, "10.0.0.1", 1000.0)
    assert told(teller.message()[SEES])["started"] == [row]


def test_names() -> None:
    """Who may not see what others compile gets their records without names; all else is the same."""
    teller = Teller()
    teller.message()
    teller.feed.end(ENTRY, BOTH)
    message = teller.message(more=5)
    named, unnamed = (told(message[kind])["ended"] for kind in BOTH)
    assert (named["more"], unnamed["more"]) == (5, 5)
    (row,), (masked,) = named["jobs"], unnamed["jobs"]
    assert row["output"] == "secret.o"
    assert masked == row | {"output": None, "detail": None}
    assert b"secret" not in message[Sight()].plain


def test_made_once() -> None:
    """A message is made for those kinds of viewers that there are, and for no others."""
    teller = Teller()
    teller.message()
    teller.feed.end(ENTRY, [Sight()])
    assert teller.message(sights=[Sight()]).keys() == {Sight()}
    teller.feed.see(FINE, None, teller.now)
    message = teller.message()
    assert message[SEES] == message[Sight()]


def test_back_again() -> None:
    """Who was away for a moment is told what it missed; who has all, nothing."""
    teller = Teller(number=100)
    sent = [teller.message(waiting=waiting)[SEES] for waiting in range(1, KEPT + 2)]
    assert teller.feed.number == 101 + KEPT
    assert teller.feed.since(101 + KEPT, sight=SEES) == Piece(b"")
    assert teller.feed.since(100 + KEPT, sight=SEES) == sent[-1]
    assert teller.feed.since(101, sight=SEES) == Piece(b"".join(message.plain for message in sent[1:]))


@pytest.mark.parametrize("number", [0, 100, 102 + KEPT, 10**14])
def test_away_too_long(number: int) -> None:
    """Who was away for too long, or says something else, needs a snapshot."""
    teller = Teller(number=100)
    for waiting in range(1, KEPT + 2):
        teller.message(waiting=waiting)
    assert teller.feed.since(number, sight=SEES) is None


def test_missed_much() -> None:
    """A snapshot is better than many bytes of messages; and what was made for others is not given."""
    teller = Teller()
    notice = Notice(at=1.0, kind="action", about="", text="x" * MOST_MISSED_BYTES, by=None)
    teller.message(notice)
    assert teller.feed.since(teller.feed.number - 1, sight=SEES) is None
    teller.message(waiting=1, sights=[Sight()])
    assert teller.feed.since(teller.feed.number - 1, sight=Sight())
    assert teller.feed.since(teller.feed.number - 1, sight=SEES) is None


def test_known_servers() -> None:
    """Those that were seen and not missed since."""
    teller, feed = Teller(), Teller().feed
    for server in SERVERS:
        feed.see(attrs.evolve(FINE, server_id=server), None, teller.now)
    feed.see(attrs.evolve(FINE, server_id=SERVERS[0], unfit="no space"), None, teller.now)
    feed.miss(SERVERS[1])
    assert [server.server_id for server in feed.servers] == feed.addresses == [SERVERS[0], *SERVERS[2:]]


def test_strangers_words() -> None:
    """Whatever strangers call things, a message is ASCII and one line."""
    teller = Teller()
    teller.feed.see(attrs.evolve(FINE, unfit="\u202e\r\n\ndata: x\0"), None, teller.now)
    message = teller.message()[SEES]
    message.plain.decode("ascii")
    assert message.plain.count(b"\n") == 4
    assert told(message)["servers"]["changed"][0]["why"] == "\u202e\r\n\ndata: x\0"


def test_a_long_time() -> None:
    """Samples that come replace the oldest ones, as a page does it."""
    teller = Teller()
    teller.message()
    page = teller.snapshot()
    for _ in range(200):
        teller.now += STEP_SECS
        follow(page, told(teller.message(is_sampled=True)[SEES]))
    assert page == teller.snapshot()
