"""Programs of kinds of machines that this one is not."""

import platform
from pathlib import Path

import pytest

from sccachedist.sandbox.programs import MACHINES

#: For tests of each: what another machine's need is installed where all tests run.
EMULATED = [
    pytest.param(machine, marks=[] if machine == platform.machine() else [pytest.mark.functional])
    for machine in MACHINES
]


def command(program: str | Path, machine: str) -> list[str]:
    """The words that run a program."""
    return [str(program)] if machine == platform.machine() else [f"qemu-{machine}", str(program)]
