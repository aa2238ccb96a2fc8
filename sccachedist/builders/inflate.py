"""Compressed streams from strangers: gzip for toolchains, zlib for inputs, both as plain readable files.

No call unpacks more than it was asked for, and a stream that unpacks to more than its limit ends in an error
before the excess is handed out. It does not know what the bytes mean.
"""

import io
import os
import zlib
from typing import BinaryIO

from sccachedist.builders.deflate import DamagedStream, fastest
from sccachedist.errors import DecodeError, LimitExceeded

CHUNK = 256 * 1024

#: What any archive may unpack to, however small it was sent: a file of one letter packs a thousand times smaller.
FREE_BYTES = 64 * 1024 * 1024

_GZIP = 16 + zlib.MAX_WBITS
_ZLIB = zlib.MAX_WBITS


def unpacked_limit(key: str, most: int, ratio: int, packed: BinaryIO) -> tuple[str, int]:
    """Give the bytes that may come out of a file, and the key under ``[limits]`` that says so.

    :param key: the key of ``most``.
    :param ratio: ``compression_ratio``.
    """
    by_ratio = max(FREE_BYTES, ratio * os.fstat(packed.fileno()).st_size)
    return ("compression_ratio", by_ratio) if by_ratio < most else (key, most)


def gunzip(packed: BinaryIO, limit: str, most: int) -> BinaryIO:
    """Read a gzip file of one or more members; zeros behind the last one are padding.

    :param limit: the key under ``[limits]`` that :class:`LimitExceeded` names.
    :param most: bytes that may come out.
    """
    return io.BufferedReader(_Inflated(packed, _GZIP, limit, most), CHUNK)


def inflate(packed: BinaryIO, limit: str, most: int) -> BinaryIO:
    """Read one zlib stream; what stands behind its end is ignored. Parameters as for :func:`gunzip`."""
    return io.BufferedReader(_Inflated(packed, _ZLIB, limit, most), CHUNK)


class _Inflated(io.RawIOBase):
    def __init__(self, packed: BinaryIO, form: int, limit: str, most: int) -> None:
        super().__init__()
        self._packed = packed
        self._pending = b""  # read from packed, not inflated yet
        self._form = form
        self._limit = limit
        self._left = most
        self._stream = fastest.decompressobj(form)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the front of ``buffer``; 0 is the clean end of the stream."""
        while not self._stream.eof or self._next_member():
            if piece := self._inflate(len(buffer)):
                self._left -= len(piece)
                if self._left < 0:
                    raise LimitExceeded(self._limit, "an archive unpacks to more bytes than allowed")
                buffer[: len(piece)] = piece
                return len(piece)
        return 0

    def _inflate(self, most: int) -> bytes:
        packed = self._pending or self._packed.read(CHUNK)
        try:
            piece = self._stream.decompress(packed, most)
        except DamagedStream as error:
            raise DecodeError(f"a compressed stream is damaged: {error}") from error
        if not packed and not piece and not self._stream.eof:
            raise DecodeError("a compressed stream is cut off")
        self._pending = self._stream.unconsumed_tail
        return piece

    def _next_member(self) -> bool:
        """Begin the next gzip member, if there is one."""
        if self._form != _GZIP:
            return False
        rest = self._stream.unused_data.lstrip(b"\0")
        while not rest and (more := self._packed.read(CHUNK)):
            rest = more.lstrip(b"\0")
        self._pending = rest
        self._stream = fastest.decompressobj(self._form) if rest else self._stream
        return bool(rest)
