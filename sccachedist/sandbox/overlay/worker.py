"""The overlay builder's sandbox worker.

``python -m sccachedist.sandbox.overlay.worker HOME BWRAP LIMITS PRIORITY GROUP...``: LIMITS are the fields of
:class:`~sccachedist.builders.worker_protocol.JobLimits` in JSON, PRIORITY those of
:class:`~sccachedist.builders.worker_protocol.Priority`; in the directories GROUP the worker makes control groups.

It may be killed at any moment: its processes and mounts go with it. How a request is served is in the modules that
it calls.
"""

import functools
import json
import os
import sys

import attrs

from sccachedist.builders.worker_protocol import Grown, JobLimits, Priority, RunJob, Unpacked, UnpackToolchain
from sccachedist.sandbox.archive.growing_archive import GrowingArchive
from sccachedist.sandbox.meter import Meter
from sccachedist.sandbox.overlay import job, namespaces, toolchain_store
from sccachedist.sandbox.overlay.init_program import init_program
from sccachedist.sandbox.overlay.layout import DEVICES, SCRATCH
from sccachedist.sandbox.overlay.prewarm import Prewarm
from sccachedist.sandbox.overlay.resource_limits import ResourceLimits, apply_limits, scratch_size
from sccachedist.sandbox.serve import serve


@attrs.define
class OverlaySandboxes:
    """Overlays over unpacked toolchains; see :class:`sccachedist.sandbox.serve.Sandboxes`.

    :param home: the builder's directory.
    :param bwrap: the bubblewrap program.
    :param job_limits: the most that a job may take; ``priority``: how it stands beside other programs.
    :param groups: directories in which control groups can be made.
    """

    home: str
    bwrap: str
    job_limits: JobLimits
    priority: Priority
    groups: tuple[str, ...]
    _limits: ResourceLimits = attrs.field(init=False)
    _prewarm: Prewarm = attrs.field(init=False)

    def set_up(self) -> None:
        """Apply a job's limits to this process, then enter its namespaces, in which they can no longer be set."""
        os.chdir(self.home)
        self._limits = apply_limits(self.job_limits, self.groups, SCRATCH, self.priority)
        namespaces.make_devices(DEVICES)
        namespaces.enter()
        namespaces.bind_devices(DEVICES)
        init_fd = namespaces.hidden_file(SCRATCH, init_program())
        made = functools.partial(job.opened, bwrap=self.bwrap, filter_fd=self._limits.filter_fd, init_fd=init_fd)
        self._prewarm = Prewarm(made)

    def run_job(self, request: RunJob, meter: Meter) -> None:
        """Run a job in a sandbox on an overlay."""
        place = job.place_for(request.toolchain, scratch_size(request.limits))
        here, meter.prewarmed = self._prewarm.acquire(place)
        job.run_job(request, here, self._limits.check, meter)

    def tidy(self) -> None:
        """Remove the last job's place, and make one for the next job."""
        self._prewarm.refill()

    def unpack_toolchain(self, request: UnpackToolchain, grown: Grown) -> Unpacked:
        """Unpack an archive into a directory."""
        return toolchain_store.unpack_toolchain(request, grown=grown)

    def follow_toolchain(self, request: UnpackToolchain, growing: GrowingArchive, grown: Grown) -> Unpacked:
        """Unpack an archive during its upload."""
        return toolchain_store.unpack_toolchain(request, growing, grown)

    def remove_toolchain(self, toolchain: str) -> None:
        """Remove the toolchain's directory."""
        toolchain_store.remove_toolchain(toolchain)

    def remove_sandbox(self, sandbox: str) -> None:
        """Do nothing: a sandbox ends with its worker."""

    def remove_all(self) -> None:
        """Remove every toolchain."""
        toolchain_store.remove_all()

    def sweep(self) -> None:
        """Delete the files of removed toolchains."""
        toolchain_store.sweep()


def main() -> None:
    """Serve with the arguments of the command line."""
    home, bwrap, limits, priority, *groups = sys.argv[1:]
    told = JobLimits(**json.loads(limits)), Priority(**json.loads(priority))
    serve(OverlaySandboxes(home, bwrap, *told, tuple(groups)))


if __name__ == "__main__":
    main()
