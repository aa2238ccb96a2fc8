"""The end of a compile as the client needs it told."""

import pytest

from sccachedist.errors import BuildError
from sccachedist.sandbox.result.outcome import reported_code, required_outputs
from sccachedist.wire.messages import CompileCommand


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


DECLARED = ("/x/build/a.o", "/x/build/.deps/a.Tpo", "/x/build/a.dwo", "/x/build/a.gcno")


@pytest.mark.parametrize(
    ("arguments", "outputs", "required"),
    [
        (("-c", "a.c", "-o", "build/a.o", "-D_gsplit_dwarf_path=build/a.dwo"), DECLARED, {"/x/build/a.o"}),
        (("-c", "a.c", "-o./build/../build/a.o"), DECLARED, {"/x/build/a.o"}),
        (("-c", "/x/a.c", "-o", "/x/a.o"), ("a.o", "a.d"), {"a.o"}),
        (
            ("--emit=dep-info,link", "--out-dir", "target"),
            ("target/liba.rlib", "target/a.d"),
            {"target/liba.rlib", "target/a.d"},
        ),
    ],
)
def test_what_a_success_must_have_made(
    arguments: tuple[str, ...], outputs: tuple[str, ...], required: set[str]
) -> None:
    """The object that the compiler was told to make; not what the client makes itself, or may do without."""
    assert required_outputs(CompileCommand("/usr/bin/cc", arguments, (), "/x"), outputs) == required
