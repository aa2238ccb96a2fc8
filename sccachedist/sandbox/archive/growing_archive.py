"""An archive that comes in, from the side of a sandbox worker: a file to read that ends when the archive is whole.

Synchronous. The daemon says on a stream how far it has come. What is in it is not known here.
"""

from typing import BinaryIO

from sccachedist.builders.worker_protocol import ARRIVED, Arrived, read_frame
from sccachedist.errors import BuildError
from sccachedist.wire.bincode import decode


class GrowingArchive:
    """How far an archive has come.

    :param news: frames of :class:`~sccachedist.builders.worker_protocol.Arrived`.
    """

    def __init__(self, news: BinaryIO) -> None:
        self._news = news
        self._last = Arrived(0, whole=False)

    @property
    def size(self) -> int:
        """The bytes that are there."""
        return self._last.size

    def goes_on(self) -> bool:
        """Wait for more; False where there is none, for the archive is what it should be.

        :raises BuildError: nobody says any more how far it has come.
        """
        if self._last.whole:
            return False
        if (news := read_frame(self._news)) is None:
            raise BuildError("the daemon has gone")
        self._last = decode(ARRIVED, news)
        return True


class GrowingFile:
    """The file of an archive that comes in."""

    def __init__(self, file: BinaryIO, growing: GrowingArchive) -> None:
        self._file, self._growing, self._at = file, growing, 0

    def read(self, size: int) -> bytes:
        """At most so many bytes of what is there, waited for where nothing is; none at the end of the whole archive."""
        while self._at >= self._growing.size and self._growing.goes_on():
            pass
        piece = self._file.read(min(size, self._growing.size - self._at))
        self._at += len(piece)
        return piece
