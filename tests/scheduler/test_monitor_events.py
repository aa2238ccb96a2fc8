"""What monitors see of a scheduler's events."""

import attrs
import pytest

from sccachedist.budgets import Party
from sccachedist.config import RecordSettings
from sccachedist.job_phases import JobPhase
from sccachedist.monitor.messages import MOST_NUMBER, JobAsked, JobDone
from sccachedist.outcomes import SERVER_PHASES, Outcome, Refusal, SentLocal
from sccachedist.scheduler import monitor_events
from sccachedist.scheduler.events import (
    Departure,
    JobAllocated,
    JobEnd,
    JobEnded,
    JobStarted,
    LateSummary,
    RequestRefused,
    ServerJoined,
    ServerLeft,
    SlotLent,
)
from sccachedist.scheduler.job_records import JobRecords
from sccachedist.scheduler.monitor_events import MonitorEvents
from sccachedist.wire.host_facts import HostFacts
from sccachedist.wire.job_summary import JobSummary, packed
from sccachedist.wire.messages import JobId, JobState
from tests.monitor.shown import Shown, messages_of
from tests.scheduler.farms import CLANG, GCC, A, Ours, assigned, farm

ANN, ANN_HOST = Party("#0123456789abcdef@10.0.1.1"), "10-0-1-1"
A_HOST = "127-0-0-1:10501"
JOB, NEXT = JobId(1_700_000_000_000_412), JobId(1_700_000_000_000_413)
COMPILED = JobSummary(Outcome.COMPILED, exit_code=0, output="obj/a.o", compiler="g++")
SENT_LOCAL = JobSummary(Outcome.SENT_LOCAL, SentLocal.LIMIT, "job_secs", output="obj/a.o", compiler="g++")


@attrs.define
class Watched:
    """A scheduler's events, and a monitor."""

    settings: RecordSettings = attrs.field(factory=RecordSettings)
    shown: Shown = attrs.field(factory=Shown)
    events: MonitorEvents = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        records = JobRecords(self.settings, 1000.0, lambda: 0.0)
        self.events = MonitorEvents(lambda: self.settings, records.name_of, 1000.0)
        self.events(ServerJoined(0.0, A, 4, ours=True))

    def see(self) -> Shown:
        self.shown.take(self.events.picture.take())
        return self.shown

    def allocate(self, job_id: JobId = JOB, toolchain: str = GCC, client: Party | None = ANN) -> None:
        self.events(JobAllocated(1.0, job_id, A, client, toolchain))

    def end(
        self,
        summary: JobSummary | bytes = COMPILED,
        job_id: JobId = JOB,
        how: JobEnd = JobEnd.COMPLETE,
        client: Party | None = ANN,
    ) -> None:
        octets = summary if isinstance(summary, bytes) else packed(summary)
        began = {JobPhase.RESERVED: 1.0, JobPhase.READY: 1.0}
        self.events(JobEnded(2.0, job_id, A, client, GCC, how, began, 1.0, octets))


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_a_short_job(watched: Watched) -> None:
    """One whose start is not reported is shown when it is over, with the name of its file."""
    watched.allocate()
    assert watched.see().running == {}
    watched.end()
    assert watched.see().ended == [("obj/a.o", ANN_HOST, A_HOST, 0)]


def test_a_long_job(watched: Watched) -> None:
    """One that runs is shown with what is known: the compiler, once a job with that toolchain has told it."""
    watched.allocate()
    watched.events(JobStarted(2.0, JOB, A))
    assert list(watched.see().running.values()) == [("job 000412", ANN_HOST, A_HOST)]
    watched.end()
    watched.allocate(NEXT)
    watched.events(JobStarted(2.0, NEXT, A))
    assert list(watched.see().running.values()) == [("g++ 000413", ANN_HOST, A_HOST)]
    assert watched.shown.ended == [("job 000412", ANN_HOST, A_HOST, 0)]


def test_numbers(watched: Watched) -> None:
    """The end has the times in milliseconds and the sizes; the language is that of the compiler."""
    phases = tuple(range(1000, 1000 * len(SERVER_PHASES) + 1, 1000))
    summary = attrs.evolve(COMPILED, phases_us=phases, cpu_user_us=5000, cpu_system_us=2999)
    watched.end(COMPILED)
    watched.allocate(NEXT)
    watched.end(attrs.evolve(summary, input_bytes=7, output_bytes=2**40), NEXT)
    octets = watched.events.picture.take()
    (done,) = (each for each in messages_of(octets) if isinstance(each, JobDone) and each.job == 2)
    assert done == JobDone(2, 0, 8, 5, 2, 0, 7, 7, MOST_NUMBER, MOST_NUMBER)
    assert [each.language for each in messages_of(octets) if isinstance(each, JobAsked)] == [1, 1]


def test_a_published_server(watched: Watched) -> None:
    """Of its jobs the scheduler knows when they began and ended."""
    watched.events(JobStarted(1.5, JOB, A))
    watched.events.picture.take()
    began = {JobPhase.RESERVED: 1.0, JobPhase.READY: 1.0, JobPhase.STARTED: 1.5}
    watched.events(JobEnded(2.0, JOB, A, ANN, GCC, JobEnd.COMPLETE, began, 1.0))
    assert messages_of(watched.events.picture.take()) == [JobDone(1, 0, 500)]


@pytest.mark.parametrize(
    ("summary", "status"),
    [
        (COMPILED, 0),
        (JobSummary(Outcome.COMPILE_ERROR, exit_code=4), 4),
        (SENT_LOCAL, 1),
        (attrs.evolve(SENT_LOCAL, exit_code=139), 139),
        (b"", 0),
        (b"of a later release", 0),
    ],
)
def test_endings(watched: Watched, summary: JobSummary | bytes, status: int) -> None:
    """A monitor knows a good end and a bad one; of a published build server's jobs it sees the good alone."""
    watched.end(summary)
    assert [each for *_, each in watched.see().ended] == [status]


@pytest.mark.parametrize("how", [JobEnd.LOST, JobEnd.EXPIRED, JobEnd.SERVER_LEFT, JobEnd.NOT_TAKEN])
def test_jobs_that_did_not_run(watched: Watched, how: JobEnd) -> None:
    """They are not shown; one that did run has a bad end."""
    watched.allocate()
    if how is JobEnd.NOT_TAKEN:
        watched.events(JobEnded(2.0, JOB, A, ANN, GCC, how, {JobPhase.RESERVED: 1.0}, 1.0))
    else:
        watched.end(b"", how=how)
    assert watched.see().ended == []
    watched.events(JobStarted(2.0, NEXT, A))
    watched.end(b"", NEXT, JobEnd.LOST)
    assert watched.see().ended == [("job 000413", "unknown", A_HOST, 1)]


def test_unclaimed(watched: Watched) -> None:
    """Nor is a job shown whose client did not come to its build server."""
    watched.end(JobSummary(Outcome.UNCLAIMED))
    assert watched.see().ended == []


def test_refusals(watched: Watched) -> None:
    """A client that got no slot compiles by itself; a stranger is no client."""
    for client in (ANN, Party("10.9.9.9")):
        watched.events(RequestRefused(2.0, 1.0, client, GCC, Refusal.NO_SLOT, "all are taken"))
    assert watched.see().local == [(ANN_HOST, f"refused: {Refusal.NO_SLOT.word}")]
    assert watched.shown.names == {A_HOST, ANN_HOST}


def test_other_events(watched: Watched) -> None:
    """They change nothing."""
    watched.see()
    for event in (SlotLent(1.0, JOB, A), LateSummary(1.0, JOB, A, packed(COMPILED))):
        watched.events(event)
    assert watched.events.picture.take() == b""


def test_a_server_leaves(watched: Watched) -> None:
    """It is gone, with its jobs; what is told of those afterwards is nothing."""
    watched.events(JobStarted(2.0, JOB, A))
    watched.events(ServerLeft(3.0, A, Departure.SILENT))
    watched.end(b"", how=JobEnd.SERVER_LEFT)
    assert watched.see().ended == [("job 000412", "unknown", A_HOST, 1)]
    assert watched.shown.names == {"unknown"}


def test_no_names() -> None:
    """With ``records.names = false`` no file has a name, with ``records.addresses = false`` no client an address."""
    watched = Watched(RecordSettings(names=False, addresses=False))
    watched.end()
    watched.events(RequestRefused(2.0, 1.0, ANN, GCC, Refusal.NO_SLOT, "all are taken"))
    octets = watched.events.picture.take()
    assert b"a.o" not in octets
    assert b"10.0.1.1" not in octets
    watched.shown.take(octets)
    ((name, client, *_),) = watched.shown.ended
    assert (name, client[:7]) == ("g++ 000412", "client-")
    assert "IP" not in watched.shown.host(client)


def test_looks(watched: Watched) -> None:
    """A look shows how busy a build server is, and the jobs that began before."""
    core = farm(4)
    ours = Ours(core)
    ours.beat(ours.report())
    running, waiting = core.reserve(1.0, toolchain=CLANG, client=ANN), core.reserve(2.0, toolchain=CLANG)
    for reserved in (running, waiting):
        core.confirm(reserved, assigned(), 2.0)
    ours.says({running.job_id: JobState.STARTED}, 3.0)
    snapshot = core.snapshot({}, 4.0)
    for server in snapshot.servers:
        watched.events.look_at_server(server)
    assert watched.see().host(A_HOST)["Platform"] == "farm"
    for server in snapshot.servers:
        watched.events.look_at_server(attrs.evolve(server, host=HostFacts("build1", 62)))
    for job in snapshot.jobs:
        watched.events.look_at_job(job, 4.0)
    watched.events(JobStarted(5.0, waiting.job_id, A))
    watched.see()
    assert watched.shown.host("build1:10501")["Load"] == "666"
    assert watched.shown.host("build1:10501")["Platform"] == "x86_64"
    assert [client for _, client, _ in watched.shown.running.values()] == [ANN_HOST, "unknown"]


def test_few_compilers_are_remembered(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first that was learned is forgotten."""
    monkeypatch.setattr(monitor_events, "MOST_COMPILERS", 1)
    for number, toolchain in enumerate((GCC, CLANG)):
        event = JobEnded(2.0, JobId(number), A, ANN, toolchain, JobEnd.COMPLETE, {}, 1.0, packed(COMPILED))
        watched.events(event)
    for job_id, toolchain in ((JOB, GCC), (NEXT, CLANG)):
        watched.allocate(job_id, toolchain)
        watched.events(JobStarted(2.0, job_id, A))
    assert [name for name, *_ in watched.see().running.values()] == ["job 000412", "g++ 000413"]
