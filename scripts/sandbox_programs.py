"""Build the programs that the package ships for sandboxes: ``python -m scripts.sandbox_programs``, ``make programs``.

It needs GCC for every kind of machine, and the kernel's headers; a build server needs neither.
"""

import subprocess
from pathlib import Path

from sccachedist.sandbox import programs

#: Where the package keeps them.
PROGRAMS = Path(programs.__file__).parent
NAMES = ("init", "probe")

_FLAGS = (
    *("-std=gnu11", "-Os", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-nostdlib", "-static"),
    *("-fno-pie", "-no-pie", "-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-s"),
    # The kernel may have pages of 64 KiB; the files are not padded for them.
    *("-Wl,--build-id=none", "-Wl,-z,noexecstack", "-Wl,-z,noseparate-code", "-Wl,-z,max-page-size=65536"),
)


def build(name: str, machine: str, target: Path) -> None:
    """Build a program for a kind of machine."""
    source = PROGRAMS / f"{name}.c"
    subprocess.run([f"{machine}-linux-gnu-gcc", *_FLAGS, "-o", target, source], check=True)
    target.chmod(0o644)


def main() -> None:
    """Build all programs for all machines."""
    for machine in programs.MACHINES:
        for name in NAMES:
            build(name, machine, PROGRAMS / f"{name}.{machine}")


if __name__ == "__main__":
    main()
