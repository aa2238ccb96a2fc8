"""Runs one compile from its inputs to its answer, on an overlay of its toolchain, in a sandbox worker: synchronous.

It works in the builder's directory, with the unpacked toolchains and a place to mount at. What does not depend on the
job is made before the job comes. All that the job writes lies in a file system in memory, which is unmounted once the
answer is sent. It does not know the daemon, nor when places are made: :mod:`sccachedist.sandbox.overlay.prewarm` does.
"""

import contextlib
import functools
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from sccachedist.builders.worker_protocol import RunJob
from sccachedist.errors import ToolchainError
from sccachedist.sandbox.beneath import Root
from sccachedist.sandbox.job_root import outputs_below, place_inputs, root_at
from sccachedist.sandbox.meter import Meter
from sccachedist.sandbox.overlay.bwrap import bwrap_arguments
from sccachedist.sandbox.overlay.layout import DEVICES, SCRATCH, TOOLCHAINS
from sccachedist.sandbox.overlay.masks import close_proc, kernel_secrets
from sccachedist.sandbox.overlay.namespaces import bind, cover, mount_overlay, mount_scratch, unmount
from sccachedist.sandbox.overlay.resource_limits import within_scratch
from sccachedist.sandbox.overlay.sandbox import Sandbox, sandbox
from sccachedist.sandbox.result.outcome import reported
from sccachedist.sandbox.result.result_writer import write_result

_UPPER, _WORK, _ROOT, _SHARED_MEMORY, _PROC = (f"{SCRATCH}/{name}" for name in ("upper", "work", "root", "shm", "proc"))


@attrs.frozen
class Place:
    """What a job needs of a place to run in: two jobs with equal values can use places made for each other.

    :param directory: device and inode number of the unpacked toolchain's directory.
    :param size: the bytes that a job may write.
    """

    toolchain: str
    directory: tuple[int, int]
    size: int


@attrs.frozen
class Opened:
    """A place that is ready for a job."""

    place: Place
    root: Root
    sandbox: Sandbox

    def fits(self, place: Place) -> bool:
        """Whether it is such a place, and its sandbox still waits."""
        return self.place == place and self.sandbox.alive

    def finish(self) -> None:
        """Wait until the sandbox is set up; else its command does so.

        :raises OSError: it cannot be set up.
        """
        self.sandbox.finish()


def place_for(toolchain: str, size: int) -> Place:
    """Return the place that a job with this toolchain needs.

    :raises ToolchainError: an operator has removed the unpacked toolchain.
    """
    try:
        found = os.stat(f"{TOOLCHAINS}/{toolchain}")
    except OSError as error:
        raise ToolchainError(f"toolchain {toolchain} is no longer in {os.path.abspath(TOOLCHAINS)}") from error
    return Place(toolchain, (found.st_dev, found.st_ino), size)


@contextlib.contextmanager
def opened(place: Place, bwrap: str, filter_fd: int, init_fd: int) -> Iterator[Opened]:
    """Make a place for one job.

    :raises ToolchainError: the toolchain's ``/proc`` or ``/dev`` is no directory.
    :raises BuildError: the kernel refuses.
    """
    mount_scratch(SCRATCH, place.size)
    try:
        arguments = functools.partial(bwrap_arguments, bwrap, os.path.abspath(_ROOT))
        with _mounted_root(place.toolchain) as root, sandbox(arguments, filter_fd, init_fd, _finish) as waiting:
            yield Opened(place, root, waiting)
    finally:
        unmount(SCRATCH)


def run_job(job: RunJob, here: Opened, watch: Callable[[], None], meter: Meter) -> None:
    """Run the compile and write its answer.

    :param watch: raises when the compile has hit a limit of this process.
    :param meter: is told of each phase, of sizes, and of the processes of the sandbox when they have ended.
    :raises BuildError: there is no result that may be shown to a user.
    :raises DecodeError: the inputs are damaged, or a path leads out of the root.
    :raises LimitExceeded: the job is too large.
    """
    meter.begin("unpack_ns")
    with within_scratch(job.limits):
        meter.input_bytes = place_inputs(job, here.root).bytes
    meter.begin("run_ns")
    ended = here.sandbox.run(job.command, job.limits.stdio_bytes, watch, meter.add)
    meter.begin("collect_ns")
    meter.exit_code = ended.exit_code
    # Before the outputs are read: of a killed compiler the signal is reported, not a missing output.
    output, files = reported(job.command, job.on_failure, ended), outputs_below(job, here.root, ended.exit_code)
    meter.output_bytes = write_result(Path(job.answer), output, files, as_json=job.as_json)


@contextlib.contextmanager
def _mounted_root(toolchain: str) -> Iterator[Root]:
    for directory in (_UPPER, _WORK, _ROOT, _SHARED_MEMORY, _PROC):
        os.mkdir(directory, 0o755)
    mount_overlay(_ROOT, f"{TOOLCHAINS}/{toolchain}", _UPPER, _WORK)
    # Inputs cannot replace a mount point, not even while bubblewrap mounts there.
    cover(_PROC, _mount_point("proc"))
    bind(DEVICES, _mount_point("dev"))
    bind(_SHARED_MEMORY, f"{_ROOT}/dev/shm")  # noqa: S108
    with root_at(_ROOT) as root:
        yield root


def _finish(process: int) -> None:
    """Complete a sandbox from outside.

    :raises OSError: something stays open; the command must not run.
    """
    mounts = os.open(f"/proc/{process}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        close_proc(mounts, kernel_secrets())
    finally:
        os.close(mounts)


def _mount_point(name: str) -> str:
    """Return the path of a directory in the root, made if it is missing.

    :raises ToolchainError: the toolchain has something else of that name.
    """
    path = f"{_ROOT}/{name}"
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o755)
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        raise ToolchainError(f"/{name} of a toolchain is no directory")
    return path
