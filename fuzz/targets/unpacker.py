"""Archives: inflated, read, unpacked with both ways to look names up, written again, and removed.

The first byte says how the rest is packed (not at all, by gzip or by zlib), and in how many parts packed bytes arrive.
Unpacked headers get right checksums, which a fuzzer would not find. The files are unpacked beside others that must not
be touched, and the result must be the same for both ways to look names up.
"""

import contextlib
import functools
import io
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from fuzz.places import scratch
from sccachedist.errors import BuildError, DecodeError, LimitExceeded
from sccachedist.sandbox.archive.compression import gunzip, inflate
from sccachedist.sandbox.archive.fields import BLOCK
from sccachedist.sandbox.archive.growing_archive import GrowingFile
from sccachedist.sandbox.archive.repack import END, repacked
from sccachedist.sandbox.archive.tally import MemberLimits, Tally
from sccachedist.sandbox.archive.tar import read_archive
from sccachedist.sandbox.archive.unpack import unpack
from sccachedist.sandbox.beneath import DIRECTORY, Lookup, Root, openat2, walk
from sccachedist.sandbox.overlay.layout import TOOLCHAINS
from sccachedist.sandbox.overlay.toolchain_store import remove_toolchain, swept
from tests.sandbox.archives import file, growing, gzipped, member, pax, raw_header, tar
from tests.support.exchanges import exchange

MOST = 1 << 20
ENTRIES = MemberLimits("inputs_entries", 200, path_bytes=4095)
SECRET = b"nobody reads this"

_REFUSALS = (DecodeError, LimitExceeded)
_LOOKUPS: dict[str, Lookup] = {"openat2": openat2, "walk": walk}
_RIGHTS = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX


def seeds() -> Iterator[bytes]:
    """Archives with everything that an archive may hold, and some things that it may not."""
    tree = (
        member("usr", tarfile.DIRTYPE, mode=0o4755),
        file("usr/a", b"content", 0o6755),
        member("lib", tarfile.SYMTYPE, "/usr"),
        member("up", tarfile.SYMTYPE, "../.."),
        file("lib/b", b"more"),
        member("up/secret", tarfile.LNKTYPE, "usr/a"),
    )
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT):
        yield b"\0" + tar(*tree, form=form).rstrip(b"\0")
    yield b"\0" + tar(file("long/" * 30 + "name", b"x"), member("l", tarfile.SYMTYPE, "t" * 120)).rstrip(b"\0")
    records = pax(path="usr/other", size="3")
    yield b"\0" + raw_header(b"x", b"x", b"%011o\0" % len(records)) + records.ljust(512, b"\0") + raw_header() + b"abc"
    yield b"\0" + raw_header(b"../secret") + raw_header(b"null", b"3") + raw_header(size=b"\x80" + b"\xff" * 11)
    for first in b"\1\x10":
        yield bytes([first]) + gzipped(tar(*tree)) + gzipped(b"") + bytes(10)
    head = exchange(6).body
    yield b"\2" + head[4 + int.from_bytes(head[:4], "big") :]


def attack(data: bytes) -> None:
    """Unpack the archive both ways and compare, then write it again."""
    if not data:
        return
    parts, form = divmod(data[0], 3)
    opened: Callable[[], BinaryIO] = functools.partial(_opened, form, parts, data[1:])
    with _home():
        pictures = [_unpacked(opened(), lookup) for lookup in _LOOKUPS]
    assert pictures[0] == pictures[1], pictures
    with contextlib.suppress(*_REFUSALS):
        written = b"".join(repacked(opened(), Tally(ENTRIES), whole=True)) + END
        for _, content in read_archive(io.BytesIO(written)):
            content.skip()


def _opened(form: int, parts: int, packed: bytes) -> BinaryIO:
    if form == 0:
        return io.BytesIO(_summed(packed))
    sizes = [len(packed) * part // (parts or 1) for part in range(parts + 1)]
    stream = GrowingFile(io.BytesIO(packed), growing(*sizes)) if parts else io.BytesIO(packed)
    return (gunzip, inflate)[form - 1](stream, "inputs_unpacked_bytes", MOST, 10_000)


def _summed(archive: bytes) -> bytes:
    """Pad an archive to whole blocks and give each header the right checksum."""
    blocks = bytearray(archive + bytes(-len(archive) % BLOCK))
    for start in range(0, len(blocks), BLOCK):
        if blocks[start + 257 : start + 262] == b"ustar":
            blocks[start + 148 : start + 156] = b" " * 8
            blocks[start + 148 : start + 156] = b"%06o\0 " % sum(blocks[start : start + BLOCK])
    return bytes(blocks)


@contextlib.contextmanager
def _home() -> Iterator[None]:
    """A builder's home as the current directory, with a secret above it and one beside what is unpacked."""
    home = scratch() / "home"
    before = Path.cwd()
    (home / TOOLCHAINS).mkdir(parents=True, exist_ok=True)
    os.chdir(home)
    try:
        yield
    finally:
        os.chdir(before)


def _unpacked(stream: BinaryIO, lookup: str) -> tuple[str, list[tuple[str, int, object]]]:
    secrets = [scratch() / "secret", Path("secret"), Path(TOOLCHAINS, "secret")]
    for secret in secrets:
        secret.write_bytes(SECRET)
    place = Path(TOOLCHAINS, "fuzzed")
    place.mkdir()
    try:
        descriptor = os.open(place, DIRECTORY)
        try:
            refusal = _refusal(stream, Root(descriptor, _LOOKUPS[lookup]))
        finally:
            os.close(descriptor)
        for secret in secrets:
            status = secret.lstat()
            assert (secret.read_bytes(), status.st_nlink, status.st_mode & 0o7777) == (SECRET, 1, 0o644)
        assert len(list(Path(TOOLCHAINS).iterdir())) == 2
        assert len(list(Path().iterdir())) == 2
        return refusal, _picture(place)
    finally:
        remove_toolchain("fuzzed")
        assert swept()


def _refusal(stream: BinaryIO, root: Root) -> str:
    """The reason why the archive was not unpacked, if so. Then open what is there, as for a job's outputs."""
    refusal = ""
    try:
        unpack(stream, root, ENTRIES)
    except _REFUSALS as error:
        refusal = str(error)
    for name in (b"secret", b"up/secret", b"lib/b"):
        with contextlib.suppress(OSError, BuildError), open(root.open_regular(name), "rb") as found:
            assert found.read() != SECRET
    return refusal


def _picture(place: Path) -> list[tuple[str, int, object]]:
    """Every entry, however deep, with its path, mode and target."""
    found: list[tuple[str, int, object]] = []
    pending = [place]
    while pending:
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as entries:  # the path may be too long
            for entry in sorted(entries, key=lambda each: each.name):
                mode = entry.stat(follow_symlinks=False).st_mode
                assert not mode & _RIGHTS or stat.S_ISLNK(mode), entry.path
                assert stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode), entry.path
                target = os.readlink(entry.path) if stat.S_ISLNK(mode) else None
                found.append((entry.path, mode, target))
                if stat.S_ISDIR(mode):
                    pending.append(Path(entry.path))
    return found
