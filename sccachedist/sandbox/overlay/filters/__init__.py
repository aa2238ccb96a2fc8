"""Seccomp filters for compiles, compiled, one for each kind of machine; ``scripts/seccomp_filters.py`` makes them.

They refuse system calls that no compiler needs. What exactly stands in that program.
"""

import os
import platform
from pathlib import Path

from sccachedist.errors import BuildError


def open_filter() -> int:
    """Open the filter for this machine, to be given to bubblewrap.

    :raises BuildError: there is none.
    """
    machine = platform.machine()
    try:
        return os.open(Path(__file__).with_name(f"{machine}.bpf"), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise BuildError(f"no seccomp filter for {machine}") from error
