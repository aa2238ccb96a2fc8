"""Archives for tests, made by the standard library or by hand where that refuses to make them."""

import io
import tarfile
import zlib
from pathlib import Path

from sccachedist.builders.worker_protocol import ARRIVED, Arrived, frame
from sccachedist.sandbox.archive.growing_archive import GrowingArchive
from sccachedist.wire.bincode import encode

BUSYBOX = Path("/bin/busybox")


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    """One member without content."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.mtime = kind, link, mode, 1_000_000_000
    return info


def tar(*members: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    """An archive of these members, each alone or with its content."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form, errors="surrogateescape") as archive:
        for each in members:
            info, content = each if isinstance(each, tuple) else (each, b"")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def file(name: str, content: bytes, mode: int = 0o644) -> tuple[tarfile.TarInfo, bytes]:
    """A regular file."""
    return member(name, mode=mode), content


def gzipped(data: bytes) -> bytes:
    """One gzip member."""
    stream = zlib.compressobj(1, zlib.DEFLATED, 31)
    return stream.compress(data) + stream.flush()


def raw_header(name: bytes = b"name", kind: bytes = b"0", size: bytes = b"00000000000\0", **fields: bytes) -> bytes:
    """A ustar header with any bytes in its fields, and a right checksum."""
    header = bytearray(512)
    header[: len(name)] = name
    header[100:108] = fields.get("mode", b"0000644\0")
    header[124:136] = size
    header[136:148] = fields.get("mtime", b"00000000000\0")
    header[148:156] = b" " * 8
    header[156:157] = kind
    header[257:265] = fields.get("magic", b"ustar\x0000")
    prefix = fields.get("prefix", b"")
    header[345 : 345 + len(prefix)] = prefix
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def padded(data: bytes) -> bytes:
    """Content as it stands in an archive."""
    return data + bytes(-len(data) % 512)


def pax(**records: str) -> bytes:
    """The content of a PAX header."""
    out = b""
    for key, value in records.items():
        rest = f" {key.replace('__', '.')}={value}\n".encode()
        length = len(rest)
        while len(str(length)) + len(rest) != length:
            length = len(str(length)) + len(rest)
        out += str(length).encode() + rest
    return out


def octal(number: int) -> bytes:
    """A size field."""
    return b"%011o\0" % number


def busybox_toolchain(*more: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A toolchain whose only program is a static busybox, under the names that tests use, and more files."""
    names = ("sh", "cat", "cp", "env", "touch", "ln", "mkfifo", "sleep", "dd", "head", "yes", "printf", "ls", "kill")
    links = [member(f"bin/{name}", tarfile.SYMTYPE, "busybox") for name in names]
    return gzipped(
        tar(file("bin/busybox", BUSYBOX.read_bytes(), 0o755), *links, member("tmp", tarfile.DIRTYPE, "", 0o755), *more)
    )


def growing(*sizes: int, whole: bool = True) -> GrowingArchive:
    """How far an archive has come: it grows to each of these sizes, and is whole then."""
    news = [Arrived(size, whole=False) for size in sizes]
    if whole:
        news.append(Arrived(sizes[-1], whole=True))
    return GrowingArchive(io.BytesIO(b"".join(frame(encode(ARRIVED, each)) for each in news)))
