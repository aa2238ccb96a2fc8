"""Jobs made to measure: toolchain archives around a static busybox, inputs, and scripts to run with them."""

import io
import os
import shutil
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from blake3 import blake3

from sccachedist.wire.archive_id import ArchiveId, swapped_hex
from sccachedist.wire.messages import CompileCommand, RunJobRequest

BUSYBOX = "/bin/busybox"


def write_toolchain(archive: Path, scripts: Mapping[str, str], filler: int = 0) -> Path:
    """A ``.tar.gz`` with busybox, shell scripts by their absolute names, and bytes that do not compress."""
    local = shutil.which("busybox") or BUSYBOX
    files = {name: f"#!{BUSYBOX} sh\n{script}\n".encode() for name, script in scripts.items()}
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for name, data in {BUSYBOX: Path(local).read_bytes(), "/filler": os.urandom(filler), **files}.items():
            _add(tar, name, data)
    return archive


def write_archive(archive: Path, files: Mapping[str, Path]) -> Path:
    """A ``.tar.gz`` of files of this machine, by absolute names; what a symlink leads to is put in its place."""
    with tarfile.open(archive, "w:gz", compresslevel=1, dereference=True) as tar:
        for name, file in files.items():
            tar.add(file, name, recursive=False)
    return archive


def id_of(archive: Path) -> ArchiveId:
    """The archive id of a file."""
    digest = blake3()
    digest.update_mmap(archive)
    return swapped_hex(digest.digest())


def write_inputs(path: Path, files: Mapping[str, bytes]) -> Path:
    """The inputs of a job as they follow its command: a tar in a zlib stream that does not compress."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, data in files.items():
            _add(tar, name, data)
    path.write_bytes(zlib.compress(packed.getvalue(), 0))
    return path


def shell(script: str, *outputs: str) -> RunJobRequest:
    """A job that runs a script with the busybox of :func:`write_toolchain`."""
    return RunJobRequest(CompileCommand(BUSYBOX, ("sh", "-c", script), (), "/"), outputs)


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name.lstrip("/"))
    member.mode = 0o755
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
