"""Rows 2, 6, 15 and 27: what a client may do with its slots, its uploads and its jobs."""

from collections.abc import Iterator
from pathlib import Path

from farmkit.busybox_jobs import shell
from farmkit.raw_client import RawClient
from sccachedist.wire.messages import AllocJobFail, AllocJobSuccess, CompileCommand, RunJobRequest
from tests.hostile.attacks import NO_INPUTS, Seen, fresh_id, leaked, toolchain


def short_ids(attacker: RawClient, ground: Path) -> Iterator[Seen]:
    """Row 2: an archive id of one letter, or none, kills the build server."""
    for archive_id in ("", "a", "ab"):
        allocated = attacker.alloc(archive_id)
        if isinstance(allocated, AllocJobSuccess):
            attacker.submit(allocated.job_alloc, b"")
        yield Seen(f"archive id {archive_id!r}", str(allocated)[:100], not isinstance(allocated, AllocJobFail))


def wrong_bytes(attacker: RawClient, ground: Path) -> Iterator[Seen]:
    """Row 6: bytes that are not what the archive id says stay, and the next client's compiles run them."""
    for wrong in (toolchain(ground)[0].read_bytes(), b"", b"no archive at all"):
        archive, archive_id = toolchain(ground)
        first = attacker.slot(archive_id).job_alloc
        said = attacker.submit(first, wrong)
        again = attacker.slot(archive_id)
        yield Seen(f"{len(wrong)} wrong bytes", str(said), not again.need_toolchain)
        for job in (first, again.job_alloc):  # and the slots are given back
            attacker.submit(job, archive.read_bytes())
            attacker.run(job, shell("true"), NO_INPUTS)


def swapped_toolchain(attacker: RawClient, ground: Path) -> Iterator[Seen]:
    """Row 15: a client assigns its own job again, with another toolchain."""
    archive, archive_id = toolchain(ground)
    job = attacker.ready(archive, archive_id)
    said = attacker.assign(job, fresh_id())
    ran = attacker.run(job, shell("true"), NO_INPUTS)
    yield Seen("another toolchain for a job that is ready", str(said), said.status == 200 or ran.status != 200)


def environment(attacker: RawClient, ground: Path) -> Iterator[Seen]:
    """Row 27: a compile sees the variables of the daemon that runs it."""
    archive, archive_id = toolchain(ground)
    env = RunJobRequest(CompileCommand("/bin/busybox", ("env",), (), "/"), ())
    said = attacker.run(attacker.ready(archive, archive_id), env, NO_INPUTS)
    names = {line.partition(b"=")[0] for line in leaked(said).splitlines()}
    yield Seen("env", str(sorted(names)), said.status != 200 or not names <= {b"PWD"})
