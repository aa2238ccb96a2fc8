"""Rows 2, 16, 17, 18 and 19: those who take what there is and do not give it back, are slow, or send too much."""

import contextlib
import socket
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from farmkit.busybox_jobs import id_of, shell
from farmkit.farm import Farm
from farmkit.processes import wait_until
from farmkit.raw_client import RawClient, unverified
from sccachedist.budgets import Party
from sccachedist.errors import LimitExceeded
from sccachedist.job_phases import JobPhase
from sccachedist.scheduler.core import SchedulerCore
from sccachedist.scheduler.jobs import CLAIM_SECS
from sccachedist.server.jobs import UNCLAIMED_SECS, ServerCore
from sccachedist.wire.archive_id import archive_id
from sccachedist.wire.extension import Availability, ServerReport
from sccachedist.wire.messages import JobAlloc, JobComplete, JobId, JobState
from tests.hostile.attacks import NO_INPUTS, jobs, toolchain
from tests.hostile.conftest import entries, harmless
from tests.hostile.victim import Victim
from tests.sandbox.archives import gzipped, octal, raw_header
from tests.scheduler.farms import FIRST_JOB, A, assigned, expired, heartbeat
from tests.scheduler.farms import farm as core_with

SLOW = 60
MIB = 1 << 20


def test_row_02_short_archive_ids(victim: Victim, attacker: RawClient, tmp_path: Path) -> None:
    """No archive id, or one of a letter, is a Fail; both daemons go on."""
    harmless(jobs.short_ids, attacker, tmp_path)
    victim.unharmed()


def test_row_02_abandoned_slots_come_back_on_time() -> None:
    """A farm whose slots were all taken and never used has them back when their time is over, heartbeat or not."""
    for state, phase in ((JobState.READY, JobPhase.READY), (JobState.PENDING, JobPhase.PENDING)):
        core = core_with(2)
        while core.placement.has_room():
            core.confirm(core.reserve(0.0), assigned(state), 0.0)
        taken = core.status().in_progress
        core.heartbeat(A, heartbeat(2), CLAIM_SECS[phase])
        assert expired(core, CLAIM_SECS[phase]).jobs == ()
        assert core.status().in_progress == taken, "a client that is late has its job, though another has its slot"
        assert expired(core, CLAIM_SECS[phase] + 1).servers == ()
        assert core.placement.has_room()
        assert core.status().in_progress == 0


def test_row_02_one_client_does_not_take_all_slots() -> None:
    """A client that takes slots and begins nothing gets no more at some number; others do."""
    core = SchedulerCore(FIRST_JOB, most_unclaimed=3)
    core.heartbeat(A, heartbeat(100), 0.0)
    greedy, other = Party("greedy"), Party("other")
    for _ in range(3):
        core.confirm(core.reserve(0.0, client=greedy), assigned(JobState.READY), 0.0)
    with pytest.raises(LimitExceeded) as caught:
        core.reserve(0.0, client=greedy)
    assert caught.value.limit == "unclaimed_jobs"
    core.confirm(core.reserve(0.0, client=other), assigned(JobState.READY), 0.0)
    core.expire(CLAIM_SECS[JobPhase.READY] + 1)
    core.reserve(CLAIM_SECS[JobPhase.READY] + 1, client=greedy)


@contextlib.contextmanager
def slow_connections(victim: Victim, job: JobAlloc) -> Iterator[None]:
    """Half-sent heads and half-sent bodies at both daemons, and TLS that nobody begins."""
    scheduler = ("127.0.0.1", victim.farm.scheduler_port)
    server = ("127.0.0.1", victim.farm.server_port)
    heads = [
        b"POST /api/v1/scheduler/alloc_job HTTP/1.1\r\nHost",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 1000,
        b"POST /api/v1/scheduler/heartbeat_server HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n",
    ]
    upload = f"POST /api/v1/distserver/submit_toolchain/{job.job_id} HTTP/1.1\r\nAuthorization: Bearer {job.auth}\r\n"
    with contextlib.ExitStack() as stack:
        for number in range(SLOW):
            connection = stack.enter_context(socket.create_connection(scheduler, 10))
            connection.sendall(heads[number % len(heads)])
            stack.enter_context(socket.create_connection(server, 10))
            if number % 4 == 0:
                raw = socket.create_connection(server, 10)
                secure = stack.enter_context(unverified().wrap_socket(raw))
                secure.sendall(f"{upload}Transfer-Encoding: chunked\r\n\r\nfffff\r\nbegun".encode())
        yield


def test_row_16_slow_clients_leave_others_unharmed(victim: Victim, attacker: RawClient, tmp_path: Path) -> None:
    """With requests half sent to both daemons, and uploads that have stalled, honest jobs are served at once."""
    other, other_id = toolchain(tmp_path)
    job = attacker.slot(other_id).job_alloc
    with slow_connections(victim, job):
        for _ in range(3):
            victim.run(shell("true"))
        began = time.monotonic()
        assert victim.run(shell("true")).output.code == 0
        assert time.monotonic() - began < 5, "a stalled upload blocks a published build server for 30 seconds"
    job = attacker.slot(other_id).job_alloc
    assert attacker.submit(job, other.read_bytes()).status == 200
    victim.still_runs(job)
    victim.unharmed()


BOMB = zlib.compress(raw_header(size=octal(200 * MIB)) + bytes(200 * MIB), 1)


@pytest.mark.parametrize(
    ("script", "inputs", "limit"),
    [
        pytest.param("true", BOMB, "compression_ratio", id="a bomb that stays below what may be unpacked"),
        pytest.param("/bin/busybox yes", NO_INPUTS, "stdio_bytes", id="endless output"),
        pytest.param("/bin/busybox yes >&2", NO_INPUTS, "stdio_bytes", id="endless errors"),
        pytest.param("/bin/busybox truncate -s 3G /made.o", NO_INPUTS, "output_bytes", id="a large output"),
    ],
)
def test_row_17_a_job_that_is_too_much(
    victim: Victim, attacker: RawClient, script: str, inputs: bytes, limit: str
) -> None:
    """It is ended, its client compiles locally, and the log names the limit."""
    job = attacker.ready(victim.archive, victim.toolchain)
    outputs = ("/made.o",) if "made" in script else ()
    said = attacker.run(job, shell(script, *outputs), inputs)
    assert (said.status, f"(limit: {limit})".encode() in said.body) == (500, True), said
    assert f"(limit: {limit})" in victim.farm.server.log.read_text()
    assert entries(victim.farm.server_folder / "cache" / "spool") == []
    victim.unharmed()


def test_row_17_a_toolchain_that_is_a_bomb(victim: Victim, attacker: RawClient, tmp_path: Path) -> None:
    """It is given up while it is unpacked, and nothing of it stays in the builder's directory."""
    archive = tmp_path / "bomb.tar.gz"
    archive.write_bytes(gzipped(raw_header(size=octal(200 * MIB)) + bytes(200 * MIB)))
    build = victim.farm.server_folder / "build"
    before = len(entries(build))
    said = attacker.run(attacker.ready(archive, id_of(archive)), shell("true"), NO_INPUTS)
    assert (said.status, b"(limit: compression_ratio)" in said.body) == (500, True), said
    wait_until(lambda: len(entries(build)) == before, 10, "what was renamed to be removed has gone")
    victim.unharmed()


def test_row_17_messages_without_end(victim: Victim, attacker: RawClient) -> None:
    """Whatever a message's length says, more than its route takes is refused at once."""
    said = attacker.ask("alloc_job", bytes(10 * MIB), attacker.client_token)
    assert said.status in (0, 500), said
    pieces = (bytes(1 << 16) for _ in range(200))
    assert attacker.ask("alloc_job", pieces, attacker.client_token).status in (0, 500)
    job = attacker.ready(victim.archive, victim.toolchain)
    outputs = tuple(f"/{number}" for number in range(2000))
    said = attacker.run(job, shell("true", *outputs), NO_INPUTS)
    assert (said.status, b"(limit: outputs)" in said.body) == (500, True), said
    victim.unharmed()


def test_row_18_no_job_is_kept_for_ever() -> None:
    """Ten thousand jobs that nobody comes for are all forgotten, by the scheduler and by the build server."""
    now, core = 0.0, core_with(2)
    for _ in range(10_000):
        core.confirm(core.reserve(now), assigned(JobState.READY), now)
        now += CLAIM_SECS[JobPhase.READY] + 1
        core.heartbeat(A, heartbeat(2), now)
        core.expire(now)
    assert core.status().in_progress == 0
    server = ServerCore()
    server.open()
    for number in range(10_000):
        server.assign(JobId(number), archive_id("a" * 64), present=bool(number % 2), now=0.0)
    assert len(server.expire(UNCLAIMED_SECS + 1)) == 10_000
    assert server.expire(UNCLAIMED_SECS + 1) == ()


def test_row_18_a_lost_complete_costs_no_slot() -> None:
    """A job that its build server does not name any more is free, though nobody said that it was done."""
    core = SchedulerCore(FIRST_JOB)
    for number, job in enumerate([None, FIRST_JOB, FIRST_JOB, None], start=1):
        jobs_named = () if job is None else ((job, JobState.STARTED),)
        core.heartbeat(A, heartbeat(1), float(number), ServerReport(number, 5, Availability.OPEN, jobs_named, ()))
        if number == 1:
            core.confirm(core.reserve(1.0), assigned(JobState.READY), 1.0)
        assert core.status().in_progress == (number < 4)
    assert core.placement.has_room()


def test_row_19_a_compile_that_is_done_is_not_thrown_away(tmp_path: Path, archive: Path) -> None:
    """With the scheduler gone the client gets its result all the same; the scheduler hears of it when it is back."""
    own = Victim(Farm(tmp_path), archive, id_of(archive))
    with own.farm:
        job = own.attacker.ready(archive, own.toolchain)
        own.farm.scheduler.stop()
        result = own.attacker.run_job(job, shell("echo done"), NO_INPUTS)
        assert isinstance(result, JobComplete)
        assert (result.output.code, result.output.stdout) == (0, b"done\n")
        own.farm.start_scheduler()
        own.farm.server.wait_until(lambda: own.farm.status().num_servers == 1, 30, "it registers again")
        own.unharmed()
