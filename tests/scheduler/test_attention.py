"""What an administrator should look at, and what must not be called wrong."""

from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Any

import attrs
import pytest

from sccachedist.outcomes import Outcome, Refusal, SentLocal
from sccachedist.records.documents import SchedulerRow
from sccachedist.records.ring import Entry, entry_of
from sccachedist.scheduler.attention import (
    CERTIFICATE_SECS,
    DAY_SECS,
    LEAST,
    LEAST_MEMORY,
    LONG_WAIT_SECS,
    MOST_LISTED,
    STORE_SECS,
    Lately,
    ServerFindings,
    attention,
)
from sccachedist.scheduler.events import Fault
from sccachedist.scheduler.out_of_service import Drain
from sccachedist.scheduler.snapshot import ServerView
from sccachedist.wire.abilities import Abilities, GatewayFacts, ObjectStoreFacts
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.host_facts import HostFacts
from sccachedist.wire.messages import JobId
from tests.scheduler.farms import A, B, farm

FINE = farm(2).snapshot({}, 0.0).servers[0]
PLENTY = HostFacts("build17", 62, 99_000, 1 << 36, 1 << 38, 1 << 40, 1 << 40)
TROUBLED = Abilities(store=ObjectStoreFacts("https://o/", "it is full"))
NOW = 1_790_000_000.0
NO_MATTER = (Refusal.CLIENT_GONE, Refusal.SHUTDOWN, Refusal.NO_SERVERS)


def job(outcome: Outcome, reason: SentLocal | None = None) -> Entry:
    return entry_of(JobId(1), 0.0, 1.0, "10.0.0.1", str(A), "", outcome, reason)


def refusal(reason: Refusal) -> Entry:
    return entry_of(None, 0.0, 1.0, "10.0.0.1", None, "", Outcome.REFUSED, reason)


def found(
    servers: tuple[ServerView, ...] = (FINE,),
    entries: tuple[Entry, ...] = (),
    wait: float | None = None,
    waiting: int = 1,
) -> list[tuple[bool, str]]:
    """What is critical of each finding, and its text."""
    lately = Lately()
    for entry in entries:
        lately.add(entry)
    findings = attention(looked_at(*servers), 0 if wait is None else waiting, wait or 0.0, lately, {})
    assert all(finding["mend"].endswith(".") and finding["about"] for finding in findings)
    return [(finding["critical"], finding["text"]) for finding in findings]


def server(**changes: Any) -> ServerView:
    return attrs.evolve(FINE, **changes)


def looked_at(*servers: ServerView) -> ServerFindings:
    found = ServerFindings(NOW)
    for each in servers:
        found.add(each)
    return found


@pytest.mark.parametrize(
    ("servers", "entries", "wait"),
    [
        ((FINE,), (), None),
        ((server(taken=FINE.slots),), (), LONG_WAIT_SECS),
        ((FINE, server(is_open=False, drain=Drain("ann"))), (), None),
        ((server(seen_secs=FINE.patience_secs / 2),), (), None),
        ((server(host=HostFacts()), server(host=PLENTY)), (), None),
        ((server(host=attrs.evolve(PLENTY, memory_free=LEAST_MEMORY + 1)),), (), None),
        ((server(host=attrs.evolve(PLENTY, memory_free=1 << 29, memory_total=1 << 32)),), (), None),
        ((server(certificate_end=NOW + CERTIFICATE_SECS),), (), None),
        ((FINE, server(slots=0, lack="busy")), (), None),
        ((server(slots=1, lack="no_memory"),), (), None),
        ((server(slots=0, lack="busy", taken=1),), (), None),
        ((server(abilities=Abilities(store=ObjectStoreFacts("https://o/"))),), (), None),
        ((FINE,), (job(Outcome.COMPILED), job(Outcome.COMPILE_ERROR), job(Outcome.UNTOLD)) * 9, None),
        ((FINE,), (job(Outcome.SENT_LOCAL, SentLocal.SUSPICIOUS), job(Outcome.UNCLAIMED)) * (LEAST - 1), None),
        ((FINE,), (job(Outcome.SENT_LOCAL, SentLocal.OPTIONS),) * 99, None),
        ((FINE,), (*[job(Outcome.COMPILED)] * 99, *[job(Outcome.SENT_LOCAL, SentLocal.SANDBOX)] * LEAST), None),
        ((FINE,), tuple(refusal(reason) for reason in NO_MATTER), None),
    ],
)
def test_nothing_to_look_at(servers: tuple[ServerView, ...], entries: tuple[Entry, ...], wait: float | None) -> None:
    """A farm that works draws no attention, full or drained in part as it may be."""
    assert found(servers, entries, wait) == []


@pytest.mark.parametrize(
    ("servers", "entries", "wait", "critical", "said"),
    [
        ((), (), None, True, "No build server takes jobs."),
        ((server(is_open=False, drain=Drain("ann")),), (), None, True, "No build server takes jobs."),
        ((FINE,), (refusal(Refusal.UNAUTHORIZED),) * 2, None, True, "10.0.0.1 is refused with 401 (2 times)"),
        ((FINE, server(unfit="no namespaces", is_open=False)), (), None, False, "unfit for jobs: no namespaces"),
        ((server(avoided_secs=38.0, avoided_why=Fault.SENDS_HOME),), (), None, False, "is avoided for 38 s: it sends"),
        (
            (server(host=attrs.evolve(PLENTY, cache_free=7_000_000)),),
            (),
            None,
            False,
            "7 MB left on the disk of cache_",
        ),
        ((server(host=attrs.evolve(PLENTY, build_free=0)),), (), None, False, "0 MB left on the disk of build_dir."),
        ((server(host=attrs.evolve(PLENTY, memory_free=9 << 20)),), (), None, False, "has 9 MB of memory left."),
        ((server(certificate_end=NOW + 9 * DAY_SECS),), (), None, False, f"The certificate of {A} ends in 9 days."),
        ((server(certificate_end=NOW),), (), None, True, "has ended: clients do not trust it any more."),
        ((FINE, server(slots=0, lack="no_memory")), (), None, False, f"{A} takes no jobs: It has no memory for one"),
        ((server(slots=0, lack="busy"),), (), None, True, "No build server takes jobs."),
        ((server(abilities=TROUBLED),), (), None, False, f"{A} cannot use its object store: it is full"),
        ((server(seen_secs=60.0),), (), None, False, "has been silent for 60 s, and is dropped after 90"),
        ((FINE,), (job(Outcome.SENT_LOCAL, SentLocal.DISK),) * LEAST, None, False, "100% of its jobs home, most of"),
        ((FINE,), (job(Outcome.SERVER_LOST),), None, False, "server_lost (once)"),
        ((FINE,), (job(Outcome.UNCLAIMED),) * LEAST, None, False, "unclaimed (5 times)"),
        ((FINE,), (refusal(Refusal.QUEUE_TIMEOUT),), None, False, "queue_timeout (once): No slot"),
        ((FINE,), (), LONG_WAIT_SECS + 1, False, "A request waits for a slot, for 31 s by now."),
    ],
)
def test_what_to_look_at(
    servers: tuple[ServerView, ...], entries: tuple[Entry, ...], wait: float | None, critical: bool, said: str
) -> None:
    """Each rule by itself, with what is wrong and where."""
    ((is_critical, text),) = found(servers, entries, wait)
    assert (is_critical, said in text) == (critical, True), text


def test_several_requests_that_wait() -> None:
    """They are counted; how long is said of the first of them."""
    said = "3 requests wait for a slot, the first of them for 31 s."
    assert found(wait=LONG_WAIT_SECS + 1, waiting=3) == [(False, said)]


def test_many_of_a_kind() -> None:
    """A hundred servers with one fault do not hide another finding, and what is critical comes first."""
    many = tuple(
        attrs.evolve(FINE, server_id=ServerId(IPv4Address(number), 1), unfit="x", is_open=False)
        for number in range(100)
    )
    texts = found(many, (refusal(Refusal.QUEUE_FULL),))
    assert [critical for critical, _ in texts] == [True] + [False] * (MOST_LISTED + 1)
    assert any("queue_full" in text for _, text in texts)


def test_a_server_that_has_vanished() -> None:
    """It needs somebody now."""
    (finding,) = attention(looked_at(server(server_id=B)), 0, 0.0, Lately(), {A: 61.0})
    assert finding["critical"]
    assert attention(looked_at(server(server_id=A)), 0, 0.0, Lately(), {A: 61.0}) == []
    assert finding["text"] == f"{A} has vanished: it fell silent, and was dropped 61 s ago."


def test_a_scheduler_that_has_just_begun() -> None:
    """While it expects its build servers, that there is none needs no mend yet."""
    (finding,) = attention(looked_at(), 2, 1.0, Lately(), {}, is_settling=True)
    assert not finding["critical"]
    assert finding["text"] == "The scheduler has just begun: requests wait for a first build server."
    assert attention(looked_at(FINE), 2, 1.0, Lately(), {}, is_settling=True) == []


@pytest.mark.parametrize(
    ("end", "texts"),
    [
        (None, []),
        (NOW + CERTIFICATE_SECS, []),
        (NOW + 13 * DAY_SECS, [(False, "The certificate of the scheduler ends in 13 days.")]),
        (NOW - 1, [(True, "The certificate of the scheduler has ended: clients do not trust it any more.")]),
    ],
)
def test_the_certificate_of_the_scheduler(end: float | None, texts: list[tuple[bool, str]]) -> None:
    """It is an administrator's to renew."""
    found = attention(looked_at(FINE), 0, 0.0, Lately(), {}, end)
    assert [(finding["critical"], finding["text"]) for finding in found] == texts


def of_schedulers(*rows: SchedulerRow) -> list[tuple[str, str]]:
    """What each finding about several schedulers is about, and its text; all are critical."""
    findings = attention(looked_at(FINE), 0, 0.0, Lately(), {}, schedulers=rows)
    assert all(finding["critical"] and finding["mend"].endswith(".") for finding in findings)
    return [(finding["about"], finding["text"]) for finding in findings]


def scheduler(
    url: str,
    state: str | None,
    since: float | None = NOW - 60,
    silent: float | None = None,
    differs: Sequence[str] = (),
) -> SchedulerRow:
    return SchedulerRow(
        url=url, state=state, since=since, number=None, version="1", store_silent_since=silent, differs=[*differs]
    )


def test_schedulers_that_are_well() -> None:
    """One leads and others follow; a store that is silent for a moment is no matter, nor is what is not known yet."""
    rows = scheduler("a", "leads", silent=NOW - STORE_SECS + 1), scheduler("b", "follows"), scheduler("c", None, None)
    assert of_schedulers(*rows) == []


def test_schedulers_that_are_not() -> None:
    """One that is silent, two that lead, and a store that does not answer: no other could take over as it should."""
    assert of_schedulers(scheduler("a", "leads"), scheduler("b", "silent")) == [
        ("b", "The scheduler b has been silent for 60 s.")
    ]
    assert of_schedulers(scheduler("a", "leads"), scheduler("b", "leads")) == [
        ("schedulers", "More than one scheduler leads: a, b.")
    ]
    assert of_schedulers(scheduler("a", "leads"), scheduler("b", "follows", differs=("client_auth", "jwt"))) == [
        ("b", "The scheduler b has another client_auth, jwt than the one that leads.")
    ]
    deaf = (
        scheduler("a", "leads", silent=NOW - 30),
        scheduler("b", "follows", silent=NOW - 20),
        scheduler("c", "follows"),
    )
    assert of_schedulers(*deaf) == [("schedulers", "The store of the lock does not answer a, b, for 30 s.")]


@pytest.mark.parametrize(("workers", "mend"), [(0, SentLocal.NO_WORKER.mend), (3, SentLocal.SANDBOX.mend)])
def test_what_mends_a_gateway(workers: int, mend: str) -> None:
    """One that is unfit without a worker needs one; it has no sandboxes that a doctor could look at."""
    gateway = Abilities(gateway=GatewayFacts(workers, 8 * workers))
    findings = ServerFindings(NOW)
    for each in (FINE, server(unfit="it says why", is_open=False, abilities=gateway)):
        findings.add(each)
    (finding,) = attention(findings, 0, 0.0, Lately(), {})
    assert finding["mend"] == mend
