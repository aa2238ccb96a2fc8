"""One compile from its inputs to its answer, on an overlay of its toolchain, in a sandbox worker: synchronous code.

It works in the home of its builder, a directory with the unpacked toolchains and a place to mount at.
Everything that the job makes lies in a file system of its own in memory, which is unmounted once the answer is sent.
"""

import contextlib
import functools
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from sccachedist.builders.answer import write_answer
from sccachedist.builders.confine import Root
from sccachedist.builders.outcome import reported
from sccachedist.builders.overlay.bwrap import bwrap_arguments
from sccachedist.builders.overlay.namespaces import bind, mount_overlay, mount_scratch
from sccachedist.builders.overlay.restraints import Restraints
from sccachedist.builders.overlay.sandbox import run_sandboxed
from sccachedist.builders.processes import Ended
from sccachedist.builders.requests import RunJob
from sccachedist.builders.rooted import outputs_below, place_inputs, root_at
from sccachedist.errors import ToolchainError

TOOLCHAINS = "toolchains"
SCRATCH = "scratch"
#: Where :func:`~sccachedist.builders.overlay.namespaces.make_devices` has made them.
DEVICES = "dev"

_UPPER, _WORK, _ROOT, _SHARED_MEMORY, _PROC = (f"{SCRATCH}/{name}" for name in ("upper", "work", "root", "shm", "proc"))

#: What the kernel tells of the whole machine, and some of it to uid 0 alone.
_SECRETS = ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/vmallocinfo")


def run_job(job: RunJob, bwrap: str, restraints: Restraints) -> None:
    """Run the compile and write its answer.

    :param restraints: what holds this process.
    :raises ToolchainError: somebody has removed the unpacked toolchain.
    :raises BuildError: there is no result that may be shown to a user.
    :raises DecodeError: the inputs or a path are not honest.
    :raises LimitExceeded: the job is too large.
    """
    mount_scratch(SCRATCH, restraints.scratch(job.limits.scratch_bytes))
    with _mounted_root(job.toolchain) as root:
        ended = _compile(job, root, bwrap, restraints)
        # Decided before the outputs are read: a signal has priority over what is missing.
        output = reported(job.command, job.on_failure, ended)
        write_answer(Path(job.answer), output, outputs_below(job, root, ended.exit_code), as_json=job.as_json)


@contextlib.contextmanager
def _mounted_root(toolchain: str) -> Iterator[Root]:
    if not os.path.isdir(f"{TOOLCHAINS}/{toolchain}"):
        raise ToolchainError(f"toolchain {toolchain} is no longer in {os.path.abspath(TOOLCHAINS)}")
    for directory in (_UPPER, _WORK, _ROOT, _SHARED_MEMORY, _PROC):
        os.mkdir(directory, 0o755)
    mount_overlay(_ROOT, f"{TOOLCHAINS}/{toolchain}", _UPPER, _WORK)
    # Where something is mounted the inputs can put nothing else, also not while bubblewrap mounts there.
    bind(_PROC, _mount_point("proc"))
    bind(DEVICES, _mount_point("dev"))
    bind(_SHARED_MEMORY, f"{_ROOT}/dev/shm")  # noqa: S108
    with root_at(_ROOT) as root:
        yield root


def _mount_point(name: str) -> str:
    """A directory of the root.

    :raises ToolchainError: the toolchain has something else of that name.
    """
    path = f"{_ROOT}/{name}"
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o755)
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        raise ToolchainError(f"/{name} of a toolchain is no directory")
    return path


def _compile(job: RunJob, root: Root, bwrap: str, restraints: Restraints) -> Ended:
    return run_sandboxed(
        functools.partial(bwrap_arguments, bwrap, os.path.abspath(_ROOT), command=job.command, masked=_masked()),
        restraints.filter_fd,
        job.limits.stdio_bytes,
        functools.partial(place_inputs, job, root),
        restraints.check,
    )


@functools.cache
def _masked() -> list[str]:
    return [file for file in _SECRETS if os.path.exists(file)]
