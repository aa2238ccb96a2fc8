"""The command line of bubblewrap."""

import pytest

from sccachedist.builders.overlay.bwrap import bwrap_arguments
from sccachedist.errors import BuildError
from sccachedist.wire.messages import CompileCommand

COMMAND = CompileCommand(
    "/usr/bin/gcc", ("-c", "a b.c"), (("LANG", "C"), ("A=B", "x"), ("", "x"), ("EMPTY", "")), "/work"
)


def test_the_whole_command_line() -> None:
    """Every flag is there for a reason, and so is their order."""
    assert bwrap_arguments("/usr/bin/bwrap", "/b/root", 6, 7, 8, COMMAND, ["/proc/kcore"]) == [
        *["/usr/bin/bwrap", "--die-with-parent", "--new-session"],
        *["--unshare-user", "--uid", "0", "--gid", "0", "--cap-drop", "ALL"],
        *["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup"],
        *[
            "--dev-bind",
            "/b/root",
            "/",
            "--proc",
            "/proc",
            "--ro-bind",
            "/dev/null",
            "/proc/kcore",
            "--remount-ro",
            "/proc",
        ],
        *["--chdir", "/work", "--block-fd", "6", "--json-status-fd", "7", "--seccomp", "8"],
        *["--setenv", "LANG", "C", "--setenv", "EMPTY", "", "--", "/usr/bin/gcc", "-c", "a b.c"],
    ]


def test_a_command_cannot_become_a_flag() -> None:
    """What looks like an option is the command's own."""
    arguments = bwrap_arguments("bwrap", "/r", 3, 4, 5, CompileCommand("--bind", ("/", "/"), (), "/"))
    assert arguments[arguments.index("--") :] == ["--", "--bind", "/", "/"]


@pytest.mark.parametrize(
    "command",
    [
        CompileCommand("a\0b", (), (), "/"),
        CompileCommand("a", ("\0",), (), "/"),
        CompileCommand("a", (), (("A\0", "b"),), "/"),
        CompileCommand("a", (), (), "/\0"),
    ],
)
def test_nul_is_refused(command: CompileCommand) -> None:
    """No argument can hold it."""
    with pytest.raises(BuildError):
        bwrap_arguments("bwrap", "/r", 3, 4, 5, command)
