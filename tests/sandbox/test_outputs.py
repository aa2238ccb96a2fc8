"""Which outputs come back, and which a successful compile must have made."""

import pytest

from sccachedist.errors import BuildError, LimitExceeded
from sccachedist.sandbox.result.outputs import OutputSizes, check_outputs, required_outputs, returned_outputs
from sccachedist.wire.messages import CompileCommand

GCC = CompileCommand("/usr/bin/gcc", ("-c", "x.c", "-o", "x.o"), (), "/x")

DECLARED = ("/x/build/a.o", "/x/build/.deps/a.Tpo", "/x/build/a.dwo", "/x/build/a.gcno")
CRATE = ("target/liba.rlib", "target/liba.rmeta", "target/a.d")
CICC = ("--gen_module_id_file", "--module_id_file_name", "/x/a.module_id", "--gen_c_file_name", "/x/a.c")


@pytest.mark.parametrize(
    ("arguments", "outputs", "required"),
    [
        (("-c", "a.c", "-o", "build/a.o", "-D_gsplit_dwarf_path=build/a.dwo"), DECLARED, {"/x/build/a.o"}),
        (("-c", "a.c", "-o./build/../build/a.o"), DECLARED, {"/x/build/a.o"}),
        (("-c", "/x/a.c", "-o", "/x/a.o"), ("a.o", "a.d"), {"a.o"}),
        (("-MF", "a.d", "-c", "/x/a.c", "-o", "/x/a.o"), ("a.o", "a.d"), {"a.o"}),
        (("-c", "a.c", "-Foa.obj"), ("a.obj", "a.pdb"), {"a.obj"}),
        (("-c", "a.c", "--output=a.o"), ("a.o", "a.d"), {"a.o"}),
        (("-c", "a.c", "a.o"), ("a.o", "a.d"), {"a.o"}),
        (("-c", "a.c", "-o", "other.o"), ("a.o", "a.d"), {"a.o", "a.d"}),
        (("-c", "a.c", "-o"), ("a.o",), {"a.o"}),
        ((), ("a.o", "a.d"), {"a.o", "a.d"}),
        (("--emit=dep-info,metadata,link", "--out-dir", "target"), CRATE, set(CRATE)),
        (("--out-dir=/x/target", "-C", "profile-use=/x/p"), (*CRATE, "/x/p"), set(CRATE)),
        (("--out-dir", "target", "-C", "profile-use=target/p"), (*CRATE, "target/p"), set(CRATE)),
        (("--out-dir", "target", "-C", "profile-use=p"), (*CRATE, "/x/target/p"), set(CRATE)),
        (("--out-dir", "target", "-Cprofile-use=/elsewhere/p"), (*CRATE, "/elsewhere/p"), set(CRATE)),
        ((*CICC, "/x/a.ii", "-o", "/x/a.ptx"), ("/x/a.module_id", "/x/a.ptx"), {"/x/a.ptx"}),
        ((*CICC, "/x/a.ii"), ("/x/a.module_id", "/x/a.c"), {"/x/a.module_id", "/x/a.c"}),
        ((*CICC[1:], "/x/a.ii"), ("/x/a.module_id", "/x/a.c"), {"/x/a.c"}),
        (("-c", "a.c", "-o", "/dev/null"), ("/dev/null", "a.d"), set()),
        (("-c", "a.c", "-o", "a.o", "-MF", "/dev/null"), ("a.o", "/dev/null"), {"a.o"}),
        (("--out-dir", "/dev/shm/a"), ("/dev/shm/a/a.d",), {"/dev/shm/a/a.d"}),
        ((), ("../dev/../dev/null",), set()),
    ],
)
def test_what_a_success_must_have_made(
    arguments: tuple[str, ...], outputs: tuple[str, ...], required: set[str]
) -> None:
    """The object that the compiler was told to make; not what the client makes itself, or may do without."""
    assert required_outputs(CompileCommand("/usr/bin/cc", arguments, (), "/x"), outputs) == required


def test_a_success_without_its_object() -> None:
    """It is no result; a failure may leave out anything."""
    check_outputs(GCC, ("x.o", "x.d"), {"x.o"}, 0)
    check_outputs(GCC, ("x.o",), set(), 1)
    with pytest.raises(BuildError, match="without making"):
        check_outputs(GCC, ("x.o", "x.d"), {"x.d"}, 0)


@pytest.mark.parametrize("place", ["/dev/null", "/dev/fd/1", "//dev/./stdout", "/x/../dev/null"])
def test_places_that_keep_nothing(place: str) -> None:
    """What is written there is gone."""
    assert returned_outputs(GCC, [place, "x.o"]) == ["x.o"]


@pytest.mark.parametrize("place", ["/dev/shm/a.o", "/home/dev/null", "/devices/a.o", "/x/a.o", "/"])
def test_places_of_files(place: str) -> None:
    """What is written there is brought back."""
    assert returned_outputs(GCC, [place]) == [place]


@pytest.mark.parametrize(
    "profile", ["-Cprofile-use=p", "-C profile_use=/x/p", "profile-use=../x/p", "--codegen=profile-use=p"]
)
def test_what_the_compiler_reads(profile: str) -> None:
    """A profile is not brought back: a client that cannot use a result removes what it got."""
    command = CompileCommand("/usr/bin/rustc", ("--out-dir", "/x", profile), (), "/x")
    assert returned_outputs(command, ["/x/p", "/x/liba.rlib"]) == ["/x/liba.rlib"]
    assert required_outputs(command, ["/x/p", "/x/liba.rlib"]) == {"/x/liba.rlib"}


@pytest.mark.parametrize(("sizes", "limit"), [((6,), "output_bytes"), ((5, 5, 1), "outputs_bytes")])
def test_outputs_that_are_too_large(sizes: tuple[int, ...], limit: str) -> None:
    """Each has a limit, and all together have one."""
    counted = OutputSizes(output_bytes=5, outputs_bytes=10)
    for size in sizes[:-1]:
        counted.add("x.o", size)
    with pytest.raises(LimitExceeded) as caught:
        counted.add("x.o", sizes[-1])
    assert caught.value.limit == limit
