"""What is the docker builder's own, on a real engine."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest
from twisted.internet.defer import Deferred

from sccachedist.builders.docker import docker_builder
from sccachedist.builders.worker_builder import WorkerBuilder
from sccachedist.config import DockerSettings
from sccachedist.errors import BuildError, LimitExceeded, ToolchainError
from tests.builders.farms import (
    LIMITS,
    SCRATCH_BYTES,
    TOOLCHAIN,
    Farm,
    async_fixture,
    in_reactor,
    make_docker_farm,
    named,
    the_reactor,
    until,
)
from tests.sandbox.archives import file, tar
from tests.support.docker_engine import DockerEngine
from tests.support.wrappers import wrapper

pytestmark = pytest.mark.functional

#: What the images of the toolchain are called; each run of a builder has a tag of its own.
IMAGE = f"sccache-builder-{TOOLCHAIN}"


@async_fixture()
async def farm(engine: DockerEngine) -> AsyncIterator[Farm]:
    made = make_docker_farm(the_reactor(), engine)
    yield made
    await made.builder.stop()
    shutil.rmtree(made.place)
    assert engine.ours() == []


def images(engine: DockerEngine) -> list[str]:
    """All that the engine has, by their names alone."""
    return [name.partition(":")[0] for name in engine.ours()]


def builder_on(image: str, environment: dict[str, str]) -> WorkerBuilder:
    return docker_builder(the_reactor(), image, LIMITS, SCRATCH_BYTES, 3, environment)


@in_reactor
async def test_the_world_inside(farm: Farm) -> None:
    """Uid 0 without a capability, loopback alone, no way to change what is mounted, no more rights by any file."""
    await farm.builder.start()
    result = await farm.compile(
        "b=/bin/busybox; $b id -u; $b grep -E 'CapEff|NoNewPrivs' /proc/self/status; $b ls /sys/class/net;"
        "$b mount -t tmpfs x /tmp 2>&1; $b cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null;"
        "$b tty; $b touch /etc/new && echo writable"
    )
    assert result.output.stdout.decode().splitlines() == [
        *("0", "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "lo"),
        "mount: permission denied (are you root?)",
        *("100", "not a tty", "writable"),
    ]


@in_reactor
async def test_leftovers_are_removed_and_strangers_are_not(farm: Farm, engine: DockerEngine) -> None:
    """Containers and images with our names go at the start, also those of the published build server."""
    empty = tar(file("x", b""))
    for image in ("sccache-builder-published", "a-stranger"):
        engine.docker("import", "-", image, stdin=empty)
    engine.docker("create", "--name", "by-a-friendly-name", "sccache-builder-published", "/x")
    for name in ("sccache-builder-left", "also-a-stranger"):
        engine.docker("create", "--name", name, "a-stranger", "/x")
    await farm.builder.start()
    await until(lambda: engine.ours() == ["a-stranger:latest", "also-a-stranger"])
    engine.docker("rm", "also-a-stranger")
    engine.docker("rmi", "a-stranger")


@in_reactor
async def test_an_image_is_made_once(farm: Farm, engine: DockerEngine) -> None:
    """It is the toolchain that jobs share, and all that is left of them."""
    await farm.builder.start()
    await farm.compile("true")
    first = engine.docker("images", "--quiet", IMAGE)
    await farm.compile("true")
    assert (images(engine), engine.docker("images", "--quiet", IMAGE)) == ([IMAGE], first)


@in_reactor
async def test_an_image_that_somebody_removes(farm: Farm, engine: DockerEngine) -> None:
    """It costs one job; the next has it made again."""
    await farm.builder.start()
    await farm.compile("true")
    engine.docker("rmi", *engine.ours())
    with pytest.raises(ToolchainError, match="not there any more"):
        await farm.compile("true")
    assert (await farm.compile("true")).output.code == 0


@in_reactor
async def test_a_container_that_somebody_removes(farm: Farm, engine: DockerEngine) -> None:
    """Half a compile is no result."""
    await farm.builder.start()
    running = Deferred.fromCoroutine(farm.compile("sleep 1002"))
    await until(lambda: named("sleep\x001002") and engine.docker("ps", "--quiet"))
    (container,) = engine.docker("ps", "--quiet").split()
    engine.docker("rm", "--force", container)
    with pytest.raises(BuildError):
        await running


@in_reactor
async def test_time_runs_out(farm: Farm, engine: DockerEngine) -> None:
    """A job that takes too long is ended, its container with it, and the limit is named (THREATS 21)."""
    limits = attrs.evolve(LIMITS, job_secs=15)  # in which the image is made, too
    builder = docker_builder(the_reactor(), "busybox:stable-musl", limits, SCRATCH_BYTES, 3, engine.environment)
    with pytest.raises(LimitExceeded, match="job_secs"):
        await builder.run(farm.job("sleep 1003"))
    assert (images(engine), named("sleep\x001003")) == ([IMAGE], [])
    await builder.discard(TOOLCHAIN)
    await builder.stop()


@in_reactor
async def test_what_a_container_writes_is_bounded(farm: Farm, engine: DockerEngine) -> None:
    """A compile that fills the disk, with files of any size, is ended; what it has written goes (THREATS 17)."""
    await farm.builder.start()
    size = SCRATCH_BYTES // 8
    fill = f"for n in 1 2 3 4 5 6 7 8 9; do /bin/busybox head -c {size} /dev/zero >/work/$n; done"
    with pytest.raises(LimitExceeded) as caught:
        await farm.compile(f"{fill}; sleep 1005")
    assert caught.value.limit == "sandbox.scratch_bytes"
    assert (images(engine), named("sleep\x001005")) == ([IMAGE], [])
    assert (await farm.compile("head -c 1000000 /dev/zero >a.o; sleep 5", ("a.o",))).output.code == 0


@in_reactor
async def test_stopping_ends_jobs_and_leaves_nothing(farm: Farm, engine: DockerEngine) -> None:
    """Running jobs fail, containers are gone, and so are the images."""
    await farm.builder.start()
    running = Deferred.fromCoroutine(farm.compile("sleep 1004"))
    await until(lambda: named("sleep\x001004"))
    await farm.builder.stop()
    with pytest.raises(BuildError):
        await running
    assert (engine.ours(), named("sleep\x001004")) == ([], [])


# By what is said of it: words for docker, and those that it is given instead.
BROKEN = {
    "a compile has capabilities": (("--cap-drop", "ALL"), ()),
    "a compile has more of a network than loopback": (("--network", "none"), ("--network", "host")),
    "a compile may gain privileges": (("--security-opt", "no-new-privileges"), ()),
    "the limits of a job are not in force": (("core=0",), ("core=-1",)),
    "a compile sees the host's processes": (("--network",), ("--pid", "host", "--network")),
}


@pytest.mark.parametrize("what", BROKEN)
@in_reactor
async def test_a_container_that_is_not_what_it_should_be(
    farm: Farm, engine: DockerEngine, tmp_path: Path, what: str
) -> None:
    """The self-test finds each feature that is missing, and says what would mend it."""
    old, new = BROKEN[what]
    wrapper(tmp_path / "docker", shutil.which("docker") or "", {old: new})
    path = f"{tmp_path}:{engine.environment['PATH']}"
    builder = builder_on(DockerSettings().image, engine.environment | {"PATH": path})
    with pytest.raises(BuildError, match=f"{what}.*: see what docker's daemon.json"):
        await builder.prove()
    await builder.stop()


@in_reactor
async def test_proving_harms_nobody(engine: DockerEngine) -> None:
    """What another build server has on the engine stays, and nothing else is left."""
    engine.docker("import", "-", f"{IMAGE}:another", stdin=tar(file("x", b"")))
    engine.docker("create", "--name", "sccache-builder-of-another", f"{IMAGE}:another", "/x")
    before = engine.ours()
    builder = builder_on(DockerSettings().image, engine.environment)
    await builder.prove()
    await builder.stop()
    assert engine.ours() == before
    engine.docker("rm", "sccache-builder-of-another")
    engine.docker("rmi", f"{IMAGE}:another")


@in_reactor
async def test_what_is_missing_is_named(engine: DockerEngine) -> None:
    """No program, no engine, no busybox in the base image: the self-test says what would mend it."""
    engine.docker("import", "-", "no-busybox", stdin=tar(file("x", b"")))
    nowhere = engine.environment | {"DOCKER_HOST": "unix:///nowhere"}
    cases = [
        (builder_on("any", {"PATH": "/nowhere"}), "there is no docker: install Docker"),
        (builder_on("any", nowhere), "nowhere"),
        (builder_on("no-busybox", engine.environment), r"no busybox in image no-busybox \(docker\.image\)"),
    ]
    for builder, complaint in cases:
        with pytest.raises(BuildError, match=complaint):
            await builder.start()
        await builder.stop()
    engine.docker("rmi", "no-busybox")
