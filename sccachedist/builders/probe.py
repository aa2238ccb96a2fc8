"""A job that proves a builder: it takes every step that a real one takes, and needs nothing of the host.

Its toolchain holds one program of a few instructions that ends with status 0, unless there is a program to run
anyway; its only output is its only input.
"""

import io
import platform
import struct
import tarfile
import tempfile
import zlib
from pathlib import Path

from sccachedist.builders.seam import Builder, BuildJob
from sccachedist.errors import BuildError
from sccachedist.wire.archive_id import archive_id
from sccachedist.wire.bincode import decode
from sccachedist.wire.messages import RUN_JOB_RESULT, CompileCommand, JobComplete, JobId

# By machine: ELF's number for it, and exit(0).
_PROGRAMS = {
    # xor edi, edi; mov eax, 60; syscall
    "x86_64": (62, bytes.fromhex("31ff b83c000000 0f05")),
    # mov x0, #0; mov x8, #93; svc #0
    "aarch64": (183, bytes.fromhex("000080d2 a80b80d2 010000d4")),
}
_ADDRESS = 0x400000
_ALIGNMENT = 0x10000
_TOOLCHAIN = archive_id("0" * 64)
_INPUT = b"proof"


async def probe(builder: Builder, directory: Path, command: CompileCommand | None = None) -> None:
    """Run the job; its files are in ``directory`` meanwhile.

    :param command: what a sandbox without any toolchain can run.
    :raises BuildError: the builder does not work; the text says why.
    """
    with tempfile.TemporaryDirectory(dir=directory, prefix="probe-") as name:
        place = Path(name)
        (place / "toolchain").write_bytes(_archive("proof", b"", ":gz") if command else _toolchain())
        (place / "inputs").write_bytes(zlib.compress(_archive("work/proof", _INPUT, ":")))
        job = BuildJob(
            job_id=JobId(0),
            toolchain=_TOOLCHAIN,
            archive=place / "toolchain",
            command=command or CompileCommand("/bin/probe", (), (), "/work"),
            outputs=("proof",),
            inputs=place / "inputs",
            answer=place / "answer",
            as_json=False,
        )
        try:
            await builder.run(job)
        finally:
            await builder.discard(_TOOLCHAIN)
        _check((place / "answer").read_bytes())


def _check(answer: bytes) -> None:
    match decode(RUN_JOB_RESULT, answer):
        case JobComplete(output=output, outputs=((_, data),)) if output.code == 0:
            if zlib.decompress(data.compressed) == _INPUT:
                return
    raise BuildError("a trial job in the sandbox did not give what it should")


def _toolchain() -> bytes:
    return _archive("bin/probe", _program(), ":gz")


def _archive(name: str, content: bytes, form: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=f"w{form}") as archive:  # type: ignore[call-overload]
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(content), 0o755
        archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def _program() -> bytes:
    """Make an ELF file: its header, one segment that is the whole file, and the code."""
    if (machine := platform.machine()) not in _PROGRAMS:
        raise BuildError(f"no sandbox on {machine}: only on {' and '.join(_PROGRAMS)}")
    number, code = _PROGRAMS[machine]
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)  # 64 bits, little endian
    entry, size = _ADDRESS + 120, 120 + len(code)
    header = struct.pack("<16sHHIQQQIHHHHHH", ident, 2, number, 1, entry, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _ADDRESS, _ADDRESS, size, size, _ALIGNMENT)
    return header + segment + code
