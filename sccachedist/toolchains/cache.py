"""Keeps toolchain archives under ``cache_dir/tc``, in the published build server's layout.

An archive is uploaded beside the cache (:mod:`sccachedist.toolchains.uploads`), and is renamed into it only if its
digest is its name. A new archive is used before it is synced to the disk, so an archive from an earlier start is hashed
before its first use. Which ones are evicted, :mod:`sccachedist.toolchains.lru` decides. What is in an archive is not
known here.
"""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from sccachedist.budgets import Budget, Party
from sccachedist.daemon.logs import Logger
from sccachedist.directories import clear, held
from sccachedist.disks import on_disk
from sccachedist.errors import DiskError, SccachedistError, ToolchainError
from sccachedist.files import remove_file, settle
from sccachedist.singleflight import SingleFlight
from sccachedist.toolchains.changes import ToolchainLog
from sccachedist.toolchains.kept_archives import found_archives, keep_machine, kept_machine
from sccachedist.toolchains.lru import ToolchainIndex
from sccachedist.toolchains.uploads import STALLED_SECS, Follow, Incoming, InThread, Upload
from sccachedist.waiters import Waiters
from sccachedist.wire.archive_id import ArchiveId, swapped_hex, toolchain_digest
from sccachedist.wire.host_facts import MOST_UPLOADS

log = Logger()

#: The most seconds that a job waits for another client's upload to begin, and to end; and for the end of a fetch while
#: its bytes flow.
BEGIN_SECS, JOB_WAITS_SECS, FETCH_WAITS_SECS = 5.0, 20.0, 120.0


class Toolchains:
    """The archives that are here, and those that are being uploaded.

    :param cache_dir: the directory that the configuration names.
    :param capacity: how many bytes the archives may take together.
    :param most: how many there may be.
    :param upload_limit: how many bytes one may have.
    :param disk: the budget for all uploads.
    :param in_thread: runs a function that blocks.
    :param follow: called with each archive whose upload begins; returns its observer.
    :param evicted: called with each toolchain that is removed; its Deferred fires when the scheduler has heard of that,
        or could not be told.
    """

    def __init__(
        self,
        cache_dir: Path,
        capacity: int,
        most: int,
        upload_limit: int,
        disk: Budget,
        clock: IReactorTime,
        in_thread: InThread,
        follow: Follow,
        evicted: Callable[[ArchiveId], Deferred[None]],
    ) -> None:
        self._directory, self._incoming = cache_dir / "tc", cache_dir / "incoming"
        self._index = ToolchainIndex(capacity, most)
        self._limit, self._disk, self._clock, self._in_thread = upload_limit, disk, clock, in_thread
        self._follow, self._evicted = follow, evicted
        self._incoming_now: dict[ArchiveId, Incoming] = {}
        self._expected: set[ArchiveId] = set()
        self._changes = Waiters()
        self._verified: set[ArchiveId] = set()
        self._work: SingleFlight[Path] = SingleFlight()
        #: Begins to fetch a toolchain from elsewhere, if it is not on its way.
        self.look_for: Callable[[ArchiveId], None] = lambda _: None
        #: Called with each toolchain that a client has brought, when it is here.
        self.brought: Callable[[ArchiveId], None] = lambda _: None
        #: Uploads by what became of them, and removed toolchains by reason, since the start.
        self.uploaded = {"stored": 0, "not_wanted": 0, "refused": 0}
        self.removed = {"room": 0, "damaged": 0, "unwanted": 0}
        self._unwanted: set[ArchiveId] = set()

    def take_limits(self, most: int, upload_limit: int) -> None:
        """Let other limits hold for what comes."""
        self._index.most, self._limit = most, upload_limit

    def open(self) -> None:
        """Make the directories, remove unfinished uploads of an earlier process, and list the archives."""
        clear(held(self._incoming))
        for toolchain, size in found_archives(held(self._directory)):
            self._enter_found(toolchain, size)
            self._index.looked_at(toolchain, kept_machine(self._path(toolchain)))

    def __contains__(self, toolchain: ArchiveId) -> bool:
        return toolchain in self._index

    @property
    def log(self) -> ToolchainLog:
        """Which changes the scheduler has to hear of."""
        return self._index.log

    def __len__(self) -> int:
        return len(self._index)

    @property
    def size(self) -> int:
        """The bytes of all archives."""
        return self._index.size

    def machine_of(self, toolchain: ArchiveId) -> int:
        """Which machine a toolchain needs, see :mod:`sccachedist.wire.machines`."""
        return self._index.machine_of(toolchain)

    def looked_at(self, toolchain: ArchiveId, machine: int) -> bool:
        """Note which machine a toolchain needs, also for the next start; returns whether the scheduler has to hear."""
        is_news = self._index.looked_at(toolchain, machine)
        if is_news:
            keep_machine(self._path(toolchain), machine)
        return is_news

    def recent(self, most: int) -> tuple[ArchiveId, ...]:
        """The toolchains that are here, most recently used first, as many as that."""
        return self._index.recent(most)

    def under_way(self) -> tuple[tuple[ArchiveId, int], ...]:
        """The toolchains that are on their way, with the bytes that are there: as many as a heartbeat tells."""
        return tuple((toolchain, each.size) for toolchain, each in islice(self._incoming_now.items(), MOST_UPLOADS))

    def is_arriving(self, toolchain: ArchiveId) -> bool:
        """Whether a toolchain is being uploaded and not all uploads of it have stalled."""
        incoming = self._incoming_now.get(toolchain)
        return incoming is not None and not incoming.is_stalled

    def receive(self, toolchain: ArchiveId, party: Party) -> Upload:
        """Begin the upload of an archive; if the archive is here already, the bytes are ignored.

        :raises DiskError: no file can be made for it.
        :raises LimitExceeded: its sender has too much on the disk already.
        """
        incoming = self._incoming_now.get(toolchain)
        if incoming is None:
            incoming = Incoming(
                toolchain,
                self._incoming,
                self._limit,
                self._disk,
                self._clock,
                self._in_thread,
                self._follow,
                self._ended,
            )
            incoming.is_over = toolchain in self._index
        upload = incoming.begin(party)
        if not incoming.is_over:
            self._incoming_now[toolchain] = incoming
            self._changes.wake()
        return upload

    async def publish(self, upload: Upload) -> None:
        """Do what :meth:`add` does with a client's upload, and count it."""
        try:
            is_stored = await self.add(upload)
            self.uploaded["stored" if is_stored else "not_wanted"] += 1
            if is_stored:
                self.brought(upload.incoming.toolchain)
        except SccachedistError:
            self.uploaded["refused"] += 1
            raise

    async def add(self, upload: Upload) -> bool:
        """Verify a complete upload and add its archive to the cache; return False if the archive is here by now.

        :raises ToolchainError: its digest is wrong, or there is no room; nothing is kept.
        :raises DiskError: the disk is full or fails; nothing is kept.
        """
        try:
            await upload.verify()
            is_wanted = not upload.incoming.is_over
            if is_wanted:
                self._publish(upload)
            return is_wanted
        finally:
            upload.abort()

    @contextmanager
    def expecting(self, toolchain: ArchiveId) -> Iterator[None]:
        """Let jobs wait for a toolchain that is being looked for elsewhere, as long as the context lasts."""
        self._expected.add(toolchain)
        self._changes.wake()
        try:
            yield
        finally:
            self._expected.remove(toolchain)
            self._changes.wake()

    def _publish(self, upload: Upload) -> None:
        toolchain, content = upload.incoming.toolchain, upload.content
        try:
            with on_disk(self._directory):
                self._enter(toolchain, upload.size)
                content.cut(upload.size)
                self._place(toolchain, content.path)
        except DiskError as error:
            self._index.remove(toolchain)
            content.fail(error)
            raise
        log.info("toolchain {toolchain} of {size} bytes is here", toolchain=toolchain, size=upload.size)
        if content.follower is not None:
            content.follower.verified(upload.size)
        upload.incoming.win()
        del self._incoming_now[toolchain]
        Deferred.fromCoroutine(self._settle(toolchain)).addErrback(partial(log.failure, "not settled"))

    async def wait_until_present(self, toolchain: ArchiveId) -> None:
        """Wait for a toolchain that another client is uploading, or that is fetched: that is begun, if need be.

        :raises ToolchainError: nothing brings it, or all that did have stalled, or they take too long.
        """
        self.look_for(toolchain)
        await self._begin(toolchain)
        began = self._clock.seconds()
        while toolchain not in self._index:
            is_expected, is_flowing = toolchain in self._expected, self.is_arriving(toolchain)
            patience = FETCH_WAITS_SECS if is_expected and is_flowing else JOB_WAITS_SECS
            if not (is_expected or is_flowing) or self._clock.seconds() >= began + patience:
                raise ToolchainError(f"toolchain {toolchain} did not arrive")
            await self._change(STALLED_SECS)

    async def _begin(self, toolchain: ArchiveId) -> None:
        """Wait until a toolchain is here or on its way, at most :data:`BEGIN_SECS`.

        :raises ToolchainError: neither happens.
        """
        deadline = self._clock.seconds() + BEGIN_SECS
        while not any(toolchain in there for there in (self._index, self._incoming_now, self._expected)):
            if self._clock.seconds() >= deadline:
                raise ToolchainError(f"nobody brings toolchain {toolchain}")
            await self._change(BEGIN_SECS)

    async def _change(self, seconds: float) -> None:
        """Wait until an upload or a fetch begins or ends, at most ``seconds``."""
        await self._changes.wait().addTimeout(seconds, self._clock, lambda *_: None)

    @asynccontextmanager
    async def using(self, toolchain: ArchiveId) -> AsyncIterator[Path]:
        """Give the path of a toolchain's archive, which is not evicted as long as the context lasts.

        :raises ToolchainError: it is not here, or damaged.
        """
        path = await self.lend(toolchain)
        try:
            yield path
        finally:
            self.take_back(toolchain)

    async def lend(self, toolchain: ArchiveId) -> Path:
        """Return the path of a toolchain's archive, which is not evicted until :meth:`take_back`.

        :raises ToolchainError: it is not here, or damaged.
        """
        self._index.acquire(toolchain)
        try:
            path = self._path(toolchain)
            if toolchain not in self._verified or not os.path.exists(path):
                await self._work.do(path, lambda: self._verify(toolchain))
            with suppress(OSError):  # only the order of eviction after a restart depends on it
                os.utime(path)
            return path
        except BaseException:
            self.take_back(toolchain)
            raise

    def take_back(self, toolchain: ArchiveId) -> None:
        """End one :meth:`lend`."""
        self._index.release(toolchain)
        if toolchain in self._unwanted:
            self.forget(toolchain)

    def forget(self, toolchain: ArchiveId) -> None:
        """Remove an archive that an administrator does not want; one that is in use, as soon as no job uses it."""
        if toolchain not in self._index:
            self._unwanted.discard(toolchain)
        elif not self._index.is_used(toolchain):
            self._unwanted.discard(toolchain)
            log.info("toolchain {toolchain} is removed: an administrator wants that", toolchain=toolchain)
            self.removed["unwanted"] += 1
            remove_file(self._path(toolchain))
            self._forget(toolchain)
        elif toolchain not in self._unwanted:
            self._unwanted.add(toolchain)
            log.info("toolchain {toolchain} is in use: it is removed when no job uses it", toolchain=toolchain)

    async def _settle(self, toolchain: ArchiveId) -> None:
        """Sync an archive to the disk; if that fails, remove it."""
        try:
            await self._in_thread(settle, self._path(toolchain))
        except DiskError as error:
            log.warn("toolchain {toolchain} is removed: {error}", toolchain=toolchain, error=str(error))
            await self._lose(toolchain)

    def _place(self, toolchain: ArchiveId, archive: Path) -> None:
        path = self._path(toolchain)
        held(self._directory)  # makes it if it is missing
        for directory in (path.parent.parent, path.parent):
            directory.mkdir(mode=0o700, exist_ok=True)
        archive.rename(path)
        self._verified.add(toolchain)

    async def _verify(self, toolchain: ArchiveId) -> None:
        try:
            digest = await self._in_thread(_digest, toolchain, self._path(toolchain))
        except OSError as error:
            await self._lose(toolchain)
            raise ToolchainError(f"toolchain {self._path(toolchain)} cannot be read: {error.strerror}") from error
        if digest != toolchain:
            await self._lose(toolchain)
            raise ToolchainError(f"toolchain {toolchain} was damaged and is removed")
        self._verified.add(toolchain)

    async def _lose(self, toolchain: ArchiveId) -> None:
        """Remove a bad archive and tell the scheduler, which asks the next client to upload it."""
        self.removed["damaged"] += 1
        remove_file(self._path(toolchain))
        await self._forget(toolchain)

    def _enter_found(self, toolchain: ArchiveId, size: int) -> None:
        try:
            self._enter(toolchain, size)
        except ToolchainError as error:
            log.warn("toolchain {toolchain} is removed: {error}", toolchain=toolchain, error=str(error))
            self._remove(toolchain)

    def _enter(self, toolchain: ArchiveId, size: int) -> None:
        for other in self._index.add(toolchain, size):
            log.info("toolchain {toolchain} makes room", toolchain=other)
            self.removed["room"] += 1
            self._remove(other)

    def _remove(self, toolchain: ArchiveId) -> None:
        self._forget(toolchain)
        self._path(toolchain).unlink(missing_ok=True)

    def _forget(self, toolchain: ArchiveId) -> Deferred[None]:
        self._index.remove(toolchain)
        self._verified.discard(toolchain)
        return self._evicted(toolchain)

    def _ended(self, incoming: Incoming) -> None:
        if not incoming.uploads and self._incoming_now.get(incoming.toolchain) is incoming:
            del self._incoming_now[incoming.toolchain]
        self._changes.wake()

    def _path(self, toolchain: ArchiveId) -> Path:
        return Path(self._directory, toolchain[0], toolchain[1], toolchain)


def _digest(toolchain: ArchiveId, path: Path) -> ArchiveId:
    """Return the digest of a file, by the algorithm of its archive id; blocks."""
    digest = toolchain_digest(toolchain)
    with path.open("rb") as archive:
        while chunk := archive.read(1 << 20):
            digest.update(chunk)
    return swapped_hex(digest.digest())
