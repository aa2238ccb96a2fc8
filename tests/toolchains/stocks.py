"""Toolchains in a temporary directory, whose slow work waits until a test lets it happen."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
from blake3 import blake3
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from farmkit.deferreds import outcome
from farmkit.fakes import FakeFollower
from sccachedist.budgets import Budget, Party
from sccachedist.toolchains.cache import Toolchains
from sccachedist.toolchains.uploads import Upload
from sccachedist.wire.archive_id import ArchiveId, swapped_hex

ARCHIVES = (b"gcc" * 100, b"clang" * 60, b"rustc" * 60)


def named(archive: bytes) -> ArchiveId:
    return swapped_hex(blake3(archive).digest())


def named_of_old(archive: bytes) -> ArchiveId:
    """The name that releases up to 0.2.13 gave."""
    return swapped_hex(hashlib.sha512(archive).digest())


SOMEBODY = Party("somebody")
GCC, CLANG, RUSTC = (named(archive) for archive in ARCHIVES)


@attrs.define
class Threads:
    """Threads that do nothing by themselves, unless they are told to work at once."""

    at_once: bool = True
    waiting: list[Callable[[], None]] = attrs.field(factory=list)

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        done: Deferred[Any] = Deferred()

        def work() -> None:
            try:
                result = function(*arguments)
            except Exception as error:
                done.errback(error)
            else:
                done.callback(result)

        if self.at_once:
            work()
        else:
            self.waiting.append(work)
        return await done

    def work(self) -> None:
        """Do what waits."""
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            each()


@attrs.define
class Stock:
    """A build server's toolchains; :meth:`restart` opens them again."""

    cache: Path
    capacity: int = 1000
    limit: int = 500
    disk: Budget = attrs.field(factory=lambda: Budget("spool_bytes", 100_000))
    clock: Clock = attrs.field(factory=Clock)
    threads: Threads = attrs.field(factory=Threads)
    evicted: list[ArchiveId] = attrs.field(factory=list)
    heard: Deferred[None] = attrs.field(factory=lambda: succeed(None))
    begun: list[Upload] = attrs.field(factory=list)
    followers: list[FakeFollower] = attrs.field(factory=list)
    toolchains: Toolchains = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.toolchains = Toolchains(
            self.cache,
            self.capacity,
            1000,
            self.limit,
            self.disk,
            self.clock,
            self.threads.run,
            self.follow,
            self.evict,
        )
        self.toolchains.open()

    def evict(self, toolchain: ArchiveId) -> Deferred[None]:
        self.evicted.append(toolchain)
        return self.heard

    def follow(self, toolchain: ArchiveId, archive: Path) -> FakeFollower:
        self.followers.append(FakeFollower(archive))
        return self.followers[-1]

    def close(self) -> None:
        for upload in self.begun:
            upload.abort()

    def begin(self, toolchain: ArchiveId, party: Party = SOMEBODY) -> Upload:
        """An upload."""
        upload = self.toolchains.receive(toolchain, party)
        self.begun.append(upload)
        return upload

    def receive(self, archive: bytes, toolchain: ArchiveId | None = None) -> Upload:
        """An upload that has come in whole."""
        upload = self.begin(toolchain or named(archive))
        upload.write(archive)
        return upload.complete()

    def publish(self, upload: Upload) -> Deferred[None]:
        return Deferred.fromCoroutine(self.toolchains.publish(upload))

    def bring(self, archive: bytes) -> Deferred[None]:
        return self.publish(self.receive(archive))

    def put(self, archive: bytes, toolchain: ArchiveId | None = None, mtime: float = 0) -> Path:
        """A file where the published build server would have put it."""
        name = toolchain or named(archive)
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(archive)
        os.utime(path, (mtime, mtime))
        return path

    def path(self, toolchain: ArchiveId) -> Path:
        return self.cache / "tc" / toolchain[0] / toolchain[1] / toolchain

    def files(self) -> set[str]:
        """The names of all files that are kept."""
        return {path.name for path in self.cache.rglob("*") if path.is_file()}

    def use(self, toolchain: ArchiveId, until: Deferred[None]) -> Deferred[bytes]:
        """Use a toolchain until something has happened, and give what is in it then."""

        async def use() -> bytes:
            async with self.toolchains.using(toolchain) as path:
                await until
                return path.read_bytes()

        return Deferred.fromCoroutine(use())


def used(stock: Stock, toolchain: ArchiveId) -> bytes | Exception:
    return outcome(stock.use(toolchain, succeed(None)))  # type: ignore[no-any-return]
