"""Runs one compile from its inputs to its answer, in a container of its own, in a sandbox worker: synchronous.

Nothing is unpacked on the host: the inputs go in and the outputs come out as streams. What the container runs is in
:mod:`sccachedist.sandbox.docker.commands`.
"""

import posixpath
import re
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

import attrs

from sccachedist.builders.worker_protocol import RunJob
from sccachedist.errors import BuildError, LimitExceeded, ToolchainError
from sccachedist.outcomes import SentLocal
from sccachedist.sandbox.archive.opened import opened_inputs
from sccachedist.sandbox.archive.repack import END, file_member, repacked
from sccachedist.sandbox.archive.tally import Tally
from sccachedist.sandbox.archive.tar import Content, Member, MemberKind, read_archive
from sccachedist.sandbox.command import check_executed
from sccachedist.sandbox.docker.commands import (
    ADVICE,
    EXIT_CODE,
    OUTPUT,
    RESULTS,
    SCRIPT,
    job_script,
    results_arguments,
    run_arguments,
)
from sccachedist.sandbox.docker.images import has_image, remove_finished, written_by
from sccachedist.sandbox.meter import Meter
from sccachedist.sandbox.processes import Ended, call, running
from sccachedist.sandbox.result.outcome import reported
from sccachedist.sandbox.result.outputs import OutputSizes, check_outputs
from sccachedist.sandbox.result.result_writer import CHUNK, write_result

# How docker cp names the files of a directory.
_NAMES = f"{posixpath.basename(RESULTS)}/".encode()
_EXIT_CODE = _NAMES + EXIT_CODE.encode()
_OUTPUT = re.compile(rb"%b([0-9]{1,9})/?" % (_NAMES + OUTPUT.encode()))

_LOOK_SECS = 2.0  # a container may exceed its limit by what it can write in this time

Found = Iterator[tuple[Member, Content]]


class Watch:
    """Checks now and then how much a job has written: few of Docker's storage drivers can limit that.

    A container that has written too much is killed from outside. A limit inside, on a file's size, would make compilers
    report a failure.

    :param clock: returns the time in seconds.
    """

    def __init__(
        self,
        sandbox: str,
        scratch_bytes: int,
        written: Callable[[str], int] = written_by,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sandbox, self._scratch_bytes, self._written, self._clock = sandbox, scratch_bytes, written, clock
        self._next = clock() + _LOOK_SECS

    def __call__(self) -> None:
        """Check, if it is time to.

        :raises LimitExceeded: the job has written too much.
        """
        if self._clock() < self._next:
            return
        if self._written(self._sandbox) > self._scratch_bytes:
            raise LimitExceeded(
                "sandbox.scratch_bytes", f"a compile wrote more than {self._scratch_bytes} bytes to disk"
            )
        self._next = self._clock() + _LOOK_SECS


def run_job(job: RunJob, image: str, meter: Meter) -> None:
    """Run the compile, write its answer, and remove its container, which is called as the sandbox of the request.

    Its processes are the engine's: what they take is not known here. The container is made while the inputs are written
    to it, so the time that it takes belongs to that of unpacking and that of running.

    :raises BuildError: there is no result that may be shown to a user.
    :raises DecodeError: the inputs are damaged, or a path leads out of the root.
    :raises LimitExceeded: the job is too large.
    :raises ToolchainError: an operator has removed its image.
    """
    try:
        watch = Watch(job.sandbox, job.limits.scratch_bytes)
        run = run_arguments(job.sandbox, image, job.limits)
        ended = call(run, ADVICE, _inputs(job, meter), job.limits.stdio_bytes, watch)
        meter.begin("collect_ns")
        meter.output_bytes = _write_result(job, image, ended, meter)
    finally:
        remove_finished(job.sandbox)


def _inputs(job: RunJob, meter: Meter) -> Iterator[bytes]:
    meter.begin("unpack_ns")
    script = file_member(SCRIPT.lstrip("/"), job_script(job.command, job.outputs).encode(), 0o644)
    with opened_inputs(job) as (stream, limits):
        tally = Tally(limits)
        yield from repacked(stream, tally, whole=False)
    meter.input_bytes = tally.size.bytes
    yield script + END
    meter.begin("run_ns")


def _write_result(job: RunJob, image: str, ended: Ended, meter: Meter) -> int:
    """Returns how many bytes the outputs have together."""
    with running(results_arguments(job.sandbox), ADVICE) as process:
        stream = cast(BinaryIO, process.stdout)
        found = read_archive(stream)
        exit_code = _exit_code(found)
        if exit_code is None:
            if not has_image(image):
                raise ToolchainError(f"the image of toolchain {job.toolchain} is not there any more")
            raise BuildError(SentLocal.SANDBOX, f"the sandbox did not run the command: {ended.last_words}")
        check_executed(job.command, exit_code, ended.stderr)
        meter.exit_code = exit_code
        # Before the outputs are read: of a killed compiler the signal is reported, not a missing output.
        output = reported(job.command, job.on_failure, attrs.evolve(ended, exit_code=exit_code))
        size = write_result(Path(job.answer), output, _outputs(job, found, exit_code), as_json=job.as_json)
        while stream.read(CHUNK):  # padding: docker cp fails if it cannot write it
            pass
    if process.returncode:
        raise BuildError(SentLocal.SANDBOX, "docker cp did not give all outputs")
    return size


def _exit_code(found: Found) -> int | None:
    """Read the exit code from the first file; None if that is another file."""
    for member, content in found:
        if member.kind is MemberKind.FILE:
            text = b"".join(content) if member.name == _EXIT_CODE and member.size < 5 else b""
            return int(text) if re.fullmatch(rb"[0-9]+\n", text) else None
    return None


def _outputs(job: RunJob, found: Found, exit_code: int) -> Iterator[tuple[str, Iterable[bytes]]]:
    made, sizes = set(), OutputSizes(job.limits.output_bytes, job.limits.outputs_bytes)
    for member, content in found:
        output = job.outputs[_index(member, len(job.outputs))]
        if member.kind is not MemberKind.FILE:
            raise BuildError(SentLocal.NO_OUTPUT, f"not a regular file: {output!r}")
        sizes.add(output, member.size)
        made.add(output)
        yield output, content
    check_outputs(job.command, job.outputs, made, exit_code)


def _index(member: Member, count: int) -> int:
    match = _OUTPUT.fullmatch(member.name)
    if match is None or int(match[1]) >= count:
        raise BuildError(SentLocal.SANDBOX, "a container left what is no output")
    return int(match[1])
