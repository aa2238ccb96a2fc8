"""A streaming reader of tar archives from clients: ustar, GNU long names, PAX. It checks every header.

Names and link targets come out as the bytes that the archive holds: :mod:`sccachedist.sandbox.archive.unpack` decides
whether they may be used. For any archive, memory is bounded by the largest size of a name and one chunk of content. The
holes of a sparse file come out as zeros. Nothing is made of a device, a FIFO or a socket.
"""

import enum
import re
from collections.abc import Iterator
from typing import BinaryIO

import attrs

from sccachedist.errors import DecodeError
from sccachedist.sandbox.archive.fields import BLOCK, decimal, exactly, natural, number, text
from sccachedist.sandbox.archive.sparse import SPARSE_KEYS, SparseMap, joined, sparse_map, sparse_name

CHUNK = 128 * 1024

_ZEROS = bytes(BLOCK)
_LONG_NAME_BYTES = 64 * 1024
_PAX_BYTES = 1024 * 1024
#: The zeros that an archive may leave out: like what is compressed, they cost a client nothing.
_HOLES_BYTES = 1024**3

# The keys of a PAX header that change what is unpacked. Owners and attributes are ignored.
_PAX_KEYS = (b"path", b"linkpath", b"size", b"mtime", *SPARSE_KEYS)
_PAX_TIME = re.compile(rb"-?[0-9]{1,18}(?=\.|\Z)")
_PAX_LENGTH = re.compile(rb"[1-9][0-9]{0,7} ")


class MemberKind(enum.Enum):
    """What kind of entry a member becomes; ``NOTHING``: none, its content is passed over."""

    FILE = enum.auto()
    HARD_LINK = enum.auto()
    SYMLINK = enum.auto()
    DIRECTORY = enum.auto()
    NOTHING = enum.auto()


# V7 wrote NUL for a file; "7" is a contiguous file, which POSIX lets a reader take for a plain one.
_KINDS = {
    b"0": MemberKind.FILE,
    b"\0": MemberKind.FILE,
    b"7": MemberKind.FILE,
    b"1": MemberKind.HARD_LINK,
    b"2": MemberKind.SYMLINK,
    b"5": MemberKind.DIRECTORY,
    b"S": MemberKind.FILE,  # GNU's old form of a sparse one
    b"D": MemberKind.DIRECTORY,  # GNU tar's, with a list of what was in it
    b"V": MemberKind.NOTHING,  # the label of GNU tar's volume
}

#: Character device, block device, FIFO, and what Rust's ``tar`` writes for a socket: none is made. But clients send the
#: preprocessed text of a source file under the type of that file, which may be a device (``gcc -x c /dev/null``) or a
#: link to one: with content the member is a regular file, as the published build server takes it.
_SPECIAL = (b"3", b"4", b"6", b" ")

#: Directories that a sandbox has of its own: what a compile reads there is there without the client.
_OF_SANDBOX = (b"dev", b"proc")


@attrs.frozen
class Member:
    """One entry: ``mode`` has twelve bits, ``mtime`` is in seconds, ``link`` is a link's target or empty."""

    name: bytes
    kind: MemberKind
    mode: int
    size: int
    mtime: int
    link: bytes


class Content:
    """The bytes of a file member: readable until the next member is asked for; what was not read is skipped.

    :param size: the bytes that the archive has of it.
    :param holes: where they belong; None for a file that is not sparse.
    """

    def __init__(self, stream: BinaryIO, size: int, holes: SparseMap | None = None) -> None:
        self._stream = stream
        self._left = size
        self._padding = -size % BLOCK
        self._holes = holes

    def __iter__(self) -> Iterator[bytes]:
        return self._stored(self._left) if self._holes is None else self._filled(self._holes)

    def skip(self) -> None:
        """Move the stream to where the next header begins."""
        for _ in self._stored(self._left):
            pass
        exactly(self._stream, self._padding)
        self._padding = 0

    def _stored(self, size: int) -> Iterator[bytes]:
        end = self._left - size
        while self._left > end:
            piece = exactly(self._stream, min(self._left - end, CHUNK))
            self._left -= len(piece)
            yield piece

    def _filled(self, holes: SparseMap) -> Iterator[bytes]:
        at = 0
        for offset, length in (*holes.segments, (holes.size, 0)):
            for begin in range(at, offset, CHUNK):
                yield bytes(min(CHUNK, offset - begin))
            yield from self._stored(length)
            at = offset + length


def read_archive(stream: BinaryIO) -> Iterator[tuple[Member, Content]]:
    """Yield each member with its content, until two blocks of zeros or a clean end of the stream.

    :raises DecodeError: the archive is damaged, cut off, or holds what cannot be unpacked. Errors of the
        stream itself pass through.
    """
    everywhere: dict[bytes, bytes] = {}
    hole_bytes = 0
    here: dict[bytes, bytes] = {}
    while header := _next_header(stream):
        flag = header[156:157]
        if flag in b"LK":
            here[b"path" if flag == b"L" else b"linkpath"] = _long_name(stream, header)
        elif flag == b"x":
            here |= _pax(stream, header)
        elif flag == b"g":
            everywhere |= _pax(stream, header)
        else:
            member, stored = _member(header, everywhere | here)
            content = Content(stream, stored)
            if member.kind is MemberKind.FILE and (found := sparse_map(stream, header, everywhere | here, stored)):
                holes, stored = found
                hole_bytes += holes.size - stored
                if hole_bytes > _HOLES_BYTES:
                    raise DecodeError(f"the sparse members have holes of more than {_HOLES_BYTES >> 20} MiB")
                member, content = attrs.evolve(member, size=holes.size), Content(stream, stored, holes)
            elif member.kind is MemberKind.DIRECTORY:
                content.skip()
            yield member, content
            content.skip()
            here = {}
    if here:
        raise DecodeError("the archive ends after an extended header")


def _next_header(stream: BinaryIO) -> bytes | None:
    """Read a header and check its checksum; None at the end of the archive."""
    header = stream.read(BLOCK)
    if not header:
        return None
    if header == _ZEROS:
        if stream.read(BLOCK) not in (b"", _ZEROS):
            raise DecodeError("a lone block of zeros in the archive")
        return None
    if len(header) < BLOCK:
        raise DecodeError("the archive is cut off in a header")
    if natural(header[148:156]) != sum(header) - sum(header[148:156]) + 8 * ord(" "):
        raise DecodeError("a header's checksum does not match")
    return header


def _member(header: bytes, extended: dict[bytes, bytes]) -> tuple[Member, int]:
    """Return a member, and how many bytes of it follow."""
    name = sparse_name(extended) or extended.get(b"path") or _header_name(header)
    flag = header[156:157]
    kind = _kind_of_special(name, _size(header, extended)) if flag in _SPECIAL else _KINDS.get(flag)
    if kind is None:
        raise DecodeError(f"a member of type {flag!r} is not unpacked: {name[:200]!r}")
    if kind is MemberKind.FILE and name.endswith(b"/"):
        kind = MemberKind.DIRECTORY  # as V7 wrote them
    if not name or b"\0" in name:
        raise DecodeError("a member without a usable name")
    stored = _size(header, extended) if kind in (MemberKind.FILE, MemberKind.NOTHING) or flag == b"D" else 0
    member = Member(
        name=name,
        kind=kind,
        mode=natural(header[100:108]) & 0o7777,
        size=0 if kind is MemberKind.DIRECTORY else stored,
        mtime=_time(header, extended),
        link=_link(header, extended) if kind in (MemberKind.HARD_LINK, MemberKind.SYMLINK) else b"",
    )
    return member, stored


def _time(header: bytes, extended: dict[bytes, bytes]) -> int:
    """The whole seconds; a PAX header that holds no number is ignored, because it changes no content."""
    told = _PAX_TIME.match(extended.get(b"mtime", b""))
    return number(header[136:148]) if told is None else int(told[0])


def _kind_of_special(name: bytes, size: int) -> MemberKind:
    """Return what a device or the like becomes."""
    first = next((part for part in name.split(b"/") if part not in (b"", b".")), b"")
    return MemberKind.FILE if size and first not in _OF_SANDBOX else MemberKind.NOTHING


def _header_name(header: bytes) -> bytes:
    name = text(header[:100])
    # GNU's own format keeps other things where ustar has the prefix.
    prefix = text(header[345:500]) if header[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _link(header: bytes, extended: dict[bytes, bytes]) -> bytes:
    link = extended.get(b"linkpath") or text(header[157:257])
    if not link or b"\0" in link:
        raise DecodeError("a link without a usable target")
    return link


def _size(header: bytes, extended: dict[bytes, bytes]) -> int:
    told = extended.get(b"size")
    return natural(header[124:136]) if told is None else decimal(told)


def _long_name(stream: BinaryIO, header: bytes) -> bytes:
    return text(_extension(stream, header, _LONG_NAME_BYTES))


def _pax(stream: BinaryIO, header: bytes) -> dict[bytes, bytes]:
    """Read records of the form ``LENGTH KEY=VALUE NEWLINE`` and return those of :data:`_PAX_KEYS`."""
    data = _extension(stream, header, _PAX_BYTES)
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(data):
        prefix = _PAX_LENGTH.match(data, at)
        end = at + int(prefix[0]) if prefix else 0
        record = data[prefix.end() : end] if prefix and end <= len(data) else b""
        key, equals, value = record[:-1].partition(b"=")
        if not equals or record[-1:] != b"\n":
            raise DecodeError("a PAX header is malformed")
        if key in _PAX_KEYS:
            joined(found, key, value)
        at = end
    return found


def _extension(stream: BinaryIO, header: bytes, most: int) -> bytes:
    size = natural(header[124:136])
    if size > most:
        raise DecodeError("an extended header is too large")
    return exactly(stream, size + -size % BLOCK)[:size]
