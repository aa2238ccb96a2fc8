"""The overlay builder's sandbox worker: ``python -m sccachedist.sandbox.overlay.worker HOME BWRAP BOUNDS GROUP...``.

BOUNDS are the bytes of memory and the number of processes of a job, with a colon between; in the directories GROUP it
makes control groups.

It owns no state that outlives it: killed at any moment, its processes and mounts are gone with it.
"""

import functools
import os
import sys

import attrs

from sccachedist.builders.worker_protocol import Grown, RunJob, Size, UnpackToolchain
from sccachedist.sandbox.archive.growing_archive import GrowingArchive
from sccachedist.sandbox.overlay import job, namespaces, toolchain_store
from sccachedist.sandbox.overlay.init_program import init_program
from sccachedist.sandbox.overlay.layout import DEVICES, SCRATCH
from sccachedist.sandbox.overlay.prewarm import Prewarm
from sccachedist.sandbox.overlay.resource_limits import Bounds, ResourceLimits, apply_limits
from sccachedist.sandbox.serve import serve


@attrs.define
class OverlaySandboxes:
    """Overlays over unpacked toolchains; see :class:`sccachedist.sandbox.serve.Sandboxes`.

    :param home: where everything is.
    :param bwrap: the bubblewrap program.
    :param bounds: what a job may take.
    :param groups: where control groups can be made.
    """

    home: str
    bwrap: str
    bounds: Bounds
    groups: tuple[str, ...]
    _limits: ResourceLimits = attrs.field(init=False)
    _prewarm: Prewarm = attrs.field(init=False)

    def set_up(self) -> None:
        """Submit to the limits of a job, then enter namespaces of its own, where they can no longer be set."""
        os.chdir(self.home)
        self._limits = apply_limits(self.bounds, self.groups, SCRATCH)
        namespaces.make_devices(DEVICES)
        namespaces.enter()
        namespaces.bind_devices(DEVICES)
        init_fd = namespaces.hidden_file(SCRATCH, init_program())
        made = functools.partial(job.opened, bwrap=self.bwrap, filter_fd=self._limits.filter_fd, init_fd=init_fd)
        self._prewarm = Prewarm(made)

    def run_job(self, request: RunJob) -> None:
        """Run it in a sandbox on an overlay."""
        place = job.place_for(request.toolchain, self._limits.scratch(request.limits.scratch_bytes))
        job.run_job(request, self._prewarm.acquire(place), self._limits.check)

    def tidy(self) -> None:
        """Remove all that a job had, and be ready for the next one."""
        self._prewarm.refill()

    def unpack_toolchain(self, request: UnpackToolchain, grown: Grown) -> Size:
        """Unpack an archive into a directory."""
        return toolchain_store.unpack_toolchain(request, grown=grown)

    def follow_toolchain(self, request: UnpackToolchain, growing: GrowingArchive, grown: Grown) -> Size:
        """Unpack an archive that comes in."""
        return toolchain_store.unpack_toolchain(request, growing, grown)

    def remove_toolchain(self, toolchain: str) -> None:
        """Remove that directory."""
        toolchain_store.remove_toolchain(toolchain)

    def remove_sandbox(self, sandbox: str) -> None:
        """Nothing is left: the sandbox has gone with its worker."""

    def remove_all(self) -> None:
        """Remove every toolchain."""
        toolchain_store.remove_all()

    def sweep(self) -> None:
        """Empty the directories that were removed."""
        toolchain_store.sweep()


def main() -> None:
    """Serve."""
    home, bwrap, bounds, *groups = sys.argv[1:]
    serve(OverlaySandboxes(home, bwrap, Bounds(*map(int, bounds.split(":"))), tuple(groups)))


if __name__ == "__main__":
    main()
