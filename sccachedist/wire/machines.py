"""The machines that programs are made for: the numbers of ELF, and the words of ``uname -m`` for them.

What runs where is decided in :mod:`sccachedist.scheduler.placement` and, for a job that has come, by its builder.
"""

from collections.abc import Collection

#: Stands for a toolchain that is not known to need a machine: it was not looked at yet.
UNKNOWN = 0
#: Stands for a toolchain that was looked at and needs no certain machine: it has no program, or programs for several.
ANY = 0xFFFF
_NAMES = {3: "i686", 21: "ppc64le", 22: "s390x", 40: "armv7l", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
NUMBERS = {name: number for number, name in _NAMES.items()}
#: Machines whose programs another one runs as well, without an emulator.
_ALSO_RUNS = {62: (3,)}


def name_of(machine: int) -> str | None:
    """What others call a machine; None if it is not a certain one."""
    return None if machine in (UNKNOWN, ANY) else _NAMES.get(machine, f"ELF {machine}")


def number_of(name: str) -> int:
    """The number of a machine.

    :raises ValueError: no machine of that name is known here.
    """
    if name not in NUMBERS:
        raise ValueError(f"one of {', '.join(NUMBERS)}")
    return NUMBERS[name]


def names_of(machines: Collection[int]) -> str:
    """Several machines in a sentence."""
    return ", ".join(name for machine in machines if (name := name_of(machine)) is not None)


def run_by(machine: int) -> tuple[int, ...]:
    """The machines whose programs a host runs by itself, its own first; none if its machine is not known."""
    return () if name_of(machine) is None else (machine, *_ALSO_RUNS.get(machine, ()))


def needed_by(programs: Collection[int]) -> int:
    """The machine that runs programs for all of these; :data:`ANY` if there is none, or no program."""
    needed = frozenset(programs)
    return next((machine for machine in needed if needed.issubset(run_by(machine))), ANY)
