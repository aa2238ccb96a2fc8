"""A streaming reader of tar archives from clients: ustar, GNU long names, PAX. It checks every header.

Names and link targets come out as the bytes that the archive holds: :mod:`sccachedist.sandbox.archive.unpack` decides
whether they may be used. For any archive, memory is bounded by the largest size of a name and one chunk of content. A
sparse file is an error. Nothing is made of a device, a FIFO or a socket.
"""

import enum
import re
from collections.abc import Iterator
from typing import BinaryIO

import attrs

from sccachedist.errors import DecodeError

BLOCK = 512
CHUNK = 128 * 1024

_ZEROS = bytes(BLOCK)
_LONG_NAME_BYTES = 64 * 1024
_PAX_BYTES = 1024 * 1024
_LARGEST = 2**63 - 1

# The keys of a PAX header that change what is unpacked. Times, owners and attributes are ignored.
_PAX_KEYS = (b"path", b"linkpath", b"size")
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
    """The bytes of a file member: readable until the next member is asked for; what was not read is skipped."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._left = size
        self._padding = -size % BLOCK

    def __iter__(self) -> Iterator[bytes]:
        while self._left:
            piece = _exactly(self._stream, min(self._left, CHUNK))
            self._left -= len(piece)
            yield piece

    def skip(self) -> None:
        """Move the stream to where the next header begins."""
        for _ in self:
            pass
        _exactly(self._stream, self._padding)
        self._padding = 0


def read_archive(stream: BinaryIO) -> Iterator[tuple[Member, Content]]:
    """Yield each member with its content, until two blocks of zeros or a clean end of the stream.

    :raises DecodeError: the archive is damaged, cut off, or holds what cannot be unpacked. Errors of the
        stream itself pass through.
    """
    everywhere: dict[bytes, bytes] = {}
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
            member = _member(header, everywhere | here)
            content = Content(stream, member.size)
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
    if _number(header[148:156]) != sum(header) - sum(header[148:156]) + 8 * ord(" "):
        raise DecodeError("a header's checksum does not match")
    return header


def _member(header: bytes, extended: dict[bytes, bytes]) -> Member:
    name = extended.get(b"path") or _header_name(header)
    flag = header[156:157]
    kind = _kind_of_special(name, _size(header, extended)) if flag in _SPECIAL else _KINDS.get(flag)
    if kind is None:
        raise DecodeError(f"a member of type {flag!r} is not unpacked: {name[:200]!r}")
    if kind is MemberKind.FILE and name.endswith(b"/"):
        kind = MemberKind.DIRECTORY  # as V7 wrote them
    if not name or b"\0" in name:
        raise DecodeError("a member without a usable name")
    return Member(
        name=name,
        kind=kind,
        mode=_number(header[100:108]) & 0o7777,
        size=_size(header, extended) if kind in (MemberKind.FILE, MemberKind.NOTHING) else 0,
        mtime=_number(header[136:148]),
        link=_link(header, extended) if kind in (MemberKind.HARD_LINK, MemberKind.SYMLINK) else b"",
    )


def _kind_of_special(name: bytes, size: int) -> MemberKind:
    """Return what a device or the like becomes."""
    first = next((part for part in name.split(b"/") if part not in (b"", b".")), b"")
    return MemberKind.FILE if size and first not in _OF_SANDBOX else MemberKind.NOTHING


def _header_name(header: bytes) -> bytes:
    name = _text(header[:100])
    # GNU's own format keeps other things where ustar has the prefix.
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _link(header: bytes, extended: dict[bytes, bytes]) -> bytes:
    link = extended.get(b"linkpath") or _text(header[157:257])
    if not link or b"\0" in link:
        raise DecodeError("a link without a usable target")
    return link


def _size(header: bytes, extended: dict[bytes, bytes]) -> int:
    text = extended.get(b"size")
    if text is None:
        return _number(header[124:136])
    if not re.fullmatch(rb"[0-9]{1,19}", text) or int(text) > _LARGEST:
        raise DecodeError("a member's size in a PAX header is not a number")
    return int(text)


def _number(field: bytes) -> int:
    """Read an octal or a base-256 number; one that is negative or above the largest file size is an error."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") - (0x80 << 8 * (len(field) - 1))
        if field[0] & 0x40 or value > _LARGEST:
            raise DecodeError("a number in a header is out of range")
        return value
    digits = field.strip(b" \0")
    if not re.fullmatch(rb"[0-7]*", digits):
        raise DecodeError("a number in a header is not octal")
    return int(digits or b"0", 8)


def _long_name(stream: BinaryIO, header: bytes) -> bytes:
    return _text(_extension(stream, header, _LONG_NAME_BYTES))


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
        if key.startswith(b"GNU.sparse."):
            raise DecodeError("sparse members are not unpacked")
        if key in _PAX_KEYS:
            found[key] = value
        at = end
    return found


def _extension(stream: BinaryIO, header: bytes, most: int) -> bytes:
    size = _number(header[124:136])
    if size > most:
        raise DecodeError("an extended header is too large")
    return _exactly(stream, size + -size % BLOCK)[:size]


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise DecodeError("the archive is cut off")
    return data
