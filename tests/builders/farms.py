"""Real builders with busybox toolchains: overlay, as the user who runs the tests or as nobody, docker and pot."""

import os
import shutil
import tempfile
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import attrs
import pytest
import pytest_twisted
from twisted.internet.task import deferLater

from sccachedist.builders.docker import docker_builder
from sccachedist.builders.interface import Builder, BuildJob
from sccachedist.builders.overlay import OverlayBuilder
from sccachedist.builders.pot import pot_builder
from sccachedist.config import DockerSettings, ServerLimits
from sccachedist.policy import OnFailure
from sccachedist.wire.archive_id import ArchiveId, archive_id
from sccachedist.wire.bincode import decode, encode
from sccachedist.wire.messages import RUN_JOB_REQUEST, RUN_JOB_RESULT, CompileCommand, JobComplete, JobId, RunJobRequest
from tests.sandbox.archives import busybox_toolchain, file, tar
from tests.support.docker_engine import DockerEngine
from tests.support.pots import PotHost

P = ParamSpec("P")
T = TypeVar("T")

NOBODY = 65534
TOOLCHAIN, OTHER_TOOLCHAIN = archive_id("b" * 64), archive_id("c" * 64)
LIMITS = ServerLimits(
    inputs_unpacked_bytes=50_000_000,
    inputs_entries=100,
    output_bytes=1_000_000,
    outputs_bytes=1_500_000,
    stdio_bytes=20_000_000,
    job_memory_bytes=200_000_000,
    job_processes=100,
    job_secs=20,
)
SCRATCH_BYTES = 64_000_000
#: What a builder makes of a compile that failed is to be seen.
REPORT = OnFailure.REPORT

# A user who can become another one tries both.
IDENTITIES = ("itself", "nobody") if os.geteuid() == 0 else ("itself",)
# Only root can start a Docker engine, and change the root of a process.
KINDS = ("overlay", "overlay as nobody", "docker", "pot") if os.geteuid() == 0 else ("overlay",)


def in_reactor(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, Coroutine[Any, Any, None]]:
    """Run a test in the reactor that pytest-twisted keeps."""
    return cast(Callable[P, Coroutine[Any, Any, None]], pytest_twisted.ensureDeferred(test))


def async_fixture(**options: Any) -> Callable[[Callable[P, AsyncIterator[T]]], Callable[P, AsyncIterator[T]]]:
    """Make a fixture of an asynchronous generator that runs there."""
    return cast(
        Callable[[Callable[P, AsyncIterator[T]]], Callable[P, AsyncIterator[T]]],
        pytest_twisted.async_yield_fixture(**options),
    )


# The interpreter and the package may lie where nobody may read: they are loaded before the rights go.
_AS_NOBODY = f"""
import ctypes, os
from sccachedist.sandbox.overlay import worker
os.setgroups([])
os.setresgid({NOBODY}, {NOBODY}, {NOBODY})
os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # /proc/self is the process's own again
worker.main()
"""


class AsNobody:
    """A reactor whose sandbox workers have no right to anything."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def spawnProcess(self, protocol: Any, executable: str, args: list[str], env: dict[str, str]) -> Any:  # noqa: N802
        """Take the module of the worker away and put the code above in its place."""
        args = [args[0], "-P", "-c", _AS_NOBODY, *args[4:]]
        return self._reactor.spawnProcess(protocol, executable, args, env)


@attrs.define
class Farm:
    """A builder, and a directory for the files of its jobs.

    :param worker: words in the command line of its workers.
    :param remains: names what there is of toolchains and sandboxes.
    """

    place: Path
    builder: Builder
    worker: str
    remains: Callable[[], list[str]]

    @property
    def home(self) -> Path:
        """What an overlay builder made for itself."""
        return self.place / "build" / "sccachedist"

    def job(
        self,
        script: str,
        outputs: tuple[str, ...] = (),
        *,
        command: CompileCommand | None = None,
        env: tuple[tuple[str, str], ...] = (),
        cwd: str = "/work",
        inputs: bytes | None = None,
        as_json: bool = False,
        toolchain: ArchiveId = TOOLCHAIN,
    ) -> BuildJob:
        """A job that runs a shell script with the PATH set to the toolchain's programs."""
        name = tempfile.mktemp(dir=self.place)
        packed = zlib.compress(tar(file("work/input", b"from the client"))) if inputs is None else inputs
        Path(name + ".inputs").write_bytes(packed)
        ran = command or CompileCommand("/bin/sh", ("-c", script), (("PATH", "/bin"), *env), cwd)
        return BuildJob(
            job_id=JobId(1),
            toolchain=toolchain,
            archive=self.archive(toolchain),
            request=encode(RUN_JOB_REQUEST, RunJobRequest(ran, outputs)),
            inputs=Path(name + ".inputs"),
            answer=Path(name + ".answer"),
            as_json=as_json,
        )

    def archive(self, toolchain: ArchiveId) -> Path:
        """Where the archive of a toolchain is."""
        return self.place / toolchain

    async def compile(self, script: str, outputs: tuple[str, ...] = (), **options: Any) -> JobComplete:
        """Run a script and read the answer."""
        job = self.job(script, outputs, **options)
        await self.builder.run(job)
        result = decode(RUN_JOB_RESULT, job.answer.read_bytes())
        assert isinstance(result, JobComplete)
        return result


def make_farm(reactor: Any, identity: str = "itself") -> Farm:
    """Make the directories of an overlay builder; it is not started."""
    place = _place()
    if identity == "nobody":
        reactor = AsNobody(reactor)
    home = place / "build" / "sccachedist"
    home.mkdir(parents=True)
    for directory in (place, home.parent, home) if identity == "nobody" else ():
        os.chown(directory, NOBODY, NOBODY)
    builder = OverlayBuilder(reactor, home.parent, bwrap_path(), LIMITS, SCRATCH_BYTES, 3, REPORT)

    def remains() -> list[str]:
        left = [entry.name for name in ("toolchains", "scratch") for entry in (home / name).iterdir()]
        return sorted(left) + [line for line in _mounts() if str(home) in line]

    return Farm(place, builder, str(home), remains)


def make_docker_farm(reactor: Any, engine: DockerEngine, limits: ServerLimits = LIMITS) -> Farm:
    """A builder on an engine; it is not started."""
    image = DockerSettings().image
    environment = engine.environment | {"SECRET": "not for jobs"}
    builder = docker_builder(reactor, image, limits, SCRATCH_BYTES, 3, environment, REPORT)
    return Farm(_place(), builder, "sandbox.docker.worker", engine.ours)


def make_pot_farm(reactor: Any, limits: ServerLimits = LIMITS) -> Farm:
    """A builder on a host that has pot; it is not started."""
    place = _place()
    host = PotHost.make(place)
    builder = pot_builder(reactor, host.settings, limits, SCRATCH_BYTES, 3, host.environment, REPORT)
    return Farm(place, builder, str(host.fs_root), host.names)


async def farm_of_kind(kind: str, request: pytest.FixtureRequest) -> Farm:
    """A farm that is ready."""
    match kind:
        case "docker":
            return await started(make_docker_farm(the_reactor(), request.getfixturevalue("engine")))
        case "pot":
            return await started(make_pot_farm(the_reactor()))
        case "overlay as nobody":
            return await started(make_farm(the_reactor(), "nobody"), "nobody")
        case _:
            return await started(make_farm(the_reactor()))


async def started(farm: Farm, identity: str = "itself") -> Farm:
    """Start a farm. Where only the workers are nobody, they could not read what the self-test writes."""
    if identity == "itself":
        await farm.builder.start()
    for name in ("toolchains", "scratch", "dev") if identity == "nobody" else ():
        (farm.home / name).mkdir()
        os.chown(farm.home / name, NOBODY, NOBODY)
    return farm


def _place() -> Path:
    place = Path(tempfile.mkdtemp(prefix="farm-"))
    place.chmod(0o755)
    for toolchain in (TOOLCHAIN, OTHER_TOOLCHAIN):
        (place / toolchain).write_bytes(busybox_toolchain(file("etc/name", toolchain.encode())))
    return place


def _mounts() -> list[str]:
    return Path("/proc/self/mounts").read_text().splitlines()


def bwrap_path() -> Path:
    """Where bubblewrap is."""
    found = shutil.which("bwrap")
    assert found, "the tests of the overlay builder need bubblewrap"
    return Path(found)


def the_reactor() -> Any:
    """The reactor that pytest-twisted runs."""
    from twisted.internet import reactor  # noqa: TID251

    return reactor


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


async def until(condition: Callable[[], Any]) -> None:
    """Wait for something outside of this process, at most ten seconds."""
    for _ in range(500):
        if condition():
            return
        await deferLater(the_reactor(), 0.02)
    raise AssertionError("it did not happen")


def outputs_of(result: JobComplete) -> dict[str, bytes]:
    """The outputs by name, inflated, their lengths checked."""
    found = {name: zlib.decompress(data.compressed) for name, data in result.outputs}
    assert [len(content) for content in found.values()] == [data.length for _, data in result.outputs]
    return found
