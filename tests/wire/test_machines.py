"""The machines that programs are made for."""

from collections.abc import Iterator

import pytest

from sccachedist.wire.machines import ANY, UNKNOWN, name_of, names_of, needed_by, number_of, run_by


@pytest.mark.parametrize(
    ("machine", "name"), [(UNKNOWN, None), (ANY, None), (3, "i686"), (62, "x86_64"), (183, "aarch64"), (99, "ELF 99")]
)
def test_names(machine: int, name: str | None) -> None:
    """A machine has the word of uname, if it is one of those that farms have."""
    assert name_of(machine) == name


def test_numbers() -> None:
    """A word that uname has for no machine is an error that names all that are known."""
    assert number_of("riscv64") == 243
    with pytest.raises(ValueError, match=r"one of i686, .*x86_64, aarch64"):
        number_of("arm64")


def test_several() -> None:
    """In a sentence, what is no certain machine is left out."""
    assert names_of((62, ANY, 183)) == "x86_64, aarch64"


@pytest.mark.parametrize(
    ("machine", "runs"), [(62, (62, 3)), (3, (3,)), (183, (183,)), (99, (99,)), (UNKNOWN, ()), (ANY, ())]
)
def test_what_a_host_runs(machine: int, runs: tuple[int, ...]) -> None:
    """A host runs its own programs, and those that its machine runs without an emulator."""
    assert run_by(machine) == runs


@pytest.mark.parametrize(
    ("programs", "needed"),
    [((), ANY), ((183,), 183), ((3, 62), 62), ((62, 3), 62), ((62, 183), ANY), ((UNKNOWN,), ANY)],
)
def test_what_programs_need(programs: tuple[int, ...], needed: int) -> None:
    """A toolchain with programs for two machines needs the one that runs both, or none that can be told."""
    assert needed_by(programs) == needed


class Counted(tuple[int, ...]):
    """Machines, and how often all of them were asked for."""

    walks = 0

    def __iter__(self) -> Iterator[int]:
        self.walks += 1
        return super().__iter__()


def test_very_many_programs() -> None:
    """They are gone through once, not once for each: a toolchain may have one for every machine that there can be."""
    programs = Counted(range(1, 1000))
    assert needed_by(programs) == ANY
    assert programs.walks <= 1
