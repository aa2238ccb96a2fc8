"""One suite for all builders: whatever a compile is run in, it means the same to its client."""

import json
import os
import shutil
import signal
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import deferLater

from sccachedist.errors import BuildError, LimitExceeded, ToolchainError
from sccachedist.wire.archive_id import archive_id
from sccachedist.wire.messages import CompileCommand
from tests.builders.farms import (
    KINDS,
    OTHER_TOOLCHAIN,
    TOOLCHAIN,
    Farm,
    async_fixture,
    farm_of_kind,
    in_reactor,
    named,
    outputs_of,
    the_reactor,
    until,
)
from tests.sandbox.archives import file, member, tar
from tests.support.processes import stat_fields

pytestmark = pytest.mark.functional


@async_fixture(scope="module", params=KINDS)
async def farm(request: pytest.FixtureRequest) -> AsyncIterator[Farm]:
    made = await farm_of_kind(request.param, request)
    yield made
    await made.builder.stop()
    shutil.rmtree(made.place)


def lineage(pid: int) -> Iterator[int]:
    """A process, the one that started it, and so on, as long as they last: others' may end meanwhile."""
    while pid != 0:
        yield pid
        try:
            pid = int(stat_fields(pid)[1])
        except OSError:
            return


def has_children(pid: int) -> bool:
    """Whether a process has started another one."""
    return bool(Path(f"/proc/{pid}/task/{pid}/children").read_text())


def busy_worker(farm: Farm, process: int) -> int:
    """The worker that a process of a job runs for. Others may wait, with a sandbox that stands ready.

    Where the job's processes are another daemon's, it is the only one with a process of its own.
    """
    ours = (pid for pid in named(farm.worker) if os.getpid() in lineage(pid) and pid not in named("--die-with-parent"))
    workers = {pid for pid in ours if has_children(pid)}
    return next((pid for pid in lineage(process) if pid in workers), max(workers))


@pytest.mark.field(5)
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
    """A client that asks for JSON gets it."""
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
async def test_any_bytes_and_many_of_them(farm: Farm) -> None:
    """Compilers speak in every encoding, and at length."""
    result = await farm.compile("printf '\\377\\376'; yes | head -c 10000000 >&2")
    assert result.output.stdout == b"\xff\xfe"
    assert result.output.stderr == b"y\n" * 5_000_000


@in_reactor
async def test_jobs_do_not_see_each_other(farm: Farm) -> None:
    """What one leaves, in the toolchain too, the next does not find."""
    await farm.compile("echo poison > /bin/new; echo poison > /bin/cp; echo x > /tmp/left")
    result = await farm.compile("ls /bin/new /tmp/left 2>/dev/null; cp input a.o", ("a.o",))
    assert (result.output.stdout, outputs_of(result)) == (b"", {"a.o": b"from the client"})


@in_reactor
async def test_devices(farm: Farm) -> None:
    """A source that is a device or a link to one, and outputs that are written to a device (``-o /dev/null``)."""
    text = member("work/x.c", b"3")
    inputs = zlib.compress(tar((text, b"int x;"), (member("dev/null", b"3"), b"# 1"), member("dev/zero", b"3")))
    script = "cat x.c /dev/null > a.o; head -c 1 /dev/zero >> a.o; echo gone > /dev/null; ls -l /dev/null"
    result = await farm.compile(script, ("a.o", "/dev/null"), inputs=inputs)
    assert outputs_of(result) == {"a.o": b"int x;\0"}, result
    assert result.output.stdout.startswith(b"c")
    command = CompileCommand("/bin/touch", ("-c", "/work/x.c", "-o", "/dev/null"), (), "/work")
    assert outputs_of(await farm.compile("", ("/dev/null",), command=command)) == {}


@pytest.mark.parametrize("variable", ["TMPDIR", "TMP", "TEMP", "TEMPDIR"])
@in_reactor
async def test_a_directory_for_temporary_files(farm: Farm, variable: str) -> None:
    """The one that the client's environment names is there, and the job may write to it; also by a relative name."""
    script = f'echo kept > "${variable}/x" && cat "${variable}/x" > a.o'
    for directory in ("/home/somebody/tmp", "here", "/tmp"):
        made = await farm.compile(script, ("a.o",), env=((variable, directory),))
        assert outputs_of(made) == {"a.o": b"kept\n"}, made


@pytest.mark.parametrize(
    "directory", ["/work/input", "/../x", "/work/link", "/dev/x", "/proc/x", "a/" * 1000, "x" * 5000]
)
@in_reactor
async def test_one_that_cannot_be(farm: Farm, tmp_path: Path, directory: str) -> None:
    """The job runs all the same, and nothing is made outside of its root, where a link of the inputs leads."""
    link = member("work/link", b"2", f"../../../../../../../..{tmp_path}/outside/x")
    inputs = zlib.compress(tar(file("work/input", b"from the client"), link))
    result = await farm.compile("cat input > a.o", ("a.o",), inputs=inputs, env=(("TMPDIR", directory),))
    assert outputs_of(result) == {"a.o": b"from the client"}
    assert not (tmp_path / "outside").exists()
    assert (await farm.compile("ls -d /dev/x /proc/x 2>/dev/null; true")).output.stdout == b""


BAD_INPUTS = {
    "garbage": b"garbage",
    "cut off": zlib.compress(tar(file("work/x", b"x" * 5000)))[:-20],
    "no archive": zlib.compress(b"garbage" * 1000),
    "a way out": zlib.compress(tar(file("../../../../tmp/x", b""))),
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
async def test_a_job_that_is_cancelled_at_any_moment(farm: Farm) -> None:
    """Nothing of it is left, however far it had come."""
    await farm.compile("true")
    before = farm.remains()
    for moment in range(12):
        running = Deferred.fromCoroutine(farm.builder.run(farm.job("sleep 1000")))
        await deferLater(the_reactor(), 0.04 * moment)
        running.cancel()
        with pytest.raises(CancelledError):
            await running
        assert set(farm.remains()) <= set(before)


@in_reactor
async def test_a_killed_worker_leaves_nothing(farm: Farm) -> None:
    """Kill -9 in the middle of a job costs the job, and leaves no mount, no process and no file of it."""
    await farm.compile("true")
    before = farm.remains()
    marker = f"91{os.getpid()}"
    running = Deferred.fromCoroutine(farm.builder.run(farm.job(f"echo x > /work/left; sleep {marker}")))
    await until(lambda: named(f"sleep\0{marker}"))
    os.kill(busy_worker(farm, named(f"sleep\0{marker}")[-1]), signal.SIGKILL)
    with pytest.raises(BuildError):
        await running
    await until(lambda: not named(f"sleep\0{marker}"))
    assert set(farm.remains()) <= set(before)
    assert (await farm.compile("echo next")).output.stdout == b"next\n"


@in_reactor
async def test_jobs_of_two_toolchains(farm: Farm) -> None:
    """Each sees its own, also when they run side by side."""
    toolchains = [TOOLCHAIN, OTHER_TOOLCHAIN] * 2
    jobs = [farm.compile("cat /etc/name", toolchain=toolchain) for toolchain in toolchains]
    results = await gatherResults([Deferred.fromCoroutine(job) for job in jobs])
    assert [result.output.stdout.decode() for result in results] == toolchains


@in_reactor
async def test_a_toolchain_is_removed_when_nobody_uses_it(farm: Farm) -> None:
    """Eviction waits for running jobs, leaves nothing, and the next job unpacks again (THREATS 26)."""
    await farm.builder.discard(OTHER_TOOLCHAIN)
    marker = f"0.9{os.getpid()}"
    running = Deferred.fromCoroutine(farm.compile(f"sleep {marker}; cp input a.o", ("a.o",)))
    await until(lambda: named(f"sleep\0{marker}"))
    discarded = Deferred.fromCoroutine(farm.builder.discard(TOOLCHAIN))
    assert (await running).output.code == 0
    await discarded
    await until(lambda: farm.remains() == [])
    assert (await farm.compile("true")).output.code == 0
    assert farm.remains() != []


@in_reactor
async def test_a_bad_toolchain(farm: Farm) -> None:
    """It is the toolchain's fault, and nothing of it is kept."""
    toolchain = archive_id("d" * 64)
    good = farm.archive(TOOLCHAIN).read_bytes()
    farm.archive(toolchain).write_bytes(good[: len(good) // 2])
    before = farm.remains()
    with pytest.raises(ToolchainError):
        await farm.compile("true", toolchain=toolchain)
    await until(lambda: farm.remains() == before)
    farm.archive(toolchain).unlink()
    with pytest.raises(ToolchainError):  # nobody looks a second time
        await farm.compile("true", toolchain=toolchain)


TOO_MUCH = {
    "stdio_bytes": ("yes", ()),
    "output_bytes": ("dd if=/dev/zero of=a.o bs=1M count=2", ("a.o",)),
    "outputs_bytes": ("for o in a b c; do dd if=/dev/zero of=$o.o bs=600k count=1; done", ("a.o", "b.o", "c.o")),
}


@pytest.mark.parametrize("limit", TOO_MUCH)
@in_reactor
async def test_limits(farm: Farm, limit: str) -> None:
    """A job that goes beyond a limit is ended, and the limit is named (THREATS 5, 17)."""
    script, outputs = TOO_MUCH[limit]
    with pytest.raises(LimitExceeded) as caught:
        await farm.compile(script, outputs)
    assert caught.value.limit == limit
