"""What is the overlay builder's own, with real workers, namespaces and bubblewrap, as root and as nobody."""

import contextlib
import os
import re
import shutil
import signal
import tarfile
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest
from twisted.internet.defer import Deferred

from sccachedist.builders.cgroups import own_groups
from sccachedist.builders.overlay import OverlayBuilder
from sccachedist.builders.upload_follower import STEP
from sccachedist.errors import BuildError, LimitExceeded, ToolchainError
from tests.builders.farms import (
    LIMITS,
    SCRATCH_BYTES,
    TOOLCHAIN,
    Farm,
    async_fixture,
    bwrap_path,
    in_reactor,
    make_farm,
    named,
    started,
    the_reactor,
    until,
)
from tests.sandbox.archives import busybox_toolchain, file, gzipped, member, tar
from tests.support.wrappers import wrapper

pytestmark = pytest.mark.functional


def hurried(farm: Farm) -> OverlayBuilder:
    """A builder with little patience."""
    limits = attrs.evolve(LIMITS, job_secs=4)
    return OverlayBuilder(the_reactor(), farm.place / "build", bwrap_path(), limits, SCRATCH_BYTES, 3)


@in_reactor
async def test_the_world_inside(farm: Farm) -> None:
    """Uid 0 without a capability, few processes, loopback alone, no way to change what is mounted."""
    result = await farm.compile(
        "b=/bin/busybox; $b id -u; $b id -g; $b grep CapEff /proc/self/status; $b ls /sys/class/net 2>/dev/null;"
        "$b ifconfig | $b grep -c encap; $b ifconfig lo | $b grep -c UP; $b ps | $b wc -l; ls /proc/self/fd | $b wc -l;"
        "$b mount -t tmpfs x /tmp 2>&1; touch /dev/x 2>&1; touch /dev/shm/x && echo shared; ls /"
    )
    assert result.output.stdout.decode().splitlines() == [
        *("0", "0", "CapEff:\t0000000000000000", "1", "1", "5", "4"),
        "mount: permission denied (are you root?)",
        "touch: /dev/x: Read-only file system",
        "shared",
        *("bin", "dev", "etc", "proc", "tmp", "work"),
    ]


@pytest.mark.parametrize("name", ["dev", "proc", "dev/shm"])
@in_reactor
async def test_no_inputs_in_place_of_a_mount(farm: Farm, name: str) -> None:
    """What bubblewrap mounts at, or has mounted, nothing can be put in place of (THREATS 4)."""
    link = zlib.compress(tar(member(name, tarfile.SYMTYPE, "/oldroot/tmp")))
    with pytest.raises(BuildError):
        await farm.compile("true", inputs=link)


@pytest.mark.parametrize("name", ["dev", "proc"])
@in_reactor
async def test_no_toolchain_in_place_of_a_mount(fresh: Farm, name: str) -> None:
    """A link is not followed, wherever it leads (THREATS 4)."""
    await fresh.builder.start()
    link = member(name, tarfile.SYMTYPE, "/tmp")
    fresh.archive(TOOLCHAIN).write_bytes(gzipped(tar(link, file("bin/sh", b"", 0o755))))
    with pytest.raises(ToolchainError):
        await fresh.compile("true")


@in_reactor
async def test_time_runs_out(fresh: Farm) -> None:
    """A job that takes too long is ended, and the limit is named (THREATS 21)."""
    fresh.builder = hurried(fresh)
    await fresh.builder.start()
    with pytest.raises(LimitExceeded) as caught:
        await fresh.compile("sleep 1000")
    assert caught.value.limit == "job_secs"


@in_reactor
async def test_a_full_scratch(farm: Farm) -> None:
    """What a job writes is bounded, also in /dev/shm, and is gone for the next one (THREATS 17)."""
    fill = "dd if=/dev/zero of=$f bs=1M 2>&1 | /bin/busybox grep -o 'No space left on device'"
    for f in ("/work/x", "/dev/shm/x", "/tmp/x"):
        result = await farm.compile(fill, env=(("f", f),))
        assert result.output.stdout == b"No space left on device\n"


@in_reactor
async def test_an_unpacking_that_was_killed(fresh: Farm) -> None:
    """What it had written goes, and the next job unpacks again."""
    fresh.builder = hurried(fresh)
    await fresh.builder.start()
    archive = fresh.archive(TOOLCHAIN).read_bytes()
    fresh.archive(TOOLCHAIN).unlink()
    os.mkfifo(fresh.archive(TOOLCHAIN))
    running = Deferred.fromCoroutine(fresh.compile("true"))
    await until((fresh.home / "toolchains" / f"part-{TOOLCHAIN}").exists)
    with pytest.raises(LimitExceeded):
        await running
    await until(lambda: list((fresh.home / "toolchains").iterdir()) == [])
    fresh.archive(TOOLCHAIN).unlink()
    fresh.archive(TOOLCHAIN).write_bytes(archive)
    assert (await fresh.compile("true")).output.code == 0


@in_reactor
async def test_a_toolchain_that_comes_in(fresh: Farm) -> None:
    """It is unpacked meanwhile, gets its name when it is whole, and is ready for the first job."""
    await fresh.builder.start()
    archive, toolchains = fresh.archive(TOOLCHAIN), fresh.home / "toolchains"
    data = busybox_toolchain(file("filler", os.urandom(2 * STEP)))
    archive.write_bytes(data[:STEP])
    follower = fresh.builder.follow(TOOLCHAIN, archive)
    follower.received(STEP)
    await until((toolchains / f"part-{TOOLCHAIN}" / "bin" / "busybox").exists)
    with archive.open("ab") as growing:
        growing.write(data[STEP:])
    follower.received(len(data))
    await until(lambda: size_below(toolchains) > 2 * STEP)
    assert not (toolchains / TOOLCHAIN).exists()
    follower.verified(len(data))
    await until((toolchains / TOOLCHAIN).exists)
    archive.unlink()
    assert (await fresh.compile("true")).output.code == 0


@in_reactor
async def test_a_toolchain_that_does_not_come(fresh: Farm) -> None:
    """What was unpacked of it is removed, and nobody waits for it any more."""
    await fresh.builder.start()
    follower = fresh.builder.follow(TOOLCHAIN, fresh.archive(TOOLCHAIN))
    follower.received(STEP)
    toolchains = fresh.home / "toolchains"
    await until((toolchains / f"part-{TOOLCHAIN}").exists)
    follower.aborted()
    await until(lambda: list(toolchains.iterdir()) == [])
    assert (await fresh.compile("true")).output.code == 0


def size_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@in_reactor
async def test_leftovers_are_removed_and_strangers_files_are_not(fresh: Farm) -> None:
    """Only what the builder made itself is ever removed (THREATS 25)."""
    stranger = fresh.place / "build/toolchains/published"
    stranger.mkdir(parents=True)
    await fresh.builder.start()
    await fresh.builder.stop()
    (fresh.home / "toolchains/left.part/deep").mkdir(parents=True)
    await fresh.builder.start()
    await until(lambda: list((fresh.home / "toolchains").iterdir()) == [])
    assert stranger.is_dir()


@in_reactor
async def test_a_directory_of_somebody_else(fresh: Farm) -> None:
    """A directory that happens to have our name is left alone."""
    (fresh.home / "precious").mkdir()
    with pytest.raises(BuildError, match="not made by sccachedist"):
        await fresh.builder.start()
    assert (fresh.home / "precious").is_dir()


@in_reactor
async def test_two_builders_in_one_directory(fresh: Farm) -> None:
    """The second one does not start, and harms nothing."""
    await fresh.builder.start()
    second = make_farm(the_reactor(), "itself")
    shutil.rmtree(second.place / "build")
    (second.place / "build").symlink_to(fresh.place / "build")
    with pytest.raises(BuildError, match="in use"):
        await second.builder.start()
    await second.builder.stop()
    shutil.rmtree(second.place)
    assert (await fresh.compile("true")).output.code == 0


@in_reactor
async def test_no_bubblewrap(fresh: Farm) -> None:
    """The self-test says what is missing and what would mend it."""
    builder = OverlayBuilder(the_reactor(), fresh.place / "build", Path("/no/bwrap"), LIMITS, SCRATCH_BYTES, 3)
    with pytest.raises(BuildError, match=r"no /no/bwrap: install bubblewrap"):
        await builder.start()
    await builder.stop()


# By what is said of it: words for bubblewrap, and those that it is given instead.
BROKEN = {
    "a compile has capabilities": (("--cap-drop", "ALL"), ()),
    "a compile is not uid 0 of its sandbox": (("--uid", "0"), ("--uid", "7")),
    "no seccomp filter is in force on a compile": (("--seccomp",), ("--sync-fd",)),
    "/dev/null or /dev/urandom is not there": (("--dev-bind",), ("--bind",)),
    "a trial job could not write in its sandbox": (("--chdir",), ("--remount-ro", "/", "--chdir")),
    "a compile can change what is not its own, /dev/full": (
        ("--proc",),
        ("--dev-bind", "/dev/full", "/dev/full", "--proc"),
    ),
}


async def complaint_of(farm: Farm, bwrap: Path) -> str:
    """What a builder says that has another bubblewrap."""
    builder = OverlayBuilder(the_reactor(), farm.place / "build", bwrap, LIMITS, SCRATCH_BYTES, 3)
    with pytest.raises(BuildError) as caught:
        await builder.start()
    await builder.stop()
    return str(caught.value)


@pytest.mark.parametrize("what", BROKEN)
@in_reactor
async def test_a_sandbox_that_is_not_what_it_should_be(fresh: Farm, what: str) -> None:
    """The self-test finds each feature that is missing, and says in one line what is and what would mend it."""
    old, new = BROKEN[what]
    said = await complaint_of(fresh, wrapper(fresh.place / "bwrap", str(bwrap_path()), {old: new}))
    assert re.fullmatch(rf"the sandbox does not work: {re.escape(what)}[^:]*: [^;\n]+(; [^;\n]+)?", said), said


@pytest.mark.parametrize(
    ("program", "what"),
    {
        "bwrap-writable": "a compile can change what is not its own, /proc",
        "bwrap-unmasked": "a compile can read what the kernel tells root alone, /proc/kpagecount",
    }.items(),
)
@in_reactor
async def test_a_careless_worker(fresh: Farm, monkeypatch: pytest.MonkeyPatch, program: str, what: str) -> None:
    """The self-test finds what a worker should have closed."""
    monkeypatch.setattr("sccachedist.builders.overlay._WORKER", "tests.support.careless_worker")
    (fresh.place / program).symlink_to(bwrap_path())
    said = await complaint_of(fresh, fresh.place / program)
    assert re.fullmatch(rf"the sandbox does not work: {re.escape(what)}: [^:\n]+", said), said


@in_reactor
async def test_a_sandbox_with_a_network(fresh: Farm) -> None:
    """An interface beside loopback is found."""
    add = (shutil.which("ip") or "", "link", "add", "one", "type", "veth", "peer", "name", "other")
    said = await complaint_of(fresh, wrapper(fresh.place / "bwrap", str(bwrap_path()), {}, add))
    assert "a compile has more of a network than loopback" in said


@in_reactor
async def test_a_worker_that_does_not_start(fresh: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    """The builder passes on what it said."""
    monkeypatch.setattr("sccachedist.builders.overlay._WORKER", "sccachedist.no_such_module")
    fresh.builder = hurried(fresh)
    with pytest.raises(BuildError, match="no_such_module"):
        await fresh.builder.start()


@in_reactor
async def test_stopping_ends_jobs_and_leaves_nothing(fresh: Farm) -> None:
    """Running jobs fail, processes are gone, and so is what was unpacked."""
    await fresh.builder.start()
    marker = f"93{os.getpid()}"
    running = Deferred.fromCoroutine(fresh.compile(f"sleep {marker}"))
    await until(lambda: named(f"sleep\0{marker}"))
    await fresh.builder.stop()
    with pytest.raises(BuildError):
        await running
    assert named(str(fresh.home)) == []
    assert list((fresh.home / "toolchains").iterdir()) == []


EATERS = {
    "job_memory_bytes": "dd if=/dev/zero of=/dev/null bs=400M count=1; exit 1",
    "job_processes": "while sleep 1000 & do true; done; wait",
}


@pytest.mark.parametrize("limit", EATERS)
@in_reactor
async def test_who_eats_the_machine(limited: Farm, limit: str) -> None:
    """A job that takes more memory or processes than it may is ended at once, and the limit is named (THREATS 21)."""
    with pytest.raises(LimitExceeded) as caught:
        await limited.compile(EATERS[limit])
    assert caught.value.limit == limit
    assert (await limited.compile("echo next")).output.stdout == b"next\n"


@in_reactor
async def test_a_child_that_was_killed_for_its_memory(limited: Farm) -> None:
    """A driver that reports it in its own words, with status 1 as for any error, deceives nobody."""
    with pytest.raises(LimitExceeded) as caught:
        await limited.compile("sh -c 'dd if=/dev/zero of=/dev/null bs=400M count=1'; echo fatal error >&2; exit 1")
    assert caught.value.limit == "job_memory_bytes"


@in_reactor
async def test_files_and_processes_share_the_memory(limited: Farm) -> None:
    """What lies in the temporary file system counts too; it is full before the memory is."""
    full = "dd if=/dev/zero of=/work/x bs=1M 2>/dev/null"
    assert (await limited.compile(f"{full}; exit 0")).output.code == 0
    with pytest.raises(LimitExceeded) as caught:
        await limited.compile(f"{full}; dd if=/dev/zero of=/dev/null bs=150M count=1; exit 1")
    assert caught.value.limit == "job_memory_bytes"


#: Limits that bound what a job may write, with the size of its file system.
SMALL = {
    "sandbox.scratch_bytes": (LIMITS, 1_000_000),
    "job_memory_bytes": (attrs.evolve(LIMITS, job_memory_bytes=66 << 20), SCRATCH_BYTES),
}


@pytest.mark.parametrize("limit", SMALL)
@in_reactor
async def test_inputs_larger_than_what_a_job_may_write(fresh: Farm, limit: str) -> None:
    """That is the limit's word, not a sandbox that broke: nothing is wrong with this host, and the next job runs."""
    limits, scratch_bytes = SMALL[limit]
    fresh.builder = OverlayBuilder(the_reactor(), fresh.place / "build", bwrap_path(), limits, scratch_bytes, 3)
    await fresh.builder.start()
    with pytest.raises(LimitExceeded) as caught:
        await fresh.compile("true", inputs=zlib.compress(tar(file("work/input", bytes(40_000_000)))))
    assert caught.value.limit == limit
    assert (await fresh.compile("echo next")).output.stdout == b"next\n"


@in_reactor
async def test_groups_are_gone_with_their_builder(limited: Farm) -> None:
    """Also those of workers that were killed."""
    await limited.compile("true")
    assert len(named(limited.worker)) >= 1
    assert [place for place in groups_of(limited) if any(Path(place).glob("worker-*"))]
    for worker in named(limited.worker):
        with contextlib.suppress(ProcessLookupError):  # what a worker has started ends with it
            os.kill(worker, signal.SIGKILL)
    await until(lambda: not named(limited.worker))
    await limited.builder.stop()
    assert groups_of(limited) == []


def groups_of(farm: Farm) -> list[str]:
    """The directories of a builder's control groups."""
    return [parent for parent in own_groups(farm.home).parents if os.path.exists(parent)]


@async_fixture()
async def limited() -> AsyncIterator[Farm]:
    """A farm whose workers can have control groups, or of whom the suite's user cannot ask for any."""
    made = await started(make_farm(the_reactor()))
    yield made
    await made.builder.stop()
    shutil.rmtree(made.place)


@in_reactor
async def test_limits_without_control_groups(farm: Farm) -> None:
    """The kernel's limits on a process hold always."""
    result = await farm.compile("cat /proc/self/limits")
    limits = {line.split("  ")[0]: line.split()[-3:-1] for line in result.output.stdout.decode().splitlines()}
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max open files"] == ["4096", "4096"]
    assert limits["Max processes"] == ["104", "104"]
