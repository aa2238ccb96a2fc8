"""Jobs that misbehave in containers, and an engine that does: each job ends, nothing is left, and the next one runs."""

import os
import re
import shutil
import signal
from collections.abc import AsyncIterator, Iterator

import attrs
import pytest
from twisted.internet.defer import CancelledError, Deferred

from sccachedist.builders import worker_builder
from sccachedist.errors import BuildError, LimitExceeded, SccachedistError
from sccachedist.sandbox.docker.commands import RESULTS
from tests.builders.farms import (
    LIMITS,
    Farm,
    async_fixture,
    in_reactor,
    make_docker_farm,
    named,
    started,
    the_reactor,
    until,
)
from tests.support.docker_engine import DockerEngine, docker_engine

pytestmark = pytest.mark.functional

#: In which jobs end that do not end by themselves.
JOB_SECS = 10


@pytest.fixture(scope="module")
def engine() -> Iterator[DockerEngine]:
    """An engine of the module's own."""
    with docker_engine() as running:
        yield running


@async_fixture()
async def farm(engine: DockerEngine) -> AsyncIterator[Farm]:
    """A builder that is ready, and has its toolchain."""
    farm = await started(make_docker_farm(the_reactor(), engine, attrs.evolve(LIMITS, job_secs=JOB_SECS)))
    await farm.compile("true")
    yield farm
    await farm.builder.stop()
    shutil.rmtree(farm.place)


def containers(engine: DockerEngine) -> list[str]:
    return [name for name in engine.ours() if ":" not in name]


#: What a job does, its outputs, and what becomes of it: a part of an error's text, or the size of what it made.
JOBS = {
    "a flood of output": ("while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done", (), "wrote more than"),
    "no signal ends it": ("trap '' TERM INT HUP QUIT; while :; do sleep 3002; done", (), "took more than"),
    "a pipe": ("busybox mkfifo a.o", ("a.o",), "not a regular file"),
    "a device": ("busybox ln -s /dev/zero a.o", ("a.o",), "not a regular file"),
    "a directory": ("mkdir a.o", ("a.o",), "not a regular file"),
    "a loop": ("busybox ln -s a.o a.o", ("a.o",), "a.o"),
    "what has no end": ("busybox ln -s /proc/self/pagemap a.o", ("a.o",), "a.o|more than|took"),
    "a terabyte of holes": ("busybox truncate -s 1000000000000 a.o", ("a.o",), "more than"),
    "results that are a link": (f"busybox rm -r {RESULTS}; busybox ln -s /etc {RESULTS}", ("a.o",), "not run"),
    "results that are no outputs": (f"busybox mkfifo {RESULTS}/output-9", ("a.o",), "is no output|a.o"),
    "a file of the engine's": ("true", ("/etc/hosts",), None),
}  # fmt: skip


async def nothing_is_left(farm: Farm, engine: DockerEngine) -> None:
    """Neither a container nor a process of the last job is there, and the next one runs."""
    assert containers(engine) == []
    assert named("sleep\x003001") + named("sleep\x003002") == []
    assert (await farm.compile("true")).output.code == 0


@pytest.mark.parametrize("job", JOBS)
@in_reactor
async def test_a_job(job: str, farm: Farm, engine: DockerEngine) -> None:
    """It has an error or a result within its time, and leaves nothing."""
    script, outputs, error = JOBS[job]
    if error is None:
        assert (await farm.compile(script, outputs)).output.code == 0
    else:
        with pytest.raises(SccachedistError, match=error):
            await farm.compile(script, outputs)
    await nothing_is_left(farm, engine)


@in_reactor
async def test_a_fork_bomb(farm: Farm, engine: DockerEngine) -> None:
    """Its time runs out, or it fails before that, for its shell can start no further process."""
    code, error = 0, ""
    try:
        code = (await farm.compile("f() { f | f & }; f; sleep 3001")).output.code
    except SccachedistError as failed:
        error = str(failed)
    assert code != 0 or re.search("job_secs|no result|did not", error), error
    await nothing_is_left(farm, engine)


@in_reactor
async def test_a_paused_container(farm: Farm, engine: DockerEngine) -> None:
    """Its time runs out all the same."""
    running = Deferred.fromCoroutine(farm.compile("sleep 3003"))
    await until(lambda: named("sleep\x003003") and engine.docker("ps", "--quiet"))
    engine.docker("pause", *engine.docker("ps", "--quiet").split())
    with pytest.raises(LimitExceeded, match="took more than"):
        await running
    assert containers(engine) == []


@in_reactor
async def test_an_engine_that_hangs(farm: Farm, engine: DockerEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it does, it cannot be told to end the job of a client that has gone; it is told when it can."""
    monkeypatch.setattr(worker_builder, "RETRY_SECS", 0.5)
    running = Deferred.fromCoroutine(farm.compile("sleep 3004"))
    await until(lambda: named("sleep\x003004"))
    os.kill(engine.process, signal.SIGSTOP)
    try:
        running.cancel()
        with pytest.raises(CancelledError):
            await running
        assert named("sleep\x003004")
        with pytest.raises(SccachedistError):
            await farm.compile("true")
    finally:
        os.kill(engine.process, signal.SIGCONT)
    await until(lambda: not named("sleep\x003004") and containers(engine) == [])
    assert (await farm.compile("true")).output.code == 0


@in_reactor
async def test_a_container_with_another_name(farm: Farm, engine: DockerEngine) -> None:
    """Its job is an error and has no result when it ends; what has the name now is somebody's own."""
    running = Deferred.fromCoroutine(farm.compile("sleep 3005", ("a.o",)))
    await until(lambda: named("sleep\x003005"))
    (container,) = containers(engine)
    engine.docker("rename", container, "elsewhere")
    engine.docker("kill", "elsewhere")
    with pytest.raises(BuildError):
        await running
    engine.docker("rm", "--force", "elsewhere")


@in_reactor
async def test_an_engine_that_is_killed(farm: Farm, engine: DockerEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """In mid-job: its client compiles locally at once; when the engine is back, nothing of the job is left."""
    monkeypatch.setattr(worker_builder, "RETRY_SECS", 0.5)
    running = Deferred.fromCoroutine(farm.compile("sleep 3006"))
    await until(lambda: named("sleep\x003006"))
    engine.kill()
    try:
        with pytest.raises(BuildError):
            await running
        with pytest.raises(BuildError):
            await farm.compile("true")
    finally:
        engine.start()
    await until(lambda: not named("sleep\x003006") and containers(engine) == [])
    assert (await farm.compile("true")).output.code == 0
