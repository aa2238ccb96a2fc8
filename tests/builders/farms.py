"""A real overlay builder with a busybox toolchain, as whoever runs the tests or as nobody."""

import os
import shutil
import tempfile
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import attrs
import pytest_twisted

from sccachedist.builders.overlay.builder import OverlayBuilder
from sccachedist.builders.seam import BuildJob
from sccachedist.config import Limits
from sccachedist.wire.archive_id import archive_id
from sccachedist.wire.bincode import decode
from sccachedist.wire.messages import RUN_JOB_RESULT, CompileCommand, JobComplete, JobId
from tests.builders.archives import busybox_toolchain, file, tar

P = ParamSpec("P")
T = TypeVar("T")

NOBODY = 65534
TOOLCHAIN = archive_id("b" * 64)
LIMITS = Limits(
    inputs_unpacked_bytes=50_000_000, inputs_entries=100, output_bytes=1_000_000, stdio_bytes=20_000_000, job_secs=20
)
SCRATCH_BYTES = 64_000_000

# Whoever can become somebody else tries both.
IDENTITIES = ("itself", "nobody") if os.geteuid() == 0 else ("itself",)


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
from sccachedist.builders.overlay import worker
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
        args = [args[0], "-P", "-c", _AS_NOBODY, args[-1]]
        return self._reactor.spawnProcess(protocol, executable, args, env)


@attrs.define
class Farm:
    """A builder, and a directory for the files of its jobs."""

    place: Path
    builder: OverlayBuilder

    @property
    def home(self) -> Path:
        """What the builder made for itself."""
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
    ) -> BuildJob:
        """A job that runs a shell script with the PATH set to the toolchain's programs."""
        name = tempfile.mktemp(dir=self.place)
        packed = zlib.compress(tar(file("work/input", b"from the client"))) if inputs is None else inputs
        Path(name + ".inputs").write_bytes(packed)
        return BuildJob(
            job_id=JobId(1),
            toolchain=TOOLCHAIN,
            archive=self.place / "toolchain",
            command=command or CompileCommand("/bin/sh", ("-c", script), (("PATH", "/bin"), *env), cwd),
            outputs=outputs,
            inputs=Path(name + ".inputs"),
            answer=Path(name + ".answer"),
            as_json=as_json,
        )

    async def compile(self, script: str, outputs: tuple[str, ...] = (), **options: Any) -> JobComplete:
        """Run a script and read the answer."""
        job = self.job(script, outputs, **options)
        await self.builder.run(job)
        result = decode(RUN_JOB_RESULT, job.answer.read_bytes())
        assert isinstance(result, JobComplete)
        return result


def make_farm(reactor: Any, identity: str, limits: Limits = LIMITS) -> Farm:
    """Make the directories; the builder is not started."""
    place = Path(tempfile.mkdtemp(prefix="farm-"))
    place.chmod(0o755)
    (place / "toolchain").write_bytes(busybox_toolchain())
    if identity == "nobody":
        reactor = AsNobody(reactor)
    builder = OverlayBuilder(reactor, place / "build", bwrap_path(), limits, SCRATCH_BYTES, 3)
    for name in ("", "build", "build/sccachedist"):
        (place / name).mkdir(exist_ok=True)
        if identity == "nobody":
            os.chown(place / name, NOBODY, NOBODY)
    return Farm(place, builder)


async def started(farm: Farm, identity: str) -> Farm:
    """Start a farm. Where only the workers are nobody, they could not read what the self-test writes."""
    if identity == "itself":
        await farm.builder.start()
    for name in ("toolchains", "scratch") if identity == "nobody" else ():
        (farm.home / name).mkdir()
        os.chown(farm.home / name, NOBODY, NOBODY)
    return farm


def bwrap_path() -> Path:
    """Where bubblewrap is."""
    found = shutil.which("bwrap")
    assert found, "the tests of the overlay builder need bubblewrap"
    return Path(found)


def outputs_of(result: JobComplete) -> dict[str, bytes]:
    """The outputs by name, inflated, their lengths checked."""
    found = {name: zlib.decompress(data.compressed) for name, data in result.outputs}
    assert [len(content) for content in found.values()] == [data.length for _, data in result.outputs]
    return found
