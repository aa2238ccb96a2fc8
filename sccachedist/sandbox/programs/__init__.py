"""Programs for Linux that need only the kernel; ``make programs`` builds them from the C sources beside.

``init`` waits in a sandbox and runs the compile, ``probe`` is the compile of a trial job.
"""

import platform
from importlib import resources

from sccachedist.errors import BuildError
from sccachedist.outcomes import SentLocal

#: The kinds of machines that there are programs for.
MACHINES = ("x86_64", "aarch64")


def built_program(name: str) -> bytes:
    """Return a program for this machine, an ELF file.

    :raises BuildError: there is none.
    """
    if (machine := platform.machine()) not in MACHINES:
        raise BuildError(SentLocal.SANDBOX, f"no sandbox on {machine}: only on {' and '.join(MACHINES)}")
    return resources.files(__name__).joinpath(f"{name}.{machine}").read_bytes()
