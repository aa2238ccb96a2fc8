"""The program that runs a command, without a sandbox around it."""

import errno
import os
import platform
import struct
import subprocess
from pathlib import Path

import attrs
import pytest

from sccachedist.errors import BuildError
from sccachedist.sandbox.overlay.init_program import failure, orders
from sccachedist.sandbox.programs import MACHINES, built_program
from sccachedist.wire.messages import CompileCommand
from scripts.sandbox_programs import NAMES, PROGRAMS, build
from tests.support.emulated import EMULATED
from tests.support.emulated import command as command_of

SHOW = CompileCommand("/bin/sh", ("-c", 'printf "%s|" "$0" "$@"; pwd; env; ls /proc/$$/fd'), (), "/tmp")


@attrs.frozen
class Ran:
    """How it ended."""

    code: int
    stdout: bytes
    why: str


def run(place: Path, machine: str, command: CompileCommand | None) -> Ran:
    """Start it, give it its orders, and wait for the end."""
    path = place / "starter"
    path.write_bytes((PROGRAMS / f"init.{machine}").read_bytes())
    path.chmod(0o755)
    own = os.open(path, os.O_RDONLY)
    report, reported = os.pipe()
    with (
        open(report, "rb") as to_read,
        subprocess.Popen(
            command_of(f"/proc/self/fd/{own}", machine),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(own, reported),
            env={"A": "b"},
        ) as process,
    ):
        words = b"" if command is None else orders(command, reported, own)
        os.close(own)
        os.close(reported)
        stdout, _ = process.communicate(words, 20)
        return Ran(process.returncode, stdout, failure(to_read.read()))


@pytest.fixture(params=EMULATED)
def machine(request: pytest.FixtureRequest) -> str:
    """A kind of machine: the one there is, and another one, emulated."""
    return str(request.param)


def test_a_command(tmp_path: Path, machine: str) -> None:
    """It has its arguments, its directory, its variables, and no descriptor of anybody's but the three."""
    command = attrs.evolve(
        SHOW, arguments=(*SHOW.arguments, "zero", "", "ä b"), env_vars=(("X", "1"), ("PWD", "/"), ("X", "2"), ("=", ""))
    )
    shown, *rest = run(tmp_path, machine, command).stdout.decode().splitlines()
    assert shown == "zero||ä b|/tmp"
    assert sorted(rest) == ["0", "1", "2", "PWD=/tmp", "X=2"]


@pytest.mark.parametrize("path", [(), (("PATH", "/no/where:/bin:/usr/bin"),)])
def test_a_name_without_a_directory(tmp_path: Path, machine: str, path: tuple[tuple[str, str], ...]) -> None:
    """It is looked for."""
    assert run(tmp_path, machine, CompileCommand("echo", ("found",), path, "/")).stdout == b"found\n"


def test_the_exit_code(tmp_path: Path, machine: str) -> None:
    """It is the command's, also where it looks like one of a shell that found none."""
    assert run(tmp_path, machine, CompileCommand("/bin/sh", ("-c", "exit 127"), (), "/")) == Ran(127, b"", "")


@pytest.mark.parametrize(("signal", "code"), [("KILL", 137), ("ABRT", 134), ("TERM", 143)])
def test_a_signal(tmp_path: Path, machine: str, signal: str, code: int) -> None:
    """The exit code is what a shell makes of it."""
    command = CompileCommand("/bin/sh", ("-c", f"kill -{signal} $$"), (), "/")
    assert run(tmp_path, machine, command) == Ran(code, b"", "")


@pytest.mark.parametrize(
    ("command", "number"),
    [
        (CompileCommand("/no/such", (), (), "/"), errno.ENOENT),
        (CompileCommand("nosuch", (), (("PATH", "/bin"),), "/"), errno.ENOENT),
        (CompileCommand("/etc/passwd", (), (), "/"), errno.EACCES),
        (CompileCommand("/bin/true", (), (), "/no/such"), errno.ENOENT),
        (CompileCommand("/bin/true", ("x" * 5_000_000,), (), "/"), errno.E2BIG),
    ],
)
def test_what_cannot_be_run(tmp_path: Path, machine: str, command: CompileCommand, number: int) -> None:
    """It is told by a way of its own."""
    assert run(tmp_path, machine, command) == Ran(127, b"", os.strerror(number))


def test_no_orders(tmp_path: Path, machine: str) -> None:
    """It just ends."""
    assert run(tmp_path, machine, None) == Ran(127, b"", "")


def test_many_arguments(tmp_path: Path, machine: str) -> None:
    """More than a pipe holds."""
    command = CompileCommand("/bin/sh", ("-c", "echo $#", *map(str, range(100_000))), (), "/")
    assert run(tmp_path, machine, command).stdout == b"99999\n"


@pytest.mark.parametrize(
    "command",
    [
        CompileCommand("a\0b", (), (), "/"),
        CompileCommand("a", ("\0",), (), "/"),
        CompileCommand("a", (), (("A\0", "b"),), "/"),
        CompileCommand("a", (), (), "/\0"),
        CompileCommand("a", ("x" * 9_000_000,), (), "/"),
    ],
)
def test_what_is_refused(command: CompileCommand) -> None:
    """What no command line can hold."""
    with pytest.raises(BuildError):
        orders(command, 3, 4)


@pytest.mark.parametrize("report", [b"garbage", b"12345678", struct.pack("=q", -5000), struct.pack("=q", 0), bytes(9)])
def test_what_the_program_never_says(report: bytes) -> None:
    """Whatever has said it, there is a text for it (THREATS 47)."""
    assert failure(report) == "its first program has said what it cannot say"


@pytest.mark.functional
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("built_for", MACHINES)
def test_the_programs_are_what_is_written_of_them(tmp_path: Path, name: str, built_for: str) -> None:
    """What is shipped is what the compiler makes that made it; another one of today can build them too."""
    build(name, built_for, tmp_path / "built")
    built, shipped = (tmp_path / "built").read_bytes(), (PROGRAMS / f"{name}.{built_for}").read_bytes()
    assert compiler_of(built) != compiler_of(shipped) or built == shipped


def compiler_of(program: bytes) -> bytes:
    start = program.index(b"GCC: ")
    return program[start : program.index(b"\0", start)]


def test_a_machine_without_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, with those that have them."""
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(BuildError, match="no sandbox on riscv64: only on x86_64 and aarch64"):
        built_program("init")
