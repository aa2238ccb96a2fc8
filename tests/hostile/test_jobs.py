"""Rows 34 and 37: tokens of jobs that are over, are old or are many, and many bodies for one token."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from farmkit.busybox_jobs import shell
from farmkit.farm import Farm
from farmkit.raw_client import RawClient, Reply, unverified
from sccachedist.server.jobs import few
from sccachedist.wire.archive_id import archive_id
from sccachedist.wire.messages import (
    CompileCommand,
    JobAlloc,
    JobComplete,
    JobId,
    JobNotFound,
    RunJobRequest,
    job_capacity,
)
from sccachedist.wire.run_job_frame import frame
from sccachedist.wire.tokens import job_token
from tests.hostile.attacks import NO_INPUTS
from tests.hostile.conftest import asleep
from tests.hostile.neighbour import Neighbour
from tests.support.crowd import memory

CPUS = 4
SLOTS = job_capacity(CPUS)
MIB = 1 << 20
#: Two seconds, as nobody else writes them.
SECS = "0002"
#: A command of almost 3 MiB within all limits of a command, but for its last byte.
LARGE = frame(
    RunJobRequest(CompileCommand("/bin/true", ("x" * (2 * MIB - 9),), (("A", "x" * (MIB - 9)),), "/"), ()), b""
)[:-1]


@pytest.fixture(scope="module")
def server_tables() -> Mapping[str, str]:
    """Room for a neighbour beside the slots that an attacker holds."""
    return {"capacity": f"cpus = {CPUS}", "limits": f"buffered_bytes = {13 * MIB}"}


def ran(attacker: RawClient, job: JobAlloc, script: str = "true") -> bool:
    """Whether a job is run; if not, its client is to compile locally."""
    result = attacker.run_job(job, shell(script), NO_INPUTS)
    assert result == JobNotFound() or isinstance(result, JobComplete)
    return isinstance(result, JobComplete)


def all_ran(attacker: RawClient, jobs: list[JobAlloc]) -> int:
    """How many of these jobs are run that are claimed at once."""
    with ThreadPoolExecutor(len(jobs)) as aside:
        return sum(aside.map(lambda job: ran(attacker, job, "true"), jobs))


@contextlib.contextmanager
def begun(job: JobAlloc, route: str, head: str, body: bytes) -> Iterator[socket.socket]:
    """A request that does not end."""
    plain = socket.create_connection((str(job.server_id.host), job.server_id.port), 20)
    lines = (
        f"POST /api/v1/distserver/{route}/{job.job_id} HTTP/1.1\r\nAuthorization: Bearer {job.auth}\r\n{head}\r\n\r\n"
    )
    with unverified().wrap_socket(plain) as connection:
        with contextlib.suppress(OSError):  # it is refused before all of it has come
            connection.sendall(lines.encode() + body)
        yield connection


def wrong_type(attacker: RawClient, job: JobAlloc) -> Reply:
    return attacker.ask(f"run_job/{job.job_id}", b"x", job.auth, server=job.server_id, Content_Type="text/plain")


def no_frame(attacker: RawClient, job: JobAlloc) -> Reply:
    return attacker.ask(f"run_job/{job.job_id}", b"\0\0\0\1x", job.auth, server=job.server_id)


def broken_inputs(attacker: RawClient, job: JobAlloc) -> Reply:
    return attacker.run(job, shell("true"), b"no archive")


def too_many_outputs(attacker: RawClient, job: JobAlloc) -> Reply:
    return attacker.run(job, shell("true", *map(str, range(2000))), NO_INPUTS)


def large(attacker: RawClient, job: JobAlloc) -> Reply:
    return attacker.ask(f"run_job/{job.job_id}", b"x", job.auth, server=job.server_id, Content_Length=str(1 << 50))


def broken_off(attacker: RawClient, job: JobAlloc) -> Reply:
    with begun(job, "run_job", "Content-Type: application/octet-stream\r\nContent-Length: 1000", b"\0\0\0\1"):
        return Reply(0)


def upload_broken_off(attacker: RawClient, job: JobAlloc) -> Reply:
    with begun(job, "submit_toolchain", "Transfer-Encoding: chunked", b"5\r\nbegun\r\n"):
        return Reply(0)


ENDS: list[Callable[[RawClient, JobAlloc], Reply]] = [
    wrong_type,
    no_frame,
    broken_inputs,
    too_many_outputs,
    large,
    broken_off,
    upload_broken_off,
]


def test_row_34_what_is_over_is_over(neighbour: Neighbour) -> None:
    """However a job ends, its slot is free and its token opens nothing: tokens cannot be collected."""
    attacker = neighbour.attacker
    with neighbour.served(34):
        kept = []
        for end in ENDS * 2:
            kept.append(attacker.ready(neighbour.archive, neighbour.toolchain))
            assert end(attacker, kept[-1]).status in (0, 400, 500), end
        time.sleep(0.1)  # so that what broke off has been seen to
        assert all_ran(attacker, kept) == 0
    neighbour.unharmed()


def test_row_34_many_tokens_at_once(neighbour: Neighbour) -> None:
    """Of many tokens whose slots are others' by now a few are good at a time, and nobody is kept waiting by them."""
    attacker, most = neighbour.attacker, 0
    with neighbour.served(34), ThreadPoolExecutor(few(SLOTS) + 1) as aside:
        late = [minted(neighbour.farm, neighbour.toolchain, number, -60) for number in range(1, 31)]
        runs = [aside.submit(ran, attacker, job, f"/bin/busybox sleep {SECS}") for job in late]
        while not all(each.done() for each in runs):
            most = max(most, len(asleep(SECS)))
    assert 1 <= most <= few(SLOTS)
    assert sum(each.result() for each in runs) < len(late) / 2
    neighbour.unharmed()


def test_row_34_old_tokens(neighbour: Neighbour) -> None:
    """A token that is older than what any client needs opens nothing, whether it was used or not."""
    attacker = neighbour.attacker
    assert ran(attacker, minted(neighbour.farm, neighbour.toolchain, 1001, 0))
    assert ran(attacker, minted(neighbour.farm, neighbour.toolchain, 1002, -3500))
    assert not ran(attacker, minted(neighbour.farm, neighbour.toolchain, 1003, -3700))
    neighbour.unharmed()


def minted(farm: Farm, toolchain: str, number: int, age: float) -> JobAlloc:
    """A token such as the scheduler gave to a client some time ago."""
    key = (farm.server_folder / "cache" / "identity" / "job.key").read_bytes()
    job_id, issued = JobId(number), int(time.time() + age)
    return JobAlloc(
        job_token(key, job_id, archive_id(toolchain), issued=issued, client="attacker"),
        job_id,
        farm.server_id,
    )


def test_row_37_many_bodies_for_one_token(neighbour: Neighbour) -> None:
    """One body for each job is kept, however many are sent, and those that are sent in vain do not harm it."""
    attacker, pid = neighbour.attacker, neighbour.farm.server.process.pid
    with neighbour.served(37), contextlib.ExitStack() as stack:
        job = attacker.ready(neighbour.archive, neighbour.toolchain)
        before = memory(pid)
        for _ in range(60):
            stack.enter_context(many_bytes(job))
        assert memory(pid) - before < 40 * MIB
    neighbour.unharmed()


def test_row_37_many_commands(neighbour: Neighbour) -> None:
    """Those who send many large commands get so many of them into memory; others are served."""
    attacker, pid = neighbour.attacker, neighbour.farm.server.process.pid
    with neighbour.served(37), contextlib.ExitStack() as stack:
        jobs = [attacker.ready(neighbour.archive, neighbour.toolchain) for _ in range(SLOTS - 2)]
        before = memory(pid)
        connections = [stack.enter_context(many_bytes(job)) for job in jobs]
        assert memory(pid) - before < 40 * MIB
        answers = [answer_of(connection) for connection in connections]
        assert [b"(limit: buffered_bytes)" in answer for answer in answers if answer] == [True] * (len(jobs) - 2)
    neighbour.unharmed()


def many_bytes(job: JobAlloc) -> contextlib.AbstractContextManager[socket.socket]:
    """A command that lacks its last byte."""
    return begun(job, "run_job", f"Content-Type: application/octet-stream\r\nContent-Length: {len(LARGE) + 1}", LARGE)


def answer_of(connection: socket.socket) -> bytes:
    """What has been answered soon."""
    answer = b""
    connection.settimeout(1)
    with contextlib.suppress(OSError):
        while piece := connection.recv(4096):
            answer += piece
            connection.settimeout(0.2)
    return answer


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_row_34_over_a_restart(neighbour: Neighbour, how: str) -> None:
    """What was run or given up before a restart is not run after it; a token that was not used is good."""
    attacker = neighbour.attacker
    used, given_up, unused = (attacker.ready(neighbour.archive, neighbour.toolchain) for _ in range(3))
    assert ran(attacker, used)
    assert wrong_type(attacker, given_up).status == 400
    if how == "killed":
        neighbour.farm.server.kill()
    else:
        neighbour.farm.server.stop()
    neighbour.restart_server()
    assert [ran(attacker, job) for job in (used, given_up, unused)] == [False, False, True]
    neighbour.unharmed()
