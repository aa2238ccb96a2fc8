"""What a compile command means in any sandbox."""

import pytest

from sccachedist.errors import BuildError
from sccachedist.sandbox.command import check_executed, directories, env_arguments, inside, temporary_directories
from sccachedist.wire.messages import CompileCommand

COMMAND = CompileCommand("/bin/cc", ("-c",), (("A", "b c"), ("B=C", "d"), ("", "e"), ("PWD", "/x")), "/work")


def test_places() -> None:
    """Relative outputs are relative to the directory of the compile."""
    assert inside(COMMAND, "deep/a.o") == "/work/deep/a.o"
    assert inside(COMMAND, "/out/a.o") == "/out/a.o"
    assert directories(COMMAND, ("deep/a.o", "/out/a.o")) == ["/work", "/work/deep", "/out"]


def test_the_arguments_of_env() -> None:
    """The job's variables alone, without what is no name, and the directory that it is in."""
    assert env_arguments(COMMAND) == ["-i", "--", "A=b c", "PWD=/x", "PWD=/work", "/bin/cc", "-c"]


NOT_EXECUTED = [
    (127, b"env: can't execute '/bin/cc': No such file or directory\n"),  # busybox
    (126, b"env: can't execute '/bin/cc': Permission denied\n"),
    (127, b"env: /bin/cc: No such file or directory\n"),  # FreeBSD
    (126, b"env: /bin/cc: Permission denied\n"),
]
COMPILERS_OWN = [
    (127, b"cc1: not found\n"),
    (126, b""),
    (1, b"env: /bin/cc: No such file or directory\n"),
    (127, b"env: 'python': No such file or directory\n"),
    (127, b"warning\nenv: /bin/cc: No such file or directory\n"),
    (127, b"env: /bin/ccache: No such file or directory\n"),
]


@pytest.mark.parametrize(("exit_code", "stderr"), NOT_EXECUTED)
def test_a_command_that_was_not_executed(exit_code: int, stderr: bytes) -> None:
    """Its client has to compile locally."""
    with pytest.raises(BuildError):
        check_executed(COMMAND, exit_code, stderr)


@pytest.mark.parametrize(("exit_code", "stderr"), COMPILERS_OWN)
def test_a_compiler_that_ends_like_env(exit_code: int, stderr: bytes) -> None:
    """Its status is the user's."""
    check_executed(COMMAND, exit_code, stderr)


def test_temporary_directories() -> None:
    """Those that any compiler looks for, each once; not what can be no name."""
    named = (("TMPDIR", "/t"), ("TMP", "t"), ("TEMP", "/t"), ("TEMPDIR", ""), ("HOME", "/h"), ("TMP", "/x\0y"))
    assert temporary_directories(CompileCommand("/bin/cc", (), named, "/work")) == ["/t", "/work/t"]
