"""Rows 6, 7, 15, 25 and 26: what becomes of toolchains, of the cache that they are in, and of what lies beside it."""

import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from farmkit.busybox_jobs import id_of, shell, write_toolchain
from farmkit.farm import Farm
from farmkit.launch import OUR_SERVER, Launch
from farmkit.processes import Command, wait_until
from farmkit.raw_client import RawClient, unverified
from sccachedist.wire.bincode import encode
from sccachedist.wire.messages import (
    RUN_JOB_RESULT,
    SUBMIT_TOOLCHAIN_RESULT,
    JobAlloc,
    JobComplete,
    SubmitToolchainResult,
)
from tests.hostile.attacks import NO_INPUTS, jobs, toolchain
from tests.hostile.conftest import asleep, entries, harmless
from tests.hostile.victim import Victim


def test_row_06_bytes_that_are_not_the_toolchain(victim: Victim, attacker: RawClient, tmp_path: Path) -> None:
    """They are refused, nothing of them stays, and the next client is asked for the toolchain again."""
    steps = harmless(jobs.wrong_bytes, attacker, tmp_path)
    refused = encode(SUBMIT_TOOLCHAIN_RESULT, SubmitToolchainResult.CANNOT_CACHE)
    assert all(step.answered == f"200 {refused!r}" for step in steps), steps
    cache = victim.farm.server_folder / "cache"
    assert entries(cache / "incoming") == []
    assert all(id_of(path) == path.name for path in (cache / "tc").rglob("*") if path.is_file())
    victim.unharmed()


def test_row_06_the_next_client_gets_its_own_compiler(victim: Victim, attacker: RawClient, tmp_path: Path) -> None:
    """After an attacker has uploaded another compiler under its id, a client's compile runs the right one."""
    right = write_toolchain(tmp_path / "right.tar.gz", {"/bin/cc": "echo right"})
    wrong = write_toolchain(tmp_path / "wrong.tar.gz", {"/bin/cc": "echo wrong"})
    job = attacker.slot(id_of(right)).job_alloc
    attacker.submit(job, wrong.read_bytes())
    honest = Victim(victim.farm, right, id_of(right))
    assert honest.run(shell("/bin/cc")).output.stdout == b"right\n"
    victim.unharmed()


def test_row_15_a_job_cannot_be_given_another_toolchain(victim: Victim, attacker: RawClient, tmp_path: Path) -> None:
    """A second assignment, by a client with the job's token, is refused, and the job runs with its own toolchain."""
    harmless(jobs.swapped_toolchain, attacker, tmp_path)
    other = write_toolchain(tmp_path / "other.tar.gz", {"/bin/cc": "echo the other"})
    Victim(victim.farm, other, id_of(other)).run(shell("true"))
    job = attacker.ready(victim.archive, victim.toolchain)
    assert attacker.assign(job, id_of(other)).status == 401, "that is the scheduler's alone"
    assert attacker.assign(job, victim.toolchain).status == 401
    whose = shell("if /bin/busybox test -e /bin/cc; then echo the other; else echo its own; fi")
    assert b"its own" in attacker.run(job, whose, NO_INPUTS).body
    victim.unharmed()


@pytest.fixture
def own(tmp_path: Path, archive: Path) -> Victim:
    """A farm that may be broken."""
    folder = tmp_path / "farm"
    folder.mkdir()
    return Victim(Farm(folder), archive, id_of(archive))


def test_row_07_an_upload_that_a_crash_cut_off(own: Victim) -> None:
    """What had come in when the power went is gone at the next start, and nobody takes it for the toolchain."""
    with own.farm:
        job = own.attacker.slot(own.toolchain).job_alloc
        with _half_sent(job, own.archive):
            incoming = own.farm.server_folder / "cache" / "incoming"
            own.farm.server.wait_until(
                lambda: any(each.stat().st_size for each in incoming.iterdir()), 10, "it comes in"
            )
            own.farm.server.kill()
        own.restart_server()
        assert list(incoming.iterdir()) == []
        allocated = own.attacker.slot(own.toolchain)
        assert allocated.need_toolchain
        assert own.attacker.submit(allocated.job_alloc, own.archive.read_bytes()).status == 200
        own.still_runs(allocated.job_alloc)
        own.unharmed()


def test_row_07_a_toolchain_that_was_damaged_while_the_server_was_down(own: Victim) -> None:
    """It is hashed before its first use: the job is compiled locally, and the next client brings it again."""
    with own.farm:
        own.run(shell("true"))
        own.farm.server.stop()
        (stored,) = [path for path in (own.farm.server_folder / "cache" / "tc").rglob("*") if path.is_file()]
        stored.write_bytes(stored.read_bytes()[:-100] + bytes(100))
        own.restart_server()
        job = own.attacker.ready(own.archive, own.toolchain)
        assert own.attacker.run(job, shell("true"), NO_INPUTS).status == 500
        assert not stored.exists()
        own.unharmed()


def _half_sent(job: JobAlloc, archive: Path) -> socket.socket:
    """An upload of which half has been sent, and no more comes."""
    connection = unverified().wrap_socket(socket.create_connection((str(job.server_id.host), job.server_id.port), 10))
    head = f"POST /api/v1/distserver/submit_toolchain/{job.job_id} HTTP/1.1\r\nHost: x\r\n"
    half = archive.read_bytes()[: archive.stat().st_size // 2]
    described = f"Authorization: Bearer {job.auth}\r\nTransfer-Encoding: chunked\r\n\r\n{len(half) + 1:x}\r\n"
    connection.sendall((head + described).encode() + half)
    return connection


def test_row_25_only_what_is_ours_is_removed(own: Victim) -> None:
    """What lies in ``build_dir`` and in ``cache_dir`` beside our own is there after a start, a job and a stop."""
    precious = [own.farm.server_folder / place / "home" / "thesis" for place in ("build", "cache", "build/sccache")]
    for path in precious:
        path.parent.mkdir(parents=True)
        path.write_text("years of work")
    with own.farm:
        own.unharmed()
    assert [path.read_text() for path in precious] == ["years of work"] * 3


#: A number of seconds that no other program of this machine sleeps; one that does is woken by a signal.
UNTIL_WOKEN = "27182"


def _small_cache(size: int) -> Launch:
    """A build server whose cache has room for so many bytes."""

    def launch(config: Path) -> Command:
        text = config.read_text()
        if "toolchain_cache_size" not in text:
            config.write_text(f"toolchain_cache_size = {size}\n{text}")
        return OUR_SERVER(config)

    return launch


def test_row_26_no_toolchain_goes_while_a_job_uses_it(own: Victim, tmp_path: Path) -> None:
    """One that a running compile needs outlasts the upload of as many others as the cache has room for."""
    own.farm.launch_server = _small_cache(3 * own.archive.stat().st_size)
    with own.farm, ThreadPoolExecutor(1) as pool:
        job = own.attacker.ready(own.archive, own.toolchain)
        slow = shell(f"/bin/busybox sleep {UNTIL_WOKEN}; /bin/busybox echo done")
        running = pool.submit(own.attacker.run, job, slow, NO_INPUTS)
        wait_until(lambda: bool(asleep(UNTIL_WOKEN)), 20, "it runs")
        for _ in range(4):
            other, other_id = toolchain(tmp_path)
            Victim(own.farm, other, other_id).run(shell("true"))
        assert not running.done()
        assert "makes room" in own.farm.server.log.read_text()
        for pid in asleep(UNTIL_WOKEN):
            os.kill(pid, signal.SIGTERM)
        result = running.result(60).message(RUN_JOB_RESULT)
        assert isinstance(result, JobComplete)
        assert (result.output.code, result.output.stdout) == (0, b"done\n")
        own.unharmed()
