"""Toolchain archives and inputs made to measure, around a static busybox."""

import io
import os
import shutil
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from blake3 import blake3

from sccachedist.wire.archive_id import archive_id_of

BUSYBOX = "/bin/busybox"


def toolchain(archive: Path, scripts: Mapping[str, str], filler: int = 0) -> Path:
    """A ``.tar.gz`` with a busybox, shell scripts by their absolute names, and bytes that do not compress."""
    with tarfile.open(archive, "w:gz", compresslevel=1 if not filler else 0) as tar:
        program = Path(shutil.which("busybox") or BUSYBOX).read_bytes()
        _add(tar, BUSYBOX, program)
        for name, script in scripts.items():
            _add(tar, name, f"#!{BUSYBOX} sh\n{script}\n".encode())
        if filler:
            _add(tar, "/filler", os.urandom(filler))
    return archive


def inputs(path: Path, files: Mapping[str, bytes]) -> Path:
    """The inputs of a job, as they follow its command: a zlib stream of a tar, not compressed."""
    packing = zlib.compressobj(0)
    with path.open("wb") as out:
        tar_bytes = io.BytesIO()
        with tarfile.open(fileobj=tar_bytes, mode="w") as tar:
            for name, data in files.items():
                _add(tar, name, data)
        out.write(packing.compress(tar_bytes.getvalue()) + packing.flush())
    return path


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name.lstrip("/"))
    member.mode = 0o755
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
