"""What the build server asks of a builder, whichever kind it is.

The server knows jobs, toolchains by their archive id, and files that it spooled. It does not know how a
builder isolates a compile; a builder does not know who asked nor how the answer travels.
"""

from pathlib import Path
from typing import Protocol

import attrs

from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.messages import JobId


@attrs.frozen
class BuildJob:
    """One compile: what to run, on what, and where its answer goes.

    :param archive: the verified ``.tar.gz`` of the toolchain.
    :param request: the command and the files to bring back, as the client sent them: a ``RunJobRequest`` in bytes.
    :param inputs: the spooled zlib stream of a tar, as it followed the head of the ``run_job`` frame.
    :param answer: the file to write: the whole body of the ``RunJobResult`` answer. It may be that of the inputs, which
        are needed no more then. The caller owns it, also when the run fails and leaves a part of it.
    :param as_json: whether the answer is JSON instead of bincode.
    """

    job_id: JobId
    toolchain: ArchiveId
    archive: Path
    request: bytes
    inputs: Path
    answer: Path
    as_json: bool


class UploadObserver(Protocol):
    """Works on an archive while it comes in, as far as that is safe: it may not become what it should be."""

    def received(self, size: int) -> None:
        """So many bytes are in its file."""

    def verified(self, size: int) -> None:
        """It is what it should be, in its file or where that has been moved to."""

    def aborted(self) -> None:
        """It will not become whole, or not now; after :meth:`verified` this means nothing."""


class Builder(Protocol):
    """Runs compiles in sandboxes."""

    async def start(self) -> None:
        """Remove own leftovers and prove that the sandbox works.

        :raises BuildError: it does not; the text says what is wrong and what would mend it.
        """

    def follow(self, toolchain: ArchiveId, archive: Path) -> UploadObserver:
        """A toolchain comes in, for a job that will need it at once.

        :param archive: the file that grows; nobody else writes to it.
        """

    async def run(self, job: BuildJob) -> None:
        """Return when ``job.answer`` holds a complete result.

        Cancelling kills all of the job's processes at once.

        :raises BuildError: there is no result that may be shown to a user, or the inputs cannot be unpacked.
        :raises LimitExceeded: the job is larger or longer than ``[limits]`` allows.
        :raises ToolchainError: the toolchain cannot be unpacked.
        """

    async def discard(self, toolchain: ArchiveId) -> None:
        """Remove the unpacked form of an evicted toolchain, once no job uses it any more."""

    async def stop(self) -> None:
        """End every job and leave nothing behind."""
