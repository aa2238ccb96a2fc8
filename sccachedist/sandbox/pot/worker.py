"""The pot builder's sandbox worker: ``python -m sccachedist.sandbox.pot.worker RUN FS_ROOT TEMPLATE POT ARGUMENT...``.

It owns no state: the system keeps the pots. It may be killed at any moment, and then leave its job's pot; the builder
knows its name and has another worker destroy it.
"""

import sys

import attrs

from sccachedist.builders.worker_protocol import Grown, RunJob, Unpacked, UnpackToolchain
from sccachedist.errors import BuildError, ToolchainError
from sccachedist.outcomes import SentLocal
from sccachedist.sandbox.archive.growing_archive import GrowingArchive
from sccachedist.sandbox.job_root import place_toolchain, root_at
from sccachedist.sandbox.meter import Meter
from sccachedist.sandbox.pot import job
from sccachedist.sandbox.pot.pots import Pots
from sccachedist.sandbox.pot.start_links import links_at_start
from sccachedist.sandbox.serve import serve


@attrs.frozen
class PotSandboxes:
    """Clones of the pots of toolchains; see :class:`sccachedist.sandbox.serve.Sandboxes`."""

    pots: Pots

    def set_up(self) -> None:
        """Do nothing."""

    def run_job(self, request: RunJob, meter: Meter) -> None:
        """Run a job in a clone."""
        job.run_job(attrs.evolve(request, sandbox=self.pots.clone_of(request.sandbox)), self.pots, meter)

    def tidy(self) -> None:
        """Do nothing: the clone serves the next job."""

    def unpack_toolchain(self, request: UnpackToolchain, grown: Grown) -> Unpacked:
        """Clone the template, and unpack a toolchain over it.

        :raises ToolchainError: it cannot be unpacked, or a start of its pots would write outside of them.
        """
        name = self.pots.image(request.toolchain)
        self.pots.clone(name, self.pots.template)
        files = self.pots.files(name)
        of_template = links_at_start(files)
        with root_at(files) as root:
            unpacked = place_toolchain(request, root, grown=grown)
        if brought := links_at_start(files).items() - of_template.items():
            raise ToolchainError(f"toolchain {request.toolchain} has a link where pot writes: {min(brought)[0]!r}")
        self.pots.snapshot(name)
        return unpacked

    def follow_toolchain(self, request: UnpackToolchain, growing: GrowingArchive, grown: Grown) -> Unpacked:
        """Refuse: a pot is made of a whole archive."""
        raise BuildError(SentLocal.SANDBOX, "a pot is made of a whole archive")

    def remove_toolchain(self, toolchain: str) -> None:
        """Destroy the toolchain's pot."""
        self.pots.destroy(self.pots.image(toolchain))

    def remove_sandbox(self, sandbox: str) -> None:
        """Destroy a clone."""
        self.pots.destroy(self.pots.clone_of(sandbox))

    def remove_all(self) -> None:
        """See that pot answers: what was made before has other names."""
        self.pots.of_others()

    def sweep(self) -> None:
        """Destroy all pots that other runs have made."""
        for name in self.pots.of_others():
            self.pots.destroy(name)


def main() -> None:
    """Serve with the arguments of the command line."""
    run, fs_root, template, pot, *clone_arguments = sys.argv[1:]
    serve(PotSandboxes(Pots(run, fs_root, template, pot, tuple(clone_arguments))))


if __name__ == "__main__":
    main()
