"""The overlay builder's sandbox worker: ``python -m sccachedist.builders.overlay.worker HOME BWRAP BOUNDS GROUP...``.

BOUNDS are the bytes of memory and the number of processes of a job, with a colon between; in the directories GROUP it
makes control groups.

It owns no state that outlives it: killed at any moment, its processes and mounts are gone with it.
"""

import functools
import os
import sys

import attrs

from sccachedist.builders.arrival import Arrival
from sccachedist.builders.overlay import job, namespaces, unpacked
from sccachedist.builders.overlay.ahead import Ahead
from sccachedist.builders.overlay.restraints import Bounds, Restraints, restrain
from sccachedist.builders.overlay.starter import starter
from sccachedist.builders.requests import RunJob, UnpackToolchain
from sccachedist.builders.tally import Grown, Size
from sccachedist.builders.worker import serve


@attrs.define
class OverlaySandboxes:
    """Overlays over unpacked toolchains; see :class:`sccachedist.builders.worker.Sandboxes`.

    :param home: where everything is.
    :param bwrap: the bubblewrap program.
    :param bounds: what a job may take.
    :param groups: where control groups can be made.
    """

    home: str
    bwrap: str
    bounds: Bounds
    groups: tuple[str, ...]
    _restraints: Restraints = attrs.field(init=False)
    _ahead: Ahead = attrs.field(init=False)

    def set_up(self) -> None:
        """Submit to the limits of a job, then enter namespaces of its own, where they can no longer be set."""
        os.chdir(self.home)
        self._restraints = restrain(self.bounds, self.groups, job.SCRATCH)
        namespaces.make_devices(job.DEVICES)
        namespaces.enter()
        namespaces.bind_devices(job.DEVICES)
        starter_fd = namespaces.hidden_file(job.SCRATCH, starter())
        made = functools.partial(
            job.opened, bwrap=self.bwrap, filter_fd=self._restraints.filter_fd, starter_fd=starter_fd
        )
        self._ahead = Ahead(made)

    def run_job(self, request: RunJob) -> None:
        """Run it in a sandbox on an overlay."""
        place = job.place_for(request.toolchain, self._restraints.scratch(request.limits.scratch_bytes))
        job.run_job(request, self._ahead.take(place), self._restraints.check)

    def tidy(self) -> None:
        """Remove all that a job had, and be ready for the next one."""
        self._ahead.renew()

    def unpack_toolchain(self, request: UnpackToolchain, grown: Grown) -> Size:
        """Unpack an archive into a directory."""
        return unpacked.unpack_toolchain(request, grown=grown)

    def follow_toolchain(self, request: UnpackToolchain, arrival: Arrival, grown: Grown) -> Size:
        """Unpack an archive that comes in."""
        return unpacked.unpack_toolchain(request, arrival, grown)

    def remove_toolchain(self, toolchain: str) -> None:
        """Remove that directory."""
        unpacked.remove_toolchain(toolchain)

    def remove_sandbox(self, sandbox: str) -> None:
        """Nothing is left: the sandbox has gone with its worker."""

    def remove_all(self) -> None:
        """Remove every toolchain."""
        unpacked.remove_all()

    def sweep(self) -> None:
        """Empty the directories that were removed."""
        unpacked.sweep()


def main() -> None:
    """Serve."""
    home, bwrap, bounds, *groups = sys.argv[1:]
    serve(OverlaySandboxes(home, bwrap, Bounds(*map(int, bounds.split(":"))), tuple(groups)))


if __name__ == "__main__":
    main()
