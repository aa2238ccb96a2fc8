"""Real sandboxes of the overlay builder that wait for their jobs: what comes of them."""

import contextlib
import os
import select
import signal
import zlib

import pytest
from twisted.internet.defer import Deferred

from sccachedist.errors import BuildError
from tests.builders.farms import TOOLCHAIN, Farm, in_reactor, named, until
from tests.sandbox.archives import busybox_toolchain, file
from tests.support.processes import stat_fields

pytestmark = pytest.mark.functional


@in_reactor
async def test_no_command_without_its_inputs(fresh: Farm) -> None:
    """The sandbox is there before they are unpacked, and ends unused when they are no archive."""
    await fresh.builder.start()
    marker = f"92{os.getpid()}"
    job = fresh.job(f"sleep {marker}")
    job.inputs.unlink()
    os.mkfifo(job.inputs)
    inputs = os.open(job.inputs, os.O_RDWR)
    os.write(inputs, zlib.compress(b"")[:2])
    running = Deferred.fromCoroutine(fresh.builder.run(job))
    await until(lambda: not select.select([inputs], [], [], 0)[0])  # they are read as they come
    await until(lambda: len(of_bubblewrap(fresh)) in (1, 2))  # one for the job, and one where the trial job was
    before = len(of_bubblewrap(fresh))
    os.write(inputs, b"garbage")
    os.close(inputs)
    with pytest.raises(BuildError):
        await running
    assert (len(of_bubblewrap(fresh)), named(f"sleep\0{marker}")) == (before - 1, [])


@in_reactor
async def test_what_waits_for_a_toolchain_that_has_changed(fresh: Farm) -> None:
    """No job is run on what its name meant before."""
    await fresh.builder.start()
    for content in (b"old", b"new"):
        fresh.archive(TOOLCHAIN).write_bytes(busybox_toolchain(file("etc/content", content)))
        for _ in range(3):
            assert (await fresh.compile("cat /etc/content")).output.stdout == content
        await fresh.builder.discard(TOOLCHAIN)


@in_reactor
async def test_what_waits_and_is_killed(fresh: Farm) -> None:
    """The next job has another sandbox."""
    await fresh.builder.start()
    for _ in range(3):
        assert (await fresh.compile("true")).output.code == 0
    await until(lambda: of_bubblewrap(fresh))
    await until(lambda: kill(of_bubblewrap(fresh)) == [])
    for _ in range(3):
        assert (await fresh.compile("echo next")).output.stdout == b"next\n"


@in_reactor
async def test_an_orphan(fresh: Farm) -> None:
    """The first process of a sandbox waits for what its own parent does not, and takes none of it for the command."""
    await fresh.builder.start()
    script = "orphan=$(sh -c 'exit 3 & echo $!'); while test -d /proc/$orphan; do :; done; echo own"
    result = await fresh.compile(script)
    assert (result.output.code, result.output.stdout) == (0, b"own\n")


def kill(pids: list[int]) -> list[int]:
    """End these processes, some of which end with others of them; give them back."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return pids


def of_bubblewrap(farm: Farm) -> list[int]:
    """The processes of bubblewrap's, one for each sandbox, that of its first program left out while it is set up."""
    found = named(f"{farm.home}/scratch/root")
    return [pid for pid in found if parent(pid) not in found]


def parent(pid: int) -> int | None:
    """The process that a process is a child of, if it lives."""
    with contextlib.suppress(OSError):
        return int(stat_fields(pid)[1])
    return None
