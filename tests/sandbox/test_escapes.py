"""A program that tries to get out of the overlay builder's sandbox, and the filter that helps to keep it in."""

import errno
import functools
import platform
import shutil
import struct
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sccachedist.wire.messages import CompileCommand
from scripts.seccomp_filters import FILTERS, MACHINES, PERSONALITIES, PERSONALITY, REFUSED_NUMBERS, seccomp_filter
from tests.builders.farms import (
    IDENTITIES,
    TOOLCHAIN,
    Farm,
    async_fixture,
    in_reactor,
    make_farm,
    started,
    the_reactor,
)
from tests.sandbox.archives import busybox_toolchain, file


@pytest.mark.parametrize("machine", MACHINES)
def test_the_filters_are_what_is_written_of_them(machine: str) -> None:
    """What is shipped is what the program makes, to the byte."""
    assert (FILTERS / f"{machine}.bpf").read_bytes() == seccomp_filter(machine)


@pytest.mark.parametrize("machine", MACHINES)
def test_what_the_filters_say_by_number(machine: str) -> None:
    """Of each architecture: what libseccomp does not know, and which personalities there may be."""
    program = list(struct.iter_unpack("=HBBI", (FILTERS / f"{machine}.bpf").read_bytes()))
    for architecture, personality in PERSONALITY[machine].items():
        said = functools.partial(verdict, program, architecture)
        assert {said(number, 0) for number in REFUSED_NUMBERS.values()} == {REFUSED}
        assert {said(personality, value) for value in PERSONALITIES} == {ALLOWED}
        for flag in (0x00400000, 0x80400000, 0x00100000, 0x00200000, 0x80000000, 1, 0x00440000):
            assert said(personality, flag) == REFUSED
        assert said(personality + 1, 0x00400000) in (ALLOWED, REFUSED)
    assert verdict(program, 0, 1, 0) == 0x00050000 | errno.ENOSYS


ALLOWED, REFUSED = 0x7FFF0000, 0x00050000 | errno.EPERM


def verdict(program: list[tuple[int, int, int, int]], architecture: int, number: int, argument: int) -> int:
    """What the kernel would say of a call with a first argument: its filter machine, as far as filters use it."""
    call = struct.pack("=IIQ6Q", number, architecture, 0, argument, 0, 0, 0, 0, 0)
    at = value = 0
    while True:
        code, jump, otherwise, k = program[at]
        at += 1
        match code:
            case 0x20:
                (value,) = struct.unpack_from("=I", call, k)
            case 0x06:
                return k
            case 0x05:
                at += k
            case 0x54:
                value &= k
            case 0x15 | 0x25 | 0x35:
                true = {0x15: value == k, 0x25: value > k, 0x35: value >= k}[code]
                at += jump if true else otherwise
            case _:
                raise AssertionError(hex(code))


@async_fixture(scope="module", params=IDENTITIES)
async def farm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Farm]:
    program = tmp_path_factory.mktemp("escapes") / "escapes"
    source = Path(__file__).with_name("escapes.c")
    subprocess.run(["gcc", "-static", "-O1", "-Wall", "-Werror", "-o", program, source], check=True)
    made = await started(make_farm(the_reactor(), request.param), request.param)
    made.archive(TOOLCHAIN).write_bytes(busybox_toolchain(file("bin/escapes", program.read_bytes(), 0o755)))
    yield made
    await made.builder.stop()
    shutil.rmtree(made.place)


@pytest.mark.functional
@in_reactor
async def test_nothing_gets_out(farm: Farm) -> None:
    """Every escape is tried and every one fails: calls, sockets, capabilities, what ``/proc`` shows, other roots."""
    command = CompileCommand("/bin/escapes", (), (("ONLY", "this"),), "/work")
    result = await farm.compile("", command=command)
    assert result.output.stdout.decode().splitlines() == ["tried everything"], result.output


HEADER = "#include <stdio.h>\n#include <stdlib.h>\nstatic inline int one(void) { return 1; }\n"


@pytest.mark.functional
@pytest.mark.parametrize("compiler", ["gcc", "g++", "clang"])
def test_precompiled_headers_under_the_filter(tmp_path: Path, compiler: str) -> None:
    """Compilers that want their addresses where they had them find nothing refused."""
    (tmp_path / "all.h").write_text(HEADER)
    (tmp_path / "use.c").write_text("int main(void) { return one() - 1; }\n")
    kind, language = ("c++-header", "c++") if compiler == "g++" else ("c-header", "c")
    suffix = "pch" if compiler == "clang" else "gch"
    use = ["-include-pch", "all.h.pch"] if compiler == "clang" else ["-include", "all.h", "-Winvalid-pch", "-Werror"]
    under_filter(tmp_path, compiler, "-x", kind, "all.h", "-o", f"all.h.{suffix}")
    under_filter(tmp_path, compiler, *use, "-x", language, "use.c", "-o", "used")
    under_filter(tmp_path, "./used")


def under_filter(place: Path, *command: str) -> None:
    with (FILTERS / f"{platform.machine()}.bpf").open("rb") as file:
        bwrap = ["bwrap", "--dev-bind", "/", "/", "--chdir", str(place), "--seccomp", str(file.fileno()), "--"]
        subprocess.run([*bwrap, *command], check=True, pass_fds=[file.fileno()])
