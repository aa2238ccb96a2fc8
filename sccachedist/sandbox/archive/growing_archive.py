"""Reads an archive during its upload, in a sandbox worker: a file that ends when the archive is whole.

Synchronous. The daemon writes to a stream how much is there (:mod:`sccachedist.builders.upload_follower`). What is in
the archive is not known here.
"""

from typing import BinaryIO

from sccachedist.builders.worker_protocol import ARRIVED, Arrived, read_frame
from sccachedist.errors import BuildError
from sccachedist.outcomes import SentLocal
from sccachedist.wire.bincode import decode


class GrowingArchive:
    """How much of an archive is there.

    :param news: a stream with frames of :class:`~sccachedist.builders.worker_protocol.Arrived`.
    """

    def __init__(self, news: BinaryIO) -> None:
        self._news = news
        self._last = Arrived(0, whole=False)

    @property
    def size(self) -> int:
        """The bytes that are there so far."""
        return self._last.size

    def goes_on(self) -> bool:
        """Wait for more; returns False if the archive is whole and verified.

        :raises BuildError: the daemon has ended.
        """
        if self._last.whole:
            return False
        if (news := read_frame(self._news)) is None:
            raise BuildError(SentLocal.SHUTDOWN, "the daemon has gone")
        self._last = decode(ARRIVED, news)
        return True


class GrowingFile:
    """The file of an archive during its upload, as :class:`~sccachedist.sandbox.archive.compression.Packed`."""

    def __init__(self, file: BinaryIO, growing: GrowingArchive) -> None:
        self._file, self._growing, self._at = file, growing, 0

    def read(self, size: int) -> bytes:
        """Wait until there is something, and return at most ``size`` bytes; none at the end of the whole archive."""
        while self._at >= self._growing.size and self._growing.goes_on():
            pass
        piece = self._file.read(min(size, self._growing.size - self._at))
        self._at += len(piece)
        return piece
