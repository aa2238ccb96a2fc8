"""One compile from its inputs to its answer, on an overlay of its toolchain, in a sandbox worker: synchronous code.

It works in the home of its builder, a directory with the unpacked toolchains and a place to mount at.
Everything that the job makes lies in a file system of its own in memory, which is gone when this returns.
"""

import contextlib
import functools
import os
from collections.abc import Iterator
from pathlib import Path

from sccachedist.builders.answer import write_answer
from sccachedist.builders.confine import Root
from sccachedist.builders.outcome import reported
from sccachedist.builders.overlay.bwrap import bwrap_arguments
from sccachedist.builders.overlay.namespaces import mount_overlay, scratch
from sccachedist.builders.overlay.restraints import Restraints
from sccachedist.builders.overlay.sandbox import run_sandboxed
from sccachedist.builders.processes import Ended
from sccachedist.builders.requests import RunJob
from sccachedist.builders.rooted import outputs_below, place_inputs, root_at
from sccachedist.errors import ToolchainError

TOOLCHAINS = "toolchains"
SCRATCH = "scratch"

_UPPER, _WORK, _ROOT, _SHARED_MEMORY = (f"{SCRATCH}/{name}" for name in ("upper", "work", "root", "shm"))

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
    with scratch(SCRATCH, restraints.scratch(job.limits.scratch_bytes)), _mounted_root(job.toolchain) as root:
        place_inputs(job, root)
        ended = _compile(job, bwrap, restraints)
        # Decided before the outputs are read: a signal has priority over what is missing.
        output = reported(job.command, job.on_failure, ended)
        write_answer(Path(job.answer), output, outputs_below(job, root, ended.exit_code), as_json=job.as_json)


@contextlib.contextmanager
def _mounted_root(toolchain: str) -> Iterator[Root]:
    if not os.path.isdir(f"{TOOLCHAINS}/{toolchain}"):
        raise ToolchainError(f"toolchain {toolchain} is no longer in {os.path.abspath(TOOLCHAINS)}")
    for directory in (_UPPER, _WORK, _ROOT, _SHARED_MEMORY):
        Path(directory).mkdir(mode=0o755)
    mount_overlay(_ROOT, f"{TOOLCHAINS}/{toolchain}", _UPPER, _WORK)
    with root_at(_ROOT) as root:
        yield root


def _compile(job: RunJob, bwrap: str, restraints: Restraints) -> Ended:
    arguments = functools.partial(
        bwrap_arguments,
        bwrap,
        str(Path(_ROOT).absolute()),
        str(Path(_SHARED_MEMORY).absolute()),
        command=job.command,
        masked=[file for file in _SECRETS if os.path.exists(file)],
    )
    return run_sandboxed(arguments, restraints.filter_fd, job.limits.stdio_bytes, restraints.check)
