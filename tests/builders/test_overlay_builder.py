"""The overlay builder with real workers, namespaces and bubblewrap, as root and as nobody."""

import json
import os
import shutil
import signal
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet import task
from twisted.internet.defer import CancelledError, Deferred, gatherResults

from sccachedist.builders.overlay.builder import OverlayBuilder
from sccachedist.errors import BuildError, LimitExceeded, ToolchainError
from sccachedist.wire.messages import CompileCommand
from tests.builders.archives import file, member, tar
from tests.builders.farms import (
    IDENTITIES,
    LIMITS,
    SCRATCH_BYTES,
    TOOLCHAIN,
    Farm,
    async_fixture,
    bwrap_path,
    in_reactor,
    make_farm,
    outputs_of,
    started,
)

pytestmark = pytest.mark.functional


def the_reactor() -> Any:
    """The reactor that pytest-twisted runs."""
    from twisted.internet import reactor  # noqa: TID251

    return reactor


@async_fixture(scope="module", params=IDENTITIES)
async def farm(request: pytest.FixtureRequest) -> AsyncIterator[Farm]:
    made = await started(make_farm(the_reactor(), request.param), request.param)
    yield made
    await made.builder.stop()
    shutil.rmtree(made.place)


def hurried(farm: Farm) -> OverlayBuilder:
    """A builder with little patience."""
    limits = attrs.evolve(LIMITS, job_secs=4)
    return OverlayBuilder(the_reactor(), farm.place / "build", bwrap_path(), limits, SCRATCH_BYTES, 3)


@async_fixture()
async def fresh() -> AsyncIterator[Farm]:
    """A farm that is not started and may be broken."""
    made = make_farm(the_reactor(), "itself")
    yield made
    await made.builder.stop()
    shutil.rmtree(made.place)


def named(marker: str) -> list[int]:
    """The processes that have these words in their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if marker.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def has_children(pid: int) -> bool:
    """Whether a process has started another one."""
    return bool(Path(f"/proc/{pid}/task/{pid}/children").read_text())


async def until(condition: Callable[[], Any]) -> None:
    """Wait for something outside of this process, at most ten seconds."""
    for _ in range(500):
        if condition():
            return
        await task.deferLater(the_reactor(), 0.02)
    raise AssertionError("it did not happen")


@in_reactor
async def test_a_compile_that_succeeds(farm: Farm) -> None:
    """What it wrote comes back, by the names that were asked for, from wherever they are."""
    result = await farm.compile(
        "cat input > here.o; cat input > /work/deep/er/there.o; echo to stdout; echo to stderr >&2",
        ("here.o", "/work/here.o", "deep/er/there.o", "../work/here.o"),
    )
    assert (result.output.code, result.output.stdout, result.output.stderr) == (0, b"to stdout\n", b"to stderr\n")
    assert outputs_of(result) == dict.fromkeys(
        ("here.o", "/work/here.o", "deep/er/there.o", "../work/here.o"), b"from the client"
    )


@in_reactor
async def test_an_output_that_may_be_missing(farm: Farm) -> None:
    """What the command line does not name, such as a dependency file, may be left out; what it names may not."""
    command = CompileCommand("/bin/touch", ("a.o",), (), "/work")
    assert outputs_of(await farm.compile("", ("a.d", "a.o"), command=command)) == {"a.o": b""}
    command = CompileCommand("/bin/env", ("a.o=",), (), "/work")
    with pytest.raises(BuildError, match=r"without making 'a\.d'"):
        await farm.compile("", ("a.d", "a.o"), command=command)


@in_reactor
async def test_a_compile_that_fails(farm: Farm) -> None:
    """Its exit status and its words are the user's, with what it left."""
    result = await farm.compile("echo wrong >&2; touch a.d; exit 3", ("a.o", "a.d"))
    assert (result.output.code, result.output.stderr, outputs_of(result)) == (3 << 8, b"wrong\n", {"a.d": b""})


@in_reactor
async def test_a_compile_for_windows(farm: Farm) -> None:
    """Its client takes the code as it is."""
    assert (await farm.compile("exit 3", cwd="/prefix/disk-C/work")).output.code == 3


@in_reactor
async def test_an_answer_in_json(farm: Farm) -> None:
    """Whoever asks for JSON gets it."""
    job = farm.job("printf out > a.o; printf words", ("a.o",), as_json=True)
    await farm.builder.run(job)
    complete = json.loads(job.answer.read_bytes())["Complete"]
    assert complete["output"] == {"code": 0, "stdout": list(b"words"), "stderr": []}
    ((name, (compressed, length)),) = complete["outputs"]
    assert (name, zlib.decompress(bytes(compressed)), length) == ("a.o", b"out", 3)


NO_RESULT = {
    "killed by a signal": "kill -9 $$",
    "crashed": "kill -11 $$",
    "no output": "true",
    "an output that is a directory": "rm -f a.o; /bin/busybox mkdir a.o",
    "an output that is a FIFO": "mkfifo a.o",
    "an output that is the host's": "ln -s /etc/shadow a.o",
    "an output that is the host's by a way up": "ln -s ../../../../../../../../etc/shadow a.o",
    "an output that is a device": "ln -s /dev/zero a.o",
}


@pytest.mark.parametrize("what", NO_RESULT)
@in_reactor
async def test_no_result(farm: Farm, what: str) -> None:
    """The client has to compile locally."""
    with pytest.raises(BuildError):
        await farm.compile(NO_RESULT[what], ("a.o",))


@in_reactor
async def test_an_output_by_a_link_inside(farm: Farm) -> None:
    """A link to what the job may read anyway is followed."""
    assert outputs_of(await farm.compile("printf x > /work/real; ln -s /work/real a.o", ("a.o",))) == {"a.o": b"x"}


@pytest.mark.parametrize(
    "command",
    [
        CompileCommand("/bin/gcc", (), (), "/"),
        CompileCommand("/work/input", (), (), "/"),
        CompileCommand("/bin/sh", ("-c", "true\0"), (), "/"),
        CompileCommand("/bin/sh", ("-c", "true", "x" * 200_000), (), "/"),
        CompileCommand("/bin/sh", ("-c", "true"), (), "/../etc"),
    ],
    ids=["missing", "not executable", "NUL", "too long an argument", "a directory above the root"],
)
@in_reactor
async def test_a_command_that_cannot_run(farm: Farm, command: CompileCommand) -> None:
    """It does not look like a compile error."""
    with pytest.raises(BuildError):
        await farm.compile("", command=command)


@in_reactor
async def test_the_environment(farm: Farm) -> None:
    """The job's own variables and nothing of the daemon's; what is no name is skipped (THREATS 27)."""
    env = (("A", "b c=d"), ("B=C", "skipped"), ("", "skipped"), ("LD_PRELOAD", "/not/for/bwrap.so"))
    result = await farm.compile("", command=CompileCommand("/bin/env", (), env, "/work"))
    lines = result.output.stdout.decode().splitlines()
    assert sorted(lines) == ["A=b c=d", "LD_PRELOAD=/not/for/bwrap.so", "PWD=/work"]


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
        *("bin", "dev", "proc", "tmp", "work"),
    ]


@in_reactor
async def test_any_bytes_and_many_of_them(farm: Farm) -> None:
    """Compilers speak in every encoding, and at length."""
    result = await farm.compile("printf '\\377\\376'; yes | head -c 10000000 >&2")
    assert result.output.stdout == b"\xff\xfe"
    assert result.output.stderr == b"y\n" * 5_000_000


TOO_MUCH = {
    "stdio_bytes": ("yes", ()),
    "output_bytes": ("dd if=/dev/zero of=a.o bs=1M count=2", ("a.o",)),
    "job_secs": ("sleep 1000", ()),
}


@pytest.mark.parametrize("limit", TOO_MUCH)
@in_reactor
async def test_limits(fresh: Farm, limit: str) -> None:
    """Whoever goes beyond a limit is ended, and the limit is named (THREATS 5, 17, 21)."""
    script, outputs = TOO_MUCH[limit]
    fresh.builder = hurried(fresh)
    await fresh.builder.start()
    with pytest.raises(LimitExceeded) as caught:
        await fresh.compile(script, outputs)
    assert caught.value.limit == limit


@in_reactor
async def test_a_full_scratch(farm: Farm) -> None:
    """What a job writes is bounded, also in /dev/shm, and is gone for the next one (THREATS 17)."""
    fill = "dd if=/dev/zero of=$f bs=1M 2>&1 | /bin/busybox grep -o 'No space left on device'"
    for f in ("/work/x", "/dev/shm/x", "/tmp/x"):
        result = await farm.compile(fill, env=(("f", f),))
        assert result.output.stdout == b"No space left on device\n"


@in_reactor
async def test_jobs_do_not_see_each_other(farm: Farm) -> None:
    """What one leaves, in the toolchain too, the next does not find."""
    await farm.compile("echo poison > /bin/new; echo poison > /bin/cp; echo x > /tmp/left")
    result = await farm.compile("ls /bin/new /tmp/left 2>/dev/null; cp input a.o", ("a.o",))
    assert (result.output.stdout, outputs_of(result)) == (b"", {"a.o": b"from the client"})


BAD_INPUTS = {
    "garbage": b"garbage",
    "cut off": zlib.compress(tar(file("work/x", b"x" * 5000)))[:-20],
    "no archive": zlib.compress(b"garbage" * 1000),
    "a way out": zlib.compress(tar(file("../../../../tmp/x", b""))),
    "a device": zlib.compress(tar(member("x", b"3"))),
}


@pytest.mark.parametrize("what", BAD_INPUTS)
@in_reactor
async def test_bad_inputs(farm: Farm, what: str) -> None:
    """They cost one job."""
    with pytest.raises(BuildError):
        await farm.compile("true", inputs=BAD_INPUTS[what])


@pytest.mark.parametrize(
    ("limit", "inputs"),
    [
        ("inputs_unpacked_bytes", zlib.compress(tar(file("x", bytes(60_000_000))))),
        ("inputs_entries", zlib.compress(tar(*(file(f"x{n}", b"") for n in range(101))))),
    ],
)
@in_reactor
async def test_too_large_inputs(farm: Farm, limit: str, inputs: bytes) -> None:
    """A bomb is not unpacked."""
    with pytest.raises(LimitExceeded) as caught:
        await farm.compile("true", inputs=inputs)
    assert caught.value.limit == limit


@in_reactor
async def test_many_at_once(farm: Farm) -> None:
    """More jobs than slots, all with the same toolchain, all end well."""
    jobs = [farm.compile(f"echo {n}; cp input a.o", ("a.o",)) for n in range(8)]
    results = await gatherResults([Deferred.fromCoroutine(job) for job in jobs])
    assert [result.output.stdout for result in results] == [b"%d\n" % n for n in range(8)]


@in_reactor
async def test_a_cancelled_job_is_killed(farm: Farm) -> None:
    """When the client goes away, so do all processes of its compile, whatever they do to stay."""
    marker = f"90{os.getpid()}"
    script = f"trap '' TERM HUP INT; /bin/busybox setsid sleep {marker} & sleep {marker}"
    running = Deferred.fromCoroutine(farm.builder.run(farm.job(script)))
    await until(lambda: len(named(f"sleep\0{marker}")) == 2)
    running.cancel()
    with pytest.raises(CancelledError):
        await running
    await until(lambda: not named(f"sleep\0{marker}"))
    assert (await farm.compile("echo next")).output.stdout == b"next\n"


@in_reactor
async def test_a_killed_worker_leaves_nothing(farm: Farm) -> None:
    """Kill -9 in the middle of a job costs the job, and leaves no mount, no process and no file of it."""
    marker = f"91{os.getpid()}"
    running = Deferred.fromCoroutine(farm.builder.run(farm.job(f"echo x > /work/left; sleep {marker}")))
    await until(lambda: named(f"sleep\0{marker}"))
    (worker,) = [pid for pid in named(str(farm.home)) if has_children(pid) and pid not in named("bwrap")]
    os.kill(worker, signal.SIGKILL)
    with pytest.raises(BuildError):
        await running
    await until(lambda: not named(f"sleep\0{marker}"))
    assert str(farm.home) not in Path("/proc/self/mounts").read_text()
    assert list((farm.home / "scratch").iterdir()) == []
    assert (await farm.compile("echo next")).output.stdout == b"next\n"


@in_reactor
async def test_a_toolchain_is_removed_when_nobody_uses_it(farm: Farm) -> None:
    """Eviction waits for running jobs, and the next job unpacks anew (THREATS 26)."""
    unpacked = farm.home / "toolchains" / TOOLCHAIN
    running = Deferred.fromCoroutine(farm.compile("sleep 1; cp input a.o", ("a.o",)))
    await until(unpacked.exists)
    discarded = Deferred.fromCoroutine(farm.builder.discard(TOOLCHAIN))
    assert (await running).output.code == 0
    await discarded
    assert list((farm.home / "toolchains").iterdir()) == []
    assert (await farm.compile("true")).output.code == 0
    assert unpacked.exists()


@in_reactor
async def test_a_bad_toolchain(fresh: Farm) -> None:
    """It is the toolchain's fault, and nothing of it is kept."""
    await fresh.builder.start()
    good = (fresh.place / "toolchain").read_bytes()
    (fresh.place / "toolchain").write_bytes(good[: len(good) // 2])
    with pytest.raises(ToolchainError):
        await fresh.compile("true")
    assert list((fresh.home / "toolchains").iterdir()) == []
    (fresh.place / "toolchain").write_bytes(good)
    assert (await fresh.compile("true")).output.code == 0


@in_reactor
async def test_an_unpacking_that_was_killed(fresh: Farm) -> None:
    """What it had written goes, and the next job unpacks anew."""
    fresh.builder = hurried(fresh)
    await fresh.builder.start()
    archive = (fresh.place / "toolchain").read_bytes()
    (fresh.place / "toolchain").unlink()
    os.mkfifo(fresh.place / "toolchain")
    running = Deferred.fromCoroutine(fresh.compile("true"))
    await until((fresh.home / "toolchains" / f"part-{TOOLCHAIN}").exists)
    with pytest.raises(LimitExceeded):
        await running
    assert list((fresh.home / "toolchains").iterdir()) == []
    (fresh.place / "toolchain").unlink()
    (fresh.place / "toolchain").write_bytes(archive)
    assert (await fresh.compile("true")).output.code == 0


@in_reactor
async def test_leftovers_are_removed_and_strangers_files_are_not(fresh: Farm) -> None:
    """Only what the builder made itself is ever removed (THREATS 25)."""
    stranger = fresh.place / "build/toolchains/published"
    stranger.mkdir(parents=True)
    await fresh.builder.start()
    await fresh.builder.stop()
    (fresh.home / "toolchains/left.part/deep").mkdir(parents=True)
    await fresh.builder.start()
    assert list((fresh.home / "toolchains").iterdir()) == []
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


@in_reactor
async def test_a_worker_that_does_not_start(fresh: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    """The builder passes on what it said."""
    monkeypatch.setattr("sccachedist.builders.overlay.workers._MODULE", "sccachedist.no_such_module")
    with pytest.raises(BuildError, match="no_such_module"):
        await fresh.builder.start()


@in_reactor
async def test_stopping_ends_jobs_and_leaves_nothing(fresh: Farm) -> None:
    """Running jobs fail, processes are gone, and so is what was unpacked."""
    await fresh.builder.start()
    running = Deferred.fromCoroutine(fresh.compile("sleep 1000"))
    await until(lambda: named("sleep\x001000"))
    await fresh.builder.stop()
    with pytest.raises(BuildError):
        await running
    assert named(str(fresh.home)) == []
    assert list((fresh.home / "toolchains").iterdir()) == []
