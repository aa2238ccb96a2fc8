"""Rewrite a stranger's tar archive for programs that unpack it elsewhere: only what may be in one gets through.

What comes out means what :mod:`sccachedist.sandbox.archive.unpack` makes of the same archive: files, directories,
symlinks and hard links with their permission bits, all owned by root, no name that climbs. Nothing is kept on the way.
"""

import tarfile
from collections.abc import Iterator
from typing import BinaryIO

from sccachedist.sandbox.archive.beneath import components
from sccachedist.sandbox.archive.tally import DISK_BLOCK, Tally
from sccachedist.sandbox.archive.tar import BLOCK, Content, Member, MemberKind, read_archive
from sccachedist.sandbox.archive.unpack import LATEST_MTIME

END = bytes(2 * BLOCK)

_TYPES = {
    MemberKind.FILE: tarfile.REGTYPE,
    MemberKind.HARD_LINK: tarfile.LNKTYPE,
    MemberKind.SYMLINK: tarfile.SYMTYPE,
    MemberKind.DIRECTORY: tarfile.DIRTYPE,
}


def repacked(stream: BinaryIO, tally: Tally, *, whole: bool) -> Iterator[bytes]:
    """Yield the members in pieces, without an end: :data:`END` is for whoever adds the last one.

    :param tally: counts what is made of them.
    :param whole: whether they are all that there will be. Then each directory is written that one needs and none names:
        some programs make such directories so that only their owner can enter them.
    :raises DecodeError: the archive is not one that may be unpacked.
    :raises LimitExceeded: it is larger than allowed.
    """
    symlinks: set[bytes] = set()
    directories: set[int] = set()  # their hashes: names may be long, and many
    for member, content in read_archive(stream):
        tally.name(max(len(member.name), len(member.link)))
        name = _plain(member.name)
        if member.kind is MemberKind.SYMLINK:
            symlinks.add(name)
        for parent in _missing(name, member.kind is MemberKind.DIRECTORY, directories, tally):
            # What lies below a symlink may be one itself, where that leads: a directory would take its place.
            if whole and parent != name and symlinks.isdisjoint(_way_to(parent)):
                yield _header(parent, MemberKind.DIRECTORY, size=0, mode=0o755)
        # Unpackers put a directory in the place of a symlink to one; for us the symlink stays.
        if name and not (member.kind is MemberKind.DIRECTORY and name in symlinks):
            yield from _member(name, member, content, tally)


def _way_to(path: bytes) -> Iterator[bytes]:
    parts = path.split(b"/")
    return (b"/".join(parts[:depth]) for depth in range(1, len(parts) + 1))


def _missing(name: bytes, is_directory: bool, known: set[int], tally: Tally) -> list[bytes]:
    """Count what is made under a name; returns the directories that were not there before, outermost first."""
    made, parts = [], name.split(b"/")
    for depth in range(len(parts) - (not is_directory), 0, -1):
        path = b"/".join(parts[:depth])
        if hash(path) in known:
            break
        known.add(hash(path))
        tally.directory(depth)
        made.append(path)
    if not (is_directory and made):
        tally.entry()
    return made[::-1]


def file_member(name: str, content: bytes, mode: int) -> bytes:
    """Give the member for a file of our own."""
    return (
        _header(name.encode(), MemberKind.FILE, size=len(content), mode=mode) + content + bytes(-len(content) % BLOCK)
    )


def directory_member(name: str) -> bytes:
    """Give the member for a directory of our own, which everybody may enter."""
    return _header(name.encode(), MemberKind.DIRECTORY, size=0, mode=0o755)


def _member(name: bytes, member: Member, content: Content, tally: Tally) -> Iterator[bytes]:
    # Its owner keeps its rights to a directory, as when we unpack it ourselves.
    mode = member.mode & 0o777 | (0o700 if member.kind is MemberKind.DIRECTORY else 0)
    link = _plain(member.link) if member.kind is MemberKind.HARD_LINK else member.link
    yield _header(name, member.kind, size=member.size, mode=mode, mtime=min(member.mtime, LATEST_MTIME), link=link)
    for piece in content:
        tally.written(len(piece))
        yield piece
    tally.written(-member.size % DISK_BLOCK)
    yield bytes(-member.size % BLOCK)


def _plain(path: bytes) -> bytes:
    """Give a name without ``..``, which other programs take in other ways; the root has none."""
    plain: list[bytes] = []
    for name in components(path):
        if name == b"..":
            plain.pop()
        else:
            plain.append(name)
    return b"/".join(plain)


def _header(name: bytes, kind: MemberKind, *, size: int, mode: int, mtime: int = 0, link: bytes = b"") -> bytes:
    info = tarfile.TarInfo(_text(name))
    info.type, info.linkname, info.size, info.mode, info.mtime = _TYPES[kind], _text(link), size, mode, mtime
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
