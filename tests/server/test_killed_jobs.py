"""Jobs that an administrator wants to end, wherever they are: their clients compile, and nothing is left of them."""

import pytest
from twisted.internet.defer import CancelledError, Deferred

from farmkit.deferreds import outcome, pending
from sccachedist.errors import JobKilled
from sccachedist.outcomes import Outcome, SentLocal
from sccachedist.server.jobs import MOST_JOBS, Issue
from sccachedist.server.service import obey
from sccachedist.web.bodies import NoBody
from sccachedist.wire.extension import Orders
from sccachedist.wire.messages import JobNotFound, JobState, SubmitToolchainResult
from sccachedist.wire.tokens import Grant
from tests.server.servers import HEAD, JOB, OTHER, PARTY, Host, answered, run, spooled
from tests.toolchains.stocks import ARCHIVES, CLANG, GCC

GRANT = Grant(GCC, issued=None, client=None)


@pytest.fixture
def ready(host: Host) -> Host:
    """A build server that has the toolchain, and a job for it."""
    outcome(host.stock.bring(ARCHIVES[0]))
    host.assign()
    return host


def endings(host: Host) -> list[tuple[Outcome, SentLocal | None]]:
    return [(summary.outcome, summary.reason) for _, _, summary in host.ended]


KILLED = (Outcome.SENT_LOCAL, SentLocal.KILLED)


def test_one_that_runs(ready: Host) -> None:
    """Its processes end, its slot is free at once, and the server is as fit as before; once more does nothing."""
    running = run(ready)
    ready.server.kill(JOB)
    assert isinstance(outcome(running), JobKilled)
    assert ready.builder.jobs.waiting == []
    assert (spooled(ready), ready.core.running, endings(ready)) == ([], 0, [KILLED])
    assert ready.reported() == [JobState.STARTED, JobState.COMPLETE]
    assert ready.server.health.sent_home == 0
    ready.server.kill(JOB)
    assert (ready.reported(), len(ready.ended)) == ([], 1)
    assert outcome(run(ready)) == JobNotFound()


def test_one_whose_inputs_come(ready: Host) -> None:
    """It ends as soon as they are there, and does not run."""
    received = ready.received()
    ready.server.kill(JOB)
    running = Deferred.fromCoroutine(ready.server.run(JOB, received))
    assert isinstance(outcome(running), JobKilled)
    assert (ready.builder.seen, spooled(ready), endings(ready)) == ([], [], [KILLED])


def test_one_whose_toolchain_comes(host: Host) -> None:
    """The toolchain is kept, for it is whole; the job is not found then."""
    host.assign()
    body = host.server.receive_toolchain(JOB, HEAD, PARTY)
    body.write(ARCHIVES[0])
    upload = body.complete()
    host.server.kill(JOB)
    assert outcome(Deferred.fromCoroutine(host.server.submit(JOB, upload))) is SubmitToolchainResult.SUCCESS
    assert GCC in host.stock.toolchains
    assert endings(host) == [KILLED]
    assert outcome(run(host)) == JobNotFound()


def test_one_that_waits_for_its_client(ready: Host) -> None:
    """Its client is not served when it comes."""
    ready.server.kill(JOB)
    assert (ready.core.taken, endings(ready)) == (0, [KILLED])
    assert isinstance(ready.server.receive_inputs(JOB, HEAD, PARTY), NoBody)


def test_one_that_has_not_come(ready: Host) -> None:
    """Our scheduler gives jobs to clients without a word to the build server: the token opens nothing any more."""
    ready.server.kill(OTHER)
    ready.server.kill(OTHER)
    assert endings(ready) == [KILLED]
    ready.server.introduce(OTHER, GRANT)
    assert OTHER not in ready.core
    assert not ready.core.refuse(JOB)


def test_the_client_goes_first(ready: Host) -> None:
    """Then nobody killed it."""
    running = run(ready)
    running.cancel()
    assert isinstance(outcome(running), CancelledError)
    assert endings(ready) == [(Outcome.SENT_LOCAL, SentLocal.CLIENT_GONE)]


def test_others_run_on(ready: Host) -> None:
    """Orders name jobs, and end no others; a toolchain that is no archive id is none."""
    ready.assign(OTHER)
    first, second = run(ready), run(ready, OTHER)
    obey(Orders((JOB,), ("../../etc", CLANG, GCC)), ready.server, ready.stock.toolchains)
    assert isinstance(outcome(first), JobKilled)
    assert pending(second)
    assert GCC in ready.stock.toolchains
    ready.builder.jobs.answer(OTHER, None)
    answered(second)
    assert GCC not in ready.stock.toolchains


def test_jobs_that_were_forgotten(ready: Host) -> None:
    """A server with too many jobs that wait has dropped some: their tokens would open them again."""
    for number in range(100, 100 + MOST_JOBS):
        ready.core.introduce(type(JOB)(number), GCC, present=True, now=0.0, issue=Issue(1, None))
    assert JOB not in ready.core
    assert ready.core.refuse(JOB)
