"""A place of its own for a run: processes, mounts and networks of which nothing outlives it. For root."""

import os
import sys
from collections.abc import Sequence

# The shell is there to reap orphans.
_ALONE = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", '"$@"; exit $?')
_INSIDE = "SCCACHEDIST_FAULTS_ALONE"


def be_alone(module: str, arguments: Sequence[str]) -> None:
    """Return in such a place: this process becomes ``python -m module arguments`` there, unless it is there already."""
    if _INSIDE not in os.environ:
        own = ("--map-root-user",) if os.geteuid() else ()
        again = (*_ALONE[:1], *own, *_ALONE[1:], "sh", sys.executable, "-m", module, *arguments)
        os.execvpe(again[0], again, os.environ | {_INSIDE: "1"})
