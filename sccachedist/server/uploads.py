"""Toolchain archives that come in, from one client or from several at a time.

Every upload of a toolchain is kept until one of them is verified; none gives way to another that is not. They are kept
once, though: uploads that have sent the same bytes so far share a file, which the one that is farthest extends. What
another sends is compared with what is there. One that sends something else gets a file of its own from there on, so
that neither the slow nor the false hold the others up, and many clients that begin together are written to the disk
once.

When an upload has come to its end, its bytes are verified, be they the whole file or the beginning of it. The first
whose digest is right wins; what the others still send is passed over.
"""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from sccachedist.budgets import Budget, Party
from sccachedist.builders.interface import UploadObserver
from sccachedist.disks import on_disk
from sccachedist.errors import DiskError, LimitExceeded, ToolchainError
from sccachedist.files import NewFile
from sccachedist.wire.archive_id import ArchiveId, swapped_hex, toolchain_digest

InThread = Callable[..., Awaitable[Any]]
Follow = Callable[[ArchiveId, Path], UploadObserver]

#: Seconds without a byte after which nobody waits for an upload.
STALLED_SECS = 5.0
_PIECE = 1 << 20


class UploadContent:
    """What some uploads of a toolchain have sent alike: a file that grows.

    :param party: whom its bytes are charged to.
    :param begins_like: another content, and the number of bytes at its beginning that are this one's too.
    """

    def __init__(
        self, incoming: "Incoming", party: Party, begins_like: "UploadContent | None" = None, common_size: int = 0
    ) -> None:
        self.begins_like, self.common_size, self.size = begins_like, common_size, common_size
        self.uploads = 0
        self._incoming, self._party = incoming, party
        self._hash = None if common_size else toolchain_digest(incoming.toolchain)
        self._copying: Deferred[None] | None = None
        self._failure: BaseException | None = None
        self._room = incoming.disk.open(party, common_size)
        try:
            self._file = NewFile(incoming.directory, prefix=f"{incoming.toolchain[:16]}-")
        except BaseException:
            self._room.close()
            raise
        self.path = self._file.path
        self.follower = incoming.follow(self.path)
        if begins_like is not None and common_size:
            self._begin_like(begins_like, common_size)

    @property
    def is_complete(self) -> bool:
        """Whether all that it holds is in its file."""
        return self._copying is None

    def append(self, data: bytes, party: Party) -> None:
        """More has come, from one of the uploads.

        :raises LimitExceeded: neither who began it nor who sends this may have so much on the disk.
        :raises DiskError: the disk does not take it.
        """
        self._check()
        try:
            self._room.grow(len(data))
        except LimitExceeded:
            if party == self._party:
                raise
            room = self._incoming.disk.open(party, self.size + len(data))
            self._room.close()
            self._party, self._room = party, room
        self._file.write(data)
        if self._hash is not None:
            self._hash.update(data)
        self.size += len(data)
        if self.follower is not None:
            self.follower.received(self.size)

    def same(self, at: int, data: bytes) -> int:
        """How many bytes at the beginning of ``data`` are those that stand here.

        :raises DiskError: they cannot be read.
        """
        self._check()
        there = self._file.read_at(at, len(data))
        if there == data:
            return len(data)
        low, high = 0, min(len(there), len(data))  # the first difference lies between them
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if there[low:middle] == data[low:middle] else (low, middle - 1)
        return low

    async def digest(self, size: int) -> ArchiveId:
        """The archive id of so many bytes from its beginning.

        :raises DiskError: they cannot be read.
        """
        if self._hash is not None and size == self.size:
            return swapped_hex(self._hash.digest())
        if self._copying is not None:
            await self._copying
        self._check()
        digest: ArchiveId = await self._incoming.in_a_thread(
            _digest, self._incoming.toolchain, self._file.descriptor(), size, self.path
        )
        return digest

    def cut(self, size: int) -> None:
        """Keep so many bytes and no more.

        :raises DiskError: the disk does not do it.
        """
        if size < self.size:
            if self.follower is not None:
                self.follower.aborted()
                self.follower = None
            self._file.truncate(size)
            self.size, self._hash = size, None  # what has been hashed is not all there any more

    def fail(self, error: DiskError) -> None:
        """The disk did not keep it: what is there is of no use for those who still send."""
        self._failure = error

    def discard(self) -> None:
        """Nobody needs it any more, or it has gone into the cache."""
        if self.follower is not None:
            self.follower.aborted()
        self._room.close()
        self._file.discard()

    def _begin_like(self, other: "UploadContent", size: int) -> None:
        """Have the beginning copied while the rest comes in."""
        try:
            self._file.seek(size)
            source = other._file.descriptor()
            try:
                target = self._file.descriptor()
            except BaseException:
                os.close(source)
                raise
        except BaseException:
            self.discard()
            raise
        copying = self._incoming.in_a_thread(_copy, source, target, size, self.path)
        self._copying = Deferred.fromCoroutine(copying)
        self._copying.addCallbacks(self._copied, self._not_copied)

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _copied(self, _: object) -> None:
        self._copying = None

    def _not_copied(self, failure: Any) -> None:
        self._copying, self._failure = None, failure.value


class Incoming:
    """All that comes in of one toolchain.

    :param directory: where it is kept meanwhile.
    :param limit: how many bytes one archive may have.
    :param disk: what all of them may take on the disk.
    :param changed: told when an upload of it ends, and whether that was the last one.
    """

    def __init__(
        self,
        toolchain: ArchiveId,
        directory: Path,
        limit: int,
        disk: Budget,
        clock: IReactorTime,
        in_thread: InThread,
        follow: Follow,
        changed: Callable[["Incoming"], None],
    ) -> None:
        self.toolchain, self.directory, self.limit, self.disk, self.clock = toolchain, directory, limit, disk, clock
        self.is_over = False
        self.uploads: set[Upload] = set()
        self._contents: list[UploadContent] = []
        self._in_thread, self._follow, self._changed = in_thread, follow, changed

    def begin(self, party: Party) -> "Upload":
        """One more upload.

        :raises DiskError: there is no place for it.
        :raises LimitExceeded: its sender has too much on the disk already.
        """
        content = None
        if not self.is_over:
            content = next((each for each in self._contents if each.is_complete), None) or self.new_content(party)
        upload = Upload(self, party, content)
        self.uploads.add(upload)
        return upload

    @property
    def is_stalled(self) -> bool:
        """Whether no upload of it goes on."""
        return all(upload.is_stalled for upload in self.uploads)

    def follow(self, path: Path) -> UploadObserver | None:
        """What works on a content while it comes in; it does so on the first one alone, as long as there is that."""
        return None if self._contents else self._follow(self.toolchain, path)

    async def in_a_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Do something that blocks."""
        return await self._in_thread(work, *arguments)

    def new_content(
        self, party: Party, begins_like: UploadContent | None = None, common_size: int = 0
    ) -> UploadContent:
        """One more content, empty or with the beginning of another."""
        content = UploadContent(self, party, begins_like, common_size)
        self._contents.append(content)
        return content

    def other_content(self, content: UploadContent, size: int, following: bytes) -> UploadContent | None:
        """One that is like this so far, and goes on with these bytes."""
        for other in self._contents:
            if other.begins_like is content and other.common_size == size and other.same(size, following[:1]):
                return other
        return None

    def win(self) -> None:
        """One is verified and in the cache: nothing else is needed any more."""
        self.is_over = True
        for content in self._contents:
            content.discard()
        self._contents.clear()

    def leave(self, content: UploadContent | None) -> None:
        """An upload is over, or has gone to another content."""
        if content is not None:
            content.uploads -= 1
            if not content.uploads and content in self._contents:
                self._contents.remove(content)
                content.discard()

    def ended(self, upload: "Upload") -> None:
        """An upload is over."""
        self.uploads.discard(upload)
        self._changed(self)


class Upload:
    """An archive on its way in: the body of a ``submit_toolchain``.

    :param content: where its bytes go; None where the toolchain is here already, and they are passed over.
    """

    def __init__(self, incoming: Incoming, party: Party, content: UploadContent | None) -> None:
        self.incoming, self.size = incoming, 0
        self._party, self._content = party, content
        self._touched = incoming.clock.seconds()
        self._is_open = True
        if content is not None:
            content.uploads += 1

    @property
    def is_stalled(self) -> bool:
        """Whether nothing has come for so long that nobody need wait for it."""
        return self.incoming.clock.seconds() - self._touched > STALLED_SECS

    @property
    def content(self) -> UploadContent:
        """What it has sent, with more behind it perhaps that others have sent."""
        assert self._content is not None
        return self._content

    def write(self, chunk: bytes) -> None:
        """Store the next bytes, or see that they are there."""
        if self.size + len(chunk) > self.incoming.limit:
            raise LimitExceeded("toolchain_bytes", f"an archive of more than {self.incoming.limit} bytes")
        self._touched = self.incoming.clock.seconds()
        while chunk and not self.incoming.is_over:
            known = chunk[: max(0, self.content.size - self.size)]
            if not known:
                self.content.append(chunk, self._party)
                self.size += len(chunk)
                return
            same = self.content.same(self.size, known)
            self.size, chunk = self.size + same, chunk[same:]
            if same < len(known):
                self._part(chunk)
        self.size += len(chunk)

    def _part(self, chunk: bytes) -> None:
        """Go on with other bytes than those it was like so far."""
        before = self.content
        other = self.incoming.other_content(before, self.size, chunk)
        self._content = other or self.incoming.new_content(self._party, before, self.size)
        self._content.uploads += 1
        self.incoming.leave(before)

    def complete(self) -> "Upload":
        """All has come; whether it is the archive that it should be, :meth:`verify` finds out."""
        return self

    async def verify(self) -> None:
        """See that it is what it should be, unless the toolchain is here by now.

        :raises ToolchainError: its digest is not its name.
        :raises DiskError: it cannot be read.
        """
        if self.incoming.is_over:
            return
        if await self.content.digest(self.size) != self.incoming.toolchain and not self.incoming.is_over:
            raise ToolchainError(f"what was sent is not toolchain {self.incoming.toolchain}")

    def abort(self) -> None:
        """It is over: remove what no other upload needs and has not gone into the cache."""
        if self._is_open:
            self._is_open = False
            self.incoming.leave(self._content)
            self.incoming.ended(self)


def _copy(source: int, target: int, size: int, path: Path) -> None:
    """Copy bytes from the beginning of a file to that of another one; blocks, and closes both descriptors."""
    try:
        with on_disk(path.parent):
            for at in range(0, size, _PIECE):
                piece = os.pread(source, min(_PIECE, size - at), at)
                while piece:
                    written = os.pwrite(target, piece, at)
                    at, piece = at + written, piece[written:]
    finally:
        os.close(source)
        os.close(target)


def _digest(toolchain: ArchiveId, source: int, size: int, path: Path) -> ArchiveId:
    """The archive id of so many bytes of a file; blocks, and closes the descriptor."""
    digest = toolchain_digest(toolchain)
    try:
        with on_disk(path.parent):
            for at in range(0, size, _PIECE):
                digest.update(os.pread(source, min(_PIECE, size - at), at))
    finally:
        os.close(source)
    return swapped_hex(digest.digest())
