"""The end of a compile as the client needs it told."""

import pytest

from sccachedist.builders.outcome import check_missing, reported_code
from sccachedist.errors import BuildError


@pytest.mark.parametrize(
    ("exit_code", "cwd", "code"),
    [
        (0, "/home/me", 0),
        (1, "/home/me", 256),
        (4, "/", 1024),
        (255, "/", 65280),
        (128, "/", 32768),
        (2, "/prefix/disk-C/x", 2),
    ],
)
def test_codes(exit_code: int, cwd: str, code: int) -> None:
    """A Unix client gets a wait status, a Windows client the exit code itself."""
    assert reported_code(exit_code, cwd) == code


@pytest.mark.parametrize("exit_code", [129, 134, 137, 139, 192])
@pytest.mark.parametrize("cwd", ["/", "/prefix/disk-C/x"])
def test_a_killed_compiler_is_no_result(exit_code: int, cwd: str) -> None:
    """The client has to try by itself."""
    with pytest.raises(BuildError):
        reported_code(exit_code, cwd)


def test_a_success_needs_its_outputs() -> None:
    """The client would fail the build over the missing file."""
    with pytest.raises(BuildError, match=r"a\.o"):
        check_missing("/x/a.o", 0)


@pytest.mark.parametrize(("output", "exit_code"), [("/x/a.o", 1), ("/x/a.dwo", 0)])
def test_outputs_that_may_be_missing(output: str, exit_code: int) -> None:
    """A failed compile leaves nothing, and debug information is not always made."""
    check_missing(output, exit_code)
