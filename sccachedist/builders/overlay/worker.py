"""The overlay builder's sandbox worker: ``python -m sccachedist.builders.overlay.worker HOME BWRAP``.

It owns no state that outlives it: killed at any moment, its processes and mounts are gone with it.
"""

import os
import sys

import attrs

from sccachedist.builders.overlay import job, namespaces, unpacked
from sccachedist.builders.requests import RunJob, UnpackToolchain
from sccachedist.builders.worker import serve


@attrs.frozen
class OverlaySandboxes:
    """Overlays over unpacked toolchains; see :class:`sccachedist.builders.worker.Sandboxes`.

    :param home: where everything is.
    :param bwrap: the bubblewrap program.
    """

    home: str
    bwrap: str

    def set_up(self) -> None:
        """Enter namespaces of its own."""
        os.chdir(self.home)
        namespaces.enter()

    def run_job(self, request: RunJob) -> None:
        """Mount an overlay and run bubblewrap in it."""
        job.run_job(request, self.bwrap)

    def unpack_toolchain(self, request: UnpackToolchain) -> None:
        """Unpack an archive into a directory."""
        unpacked.unpack_toolchain(request)

    def remove_toolchain(self, toolchain: str) -> None:
        """Remove that directory."""
        unpacked.remove_toolchain(toolchain)

    def remove_sandbox(self, sandbox: str) -> None:
        """Nothing is left: the sandbox has gone with its worker."""

    def remove_all(self) -> None:
        """Remove every toolchain."""
        unpacked.remove_all()


def main() -> None:
    """Serve."""
    serve(OverlaySandboxes(*sys.argv[1:]))


if __name__ == "__main__":
    main()
