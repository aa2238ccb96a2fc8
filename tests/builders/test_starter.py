"""The program that runs a command, without a sandbox around it."""

import errno
import os
import subprocess
from pathlib import Path

import attrs
import pytest

from sccachedist.builders.overlay.starter import failure, orders, starter
from sccachedist.errors import BuildError
from sccachedist.wire.messages import CompileCommand

SHOW = CompileCommand("/bin/sh", ("-c", 'printf "%s|" "$0" "$@"; pwd; env; ls /proc/$$/fd'), (), "/tmp")


@attrs.frozen
class Ran:
    """How it ended."""

    code: int
    stdout: bytes
    why: str


def run(place: Path, command: CompileCommand | None) -> Ran:
    """Start it, give it its orders, and wait for the end."""
    path = place / "starter"
    path.write_bytes(starter())
    path.chmod(0o755)
    own = os.open(path, os.O_RDONLY)
    report, reported = os.pipe()
    with (
        open(report, "rb") as to_read,
        subprocess.Popen(
            [f"/proc/self/fd/{own}"],
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


def test_a_command(tmp_path: Path) -> None:
    """It has its arguments, its directory, its variables, and no descriptor of anybody's but the three."""
    command = attrs.evolve(
        SHOW, arguments=(*SHOW.arguments, "zero", "", "ä b"), env_vars=(("X", "1"), ("PWD", "/"), ("X", "2"), ("=", ""))
    )
    shown, *rest = run(tmp_path, command).stdout.decode().splitlines()
    assert shown == "zero||ä b|/tmp"
    assert sorted(rest) == ["0", "1", "2", "PWD=/tmp", "X=2"]


@pytest.mark.parametrize("path", [(), (("PATH", "/no/where:/bin:/usr/bin"),)])
def test_a_name_without_a_directory(tmp_path: Path, path: tuple[tuple[str, str], ...]) -> None:
    """It is looked for."""
    assert run(tmp_path, CompileCommand("echo", ("found",), path, "/")).stdout == b"found\n"


def test_the_exit_code(tmp_path: Path) -> None:
    """It is the command's, also where it looks like one of a shell that found none."""
    assert run(tmp_path, CompileCommand("/bin/sh", ("-c", "exit 127"), (), "/")) == Ran(127, b"", "")


@pytest.mark.parametrize(("signal", "code"), [("KILL", 137), ("ABRT", 134), ("TERM", 143)])
def test_a_signal(tmp_path: Path, signal: str, code: int) -> None:
    """The exit code is what a shell makes of it."""
    command = CompileCommand("/bin/sh", ("-c", f"kill -{signal} $$"), (), "/")
    assert run(tmp_path, command) == Ran(code, b"", "")


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
def test_what_cannot_be_run(tmp_path: Path, command: CompileCommand, number: int) -> None:
    """It is told by a way of its own."""
    assert run(tmp_path, command) == Ran(127, b"", os.strerror(number))


def test_no_orders(tmp_path: Path) -> None:
    """It just ends."""
    assert run(tmp_path, None) == Ran(127, b"", "")


def test_many_arguments(tmp_path: Path) -> None:
    """More than a pipe holds."""
    command = CompileCommand("/bin/sh", ("-c", "echo $#", *map(str, range(100_000))), (), "/")
    assert run(tmp_path, command).stdout == b"99999\n"


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
