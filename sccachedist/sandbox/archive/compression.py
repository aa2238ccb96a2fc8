"""Decompresses streams from clients, gzip for toolchains and zlib for inputs, as plain readable files.

No call inflates more than it was asked for. A stream that inflates beyond its limit ends in an error before the excess
is handed out. It does not know what the bytes mean.
"""

import io
import zlib
from typing import BinaryIO, Protocol

from sccachedist.errors import DecodeError, LimitExceeded
from sccachedist.sandbox.archive.fastest_zlib import DamagedStream, fastest

CHUNK = 128 * 1024

#: Bytes that any archive may inflate to, however small it is: a file of one repeated letter packs 1000 times smaller.
FREE_BYTES = 64 * 1024 * 1024

_GZIP = 16 + zlib.MAX_WBITS
_ZLIB = zlib.MAX_WBITS


class Packed(Protocol):
    """A compressed file."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes, none at the end."""


def gunzip(packed: Packed, limit: str, most: int, ratio: int) -> BinaryIO:
    """Read a gzip file of one or more members; zeros behind the last one are padding.

    :param limit: the key under ``[limits]`` that :class:`LimitExceeded` names.
    :param most: bytes that may come out.
    :param ratio: ``compression_ratio``: the most bytes out for each byte in, checked at any time beyond
        :data:`FREE_BYTES`: so a bomb in a large file ends early too.
    """
    return io.BufferedReader(_Inflated(packed, _GZIP, limit, most, ratio), CHUNK)


def inflate(packed: Packed, limit: str, most: int, ratio: int) -> BinaryIO:
    """Read one zlib stream; bytes behind its end are ignored. Parameters as for :func:`gunzip`."""
    return io.BufferedReader(_Inflated(packed, _ZLIB, limit, most, ratio), CHUNK)


class _Inflated(io.RawIOBase):
    def __init__(self, packed: Packed, form: int, limit: str, most: int, ratio: int) -> None:
        super().__init__()
        self._packed = packed
        self._pending = b""  # read from packed, not inflated yet
        self._form = form
        self._limit, self._most, self._ratio = limit, most, ratio
        self._read = self._size = 0
        self._stream = fastest.decompressobj(form)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the front of ``buffer``; 0 is the clean end of the stream."""
        while not self._stream.eof or self._next_member():
            if piece := self._inflate(len(buffer)):
                self._size += len(piece)
                self._check()
                buffer[: len(piece)] = piece
                return len(piece)
        return 0

    def _check(self) -> None:
        if self._size > self._most:
            raise LimitExceeded(self._limit, "an archive unpacks to more bytes than allowed")
        inflated = self._read - len(self._pending)
        if self._size > FREE_BYTES and self._size > self._ratio * inflated:
            reason = f"{inflated} bytes of an archive unpack to {self._size}: more than {self._ratio} times as many"
            raise LimitExceeded("compression_ratio", reason)

    def _more(self) -> bytes:
        packed = self._packed.read(CHUNK)
        self._read += len(packed)
        return packed

    def _inflate(self, most: int) -> bytes:
        packed = self._pending or self._more()
        try:
            piece = self._stream.decompress(packed, most)
        except DamagedStream as error:
            raise DecodeError(f"a compressed stream is damaged: {error}") from error
        if not packed and not piece and not self._stream.eof:
            raise DecodeError("a compressed stream is cut off")
        self._pending = self._stream.unconsumed_tail
        return piece

    def _next_member(self) -> bool:
        """Begin the next gzip member; returns whether there is one."""
        if self._form != _GZIP:
            return False
        rest = self._stream.unused_data.lstrip(b"\0")
        while not rest and (more := self._more()):
            rest = more.lstrip(b"\0")
        self._pending = rest
        self._stream = fastest.decompressobj(self._form) if rest else self._stream
        return bool(rest)
