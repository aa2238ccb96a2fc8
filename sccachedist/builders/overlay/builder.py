"""The overlay builder: has sandbox workers unpack toolchains and run jobs, and keeps count of who uses what.

Nothing here opens, unpacks or mounts what a stranger made: that is what the workers are for. What they do
inside stands in :mod:`sccachedist.builders.overlay.job`.
"""

import contextlib
import fcntl
import functools
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from twisted.internet.defer import Deferred

from sccachedist.builders.overlay.requests import (
    JobLimits,
    RemoveAll,
    RemoveToolchain,
    Request,
    RunJob,
    UnpackToolchain,
)
from sccachedist.builders.overlay.workers import IWorkerReactor, Workers
from sccachedist.builders.probe import probe
from sccachedist.builders.seam import BuildJob
from sccachedist.config import Limits
from sccachedist.errors import BuildError, SccachedistError
from sccachedist.logs import Logger
from sccachedist.shared_work import SharedWork
from sccachedist.wire.archive_id import ArchiveId

log = Logger()

_MARKER = ".made-by-sccachedist"
_DIRECTORIES = ("toolchains", "scratch")


class OverlayBuilder:
    """Runs compiles on overlays of their toolchains, as root or as anybody.

    :param build_dir: where ``sccachedist/`` is made for all that this builder keeps; nothing else in it is
        touched.
    :param bwrap: the bubblewrap program.
    :param scratch_bytes: the size of the file system that a job writes to, in memory.
    :param slots: how many jobs may run at a time.
    """

    def __init__(
        self, reactor: IWorkerReactor, build_dir: Path, bwrap: Path, limits: Limits, scratch_bytes: int, slots: int
    ) -> None:
        self._home = build_dir.absolute() / "sccachedist"
        self._bwrap = bwrap
        self._limits = limits
        self._job_limits = JobLimits(
            inputs_unpacked_bytes=limits.inputs_unpacked_bytes,
            inputs_entries=limits.inputs_entries,
            output_bytes=limits.output_bytes,
            stdio_bytes=limits.stdio_bytes,
            scratch_bytes=scratch_bytes,
        )
        self._new_workers = functools.partial(Workers, reactor, self._home, slots)
        self._workers = self._new_workers()
        self._unpacked: set[ArchiveId] = set()
        self._users: Counter[ArchiveId] = Counter()
        self._waiting: dict[ArchiveId, list[Deferred[None]]] = {}
        self._work: SharedWork[ArchiveId] = SharedWork()
        self._lock: int | None = None

    async def start(self) -> None:
        """See :meth:`sccachedist.builders.seam.Builder.start`."""
        if self._lock is None:
            self._lock = _claim(self._home)
        self._unpacked.clear()
        try:
            await self._ask(RemoveAll())
            await probe(self, self._home / "toolchains")
        except (OSError, SccachedistError) as error:
            raise BuildError(f"the sandbox does not work: {error}") from error

    async def run(self, job: BuildJob) -> None:
        """See :meth:`sccachedist.builders.seam.Builder.run`."""
        with self._using(job.toolchain):
            # Not "if": the work that was waited for may have been a removal.
            while job.toolchain not in self._unpacked:
                await self._work.do(job.toolchain, lambda: self._unpack(job))
            await self._ask(
                RunJob(
                    toolchain=job.toolchain,
                    command=job.command,
                    outputs=job.outputs,
                    inputs=str(job.inputs.absolute()),
                    answer=str(job.answer.absolute()),
                    as_json=job.as_json,
                    bwrap=str(self._bwrap),
                    limits=self._job_limits,
                )
            )

    async def discard(self, toolchain: ArchiveId) -> None:
        """See :meth:`sccachedist.builders.seam.Builder.discard`."""
        while toolchain in self._users:
            waiter: Deferred[None] = Deferred()
            self._waiting.setdefault(toolchain, []).append(waiter)
            await waiter
        if toolchain in self._unpacked:
            self._unpacked.remove(toolchain)
            await self._work.do(toolchain, lambda: self._ask(RemoveToolchain(toolchain)))

    async def stop(self) -> None:
        """See :meth:`sccachedist.builders.seam.Builder.stop`."""
        await self._workers.stop()
        self._workers = self._new_workers()
        self._unpacked.clear()
        if self._lock is not None:
            await self._clean_up()
            os.close(self._lock)
            self._lock = None

    async def _clean_up(self) -> None:
        cleaners = self._new_workers()
        try:
            await cleaners.ask(RemoveAll(), self._limits.job_secs)
        except SccachedistError as error:
            log.warn("unpacked toolchains stay until the next start: {error}", error=error)
        finally:
            await cleaners.stop()

    async def _unpack(self, job: BuildJob) -> None:
        request = UnpackToolchain(
            toolchain=job.toolchain,
            archive=str(job.archive.absolute()),
            toolchain_unpacked_bytes=self._limits.toolchain_unpacked_bytes,
            toolchain_entries=self._limits.toolchain_entries,
        )
        with self._using(job.toolchain):  # also when every job that wanted it has gone
            try:
                await self._ask(request)
            except SccachedistError:  # a worker that was killed has left what it had
                with contextlib.suppress(SccachedistError):
                    await self._ask(RemoveToolchain(job.toolchain))
                raise
            self._unpacked.add(job.toolchain)

    async def _ask(self, request: Request) -> None:
        await self._workers.ask(request, self._limits.job_secs)

    @contextlib.contextmanager
    def _using(self, toolchain: ArchiveId) -> Iterator[None]:
        self._users[toolchain] += 1
        try:
            yield
        finally:
            self._users[toolchain] -= 1
            if not self._users[toolchain]:
                del self._users[toolchain]
                for waiter in self._waiting.pop(toolchain, []):
                    waiter.callback(None)


def _claim(home: Path) -> int:
    """Make the directory that is ours alone; the descriptor that comes back keeps other build servers out.

    :raises BuildError: it is not ours, in use, or cannot be made.
    """
    try:
        if home.exists() and any(home.iterdir()) and not (home / _MARKER).exists():
            raise BuildError(f"{home} was not made by sccachedist: name another builder.build_dir")
        home.mkdir(parents=True, exist_ok=True)
        lock = os.open(home / _MARKER, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for name in _DIRECTORIES:
                (home / name).mkdir(exist_ok=True)
        except BaseException:
            os.close(lock)
            raise
    except BlockingIOError as error:
        raise BuildError(f"{home} is in use by another build server") from error
    except OSError as error:
        raise BuildError(f"{home} cannot be used: {error.strerror}; correct builder.build_dir") from error
    return lock
