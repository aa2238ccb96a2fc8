"""Compiled seccomp filters for compiles, one for each kind of machine.

They refuse system calls that no compiler needs; ``scripts/seccomp_filters.py`` lists those and makes the filters.
"""

import os
import platform
from pathlib import Path

from sccachedist.errors import BuildError
from sccachedist.outcomes import SentLocal


def open_filter() -> int:
    """Open the filter for this machine; bubblewrap reads it from the returned descriptor.

    :raises BuildError: there is none.
    """
    machine = platform.machine()
    try:
        return os.open(Path(__file__).with_name(f"{machine}.bpf"), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise BuildError(SentLocal.SANDBOX, f"no seccomp filter for {machine}") from error
