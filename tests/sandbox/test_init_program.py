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
from sccachedist.sandbox.overlay.init_program import REPORT_SIZE, CommandEnd, ending, orders
from sccachedist.sandbox.programs import MACHINES, built_program
from sccachedist.wire.messages import CompileCommand
from scripts.sandbox_programs import NAMES, PROGRAMS, build
from tests.support.emulated import EMULATED
from tests.support.emulated import command as command_of

SHOW = CompileCommand("/bin/sh", ("-c", 'printf "%s|" "$0" "$@"; pwd; env; ls /proc/$$/fd'), (), "/tmp")


@attrs.frozen
class Ran:
    """How it ended.

    :param end: what it said; None if it said nothing.
    """

    code: int
    stdout: bytes
    end: CommandEnd | None

    @property
    def told(self) -> tuple[int, int, str]:
        """Its own exit code, that of the command, and why there was none."""
        assert self.end is not None
        return self.code, self.end.exit_code, self.end.failure


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
        said = to_read.read(REPORT_SIZE)
        return Ran(process.returncode, stdout, ending(said) if said else None)


def _report(result: int, *used: int) -> bytes:
    return struct.pack("=19q", result, *used, *[0] * (18 - len(used)))


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
    assert run(tmp_path, machine, CompileCommand("/bin/sh", ("-c", "exit 127"), (), "/")).told == (127, 127, "")


@pytest.mark.parametrize(("signal", "code"), [("KILL", 137), ("ABRT", 134), ("TERM", 143)])
def test_a_signal(tmp_path: Path, machine: str, signal: str, code: int) -> None:
    """The exit code is what a shell makes of it."""
    command = CompileCommand("/bin/sh", ("-c", f"kill -{signal} $$"), (), "/")
    assert run(tmp_path, machine, command).told == (code, code, "")


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
    assert run(tmp_path, machine, command).told == (127, 0, os.strerror(number))


def test_no_orders(tmp_path: Path, machine: str) -> None:
    """It just ends."""
    assert run(tmp_path, machine, None) == Ran(127, b"", None)


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


@pytest.mark.parametrize(
    "report",
    [b"garbage", bytes(REPORT_SIZE - 1), bytes(REPORT_SIZE + 1), *(_report(n) for n in (-5000, -4096, 256, 1 << 40))],
)
def test_what_the_program_never_says(report: bytes) -> None:
    """Whatever has said it, there is a text for it (THREATS 47)."""
    with pytest.raises(BuildError, match="first program has said what it cannot say"):
        ending(report)


@pytest.mark.parametrize(("result", "code", "failure"), [(0, 0, ""), (255, 255, ""), (-errno.ENOENT, 0, "No such")])
def test_what_it_says(result: int, code: int, failure: str) -> None:
    """Its result, and the kernel's numbers by their names."""
    end = ending(_report(result, 3, 500_000, 0, 250, 4096))
    assert (end.exit_code, end.failure[:7]) == (code, failure)
    assert (end.used.ru_utime, end.used.ru_stime, end.used.ru_maxrss) == (3.5, 0.00025, 4096)


def test_what_a_command_took(tmp_path: Path, machine: str) -> None:
    """It and all that it has waited for, and not the program itself."""
    busy = "i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done"
    end = run(tmp_path, machine, CompileCommand("/bin/sh", ("-c", f"({busy}); true"), (), "/")).end
    assert end is not None
    assert end.used.ru_utime + end.used.ru_stime > 0.02
    assert end.used.ru_maxrss > 500


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
