"""Rewrites a client's tar archive for a program that unpacks it elsewhere: only allowed members get through.

The new archive means what :mod:`sccachedist.sandbox.archive.unpack` makes of the old one: files, directories,
symlinks and hard links with their permission bits, all owned by root, no name with ``..``. No content is stored on the
way. Where it is unpacked is not known here.
"""

import tarfile
from collections.abc import Iterator
from typing import BinaryIO

from sccachedist.sandbox.archive.fields import BLOCK
from sccachedist.sandbox.archive.tally import DISK_BLOCK, Tally
from sccachedist.sandbox.archive.tar import Content, Member, MemberKind, read_archive
from sccachedist.sandbox.archive.unpack import usual_time
from sccachedist.sandbox.beneath import components

END = bytes(2 * BLOCK)

_TYPES = {
    MemberKind.FILE: tarfile.REGTYPE,
    MemberKind.HARD_LINK: tarfile.LNKTYPE,
    MemberKind.SYMLINK: tarfile.SYMTYPE,
    MemberKind.DIRECTORY: tarfile.DIRTYPE,
}


def repacked(stream: BinaryIO, tally: Tally, *, whole: bool) -> Iterator[bytes]:
    """Yield the new archive in pieces, without :data:`END`: the caller may add members and adds that.

    :param tally: counts what the other program will make.
    :param whole: whether the archive is unpacked into an empty directory. Then parent directories that no member names
        are added: some programs would make them so that only their owner can enter them.
    :raises DecodeError: the archive is damaged, or holds what may not be unpacked.
    :raises LimitExceeded: it is larger than allowed.
    """
    symlinks: set[bytes] = set()
    directories: set[int] = set()  # hashes of names: there may be many long ones
    for member, content in read_archive(stream):
        tally.name(max(len(member.name), len(member.link)))
        if member.kind is MemberKind.NOTHING:
            tally.entry()
            continue
        name = _plain(member.name)
        if member.kind is MemberKind.SYMLINK:
            symlinks.add(name)
        for parent in _missing(name, member.kind is MemberKind.DIRECTORY, directories, tally):
            # Not below a symlink: where that leads, the parent may be a symlink too, and a directory would replace it.
            if whole and parent != name and symlinks.isdisjoint(_way_to(parent)):
                yield _header(parent, MemberKind.DIRECTORY, size=0, mode=0o755)
        # Other programs replace a symlink to a directory by a directory member; unpack keeps the symlink, so this does.
        if name and not (member.kind is MemberKind.DIRECTORY and name in symlinks):
            yield from _member(name, member, content, tally)


def _way_to(path: bytes) -> Iterator[bytes]:
    parts = path.split(b"/")
    return (b"/".join(parts[:depth]) for depth in range(1, len(parts) + 1))


def _missing(name: bytes, is_directory: bool, known: set[int], tally: Tally) -> list[bytes]:
    """Count what a member makes; returns the directories that are new with it, outermost first."""
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
    """Return a member for a file that the caller adds."""
    return (
        _header(name.encode(), MemberKind.FILE, size=len(content), mode=mode) + content + bytes(-len(content) % BLOCK)
    )


def directory_member(name: str) -> bytes:
    """Return a member for a directory that the caller adds and that every user may enter."""
    return _header(name.encode(), MemberKind.DIRECTORY, size=0, mode=0o755)


def _member(name: bytes, member: Member, content: Content, tally: Tally) -> Iterator[bytes]:
    # The owner always has all rights to a directory, as unpack has it.
    mode = member.mode & 0o777 | (0o700 if member.kind is MemberKind.DIRECTORY else 0)
    link = _plain(member.link) if member.kind is MemberKind.HARD_LINK else member.link
    yield _header(name, member.kind, size=member.size, mode=mode, mtime=usual_time(member.mtime), link=link)
    for number, piece in enumerate(content):
        if not number and mode & 0o111:
            tally.executable(piece)
        tally.written(len(piece))
        yield piece
    tally.written(-member.size % DISK_BLOCK)
    yield bytes(-member.size % BLOCK)


def _plain(path: bytes) -> bytes:
    """Return a name without ``..``, which programs resolve in different ways; empty for the root itself."""
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
