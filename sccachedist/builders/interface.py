"""What the build server asks of a builder, of any kind.

The server knows jobs, toolchains by their archive id, and files that it spooled. It does not know how a
builder isolates a compile. A builder does not know which client asked, nor how the answer travels.
"""

from pathlib import Path
from typing import Protocol

import attrs

from sccachedist.builders.machines import Machines
from sccachedist.policy import OnFailure
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.messages import JobId
from sccachedist.wire.usage import Usage


class BuildWatch(Protocol):
    """Is told how a job gets on in the builder."""

    def unpacked(self) -> None:
        """The job has waited for its toolchain to be unpacked, successfully or not. Not called if it was unpacked."""

    def begun(self) -> None:
        """It was the job's turn: a sandbox worker has it."""

    def used(self, usage: Usage, toolchain_ns: int = 0) -> None:
        """What the job took, before its run returns or fails.

        ``toolchain_ns`` are the nanoseconds in which its toolchain was got ready elsewhere, after it had begun.
        Not called if the job was killed from here: it was cancelled, took too long, or its worker died.
        """


class Unwatched:
    """A :class:`BuildWatch` for jobs of which nothing is to be known."""

    def unpacked(self) -> None:
        """Ignore it."""

    def begun(self) -> None:
        """Ignore it."""

    def used(self, usage: Usage, toolchain_ns: int = 0) -> None:
        """Ignore it."""


@attrs.frozen
class BuildJob:
    """One compile: what to run, on what, and where its answer goes.

    :param archive: the verified ``.tar.gz`` of the toolchain.
    :param request: the command and the files to bring back, as the client sent them: a ``RunJobRequest`` in bytes.
    :param inputs: the spooled zlib stream of a tar, as it followed the head of the ``run_job`` frame.
    :param answer: the file that gets the whole body of the ``RunJobResult`` answer. It may be the file of the inputs:
        the builder has read them by then. The caller owns it, also when the run fails and leaves a part of it.
    :param as_json: whether the answer is JSON instead of bincode.
    :param watch: is told how the job gets on.
    :param on_failure: which failures its client has to repeat; None for the builder's own policy.
    """

    job_id: JobId
    toolchain: ArchiveId
    archive: Path
    request: bytes
    inputs: Path
    answer: Path
    as_json: bool
    watch: BuildWatch = attrs.field(factory=Unwatched, eq=False, repr=False)
    on_failure: OnFailure | None = None


class UploadObserver(Protocol):
    """Works on an archive during its upload, as far as that is safe: the archive may turn out to be wrong."""

    def received(self, size: int) -> None:
        """The archive's file now holds ``size`` bytes."""

    def verified(self, size: int) -> None:
        """The archive is whole and has its archive id. Its file may have been moved."""

    def aborted(self) -> None:
        """The upload failed or was interrupted; after :meth:`verified` this has no effect."""


class Builder(Protocol):
    """Runs compiles in sandboxes.

    :ivar machines: of the builder, and which of them its toolchains need.
    """

    machines: Machines

    async def start(self) -> None:
        """Remove leftovers of earlier runs and prove that the sandbox works.

        :raises BuildError: it does not; the text says what is wrong and what would mend it.
        """

    async def prove(self) -> None:
        """Prove again that the sandbox works, beside the jobs that run.

        :raises BuildError: it does not.
        """

    def complaint(self) -> str:
        """Say why no toolchain could be unpacked now, as far as a quick look shows; empty if one could."""

    def follow(self, toolchain: ArchiveId, archive: Path) -> UploadObserver:
        """Return an observer for the upload of a toolchain that a job will need at once.

        :param archive: the file that grows; only the upload writes to it.
        """

    async def run(self, job: BuildJob) -> None:
        """Run the compile; when this returns, ``job.answer`` holds a complete result.

        Cancelling kills all of the job's processes at once.

        :raises BuildError: there is no result that may be shown to a user, or the inputs cannot be unpacked.
        :raises LimitExceeded: the job is larger or longer than ``[limits]`` allows.
        :raises ToolchainError: the toolchain cannot be unpacked.
        """

    async def discard(self, toolchain: ArchiveId) -> None:
        """Remove the unpacked form of an evicted toolchain, once no job uses it any more."""

    async def stop(self) -> None:
        """End every job and remove all that this builder made."""
