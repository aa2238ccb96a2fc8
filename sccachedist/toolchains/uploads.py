"""Receives uploads of toolchain archives, from one client or several at a time.

Every upload of a toolchain is kept until one is verified: an unverified upload never replaces another. Uploads that
have sent the same bytes so far share one file. The farthest upload extends it; bytes of the others are compared with
it. An upload that sends other bytes gets its own file from there on. So neither a slow nor a false upload delays the
others, and the bytes of many clients that begin together are written to the disk once.

When an upload ends, its bytes are verified: they are the whole file or its beginning. The first upload with the right
digest wins; further bytes of the others are ignored. Where the archive goes then is not known here:
:mod:`sccachedist.toolchains.cache` moves it.
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

#: Seconds without a byte after which no job waits for an upload.
STALLED_SECS = 5.0
_PIECE = 1 << 20


class UploadContent:
    """A growing file with the bytes that some uploads of a toolchain have in common.

    :param party: is charged for its bytes.
    :param begins_like: another content whose first ``common_size`` bytes are this one's too.
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
        """Whether all its bytes are in its file: no copy from another content is under way, and no disk has failed."""
        return self._copying is None and self._failure is None

    def append(self, data: bytes, party: Party) -> None:
        """Add bytes from one of the uploads, charged to the party so far or else to ``party``.

        :raises LimitExceeded: neither party may have so much on the disk.
        :raises DiskError: the disk is full or fails.
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
        self._write(data)
        if self._hash is not None:
            self._hash.update(data)
        self.size += len(data)
        if self.follower is not None:
            self.follower.received(self.size)

    def same(self, at: int, data: bytes) -> int:
        """Return how many bytes of ``data`` equal those in the file from ``at`` on, up to the first difference.

        :raises DiskError: the file cannot be read.
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
        """Return the archive id of the first ``size`` bytes.

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
        """Truncate the file to ``size`` bytes.

        :raises DiskError: that fails.
        """
        if size < self.size:
            if self.follower is not None:
                self.follower.aborted()
                self.follower = None
            self._file.truncate(size)
            self.size, self._hash = size, None  # the hash covers bytes that were cut off

    def fail(self, error: DiskError) -> None:
        """Have every upload that still uses this content fail with an error of the disk."""
        self._failure = error

    def discard(self) -> None:
        """Release the file and its charge: no upload uses it any more, or it was moved to the cache."""
        if self.follower is not None:
            self.follower.aborted()
        self._room.close()
        self._file.discard()

    def _write(self, data: bytes) -> None:
        """Write all of a piece or nothing: what a disk takes of it before it is full is no part of what others add."""
        try:
            self._file.write(data)
        except DiskError:
            self._room.shrink(len(data))
            try:
                self._file.truncate(self.size)
                self._file.seek(self.size)
            except DiskError as error:
                self.fail(error)
            raise

    def _begin_like(self, other: "UploadContent", size: int) -> None:
        """Copy the beginning from another content in a thread, while the rest arrives."""
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
    """All uploads of one toolchain.

    :param directory: gets their files.
    :param limit: how many bytes one archive may have.
    :param disk: the budget for all uploads.
    :param changed: called with this object when one of its uploads ends.
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
        """Begin another upload.

        :raises DiskError: no file can be made for it.
        :raises LimitExceeded: its sender has too much on the disk already.
        """
        content = None
        if not self.is_over:
            content = next((each for each in self._contents if each.is_complete), None) or self.new_content(party)
        upload = Upload(self, party, content)
        self.uploads.add(upload)
        return upload

    @property
    def size(self) -> int:
        """The bytes that are there, of the upload with the most."""
        return max((content.size for content in self._contents), default=0)

    @property
    def is_stalled(self) -> bool:
        """Whether all uploads have stalled."""
        return all(upload.is_stalled for upload in self.uploads)

    def follow(self, path: Path) -> UploadObserver | None:
        """Return an observer for a new content, unless there is a content already: only the first is followed."""
        return None if self._contents else self._follow(self.toolchain, path)

    async def in_a_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Run a blocking function in a thread."""
        return await self._in_thread(work, *arguments)

    def new_content(
        self, party: Party, begins_like: UploadContent | None = None, common_size: int = 0
    ) -> UploadContent:
        """Add a content, empty or with the beginning of another."""
        content = UploadContent(self, party, begins_like, common_size)
        self._contents.append(content)
        return content

    def other_content(self, content: UploadContent, size: int, following: bytes) -> UploadContent | None:
        """Return a content that branched off here too and has the same next byte, if there is one."""
        for other in self._contents:
            if other.begins_like is content and other.common_size == size and other.same(size, following[:1]):
                return other
        return None

    def win(self) -> None:
        """Discard all contents: the archive is verified and in the cache."""
        self.is_over = True
        for content in self._contents:
            content.discard()
        self._contents.clear()

    def leave(self, content: UploadContent | None) -> None:
        """Note that an upload no longer uses a content; the last one discards it."""
        if content is not None:
            content.uploads -= 1
            if not content.uploads and content in self._contents:
                self._contents.remove(content)
                content.discard()

    def ended(self, upload: "Upload") -> None:
        """Note that an upload is over."""
        self.uploads.discard(upload)
        self._changed(self)


class Upload:
    """One upload of an archive: the body of a ``submit_toolchain``.

    :param content: takes its bytes; None if the toolchain is here already: then they are ignored.
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
        """Whether no byte has arrived for more than :data:`STALLED_SECS`."""
        return self.incoming.clock.seconds() - self._touched > STALLED_SECS

    @property
    def content(self) -> UploadContent:
        """The content that begins with this upload's bytes; faster uploads may have added more."""
        assert self._content is not None
        return self._content

    def write(self, chunk: bytes) -> None:
        """Store the next bytes, or compare them with what is stored already."""
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
        """Change to another content, because the next bytes differ from the present one."""
        before = self.content
        other = self.incoming.other_content(before, self.size, chunk)
        self._content = other or self.incoming.new_content(self._party, before, self.size)
        self._content.uploads += 1
        self.incoming.leave(before)

    def complete(self) -> "Upload":
        """Return the upload, which is at its end; :meth:`verify` checks its bytes."""
        return self

    async def verify(self) -> None:
        """Check that the digest is the toolchain's archive id, unless the toolchain is here by now.

        :raises ToolchainError: it is not.
        :raises DiskError: the bytes cannot be read.
        """
        if self.incoming.is_over:
            return
        if await self.content.digest(self.size) != self.incoming.toolchain and not self.incoming.is_over:
            raise ToolchainError(f"what was sent is not toolchain {self.incoming.toolchain}")

    def abort(self) -> None:
        """End the upload, and discard its content unless others use it or the cache has it. May be called again."""
        if self._is_open:
            self._is_open = False
            self.incoming.leave(self._content)
            self.incoming.ended(self)


def _copy(source: int, target: int, size: int, path: Path) -> None:
    """Copy the first ``size`` bytes of a file to the beginning of another; blocks, and closes both descriptors."""
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
    """Return the archive id of the first ``size`` bytes of a file; blocks, and closes the descriptor."""
    digest = toolchain_digest(toolchain)
    try:
        with on_disk(path.parent):
            for at in range(0, size, _PIECE):
                digest.update(os.pread(source, min(_PIECE, size - at), at))
    finally:
        os.close(source)
    return swapped_hex(digest.digest())
