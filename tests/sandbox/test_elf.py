"""For which machine a program is, as the beginning of its file says, with any bytes that a client packs."""

import io
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmkit.elf import AARCH64, EXECUTABLE, I686, INTERPRETER, LOAD, OBJECT, S390X, SHARED, X86_64, elf
from sccachedist.sandbox.archive.elf import program_machine
from sccachedist.sandbox.archive.repack import repacked
from sccachedist.sandbox.archive.tally import MemberLimits, Tally
from sccachedist.sandbox.archive.unpack import unpack
from sccachedist.sandbox.job_root import root_at
from sccachedist.wire.machines import ANY
from tests.sandbox.archives import file, tar

LIMITS = MemberLimits("toolchain_entries", 100, 4095)
PROGRAM = elf(AARCH64, SHARED, LOAD, INTERPRETER)


@pytest.mark.parametrize(
    ("head", "machine"),
    [
        (elf(AARCH64), AARCH64),
        (elf(I686, wide=False), I686),
        (elf(S390X, little=False), S390X),
        (elf(20, wide=False, little=False), 20),
        (PROGRAM, AARCH64),
        (elf(I686, SHARED, INTERPRETER, wide=False), I686),
        (elf(S390X, SHARED, LOAD, INTERPRETER, little=False), S390X),
        (elf(0), None),
        (elf(0, SHARED, INTERPRETER), None),
        (elf(X86_64, SHARED, LOAD), None),
        (elf(X86_64, SHARED), None),
        (elf(X86_64, OBJECT), None),
        (elf(X86_64)[:63], None),
        (PROGRAM[:-100], None),
        (b"#!/bin/sh\n", None),
        (b"", None),
        (b"\x7fELF\x03\x01" + bytes(60), None),
        (b"\x7fELF\x02\x03" + bytes(60), None),
    ],
)
def test_programs(head: bytes, machine: int | None) -> None:
    """A program has its machine; a library or an object, which a cross compiler has of another machine, has none."""
    assert program_machine(head) == machine


def test_a_real_one() -> None:
    """The interpreter of the tests is a program for one machine."""
    assert program_machine(Path(sys.executable).read_bytes()[:4096]) == int.from_bytes(
        Path(sys.executable).read_bytes()[18:20], sys.byteorder
    )


@given(st.binary(max_size=200) | st.binary(max_size=300).map(lambda tail: PROGRAM[:16] + tail))
def test_any_bytes(head: bytes) -> None:
    """There is an answer for each beginning of a file."""
    machine = program_machine(head)
    assert machine is None or 0 < machine <= 0xFFFF


def machine_of(place: Path, *members: tuple[str, bytes, int]) -> int:
    """Which machine an archive needs, however it is read."""
    archive = tar(*(file(name, content, mode) for name, content, mode in members))
    unpacked, written = Tally(LIMITS), Tally(LIMITS)
    for _ in repacked(io.BytesIO(archive), written, whole=True):
        pass
    with root_at(place) as root:
        unpacked = unpack(io.BytesIO(archive), root, LIMITS)
    assert unpacked.unpacked == written.unpacked
    return unpacked.unpacked.machine


@pytest.mark.parametrize(
    ("members", "machine"),
    [
        ((("bin/cc", PROGRAM, 0o755), ("lib/libc.so", elf(AARCH64, SHARED, LOAD), 0o755)), AARCH64),
        ((("lib/crt1.o", elf(AARCH64, OBJECT), 0o644), ("bin/cc", elf(X86_64), 0o755)), X86_64),
        ((("doc/example", elf(AARCH64), 0o644), ("bin/cc", elf(X86_64), 0o755)), X86_64),
        ((("bin/as", elf(I686, wide=False), 0o755), ("bin/cc", elf(X86_64), 0o755)), X86_64),
        ((("bin/first", elf(AARCH64), 0o755), ("bin/cc", elf(X86_64), 0o755)), ANY),
        ((("bin/cc", b"#!/bin/sh\n", 0o755), ("bin/empty", b"", 0o755)), ANY),
        ((), ANY),
    ],
)
def test_toolchains(tmp_path: Path, members: tuple[tuple[str, bytes, int], ...], machine: int) -> None:
    """It needs the machine of its programs. With several, as when the first one lies, it may go anywhere."""
    assert machine_of(tmp_path, *members) == machine


def test_many_machines(tmp_path: Path) -> None:
    """A program for each of very many machines costs hardly any time."""
    tally = Tally(LIMITS)
    for machine in range(1, 0xFFFF):
        tally.executable(elf(machine, EXECUTABLE))
    assert tally.unpacked.machine == ANY
